/* Writes and reads of sessions through services: versions above what was met, by every path. */
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
    world_free(&w);
    return 0;
}

/* Ahead of every clock, but not so far that replicas refuse it. */
static uint64_t ahead_of(struct quo_version version)
{
    return version.hlc + (UINT64_C(1000) << 16);
}

static void a_cold_write_is_above(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    put = world_request(&w, 0, QUO_REQUEST_PUT, "other", "one");
    put.above = ahead_of(a.response.change.changed);
    world_do(&w, 0, &put, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    assert_true(b.response.change.changed.hlc > put.above);
}

/* The promise that the last write left behind is older than what the session has met since. */
static void a_warm_promise_below_is_not_used(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    world_do(&w, 0, &put, &a);
    put.value = quo_slice_of("two");
    put.above = ahead_of(a.response.change.changed);
    world_do(&w, 0, &put, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(b.response.receipt.round_trips, 2);
    assert_true(b.response.change.changed.hlc > put.above);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_starts), 0);
    /* What it has met itself does no harm to the next one. */
    put.value = quo_slice_of("three");
    put.above = b.response.change.changed.hlc;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.receipt.round_trips, 1);
    assert_true(a.response.change.changed.hlc > put.above);
}

static void a_blind_write_is_above(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 1, QUO_REQUEST_PUT, "k", "one");

    world_do(&w, 0, &put, &a);
    put.consistency = (struct quo_consistency){
        .level = QUO_LEVEL_SESSION, .n = 3, .w = 1, .dw = 1, .timeout_ms = 1000};
    put.above = ahead_of(a.response.change.changed);
    world_do(&w, 0, &put, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    assert_false(b.response.is_consensus);
    assert_int_equal(b.response.receipt.level, QUO_LEVEL_SESSION);
    assert_true(b.response.receipt.version.hlc > put.above);

    struct quo_request get = world_request(&w, 1, QUO_REQUEST_GET, "k", NULL);
    get.consistency =
        (struct quo_consistency){.level = QUO_LEVEL_SESSION, .n = 3, .r = 1, .timeout_ms = 1000};
    get.fresh.least = b.response.receipt.version;
    world_do(&w, 0, &get, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_FOUND);
    world_expect_value(&a, "one");
    get.fresh.least.hlc++;
    world_do(&w, 0, &get, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_UNSATISFIED);
    assert_int_equal(a.response.receipt.replies, 3);
    assert_int_equal(
        quo_counted(&world_stats(&w, 0)->verdicts[0][QUO_LEVEL_SESSION][QUO_VERDICT_UNSATISFIED]),
        1);
}

/* Whoever is handed a write holds a promise from before. */
static void a_write_that_is_handed_on_is_above(void **state)
{
    (void)state;
    world_free(&w);
    world_init(&w, 1, 2);
    const char *key = world_key_of_loop(&w, 0, 1, 0);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key, "one");

    world_do(&w, 1, &put, &a);
    put.value = quo_slice_of("two");
    put.above = ahead_of(a.response.change.changed);
    world_do(&w, 0, &put, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(WORLD_COUNTED(&w, 1, forwarded_in), 1);
    assert_true(b.response.change.changed.hlc > put.above);
    put.value = quo_slice_of("three");
    put.above = b.response.change.changed.hlc;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_true(a.response.change.changed.hlc > put.above);
}

static void what_is_too_far_ahead_is_refused(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    quo_ticket ticket;

    world_do(&w, 0, &put, &a);
    const uint64_t first = a.response.change.changed.hlc;
    put.above = first + ((uint64_t)(2 * QUO_SKEW_MAX_MS) << 16);
    assert_int_equal(quo_service_submit(w.services[0].service, &put, NULL, NULL, &ticket),
                     QUO_SKEW);
    put.above = UINT64_MAX;
    assert_int_equal(quo_service_submit(w.services[0].service, &put, NULL, NULL, &ticket),
                     QUO_SKEW);
    /* No clock has followed it. */
    put.above = 0;
    world_do(&w, 0, &put, &b);
    assert_true(b.response.change.changed.hlc < first + ((uint64_t)QUO_SKEW_MAX_MS << 16));
}

/* The session has seen a change on one replica that came to nothing: a newer record says that the
 * key is what it was before. */
static void what_was_undone_is_not_shown_as_if_it_had_never_been(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_request settle = world_request(&w, 0, QUO_REQUEST_SETTLE, "k", NULL);
    struct quo_request get = world_request(&w, 0, QUO_REQUEST_GET, "k", NULL);
    struct world_cell *cell = world_cell(&w, 0, quo_slice_of("k"));

    world_do(&w, 0, &put, &a);
    struct quo_version changed = a.response.change.changed;
    cell->promised = (struct quo_version){changed.hlc + 1000, 5};
    settle.consistency.r = WORLD_REPLICAS;
    world_do(&w, 0, &settle, &b);
    assert_true(quo_version_compare(cell->version, changed) > 0);

    get.consistency = (struct quo_consistency){.level = QUO_LEVEL_SESSION,
                                               .n = WORLD_REPLICAS,
                                               .r = 1,
                                               .timeout_ms = get.consistency.timeout_ms};
    get.fresh.least = changed;
    world_do(&w, 0, &get, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_FOUND);
    get.fresh.least.hlc++;
    world_do(&w, 0, &get, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_UNSATISFIED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cold_write_is_above),
        TEST(a_warm_promise_below_is_not_used),
        TEST(a_blind_write_is_above),
        TEST(a_write_that_is_handed_on_is_above),
        TEST(what_is_too_far_ahead_is_refused),
        TEST(what_was_undone_is_not_shown_as_if_it_had_never_been),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
