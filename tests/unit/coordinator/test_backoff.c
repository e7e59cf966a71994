#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/backoff.h"

/* The longest of many waits. */
static uint64_t longest(uint32_t preempted, uint64_t unit_us)
{
    uint64_t chance = 7, most = 0;

    for (int i = 0; i < 2000; i++) {
        uint64_t us = quo_backoff_us(&chance, preempted, unit_us);
        assert_true(us > 0);
        most = us > most ? us : most;
    }
    return most;
}

static void the_window_doubles_up_to_its_cap(void **state)
{
    static const uint64_t units[] = {1, 2, 4, 8, 16, 32, 32, 32};

    (void)state;
    for (uint32_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t most = longest(i + 1, 1000);
        assert_in_range(most, units[i] * 1000 * 99 / 100, units[i] * 1000);
    }
    assert_in_range(longest(UINT32_MAX, 1000), 31000, 32000);
}

static void waits_are_spread_over_the_window(void **state)
{
    uint64_t chance = 3;
    int quarters[4] = {0};

    (void)state;
    for (int i = 0; i < 4000; i++)
        quarters[(quo_backoff_us(&chance, 3, 250) - 1) / 250]++;
    for (int i = 0; i < 4; i++)
        assert_in_range(quarters[i], 900, 1100);
}

static void seeds_tell_proposers_apart(void **state)
{
    uint64_t a = 1, b = 2;
    int same = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        same += quo_backoff_us(&a, 6, 1000) == quo_backoff_us(&b, 6, 1000);
    assert_true(same < 5);
}

static void odd_units_are_no_trouble(void **state)
{
    uint64_t chance = 1;

    (void)state;
    assert_int_equal(quo_backoff_us(&chance, 1, 0), 1);
    assert_int_equal(quo_backoff_us(&chance, 40, 0), 1);
    for (int i = 0; i < 100; i++)
        assert_true(quo_backoff_us(&chance, 6, UINT64_MAX) <= UINT64_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_doubles_up_to_its_cap),
        cmocka_unit_test(waits_are_spread_over_the_window),
        cmocka_unit_test(seeds_tell_proposers_apart),
        cmocka_unit_test(odd_units_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
