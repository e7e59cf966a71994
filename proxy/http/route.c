#include "proxy/http/route.h"

#include <stdio.h>

struct route {
    const char *pattern;
    uint32_t methods;
    const char *text;
};

static const struct route routes[QUO_ROUTE_COUNT] = {
#define QUO_ROUTE(name, pattern, methods, text) [QUO_ROUTE_##name] = {pattern, methods, text},
#include "proxy/http/routes.def"
#undef QUO_ROUTE
};

static const struct {
    const char *name;
    enum quo_method method;
} methods[] = {
    {"GET", QUO_METHOD_GET},         {"HEAD", QUO_METHOD_HEAD},   {"PUT", QUO_METHOD_PUT},
    {"DELETE", QUO_METHOD_DELETE},   {"PATCH", QUO_METHOD_PATCH}, {"POST", QUO_METHOD_POST},
    {"OPTIONS", QUO_METHOD_OPTIONS},
};

enum quo_method quo_method_parse(struct quo_slice name)
{
    for (size_t i = 0; i < QUO_COUNT(methods); i++) {
        if (quo_slice_equal(name, quo_slice_of(methods[i].name)))
            return methods[i].method;
    }
    return QUO_METHOD_OTHER;
}

static inline bool starts_with(struct quo_slice text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

static struct quo_slice drop(struct quo_slice text, size_t len)
{
    return quo_slice(text.data + len, text.len - len);
}

/* Splits off the query, and the scheme and authority of the absolute form. */
static struct quo_target split(struct quo_slice target)
{
    struct quo_target ret = {.path = target};
    const uint8_t *question, *slash;
    size_t scheme = starts_with(target, "http://") ? 7 : starts_with(target, "https://") ? 8 : 0;

    if (scheme > 0) {
        target = drop(target, scheme);
        slash = memchr(target.data, '/', target.len);
        target = slash != NULL ? drop(target, (size_t)(slash - target.data)) : quo_slice_of("/");
        ret.path = target;
    }
    question = target.len > 0 ? memchr(target.data, '?', target.len) : NULL;
    if (question != NULL) {
        ret.path.len = (size_t)(question - target.data);
        ret.query = drop(target, ret.path.len + 1);
    }
    return ret;
}

/* How much of `path` an {x} takes that `rest` of the pattern follows. */
static size_t capture_len(const char *rest, struct quo_slice path)
{
    if (*rest == ':') { /* a verb ends the path; what stands before may hold a ':' as well */
        const size_t suffix = strlen(rest);

        return path.len >= suffix ? path.len - suffix : path.len;
    }
    if (*rest == '/' && path.len > 0) {
        const uint8_t *slash = memchr(path.data, '/', path.len);

        return slash != NULL ? (size_t)(slash - path.data) : path.len;
    }
    return path.len;
}

static bool match(const char *pattern, struct quo_target *target)
{
    const uint8_t *at = target->path.data, *end = at + target->path.len;
    size_t captured = 0;

    for (;;) {
        while (at < end && *at == (uint8_t)*pattern && *pattern != '{' && *pattern != 0) {
            at++;
            pattern++;
        }
        if (*pattern != '{')
            return *pattern == 0 && at == end;
        while (*pattern++ != '}')
            continue;
        QUO_INVARIANT(captured < QUO_CAPTURES_MAX);
        struct quo_slice rest = quo_slice(at, (size_t)(end - at));
        size_t len = capture_len(pattern, rest);
        target->captures[captured++] = quo_slice(at, len);
        at += len;
    }
}

/* Most requests are for keys: with one '/' after the namespace nothing but KEY matches. */
static bool match_key(struct quo_target *target)
{
    static const char prefix[] = "/v1/kv/";
    struct quo_slice rest = target->path;
    const uint8_t *slash;

    if (!starts_with(rest, prefix))
        return false;
    rest = drop(rest, sizeof prefix - 1);
    slash = rest.len > 0 ? memchr(rest.data, '/', rest.len) : NULL;
    if (slash == NULL)
        return false;
    target->captures[0] = quo_slice(rest.data, (size_t)(slash - rest.data));
    rest = drop(rest, target->captures[0].len + 1);
    if (rest.len > 0 && memchr(rest.data, '/', rest.len) != NULL)
        return false;
    target->captures[1] = rest;
    target->route = QUO_ROUTE_KEY;
    return true;
}

struct quo_target quo_route_find(struct quo_slice target)
{
    struct quo_target ret = split(target);

    if (match_key(&ret))
        return ret;
    for (int i = QUO_ROUTE_NONE + 1; i < QUO_ROUTE_COUNT && ret.route == QUO_ROUTE_NONE; i++) {
        if (match(routes[i].pattern, &ret))
            ret.route = (enum quo_route)i;
    }
    return ret;
}

uint32_t quo_route_methods(enum quo_route route)
{
    return routes[route].methods;
}

bool quo_route_is_data(enum quo_route route)
{
    return route == QUO_ROUTE_KEY || route == QUO_ROUTE_ADD || route == QUO_ROUTE_COUNTER ||
           route == QUO_ROUTE_OPERATION || route == QUO_ROUTE_RESOLVE;
}

bool quo_route_is_collection(enum quo_route route)
{
    switch (route) {
    case QUO_ROUTE_ENTRY:
    case QUO_ROUTE_TIMELINE:
    case QUO_ROUTE_ELEMENT:
    case QUO_ROUTE_SET_ADD:
    case QUO_ROUTE_SET_REMOVE:
    case QUO_ROUTE_SET:
        return true;
    default:
        return false;
    }
}

bool quo_route_is_cluster(enum quo_route route)
{
    return route == QUO_ROUTE_DEBT || route == QUO_ROUTE_EQUALITY;
}

void quo_methods_format(uint32_t allowed, char out[QUO_ALLOW_MAX])
{
    size_t at = 0;

    for (size_t i = 0; i < QUO_COUNT(methods); i++) {
        size_t len = strlen(methods[i].name);

        if ((allowed & methods[i].method) == 0)
            continue;
        QUO_INVARIANT(at + len + 3 <= QUO_ALLOW_MAX);
        if (at > 0) {
            memcpy(out + at, ", ", 2);
            at += 2;
        }
        memcpy(out + at, methods[i].name, len);
        at += len;
    }
    out[at] = 0;
}

size_t quo_routes_page(char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "Quorate %s\n\n", QUO_RELEASE);
    char list[QUO_ALLOW_MAX];

    for (int i = QUO_ROUTE_NONE + 1; i < QUO_ROUTE_COUNT; i++) {
        QUO_INVARIANT(at < size);
        quo_methods_format(routes[i].methods, list);
        at += (size_t)snprintf(out + at, size - at, "%-42s %-29s %s\n", routes[i].pattern, list,
                               routes[i].text);
    }
    QUO_INVARIANT(at < size);
    return at;
}
