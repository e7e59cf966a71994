/* PREP and ACC through group commit: who is answered when, what a promise shows, and what is still
 * promised after a crash. */
#include "tests/unit/server/harness.h"

static struct quo_store_faults *faults(struct harness *h)
{
    return quo_store_memory_faults(h->store);
}

static void fail_commit(struct harness *h, uint64_t countdown, enum quo_status status)
{
    faults(h)->commit_in = countdown;
    faults(h)->commit_status = status;
}

/* Another server on the same storage: what the first kept in memory is gone. */
static void restart(struct harness *h)
{
    char why[200];
    settle(h);
    quo_server_free(h->server);
    h->server = NULL;
    assert_int_equal(server_open(h, why, sizeof why), QUO_OK);
    settle(h);
}

static void forget_commit(struct quo_store *store, struct quo_commit *commit)
{
    (void)store;
    (void)commit;
}

/* The machine stops while the commit of everything gathered is under way. */
static void crash(struct harness *h)
{
    char why[200];
    const struct quo_store_ops *memory = h->store->ops;
    struct quo_store_ops forgetful = *memory;
    assert_null(h->tasks);
    forgetful.commit = forget_commit;
    h->store->ops = &forgetful;
    quo_server_end_turn(h->server);
    h->store->ops = memory;
    quo_server_free(h->server);
    h->server = NULL;
    assert_int_equal(server_open(h, why, sizeof why), QUO_OK);
    settle(h);
}

static unsigned count_visited;
static bool visit(void *context, struct quo_slice key, struct quo_slice value)
{
    (void)context;
    (void)key;
    assert_int_equal(value.len, QUO_VERSION_SIZE);
    count_visited++;
    return true;
}
/* How many promises the engine keeps beside records. */
static unsigned kept(struct harness *h)
{
    static const uint8_t end[] = {0xff};
    count_visited = 0;
    assert_int_equal(h->store->ops->scan(h->store, QUO_FAMILY_PROMISE, quo_slice(NULL, 0),
                                         quo_slice(end, sizeof end), visit, NULL),
                     QUO_OK);
    return count_visited;
}

/* The record that a reply shows, whose value is its number. */
static void expect_record(const struct harness *h, uint64_t id, uint64_t n)
{
    const struct quo_msg_reply *reply = expect(h, id, QUO_OK);
    assert_int_equal(reply->flags, QUO_REPLY_DURABLE | QUO_REPLY_VALUE);
    struct quo_record record;
    assert_int_equal(quo_record_decode(reply->record, &record), QUO_OK);
    assert_int_equal(record.version.hlc, HLC(n));
    assert_int_equal(reply->version.hlc, HLC(n));
    assert_int_equal(reply->record_size, reply->record.len);
    assert_true(quo_slice_equal(record.value, quo_slice(&n, sizeof n)));
}

static void start_with(struct harness *h, uint64_t n)
{
    harness_start(h);
    acc(h, "a", n);
    settle(h);
    expect_version(h, h->last_id, QUO_OK, n, true);
}

static void test_promise_is_answered_when_it_is_on_disk(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t id = prep(&h, "a", 5);
    assert_false(answered(&h, id));
    turn(&h);
    assert_false(answered(&h, id));
    turn(&h);
    expect_promised(&h, id, QUO_OK, 0, 5);
    assert_int_equal(expect(&h, id, QUO_OK)->flags, QUO_REPLY_DURABLE);
    assert_int_equal(kept(&h), 1);
    assert_int_equal(STAT(&h, prepares), 1);
    assert_int_equal(STAT(&h, promises), 1);
    assert_int_equal(STAT(&h, committed), 0);
    restart(&h);
    expect_promised(&h, prep(&h, "a", 5), QUO_NACK, 0, 5);
    expect_promised(&h, acc(&h, "a", 4), QUO_NACK, 0, 5);
    harness_stop(&h);
}

static void test_acc_is_answered_when_it_is_on_disk(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    prep(&h, "a", 5);
    settle(&h);
    uint64_t id = acc(&h, "a", 5);
    turn(&h);
    assert_false(answered(&h, id));
    expect_version(&h, query_of(&h, NS_CAS, "a", 0), QUO_OK, 0, true);
    turn(&h);
    expect_promised(&h, id, QUO_OK, 5, 5);
    assert_int_equal(expect(&h, id, QUO_OK)->flags, QUO_REPLY_DURABLE);
    assert_int_equal(kept(&h), 0); /* the record says it all */
    assert_int_equal(STAT(&h, accepts), 1);
    assert_int_equal(STAT(&h, committed), 1);
    restart(&h);
    expect_promised(&h, prep(&h, "a", 5), QUO_NACK, 5, 5);
    expect_promised(&h, acc(&h, "a", 4), QUO_NACK, 5, 5);
    expect_promised(&h, acc(&h, "a", 5), QUO_OK, 5, 5);
    harness_stop(&h);
}

static void test_promise_shows_the_record(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    uint64_t whole = prep(&h, "a", 5);
    settle(&h);
    expect_record(&h, whole, 3);
    uint32_t size = expect(&h, whole, QUO_OK)->record_size;
    uint64_t without = prep_of(&h, NS_CAS, "a", 6, size - 1);
    uint64_t exact = prep_of(&h, NS_CAS, "a", 7, size);
    settle(&h);
    assert_int_equal(expect(&h, without, QUO_OK)->flags, QUO_REPLY_DURABLE);
    assert_int_equal(expect(&h, without, QUO_OK)->record.len, 0);
    assert_int_equal(expect(&h, without, QUO_OK)->record_size, size);
    expect_record(&h, exact, 3);
    harness_stop(&h);
}

static void test_refusals_are_answered_at_once(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    expect_promised(&h, prep(&h, "a", 3), QUO_NACK, 3, 3);
    expect_promised(&h, acc(&h, "a", 2), QUO_NACK, 3, 3);
    prep(&h, "a", 5);
    /* By what is not on disk yet. */
    expect_promised(&h, prep(&h, "a", 5), QUO_NACK, 3, 5);
    expect_promised(&h, acc(&h, "a", 4), QUO_NACK, 3, 5);
    acc(&h, "a", 6);
    expect_promised(&h, prep(&h, "a", 6), QUO_NACK, 6, 6);
    assert_int_equal(expect(&h, h.last_id, QUO_NACK)->flags, 0);
    assert_int_equal(STAT(&h, nacks), 5);
    harness_stop(&h);
}

static void test_promises_in_one_group(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    uint64_t commits = STAT(&h, commits);
    uint64_t first = prep(&h, "a", 5);
    uint64_t lower = prep(&h, "a", 4);
    uint64_t second = prep(&h, "a", 7);
    expect_promised(&h, lower, QUO_NACK, 3, 5);
    settle(&h);
    assert_int_equal(STAT(&h, commits), commits + 1);
    expect_promised(&h, first, QUO_OK, 3, 5);
    expect_promised(&h, second, QUO_OK, 3, 7);
    expect_record(&h, first, 3);
    expect_record(&h, second, 3);
    restart(&h);
    expect_promised(&h, prep(&h, "a", 6), QUO_NACK, 3, 7);
    harness_stop(&h);
}

/* The record that joins the promise's group must not take the place of the one it was given over.
 */
static void test_promise_shows_what_it_was_given_over(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    uint64_t promised = prep(&h, "a", 5);
    uint64_t own = acc(&h, "a", 5);
    uint64_t later = acc(&h, "a", 8);
    settle(&h);
    expect_promised(&h, promised, QUO_OK, 3, 5);
    expect_record(&h, promised, 3);
    expect_version(&h, own, QUO_OK, 5, true);
    expect_version(&h, later, QUO_OK, 8, true);
    harness_stop(&h);
}

static void test_promise_waits_for_a_record_that_gathers(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    uint64_t commits = STAT(&h, commits);
    uint64_t written = acc(&h, "a", 5);
    uint64_t promised = prep(&h, "a", 7);
    turn(&h);
    turn(&h);
    expect_version(&h, written, QUO_OK, 5, true);
    assert_false(answered(&h, promised));
    settle(&h);
    assert_int_equal(STAT(&h, commits), commits + 2);
    expect_promised(&h, promised, QUO_OK, 5, 7);
    expect_record(&h, promised, 5);
    harness_stop(&h);
}

/* It shares the commit of what gathered meanwhile. */
static void test_promise_waits_for_a_record_under_way(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    uint64_t commits = STAT(&h, commits);
    acc(&h, "a", 5);
    quo_server_end_turn(h.server);
    uint64_t promised = prep(&h, "a", 7);
    uint64_t other = acc(&h, "b", 1);
    run_tasks(&h);
    assert_false(answered(&h, promised));
    quo_server_end_turn(h.server);
    run_tasks(&h);
    expect_record(&h, promised, 5);
    expect_version(&h, other, QUO_OK, 1, true);
    assert_int_equal(STAT(&h, commits), commits + 2);
    harness_stop(&h);
}

static void test_promise_that_waited_may_have_come_too_late(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    acc(&h, "a", 5);
    quo_server_end_turn(h.server);
    uint64_t late = prep(&h, "a", 7), again = prep(&h, "a", 9);
    acc(&h, "a", 8);
    run_tasks(&h);
    expect_promised(&h, late, QUO_NACK, 8, 8);
    assert_false(answered(&h, again)); /* waits for 8 now */
    quo_server_end_turn(h.server);
    run_tasks(&h);
    assert_false(answered(&h, again));
    settle(&h);
    expect_record(&h, again, 8);
    harness_stop(&h);
}

static void test_promise_waits_for_a_blind_record(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t five = 5;
    put_value(&h, NS_MIXED, "a", 5, 0, quo_slice(&five, sizeof five));
    uint64_t promised = prep_of(&h, NS_MIXED, "a", 7, 100);
    settle(&h);
    expect_record(&h, promised, 5);
    expect_promised(&h, promised, QUO_OK, 5, 7);
    harness_stop(&h);
}

static void test_acc_again(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t first = acc(&h, "a", 5);
    uint64_t copy = acc(&h, "a", 5);
    uint64_t other = acc_value(&h, NS_CAS, "a", 5, 0, quo_slice_of("other"));
    assert_false(answered(&h, copy)); /* it is not on disk */
    expect(&h, other, QUO_CORRUPT);
    settle(&h);
    expect_version(&h, first, QUO_OK, 5, true);
    expect_version(&h, copy, QUO_OK, 5, true);
    prep(&h, "a", 9);
    /* The record is on disk, whatever is promised beside it. */
    expect_promised(&h, acc(&h, "a", 5), QUO_OK, 5, 9);
    expect(&h, acc_value(&h, NS_CAS, "a", 5, 0, quo_slice_of("other")), QUO_CORRUPT);
    settle(&h);
    expect_promised(&h, acc(&h, "a", 5), QUO_OK, 5, 9);
    expect(&h, acc_value(&h, NS_CAS, "a", 5, 0, quo_slice_of("other")), QUO_CORRUPT);
    harness_stop(&h);
}

static void test_next_is_promised_by_what_stores(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t five = 5;
    struct quo_slice value = quo_slice(&five, sizeof five);
    uint64_t first = acc_value(&h, NS_CAS, "a", 5, 9, value);
    uint64_t copy = acc_value(&h, NS_CAS, "a", 5, 9, value);
    settle(&h);
    expect_promised(&h, first, QUO_OK, 5, 9);
    expect_promised(&h, copy, QUO_OK, 5, 9);
    assert_int_equal(expect(&h, first, QUO_OK)->flags, QUO_REPLY_DURABLE | QUO_REPLY_NEXT);
    assert_int_equal(expect(&h, copy, QUO_OK)->flags, QUO_REPLY_DURABLE);
    assert_int_equal(kept(&h), 1);
    restart(&h);
    expect_promised(&h, acc(&h, "a", 8), QUO_NACK, 5, 9);
    uint64_t warm = acc_value(&h, NS_CAS, "a", 9, 12, value);
    settle(&h);
    expect_promised(&h, warm, QUO_OK, 9, 12);
    uint64_t last = acc(&h, "a", 12);
    settle(&h);
    expect_promised(&h, last, QUO_OK, 12, 12);
    assert_int_equal(kept(&h), 0);
    assert_int_equal(STAT(&h, promises), 1); /* since the restart */
    harness_stop(&h);
}

static void test_blind_write_over_a_proposal(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct harness h;
        harness_start(&h);
        uint64_t n = 5;
        acc_value(&h, NS_MIXED, "a", 5, 0, quo_slice(&n, sizeof n));
        settle(&h);
        assert_int_equal(kept(&h), 0);
        uint64_t blind = put_value(&h, NS_MIXED, "a", 9, QUO_STORE_SYNC, quo_slice_of("x"));
        settle(&h);
        expect_promised(&h, blind, QUO_OK, 9, 5);
        assert_int_equal(kept(&h), 1);
        if (again == 1)
            restart(&h);
        expect_promised(&h, acc_value(&h, NS_MIXED, "a", 4, 0, quo_slice_of("x")), QUO_NACK, 9, 5);
        expect_promised(&h, acc_value(&h, NS_MIXED, "a", 6, 0, quo_slice_of("x")), QUO_SUPERSEDED,
                        9, 5);
        uint64_t over = acc_value(&h, NS_MIXED, "a", 11, 0, quo_slice_of("x"));
        settle(&h);
        expect_promised(&h, over, QUO_OK, 11, 11);
        assert_int_equal(kept(&h), 0);
        harness_stop(&h);
    }
}

static void test_acc_superseded_by_what_is_not_on_disk_waits(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_value(&h, NS_MIXED, "a", 9, 0, quo_slice_of("x"));
    uint64_t id = acc_value(&h, NS_MIXED, "a", 6, 0, quo_slice_of("x"));
    assert_false(answered(&h, id));
    settle(&h);
    expect_version(&h, id, QUO_SUPERSEDED, 9, true);
    harness_stop(&h);
}

static void test_what_a_crash_takes(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    uint64_t lost[] = {prep(&h, "a", 5), acc(&h, "a", 6), prep(&h, "a", 8), acc(&h, "b", 1)};
    crash(&h);
    for (size_t i = 0; i < QUO_COUNT(lost); i++)
        assert_false(answered(&h, lost[i]));
    /* Nobody was told of it, so it may be as if it had never come. */
    uint64_t id = prep(&h, "a", 4);
    settle(&h);
    expect_promised(&h, id, QUO_OK, 3, 4);
    expect_record(&h, id, 3);
    harness_stop(&h);
}

static void test_commit_that_fails(void **state)
{
    (void)state;
    static const enum quo_status failures[] = {QUO_DISK_FULL, QUO_IO_ERROR};
    for (size_t i = 0; i < QUO_COUNT(failures); i++) {
        struct harness h;
        start_with(&h, 3);
        fail_commit(&h, 1, failures[i]);
        uint64_t promised = prep(&h, "b", 5);
        uint64_t shown = prep(&h, "a", 5);
        uint64_t written = acc(&h, "a", 6);
        uint64_t waits = prep(&h, "a", 8);
        turn(&h);
        uint64_t behind = prep(&h, "c", 5);
        turn(&h);
        expect(&h, promised, failures[i]);
        expect(&h, shown, failures[i]);
        expect(&h, written, failures[i]);
        expect(&h, waits, failures[i]);
        expect(&h, behind, failures[i] == QUO_IO_ERROR ? QUO_READ_ONLY : QUO_DISK_FULL);
        /* It is not believed any more. */
        h.mono_us += 1000000;
        uint64_t again = prep(&h, "a", 4);
        settle(&h);
        expect(&h, again, failures[i] == QUO_IO_ERROR ? QUO_READ_ONLY : QUO_OK);
        expect_version(&h, query_of(&h, NS_CAS, "a", 0), QUO_OK, 3, true);
        harness_stop(&h);
    }
}

static void test_prep_and_acc_wait_for_loads_in_order(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    prep(&h, "a", 4);
    settle(&h);
    faults(&h)->get_would_block = true;
    uint64_t refused = acc(&h, "a", 2);
    uint64_t first = prep(&h, "a", 5);
    uint64_t below = prep(&h, "a", 5);
    uint64_t second = prep(&h, "a", 6);
    uint64_t stale = acc(&h, "a", 5);
    uint64_t written = acc(&h, "a", 6);
    uint64_t last = prep(&h, "a", 7);
    for (uint64_t id = refused; id <= last; id++)
        assert_false(answered(&h, id));
    run_tasks(&h);
    run_tasks(&h);
    assert_int_equal(STAT(&h, loads), 1);
    expect_promised(&h, refused, QUO_NACK, 3, 4);
    expect_promised(&h, below, QUO_NACK, 3, 5);
    /* The second cannot show the record without another load, so it waits, and gives way. */
    assert_false(answered(&h, stale));
    settle(&h);
    expect_record(&h, first, 3);
    expect_version(&h, stale, QUO_OK, 5, true);
    expect_version(&h, written, QUO_OK, 6, true);
    expect_promised(&h, second, QUO_NACK, 6, 6);
    expect_record(&h, last, 6);
    expect_promised(&h, last, QUO_OK, 6, 7);
    assert_int_equal(STAT(&h, loads), 2);
    harness_stop(&h);
}

static void test_loads_and_reads_that_fail(void **state)
{
    (void)state;
    static const enum quo_status failures[] = {QUO_IO_ERROR, QUO_CORRUPT};
    for (size_t i = 0; i < QUO_COUNT(failures); i++) {
        struct harness h;
        start_with(&h, 3);
        faults(&h)->get_status = failures[i];
        faults(&h)->get_in = 2;
        expect(&h, prep(&h, "a", 5), failures[i]);
        /* Beside a promise that is not on disk the record alone is read. */
        uint64_t promised = prep(&h, "a", 5);
        faults(&h)->get_in = 1;
        expect(&h, prep(&h, "a", 6), failures[i]);
        settle(&h);
        expect_record(&h, promised, 3);
        faults(&h)->get_would_block = true;
        faults(&h)->load_in = 2;
        faults(&h)->load_status = failures[i];
        uint64_t loaded = prep(&h, "a", 6);
        settle(&h);
        expect(&h, loaded, failures[i]);
        assert_true(quo_server_idle(h.server));
        harness_stop(&h);
    }
}

static void test_promise_read_from_disk_alone(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    prep(&h, "a", 5);
    settle(&h);
    restart(&h);
    faults(&h)->get_would_block = true;
    uint64_t low = prep(&h, "a", 4), high = prep(&h, "a", 6);
    settle(&h);
    expect_promised(&h, low, QUO_NACK, 0, 5);
    expect_promised(&h, high, QUO_OK, 0, 6);
    harness_stop(&h);
}

static void test_newer_epoch_is_on_disk_before_a_promise(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    acc(&h, "a", 5);
    quo_server_end_turn(h.server);
    h.entry.epoch = 2;
    uint64_t promised = prep(&h, "a", 7), refused = prep(&h, "a", 5);
    assert_false(answered(&h, refused));
    h.entry.epoch = 1;
    expect(&h, prep(&h, "a", 9), QUO_WRONG_EPOCH);
    expect(&h, acc(&h, "a", 9), QUO_WRONG_EPOCH);
    run_tasks(&h);
    assert_false(answered(&h, promised));
    assert_false(answered(&h, refused));
    settle(&h);
    expect_record(&h, promised, 5);
    expect(&h, refused, QUO_NACK);
    harness_stop(&h);
}

/* The epoch moved on while the PREP waited. */
static void test_prep_that_waited_too_long_for_its_epoch(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    acc(&h, "a", 5);
    quo_server_end_turn(h.server);
    uint64_t old = prep(&h, "a", 7);
    h.entry.epoch = 2;
    uint64_t newer = prep(&h, "b", 7);
    settle(&h);
    expect(&h, old, QUO_WRONG_EPOCH);
    expect_promised(&h, newer, QUO_OK, 0, 7);
    harness_stop(&h);
}

static void test_drain(void **state)
{
    (void)state;
    struct harness h;
    start_with(&h, 3);
    acc(&h, "a", 5);
    uint64_t waits = prep(&h, "a", 7);
    quo_server_drain(h.server);
    expect(&h, prep(&h, "a", 8), QUO_READ_ONLY);
    expect(&h, acc(&h, "a", 8), QUO_READ_ONLY);
    settle(&h);
    expect_record(&h, waits, 5);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promise_is_answered_when_it_is_on_disk),
        cmocka_unit_test(test_acc_is_answered_when_it_is_on_disk),
        cmocka_unit_test(test_promise_shows_the_record),
        cmocka_unit_test(test_refusals_are_answered_at_once),
        cmocka_unit_test(test_promises_in_one_group),
        cmocka_unit_test(test_promise_shows_what_it_was_given_over),
        cmocka_unit_test(test_promise_waits_for_a_record_that_gathers),
        cmocka_unit_test(test_promise_waits_for_a_record_under_way),
        cmocka_unit_test(test_promise_that_waited_may_have_come_too_late),
        cmocka_unit_test(test_promise_waits_for_a_blind_record),
        cmocka_unit_test(test_acc_again),
        cmocka_unit_test(test_next_is_promised_by_what_stores),
        cmocka_unit_test(test_blind_write_over_a_proposal),
        cmocka_unit_test(test_acc_superseded_by_what_is_not_on_disk_waits),
        cmocka_unit_test(test_what_a_crash_takes),
        cmocka_unit_test(test_commit_that_fails),
        cmocka_unit_test(test_prep_and_acc_wait_for_loads_in_order),
        cmocka_unit_test(test_loads_and_reads_that_fail),
        cmocka_unit_test(test_promise_read_from_disk_alone),
        cmocka_unit_test(test_newer_epoch_is_on_disk_before_a_promise),
        cmocka_unit_test(test_prep_that_waited_too_long_for_its_epoch),
        cmocka_unit_test(test_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
