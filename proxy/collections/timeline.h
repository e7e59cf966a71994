/* The records of a timeline: where each lies, so that one scan reads the newest entries first.
 *
 *   an entry:  be16 length | name | 1 | be64 ~hlc | be64 ~node [| opid]
 *   a claim:   be16 length | name | 2 | opid
 *
 * An entry is named by the version of its record, so no two are ever the same and none is ever
 * written twice. One that was appended with an Idempotency-Key carries the operation as well: every
 * attempt may leave an entry, and the one whose version the operation's claim has is there, the
 * others are not (api/PROTOCOLS.md, "Timelines").
 *
 * Pure.
 */
#ifndef QUORATE_COLLECTIONS_TIMELINE_H
#define QUORATE_COLLECTIONS_TIMELINE_H

#include "quorate/collection.h"
#include "quorate/ring.h"

/* Names an entry in its timeline. */
struct quo_entry_id {
    struct quo_version version;
    bool is_keyed;        /* it was appended with an Idempotency-Key */
    struct quo_opid opid; /* then */
};

/* As text: 32 hexadecimal digits of its version, then if it is keyed 32 of its operation. */
#define QUO_ENTRY_ID_MAX (2 * QUO_VERSION_TEXT)
/* Writes the text and a NUL. Returns its length. */
size_t quo_entry_id_format(const struct quo_entry_id *id, char out[QUO_ENTRY_ID_MAX + 1]);
/* Returns false, *ret untouched, for anything but what quo_entry_id_format writes. */
bool quo_entry_id_parse(struct quo_slice text, struct quo_entry_id *ret);
bool quo_entry_id_equal(const struct quo_entry_id *a, const struct quo_entry_id *b);

/* Bytes of any key below. */
#define QUO_TIMELINE_KEY_MAX (2u + QUO_COLLECTION_NAME_MAX + 1u + QUO_VERSION_SIZE + 17u)

/* All of these require a name of 1 to QUO_COLLECTION_NAME_MAX bytes and return a length. */

/* What the keys of all entries begin with; their version follows. */
size_t quo_entry_prefix(struct quo_slice name, uint8_t out[QUO_TIMELINE_KEY_MAX]);
size_t quo_entry_key(struct quo_slice name, const struct quo_entry_id *id,
                     uint8_t out[QUO_TIMELINE_KEY_MAX]);
/* What follows the keys of all entries that are not older than `version`. */
size_t quo_entry_bound(struct quo_slice name, struct quo_version version,
                       uint8_t out[QUO_TIMELINE_KEY_MAX]);
size_t quo_claim_key(struct quo_slice name, const struct quo_opid *opid,
                     uint8_t out[QUO_TIMELINE_KEY_MAX]);

/* Puts the version where quo_entry_key writes it. Requires a key of that function. */
void quo_entry_key_set_version(uint8_t *key, struct quo_version version);

/* Returns false, *ret untouched, unless the bytes are the key of an entry. */
bool quo_entry_key_parse(struct quo_slice key, struct quo_entry_id *ret);

/* The value of a claim: the digest of what was appended. */
#define QUO_CLAIM_SIZE 8u
void quo_claim_encode(uint64_t digest, uint8_t out[QUO_CLAIM_SIZE]);
/* Returns false, *ret untouched, unless quo_claim_encode wrote it. */
bool quo_claim_decode(struct quo_slice value, uint64_t *ret);

#endif
