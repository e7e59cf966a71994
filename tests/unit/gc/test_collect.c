/* The course of a collection, answer by answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage-node/gc/collect.h"

enum { GRACE_MS = 100, PAUSE_US = 10, TIMEOUT_US = 1000, SELF = 1 };
enum { ALL = 7, OTHERS = 5, ITSELF = 2 };

static struct quo_collect begin(uint8_t n, const struct quo_floors *floors,
                                enum quo_collect_effect *ret)
{
    struct quo_collect collect;
    struct quo_collect_event event = {.type = QUO_COLLECT_START, .now_us = 1, .floors = floors};
    quo_collect_init(&collect, &(struct quo_collect_options){
                                   .n = n,
                                   .self = n > 1 ? SELF : 0,
                                   .grace_ms = GRACE_MS,
                                   .pause_us = PAUSE_US,
                                   .timeout_us = TIMEOUT_US,
                               });
    *ret = quo_collect_step(&collect, &event);
    return collect;
}

static enum quo_collect_effect answer(struct quo_collect *collect, uint8_t member,
                                      enum quo_status status, uint64_t now_us)
{
    struct quo_collect_event event = {
        .type = QUO_COLLECT_ANSWER,
        .now_us = now_us,
        .member = member,
        .status = status,
        .clock_ms = 1000u + member,
    };
    return quo_collect_step(collect, &event);
}

static void expect_ask(const struct quo_collect *collect, enum quo_collect_effect effect,
                       enum quo_floor_stage stage, uint8_t members)
{
    assert_int_equal(effect, QUO_COLLECT_ASK);
    assert_int_equal(collect->stage, stage);
    assert_int_equal(collect->asks, members);
}

/* All who are asked are done with it. */
static enum quo_collect_effect all_ok(struct quo_collect *collect)
{
    enum quo_collect_effect effect = QUO_COLLECT_NOTHING;
    uint8_t asked = collect->asks;
    for (uint8_t member = 0; member < collect->options.n; member++) {
        if ((asked >> member & 1) == 0)
            continue;
        assert_int_equal(effect, QUO_COLLECT_NOTHING);
        effect = answer(collect, member, QUO_OK, 2);
    }
    return effect;
}

static void test_the_stages_in_their_order(void **state)
{
    (void)state;
    struct quo_floors floors = {.gate = {1, 0}};
    enum quo_collect_effect effect;
    struct quo_collect collect = begin(3, &floors, &effect);
    expect_ask(&collect, effect, QUO_FLOOR_READY, ALL);
    assert_true(quo_version_is_none(collect.floor));
    expect_ask(&collect, all_ok(&collect), QUO_FLOOR_GATE, ALL);
    /* The earliest clock less the grace. */
    assert_int_equal(quo_version_ms(collect.floor), 1000 - GRACE_MS);
    expect_ask(&collect, all_ok(&collect), QUO_FLOOR_CONFIRM, ALL);
    expect_ask(&collect, all_ok(&collect), QUO_FLOOR_SEAL, ITSELF);
    expect_ask(&collect, all_ok(&collect), QUO_FLOOR_SEAL, OTHERS);
    expect_ask(&collect, all_ok(&collect), QUO_FLOOR_DROP, OTHERS);
    expect_ask(&collect, all_ok(&collect), QUO_FLOOR_DROP, ITSELF);
    assert_int_equal(all_ok(&collect), QUO_COLLECT_DONE);
}

static void test_one_replica_is_enough_for_itself(void **state)
{
    (void)state;
    struct quo_floors floors = {.gate = {1, 0}};
    enum quo_collect_effect effect;
    struct quo_collect collect = begin(1, &floors, &effect);
    for (int stage = QUO_FLOOR_READY; stage <= QUO_FLOOR_DROP; stage++) {
        expect_ask(&collect, effect, (enum quo_floor_stage)stage, 1);
        effect = all_ok(&collect);
    }
    assert_int_equal(effect, QUO_COLLECT_DONE);
}

static void test_who_is_not_equal_is_asked_again(void **state)
{
    (void)state;
    struct quo_floors floors = {.gate = {1, 0}};
    enum quo_collect_effect effect;
    struct quo_collect collect = begin(3, &floors, &effect);
    all_ok(&collect);
    all_ok(&collect);
    assert_int_equal(answer(&collect, 0, QUO_BUSY, 50), QUO_COLLECT_NOTHING);
    assert_int_equal(answer(&collect, 1, QUO_OK, 52), QUO_COLLECT_NOTHING);
    assert_int_equal(answer(&collect, 2, QUO_BUSY, 55), QUO_COLLECT_NOTHING);
    assert_int_equal(quo_collect_deadline(&collect), 50 + PAUSE_US);
    struct quo_collect_event timer = {.type = QUO_COLLECT_TIMER, .now_us = 59};
    assert_int_equal(quo_collect_step(&collect, &timer), QUO_COLLECT_NOTHING);
    timer.now_us = 60;
    expect_ask(&collect, quo_collect_step(&collect, &timer), QUO_FLOOR_CONFIRM, OTHERS);
    assert_int_equal(answer(&collect, 0, QUO_OK, 61), QUO_COLLECT_NOTHING);
    assert_int_equal(answer(&collect, 2, QUO_BUSY, 62), QUO_COLLECT_NOTHING);
    timer.now_us = 72;
    expect_ask(&collect, quo_collect_step(&collect, &timer), QUO_FLOOR_CONFIRM, 4);
    expect_ask(&collect, answer(&collect, 2, QUO_OK, 73), QUO_FLOOR_SEAL, ITSELF);
    assert_int_equal(quo_collect_deadline(&collect), 1 + TIMEOUT_US);
}

static void test_it_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    struct quo_floors floors = {.gate = {1, 0}};
    enum quo_collect_effect effect;
    struct quo_collect collect = begin(3, &floors, &effect);
    struct quo_collect_event timer = {.type = QUO_COLLECT_TIMER, .now_us = TIMEOUT_US};
    assert_int_equal(quo_collect_step(&collect, &timer), QUO_COLLECT_NOTHING);
    timer.now_us = 1 + TIMEOUT_US;
    assert_int_equal(quo_collect_step(&collect, &timer), QUO_COLLECT_GIVEN_UP);
}

/* Whatever is not a yes ends it, in every stage; that somebody is busy does but for CONFIRM. */
static void test_nothing_goes_on_without_one_of_them(void **state)
{
    (void)state;
    static const enum quo_status statuses[] = {QUO_UNAVAILABLE, QUO_NACK, QUO_WRONG_EPOCH,
                                               QUO_READ_ONLY, QUO_BUSY};
    for (int rounds = 0; rounds < 7; rounds++) {
        for (size_t i = 0; i < QUO_COUNT(statuses); i++) {
            struct quo_floors floors = {.gate = {1, 0}};
            enum quo_collect_effect effect;
            struct quo_collect collect = begin(3, &floors, &effect);
            for (int round = 0; round < rounds; round++)
                all_ok(&collect);
            uint8_t member = (collect.asks & ITSELF) != 0 ? SELF : 2;
            bool waits = statuses[i] == QUO_BUSY && collect.stage == QUO_FLOOR_CONFIRM;
            assert_int_equal(answer(&collect, member, statuses[i], 5),
                             waits ? QUO_COLLECT_NOTHING : QUO_COLLECT_GIVEN_UP);
        }
    }
}

static void test_there_may_be_nothing_to_do(void **state)
{
    (void)state;
    /* It is sealed further than the clocks allow now; or they have not even reached the grace. */
    struct quo_floors floors = {.gate = quo_floor_of_ms(950), .sealed = quo_floor_of_ms(950)};
    enum quo_collect_effect effect;
    floors.cleared = floors.sealed;
    struct quo_collect collect = begin(3, &floors, &effect);
    assert_int_equal(all_ok(&collect), QUO_COLLECT_DONE);
    collect = begin(3, &floors, &effect);
    collect.options.grace_ms = 1000;
    assert_int_equal(all_ok(&collect), QUO_COLLECT_DONE);
}

/* Who finds that it has sealed and not cleared ends what was begun, without asking anybody to
 * confirm what may have been dropped here and not there by now. */
static void test_what_was_confirmed_is_ended_later(void **state)
{
    (void)state;
    struct quo_floors floors = {.gate = {9, 0}, .sealed = {8, 0}, .cleared = {7, 0}};
    enum quo_collect_effect effect;
    struct quo_collect collect = begin(3, &floors, &effect);
    expect_ask(&collect, effect, QUO_FLOOR_SEAL, ITSELF);
    assert_int_equal(collect.floor.hlc, 8);
    expect_ask(&collect, all_ok(&collect), QUO_FLOOR_SEAL, OTHERS);
    expect_ask(&collect, all_ok(&collect), QUO_FLOOR_DROP, OTHERS);
    expect_ask(&collect, all_ok(&collect), QUO_FLOOR_DROP, ITSELF);
    assert_int_equal(all_ok(&collect), QUO_COLLECT_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_stages_in_their_order),
        cmocka_unit_test(test_one_replica_is_enough_for_itself),
        cmocka_unit_test(test_who_is_not_equal_is_asked_again),
        cmocka_unit_test(test_it_is_not_waited_for_for_ever),
        cmocka_unit_test(test_nothing_goes_on_without_one_of_them),
        cmocka_unit_test(test_there_may_be_nothing_to_do),
        cmocka_unit_test(test_what_was_confirmed_is_ended_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
