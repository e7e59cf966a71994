/* Keys that nodes ask to settle, with replicas that keep the rules of consensus. */
#include "tests/unit/service/world.h"

#define KEY quo_slice_of("key")

static struct world w;
static struct world_answer answer;

static int start(void **state)
{
    (void)state;
    world_init(&w, 1, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    world_free(&w);
    return 0;
}

static void send_mend(uint32_t ns, struct quo_slice key)
{
    uint8_t body[64];
    struct quo_msg_mend mend = {.ns = ns, .key = key};
    struct quo_frame frame = {.type = QUO_MESSAGE_MEND,
                              .body = quo_slice(body, quo_msg_mend_size(&mend))};
    struct quo_transport *t = &w.services[0].transport;

    quo_msg_mend_encode(&mend, body);
    t->events->on_frame(t->receiver, 0, &frame);
}

static uint32_t put(void)
{
    struct quo_request request = world_request(&w, 0, QUO_REQUEST_PUT, "key", "one");

    world_do(&w, 0, &request, &answer);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_WRITTEN);
    return request.ns->id;
}

/* The record that the last replica lacks is below what it has promised to somebody. */
static void gets_past_a_promise(void **state)
{
    (void)state;
    uint32_t ns = put();
    struct world_cell *behind = world_cell(&w, WORLD_REPLICAS - 1, KEY);
    const struct world_cell *other = world_cell(&w, 0, KEY);

    behind->promised = (struct quo_version){other->version.hlc + 1000, 5};
    send_mend(ns, KEY);
    world_run(&w);
    for (int i = 1; i < WORLD_REPLICAS; i++)
        assert_true(quo_version_equal(world_cell(&w, i, KEY)->version, other->version));
    assert_true(quo_version_compare(other->version, answer.response.record.version) > 0);
    assert_int_equal(WORLD_COUNTED(&w, 0, mends), 1);
    /* Asked again at once, it does nothing; a while later it looks, and finds nothing to do. */
    int queries = w.sent[QUO_MESSAGE_QUERY], preps = w.sent[QUO_MESSAGE_PREP];
    send_mend(ns, KEY);
    world_run(&w);
    assert_int_equal(w.sent[QUO_MESSAGE_QUERY], queries);
    world_pass(&w, QUO_MEND_EVERY_MS + 1);
    send_mend(ns, KEY);
    world_run(&w);
    assert_int_equal(w.sent[QUO_MESSAGE_QUERY], queries + WORLD_REPLICAS);
    assert_int_equal(w.sent[QUO_MESSAGE_PREP], preps);
    assert_int_equal(WORLD_COUNTED(&w, 0, mends), 2);
}

/* A replica that is away, perhaps for good, keeps the others from nothing. */
static void waits_for_nobody_who_is_away(void **state)
{
    (void)state;
    uint32_t ns = put();
    struct world_cell *behind = world_cell(&w, WORLD_REPLICAS - 1, KEY);
    struct quo_transport *t = &w.services[0].transport;

    behind->promised = (struct quo_version){behind->version.hlc + 1000, 5};
    w.replicas[0].is_down = true;
    t->events->on_down(t->receiver, 0);
    send_mend(ns, KEY);
    world_run(&w);
    assert_int_equal(WORLD_COUNTED(&w, 0, mends), 1);
    assert_true(quo_version_compare(behind->version, answer.response.record.version) > 0);
    assert_true(quo_version_equal(world_cell(&w, 1, KEY)->version, behind->version));
}

static void only_so_many_at_once(void **state)
{
    (void)state;
    uint32_t ns = put();
    char name[16];

    for (unsigned i = 0; i < 4 * QUO_MENDS_MAX; i++) {
        snprintf(name, sizeof name, "key-%u", i);
        send_mend(ns, quo_slice_of(name));
    }
    assert_int_equal(quo_service_in_flight(w.services[0].service), QUO_MENDS_MAX);
    world_run(&w);
    assert_int_equal(WORLD_COUNTED(&w, 0, mends), QUO_MENDS_MAX);
    assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
}

/* Bytes from outside. */
static void what_makes_no_sense_is_ignored(void **state)
{
    (void)state;
    uint32_t ns = put();
    struct quo_frame cut = {.type = QUO_MESSAGE_MEND, .body = quo_slice_of("x")};
    struct quo_transport *t = &w.services[0].transport;

    send_mend(99, KEY);
    send_mend(ns, quo_slice(NULL, 0));
    t->events->on_frame(t->receiver, 0, &cut);
    assert_int_equal(quo_service_in_flight(w.services[0].service), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gets_past_a_promise),
        TEST(waits_for_nobody_who_is_away),
        TEST(only_so_many_at_once),
        TEST(what_makes_no_sense_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
