/* Group commit: who is answered when, and what readers see meanwhile. */
#include "tests/unit/server/harness.h"

static void test_synced_store_is_answered_when_it_is_on_disk(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t id = put_synced(&h, "a", 1);
    assert_false(answered(&h, id));
    turn(&h); /* the commit starts */
    assert_false(answered(&h, id));
    expect_shown(&h, "a", 0);
    turn(&h);
    expect_version(&h, id, QUO_OK, 1, true);
    expect_shown(&h, "a", 1);
    harness_stop(&h);
}

static void test_unsynced_store_is_answered_at_once_and_not_shown(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t id = put(&h, "a", 1, 0);
    expect_version(&h, id, QUO_OK, 1, false);
    expect_shown(&h, "a", 0);
    turn(&h);
    expect_shown(&h, "a", 0);
    turn(&h);
    expect_shown(&h, "a", 1);
    harness_stop(&h);
}

static void test_stores_during_a_commit_share_the_next(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t before = STAT(&h, commits);
    uint64_t first = put_synced(&h, "a", 1);
    quo_server_end_turn(h.server);
    uint64_t others[20];
    for (unsigned i = 0; i < 20; i++) {
        char key[8] = {'k', (char)('a' + i)};
        others[i] = put_synced(&h, key, 1);
        quo_server_end_turn(h.server);
    }
    run_tasks(&h);
    expect_version(&h, first, QUO_OK, 1, true);
    assert_int_equal(STAT(&h, commits), before + 1);
    for (unsigned i = 0; i < 20; i++)
        assert_false(answered(&h, others[i]));
    quo_server_end_turn(h.server);
    run_tasks(&h);
    assert_int_equal(STAT(&h, commits), before + 2);
    for (unsigned i = 0; i < 20; i++)
        expect_version(&h, others[i], QUO_OK, 1, true);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

static void test_a_turn_without_writes_commits_nothing(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t before = STAT(&h, commits);
    for (int i = 0; i < 3; i++)
        turn(&h);
    assert_int_equal(STAT(&h, commits), before);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

static void test_one_key_many_times_in_one_group(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t ids[5];
    for (unsigned i = 0; i < 5; i++)
        ids[i] = put_synced(&h, "a", i + 1);
    settle(&h);
    for (unsigned i = 0; i < 5; i++)
        expect_version(&h, ids[i], QUO_OK, i + 1, true);
    expect_shown(&h, "a", 5);
    harness_stop(&h);
}

static void test_one_key_over_several_groups(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 1);
    quo_server_end_turn(h.server);
    uint64_t second = put_synced(&h, "a", 2);
    turn(&h); /* the first is done; the second's entry must survive it */
    uint64_t late = put_synced(&h, "a", 1);
    assert_false(answered(&h, second));
    assert_false(answered(&h, late));
    expect_shown(&h, "a", 1);
    turn(&h);
    expect_version(&h, second, QUO_OK, 2, true);
    expect_version(&h, late, QUO_SUPERSEDED, 2, true);
    expect_shown(&h, "a", 2);
    harness_stop(&h);
}

static void test_superseded_by_what_is_not_on_disk_waits(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t newer = put(&h, "a", 5, 0);
    uint64_t older = put_synced(&h, "a", 4);
    uint64_t careless = put(&h, "a", 3, 0);
    expect_version(&h, newer, QUO_OK, 5, false);
    assert_false(answered(&h, older));
    expect_version(&h, careless, QUO_SUPERSEDED, 5, false);
    turn(&h);
    assert_false(answered(&h, older));
    turn(&h);
    expect_version(&h, older, QUO_SUPERSEDED, 5, true);
    assert_int_equal(STAT(&h, superseded), 2);
    harness_stop(&h);
}

static void test_superseded_by_what_is_under_way_waits_for_that_alone(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 5);
    quo_server_end_turn(h.server);
    uint64_t older = put_synced(&h, "a", 4);
    uint64_t other = put_synced(&h, "b", 1);
    run_tasks(&h);
    expect_version(&h, older, QUO_SUPERSEDED, 5, true);
    assert_false(answered(&h, other));
    harness_stop(&h);
}

static void test_same_store_again_while_not_on_disk_waits(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put(&h, "a", 5, 0);
    uint64_t again = put_synced(&h, "a", 5);
    uint64_t careless = put(&h, "a", 5, 0);
    assert_false(answered(&h, again));
    expect_version(&h, careless, QUO_OK, 5, false);
    settle(&h);
    expect_version(&h, again, QUO_OK, 5, true);
    assert_int_equal(STAT(&h, committed), 1);
    harness_stop(&h);
}

static void test_what_is_on_disk_already_is_answered_at_once(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 5);
    settle(&h);
    uint64_t again = put_synced(&h, "a", 5);
    expect_version(&h, again, QUO_OK, 5, true);
    uint64_t careless = put(&h, "a", 5, 0);
    expect_version(&h, careless, QUO_OK, 5, true);
    uint64_t older = put_synced(&h, "a", 4);
    expect_version(&h, older, QUO_SUPERSEDED, 5, true);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

static void test_other_bytes_under_a_version(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 5);
    uint64_t pending = put_value(&h, NS_LWW, "a", 5, QUO_STORE_SYNC, quo_slice_of("12345678"));
    expect(&h, pending, QUO_CORRUPT);
    settle(&h);
    uint64_t on_disk = put_value(&h, NS_LWW, "a", 5, QUO_STORE_SYNC, quo_slice_of("12345678"));
    expect(&h, on_disk, QUO_CORRUPT);
    uint64_t shorter = put_value(&h, NS_LWW, "a", 5, QUO_STORE_SYNC, quo_slice_of("1234"));
    expect(&h, shorter, QUO_CORRUPT);
    assert_int_equal(STAT(&h, corrupt), 3);
    expect_shown(&h, "a", 5);
    harness_stop(&h);
}

static void test_answers_carry_what_is_held(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t id = put_value(&h, NS_LWW, "a", 5, QUO_STORE_SYNC, quo_slice_of("hello"));
    settle(&h);
    uint32_t size = expect(&h, id, QUO_OK)->record_size;
    const struct quo_msg_reply *shown = expect(&h, query(&h, "a"), QUO_OK);
    assert_int_equal(shown->flags, QUO_REPLY_DURABLE | QUO_REPLY_VALUE);
    assert_int_equal(shown->record.len, size);
    struct quo_record record;
    assert_int_equal(quo_record_decode(shown->record, &record), QUO_OK);
    assert_true(quo_slice_equal(record.value, quo_slice_of("hello")));

    const struct quo_msg_reply *digest = expect(&h, query_of(&h, NS_LWW, "a", size - 1), QUO_OK);
    assert_int_equal(digest->flags, QUO_REPLY_DURABLE);
    assert_int_equal(digest->record.len, 0);
    assert_int_equal(digest->record_size, size);
    assert_int_equal(digest->version.hlc, HLC(5));

    const struct quo_msg_reply *absent = expect(&h, query(&h, "b"), QUO_OK);
    assert_int_equal(absent->flags, QUO_REPLY_DURABLE);
    assert_int_equal(absent->record_size, 0);
    assert_true(quo_version_is_none(absent->version));
    harness_stop(&h);
}

static void test_keys_partitions_and_namespaces_are_apart(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 1);
    put_value(&h, NS_CRDT, "a", 2, QUO_STORE_SYNC, quo_slice_of("x"));
    h.partition = 4;
    put_synced(&h, "a", 3);
    put_synced(&h, "", 4);
    settle(&h);
    expect_shown(&h, "a", 3);
    expect_shown(&h, "", 4);
    h.partition = 3;
    expect_shown(&h, "a", 1);
    expect_shown(&h, "", 0);
    expect_version(&h, query_of(&h, NS_CRDT, "a", 0), QUO_OK, 2, true);
    harness_stop(&h);
}

static void test_longest_key(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    char key[QUO_KEY_MAX + 1];
    memset(key, 'k', QUO_KEY_MAX);
    key[QUO_KEY_MAX] = '\0';
    uint64_t id = put_synced(&h, key, 1);
    settle(&h);
    expect(&h, id, QUO_OK);
    expect_shown(&h, key, 1);
    key[QUO_KEY_MAX - 1] = 'j';
    expect_shown(&h, key, 0);
    harness_stop(&h);
}

static void test_many_keys_in_many_groups(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    enum { KEYS = 3 * (int)QUO_BATCH_COUNT_MAX + 5 };
    for (unsigned i = 0; i < KEYS; i++) {
        char key[5] = {(char)('a' + i % 26), (char)('a' + i / 26 % 26), (char)('a' + i / 676 % 26),
                       (char)('a' + i / 17576)};
        put_synced(&h, key, i + 1);
    }
    uint64_t before = STAT(&h, commits);
    settle(&h);
    /* A group takes no more than its limit: four, though nothing was under way. */
    assert_int_equal(STAT(&h, commits), before + 4);
    assert_int_equal(STAT(&h, committed), KEYS);
    assert_int_equal(h.reply_count, KEYS);
    for (size_t i = 0; i < h.reply_count; i++) {
        assert_int_equal(h.replies[i].reply.status, QUO_OK);
        /* Groups complete, and answer, in order. */
        assert_int_equal(h.replies[i].id, i + 1);
    }
    harness_stop(&h);
}

static void test_commit_time_is_recorded(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t before = quo_counted(&quo_server_stats(h.server)->commit_time.sum_us);
    put_synced(&h, "a", 1);
    quo_server_end_turn(h.server);
    h.mono_us += 1234;
    settle(&h);
    assert_int_equal(quo_counted(&quo_server_stats(h.server)->commit_time.sum_us), before + 1234);
    assert_int_equal(STAT(&h, stores), 1);
    harness_stop(&h);
}

/* Against a twin: a random load on few keys; in the end every key shows the highest version sent,
 * each request was answered exactly once, and no reader ever saw a version fall. */
static void test_random_load(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 200; round++) {
        struct harness h;
        harness_start(&h);
        uint64_t highest[4] = {0}, shown[4] = {0}, requests = 0;
        for (int i = 0; i < 60; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            unsigned key = (unsigned)(random >> 8) % 4;
            char name[2] = {(char)('a' + key)};
            uint64_t n = 1 + (random >> 16) % 50;
            quo_store_memory_faults(h.store)->get_would_block = (random >> 40) % 4 == 0;
            switch ((random >> 32) % 5) {
            case 0:
            case 1:
                put(&h, name, n, (uint8_t)((random >> 50) & QUO_STORE_SYNC));
                highest[key] = QUO_MAX(highest[key], n);
                requests++;
                break;
            case 2: {
                uint64_t id = query(&h, name);
                requests++;
                if (!answered(&h, id))
                    break;
                uint64_t seen = reply_to(&h, id)->version.hlc;
                assert_true(seen >= shown[key]);
                shown[key] = seen;
                break;
            }
            case 3:
                run_tasks(&h);
                break;
            default:
                quo_server_end_turn(h.server);
            }
        }
        settle(&h);
        quo_store_memory_faults(h.store)->get_would_block = false;
        assert_int_equal(h.reply_count, requests);
        for (unsigned key = 0; key < 4; key++) {
            char name[2] = {(char)('a' + key)};
            expect_shown(&h, name, highest[key]);
        }
        harness_stop(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_synced_store_is_answered_when_it_is_on_disk),
        cmocka_unit_test(test_unsynced_store_is_answered_at_once_and_not_shown),
        cmocka_unit_test(test_stores_during_a_commit_share_the_next),
        cmocka_unit_test(test_a_turn_without_writes_commits_nothing),
        cmocka_unit_test(test_one_key_many_times_in_one_group),
        cmocka_unit_test(test_one_key_over_several_groups),
        cmocka_unit_test(test_superseded_by_what_is_not_on_disk_waits),
        cmocka_unit_test(test_superseded_by_what_is_under_way_waits_for_that_alone),
        cmocka_unit_test(test_same_store_again_while_not_on_disk_waits),
        cmocka_unit_test(test_what_is_on_disk_already_is_answered_at_once),
        cmocka_unit_test(test_other_bytes_under_a_version),
        cmocka_unit_test(test_answers_carry_what_is_held),
        cmocka_unit_test(test_keys_partitions_and_namespaces_are_apart),
        cmocka_unit_test(test_longest_key),
        cmocka_unit_test(test_many_keys_in_many_groups),
        cmocka_unit_test(test_commit_time_is_recorded),
        cmocka_unit_test(test_random_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
