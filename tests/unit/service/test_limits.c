/* Limits of a service, and how it gets along with slow peers. */
#include "tests/unit/service/fake.h"

static struct fake f;
static struct fake_answer answers[16];

static int stop(void **state)
{
    (void)state;
    fake_stop(&f);
    return 0;
}

static void too_many_operations_are_refused(void **state)
{
    (void)state;
    quo_ticket ticket = 99;

    fake_init(&f);
    fake_start(&f, 4, 0);
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_EVENTUAL);
    for (int i = 0; i < 4; i++)
        fake_submit(&f, &get, &answers[i]);
    assert_int_equal(quo_service_submit(f.service, &get, fake_on_answer, &answers[4], &ticket),
                     QUO_BUSY);
    assert_int_equal(ticket, 99);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->overloads), 1);
    struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
    fake_reply_query(&f, &query, 0, NULL);
    assert_int_equal(answers[0].calls, 1);
    fake_submit(&f, &get, &answers[4]);
}

static void who_only_awaits_late_replies_gives_way(void **state)
{
    (void)state;
    struct fake_frame stores[12];

    fake_init(&f);
    fake_start(&f, 4, 0);
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_EVENTUAL);
    for (int i = 0; i < 4; i++)
        fake_submit(&f, &put, &answers[i]);
    for (int i = 0; i < 12; i++)
        stores[i] = fake_next(&f, QUO_MESSAGE_STORE);
    fake_reply_store(&f, &stores[3], QUO_OK);
    fake_reply_store(&f, &stores[0], QUO_OK);
    assert_int_equal(answers[0].calls + answers[1].calls, 2);
    assert_int_equal(quo_service_in_flight(f.service), 4);
    /* The second was answered first. */
    fake_submit(&f, &put, &answers[4]);
    fake_reply_store(&f, &stores[4], QUO_OK);
    fake_reply_store(&f, &stores[1], QUO_OK);
    fake_reply_store(&f, &stores[2], QUO_OK);
    assert_int_equal(quo_service_in_flight(f.service), 3);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->late_replies), 3);
}

static void values_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    uint8_t *value = calloc(1, QUO_VALUE_MAX);
    quo_ticket ticket;
    unsigned accepted = 0;

    fake_init(&f);
    fake_start(&f, 0, 0);
    assert_non_null(value);
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);
    put.value = quo_slice(value, QUO_VALUE_MAX);
    while (quo_service_submit(f.service, &put, fake_on_answer, &answers[0], &ticket) == QUO_OK)
        accepted++;
    free(value);
    assert_int_equal(accepted, QUO_OPS_BYTES_MAX / QUO_VALUE_MAX - 1);
    assert_int_equal(quo_service_in_flight(f.service), accepted);
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->overloads), 1);
    /* A small one needs none of it. */
    put.value = quo_slice_of("x");
    assert_int_equal(quo_service_submit(f.service, &put, fake_on_answer, &answers[0], &ticket),
                     QUO_OK);
}

static void forget_frames(void)
{
    for (int i = 0; i < f.count; i++)
        free(f.frames[i].body);
    f.first = f.count = 0;
}

/* One read, answered by each peer after its time; returns whom it asked. */
static unsigned read_once(const uint64_t latency_us[3])
{
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);
    struct fake_frame queries[3];
    unsigned asked = 0;
    int count = 0;

    fake_submit(&f, &get, &answers[0]);
    uint64_t start = f.mono_us;
    while (f.first < f.count) {
        queries[count] = fake_next(&f, QUO_MESSAGE_QUERY);
        asked |= 1u << queries[count++].peer;
    }
    for (uint64_t us = 0; us <= 5000; us += 100) {
        f.mono_us = start + us;
        quo_service_expire(f.service, f.mono_us);
        while (f.first < f.count)
            queries[count++] = fake_next(&f, QUO_MESSAGE_QUERY);
        for (int i = 0; i < count; i++) {
            if (latency_us[queries[i].peer] == us)
                fake_reply_query(&f, &queries[i], 5, "x");
        }
    }
    assert_int_equal(answers[0].calls, 1);
    forget_frames();
    return asked;
}

static void a_slow_peer_is_asked_last_but_not_forgotten(void **state)
{
    (void)state;
    int asked = 0;

    fake_init(&f);
    fake_start(&f, 0, 0);
    for (int i = 0; i < 50; i++)
        read_once((uint64_t[]){200, 4000, 200});
    for (int i = 0; i < 128; i++)
        asked += read_once((uint64_t[]){200, 4000, 200}) >> 1 & 1;
    assert_in_range(asked, 1, 4);
    /* It has recovered: the probes find out. */
    for (int i = 0; i < 1500; i++)
        read_once((uint64_t[]){200, 200, 200});
    asked = 0;
    for (int i = 0; i < 120; i++)
        asked += read_once((uint64_t[]){200, 200, 200}) >> 1 & 1;
    assert_in_range(asked, 60, 100);
}

/* One read, answered by all in no time; returns whom it asked. */
static unsigned read_at_once(void)
{
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);
    unsigned asked = 0;

    fake_submit(&f, &get, &answers[0]);
    while (f.first < f.count) {
        struct fake_frame query = fake_next(&f, QUO_MESSAGE_QUERY);
        asked |= 1u << query.peer;
        fake_reply_query(&f, &query, 5, "x");
    }
    forget_frames();
    return asked;
}

static void however_many_reads_there_are_few_try_a_slow_peer(void **state)
{
    (void)state;
    int asked = 0;

    fake_init(&f);
    fake_start(&f, 0, 0);
    for (int i = 0; i < 50; i++)
        read_once((uint64_t[]){200, 4000, 200});
    for (int i = 0; i < 1000; i++)
        asked += read_at_once() >> 1 & 1;
    assert_in_range(asked, 0, 1);
}

static void reads_are_spread_over_the_replicas(void **state)
{
    (void)state;
    unsigned asked[3] = {0};

    fake_init(&f);
    fake_start(&f, 0, 0);
    for (int i = 0; i < 300; i++) {
        unsigned peers = read_once((uint64_t[]){200, 200, 200});
        for (int peer = 0; peer < 3; peer++)
            asked[peer] += peers >> peer & 1;
    }
    for (int peer = 0; peer < 3; peer++)
        assert_int_equal(asked[peer], 200);
}

static void hedges_stay_within_their_budget(void **state)
{
    (void)state;

    fake_init(&f);
    fake_start(&f, 0, 10);
    for (int i = 0; i < 200; i++)
        read_once((uint64_t[]){200, 200, 200});
    assert_int_equal(quo_counted(&quo_service_stats(f.service)->hedges), 0);
    /* Now one peer is stuck: it is hedged until it is known as slow. */
    f.mono_us += 1000000;
    uint64_t slow = 0;
    for (int i = 0; i < 100; i++)
        slow += read_once((uint64_t[]){200, 4900, 200}) >> 1 & 1;
    uint64_t hedges = quo_counted(&quo_service_stats(f.service)->hedges);
    assert_in_range(hedges, 1, 20);
    assert_in_range(slow, 1, 30);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(too_many_operations_are_refused),
        TEST(who_only_awaits_late_replies_gives_way),
        TEST(values_beyond_the_limit_are_refused),
        TEST(a_slow_peer_is_asked_last_but_not_forgotten),
        TEST(however_many_reads_there_are_few_try_a_slow_peer),
        TEST(reads_are_spread_over_the_replicas),
        TEST(hedges_stay_within_their_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
