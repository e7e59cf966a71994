/* From the head of an answer of ours to that of the library's response. */
#ifndef QUORATE_HTTP_HEAD_H2O_H
#define QUORATE_HTTP_HEAD_H2O_H

#include <h2o.h>

#include "proxy/http/answer.h"

#define QUO_HEAD_NAMES 128u /* slots; answers have fewer than half as many different names */

/* What the library calls the names that answers have, found by where they stand: they are static.
 * Zero-initialise. Moves no more once it is in use. */
struct quo_head_names {
    struct quo_head_name {
        const uint8_t *at; /* NULL: a free slot */
        h2o_iovec_t text;
        h2o_iovec_t *name; /* the library's own, or `text` */
    } slots[QUO_HEAD_NAMES];
    uint32_t count;
};

/* Copies status, length and headers of an answer into the request. */
void quo_head_put(struct quo_head_names *names, h2o_req_t *request,
                  const struct quo_answer *answer);

#endif
