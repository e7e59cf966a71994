/* The record: what a replica keeps for one key, byte for byte the same on disk and on the wire.
 *
 *   u8  format (2)            u8 flags
 *   16  version
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
};
#define QUO_RECORD_FLAGS_KNOWN (QUO_RECORD_TOMBSTONE | QUO_RECORD_BLIND)

/* Slices are borrowed from the decoded bytes, or from whoever made the record. */
struct quo_record {
    uint8_t flags;
    struct quo_version version; /* a ballot, if a read-modify-write made it */
    /* What clients know the value by (its ETag): a read-modify-write that changes nothing makes a
     * new version and keeps this. None for a tombstone that stands for "never was". */
    struct quo_version changed;
    struct quo_version hist_from;
    struct quo_version keyed_from; /* at most hist_from */
    struct quo_slice ring;         /* encoded entries, see ring.h */
    struct quo_slice content_type;
    struct quo_slice value;
};

/* Bytes that quo_record_encode will write. Requires ring, content_type.len and value.len within
 * their limits. */
size_t quo_record_size(const struct quo_record *record);

/* Writes quo_record_size(record) bytes to `out`. Of a BLIND record, changed, hist_from, keyed_from
 * and ring are not looked at. */
void quo_record_encode(const struct quo_record *record, uint8_t *out);

/* Rewrites the version of an encoded BLIND record, before anybody else has seen it: the version of
 * a blind write is made after its bytes are. Requires bytes that quo_record_encode wrote. */
void quo_record_set_version(uint8_t *encoded, struct quo_version version);

/* Reads a whole record; *ret borrows from `bytes`.
 * Returns QUO_OK, or QUO_MALFORMED with *ret untouched (unknown format or flag, count over the
 * limit, a ring that quo_ring_check refuses, bytes missing, version none, a tombstone with a value,
 * changed, hist_from or an entry of the ring above version, keyed_from above hist_from). Of a BLIND
 * record changed, hist_from and keyed_from are its version, and the ring is empty. */
enum quo_status quo_record_decode(struct quo_slice bytes, struct quo_record *ret);

/* Reads only version and flags: what a replica's rules need. Same errors for what it looks at. */
enum quo_status quo_record_peek(struct quo_slice bytes, struct quo_version *ret_version,
                                uint8_t *ret_flags);

#endif
