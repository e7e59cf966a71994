/* The ring of a record: which operations its lineage holds, so that an attempt that is made again,
 * through this proxy or another, finds the first one.
 *
 * An entry: 16 operation id | 16 version at which it was decided | u8 flags | u8 code |
 *           u64 digest of the request | i64 result
 *
 * Big-endian, oldest first. An entry leaves the ring when it is old or when there is no room; the
 * record's hist_from and keyed_from then say from where on the ring is complete: an operation that
 * could have been decided only above them, and is not in the ring, was not decided.
 *
 * Pure. Slices of entries are borrowed from whoever holds the record.
 */
#ifndef QUORATE_RING_H
#define QUORATE_RING_H

#include "quorate/base.h"
#include "quorate/limits.h"
#include "quorate/status.h"
#include "quorate/version.h"

#define QUO_RING_ENTRY_SIZE 50u

/* Names an operation. With an Idempotency-Key: its 128-bit hash, with the first bit set. Without:
 * be64 hlc at which it was submitted (whose first bit is 0), then 64 random bits. */
struct quo_opid {
    uint8_t bytes[16];
};

static inline bool quo_opid_is_keyed(const struct quo_opid *opid)
{
    return (opid->bytes[0] & 0x80u) != 0;
}
bool quo_opid_equal(const struct quo_opid *a, const struct quo_opid *b);
/* XXH3_128 of the header's value, first bit set. */
struct quo_opid quo_opid_of_key(struct quo_slice idempotency_key);
struct quo_opid quo_opid_make(uint64_t hlc, uint64_t random);

/* How an operation was decided. Stored: values never change their meaning. */
enum quo_change_code {
    QUO_CHANGE_DONE = 0,          /* it took effect */
    QUO_CHANGE_CONDITION = 1,     /* If-Match or If-None-Match was false */
    QUO_CHANGE_BOUND = 2,         /* a counter would leave min..max, or 64 bits */
    QUO_CHANGE_NOT_A_COUNTER = 3, /* the value is not a decimal integer of 64 bits */
    QUO_CHANGE_NOT_JSON = 4,      /* the value is not a JSON document that a patch applies to */
    QUO_CHANGE_TOO_LARGE = 5,     /* the new value would be over the namespace's limit */
    QUO_CHANGE_FENCED = 6,        /* resolved as not applied, before it took effect */
    QUO_CHANGE_STORED_COUNT = 7,
    /* Never stored: nothing is decided by them. */
    QUO_CHANGE_KEY_REUSED = 64,   /* the Idempotency-Key belongs to a request with other content */
    QUO_CHANGE_RING_FULL = 65,    /* too many operations with a key in the retention time */
    QUO_CHANGE_HISTORY_LOST = 66, /* whether the key was used before cannot be told any more */
    QUO_CHANGE_NO_MEMORY = 67,
};

struct quo_ring_entry {
    struct quo_opid opid;
    struct quo_version at;
    enum quo_change_code code;
    uint64_t digest;
    int64_t result; /* of a counter: its value then */
};

/* QUO_OK or QUO_MALFORMED: not a whole number of entries, over QUO_RING_MAX, an unknown flag or
 * code, an entry without version, entries not in the order of `at`. */
enum quo_status quo_ring_check(struct quo_slice ring);
size_t quo_ring_count(struct quo_slice ring);
/* Requires i < count. */
struct quo_ring_entry quo_ring_at(struct quo_slice ring, size_t i);
/* Returns false, *ret untouched, if it is not there. */
bool quo_ring_find(struct quo_slice ring, const struct quo_opid *opid, struct quo_ring_entry *ret);

/* Whether the ring would show an operation with an Idempotency-Key that was first tried no earlier
 * than `retention_s` before `since_ms`: keyed_from is older than that, by 2 * QUO_SKEW_MAX_MS. */
bool quo_ring_complete_keyed(struct quo_version keyed_from, uint64_t since_ms,
                             uint32_t retention_s);

/* Whether the ring of a record below `ballot` would show the fence of an unkeyed operation that was
 * submitted at hlc `since`. The fence's ballot is above that: it left the ring neither with what is
 * up to keyed_from, nor for its age. */
bool quo_ring_shows_fence(struct quo_version keyed_from, struct quo_version ballot, uint64_t since);

struct quo_ring_past {
    struct quo_slice ring; /* encoded */
    struct quo_version hist_from;
    struct quo_version keyed_from;
};

/* Appends an entry to a past and leaves out what is too old or too many:
 *   keyed entries older than twice the retention, and than retention + 4 * QUO_SKEW_MAX_MS, by the
 *   new entry's version: who was submitted 2 * QUO_SKEW_MAX_MS before it still finds the ring
 *   complete;
 *   unkeyed ones older than QUO_RING_UNKEYED_MS, and the oldest of more than QUO_RING_UNKEYED_MAX:
 *   only attempts under way and whoever asks at once look for them;
 *   fences of unkeyed ones older than QUO_RING_FENCE_MS: whoever was handed the operation may come
 *   upon it much later (quo_ring_shows_fence);
 *   of more than QUO_RING_KEYED_MAX keyed ones the oldest, if it is older than the latter (so that
 *   there is always room for the unkeyed; fences take the room of keyed ones).
 * hist_from and, of keyed ones, keyed_from rise to what was left out. Clocks that replicas accept
 * differ by QUO_SKEW_MAX_MS at most. Requires entry.at above all of the past, and a code that is
 * stored; `out` with room for QUO_RING_BYTES_MAX, not overlapping the past. Returns QUO_OK with
 * *ret borrowing from `out`, or QUO_BUSY with *ret untouched: the ring is full. */
enum quo_status quo_ring_append(const struct quo_ring_past *past,
                                const struct quo_ring_entry *entry, uint32_t retention_s,
                                uint8_t *out, struct quo_ring_past *ret);

#endif
