/* Surveys: one question to several nodes at once, and what each of them says by a deadline. For
 * what concerns nodes rather than keys.
 */
#ifndef QUORATE_PROXY_SERVICE_SURVEY_H
#define QUORATE_PROXY_SERVICE_SURVEY_H

#include "proxy/service/service.h"

struct quo_survey_question {
    uint8_t type;        /* of the message */
    uint8_t answer_type; /* of what answers it */
    struct quo_slice body;
    uint32_t node_count;   /* 1 to QUO_NODES_MAX */
    const uint32_t *nodes; /* by index of the map, each once */
    uint32_t timeout_ms;
};

/* What one node said. */
struct quo_survey_answer {
    uint32_t node;         /* by index of the map */
    bool is_there;         /* it answered */
    struct quo_slice body; /* of its message, of the type that was wanted, not decoded yet */
};

/* `answers` are in the order of the nodes asked; borrowed until the callback returns. */
typedef void quo_survey_fn(void *context, const struct quo_survey_answer *answers, uint32_t count);

/* Asks. Nodes that cannot be reached are not waited for. QUO_OK: `done` will be called once, unless
 * abandoned; or was, then *ret_ticket is 0. QUO_BUSY: there are QUO_SURVEYS_MAX; QUO_NO_MEMORY. */
enum quo_status quo_service_survey(struct quo_service *service,
                                   const struct quo_survey_question *question, quo_survey_fn *done,
                                   void *context, quo_ticket *ret_ticket);

/* The newest entry of a partition that is known. Requires a partition of the map. Borrowed until
 * the next call. */
const struct quo_entry *quo_service_replicas(const struct quo_service *service, uint16_t partition);

/* The asker is gone: `done` will not be called. A ticket of one that is over changes nothing. */
void quo_service_survey_abandon(struct quo_service *service, quo_ticket ticket);

#endif
