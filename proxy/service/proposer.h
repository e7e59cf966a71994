/* Which proposer a consensus write belongs to: within a proxy the loop that owns the partition, and
 * of a key that proxies fight over the one with the highest score.
 */
#ifndef QUORATE_SERVICE_PROPOSER_H
#define QUORATE_SERVICE_PROPOSER_H

#include "proxy/service/state.h"

/* The seat of the loop. Requires that there are seats. */
uint32_t quo_proposer_owner(const struct quo_service *service, const struct quo_op *op);
/* The seat of the key's own proxy, of those that can be reached; UINT32_MAX: that is this one, or
 * nobody is there. Requires that there are seats. */
uint32_t quo_proposer_affine(const struct quo_service *service, const struct quo_op *op);

/* Where a consensus write should start, as far as those seats can be reached. */
enum quo_route quo_proposer_route(const struct quo_service *service, const struct quo_op *op);
/* Whether there may be anybody to hand it to after it was preempted. */
bool quo_proposer_may_change(const struct quo_service *service, const struct quo_op *op);

#endif
