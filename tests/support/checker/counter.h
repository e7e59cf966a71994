/* Histories of counters, however long, without a search.
 *
 * Of a key that nobody does anything to but add and get, what each answer says lies between what
 * was certainly added by then and what can have been: the additions that had been answered before
 * it was called, and all that were called before it returned. When all additions go one way, no
 * two of them come to the same, each begins where those below it ended, and what they come to
 * follows their order in time: every one counted once. Necessary conditions, in n log n; whether
 * they suffice is the search's business (linear.h).
 */
#ifndef QUORATE_CHECKER_COUNTER_H
#define QUORATE_CHECKER_COUNTER_H

#include "history.h"

struct quo_counter_finding {
    const char *what;                            /* NULL: nothing wrong */
    const struct quo_history_op *first, *second; /* `second` may be NULL */
};

/* Whether the operations of a key are such as can be judged: strong and `all` gets, additions. */
bool quo_counter_applies(const struct quo_history_op *ops, size_t count);

/* Judges the operations of one key, in any order. Requires quo_counter_applies, and sums that fit
 * in 64 bits. */
struct quo_counter_finding quo_counter_check(const struct quo_history_op *ops, size_t count);

#endif
