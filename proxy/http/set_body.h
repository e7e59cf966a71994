/* The body that adds elements to a set, or removes them:
 *
 *   {"elements": ["ada", "grace"]}
 *
 * Pure, but that the JSON library allocates.
 */
#ifndef QUORATE_HTTP_SET_BODY_H
#define QUORATE_HTTP_SET_BODY_H

#include "proxy/http/problem.h"

/* Reads a JSON object whose one member, `elements`, is an array of 1 to QUO_ELEMENTS_MAX strings of
 * 1 to QUO_ELEMENT_MAX bytes. Writes each as be16 length | bytes to `out`, which has room for
 * body.len bytes: more than a string takes as JSON.
 * Returns true with the number of strings and of bytes written, or false with the problem. */
bool quo_set_body_parse(struct quo_slice body, uint8_t *out, uint32_t *ret_count, size_t *ret_len,
                        struct quo_problem *problem);

#endif
