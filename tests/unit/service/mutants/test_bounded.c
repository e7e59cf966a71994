/* What a loop remembers for reads at level bounded: whatever it has seen of a key counts from the
 * moment that it began to look, and what nodes say of a partition from the moment before they were
 * asked.
 */
#include "tests/unit/service/fake.h"

#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

#define SECOND_US UINT64_C(1000000)

static struct fake f;
static struct fake_answer a;

static int setup(void **state)
{
    (void)state;
    fake_init(&f);
    f.mono_us = 100 * SECOND_US;
    fake_start(&f, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    fake_stop(&f);
    return 0;
}

static void submit(enum quo_level level, uint32_t stale_ms, const char *key)
{
    struct quo_request request = {
        .type = QUO_REQUEST_GET, .ns = &f.map.namespaces[0], .key = quo_slice_of(key)};
    const struct quo_ask ask = {.has_level = true,
                                .level = level,
                                .r = -1,
                                .w = -1,
                                .dw = -1,
                                .timeout_ms = 20000,
                                .stale_ms = stale_ms};

    assert_int_equal(
        quo_consistency_resolve(request.ns, &ask, false, &request.consistency, NULL, 0), QUO_OK);
    /* None of them looks at one replica more. */
    f.random = QUO_REPAIR_CHANCE * 1000 + 1;
    fake_submit(&f, &request, &a);
}

/* Answers all QUERYs that were sent; FRESH is left alone. Returns how many that were. */
static unsigned answer_all(uint64_t hlc)
{
    unsigned count = 0;

    while (f.first < f.count) {
        struct fake_frame frame = f.frames[f.first++];
        if (frame.type != QUO_MESSAGE_QUERY)
            continue;
        count++;
        fake_reply_query(&f, &frame, hlc, hlc != 0 ? "v" : NULL);
    }
    return count;
}

static unsigned read_bounded(uint32_t stale_ms, uint64_t hlc)
{
    submit(QUO_LEVEL_BOUNDED, stale_ms, "key");
    const unsigned count = answer_all(hlc);

    assert_int_equal(a.calls, 1);
    assert_true(a.response.receipt.is_bounded);
    assert_true(a.response.receipt.bound_ms <= stale_ms);
    return count;
}

static void a_hot_key_costs_one_query(void **state)
{
    const struct quo_service_stats *stats = quo_service_stats(f.service);

    (void)state;
    assert_int_equal(read_bounded(500, 7), 2);
    assert_int_equal(a.response.receipt.bound_ms, 0);
    for (int i = 1; i <= 4; i++) {
        f.mono_us += 125000;
        assert_int_equal(read_bounded(500, 7), 1);
        assert_int_equal(a.response.receipt.bound_ms, 125 * i);
    }
    f.mono_us += 1000;
    assert_int_equal(read_bounded(500, 7), 2);
    assert_int_equal(read_bounded(500, 9), 1); /* newer is as good */
    assert_int_equal(read_bounded(500, 6), 2); /* older is not */
    assert_int_equal(quo_counted(&stats->bounded_alone), 4);
    assert_int_equal(quo_counted(&stats->fresh_asked), 0);
    /* Absence is known as well. */
    submit(QUO_LEVEL_BOUNDED, 500, "other");
    assert_int_equal(answer_all(0), 2);
    submit(QUO_LEVEL_BOUNDED, 500, "other");
    assert_int_equal(answer_all(0), 1);
    assert_int_equal(a.response.verdict, QUO_VERDICT_ABSENT);
}

static void reads_and_writes_of_quorums_are_remembered(void **state)
{
    static const enum quo_level levels[] = {QUO_LEVEL_QUORUM, QUO_LEVEL_STRONG, QUO_LEVEL_ALL};

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(levels); i++) {
        f.mono_us += 10 * SECOND_US;
        submit(levels[i], 0, "key");
        answer_all(7);
        assert_int_equal(read_bounded(500, 7), 1);
    }
    f.mono_us += 10 * SECOND_US;
    submit(QUO_LEVEL_EVENTUAL, 0, "key");
    answer_all(7);
    assert_int_equal(read_bounded(500, 7), 2);

    f.mono_us += 10 * SECOND_US;
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);
    fake_submit(&f, &put, &a);
    answer_all(7);
    f.first -= 3;
    struct fake_frame store = fake_next(&f, QUO_MESSAGE_STORE);
    const struct quo_version written = fake_stored_version(&store);
    fake_reply_store(&f, &store, QUO_OK);
    store = fake_next(&f, QUO_MESSAGE_STORE);
    fake_reply_store(&f, &store, QUO_OK);
    store = fake_next(&f, QUO_MESSAGE_STORE);
    assert_int_equal(a.response.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(read_bounded(500, written.hlc - 1), 2);
    f.mono_us += 100000;
    assert_int_equal(read_bounded(500, written.hlc + 1), 1);
}

/* A read that took its time. Returns how many replicas the next one asks. */
static unsigned after_a_slow_read(void)
{
    submit(QUO_LEVEL_QUORUM, 0, "key");
    f.mono_us += 600000;
    answer_all(7);
    assert_int_equal(a.calls, 1);
    f.mono_us += 100000;
    return read_bounded(500, 7);
}

static void what_was_seen_counts_from_the_start(void **state)
{
    (void)state;
    assert_int_equal(after_a_slow_read(), 2);
    f.mono_us += 10 * SECOND_US;
    quo_mutant_planted = QUO_MUTANT_BOUND_FROM_THE_END;
    assert_int_equal(after_a_slow_read(), 1);
}

/* Freshness */

static struct fake_frame next_fresh(void)
{
    while (f.frames[f.first].type != QUO_MESSAGE_FRESH)
        f.first++;
    return fake_next(&f, QUO_MESSAGE_FRESH);
}

static void tell_fresh(const struct fake_frame *to, struct quo_msg_freshness message)
{
    uint8_t body[64];

    quo_msg_freshness_encode(&message, body);
    struct quo_frame frame = {QUO_MESSAGE_FRESHNESS, to->id,
                              quo_slice(body, quo_msg_freshness_size(&message))};
    f.transport.events->on_frame(f.transport.receiver, to->peer, &frame);
}

static void a_fresh_replica_answers_alone(void **state)
{
    struct quo_msg_freshness told = {.status = QUO_OK, .ns = 1, .epoch = 1, .age_ms = 30000};
    struct fake_frame asked[3];

    (void)state;
    submit(QUO_LEVEL_BOUNDED, 60000, "one");
    for (int i = 0; i < 3; i++)
        asked[i] = next_fresh();
    f.first = 0;
    assert_int_equal(answer_all(7), 2);
    f.mono_us += SECOND_US;
    tell_fresh(&asked[2], told);
    told.age_ms = 90000;
    tell_fresh(&asked[1], told);
    told.age_ms = UINT32_MAX;
    tell_fresh(&asked[0], told);

    /* Any key of the partition, whatever it holds of it. */
    f.mono_us += 4 * SECOND_US;
    submit(QUO_LEVEL_BOUNDED, 60000, "two");
    assert_int_equal(f.frames[f.count - 1].type, QUO_MESSAGE_QUERY); /* enough is known */
    assert_int_equal(f.frames[f.first].peer, asked[2].peer);
    assert_int_equal(answer_all(0), 1);
    assert_in_range(a.response.receipt.bound_ms, 35000, 35100);
    submit(QUO_LEVEL_BOUNDED, 30000, "two");
    assert_int_equal(answer_all(0), 2);
}

static void nonsense_about_freshness_is_ignored(void **state)
{
    const struct quo_msg_freshness good = {.status = QUO_OK, .ns = 1, .epoch = 1, .age_ms = 10};

    (void)state;
    for (int wrong = 0; wrong < 7; wrong++) {
        struct quo_msg_freshness told = good;
        f.mono_us += 100 * SECOND_US;
        char key[8] = {(char)('a' + wrong)};
        submit(QUO_LEVEL_BOUNDED, 60000, key);
        struct fake_frame asked = next_fresh();
        f.first = 0;
        answer_all(7);
        told.status = wrong == 0 ? QUO_BUSY : QUO_OK;
        told.ns += wrong == 1;
        told.epoch += wrong == 2;
        told.partition += wrong == 3;
        asked.id += wrong == 4 ? SECOND_US : 0;
        asked.peer = wrong == 5 ? 3 : asked.peer;
        tell_fresh(&asked, told);
        key[1] = 'x';
        submit(QUO_LEVEL_BOUNDED, 60000, key);
        assert_int_equal(answer_all(0), wrong < 6 ? 2 : 1);
        fake_stop(&f);
        fake_init(&f);
        f.mono_us = 100 * SECOND_US;
        fake_start(&f, 0, 0);
    }
}

static void nodes_are_asked_once_in_a_while(void **state)
{
    const struct quo_service_stats *stats = quo_service_stats(f.service);

    (void)state;
    for (int i = 0; i < 100; i++) {
        char key[8] = {(char)('0' + i / 10), (char)('0' + i % 10)};
        submit(QUO_LEVEL_BOUNDED, 60000, key);
        answer_all(7);
        f.mono_us += SECOND_US / 10;
    }
    assert_int_equal(quo_counted(&stats->fresh_asked), 3 * 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_hot_key_costs_one_query),           TEST(reads_and_writes_of_quorums_are_remembered),
        TEST(what_was_seen_counts_from_the_start), TEST(a_fresh_replica_answers_alone),
        TEST(nonsense_about_freshness_is_ignored), TEST(nodes_are_asked_once_in_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
