/* Additions to counters of kind crdt: what the service makes of the request.
 *
 * The key of such an operation is the counter's prefix with room for the replica id that completes
 * it to the key of a slot: which one it is, is known when the slot's record is there.
 */
#ifndef QUORATE_SERVICE_ADDITION_H
#define QUORATE_SERVICE_ADDITION_H

#include "proxy/service/state.h"

/* Whether it is one, as struct quo_request says. */
bool quo_addition_may_be(const struct quo_request *request);

/* Copies what will be sent. QUO_OK, QUO_BUSY or QUO_NO_MEMORY. */
enum quo_status quo_addition_make(struct quo_service *service, struct quo_op *op,
                                  const struct quo_request *request);

/* The prefix alone. Requires an addition. */
struct quo_slice quo_addition_prefix(const struct quo_op *op);
/* From here on the operation's key is that of this replica's slot. */
void quo_addition_name_slot(struct quo_op *op, uint64_t replica);

/* Of the Idempotency-Key; 0: there is none. */
uint64_t quo_addition_key_hash(const struct quo_op *op);

#endif
