#include "proxy/http/kinds.h"

static bool is_blind_kind(const struct quo_namespace *ns)
{
    return ns->kind == QUO_KIND_LWW || ns->kind == QUO_KIND_CRDT;
}

bool quo_kinds_needs_consensus(const struct quo_wish *wish)
{
    return wish->conditions.type != QUO_CONDITION_NONE || wish->has_key ||
           wish->method == QUO_METHOD_PATCH || wish->route == QUO_ROUTE_ADD;
}

/* Why a write needs consensus. */
static const char *need_of(const struct quo_wish *wish)
{
    if (wish->route == QUO_ROUTE_ADD)
        return "adds to a counter";
    if (wish->method == QUO_METHOD_PATCH)
        return "changes the value that is there";
    return wish->has_key ? "has an Idempotency-Key" : "has a condition";
}

bool quo_kinds_check_write(const struct quo_wish *wish, struct quo_problem *problem)
{
    const struct quo_namespace *ns = wish->ns;

    if (is_blind_kind(ns)) {
        if (!quo_kinds_needs_consensus(wish))
            return true;
        quo_problem_set(
            problem, QUO_PROBLEM_KIND_MISMATCH,
            "The write %s, and namespace %s is of kind %s, whose writes are blind: they "
            "do not look at what is there. Kinds cas and mixed allow it.",
            need_of(wish), ns->name, quo_kind_name(ns->kind));
        return false;
    }
    if (!ns->require_idempotency_key || wish->has_key)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_IDEMPOTENCY_KEY_REQUIRED,
                    "Namespace %s takes no write without an Idempotency-Key.", ns->name);
    return false;
}

bool quo_kinds_check_consistency(const struct quo_wish *wish, struct quo_problem *problem)
{
    const struct quo_namespace *ns = wish->ns;
    const struct quo_consistency *want = &wish->consistency;

    if (want->strong || is_blind_kind(ns))
        return true;
    if (ns->kind == QUO_KIND_CAS) {
        quo_problem_set(problem, QUO_PROBLEM_KIND_MISMATCH,
                        "Namespace %s is of kind cas, where every write goes through consensus; "
                        "level %s with w=%u and dw=%u is below its quorum of %u. Leave level and "
                        "numbers out, or ask for strong or all.",
                        ns->name, quo_level_name(want->level), want->w, want->dw, ns->ws);
        return false;
    }
    if (!quo_kinds_needs_consensus(wish))
        return true;
    quo_problem_set(
        problem, QUO_PROBLEM_KIND_MISMATCH,
        "The write %s, which only consensus can decide, and level %s with w=%u and dw=%u "
        "is below the quorum of %u of namespace %s. Leave level and numbers out, or ask "
        "for strong or all.",
        need_of(wish), quo_level_name(want->level), want->w, want->dw, ns->ws, ns->name);
    return false;
}

bool quo_kinds_check_operation(const struct quo_wish *wish, struct quo_problem *problem)
{
    if (wish->operation.is_blind) {
        if (wish->route != QUO_ROUTE_RESOLVE)
            return true;
        quo_problem_set(
            problem, QUO_PROBLEM_KIND_MISMATCH,
            "The write was blind: a replica that it reaches late takes it, so it cannot "
            "be stopped. Writes through consensus can, in kinds cas and mixed.");
        return false;
    }
    if (!is_blind_kind(wish->ns))
        return true;
    quo_problem_set(problem, QUO_PROBLEM_KIND_MISMATCH,
                    "Namespace %s is of kind %s, whose writes are named by a v and their version; "
                    "this name is of kinds cas and mixed.",
                    wish->ns->name, quo_kind_name(wish->ns->kind));
    return false;
}

bool quo_kinds_check_counter(const struct quo_wish *wish, struct quo_problem *problem)
{
    if (wish->ns->kind != QUO_KIND_LWW)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_KIND_MISMATCH,
                    "Namespace %s is of kind lww, which has no counters: nothing can be added to "
                    "a value there. Kinds cas, mixed and crdt have them.",
                    wish->ns->name);
    return false;
}
