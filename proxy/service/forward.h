/* Operations of ours that another proposer runs: FORWARD goes out, FORWARDED comes back.
 */
#ifndef QUORATE_SERVICE_FORWARD_H
#define QUORATE_SERVICE_FORWARD_H

#include "proxy/service/state.h"

/* Whether a consensus write belongs to another loop of this proxy that can be reached. */
bool quo_forward_has_owner(const struct quo_service *service, const struct quo_op *op);
/* Whether there is anybody to hand it to after it was preempted. */
bool quo_forward_is_possible(const struct quo_service *service, const struct quo_op *op);

/* Carries out a FORWARD effect. Returns whether the operation was handed on; if not, *ret is why:
 * QUO_BUSY from the loop it belongs to, or QUO_UNAVAILABLE. */
bool quo_forward(struct quo_service *service, struct quo_op *op, const struct quo_effect *effect,
                 enum quo_status *ret);

/* What it came to when the loop it belongs to has no room: nothing was done. */
struct quo_outcome quo_forward_refused(const struct quo_op *op);

/* A FORWARDED frame came from this seat. */
void quo_forward_on_frame(struct quo_service *service, uint64_t seat,
                          const struct quo_frame *frame);
void quo_forward_on_down(struct quo_service *service, uint64_t seat);

#endif
