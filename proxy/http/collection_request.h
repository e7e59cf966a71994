/* From the bytes of a request for a timeline or a set to what is wanted. Pure.
 */
#ifndef QUORATE_HTTP_COLLECTION_REQUEST_H
#define QUORATE_HTTP_COLLECTION_REQUEST_H

#include "proxy/http/request.h"

/* Reads a request whose route is one of quo_route_is_collection. Returns true with the rest of the
 * wish, or false with the problem. The elements of :add and :remove stay in the body. */
bool quo_collection_request_parse(const struct quo_http_request *request, const struct quo_map *map,
                                  const struct quo_target *target, struct quo_wish *ret,
                                  struct quo_problem *problem);

/* Which collection a route is of. */
enum quo_collection quo_route_collection(enum quo_route route);

#endif
