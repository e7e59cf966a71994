/* The driver over a fake transport: what it sends, and what it makes of what comes back. */
#include "tests/unit/service/fake.h"

static struct fake f; /* the map alone is 8 MB */
static struct fake_answer a, b;

static int setup(void **state)
{
    (void)state;
    fake_init(&f);
    fake_start(&f, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop(&f);
    return 0;
}

static void a_strong_read_takes_one_round_trip(void **state)
{
    (void)state;
    struct quo_request request = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);
    struct quo_msg_query query;
    struct quo_entry entry;

    assert_int_not_equal(fake_submit(&f, &request, &a), 0);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_expect_nothing(&f);
    assert_int_not_equal(first.peer, second.peer);
    assert_int_equal(quo_msg_query_decode(quo_slice(first.body, first.body_len), &query), QUO_OK);
    assert_int_equal(query.ns, 1);
    assert_int_equal(query.kind, QUO_KIND_LWW);
    assert_int_equal(query.value_max, UINT32_MAX);
    assert_true(quo_slice_equal(query.key, quo_slice_of("key")));
    assert_int_equal(quo_entry_decode(query.entry, &entry), QUO_OK);
    assert_true(quo_entry_equal(&entry, &f.map.entries[0]));
    assert_int_equal(quo_msg_query_decode(quo_slice(second.body, second.body_len), &query), QUO_OK);
    assert_int_equal(query.value_max, QUO_INLINE_VALUE_MAX);

    fake_reply_query(&f, &first, 5, "world");
    assert_int_equal(a.calls, 0);
    f.mono_us += 300;
    fake_reply_query(&f, &second, 5, "world");
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_FOUND);
    assert_int_equal(a.response.outcome, QUO_NOT_APPLIED);
    assert_int_equal(a.response.elapsed_us, 300);
    assert_memory_equal(a.value, "world", 5);
    assert_string_equal(a.content_type, "text/plain");
    assert_int_equal(a.response.receipt.round_trips, 1);
    assert_int_equal(a.response.receipt.replies, 2);
    assert_true(a.response.receipt.stable);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    assert_int_equal(quo_service_deadline(f.service), UINT64_MAX);
    assert_int_equal(
        quo_counted(
            &quo_service_stats(f.service)->verdicts[0][QUO_LEVEL_STRONG][QUO_VERDICT_FOUND]),
        1);
}

static void a_strong_write_is_above_what_it_saw(void **state)
{
    (void)state;
    struct quo_request request = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);
    const uint64_t seen = (f.wall_ms + 1000) << 16;
    struct quo_msg_store store;
    struct quo_record record;

    fake_submit(&f, &request, &a);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &first, 0, NULL);
    fake_reply_query(&f, &second, seen, NULL);
    struct fake_frame stores[3];
    for (int i = 0; i < 3; i++)
        stores[i] = fake_next(&f, QUO_MESSAGE_STORE);
    fake_expect_nothing(&f);
    assert_int_equal(quo_msg_store_decode(quo_slice(stores[0].body, stores[0].body_len), &store),
                     QUO_OK);
    assert_int_equal(store.flags, QUO_STORE_SYNC);
    assert_int_equal(quo_record_decode(store.record, &record), QUO_OK);
    assert_true(record.version.hlc > seen);
    assert_true(quo_version_equal(record.hist_from, record.version));
    assert_int_equal(record.flags, QUO_RECORD_BLIND);
    assert_true(quo_slice_equal(record.value, quo_slice_of("hello")));
    assert_true(quo_slice_equal(record.content_type, quo_slice_of("text/plain")));

    fake_reply_store(&f, &stores[2], QUO_OK);
    assert_int_equal(a.calls, 0);
    fake_reply_store(&f, &stores[0], QUO_OK);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(a.response.outcome, QUO_APPLIED);
    assert_int_equal(a.response.receipt.acks, 2);
    assert_int_equal(a.response.receipt.disk, 2);
    assert_true(quo_version_equal(a.response.receipt.version, record.version));
    assert_int_equal(quo_service_in_flight(f.service), 1);
    fake_reply_store(&f, &stores[1], QUO_OK);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->late_replies), 1);
}

static void a_delete_stores_a_tombstone(void **state)
{
    (void)state;
    struct quo_request request = fake_request(&f, QUO_REQUEST_DELETE, "key", QUO_LEVEL_EVENTUAL);
    struct quo_msg_store store;
    struct quo_record record;

    fake_submit(&f, &request, &a);
    struct fake_frame frame = fake_next(&f, QUO_MESSAGE_STORE);
    assert_int_equal(quo_msg_store_decode(quo_slice(frame.body, frame.body_len), &store), QUO_OK);
    assert_int_equal(quo_record_decode(store.record, &record), QUO_OK);
    assert_int_equal(record.flags, QUO_RECORD_BLIND | QUO_RECORD_TOMBSTONE);
    assert_int_equal(record.value.len, 0);
    assert_int_equal(record.version.hlc >> 16, f.wall_ms);
    fake_reply_store(&f, &frame, QUO_OK);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
}

static void replies_that_are_nobodys_change_nothing(void **state)
{
    (void)state;
    struct quo_request request = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);
    struct quo_msg_reply nothing = {.status = QUO_OK};

    fake_submit(&f, &request, &a);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    /* Twice by one replica; by a node that was not asked; of another round, slot or generation. */
    fake_deliver(&f, first.peer, first.id, &nothing);
    fake_deliver(&f, first.peer, first.id, &nothing);
    fake_deliver(&f, 3, first.id, &nothing);
    fake_deliver(&f, second.peer, second.id + 1, &nothing);
    fake_deliver(&f, second.peer, second.id + (1u << 12), &nothing);
    fake_deliver(&f, second.peer, second.id + (UINT64_C(1) << 31), &nothing);
    fake_deliver(&f, second.peer, second.id + (UINT64_C(1) << 32), &nothing);
    struct quo_frame pong = {QUO_MESSAGE_PONG, second.id, quo_slice(NULL, 0)};
    f.transport.events->on_frame(f.transport.receiver, second.peer, &pong);
    assert_int_equal(a.calls, 0);
    fake_deliver(&f, second.peer, second.id, &nothing);
    assert_int_equal(a.calls, 1);
    /* The slot's next user is another operation. */
    fake_submit(&f, &request, &b);
    fake_deliver(&f, first.peer, first.id, &nothing);
    fake_deliver(&f, second.peer, second.id, &nothing);
    assert_int_equal(b.calls, 0);
    assert_int_equal(a.calls, 1);
}

static void a_malformed_reply_is_a_failure_of_its_peer(void **state)
{
    (void)state;
    struct quo_request request = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);

    fake_submit(&f, &request, &a);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    struct quo_frame garbage = {QUO_MESSAGE_REPLY, first.id, quo_slice("x", 1)};
    f.transport.events->on_frame(f.transport.receiver, first.peer, &garbage);
    struct fake_frame third = fake_next(&f, QUO_MESSAGE_QUERY);
    /* A status that no replica may answer with. */
    struct quo_msg_reply odd = {.status = QUO_NO_MEMORY};
    fake_deliver(&f, third.peer, third.id, &odd);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_UNAVAILABLE);
    fake_reply_query(&f, &second, 0, NULL);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void unreachable_peers_are_asked_last_and_fail_at_once(void **state)
{
    (void)state;
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);

    f.transport.events->on_down(f.transport.receiver, 0);
    f.refuse[0] = QUO_UNAVAILABLE;
    for (int i = 0; i < 6; i++) {
        fake_submit(&f, &get, &a);
        assert_int_not_equal(fake_next(&f, QUO_MESSAGE_QUERY).peer, 0);
        assert_int_not_equal(fake_next(&f, QUO_MESSAGE_QUERY).peer, 0);
        fake_expect_nothing(&f);
    }
    f.transport.events->on_down(f.transport.receiver, 1);
    f.refuse[1] = QUO_UNAVAILABLE;
    assert_int_equal(fake_submit(&f, &get, &a), 0);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(fake_submit(&f, &put, &a), 0);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(a.response.outcome, QUO_NOT_APPLIED);
}

static void a_full_outbox_counts_as_not_sent(void **state)
{
    (void)state;
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);

    fake_submit(&f, &put, &a);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    f.refuse[0] = f.refuse[1] = f.refuse[2] = QUO_BUSY;
    fake_reply_query(&f, &first, 0, NULL);
    fake_reply_query(&f, &second, 0, NULL);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(a.response.outcome, QUO_NOT_APPLIED);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void a_lost_connection_leaves_writes_unknown(void **state)
{
    (void)state;
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_EVENTUAL);

    fake_submit(&f, &put, &a);
    fake_submit(&f, &put, &b);
    f.transport.events->on_down(f.transport.receiver, 0);
    f.transport.events->on_down(f.transport.receiver, 2);
    assert_int_equal(a.calls + b.calls, 0);
    f.transport.events->on_down(f.transport.receiver, 1);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(a.response.outcome, QUO_UNKNOWN);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->unknown_outcomes), 2);
}

static void deadlines_expire_in_order(void **state)
{
    (void)state;
    static struct fake_answer answers[40];
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_EVENTUAL);

    for (uint32_t i = 0; i < 40; i++) {
        put.consistency.timeout_ms = 1 + (i * 17) % 40;
        fake_submit(&f, &put, &answers[i]);
    }
    for (uint32_t ms = 1; ms <= 40; ms++) {
        assert_int_equal(quo_service_deadline(f.service), f.mono_us + 1000);
        f.mono_us += 1000;
        quo_service_expire(f.service, f.mono_us);
        for (uint32_t i = 0; i < 40; i++)
            assert_int_equal(answers[i].calls, 1 + (i * 17) % 40 <= ms);
    }
    assert_int_equal(answers[3].response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(answers[3].response.outcome, QUO_UNKNOWN);
    assert_int_equal(quo_service_deadline(f.service), UINT64_MAX);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void an_abandoned_request_is_not_answered_and_goes_on(void **state)
{
    (void)state;
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);
    quo_ticket ticket = fake_submit(&f, &put, &a);

    quo_service_abandon(f.service, ticket);
    quo_service_abandon(f.service, ticket);
    quo_service_abandon(f.service, 0);
    quo_service_abandon(f.service, ticket + (UINT64_C(1) << 32));
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &first, 0, NULL);
    fake_reply_query(&f, &second, 0, NULL);
    for (int i = 0; i < 3; i++) {
        struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
        fake_reply_store(&f, &store, QUO_OK);
    }
    assert_int_equal(a.calls, 0);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->abandoned), 1);
}

static void a_newer_epoch_is_learned_once_and_for_all(void **state)
{
    (void)state;
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);
    struct quo_entry newer = {
        .epoch = 2, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {104, 102, 103}};
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];
    struct quo_msg_reply wrong = {.status = QUO_WRONG_EPOCH};
    struct quo_msg_query query;
    struct quo_entry entry;

    /* Not one that names a node that is not in the map. */
    newer.replicas[0] = 999;
    quo_entry_encode(&newer, bytes);
    wrong.entry = quo_slice(bytes, quo_entry_size(&newer));
    fake_submit(&f, &get, &a);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_next(&f, QUO_MESSAGE_QUERY);
    fake_deliver(&f, first.peer, first.id, &wrong);
    struct fake_frame third = fake_next(&f, QUO_MESSAGE_QUERY);

    newer.replicas[0] = 104;
    quo_entry_encode(&newer, bytes);
    fake_deliver(&f, third.peer, third.id, &wrong);
    first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    assert_int_equal(quo_msg_query_decode(quo_slice(first.body, first.body_len), &query), QUO_OK);
    assert_int_equal(quo_entry_decode(query.entry, &entry), QUO_OK);
    assert_true(quo_entry_equal(&entry, &newer));
    fake_reply_query(&f, &first, 5, "x");
    fake_reply_query(&f, &second, 5, "x");
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.receipt.epoch, 2);

    /* The next one starts there; an older entry changes nothing. */
    newer.epoch = 1;
    quo_entry_encode(&newer, bytes);
    fake_submit(&f, &get, &b);
    first = fake_next(&f, QUO_MESSAGE_QUERY);
    assert_int_equal(quo_msg_query_decode(quo_slice(first.body, first.body_len), &query), QUO_OK);
    assert_int_equal(quo_entry_decode(query.entry, &entry), QUO_OK);
    assert_int_equal(entry.epoch, 2);
    second = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_deliver(&f, first.peer, first.id, &wrong);
    third = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &third, 5, "x");
    fake_reply_query(&f, &second, 5, "x");
    assert_int_equal(b.calls, 1);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->wrong_epochs), 3);
}

static void a_wrong_clock_is_left_for_the_replicas(void **state)
{
    (void)state;
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_EVENTUAL);
    struct quo_msg_reply skew = {.status = QUO_SKEW, .now_ms = 6000};
    struct fake_frame stores[6];

    f.wall_ms = 90000000;
    fake_submit(&f, &put, &a);
    fake_submit(&f, &put, &b);
    for (int i = 0; i < 6; i++)
        stores[i] = fake_next(&f, QUO_MESSAGE_STORE);
    struct quo_version before = fake_stored_version(&stores[0]);
    for (int i = 0; i < 6; i++)
        fake_deliver(&f, stores[i].peer, stores[i].id, &skew);
    struct quo_version after[2];
    for (int i = 0; i < 6; i++) {
        struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
        after[i / 3] = fake_stored_version(&store);
        fake_reply_store(&f, &store, QUO_OK);
    }
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    assert_int_equal(quo_version_ms(after[0]), 6000);
    assert_int_not_equal(after[0].node, before.node);
    /* One correction serves both. */
    assert_int_equal(after[1].node, after[0].node);
    assert_false(quo_version_equal(after[0], after[1]));
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->skews), 6);
}

static void a_large_value_is_kept_and_written_back(void **state)
{
    (void)state;
    static char large[2000];
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);
    struct quo_msg_store store;
    struct quo_record record;

    memset(large, 'x', sizeof large - 1);
    fake_submit(&f, &get, &a);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &first, 4, "older");
    fake_reply_query(&f, &second, 6, large);
    struct fake_frame third = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &third, 4, "older");
    for (int i = 0; i < 2; i++) {
        struct fake_frame frame = fake_next(&f, QUO_MESSAGE_STORE);
        assert_int_not_equal(frame.peer, second.peer);
        assert_int_equal(quo_msg_store_decode(quo_slice(frame.body, frame.body_len), &store),
                         QUO_OK);
        assert_int_equal(store.flags, QUO_STORE_SYNC | QUO_STORE_WRITEBACK);
        assert_int_equal(quo_record_decode(store.record, &record), QUO_OK);
        assert_int_equal(record.value.len, sizeof large - 1);
        fake_reply_store(&f, &frame, QUO_OK);
    }
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_FOUND);
    assert_int_equal(a.value_len, sizeof large - 1);
    assert_true(a.response.receipt.repaired);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->write_backs), 1);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void large_keys_and_values_are_copied(void **state)
{
    (void)state;
    static uint8_t key[QUO_KEY_MAX], value[100000];
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);
    struct quo_msg_store store;
    struct quo_record record;

    memset(key, 'k', sizeof key);
    memset(value, 'v', sizeof value);
    put.key = quo_slice(key, sizeof key);
    put.value = quo_slice(value, sizeof value);
    fake_submit(&f, &put, &a);
    memset(key, 0, sizeof key);
    memset(value, 0, sizeof value);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    struct fake_frame second = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &first, 0, NULL);
    fake_reply_query(&f, &second, 0, NULL);
    struct fake_frame frame = fake_next(&f, QUO_MESSAGE_STORE);
    assert_int_equal(quo_msg_store_decode(quo_slice(frame.body, frame.body_len), &store), QUO_OK);
    assert_int_equal(store.key.len, sizeof key);
    assert_int_equal(store.key.data[sizeof key - 1], 'k');
    assert_int_equal(quo_record_decode(store.record, &record), QUO_OK);
    assert_int_equal(record.value.len, sizeof value);
    assert_int_equal(record.value.data[sizeof value - 1], 'v');
}

static void readiness_counts_partitions_without_a_quorum(void **state)
{
    (void)state;
    uint32_t lacking = 77;

    assert_true(quo_service_ready(f.service, &lacking));
    assert_int_equal(lacking, 77);
    f.transport.events->on_down(f.transport.receiver, 2);
    f.transport.events->on_down(f.transport.receiver, 3);
    assert_true(quo_service_ready(f.service, &lacking));
    f.transport.events->on_down(f.transport.receiver, 0);
    assert_false(quo_service_ready(f.service, &lacking));
    assert_int_equal(lacking, 1);
    f.transport.events->on_up(f.transport.receiver, 0);
    assert_true(quo_service_ready(f.service, &lacking));
    /* Both sets of a joint entry count. */
    f.map.entries[0].state = QUO_ENTRY_JOINT;
    f.map.entries[0].n_next = 3;
    memcpy(f.map.entries[0].next, (uint64_t[]){101, 103, 104}, 24);
    assert_false(quo_service_ready(f.service, &lacking));
}

static void chain(void *context, const struct quo_response *response)
{
    int *left = context;
    quo_ticket ticket;

    (void)response;
    if (--*left == 0)
        return;
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_EVENTUAL);
    assert_int_equal(quo_service_submit(f.service, &get, chain, left, &ticket), QUO_OK);
}

static void an_answer_may_submit_the_next_request(void **state)
{
    (void)state;
    int left = 100;
    quo_ticket ticket;
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_EVENTUAL);

    assert_int_equal(quo_service_submit(f.service, &get, chain, &left, &ticket), QUO_OK);
    while (left > 0) {
        struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
        fake_reply_query(&f, &query, 5, "x");
    }
    assert_int_equal(quo_service_in_flight(f.service), 0);
    /* Also when the answer is known at once, and when connections break. */
    f.refuse[0] = f.refuse[1] = f.refuse[2] = QUO_UNAVAILABLE;
    left = 50;
    assert_int_equal(quo_service_submit(f.service, &get, chain, &left, &ticket), QUO_OK);
    assert_int_equal(ticket, 0);
    assert_int_equal(left, 0);
}

static void requests_in_flight_are_dropped_with_the_service(void **state)
{
    (void)state;
    static char large[2000];
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);

    memset(large, 'x', sizeof large - 1);
    fake_submit(&f, &get, &a);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &first, 6, large);
    quo_service_free(f.service);
    f.service = NULL;
    assert_int_equal(a.calls, 0);
    quo_service_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_strong_read_takes_one_round_trip),
        TEST(a_strong_write_is_above_what_it_saw),
        TEST(a_delete_stores_a_tombstone),
        TEST(replies_that_are_nobodys_change_nothing),
        TEST(a_malformed_reply_is_a_failure_of_its_peer),
        TEST(unreachable_peers_are_asked_last_and_fail_at_once),
        TEST(a_full_outbox_counts_as_not_sent),
        TEST(a_lost_connection_leaves_writes_unknown),
        TEST(deadlines_expire_in_order),
        TEST(an_abandoned_request_is_not_answered_and_goes_on),
        TEST(a_newer_epoch_is_learned_once_and_for_all),
        TEST(a_wrong_clock_is_left_for_the_replicas),
        TEST(a_large_value_is_kept_and_written_back),
        TEST(large_keys_and_values_are_copied),
        TEST(readiness_counts_partitions_without_a_quorum),
        TEST(an_answer_may_submit_the_next_request),
        TEST(requests_in_flight_are_dropped_with_the_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
