/* One line of a batch: from JSON to the request that it stands for.
 *
 *   {"op": "put", "ns": "default", "key": "a", "value": "text", "level": "strong"}
 *
 * is PUT /v1/kv/default/a?level=strong with that body: whatever a member means, it means as part of
 * that request, and it is the reader of requests that judges it.
 *
 *   op                   get, put, delete, patch, add, append
 *   ns, key              text; key-base64 instead of key if it is none
 *   value, base64        the body of put, patch, append: as text or as any bytes
 *   by, min, max         numbers of add
 *   content-type, if-match, if-none-match, prefer, session-token    headers
 *   idempotency-key      likewise, the key itself without quotes
 *   anything else        a parameter of the query: text, a number, or true and false for 1 and 0
 *
 * Memory is allocated for the request only.
 */
#ifndef QUORATE_HTTP_BATCH_LINE_H
#define QUORATE_HTTP_BATCH_LINE_H

#include "proxy/http/headers.h"
#include "proxy/http/problem.h"

#define QUO_BATCH_HEADERS_MAX 8u

struct quo_batch_line {
    struct quo_http_request request; /* borrows from what follows */
    struct quo_http_header headers[QUO_BATCH_HEADERS_MAX];
    uint8_t *members;
    char *text;
};

/* Returns true with *ret, to be freed, or false with a problem: BAD_BODY, or OVERLOADED when out of
 * memory. */
bool quo_batch_line_parse(struct quo_slice line, struct quo_batch_line *ret,
                          struct quo_problem *problem);
void quo_batch_line_free(struct quo_batch_line *line);

#endif
