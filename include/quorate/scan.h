/* What an answer to SCAN holds: records, in key order.
 *
 * An item:  be16 key length | key | version | version: changed | u8 flags of the record |
 *           be64 expires | be32 bytes of the value | be32 bytes of the record here | the record
 *
 * Pure.
 */
#ifndef QUORATE_SCAN_H
#define QUORATE_SCAN_H

#include "quorate/record.h"

/* Slices are borrowed from the bytes that hold the item. */
struct quo_scan_item {
    struct quo_slice key; /* without partition and namespace */
    struct quo_version version;
    struct quo_version changed; /* its ETag */
    uint8_t flags;              /* enum quo_record_flag */
    uint64_t expires_ms;        /* of quo_record_expires_ms; UINT64_MAX: never */
    uint32_t value_len;
    /* The whole record; empty: it is longer than was asked for, or found no room. */
    struct quo_slice record;
};

#define QUO_SCAN_ITEM_OVERHEAD (2u + 2u * QUO_VERSION_SIZE + 1u + 8u + 4u + 4u)

size_t quo_scan_item_size(const struct quo_scan_item *item);
/* Writes quo_scan_item_size bytes. Requires a key of at most QUO_KEY_MAX bytes. */
void quo_scan_item_encode(const struct quo_scan_item *item, uint8_t *out);

/* Reads the item at *at, 0 at first, and moves on. Returns false, nothing changed, at the end and
 * where the bytes are no item: at the end *at is their length. */
bool quo_scan_item_next(struct quo_slice items, size_t *at, struct quo_scan_item *ret);

/* What an item says of a record, all but the record itself. `key` and nothing else is borrowed. */
void quo_scan_item_of(struct quo_slice key, const struct quo_record *record,
                      struct quo_scan_item *ret);

/* Order of keys: below 0, 0, above 0. */
int quo_scan_key_compare(struct quo_slice a, struct quo_slice b);

/* Whether a replica that was asked for keys with `prefix` after `after` may send these items: all
 * of them are items, in order, of keys asked for, and each record shown is what the item says. */
bool quo_scan_items_check(struct quo_slice items, struct quo_slice prefix, struct quo_slice after);

/* Whether a reader whose clock says so sees the key: it is neither deleted nor expired. */
static inline bool quo_scan_item_is_live(const struct quo_scan_item *item, uint64_t now_ms)
{
    return (item->flags & QUO_RECORD_TOMBSTONE) == 0 &&
           QUO_MAX(now_ms, quo_version_ms(item->version)) < item->expires_ms;
}

#endif
