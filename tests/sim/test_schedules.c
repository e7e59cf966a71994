/* Schedules that random seeds meet rarely, played message by message: once with the rules as they
 * are, once with the one that they are about switched off. Names as in api/PROTOCOLS.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "script.h"

#define QUERY QUO_MESSAGE_QUERY
#define STORE QUO_MESSAGE_STORE
#define SECOND_MS 1000
#define HOUR_MS 3600000

static struct sim *world;

/* Runs every message of a kind that waits between a proxy and all nodes. */
static void exchange_all(struct script *s, uint32_t proxy, uint8_t type)
{
    for (uint32_t letter = 0; letter < SCRIPT_NODES; letter++)
        while (script_exchange(s, proxy, letter, type))
            continue;
}

/* A write-back that met something newer. Proxy 0's clock is ahead, so proxy 1's later eventual put
 * lies below its earlier one. */
static enum sim_class superseded_write_back(bool *ret_saw_lost)
{
    struct script s = script_begin(world, QUO_KIND_LWW, 2, 2);
    sim_proxy(world, 0)->wall_offset_ms = 2 * SECOND_MS;

    struct sim_op *slow = script_call(&s, 1, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_name(&s, 1);
    assert_true(script_exchange(&s, 1, SCRIPT_A, QUERY));

    const struct sim_op *ahead = script_call(&s, 0, QUO_HISTORY_PUT, QUO_LEVEL_EVENTUAL);
    assert_true(script_exchange(&s, 0, SCRIPT_A, STORE));
    assert_int_equal(ahead->verdict, QUO_VERDICT_WRITTEN);

    script_disconnect(&s, 2, SCRIPT_B);
    const struct sim_op *first = script_call(&s, 2, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_flush(&s, 2);
    script_wait(&s, 100 * SIM_MS);
    script_flush(&s, 2);
    assert_int_equal(first->seen.value, ahead->seen.value);

    const struct sim_op *behind = script_call(&s, 1, QUO_HISTORY_PUT, QUO_LEVEL_EVENTUAL);
    assert_true(script_exchange(&s, 1, SCRIPT_B, STORE));
    assert_int_equal(behind->verdict, QUO_VERDICT_WRITTEN);
    assert_true(quo_version_compare(behind->seen.version, ahead->seen.version) < 0);

    assert_true(script_exchange(&s, 1, SCRIPT_B, QUERY));
    script_wait(&s, 500 * SIM_MS);
    assert_true(script_exchange(&s, 1, SCRIPT_A, STORE));
    assert_true(script_exchange(&s, 1, SCRIPT_A, STORE));
    script_flush(&s, 1);
    script_wait(&s, 500 * SIM_MS);
    script_flush(&s, 1);
    assert_int_equal(slow->verdict, QUO_VERDICT_FOUND);
    *ret_saw_lost = slow->seen.value == behind->seen.value;

    const struct sim_op *last = script_call(&s, 2, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_flush(&s, 2);
    assert_int_equal(last->seen.value, ahead->seen.value);
    return script_end(&s);
}

static void t2_superseded_write_back_starts_again(void **state)
{
    (void)state;
    bool saw_lost;
    assert_int_equal(superseded_write_back(&saw_lost), SIM_HELD);
    assert_false(saw_lost);
    quo_mutant_planted = QUO_MUTANT_SUPERSEDED_NOT_RESTARTED;
    assert_int_equal(superseded_write_back(&saw_lost), SIM_CONSISTENCY);
    assert_true(saw_lost);
}

/* Rs = 1, Ws = 3: one reply says nothing of the other two. */
static enum sim_class one_reply_is_no_write_quorum(void)
{
    struct script s = script_begin(world, QUO_KIND_LWW, 1, 3);
    struct sim_op *put = script_call(&s, 0, QUO_HISTORY_PUT, QUO_LEVEL_STRONG);
    exchange_all(&s, 0, QUERY);
    assert_true(script_exchange(&s, 0, SCRIPT_A, STORE));
    assert_false(put->answered);

    script_disconnect(&s, 1, SCRIPT_B);
    script_disconnect(&s, 1, SCRIPT_C);
    const struct sim_op *sees = script_call(&s, 1, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_flush(&s, 1);
    script_wait(&s, 100 * SIM_MS);

    script_disconnect(&s, 2, SCRIPT_A);
    const struct sim_op *misses = script_call(&s, 2, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_flush(&s, 2);
    assert_int_equal(misses->verdict, QUO_VERDICT_ABSENT);
    assert_true(sees->verdict != QUO_VERDICT_ABSENT);
    return script_end(&s);
}

static void t3_fast_read_needs_a_write_quorum(void **state)
{
    (void)state;
    assert_int_equal(one_reply_is_no_write_quorum(), SIM_HELD);
    quo_mutant_planted = QUO_MUTANT_FAST_READ_RS_ONLY;
    assert_int_equal(one_reply_is_no_write_quorum(), SIM_CONSISTENCY);
}

/* One replica's clock is as wrong as the proxy's: it takes the version that the others refuse. */
static void refused_by_clocks_but_for_one_is_unknown(void **state)
{
    (void)state;
    struct script s = script_begin(world, QUO_KIND_LWW, 2, 2);
    world->clients_only = false;
    sim_proxy(world, 0)->wall_offset_ms = HOUR_MS;
    sim_node(world, s.node[SCRIPT_A])->wall_offset_ms = HOUR_MS;
    const struct sim_op *put = script_call(&s, 0, QUO_HISTORY_PUT, QUO_LEVEL_STRONG);
    exchange_all(&s, 0, QUERY);
    exchange_all(&s, 0, STORE);
    script_flush(&s, 0);
    assert_int_equal(put->seen.outcome, QUO_HISTORY_UNKNOWN);
    assert_int_equal(script_end(&s), SIM_HELD);
}

/* All refused: another clock is followed, and the put succeeds. */
static void refused_by_all_clocks_is_tagged_anew(void **state)
{
    (void)state;
    struct script s = script_begin(world, QUO_KIND_LWW, 2, 2);
    world->clients_only = false;
    sim_proxy(world, 0)->wall_offset_ms = HOUR_MS;
    const struct sim_op *put = script_call(&s, 0, QUO_HISTORY_PUT, QUO_LEVEL_STRONG);
    script_flush(&s, 0);
    assert_int_equal(put->verdict, QUO_VERDICT_WRITTEN);
    const struct sim_op *get = script_call(&s, 1, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_flush(&s, 1);
    assert_int_equal(get->seen.value, put->seen.value);
    assert_int_equal(script_end(&s), SIM_HELD);
}

/* Acknowledged by two, then both crash at once, before they can have synced anything more. */
static enum sim_class crash_after_ack(void)
{
    struct script s = script_begin(world, QUO_KIND_LWW, 2, 2);
    const struct sim_op *put = script_call(&s, 0, QUO_HISTORY_PUT, QUO_LEVEL_STRONG);
    exchange_all(&s, 0, QUERY);
    world->swarm.sync_min_us = world->swarm.sync_max_us = 50 * SIM_MS;
    for (uint32_t letter = SCRIPT_A; letter <= SCRIPT_B; letter++)
        assert_true(script_request(&s, 0, letter, STORE));
    script_reply(&s, 0, SCRIPT_A);
    script_reply(&s, 0, SCRIPT_B);
    if (!put->answered) {
        script_wait(&s, 200 * SIM_MS);
        script_flush(&s, 0);
        assert_true(put->answered);
    }
    for (uint32_t node = 0; node < SCRIPT_NODES; node++) {
        sim_process_stop(sim_node(world, node));
        sim_process_start(sim_node(world, node), 0);
    }
    script_wait(&s, SIM_S);
    const struct sim_op *get = script_call(&s, 1, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_flush(&s, 1);
    assert_true(get->answered);
    return script_end(&s);
}

static void acknowledged_survives_a_crash_of_all(void **state)
{
    (void)state;
    assert_int_equal(crash_after_ack(), SIM_HELD);
    quo_mutant_planted = QUO_MUTANT_ACK_BEFORE_SYNC;
    assert_int_equal(crash_after_ack(), SIM_CONSISTENCY);
}

static int no_mutant(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(t2_superseded_write_back_starts_again, no_mutant),
        cmocka_unit_test_setup(t3_fast_read_needs_a_write_quorum, no_mutant),
        cmocka_unit_test_setup(refused_by_clocks_but_for_one_is_unknown, no_mutant),
        cmocka_unit_test_setup(refused_by_all_clocks_is_tagged_anew, no_mutant),
        cmocka_unit_test_setup(acknowledged_survives_a_crash_of_all, no_mutant),
    };
    world = sim_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sim_free(world);
    return failed;
}
