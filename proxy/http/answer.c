#include "proxy/http/answer.h"

#include "proxy/http/answer_parts.h"
#include "proxy/http/body.h"

void quo_answer_problem(const struct quo_problem *problem, uint32_t allowed,
                        const struct quo_answer_facts *facts, struct quo_answer *ret)
{
    quo_answer_begin(ret, quo_problem_info(problem->type)->status, facts);
    quo_answer_add_timing(ret, facts, NULL);
    if (allowed != 0) {
        char list[QUO_ALLOW_MAX];

        quo_methods_format(allowed, list);
        quo_answer_add_copy(ret, "allow", list);
    }
    if (problem->type == QUO_PROBLEM_PATCH_TYPE_UNSUPPORTED)
        quo_answer_add(ret, "accept-patch", quo_slice_of(QUO_PATCH_TYPE));
    quo_answer_add_document(ret, problem, facts);
}

void quo_answer_page(int status, const char *type, struct quo_slice body,
                     const struct quo_answer_facts *facts, struct quo_answer *ret)
{
    quo_answer_begin(ret, status, facts);
    quo_answer_add(ret, "content-type", quo_slice_of(type));
    quo_answer_add(ret, "cache-control", quo_slice_of("no-cache"));
    ret->body = body;
}

void quo_answer_options(uint32_t allowed, const struct quo_answer_facts *facts,
                        struct quo_answer *ret)
{
    char list[QUO_ALLOW_MAX];

    quo_answer_begin(ret, 204, facts);
    ret->has_length = false;
    quo_methods_format(allowed, list);
    quo_answer_add_copy(ret, "allow", list);
    if ((allowed & QUO_METHOD_PATCH) != 0)
        quo_answer_add(ret, "accept-patch", quo_slice_of(QUO_PATCH_TYPE));
}

struct quo_operation quo_operation_of(const struct quo_wish *wish)
{
    return (struct quo_operation){
        .route = wish->route,
        .method = wish->method,
        .consistency = wish->consistency,
        .ns = wish->ns,
        .condition = wish->conditions.type,
        .prefers_representation = wish->prefers_representation,
        .id = wish->operation,
        .limit = wish->limit,
        .ask = wish->ask,
    };
}

/* A resolution that found out that nothing can be told any more. */
static bool is_untold(const struct quo_answer_case *of)
{
    return of->operation->route == QUO_ROUTE_RESOLVE &&
           of->response->verdict == QUO_VERDICT_TIMEOUT &&
           of->response->change.code == QUO_CHANGE_HISTORY_LOST;
}

void quo_answer_data(const struct quo_operation *operation, const struct quo_response *response,
                     const struct quo_map *map, const struct quo_answer_facts *facts,
                     struct quo_answer *ret)
{
    const struct quo_answer_case of = {operation, response, map, facts};
    bool is_key = operation->route != QUO_ROUTE_OPERATION && operation->route != QUO_ROUTE_RESOLVE;

    switch (response->verdict) {
    case QUO_VERDICT_FOUND:
    case QUO_VERDICT_ABSENT:
        if (operation->route == QUO_ROUTE_COUNTER)
            quo_answer_counter(&of, ret);
        else
            (is_key ? quo_answer_read : quo_answer_operation)(&of, ret);
        break;
    case QUO_VERDICT_WRITTEN:
        (is_key ? quo_answer_written : quo_answer_operation)(&of, ret);
        break;
    case QUO_VERDICT_DECLINED:
        (is_key ? quo_answer_declined : quo_answer_operation)(&of, ret);
        break;
    case QUO_VERDICT_UNAVAILABLE:
    case QUO_VERDICT_TIMEOUT:
    case QUO_VERDICT_REFUSED:
    case QUO_VERDICT_UNSATISFIED:
        (is_untold(&of) ? quo_answer_operation : quo_answer_failure)(&of, ret);
        break;
    }
}
