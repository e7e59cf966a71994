/* Steps of the wall clock: neither the loop's own work nor the socket library's timeouts may wait
 * for the clock to catch up. The clocks below are those of the whole test program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "api/runtime/loop_h2o.h"
#include "quorate/base.h"

#define HOUR_S 3600
#define GENEROUS_MS 20000

static time_t wall_offset_s;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (syscall(SYS_clock_gettime, clock, ret) != 0)
        return -1;
    if (clock == CLOCK_REALTIME)
        ret->tv_sec += wall_offset_s;
    return 0;
}

int gettimeofday(struct timeval *ret, void *zone)
{
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    ret->tv_sec = now.tv_sec;
    ret->tv_usec = now.tv_nsec / 1000;
    return 0;
}

static uint64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int runs;

static void count_deferred(struct quo_deferred *deferred)
{
    (void)deferred;
    runs++;
}

static void count_timeout(h2o_timeout_entry_t *entry)
{
    (void)entry;
    runs++;
}

static int set_up(void **state)
{
    wall_offset_s = 0;
    runs = 0;
    *state = quo_loop_new();
    return *state == NULL;
}

static int tear_down(void **state)
{
    quo_loop_free(*state);
    return 0;
}

static void deferred_work_does_not_wait(void **state)
{
    struct quo_loop *loop = *state;
    struct quo_deferred deferred = {.run = count_deferred};
    quo_loop_turn(loop, 0);
    const uint64_t start_ms = real_ms();
    for (int i = 1; i <= 3; i++) {
        quo_loop_defer(loop, &deferred);
        wall_offset_s -= HOUR_S;
        quo_loop_turn(loop, GENEROUS_MS);
        assert_int_equal(runs, i);
    }
    assert_true(real_ms() - start_ms < GENEROUS_MS);
}

static void library_timeouts_do_not_wait(void **state)
{
    struct quo_loop *loop = *state;
    h2o_loop_t *native = quo_loop_native(loop);
    h2o_timeout_t at_once, soon;
    h2o_timeout_init(native, &at_once, 0);
    h2o_timeout_init(native, &soon, 50);
    h2o_timeout_entry_t first = {.cb = count_timeout}, second = {.cb = count_timeout};
    quo_loop_turn(loop, 0);
    h2o_timeout_link(native, &at_once, &first);
    h2o_timeout_link(native, &soon, &second);
    wall_offset_s -= HOUR_S;
    const uint64_t start_ms = real_ms();
    while (runs < 2) {
        quo_loop_turn(loop, GENEROUS_MS);
        assert_true(real_ms() - start_ms < GENEROUS_MS);
    }
    h2o_timeout_dispose(native, &at_once);
    h2o_timeout_dispose(native, &soon);
}

static void the_wall_clock_is_shown_as_it_is(void **state)
{
    struct quo_loop *loop = *state;
    quo_loop_turn(loop, 0);
    const uint64_t before_ms = quo_wall_ms(quo_loop_env(loop));
    const uint64_t before_us = quo_mono_us(quo_loop_env(loop));
    wall_offset_s = -HOUR_S;
    quo_loop_turn(loop, 0);
    assert_true(quo_wall_ms(quo_loop_env(loop)) < before_ms);
    assert_true(quo_mono_us(quo_loop_env(loop)) >= before_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deferred_work_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(library_timeouts_do_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_wall_clock_is_shown_as_it_is, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
