#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/guard.h"

enum { DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3, SETTINGS = 4, PING = 6 };
enum { WINDOW_UPDATE = 8, CONTINUATION = 9, END_STREAM = 1, END_HEADERS = 4 };

#define SECOND 1000000u

static struct quo_guard guard;
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static int begin(void **state)
{
    (void)state;
    quo_guard_init(&guard);
    return quo_guard_feed(&guard, quo_slice(preface, 24), false, 0) != QUO_FLOOD_NONE;
}

static void make_head(uint8_t *out, uint8_t type, uint8_t flags, uint32_t stream, uint32_t len)
{
    out[0] = (uint8_t)(len >> 16);
    out[1] = (uint8_t)(len >> 8);
    out[2] = (uint8_t)len;
    out[3] = type;
    out[4] = flags;
    quo_put_u32(out + 5, stream);
}

/* A whole frame with a payload of zeros. */
static enum quo_flood feed_as(uint8_t type, uint8_t flags, uint32_t stream, uint32_t len, bool deaf,
                              uint64_t now)
{
    static const uint8_t zeros[65536];
    uint8_t head[9];
    enum quo_flood flood;

    make_head(head, type, flags, stream, len);
    flood = quo_guard_feed(&guard, quo_slice(head, sizeof head), deaf, now);
    while (len > 0 && flood == QUO_FLOOD_NONE) {
        uint32_t piece = QUO_MIN(len, (uint32_t)sizeof zeros);

        flood = quo_guard_feed(&guard, quo_slice(zeros, piece), deaf, now);
        len -= piece;
    }
    return flood;
}

static enum quo_flood feed(uint8_t type, uint8_t flags, uint32_t stream, uint32_t len, uint64_t now)
{
    return feed_as(type, flags, stream, len, false, now);
}

static void honest_clients_pass(void **state)
{
    uint32_t stream = 1;

    (void)state;
    assert_int_equal(feed(SETTINGS, 0, 0, 18, 0), QUO_FLOOD_NONE);
    for (uint64_t second = 0; second < 20; second++) {
        for (int i = 0; i < 5000; i++, stream += 4) {
            uint64_t now = second * SECOND + (uint64_t)i;

            assert_int_equal(feed(HEADERS, END_STREAM | END_HEADERS, stream, 60, now),
                             QUO_FLOOD_NONE);
            assert_int_equal(feed(HEADERS, END_HEADERS, stream + 2, 60, now), QUO_FLOOD_NONE);
            assert_int_equal(feed(DATA, 0, stream + 2, 16384, now), QUO_FLOOD_NONE);
            assert_int_equal(feed(DATA, END_STREAM, stream + 2, 100, now), QUO_FLOOD_NONE);
            assert_int_equal(feed(WINDOW_UPDATE, 0, 0, 4, now), QUO_FLOOD_NONE);
            if (i % 100 == 0) {
                assert_int_equal(feed(RST_STREAM, 0, stream, 4, now), QUO_FLOOD_NONE);
                assert_int_equal(quo_guard_cancelled(&guard, now), QUO_FLOOD_NONE);
                assert_int_equal(feed(PING, 0, 0, 8, now), QUO_FLOOD_NONE);
            }
        }
    }
    assert_int_equal(guard.body_bytes, 0);
    assert_int_equal(guard.stream_count, 0);
}

/* Feeds one kind of frame until it is a flood; returns how many passed. */
static uint32_t count_passed(uint8_t type, uint8_t flags, uint32_t len, enum quo_flood expected)
{
    for (uint32_t i = 0; i < 100000; i++) {
        enum quo_flood flood = feed(type, flags, 2 * i + 1, len, 5);

        if (flood == QUO_FLOOD_NONE)
            continue;
        assert_int_equal(flood, expected);
        return i;
    }
    fail_msg("type %u is never a flood", type);
    return 0;
}

static void floods_are_named(void **state)
{
    static const struct {
        uint8_t type, flags;
        uint32_t len, passed;
        enum quo_flood flood;
    } rows[] = {
        {RST_STREAM, 0, 4, QUO_GUARD_RESETS_MAX, QUO_FLOOD_RESETS},
        {PING, 0, 8, QUO_GUARD_CONTROL_MAX, QUO_FLOOD_CONTROL},
        {SETTINGS, 0, 0, QUO_GUARD_CONTROL_MAX, QUO_FLOOD_CONTROL},
        {PRIORITY, 0, 5, QUO_GUARD_CONTROL_MAX, QUO_FLOOD_CONTROL},
        {77, 0, 100, QUO_GUARD_CONTROL_MAX / QUO_GUARD_UNKNOWN_WEIGHT, QUO_FLOOD_CONTROL},
        {DATA, 0, 100, QUO_GUARD_CONTROL_MAX, QUO_FLOOD_CONTROL}, /* without a stream */
        {CONTINUATION, 0, 0, QUO_GUARD_BLOCK_FRAMES_MAX, QUO_FLOOD_HEADERS},
        {CONTINUATION, 0, 16384, QUO_GUARD_BLOCK_MAX / 16384, QUO_FLOOD_HEADERS},
        {HEADERS, 0, 1, QUO_GUARD_BLOCK_FRAMES_MAX, QUO_FLOOD_HEADERS},
        {HEADERS, END_HEADERS, QUO_GUARD_BLOCK_MAX + 1, 0, QUO_FLOOD_HEADERS},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        assert_int_equal(begin(NULL), 0);
        assert_int_equal(count_passed(rows[i].type, rows[i].flags, rows[i].len, rows[i].flood),
                         rows[i].passed);
    }
}

static void empty_data_is_a_flood(void **state)
{
    uint32_t passed = 0;

    (void)state;
    assert_int_equal(feed(HEADERS, END_HEADERS, 1, 10, 0), QUO_FLOOD_NONE);
    while (feed(DATA, 0, 1, 0, 0) == QUO_FLOOD_NONE)
        passed++;
    assert_int_equal(passed, QUO_GUARD_CONTROL_MAX);
}

static void counts_begin_anew_each_second(void **state)
{
    (void)state;
    for (uint64_t second = 1; second < 100; second++) {
        for (uint32_t i = 0; i < QUO_GUARD_RESETS_MAX; i++)
            assert_int_equal(feed(RST_STREAM, 0, 1, 4, second * SECOND), QUO_FLOOD_NONE);
        for (uint32_t i = 0; i < QUO_GUARD_CONTROL_MAX; i++)
            assert_int_equal(feed(PING, 0, 0, 8, second * SECOND), QUO_FLOOD_NONE);
    }
}

static void cancelling_most_of_many_is_a_flood(void **state)
{
    uint32_t stream = 1, cancelled = 0;

    (void)state;
    /* 90 a second, below the limit of a second, but 9 of 10 requests. */
    for (uint64_t second = 0; second < 10; second++) {
        for (uint32_t i = 0; i < 100; i++, stream += 2) {
            assert_int_equal(feed(HEADERS, END_STREAM | END_HEADERS, stream, 1, second * SECOND),
                             QUO_FLOOD_NONE);
            if (i < 90 && quo_guard_cancelled(&guard, second * SECOND) != QUO_FLOOD_NONE) {
                assert_true(cancelled > QUO_GUARD_SHARE_AFTER / 2);
                return;
            }
            cancelled += i < 90;
        }
    }
    fail_msg("90 %% cancelled, and nobody noticed");
}

static void cancelled_from_our_side_counts_like_resets(void **state)
{
    uint32_t passed = 0;

    (void)state;
    while (quo_guard_cancelled(&guard, 0) == QUO_FLOOD_NONE)
        passed++;
    assert_int_equal(passed, QUO_GUARD_RESETS_MAX);
}

static void unfinished_bodies_are_summed(void **state)
{
    uint64_t sent = 0;

    (void)state;
    for (uint32_t stream = 1; stream < 200; stream += 2)
        assert_int_equal(feed(HEADERS, END_HEADERS, stream, 10, 0), QUO_FLOOD_NONE);
    for (uint32_t stream = 1; sent <= QUO_GUARD_BODIES_MAX; stream = (stream + 2) % 200) {
        enum quo_flood flood = feed(DATA, 0, stream, 4000000, 0);

        sent += 4000000;
        assert_int_equal(flood, sent > QUO_GUARD_BODIES_MAX ? QUO_FLOOD_BODIES : QUO_FLOOD_NONE);
    }
}

static void a_body_is_forgotten_when_it_ends_or_is_reset(void **state)
{
    (void)state;
    for (uint32_t stream = 1; stream <= 5; stream += 2) {
        feed(HEADERS, END_HEADERS, stream, 10, 0);
        feed(DATA, 0, stream, 1000, 0);
    }
    assert_int_equal(guard.body_bytes, 3000);
    feed(RST_STREAM, 0, 3, 4, 0);
    assert_int_equal(guard.body_bytes, 2000);
    feed(DATA, END_STREAM, 1, 5, 0);
    assert_int_equal(guard.body_bytes, 1000);
    feed(HEADERS, END_STREAM | END_HEADERS, 5, 3, 0); /* trailers */
    assert_int_equal(guard.body_bytes, 0);
    feed(DATA, 0, 5, 1000, 0);
    assert_int_equal(guard.body_bytes, 0);
}

static void clients_that_do_not_read_may_not_go_on_for_ever(void **state)
{
    uint32_t passed = 0;

    (void)state;
    for (uint32_t i = 0; i < 3 * QUO_GUARD_DEAF_MAX; i++)
        assert_int_equal(feed_as(WINDOW_UPDATE, 0, 0, 4, i % 1000 != 0, 0), QUO_FLOOD_NONE);
    assert_int_equal(feed(WINDOW_UPDATE, 0, 0, 4, 0), QUO_FLOOD_NONE);
    while (feed_as(WINDOW_UPDATE, 0, 0, 4, true, 0) == QUO_FLOOD_NONE)
        passed++;
    assert_int_equal(passed, QUO_GUARD_DEAF_MAX);
}

static void continuations_can_be_refused(void **state)
{
    (void)state;
    assert_int_equal(feed(HEADERS, 0, 1, 10, 0), QUO_FLOOD_NONE);
    assert_int_equal(feed(CONTINUATION, 0, 1, 10, 0), QUO_FLOOD_NONE);
    guard.whole_blocks = true;
    assert_int_equal(feed(CONTINUATION, END_HEADERS, 1, 10, 0), QUO_FLOOD_HEADERS);
    assert_int_equal(feed(HEADERS, END_HEADERS, 3, 10, 0), QUO_FLOOD_NONE);
}

static void frames_may_come_in_any_pieces(void **state)
{
    uint8_t bytes[3 * 9 + 5 + 8];
    struct quo_guard whole;

    (void)state;
    make_head(bytes, HEADERS, END_HEADERS, 1, 5);
    memset(bytes + 9, 0xff, 5);
    make_head(bytes + 14, PING, 0, 0, 8);
    memset(bytes + 23, 0xff, 8);
    make_head(bytes + 31, SETTINGS, 0, 0, 0);
    assert_int_equal(quo_guard_feed(&guard, quo_slice(bytes, sizeof bytes), false, 0),
                     QUO_FLOOD_NONE);
    assert_int_equal(guard.control, 2);
    assert_int_equal(guard.requests, 1);
    whole = guard;
    for (size_t step = 1; step < sizeof bytes; step++) {
        begin(NULL);
        for (size_t at = 0; at < sizeof bytes; at += step)
            quo_guard_feed(&guard, quo_slice(bytes + at, QUO_MIN(step, sizeof bytes - at)), false,
                           0);
        assert_int_equal(guard.control, whole.control);
        assert_int_equal(guard.requests, whole.requests);
        assert_int_equal(guard.stream_count, whole.stream_count);
        assert_int_equal(guard.head_len, 0);
        assert_int_equal(guard.payload, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(honest_clients_pass, begin),
        cmocka_unit_test_setup(floods_are_named, begin),
        cmocka_unit_test_setup(empty_data_is_a_flood, begin),
        cmocka_unit_test_setup(counts_begin_anew_each_second, begin),
        cmocka_unit_test_setup(cancelling_most_of_many_is_a_flood, begin),
        cmocka_unit_test_setup(cancelled_from_our_side_counts_like_resets, begin),
        cmocka_unit_test_setup(unfinished_bodies_are_summed, begin),
        cmocka_unit_test_setup(a_body_is_forgotten_when_it_ends_or_is_reset, begin),
        cmocka_unit_test_setup(clients_that_do_not_read_may_not_go_on_for_ever, begin),
        cmocka_unit_test_setup(continuations_can_be_refused, begin),
        cmocka_unit_test_setup(frames_may_come_in_any_pieces, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
