/* Drives one operation: feeds its coordinator an event, carries out the effects, feeds what they
 * bring, answers, and lets go of it when it is over.
 */
#ifndef QUORATE_SERVICE_DRIVE_H
#define QUORATE_SERVICE_DRIVE_H

#include "proxy/service/state.h"

/* Makes the plan for an operation under the newest entry known. */
void quo_drive_plan(struct quo_service *service, uint16_t partition, const struct quo_namespace *ns,
                    struct quo_plan *ret);

/* Requires that it is started. After this call the operation may be over and its slot free;
 * `answer` may have been called, and others whose turn came may have been started. */
void quo_drive(struct quo_service *service, struct quo_op *op, const struct quo_event *event);
/* Likewise, with a FORWARDED event and the record that came with it; empty: none. */
void quo_drive_forwarded(struct quo_service *service, struct quo_op *op,
                         const struct quo_event *event, struct quo_slice record);

/* Ends an operation that awaits nothing but late replies, as if its time were over. */
void quo_drive_give_up(struct quo_service *service, struct quo_op *op);
/* Ends an operation, whatever it waits for. Requires that it is answered. */
void quo_drive_end(struct quo_service *service, struct quo_op *op);

/* A random id for our versions, new and never 0. */
uint64_t quo_drive_fresh_node(struct quo_service *service);

#endif
