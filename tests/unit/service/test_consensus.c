/* Consensus writes through one service: what they send, what they answer. */
#include "tests/unit/service/world.h"

static struct world w; /* the map alone is 8 MB */
static struct world_answer a, b;

static int setup(void **state)
{
    (void)state;
    world_init(&w, 1, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
    assert_int_equal(quo_service_deadline(w.services[0].service), UINT64_MAX);
    world_free(&w);
    return 0;
}

static void what_goes_through_consensus(void **state)
{
    (void)state;
    static const struct {
        enum quo_request_type type;
        bool cas, mixed, lww;
    } rows[] = {
        {QUO_REQUEST_GET, false, false, false},   {QUO_REQUEST_SETTLE, false, false, false},
        {QUO_REQUEST_PUT, true, true, false},     {QUO_REQUEST_DELETE, true, true, false},
        {QUO_REQUEST_PATCH, true, true, false},   {QUO_REQUEST_ADD, true, true, false},
        {QUO_REQUEST_RESOLVE, true, true, false},
    };

    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        const bool expected[] = {rows[i].cas, rows[i].mixed, rows[i].lww};
        for (int ns = 0; ns < 3; ns++) {
            struct quo_request request = world_request(&w, ns, rows[i].type, "k", NULL);
            assert_int_equal(quo_request_is_consensus(&request), expected[ns]);
        }
    }
    /* An eventual plain write of a mixed key is blind; nothing more. */
    struct quo_request put = world_request(&w, 1, QUO_REQUEST_PUT, "k", "v");
    put.consistency.strong = false;
    assert_false(quo_request_is_consensus(&put));
    put.has_opid = true;
    assert_true(quo_request_is_consensus(&put));
    put.has_opid = false;
    put.condition = QUO_CONDITION_ABSENT;
    assert_true(quo_request_is_consensus(&put));
    put.ns = &w.map.namespaces[0];
    put.condition = QUO_CONDITION_NONE;
    assert_true(quo_request_is_consensus(&put));
}

static void a_cold_write_takes_two_rounds_a_warm_one_takes_one(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(a.response.outcome, QUO_APPLIED);
    assert_int_equal(a.response.receipt.round_trips, 2);
    assert_int_equal(a.response.receipt.level, QUO_LEVEL_STRONG);
    assert_true(a.response.is_consensus);
    assert_int_equal(a.response.change.code, QUO_CHANGE_DONE);
    assert_true(quo_version_equal(a.response.receipt.version, a.response.record.changed));
    assert_true(quo_version_equal(a.response.change.changed, a.response.record.changed));
    world_expect_value(&a, "one");
    assert_in_range(w.sent[QUO_MESSAGE_PREP], 2, 3);
    assert_int_equal(w.sent[QUO_MESSAGE_ACC], 3);

    int preps = w.sent[QUO_MESSAGE_PREP];
    put.value = quo_slice_of("two");
    world_do(&w, 0, &put, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(b.response.receipt.round_trips, 1);
    assert_int_equal(w.sent[QUO_MESSAGE_PREP], preps);
    assert_int_equal(w.sent[QUO_MESSAGE_ACC], 6);
    world_expect_value(&b, "two");
    assert_true(quo_version_compare(b.response.record.changed, a.response.record.changed) > 0);
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), 1);
    assert_int_equal(WORLD_COUNTED(&w, 0, accepts), 2);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_starts), 1);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_hits), 1);

    struct quo_request get = world_request(&w, 0, QUO_REQUEST_GET, "k", NULL);
    world_do(&w, 0, &get, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_FOUND);
    assert_false(a.response.is_consensus);
    assert_true(quo_version_equal(a.response.receipt.version, b.response.record.changed));
    world_expect_value(&a, "two");
}

static void no_write_is_warm_where_blind_writes_share_the_key(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 1, QUO_REQUEST_PUT, "k", "one");

    for (int i = 0; i < 3; i++) {
        world_do(&w, 0, &put, &a);
        assert_int_equal(a.response.receipt.round_trips, 2);
    }
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_starts), 0);
}

static void a_promise_grows_old(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    world_do(&w, 0, &put, &a);
    world_skip(&w, QUO_WARM_IDLE_MS);
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.receipt.round_trips, 1);
    world_skip(&w, QUO_WARM_IDLE_MS + 1);
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.receipt.round_trips, 2);
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.receipt.round_trips, 1);
}

static void a_promise_ends_with_its_epoch(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_request get = world_request(&w, 0, QUO_REQUEST_GET, "k", NULL);

    world_do(&w, 0, &put, &a);
    w.epoch = 2;
    /* The read learns it. */
    world_do(&w, 0, &get, &a);
    assert_int_equal(a.response.receipt.epoch, 2);
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.receipt.epoch, 2);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_starts), 0);
    /* The write itself learns it, and prepares again. */
    w.epoch = 3;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(a.response.receipt.epoch, 3);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_starts), 1);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_hits), 0);
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), 3);
}

static void a_false_condition_declines(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_request second = world_request(&w, 0, QUO_REQUEST_PUT, "k", "two");

    world_do(&w, 0, &put, &a);
    second.condition = QUO_CONDITION_ABSENT;
    /* The promise is warm, and yet only what replicas show can tell [T13]. */
    world_do(&w, 0, &second, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_DECLINED);
    assert_int_equal(b.response.outcome, QUO_NOT_APPLIED);
    assert_int_equal(b.response.change.code, QUO_CHANGE_CONDITION);
    assert_true(quo_version_equal(b.response.receipt.version, a.response.receipt.version));
    world_expect_value(&b, "one");
    assert_true(w.sent[QUO_MESSAGE_PREP] > 3);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_starts), 1);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_hits), 0);
    assert_int_equal(WORLD_COUNTED(&w, 0, declined), 1);
    assert_int_equal(
        quo_counted(&world_stats(&w, 0)->verdicts[1][QUO_LEVEL_STRONG][QUO_VERDICT_DECLINED]), 1);

    second.condition = QUO_CONDITION_TAGS;
    second.tag_count = 1;
    second.tags[0] = a.response.receipt.version;
    world_do(&w, 0, &second, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    world_expect_value(&b, "two");
}

static void of_nothing_there_is_no_record(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_request get = world_request(&w, 0, QUO_REQUEST_GET, "k", NULL);

    put.condition = QUO_CONDITION_PRESENT;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_DECLINED);
    assert_true(quo_version_is_none(a.response.record.version));
    assert_true(quo_version_is_none(a.response.receipt.version));
    /* Nor if that was recorded. */
    put.has_opid = true;
    put.opid = quo_opid_of_key(quo_slice_of("x"));
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_DECLINED);
    assert_true(quo_version_is_none(a.response.record.version));
    /* A read may ask what was: the ring is there. */
    world_do(&w, 0, &get, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_ABSENT);
    assert_int_equal(a.response.record.flags, QUO_RECORD_TOMBSTONE);
    assert_int_equal(quo_ring_count(a.response.record.ring), 1);
    assert_true(quo_version_is_none(a.response.receipt.version));
}

static void a_tombstone_is_shown_to_those_who_ask(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_request delete = world_request(&w, 0, QUO_REQUEST_DELETE, "k", NULL);
    struct quo_request get = world_request(&w, 0, QUO_REQUEST_GET, "k", NULL);

    world_do(&w, 0, &put, &a);
    world_do(&w, 0, &delete, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(b.response.record.flags, QUO_RECORD_TOMBSTONE);
    world_do(&w, 0, &get, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_ABSENT);
    assert_int_equal(a.response.record.flags, QUO_RECORD_TOMBSTONE);
    assert_true(quo_version_equal(a.response.receipt.version, b.response.receipt.version));
}

static void counters_and_patches_answer_what_they_made(void **state)
{
    (void)state;
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);
    struct quo_request patch = world_request(&w, 0, QUO_REQUEST_PATCH, "doc", NULL);

    add.by = 5;
    world_do(&w, 0, &add, &a);
    add.by = -7;
    world_do(&w, 0, &add, &a);
    assert_true(a.response.change.has_counter);
    assert_int_equal(a.response.change.counter, -2);
    world_expect_value(&a, "-2");
    add.has_min = true;
    add.min = -5;
    world_do(&w, 0, &add, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_DECLINED);
    assert_int_equal(a.response.change.code, QUO_CHANGE_BOUND);
    assert_int_equal(a.response.change.counter, -2);

    patch.value = quo_slice_of("{\"a\":1,\"b\":2}");
    world_do(&w, 0, &patch, &a);
    patch.value = quo_slice_of("{\"a\":null,\"c\":3}");
    world_do(&w, 0, &patch, &a);
    world_expect_value(&a, "{\"b\":2,\"c\":3}");
}

static void a_keyed_write_happens_once(void **state)
{
    (void)state;
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);

    add.by = 1;
    add.has_opid = true;
    add.opid = quo_opid_of_key(quo_slice_of("order-17"));
    add.digest = 4;
    world_do(&w, 0, &add, &a);
    assert_false(a.response.change.replayed);
    assert_true(quo_opid_equal(&a.response.opid, &add.opid));
    world_do(&w, 0, &add, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    assert_true(b.response.change.replayed);
    assert_int_equal(b.response.change.counter, 1);
    assert_true(quo_version_equal(b.response.change.changed, a.response.change.changed));
    assert_int_equal(WORLD_COUNTED(&w, 0, replays), 1);
    add.digest = 5;
    world_do(&w, 0, &add, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_DECLINED);
    assert_int_equal(b.response.change.code, QUO_CHANGE_KEY_REUSED);
}

static void an_operation_is_named_before_its_first_ballot(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    world_do(&w, 0, &put, &a);
    assert_false(quo_opid_is_keyed(&a.response.opid));
    assert_int_equal(quo_get_u64(a.response.opid.bytes), a.response.since);
    assert_true(a.response.since < a.response.record.version.hlc);
    /* Also when the ballot is older than the request. */
    world_skip(&w, 3000);
    world_do(&w, 0, &put, &b);
    assert_int_equal(b.response.receipt.round_trips, 1);
    assert_true(b.response.since <= b.response.record.version.hlc);
    assert_false(quo_opid_equal(&a.response.opid, &b.response.opid));
}

/* The moment that the link of a write names which reached nobody. */
static uint64_t named_in_vain(void)
{
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    put.consistency.timeout_ms = 50;
    world_submit(&w, 0, &put, &a);
    world_lose(&w, QUO_MESSAGE_PREP);
    world_pass(&w, 60);
    assert_int_equal(a.calls, 1);
    assert_int_not_equal(a.response.outcome, QUO_APPLIED);
    return a.response.since;
}

/* Nobody has judged the clock that named it: were it ahead, what is resolved by that moment later
 * could miss the write's own past. */
static void a_link_goes_by_clocks_that_were_heard(void **state)
{
    (void)state;
    struct quo_request get = world_request(&w, 0, QUO_REQUEST_GET, "k", NULL);

    assert_int_equal(named_in_vain(), 1);
    world_do(&w, 0, &get, &b);
    uint64_t named = named_in_vain();
    assert_in_range(named >> 16, w.wall_ms - 100, w.wall_ms);
    w.services[0].skew_ms = 20000;
    named = named_in_vain();
    assert_in_range(named >> 16, w.wall_ms - 100, w.wall_ms + QUO_SKEW_MAX_MS);
}

static void a_clock_that_is_ahead_is_corrected(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    w.services[0].skew_ms = 60000;
    for (int i = 0; i < 3; i++) {
        world_do(&w, 0, &put, &a);
        assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
        assert_true(quo_version_ms(a.response.record.version) <= w.wall_ms + QUO_SKEW_MAX_MS);
        assert_true(a.response.since <= a.response.record.version.hlc);
        world_skip(&w, 4000);
    }
    assert_in_range(WORLD_COUNTED(&w, 0, skews), 2, 3);
}

static void resolving_fences_what_did_not_happen(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_request resolve = world_request(&w, 0, QUO_REQUEST_RESOLVE, "k", NULL);

    put.has_opid = true;
    put.opid = quo_opid_of_key(quo_slice_of("order-17"));
    resolve.opid = put.opid;
    resolve.has_opid = true;
    resolve.since = w.wall_ms << 16;
    world_do(&w, 0, &resolve, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_DECLINED);
    assert_int_equal(a.response.change.code, QUO_CHANGE_FENCED);
    assert_int_equal(a.response.since, resolve.since);
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_DECLINED);
    assert_int_equal(a.response.change.code, QUO_CHANGE_FENCED);

    put.opid = resolve.opid = quo_opid_of_key(quo_slice_of("order-18"));
    world_do(&w, 0, &put, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    resolve.since = b.response.since;
    world_do(&w, 0, &resolve, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_true(a.response.change.replayed);
    assert_true(quo_version_equal(a.response.change.changed, b.response.change.changed));
    /* A stranger's idea of time moves no clock. */
    resolve.opid = quo_opid_of_key(quo_slice_of("order-19"));
    resolve.since = UINT64_MAX >> 1;
    world_do(&w, 0, &resolve, &a);
    world_do(&w, 0, &put, &a);
    assert_true(quo_version_ms(a.response.record.version) <= w.wall_ms + QUO_SKEW_MAX_MS);
}

/* A record on one replica, and a promise above it on the others. */
static void interrupt_a_write(int ns, const char *key)
{
    struct quo_request put = world_request(&w, ns, QUO_REQUEST_PUT, key, "two");

    world_submit(&w, 0, &put, &a);
    world_run_but(&w, QUO_MESSAGE_ACC);
    world_deliver(&w, world_find(&w, QUO_MESSAGE_ACC));
    assert_int_equal(world_lose(&w, QUO_MESSAGE_ACC), 2);
    world_run(&w);
    for (int i = 0; i < WORLD_REPLICAS; i++)
        world_cell(&w, i, quo_slice_of(key))->promised.hlc += 1000;
    world_pass(&w, 1000);
    assert_int_equal(a.response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(a.response.outcome, QUO_UNKNOWN);
}

static void a_read_settles_what_was_interrupted(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 1, QUO_REQUEST_PUT, "k", "one");
    struct quo_request get = world_request(&w, 1, QUO_REQUEST_GET, "k", NULL);
    bool was_prepared = false;

    world_do(&w, 0, &put, &a);
    for (int i = 0; i < 6; i++) {
        interrupt_a_write(1, "k");
        /* Another replica is asked first each time. */
        struct quo_request other = world_request(&w, 1, QUO_REQUEST_GET, "other", NULL);
        world_do(&w, 0, &other, &b);
        int preps = w.sent[QUO_MESSAGE_PREP];
        world_do(&w, 0, &get, &a);
        assert_int_equal(a.response.verdict, QUO_VERDICT_FOUND);
        was_prepared |= w.sent[QUO_MESSAGE_PREP] > preps;
        struct quo_version shown = a.response.receipt.version;
        world_do(&w, 0, &get, &b);
        /* What no read has shown may still come. */
        assert_true(quo_version_compare(b.response.receipt.version, shown) >= 0);
        assert_int_equal(b.response.outcome, QUO_NOT_APPLIED);
    }
    assert_true(was_prepared);
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), 1 + 6);
}

static void settling_overcomes_promises(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_request settle = world_request(&w, 0, QUO_REQUEST_SETTLE, "k", NULL);

    world_do(&w, 0, &put, &a);
    int preps = w.sent[QUO_MESSAGE_PREP];
    for (int i = 0; i < WORLD_REPLICAS; i++)
        world_cell(&w, i, quo_slice_of("k"))->promised.hlc += 1000;
    world_do(&w, 0, &settle, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_FOUND);
    assert_true(w.sent[QUO_MESSAGE_PREP] > preps);
    assert_true(quo_version_equal(b.response.receipt.version, a.response.receipt.version));
    world_expect_value(&b, "one");
    const struct world_cell *cell = world_cell(&w, 0, quo_slice_of("k"));
    assert_true(quo_version_compare(cell->version, a.response.record.version) > 0);
}

static void a_large_value_goes_all_the_way(void **state)
{
    (void)state;
    static char large[100001], larger[200001];
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", NULL);

    memset(large, 'x', sizeof large - 1);
    memset(larger, 'y', sizeof larger - 1);
    put.value = quo_slice_of(large);
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.value_len, sizeof large - 1);
    /* Too large to be kept for a warm start. */
    put.value = quo_slice_of(larger);
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.receipt.round_trips, 2);
    assert_int_equal(a.value_len, sizeof larger - 1);
    assert_int_equal(world_cell(&w, 0, quo_slice_of("k"))->len > sizeof larger, 1);
}

static void a_preempted_write_tries_again(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    w.services[0].nack_preps = 12;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_in_range(WORLD_COUNTED(&w, 0, preemptions), 4, 6);
    assert_int_equal(WORLD_COUNTED(&w, 0, forwards), 0);
}

static void nothing_is_attempted_without_a_quorum(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_transport *t = &w.services[0].transport;

    t->events->on_down(t->receiver, 0);
    t->events->on_down(t->receiver, 1);
    assert_int_equal(world_submit(&w, 0, &put, &a), 0);
    assert_int_equal(a.response.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(a.response.outcome, QUO_NOT_APPLIED);
    assert_true(a.response.is_consensus);
    assert_int_equal(w.count, 0);
}

static void a_silent_quorum_leaves_a_write_unknown_and_a_retry_finds_out(void **state)
{
    (void)state;
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);

    add.by = 1;
    add.has_opid = true;
    add.opid = quo_opid_of_key(quo_slice_of("order-17"));
    world_submit(&w, 0, &add, &a);
    /* Every ACC arrives, no answer does. */
    world_run_but(&w, QUO_MESSAGE_ACC);
    for (struct world_frame *acc; (acc = world_find(&w, QUO_MESSAGE_ACC)) != NULL;)
        world_deliver(&w, acc);
    world_lose(&w, QUO_MESSAGE_REPLY);
    world_pass(&w, 1000);
    assert_int_equal(a.response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(a.response.outcome, QUO_UNKNOWN);
    assert_int_equal(WORLD_COUNTED(&w, 0, unknown_outcomes), 1);
    world_do(&w, 0, &add, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    assert_true(b.response.change.replayed);
    assert_int_equal(b.response.change.counter, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_goes_through_consensus),
        TEST(a_cold_write_takes_two_rounds_a_warm_one_takes_one),
        TEST(no_write_is_warm_where_blind_writes_share_the_key),
        TEST(a_promise_grows_old),
        TEST(a_promise_ends_with_its_epoch),
        TEST(a_false_condition_declines),
        TEST(of_nothing_there_is_no_record),
        TEST(a_tombstone_is_shown_to_those_who_ask),
        TEST(counters_and_patches_answer_what_they_made),
        TEST(a_keyed_write_happens_once),
        TEST(an_operation_is_named_before_its_first_ballot),
        TEST(a_link_goes_by_clocks_that_were_heard),
        TEST(a_clock_that_is_ahead_is_corrected),
        TEST(resolving_fences_what_did_not_happen),
        TEST(a_read_settles_what_was_interrupted),
        TEST(settling_overcomes_promises),
        TEST(a_large_value_goes_all_the_way),
        TEST(a_preempted_write_tries_again),
        TEST(nothing_is_attempted_without_a_quorum),
        TEST(a_silent_quorum_leaves_a_write_unknown_and_a_retry_finds_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
