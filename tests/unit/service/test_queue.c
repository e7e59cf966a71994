/* Turns: of a key one write runs at a time, and the others in the order of their arrival. */
#include "proxy/service/queue.h"
#include "tests/unit/service/world.h"

static struct world w;
static struct world_answer answers[2000];

/* The table alone */

static struct quo_ops ops;
static struct quo_queue queue;

static struct quo_op *join(uint64_t hash, const char *key)
{
    struct quo_op *op = quo_ops_acquire(&ops);

    assert_non_null(op);
    op->name = (struct quo_name){hash, 1, quo_slice_of(key)};
    assert_int_equal(quo_queue_join(&queue, op), QUO_OK);
    return op;
}

static void begin_table(uint32_t capacity)
{
    assert_int_equal(quo_ops_init(&ops, capacity), QUO_OK);
    assert_int_equal(quo_queue_init(&queue, 4), QUO_OK);
}

static void end_table(void)
{
    quo_queue_free(&queue);
    quo_ops_free(&ops);
}

static void the_turn_passes_in_order(void **state)
{
    (void)state;
    struct quo_op *op[4];

    begin_table(16);
    for (int i = 0; i < 4; i++)
        op[i] = join(7, "k");
    assert_int_equal(op[0]->turn.state, QUO_TURN_HAS);
    for (int i = 1; i < 4; i++)
        assert_int_equal(op[i]->turn.state, QUO_TURN_WAITS);
    assert_null(quo_queue_ready(&queue));
    for (int i = 0; i < 3; i++) {
        quo_queue_leave(&queue, op[i]);
        quo_queue_leave(&queue, op[i]);
        assert_ptr_equal(quo_queue_ready(&queue), op[i + 1]);
        assert_int_equal(op[i + 1]->turn.state, QUO_TURN_HAS);
        assert_null(quo_queue_ready(&queue));
    }
    /* Whoever comes while the last one runs waits for it. */
    struct quo_op *late = join(7, "k");
    assert_int_equal(late->turn.state, QUO_TURN_WAITS);
    quo_queue_leave(&queue, op[3]);
    quo_queue_leave(&queue, late);
    assert_int_equal(join(7, "k")->turn.state, QUO_TURN_HAS);
    end_table();
}

static void who_gives_up_leaves_no_gap(void **state)
{
    (void)state;

    for (int gone = 0; gone < 8; gone++) {
        struct quo_op *op[4];
        begin_table(16);
        op[0] = join(7, "k");
        for (int i = 1; i < 4; i++)
            op[i] = join(7, "k");
        for (int i = 1; i < 4; i++) {
            if (gone >> (i - 1) & 1)
                quo_queue_leave(&queue, op[i]);
        }
        struct quo_op *running = op[0];
        for (int i = 1; i < 4; i++) {
            if (gone >> (i - 1) & 1)
                continue;
            quo_queue_leave(&queue, running);
            running = quo_queue_ready(&queue);
            assert_ptr_equal(running, op[i]);
        }
        quo_queue_leave(&queue, running);
        assert_null(quo_queue_ready(&queue));
        end_table();
    }
}

static void keys_that_meet_in_a_bucket_do_not_wait_for_each_other(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "b", "c"};
    struct quo_op *op[3], *waits[3];

    begin_table(16);
    for (int i = 0; i < 3; i++)
        op[i] = join(i == 2 ? 11 : 7, keys[i]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(op[i]->turn.state, QUO_TURN_HAS);
        waits[i] = join(i == 2 ? 11 : 7, keys[i]);
        assert_int_equal(waits[i]->turn.state, QUO_TURN_WAITS);
    }
    /* In another namespace it is another key. */
    struct quo_op *other = quo_ops_acquire(&ops);
    other->name = (struct quo_name){7, 2, quo_slice_of("a")};
    assert_int_equal(quo_queue_join(&queue, other), QUO_OK);
    assert_int_equal(other->turn.state, QUO_TURN_HAS);
    for (int i = 2; i >= 0; i--)
        quo_queue_leave(&queue, op[i]);
    for (int i = 2; i >= 0; i--)
        assert_ptr_equal(quo_queue_ready(&queue), waits[i]);
    end_table();
}

static void only_so_many_wait(void **state)
{
    (void)state;
    begin_table(QUO_KEY_QUEUE_MAX + 3);
    struct quo_op *first = join(7, "k");

    for (uint32_t i = 0; i < QUO_KEY_QUEUE_MAX; i++)
        join(7, "k");
    struct quo_op *op = quo_ops_acquire(&ops);
    op->name = first->name;
    assert_int_equal(quo_queue_join(&queue, op), QUO_BUSY);
    assert_int_equal(op->turn.state, QUO_TURN_NONE);
    quo_queue_leave(&queue, first);
    assert_int_equal(quo_queue_join(&queue, op), QUO_OK);
    end_table();
}

/* Within a service */

static int setup(void **state)
{
    (void)state;
    world_init(&w, 1, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(&w);
    return 0;
}

static void a_hot_key_is_written_in_order_and_warm(void **state)
{
    (void)state;
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);

    add.by = 1;
    for (int i = 0; i < 200; i++)
        world_submit(&w, 0, &add, &answers[i]);
    /* One runs. */
    assert_in_range(w.sent[QUO_MESSAGE_PREP], 2, 3);
    assert_int_equal(WORLD_COUNTED(&w, 0, queued), 199);
    world_run(&w);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].order, i);
        assert_int_equal(answers[i].response.verdict, QUO_VERDICT_WRITTEN);
        assert_int_equal(answers[i].response.change.counter, i + 1);
    }
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), 1);
    assert_int_equal(WORLD_COUNTED(&w, 0, accepts), 200);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_hits), 199);
    assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
}

static void other_keys_and_reads_do_not_wait(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_request other = world_request(&w, 0, QUO_REQUEST_PUT, "j", "one");
    struct quo_request get = world_request(&w, 0, QUO_REQUEST_GET, "k", NULL);

    world_submit(&w, 0, &put, &answers[0]);
    world_lose(&w, QUO_MESSAGE_PREP);
    world_submit(&w, 0, &put, &answers[1]);
    world_submit(&w, 0, &other, &answers[2]);
    world_submit(&w, 0, &get, &answers[3]);
    world_run(&w);
    assert_int_equal(answers[0].calls + answers[1].calls, 0);
    assert_int_equal(answers[2].response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(answers[3].response.verdict, QUO_VERDICT_ABSENT);
    world_pass(&w, 1000);
}

static void who_waits_too_long_has_done_nothing(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    put.consistency.timeout_ms = 500;
    world_submit(&w, 0, &put, &answers[0]);
    world_lose(&w, QUO_MESSAGE_PREP);
    put.consistency.timeout_ms = 100;
    world_submit(&w, 0, &put, &answers[1]);
    put.consistency.timeout_ms = 5000;
    world_submit(&w, 0, &put, &answers[2]);
    assert_int_equal(quo_service_deadline(w.services[0].service), w.mono_us + 100000);
    world_pass(&w, 99);
    assert_int_equal(answers[1].calls, 0);
    world_pass(&w, 1);
    assert_int_equal(answers[1].calls, 1);
    assert_int_equal(answers[1].response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(answers[1].response.outcome, QUO_NOT_APPLIED);
    assert_true(answers[1].response.is_consensus);
    assert_int_equal(answers[1].response.receipt.level, QUO_LEVEL_STRONG);
    assert_int_equal(answers[1].response.elapsed_us, 100000);
    assert_int_equal(answers[0].calls + answers[2].calls, 0);
    world_pass(&w, 401);
    assert_int_equal(answers[0].response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(answers[2].response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
}

static void the_turn_does_not_wait_for_late_replies(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");

    w.replicas[2].is_down = true;
    for (int i = 0; i < 5; i++)
        world_submit(&w, 0, &put, &answers[i]);
    world_run(&w);
    for (int i = 0; i < 5; i++)
        assert_int_equal(answers[i].response.verdict, QUO_VERDICT_WRITTEN);
    /* All of them still await the third replica. */
    assert_int_equal(quo_service_in_flight(w.services[0].service), 5);
    struct quo_transport *t = &w.services[0].transport;
    t->events->on_down(t->receiver, 2);
    assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
}

static void an_abandoned_request_takes_its_turn(void **state)
{
    (void)state;
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);
    quo_ticket tickets[3];

    add.by = 1;
    for (int i = 0; i < 3; i++)
        tickets[i] = world_submit(&w, 0, &add, &answers[i]);
    assert_int_not_equal(tickets[1], 0);
    quo_service_abandon(w.services[0].service, tickets[0]);
    quo_service_abandon(w.services[0].service, tickets[1]);
    world_run(&w);
    assert_int_equal(answers[0].calls + answers[1].calls, 0);
    assert_int_equal(answers[2].response.change.counter, 3);
    assert_int_equal(WORLD_COUNTED(&w, 0, abandoned), 2);
    assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_request other = world_request(&w, 0, QUO_REQUEST_PUT, "j", "one");
    quo_ticket ticket = 99;

    for (uint32_t i = 0; i <= QUO_KEY_QUEUE_MAX; i++)
        world_submit(&w, 0, &put, &answers[i]);
    assert_int_equal(
        quo_service_submit(w.services[0].service, &put, world_on_answer, &answers[1999], &ticket),
        QUO_BUSY);
    assert_int_equal(ticket, 99);
    assert_int_equal(WORLD_COUNTED(&w, 0, overloads), 1);
    assert_int_equal(quo_service_in_flight(w.services[0].service), QUO_KEY_QUEUE_MAX + 1);
    world_submit(&w, 0, &other, &answers[1998]);
    world_run(&w);
    assert_int_equal(answers[1998].calls, 1);
    assert_int_equal(answers[QUO_KEY_QUEUE_MAX].calls, 1);
    assert_int_equal(answers[1999].calls, 0);
}

/* All that wait end at once: neither the stack nor anything else minds. */
static void a_queue_that_cannot_be_served_ends_in_one_go(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "one");
    struct quo_transport *t = &w.services[0].transport;

    for (int i = 0; i < 1000; i++)
        world_submit(&w, 0, &put, &answers[i]);
    world_lose(&w, QUO_MESSAGE_PREP);
    for (uint64_t peer = 0; peer < WORLD_REPLICAS; peer++)
        t->events->on_down(t->receiver, peer);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].order, i);
        assert_int_equal(answers[i].response.verdict, QUO_VERDICT_UNAVAILABLE);
    }
    assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
}

static int chain_left, chain_depth, chain_depth_max;

static void chain(void *context, const struct quo_response *response)
{
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);
    quo_ticket ticket;

    (void)context;
    assert_int_equal(response->verdict, QUO_VERDICT_WRITTEN);
    chain_depth++;
    chain_depth_max = QUO_MAX(chain_depth_max, chain_depth);
    add.by = 1;
    if (--chain_left > 0)
        assert_int_equal(quo_service_submit(w.services[0].service, &add, chain, NULL, &ticket),
                         QUO_OK);
    chain_depth--;
}

static void an_answer_may_submit_the_next_write_of_its_key(void **state)
{
    (void)state;
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);
    quo_ticket ticket;

    add.by = 1;
    chain_left = 100;
    chain_depth_max = 0;
    assert_int_equal(quo_service_submit(w.services[0].service, &add, chain, NULL, &ticket), QUO_OK);
    world_run(&w);
    assert_int_equal(chain_left, 0);
    assert_int_equal(chain_depth_max, 1);
    world_do(&w, 0, &add, &answers[0]);
    assert_int_equal(answers[0].response.change.counter, 101);
}

static void writes_of_two_services_all_come_through(void **state)
{
    (void)state;
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);
    bool seen[41] = {false};
    char key[16];

    w.services[1].world = &w;
    world_start(&w, 1, 0);
    add.by = 1;
    add.has_opid = true;
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "order-%d", i);
        add.opid = quo_opid_of_key(quo_slice_of(key));
        world_submit(&w, i % 2, &add, &answers[i]);
    }
    world_pass(&w, 999);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(answers[i].response.verdict, QUO_VERDICT_WRITTEN);
        int64_t n = answers[i].response.change.counter;
        assert_in_range(n, 1, 40);
        assert_false(seen[n]);
        seen[n] = true;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_turn_passes_in_order),
        cmocka_unit_test(who_gives_up_leaves_no_gap),
        cmocka_unit_test(keys_that_meet_in_a_bucket_do_not_wait_for_each_other),
        cmocka_unit_test(only_so_many_wait),
        TEST(a_hot_key_is_written_in_order_and_warm),
        TEST(other_keys_and_reads_do_not_wait),
        TEST(who_waits_too_long_has_done_nothing),
        TEST(the_turn_does_not_wait_for_late_replies),
        TEST(an_abandoned_request_takes_its_turn),
        TEST(a_full_queue_refuses),
        TEST(a_queue_that_cannot_be_served_ends_in_one_go),
        TEST(an_answer_may_submit_the_next_write_of_its_key),
        TEST(writes_of_two_services_all_come_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
