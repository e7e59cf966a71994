#include "proxy/http/counter.h"

#include "proxy/coordinator/scan.h"

bool quo_counter_has_slots(const struct quo_namespace *ns, enum quo_route route)
{
    return (route == QUO_ROUTE_ADD || route == QUO_ROUTE_COUNTER) && ns->kind == QUO_KIND_CRDT;
}

static bool check_name(struct quo_wish *wish, struct quo_problem *problem)
{
    if (wish->key_len <= QUO_COLLECTION_NAME_MAX) {
        wish->prefix_len = quo_collection_prefix(quo_slice(wish->key, wish->key_len), wish->prefix);
        return true;
    }
    quo_problem_set(problem, QUO_PROBLEM_KEY_TOO_LONG,
                    "The counter's name has %zu bytes; at most %u are allowed in kind crdt.",
                    wish->key_len, QUO_COLLECTION_NAME_MAX);
    problem->limit = QUO_COLLECTION_NAME_MAX;
    problem->actual = (int64_t)wish->key_len;
    return false;
}

static bool has_meaning(enum quo_level level)
{
    return level == QUO_LEVEL_EVENTUAL || level == QUO_LEVEL_QUORUM || level == QUO_LEVEL_ALL;
}

static enum quo_status resolve_addition(const struct quo_wish *wish, struct quo_consistency *ret,
                                        char *why, size_t why_size)
{
    struct quo_ask ask = wish->ask;
    struct quo_consistency c;

    if (!ask.has_level && ask.w < 0 && ask.dw < 0) {
        ask.has_level = true;
        ask.level = has_meaning(wish->ns->write_level) ? wish->ns->write_level : QUO_LEVEL_QUORUM;
    }
    enum quo_status status = quo_consistency_resolve(wish->ns, &ask, true, &c, why, why_size);
    if (status != QUO_OK)
        return status;
    /* Numbers that make a quorum make no more than that. */
    if (c.level == QUO_LEVEL_STRONG)
        c.level = QUO_LEVEL_QUORUM;
    c.strong = false;
    c.r = 0;
    *ret = c;
    return QUO_OK;
}

static bool resolve(struct quo_wish *wish, struct quo_problem *problem)
{
    const struct quo_ask *ask = &wish->ask;
    char why[256];
    enum quo_status status;

    if (ask->has_level && !has_meaning(ask->level)) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY,
                        "A counter of kind crdt is the sum of what each replica has added, and has "
                        "no single state that level %s could speak of; ask for eventual, quorum "
                        "(%u of %u replicas to write, %u to read) or all. Counters of kinds cas "
                        "and mixed have one.",
                        quo_level_name(ask->level), wish->ns->ws, wish->ns->n, wish->ns->rs);
        return false;
    }
    status = wish->route == QUO_ROUTE_ADD
                 ? resolve_addition(wish, &wish->consistency, why, sizeof why)
                 : quo_scan_resolve(wish->ns, ask, &wish->consistency, why, sizeof why);
    if (status != QUO_OK)
        quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY, "%s", why);
    return status == QUO_OK;
}

static bool refuse(const struct quo_wish *wish, const char *what, struct quo_problem *problem)
{
    quo_problem_set(problem, QUO_PROBLEM_KIND_MISMATCH,
                    "The addition has %s, which only consensus can decide, and namespace %s is of "
                    "kind crdt, whose replicas add without asking each other. Kinds cas and mixed "
                    "allow it.",
                    what, wish->ns->name);
    return false;
}

bool quo_counter_check(struct quo_wish *ret, struct quo_problem *problem)
{
    if (ret->conditions.type != QUO_CONDITION_NONE)
        return refuse(ret, "a condition", problem);
    return check_name(ret, problem) && resolve(ret, problem);
}

bool quo_counter_check_body(const struct quo_wish *wish, struct quo_problem *problem)
{
    return !wish->counter.has_min && !wish->counter.has_max ? true
                                                            : refuse(wish, "bounds", problem);
}
