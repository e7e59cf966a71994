/* From the bytes of a request to what is wanted. Pure.
 */
#ifndef QUORATE_HTTP_REQUEST_H
#define QUORATE_HTTP_REQUEST_H

#include "proxy/http/problem.h"

enum quo_method {
    QUO_METHOD_GET = 1u << 0,
    QUO_METHOD_HEAD = 1u << 1,
    QUO_METHOD_PUT = 1u << 2,
    QUO_METHOD_DELETE = 1u << 3,
    QUO_METHOD_OPTIONS = 1u << 4, /* everywhere */
    QUO_METHOD_OTHER = 1u << 5,
};

enum quo_route {
    QUO_ROUTE_NONE = 0,
#define QUO_ROUTE(name, pattern, methods, text) QUO_ROUTE_##name,
#include "proxy/http/routes.def"
#undef QUO_ROUTE
    QUO_ROUTE_COUNT
};

struct quo_http_header {
    struct quo_slice name; /* lower case */
    struct quo_slice value;
};

/* A request as it came. */
struct quo_http_request {
    struct quo_slice method;
    struct quo_slice target; /* never normalised: keys may hold %2F and %00 */
    const struct quo_http_header *headers;
    size_t header_count;
    size_t body_len;
};

/* What it wants. Slices borrow from the request. */
struct quo_wish {
    enum quo_method method;
    enum quo_route route;
    uint32_t allowed; /* methods of the route, for Allow */

    /* ROUTE_KEY */
    const struct quo_namespace *ns;
    struct quo_ask ask;
    struct quo_consistency consistency;
    struct quo_slice content_type; /* of a PUT; empty when none was given */

    /* ROUTE_PROBLEM */
    struct quo_slice slug;

    /* ROUTE_KEY */
    size_t key_len;
    uint8_t key[QUO_KEY_MAX];
};

/* Reads a request.
 * Returns true with *ret. Returns false with the problem; then of *ret only method, route and
 * allowed are set. */
bool quo_request_parse(const struct quo_http_request *request, const struct quo_map *map,
                       struct quo_wish *ret, struct quo_problem *problem);

/* Finds a header by its lower-case name; of several the first. Returns NULL when there is none. */
const struct quo_http_header *quo_request_header(const struct quo_http_request *request,
                                                 const char *name);

/* Joins the lines of a list header with commas (RFC 9110 section 5.3). Returns the whole length, of
 * which at most `size` bytes were written; 0 when there is no such header. */
size_t quo_request_join(const struct quo_http_request *request, const char *name, char *out,
                        size_t size);

/* Whether a client's Request-Id can be echoed: 1 to QUO_REQUEST_ID_MAX characters of a token. */
bool quo_request_id_usable(struct quo_slice id);

/* Writes "GET, HEAD, OPTIONS" for Allow. */
#define QUO_ALLOW_MAX 64u
void quo_methods_format(uint32_t methods, char out[QUO_ALLOW_MAX]);

/* Writes the plain text of "/": every route with what it is. Returns its length. */
size_t quo_routes_page(char *out, size_t size);

#endif
