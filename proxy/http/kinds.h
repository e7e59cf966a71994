/* Which writes the kind of a namespace can keep. The replicas hold to it as well. Pure.
 */
#ifndef QUORATE_HTTP_KINDS_H
#define QUORATE_HTTP_KINDS_H

#include "proxy/http/request.h"

/* Whether a write can only be decided by consensus, whatever the namespace: it has a condition or
 * an Idempotency-Key, or depends on the value that is there. */
bool quo_kinds_needs_consensus(const struct quo_wish *wish);

/* Checks a write's wish once its conditions and its key are read, before its consistency is known.
 * Returns true, or false with a KIND_MISMATCH or IDEMPOTENCY_KEY_REQUIRED problem. */
bool quo_kinds_check_write(const struct quo_wish *wish, struct quo_problem *problem);

/* Checks the consistency of a write as well. Returns true, or false with KIND_MISMATCH. */
bool quo_kinds_check_consistency(const struct quo_wish *wish, struct quo_problem *problem);

/* Checks the name of an operation that is asked about or, with RESOLVE, to be decided. Returns
 * true, or false with KIND_MISMATCH. */
bool quo_kinds_check_operation(const struct quo_wish *wish, struct quo_problem *problem);

/* Whether the kind has counters. Returns true, or false with KIND_MISMATCH. */
bool quo_kinds_check_counter(const struct quo_wish *wish, struct quo_problem *problem);

#endif
