/* The record: what a replica keeps for one key, byte for byte the same on disk and on the wire.
 *
 *   u8  format (1)            u8 flags
 *   16  version               16 hist_from: ring and lineage are complete for operations above it
 *   u64 mver                  bumped on every change made by a read-modify-write
 *   u8  ring count, then per entry: 16 operation id, 16 version, u32 result
 *   u8  content type length, content type
 *   ..  the value, to the end
 *
 * All integers big-endian. A record is immutable once made: (key, version) names one value for
 * ever.
 */
#ifndef QUORATE_RECORD_H
#define QUORATE_RECORD_H

#include "quorate/base.h"
#include "quorate/limits.h"
#include "quorate/status.h"
#include "quorate/version.h"

#define QUO_RECORD_FORMAT 1u

enum quo_record_flag {
    QUO_RECORD_TOMBSTONE = 1u << 0, /* the key is deleted */
    QUO_RECORD_BLIND = 1u << 1,     /* the last write was blind: no read-modify-write */
};
#define QUO_RECORD_FLAGS_KNOWN (QUO_RECORD_TOMBSTONE | QUO_RECORD_BLIND)

struct quo_ring_entry {
    uint8_t opid[16];
    struct quo_version at;
    uint32_t result;
};

struct quo_record {
    uint8_t flags;
    struct quo_version version;
    struct quo_version hist_from;
    uint64_t mver;
    uint8_t ring_count;
    struct quo_ring_entry ring[QUO_RING_MAX];
    struct quo_slice content_type; /* borrowed from the decoded bytes or the maker */
    struct quo_slice value;        /* likewise */
};

/* Bytes that quo_record_encode will write. Requires ring_count, content_type.len and value.len
 * within their limits. */
size_t quo_record_size(const struct quo_record *record);

/* Writes quo_record_size(record) bytes to `out`. */
void quo_record_encode(const struct quo_record *record, uint8_t *out);

/* Rewrites version and hist_from of an encoded record, before anybody else has seen it: the version
 * of a blind write is made after its bytes are. Requires bytes that quo_record_encode wrote. */
void quo_record_set_version(uint8_t *encoded, struct quo_version version);

/* Reads a whole record; *ret borrows from `bytes`.
 * Returns QUO_OK, or QUO_MALFORMED with *ret untouched (unknown format or flag, count over the
 * limit, bytes missing, version none, a tombstone with a value). */
enum quo_status quo_record_decode(struct quo_slice bytes, struct quo_record *ret);

/* Reads only version and flags: what a replica's rules need. Same errors for what it looks at. */
enum quo_status quo_record_peek(struct quo_slice bytes, struct quo_version *ret_version,
                                uint8_t *ret_flags);

#endif
