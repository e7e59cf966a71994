/* The change of a consensus write, applied to the record found.
 */
#ifndef QUORATE_SERVICE_APPLY_H
#define QUORATE_SERVICE_APPLY_H

#include "proxy/service/state.h"

/* Carries out an APPLY effect: makes QUO_OP_RECORD and the operation's result from `base` (the
 * bytes kept; empty: there is no record, or no memory to keep it). Without memory nothing is made
 * and the decision is to keep what is there: no ACC can be sent then. */
enum quo_decision quo_apply_change(struct quo_service *service, struct quo_op *op,
                                   const struct quo_effect *effect, struct quo_slice base);

#endif
