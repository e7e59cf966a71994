/* Read repair of keys that consensus shares, with replicas that keep its rules. */
#include "tests/unit/service/world.h"

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

static struct quo_request weak_request(int ns, enum quo_request_type type, enum quo_level level,
                                       const char *value)
{
    struct quo_request request = world_request(&w, ns, type, "key", value);
    struct quo_ask ask = {.has_level = true, .level = level, .r = -1, .w = -1, .dw = -1};

    assert_int_equal(quo_consistency_resolve(request.ns, &ask, type != QUO_REQUEST_GET,
                                             &request.consistency, NULL, 0),
                     QUO_OK);
    return request;
}

/* Writes while the last replica is away. */
static void put_without_the_last(const struct quo_request *put)
{
    w.replicas[2].is_down = true;
    world_do(&w, 0, put, &answer);
    assert_int_equal(answer.response.verdict, QUO_VERDICT_WRITTEN);
    w.replicas[2].is_down = false;
}

/* Reads until one read has found a replica behind. */
static void read_until_repaired(int ns)
{
    struct quo_request get = weak_request(ns, QUO_REQUEST_GET, QUO_LEVEL_QUORUM, NULL);

    for (int i = 0; i < 10 && WORLD_COUNTED(&w, 0, repairs) == 0; i++)
        world_do(&w, 0, &get, &answer);
    assert_int_equal(WORLD_COUNTED(&w, 0, repairs), 1);
    world_run(&w);
}

static struct world_cell *cell(int replica)
{
    return world_cell(&w, replica, quo_slice_of("key"));
}

static void expect_same_record(void)
{
    assert_true(quo_version_equal(cell(2)->version, cell(0)->version));
    assert_int_equal(cell(2)->len, cell(0)->len);
    assert_memory_equal(cell(2)->record, cell(0)->record, cell(0)->len);
}

static void what_consensus_made_goes_by_acc(void **state)
{
    (void)state;
    for (int ns = 0; ns < 2; ns++) {
        struct quo_request put = world_request(&w, ns, QUO_REQUEST_PUT, "key", "one");
        put_without_the_last(&put);
        int stores = w.sent[QUO_MESSAGE_STORE], accs = w.sent[QUO_MESSAGE_ACC];
        read_until_repaired(ns);
        assert_int_equal(w.sent[QUO_MESSAGE_ACC], accs + 1);
        assert_int_equal(w.sent[QUO_MESSAGE_STORE], stores);
        expect_same_record();
        /* It promises nothing beyond itself. */
        assert_true(quo_version_equal(world_promised(cell(2)), cell(2)->version));
        world_free(&w);
        world_init(&w, 1, 1);
    }
}

static void what_was_blind_goes_by_store(void **state)
{
    (void)state;
    struct quo_request put = weak_request(1, QUO_REQUEST_PUT, QUO_LEVEL_EVENTUAL, "one");

    put_without_the_last(&put);
    int stores = w.sent[QUO_MESSAGE_STORE], accs = w.sent[QUO_MESSAGE_ACC];
    read_until_repaired(1);
    assert_int_equal(w.sent[QUO_MESSAGE_STORE], stores + 1);
    assert_int_equal(w.sent[QUO_MESSAGE_ACC], accs);
    expect_same_record();
}

static void a_promise_above_it_is_left_alone(void **state)
{
    (void)state;
    struct quo_request put = world_request(&w, 0, QUO_REQUEST_PUT, "key", "one");
    struct quo_version above;

    put_without_the_last(&put);
    above = (struct quo_version){cell(0)->version.hlc + 1, 5};
    cell(2)->promised = above;
    int preps = w.sent[QUO_MESSAGE_PREP], accs = w.sent[QUO_MESSAGE_ACC];
    /* The write still awaits the one that was away. */
    uint32_t in_flight = quo_service_in_flight(w.services[0].service);
    read_until_repaired(0);
    assert_null(cell(2)->record);
    assert_true(quo_version_equal(cell(2)->promised, above));
    assert_int_equal(w.sent[QUO_MESSAGE_PREP], preps);
    assert_int_equal(w.sent[QUO_MESSAGE_ACC], accs + 1);
    assert_int_equal(quo_service_in_flight(w.services[0].service), in_flight);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_consensus_made_goes_by_acc),
        TEST(what_was_blind_goes_by_store),
        TEST(a_promise_above_it_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
