/* The body of POST /v1/sessions:merge. Pure, but that the JSON library allocates.
 */
#ifndef QUORATE_HTTP_SESSION_BODY_H
#define QUORATE_HTTP_SESSION_BODY_H

#include "proxy/http/problem.h"

/* Called for each token. Returns false with the problem to stop. */
typedef bool quo_session_take_fn(void *context, struct quo_slice token,
                                 struct quo_problem *problem);

/* Reads a JSON object whose one member, `tokens`, is an array of strings. Returns true, or false
 * with the problem: BAD_BODY, or what `take` refused with. */
bool quo_session_body_parse(struct quo_slice body, quo_session_take_fn *take, void *context,
                            struct quo_problem *problem);

#endif
