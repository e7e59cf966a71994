/* What a client says of consistency, in the query string or in the Consistency header. Pure.
 *
 *   ?level=strong&r=2&w=2&dw=1&timeout=250ms&ttl=30s
 *   ?level=bounded&max-stale=2s
 *   ?level=eventual&w=2&sloppy=1
 *   Consistency: strong;r=2;w=2;dw=1;timeout=250
 *   Consistency: eventual;w=2;sloppy
 */
#ifndef QUORATE_HTTP_ASK_H
#define QUORATE_HTTP_ASK_H

#include "proxy/http/problem.h"

/* Reads the whole query string (what follows the '?').
 * Returns true with *ret, or false with a BAD_QUERY or BAD_CONSISTENCY problem. */
bool quo_ask_parse_query(struct quo_slice query, struct quo_ask *ret, struct quo_problem *problem);

/* Whether there may be a parameter of this name. */
bool quo_ask_is_parameter(struct quo_slice name);

/* Reads the value of a Consistency header: a Structured Field Item, a Token with Parameters.
 * Returns true with *ret, or false with a BAD_HEADER or BAD_CONSISTENCY problem. */
bool quo_ask_parse_header(struct quo_slice field, struct quo_ask *ret, struct quo_problem *problem);

/* Nothing said. */
#define QUO_ASK_NOTHING ((struct quo_ask){.r = -1, .w = -1, .dw = -1})
/* Of consistency alone. */
bool quo_ask_is_nothing(const struct quo_ask *ask);
bool quo_ask_equal(const struct quo_ask *a, const struct quo_ask *b);

#endif
