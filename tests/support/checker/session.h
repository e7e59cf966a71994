/* The four session guarantees (Terry et al., "Session Guarantees for Weakly Consistent Replicated
 * Data", PDIS 1994), judged by versions: whatever its levels, a session reads its writes, its reads
 * of a key do not go back, and its writes are ordered after its earlier writes and reads.
 */
#ifndef QUORATE_CHECKER_SESSION_H
#define QUORATE_CHECKER_SESSION_H

#include "history.h"

struct quo_session_finding {
    const char *what; /* NULL: nothing wrong */
    const struct quo_history_op *first, *second;
};

/* Judges a whole history, all keys together. Operations without a session, and those that failed
 * or overlap in time, bind nobody. A write without a version in its answer, too. */
struct quo_session_finding quo_session_check(const struct quo_history_op *ops, size_t count);

#endif
