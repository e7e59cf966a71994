/* Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): how a client names a write, so that
 * trying it again is not doing it again. Pure.
 */
#ifndef QUORATE_HTTP_IDEMPOTENCY_H
#define QUORATE_HTTP_IDEMPOTENCY_H

#include "proxy/http/request.h"

/* Reads the header, which must be there: a Structured Field String, or the same characters bare if
 * they are a token. Returns true with the operation's name, or false with a BAD_HEADER problem. */
bool quo_idempotency_parse(const struct quo_http_request *request, struct quo_opid *ret,
                           struct quo_problem *problem);

/* A digest of what the write asks for, consistency apart: two requests with one key and different
 * digests are a mistake of the client. It is kept in records, so it never changes its meaning.
 * Requires a write's wish that is complete. */
uint64_t quo_idempotency_digest(const struct quo_wish *wish, struct quo_slice body);

#endif
