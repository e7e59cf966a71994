/* The surveys under way on one loop. */
#ifndef QUORATE_SERVICE_SURVEYS_H
#define QUORATE_SERVICE_SURVEYS_H

#include "proxy/service/survey.h"

struct quo_survey;

struct quo_surveys {
    struct quo_survey *first;
    uint32_t count;
    uint64_t last_id;
};

void quo_surveys_free(struct quo_service *service);

/* Whether a frame is what a survey may be answered with. */
bool quo_surveys_own(uint8_t type);
/* It came; its body is borrowed until the return. */
void quo_surveys_on_frame(struct quo_service *service, uint64_t peer,
                          const struct quo_frame *frame);
void quo_surveys_on_down(struct quo_service *service, uint64_t peer);
/* The next deadline, monotonic us; UINT64_MAX: none. */
uint64_t quo_surveys_deadline(const struct quo_service *service);
void quo_surveys_expire(struct quo_service *service, uint64_t mono_us);

#endif
