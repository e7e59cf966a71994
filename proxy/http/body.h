/* Whether the body of a write, and what is said of it, can be used. Pure.
 */
#ifndef QUORATE_HTTP_BODY_H
#define QUORATE_HTTP_BODY_H

#include "proxy/http/request.h"

#define QUO_PATCH_TYPE "application/merge-patch+json"

/* Checks size, Content-Type and Content-Encoding, and reads what is JSON. Requires a wish whose
 * namespace, method and route are known.
 * Returns true with content_type (PUT) and counter (ADD) of *ret; or false with the problem:
 * VALUE_TOO_LARGE, BAD_HEADER, ENCODING_UNSUPPORTED, PATCH_TYPE_UNSUPPORTED,
 * BODY_TYPE_UNSUPPORTED, BAD_BODY, OVERLOADED. */
bool quo_body_check(const struct quo_http_request *request, struct quo_wish *ret,
                    struct quo_problem *problem);

#endif
