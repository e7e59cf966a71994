/* Schedules that random seeds meet rarely, played message by message: once with the rules as they
 * are, once with the one that they are about switched off. Names as in api/PROTOCOLS.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "script.h"

#define QUERY QUO_MESSAGE_QUERY
#define STORE QUO_MESSAGE_STORE
#define PREP QUO_MESSAGE_PREP
#define ACC QUO_MESSAGE_ACC
#define AB (1u << SCRIPT_A | 1u << SCRIPT_B)
#define BC (1u << SCRIPT_B | 1u << SCRIPT_C)
#define AD (1u << SCRIPT_A | 1u << SCRIPT_D)
#define BD (1u << SCRIPT_B | 1u << SCRIPT_D)
#define ACD (1u << SCRIPT_A | 1u << SCRIPT_C | 1u << SCRIPT_D)
#define SECOND_MS 1000
#define HOUR_MS 3600000

static struct sim *world;

/* Runs every message of a kind that waits between a proxy and all nodes. */
static void exchange_all(struct script *s, uint32_t proxy, uint8_t type)
{
    for (uint32_t letter = 0; letter < s->nodes; letter++)
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

/* One replica takes the version, two refuse it. Whoever tags it anew writes it twice: what the one
 * replica has may have been seen and overwritten by then. */
static enum sim_class refused_by_two(enum quo_history_outcome *ret)
{
    struct script s = script_begin(world, QUO_KIND_LWW, 2, 2);
    world->clients_only = false;
    const struct sim_op *put = script_call(&s, 0, QUO_HISTORY_PUT, QUO_LEVEL_STRONG);
    exchange_all(&s, 0, QUERY);
    assert_true(script_exchange(&s, 0, SCRIPT_A, STORE));
    script_refuse(&s, 0, SCRIPT_B);
    script_refuse(&s, 0, SCRIPT_C);
    script_flush(&s, 0);
    *ret = put->seen.outcome;
    return script_end(&s);
}

static void t5_refused_put_is_unknown(void **state)
{
    (void)state;
    enum quo_history_outcome outcome;
    assert_int_equal(refused_by_two(&outcome), SIM_HELD);
    assert_int_equal(outcome, QUO_HISTORY_UNKNOWN);
    quo_mutant_planted = QUO_MUTANT_RETAG_AFTER_NACK;
    assert_int_equal(refused_by_two(&outcome), SIM_CONSISTENCY);
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
static enum sim_class crash_after_ack(int chance)
{
    struct script s = script_begin(world, QUO_KIND_LWW, 2, 2);
    while (chance-- > 0)
        (void)sim_random(&world->rng);
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
    for (uint32_t node = 0; node < s.nodes; node++) {
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
    int lost = 0;
    for (int chance = 0; chance < 10; chance++) {
        quo_mutant_planted = QUO_MUTANT_NONE;
        assert_int_equal(crash_after_ack(chance), SIM_HELD);
        quo_mutant_planted = QUO_MUTANT_ACK_BEFORE_SYNC;
        lost += crash_after_ack(chance) == SIM_CONSISTENCY;
    }
    /* What a crash leaves of a commit under way is up to chance. */
    assert_true(lost > 0);
}

/* A write that everybody hears of. */
static const struct sim_op *write_all(struct script *s, uint32_t proxy)
{
    const struct sim_op *put = script_call(s, proxy, QUO_HISTORY_PUT, QUO_LEVEL_STRONG);
    script_flush(s, proxy);
    assert_int_equal(put->verdict, QUO_VERDICT_WRITTEN);
    return put;
}

/* Its first attempt has been accepted by one replica, above a base that nobody else knows. Its next
 * finds at the two others that the condition is false. What was accepted may still be chosen. */
static enum sim_class failed_after_an_accept(void)
{
    struct script s = script_begin(world, QUO_KIND_CAS, 2, 2);
    write_all(&s, 0);
    const struct sim_op *lone = script_call(&s, 0, QUO_HISTORY_PUT, QUO_LEVEL_STRONG);
    exchange_all(&s, 0, PREP);
    assert_true(script_request(&s, 0, SCRIPT_A, ACC));
    const struct sim_sight base = script_sight(&s, lone, SCRIPT_A);

    const struct sim_op *cas = script_cas(&s, 1, &base);
    assert_true(script_exchange(&s, 1, SCRIPT_A, PREP));
    assert_true(script_exchange(&s, 1, SCRIPT_B, PREP));
    script_call(&s, 2, QUO_HISTORY_PUT, QUO_LEVEL_STRONG);
    assert_true(script_request(&s, 2, SCRIPT_B, PREP));
    assert_true(script_request(&s, 2, SCRIPT_C, PREP));
    for (uint32_t letter = SCRIPT_A; letter <= SCRIPT_C; letter++)
        assert_true(script_exchange(&s, 1, letter, ACC));
    script_wait(&s, SIM_S);
    script_flush_with(&s, 1, BC);
    assert_int_equal(cas->verdict, QUO_VERDICT_DECLINED);

    script_disconnect(&s, 3, SCRIPT_C);
    const struct sim_op *get = script_call(&s, 3, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_flush_with(&s, 3, AB);
    script_wait(&s, SIM_S);
    script_flush_with(&s, 3, AB);
    assert_int_equal(get->verdict, QUO_VERDICT_FOUND);
    return script_end(&s);
}

static void t1_who_has_sent_an_accept_makes_sure(void **state)
{
    (void)state;
    assert_int_equal(failed_after_an_accept(), SIM_HELD);
    quo_mutant_planted = QUO_MUTANT_ACCEPT_SKIPPED_AFTER_SENT;
    assert_int_equal(failed_after_an_accept(), SIM_CONSISTENCY);
}

/* A replica has the record from a reader who passed it on, and has promised a ballot between it and
 * the next. What it answers to the proposer's own message is no promise of the next. */
static enum sim_class next_promised_by_a_copy(void)
{
    struct script s = script_begin(world, QUO_KIND_CAS, 2, 2);
    sim_proxy(world, 1)->wall_offset_ms = -10 * SECOND_MS;
    write_all(&s, 0);
    const struct sim_op *put = script_call(&s, 0, QUO_HISTORY_PUT, QUO_LEVEL_STRONG);
    assert_true(script_exchange(&s, 0, SCRIPT_A, ACC));
    script_disconnect(&s, 2, SCRIPT_C);
    const struct sim_op *get = script_call(&s, 2, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_flush_with(&s, 2, AB);
    script_wait(&s, SIM_S);
    script_flush_with(&s, 2, AB);
    assert_int_equal(get->seen.value, put->seen.value);

    /* Refused at first: the proxy's clock is late, and it has not heard of the put. */
    const struct sim_sight base = script_sight(&s, put, SCRIPT_A);
    const struct sim_op *first = script_cas(&s, 1, &base);
    for (int i = 0; i < 2; i++) {
        assert_true(script_exchange(&s, 1, SCRIPT_B, PREP));
        assert_true(script_exchange(&s, 1, SCRIPT_C, PREP));
        script_wait(&s, SIM_S);
    }
    assert_true(script_exchange(&s, 0, SCRIPT_B, ACC));
    assert_int_equal(put->verdict, QUO_VERDICT_WRITTEN);
    script_flush_with(&s, 1, BC);
    assert_int_equal(first->verdict, QUO_VERDICT_WRITTEN);

    const struct sim_op *second = script_cas(&s, 0, &base);
    script_flush_with(&s, 0, AB);
    script_wait(&s, SIM_S);
    script_flush(&s, 0);
    assert_true(second->answered);
    return script_end(&s);
}

static void t11_a_copy_promises_nothing(void **state)
{
    (void)state;
    assert_int_equal(next_promised_by_a_copy(), SIM_HELD);
    quo_mutant_planted = QUO_MUTANT_NEXT_WITHOUT_STORE;
    assert_int_equal(next_promised_by_a_copy(), SIM_CONSISTENCY);
}

/* The promise of a warm start is older than a blind write that somebody has seen since. */
static enum sim_class warm_below_a_blind_write(void)
{
    struct script s = script_begin(world, QUO_KIND_MIXED, 2, 2);
    const struct sim_op *put = write_all(&s, 0);
    const struct sim_sight base = script_sight(&s, put, SCRIPT_A);
    const struct sim_op *blind = script_call(&s, 1, QUO_HISTORY_PUT, QUO_LEVEL_EVENTUAL);
    script_flush(&s, 1);
    const struct sim_op *get = script_call(&s, 2, QUO_HISTORY_GET, QUO_LEVEL_STRONG);
    script_flush(&s, 2);
    assert_int_equal(get->seen.value, blind->seen.value);
    const struct sim_op *cas = script_cas(&s, 0, &base);
    script_flush(&s, 0);
    script_wait(&s, SIM_S);
    script_flush(&s, 0);
    assert_true(cas->answered);
    return script_end(&s);
}

static void t12_no_warm_start_in_mixed(void **state)
{
    (void)state;
    assert_int_equal(warm_below_a_blind_write(), SIM_HELD);
    quo_mutant_planted = QUO_MUTANT_WARM_IN_MIXED;
    assert_int_equal(warm_below_a_blind_write(), SIM_CONSISTENCY);
}

/* What a proposer remembers of a key that somebody else has written since. */
static enum sim_class warm_and_long_gone(void)
{
    struct script s = script_begin(world, QUO_KIND_CAS, 2, 2);
    write_all(&s, 0);
    const struct sim_op *put = write_all(&s, 1);
    const struct sim_sight base = script_sight(&s, put, SCRIPT_A);
    const struct sim_op *cas = script_cas(&s, 0, &base);
    script_flush(&s, 0);
    script_wait(&s, SIM_S);
    script_flush(&s, 0);
    assert_true(cas->answered);
    return script_end(&s);
}

static void t13_a_warm_start_answers_nothing_by_itself(void **state)
{
    (void)state;
    assert_int_equal(warm_and_long_gone(), SIM_HELD);
    quo_mutant_planted = QUO_MUTANT_WARM_ANSWERS;
    assert_int_equal(warm_and_long_gone(), SIM_CONSISTENCY);
}

/* Everything between a proxy and these nodes, and what it does after a pause. */
static void go_on(struct script *s, uint32_t proxy, uint32_t letters)
{
    for (int i = 0; i < 3; i++) {
        script_flush_with(s, proxy, letters);
        script_wait(s, 500 * SIM_MS);
    }
}

/* Steps of the move until this map is out, with all that its mover can reach. */
static void move_to(struct script *s, uint32_t map_count, uint32_t letters)
{
    for (uint32_t i = 0; i < 200 && world->map_count < map_count; i++) {
        script_flush_with(s, SIM_MOVER, letters);
        script_wait(s, 20 * SIM_MS);
    }
    assert_int_equal(world->map_count, map_count);
}

/* Two creations. The first was promised by B and C, and accepted by B, in the old epoch. A move
 * puts D in the place of C, without B. The second is prepared and accepted by A and D under a
 * ballot below the first one's, which nobody there has heard of. */
static enum sim_class promised_before_the_move(void)
{
    struct script s = script_begin_move(world, QUO_KIND_CAS);
    sim_proxy(world, 0)->wall_offset_ms = 3 * SECOND_MS;
    const struct sim_op *first = script_cas(&s, 0, NULL);
    assert_true(script_exchange(&s, 0, SCRIPT_B, PREP));
    assert_true(script_exchange(&s, 0, SCRIPT_C, PREP));
    assert_true(script_request(&s, 0, SCRIPT_B, ACC));

    script_move(&s);
    script_disconnect(&s, SIM_MOVER, SCRIPT_B);
    move_to(&s, 3, ACD);
    script_wait(&s, 100 * SIM_MS);
    script_flush_with(&s, SIM_MOVER, AD);

    script_disconnect(&s, 1, SCRIPT_B);
    const struct sim_op *second = script_cas(&s, 1, NULL);
    go_on(&s, 1, AD);
    assert_int_equal(second->verdict, QUO_VERDICT_WRITTEN);

    assert_true(script_exchange(&s, 0, SCRIPT_A, ACC));
    go_on(&s, 0, BD);
    assert_true(first->answered);
    return script_end(&s);
}

static void t14_a_move_overcomes_promises(void **state)
{
    (void)state;
    assert_int_equal(promised_before_the_move(), SIM_HELD);
    quo_mutant_planted = QUO_MUTANT_SETTLE_IGNORES_PROMISE;
    assert_int_equal(promised_before_the_move(), SIM_CONSISTENCY);
}

/* Two cas on one base. The promise that the second has takes effect against the first; a blind
 * write above both must not make anybody forget it. */
static enum sim_class blind_write_over_a_promise(void)
{
    struct script s = script_begin(world, QUO_KIND_MIXED, 2, 2);
    const struct sim_op *put = write_all(&s, 0);
    const struct sim_sight base = script_sight(&s, put, SCRIPT_A);
    const struct sim_op *first = script_cas(&s, 0, &base);
    exchange_all(&s, 0, PREP);
    const struct sim_op *second = script_cas(&s, 1, &base);
    exchange_all(&s, 1, PREP);
    script_call(&s, 2, QUO_HISTORY_PUT, QUO_LEVEL_EVENTUAL);
    script_flush(&s, 2);
    exchange_all(&s, 0, ACC);
    exchange_all(&s, 1, ACC);
    script_wait(&s, SIM_S);
    script_flush(&s, 0);
    assert_int_equal(second->verdict, QUO_VERDICT_WRITTEN);
    assert_true(first->answered);
    return script_end(&s);
}

static void a_blind_write_takes_no_promise_back(void **state)
{
    (void)state;
    assert_int_equal(blind_write_over_a_promise(), SIM_HELD);
    quo_mutant_planted = QUO_MUTANT_BLIND_CLEARS_PROMISE;
    assert_int_equal(blind_write_over_a_promise(), SIM_CONSISTENCY);
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
        cmocka_unit_test_setup(t5_refused_put_is_unknown, no_mutant),
        cmocka_unit_test_setup(t1_who_has_sent_an_accept_makes_sure, no_mutant),
        cmocka_unit_test_setup(t11_a_copy_promises_nothing, no_mutant),
        cmocka_unit_test_setup(t12_no_warm_start_in_mixed, no_mutant),
        cmocka_unit_test_setup(t13_a_warm_start_answers_nothing_by_itself, no_mutant),
        cmocka_unit_test_setup(t14_a_move_overcomes_promises, no_mutant),
        cmocka_unit_test_setup(a_blind_write_takes_no_promise_back, no_mutant),
        cmocka_unit_test_setup(refused_by_clocks_but_for_one_is_unknown, no_mutant),
        cmocka_unit_test_setup(refused_by_all_clocks_is_tagged_anew, no_mutant),
        cmocka_unit_test_setup(acknowledged_survives_a_crash_of_all, no_mutant),
    };
    world = sim_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sim_free(world);
    return failed;
}
