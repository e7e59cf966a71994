/* Commits that fail: what is answered, what is still believed, and what the server does next. */
#include "tests/unit/server/harness.h"

static void fail_commit(struct harness *h, uint64_t countdown, enum quo_status status)
{
    quo_store_memory_faults(h->store)->commit_in = countdown;
    quo_store_memory_faults(h->store)->commit_status = status;
}

static void test_full_disk_applies_nothing(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 1);
    settle(&h);
    fail_commit(&h, 1, QUO_DISK_FULL);
    uint64_t id = put_synced(&h, "a", 2);
    uint64_t superseded = put_synced(&h, "a", 1);
    settle(&h);
    expect(&h, id, QUO_DISK_FULL);
    /* It was to be superseded by what did not come. */
    expect(&h, superseded, QUO_DISK_FULL);
    assert_false(quo_server_writable(h.server));
    assert_true(quo_server_serving(h.server));
    expect_shown(&h, "a", 1);
    assert_int_equal(STAT(&h, disk_full), 1);
    harness_stop(&h);
}

static void test_full_disk_is_tried_again_once_a_second(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    fail_commit(&h, 1, QUO_DISK_FULL);
    put_synced(&h, "a", 1);
    settle(&h);
    uint64_t commits = quo_store_memory_commits(h.store);
    expect(&h, put_synced(&h, "a", 2), QUO_DISK_FULL);
    h.mono_us += 999999;
    expect(&h, put_synced(&h, "a", 3), QUO_DISK_FULL);
    h.mono_us += 1;
    fail_commit(&h, 1, QUO_DISK_FULL);
    uint64_t probe = put_synced(&h, "a", 4);
    assert_false(answered(&h, probe));
    uint64_t along = put_synced(&h, "b", 4); /* what gathers with it costs nothing */
    quo_server_end_turn(h.server);
    expect(&h, put_synced(&h, "c", 4), QUO_DISK_FULL); /* one at a time */
    settle(&h);
    expect(&h, probe, QUO_DISK_FULL);
    expect(&h, along, QUO_DISK_FULL);
    assert_false(quo_server_writable(h.server));
    h.mono_us += 1000000;
    uint64_t second = put_synced(&h, "a", 5);
    settle(&h);
    expect_version(&h, second, QUO_OK, 5, true);
    assert_true(quo_server_writable(h.server));
    uint64_t normal = put_synced(&h, "a", 6);
    settle(&h);
    expect_version(&h, normal, QUO_OK, 6, true);
    assert_int_equal(quo_store_memory_commits(h.store), commits + 2);
    harness_stop(&h);
}

static void test_probe_that_writes_nothing_does_not_block_the_next(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 5);
    settle(&h);
    fail_commit(&h, 1, QUO_DISK_FULL);
    put_synced(&h, "a", 6);
    settle(&h);
    h.mono_us += 1000000;
    expect_version(&h, put_synced(&h, "a", 4), QUO_SUPERSEDED, 5, true);
    assert_false(quo_server_writable(h.server));
    uint64_t id = put_synced(&h, "a", 7);
    settle(&h);
    expect_version(&h, id, QUO_OK, 7, true);
    assert_true(quo_server_writable(h.server));
    harness_stop(&h);
}

static void test_io_error_ends_writing_for_ever(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 1);
    settle(&h);
    fail_commit(&h, 1, QUO_IO_ERROR);
    uint64_t id = put_synced(&h, "a", 2);
    settle(&h);
    expect(&h, id, QUO_IO_ERROR);
    assert_false(quo_server_writable(h.server));
    expect(&h, put_synced(&h, "a", 3), QUO_READ_ONLY);
    h.mono_us += 100000000;
    expect(&h, put(&h, "b", 3, 0), QUO_READ_ONLY);
    expect_shown(&h, "a", 1);
    assert_int_equal(STAT(&h, io_errors), 1);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

/* Three groups: one under way, one full, one gathering. Whichever commit fails takes everything
 * behind it along, and nothing before it. */
static void fail_at(uint64_t position, enum quo_status status)
{
    struct harness h;
    harness_start(&h);
    fail_commit(&h, position, status);
    uint64_t first = put_synced(&h, "a", 1);
    quo_server_end_turn(h.server);
    uint64_t second = put_synced(&h, "a", 2);
    for (unsigned i = 1; i < QUO_BATCH_COUNT_MAX; i++) {
        char key[4] = {'k', (char)('a' + i % 64), (char)('a' + i / 64)};
        put(&h, key, 1, 0);
    }
    uint64_t third = put_synced(&h, "a", 3);
    uint64_t older = put_synced(&h, "a", 2);
    settle(&h);
    enum quo_status behind = status == QUO_DISK_FULL ? QUO_DISK_FULL : QUO_READ_ONLY;
    expect(&h, first, position > 1 ? QUO_OK : status);
    expect(&h, second, position > 2 ? QUO_OK : position == 2 ? status : behind);
    expect(&h, third, position > 3 ? QUO_OK : position == 3 ? status : behind);
    expect(&h, older, position > 3 ? QUO_SUPERSEDED : position == 3 ? status : behind);
    expect_shown(&h, "a", position - 1);
    assert_int_equal(quo_server_writable(h.server), position > 3);
    /* The overlay is empty again: what failed is not believed. */
    h.mono_us += 1000000;
    uint64_t again = put_synced(&h, "a", 1);
    settle(&h);
    if (position > 2)
        expect(&h, again, status == QUO_IO_ERROR && position == 3 ? QUO_READ_ONLY : QUO_SUPERSEDED);
    else
        expect(&h, again, status == QUO_IO_ERROR ? QUO_READ_ONLY : QUO_OK);
    harness_stop(&h);
}

static void test_commit_fails_at_each_position(void **state)
{
    (void)state;
    for (uint64_t position = 1; position <= 4; position++) {
        fail_at(position, QUO_DISK_FULL);
        fail_at(position, QUO_IO_ERROR);
    }
}

static void test_stores_that_wait_for_a_load_when_the_storage_fails(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 1);
    settle(&h);
    fail_commit(&h, 1, QUO_IO_ERROR);
    put_synced(&h, "b", 1);
    quo_server_end_turn(h.server);
    quo_store_memory_faults(h.store)->get_would_block = true;
    uint64_t id = put_synced(&h, "a", 2);
    run_tasks(&h);
    expect(&h, id, QUO_READ_ONLY);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

static void test_drain(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t under_way = put_synced(&h, "a", 1);
    quo_server_end_turn(h.server);
    uint64_t gathered = put_synced(&h, "a", 2);
    quo_server_drain(h.server);
    assert_false(quo_server_writable(h.server));
    assert_false(quo_server_idle(h.server));
    expect(&h, put_synced(&h, "a", 3), QUO_READ_ONLY);
    settle(&h);
    expect_version(&h, under_way, QUO_OK, 1, true);
    expect_version(&h, gathered, QUO_OK, 2, true);
    assert_true(quo_server_idle(h.server));
    expect_shown(&h, "a", 2);
    /* A read may not leave anything to write either. */
    h.entry.epoch = 2;
    expect(&h, query(&h, "a"), QUO_READ_ONLY);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

static void test_start_on_a_full_disk(void **state)
{
    (void)state;
    struct harness h;
    char why[200];
    harness_prepare(&h);
    fail_commit(&h, 1, QUO_DISK_FULL);
    assert_int_equal(server_open(&h, why, sizeof why), QUO_OK);
    turn(&h);
    assert_false(quo_server_serving(h.server));
    assert_false(quo_server_writable(h.server));
    turn(&h);
    assert_true(quo_server_idle(h.server));
    expect(&h, query(&h, "a"), QUO_BUSY);
    h.mono_us += 1000000;
    turn(&h);
    turn(&h);
    assert_true(quo_server_serving(h.server));
    assert_true(quo_server_writable(h.server));
    expect_shown(&h, "a", 0);
    harness_stop(&h);
}

static void test_start_on_a_broken_disk(void **state)
{
    (void)state;
    struct harness h;
    char why[200];
    harness_prepare(&h);
    fail_commit(&h, 1, QUO_IO_ERROR);
    assert_int_equal(server_open(&h, why, sizeof why), QUO_OK);
    settle(&h);
    h.mono_us += 100000000;
    settle(&h);
    assert_false(quo_server_serving(h.server));
    assert_false(quo_server_writable(h.server));
    expect(&h, put_synced(&h, "a", 1), QUO_BUSY);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk_applies_nothing),
        cmocka_unit_test(test_full_disk_is_tried_again_once_a_second),
        cmocka_unit_test(test_probe_that_writes_nothing_does_not_block_the_next),
        cmocka_unit_test(test_io_error_ends_writing_for_ever),
        cmocka_unit_test(test_commit_fails_at_each_position),
        cmocka_unit_test(test_stores_that_wait_for_a_load_when_the_storage_fails),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_start_on_a_full_disk),
        cmocka_unit_test(test_start_on_a_broken_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
