/* What the readers of requests share. For *request*.c only.
 */
#ifndef QUORATE_HTTP_REQUEST_PARTS_H
#define QUORATE_HTTP_REQUEST_PARTS_H

#include "proxy/http/request.h"

/* Sets ret->ns. Returns false with NAMESPACE_NOT_FOUND. */
bool quo_request_find_namespace(struct quo_slice name, const struct quo_map *map,
                                struct quo_wish *ret, struct quo_problem *problem);

/* What is said of consistency. The header and the query string may both speak, if they say the
 * same. Returns false with the problem. */
bool quo_request_parse_ask(const struct quo_http_request *request, struct quo_slice query,
                           struct quo_ask *ret, struct quo_problem *problem);

/* A value that is written has a time to live; nothing else has one. Requires method, route and
 * `ask`. Returns false with BAD_QUERY. */
bool quo_request_check_ttl(const struct quo_wish *wish, struct quo_problem *problem);

/* Sets key and key_len. Returns false with the problem. */
bool quo_request_parse_key(struct quo_slice text, struct quo_wish *ret,
                           struct quo_problem *problem);

/* LIST. As quo_request_parse. */
bool quo_request_parse_list(const struct quo_http_request *request, const struct quo_map *map,
                            const struct quo_target *target, struct quo_wish *ret,
                            struct quo_problem *problem);

#endif
