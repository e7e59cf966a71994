/* The session that a request belongs to. Pure, but for the JSON library's memory and the HMAC.
 *
 *   Session-Token: AfW3...        in and out; several, in lines or behind commas, are merged
 *   {"tokens": ["AfW3...", ...]}  the body of POST /v1/sessions:merge
 */
#ifndef QUORATE_HTTP_SESSION_H
#define QUORATE_HTTP_SESSION_H

#include "proxy/http/headers.h"
#include "proxy/http/problem.h"
#include "proxy/session/token.h"

#define QUO_SESSION_BODY_MAX 32768u /* bytes of the JSON that names tokens */

/* Reads the tokens of the header fields, merged; of none, that of a session which begins. Returns
 * true with *ret_has and *ret, or false with the problem. */
bool quo_session_parse(const struct quo_http_request *request,
                       const struct quo_token_secret *secret, bool *ret_has, struct quo_token *ret,
                       struct quo_problem *problem);

/* Likewise, those of the body as well; there must be some. */
bool quo_session_merge(const struct quo_http_request *request,
                       const struct quo_token_secret *secret, struct quo_token *ret,
                       struct quo_problem *problem);

/* Has the operation heed the token. `key`: quo_token_key of its key. */
void quo_session_ask(const struct quo_token *token, uint64_t key, struct quo_request *operation);

/* Adds what its answer shows. */
void quo_session_learn(struct quo_token *token, uint64_t key, const struct quo_response *response);

#endif
