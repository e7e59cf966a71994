/* Values that are there for a time only, as the driver writes and shows them. */
#include "quorate/testpoints.h"
#include "tests/unit/service/fake.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

static struct fake f; /* the map alone is 8 MB */
static struct fake_answer a;

/* The clocks of these tests start a second before. */
enum { START_MS = 5000, EXPIRES_MS = 6000, TTL_MS = 1500 };

static int setup(void **state)
{
    (void)state;
    fake_init(&f);
    f.wall_ms = START_MS;
    fake_start(&f, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop(&f);
    quo_mutant_planted = QUO_MUTANT_NONE;
    return 0;
}

static void a_blind_write_says_how_long(void **state)
{
    (void)state;
    struct quo_request request = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_EVENTUAL);
    struct quo_msg_store store;
    struct quo_record record;

    request.ttl_ms = 1000;
    fake_submit(&f, &request, &a);
    struct fake_frame frame = fake_next(&f, QUO_MESSAGE_STORE);
    assert_int_equal(quo_msg_store_decode(quo_slice(frame.body, frame.body_len), &store), QUO_OK);
    assert_int_equal(quo_record_decode(store.record, &record), QUO_OK);
    assert_int_equal(record.flags, QUO_RECORD_BLIND | QUO_RECORD_EXPIRES);
    assert_int_equal(quo_record_expires_ms(&record), EXPIRES_MS);
    assert_true(quo_slice_equal(record.value, quo_slice_of("hello")));
    fake_reply_store(&f, &frame, QUO_OK);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
}

/* A replica whose clock reads `now_ms` shows a value that expires at EXPIRES_MS. */
static void read_at(uint64_t now_ms)
{
    struct quo_request request = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_EVENTUAL);
    const struct quo_record record = {
        .flags = QUO_RECORD_BLIND | QUO_RECORD_EXPIRES,
        .version = {(uint64_t)(EXPIRES_MS - TTL_MS) << 16, 9},
        .ttl_ms = TTL_MS,
        .content_type = quo_slice_of("text/plain"),
        .value = quo_slice_of("hello"),
    };
    uint8_t bytes[128];

    fake_submit(&f, &request, &a);
    struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
    quo_record_encode(&record, bytes);
    const struct quo_msg_reply reply = {
        .flags = QUO_REPLY_DURABLE | QUO_REPLY_VALUE,
        .version = record.version,
        .now_ms = now_ms,
        .record_size = (uint32_t)quo_record_size(&record),
        .record = quo_slice(bytes, quo_record_size(&record)),
    };
    fake_deliver(&f, query.peer, query.id, &reply);
    assert_int_equal(a.calls, 1);
}

static void expect_there(uint64_t left_ms)
{
    assert_int_equal(a.response.verdict, QUO_VERDICT_FOUND);
    assert_int_equal(a.response.left_ms, left_ms);
    assert_memory_equal(a.value, "hello", 5);
}

static void expect_gone(void)
{
    const struct quo_record *record = &a.response.record;

    assert_int_equal(a.response.verdict, QUO_VERDICT_ABSENT);
    assert_int_equal(a.response.left_ms, 0);
    assert_int_equal(a.value_len, 0);
    assert_int_equal(record->flags, QUO_RECORD_BLIND | QUO_RECORD_TOMBSTONE);
    assert_false(quo_version_is_none(a.response.receipt.version));
    assert_true(quo_version_equal(record->changed, a.response.receipt.version));
}

static void a_value_is_there_for_its_time(void **state)
{
    (void)state;
    read_at(START_MS);
    expect_there(1000);
}

/* Our own clock, a replica's, and what either has shown before: the latest counts. */
static void the_latest_clock_decides(void **state)
{
    (void)state;
    f.wall_ms = EXPIRES_MS - 2;
    read_at(START_MS);
    expect_there(2);
    read_at(EXPIRES_MS - 1);
    expect_there(1);
    read_at(EXPIRES_MS);
    expect_gone();
    read_at(START_MS);
    expect_gone();
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->expired), 2);
}

static void our_own_clock_decides_as_well(void **state)
{
    (void)state;
    f.wall_ms = EXPIRES_MS;
    read_at(START_MS);
    expect_gone();
}

static void the_rule_makes_the_difference(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_EXPIRED_IS_SHOWN;
    read_at(EXPIRES_MS);
    assert_int_equal(a.response.verdict, QUO_VERDICT_FOUND);
}

/* Replicas that refuse our versions say that our clock is wrong: from then on theirs decides. */
static void a_clock_that_was_refused_decides_nothing(void **state)
{
    (void)state;
    const struct quo_msg_reply refusal = {.status = QUO_SKEW, .now_ms = START_MS};
    struct quo_request request = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);

    f.wall_ms += 1000000;
    fake_submit(&f, &request, &a);
    for (int i = 0; i < 2; i++) {
        const struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
        const struct quo_msg_reply nothing = {.flags = QUO_REPLY_DURABLE, .now_ms = START_MS};
        fake_deliver(&f, query.peer, query.id, &nothing);
    }
    for (int i = 0; i < 3; i++) {
        const struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
        fake_deliver(&f, store.peer, store.id, &refusal);
    }
    f.first = f.count; /* it is written again, by another clock */
    read_at(START_MS);
    expect_there(1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_blind_write_says_how_long, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_is_there_for_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(the_latest_clock_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(our_own_clock_decides_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(the_rule_makes_the_difference, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_was_refused_decides_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
