#include "proxy/http/request.h"

#include "proxy/http/ask.h"
#include "proxy/http/body.h"
#include "proxy/http/cluster_request.h"
#include "proxy/http/collection_request.h"
#include "proxy/http/counter.h"
#include "proxy/http/idempotency.h"
#include "proxy/http/kinds.h"
#include "proxy/http/percent.h"
#include "proxy/http/preferences.h"
#include "proxy/http/request_parts.h"

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

bool quo_request_find_namespace(struct quo_slice name, const struct quo_map *map,
                                struct quo_wish *ret, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    ret->ns = quo_map_namespace(map, name);
    if (ret->ns != NULL)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "There is no namespace %s.",
                    quo_problem_quote(name, quoted));
    return false;
}

bool quo_request_parse_key(struct quo_slice text, struct quo_wish *ret, struct quo_problem *problem)
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

bool quo_request_parse_ask(const struct quo_http_request *request, struct quo_slice query,
                           struct quo_ask *ret, struct quo_problem *problem)
{
    const struct quo_http_header *header = quo_request_header(request, "consistency");
    struct quo_ask from_header;

    if (!quo_ask_parse_query(query, ret, problem))
        return false;
    if (header == NULL)
        return true;
    if (quo_request_header_count(request, "consistency") > 1) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER, "Consistency is given twice.");
        return false;
    }
    if (!quo_ask_parse_header(header->value, &from_header, problem))
        return false;
    if (!quo_ask_is_nothing(ret) && !quo_ask_equal(ret, &from_header)) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY,
                        "The Consistency header and the query string say different things; "
                        "use one of them.");
        return false;
    }
    from_header.ttl_ms = ret->ttl_ms;
    *ret = from_header;
    return true;
}

/* The level that is asked for: by name, or as nothing else is said. 0: numbers ask for another one.
 */
static int asked_level(const struct quo_wish *wish, bool is_write)
{
    const struct quo_ask *ask = &wish->ask;

    if (ask->has_level)
        return (int)ask->level;
    if (is_write ? ask->w >= 0 || ask->dw >= 0 : ask->r >= 0)
        return 0;
    return (int)(is_write ? wish->ns->write_level : wish->ns->read_level);
}

/* `decided`: the request makes sense by consensus, or as a strong read, only; it is so unless it
 * says something else. A write of a session is always allowed to be more. */
static bool resolve_consistency(struct quo_wish *wish, bool decided, struct quo_problem *problem)
{
    bool is_write = quo_method_is_write(wish->method);
    int level = asked_level(wish, is_write);
    bool is_raised = decided && is_write && level == QUO_LEVEL_SESSION;
    struct quo_ask ask = wish->ask;
    char why[256];

    if (is_raised || (decided && !ask.has_level && level != 0)) {
        int least = is_write ? QUO_LEVEL_QUORUM : QUO_LEVEL_STRONG;

        ask.has_level = true;
        ask.level = level >= least ? (enum quo_level)level : QUO_LEVEL_STRONG;
    }
    if (quo_consistency_resolve(wish->ns, &ask, is_write, &wish->consistency, why, sizeof why) ==
        QUO_OK) {
        if (is_raised)
            wish->consistency.level = QUO_LEVEL_SESSION;
        return true;
    }
    quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY, "%s", why);
    return false;
}

static bool parse_idempotency(const struct quo_http_request *request, struct quo_wish *ret,
                              struct quo_problem *problem)
{
    ret->has_key = quo_request_header(request, "idempotency-key") != NULL;
    return !ret->has_key || quo_idempotency_parse(request, &ret->opid, problem);
}

static bool check_write(struct quo_wish *wish, struct quo_problem *problem)
{
    return quo_kinds_check_write(wish, problem) &&
           resolve_consistency(
               wish, quo_kinds_needs_consensus(wish) || wish->ns->kind == QUO_KIND_CAS, problem) &&
           quo_kinds_check_consistency(wish, problem);
}

static bool parse_write(const struct quo_http_request *request, struct quo_wish *ret,
                        struct quo_problem *problem)
{
    bool has_slots = quo_counter_has_slots(ret->ns, ret->route);

    if (!quo_conditions_parse(request, &ret->conditions, problem) ||
        !parse_idempotency(request, ret, problem))
        return false;
    if (has_slots ? !quo_counter_check(ret, problem) : !check_write(ret, problem))
        return false;
    if (!quo_body_check(request, ret, problem) ||
        (has_slots && !quo_counter_check_body(ret, problem)))
        return false;
    ret->prefers_representation = quo_prefers_representation(request);
    if (ret->has_key)
        ret->digest = quo_idempotency_digest(ret, request->body);
    return true;
}

static bool parse_operation(struct quo_slice id, struct quo_wish *ret, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    if (!quo_operation_id_parse(id, &ret->operation)) {
        quo_problem_set(problem, QUO_PROBLEM_NOT_FOUND,
                        "%s names no write: 48 digits 0-9a-f do, or a v and 32.",
                        quo_problem_quote(id, quoted));
        return false;
    }
    if (!quo_kinds_check_operation(ret, problem) || !resolve_consistency(ret, true, problem))
        return false;
    if (!ret->consistency.strong) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY,
                        "What became of a write is told at levels strong and all only.");
        return false;
    }
    ret->opid = ret->operation.opid;
    return true;
}

bool quo_request_check_ttl(const struct quo_wish *wish, struct quo_problem *problem)
{
    bool is_value = wish->route == QUO_ROUTE_KEY &&
                    (wish->method == QUO_METHOD_PUT || wish->method == QUO_METHOD_PATCH);
    bool is_entry = wish->route == QUO_ROUTE_TIMELINE && wish->method == QUO_METHOD_POST;

    if (wish->ask.ttl_ms == 0 || is_value || is_entry)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY,
                    "A ttl is for a value that is written, by PUT or PATCH, or appended.");
    return false;
}

static bool parse_data(const struct quo_http_request *request, const struct quo_map *map,
                       const struct quo_target *target, struct quo_wish *ret,
                       struct quo_problem *problem)
{
    if (!quo_request_find_namespace(target->captures[0], map, ret, problem) ||
        !quo_request_parse_key(target->captures[1], ret, problem) ||
        !quo_request_parse_ask(request, target->query, &ret->ask, problem) ||
        !quo_request_check_ttl(ret, problem))
        return false;
    if (ret->route == QUO_ROUTE_OPERATION || ret->route == QUO_ROUTE_RESOLVE)
        return parse_operation(target->captures[2], ret, problem);
    if (quo_method_is_write(ret->method))
        return parse_write(request, ret, problem);
    if (ret->route == QUO_ROUTE_COUNTER && !quo_kinds_check_counter(ret, problem))
        return false;
    return quo_counter_has_slots(ret->ns, ret->route) ? quo_counter_check(ret, problem)
                                                      : resolve_consistency(ret, false, problem);
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
    struct quo_target target = quo_route_find(request->target);

    /* All but the key, which is large and knows its length. */
    memset(ret, 0, offsetof(struct quo_wish, key));
    ret->method = quo_method_parse(request->method);
    ret->route = target.route;
    ret->allowed = quo_route_methods(ret->route) | QUO_METHOD_OPTIONS;
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
    if (quo_route_is_data(ret->route))
        return parse_data(request, map, &target, ret, problem);
    if (ret->route == QUO_ROUTE_LIST)
        return quo_request_parse_list(request, map, &target, ret, problem);
    if (quo_route_is_collection(ret->route))
        return quo_collection_request_parse(request, map, &target, ret, problem);
    if (quo_route_is_cluster(ret->route))
        return quo_cluster_parse(target.query, map, ret, problem);
    ret->slug = target.captures[0];
    return true;
}

static enum quo_request_type submission_type(const struct quo_wish *wish)
{
    switch (wish->method) {
    case QUO_METHOD_PUT:
        return QUO_REQUEST_PUT;
    case QUO_METHOD_DELETE:
        return QUO_REQUEST_DELETE;
    case QUO_METHOD_PATCH:
        return QUO_REQUEST_PATCH;
    case QUO_METHOD_POST:
        return wish->route == QUO_ROUTE_ADD ? QUO_REQUEST_ADD : QUO_REQUEST_RESOLVE;
    default:
        return QUO_REQUEST_GET;
    }
}

struct quo_request quo_wish_submission(const struct quo_wish *wish, struct quo_slice body)
{
    enum quo_request_type type = submission_type(wish);
    bool has_value = type == QUO_REQUEST_PUT || type == QUO_REQUEST_PATCH;
    struct quo_request ret = {
        .type = type,
        .ns = wish->ns,
        .key = quo_slice(wish->key, wish->key_len),
        .consistency = wish->consistency,
        .condition = wish->conditions.type,
        .tag_count = wish->conditions.tag_count,
        .has_opid = wish->has_key || type == QUO_REQUEST_RESOLVE,
        .opid = wish->opid,
        .since = wish->operation.since,
        .digest = wish->digest,
        .content_type = wish->content_type,
        .value = has_value ? body : quo_slice(NULL, 0),
        .ttl_ms = wish->ask.ttl_ms,
        .by = wish->counter.by,
        .min = wish->counter.min,
        .max = wish->counter.max,
        .has_min = wish->counter.has_min,
        .has_max = wish->counter.has_max,
    };

    if (quo_counter_has_slots(wish->ns, wish->route)) {
        ret.collection = QUO_COLLECTION_COUNTER;
        ret.key = quo_slice(wish->prefix, wish->prefix_len);
    }
    memcpy(ret.tags, wish->conditions.tags, ret.tag_count * sizeof ret.tags[0]);
    return ret;
}

bool quo_request_id_usable(struct quo_slice id)
{
    return quo_is_token(id, QUO_REQUEST_ID_MAX);
}
