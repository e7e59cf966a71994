#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quorate/base.h"
#include "quorate/histogram.h"

static void bounds_rise_from_50us_to_10s(void **state)
{
    (void)state;
    assert_int_equal(quo_histogram_bounds_us[0], 50);
    assert_int_equal(quo_histogram_bounds_us[QUO_HISTOGRAM_BUCKETS - 2], 10000000);
    for (size_t i = 1; i < QUO_COUNT(quo_histogram_bounds_us); i++)
        assert_true(quo_histogram_bounds_us[i] > quo_histogram_bounds_us[i - 1]);
}

static void bounds_are_inclusive(void **state)
{
    (void)state;
    for (size_t i = 0; i < QUO_COUNT(quo_histogram_bounds_us); i++) {
        struct quo_histogram h = {0};
        quo_histogram_record(&h, quo_histogram_bounds_us[i]);
        quo_histogram_record(&h, quo_histogram_bounds_us[i] + 1);
        assert_int_equal(quo_counted(&h.buckets[i]), 1);
        assert_int_equal(quo_counted(&h.buckets[i + 1]), 1);
        assert_int_equal(quo_counted(&h.sum_us), 2 * quo_histogram_bounds_us[i] + 1);
    }
}

static void everything_else_goes_into_the_last_bucket(void **state)
{
    (void)state;
    struct quo_histogram h = {0};
    quo_histogram_record(&h, UINT64_MAX);
    assert_int_equal(quo_counted(&h.buckets[QUO_HISTOGRAM_BUCKETS - 1]), 1);
    quo_histogram_record(&h, 0);
    assert_int_equal(quo_counted(&h.buckets[0]), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_rise_from_50us_to_10s),
        cmocka_unit_test(bounds_are_inclusive),
        cmocka_unit_test(everything_else_goes_into_the_last_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
