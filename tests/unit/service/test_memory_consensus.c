/* Consensus writes and the allocator: small ones ask it for nothing once they run, and every
 * allocation of any may fail. Linked with --wrap for the allocator.
 */
#include "proxy/service/ops.h"
#include "tests/unit/service/world.h"

static bool inside; /* the service runs, not the test around it */
static uint64_t allocations;
static uint64_t fail_in; /* the call that fails, counting from now; 0: none */
static bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool strikes(void)
{
    if (!inside)
        return false;
    allocations++;
    if (fail_in == 0 || --fail_in > 0)
        return false;
    failed = true;
    return true;
}
void *__wrap_malloc(size_t size)
{
    return strikes() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return strikes() ? NULL : __real_calloc(count, size);
}

static struct world w;
static struct world_answer a;

/* What the service calls is outside. */
static enum quo_status outside_reserve(struct quo_transport *t, uint64_t peer, size_t len,
                                       uint8_t **ret)
{
    inside = false;
    enum quo_status status = world_reserve(t, peer, len, ret);
    inside = true;
    return status;
}
static const struct quo_transport_ops outside_ops = {outside_reserve, world_seal};

static enum quo_status outside_reserve_seat(struct quo_transport *t, uint64_t peer, size_t len,
                                            uint8_t **ret)
{
    inside = false;
    enum quo_status status = world_reserve_seat(t, peer, len, ret);
    inside = true;
    return status;
}
static const struct quo_transport_ops outside_seat_ops = {outside_reserve_seat, world_seal_seat};

static const struct quo_transport_events *real_events, *real_seat_events;
static void inside_on_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    inside = true;
    real_events->on_frame(receiver, peer, frame);
    inside = false;
}
static void inside_on_seat_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    inside = true;
    real_seat_events->on_frame(receiver, peer, frame);
    inside = false;
}

static void watch(int service)
{
    static struct quo_transport_events events, seat_events;
    struct world_service *s = &w.services[service];

    real_events = s->transport.events;
    events = *real_events;
    events.on_frame = inside_on_frame;
    s->transport.events = &events;
    s->transport.ops = &outside_ops;
    s->seats.ops = &outside_seat_ops;
    if (s->seats.events == NULL)
        return;
    real_seat_events = s->seats.events;
    seat_events = *real_seat_events;
    seat_events.on_frame = inside_on_seat_frame;
    s->seats.events = &seat_events;
}

/* Returns whether it was taken; then it is answered. */
static bool try(int service, const struct quo_request *request)
{
    quo_ticket ticket;

    memset(&a, 0, sizeof a);
    inside = true;
    enum quo_status status =
        quo_service_submit(w.services[service].service, request, world_on_answer, &a, &ticket);
    inside = false;
    assert_true(status == QUO_OK || status == QUO_NO_MEMORY);
    world_run(&w);
    for (int ms = 0; status == QUO_OK && a.calls == 0 && ms < 2000; ms++)
        world_pass(&w, 1);
    assert_int_equal(a.calls, status == QUO_OK);
    return status == QUO_OK;
}

static void a_small_write_asks_for_nothing(void **state)
{
    (void)state;
    world_init(&w, 1, 1);
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "k", "some value");
    struct quo_request add = world_request(&w, 0, QUO_REQUEST_ADD, "n", NULL);
    struct quo_request mixed = world_request(&w, 1, QUO_REQUEST_PUT, "m", "some value");

    watch(0);
    add.by = 1;
    for (int i = 0; i < 300; i++) {
        /* The ring grows to its full size. */
        if (i == 100)
            allocations = 0;
        assert_true(try(0, &put));
        assert_true(try(0, &add));
        assert_true(try(0, &mixed));
        assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    }
    assert_int_equal(allocations, 0);
    assert_int_equal(WORLD_COUNTED(&w, 0, warm_hits), 2 * 299);
    world_free(&w);
}

/* Nothing is said to be done that is not, and nothing is lost. */
static void expect_honest(const struct quo_request *request, bool was_there)
{
    const struct quo_response *r = &a.response;

    if (r->verdict == QUO_VERDICT_REFUSED) {
        assert_int_equal(r->refusal, QUO_NO_MEMORY);
        assert_int_equal(r->outcome, QUO_NOT_APPLIED);
    } else if (r->verdict == QUO_VERDICT_DECLINED) {
        assert_int_equal(r->change.code, QUO_CHANGE_NO_MEMORY);
    } else {
        assert_int_equal(r->verdict, QUO_VERDICT_WRITTEN);
        assert_int_equal(r->record.value.len > 0, request->type != QUO_REQUEST_DELETE);
    }
    struct quo_version held = world_cell(&w, 0, request->key)->version;
    assert_true(was_there || r->verdict == QUO_VERDICT_WRITTEN || quo_version_is_none(held));
}

static void exercise(const char *large)
{
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "large", large);
    struct quo_request patch = world_request(&w, 0, QUO_REQUEST_PATCH, "doc", "{\"a\":1}");
    struct quo_request delete = world_request(&w, 0, QUO_REQUEST_DELETE, "large", NULL);

    for (int i = 0; i < 3; i++) {
        if (try(0, &put))
            expect_honest(&put, i > 0);
        if (try(0, &patch))
            expect_honest(&patch, i > 0);
    }
    /* Cold: the base has to be kept until enough have promised. */
    world_skip(&w, QUO_WARM_IDLE_MS + 1);
    if (try(0, &put))
        expect_honest(&put, true);
    if (try(0, &delete))
        expect_honest(&delete, true);
    struct quo_request get = world_request(&w, 0, QUO_REQUEST_GET, "large", NULL);
    if (try(0, &get))
        assert_true(a.response.verdict != QUO_VERDICT_REFUSED ||
                    a.response.refusal == QUO_NO_MEMORY);
}

static void fail_each(uint32_t loops)
{
    static char large[3 * QUO_OP_BUFFER];
    uint64_t nth = 0;

    memset(large, 'x', sizeof large - 1);
    do {
        nth++;
        failed = false;
        world_init(&w, 1, loops);
        watch(0);
        fail_in = nth;
        exercise(large);
        fail_in = 0;
        /* Once more, with memory. */
        struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "large", large);
        assert_true(try(0, &put));
        assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
        assert_int_equal(a.value_len, strlen(large));
        assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
        world_free(&w);
    } while (failed);
    assert_in_range(nth, 10, 200);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    fail_each(1);
}

static void also_of_one_that_hands_on(void **state)
{
    (void)state;
    fail_each(2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_write_asks_for_nothing),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(also_of_one_that_hands_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
