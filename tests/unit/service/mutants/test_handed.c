/* A write without Idempotency-Key that was handed to another proxy, and reaches it late: it may not
 * be done twice, nor after somebody had it fenced. And that this is noticed when the rule that sees
 * to it is switched off.
 */
#include "proxy/service/affinity.h"
#include "quorate/testpoints.h"
#include "tests/unit/service/world.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

enum { CAS = 0, MIXED = 1, HOME = 2 };

static struct world w;
static struct world_answer a, b;

static int stop(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    world_free(&w);
    return 0;
}

static const char *key_of_home(void)
{
    static const bool all_up[QUO_PROXIES_MAX] = {true, true, true};
    static char key[16];

    for (int i = 0;; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        if (quo_affinity(&w.map, all_up, 1, quo_slice_of(key)) == HOME)
            return key;
    }
}

/* An addition of 1 at proxy 0, preempted until it is handed to the proxy of its key, which goes
 * away before it has it. Returns what is still under way. */
static struct world_frame lose_sight(int ns)
{
    struct quo_transport *seats = &w.services[0].seats;

    world_init(&w, 3, 1);
    struct quo_request add = world_request(&w, ns, QUO_REQUEST_ADD, key_of_home(), NULL);
    add.by = 1;
    w.services[0].nack_preps = 1000;
    world_submit(&w, 0, &add, &a);
    struct world_frame *frame = NULL;
    for (int ms = 0; frame == NULL && ms < 900; ms++) {
        world_run_but(&w, QUO_MESSAGE_FORWARD);
        frame = world_find(&w, QUO_MESSAGE_FORWARD);
        world_skip(&w, 1);
        quo_service_expire(w.services[0].service, w.mono_us);
    }
    assert_non_null(frame);
    const struct world_frame late = *frame;
    w.first = w.count;
    w.services[0].nack_preps = 0;
    seats->events->on_down(seats->receiver, 1 + HOME);
    world_run(&w);
    world_pass(&w, 100);
    assert_int_equal(a.calls, 1);
    return late;
}

static int64_t sum(int ns)
{
    struct quo_request add = world_request(&w, ns, QUO_REQUEST_ADD, key_of_home(), NULL);

    world_do(&w, 1, &add, &b);
    return b.response.change.counter;
}

/* Others write on, more than the ring keeps of writes without a key; then it arrives. */
static int64_t times_done(void)
{
    struct world_frame late = lose_sight(CAS);

    for (unsigned i = 0; i <= QUO_RING_UNKEYED_MAX; i++)
        assert_int_equal(sum(CAS), a.response.outcome == QUO_APPLIED);
    world_deliver(&w, &late);
    world_run(&w);
    world_pass(&w, 100);
    return sum(CAS);
}

static void it_is_done_once(void **state)
{
    (void)state;
    assert_int_equal(times_done(), 1);
    assert_int_equal(a.response.outcome, QUO_UNKNOWN);
}

static void two_at_it_would_do_it_twice(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_HANDED_TWICE;
    assert_int_equal(times_done(), 2);
}

/* It is fenced, and a blind write forgets the fence; then it arrives. */
static int64_t done_after_its_fence(void)
{
    struct world_frame late = lose_sight(MIXED);
    struct quo_request resolve = world_request(&w, MIXED, QUO_REQUEST_RESOLVE, key_of_home(), NULL);

    resolve.has_opid = true;
    resolve.opid = a.response.opid;
    resolve.since = a.response.since;
    world_do(&w, 1, &resolve, &b);
    assert_int_equal(b.response.change.code, QUO_CHANGE_FENCED);
    struct quo_request put = world_request(&w, MIXED, QUO_REQUEST_PUT, key_of_home(), "0");
    put.consistency = (struct quo_consistency){
        .level = QUO_LEVEL_EVENTUAL, .n = 3, .r = 1, .w = 3, .dw = 3, .timeout_ms = 1000};
    world_do(&w, 1, &put, &b);
    assert_int_equal(b.response.outcome, QUO_APPLIED);
    world_deliver(&w, &late);
    world_run(&w);
    world_pass(&w, 100);
    return sum(MIXED);
}

static void it_is_not_done_after_its_fence(void **state)
{
    (void)state;
    assert_int_equal(done_after_its_fence(), 0);
}

static void without_a_look_for_fences_it_would_be(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_FENCE_FORGOTTEN;
    assert_int_equal(done_after_its_fence(), 1);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_done_once),
        TEST(two_at_it_would_do_it_twice),
        TEST(it_is_not_done_after_its_fence),
        TEST(without_a_look_for_fences_it_would_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
