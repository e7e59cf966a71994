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

/* The wire, byte by byte, for one message that has every kind of field. */
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
    uint8_t bytes[sizeof expected];
    assert_int_equal(quo_msg_reply_size(&reply), sizeof expected);
    quo_msg_reply_encode(&reply, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
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
        cmocka_unit_test(fields_over_their_maximum_are_refused),
        cmocka_unit_test(huge_lengths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
