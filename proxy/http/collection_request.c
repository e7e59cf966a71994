#include "proxy/http/collection_request.h"

#include "proxy/coordinator/scan.h"
#include "proxy/http/body.h"
#include "proxy/http/idempotency.h"
#include "proxy/http/paging.h"
#include "proxy/http/percent.h"
#include "proxy/http/request_parts.h"

enum quo_collection quo_route_collection(enum quo_route route)
{
    return route == QUO_ROUTE_TIMELINE || route == QUO_ROUTE_ENTRY ? QUO_COLLECTION_TIMELINE
                                                                   : QUO_COLLECTION_SET;
}

static bool check_kind(const struct quo_wish *wish, struct quo_problem *problem)
{
    const struct quo_namespace *ns = wish->ns;
    const bool is_timeline = quo_route_collection(wish->route) == QUO_COLLECTION_TIMELINE;

    if (ns->kind == QUO_KIND_CRDT)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_KIND_MISMATCH,
                    "Namespace %s is of kind %s; %s are there in kind crdt only.", ns->name,
                    quo_kind_name(ns->kind), is_timeline ? "timelines" : "sets");
    return false;
}

static bool check_name(const struct quo_wish *wish, struct quo_problem *problem)
{
    if (wish->key_len <= QUO_COLLECTION_NAME_MAX)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_KEY_TOO_LONG,
                    "The name has %zu bytes; of a timeline or set at most %u are allowed.",
                    wish->key_len, QUO_COLLECTION_NAME_MAX);
    problem->limit = QUO_COLLECTION_NAME_MAX;
    problem->actual = (int64_t)wish->key_len;
    return false;
}

static bool parse_entry(struct quo_slice text, struct quo_wish *ret, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    if (quo_entry_id_parse(text, &ret->entry))
        return true;
    quo_problem_set(problem, QUO_PROBLEM_NOT_FOUND, "%s names no entry: 32 or 64 digits 0-9a-f do.",
                    quo_problem_quote(text, quoted));
    return false;
}

static bool parse_element(struct quo_slice text, struct quo_wish *ret, struct quo_problem *problem)
{
    size_t at = 0;
    const enum quo_status status =
        quo_percent_decode(text, ret->element, sizeof ret->element, &ret->element_len, &at);

    if (status == QUO_OK && ret->element_len > 0)
        return true;
    if (status == QUO_TOO_LARGE) {
        quo_problem_set(problem, QUO_PROBLEM_KEY_TOO_LONG,
                        "The element has %zu bytes; at most %u are allowed.", ret->element_len,
                        QUO_ELEMENT_MAX);
        problem->limit = QUO_ELEMENT_MAX;
        problem->actual = (int64_t)ret->element_len;
    } else if (status == QUO_OK) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_KEY, "The element is empty.");
    } else {
        quo_problem_set(problem, QUO_PROBLEM_BAD_KEY,
                        "The percent-escape at offset %zu of the element is broken.", at);
    }
    return false;
}

static bool refuse_start(const char *name, struct quo_slice text, const char *wanted,
                         struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY, "%s=%s is not valid: %s.", name,
                    quo_problem_quote(text, quoted), wanted);
    return false;
}

/* Where a page starts, and of how many it is. */
static bool parse_page(struct quo_slice query, struct quo_wish *ret, struct quo_problem *problem)
{
    const struct quo_slice name = quo_slice(ret->key, ret->key_len);
    const bool is_timeline = ret->route == QUO_ROUTE_TIMELINE;
    const unsigned start = is_timeline ? QUO_PAGING_BEFORE : QUO_PAGING_CURSOR;
    struct quo_entry_id id;
    struct quo_paging paging;

    if (!quo_paging_parse(query, QUO_PAGING_LIMIT | start, &paging, ret->rest, &ret->rest_len,
                          problem))
        return false;
    ret->limit = paging.limit;
    if (is_timeline && paging.before.data != NULL) {
        if (!quo_entry_id_parse(paging.before, &id))
            return refuse_start("before", paging.before, "the id of an entry was expected",
                                problem);
        ret->before = id.version;
    }
    return paging.cursor.data == NULL ||
           quo_set_cursor_parse(paging.cursor, ret->ns->id, name, ret->after, &ret->after_len) ||
           refuse_start("cursor", paging.cursor, "only what a page of this set gave is one",
                        problem);
}

static bool parse_read(const struct quo_http_request *request, const struct quo_target *target,
                       struct quo_wish *ret, struct quo_problem *problem)
{
    const bool is_page = ret->route == QUO_ROUTE_TIMELINE || ret->route == QUO_ROUTE_SET;
    struct quo_slice query = target->query;
    char why[256];

    if (is_page) {
        if (!parse_page(query, ret, problem))
            return false;
        query = quo_slice(ret->rest, ret->rest_len);
    }
    if (!quo_request_parse_ask(request, query, &ret->ask, problem) ||
        !quo_request_check_ttl(ret, problem))
        return false;
    if (quo_scan_resolve(ret->ns, &ret->ask, &ret->consistency, why, sizeof why) == QUO_OK)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY, "%s", why);
    return false;
}

/* Entries and elements are there or not; a write cannot ask for more. */
static bool check_conditions(const struct quo_http_request *request, struct quo_wish *ret,
                             struct quo_problem *problem)
{
    const bool may_be_keyed = ret->route == QUO_ROUTE_TIMELINE;

    if (!quo_conditions_parse(request, &ret->conditions, problem))
        return false;
    if (ret->conditions.type != QUO_CONDITION_NONE) {
        quo_problem_set(
            problem, QUO_PROBLEM_KIND_MISMATCH,
            "The write has a condition, and writes to timelines and sets do not look at "
            "what is there.");
        return false;
    }
    ret->has_key = quo_request_header(request, "idempotency-key") != NULL;
    if (!ret->has_key || may_be_keyed)
        return !ret->has_key || quo_idempotency_parse(request, &ret->opid, problem);
    quo_problem_set(problem, QUO_PROBLEM_KIND_MISMATCH,
                    "The write has an Idempotency-Key, and needs none: it may be sent again, and "
                    "does the same once more.");
    return false;
}

static bool parse_write(const struct quo_http_request *request, const struct quo_target *target,
                        struct quo_wish *ret, struct quo_problem *problem)
{
    char why[256];

    if (!quo_request_parse_ask(request, target->query, &ret->ask, problem) ||
        !quo_request_check_ttl(ret, problem) || !check_conditions(request, ret, problem) ||
        !quo_body_check(request, ret, problem))
        return false;
    if (ret->has_key)
        ret->digest = quo_idempotency_digest(ret, request->body);
    if (quo_consistency_resolve(ret->ns, &ret->ask, true, &ret->consistency, why, sizeof why) ==
        QUO_OK)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY, "%s", why);
    return false;
}

bool quo_collection_request_parse(const struct quo_http_request *request, const struct quo_map *map,
                                  const struct quo_target *target, struct quo_wish *ret,
                                  struct quo_problem *problem)
{
    if (!quo_request_find_namespace(target->captures[0], map, ret, problem) ||
        !check_kind(ret, problem) || !quo_request_parse_key(target->captures[1], ret, problem) ||
        !check_name(ret, problem))
        return false;
    if (ret->route == QUO_ROUTE_ENTRY && !parse_entry(target->captures[2], ret, problem))
        return false;
    if (ret->route == QUO_ROUTE_ELEMENT && !parse_element(target->captures[2], ret, problem))
        return false;
    return quo_method_is_write(ret->method) ? parse_write(request, target, ret, problem)
                                            : parse_read(request, target, ret, problem);
}
