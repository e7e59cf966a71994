/* Listings: partition after partition, in pages. */
#include <stdio.h>

#include "proxy/service/list.h"
#include "tests/unit/service/scan_nodes.h"

enum { LWW = 1, PARTITIONS = 64, KEYS_MAX = 200 };

static struct scan_world w;

/* What was listed so far. */
static struct {
    int calls;
    enum quo_verdict verdict;
    enum quo_status refusal;
    struct quo_receipt receipt;
    char keys[KEYS_MAX][40];
    uint64_t changed[KEYS_MAX];
    uint32_t sizes[KEYS_MAX];
    uint32_t count, last_count;
    bool more;
    uint16_t partition;
    uint8_t after[QUO_KEY_MAX];
    size_t after_len;
} got;

static int setup(void **state)
{
    (void)state;
    scan_world_init_of(&w, PARTITIONS);
    memset(&got, 0, sizeof got);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    scan_serve(&w);
    assert_int_equal(quo_service_in_flight(w.f.service), 0);
    fake_stop(&w.f);
    return 0;
}

static void take(void *context, const struct quo_list_answer *answer)
{
    (void)context;
    got.calls++;
    got.verdict = answer->verdict;
    got.refusal = answer->refusal;
    got.receipt = answer->receipt;
    got.more = answer->more;
    got.partition = answer->partition;
    got.after_len = answer->after.len;
    if (answer->after.len > 0)
        memcpy(got.after, answer->after.data, answer->after.len);
    got.last_count = answer->count;
    for (uint32_t i = 0; i < answer->count; i++) {
        const struct quo_listed_key *key = &answer->keys[i];
        assert_true(got.count < KEYS_MAX);
        memcpy(got.keys[got.count], key->key.data, key->key.len);
        got.changed[got.count] = key->changed.hlc;
        got.sizes[got.count++] = key->value_len;
    }
}

static struct quo_list_request request_of(const char *prefix, uint32_t limit)
{
    const struct quo_scan_request scan = scan_request(&w, prefix, 1);

    return (struct quo_list_request){
        .ns = scan.ns,
        .prefix = scan.prefix,
        .partition = got.partition,
        .after = quo_slice(got.after, got.after_len),
        .limit = limit,
        .consistency = scan.consistency,
    };
}

static struct quo_job *start(const struct quo_list_request *request)
{
    struct quo_job *job = NULL;

    assert_int_equal(quo_service_list(w.f.service, request, take, NULL, &job), QUO_OK);
    return job;
}

/* One page. */
static void list(const char *prefix, uint32_t limit)
{
    const struct quo_list_request request = request_of(prefix, limit);
    const int before = got.calls;

    start(&request);
    scan_serve(&w);
    for (int ms = 0; got.calls == before && ms < 3000; ms++)
        scan_pass(&w, 1);
    assert_int_equal(got.calls, before + 1);
}

static void everywhere(const char *key, uint64_t hlc, const char *value)
{
    for (int i = 0; i < 3; i++)
        scan_put(&w.nodes[i], LWW, key, hlc, value, 0);
}

static void put_many(int count)
{
    char key[40];

    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof key, "key %d", i);
        everywhere(key, 10, "value");
    }
}

static int order(const char *a, const char *b)
{
    uint16_t pa = quo_map_partition(&w.f.map, LWW, quo_slice_of(a));
    uint16_t pb = quo_map_partition(&w.f.map, LWW, quo_slice_of(b));

    return pa != pb ? pa - pb : strcmp(a, b);
}

/* Every key once, in order. */
static void expect_all(uint32_t count)
{
    assert_int_equal(got.count, count);
    for (uint32_t i = 1; i < count; i++)
        assert_true(order(got.keys[i - 1], got.keys[i]) < 0);
}

static void lists_all_in_order(void **state)
{
    (void)state;
    put_many(100);
    list("", 200);
    assert_int_equal(got.verdict, QUO_VERDICT_FOUND);
    expect_all(100);
    assert_false(got.more);
    assert_int_equal(got.changed[0], 10);
    assert_int_equal(got.sizes[0], 5);
    assert_int_equal(w.scans, 2 * PARTITIONS);
    assert_int_equal(got.receipt.replies, 2);
    assert_int_equal(got.receipt.acks, 2);
    assert_true(got.receipt.stable);
    /* 1, 2, 4, 8, 16, 16, 16, 1 partitions at once. */
    assert_int_equal(got.receipt.round_trips, 8);
}

static void pages_meet(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 2, 3, 7, 50};
    put_many(100);
    for (size_t i = 0; i < QUO_COUNT(limits); i++) {
        memset(&got, 0, sizeof got);
        do {
            list("", limits[i]);
            assert_true(got.last_count <= limits[i]);
            assert_true(got.last_count == limits[i] || !got.more);
        } while (got.more);
        expect_all(100);
    }
}

static void what_lies_beyond_the_page_is_hardly_read(void **state)
{
    (void)state;
    put_many(150);
    list("", 2);
    assert_true(w.scans <= 2 * 3);
}

static void prefixes_are_found_in_every_partition(void **state)
{
    (void)state;
    put_many(100);
    everywhere("other", 10, "x");
    list("key 1", 200);
    expect_all(11);
    memset(&got, 0, sizeof got);
    list("nothing", 200);
    assert_int_equal(got.verdict, QUO_VERDICT_FOUND);
    expect_all(0);
    assert_false(got.more);
}

static void the_last_key_may_be_the_last(void **state)
{
    (void)state;
    put_many(10);
    list("", 10);
    expect_all(10);
    if (got.more) {
        list("", 10);
        assert_int_equal(got.last_count, 0);
        assert_false(got.more);
    }
}

static void deleted_keys_are_left_out(void **state)
{
    (void)state;
    put_many(50);
    everywhere("key 7", 20, NULL);
    list("", 200);
    expect_all(49);
}

static void time_is_limited(void **state)
{
    (void)state;
    put_many(20);
    struct quo_list_request request = request_of("", 200);
    start(&request);
    w.f.mono_us += request.consistency.timeout_ms * UINT64_C(500);
    scan_serve(&w);
    assert_int_equal(got.calls, 1);
    assert_int_equal(got.verdict, QUO_VERDICT_FOUND);
    assert_true(got.more);
    assert_int_equal(got.partition, 1);
    while (got.more)
        list("", 200);
    expect_all(20);
}

static void failure_at_the_start_is_the_answer(void **state)
{
    (void)state;
    put_many(20);
    for (int i = 0; i < 3; i++)
        w.nodes[i].refusal = QUO_CORRUPT;
    list("", 200);
    assert_int_equal(got.verdict, QUO_VERDICT_REFUSED);
    assert_int_equal(got.refusal, QUO_CORRUPT);
    for (int i = 0; i < 3; i++)
        w.nodes[i].is_silent = true;
    list("", 200);
    assert_int_equal(got.verdict, QUO_VERDICT_TIMEOUT);
    w.f.refuse[0] = w.f.refuse[1] = w.f.refuse[2] = QUO_UNAVAILABLE;
    struct quo_list_request request = request_of("", 200);
    assert_null(start(&request));
    assert_int_equal(got.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(got.calls, 3);
}

static void what_was_found_before_a_failure_is_a_page(void **state)
{
    (void)state;
    put_many(100);
    struct quo_list_request request = request_of("", 200);
    start(&request);
    /* The first two windows are served, the third one is not. */
    for (int i = 0; i < 2 * (1 + 2); i++) {
        struct fake_frame frame = fake_next(&w.f, QUO_MESSAGE_SCAN);
        scan_answer_scan(&w, &frame);
    }
    for (int i = 0; i < 3; i++)
        w.nodes[i].refusal = QUO_BUSY;
    scan_serve(&w);
    assert_int_equal(got.calls, 1);
    assert_int_equal(got.verdict, QUO_VERDICT_FOUND);
    assert_true(got.more);
    assert_int_equal(got.partition, 3);
    assert_int_equal(got.after_len, 0);
    for (int i = 0; i < 3; i++)
        w.nodes[i].refusal = QUO_OK;
    while (got.more)
        list("", 200);
    expect_all(100);
}

static void gaps_end_the_page(void **state)
{
    (void)state;
    put_many(100);
    struct quo_list_request request = request_of("", 200);
    start(&request);
    for (int i = 0; i < 2 * (1 + 2); i++) {
        struct fake_frame frame = fake_next(&w.f, QUO_MESSAGE_SCAN);
        scan_answer_scan(&w, &frame);
    }
    /* Of the window of partitions 3 to 6, partition 4 fails. */
    for (int i = 0; i < 2 * 4; i++) {
        struct fake_frame frame = fake_next(&w.f, QUO_MESSAGE_SCAN);
        struct quo_msg_scan asked;
        assert_int_equal(quo_msg_scan_decode(quo_slice(frame.body, frame.body_len), &asked),
                         QUO_OK);
        w.nodes[frame.peer].refusal = asked.partition == 4 ? QUO_BUSY : QUO_OK;
        scan_answer_scan(&w, &frame);
    }
    for (int i = 0; i < 3; i++)
        w.nodes[i].refusal = QUO_BUSY;
    scan_serve(&w);
    for (int i = 0; i < 3; i++)
        w.nodes[i].refusal = QUO_OK;
    assert_int_equal(got.calls, 1);
    assert_int_equal(got.verdict, QUO_VERDICT_FOUND);
    assert_true(got.more);
    assert_int_equal(got.partition, 4);
    while (got.more)
        list("", 200);
    expect_all(100);
}

static void abandoned_listings_end(void **state)
{
    (void)state;
    put_many(100);
    struct quo_list_request request = request_of("", 200);
    struct quo_job *job = start(&request);
    assert_non_null(job);
    quo_job_abandon(job);
    scan_serve(&w);
    assert_int_equal(got.calls, 0);
    assert_int_equal(w.scans, 2);
}

static void scans_that_cannot_be_begun_are_a_refusal(void **state)
{
    (void)state;
    struct quo_scan_request scan = scan_request(&w, "", 1);
    static struct scan_result results[QUO_SCANS_MAX];
    quo_ticket tickets[QUO_SCANS_MAX];
    for (uint32_t i = 0; i < QUO_SCANS_MAX; i++)
        tickets[i] = scan_start(&w, &scan, &results[i]);
    struct quo_list_request request = request_of("", 200);
    assert_null(start(&request));
    assert_int_equal(got.verdict, QUO_VERDICT_REFUSED);
    assert_int_equal(got.refusal, QUO_BUSY);
    for (uint32_t i = 0; i < QUO_SCANS_MAX; i++)
        quo_service_scan_abandon(w.f.service, tickets[i]);
}

static void many_at_once_share_the_room_for_scans(void **state)
{
    enum { LISTINGS = 60, KEYS = 3 };

    (void)state;
    put_many(KEYS);
    const struct quo_list_request request = request_of("", 200);
    for (int i = 0; i < LISTINGS; i++)
        start(&request);
    scan_serve(&w);
    assert_int_equal(got.calls, LISTINGS);
    assert_int_equal(got.count, LISTINGS * KEYS);
    assert_int_equal(got.verdict, QUO_VERDICT_FOUND);
    assert_false(got.more);
}

static void a_service_that_ends_drops_its_listings(void **state)
{
    (void)state;
    put_many(100);
    struct quo_list_request request = request_of("", 200);
    start(&request);
    for (int i = 0; i < 2 + 3; i++) {
        struct fake_frame frame = fake_next(&w.f, QUO_MESSAGE_SCAN);
        scan_answer_scan(&w, &frame);
    }
    w.f.first = w.f.count;
    fake_stop(&w.f);
    assert_int_equal(got.calls, 0);
    scan_world_init_of(&w, PARTITIONS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists_all_in_order),
        TEST(pages_meet),
        TEST(what_lies_beyond_the_page_is_hardly_read),
        TEST(prefixes_are_found_in_every_partition),
        TEST(the_last_key_may_be_the_last),
        TEST(deleted_keys_are_left_out),
        TEST(time_is_limited),
        TEST(failure_at_the_start_is_the_answer),
        TEST(what_was_found_before_a_failure_is_a_page),
        TEST(gaps_end_the_page),
        TEST(abandoned_listings_end),
        TEST(scans_that_cannot_be_begun_are_a_refusal),
        TEST(many_at_once_share_the_room_for_scans),
        TEST(a_service_that_ends_drops_its_listings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
