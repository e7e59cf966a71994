#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "quorate/rpc.h"

static uint8_t *make_frame(size_t body_len, size_t *ret_size)
{
    *ret_size = QUO_FRAME_HEADER + body_len;
    uint8_t *frame = malloc(*ret_size);
    assert_non_null(frame);
    for (size_t i = 0; i < body_len; i++)
        frame[QUO_FRAME_HEADER + i] = (uint8_t)(i * 31 + i / 256);
    quo_frame_seal(frame, QUO_MESSAGE_STORE, 0x0102030405060708, body_len);
    return frame;
}

/* What other programs read: the layout and the checksum may never change within a protocol version.
 */
static void bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0,    0,    0,    27,               /* length */
        1,    16,   0,    0,                /* protocol version, type, zero */
        1,    2,    3,    4,    5, 6, 7, 8, /* id */
        0x23, 0xbc, 0xcd, 0x9b,             /* checksum */
        0,    0,    0,    3,                /* body length */
        'a',  'b',  'c',                    /* body */
    };
    uint8_t frame[27];
    memcpy(frame + QUO_FRAME_HEADER, "abc", 3);
    quo_frame_seal(frame, QUO_MESSAGE_QUERY, 0x0102030405060708, 3);
    assert_memory_equal(frame, expected, sizeof expected);
}

/* The sizes lie round those at which the checksum is computed in another way. */
static void frames_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0, 1, 16, 207, 231, 232, 233, 240, 256, 1000, 4096, 65536, QUO_FRAME_BODY_MAX};
    for (size_t i = 0; i < QUO_COUNT(sizes); i++) {
        size_t size, found;
        uint8_t *bytes = make_frame(sizes[i], &size);
        struct quo_frame frame;
        assert_int_equal(quo_frame_next(quo_slice(bytes, size), &frame, &found), QUO_OK);
        assert_int_equal(found, size);
        assert_int_equal(frame.type, QUO_MESSAGE_STORE);
        assert_int_equal(frame.id, 0x0102030405060708);
        assert_ptr_equal(frame.body.data, bytes + QUO_FRAME_HEADER);
        assert_int_equal(frame.body.len, sizes[i]);
        free(bytes);
    }
}

static void every_beginning_asks_for_more(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = make_frame(100, &size);
    for (size_t len = 0; len < size; len++) {
        uint8_t *exact = malloc(len + 1);
        struct quo_frame frame = {.type = 99};
        size_t found = 12345;
        memcpy(exact + 1, bytes, len);
        assert_int_equal(quo_frame_next(quo_slice(exact + 1, len), &frame, &found), QUO_MORE);
        assert_int_equal(found, len < QUO_FRAME_HEADER ? 0 : size);
        assert_int_equal(frame.type, 99);
        free(exact);
    }
    free(bytes);
}

static void what_follows_is_left_alone(void **state)
{
    (void)state;
    size_t size, found;
    uint8_t *bytes = make_frame(10, &size);
    uint8_t two[2 * (QUO_FRAME_HEADER + 10)];
    memcpy(two, bytes, size);
    memcpy(two + size, bytes, size);
    struct quo_frame frame;
    assert_int_equal(quo_frame_next(quo_slice(two, sizeof two - 1), &frame, &found), QUO_OK);
    assert_int_equal(found, size);
    assert_int_equal(quo_frame_next(quo_slice(two + size, size), &frame, &found), QUO_OK);
    free(bytes);
}

static void expect_corruptions_refused(size_t body_len, unsigned flip_step)
{
    size_t size;
    uint8_t *bytes = make_frame(body_len, &size);
    for (size_t at = 0; at < size; at++) {
        for (unsigned flip = 1; flip < 256; flip += flip_step) {
            struct quo_frame frame;
            size_t found;
            bytes[at] ^= (uint8_t)flip;
            enum quo_status status = quo_frame_next(quo_slice(bytes, size), &frame, &found);
            /* A longer length is a beginning; nothing else may pass. */
            if (status == QUO_MORE)
                assert_true(at < 4 && found > size);
            else
                assert_true(status == QUO_MALFORMED || status == QUO_UNSUPPORTED);
            bytes[at] ^= (uint8_t)flip;
        }
    }
    free(bytes);
}

static void every_corrupted_byte_is_noticed(void **state)
{
    (void)state;
    expect_corruptions_refused(60, 1);
    expect_corruptions_refused(2000, 127);
}

static enum quo_status judge(const void *bytes, size_t len)
{
    struct quo_frame frame;
    size_t found;
    return quo_frame_next(quo_slice(bytes, len), &frame, &found);
}

static void strangers_are_refused_at_once(void **state)
{
    (void)state;
    assert_int_equal(judge("GET ", 4), QUO_MALFORMED);
    assert_int_equal(judge("\x16\x03\x01\x02", 4), QUO_MALFORMED); /* TLS */
    assert_int_equal(judge("\0\0\0\x17", 4), QUO_MALFORMED);       /* shorter than a header */
    assert_int_equal(judge("\0\0\0\x18\x02", 5), QUO_UNSUPPORTED);
    assert_int_equal(judge("\0\0\0\x18\x00", 5), QUO_UNSUPPORTED);
    assert_int_equal(judge("\0\0\0\x18\x01\x10\0\x01", 8), QUO_MALFORMED);
    assert_int_equal(judge(NULL, 0), QUO_MORE);
}

static void frame_over_the_limit_is_refused_by_its_length(void **state)
{
    (void)state;
    uint8_t length[4];
    quo_put_u32(length, QUO_FRAME_MAX);
    assert_int_equal(judge(length, 4), QUO_MORE);
    quo_put_u32(length, QUO_FRAME_MAX + 1);
    assert_int_equal(judge(length, 4), QUO_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_golden_ones),
        cmocka_unit_test(frames_round_trip),
        cmocka_unit_test(every_beginning_asks_for_more),
        cmocka_unit_test(what_follows_is_left_alone),
        cmocka_unit_test(every_corrupted_byte_is_noticed),
        cmocka_unit_test(strangers_are_refused_at_once),
        cmocka_unit_test(frame_over_the_limit_is_refused_by_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
