/* What an operation came to, for whoever asked for it.
 */
#ifndef QUORATE_SERVICE_DELIVER_H
#define QUORATE_SERVICE_DELIVER_H

#include "proxy/service/state.h"

/* Answers, once. `outcome` is the coordinator's; `record` the bytes of the record that it is about,
 * empty if there is none. */
void quo_deliver(struct quo_service *service, struct quo_op *op, const struct quo_outcome *outcome,
                 struct quo_slice record);

/* Of an operation that was never started. */
void quo_deliver_timeout(struct quo_service *service, struct quo_op *op);

#endif
