/* The body of POST /v1/counters/{ns}/{key}:add. Pure, but that the JSON library allocates.
 *
 *   {"by": -100, "min": 0, "max": 1000}
 */
#ifndef QUORATE_HTTP_COUNTER_BODY_H
#define QUORATE_HTTP_COUNTER_BODY_H

#include "proxy/http/problem.h"

struct quo_counter_body {
    int64_t by, min, max;
    bool has_by, has_min, has_max;
};

/* Reads a JSON object with the member `by` and, if need be, `min` and `max`, whole numbers of 64
 * bits. Returns true with *ret, or false with a BAD_BODY problem that says what is wrong. */
bool quo_counter_body_parse(struct quo_slice body, struct quo_counter_body *ret,
                            struct quo_problem *problem);

#endif
