/* SLOT (slot.c): adds to this replica's slot of a counter. The one rule by which a replica makes a
 * record itself: nobody else writes its slot, so that reading and writing it is one step here.
 *
 * Pure.
 */
#ifndef QUORATE_NODE_REPLICA_SLOT_H
#define QUORATE_NODE_REPLICA_SLOT_H

#include "quorate/record.h"
#include "quorate/slot.h"
#include "storage-node/replica/replica.h"

/* What is to be added, and by whose clocks. */
struct quo_replica_addition {
    int64_t by;
    struct quo_opid opid; /* remembered if it is keyed; any other is not looked at */
    uint64_t digest;
    uint64_t since;  /* hlc of the submission: the record's version is at or above it */
    uint64_t now_ms; /* our wall clock, by which operations grow old */
    uint32_t retention_s;
};

struct quo_replica_slot_verdict {
    enum quo_status status;
    bool write;               /* put `record` in place of the one held */
    bool replayed;            /* the addition is in the record that is held */
    struct quo_record record; /* with write; its value is to be made of `slot` */
    struct quo_slot slot;     /* likewise; its ring borrows from `ring` or from what is held */
};

/* Whether this replica's slots may be added to under this entry, in a namespace of `n` replicas. In
 * a move only by the replicas that the data is moved from: one that it is moved to may have had a
 * slot before, and not have it back yet. */
bool quo_replica_may_add(const struct quo_entry *entry, uint8_t n, uint64_t self);

/* `view` is what is held of the slot and `value` the value of that record, empty when absent;
 * `ring` has room for QUO_RING_BYTES_MAX and does not overlap it. Status:
 *   QUO_OK             to be written, or with `replayed` added before;
 *   QUO_OUT_OF_BOUNDS  the slot would be no number of 64 bits;
 *   QUO_KEY_REUSED     the operation's name belongs to an addition with another digest;
 *   QUO_RING_FULL      too many names to remember;
 *   QUO_HISTORY_LOST   whether the name was used before cannot be told: the retention was shorter
 *                      when it would have been;
 *   QUO_SKEW           above what is held there is no version, or no moment;
 *   QUO_CORRUPT        what is held is no slot.
 * With any other than QUO_OK nothing was added and nothing is to be written. */
struct quo_replica_slot_verdict quo_replica_slot(const struct quo_replica_view *view,
                                                 struct quo_slice value, uint64_t self,
                                                 const struct quo_replica_addition *addition,
                                                 uint8_t *ring);

#endif
