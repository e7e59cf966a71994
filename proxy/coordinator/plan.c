#include "proxy/coordinator/plan.h"

static uint8_t member_of(struct quo_plan *plan, uint64_t replica)
{
    for (uint8_t i = 0; i < plan->count; i++) {
        if (plan->replica[i] == replica)
            return i;
    }
    plan->replica[plan->count] = replica;
    return plan->count++;
}

static quo_members add_set(struct quo_plan *plan, const uint64_t *replicas, uint8_t count)
{
    quo_members set = 0;

    for (uint8_t i = 0; i < count; i++)
        set |= QUO_MEMBER(member_of(plan, replicas[i]));
    return set;
}

void quo_plan_init(struct quo_plan *plan, const struct quo_entry *entry,
                   const struct quo_namespace *ns)
{
    QUO_REQUIRE(entry->n <= QUO_REPLICAS_MAX && entry->n_next <= QUO_REPLICAS_MAX);
    plan->entry = *entry;
    plan->kind = ns->kind;
    plan->n = ns->n;
    plan->rs = ns->rs;
    plan->ws = ns->ws;
    plan->count = 0;
    plan->sets[0] = add_set(plan, entry->replicas, QUO_MIN(entry->n, ns->n));
    plan->sets[1] = entry->state == QUO_ENTRY_JOINT
                        ? add_set(plan, entry->next, QUO_MIN(entry->n_next, ns->n))
                        : 0;
    plan->up = quo_plan_all(plan);
    for (uint8_t i = 0; i < plan->count; i++)
        plan->order[i] = i;
}

static uint32_t best_latency(const struct quo_plan *plan, const struct quo_health *health)
{
    uint32_t best = UINT32_MAX;

    for (uint8_t i = 0; i < plan->count; i++) {
        if (health[i].up && health[i].latency_us > 0)
            best = QUO_MIN(best, health[i].latency_us);
    }
    return best;
}

static bool is_slow(const struct quo_health *health, uint32_t best_us)
{
    return health->latency_us > QUO_SLOW_MIN_US &&
           health->latency_us > (uint64_t)QUO_SLOW_FACTOR * best_us;
}

void quo_plan_order(struct quo_plan *plan, const struct quo_health *health, uint32_t rotation)
{
    enum { FINE, SLOW, DOWN, RANKS };
    const uint32_t best_us = best_latency(plan, health);
    const uint8_t first = (uint8_t)(rotation % plan->count);
    quo_members of_rank[RANKS] = {0};
    uint8_t filled = 0;

    for (uint8_t i = 0; i < plan->count; i++) {
        const struct quo_health *its = &health[i];
        of_rank[!its->up ? DOWN : is_slow(its, best_us) ? SLOW : FINE] |= QUO_MEMBER(i);
    }
    plan->up = of_rank[FINE] | of_rank[SLOW];
    for (int rank = FINE; rank < RANKS; rank++) {
        for (uint8_t i = 0, member = first; i < plan->count && of_rank[rank] != 0; i++) {
            if (quo_members_has(of_rank[rank], member))
                plan->order[filled++] = member;
            member = member + 1 < plan->count ? (uint8_t)(member + 1) : 0;
        }
    }
    QUO_INVARIANT(filled == plan->count);
}
