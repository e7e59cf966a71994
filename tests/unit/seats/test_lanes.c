/* Lanes: what one loop sends arrives whole, in order and once at another, with mailboxes that the
 * test empties by hand, and with real loops in threads of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "proxy/seats/seats.h"
#include "quorate/loop.h"

/* Mailboxes by hand */

#define HAND_LOOPS 3
#define TASKS_MAX 8

struct hand {
    struct quo_mailbox mailbox;
    struct quo_task *tasks[TASKS_MAX];
    uint32_t task_count;
    uint32_t ups;       /* a bit for each loop */
    uint32_t frames;    /* that came */
    uint64_t last_peer; /* and of the last of them */
    uint64_t last_id;
    uint8_t last_type;
    size_t last_len;
    uint64_t sum;       /* of bytes of all bodies */
    uint64_t answer_to; /* a frame of this id is answered from within on_frame; 0: none */
    struct quo_transport *transport;
};

struct bed {
    struct quo_lanes *lanes;
    struct hand hands[HAND_LOOPS];
};

static void hand_post(struct quo_mailbox *mailbox, struct quo_task *task)
{
    struct hand *hand = QUO_CONTAINER_OF(mailbox, struct hand, mailbox);

    assert_true(hand->task_count < TASKS_MAX);
    hand->tasks[hand->task_count++] = task;
}

static const struct quo_mailbox_ops hand_ops = {.post = hand_post};

static enum quo_status send_bytes(struct quo_transport *transport, uint64_t peer, uint64_t id,
                                  uint8_t fill, size_t len)
{
    uint8_t *body;
    enum quo_status status = transport->ops->reserve(transport, peer, len, &body);

    if (status != QUO_OK)
        return status;
    memset(body, fill, len);
    transport->ops->seal(transport, peer, QUO_MESSAGE_FORWARD, id);
    return QUO_OK;
}

static uint64_t sum_of(struct quo_slice bytes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < bytes.len; i++)
        sum += bytes.data[i];
    return sum;
}

static void hand_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    struct hand *hand = receiver;

    hand->frames++;
    hand->last_peer = peer;
    hand->last_id = frame->id;
    hand->last_type = frame->type;
    hand->last_len = frame->body.len;
    hand->sum += sum_of(frame->body);
    if (hand->answer_to != 0 && hand->answer_to == frame->id)
        assert_int_equal(send_bytes(hand->transport, peer, frame->id, 1, 10), QUO_OK);
}

static void hand_up(void *receiver, uint64_t peer)
{
    struct hand *hand = receiver;

    assert_false(hand->ups >> peer & 1);
    hand->ups |= 1u << peer;
}

static void never_down(void *receiver, uint64_t peer)
{
    (void)receiver;
    fail_msg("loop %u is down", (unsigned)peer);
}

static const struct quo_transport_events hand_events = {
    .on_frame = hand_frame,
    .on_up = hand_up,
    .on_down = never_down,
};

static int set_up(void **state)
{
    struct quo_mailbox *mailboxes[HAND_LOOPS];
    struct bed *bed = calloc(1, sizeof *bed);

    assert_non_null(bed);
    for (uint32_t i = 0; i < HAND_LOOPS; i++) {
        bed->hands[i].mailbox.ops = &hand_ops;
        mailboxes[i] = &bed->hands[i].mailbox;
    }
    bed->lanes = quo_lanes_new(mailboxes, HAND_LOOPS);
    assert_non_null(bed->lanes);
    for (uint32_t i = 0; i < HAND_LOOPS; i++) {
        bed->hands[i].transport = quo_lanes_transport(bed->lanes, i);
        bed->hands[i].transport->events = &hand_events;
        bed->hands[i].transport->receiver = &bed->hands[i];
    }
    *state = bed;
    return 0;
}

static int tear_down(void **state)
{
    struct bed *bed = *state;

    quo_lanes_free(bed->lanes);
    free(bed);
    return 0;
}

static void run_tasks(struct hand *hand)
{
    const uint32_t count = hand->task_count;

    hand->task_count = 0;
    for (uint32_t i = 0; i < count; i++)
        hand->tasks[i]->run(hand->tasks[i]);
}

static void the_others_are_up_from_the_first_turn(void **state)
{
    struct bed *bed = *state;

    assert_int_equal(bed->hands[1].ups, 0);
    quo_lanes_end_turn(bed->lanes, 1);
    assert_int_equal(bed->hands[1].ups, 5);
    quo_lanes_end_turn(bed->lanes, 1); /* a second call of on_up would fail */
    assert_int_equal(bed->hands[0].ups, 0);
    for (uint32_t i = 0; i < HAND_LOOPS; i++)
        assert_int_equal(bed->hands[i].task_count, 0);
}

static void frames_leave_at_the_end_of_the_turn_in_one_task(void **state)
{
    struct bed *bed = *state;
    struct hand *to = &bed->hands[2];

    for (uint64_t id = 1; id <= 2000; id++)
        assert_int_equal(send_bytes(bed->hands[0].transport, 2, id, 3, 100), QUO_OK);
    assert_int_equal(to->task_count, 0);
    quo_lanes_end_turn(bed->lanes, 0);
    assert_int_equal(to->task_count, 1);
    assert_int_equal(bed->hands[1].task_count, 0);
    assert_int_equal(to->frames, 0);
    run_tasks(to);
    assert_int_equal(to->frames, 2000);
    assert_int_equal(to->sum, 2000u * 300);
    assert_int_equal(to->last_peer, 0);
    assert_int_equal(to->last_id, 2000);
    assert_int_equal(to->last_type, QUO_MESSAGE_FORWARD);
    assert_int_equal(to->last_len, 100);
}

static void turns_that_were_not_taken_wait_in_order_for_one_task(void **state)
{
    struct bed *bed = *state;
    struct hand *to = &bed->hands[0];

    for (uint64_t id = 1; id <= 5; id++) {
        assert_int_equal(send_bytes(bed->hands[1].transport, 0, id, 0, id), QUO_OK);
        quo_lanes_end_turn(bed->lanes, 1);
        assert_int_equal(to->task_count, 1);
    }
    assert_int_equal(send_bytes(bed->hands[2].transport, 0, 77, 0, 1), QUO_OK);
    quo_lanes_end_turn(bed->lanes, 2);
    assert_int_equal(to->task_count, 2);
    run_tasks(to);
    assert_int_equal(to->frames, 6);
    assert_int_equal(to->last_id, 77);
    /* And then again. */
    assert_int_equal(send_bytes(bed->hands[1].transport, 0, 6, 0, 0), QUO_OK);
    quo_lanes_end_turn(bed->lanes, 1);
    run_tasks(to);
    assert_int_equal(to->frames, 7);
    assert_int_equal(to->last_id, 6);
    assert_int_equal(to->last_len, 0);
}

static void frames_of_every_length_arrive_whole(void **state)
{
    struct bed *bed = *state;
    struct hand *to = &bed->hands[1];
    uint64_t id = 0, sum = 0;

    for (size_t len = 0; len < 20000; len += 1 + len / 7) {
        const uint8_t byte = (uint8_t)(++id % 251);
        assert_int_equal(send_bytes(bed->hands[0].transport, 1, id, byte, len), QUO_OK);
        sum += len * byte;
    }
    assert_int_equal(send_bytes(bed->hands[0].transport, 1, ++id, 1, QUO_FRAME_BODY_MAX), QUO_OK);
    sum += QUO_FRAME_BODY_MAX;
    assert_int_equal(send_bytes(bed->hands[0].transport, 1, ++id, 1, 1), QUO_OK);
    quo_lanes_end_turn(bed->lanes, 0);
    run_tasks(to);
    assert_int_equal(to->frames, id);
    assert_int_equal(to->last_id, id);
    assert_int_equal(to->sum, sum + 1);
}

static void an_answer_from_within_leaves_at_that_turn_s_end(void **state)
{
    struct bed *bed = *state;
    struct hand *from = &bed->hands[0], *to = &bed->hands[1];

    to->answer_to = 5;
    assert_int_equal(send_bytes(from->transport, 1, 5, 0, 100), QUO_OK);
    quo_lanes_end_turn(bed->lanes, 0);
    run_tasks(to);
    assert_int_equal(from->task_count, 0);
    quo_lanes_end_turn(bed->lanes, 1);
    run_tasks(from);
    assert_int_equal(from->frames, 1);
    assert_int_equal(from->last_peer, 1);
    assert_int_equal(from->last_id, 5);
    assert_int_equal(from->last_len, 10);
}

static void too_many_frames_are_refused_until_some_are_taken(void **state)
{
    struct bed *bed = *state;
    struct hand *from = &bed->hands[0], *to = &bed->hands[1];

    for (uint32_t round = 0; round < 3; round++) {
        uint32_t sent = 0;
        while (send_bytes(from->transport, 1, ++sent, 0, 8) == QUO_OK) {
            if (sent % 1000 == 0)
                quo_lanes_end_turn(bed->lanes, 0);
        }
        assert_int_equal(sent - 1, QUO_CONN_IN_FLIGHT_MAX);
        assert_int_equal(send_bytes(from->transport, 2, 1, 0, 8), QUO_OK);
        quo_lanes_end_turn(bed->lanes, 0);
        run_tasks(to);
        run_tasks(&bed->hands[2]);
        assert_int_equal(to->frames, (round + 1) * QUO_CONN_IN_FLIGHT_MAX);
    }
}

static void too_many_bytes_are_refused_until_some_are_taken(void **state)
{
    struct bed *bed = *state;
    struct hand *from = &bed->hands[0], *to = &bed->hands[1];
    const size_t len = 1024 * 1024;

    for (uint32_t round = 0; round < 2; round++) {
        uint32_t sent = 0;
        while (send_bytes(from->transport, 1, sent, 0, len) == QUO_OK)
            sent++;
        assert_int_equal(sent, QUO_OUTBOX_MAX / len - 1); /* with their headers, not one more */
        assert_int_equal(send_bytes(from->transport, 1, sent, 0, 100), QUO_OK);
        quo_lanes_end_turn(bed->lanes, 0);
        run_tasks(to);
        assert_int_equal(to->frames, (round + 1) * (sent + 1));
    }
}

static void what_was_not_taken_is_freed(void **state)
{
    struct bed *bed = *state;

    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(send_bytes(bed->hands[0].transport, 1, i, 0, 1000), QUO_OK);
    quo_lanes_end_turn(bed->lanes, 0);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(send_bytes(bed->hands[0].transport, 1, i, 0, 1000), QUO_OK);
    quo_lanes_free(NULL);
}

/* Real loops */

#define LOOPS 4
#define REQUESTS 20000 /* that each loop sends to every other */
#define WINDOW 600     /* of them without an answer */

/* What a worker knows of another. */
struct other {
    uint32_t sent, answered; /* of its own requests */
    uint32_t asked;          /* requests that came */
};

struct worker {
    pthread_t thread;
    struct crowd *crowd;
    uint32_t index;
    struct quo_loop *loop;
    struct quo_turn_hook hook;
    struct quo_transport *transport;
    struct other others[LOOPS];
    uint32_t ups;
    bool done;
};

struct crowd {
    struct quo_lanes *lanes;
    struct worker workers[LOOPS];
    pthread_barrier_t barrier;
    atomic_uint running; /* workers that still wait for something */
    bool stops_early;    /* one of them leaves in the middle */
};

static size_t len_of(uint32_t number)
{
    return number % 1000 == 999 ? 30000 : number % 130;
}

/* Bodies are checked by content: a byte that another thread has written over would show. */
static void fill(uint8_t *body, uint32_t number)
{
    memset(body, (int)(number % 255), len_of(number));
}

static bool say(struct worker *worker, uint32_t peer, uint8_t type, uint32_t number)
{
    struct quo_transport *transport = worker->transport;
    uint8_t *body;

    if (transport->ops->reserve(transport, peer, len_of(number), &body) != QUO_OK)
        return false;
    fill(body, number);
    transport->ops->seal(transport, peer, type, number);
    return true;
}

static void worker_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    struct worker *worker = receiver;
    struct other *other = &worker->others[peer];
    const bool is_request = frame->type == QUO_MESSAGE_FORWARD;
    const uint32_t expected = is_request ? other->asked++ : other->answered++;

    assert_true(pthread_equal(pthread_self(), worker->thread));
    assert_int_equal(frame->id, expected);
    assert_int_equal(frame->body.len, len_of(expected));
    for (size_t i = 0; i < frame->body.len; i += 13)
        assert_int_equal(frame->body.data[i], expected % 255);
    if (is_request)
        assert_true(say(worker, (uint32_t)peer, QUO_MESSAGE_FORWARDED, expected));
}

static void worker_up(void *receiver, uint64_t peer)
{
    struct worker *worker = receiver;

    assert_int_not_equal(peer, worker->index);
    worker->ups++;
}

static const struct quo_transport_events worker_events = {
    .on_frame = worker_frame,
    .on_up = worker_up,
    .on_down = never_down,
};

static bool is_done(const struct worker *worker)
{
    const uint32_t wanted = worker->crowd->stops_early ? REQUESTS / 3 : REQUESTS;

    for (uint32_t i = 0; i < LOOPS; i++) {
        const struct other *other = &worker->others[i];
        if (i != worker->index && (other->answered < wanted || other->asked < wanted))
            return false;
    }
    return true;
}

static void stop_all(struct crowd *crowd)
{
    for (uint32_t i = 0; i < LOOPS; i++)
        quo_loop_stop(crowd->workers[i].loop);
}

static void worker_end_turn(struct quo_turn_hook *hook)
{
    struct worker *worker = QUO_CONTAINER_OF(hook, struct worker, hook);

    for (uint32_t i = 0; i < LOOPS; i++) {
        struct other *other = &worker->others[i];
        while (i != worker->index && other->sent < REQUESTS &&
               other->sent - other->answered < WINDOW &&
               say(worker, i, QUO_MESSAGE_FORWARD, other->sent))
            other->sent++;
    }
    quo_lanes_end_turn(worker->crowd->lanes, worker->index);
    if (worker->done || !is_done(worker))
        return;
    worker->done = true;
    if (worker->crowd->stops_early || atomic_fetch_sub(&worker->crowd->running, 1) == 1)
        stop_all(worker->crowd);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct crowd *crowd = worker->crowd;

    worker->loop = quo_loop_new();
    assert_non_null(worker->loop);
    pthread_barrier_wait(&crowd->barrier); /* all have a mailbox */
    if (worker->index == 0) {
        struct quo_mailbox *mailboxes[LOOPS];
        for (uint32_t i = 0; i < LOOPS; i++)
            mailboxes[i] = quo_loop_mailbox(crowd->workers[i].loop);
        crowd->lanes = quo_lanes_new(mailboxes, LOOPS);
        assert_non_null(crowd->lanes);
    }
    pthread_barrier_wait(&crowd->barrier); /* there are lanes */
    worker->transport = quo_lanes_transport(crowd->lanes, worker->index);
    worker->transport->events = &worker_events;
    worker->transport->receiver = worker;
    worker->hook.run = worker_end_turn;
    quo_loop_add_turn_hook(worker->loop, &worker->hook);
    pthread_barrier_wait(&crowd->barrier); /* all can receive */
    quo_loop_turn(worker->loop, 0);        /* does not wait for something to happen */
    quo_loop_run(worker->loop);
    pthread_barrier_wait(&crowd->barrier); /* nobody posts any more */
    quo_loop_free(worker->loop);
    return NULL;
}

static void run_crowd(struct crowd *crowd)
{
    pthread_barrier_init(&crowd->barrier, NULL, LOOPS);
    atomic_store(&crowd->running, LOOPS);
    for (uint32_t i = 0; i < LOOPS; i++) {
        crowd->workers[i].crowd = crowd;
        crowd->workers[i].index = i;
        assert_int_equal(pthread_create(&crowd->workers[i].thread, NULL, work, &crowd->workers[i]),
                         0);
    }
    for (uint32_t i = 0; i < LOOPS; i++)
        pthread_join(crowd->workers[i].thread, NULL);
    quo_lanes_free(crowd->lanes);
    pthread_barrier_destroy(&crowd->barrier);
}

static void loops_exchange_frames_both_ways(void **state)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);

    (void)state;
    assert_non_null(crowd);
    run_crowd(crowd);
    for (uint32_t i = 0; i < LOOPS; i++) {
        const struct worker *worker = &crowd->workers[i];
        assert_int_equal(worker->ups, LOOPS - 1);
        for (uint32_t j = 0; j < LOOPS; j++) {
            assert_int_equal(worker->others[j].asked, i == j ? 0 : REQUESTS);
            assert_int_equal(worker->others[j].answered, i == j ? 0 : REQUESTS);
        }
    }
    free(crowd);
}

/* The first that has seen enough stops all: what is under way then is dropped, and freed. */
static void loops_stop_with_frames_under_way(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct crowd *crowd = calloc(1, sizeof *crowd);

        assert_non_null(crowd);
        crowd->stops_early = true;
        run_crowd(crowd);
        for (uint32_t i = 0; i < LOOPS; i++) {
            for (uint32_t j = 0; j < LOOPS; j++)
                assert_true(crowd->workers[i].others[j].asked <= crowd->workers[j].others[i].sent);
        }
        free(crowd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_others_are_up_from_the_first_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_leave_at_the_end_of_the_turn_in_one_task, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(turns_that_were_not_taken_wait_in_order_for_one_task,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_of_every_length_arrive_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_from_within_leaves_at_that_turn_s_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(too_many_frames_are_refused_until_some_are_taken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(too_many_bytes_are_refused_until_some_are_taken, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_taken_is_freed, set_up, tear_down),
        cmocka_unit_test(loops_exchange_frames_both_ways),
        cmocka_unit_test(loops_stop_with_frames_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
