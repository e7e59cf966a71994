#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/plan.h"

static const struct quo_namespace three = {.kind = QUO_KIND_LWW, .n = 3, .rs = 2, .ws = 2};
static const struct quo_entry normal = {
    .epoch = 4, .state = QUO_ENTRY_NORMAL, .n = 5, .replicas = {11, 12, 13, 14, 15}};
static const struct quo_entry joint = {.epoch = 5,
                                       .state = QUO_ENTRY_JOINT,
                                       .n = 3,
                                       .n_next = 3,
                                       .replicas = {11, 12, 13},
                                       .next = {13, 21, 11}};

static void check_order(const struct quo_plan *plan, const uint8_t *expected)
{
    for (uint8_t i = 0; i < plan->count; i++)
        assert_int_equal(plan->order[i], expected[i]);
}

static void members_are_the_first_n(void **state)
{
    (void)state;
    struct quo_plan plan;

    quo_plan_init(&plan, &normal, &three);
    assert_int_equal(plan.count, 3);
    assert_int_equal(plan.sets[0], 7);
    assert_int_equal(plan.sets[1], 0);
    assert_int_equal(plan.replica[2], 13);
    assert_int_equal(plan.entry.epoch, 4);
    check_order(&plan, (uint8_t[]){0, 1, 2});
}

static void a_joint_entry_has_two_sets_of_the_union(void **state)
{
    (void)state;
    struct quo_plan plan;

    quo_plan_init(&plan, &joint, &three);
    assert_int_equal(plan.count, 4);
    assert_int_equal(plan.sets[0], 0x7);
    assert_int_equal(plan.sets[1], 0xd);
    assert_int_equal(plan.replica[3], 21);
    assert_int_equal(quo_plan_all(&plan), 0xf);
}

static void the_start_rotates(void **state)
{
    (void)state;
    struct quo_plan plan;
    struct quo_health health[QUO_MEMBERS_MAX] = {{true, 0}, {true, 0}, {true, 0}};

    quo_plan_init(&plan, &normal, &three);
    quo_plan_order(&plan, health, 1);
    check_order(&plan, (uint8_t[]){1, 2, 0});
    quo_plan_order(&plan, health, UINT32_MAX);
    check_order(&plan, (uint8_t[]){0, 1, 2});
    assert_int_equal(plan.up, 7);
}

static void unreachable_and_slow_members_come_last(void **state)
{
    (void)state;
    struct quo_plan plan;
    /* 2 is slow, 0 is down, whatever it was. */
    struct quo_health health[QUO_MEMBERS_MAX] = {{false, 10}, {true, 500}, {true, 1501}};

    quo_plan_init(&plan, &normal, &three);
    quo_plan_order(&plan, health, 2);
    check_order(&plan, (uint8_t[]){1, 2, 0});
    assert_int_equal(plan.up, 6);
    /* Three times the best is not more than three times. */
    health[2].latency_us = 1500;
    quo_plan_order(&plan, health, 2);
    check_order(&plan, (uint8_t[]){2, 1, 0});
    /* Nor is anything below a millisecond slow. */
    health[1].latency_us = 10;
    health[2].latency_us = 1000;
    quo_plan_order(&plan, health, 2);
    check_order(&plan, (uint8_t[]){2, 1, 0});
    /* Alone it cannot be slower than the others. */
    health[1].latency_us = 0;
    health[2].latency_us = 900000;
    quo_plan_order(&plan, health, 2);
    check_order(&plan, (uint8_t[]){2, 1, 0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_the_first_n),
        cmocka_unit_test(a_joint_entry_has_two_sets_of_the_union),
        cmocka_unit_test(the_start_rotates),
        cmocka_unit_test(unreachable_and_slow_members_come_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
