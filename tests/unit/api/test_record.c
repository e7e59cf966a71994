#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "quorate/record.h"
#include "quorate/ring.h"

/* On disks out there: these may never change. */
static const uint8_t golden_blind[] = {
    2,    2,                                                       /* format, flags */
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,                /* version */
    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,                /* */
    10,   't',  'e',  'x',  't',  '/',  'p',  'l',  'a', 'i', 'n', /* content type */
    'h',  'e',  'l',  'l',  'o',                                   /* value */
};

static const uint8_t golden[] = {
    2,    0,                                                       /* format, flags */
    0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78,                /* version */
    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,                /* */
    0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,                /* changed */
    0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,                /* */
    0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,                /* hist_from */
    0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,                /* */
    0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,                /* keyed_from */
    0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,                /* */
    0,    1,                                                       /* ring count */
    '0',  '1',  '2',  '3',  '4',  '5',  '6',  '7',                 /* operation id */
    '8',  '9',  'a',  'b',  'c',  'd',  'e',  'f',                 /* */
    0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,                /* its version */
    0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,                /* */
    0,    1,                                                       /* its flags, its code */
    0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8,                /* its digest */
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xd6,                /* its result */
    10,   't',  'e',  'x',  't',  '/',  'p',  'l',  'a', 'i', 'n', /* content type */
    'h',  'e',  'l',  'l',  'o',                                   /* value */
};

static const uint8_t golden_expires[] = {
    2,    6,                                                       /* format, flags */
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,                /* version */
    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,                /* */
    0x00, 0x00, 0x00, 0x49, 0x77, 0x38, 0x70, 0x00,                /* ttl: ten years, ms */
    10,   't',  'e',  'x',  't',  '/',  'p',  'l',  'a', 'i', 'n', /* content type */
    'h',  'e',  'l',  'l',  'o',                                   /* value */
};

/* Where its parts begin. */
enum {
    AT_VERSION = 2,
    AT_CHANGED = 18,
    AT_HIST_FROM = 34,
    AT_KEYED_FROM = 50,
    AT_COUNT = 66,
    AT_RING = 68,
    AT_TYPE = 118,
    AT_VALUE = 129,
};

static struct quo_record blind_sample(void)
{
    const struct quo_version version = {0x0102030405060708, 0x1112131415161718};
    return (struct quo_record){
        .flags = QUO_RECORD_BLIND,
        .version = version,
        .changed = version,
        .hist_from = version,
        .keyed_from = version,
        .content_type = quo_slice_of("text/plain"),
        .value = quo_slice_of("hello"),
    };
}

static struct quo_record sample(void)
{
    return (struct quo_record){
        .version = {0x7172737475767778, 0x1112131415161718},
        .changed = {0x6162636465666768, 0x2122232425262728},
        .hist_from = {0x5152535455565758, 0x3132333435363738},
        .keyed_from = {0x4142434445464748, 0x4142434445464748},
        .ring = quo_slice(golden + AT_RING, QUO_RING_ENTRY_SIZE),
        .content_type = quo_slice_of("text/plain"),
        .value = quo_slice_of("hello"),
    };
}

#define TEN_YEARS_MS UINT64_C(0x4977387000)

static struct quo_record expiring_sample(void)
{
    struct quo_record record = blind_sample();

    record.flags |= QUO_RECORD_EXPIRES;
    record.ttl_ms = TEN_YEARS_MS;
    return record;
}

static void assert_record_equal(const struct quo_record *a, const struct quo_record *b)
{
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->ttl_ms, b->ttl_ms);
    assert_true(quo_version_equal(a->version, b->version));
    assert_true(quo_version_equal(a->changed, b->changed));
    assert_true(quo_version_equal(a->hist_from, b->hist_from));
    assert_true(quo_version_equal(a->keyed_from, b->keyed_from));
    assert_true(quo_slice_equal(a->ring, b->ring));
    assert_true(quo_slice_equal(a->content_type, b->content_type));
    assert_true(quo_slice_equal(a->value, b->value));
}

static void expect_bytes(const struct quo_record *record, const uint8_t *bytes, size_t size)
{
    struct quo_record decoded;
    uint8_t made[sizeof golden + 1];

    assert_true(size < sizeof made);
    made[size] = 0x5a;
    assert_int_equal(quo_record_size(record), size);
    quo_record_encode(record, made);
    assert_memory_equal(made, bytes, size);
    assert_int_equal(made[size], 0x5a);
    assert_int_equal(quo_record_decode(quo_slice(bytes, size), &decoded), QUO_OK);
    assert_record_equal(&decoded, record);
}

static void bytes_are_the_golden_ones(void **state)
{
    (void)state;
    struct quo_record record = sample();
    expect_bytes(&record, golden, sizeof golden);
    record = blind_sample();
    expect_bytes(&record, golden_blind, sizeof golden_blind);
    record = expiring_sample();
    expect_bytes(&record, golden_expires, sizeof golden_expires);
}

/* What its maker left in those fields is not looked at, and a reader finds the version there. */
static void blind_records_have_no_past(void **state)
{
    (void)state;
    struct quo_record record = sample(), decoded;
    uint8_t bytes[sizeof golden];
    const struct quo_record blind = blind_sample();

    record.flags = QUO_RECORD_BLIND;
    record.version = blind.version;
    record.hist_from = QUO_VERSION_NONE;
    record.ring.len = QUO_RING_BYTES_MAX + 1;
    assert_int_equal(quo_record_size(&record), sizeof golden_blind);
    quo_record_encode(&record, bytes);
    assert_memory_equal(bytes, golden_blind, sizeof golden_blind);
    assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof golden_blind), &decoded), QUO_OK);
    assert_record_equal(&decoded, &blind);
}

static void make_ring(uint8_t *out, size_t count)
{
    memset(out, 0, count * QUO_RING_ENTRY_SIZE);
    for (uint32_t i = 0; i < count; i++) {
        quo_put_u32(out + i * QUO_RING_ENTRY_SIZE, i);
        quo_put_u32(out + i * QUO_RING_ENTRY_SIZE + 16, i + 1);
    }
}

static void every_ring_size_round_trips(void **state)
{
    (void)state;
    static uint8_t ring[QUO_RING_BYTES_MAX], bytes[QUO_RECORD_OVERHEAD_MAX];
    static char type[QUO_CONTENT_TYPE_MAX];
    memset(type, 't', sizeof type);
    make_ring(ring, QUO_RING_MAX);
    for (size_t count = 0; count <= QUO_RING_MAX; count++) {
        struct quo_record record = sample(), decoded;
        record.ring = quo_slice(ring, count * QUO_RING_ENTRY_SIZE);
        record.content_type = quo_slice(type, count % (sizeof type + 1));
        record.value.len = 0;
        size_t size = quo_record_size(&record);
        assert_true(size <= sizeof bytes);
        quo_record_encode(&record, bytes);
        assert_int_equal(quo_record_decode(quo_slice(bytes, size), &decoded), QUO_OK);
        assert_record_equal(&decoded, &record);
    }
}

/* Before the value begins, every byte missing is noticed; the value itself has no length of its
 * own. */
static void expect_beginnings_refused(const uint8_t *bytes, size_t at_value)
{
    for (size_t len = 0; len < at_value; len++) {
        uint8_t *exact = malloc(len + 1); /* so that the sanitizer sees the end */
        assert_non_null(exact);
        memcpy(exact + 1, bytes, len);
        struct quo_record decoded = {.flags = 77};
        assert_int_equal(quo_record_decode(quo_slice(exact + 1, len), &decoded), QUO_MALFORMED);
        assert_int_equal(decoded.flags, 77);
        free(exact);
    }
}

static void missing_bytes_are_refused(void **state)
{
    (void)state;
    expect_beginnings_refused(golden, AT_VALUE);
    expect_beginnings_refused(golden_blind, sizeof golden_blind - 5);
    expect_beginnings_refused(golden_expires, sizeof golden_expires - 5);
}

static void expect_malformed(size_t at, const void *patch, size_t len)
{
    uint8_t bytes[sizeof golden];
    struct quo_record decoded = {.flags = 77};
    memcpy(bytes, golden, sizeof golden);
    memcpy(bytes + at, patch, len);
    assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded), QUO_MALFORMED);
    assert_int_equal(decoded.flags, 77);
}

static void expect_malformed_byte(size_t at, uint8_t value)
{
    expect_malformed(at, &value, 1);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const uint8_t none[QUO_VERSION_SIZE];
    expect_malformed_byte(0, 0);
    expect_malformed_byte(0, 1); /* the format before this one */
    expect_malformed_byte(0, 3);
    for (unsigned flag = 8; flag <= 0x80; flag *= 2)
        expect_malformed_byte(1, (uint8_t)flag);
    expect_malformed_byte(1, QUO_RECORD_TOMBSTONE); /* with a value */
    expect_malformed(AT_VERSION, none, sizeof none);
    expect_malformed_byte(AT_COUNT + 1, 2); /* an entry more than there is */
    expect_malformed_byte(AT_COUNT, 0xff);
    expect_malformed_byte(AT_RING + 32, 1); /* what quo_ring_check refuses */
    expect_malformed_byte(AT_RING + 33, QUO_CHANGE_STORED_COUNT);
    expect_malformed_byte(AT_TYPE, 255); /* longer than what is left */

    struct quo_record record = blind_sample(), decoded;
    uint8_t bytes[sizeof golden_blind];
    record.version = QUO_VERSION_NONE;
    quo_record_encode(&record, bytes);
    assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded), QUO_MALFORMED);
}

/* Everything that a record tells of its past lies in it: at its version is the most. */
static void nothing_is_above_the_version(void **state)
{
    (void)state;
    static const size_t places[] = {AT_CHANGED, AT_HIST_FROM, AT_RING + 16};
    for (size_t i = 0; i < QUO_COUNT(places); i++) {
        uint8_t bytes[sizeof golden];
        struct quo_record decoded;
        memcpy(bytes, golden, sizeof golden);
        memcpy(bytes + places[i], golden + AT_VERSION, QUO_VERSION_SIZE);
        assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded), QUO_OK);
        bytes[places[i] + 15]++;
        assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded),
                         QUO_MALFORMED);
    }
}

/* Of the entries the last is the newest. */
static void no_entry_is_above_the_version(void **state)
{
    (void)state;
    uint8_t ring[3 * QUO_RING_ENTRY_SIZE], bytes[512];
    struct quo_record record = {.ring = quo_slice(ring, sizeof ring)}, decoded;
    make_ring(ring, 3);
    for (uint64_t i = 1; i <= 3; i++) {
        record.version = (struct quo_version){i << 32, 0};
        quo_record_encode(&record, bytes);
        assert_int_equal(quo_record_decode(quo_slice(bytes, quo_record_size(&record)), &decoded),
                         i == 3 ? QUO_OK : QUO_MALFORMED);
    }
}

static void keyed_from_is_at_most_hist_from(void **state)
{
    (void)state;
    uint8_t bytes[sizeof golden];
    struct quo_record decoded;
    memcpy(bytes, golden, sizeof golden);
    memcpy(bytes + AT_KEYED_FROM, golden + AT_HIST_FROM, QUO_VERSION_SIZE);
    assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded), QUO_OK);
    bytes[AT_KEYED_FROM + 15]++;
    assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded), QUO_MALFORMED);
}

/* The count has room for more than a ring does. */
static void rings_are_limited(void **state)
{
    (void)state;
    static uint8_t ring[QUO_RING_BYTES_MAX + QUO_RING_ENTRY_SIZE];
    static uint8_t bytes[2 * QUO_RECORD_OVERHEAD_MAX];
    struct quo_record record = sample(), decoded;
    make_ring(ring, QUO_RING_MAX + 1);
    record.ring = quo_slice(ring, QUO_RING_BYTES_MAX);
    const size_t size = quo_record_size(&record);
    quo_record_encode(&record, bytes);
    assert_int_equal(quo_record_decode(quo_slice(bytes, size), &decoded), QUO_OK);

    const size_t at = AT_RING + QUO_RING_BYTES_MAX;
    memmove(bytes + at + QUO_RING_ENTRY_SIZE, bytes + at, size - at);
    memcpy(bytes + AT_RING, ring, sizeof ring);
    quo_put_u16(bytes + AT_COUNT, QUO_RING_MAX + 1);
    assert_int_equal(quo_record_decode(quo_slice(bytes, size + QUO_RING_ENTRY_SIZE), &decoded),
                     QUO_MALFORMED);
}

static void tombstones_have_no_value(void **state)
{
    (void)state;
    struct quo_record records[] = {sample(), blind_sample(), sample()};
    records[2].changed = QUO_VERSION_NONE; /* it never was, and that was decided */
    for (size_t i = 0; i < QUO_COUNT(records); i++) {
        struct quo_record decoded;
        uint8_t bytes[sizeof golden + 1];
        records[i].flags |= QUO_RECORD_TOMBSTONE;
        records[i].content_type.len = records[i].value.len = 0;
        const size_t size = quo_record_size(&records[i]);
        quo_record_encode(&records[i], bytes);
        bytes[size] = 'v';
        assert_int_equal(quo_record_decode(quo_slice(bytes, size), &decoded), QUO_OK);
        assert_record_equal(&decoded, &records[i]);
        assert_int_equal(quo_record_decode(quo_slice(bytes, size + 1), &decoded), QUO_MALFORMED);
    }
}

static void value_is_limited(void **state)
{
    (void)state;
    uint8_t *value = calloc(1, QUO_VALUE_MAX);
    struct quo_record records[] = {sample(), blind_sample()}, decoded;
    assert_non_null(value);
    for (size_t i = 0; i < QUO_COUNT(records); i++) {
        records[i].value = quo_slice(value, QUO_VALUE_MAX);
        size_t size = quo_record_size(&records[i]);
        uint8_t *bytes = calloc(1, size + 1);
        assert_non_null(bytes);
        quo_record_encode(&records[i], bytes);
        assert_int_equal(quo_record_decode(quo_slice(bytes, size), &decoded), QUO_OK);
        assert_int_equal(decoded.value.len, QUO_VALUE_MAX);
        assert_int_equal(quo_record_decode(quo_slice(bytes, size + 1), &decoded), QUO_MALFORMED);
        free(bytes);
    }
    free(value);
}

static void change_every_byte(const uint8_t *good, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            uint8_t bytes[sizeof golden], again[sizeof golden];
            struct quo_record decoded;
            memcpy(bytes, good, size);
            bytes[at] ^= (uint8_t)flip;
            if (quo_record_decode(quo_slice(bytes, size), &decoded) != QUO_OK)
                continue;
            assert_int_equal(quo_record_size(&decoded), size);
            quo_record_encode(&decoded, again);
            assert_memory_equal(again, bytes, size);
        }
    }
}

/* Whatever is accepted is what its own encoding says: no two byte strings mean one record. */
static void single_byte_changes_are_refused_or_kept(void **state)
{
    (void)state;
    change_every_byte(golden, sizeof golden);
    change_every_byte(golden_blind, sizeof golden_blind);
    change_every_byte(golden_expires, sizeof golden_expires);
}

static void version_can_be_set_in_the_bytes(void **state)
{
    (void)state;
    struct quo_record record = blind_sample(), decoded;
    uint8_t bytes[sizeof golden_blind];
    quo_record_encode(&record, bytes);
    record.version = (struct quo_version){77, 88};
    record.changed = record.hist_from = record.keyed_from = record.version;
    quo_record_set_version(bytes, record.version);
    assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded), QUO_OK);
    assert_record_equal(&decoded, &record);
}

static void peek_reads_version_and_flags(void **state)
{
    (void)state;
    struct quo_version version = QUO_VERSION_NONE;
    uint8_t flags = 99;
    for (size_t len = 0; len < AT_CHANGED; len++)
        assert_int_equal(quo_record_peek(quo_slice(golden_blind, len), &version, &flags),
                         QUO_MALFORMED);
    assert_true(quo_version_is_none(version));
    assert_int_equal(flags, 99);
    assert_int_equal(quo_record_peek(quo_slice(golden_blind, AT_CHANGED), &version, &flags),
                     QUO_OK);
    assert_true(quo_version_equal(version, blind_sample().version));
    assert_int_equal(flags, QUO_RECORD_BLIND);
}

static enum quo_status decode_ttl(uint64_t ttl_ms, uint8_t flags)
{
    uint8_t bytes[sizeof golden_expires];
    struct quo_record decoded;

    memcpy(bytes, golden_expires, sizeof bytes);
    bytes[1] = flags;
    quo_put_u64(bytes + AT_CHANGED, ttl_ms);
    const size_t size = (flags & QUO_RECORD_TOMBSTONE) != 0 ? sizeof bytes - 5 : sizeof bytes;
    return quo_record_decode(quo_slice(bytes, size), &decoded);
}

static void ttls_are_limited(void **state)
{
    (void)state;
    const uint8_t flags = QUO_RECORD_EXPIRES | QUO_RECORD_BLIND;

    assert_int_equal(decode_ttl(0, flags), QUO_MALFORMED);
    assert_int_equal(decode_ttl(1, flags), QUO_OK);
    assert_int_equal(decode_ttl(QUO_RECORD_TTL_MAX, flags), QUO_OK);
    assert_int_equal(decode_ttl(QUO_RECORD_TTL_MAX + 1, flags), QUO_MALFORMED);
    assert_int_equal(decode_ttl(1, flags | QUO_RECORD_TOMBSTONE), QUO_MALFORMED);
}

static void values_expire_a_ttl_after_they_changed(void **state)
{
    (void)state;
    struct quo_record record = blind_sample();
    record.version = record.changed = (struct quo_version){UINT64_C(1000) << 16 | 7, 1};
    assert_true(quo_record_expires_ms(&record) == UINT64_MAX);
    assert_false(quo_record_expired(&record, UINT64_MAX - 1));

    record.flags |= QUO_RECORD_EXPIRES;
    record.ttl_ms = 50;
    assert_int_equal(quo_record_expires_ms(&record), 1050);
    assert_false(quo_record_expired(&record, 1049));
    assert_true(quo_record_expired(&record, 1050));

    /* An operation that changed nothing gives no more time, and was not before its own moment. */
    record.flags = QUO_RECORD_EXPIRES;
    record.version.hlc = UINT64_C(1049) << 16;
    assert_false(quo_record_expired(&record, 0));
    record.version.hlc = UINT64_C(1050) << 16;
    assert_true(quo_record_expired(&record, 0));
}

static void expired_records_are_seen_as_tombstones(void **state)
{
    (void)state;
    struct quo_record record = sample(), decoded;
    uint8_t bytes[sizeof golden + 8];
    record.flags |= QUO_RECORD_EXPIRES;
    record.ttl_ms = 1;
    const struct quo_record before = record;
    quo_record_bury(&record);
    assert_int_equal(record.flags, QUO_RECORD_TOMBSTONE);
    assert_true(quo_slice_equal(record.ring, before.ring));
    assert_true(quo_version_equal(record.changed, before.changed));
    quo_record_encode(&record, bytes);
    assert_int_equal(quo_record_decode(quo_slice(bytes, quo_record_size(&record)), &decoded),
                     QUO_OK);
    assert_record_equal(&decoded, &record);
}

static void expect_expiry(const struct quo_record *record, size_t head)
{
    uint8_t bytes[sizeof golden + 8];
    uint64_t peeked = 77;

    quo_record_encode(record, bytes);
    for (size_t len = 0; len < head; len++)
        assert_int_equal(quo_record_peek_expiry(quo_slice(bytes, len), &peeked), QUO_MALFORMED);
    assert_int_equal(peeked, 77);
    assert_int_equal(quo_record_peek_expiry(quo_slice(bytes, head), &peeked), QUO_OK);
    assert_true(peeked == quo_record_expires_ms(record));
}

static void expiry_is_read_from_the_head(void **state)
{
    (void)state;
    struct quo_record records[] = {blind_sample(), sample(), expiring_sample(), sample()};
    records[3].flags |= QUO_RECORD_EXPIRES;
    records[3].ttl_ms = 12345;
    expect_expiry(&records[0], AT_CHANGED);
    expect_expiry(&records[1], AT_CHANGED);
    expect_expiry(&records[2], AT_CHANGED + 8);
    expect_expiry(&records[3], QUO_RECORD_EXPIRY_HEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_golden_ones),
        cmocka_unit_test(blind_records_have_no_past),
        cmocka_unit_test(every_ring_size_round_trips),
        cmocka_unit_test(missing_bytes_are_refused),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(nothing_is_above_the_version),
        cmocka_unit_test(no_entry_is_above_the_version),
        cmocka_unit_test(keyed_from_is_at_most_hist_from),
        cmocka_unit_test(rings_are_limited),
        cmocka_unit_test(tombstones_have_no_value),
        cmocka_unit_test(value_is_limited),
        cmocka_unit_test(single_byte_changes_are_refused_or_kept),
        cmocka_unit_test(version_can_be_set_in_the_bytes),
        cmocka_unit_test(peek_reads_version_and_flags),
        cmocka_unit_test(ttls_are_limited),
        cmocka_unit_test(values_expire_a_ttl_after_they_changed),
        cmocka_unit_test(expired_records_are_seen_as_tombstones),
        cmocka_unit_test(expiry_is_read_from_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
