/* Additions to counters of kind crdt: what goes to the slot, and what goes on to the others. */
#include "quorate/slot.h"
#include "tests/unit/service/fake.h"

#define PREFIX_LEN 6u

static struct fake f;
static struct fake_answer answer;

static int setup(void **state)
{
    (void)state;
    fake_init(&f);
    f.map.namespaces[0].kind = QUO_KIND_CRDT;
    fake_start(&f, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop(&f);
    return 0;
}

static struct quo_request addition(uint8_t w)
{
    return (struct quo_request){
        .type = QUO_REQUEST_ADD,
        .ns = &f.map.namespaces[0],
        .collection = QUO_COLLECTION_COUNTER,
        .key = quo_slice("\0\4hits", PREFIX_LEN),
        .consistency = {.level = w > 1 ? QUO_LEVEL_QUORUM : QUO_LEVEL_EVENTUAL,
                        .n = 3,
                        .w = w,
                        .dw = w,
                        .timeout_ms = 1000},
        .by = -7,
    };
}

static struct quo_request keyed(uint8_t w)
{
    struct quo_request request = addition(w);

    request.has_opid = true;
    request.opid = quo_opid_of_key(quo_slice_of("a key"));
    request.digest = 99;
    return request;
}

static struct quo_msg_slot slot_of(const struct fake_frame *frame)
{
    struct quo_msg_slot slot;

    assert_int_equal(quo_msg_slot_decode(quo_slice(frame->body, frame->body_len), &slot), QUO_OK);
    return slot;
}

/* Answers a SLOT with a record that remembers so many keys. */
static void reply_slot(const struct fake_frame *to, uint64_t hlc, unsigned keys, uint8_t found)
{
    static uint8_t value[QUO_SLOT_VALUE_MAX], bytes[QUO_SLOT_VALUE_MAX + 64];
    struct quo_record record = {.flags = QUO_RECORD_BLIND,
                                .version = {hlc, 101 + to->peer},
                                .value = quo_slice(value, QUO_SLOT_HEADER + keys * 50)};
    struct quo_msg_reply reply = {
        .flags = (uint8_t)(QUO_REPLY_DURABLE | QUO_REPLY_VALUE | found),
        .version = record.version,
        .now_ms = f.wall_ms,
        .record = quo_slice(bytes, quo_record_size(&record)),
    };

    quo_record_encode(&record, bytes);
    fake_deliver(&f, to->peer, to->id, &reply);
}

static void expect_store(const struct fake_frame *frame, uint64_t replica, uint64_t hlc, size_t len)
{
    struct quo_msg_store store;
    struct quo_record record;

    assert_int_equal(quo_msg_store_decode(quo_slice(frame->body, frame->body_len), &store), QUO_OK);
    assert_int_equal(store.ns, quo_collection_ns(1, QUO_COLLECTION_COUNTER));
    assert_int_equal(store.kind, QUO_KIND_CRDT);
    assert_int_equal(store.flags, QUO_STORE_SYNC | QUO_STORE_WRITEBACK);
    assert_int_equal(store.key.len, PREFIX_LEN + QUO_SLOT_KEY_SUFFIX);
    assert_memory_equal(store.key.data, "\0\4hits", PREFIX_LEN);
    assert_int_equal(quo_get_u64(store.key.data + PREFIX_LEN), replica);
    assert_int_equal(quo_record_decode(store.record, &record), QUO_OK);
    assert_int_equal(record.version.hlc, hlc);
    assert_int_equal(record.value.len, len);
}

static void the_slots_record_goes_to_the_others(void **state)
{
    (void)state;
    struct quo_request request = addition(2);
    struct quo_msg_slot slot;

    fake_submit(&f, &request, &answer);
    struct fake_frame frame = fake_next(&f, QUO_MESSAGE_SLOT);
    fake_expect_nothing(&f);
    slot = slot_of(&frame);
    assert_int_equal(frame.peer, 0);
    assert_int_equal(slot.ns, quo_collection_ns(1, QUO_COLLECTION_COUNTER));
    assert_int_equal(slot.kind, QUO_KIND_CRDT);
    assert_int_equal((int64_t)slot.by, -7);
    assert_int_equal(slot.opid_high | slot.opid_low, 0);
    assert_int_equal(slot.since >> 16, f.wall_ms);
    assert_true(quo_slice_equal(slot.key, quo_slice("\0\4hits", PREFIX_LEN)));
    reply_slot(&frame, slot.since + 5, 0, 0);
    struct fake_frame one = fake_next(&f, QUO_MESSAGE_STORE);
    struct fake_frame other = fake_next(&f, QUO_MESSAGE_STORE);
    fake_expect_nothing(&f);
    assert_true(one.peer + other.peer == 3);
    expect_store(&one, 101, slot.since + 5, QUO_SLOT_HEADER);
    expect_store(&other, 101, slot.since + 5, QUO_SLOT_HEADER);
    assert_int_equal(answer.calls, 0);
    fake_reply_store(&f, &one, QUO_OK);
    assert_int_equal(answer.calls, 1);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(answer.response.outcome, QUO_APPLIED);
    assert_int_equal(answer.response.receipt.acks, 2);
    assert_int_equal(answer.response.receipt.disk, 2);
    assert_false(answer.response.is_consensus);
    assert_false(answer.response.change.replayed);
    fake_reply_store(&f, &other, QUO_OK);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->additions), 1);
}

static void a_key_leads_to_one_slot(void **state)
{
    (void)state;
    struct quo_request request = keyed(1);
    uint64_t peer = 0;

    for (int i = 0; i < 5; i++) {
        fake_submit(&f, &request, &answer);
        struct fake_frame frame = fake_next(&f, QUO_MESSAGE_SLOT);
        struct quo_msg_slot slot = slot_of(&frame);
        assert_true(i == 0 || frame.peer == peer);
        peer = frame.peer;
        assert_int_equal(slot.opid_high, quo_get_u64(request.opid.bytes));
        assert_int_equal(slot.opid_low, quo_get_u64(request.opid.bytes + 8));
        assert_int_equal(slot.digest, 99);
        reply_slot(&frame, slot.since, 1, i > 0 ? QUO_REPLY_FOUND : 0);
        assert_int_equal(answer.calls, 1);
        assert_int_equal(answer.response.change.replayed, i > 0);
        for (int j = 0; j < 2; j++) {
            struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
            expect_store(&store, 101 + peer, slot.since, QUO_SLOT_HEADER + 50);
            fake_reply_store(&f, &store, QUO_SUPERSEDED);
        }
    }
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->replays), 4);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->additions), 5);
    f.transport.events->on_down(f.transport.receiver, peer);
    fake_submit(&f, &request, &answer);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(answer.response.outcome, QUO_NOT_APPLIED);
    fake_expect_nothing(&f);
}

static void silence_is_no_answer(void **state)
{
    (void)state;
    struct quo_request request = addition(1);

    fake_submit(&f, &request, &answer);
    struct fake_frame frame = fake_next(&f, QUO_MESSAGE_SLOT);
    f.transport.events->on_down(f.transport.receiver, frame.peer);
    assert_int_equal(answer.calls, 1);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(answer.response.outcome, QUO_UNKNOWN);
    assert_true(quo_version_is_none(answer.response.receipt.version));
    fake_expect_nothing(&f);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    /* A late answer changes nothing. */
    reply_slot(&frame, 5 << 16, 0, 0);
    fake_expect_nothing(&f);
    assert_int_equal(answer.calls, 1);
}

static void the_first_slot_may_be_another(void **state)
{
    (void)state;
    struct quo_request request = addition(1);

    f.refuse[0] = QUO_UNAVAILABLE;
    fake_submit(&f, &request, &answer);
    struct fake_frame frame = fake_next(&f, QUO_MESSAGE_SLOT);
    assert_int_equal(frame.peer, 1);
    fake_deliver(&f, frame.peer, frame.id,
                 &(struct quo_msg_reply){.status = QUO_READ_ONLY, .now_ms = f.wall_ms});
    frame = fake_next(&f, QUO_MESSAGE_SLOT);
    assert_int_equal(frame.peer, 2);
    reply_slot(&frame, slot_of(&frame).since, 0, 0);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_WRITTEN);
}

/* A long record that must be sent again is still there. */
static void a_newer_epoch_gets_the_same_record(void **state)
{
    (void)state;
    struct quo_request request = addition(2);
    struct quo_entry newer = {
        .epoch = 2, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {102, 103, 104}};
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];

    fake_submit(&f, &request, &answer);
    struct fake_frame frame = fake_next(&f, QUO_MESSAGE_SLOT);
    const uint64_t since = slot_of(&frame).since;
    reply_slot(&frame, since, 200, 0);
    frame = fake_next(&f, QUO_MESSAGE_STORE);
    fake_next(&f, QUO_MESSAGE_STORE);
    quo_entry_encode(&newer, bytes);
    struct quo_msg_reply reply = {.status = QUO_WRONG_EPOCH,
                                  .now_ms = f.wall_ms,
                                  .entry = quo_slice(bytes, quo_entry_size(&newer))};
    fake_deliver(&f, frame.peer, frame.id, &reply);
    for (int i = 0; i < 3; i++) {
        struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
        expect_store(&store, 101, since, QUO_SLOT_HEADER + 200 * 50);
        fake_reply_store(&f, &store, QUO_OK);
        assert_int_equal(answer.calls, i > 0);
    }
    assert_int_equal(answer.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void it_is_above_what_its_session_has_met(void **state)
{
    (void)state;
    struct quo_request request = addition(1);

    request.above = (f.wall_ms + 1000) << 16;
    fake_submit(&f, &request, &answer);
    struct fake_frame frame = fake_next(&f, QUO_MESSAGE_SLOT);
    assert_true(slot_of(&frame).since > request.above);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_slots_record_goes_to_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_leads_to_one_slot, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_is_no_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(the_first_slot_may_be_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_epoch_gets_the_same_record, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_above_what_its_session_has_met, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
