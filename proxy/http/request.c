#include "proxy/http/request.h"

#include <stdio.h>

#include "proxy/http/ask.h"
#include "proxy/http/percent.h"

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
    {"GET", QUO_METHOD_GET},       {"HEAD", QUO_METHOD_HEAD},       {"PUT", QUO_METHOD_PUT},
    {"DELETE", QUO_METHOD_DELETE}, {"OPTIONS", QUO_METHOD_OPTIONS},
};

/* At most two captures in any pattern. */
struct captures {
    struct quo_slice at[2];
};

/* A request target without its query. */
struct target {
    struct quo_slice path;
    struct quo_slice query;
};

static enum quo_method parse_method(struct quo_slice name)
{
    for (size_t i = 0; i < QUO_COUNT(methods); i++) {
        if (quo_slice_equal(name, quo_slice_of(methods[i].name)))
            return methods[i].method;
    }
    return QUO_METHOD_OTHER;
}

static bool starts_with(struct quo_slice text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

static struct quo_slice drop(struct quo_slice text, size_t len)
{
    return quo_slice(text.data + len, text.len - len);
}

/* Splits off the query, and the scheme and authority of the absolute form (RFC 9112 section 3.2.2).
 */
static struct target split_target(struct quo_slice target)
{
    struct target ret = {.path = target};
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

/* Matches a pattern of routes.def. */
static bool match(const char *pattern, struct quo_slice path, struct captures *ret)
{
    size_t captured = 0;

    while (*pattern != 0) {
        size_t len;

        if (*pattern != '{') {
            if (path.len == 0 || path.data[0] != (uint8_t)*pattern)
                return false;
            path = drop(path, 1);
            pattern++;
            continue;
        }
        pattern = strchr(pattern, '}') + 1;
        len = path.len;
        if (*pattern != 0 && path.len > 0) {
            const uint8_t *slash = memchr(path.data, '/', path.len);

            len = slash != NULL ? (size_t)(slash - path.data) : path.len;
        }
        QUO_INVARIANT(captured < QUO_COUNT(ret->at));
        ret->at[captured++] = quo_slice(path.data, len);
        path = drop(path, len);
    }
    return path.len == 0;
}

static enum quo_route find_route(struct quo_slice path, struct captures *captures)
{
    for (int i = QUO_ROUTE_NONE + 1; i < QUO_ROUTE_COUNT; i++) {
        if (match(routes[i].pattern, path, captures))
            return (enum quo_route)i;
    }
    return QUO_ROUTE_NONE;
}

const struct quo_http_header *quo_request_header(const struct quo_http_request *request,
                                                 const char *name)
{
    struct quo_slice wanted = quo_slice_of(name);

    for (size_t i = 0; i < request->header_count; i++) {
        if (quo_slice_equal(request->headers[i].name, wanted))
            return &request->headers[i];
    }
    return NULL;
}

size_t quo_request_join(const struct quo_http_request *request, const char *name, char *out,
                        size_t size)
{
    struct quo_slice wanted = quo_slice_of(name);
    size_t len = 0;

    for (size_t i = 0; i < request->header_count; i++) {
        const struct quo_http_header *header = &request->headers[i];

        if (!quo_slice_equal(header->name, wanted))
            continue;
        if (len > 0) {
            if (len < size)
                out[len] = ',';
            len++;
        }
        if (len < size && header->value.len > 0)
            memcpy(out + len, header->value.data, QUO_MIN(header->value.len, size - len));
        len += header->value.len;
    }
    return len;
}

static bool check_headers_size(const struct quo_http_request *request, struct quo_problem *problem)
{
    size_t total = 0;

    for (size_t i = 0; i < request->header_count; i++)
        total += request->headers[i].name.len + request->headers[i].value.len;
    if (total <= QUO_HTTP_HEADERS_MAX)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_HEADERS_TOO_LARGE,
                    "The header fields hold %zu bytes; at most %u are allowed.", total,
                    QUO_HTTP_HEADERS_MAX);
    problem->limit = QUO_HTTP_HEADERS_MAX;
    problem->actual = (int64_t)total;
    return false;
}

static bool find_namespace(struct quo_slice name, const struct quo_map *map, struct quo_wish *ret,
                           struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    ret->ns = quo_map_namespace(map, name);
    if (ret->ns != NULL)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "There is no namespace %s.",
                    quo_problem_quote(name, quoted));
    return false;
}

static bool parse_key(struct quo_slice text, struct quo_wish *ret, struct quo_problem *problem)
{
    const uint8_t *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
    size_t at = 0;

    if (slash != NULL) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_KEY,
                        "There is a '/' at offset %zu of the key; write it as %%2F.",
                        (size_t)(slash - text.data));
        return false;
    }
    switch (quo_percent_decode(text, ret->key, sizeof ret->key, &ret->key_len, &at)) {
    case QUO_OK:
        break;
    case QUO_MALFORMED:
        quo_problem_set(problem, QUO_PROBLEM_BAD_KEY,
                        "The percent-escape at offset %zu of the key is broken; "
                        "two hexadecimal digits must follow the '%%'.",
                        at);
        return false;
    default:
        quo_problem_set(problem, QUO_PROBLEM_KEY_TOO_LONG,
                        "The key has %zu bytes; at most %u are allowed.", ret->key_len,
                        QUO_KEY_MAX);
        problem->limit = QUO_KEY_MAX;
        problem->actual = (int64_t)ret->key_len;
        return false;
    }
    if (ret->key_len == 0) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_KEY, "The key is empty.");
        return false;
    }
    return true;
}

/* The header and the query string may both speak, if they say the same. */
static bool parse_ask(const struct quo_http_request *request, struct quo_slice query,
                      struct quo_ask *ret, struct quo_problem *problem)
{
    struct quo_ask from_header;
    bool has_header = false;

    if (!quo_ask_parse_query(query, ret, problem))
        return false;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!quo_slice_equal(request->headers[i].name, quo_slice_of("consistency")))
            continue;
        if (has_header) {
            quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER, "Consistency is given twice.");
            return false;
        }
        has_header = true;
        if (!quo_ask_parse_header(request->headers[i].value, &from_header, problem))
            return false;
    }
    if (!has_header)
        return true;
    if (!quo_ask_is_nothing(ret) && !quo_ask_equal(ret, &from_header)) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY,
                        "The Consistency header and the query string say different things; "
                        "use one of them.");
        return false;
    }
    *ret = from_header;
    return true;
}

static bool check_conditions(const struct quo_http_request *request, struct quo_problem *problem)
{
    static const char *const conditions[] = {"if-match", "if-none-match", "if-modified-since",
                                             "if-unmodified-since", "if"};

    for (size_t i = 0; i < QUO_COUNT(conditions); i++) {
        if (quo_request_header(request, conditions[i]) == NULL)
            continue;
        quo_problem_set(problem, QUO_PROBLEM_CONDITIONAL_WRITES_UNAVAILABLE,
                        "The write carries %s, but only blind writes are available; "
                        "nothing was written.",
                        conditions[i]);
        return false;
    }
    return true;
}

static bool check_idempotency(const struct quo_http_request *request,
                              const struct quo_namespace *ns, struct quo_problem *problem)
{
    if (ns->kind != QUO_KIND_LWW || quo_request_header(request, "idempotency-key") == NULL)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_KIND_MISMATCH,
                    "Namespace %s is of kind lww, whose records do not remember operations, so an "
                    "Idempotency-Key cannot be kept there; kinds cas, mixed and crdt can.",
                    ns->name);
    return false;
}

static bool is_field_text(struct quo_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.data[i] < 0x20 && text.data[i] != '\t') || text.data[i] == 0x7f)
            return false;
    }
    return true;
}

static bool parse_content_type(const struct quo_http_request *request, struct quo_wish *ret,
                               struct quo_problem *problem)
{
    const struct quo_http_header *type = quo_request_header(request, "content-type");

    if (type == NULL)
        return true;
    if (type->value.len > QUO_CONTENT_TYPE_MAX) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "Content-Type has %zu bytes; at most %u are kept.", type->value.len,
                        QUO_CONTENT_TYPE_MAX);
        problem->limit = QUO_CONTENT_TYPE_MAX;
        problem->actual = (int64_t)type->value.len;
        return false;
    }
    if (!is_field_text(type->value)) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER, "Content-Type holds a control character.");
        return false;
    }
    ret->content_type = type->value;
    return true;
}

/* What a value cannot come back as. */
static bool check_representation(const struct quo_http_request *request,
                                 struct quo_problem *problem)
{
    const struct quo_http_header *encoding = quo_request_header(request, "content-encoding");
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    if (encoding != NULL && !quo_slice_equal(encoding->value, quo_slice_of("identity"))) {
        quo_problem_set(problem, QUO_PROBLEM_ENCODING_UNSUPPORTED,
                        "Content-Encoding %s is not kept with a value.",
                        quo_problem_quote(encoding->value, quoted));
        return false;
    }
    if (quo_request_header(request, "content-range") != NULL) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "Content-Range: a value can only be written whole.");
        return false;
    }
    return true;
}

static bool parse_put(const struct quo_http_request *request, struct quo_wish *ret,
                      struct quo_problem *problem)
{
    if (!check_representation(request, problem) || !parse_content_type(request, ret, problem))
        return false;
    if (request->body_len <= ret->ns->value_max)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_VALUE_TOO_LARGE,
                    "The value has %zu bytes; namespace %s allows at most %u.", request->body_len,
                    ret->ns->name, ret->ns->value_max);
    problem->limit = ret->ns->value_max;
    problem->actual = (int64_t)request->body_len;
    return false;
}

static bool parse_write(const struct quo_http_request *request, struct quo_wish *ret,
                        struct quo_problem *problem)
{
    if (!check_conditions(request, problem) || !check_idempotency(request, ret->ns, problem))
        return false;
    return ret->method != QUO_METHOD_PUT || parse_put(request, ret, problem);
}

static bool parse_key_request(const struct quo_http_request *request, const struct quo_map *map,
                              struct captures captures, struct quo_slice query,
                              struct quo_wish *ret, struct quo_problem *problem)
{
    bool is_write = (ret->method & (QUO_METHOD_PUT | QUO_METHOD_DELETE)) != 0;
    char why[256];

    if (!find_namespace(captures.at[0], map, ret, problem) ||
        !parse_key(captures.at[1], ret, problem) || !parse_ask(request, query, &ret->ask, problem))
        return false;
    if (quo_consistency_resolve(ret->ns, &ret->ask, is_write, &ret->consistency, why, sizeof why) !=
        QUO_OK) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY, "%s", why);
        return false;
    }
    return !is_write || parse_write(request, ret, problem);
}

static bool reject_path(struct quo_slice path, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    quo_problem_set(problem, QUO_PROBLEM_NOT_FOUND, "There is nothing at %s.",
                    quo_problem_quote(path, quoted));
    return false;
}

static bool reject_method(const struct quo_http_request *request, uint32_t allowed,
                          struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX], list[QUO_ALLOW_MAX];

    quo_methods_format(allowed, list);
    quo_problem_set(problem, QUO_PROBLEM_METHOD_NOT_ALLOWED, "%s is not one of %s.",
                    quo_problem_quote(request->method, quoted), list);
    return false;
}

bool quo_request_parse(const struct quo_http_request *request, const struct quo_map *map,
                       struct quo_wish *ret, struct quo_problem *problem)
{
    struct target target = split_target(request->target);
    struct captures captures = {0};

    /* All but the key, which is large and knows its length. */
    memset(ret, 0, offsetof(struct quo_wish, key));
    ret->method = parse_method(request->method);
    ret->route = find_route(target.path, &captures);
    ret->allowed = routes[ret->route].methods | QUO_METHOD_OPTIONS;
    if (!check_headers_size(request, problem))
        return false;
    if (ret->method == QUO_METHOD_OPTIONS && quo_slice_equal(target.path, quo_slice_of("*"))) {
        ret->allowed = QUO_METHOD_OTHER - 1;
        return true;
    }
    if (ret->route == QUO_ROUTE_NONE)
        return reject_path(target.path, problem);
    if ((ret->allowed & ret->method) == 0)
        return reject_method(request, ret->allowed, problem);
    if (ret->method == QUO_METHOD_OPTIONS)
        return true;
    if (ret->route == QUO_ROUTE_KEY)
        return parse_key_request(request, map, captures, target.query, ret, problem);
    ret->slug = captures.at[0];
    return true;
}

bool quo_request_id_usable(struct quo_slice id)
{
    if (id.len == 0 || id.len > QUO_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.data[i], lower = c | 0x20;
        bool alnum = (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z' && c < 0x80);

        if (!alnum && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return true;
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
        at += (size_t)snprintf(out + at, size - at, "%-22s %-24s %s\n", routes[i].pattern, list,
                               routes[i].text);
    }
    QUO_INVARIANT(at < size);
    return at;
}
