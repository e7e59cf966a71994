/* The floors of a partition on one replica: below which version what is refused, and what that says
 * about deletes. All three rise and never fall while the replicas of the partition stay the same.
 *
 *   gate     nothing new at or below it is accepted: no promise, no proposal, no first-hand STORE.
 *            Copies of what some replica holds still are.
 *   sealed   what any replica holds at or below it, all replicas hold, or something newer. Copies
 *            at or below it are refused as well.
 *   cleared  all replicas are sealed up to it: deletes at or below it are dropped.
 *
 * cleared <= sealed <= gate. Pure.
 */
#ifndef QUORATE_NODE_GC_FLOORS_H
#define QUORATE_NODE_GC_FLOORS_H

#include "quorate/base.h"
#include "quorate/record.h"
#include "quorate/rpc.h"
#include "quorate/status.h"
#include "quorate/version.h"

struct quo_floors {
    struct quo_version gate, sealed, cleared;
};

/* Does what a stage of a collection does to them. QUO_OK; QUO_NACK: the stage before it was not
 * reached here, and nothing changes. */
enum quo_status quo_floors_take(struct quo_floors *floors, enum quo_floor_stage stage,
                                struct quo_version floor);

/* The partition has other replicas, or its namespaces have: what is sealed says nothing of those.
 * The gate stays. Returns whether anything was forgotten. */
bool quo_floors_unseal(struct quo_floors *floors);

/* In storage: be64 digest of the namespaces that `sealed` speaks of | gate | sealed | cleared. */
#define QUO_FLOORS_SIZE (8u + 3u * QUO_VERSION_SIZE)
void quo_floors_encode(const struct quo_floors *floors, uint64_t namespaces,
                       uint8_t out[QUO_FLOORS_SIZE]);
/* QUO_OK, or QUO_MALFORMED (length, order). */
enum quo_status quo_floors_decode(struct quo_slice bytes, struct quo_floors *ret,
                                  uint64_t *ret_namespaces);

/* When an encoded record, or the first QUO_RECORD_EXPIRY_HEAD bytes of one, is gone, ms: of one
 * that deletes its key when that was, of one that expires when it does, but never before it was
 * made. UINT64_MAX: it stays, or the bytes are none. At or below a floor of that time it can be
 * dropped.
 */
uint64_t quo_floors_gone_ms(struct quo_slice record);

/* Whether such a record is at or below a floor, and gone by then. */
bool quo_floors_cover(struct quo_version floor, struct quo_slice record);

/* A floor for versions made at `ms` and before. */
static inline struct quo_version quo_floor_of_ms(uint64_t ms)
{
    return (struct quo_version){.hlc = ms << 16, .node = 0};
}

#endif
