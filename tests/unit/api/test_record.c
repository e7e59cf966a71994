#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "quorate/record.h"

static struct quo_record sample(void)
{
    struct quo_record record = {
        .flags = QUO_RECORD_BLIND,
        .version = {0x0102030405060708, 0x1112131415161718},
        .hist_from = {0x2122232425262728, 0x3132333435363738},
        .mver = 0x4142434445464748,
        .ring_count = 1,
        .content_type = quo_slice_of("text/plain"),
        .value = quo_slice_of("hello"),
    };
    memcpy(record.ring[0].opid, "0123456789abcdef", 16);
    record.ring[0].at = (struct quo_version){0x5152535455565758, 0x6162636465666768};
    record.ring[0].result = 0x71727374;
    return record;
}

/* On disks out there: this may never change. */
static const uint8_t golden[] = {
    1,    2,                                                       /* format, flags */
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,                /* version */
    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,                /* */
    0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28,                /* hist_from */
    0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38,                /* */
    0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,                /* mver */
    1,                                                             /* ring count */
    '0',  '1',  '2',  '3',  '4',  '5',  '6',  '7',                 /* operation id */
    '8',  '9',  'a',  'b',  'c',  'd',  'e',  'f',                 /* */
    0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,                /* its version */
    0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,                /* */
    0x71, 0x72, 0x73, 0x74,                                        /* its result */
    10,   't',  'e',  'x',  't',  '/',  'p',  'l',  'a', 'i', 'n', /* content type */
    'h',  'e',  'l',  'l',  'o',                                   /* value */
};

static void assert_record_equal(const struct quo_record *a, const struct quo_record *b)
{
    assert_int_equal(a->flags, b->flags);
    assert_true(quo_version_equal(a->version, b->version));
    assert_true(quo_version_equal(a->hist_from, b->hist_from));
    assert_int_equal(a->mver, b->mver);
    assert_int_equal(a->ring_count, b->ring_count);
    for (uint8_t i = 0; i < a->ring_count; i++) {
        assert_memory_equal(a->ring[i].opid, b->ring[i].opid, 16);
        assert_true(quo_version_equal(a->ring[i].at, b->ring[i].at));
        assert_int_equal(a->ring[i].result, b->ring[i].result);
    }
    assert_true(quo_slice_equal(a->content_type, b->content_type));
    assert_true(quo_slice_equal(a->value, b->value));
}

static void bytes_are_the_golden_ones(void **state)
{
    (void)state;
    struct quo_record record = sample(), decoded;
    uint8_t bytes[sizeof golden];
    assert_int_equal(quo_record_size(&record), sizeof golden);
    quo_record_encode(&record, bytes);
    assert_memory_equal(bytes, golden, sizeof golden);
    assert_int_equal(quo_record_decode(quo_slice(golden, sizeof golden), &decoded), QUO_OK);
    assert_record_equal(&decoded, &record);
}

static void every_ring_size_round_trips(void **state)
{
    (void)state;
    static char type[QUO_CONTENT_TYPE_MAX];
    memset(type, 't', sizeof type);
    for (uint8_t count = 0; count <= QUO_RING_MAX; count++) {
        struct quo_record record = sample(), decoded;
        record.ring_count = count;
        for (uint8_t i = 0; i < count; i++) {
            memset(record.ring[i].opid, 'a' + i, 16);
            record.ring[i].at = (struct quo_version){i + 1u, i};
            record.ring[i].result = i;
        }
        record.content_type = quo_slice(type, count % 2 == 0 ? sizeof type : 0);
        record.value = quo_slice(NULL, 0);
        uint8_t bytes[QUO_RECORD_OVERHEAD_MAX];
        size_t size = quo_record_size(&record);
        assert_true(size <= sizeof bytes);
        quo_record_encode(&record, bytes);
        assert_int_equal(quo_record_decode(quo_slice(bytes, size), &decoded), QUO_OK);
        assert_record_equal(&decoded, &record);
    }
}

/* Before the value begins, every byte missing is noticed; the value itself has no length of its
 * own. */
static void missing_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof golden - 5; len++) {
        uint8_t *exact = malloc(len + 1); /* so that the sanitizer sees the end */
        memcpy(exact + 1, golden, len);
        struct quo_record decoded = {.mver = 77};
        assert_int_equal(quo_record_decode(quo_slice(exact + 1, len), &decoded), QUO_MALFORMED);
        assert_int_equal(decoded.mver, 77);
        free(exact);
    }
}

static void expect_malformed(size_t at, uint8_t value)
{
    uint8_t bytes[sizeof golden];
    struct quo_record decoded;
    memcpy(bytes, golden, sizeof golden);
    bytes[at] = value;
    assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded), QUO_MALFORMED);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    expect_malformed(0, 0);
    expect_malformed(0, 2);
    expect_malformed(1, 4);                    /* an unknown flag */
    expect_malformed(1, 0x80);                 /* another */
    expect_malformed(1, QUO_RECORD_TOMBSTONE); /* with a value */
    expect_malformed(42, QUO_RING_MAX + 1);
    expect_malformed(42, 255);
    expect_malformed(42 + 1 + 36, 255); /* a content type longer than what is left */

    uint8_t bytes[sizeof golden];
    struct quo_record decoded;
    memcpy(bytes, golden, sizeof golden);
    memset(bytes + 2, 0, QUO_VERSION_SIZE);
    assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded), QUO_MALFORMED);
}

static void tombstone_without_value_is_fine(void **state)
{
    (void)state;
    struct quo_record record = sample(), decoded;
    uint8_t bytes[sizeof golden];
    record.flags = QUO_RECORD_TOMBSTONE | QUO_RECORD_BLIND;
    record.value.len = 0;
    quo_record_encode(&record, bytes);
    assert_int_equal(quo_record_decode(quo_slice(bytes, quo_record_size(&record)), &decoded),
                     QUO_OK);
    assert_record_equal(&decoded, &record);
}

static void value_is_limited(void **state)
{
    (void)state;
    struct quo_record record = sample(), decoded;
    record.content_type.len = 0;
    record.ring_count = 0;
    record.value = quo_slice(calloc(1, QUO_VALUE_MAX), QUO_VALUE_MAX);
    size_t size = quo_record_size(&record);
    uint8_t *bytes = calloc(1, size + 1);
    assert_non_null(record.value.data);
    assert_non_null(bytes);
    quo_record_encode(&record, bytes);
    assert_int_equal(quo_record_decode(quo_slice(bytes, size), &decoded), QUO_OK);
    assert_int_equal(decoded.value.len, QUO_VALUE_MAX);
    assert_int_equal(quo_record_decode(quo_slice(bytes, size + 1), &decoded), QUO_MALFORMED);
    free(bytes);
    free((void *)(uintptr_t)record.value.data);
}

/* Whatever is accepted is what its own encoding says: no two byte strings mean one record. */
static void single_byte_changes_are_refused_or_kept(void **state)
{
    (void)state;
    for (size_t at = 0; at < sizeof golden; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            uint8_t bytes[sizeof golden], again[sizeof golden];
            struct quo_record decoded;
            memcpy(bytes, golden, sizeof golden);
            bytes[at] ^= (uint8_t)flip;
            if (quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded) != QUO_OK)
                continue;
            assert_int_equal(quo_record_size(&decoded), sizeof again);
            quo_record_encode(&decoded, again);
            assert_memory_equal(again, bytes, sizeof bytes);
        }
    }
}

static void version_can_be_set_in_the_bytes(void **state)
{
    (void)state;
    struct quo_record record = sample(), decoded;
    uint8_t bytes[sizeof golden];
    quo_record_encode(&record, bytes);
    record.version = record.hist_from = (struct quo_version){77, 88};
    quo_record_set_version(bytes, record.version);
    assert_int_equal(quo_record_decode(quo_slice(bytes, sizeof bytes), &decoded), QUO_OK);
    assert_record_equal(&decoded, &record);
}

static void peek_reads_version_and_flags(void **state)
{
    (void)state;
    struct quo_version version = QUO_VERSION_NONE;
    uint8_t flags = 99;
    assert_int_equal(quo_record_peek(quo_slice(golden, 17), &version, &flags), QUO_MALFORMED);
    assert_true(quo_version_is_none(version));
    assert_int_equal(flags, 99);
    assert_int_equal(quo_record_peek(quo_slice(golden, 18), &version, &flags), QUO_OK);
    assert_true(quo_version_equal(version, sample().version));
    assert_int_equal(flags, QUO_RECORD_BLIND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_golden_ones),
        cmocka_unit_test(every_ring_size_round_trips),
        cmocka_unit_test(missing_bytes_are_refused),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(tombstone_without_value_is_fine),
        cmocka_unit_test(value_is_limited),
        cmocka_unit_test(single_byte_changes_are_refused_or_kept),
        cmocka_unit_test(version_can_be_set_in_the_bytes),
        cmocka_unit_test(peek_reads_version_and_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
