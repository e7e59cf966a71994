#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quorate/base.h"
#include "quorate/limits.h"
#include "quorate/version.h"

#define NOW UINT64_C(1767225600000) /* any instant */

static uint64_t next(uint64_t *rng)
{
    *rng ^= *rng << 13;
    *rng ^= *rng >> 7;
    *rng ^= *rng << 17;
    return *rng;
}

static void follows_the_wall_clock(void **state)
{
    (void)state;
    struct quo_hlc clock;
    quo_hlc_init(&clock, 9);
    struct quo_version v = quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW, 0);
    assert_int_equal(v.hlc, NOW << 16);
    assert_int_equal(v.node, 9);
    v = quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW, 0);
    assert_int_equal(v.hlc, (NOW << 16) + 1);
    v = quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW + 3, 0);
    assert_int_equal(v.hlc, (NOW + 3) << 16);
}

/* Whatever the wall clock does, each version is above all before and above what was seen. */
static void rises_under_clock_steps(void **state)
{
    (void)state;
    struct quo_hlc clock;
    uint64_t rng = 88172645463325252, wall = NOW;
    struct quo_version last = QUO_VERSION_NONE;
    quo_hlc_init(&clock, 9);
    for (int i = 0; i < 100000; i++) {
        uint64_t step = next(&rng) % 7200000;
        wall = next(&rng) % 4 == 0 ? wall - step : wall + step / 3;
        struct quo_version seen = QUO_VERSION_NONE;
        if (next(&rng) % 2 == 0)
            seen = (struct quo_version){(wall << 16) + next(&rng) % 1000000000, next(&rng)};
        if (next(&rng) % 4 == 0)
            quo_hlc_observe(&clock, (wall << 16) + next(&rng) % 1000000000, wall);
        struct quo_version v = quo_hlc_tick(&clock, seen, wall, 0);
        assert_true(quo_version_compare(v, last) > 0);
        assert_true(quo_version_compare(v, seen) > 0);
        last = v;
    }
}

static void counter_overflows_into_the_time(void **state)
{
    (void)state;
    struct quo_hlc clock;
    struct quo_version v = QUO_VERSION_NONE;
    quo_hlc_init(&clock, 9);
    for (int i = 0; i <= 65536; i++)
        v = quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW, 0);
    assert_int_equal(v.hlc, (NOW + 1) << 16);
}

static void observe_raises_within_the_skew_limit_only(void **state)
{
    (void)state;
    struct quo_hlc clock;
    quo_hlc_init(&clock, 9);
    const uint64_t allowed = (NOW + QUO_SKEW_MAX_MS) << 16 | 0xffff;
    quo_hlc_observe(&clock, allowed + 1, NOW);
    assert_int_equal(clock.last, 0);
    quo_hlc_observe(&clock, UINT64_MAX, NOW);
    assert_int_equal(clock.last, 0);
    quo_hlc_observe(&clock, allowed, NOW);
    assert_int_equal(clock.last, allowed);
    quo_hlc_observe(&clock, 1, NOW);
    assert_int_equal(clock.last, allowed);
    assert_int_equal(quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW, 0).hlc, allowed + 1);
}

static void correction_follows_the_replica(void **state)
{
    (void)state;
    struct quo_hlc clock;
    quo_hlc_init(&clock, 9);
    const uint64_t wrong = NOW + 3600000;
    quo_hlc_tick(&clock, QUO_VERSION_NONE, wrong, 500);
    quo_hlc_correct(&clock, NOW, 1000000, 10);
    struct quo_version v = quo_hlc_tick(&clock, QUO_VERSION_NONE, wrong, 1000000 + 2500);
    assert_int_equal(v.node, 10);
    assert_int_equal(v.hlc, (NOW + 2) << 16);
    /* A monotonic reading from before the correction is no time travel. */
    struct quo_version w = quo_hlc_tick(&clock, QUO_VERSION_NONE, wrong, 999999);
    assert_int_equal(w.hlc, v.hlc + 1);
}

/* Who followed clocks that were wrong themselves finds back. */
static void a_correction_can_end(void **state)
{
    (void)state;
    struct quo_hlc clock;
    quo_hlc_init(&clock, 9);
    quo_hlc_correct(&clock, NOW - 3600000, 1000000, 10);
    struct quo_version v = quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW, 1000000);
    assert_int_equal(v.hlc, (NOW - 3600000) << 16);
    quo_hlc_trust(&clock);
    v = quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW, 2000000);
    assert_int_equal(v.hlc, NOW << 16);
    assert_int_equal(v.node, 10);
    /* Nothing falls with it. */
    v = quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW - 5, 3000000);
    assert_int_equal(v.hlc, (NOW << 16) + 1);
}

/* A correction never lifts a clock that was behind the replica. */
static void correction_only_lowers_what_was_handed_out(void **state)
{
    (void)state;
    struct quo_hlc clock;
    quo_hlc_init(&clock, 9);
    struct quo_version v = quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW - 1000, 0);
    quo_hlc_correct(&clock, NOW, 0, 10);
    assert_int_equal(clock.last, v.hlc);
    assert_int_equal(quo_hlc_tick(&clock, QUO_VERSION_NONE, 0, 0).hlc, NOW << 16);
}

/* Bytes from outside reach the clock; the ends of the range must not wrap to small versions. */
static void ends_of_the_range_saturate(void **state)
{
    (void)state;
    struct quo_hlc clock;
    quo_hlc_init(&clock, 9);
    struct quo_version v = quo_hlc_tick(&clock, QUO_VERSION_NONE, UINT64_MAX, 0);
    assert_int_equal(v.hlc, UINT64_C(0xffffffffffff0000));
    v = quo_hlc_tick(&clock, (struct quo_version){UINT64_MAX - 1, 0}, NOW, 0);
    assert_int_equal(v.hlc, UINT64_MAX);
    v = quo_hlc_tick(&clock, (struct quo_version){UINT64_MAX, 0}, NOW, 0);
    assert_int_equal(v.hlc, UINT64_MAX);
    quo_hlc_correct(&clock, UINT64_MAX, 0, 10);
    v = quo_hlc_tick(&clock, QUO_VERSION_NONE, NOW, UINT64_MAX);
    assert_true(v.hlc >= UINT64_C(0xffffffffffff0000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_wall_clock),
        cmocka_unit_test(rises_under_clock_steps),
        cmocka_unit_test(counter_overflows_into_the_time),
        cmocka_unit_test(observe_raises_within_the_skew_limit_only),
        cmocka_unit_test(correction_follows_the_replica),
        cmocka_unit_test(a_correction_can_end),
        cmocka_unit_test(correction_only_lowers_what_was_handed_out),
        cmocka_unit_test(ends_of_the_range_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
