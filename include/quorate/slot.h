/* The slot of a counter of kind crdt: what one replica has added to it (a PN counter; Shapiro et
 * al., "A comprehensive study of convergent and commutative replicated data types", 2011).
 *
 * A slot is a record of its own with one writer, the replica that it is named by, so that of two
 * copies the newer one holds all that the older one does. A counter is the sum of its slots.
 *
 * The value of its record, big-endian:
 *   u8 format (1) | u64 added | u64 taken | 16 keyed_from | entries as in ring.h, oldest first
 *
 * The ring holds additions that came with an Idempotency-Key, so that those that come again find
 * themselves; their `at` is the replica's own clock and `result` what was added.
 *
 * Pure.
 */
#ifndef QUORATE_SLOT_H
#define QUORATE_SLOT_H

#include "quorate/ring.h"

#define QUO_SLOT_FORMAT 1u
#define QUO_SLOT_HEADER 33u
#define QUO_SLOT_VALUE_MAX (QUO_SLOT_HEADER + QUO_RING_BYTES_MAX)
#define QUO_SLOT_KEY_SUFFIX 8u /* be64 replica id, after the prefix of the counter's name */

/* All zero: nothing was added yet. */
struct quo_slot {
    uint64_t added, taken;
    struct quo_version keyed_from; /* as of a record */
    struct quo_slice ring;         /* borrowed */
};

size_t quo_slot_size(const struct quo_slot *slot);
/* Writes quo_slot_size bytes. */
void quo_slot_encode(const struct quo_slot *slot, uint8_t *out);
/* Requires nothing of `bytes`. Returns QUO_OK with *ret borrowing from them, or QUO_MALFORMED: an
 * unknown format, bytes missing, a ring that quo_ring_check refuses, or holds an operation without
 * a key, or none above keyed_from, a value that is no number of 64 bits. */
enum quo_status quo_slot_decode(struct quo_slice bytes, struct quo_slot *ret);

/* What the slot adds to its counter. */
int64_t quo_slot_value(const struct quo_slot *slot);

/* Adds a number to a slot; the ring stays as it is. Returns false, *ret untouched, if the numbers
 * or their difference would be none of 64 bits. */
bool quo_slot_add(const struct quo_slot *slot, int64_t by, struct quo_slot *ret);

/* A sum of any numbers of 64 bits, whatever their order. All zero to begin with; at most 2^31 of
 * them. */
struct quo_slot_sum {
    int64_t high; /* in units of 2^32 */
    uint64_t low;
};

static inline void quo_slot_sum_add(struct quo_slot_sum *sum, int64_t value)
{
    const uint32_t low = (uint32_t)value;

    /* Exact: what is left ends in 32 zeros. */
    sum->high += (value - (int64_t)low) / (INT64_C(1) << 32);
    sum->low += low;
}

/* Returns false, *ret untouched, if the sum is no number of 64 bits. */
bool quo_slot_sum_value(const struct quo_slot_sum *sum, int64_t *ret);

#endif
