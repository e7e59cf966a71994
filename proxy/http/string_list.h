/* The body of requests that name a few strings: a JSON object with one member, an array of them.
 *
 *   {"elements": ["ada", "grace"]}
 *
 * Pure, but that the JSON library allocates.
 */
#ifndef QUORATE_HTTP_STRING_LIST_H
#define QUORATE_HTTP_STRING_LIST_H

#include "proxy/http/problem.h"

/* Called for each string, which is borrowed. Returns false with the problem to stop. */
typedef bool quo_string_take_fn(void *context, struct quo_slice string,
                                struct quo_problem *problem);

/* Reads the array of strings called `member`. Returns true, or false with the problem: BAD_BODY,
 * OVERLOADED for want of memory, or what `take` refused with. */
bool quo_string_list_parse(struct quo_slice body, const char *member, quo_string_take_fn *take,
                           void *context, struct quo_problem *problem);

#endif
