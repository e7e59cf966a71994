/* Operations of others that this proposer runs: FORWARD comes in, FORWARDED goes back.
 */
#ifndef QUORATE_SERVICE_HANDED_H
#define QUORATE_SERVICE_HANDED_H

#include "proxy/service/state.h"

/* A FORWARD frame came from this peer: runs the operation, or answers at once that it was not
 * taken. */
void quo_handed_on_frame(struct quo_service *service, uint64_t peer, const struct quo_frame *frame);

/* Answers whoever handed the operation on; `record` are the bytes of the response's record. */
void quo_handed_answer(struct quo_service *service, const struct quo_op *op,
                       const struct quo_response *response, struct quo_slice record);

#endif
