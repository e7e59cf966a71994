/* Read repair: what a read that is not strong does once it has answered. Linked with --wrap for the
 * allocator. */
#include <stdio.h>

#include "proxy/service/ops.h"
#include "tests/unit/service/fake.h"

#define OLD UINT64_C(400)
#define NEW UINT64_C(600)
/* Random numbers that make an eventual read look at one replica more, or not. */
#define LOOKS 20
#define LOOKS_NOT 1

static struct fake f;
static struct fake_answer answer;
static int sent_at_answer; /* frames that had left by then */
static bool is_counting;
static int allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size)
{
    allocations += is_counting;
    return __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    allocations += is_counting;
    return __real_calloc(count, size);
}

static int start_with(uint32_t ops_max)
{
    fake_init(&f);
    fake_start(&f, ops_max, 0);
    return 0;
}

static int start(void **state)
{
    (void)state;
    return start_with(0);
}

static int start_small(void **state)
{
    (void)state;
    return start_with(8);
}

static int stop(void **state)
{
    (void)state;
    is_counting = false;
    fake_stop(&f);
    return 0;
}

static void forget_frames(void)
{
    for (int i = 0; i < f.count; i++)
        free(f.frames[i].body);
    f.first = f.count = 0;
}

static void on_answer(void *context, const struct quo_response *response)
{
    sent_at_answer = f.count;
    fake_on_answer(context, response);
}

static void submit(const char *key, enum quo_level level, uint64_t random)
{
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, key, level);
    quo_ticket ticket;

    f.random = random;
    memset(&answer, 0, sizeof answer);
    assert_int_equal(quo_service_submit(f.service, &get, on_answer, &answer, &ticket), QUO_OK);
}

/* A quorum read of a key that one of two replicas holds an older record of. Returns the peer. */
static uint64_t read_unequal(const char *key)
{
    submit(key, QUO_LEVEL_QUORUM, LOOKS_NOT);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &first, NEW, "new");
    fake_reply_query(&f, &second, OLD, "old");
    assert_int_equal(answer.calls, 1);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_FOUND);
    assert_int_equal(answer.response.receipt.version.hlc, NEW);
    assert_int_equal(answer.value_len, 3);
    assert_memory_equal(answer.value, "new", 3);
    return second.peer;
}

static uint64_t counted_repairs(void)
{
    return quo_counted(&quo_service_stats(f.service)->repairs);
}

static uint64_t counted_shed(void)
{
    return quo_counted(&quo_service_stats(f.service)->repairs_shed);
}

static void expect_store(const struct fake_frame *frame, const char *key, const char *value)
{
    struct quo_msg_store store;
    struct quo_record record;

    assert_int_equal(quo_msg_store_decode(quo_slice(frame->body, frame->body_len), &store), QUO_OK);
    assert_int_equal(store.flags, QUO_STORE_SYNC | QUO_STORE_WRITEBACK);
    assert_true(quo_slice_equal(store.key, quo_slice_of(key)));
    assert_int_equal(quo_record_decode(store.record, &record), QUO_OK);
    /* The very record that was read. */
    assert_true(quo_version_equal(record.version, ((struct quo_version){NEW, 9})));
    assert_true(quo_slice_equal(record.value, quo_slice_of(value)));
}

static uint32_t value_max_of(const struct fake_frame *frame)
{
    struct quo_msg_query query;

    assert_int_equal(quo_msg_query_decode(quo_slice(frame->body, frame->body_len), &query), QUO_OK);
    return query.value_max;
}

static void the_newest_goes_to_who_lacks_it(void **state)
{
    (void)state;
    uint64_t behind = read_unequal("key");

    assert_int_equal(sent_at_answer, 2);
    assert_false(answer.response.receipt.repaired);
    assert_int_equal(answer.response.receipt.round_trips, 1);
    struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
    assert_int_equal(store.peer, behind);
    expect_store(&store, "key", "new");
    fake_expect_nothing(&f);
    assert_int_equal(quo_service_in_flight(f.service), 1);
    fake_reply_store(&f, &store, QUO_OK);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    assert_int_equal(answer.calls, 1);
    assert_int_equal(counted_repairs(), 1);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->write_backs), 0);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->late_replies), 0);
}

static void a_refused_repair_is_left_alone(void **state)
{
    (void)state;
    read_unequal("key");
    struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);

    fake_reply_store(&f, &store, QUO_NACK);
    fake_expect_nothing(&f);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void a_repair_is_not_awaited_for_ever(void **state)
{
    (void)state;
    read_unequal("key");
    assert_int_equal(quo_service_deadline(f.service), f.mono_us + QUO_REPAIR_TIMEOUT_MS * 1000);
    f.mono_us += QUO_REPAIR_TIMEOUT_MS * 1000;
    quo_service_expire(f.service, f.mono_us);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    assert_int_equal(quo_service_deadline(f.service), UINT64_MAX);
}

static void what_cannot_be_sent_is_given_up(void **state)
{
    (void)state;
    submit("key", QUO_LEVEL_QUORUM, LOOKS_NOT);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);

    f.refuse[second.peer] = QUO_BUSY;
    fake_reply_query(&f, &first, NEW, "new");
    fake_reply_query(&f, &second, OLD, "old");
    assert_int_equal(answer.calls, 1);
    fake_expect_nothing(&f);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void a_key_is_repaired_once_in_a_while(void **state)
{
    (void)state;
    read_unequal("key");
    fake_next(&f, QUO_MESSAGE_STORE);
    read_unequal("key");
    fake_expect_nothing(&f);
    assert_int_equal(counted_shed(), 1);
    f.mono_us += QUO_REPAIR_EVERY_MS * 1000 - 1;
    read_unequal("key");
    fake_expect_nothing(&f);
    /* Another one is not that one's business. */
    read_unequal("another");
    fake_next(&f, QUO_MESSAGE_STORE);
    f.mono_us++;
    read_unequal("key");
    fake_next(&f, QUO_MESSAGE_STORE);
    assert_int_equal(counted_repairs(), 3);
    assert_int_equal(counted_shed(), 2);
}

static void a_busy_loop_repairs_nothing(void **state)
{
    (void)state;
    struct fake_answer others[3];
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "other", QUO_LEVEL_EVENTUAL);

    /* A quarter of them is 2. */
    fake_submit(&f, &put, &others[0]);
    f.first = f.count;
    read_unequal("a");
    struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
    fake_reply_store(&f, &store, QUO_OK);
    fake_submit(&f, &put, &others[1]);
    f.first = f.count;
    read_unequal("b");
    fake_expect_nothing(&f);
    assert_int_equal(counted_repairs(), 1);
    assert_int_equal(counted_shed(), 1);
    submit("c", QUO_LEVEL_EVENTUAL, LOOKS);
    struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &query, NEW, "new");
    fake_expect_nothing(&f);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->looks), 0);
}

static void only_so_many_repairs_are_under_way(void **state)
{
    (void)state;
    char key[16];
    struct fake_frame store = {0};

    for (int i = 0; counted_repairs() < QUO_REPAIRS_MAX; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        forget_frames();
        read_unequal(key);
    }
    store = fake_next(&f, QUO_MESSAGE_STORE);
    uint64_t shed = counted_shed();
    read_unequal("one more");
    fake_expect_nothing(&f);
    assert_int_equal(counted_shed(), shed + 1);
    fake_reply_store(&f, &store, QUO_OK);
    read_unequal("one more");
    fake_next(&f, QUO_MESSAGE_STORE);
}

static void a_repair_gives_way_to_operations(void **state)
{
    (void)state;
    struct fake_answer others[8];
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "other", QUO_LEVEL_EVENTUAL);

    read_unequal("key");
    struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
    for (int i = 0; i < 8; i++)
        fake_submit(&f, &put, &others[i]);
    assert_int_equal(quo_service_in_flight(f.service), 8);
    fake_reply_store(&f, &store, QUO_OK);
    assert_int_equal(quo_service_in_flight(f.service), 8);
}

/* An eventual read that looks further; it is answered by the first reply. */
static struct fake_frame look(uint64_t hlc, const char *value)
{
    submit("key", QUO_LEVEL_EVENTUAL, LOOKS);
    struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_expect_nothing(&f);
    fake_reply_query(&f, &query, hlc, value);
    assert_int_equal(answer.calls, 1);
    assert_int_equal(sent_at_answer, f.first + 1);
    assert_int_equal(answer.response.receipt.replies, 1);
    struct fake_frame further = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_expect_nothing(&f);
    assert_int_equal(value_max_of(&further), 0);
    assert_int_not_equal(further.peer, query.peer);
    return further;
}

static void a_look_further_finds_who_is_behind(void **state)
{
    (void)state;
    struct fake_frame further = look(NEW, "new");

    fake_reply_query(&f, &further, OLD, NULL);
    struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
    assert_int_equal(store.peer, further.peer);
    expect_store(&store, "key", "new");
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->late_replies), 1);
    fake_reply_store(&f, &store, QUO_OK);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void a_look_further_finds_something_newer(void **state)
{
    (void)state;
    struct fake_frame further = look(OLD, "old");

    fake_reply_query(&f, &further, NEW, NULL);
    assert_int_equal(answer.response.receipt.version.hlc, OLD);
    struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_expect_nothing(&f);
    assert_int_equal(query.peer, further.peer);
    assert_int_equal(value_max_of(&query), UINT32_MAX);
    fake_reply_query(&f, &query, NEW, "new");
    struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
    fake_expect_nothing(&f);
    assert_int_not_equal(store.peer, further.peer);
    expect_store(&store, "key", "new");
    assert_int_equal(answer.calls, 1);
}

static void a_look_further_finds_nothing_wrong(void **state)
{
    (void)state;
    struct fake_frame further = look(NEW, "new");

    fake_reply_query(&f, &further, NEW, NULL);
    fake_expect_nothing(&f);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    /* It is of no consequence that nobody replies. */
    look(NEW, "new");
    f.mono_us += 1000 * 1000;
    quo_service_expire(f.service, f.mono_us);
    fake_expect_nothing(&f);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    assert_int_equal(counted_repairs() + counted_shed(), 0);
}

static void one_eventual_read_in_some_looks_further(void **state)
{
    (void)state;
    enum { READS = 1000 };
    int looks = 0;

    for (int i = 0; i < READS; i++) {
        forget_frames();
        submit("key", QUO_LEVEL_EVENTUAL, f.random);
        struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
        fake_reply_query(&f, &query, NEW, "new");
        if (f.first == f.count)
            continue;
        looks++;
        query = fake_next(&f, QUO_MESSAGE_QUERY);
        fake_reply_query(&f, &query, NEW, NULL);
    }
    assert_int_equal(looks, READS / (int)QUO_REPAIR_CHANCE);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->looks), looks);
    /* Of others none does. */
    static const enum quo_level levels[] = {QUO_LEVEL_QUORUM, QUO_LEVEL_STRONG};
    for (size_t i = 0; i < QUO_COUNT(levels); i++) {
        forget_frames();
        submit("key", levels[i], LOOKS);
        struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
        struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
        fake_reply_query(&f, &first, NEW, "new");
        fake_reply_query(&f, &second, NEW, "new");
        assert_int_equal(answer.calls, 1);
        fake_expect_nothing(&f);
    }
}

static void long_records_are_fetched_again(void **state)
{
    (void)state;
    static char value[QUO_REPAIR_RECORD_MAX + 1];

    memset(value, 'v', sizeof value - 1);
    struct fake_frame further = look(NEW, value);
    fake_reply_query(&f, &further, OLD, NULL);
    struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
    assert_int_not_equal(query.peer, further.peer);
    fake_reply_query(&f, &query, NEW, value);
    struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
    assert_int_equal(store.peer, further.peer);
    expect_store(&store, "key", value);
    fake_expect_nothing(&f);
}

static void late_replies_bring_the_bytes(void **state)
{
    (void)state;
    struct fake_frame further = look(OLD, "old");

    /* A replica may well show more than it was asked for. */
    fake_reply_query(&f, &further, NEW, "new");
    struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
    expect_store(&store, "key", "new");
    fake_expect_nothing(&f);
}

static void a_strong_read_repairs_nothing(void **state)
{
    (void)state;
    submit("key", QUO_LEVEL_STRONG, LOOKS);
    struct fake_frame queries[3];

    for (int i = 0; i < 2; i++)
        queries[i] = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &queries[0], NEW, "new");
    fake_reply_query(&f, &queries[1], OLD, "old");
    queries[2] = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &queries[2], NEW, "new");
    assert_int_equal(answer.calls, 1);
    fake_expect_nothing(&f);
    assert_int_equal(counted_repairs() + counted_shed(), 0);
}

/* The test's own allocations do not count. */
static enum quo_status uncounted_reserve(struct quo_transport *t, uint64_t peer, size_t body_len,
                                         uint8_t **ret_body)
{
    bool saved = is_counting;

    is_counting = false;
    enum quo_status status = fake_reserve(t, peer, body_len, ret_body);
    is_counting = saved;
    return status;
}
static const struct quo_transport_ops uncounted_ops = {uncounted_reserve, fake_seal};

static const struct quo_transport_events *real_events;
static void counting_on_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    is_counting = true;
    real_events->on_frame(receiver, peer, frame);
    is_counting = false;
}

static void short_records_need_no_allocation(void **state)
{
    (void)state;
    static char value[QUO_OP_INLINE + 1];
    struct quo_transport_events counting = *f.transport.events;

    memset(value, 'v', sizeof value - 1);
    real_events = f.transport.events;
    counting.on_frame = counting_on_frame;
    f.transport.events = &counting;
    f.transport.ops = &uncounted_ops;
    for (int i = 0; i < 20; i++) {
        forget_frames();
        /* The first that does not fit in its slot takes a buffer, which the others take over. */
        if (i == 1)
            allocations = 0;
        struct fake_frame further = look(NEW, value);
        f.mono_us += QUO_REPAIR_EVERY_MS * 1000;
        fake_reply_query(&f, &further, OLD, NULL);
        struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
        expect_store(&store, "key", value);
        fake_reply_store(&f, &store, QUO_OK);
        assert_int_equal(quo_service_in_flight(f.service), 0);
    }
    assert_int_equal(allocations, 0);
    assert_int_equal(counted_repairs(), 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
#define SMALL_TEST(name) cmocka_unit_test_setup_teardown(name, start_small, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_goes_to_who_lacks_it),    TEST(a_refused_repair_is_left_alone),
        TEST(a_repair_is_not_awaited_for_ever),   TEST(what_cannot_be_sent_is_given_up),
        TEST(a_key_is_repaired_once_in_a_while),  SMALL_TEST(a_busy_loop_repairs_nothing),
        TEST(only_so_many_repairs_are_under_way), SMALL_TEST(a_repair_gives_way_to_operations),
        TEST(a_look_further_finds_who_is_behind), TEST(a_look_further_finds_something_newer),
        TEST(a_look_further_finds_nothing_wrong), TEST(one_eventual_read_in_some_looks_further),
        TEST(long_records_are_fetched_again),     TEST(late_replies_bring_the_bytes),
        TEST(a_strong_read_repairs_nothing),      TEST(short_records_need_no_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
