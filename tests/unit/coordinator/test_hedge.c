#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/hedge.h"
#include "quorate/base.h"

static void the_budget_is_a_share_of_the_reads(void **state)
{
    (void)state;
    struct quo_hedge hedge;
    int taken = 0;

    quo_hedge_init(&hedge, 7, 1000);
    assert_false(quo_hedge_take(&hedge));
    for (int i = 0; i < 1000; i++) {
        quo_hedge_earn(&hedge);
        taken += quo_hedge_take(&hedge);
    }
    assert_int_equal(taken, 70);
}

static void a_quiet_time_saves_up_no_more_than_a_burst(void **state)
{
    (void)state;
    struct quo_hedge hedge;
    unsigned taken = 0;

    quo_hedge_init(&hedge, UINT32_MAX, 1000);
    for (int i = 0; i < 100; i++)
        quo_hedge_earn(&hedge);
    while (quo_hedge_take(&hedge))
        taken++;
    assert_int_equal(taken, QUO_HEDGE_BURST);
}

static void nothing_is_earned_without_a_budget(void **state)
{
    (void)state;
    struct quo_hedge hedge;

    quo_hedge_init(&hedge, 0, 1000);
    for (int i = 0; i < 1000; i++)
        quo_hedge_earn(&hedge);
    assert_false(quo_hedge_take(&hedge));
}

static void the_delay_covers_nearly_all_replies(void **state)
{
    (void)state;
    struct quo_hedge hedge;
    uint32_t random = 1;
    int late = 0;

    quo_hedge_init(&hedge, 5, 1);
    assert_int_equal(quo_hedge_delay_us(&hedge), QUO_HEDGE_FIRST_US);
    assert_int_equal(quo_hedge_typical_us(&hedge), QUO_HEDGE_FIRST_US);
    for (int i = 0; i < 10000; i++) {
        random = random * 1664525u + 1013904223u;
        uint64_t us = 200 + (random >> 24);
        late += i > 100 && us > quo_hedge_delay_us(&hedge);
        quo_hedge_observe(&hedge, us);
    }
    assert_in_range(late, 0, 500);
    assert_in_range(quo_hedge_typical_us(&hedge), 200, 600);
    assert_in_range(quo_hedge_delay_us(&hedge), 300, 1200);
}

static void the_delay_has_a_floor_and_follows_the_latency(void **state)
{
    (void)state;
    struct quo_hedge hedge;

    quo_hedge_init(&hedge, 5, 1000);
    for (int i = 0; i < 100; i++)
        quo_hedge_observe(&hedge, 0);
    assert_int_equal(quo_hedge_delay_us(&hedge), 1000);
    for (int i = 0; i < 100; i++)
        quo_hedge_observe(&hedge, 5000);
    assert_in_range(quo_hedge_delay_us(&hedge), 4900, 9000);
    /* One stall of an hour does not put hedging out of reach. */
    quo_hedge_observe(&hedge, UINT64_C(3600000000));
    assert_in_range(quo_hedge_delay_us(&hedge), 5000, 2000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_budget_is_a_share_of_the_reads),
        cmocka_unit_test(a_quiet_time_saves_up_no_more_than_a_burst),
        cmocka_unit_test(nothing_is_earned_without_a_budget),
        cmocka_unit_test(the_delay_covers_nearly_all_replies),
        cmocka_unit_test(the_delay_has_a_floor_and_follows_the_latency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
