/* Which reads may pass on what they have read, once they have answered: as many as nobody notices.
 *
 * A key is not repaired again for QUO_REPAIR_EVERY_MS. Only the time is kept, in a slot that keys
 * may share: of two that meet there the later one goes without, which is no worse than not having
 * been read.
 */
#ifndef QUORATE_SERVICE_REPAIR_H
#define QUORATE_SERVICE_REPAIR_H

#include "proxy/service/ops.h"

struct quo_service;

struct quo_repairs {
    uint32_t under_way;
    uint64_t until_us[QUO_REPAIR_SLOTS]; /* by the hash of quo_name */
};

/* Whether a read that is about to start asks one replica more after its answer. `seed` is random;
 * its lower half decides. */
bool quo_repair_looks_further(struct quo_service *service, const struct quo_op *op, uint64_t seed);

/* Requires that the key of the operation is there. Returns whether it may repair; it counts as one
 * that does from then on. */
bool quo_repair_begin(struct quo_service *service, struct quo_op *op, uint64_t now_us);
/* The operation is over, whether it was one or not. */
void quo_repair_end(struct quo_service *service, struct quo_op *op);

/* Keeps the record of an operation that is answered and may yet repair, unless it is so long that
 * asking for it again is better. `fresh`: a newer one that came just now; empty: none. */
void quo_repair_keep(struct quo_service *service, struct quo_op *op, struct quo_slice fresh);

#endif
