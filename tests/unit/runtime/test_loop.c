/* The event loop: order within a turn, deadlines, messages from other threads, and steps of the
 * clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "quorate/base.h"
#include "quorate/loop.h"

/* Far longer than anything here takes: only a hang gets there. */
#define GENEROUS_MS 20000

static uint64_t real_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static size_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    size_t count = 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static int set_up(void **state)
{
    *state = quo_loop_new();
    return *state == NULL;
}

static int tear_down(void **state)
{
    quo_loop_free(*state);
    return 0;
}

/* A log of what ran, in order. */
static char trace[64];

static void note(char what)
{
    size_t len = strlen(trace);
    assert_true(len + 1 < sizeof trace);
    trace[len] = what;
    trace[len + 1] = '\0';
}

struct step {
    struct quo_deferred deferred;
    struct quo_turn_hook hook;
    struct quo_timed timed;
    struct quo_task task;
    struct quo_loop *loop;
    struct step *other; /* deferred, or removed, by this one */
    uint64_t deadline_us;
    uint64_t expired_us;
    char name;
};

static void run_deferred(struct quo_deferred *deferred)
{
    struct step *step = QUO_CONTAINER_OF(deferred, struct step, deferred);
    note(step->name);
    if (step->other != NULL)
        quo_loop_defer(step->loop, &step->other->deferred);
}

static void run_hook(struct quo_turn_hook *hook)
{
    struct step *step = QUO_CONTAINER_OF(hook, struct step, hook);
    note(step->name);
    if (step->other != NULL)
        quo_loop_remove_turn_hook(step->loop, &step->other->hook);
}

static void run_task(struct quo_task *task)
{
    struct step *step = QUO_CONTAINER_OF(task, struct step, task);
    note(step->name);
    if (step->other != NULL)
        quo_loop_defer(step->loop, &step->other->deferred);
}

static uint64_t deadline(struct quo_timed *timed)
{
    return QUO_CONTAINER_OF(timed, struct step, timed)->deadline_us;
}

static void expire(struct quo_timed *timed, uint64_t mono_us)
{
    struct step *step = QUO_CONTAINER_OF(timed, struct step, timed);
    note(step->name);
    step->expired_us = mono_us;
    step->deadline_us = UINT64_MAX;
    if (step->other != NULL)
        quo_loop_remove_timed(step->loop, &step->other->timed);
}

static struct step new_step(struct quo_loop *loop, char name)
{
    trace[0] = '\0';
    return (struct step){
        .deferred.run = run_deferred,
        .hook.run = run_hook,
        .timed = {.deadline = deadline, .expire = expire},
        .task.run = run_task,
        .loop = loop,
        .deadline_us = UINT64_MAX,
        .name = name,
    };
}

static void deferred_work_runs_in_order(void **state)
{
    struct quo_loop *loop = *state;
    struct step a = new_step(loop, 'a'), b = new_step(loop, 'b'), c = new_step(loop, 'c');
    quo_loop_defer(loop, &a.deferred);
    quo_loop_defer(loop, &b.deferred);
    quo_loop_defer(loop, &c.deferred);
    quo_loop_defer(loop, &a.deferred); /* pending: stays where it is */
    quo_loop_undefer(loop, &b.deferred);
    quo_loop_undefer(loop, &b.deferred);
    quo_loop_turn(loop, GENEROUS_MS);
    assert_string_equal(trace, "ac");
    quo_loop_turn(loop, 0);
    assert_string_equal(trace, "ac");
}

static void deferred_work_may_defer_in_the_same_turn(void **state)
{
    struct quo_loop *loop = *state;
    struct step a = new_step(loop, 'a'), b = new_step(loop, 'b');
    a.other = &b;
    quo_loop_defer(loop, &a.deferred);
    quo_loop_turn(loop, GENEROUS_MS);
    assert_string_equal(trace, "ab");
}

static void work_that_always_defers_itself_does_not_hold_the_turn(void **state)
{
    struct quo_loop *loop = *state;
    struct step a = new_step(loop, 'a');
    a.other = &a;
    quo_loop_defer(loop, &a.deferred);
    quo_loop_turn(loop, GENEROUS_MS);
    const size_t once = strlen(trace);
    assert_in_range(once, 1, 10);
    quo_loop_turn(loop, GENEROUS_MS); /* pending work: does not wait */
    assert_true(strlen(trace) > once);
    quo_loop_undefer(loop, &a.deferred);
}

static void a_turn_has_an_order(void **state)
{
    struct quo_loop *loop = *state;
    struct step deferred = new_step(loop, 'd'), hook = new_step(loop, 'h'),
                timed = new_step(loop, 't'), task = new_step(loop, 'm');
    task.other = &deferred;
    timed.deadline_us = 1;
    quo_loop_add_turn_hook(loop, &hook.hook);
    quo_loop_add_timed(loop, &timed.timed);
    struct quo_mailbox *mailbox = quo_loop_mailbox(loop);
    mailbox->ops->post(mailbox, &task.task);
    quo_loop_turn(loop, GENEROUS_MS);
    assert_string_equal(trace, "mthdh"); /* the deferred work may have left something to the hook */
    quo_loop_remove_turn_hook(loop, &hook.hook);
    quo_loop_remove_timed(loop, &timed.timed);
}

static void hooks_can_be_removed_by_hooks(void **state)
{
    struct quo_loop *loop = *state;
    struct step a = new_step(loop, 'a'), b = new_step(loop, 'b'), c = new_step(loop, 'c');
    a.other = &b;
    quo_loop_add_turn_hook(loop, &a.hook);
    quo_loop_add_turn_hook(loop, &b.hook);
    quo_loop_add_turn_hook(loop, &c.hook);
    quo_loop_turn(loop, 0);
    assert_string_equal(trace, "ac");
    a.other = &a;
    quo_loop_turn(loop, 0);
    quo_loop_turn(loop, 0);
    assert_string_equal(trace, "acacc");
    quo_loop_remove_turn_hook(loop, &b.hook); /* not there */
    quo_loop_remove_turn_hook(loop, &c.hook);
}

static void the_next_deadline_is_kept_without_spinning(void **state)
{
    struct quo_loop *loop = *state;
    struct step far = new_step(loop, 'f'), near = new_step(loop, 'n');
    const uint64_t start_us = real_us(), near_us = start_us + 30700;
    far.deadline_us = start_us + 3600 * 1000000ull;
    near.deadline_us = near_us;
    quo_loop_add_timed(loop, &far.timed);
    quo_loop_add_timed(loop, &near.timed);
    int turns = 0;
    while (trace[0] == '\0') {
        quo_loop_turn(loop, GENEROUS_MS);
        turns++;
    }
    assert_string_equal(trace, "n");
    assert_true(near.expired_us >= near_us);
    assert_true(real_us() - start_us < GENEROUS_MS * 1000ull);
    assert_in_range(turns, 1, 2);
    quo_loop_remove_timed(loop, &far.timed);
    quo_loop_remove_timed(loop, &near.timed);
}

static void timers_can_be_removed_by_timers(void **state)
{
    struct quo_loop *loop = *state;
    struct step a = new_step(loop, 'a'), b = new_step(loop, 'b'), c = new_step(loop, 'c');
    a.deadline_us = b.deadline_us = c.deadline_us = 1;
    a.other = &b;
    quo_loop_add_timed(loop, &a.timed);
    quo_loop_add_timed(loop, &b.timed);
    quo_loop_add_timed(loop, &c.timed);
    quo_loop_turn(loop, GENEROUS_MS);
    assert_string_equal(trace, "ac");
    quo_loop_remove_timed(loop, &a.timed);
    quo_loop_remove_timed(loop, &b.timed); /* not there */
    quo_loop_remove_timed(loop, &c.timed);
}

/* Looks at the clock twice with real time in between. */
static void look_twice(struct quo_deferred *deferred)
{
    struct step *step = QUO_CONTAINER_OF(deferred, struct step, deferred);
    struct quo_env *env = quo_loop_env(step->loop);
    const uint64_t before_us = quo_mono_us(env), wall_ms = quo_wall_ms(env);
    const uint64_t start_us = real_us();
    while (real_us() - start_us < 2000)
        continue;
    assert_int_equal(quo_mono_us(env), before_us);
    assert_int_equal(quo_wall_ms(env), wall_ms);
    step->expired_us = before_us;
}

static void time_stands_still_within_a_turn(void **state)
{
    struct quo_loop *loop = *state;
    struct step a = new_step(loop, 'a');
    a.deferred.run = look_twice;
    quo_loop_defer(loop, &a.deferred);
    quo_loop_turn(loop, 0);
    const uint64_t first_us = a.expired_us;
    quo_loop_defer(loop, &a.deferred);
    quo_loop_turn(loop, 0);
    assert_true(a.expired_us >= first_us + 2000);
}

static void random_values_differ(void **state)
{
    struct quo_env *env = quo_loop_env(*state);
    struct quo_loop *second = quo_loop_new();
    assert_non_null(second);
    uint64_t seen[200];
    for (size_t i = 0; i < QUO_COUNT(seen); i++) {
        seen[i] = quo_random(i % 2 == 0 ? env : quo_loop_env(second));
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
    quo_loop_free(second);
}

/* Mailbox */

#define PRODUCERS 4
#define POSTS 20000

struct parcel {
    struct quo_task task;
    struct producer *from;
    uint32_t number;
};

struct producer {
    pthread_t thread;
    struct quo_mailbox *mailbox;
    uint32_t arrived; /* in the loop's thread */
    struct parcel parcels[POSTS];
};

static void arrive(struct quo_task *task)
{
    struct parcel *parcel = QUO_CONTAINER_OF(task, struct parcel, task);
    assert_int_equal(parcel->number, parcel->from->arrived);
    parcel->from->arrived++;
}

static void *produce(void *context)
{
    struct producer *producer = context;
    for (uint32_t i = 0; i < POSTS; i++) {
        struct parcel *parcel = &producer->parcels[i];
        *parcel = (struct parcel){.task.run = arrive, .from = producer, .number = i};
        producer->mailbox->ops->post(producer->mailbox, &parcel->task);
    }
    return NULL;
}

static void tasks_of_many_threads_arrive_in_order(void **state)
{
    struct quo_loop *loop = *state;
    struct producer *producers = calloc(PRODUCERS, sizeof *producers);
    assert_non_null(producers);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i].mailbox = quo_loop_mailbox(loop);
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    const uint64_t start_us = real_us();
    uint32_t arrived = 0;
    while (arrived < PRODUCERS * POSTS) {
        /* A missed wake-up shows as a hang. */
        quo_loop_turn(loop, GENEROUS_MS);
        assert_true(real_us() - start_us < 2 * GENEROUS_MS * 1000ull);
        arrived = 0;
        for (int i = 0; i < PRODUCERS; i++)
            arrived += producers[i].arrived;
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    free(producers);
}

struct ball {
    struct quo_task task;
    struct quo_mailbox *mailbox;
    int bounces;
};

static void bounce(struct quo_task *task)
{
    struct ball *ball = QUO_CONTAINER_OF(task, struct ball, task);
    if (++ball->bounces < 100)
        ball->mailbox->ops->post(ball->mailbox, task);
}

static void a_task_may_be_posted_again_from_itself(void **state)
{
    struct quo_loop *loop = *state;
    struct ball ball = {.task.run = bounce, .mailbox = quo_loop_mailbox(loop)};
    ball.mailbox->ops->post(ball.mailbox, &ball.task);
    while (ball.bounces < 100)
        quo_loop_turn(loop, GENEROUS_MS);
}

/* Stopping */

static void *stop_it(void *loop)
{
    quo_loop_stop(loop);
    return NULL;
}

static void a_thread_can_stop_it(void **state)
{
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, stop_it, *state), 0);
        quo_loop_run(*state); /* also when it was stopped before it ran */
        pthread_join(thread, NULL);
    }
}

static struct quo_loop *signalled;

static void on_signal(int number)
{
    (void)number;
    quo_loop_stop(signalled);
}

static void *send_signal(void *main_thread)
{
    pthread_kill(*(pthread_t *)main_thread, SIGUSR1);
    return NULL;
}

static void a_signal_handler_can_stop_it(void **state)
{
    signalled = *state;
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigaction(SIGUSR1, &action, &before);
    pthread_t me = pthread_self(), thread;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pthread_create(&thread, NULL, send_signal, &me), 0);
        quo_loop_run(*state);
        pthread_join(thread, NULL);
    }
    sigaction(SIGUSR1, &before, NULL);
}

static void loops_give_back_their_descriptors(void **state)
{
    (void)state;
    const size_t before = open_descriptors();
    for (int i = 0; i < 10; i++) {
        struct quo_loop *loop = quo_loop_new();
        assert_non_null(loop);
        quo_loop_turn(loop, 0);
        quo_loop_free(loop);
    }
    quo_loop_free(NULL);
    assert_int_equal(open_descriptors(), before);
}

static void without_descriptors_there_is_no_loop(void **state)
{
    (void)state;
    enum { LIMIT = 64 };
    struct rlimit before, tight;
    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    tight.rlim_cur = LIMIT;
    setrlimit(RLIMIT_NOFILE, &tight);
    int taken[LIMIT], count = 0, fd;
    while ((fd = dup(STDERR_FILENO)) >= 0)
        taken[count++] = fd;
    assert_true(count >= 2);

    struct quo_loop *none = quo_loop_new();
    close(taken[--count]);
    struct quo_loop *still_none = quo_loop_new();
    close(taken[--count]);
    struct quo_loop *loop = quo_loop_new();

    while (count > 0)
        close(taken[--count]);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_null(none);
    assert_null(still_none);
    assert_non_null(loop);
    quo_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deferred_work_runs_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deferred_work_may_defer_in_the_same_turn, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(work_that_always_defers_itself_does_not_hold_the_turn,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_turn_has_an_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hooks_can_be_removed_by_hooks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_next_deadline_is_kept_without_spinning, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(timers_can_be_removed_by_timers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(time_stands_still_within_a_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_values_differ, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tasks_of_many_threads_arrive_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_task_may_be_posted_again_from_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_thread_can_stop_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_signal_handler_can_stop_it, set_up, tear_down),
        cmocka_unit_test(loops_give_back_their_descriptors),
        cmocka_unit_test(without_descriptors_there_is_no_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
