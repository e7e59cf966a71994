/* Consensus writes that go from proposer to proposer: loops of one proxy, and other proxies. */
#include "proxy/service/affinity.h"
#include "tests/unit/service/world.h"

static struct world w;
static struct world_answer a, b, many[64];

static int stop(void **state)
{
    (void)state;
    for (int i = 0; i < WORLD_SERVICES; i++) {
        if (w.services[i].service != NULL)
            assert_int_equal(quo_service_in_flight(w.services[i].service), 0);
    }
    world_free(&w);
    return 0;
}

static int32_t reached(int service)
{
    return w.services[service].forwards_in;
}

/* Loops */

static void a_write_runs_on_the_loop_that_owns_its_key(void **state)
{
    (void)state;
    world_init(&w, 1, 2);
    const char *key = world_key_of_loop(&w, 0, 1, 0);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key, "one");
    struct quo_request get = world_request(&w, 0, QUO_REQUEST_GET, key, NULL);

    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(a.response.outcome, QUO_APPLIED);
    world_expect_value(&a, "one");
    assert_int_equal(reached(1), 1);
    assert_int_equal(WORLD_COUNTED(&w, 0, forwards), 1);
    assert_int_equal(WORLD_COUNTED(&w, 1, forwarded_in), 1);
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), 0);
    assert_int_equal(WORLD_COUNTED(&w, 1, prepares), 1);
    /* Whoever was asked counts the answer. */
    assert_int_equal(
        quo_counted(&world_stats(&w, 0)->verdicts[1][QUO_LEVEL_STRONG][QUO_VERDICT_WRITTEN]), 1);
    assert_int_equal(
        quo_counted(&world_stats(&w, 1)->verdicts[1][QUO_LEVEL_STRONG][QUO_VERDICT_WRITTEN]), 0);

    /* The owner needs nobody, and finds its promise; so does what comes from the other loop. */
    world_do(&w, 1, &put, &a);
    assert_int_equal(a.response.receipt.round_trips, 1);
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.receipt.round_trips, 1);
    assert_int_equal(reached(1), 2);
    assert_int_equal(WORLD_COUNTED(&w, 1, warm_hits), 2);
    /* Reads stay where they are. */
    world_do(&w, 0, &get, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_FOUND);
    assert_int_equal(reached(1), 2);
    assert_true(quo_version_equal(b.response.receipt.version, a.response.receipt.version));
}

static void everything_that_is_asked_and_answered_crosses_over(void **state)
{
    (void)state;
    world_init(&w, 1, 2);
    const char *n = world_key_of_loop(&w, 0, 1, 0), *k = world_key_of_loop(&w, 0, 1, 1);
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, n, NULL);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, k, "one");
    struct quo_request patch = world_request(&w, 0, QUO_REQUEST_PATCH, k, NULL);

    add.by = -3;
    add.has_opid = true;
    add.opid = quo_opid_of_key(quo_slice_of("x"));
    add.digest = 9;
    world_do(&w, 0, &add, &a);
    assert_true(a.response.change.has_counter);
    assert_int_equal(a.response.change.counter, -3);
    assert_true(quo_opid_equal(&a.response.opid, &add.opid));
    assert_int_equal(a.response.receipt.replies, 2);
    assert_int_equal(a.response.receipt.acks, 2);
    assert_int_equal(a.response.receipt.n, 3);
    assert_in_range(a.response.receipt.answered[1], 101, 103);
    assert_true(a.response.receipt.stable);
    world_do(&w, 0, &add, &b);
    assert_true(b.response.change.replayed);
    assert_true(quo_version_equal(b.response.change.changed, a.response.change.changed));
    assert_int_equal(WORLD_COUNTED(&w, 0, replays), 1);
    add.opid.bytes[7] ^= 1;
    add.has_min = true;
    add.min = -4;
    add.has_max = true;
    add.max = 10;
    world_do(&w, 0, &add, &a);
    assert_int_equal(a.response.change.code, QUO_CHANGE_BOUND);
    assert_int_equal(a.response.verdict, QUO_VERDICT_DECLINED);
    add.opid.bytes[7] ^= 2;
    add.by = 14;
    world_do(&w, 0, &add, &a);
    assert_int_equal(a.response.change.code, QUO_CHANGE_BOUND);

    world_do(&w, 0, &put, &a);
    put.condition = QUO_CONDITION_TAGS;
    put.tag_count = 2;
    put.tags[0] = (struct quo_version){1, 1};
    put.tags[1] = a.response.receipt.version;
    put.content_type = quo_slice_of("application/json");
    put.value = quo_slice_of("{\"a\":1}");
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_true(
        quo_slice_equal(quo_slice_of("application/json"), quo_slice_of("application/json")));
    world_do(&w, 0, &put, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_DECLINED);
    world_expect_value(&b, "{\"a\":1}");
    assert_true(quo_version_equal(b.response.receipt.version, a.response.receipt.version));
    patch.value = quo_slice_of("{\"b\":2}");
    patch.ttl_ms = 5000;
    world_do(&w, 0, &patch, &a);
    world_expect_value(&a, "{\"a\":1,\"b\":2}");
    assert_int_equal(a.response.record.flags, QUO_RECORD_EXPIRES);
    assert_in_range(a.response.left_ms, 4000, 5000);
    struct quo_request delete = world_request(&w, 0, QUO_REQUEST_DELETE, k, NULL);
    world_do(&w, 0, &delete, &a);
    assert_int_equal(a.response.record.flags, QUO_RECORD_TOMBSTONE);
    /* The other loop is no other proxy: nothing was taken for a hop. */
    assert_int_equal(reached(0), 0);
}

static void what_names_an_operation_is_older_than_its_ballots(void **state)
{
    (void)state;
    world_init(&w, 1, 2);
    const char *key = world_key_of_loop(&w, 0, 1, 0);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key, "one");

    for (int i = 0; i < 4; i++) {
        world_do(&w, 0, &put, &a);
        assert_true(a.response.since <= a.response.record.version.hlc);
        world_skip(&w, 2000);
    }
    assert_int_equal(WORLD_COUNTED(&w, 1, warm_hits), 3);
    /* A promise by a clock that is behind is of no use to it. */
    w.services[1].skew_ms = -3600000;
    const char *other = world_key_of_loop(&w, 0, 1, 1);
    struct quo_request second = world_request(&w, 0, QUO_REQUEST_PUT, other, "one");
    world_do(&w, 1, &second, &a);
    world_do(&w, 0, &second, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_true(a.response.since <= a.response.record.version.hlc);
}

static void writes_of_all_loops_wait_in_one_queue(void **state)
{
    (void)state;
    world_init(&w, 1, 3);
    const char *key = world_key_of_loop(&w, 0, 2, 0);
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, key, NULL);

    add.by = 1;
    for (int i = 0; i < 60; i++)
        world_submit(&w, i % 3, &add, &many[i]);
    world_run(&w);
    for (int i = 0; i < 60; i++)
        assert_int_equal(many[i].response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(WORLD_COUNTED(&w, 2, prepares), 1);
    assert_int_equal(WORLD_COUNTED(&w, 2, warm_hits), 59);
    world_do(&w, 0, &add, &a);
    assert_int_equal(a.response.change.counter, 61);
}

static void a_full_owner_refuses(void **state)
{
    (void)state;
    world_init(&w, 1, 2);
    quo_service_free(w.services[1].service);
    world_start(&w, 1, 4);
    const char *key = world_key_of_loop(&w, 0, 1, 0);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key, "one");

    for (int i = 0; i < 6; i++)
        world_submit(&w, 0, &put, &many[i]);
    world_run(&w);
    for (int i = 0; i < 4; i++)
        assert_int_equal(many[i].response.verdict, QUO_VERDICT_WRITTEN);
    for (int i = 4; i < 6; i++) {
        assert_int_equal(many[i].response.verdict, QUO_VERDICT_REFUSED);
        assert_int_equal(many[i].response.refusal, QUO_BUSY);
        assert_int_equal(many[i].response.outcome, QUO_NOT_APPLIED);
    }
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), 0);
    /* Also when the way there is full. */
    w.refuse_seat = QUO_BUSY;
    assert_int_equal(world_submit(&w, 0, &put, &a), 0);
    assert_int_equal(a.response.verdict, QUO_VERDICT_REFUSED);
    assert_int_equal(a.response.refusal, QUO_BUSY);
}

static void without_its_owner_a_write_runs_here(void **state)
{
    (void)state;
    world_init(&w, 1, 2);
    const char *key = world_key_of_loop(&w, 0, 1, 0);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key, "one");

    w.refuse_seat = QUO_UNAVAILABLE;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    w.refuse_seat = QUO_OK;
    w.services[0].seats.events->on_down(w.services[0].seats.receiver, 1);
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(reached(1), 0);
    w.services[0].seats.events->on_up(w.services[0].seats.receiver, 1);
    world_do(&w, 0, &put, &a);
    assert_int_equal(reached(1), 1);
}

static void a_clock_far_ahead_is_corrected_at_home(void **state)
{
    (void)state;
    world_init(&w, 1, 2);
    const char *key = world_key_of_loop(&w, 0, 1, 0);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key, "one");

    /* The owner does not take what it could only make under a clock like that. */
    w.services[0].skew_ms = 3600000;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_true(a.response.since <= a.response.record.version.hlc);
    assert_int_equal(WORLD_COUNTED(&w, 1, forwarded_in), 0);
    world_do(&w, 1, &put, &b);
    assert_true(quo_version_compare(b.response.receipt.version, a.response.receipt.version) > 0);
    assert_int_equal(WORLD_COUNTED(&w, 1, skews), 0);
    /* From then on it does. */
    world_do(&w, 0, &put, &a);
    assert_int_equal(WORLD_COUNTED(&w, 1, forwarded_in), 1);
    assert_true(a.response.since <= a.response.record.version.hlc);
}

static void each_loop_learns_the_time_once(void **state)
{
    (void)state;
    world_init(&w, 1, 2);
    const char *key = world_key_of_loop(&w, 0, 1, 0);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key, "one");

    w.services[0].skew_ms = w.services[1].skew_ms = 3600000;
    for (int i = 0; i < 3; i++) {
        world_do(&w, 0, &put, &a);
        assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
        assert_true(a.response.since <= a.response.record.version.hlc);
        assert_true(quo_version_ms(a.response.record.version) <= w.wall_ms + QUO_SKEW_MAX_MS);
    }
    /* The first came back from the owner, the second corrected it. */
    assert_int_equal(WORLD_COUNTED(&w, 1, forwarded_in), 3);
    assert_int_equal(WORLD_COUNTED(&w, 0, accepts), 1);
    assert_in_range(WORLD_COUNTED(&w, 0, skews), 2, 3);
    assert_in_range(WORLD_COUNTED(&w, 1, skews), 4, 6);
}

/* Proxies */

/* A key that belongs to this proxy, of those that are all up. */
static const char *key_of_proxy(uint32_t proxy)
{
    static const bool all_up[QUO_PROXIES_MAX] = {true, true, true, true, true, true};
    static char key[16];

    for (int i = 0;; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        if (quo_affinity(&w.map, all_up, 1, quo_slice_of(key)) == proxy)
            return key;
    }
}

static void a_preempted_write_goes_to_the_proxy_of_its_key(void **state)
{
    (void)state;
    world_init(&w, 3, 1);
    const char *key = key_of_proxy(2);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key, "one");

    w.services[0].nack_preps = 2 * 3;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(w.services[0].forwards, 0);
    world_skip(&w, QUO_WARM_IDLE_MS + 1);
    w.services[0].nack_preps = 1000;
    put.value = quo_slice_of("two");
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    world_expect_value(&a, "two");
    assert_int_equal(w.services[0].forwards, 1);
    assert_int_equal(reached(1), 0);
    assert_int_equal(reached(2), 1);
    assert_int_equal(WORLD_COUNTED(&w, 0, preemptions), 2 + QUO_FORWARD_AFTER);
    assert_true(a.response.receipt.round_trips > 2);
}

static void at_home_it_goes_nowhere(void **state)
{
    (void)state;
    world_init(&w, 3, 1);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key_of_proxy(0), "one");

    w.services[0].nack_preps = 30;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(WORLD_COUNTED(&w, 0, forwards), 0);
}

static void it_goes_to_the_next_best_of_those_that_are_there(void **state)
{
    (void)state;
    world_init(&w, 3, 1);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key_of_proxy(2), "one");
    struct quo_transport *seats = &w.services[0].seats;

    /* Peers: itself 0, the proxies 1 to 3. */
    seats->events->on_down(seats->receiver, 3);
    w.services[0].nack_preps = 1000;
    world_submit(&w, 0, &put, &a);
    world_pass(&w, 2000);
    assert_int_equal(a.calls, 1);
    assert_int_equal(reached(2), 0);
    bool is_up[QUO_PROXIES_MAX] = {true, true, false};
    if (quo_affinity(&w.map, is_up, 1, put.key) == 1)
        assert_int_equal(reached(1), 1);
    else
        assert_int_equal(w.services[0].forwards, 0);
}

/* Lets a write of service 0 be preempted until its FORWARD is under way. */
static struct world_frame *until_forwarded(const struct quo_request *request)
{
    w.services[0].nack_preps = 1000;
    world_submit(&w, 0, request, &a);
    for (int ms = 0; ms < 900; ms++) {
        world_run_but(&w, QUO_MESSAGE_FORWARD);
        struct world_frame *frame = world_find(&w, QUO_MESSAGE_FORWARD);
        if (frame != NULL) {
            w.services[0].nack_preps = 0;
            return frame;
        }
        world_skip(&w, 1);
        quo_service_expire(w.services[0].service, w.mono_us);
    }
    fail();
    return NULL;
}

/* The same request with Idempotency-Key `number`. */
static struct quo_request keyed(struct quo_request request, unsigned number)
{
    request.has_opid = true;
    request.opid = quo_opid_of_key(quo_slice(&number, sizeof number));
    return request;
}

/* Without a key it could be done twice: there, much later, and here. */
static void what_another_proxy_has_without_a_key_is_left_to_it(void **state)
{
    (void)state;
    world_init(&w, 3, 1);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key_of_proxy(2), "one");
    struct quo_transport *seats = &w.services[0].seats;

    until_forwarded(&put);
    struct world_frame late = *world_find(&w, QUO_MESSAGE_FORWARD);
    w.first = w.count;
    seats->events->on_down(seats->receiver, 3);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(a.response.outcome, QUO_UNKNOWN);
    /* Whoever wants to know has it fenced; then it comes too late. */
    struct quo_request resolve = put;
    resolve.type = QUO_REQUEST_RESOLVE;
    resolve.has_opid = true;
    resolve.opid = a.response.opid;
    resolve.since = a.response.since;
    world_do(&w, 1, &resolve, &b);
    assert_int_equal(b.response.change.code, QUO_CHANGE_FENCED);
    world_deliver(&w, &late);
    world_run(&w);
    struct quo_request get = world_request(&w, 1, QUO_REQUEST_GET, key_of_proxy(2), NULL);
    world_do(&w, 1, &get, &b);
    assert_int_equal(b.response.verdict, QUO_VERDICT_ABSENT);
}

static void a_proxy_that_goes_away_may_have_done_it(void **state)
{
    (void)state;
    world_init(&w, 3, 1);
    struct quo_request add = keyed(world_request(&w, 0, QUO_REQUEST_ADD, key_of_proxy(2), NULL), 1);
    struct quo_transport *seats = &w.services[0].seats;

    /* It had done it: the write finds itself. */
    add.by = 1;
    until_forwarded(&add);
    world_run_but(&w, QUO_MESSAGE_FORWARDED);
    assert_int_equal(world_lose(&w, QUO_MESSAGE_FORWARDED), 1);
    seats->events->on_down(seats->receiver, 3);
    world_run(&w);
    world_pass(&w, 50);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(a.response.change.counter, 1);
    /* It had not. */
    seats->events->on_up(seats->receiver, 3);
    world_skip(&w, QUO_WARM_IDLE_MS + 1);
    add = keyed(add, 2);
    until_forwarded(&add);
    assert_int_equal(world_lose(&w, QUO_MESSAGE_FORWARD), 1);
    seats->events->on_down(seats->receiver, 3);
    world_run(&w);
    world_pass(&w, 50);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(a.response.change.counter, 2);
    /* A second time it is told nothing new. */
    seats->events->on_down(seats->receiver, 3);
}

static void no_answer_leaves_the_outcome_unknown(void **state)
{
    (void)state;
    world_init(&w, 3, 1);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key_of_proxy(2), "one");

    until_forwarded(&put);
    world_run_but(&w, QUO_MESSAGE_FORWARDED);
    struct world_frame late = *world_find(&w, QUO_MESSAGE_FORWARDED);
    w.first = w.count;
    world_skip(&w, 1000);
    quo_service_expire(w.services[0].service, w.mono_us);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(a.response.outcome, QUO_UNKNOWN);
    assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
    /* Whatever comes then is too late for anybody. */
    world_deliver(&w, &late);
    assert_int_equal(a.calls, 1);
    assert_int_equal(WORLD_COUNTED(&w, 0, late_replies), 1);
}

static void a_proxy_that_takes_nothing_is_not_waited_for(void **state)
{
    (void)state;
    world_init(&w, 3, 1);
    quo_service_free(w.services[2].service);
    world_start(&w, 2, 1);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key_of_proxy(2), "one");
    struct quo_request other = world_request(&w, 0, QUO_REQUEST_PUT, "other", "one");

    world_submit(&w, 2, &other, &b);
    world_lose(&w, QUO_MESSAGE_PREP);
    until_forwarded(&put);
    world_run(&w);
    world_pass(&w, 20);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(WORLD_COUNTED(&w, 2, forwarded_in), 0);
    assert_int_equal(WORLD_COUNTED(&w, 2, overloads), 1);
    world_pass(&w, 1000);
}

static void it_goes_to_another_proxy_and_there_to_the_loop_and_no_further(void **state)
{
    (void)state;
    world_init(&w, 3, 2);
    const char *key = NULL;

    /* Of proxy 2, and there of loop 1; connections come to loop 0. */
    for (int i = 0; key == NULL; i++) {
        static const bool all_up[QUO_PROXIES_MAX] = {true, true, true};
        static char text[16];
        snprintf(text, sizeof text, "key-%d", i);
        uint16_t partition = quo_map_partition(&w.map, 1, quo_slice_of(text));
        if (quo_affinity(&w.map, all_up, 1, quo_slice_of(text)) == 2 && partition % 2 == 1)
            key = text;
    }
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, key, "one");
    /* From loop 0 of proxy 0 to its loop 1, which is preempted. */
    w.services[1].nack_preps = 1000;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(reached(1), 1);
    assert_int_equal(reached(4), 1);
    assert_int_equal(reached(5), 1);
    assert_int_equal(WORLD_COUNTED(&w, 4, prepares), 0);
    assert_int_equal(WORLD_COUNTED(&w, 5, accepts), 1);
    /* Preempted there as well, it goes nowhere else, though it sees another proxy as the key's. */
    world_skip(&w, QUO_WARM_IDLE_MS + 1);
    w.services[5].nack_preps = 20;
    world_do(&w, 0, &put, &a);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(w.services[5].forwards, 0);
    assert_int_equal(reached(2) + reached(3), 0);
}

/* A key that services 0 and 2 have fought over, which belongs to the second. */
static struct quo_request contended(void)
{
    world_init(&w, 3, 1);
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, key_of_proxy(2), NULL);

    add.by = 1;
    until_forwarded(&add);
    world_run(&w);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(reached(2), 1);
    return add;
}

static void the_next_write_of_a_contended_key_follows_at_once(void **state)
{
    (void)state;
    struct quo_request add = contended();
    uint64_t prepares = WORLD_COUNTED(&w, 0, prepares);

    for (int i = 0; i < 5; i++) {
        world_skip(&w, QUO_CONTENDED_MS - 1);
        world_do(&w, 0, &add, &a);
        assert_int_equal(a.response.receipt.round_trips, 1);
        assert_int_equal(a.response.change.counter, 2 + i);
    }
    assert_int_equal(reached(2), 6);
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), prepares);
    /* They do not wait for each other here. */
    for (int i = 0; i < 10; i++)
        world_submit(&w, 0, &add, &many[i]);
    assert_int_equal(WORLD_COUNTED(&w, 0, queued), 0);
    world_run(&w);
    assert_int_equal(reached(2), 16);
    assert_int_equal(many[9].response.verdict, QUO_VERDICT_WRITTEN);
    /* After a pause it is as any other key. */
    world_skip(&w, QUO_CONTENDED_MS);
    world_do(&w, 0, &add, &a);
    assert_int_equal(reached(2), 16);
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), prepares + 1);
}

static void those_that_wait_follow_as_well(void **state)
{
    (void)state;
    world_init(&w, 3, 1);
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, key_of_proxy(2), NULL);

    add.by = 1;
    until_forwarded(&add);
    for (int i = 0; i < 10; i++)
        world_submit(&w, 0, &add, &many[i]);
    /* The key is known as contended by now. */
    assert_int_equal(WORLD_COUNTED(&w, 0, queued), 0);
    world_run(&w);
    world_free(&w);

    world_init(&w, 3, 1);
    w.services[0].nack_preps = 1000;
    for (int i = 0; i < 10; i++)
        world_submit(&w, 0, &add, &many[i]);
    assert_int_equal(WORLD_COUNTED(&w, 0, queued), 9);
    world_run(&w);
    world_pass(&w, 100);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(many[i].response.verdict, QUO_VERDICT_WRITTEN);
        assert_int_equal(many[i].response.change.counter, 1 + i);
    }
    assert_int_equal(reached(2), 10);
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), QUO_FORWARD_AFTER);
}

static void those_that_come_back_wait_for_their_turn(void **state)
{
    (void)state;
    struct quo_request add = contended();
    struct quo_transport *seats = &w.services[0].seats;
    uint64_t prepares = WORLD_COUNTED(&w, 0, prepares);
    bool seen[14] = {false};

    for (unsigned i = 0; i < 12; i++) {
        add = keyed(add, i);
        world_submit(&w, 0, &add, &many[i]);
    }
    assert_int_equal(world_lose(&w, QUO_MESSAGE_FORWARD), 12);
    seats->events->on_down(seats->receiver, 3);
    assert_int_equal(WORLD_COUNTED(&w, 0, prepares), prepares + 1);
    world_run(&w);
    world_pass(&w, 50);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(many[i].response.verdict, QUO_VERDICT_WRITTEN);
        assert_in_range(many[i].response.change.counter, 2, 13);
        assert_false(seen[many[i].response.change.counter]);
        seen[many[i].response.change.counter] = true;
    }
    /* Nobody has fought: only the promise of the proxy that is gone was in the way. */
    assert_in_range(WORLD_COUNTED(&w, 0, prepares), prepares + 12, prepares + 14);
    /* Without the proxy the key is as any other, and so it is when that cannot be told. */
    seats->events->on_up(seats->receiver, 3);
    add = keyed(add, 12);
    world_do(&w, 0, &add, &a);
    assert_int_equal(reached(2), 1);
}

static void who_comes_back_and_waits_too_long_is_unsure(void **state)
{
    (void)state;
    struct quo_request add = contended();
    struct quo_transport *seats = &w.services[0].seats;

    add = keyed(add, 1);
    world_submit(&w, 0, &add, &many[0]);
    add = keyed(add, 2);
    add.consistency.timeout_ms = 100;
    world_submit(&w, 0, &add, &many[1]);
    world_lose(&w, QUO_MESSAGE_FORWARD);
    seats->events->on_down(seats->receiver, 3);
    world_lose(&w, QUO_MESSAGE_PREP);
    world_pass(&w, 99);
    assert_int_equal(many[1].calls, 0);
    world_pass(&w, 1);
    assert_int_equal(many[1].response.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(many[1].response.outcome, QUO_UNKNOWN);
    world_pass(&w, 1000);
}

static void a_seat_that_is_full_is_no_way(void **state)
{
    (void)state;
    struct quo_request add = contended();

    w.refuse_seat = QUO_BUSY;
    for (int i = 0; i < 5; i++)
        world_submit(&w, 0, &add, &many[i]);
    world_run(&w);
    world_pass(&w, 50);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(many[i].response.verdict, QUO_VERDICT_WRITTEN);
        assert_int_equal(many[i].response.change.counter, 2 + i);
    }
    assert_int_equal(reached(2), 1);
}

static void an_operation_is_one_wherever_it_is_tried(void **state)
{
    (void)state;
    world_init(&w, 3, 1);
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);

    add.by = 5;
    add.has_opid = true;
    add.opid = quo_opid_of_key(quo_slice_of("order-17"));
    for (int i = 0; i < 3; i++) {
        world_do(&w, i, &add, &many[i]);
        assert_int_equal(many[i].response.verdict, QUO_VERDICT_WRITTEN);
        assert_int_equal(many[i].response.change.counter, 5);
        assert_int_equal(many[i].response.change.replayed, i > 0);
        assert_true(
            quo_version_equal(many[i].response.change.changed, many[0].response.change.changed));
    }
}

/* Bytes from outside */

static enum quo_status send_forward(const struct quo_msg_forward *message)
{
    uint8_t body[2048];
    size_t len = quo_msg_forward_size(message);
    struct quo_frame frame = {QUO_MESSAGE_FORWARD, 77, quo_slice(body, len)};
    struct quo_transport *seats = &w.services[1].seats;
    struct quo_msg_forwarded answer;

    quo_msg_forward_encode(message, body);
    seats->events->on_frame(seats->receiver, WORLD_GUEST, &frame);
    struct world_frame *reply = world_find(&w, QUO_MESSAGE_FORWARDED);
    if (reply == NULL)
        return QUO_OK;
    assert_int_equal(reply->id, 77);
    assert_int_equal(reply->to, 0);
    assert_int_equal(quo_msg_forwarded_decode(quo_slice(reply->body, reply->len), &answer), QUO_OK);
    enum quo_status status = (enum quo_status)answer.status;
    world_lose(&w, QUO_MESSAGE_FORWARDED);
    return status;
}

static void what_makes_no_sense_is_not_taken(void **state)
{
    (void)state;
    world_init(&w, 2, 1);
    const struct quo_msg_forward good = {
        .hops = 1,
        .type = QUO_REQUEST_PUT,
        .level = QUO_LEVEL_STRONG,
        .w = 2,
        .ns = 1,
        .timeout_ms = 1000,
        .opid_low = 5,
        .since = w.wall_ms << 16,
        .key = quo_slice_of("k"),
        .value = quo_slice_of("v"),
    };
    struct quo_msg_forward m;

#define REFUSED(change, status)                                                                    \
    do {                                                                                           \
        m = good;                                                                                  \
        change;                                                                                    \
        assert_int_equal(send_forward(&m), status);                                                \
    } while (0)

    REFUSED(m.hops = 3, QUO_MALFORMED);
    REFUSED(m.type = 0, QUO_MALFORMED);
    REFUSED(m.type = QUO_REQUEST_GET, QUO_MALFORMED);
    REFUSED(m.type = QUO_REQUEST_SETTLE, QUO_MALFORMED);
    REFUSED(m.type = 99, QUO_MALFORMED);
    REFUSED(m.condition = 4, QUO_MALFORMED);
    REFUSED(m.level = 0, QUO_MALFORMED);
    REFUSED(m.level = QUO_LEVEL_QUORUM, QUO_MALFORMED);
    REFUSED(m.level = QUO_LEVEL_ALL + 1, QUO_MALFORMED);
    REFUSED(m.w = 4, QUO_MALFORMED);
    REFUSED(m.ns = 3, QUO_MALFORMED);
    REFUSED(m.ns = 99, QUO_MALFORMED);
    REFUSED(m.timeout_ms = 0, QUO_MALFORMED);
    REFUSED(m.timeout_ms = QUO_TIMEOUT_MAX_MS + 1, QUO_MALFORMED);
    REFUSED(m.ttl_ms = QUO_TTL_MAX_MS + 1, QUO_MALFORMED);
    REFUSED(m.tags = quo_slice_of("123"), QUO_MALFORMED);
    REFUSED(m.key = quo_slice(NULL, 0), QUO_MALFORMED);
    REFUSED((m.type = QUO_REQUEST_PATCH, m.value = quo_slice_of("{")), QUO_MALFORMED);
    REFUSED(m.since = (w.wall_ms + QUO_SKEW_MAX_MS) << 16, QUO_SKEW);
    REFUSED(m.first.hlc = (w.wall_ms + QUO_SKEW_MAX_MS) << 16, QUO_SKEW);
    REFUSED(m.since = (w.wall_ms - QUO_TIMEOUT_MAX_MS - 2 * QUO_SKEW_MAX_MS - 1) << 16, QUO_SKEW);
    assert_int_equal(w.sent[QUO_MESSAGE_PREP], 0);
    assert_int_equal(WORLD_COUNTED(&w, 1, forwarded_in), 0);
    REFUSED((void)m, QUO_OK);
    assert_int_equal(WORLD_COUNTED(&w, 1, forwarded_in), 1);
    /* A frame that is none. */
    struct quo_frame cut = {QUO_MESSAGE_FORWARD, 78, quo_slice_of("x")};
    struct quo_transport *seats = &w.services[1].seats;
    seats->events->on_frame(seats->receiver, WORLD_GUEST, &cut);
    cut.type = QUO_MESSAGE_PING;
    seats->events->on_frame(seats->receiver, WORLD_GUEST, &cut);
    w.services[0].service = (quo_service_free(w.services[0].service), NULL);
    world_run(&w);
}

static void deliver_forwarded(const struct world_frame *to, uint64_t from_peer,
                              const struct quo_msg_forwarded *message)
{
    uint8_t body[2048];
    size_t len = quo_msg_forwarded_size(message);
    struct quo_frame frame = {QUO_MESSAGE_FORWARDED, to->id, quo_slice(body, len)};
    struct quo_transport *seats = &w.services[0].seats;

    assert_true(len <= sizeof body);
    quo_msg_forwarded_encode(message, body);
    seats->events->on_frame(seats->receiver, from_peer, &frame);
}

static void an_answer_that_makes_no_sense_is_none(void **state)
{
    (void)state;
    const struct quo_msg_forwarded good = {
        .verdict = QUO_VERDICT_WRITTEN,
        .outcome = QUO_APPLIED,
        .level = QUO_LEVEL_STRONG,
        .n = 3,
    };
    struct quo_msg_forwarded bad[9];
    uint8_t answered[8] = {0};

    for (size_t i = 0; i < QUO_COUNT(bad); i++)
        bad[i] = good;
    bad[0].verdict = QUO_VERDICT_FOUND;
    bad[1].verdict = QUO_VERDICT_DECLINED + 1;
    bad[2].outcome = 0;
    bad[3].outcome = QUO_UNKNOWN;
    bad[4].code = QUO_CHANGE_STORED_COUNT;
    bad[5].level = 0;
    bad[6].replies = 2;
    bad[6].answered = quo_slice(answered, 8);
    bad[7].record = quo_slice_of("none");
    bad[8].code = QUO_CHANGE_NO_MEMORY + 1;
    for (size_t i = 0; i < QUO_COUNT(bad); i++) {
        world_init(&w, 3, 1);
        struct quo_request put =
            keyed(world_request(&w, 0, QUO_REQUEST_PUT, key_of_proxy(2), "one"), 1);
        struct world_frame forward = *until_forwarded(&put);
        /* Nor one of somebody else, or in another round. */
        deliver_forwarded(&forward, 2, &good);
        deliver_forwarded(&forward, WORLD_GUEST, &good);
        struct world_frame other = forward;
        other.id++;
        deliver_forwarded(&other, 3, &good);
        assert_int_equal(a.calls, 0);
        deliver_forwarded(&forward, 3, &bad[i]);
        assert_int_equal(a.calls, 0);
        /* It goes on by itself. */
        world_lose(&w, QUO_MESSAGE_FORWARD);
        world_run(&w);
        assert_int_equal(a.calls, 1);
        assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
        if (i + 1 < QUO_COUNT(bad))
            world_free(&w);
    }
}

static void proxies_share_the_keys_and_keep_them(void **state)
{
    (void)state;
    enum { PROXIES = 5, KEYS = 5000 };
    bool is_up[QUO_PROXIES_MAX] = {true, true, true, true, true};
    uint32_t count[PROXIES] = {0};
    char key[16];

    world_init_map(&w.map, PROXIES);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        is_up[3] = true;
        uint32_t one = quo_affinity(&w.map, is_up, 1, quo_slice_of(key));
        count[one]++;
        is_up[3] = false;
        uint32_t other = quo_affinity(&w.map, is_up, 1, quo_slice_of(key));
        assert_int_not_equal(other, 3);
        if (one != 3)
            assert_int_equal(other, one);
    }
    for (int i = 0; i < PROXIES; i++)
        assert_in_range(count[i], KEYS / PROXIES * 8 / 10, KEYS / PROXIES * 12 / 10);
    memset(is_up, 0, sizeof is_up);
    assert_int_equal(quo_affinity(&w.map, is_up, 1, quo_slice_of("k")), UINT32_MAX);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_write_runs_on_the_loop_that_owns_its_key),
        TEST(everything_that_is_asked_and_answered_crosses_over),
        TEST(what_names_an_operation_is_older_than_its_ballots),
        TEST(writes_of_all_loops_wait_in_one_queue),
        TEST(a_full_owner_refuses),
        TEST(without_its_owner_a_write_runs_here),
        TEST(a_clock_far_ahead_is_corrected_at_home),
        TEST(each_loop_learns_the_time_once),
        TEST(a_preempted_write_goes_to_the_proxy_of_its_key),
        TEST(at_home_it_goes_nowhere),
        TEST(it_goes_to_the_next_best_of_those_that_are_there),
        TEST(what_another_proxy_has_without_a_key_is_left_to_it),
        TEST(a_proxy_that_goes_away_may_have_done_it),
        TEST(no_answer_leaves_the_outcome_unknown),
        TEST(a_proxy_that_takes_nothing_is_not_waited_for),
        TEST(it_goes_to_another_proxy_and_there_to_the_loop_and_no_further),
        TEST(the_next_write_of_a_contended_key_follows_at_once),
        TEST(those_that_wait_follow_as_well),
        TEST(those_that_come_back_wait_for_their_turn),
        TEST(who_comes_back_and_waits_too_long_is_unsure),
        TEST(a_seat_that_is_full_is_no_way),
        TEST(an_operation_is_one_wherever_it_is_tried),
        TEST(what_makes_no_sense_is_not_taken),
        TEST(an_answer_that_makes_no_sense_is_none),
        cmocka_unit_test(proxies_share_the_keys_and_keep_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
