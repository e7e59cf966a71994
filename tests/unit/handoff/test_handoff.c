/* What is decided of hints: their keys, limits, turns, pace and fate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage-node/handoff/handoff.h"

#define NOW_US UINT64_C(50000000)
#define NOW_MS UINT64_C(1700000000000)
#define MS UINT64_C(1000)

static struct quo_handoff h;

static struct quo_version at_ms(uint64_t ms, uint64_t node)
{
    return (struct quo_version){ms << 16, node};
}

static int start(void **state)
{
    (void)state;
    quo_handoff_init(&h, NOW_US);
    for (uint64_t replica = 1; replica <= 3; replica++)
        quo_handoff_add(&h, replica);
    return 0;
}

static void add(struct quo_handoff_target *target, uint64_t ms)
{
    quo_handoff_added(target, 100, at_ms(ms, 1));
}

static struct quo_handoff_target *next(uint64_t now_us)
{
    return quo_handoff_next(&h, now_us, NOW_MS);
}

static int compare(struct quo_slice a, struct quo_slice b)
{
    int order = memcmp(a.data, b.data, QUO_MIN(a.len, b.len));
    return order != 0 ? order : (int)a.len - (int)b.len;
}

static void keys_stand_by_target_and_age(void **state)
{
    (void)state;
    static const uint8_t record[] = {0, 3, 0, 0, 0, 1, 'k', 'e', 'y'};
    static const struct quo_hint_key keys[] = {
        {1, {5, 9}, {record, 9}},          {1, {6, 1}, {record, 6}}, {1, {6, 2}, {record, 9}},
        {1, {6, UINT64_MAX}, {record, 9}}, {1, {7, 0}, {record, 9}}, {2, {5, 1}, {record, 9}},
    };
    uint8_t bytes[QUO_COUNT(keys)][QUO_HINT_KEY_MAX], after[QUO_HINT_KEY_PREFIX];
    struct quo_slice encoded[QUO_COUNT(keys)];
    struct quo_hint_key decoded;

    for (size_t i = 0; i < QUO_COUNT(keys); i++) {
        encoded[i] = quo_slice(bytes[i], quo_hint_key_encode(&keys[i], bytes[i]));
        assert_int_equal(quo_hint_key_decode(encoded[i], &decoded), QUO_OK);
        assert_int_equal(decoded.target, keys[i].target);
        assert_true(quo_version_equal(decoded.version, keys[i].version));
        assert_true(quo_slice_equal(decoded.key, keys[i].key));
        if (i > 0)
            assert_true(compare(encoded[i - 1], encoded[i]) < 0);
    }
    for (size_t i = 0; i + 1 < QUO_COUNT(keys) - 1; i++) {
        quo_hint_key_after(1, keys[i].version, after);
        struct quo_slice bound = quo_slice(after, sizeof after);
        assert_true(compare(encoded[i], bound) < 0);
        assert_true(compare(bound, encoded[i + 1]) <= 0);
    }
    quo_hint_key_after(1, QUO_VERSION_NONE, after);
    assert_true(compare(quo_slice(after, sizeof after), encoded[0]) < 0);
}

static void short_and_long_keys_are_none(void **state)
{
    (void)state;
    static uint8_t bytes[QUO_HINT_KEY_MAX + 1];
    struct quo_hint_key key;
    const size_t least = QUO_HINT_KEY_PREFIX + QUO_STORAGE_KEY_PREFIX;

    assert_int_equal(quo_hint_key_decode(quo_slice(bytes, least - 1), &key), QUO_MALFORMED);
    assert_int_equal(quo_hint_key_decode(quo_slice(bytes, least), &key), QUO_OK);
    assert_int_equal(quo_hint_key_decode(quo_slice(bytes, QUO_HINT_KEY_MAX), &key), QUO_OK);
    assert_int_equal(quo_hint_key_decode(quo_slice(bytes, sizeof bytes), &key), QUO_MALFORMED);
}

static void there_are_limits(void **state)
{
    (void)state;
    struct quo_handoff_target *target = quo_handoff_find(&h, 2);

    assert_null(quo_handoff_find(&h, 4));
    assert_int_equal(quo_handoff_admit(target, 100, at_ms(NOW_MS, 1), NOW_MS), QUO_OK);
    target->count = QUO_HINTS_MAX - 1;
    assert_int_equal(quo_handoff_admit(target, 100, at_ms(NOW_MS, 1), NOW_MS), QUO_OK);
    target->count = QUO_HINTS_MAX;
    assert_int_equal(quo_handoff_admit(target, 100, at_ms(NOW_MS, 1), NOW_MS), QUO_BUSY);
    target->count = 1;
    target->bytes = QUO_HINT_BYTES_MAX - 100;
    assert_int_equal(quo_handoff_admit(target, 100, at_ms(NOW_MS, 1), NOW_MS), QUO_OK);
    assert_int_equal(quo_handoff_admit(target, 101, at_ms(NOW_MS, 1), NOW_MS), QUO_BUSY);
    assert_int_equal(target->refused, 2);
    /* Others have their own. */
    assert_int_equal(quo_handoff_admit(quo_handoff_find(&h, 1), 101, at_ms(NOW_MS, 1), NOW_MS),
                     QUO_OK);
}

static void hints_expire_by_the_time_of_their_write(void **state)
{
    (void)state;
    struct quo_handoff_target *target = quo_handoff_find(&h, 1);
    const uint64_t oldest = NOW_MS - QUO_HINT_TTL_MS;

    assert_false(quo_handoff_is_expired(at_ms(oldest, 1), NOW_MS));
    assert_true(quo_handoff_is_expired(at_ms(oldest - 1, 1), NOW_MS));
    assert_false(quo_handoff_is_expired(at_ms(NOW_MS + 5000, 1), NOW_MS));
    assert_int_equal(quo_handoff_admit(target, 1, at_ms(oldest - 1, 1), NOW_MS), QUO_NACK);
    /* What is expired is gone through although its target is away, and nothing else is. */
    add(target, oldest);
    assert_null(next(NOW_US));
    assert_int_equal(quo_handoff_deadline(&h, NOW_US, NOW_MS), NOW_US + MS);
    assert_int_equal(quo_handoff_deadline(&h, NOW_US, NOW_MS - 1000), NOW_US + 1001 * MS);
    add(target, oldest - 1);
    assert_int_equal(quo_handoff_deadline(&h, NOW_US, NOW_MS), 0);
    assert_ptr_equal(next(NOW_US), target);
    quo_handoff_end(target, QUO_HANDOFF_STOPPED, QUO_VERSION_NONE, false, NOW_US);
    quo_handoff_removed(target, 100);
    quo_handoff_oldest(target, at_ms(oldest, 1));
    assert_null(next(NOW_US + 3600000 * MS));
    quo_handoff_removed(target, 100);
    assert_int_equal(target->oldest_ms, UINT64_MAX);
    assert_int_equal(quo_handoff_deadline(&h, NOW_US, NOW_MS), UINT64_MAX);
}

static void targets_take_turns(void **state)
{
    (void)state;
    for (uint64_t replica = 1; replica <= 3; replica++)
        add(quo_handoff_find(&h, replica), NOW_MS);
    assert_null(next(NOW_US)); /* nobody is there */
    quo_handoff_up(quo_handoff_find(&h, 1), NOW_US);
    quo_handoff_up(quo_handoff_find(&h, 3), NOW_US);
    for (int i = 0; i < 5; i++) {
        struct quo_handoff_target *first = next(NOW_US), *second = next(NOW_US);
        assert_int_equal(first->replica, 1);
        assert_int_equal(second->replica, 3);
        assert_null(next(NOW_US)); /* both are busy */
        quo_handoff_end(first, QUO_HANDOFF_MORE, at_ms(NOW_MS + 1, 1), false, NOW_US);
        quo_handoff_end(second, QUO_HANDOFF_MORE, at_ms(NOW_MS + 1, 1), false, NOW_US);
    }
    quo_handoff_down(quo_handoff_find(&h, 1));
    assert_int_equal(next(NOW_US)->replica, 3);
    assert_null(next(NOW_US));
}

static void a_round_ends_and_another_begins(void **state)
{
    (void)state;
    struct quo_handoff_target *target = quo_handoff_find(&h, 1);

    add(target, NOW_MS);
    quo_handoff_up(target, NOW_US);
    assert_ptr_equal(next(NOW_US), target);
    quo_handoff_end(target, QUO_HANDOFF_MORE, at_ms(NOW_MS, 7), false, NOW_US);
    assert_true(quo_version_equal(target->cursor, at_ms(NOW_MS, 7)));
    assert_ptr_equal(next(NOW_US), target);
    quo_handoff_end(target, QUO_HANDOFF_ALL, at_ms(NOW_MS, 8), false, NOW_US);
    assert_true(quo_version_is_none(target->cursor));
    assert_null(next(NOW_US));
    assert_int_equal(quo_handoff_deadline(&h, NOW_US, NOW_MS), NOW_US + QUO_HINT_PAUSE_MS * MS);
    assert_ptr_equal(next(NOW_US + QUO_HINT_PAUSE_MS * MS), target);
}

/* Each round that could not deliver everything is followed by a longer pause, until one does. */
static void failures_make_it_slower(void **state)
{
    (void)state;
    struct quo_handoff_target *target = quo_handoff_find(&h, 1);
    uint64_t now_us = NOW_US, pause_ms = QUO_HINT_PAUSE_MS;

    add(target, NOW_MS);
    quo_handoff_up(target, now_us);
    for (int i = 0; i < 12; i++) {
        assert_ptr_equal(next(now_us), target);
        /* One that was kept in the first batch of two counts as well. */
        if (i % 2 == 0) {
            quo_handoff_end(target, QUO_HANDOFF_MORE, at_ms(NOW_MS, 1), true, now_us);
            assert_ptr_equal(next(now_us), target);
            quo_handoff_end(target, QUO_HANDOFF_ALL, QUO_VERSION_NONE, false, now_us);
        } else {
            quo_handoff_end(target, QUO_HANDOFF_STOPPED, QUO_VERSION_NONE, false, now_us);
        }
        assert_null(next(now_us + pause_ms * MS - 1));
        now_us += pause_ms * MS;
        pause_ms = QUO_MIN(2 * pause_ms, QUO_HINT_PAUSE_MAX_MS);
    }
    assert_int_equal(pause_ms, QUO_HINT_PAUSE_MAX_MS);
    assert_ptr_equal(next(now_us), target);
    quo_handoff_end(target, QUO_HANDOFF_ALL, QUO_VERSION_NONE, false, now_us);
    now_us += QUO_HINT_PAUSE_MAX_MS * MS;
    assert_ptr_equal(next(now_us), target);
    quo_handoff_end(target, QUO_HANDOFF_ALL, QUO_VERSION_NONE, false, now_us);
    assert_ptr_equal(next(now_us + QUO_HINT_PAUSE_MS * MS), target);
    quo_handoff_end(target, QUO_HANDOFF_STOPPED, QUO_VERSION_NONE, false, now_us);
    /* A target that comes back is tried at once. */
    quo_handoff_down(target);
    quo_handoff_up(target, now_us);
    assert_ptr_equal(next(now_us), target);
}

static void answers_decide(void **state)
{
    (void)state;
    static const struct {
        enum quo_status status;
        enum quo_hint_fate fate;
    } rows[] = {
        {QUO_OK, QUO_HINT_DELIVERED},         {QUO_SUPERSEDED, QUO_HINT_DELIVERED},
        {QUO_NACK, QUO_HINT_USELESS},         {QUO_NOT_REPLICA, QUO_HINT_USELESS},
        {QUO_BAD_KIND, QUO_HINT_USELESS},     {QUO_BUSY, QUO_HINT_STOPPED},
        {QUO_DISK_FULL, QUO_HINT_STOPPED},    {QUO_IO_ERROR, QUO_HINT_STOPPED},
        {QUO_READ_ONLY, QUO_HINT_STOPPED},    {QUO_SKEW, QUO_HINT_KEPT},
        {QUO_WRONG_EPOCH, QUO_HINT_KEPT},     {QUO_CORRUPT, QUO_HINT_KEPT},
        {QUO_WRONG_CLUSTER, QUO_HINT_KEPT},   {QUO_MALFORMED, QUO_HINT_KEPT},
        {(enum quo_status)99, QUO_HINT_KEPT},
    };

    for (size_t i = 0; i < QUO_COUNT(rows); i++)
        assert_int_equal(quo_hint_fate(rows[i].status), rows[i].fate);
}

static void the_last_minute_is_counted(void **state)
{
    (void)state;
    struct quo_handoff_target *target = quo_handoff_find(&h, 1);

    assert_int_equal(quo_handoff_drained(&h, NOW_US), 0);
    for (uint64_t s = 0; s < 120; s++) {
        quo_handoff_count_delivered(&h, target, NOW_US + s * 1000 * MS);
        const uint64_t drained = quo_handoff_drained(&h, NOW_US + s * 1000 * MS);
        if (s >= 70) {
            assert_true(drained > 60 && drained <= 70);
        } else {
            assert_true(drained >= QUO_MIN(s, 60u) && drained <= s + 1);
        }
    }
    assert_int_equal(target->delivered, 120);
    assert_true(quo_handoff_drained(&h, NOW_US + 149000 * MS) <= 40);
    assert_int_equal(quo_handoff_drained(&h, NOW_US + 200000 * MS), 0);
    quo_handoff_count_delivered(&h, target, NOW_US + 900000 * MS);
    assert_int_equal(quo_handoff_drained(&h, NOW_US + 900000 * MS), 1);
}

static void the_rate_is_kept(void **state)
{
    (void)state;
    uint64_t now_us = NOW_US, sent = 0;

    while (now_us < NOW_US + 10000 * MS) {
        if (quo_handoff_may_send(&h, now_us)) {
            assert_true(quo_handoff_rested_us(&h) <= now_us);
            quo_handoff_spend(&h, 100000);
            sent += 100000;
            continue;
        }
        assert_true(quo_handoff_rested_us(&h) > now_us);
        now_us = quo_handoff_rested_us(&h);
        assert_true(quo_handoff_may_send(&h, now_us));
    }
    /* What was saved up at first, and ten seconds of it. */
    assert_true(sent > 10u * QUO_HINT_RATE && sent < 11u * QUO_HINT_RATE + 200000);
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_stand_by_target_and_age),
        TEST(short_and_long_keys_are_none),
        TEST(there_are_limits),
        TEST(hints_expire_by_the_time_of_their_write),
        TEST(targets_take_turns),
        TEST(a_round_ends_and_another_begins),
        TEST(failures_make_it_slower),
        TEST(answers_decide),
        TEST(the_last_minute_is_counted),
        TEST(the_rate_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
