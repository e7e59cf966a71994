#include "quorate/scan.h"

enum {
    IN_VERSION = 0, /* after the key */
    IN_CHANGED = IN_VERSION + (int)QUO_VERSION_SIZE,
    IN_FLAGS = IN_CHANGED + (int)QUO_VERSION_SIZE,
    IN_EXPIRES = IN_FLAGS + 1,
    IN_VALUE_LEN = IN_EXPIRES + 8,
    IN_RECORD_LEN = IN_VALUE_LEN + 4,
    IN_RECORD = IN_RECORD_LEN + 4,
};

_Static_assert(2 + IN_RECORD == QUO_SCAN_ITEM_OVERHEAD, "what is no key and no record");

size_t quo_scan_item_size(const struct quo_scan_item *item)
{
    return QUO_SCAN_ITEM_OVERHEAD + item->key.len + item->record.len;
}

void quo_scan_item_encode(const struct quo_scan_item *item, uint8_t *out)
{
    QUO_REQUIRE(item->key.len <= QUO_KEY_MAX);
    quo_put_u16(out, (uint16_t)item->key.len);
    out += 2;
    if (item->key.len > 0)
        memcpy(out, item->key.data, item->key.len);
    out += item->key.len;
    quo_version_encode(item->version, out + IN_VERSION);
    quo_version_encode(item->changed, out + IN_CHANGED);
    out[IN_FLAGS] = item->flags;
    quo_put_u64(out + IN_EXPIRES, item->expires_ms);
    quo_put_u32(out + IN_VALUE_LEN, item->value_len);
    quo_put_u32(out + IN_RECORD_LEN, (uint32_t)item->record.len);
    if (item->record.len > 0)
        memcpy(out + IN_RECORD, item->record.data, item->record.len);
}

bool quo_scan_item_next(struct quo_slice items, size_t *at, struct quo_scan_item *ret)
{
    const size_t left = items.len - *at;
    if (left < QUO_SCAN_ITEM_OVERHEAD)
        return false;
    const uint8_t *bytes = items.data + *at;
    const size_t key_len = quo_get_u16(bytes);
    if (key_len > QUO_KEY_MAX || left - QUO_SCAN_ITEM_OVERHEAD < key_len)
        return false;
    const uint8_t *rest = bytes + 2 + key_len;
    const size_t record_len = quo_get_u32(rest + IN_RECORD_LEN);
    if (left - QUO_SCAN_ITEM_OVERHEAD - key_len < record_len)
        return false;
    *ret = (struct quo_scan_item){
        .key = quo_slice(bytes + 2, key_len),
        .version = quo_version_decode(rest + IN_VERSION),
        .changed = quo_version_decode(rest + IN_CHANGED),
        .flags = rest[IN_FLAGS],
        .expires_ms = quo_get_u64(rest + IN_EXPIRES),
        .value_len = quo_get_u32(rest + IN_VALUE_LEN),
        .record = quo_slice(rest + IN_RECORD, record_len),
    };
    *at += QUO_SCAN_ITEM_OVERHEAD + key_len + record_len;
    return true;
}

int quo_scan_key_compare(struct quo_slice a, struct quo_slice b)
{
    const size_t len = QUO_MIN(a.len, b.len);
    const int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

void quo_scan_item_of(struct quo_slice key, const struct quo_record *record,
                      struct quo_scan_item *ret)
{
    *ret = (struct quo_scan_item){
        .key = key,
        .version = record->version,
        .changed = record->changed,
        .flags = record->flags,
        .expires_ms = quo_record_expires_ms(record),
        .value_len = (uint32_t)record->value.len,
    };
}

static bool starts_with(struct quo_slice key, struct quo_slice prefix)
{
    return key.len >= prefix.len &&
           (prefix.len == 0 || memcmp(key.data, prefix.data, prefix.len) == 0);
}

static bool is_proper(const struct quo_scan_item *item)
{
    struct quo_scan_item shown;
    struct quo_record record;

    if ((item->flags & ~QUO_RECORD_FLAGS_KNOWN) != 0 || quo_version_is_none(item->version) ||
        quo_version_compare(item->changed, item->version) > 0 || item->value_len > QUO_VALUE_MAX)
        return false;
    if (item->record.len == 0)
        return true;
    if (quo_record_decode(item->record, &record) != QUO_OK)
        return false;
    quo_scan_item_of(item->key, &record, &shown);
    return quo_version_equal(shown.version, item->version) &&
           quo_version_equal(shown.changed, item->changed) && shown.flags == item->flags &&
           shown.expires_ms == item->expires_ms && shown.value_len == item->value_len;
}

bool quo_scan_items_check(struct quo_slice items, struct quo_slice prefix, struct quo_slice after)
{
    struct quo_slice last = after;
    struct quo_scan_item item;
    size_t at = 0;

    while (quo_scan_item_next(items, &at, &item)) {
        const bool gets_on = item.key.len > 0 && quo_scan_key_compare(item.key, last) > 0;
        if (!gets_on || !starts_with(item.key, prefix) || !is_proper(&item))
            return false;
        last = item.key;
    }
    return at == items.len;
}
