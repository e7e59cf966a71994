/* Scans through a service: rounds, failures, limits, repairs. */
#include <stdio.h>

#include "tests/unit/service/scan_nodes.h"

enum { LWW = 1, SET = 2 | QUO_COLLECTION_SET << 24 };

static struct scan_world w;
static struct scan_result result;

static int setup(void **state)
{
    (void)state;
    scan_world_init(&w);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    scan_serve(&w);
    fake_stop(&w.f);
    return 0;
}

static void everywhere(const char *key, uint64_t hlc, const char *value)
{
    for (int i = 0; i < 3; i++)
        scan_put(&w.nodes[i], LWW, key, hlc, value, 0);
}

static void expect_keys(const char *keys)
{
    char got[512] = "";
    size_t len = 0;

    for (uint32_t i = 0; i < result.count; i++)
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%s", i > 0 ? " " : "",
                                result.items[i].key);
    assert_string_equal(got, keys);
}

static void shows_live_keys_in_order(void **state)
{
    (void)state;
    everywhere("b", 20, "two");
    everywhere("a", 10, "one");
    everywhere("c", 30, NULL);
    everywhere("d", 40, "four");
    struct quo_scan_request request = scan_request(&w, "", 10);
    scan_do(&w, &request, &result);
    assert_int_equal(result.verdict, QUO_VERDICT_FOUND);
    expect_keys("a b d");
    assert_string_equal(result.items[1].value, "two");
    assert_int_equal(result.items[2].hlc, 40);
    assert_int_equal(result.items[2].value_len, 4);
    assert_false(result.more);
    assert_int_equal(w.scans, 2);
    assert_int_equal(result.receipt.replies, 2);
    assert_int_equal(result.receipt.need, 2);
    assert_int_equal(result.receipt.acks, 2);
    assert_int_equal(result.receipt.round_trips, 1);
    assert_true(result.receipt.stable);
    assert_int_equal(result.receipt.level, QUO_LEVEL_QUORUM);
}

static void shows_no_records_unless_asked(void **state)
{
    (void)state;
    everywhere("a", 10, "one");
    struct quo_scan_request request = scan_request(&w, "", 10);
    request.value_max = 0;
    scan_do(&w, &request, &result);
    expect_keys("a");
    assert_false(result.items[0].is_shown);
    assert_int_equal(result.items[0].value_len, 3);
}

static void nothing_is_an_answer(void **state)
{
    (void)state;
    struct quo_scan_request request = scan_request(&w, "", 10);
    scan_do(&w, &request, &result);
    assert_int_equal(result.verdict, QUO_VERDICT_FOUND);
    assert_int_equal(result.count, 0);
    assert_false(result.more);
    assert_int_equal(result.receipt.acks, 2);
    assert_true(result.receipt.stable);
}

static void pages_go_on_where_the_last_one_ended(void **state)
{
    (void)state;
    const char *keys[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++)
        everywhere(keys[i], 10, "x");
    struct quo_scan_request request = scan_request(&w, "", 2);
    scan_do(&w, &request, &result);
    expect_keys("a b");
    assert_true(result.more);
    uint8_t after[40];
    memcpy(after, result.upto, result.upto_len);
    request.after = quo_slice(after, result.upto_len);
    assert_true(quo_slice_equal(request.after, quo_slice_of("b")));
    scan_do(&w, &request, &result);
    expect_keys("c d");
    assert_true(result.more);
    request.after = quo_slice_of("d");
    scan_do(&w, &request, &result);
    expect_keys("e");
    assert_false(result.more);
}

static void prefix_limits_it(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    everywhere("ab", 10, "x");
    everywhere("ac", 10, "x");
    everywhere("b", 10, "x");
    struct quo_scan_request request = scan_request(&w, "a", 10);
    scan_do(&w, &request, &result);
    expect_keys("a ab ac");
    request.after = quo_slice_of("ab");
    scan_do(&w, &request, &result);
    expect_keys("ac");
}

static void collections_are_apart(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        scan_put(&w.nodes[i], SET, "in the set", 10, "x", 0);
    scan_put(&w.nodes[0], 2, "plain", 10, "x", 0);
    struct quo_scan_request request = scan_request(&w, "", 10);
    request.ns = &w.f.map.namespaces[1];
    request.collection = QUO_COLLECTION_SET;
    scan_do(&w, &request, &result);
    expect_keys("in the set");
}

static void goes_on_past_the_deleted(void **state)
{
    (void)state;
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        everywhere(key, 10, i < 97 ? NULL : "x");
    }
    struct quo_scan_request request = scan_request(&w, "", 2);
    scan_do(&w, &request, &result);
    expect_keys("k97 k98");
    assert_true(result.more);
    /* 2, 4, 8, 16, 32, 64 keys: it asks for more and more. */
    assert_int_equal(result.receipt.round_trips, 6);
}

static void expired_keys_are_left_out_by_the_latest_clock(void **state)
{
    (void)state;
    const uint64_t now = w.f.wall_ms;
    for (int i = 0; i < 3; i++) {
        scan_put(&w.nodes[i], LWW, "soon", now << 16, "x", 500);
        scan_put(&w.nodes[i], LWW, "late", now << 16, "x", 5000);
    }
    struct quo_scan_request request = scan_request(&w, "", 10);
    scan_do(&w, &request, &result);
    expect_keys("late soon");
    assert_int_equal(result.now_ms, now);
    for (int i = 0; i < 3; i++)
        w.nodes[i].now_ms = now + 500;
    scan_do(&w, &request, &result);
    expect_keys("late");
    assert_int_equal(result.now_ms, now + 500);
}

static void sealed_is_the_smallest(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        w.nodes[i].sealed = (struct quo_version){100 - (uint64_t)i, 1};
    struct quo_scan_request request = scan_request(&w, "", 10);
    request.consistency.r = 3;
    scan_do(&w, &request, &result);
    assert_int_equal(result.sealed.hlc, 98);
}

static void newest_of_each_key_wins_and_differences_are_repaired(void **state)
{
    (void)state;
    everywhere("a", 10, "old");
    everywhere("b", 10, "same");
    scan_put(&w.nodes[1], LWW, "a", 20, "new", 0);
    scan_put(&w.nodes[2], LWW, "c", 30, "only there", 0);
    scan_put(&w.nodes[0], LWW, "d", 40, NULL, 0);
    struct quo_scan_request request = scan_request(&w, "", 10);
    request.consistency.r = 3;
    scan_do(&w, &request, &result);
    expect_keys("a b c");
    assert_string_equal(result.items[0].value, "new");
    assert_int_equal(result.receipt.acks, 1);
    assert_false(result.receipt.stable);
    assert_false(result.receipt.repaired);
    scan_serve(&w);
    for (int i = 0; i < 3; i++) {
        assert_string_equal((const char *)scan_get(&w.nodes[i], LWW, "a")->record + 19, "new");
        assert_non_null(scan_get(&w.nodes[i], LWW, "c"));
        assert_non_null(scan_get(&w.nodes[i], LWW, "d"));
    }
    assert_int_equal(w.stores, 2 + 2 + 2);
    assert_int_equal(quo_service_in_flight(w.f.service), 0);
    scan_do(&w, &request, &result);
    assert_true(result.receipt.stable);
    assert_int_equal(result.receipt.acks, 3);
}

static void deletes_that_are_being_collected_are_no_difference(void **state)
{
    (void)state;
    scan_put(&w.nodes[0], LWW, "a", 10, NULL, 0);
    w.nodes[2].sealed = (struct quo_version){9, UINT64_MAX};
    struct quo_scan_request request = scan_request(&w, "", 10);
    request.consistency.r = 3;
    scan_do(&w, &request, &result);
    assert_int_equal(result.count, 0);
    assert_int_equal(result.receipt.acks, 1);
    assert_false(result.receipt.stable);
    assert_int_equal(quo_counted(&quo_service_stats(w.f.service)->scan_differences), 1);
    scan_serve(&w);
    w.nodes[1].count = 0; /* it has dropped it */
    w.nodes[2].sealed = (struct quo_version){10, 9};
    scan_do(&w, &request, &result);
    assert_int_equal(result.receipt.acks, 3);
    assert_true(result.receipt.stable);
    assert_int_equal(quo_counted(&quo_service_stats(w.f.service)->scan_differences), 1);
}

static void repairs_records_of_collections_too(void **state)
{
    (void)state;
    scan_put(&w.nodes[0], SET, "\1x", 10, "x", 0);
    struct quo_scan_request request = scan_request(&w, "\1", 10);
    request.ns = &w.f.map.namespaces[1];
    request.collection = QUO_COLLECTION_SET;
    request.consistency.r = 3;
    scan_do(&w, &request, &result);
    scan_serve(&w);
    assert_non_null(scan_get(&w.nodes[1], SET, "\1x"));
    assert_non_null(scan_get(&w.nodes[2], SET, "\1x"));
}

static void repairs_only_so_many(void **state)
{
    (void)state;
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        scan_put(&w.nodes[0], LWW, key, 10, "x", 0);
    }
    struct quo_scan_request request = scan_request(&w, "", 200);
    request.consistency.r = 3;
    scan_do(&w, &request, &result);
    assert_int_equal(result.count, 100);
    scan_serve(&w);
    assert_int_equal(w.stores, 2 * QUO_SCAN_REPAIRS_MAX);
    assert_int_equal(quo_counted(&quo_service_stats(w.f.service)->scan_differences), 100);
}

static void whoever_refuses_is_replaced(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    for (int bad = 0; bad < 3; bad++) {
        w.nodes[bad].refusal = QUO_CORRUPT;
        struct quo_scan_request request = scan_request(&w, "", 10);
        scan_do(&w, &request, &result);
        expect_keys("a");
        assert_int_equal(result.receipt.replies, 2);
        w.nodes[bad].refusal = QUO_OK;
    }
}

static void refusals_of_too_many_are_the_answer(void **state)
{
    (void)state;
    w.nodes[0].refusal = w.nodes[1].refusal = w.nodes[2].refusal = QUO_BUSY;
    struct quo_scan_request request = scan_request(&w, "", 10);
    scan_do(&w, &request, &result);
    assert_int_equal(result.verdict, QUO_VERDICT_REFUSED);
    assert_int_equal(result.refusal, QUO_BUSY);
}

static void lies_are_refused(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    everywhere("b", 10, "x");
    for (int i = 0; i < 3; i++)
        w.nodes[i].is_lying = true;
    struct quo_scan_request request = scan_request(&w, "b", 10);
    scan_do(&w, &request, &result);
    assert_int_equal(result.verdict, QUO_VERDICT_REFUSED);
    assert_int_equal(result.refusal, QUO_MALFORMED);
}

static void more_without_a_key_is_a_lie(void **state)
{
    (void)state;
    struct quo_scan_request request = scan_request(&w, "", 10);
    request.consistency.r = 3;
    scan_start(&w, &request, &result);
    for (int i = 0; i < 3; i++) {
        struct fake_frame frame = fake_next(&w.f, QUO_MESSAGE_SCAN);
        struct quo_msg_scanned message = {.more = 1};
        if (result.calls == 0)
            scan_deliver_page(&w, &frame, &message);
    }
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.refusal, QUO_MALFORMED);
}

static void nobody_there_is_unavailable(void **state)
{
    (void)state;
    quo_ticket ticket = 99;
    w.f.refuse[0] = w.f.refuse[2] = QUO_UNAVAILABLE;
    struct quo_scan_request request = scan_request(&w, "", 10);
    memset(&result, 0, sizeof result);
    assert_int_equal(quo_service_scan(w.f.service, &request, scan_on_answer, &result, &ticket),
                     QUO_OK);
    assert_int_equal(ticket, 0);
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(result.receipt.need, 2);
}

static void eventual_asks_one(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    struct quo_scan_request request = scan_request(&w, "", 10);
    request.consistency.level = QUO_LEVEL_EVENTUAL;
    request.consistency.r = 1;
    scan_do(&w, &request, &result);
    assert_int_equal(w.scans, 1);
    assert_false(result.receipt.stable);
    assert_int_equal(result.receipt.acks, 1);
}

static void slow_replicas_are_not_waited_for(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    w.nodes[0].is_silent = true;
    for (int i = 0; i < 3; i++) {
        /* Whoever is asked first, the silent one among them or not. */
        struct quo_scan_request request = scan_request(&w, "", 10);
        uint64_t began_us = w.f.mono_us;
        scan_do(&w, &request, &result);
        expect_keys("a");
        assert_true(w.f.mono_us - began_us <= (QUO_SCAN_PATIENCE_MS + 1) * UINT64_C(1000));
        assert_int_equal(result.receipt.hedges, w.f.mono_us > began_us);
    }
}

static void silence_of_too_many_is_a_timeout(void **state)
{
    (void)state;
    w.nodes[0].is_silent = w.nodes[1].is_silent = true;
    struct quo_scan_request request = scan_request(&w, "", 10);
    uint64_t began_us = w.f.mono_us;
    scan_do(&w, &request, &result);
    assert_int_equal(result.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(result.receipt.replies, 1);
    assert_int_equal(w.f.mono_us - began_us, request.consistency.timeout_ms * UINT64_C(1000));
    assert_int_equal(quo_service_deadline(w.f.service), UINT64_MAX);
}

static void what_was_found_before_a_failure_is_shown(void **state)
{
    (void)state;
    char key[16];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        everywhere(key, 10, "x");
    }
    for (int i = 0; i < 3; i++)
        w.nodes[i].page_max = 5;
    struct quo_scan_request request = scan_request(&w, "", 100);
    scan_start(&w, &request, &result);
    for (int i = 0; i < 2; i++) {
        struct fake_frame frame = fake_next(&w.f, QUO_MESSAGE_SCAN);
        scan_answer_scan(&w, &frame);
    }
    for (int i = 0; i < 3; i++)
        w.nodes[i].refusal = QUO_IO_ERROR;
    scan_serve(&w);
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.verdict, QUO_VERDICT_FOUND);
    expect_keys("k00 k01 k02 k03 k04");
    assert_true(result.more);
    assert_memory_equal(result.upto, "k04", 3);
}

static void half_the_time_is_all_it_takes(void **state)
{
    (void)state;
    char key[16];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        everywhere(key, 10, "x");
    }
    for (int i = 0; i < 3; i++)
        w.nodes[i].page_max = 5;
    struct quo_scan_request request = scan_request(&w, "", 100);
    scan_start(&w, &request, &result);
    w.f.mono_us += request.consistency.timeout_ms * UINT64_C(500);
    scan_serve(&w);
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.count, 5);
    assert_true(result.more);
}

static void follows_a_newer_epoch(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    w.epoch = 4;
    struct quo_scan_request request = scan_request(&w, "", 10);
    scan_do(&w, &request, &result);
    expect_keys("a");
    assert_int_equal(result.receipt.epoch, 4);
}

static void connections_that_break_are_noticed(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    struct quo_scan_request request = scan_request(&w, "", 10);
    scan_start(&w, &request, &result);
    struct fake_frame first = fake_next(&w.f, QUO_MESSAGE_SCAN);
    w.f.transport.events->on_down(w.f.transport.receiver, first.peer);
    scan_serve(&w);
    assert_int_equal(result.calls, 1);
    expect_keys("a");
}

static void abandoned_scans_end(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    struct quo_scan_request request = scan_request(&w, "", 10);
    quo_ticket ticket = scan_start(&w, &request, &result);
    assert_int_not_equal(ticket, 0);
    assert_int_equal(quo_service_in_flight(w.f.service), 1);
    quo_service_scan_abandon(w.f.service, ticket);
    assert_int_equal(quo_service_in_flight(w.f.service), 0);
    scan_serve(&w);
    assert_int_equal(result.calls, 0);
    quo_service_scan_abandon(w.f.service, ticket);
    quo_service_scan_abandon(w.f.service, 0);
    quo_service_scan_abandon(w.f.service, 1 << 12);
}

static void late_and_foreign_frames_change_nothing(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    struct quo_scan_request request = scan_request(&w, "", 10);
    scan_start(&w, &request, &result);
    struct fake_frame frame = fake_next(&w.f, QUO_MESSAGE_SCAN);
    struct fake_frame other = frame;
    other.peer = 3; /* no replica */
    scan_answer_scan(&w, &other);
    other = frame;
    other.id++; /* another round */
    scan_answer_scan(&w, &other);
    scan_answer_scan(&w, &frame);
    scan_answer_scan(&w, &frame); /* twice */
    assert_int_equal(result.calls, 0);
    scan_serve(&w);
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.receipt.replies, 2);
    assert_int_equal(quo_counted(&quo_service_stats(w.f.service)->late_replies), 3);
}

static void only_so_many_at_once(void **state)
{
    (void)state;
    struct quo_scan_request request = scan_request(&w, "", 10);
    static struct scan_result results[QUO_SCANS_MAX];
    quo_ticket tickets[QUO_SCANS_MAX], ticket;
    request.consistency.r = 1;
    for (uint32_t i = 0; i < QUO_SCANS_MAX; i++)
        tickets[i] = scan_start(&w, &request, &results[i]);
    assert_int_equal(quo_service_scan(w.f.service, &request, scan_on_answer, &result, &ticket),
                     QUO_BUSY);
    quo_service_scan_abandon(w.f.service, tickets[7]);
    scan_start(&w, &request, &results[7]);
    scan_serve(&w);
    for (uint32_t i = 0; i < QUO_SCANS_MAX; i++)
        assert_int_equal(results[i].calls, 1);
}

static struct scan_result chained;

static void scan_again(void *context, const struct quo_scan_answer *answer)
{
    quo_ticket ticket;
    (void)answer;
    assert_int_equal(quo_service_scan(w.f.service, context, scan_on_answer, &chained, &ticket),
                     QUO_OK);
}

static void an_answer_may_start_the_next_scan(void **state)
{
    (void)state;
    quo_ticket ticket;
    everywhere("a", 10, "x");
    struct quo_scan_request request = scan_request(&w, "", 10);
    memset(&chained, 0, sizeof chained);
    assert_int_equal(quo_service_scan(w.f.service, &request, scan_again, &request, &ticket),
                     QUO_OK);
    scan_serve(&w);
    assert_int_equal(chained.calls, 1);
    assert_int_equal(chained.count, 1);
}

static void a_service_that_ends_drops_its_scans(void **state)
{
    (void)state;
    everywhere("a", 10, "x");
    struct quo_scan_request request = scan_request(&w, "", 10);
    scan_start(&w, &request, &result);
    struct fake_frame frame = fake_next(&w.f, QUO_MESSAGE_SCAN);
    scan_answer_scan(&w, &frame);
    w.f.first = w.f.count;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shows_live_keys_in_order),
        TEST(shows_no_records_unless_asked),
        TEST(nothing_is_an_answer),
        TEST(pages_go_on_where_the_last_one_ended),
        TEST(prefix_limits_it),
        TEST(collections_are_apart),
        TEST(goes_on_past_the_deleted),
        TEST(expired_keys_are_left_out_by_the_latest_clock),
        TEST(sealed_is_the_smallest),
        TEST(newest_of_each_key_wins_and_differences_are_repaired),
        TEST(deletes_that_are_being_collected_are_no_difference),
        TEST(repairs_records_of_collections_too),
        TEST(repairs_only_so_many),
        TEST(whoever_refuses_is_replaced),
        TEST(refusals_of_too_many_are_the_answer),
        TEST(lies_are_refused),
        TEST(more_without_a_key_is_a_lie),
        TEST(nobody_there_is_unavailable),
        TEST(eventual_asks_one),
        TEST(slow_replicas_are_not_waited_for),
        TEST(silence_of_too_many_is_a_timeout),
        TEST(what_was_found_before_a_failure_is_shown),
        TEST(half_the_time_is_all_it_takes),
        TEST(follows_a_newer_epoch),
        TEST(connections_that_break_are_noticed),
        TEST(abandoned_scans_end),
        TEST(late_and_foreign_frames_change_nothing),
        TEST(only_so_many_at_once),
        TEST(an_answer_may_start_the_next_scan),
        TEST(a_service_that_ends_drops_its_scans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
