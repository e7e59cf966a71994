#include "quorate/record.h"

#include "quorate/ring.h"

/* Offsets. After the version comes what the flags say: ttl, lineage, or at once the content type.
 */
enum {
    AT_FORMAT = 0,
    AT_FLAGS = 1,
    AT_VERSION = 2,
    AT_REST = AT_VERSION + (int)QUO_VERSION_SIZE,
};

#define TTL_SIZE 8u

/* In the lineage. */
enum {
    IN_CHANGED = 0,
    IN_HIST_FROM = IN_CHANGED + (int)QUO_VERSION_SIZE,
    IN_KEYED_FROM = IN_HIST_FROM + (int)QUO_VERSION_SIZE,
    IN_RING_COUNT = IN_KEYED_FROM + (int)QUO_VERSION_SIZE,
    IN_RING = IN_RING_COUNT + 2,
};

_Static_assert(AT_REST + TTL_SIZE + IN_RING + QUO_RING_BYTES_MAX + 1 + QUO_CONTENT_TYPE_MAX <=
                   QUO_RECORD_OVERHEAD_MAX,
               "the largest record without its value is within the declared overhead");
_Static_assert(QUO_CONTENT_TYPE_MAX <= UINT8_MAX && QUO_RING_MAX <= UINT16_MAX,
               "both counts fit their fields");
_Static_assert(AT_REST + TTL_SIZE + IN_CHANGED + QUO_VERSION_SIZE == QUO_RECORD_EXPIRY_HEAD,
               "the head holds all that the expiry depends on");

static bool is_blind(uint8_t flags)
{
    return (flags & QUO_RECORD_BLIND) != 0;
}

static size_t ttl_size(uint8_t flags)
{
    return (flags & QUO_RECORD_EXPIRES) != 0 ? TTL_SIZE : 0;
}

static bool is_ttl(uint64_t ttl_ms)
{
    return ttl_ms > 0 && ttl_ms <= QUO_RECORD_TTL_MAX;
}

size_t quo_record_size(const struct quo_record *record)
{
    size_t size = AT_REST + ttl_size(record->flags);
    if (!is_blind(record->flags)) {
        QUO_REQUIRE(record->ring.len <= QUO_RING_BYTES_MAX);
        QUO_REQUIRE(record->ring.len % QUO_RING_ENTRY_SIZE == 0);
        size += IN_RING + record->ring.len;
    }
    QUO_REQUIRE(record->content_type.len <= QUO_CONTENT_TYPE_MAX);
    QUO_REQUIRE(record->value.len <= QUO_VALUE_MAX);
    return size + 1 + record->content_type.len + record->value.len;
}

/* Returns where the next bytes go. */
static uint8_t *put_slice(uint8_t *out, struct quo_slice bytes)
{
    /* memcpy from NULL is undefined even for no bytes, and an empty slice may hold NULL. */
    if (bytes.len > 0)
        memcpy(out, bytes.data, bytes.len);
    return out + bytes.len;
}

static uint8_t *put_lineage(uint8_t *out, const struct quo_record *record)
{
    quo_version_encode(record->changed, out + IN_CHANGED);
    quo_version_encode(record->hist_from, out + IN_HIST_FROM);
    quo_version_encode(record->keyed_from, out + IN_KEYED_FROM);
    quo_put_u16(out + IN_RING_COUNT, (uint16_t)quo_ring_count(record->ring));
    return put_slice(out + IN_RING, record->ring);
}

void quo_record_encode(const struct quo_record *record, uint8_t *out)
{
    out[AT_FORMAT] = QUO_RECORD_FORMAT;
    out[AT_FLAGS] = record->flags;
    quo_version_encode(record->version, out + AT_VERSION);
    out += AT_REST;
    if ((record->flags & QUO_RECORD_EXPIRES) != 0) {
        QUO_REQUIRE(is_ttl(record->ttl_ms));
        quo_put_u64(out, record->ttl_ms);
        out += TTL_SIZE;
    }
    if (!is_blind(record->flags))
        out = put_lineage(out, record);
    *out++ = (uint8_t)record->content_type.len;
    out = put_slice(out, record->content_type);
    put_slice(out, record->value);
}

void quo_record_set_version(uint8_t *encoded, struct quo_version version)
{
    QUO_REQUIRE(is_blind(encoded[AT_FLAGS]));
    quo_version_encode(version, encoded + AT_VERSION);
}

enum quo_status quo_record_peek(struct quo_slice bytes, struct quo_version *ret_version,
                                uint8_t *ret_flags)
{
    if (bytes.len < AT_REST || bytes.data[AT_FORMAT] != QUO_RECORD_FORMAT)
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

/* What the rules for the next entry stand on: nothing in a lineage is above the record itself. */
static bool lineage_holds(const struct quo_record *record)
{
    if (quo_ring_check(record->ring) != QUO_OK)
        return false;
    const size_t count = quo_ring_count(record->ring);
    const struct quo_version newest =
        count > 0 ? quo_ring_at(record->ring, count - 1).at : QUO_VERSION_NONE;
    return quo_version_compare(newest, record->version) <= 0 &&
           quo_version_compare(record->changed, record->version) <= 0 &&
           quo_version_compare(record->hist_from, record->version) <= 0 &&
           quo_version_compare(record->keyed_from, record->hist_from) <= 0;
}

/* Reads the lineage of a record whose version and flags are known. *ret_size: its bytes. */
static enum quo_status read_lineage(struct quo_slice bytes, struct quo_record *record,
                                    size_t *ret_size)
{
    if (is_blind(record->flags)) {
        record->changed = record->hist_from = record->keyed_from = record->version;
        record->ring = quo_slice(NULL, 0);
        *ret_size = 0;
        return QUO_OK;
    }
    if (bytes.len < IN_RING)
        return QUO_MALFORMED;
    const size_t count = quo_get_u16(bytes.data + IN_RING_COUNT);
    const size_t ring_size = count * QUO_RING_ENTRY_SIZE;
    if (bytes.len - IN_RING < ring_size)
        return QUO_MALFORMED;
    record->changed = quo_version_decode(bytes.data + IN_CHANGED);
    record->hist_from = quo_version_decode(bytes.data + IN_HIST_FROM);
    record->keyed_from = quo_version_decode(bytes.data + IN_KEYED_FROM);
    record->ring = quo_slice(bytes.data + IN_RING, ring_size);
    *ret_size = IN_RING + ring_size;
    return lineage_holds(record) ? QUO_OK : QUO_MALFORMED;
}

/* Reads the ttl of a record whose flags are known. *ret_size: its bytes. */
static enum quo_status read_ttl(struct quo_slice bytes, struct quo_record *record, size_t *ret_size)
{
    record->ttl_ms = 0;
    *ret_size = ttl_size(record->flags);
    if (*ret_size == 0)
        return QUO_OK;
    if (bytes.len < *ret_size || (record->flags & QUO_RECORD_TOMBSTONE) != 0)
        return QUO_MALFORMED;
    record->ttl_ms = quo_get_u64(bytes.data);
    return is_ttl(record->ttl_ms) ? QUO_OK : QUO_MALFORMED;
}

/* What comes between the version and the content type. */
static enum quo_status read_middle(struct quo_slice *bytes, struct quo_record *record)
{
    size_t size;

    if (read_ttl(*bytes, record, &size) != QUO_OK)
        return QUO_MALFORMED;
    *bytes = quo_slice(bytes->data + size, bytes->len - size);
    if (read_lineage(*bytes, record, &size) != QUO_OK)
        return QUO_MALFORMED;
    *bytes = quo_slice(bytes->data + size, bytes->len - size);
    return QUO_OK;
}

enum quo_status quo_record_decode(struct quo_slice bytes, struct quo_record *ret)
{
    struct quo_record record;

    if (quo_record_peek(bytes, &record.version, &record.flags) != QUO_OK)
        return QUO_MALFORMED;
    struct quo_slice rest = quo_slice(bytes.data + AT_REST, bytes.len - AT_REST);
    if (read_middle(&rest, &record) != QUO_OK || rest.len < 1)
        return QUO_MALFORMED;
    const size_t type_size = rest.data[0];
    const size_t at_value = 1 + type_size;
    if (rest.len < at_value || rest.len - at_value > QUO_VALUE_MAX)
        return QUO_MALFORMED;
    if ((record.flags & QUO_RECORD_TOMBSTONE) != 0 && rest.len > at_value)
        return QUO_MALFORMED;
    record.content_type = quo_slice(rest.data + 1, type_size);
    record.value = quo_slice(rest.data + at_value, rest.len - at_value);
    *ret = record;
    return QUO_OK;
}

void quo_record_bury(struct quo_record *record)
{
    record->flags |= QUO_RECORD_TOMBSTONE;
    record->flags &= (uint8_t)~QUO_RECORD_EXPIRES;
    record->ttl_ms = 0;
    record->content_type = record->value = quo_slice(NULL, 0);
}

enum quo_status quo_record_peek_expiry(struct quo_slice bytes, uint64_t *ret_ms)
{
    struct quo_record head = {.flags = 0};
    size_t size;

    if (quo_record_peek(bytes, &head.version, &head.flags) != QUO_OK)
        return QUO_MALFORMED;
    struct quo_slice rest = quo_slice(bytes.data + AT_REST, bytes.len - AT_REST);
    if (read_ttl(rest, &head, &size) != QUO_OK)
        return QUO_MALFORMED;
    head.changed = head.version;
    if (size > 0 && !is_blind(head.flags)) {
        if (rest.len < size + IN_CHANGED + QUO_VERSION_SIZE)
            return QUO_MALFORMED;
        head.changed = quo_version_decode(rest.data + size + IN_CHANGED);
    }
    *ret_ms = quo_record_expires_ms(&head);
    return QUO_OK;
}
