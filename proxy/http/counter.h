/* Counters of kind crdt: what a request for one says, and what can be said of it. Pure.
 *
 * In kinds cas and mixed a counter is a key like any other, and its value a number.
 */
#ifndef QUORATE_HTTP_COUNTER_H
#define QUORATE_HTTP_COUNTER_H

#include "proxy/http/request.h"

/* Whether the request is for a counter that is made of slots. */
bool quo_counter_has_slots(const struct quo_namespace *ns, enum quo_route route);

/* Checks name and wishes of a request for such a counter, and resolves its level. Requires a wish
 * whose route, key, ask and, of :add, conditions are known. Returns true with `prefix` and
 * consistency of *ret; or false with the problem: KEY_TOO_LONG, KIND_MISMATCH, BAD_CONSISTENCY. */
bool quo_counter_check(struct quo_wish *ret, struct quo_problem *problem);
/* Checks what the body of its :add says: KIND_MISMATCH for bounds. */
bool quo_counter_check_body(const struct quo_wish *wish, struct quo_problem *problem);

#endif
