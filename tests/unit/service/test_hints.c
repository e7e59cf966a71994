/* Hints: what a blind write has others keep for replicas that it did not reach. */
#include <stdio.h>

#include "tests/unit/service/fake.h"

enum { KEEPER = 3, MEMBERS = 3 }; /* the fourth node holds no partition */

static struct fake f;
static struct fake_answer answer;
static struct fake_frame stores[MEMBERS];

static int start(void **state)
{
    (void)state;
    fake_init(&f);
    fake_start(&f, 64, 0);
    return 0;
}
static int stop(void **state)
{
    (void)state;
    fake_stop(&f);
    return 0;
}

static uint64_t counted(const _Atomic uint64_t *counter)
{
    return quo_counted(counter);
}
#define STAT(name) counted(&quo_service_stats(f.service)->name)

static struct quo_request request_of(uint8_t w, bool sloppy)
{
    struct quo_request request = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_EVENTUAL);
    request.consistency.w = request.consistency.dw = w;
    request.consistency.sloppy = sloppy;
    return request;
}

/* Starts a write; takes the STOREs to members that can be reached. */
static void put(uint8_t w, bool sloppy)
{
    struct quo_request request = request_of(w, sloppy);
    fake_submit(&f, &request, &answer);
    for (uint64_t member = 0; member < MEMBERS; member++) {
        if (f.refuse[member] != QUO_OK)
            continue;
        struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
        stores[store.peer] = store;
    }
}

static void go(uint64_t peer, enum quo_status refuse)
{
    f.refuse[peer] = refuse;
    if (refuse == QUO_OK)
        f.transport.events->on_up(f.transport.receiver, peer);
    else
        f.transport.events->on_down(f.transport.receiver, peer);
}

/* The next frame is a HINT to `peer` for `member`, with the very record of its STORE. */
static struct fake_frame expect_hint(uint64_t peer, uint64_t member, const struct fake_frame *store)
{
    struct fake_frame frame = fake_next(&f, QUO_MESSAGE_HINT);
    struct quo_msg_hint hint;
    struct quo_msg_store message;
    assert_int_equal(frame.peer, peer);
    assert_int_equal(quo_msg_hint_decode(quo_slice(frame.body, frame.body_len), &hint), QUO_OK);
    assert_int_equal(hint.target, 101 + member);
    assert_int_equal(hint.partition, 0);
    assert_int_equal(hint.ns, 1);
    assert_int_equal(hint.kind, QUO_KIND_LWW);
    assert_true(quo_slice_equal(hint.key, quo_slice_of("key")));
    if (store != NULL) {
        assert_int_equal(quo_msg_store_decode(quo_slice(store->body, store->body_len), &message),
                         QUO_OK);
        assert_true(quo_slice_equal(hint.record, message.record));
        assert_true(quo_slice_equal(hint.entry, message.entry));
    }
    return frame;
}

static void reply(const struct fake_frame *to, enum quo_status status)
{
    const struct quo_msg_reply message = {
        .status = (uint8_t)status, .flags = QUO_REPLY_DURABLE, .now_ms = f.wall_ms};
    fake_deliver(&f, to->peer, to->id, &message);
}

static void expire(uint64_t ms)
{
    f.mono_us += ms * 1000;
    quo_service_expire(f.service, f.mono_us);
}

static void who_is_down_is_hinted_elsewhere(void **state)
{
    (void)state;
    go(2, QUO_UNAVAILABLE);
    put(1, false);
    reply(&stores[0], QUO_OK);
    assert_int_equal(answer.calls, 1);
    fake_expect_nothing(&f);
    reply(&stores[1], QUO_OK);
    struct fake_frame hint = expect_hint(KEEPER, 2, &stores[0]);
    fake_expect_nothing(&f);
    /* Nobody waits for it. */
    assert_int_equal(quo_service_in_flight(f.service), 0);
    reply(&hint, QUO_OK);
    assert_int_equal(STAT(hints), 1);
    assert_int_equal(STAT(hints_kept), 1);
    assert_int_equal(STAT(late_replies), 1); /* the STORE's */
}

static void the_silent_are_hinted_when_time_is_over(void **state)
{
    (void)state;
    put(1, false);
    reply(&stores[1], QUO_OK);
    expire(1000);
    struct fake_frame first = expect_hint(KEEPER, 0, &stores[0]);
    struct fake_frame second = expect_hint(KEEPER, 2, &stores[0]);
    fake_expect_nothing(&f);
    assert_int_equal(quo_service_in_flight(f.service), 0);
    reply(&first, QUO_BUSY);
    reply(&second, QUO_OK);
    assert_int_equal(STAT(hints_refused), 1);
    assert_int_equal(STAT(hints_kept), 1);
}

static void a_replica_keeps_it_if_nobody_else_can(void **state)
{
    (void)state;
    go(KEEPER, QUO_UNAVAILABLE);
    put(1, false);
    reply(&stores[1], QUO_OK);
    reply(&stores[0], QUO_DISK_FULL);
    reply(&stores[2], QUO_NACK);
    expect_hint(1, 0, &stores[0]);
    fake_expect_nothing(&f);
    /* Without any it is left out. */
    put(1, false);
    for (uint64_t member = 0; member < MEMBERS; member++)
        go(member, QUO_UNAVAILABLE);
    fake_expect_nothing(&f);
    assert_int_equal(STAT(hints_shed), 3);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void writes_that_fail_for_certain_leave_none(void **state)
{
    (void)state;
    put(1, false);
    for (uint64_t member = 0; member < MEMBERS; member++)
        reply(&stores[member], QUO_BUSY);
    assert_int_equal(answer.response.outcome, QUO_NOT_APPLIED);
    fake_expect_nothing(&f);
    assert_int_equal(STAT(hints), 0);
}

static void strong_writes_leave_hints_too(void **state)
{
    (void)state;
    struct quo_request request = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);
    struct fake_frame frames[MEMBERS];
    fake_submit(&f, &request, &answer);
    for (int i = 0; i < 2; i++)
        frames[i] = fake_next(&f, QUO_MESSAGE_QUERY);
    for (int i = 0; i < 2; i++)
        fake_reply_query(&f, &frames[i], 0, NULL);
    for (int i = 0; i < MEMBERS; i++)
        frames[i] = fake_next(&f, QUO_MESSAGE_STORE);
    reply(&frames[0], QUO_OK);
    reply(&frames[1], QUO_OK);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_WRITTEN);
    reply(&frames[2], QUO_READ_ONLY);
    expect_hint(KEEPER, 2, &frames[0]);
    fake_expect_nothing(&f);
}

static void a_sloppy_write_waits_for_its_hint(void **state)
{
    (void)state;
    go(1, QUO_UNAVAILABLE);
    go(2, QUO_UNAVAILABLE);
    put(2, true);
    struct fake_frame hint = expect_hint(KEEPER, 1, &stores[0]);
    /* There is nobody for the other. */
    fake_expect_nothing(&f);
    reply(&stores[0], QUO_OK);
    assert_int_equal(answer.calls, 0);
    reply(&hint, QUO_OK);
    assert_int_equal(answer.calls, 1);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_WRITTEN);
    assert_true(answer.response.receipt.sloppy);
    assert_int_equal(answer.response.receipt.hints, 1);
    assert_int_equal(answer.response.receipt.acks, 1);
    assert_int_equal(STAT(sloppy), 1);
    assert_int_equal(STAT(hints_kept), 1);
    assert_int_equal(STAT(hints_shed), 1);
    assert_int_equal(quo_service_in_flight(f.service), 0);
}

static void a_keeper_that_goes_away_keeps_nothing_for_sure(void **state)
{
    (void)state;
    go(1, QUO_UNAVAILABLE);
    go(2, QUO_UNAVAILABLE);
    put(2, true);
    expect_hint(KEEPER, 1, &stores[0]);
    reply(&stores[0], QUO_OK);
    go(KEEPER, QUO_UNAVAILABLE);
    assert_int_equal(answer.calls, 1);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(answer.response.outcome, QUO_UNKNOWN);
    fake_expect_nothing(&f);
}

static void without_a_keeper_it_is_refused_at_once(void **state)
{
    (void)state;
    for (uint64_t peer = 1; peer <= KEEPER; peer++)
        go(peer, QUO_UNAVAILABLE);
    struct quo_request request = request_of(2, true);
    fake_submit(&f, &request, &answer);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(answer.response.outcome, QUO_NOT_APPLIED);
    fake_expect_nothing(&f);
    /* It is back. */
    go(KEEPER, QUO_OK);
    put(2, true);
    expect_hint(KEEPER, 1, &stores[0]);
}

static void answers_of_others_are_none(void **state)
{
    (void)state;
    go(1, QUO_UNAVAILABLE);
    go(2, QUO_UNAVAILABLE);
    put(2, true);
    struct fake_frame hint = expect_hint(KEEPER, 1, &stores[0]);
    reply(&stores[0], QUO_OK);
    struct fake_frame other = hint;
    other.peer = 2;
    reply(&other, QUO_OK);
    assert_int_equal(answer.calls, 0);
    other = hint;
    other.id++; /* another round */
    reply(&other, QUO_OK);
    assert_int_equal(answer.calls, 0);
    reply(&hint, QUO_OK);
    assert_int_equal(answer.calls, 1);
    reply(&hint, QUO_OK);
}

static void operations_that_linger_leave_hints_when_they_give_way(void **state)
{
    (void)state;
    enum { OPS = 64 };
    for (int i = 0; i < OPS; i++) {
        put(1, false);
        reply(&stores[0], QUO_OK);
        reply(&stores[1], QUO_OK);
    }
    fake_expect_nothing(&f);
    assert_int_equal(quo_service_in_flight(f.service), OPS);
    struct quo_request request = request_of(1, false);
    fake_submit(&f, &request, &answer);
    expect_hint(KEEPER, 2, NULL);
    for (int i = 0; i < MEMBERS; i++)
        fake_next(&f, QUO_MESSAGE_STORE);
    fake_expect_nothing(&f);
}

static void only_so_many_are_under_way(void **state)
{
    (void)state;
    struct fake_frame last = {0};
    go(2, QUO_UNAVAILABLE);
    for (unsigned i = 0; i <= QUO_HINTS_UNDER_WAY_MAX; i++) {
        put(1, false);
        reply(&stores[0], QUO_OK);
        reply(&stores[1], QUO_OK);
        if (i < QUO_HINTS_UNDER_WAY_MAX)
            last = expect_hint(KEEPER, 2, &stores[0]);
        fake_expect_nothing(&f);
        if (f.count < FAKE_FRAMES_MAX - 8)
            continue;
        for (int at = 0; at < f.count; at++)
            free(f.frames[at].body);
        f.first = f.count = 0;
    }
    assert_int_equal(STAT(hints_shed), 1);
    reply(&last, QUO_OK);
    put(1, false);
    reply(&stores[0], QUO_OK);
    reply(&stores[1], QUO_OK);
    expect_hint(KEEPER, 2, &stores[0]);
    /* What was sent to a node that went away is awaited no more. */
    go(KEEPER, QUO_UNAVAILABLE);
    go(KEEPER, QUO_OK);
    for (int i = 0; i < 3; i++) {
        put(1, false);
        reply(&stores[0], QUO_OK);
        reply(&stores[1], QUO_OK);
        last = expect_hint(KEEPER, 2, &stores[0]);
    }
    assert_int_equal(STAT(hints_shed), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_down_is_hinted_elsewhere),
        TEST(the_silent_are_hinted_when_time_is_over),
        TEST(a_replica_keeps_it_if_nobody_else_can),
        TEST(writes_that_fail_for_certain_leave_none),
        TEST(strong_writes_leave_hints_too),
        TEST(a_sloppy_write_waits_for_its_hint),
        TEST(a_keeper_that_goes_away_keeps_nothing_for_sure),
        TEST(without_a_keeper_it_is_refused_at_once),
        TEST(answers_of_others_are_none),
        TEST(operations_that_linger_leave_hints_when_they_give_way),
        TEST(only_so_many_are_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
