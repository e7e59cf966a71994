#include "proxy/coordinator/scan.h"
#include "proxy/http/ask.h"
#include "proxy/http/paging.h"
#include "proxy/http/request_parts.h"

#define PARAMETERS (QUO_PAGING_LIMIT | QUO_PAGING_PREFIX | QUO_PAGING_CURSOR)

static bool find_place(struct quo_slice cursor, const struct quo_map *map, struct quo_wish *ret,
                       struct quo_problem *problem)
{
    const struct quo_list_scope scope = {map, ret->ns->id, quo_slice(ret->key, ret->key_len)};

    ret->place.partition = 0;
    ret->place.after_len = 0;
    if (cursor.len == 0 || quo_list_cursor_parse(&scope, cursor, &ret->place))
        return true;
    quo_problem_set(problem, QUO_PROBLEM_BAD_CURSOR,
                    "The cursor is damaged, or of another namespace or prefix.");
    return false;
}

bool quo_request_parse_list(const struct quo_http_request *request, const struct quo_map *map,
                            const struct quo_target *target, struct quo_wish *ret,
                            struct quo_problem *problem)
{
    struct quo_paging paging;
    char rest[QUO_PAGING_REST_MAX], why[256];
    size_t len;

    if (!quo_request_find_namespace(target->captures[0], map, ret, problem) ||
        !quo_paging_parse(target->query, PARAMETERS, &paging, rest, &len, problem) ||
        !quo_request_parse_ask(request, quo_slice(rest, len), &ret->ask, problem) ||
        !quo_request_check_ttl(ret, problem))
        return false;
    ret->limit = paging.limit;
    ret->key_len = paging.prefix_len;
    memcpy(ret->key, paging.prefix, paging.prefix_len);
    if (quo_scan_resolve(ret->ns, &ret->ask, &ret->consistency, why, sizeof why) != QUO_OK) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY, "%s", why);
        return false;
    }
    return find_place(paging.cursor, map, ret, problem);
}
