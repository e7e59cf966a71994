/* What versions promise, beyond what values can show.
 *
 * Of one key, two answers that name the same version name the same value, and two writes never
 * share a version. Versions of operations that follow each other in time do not fall: a strong or
 * `all` get, or a strong, quorum or `all` write, that was answered leaves its version where every
 * later strong, quorum or `all` operation sees it; a write's version is above what was there. This
 * is also all that a quorum get promises (a regular register: it never misses a completed write).
 */
#ifndef QUORATE_CHECKER_VERSIONS_H
#define QUORATE_CHECKER_VERSIONS_H

#include "history.h"

struct quo_versions_finding {
    const char *what; /* NULL: nothing wrong */
    const struct quo_history_op *first, *second;
};

/* Judges the operations of one key, in any order. Operations without a version are left out, but
 * for a get that saw nothing although some write had completed and no delete could be the reason.
 */
struct quo_versions_finding quo_versions_check(const struct quo_history_op *ops, size_t count);

#endif
