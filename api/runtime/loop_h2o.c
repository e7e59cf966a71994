#include "api/runtime/loop_h2o.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "quorate/base.h"

/* Nothing needs waking more often than this when no deadline is near; a turn that started with a
 * wrong idea of the library's clock ends by then. */
#define IDLE_WAIT_MS 1000
/* What deferred work brings about is looked after in the same turn, but not for ever: there are
 * sockets to serve. */
#define END_PASSES_MAX 4
#define INPUT_CAPACITY (64u * 1024)
#define INPUT_BUFFERS_KEPT 16u
#define RANDOM_BUFFERED 32u

struct quo_loop {
    struct quo_env env;
    struct quo_mailbox mailbox;
    h2o_loop_t *native;
    pthread_t thread;

    h2o_socket_t *wakeup;
    int wakeup_fd;
    _Atomic(struct quo_task *) posted; /* newest first */
    atomic_bool stop;

    bool mono_known, wall_known; /* in this turn */
    uint64_t mono_us, wall_ms;

    struct quo_deferred deferred; /* anchor of a ring */
    bool deferred_ran;            /* since the hooks */
    struct quo_turn_hook *hooks, *next_hook;
    struct quo_timed *timed, *next_timed;
    h2o_timeout_t end; /* not registered with the library: its clock must not matter */
    h2o_timeout_entry_t end_entry;

    h2o_buffer_prototype_t input;
    uint64_t random[RANDOM_BUFFERED];
    size_t random_left;
};

/* Time and chance */

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;
    int failed = clock_gettime(clock, &now);
    QUO_INVARIANT(!failed);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct quo_loop *loop_of(struct quo_env *env)
{
    return QUO_CONTAINER_OF(env, struct quo_loop, env);
}

/* The first to ask in a turn asks after the poll has returned. */
static uint64_t env_mono_us(struct quo_env *env)
{
    struct quo_loop *loop = loop_of(env);
    if (!loop->mono_known) {
        loop->mono_us = clock_us(CLOCK_MONOTONIC);
        loop->mono_known = true;
    }
    return loop->mono_us;
}

static uint64_t env_wall_ms(struct quo_env *env)
{
    struct quo_loop *loop = loop_of(env);
    if (!loop->wall_known) {
        loop->wall_ms = clock_us(CLOCK_REALTIME) / 1000;
        loop->wall_known = true;
    }
    return loop->wall_ms;
}

static uint64_t env_random(struct quo_env *env)
{
    struct quo_loop *loop = loop_of(env);
    if (loop->random_left == 0) {
        ssize_t got;
        do {
            got = getrandom(loop->random, sizeof loop->random, 0);
        } while (got < 0 && errno == EINTR);
        QUO_INVARIANT(got == (ssize_t)sizeof loop->random);
        loop->random_left = RANDOM_BUFFERED;
    }
    return loop->random[--loop->random_left];
}

static const struct quo_env_ops env_ops = {
    .mono_us = env_mono_us,
    .wall_ms = env_wall_ms,
    .random = env_random,
};

/* Mailbox: a stack that producers push to and the loop takes whole and reverses. */

/* Async-signal-safe. */
static void wake(const struct quo_loop *loop)
{
    const uint64_t one = 1;
    ssize_t written;
    do {
        written = write(loop->wakeup_fd, &one, sizeof one);
    } while (written < 0 && errno == EINTR);
    /* Otherwise it can only be full, and then the loop has been woken already. */
}

static void mailbox_post(struct quo_mailbox *mailbox, struct quo_task *task)
{
    struct quo_loop *loop = QUO_CONTAINER_OF(mailbox, struct quo_loop, mailbox);
    struct quo_task *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);
    do {
        task->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posted, &head, task,
                                                    memory_order_release, memory_order_relaxed));
    /* Whoever posted the head has woken the loop, or is about to. */
    if (head == NULL)
        wake(loop);
}

static const struct quo_mailbox_ops mailbox_ops = {.post = mailbox_post};

static void run_posted(struct quo_loop *loop)
{
    struct quo_task *task = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    struct quo_task *oldest = NULL;
    while (task != NULL) {
        struct quo_task *next = task->next;
        task->next = oldest;
        oldest = task;
        task = next;
    }
    while (oldest != NULL) {
        struct quo_task *next = oldest->next; /* `run` may post or free the task */
        oldest->run(oldest);
        oldest = next;
    }
}

static void on_wakeup(h2o_socket_t *socket, const char *err)
{
    struct quo_loop *loop = socket->data;
    QUO_INVARIANT(err == NULL);
    uint64_t count;
    /* Emptied before the tasks are taken: a post that comes in between wakes the next turn. */
    ssize_t got = read(loop->wakeup_fd, &count, sizeof count);
    QUO_INVARIANT(got == (ssize_t)sizeof count || errno == EAGAIN || errno == EINTR);
    run_posted(loop);
}

/* Deferred work, hooks and timers */

static void ring_insert(struct quo_deferred *anchor, struct quo_deferred *deferred)
{
    deferred->next = anchor;
    deferred->previous = anchor->previous;
    anchor->previous->next = deferred;
    anchor->previous = deferred;
}

static void ring_remove(struct quo_deferred *deferred)
{
    deferred->previous->next = deferred->next;
    deferred->next->previous = deferred->previous;
    deferred->next = deferred->previous = NULL;
}

static bool ring_empty(const struct quo_deferred *anchor)
{
    return anchor->next == anchor;
}

void quo_loop_defer(struct quo_loop *loop, struct quo_deferred *deferred)
{
    if (deferred->next == NULL)
        ring_insert(&loop->deferred, deferred);
}

void quo_loop_undefer(struct quo_loop *loop, struct quo_deferred *deferred)
{
    (void)loop;
    if (deferred->next != NULL)
        ring_remove(deferred);
}

void quo_loop_add_turn_hook(struct quo_loop *loop, struct quo_turn_hook *hook)
{
    struct quo_turn_hook **at = &loop->hooks;
    while (*at != NULL)
        at = &(*at)->next;
    hook->next = NULL;
    *at = hook;
}

void quo_loop_remove_turn_hook(struct quo_loop *loop, struct quo_turn_hook *hook)
{
    struct quo_turn_hook **at = &loop->hooks;
    while (*at != NULL && *at != hook)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = hook->next;
    if (loop->next_hook == hook)
        loop->next_hook = hook->next;
}

void quo_loop_add_timed(struct quo_loop *loop, struct quo_timed *timed)
{
    struct quo_timed **at = &loop->timed;
    while (*at != NULL)
        at = &(*at)->next;
    timed->next = NULL;
    *at = timed;
}

void quo_loop_remove_timed(struct quo_loop *loop, struct quo_timed *timed)
{
    struct quo_timed **at = &loop->timed;
    while (*at != NULL && *at != timed)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = timed->next;
    if (loop->next_timed == timed)
        loop->next_timed = timed->next;
}

static void run_timed(struct quo_loop *loop)
{
    for (struct quo_timed *timed = loop->timed; timed != NULL; timed = loop->next_timed) {
        loop->next_timed = timed->next;
        uint64_t now = quo_mono_us(&loop->env);
        if (timed->deadline(timed) <= now)
            timed->expire(timed, now);
    }
}

static void run_hooks(struct quo_loop *loop)
{
    for (struct quo_turn_hook *hook = loop->hooks; hook != NULL; hook = loop->next_hook) {
        loop->next_hook = hook->next;
        hook->run(hook);
    }
}

static void run_deferred(struct quo_loop *loop)
{
    /* What is deferred from here on is for the next pass. */
    struct quo_deferred now;
    now.next = now.previous = &now;
    while (!ring_empty(&loop->deferred)) {
        struct quo_deferred *first = loop->deferred.next;
        ring_remove(first);
        ring_insert(&now, first);
    }
    loop->deferred_ran = !ring_empty(&now);
    while (!ring_empty(&now)) {
        struct quo_deferred *first = now.next;
        ring_remove(first);
        first->run(first);
    }
}

static void on_end(h2o_timeout_entry_t *entry)
{
    struct quo_loop *loop = QUO_CONTAINER_OF(entry, struct quo_loop, end_entry);
    run_hooks(loop);
    run_deferred(loop);
}

static void on_time(h2o_timeout_entry_t *entry)
{
    run_timed(QUO_CONTAINER_OF(entry, struct quo_loop, end_entry));
}

/* Turns */

/* As a timeout of the library, because the library then also runs the completions of what was
 * written: those of writes made outside its callbacks would wait for the next event. */
static void run_as_timeout(struct quo_loop *loop, h2o_timeout_cb run)
{
    loop->end_entry.cb = run;
    h2o_timeout_link(loop->native, &loop->end, &loop->end_entry);
    h2o_timeout_run(loop->native, &loop->end, UINT64_MAX);
}

static void end_turn(struct quo_loop *loop)
{
    run_as_timeout(loop, on_time);
    int passes = 0;
    do {
        run_as_timeout(loop, on_end);
    } while (loop->deferred_ran && ++passes < END_PASSES_MAX);
}

/* Milliseconds until the earliest deadline, rounded up so that it has passed then. */
static int wait_for(const struct quo_loop *loop, int max_wait_ms)
{
    if (!ring_empty(&loop->deferred) || loop->deferred_ran)
        return 0;
    uint64_t earliest = UINT64_MAX;
    for (struct quo_timed *timed = loop->timed; timed != NULL; timed = timed->next)
        earliest = QUO_MIN(earliest, timed->deadline(timed));
    if (earliest == UINT64_MAX)
        return max_wait_ms;
    uint64_t now = clock_us(CLOCK_MONOTONIC);
    uint64_t wait_us = earliest > now ? earliest - now : 0;
    uint64_t wait_ms = wait_us / 1000 + (wait_us % 1000 != 0);
    return wait_ms < (uint64_t)max_wait_ms ? (int)wait_ms : max_wait_ms;
}

/* The library's timeouts stand on the wall clock. When it was set back by an hour they would be an
 * hour late, among them those of 0 ms on which HTTP/2 answers leave: let them count from now. */
static void forgive_clock_step(struct quo_loop *loop)
{
    const uint64_t now_ms = clock_us(CLOCK_REALTIME) / 1000;
    if (now_ms >= h2o_now(loop->native))
        return;
    h2o_linklist_t *lists = &loop->native->_timeouts;
    for (h2o_linklist_t *list = lists->next; list != lists; list = list->next) {
        h2o_timeout_t *timeout = QUO_CONTAINER_OF(list, h2o_timeout_t, _link);
        h2o_linklist_t *entries = &timeout->_entries;
        for (h2o_linklist_t *at = entries->next; at != entries; at = at->next) {
            h2o_timeout_entry_t *entry = QUO_CONTAINER_OF(at, h2o_timeout_entry_t, _link);
            entry->registered_at = QUO_MIN(entry->registered_at, now_ms);
        }
    }
}

void quo_loop_turn(struct quo_loop *loop, int max_wait_ms)
{
    QUO_REQUIRE(max_wait_ms >= 0);
    QUO_REQUIRE(pthread_equal(loop->thread, pthread_self()));
    int wait_ms = wait_for(loop, max_wait_ms);
    forgive_clock_step(loop);
    loop->mono_known = loop->wall_known = false;
    if (h2o_evloop_run(loop->native, wait_ms) != 0)
        QUO_INVARIANT(errno == EINTR);
    end_turn(loop);
}

void quo_loop_run(struct quo_loop *loop)
{
    do {
        quo_loop_turn(loop, IDLE_WAIT_MS);
    } while (!atomic_exchange(&loop->stop, false));
}

void quo_loop_stop(struct quo_loop *loop)
{
    atomic_store(&loop->stop, true);
    wake(loop);
}

/* Making and freeing */

static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

/* The library aborts when there is no descriptor left for its own. */
static h2o_loop_t *create_native(void)
{
    int probe = epoll_create1(EPOLL_CLOEXEC);
    if (probe < 0)
        return NULL;
    close(probe);
    return h2o_evloop_create();
}

static void init_input(h2o_buffer_prototype_t *input)
{
    input->allocator.max = INPUT_BUFFERS_KEPT;
    input->_initial_buf.capacity = INPUT_CAPACITY;
    input->mmap_settings = NULL;
}

struct quo_loop *quo_loop_new(void)
{
    struct quo_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->wakeup_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wakeup_fd < 0)
        goto fail;
    loop->native = create_native();
    if (loop->native == NULL)
        goto fail_wakeup;
    ignore_sigpipe();

    loop->env.ops = &env_ops;
    loop->mailbox.ops = &mailbox_ops;
    loop->thread = pthread_self();
    loop->deferred.next = loop->deferred.previous = &loop->deferred;
    h2o_linklist_init_anchor(&loop->end._entries);
    init_input(&loop->input);

    loop->wakeup =
        h2o_evloop_socket_create(loop->native, loop->wakeup_fd, H2O_SOCKET_FLAG_DONT_READ);
    loop->wakeup->data = loop;
    h2o_socket_read_start(loop->wakeup, on_wakeup);
    return loop;

fail_wakeup:
    close(loop->wakeup_fd);
fail:
    free(loop);
    return NULL;
}

/* The library frees its loop but leaves the descriptor of its poll open. This is how its loop goes
 * on behind the public part. */
struct epoll_loop {
    h2o_evloop_t super;
    int ep;
};

static void destroy_native(h2o_loop_t *native)
{
    int ep = ((struct epoll_loop *)native)->ep;
    h2o_evloop_destroy(native);

    char path[64], target[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", ep);
    ssize_t len = readlink(path, target, sizeof target);
    if (quo_slice_equal(quo_slice(target, len > 0 ? (size_t)len : 0),
                        quo_slice_of("anon_inode:[eventpoll]")))
        close(ep);
}

void quo_loop_free(struct quo_loop *loop)
{
    if (loop == NULL)
        return;
    QUO_REQUIRE(pthread_equal(loop->thread, pthread_self()));
    h2o_socket_close(loop->wakeup);
    destroy_native(loop->native);
    while (loop->input.allocator.cnt > 0)
        free(h2o_mem_alloc_recycle(&loop->input.allocator, INPUT_CAPACITY));
    free(loop);
}

struct quo_env *quo_loop_env(struct quo_loop *loop)
{
    return &loop->env;
}

struct quo_mailbox *quo_loop_mailbox(struct quo_loop *loop)
{
    return &loop->mailbox;
}

void *quo_loop_native(struct quo_loop *loop)
{
    return loop->native;
}

h2o_buffer_prototype_t *quo_loop_input_prototype(struct quo_loop *loop)
{
    return &loop->input;
}
