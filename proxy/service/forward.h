/* Operations of ours that another proposer runs: FORWARD goes out, FORWARDED comes back.
 */
#ifndef QUORATE_SERVICE_FORWARD_H
#define QUORATE_SERVICE_FORWARD_H

#include "proxy/service/state.h"

enum quo_forwarding {
    QUO_FORWARDING_GOES_ON = 0, /* sooner or later it is driven on */
    QUO_FORWARDING_STUCK,       /* it must go on here, now */
    QUO_FORWARDING_REFUSED,     /* the loop that it belongs to has no room */
};
/* Carries out a FORWARD effect. */
enum quo_forwarding quo_forward(struct quo_service *service, struct quo_op *op,
                                const struct quo_effect *effect);

/* What it came to when the loop it belongs to has no room: nothing was done. */
struct quo_outcome quo_forward_refused(const struct quo_op *op);

/* Requires an operation that came back, and has its turn now or need not wait for it. */
void quo_forward_go_on(struct quo_service *service, struct quo_op *op);

/* A FORWARDED frame came from this seat. */
void quo_forward_on_frame(struct quo_service *service, uint64_t seat,
                          const struct quo_frame *frame);
void quo_forward_on_down(struct quo_service *service, uint64_t seat);

#endif
