/* One event loop, one thread: time, end-of-turn work, and messages from other threads.
 *
 * Threads: create, run and free a loop in the thread it belongs to (the socket library's free-lists
 * are per thread). Only quo_loop_mailbox()->post and quo_loop_stop may be called from elsewhere.
 */
#ifndef QUORATE_LOOP_H
#define QUORATE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "quorate/env.h"
#include "quorate/mailbox.h"
#include "quorate/status.h"

struct quo_loop;

/* Returns NULL when out of memory or descriptors. Makes the process ignore SIGPIPE unless it
 * handles it: a peer that hangs up is an error of a write, not of the program. */
struct quo_loop *quo_loop_new(void);
/* Requires that every socket on it was closed and that nobody posts any more. Tasks that were
 * posted and not run are dropped. */
void quo_loop_free(struct quo_loop *loop);

/* Borrowed; live as long as the loop. mono_us is read once per turn. */
struct quo_env *quo_loop_env(struct quo_loop *loop);
struct quo_mailbox *quo_loop_mailbox(struct quo_loop *loop);

/* Work for the end of the current turn, after every socket was served. Embedded in its owner. */
struct quo_deferred {
    void (*run)(struct quo_deferred *deferred);
    struct quo_deferred *next, *previous; /* the loop's own; zero before first use */
};
/* Runs `run` once at the end of this turn (the next one if called outside, which then does not
 * wait), after everything that was deferred before. No-op when pending. */
void quo_loop_defer(struct quo_loop *loop, struct quo_deferred *deferred);
void quo_loop_undefer(struct quo_loop *loop, struct quo_deferred *deferred);

/* Work for the end of every turn, before deferred sends leave, and once more after deferred work
 * ran, since that may have brought something. Embedded in its owner. */
struct quo_turn_hook {
    void (*run)(struct quo_turn_hook *hook);
    struct quo_turn_hook *next; /* the loop's own */
};
void quo_loop_add_turn_hook(struct quo_loop *loop, struct quo_turn_hook *hook);
/* Also from within a hook. No-op when it was never added. */
void quo_loop_remove_turn_hook(struct quo_loop *loop, struct quo_turn_hook *hook);

/* Something with timers of its own that is asked for its next deadline. Embedded in its owner. */
struct quo_timed {
    /* Monotonic microseconds of the next deadline; UINT64_MAX for none. */
    uint64_t (*deadline)(struct quo_timed *timed);
    /* Called each turn in which the deadline has passed. */
    void (*expire)(struct quo_timed *timed, uint64_t mono_us);
    struct quo_timed *next; /* the loop's own */
};
void quo_loop_add_timed(struct quo_loop *loop, struct quo_timed *timed);
/* Also from within an expiry. No-op when it was never added. */
void quo_loop_remove_timed(struct quo_loop *loop, struct quo_timed *timed);

/* Runs turns until quo_loop_stop, which may also have been called before; then runs one. May be
 * called again afterwards. */
void quo_loop_run(struct quo_loop *loop);
/* Runs one turn, waiting at most max_wait_ms for something to happen: sockets, tasks of the
 * mailbox, passed deadlines, turn hooks, deferred work, in this order. */
void quo_loop_turn(struct quo_loop *loop, int max_wait_ms);
/* Any thread, and signal handlers: makes quo_loop_run return after its current turn. */
void quo_loop_stop(struct quo_loop *loop);

/* The socket library's loop, for adapter files only. */
void *quo_loop_native(struct quo_loop *loop);

#endif
