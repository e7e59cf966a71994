/* From the method and the target of a request to a route of routes.def. Pure.
 */
#ifndef QUORATE_HTTP_ROUTE_H
#define QUORATE_HTTP_ROUTE_H

#include "quorate/base.h"

enum quo_method {
    QUO_METHOD_GET = 1u << 0,
    QUO_METHOD_HEAD = 1u << 1,
    QUO_METHOD_PUT = 1u << 2,
    QUO_METHOD_DELETE = 1u << 3,
    QUO_METHOD_PATCH = 1u << 4,
    QUO_METHOD_POST = 1u << 5,
    QUO_METHOD_OPTIONS = 1u << 6, /* everywhere */
    QUO_METHOD_OTHER = 1u << 7,
};

enum quo_route {
    QUO_ROUTE_NONE = 0,
#define QUO_ROUTE(name, pattern, methods, text) QUO_ROUTE_##name,
#include "proxy/http/routes.def"
#undef QUO_ROUTE
    QUO_ROUTE_COUNT
};

#define QUO_CAPTURES_MAX 3u

struct quo_target {
    enum quo_route route;
    struct quo_slice path;                       /* without scheme and authority */
    struct quo_slice query;                      /* what follows the '?' */
    struct quo_slice captures[QUO_CAPTURES_MAX]; /* of the pattern's {x}, as they stand */
};

/* Returns QUO_METHOD_OTHER for an unknown name. */
enum quo_method quo_method_parse(struct quo_slice name);

static inline bool quo_method_is_write(enum quo_method method)
{
    return method == QUO_METHOD_PUT || method == QUO_METHOD_DELETE || method == QUO_METHOD_PATCH ||
           method == QUO_METHOD_POST;
}

/* Splits a request target, origin or absolute form (RFC 9112 section 3.2), and finds its route;
 * QUO_ROUTE_NONE when there is none. Never normalises: keys may hold %2F and "..". */
struct quo_target quo_route_find(struct quo_slice target);

/* Whether the route is one of the cluster, which several nodes are asked about. */
bool quo_route_is_cluster(enum quo_route route);

/* The methods of a route without OPTIONS. */
uint32_t quo_route_methods(enum quo_route route);

/* Whether the route is one of data: it has a namespace and a key. */
bool quo_route_is_data(enum quo_route route);
/* Whether it is one of a timeline or a set. */
bool quo_route_is_collection(enum quo_route route);

/* Writes "GET, HEAD, OPTIONS" for Allow. */
#define QUO_ALLOW_MAX 64u
void quo_methods_format(uint32_t methods, char out[QUO_ALLOW_MAX]);

/* Writes the plain text of "/": every route with what it is. Returns its length. */
size_t quo_routes_page(char *out, size_t size);

#endif
