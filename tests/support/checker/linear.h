/* Linearizability of one register with put, delete, compare-and-set and get, or of one counter with
 * bounded additions besides.
 *
 * Wing & Gong, "Testing and Verifying Concurrent Objects", JPDC 1993, with the memory of visited
 * configurations of Lowe, "Testing for linearizability", CCPE 2017. Keys are checked one by one: a
 * history is linearizable if it is per object (Herlihy & Wing, locality).
 *
 * What counts:
 *   strong and `all` gets that were answered must fit; unanswered ones say nothing and are left
 * out, as are gets of the weaker levels; strong, quorum and `all` writes that were answered took
 * effect between call and return; writes with an unknown outcome, and eventual writes whatever
 * their answer, take effect at most once at any time after their call, or never; writes that were
 * not applied are left out: nobody may see their values; a cas or add that failed is a get of what
 * made it fail.
 */
#ifndef QUORATE_CHECKER_LINEAR_H
#define QUORATE_CHECKER_LINEAR_H

#include "history.h"

enum quo_linear_verdict {
    QUO_LINEAR_OK = 1,
    QUO_LINEAR_VIOLATION,
    QUO_LINEAR_UNDECIDED, /* the memory ran out first */
};

/* Working memory, kept from one check to the next. */
struct quo_linear;

/* `memory_max`: bytes that visited configurations may take. Returns NULL when out of memory. */
struct quo_linear *quo_linear_new(size_t memory_max);
void quo_linear_free(struct quo_linear *linear);

/* Judges the operations of one key, in any order. Requires that all have the same key. */
enum quo_linear_verdict quo_linear_check(struct quo_linear *linear,
                                         const struct quo_history_op *ops, size_t count);

/* Cuts a history that is a violation down to operations that still are one: first to what was known
 * at the earliest moment at which it was one, then each step leaves out an operation (a write
 * together with all that rests on it) only if a linearizable history would have stayed linearizable
 * without it. Works in place, returns the new count. */
size_t quo_linear_minimise(struct quo_linear *linear, struct quo_history_op *ops, size_t count);

/* The same judgement by trying every order of every choice of open writes: the twin that the real
 * one is tested against. Requires count <= QUO_BRUTE_MAX. */
#define QUO_BRUTE_MAX 8u
bool quo_brute_linearizable(const struct quo_history_op *ops, size_t count);

#endif
