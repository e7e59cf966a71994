#include "quorate/record.h"

/* Offsets of the fixed part; the ring follows it. */
enum {
    AT_FORMAT = 0,
    AT_FLAGS = 1,
    AT_VERSION = 2,
    AT_HIST_FROM = AT_VERSION + (int)QUO_VERSION_SIZE,
    AT_MVER = AT_HIST_FROM + (int)QUO_VERSION_SIZE,
    AT_RING_COUNT = AT_MVER + 8,
    AT_RING = AT_RING_COUNT + 1,
};

#define RING_ENTRY_SIZE (16u + QUO_VERSION_SIZE + 4u)
#define PEEK_SIZE ((size_t)AT_HIST_FROM)

_Static_assert(AT_RING + QUO_RING_MAX * RING_ENTRY_SIZE + 1 + QUO_CONTENT_TYPE_MAX <=
                   QUO_RECORD_OVERHEAD_MAX,
               "the largest record without its value is within the declared overhead");
_Static_assert(QUO_CONTENT_TYPE_MAX <= UINT8_MAX && QUO_RING_MAX <= UINT8_MAX,
               "both counts are one byte");

size_t quo_record_size(const struct quo_record *record)
{
    QUO_REQUIRE(record->ring_count <= QUO_RING_MAX);
    QUO_REQUIRE(record->content_type.len <= QUO_CONTENT_TYPE_MAX);
    QUO_REQUIRE(record->value.len <= QUO_VALUE_MAX);
    return AT_RING + record->ring_count * RING_ENTRY_SIZE + 1 + record->content_type.len +
           record->value.len;
}

/* memcpy from NULL is undefined even for no bytes, and an empty slice may hold NULL. */
static void copy_slice(uint8_t *out, struct quo_slice bytes)
{
    if (bytes.len > 0)
        memcpy(out, bytes.data, bytes.len);
}

static void encode_ring_entry(const struct quo_ring_entry *entry, uint8_t *out)
{
    memcpy(out, entry->opid, 16);
    quo_version_encode(entry->at, out + 16);
    quo_put_u32(out + 16 + QUO_VERSION_SIZE, entry->result);
}

static void decode_ring_entry(const uint8_t *in, struct quo_ring_entry *ret)
{
    memcpy(ret->opid, in, 16);
    ret->at = quo_version_decode(in + 16);
    ret->result = quo_get_u32(in + 16 + QUO_VERSION_SIZE);
}

void quo_record_encode(const struct quo_record *record, uint8_t *out)
{
    out[AT_FORMAT] = QUO_RECORD_FORMAT;
    out[AT_FLAGS] = record->flags;
    quo_version_encode(record->version, out + AT_VERSION);
    quo_version_encode(record->hist_from, out + AT_HIST_FROM);
    quo_put_u64(out + AT_MVER, record->mver);
    out[AT_RING_COUNT] = record->ring_count;
    out += AT_RING;
    for (uint8_t i = 0; i < record->ring_count; i++, out += RING_ENTRY_SIZE)
        encode_ring_entry(&record->ring[i], out);
    *out++ = (uint8_t)record->content_type.len;
    copy_slice(out, record->content_type);
    copy_slice(out + record->content_type.len, record->value);
}

void quo_record_set_version(uint8_t *encoded, struct quo_version version)
{
    quo_version_encode(version, encoded + AT_VERSION);
    quo_version_encode(version, encoded + AT_HIST_FROM);
}

enum quo_status quo_record_peek(struct quo_slice bytes, struct quo_version *ret_version,
                                uint8_t *ret_flags)
{
    if (bytes.len < PEEK_SIZE || bytes.data[AT_FORMAT] != QUO_RECORD_FORMAT)
        return QUO_MALFORMED;
    uint8_t flags = bytes.data[AT_FLAGS];
    if ((flags & ~QUO_RECORD_FLAGS_KNOWN) != 0)
        return QUO_MALFORMED;
    struct quo_version version = quo_version_decode(bytes.data + AT_VERSION);
    if (quo_version_is_none(version))
        return QUO_MALFORMED;
    *ret_version = version;
    *ret_flags = flags;
    return QUO_OK;
}

enum quo_status quo_record_decode(struct quo_slice bytes, struct quo_record *ret)
{
    struct quo_version version;
    uint8_t flags;

    if (quo_record_peek(bytes, &version, &flags) != QUO_OK)
        return QUO_MALFORMED;
    if (bytes.len < AT_RING || bytes.data[AT_RING_COUNT] > QUO_RING_MAX)
        return QUO_MALFORMED;
    const uint8_t ring_count = bytes.data[AT_RING_COUNT];
    const size_t at_type = AT_RING + ring_count * RING_ENTRY_SIZE;
    if (bytes.len < at_type + 1)
        return QUO_MALFORMED;
    const size_t at_value = at_type + 1 + bytes.data[at_type];
    if (bytes.len < at_value || bytes.len - at_value > QUO_VALUE_MAX)
        return QUO_MALFORMED;
    if ((flags & QUO_RECORD_TOMBSTONE) != 0 && bytes.len > at_value)
        return QUO_MALFORMED;

    ret->flags = flags;
    ret->version = version;
    ret->hist_from = quo_version_decode(bytes.data + AT_HIST_FROM);
    ret->mver = quo_get_u64(bytes.data + AT_MVER);
    ret->ring_count = ring_count;
    for (uint8_t i = 0; i < ring_count; i++)
        decode_ring_entry(bytes.data + AT_RING + i * RING_ENTRY_SIZE, &ret->ring[i]);
    ret->content_type = quo_slice(bytes.data + at_type + 1, bytes.data[at_type]);
    ret->value = quo_slice(bytes.data + at_value, bytes.len - at_value);
    return QUO_OK;
}
