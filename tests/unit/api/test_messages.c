#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "quorate/rpc.h"

static uint64_t rng = 88172645463325252;

static uint64_t next(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

static uint8_t pool[1024];

static struct quo_slice some_bytes(size_t max)
{
    size_t len = next() % 4 == 0 ? 0 : next() % QUO_MIN(max + 1, 200);
    return quo_slice(pool + next() % (sizeof pool - len), len);
}

static uint8_t *exact_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

/* Per message, a random one and its test: it survives its encoding field by field; every beginning
 * of it and every longer body is refused; a changed byte is refused or is another proper message.
 */
#define QUO_MESSAGE(NAME, name, type)                                                              \
    static struct quo_msg_##name random_##name(void)                                               \
    {                                                                                              \
        struct quo_msg_##name m;
#define QUO_U8(field) m.field = (uint8_t)next();
#define QUO_U16(field) m.field = (uint16_t)next();
#define QUO_U32(field) m.field = (uint32_t)next();
#define QUO_U64(field) m.field = next();
#define QUO_VERSION(field)                                                                         \
    m.field.hlc = next();                                                                          \
    m.field.node = next();
#define QUO_BYTES(field, max) m.field = some_bytes(max);
#define QUO_MESSAGE_END                                                                            \
    return m;                                                                                      \
    }
#include "quorate/messages.def"

#define QUO_MESSAGE(NAME, name, type)                                                              \
    static void equal_##name(const struct quo_msg_##name *a, const struct quo_msg_##name *b)       \
    {
#define QUO_U8(field) assert_int_equal(a->field, b->field);
#define QUO_U16(field) assert_int_equal(a->field, b->field);
#define QUO_U32(field) assert_int_equal(a->field, b->field);
#define QUO_U64(field) assert_int_equal(a->field, b->field);
#define QUO_VERSION(field) assert_true(quo_version_equal(a->field, b->field));
#define QUO_BYTES(field, max) assert_true(quo_slice_equal(a->field, b->field));
#define QUO_MESSAGE_END }
#include "quorate/messages.def"

#define QUO_MESSAGE(NAME, name, type)                                                              \
    static void corrupt_##name(uint8_t *bytes, size_t size)                                        \
    {                                                                                              \
        struct quo_msg_##name got;                                                                 \
        for (size_t at = 0; at < size; at++) {                                                     \
            uint8_t kept = bytes[at];                                                              \
            bytes[at] ^= (uint8_t)(1 + next() % 255);                                              \
            if (quo_msg_##name##_decode(quo_slice(bytes, size), &got) == QUO_OK) {                 \
                assert_int_equal(quo_msg_##name##_size(&got), size);                               \
                uint8_t *again = malloc(size);                                                     \
                quo_msg_##name##_encode(&got, again);                                              \
                assert_memory_equal(again, bytes, size);                                           \
                free(again);                                                                       \
            }                                                                                      \
            bytes[at] = kept;                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void codec_of_##name(void **state)                                                      \
    {                                                                                              \
        (void)state;                                                                               \
        for (int round = 0; round < 50; round++) {                                                 \
            struct quo_msg_##name m = random_##name(), got;                                        \
            size_t size = quo_msg_##name##_size(&m);                                               \
            uint8_t *bytes = malloc(size + 1);                                                     \
            assert_non_null(bytes);                                                                \
            bytes[size] = 0x5a;                                                                    \
            quo_msg_##name##_encode(&m, bytes);                                                    \
            assert_int_equal(bytes[size], 0x5a);                                                   \
            assert_int_equal(quo_msg_##name##_decode(quo_slice(bytes, size), &got), QUO_OK);       \
            equal_##name(&m, &got);                                                                \
            struct quo_msg_##name kept = got;                                                      \
            assert_int_equal(quo_msg_##name##_decode(quo_slice(bytes, size + 1), &got),            \
                             QUO_MALFORMED);                                                       \
            for (size_t len = 0; len < size; len++) {                                              \
                uint8_t *cut = exact_copy(bytes, len);                                             \
                assert_int_equal(quo_msg_##name##_decode(quo_slice(cut, len), &got),               \
                                 QUO_MALFORMED);                                                   \
                free(cut);                                                                         \
            }                                                                                      \
            equal_##name(&kept, &got);                                                             \
            corrupt_##name(bytes, size);                                                           \
            free(bytes);                                                                           \
        }                                                                                          \
    }
#include "quorate/messages.def"

/* The wire, byte by byte, for those messages whose fields are many. */
#define EXPECT_GOLDEN(name, message, expected)                                                     \
    do {                                                                                           \
        uint8_t bytes[sizeof expected];                                                            \
        assert_int_equal(quo_msg_##name##_size(&message), sizeof expected);                        \
        quo_msg_##name##_encode(&message, bytes);                                                  \
        assert_memory_equal(bytes, expected, sizeof expected);                                     \
    } while (0)

static void reply_bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        3,    3,                                                                /* status, flags */
        0,    0,    0,    0,    0,    0,    0,    1,    0, 0, 0, 0, 0, 0, 0, 2, /* version */
        0,    0,    0,    0,    0,    0,    0,    3,    0, 0, 0, 0, 0, 0, 0, 4, /* promised */
        0,    0,    0,    0,    0,    0,    0,    5,    0, 0, 0, 0, 0, 0, 0, 6, /* floor */
        0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,                         /* now_ms */
        0xaa, 0xbb, 0xcc, 0xdd,                                                 /* record_size */
        0,    0,    0,    2,    'e',  'n',                                      /* entry */
        0,    0,    0,    3,    'r',  'e',  'c',                                /* record */
    };
    struct quo_msg_reply reply = {
        .status = QUO_WRONG_EPOCH,
        .flags = QUO_REPLY_DURABLE | QUO_REPLY_VALUE,
        .version = {1, 2},
        .promised = {3, 4},
        .floor = {5, 6},
        .now_ms = 0x1122334455667788,
        .record_size = 0xaabbccdd,
        .entry = quo_slice_of("en"),
        .record = quo_slice_of("rec"),
    };
    EXPECT_GOLDEN(reply, reply, expected);
}

static void prep_bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0x01, 0x02,                                                             /* partition */
        0x11, 0x12, 0x13, 0x14,                                                 /* ns */
        2,                                                                      /* kind */
        0,    0,    0,    2,    'e',  'n',                                      /* entry */
        0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0, 0, 0, 0, 0, 0, 0, 9, /* ballot */
        0x31, 0x32, 0x33, 0x34,                                                 /* value_max */
        0,    0,    0,    3,    'k',  'e',  'y',                                /* key */
    };
    struct quo_msg_prep prep = {
        .partition = 0x0102,
        .ns = 0x11121314,
        .kind = QUO_KIND_CAS,
        .entry = quo_slice_of("en"),
        .ballot = {0x2122232425262728, 9},
        .value_max = 0x31323334,
        .key = quo_slice_of("key"),
    };
    EXPECT_GOLDEN(prep, prep, expected);
}

static void acc_bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0x01, 0x02,                                                             /* partition */
        0x11, 0x12, 0x13, 0x14,                                                 /* ns */
        3,                                                                      /* kind */
        0,    0,    0,    2,    'e',  'n',                                      /* entry */
        0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0, 0, 0, 0, 0, 0, 0, 9, /* next */
        0,    0,    0,    3,    'k',  'e',  'y',                                /* key */
        0,    0,    0,    3,    'r',  'e',  'c',                                /* record */
    };
    struct quo_msg_acc acc = {
        .partition = 0x0102,
        .ns = 0x11121314,
        .kind = QUO_KIND_MIXED,
        .entry = quo_slice_of("en"),
        .next = {0x2122232425262728, 9},
        .key = quo_slice_of("key"),
        .record = quo_slice_of("rec"),
    };
    EXPECT_GOLDEN(acc, acc, expected);
}

static void forward_bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        1,    2,    3,    4,    5,    6,                /* hops, type, flags, condition, level, w */
        0x11, 0x12, 0x13, 0x14,                         /* ns */
        0x21, 0x22, 0x23, 0x24,                         /* timeout_ms */
        0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, /* deadline_us */
        0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, /* opid_high */
        0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, /* opid_low */
        0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, /* since */
        0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, /* digest */
        0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0, 0, 0, 0, 0, 0, 0, 9, /* first */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,                         /* by */
        0x80, 0,    0,    0,    0,    0,    0,    0,                            /* min */
        0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,                         /* max */
        0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,                         /* ttl_ms */
        0,    0,    0,    4,    't',  'a',  'g',  's',                          /* tags */
        0,    0,    0,    3,    'k',  'e',  'y',                                /* key */
        0,    0,    0,    1,    't',                                            /* content_type */
        0,    0,    0,    2,    'v',  'a',                                      /* value */
    };
    struct quo_msg_forward forward = {
        .hops = 1,
        .type = 2,
        .flags = QUO_FORWARD_SENT | QUO_FORWARD_HAS_MIN,
        .condition = 4,
        .level = 5,
        .w = 6,
        .ns = 0x11121314,
        .timeout_ms = 0x21222324,
        .deadline_us = 0xa1a2a3a4a5a6a7a8,
        .opid_high = 0x3132333435363738,
        .opid_low = 0x4142434445464748,
        .since = 0x5152535455565758,
        .digest = 0x6162636465666768,
        .first = {0x7172737475767778, 9},
        .by = (uint64_t)INT64_C(-2),
        .min = (uint64_t)INT64_MIN,
        .max = (uint64_t)INT64_MAX,
        .ttl_ms = 0x8182838485868788,
        .tags = quo_slice_of("tags"),
        .key = quo_slice_of("key"),
        .content_type = quo_slice_of("t"),
        .value = quo_slice_of("va"),
    };
    EXPECT_GOLDEN(forward, forward, expected);
}

static void forwarded_bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0,    1,    2,    3,    4,    56, /* status, verdict, outcome, refusal, code, flags */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,                         /* counter */
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0, 0, 0, 0, 0, 0, 0, 9, /* changed */
        5,    6,    7,    8,    9,    10,   11,   12, /* level to hedges, as they come */
        0x21, 0x22, 0x23, 0x24,                       /* epoch */
        0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0, 0, 0, 0, 0, 0, 0, 8, /* version */
        0,    0,    0,    3,    'i',  'd',  's',                                /* answered */
        0,    0,    0,    3,    'r',  'e',  'c',                                /* record */
    };
    struct quo_msg_forwarded forwarded = {
        .status = QUO_OK,
        .verdict = 1,
        .outcome = 2,
        .refusal = 3,
        .code = 4,
        .flags = QUO_FORWARD_REPLAYED | QUO_FORWARD_HAS_COUNTER | QUO_FORWARD_STABLE,
        .counter = (uint64_t)INT64_C(-2),
        .changed = {0x1112131415161718, 9},
        .level = 5,
        .n = 6,
        .replies = 7,
        .acks = 8,
        .disk = 9,
        .need = 10,
        .round_trips = 11,
        .hedges = 12,
        .epoch = 0x21222324,
        .version = {0x3132333435363738, 8},
        .answered = quo_slice_of("ids"),
        .record = quo_slice_of("rec"),
    };
    EXPECT_GOLDEN(forwarded, forwarded, expected);
}

/* On wires out there: these may never change. */
static void types_keep_their_values(void **state)
{
    (void)state;
    assert_int_equal(QUO_MESSAGE_HELLO, 1);
    assert_int_equal(QUO_MESSAGE_GOODBYE, 2);
    assert_int_equal(QUO_MESSAGE_PING, 3);
    assert_int_equal(QUO_MESSAGE_PONG, 4);
    assert_int_equal(QUO_MESSAGE_QUERY, 16);
    assert_int_equal(QUO_MESSAGE_STORE, 17);
    assert_int_equal(QUO_MESSAGE_PREP, 18);
    assert_int_equal(QUO_MESSAGE_ACC, 19);
    assert_int_equal(QUO_MESSAGE_REPLY, 32);
    assert_int_equal(QUO_MESSAGE_FORWARD, 40);
    assert_int_equal(QUO_MESSAGE_FORWARDED, 41);
}

/* A field one byte over its maximum, with all its bytes there. */
static void fields_over_their_maximum_are_refused(void **state)
{
    (void)state;
    static uint8_t key[QUO_KEY_MAX + 1];
    struct quo_msg_query query = {.key = quo_slice(key, QUO_KEY_MAX)}, got;
    size_t size = quo_msg_query_size(&query), at_length = size - QUO_KEY_MAX - 4;
    uint8_t *bytes = calloc(1, size + 1);
    assert_non_null(bytes);
    quo_msg_query_encode(&query, bytes);
    assert_int_equal(quo_msg_query_decode(quo_slice(bytes, size), &got), QUO_OK);
    quo_put_u32(bytes + at_length, QUO_KEY_MAX + 1);
    assert_int_equal(quo_msg_query_decode(quo_slice(bytes, size + 1), &got), QUO_MALFORMED);
    free(bytes);
}

/* Lengths that would wrap a careless sum. */
static void huge_lengths_are_refused(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {UINT32_MAX, UINT32_MAX - 3, UINT32_C(1) << 31, 256};
    struct quo_msg_goodbye goodbye = {.text = quo_slice_of("bye")}, got;
    uint8_t bytes[8];
    assert_int_equal(quo_msg_goodbye_size(&goodbye), sizeof bytes);
    quo_msg_goodbye_encode(&goodbye, bytes);
    for (size_t i = 0; i < QUO_COUNT(lengths); i++) {
        quo_put_u32(bytes + 1, lengths[i]);
        assert_int_equal(quo_msg_goodbye_decode(quo_slice(bytes, sizeof bytes), &got),
                         QUO_MALFORMED);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof pool; i++)
        pool[i] = (uint8_t)next();
    const struct CMUnitTest tests[] = {
#define QUO_MESSAGE(NAME, name, type) cmocka_unit_test(codec_of_##name),
#include "quorate/messages.def"
        cmocka_unit_test(reply_bytes_are_the_golden_ones),
        cmocka_unit_test(prep_bytes_are_the_golden_ones),
        cmocka_unit_test(acc_bytes_are_the_golden_ones),
        cmocka_unit_test(forward_bytes_are_the_golden_ones),
        cmocka_unit_test(forwarded_bytes_are_the_golden_ones),
        cmocka_unit_test(types_keep_their_values),
        cmocka_unit_test(fields_over_their_maximum_are_refused),
        cmocka_unit_test(huge_lengths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
