/* The record: what a replica keeps for one key, byte for byte the same on disk and on the wire.
 *
 *   u8  format (2)            u8 flags
 *   16  version
 *   then, if EXPIRES:
 *   u64 ttl: milliseconds after `changed` for which the value is there
 *   then, unless BLIND:
 *   16  changed: the version at which the value last changed
 *   16  hist_from: the ring is complete for operations whose first ballot is above it
 *   16  keyed_from: likewise, for operations with an Idempotency-Key
 *   u16 ring count, then 50 bytes per entry (see ring.h), oldest first
 *   then always:
 *   u8  content type length, content type
 *   ..  the value, to the end
 *
 * All integers big-endian. A record is immutable once made: (key, version) names one value for
 * ever. A blind write has no past: its changed, hist_from and keyed_from are its version, its ring
 * is empty.
 */
#ifndef QUORATE_RECORD_H
#define QUORATE_RECORD_H

#include "quorate/base.h"
#include "quorate/limits.h"
#include "quorate/status.h"
#include "quorate/version.h"

#define QUO_RECORD_FORMAT 2u

enum quo_record_flag {
    QUO_RECORD_TOMBSTONE = 1u << 0, /* the key is deleted */
    QUO_RECORD_BLIND = 1u << 1,     /* the last write was blind: no read-modify-write */
    QUO_RECORD_EXPIRES = 1u << 2,   /* the value is there for a time only; of no tombstone */
};
#define QUO_RECORD_FLAGS_KNOWN (QUO_RECORD_TOMBSTONE | QUO_RECORD_BLIND | QUO_RECORD_EXPIRES)
#define QUO_RECORD_TTL_MAX                                                                         \
    ((UINT64_C(1) << 48) - 1) /* as many bits as the milliseconds of an hlc */

/* Slices are borrowed from the decoded bytes, or from whoever made the record. */
struct quo_record {
    uint8_t flags;
    struct quo_version version; /* a ballot, if a read-modify-write made it */
    uint64_t ttl_ms;            /* with EXPIRES: 1 to QUO_RECORD_TTL_MAX */
    /* What clients know the value by (its ETag): a read-modify-write that changes nothing makes a
     * new version and keeps this. None for a tombstone that stands for "never was". */
    struct quo_version changed;
    struct quo_version hist_from;
    struct quo_version keyed_from; /* at most hist_from */
    struct quo_slice ring;         /* encoded entries, see ring.h */
    struct quo_slice content_type;
    struct quo_slice value;
};

/* Bytes that quo_record_encode will write. Requires ring, ttl_ms, content_type.len and value.len
 * within their limits. */
size_t quo_record_size(const struct quo_record *record);

/* Writes quo_record_size(record) bytes to `out`. Of a BLIND record, changed, hist_from, keyed_from
 * and ring are not looked at. */
void quo_record_encode(const struct quo_record *record, uint8_t *out);

/* Rewrites the version of an encoded BLIND record, before anybody else has seen it: the version of
 * a blind write is made after its bytes are. Requires bytes that quo_record_encode wrote. */
void quo_record_set_version(uint8_t *encoded, struct quo_version version);

/* Reads a whole record; *ret borrows from `bytes`.
 * Returns QUO_OK, or QUO_MALFORMED with *ret untouched (unknown format or flag, count over the
 * limit, a ring that quo_ring_check refuses, bytes missing, version none, a tombstone with a value
 * or a ttl, a ttl out of range, changed, hist_from or an entry of the ring above version,
 * keyed_from above hist_from). Of a BLIND record changed, hist_from and keyed_from are its version,
 * and the ring is empty. */
enum quo_status quo_record_decode(struct quo_slice bytes, struct quo_record *ret);

/* Reads only version and flags: what a replica's rules need. Same errors for what it looks at. */
enum quo_status quo_record_peek(struct quo_slice bytes, struct quo_version *ret_version,
                                uint8_t *ret_flags);

/* The wall clock, ms, from which on the value is as good as deleted; UINT64_MAX: it stays until it
 * is written again. The record itself remains what it is: a newer version, in every comparison,
 * than what it replaced. */
static inline uint64_t quo_record_expires_ms(const struct quo_record *record)
{
    if ((record->flags & QUO_RECORD_EXPIRES) == 0)
        return UINT64_MAX;
    return quo_version_ms(record->changed) + record->ttl_ms;
}

/* Whether the value is no longer there at `now_ms`. Nobody who sees a version is before its moment,
 * so it is not there either if the record was made after that, by an operation that changed
 * nothing. */
static inline bool quo_record_expired(const struct quo_record *record, uint64_t now_ms)
{
    return QUO_MAX(now_ms, quo_version_ms(record->version)) >= quo_record_expires_ms(record);
}

/* What a reader sees of an expired record: a tombstone with its version and its past. */
void quo_record_bury(struct quo_record *record);

/* quo_record_expires_ms of an encoded record, or of its first QUO_RECORD_EXPIRY_HEAD bytes. Returns
 * QUO_OK or QUO_MALFORMED, *ret untouched, as far as it looks. */
#define QUO_RECORD_EXPIRY_HEAD 42u
enum quo_status quo_record_peek_expiry(struct quo_slice bytes, uint64_t *ret_ms);

#endif
