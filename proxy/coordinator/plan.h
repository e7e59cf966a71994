/* The frozen plan of one operation: which replicas, in which epoch, what quorums, whom to ask
 * first.
 *
 * Made once, when the operation starts; a newer epoch makes a new plan and starts again. An
 * operation never mixes answers of two plans.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_PLAN_H
#define QUORATE_COORDINATOR_PLAN_H

#include "proxy/coordinator/answer.h"
#include "proxy/coordinator/tally.h"

struct quo_plan {
    struct quo_entry entry;
    enum quo_kind kind;
    uint8_t n, rs, ws;   /* of the namespace */
    uint8_t count;       /* members: the distinct replicas of the entry's sets */
    quo_members sets[2]; /* of the old replicas; of the next ones, empty unless JOINT */
    quo_members up;      /* members that could be reached when the plan was made */
    uint64_t replica[QUO_MEMBERS_MAX]; /* [count] */
    uint8_t order[QUO_MEMBERS_MAX];    /* [count] members in order of contact */
    uint16_t peer[QUO_MEMBERS_MAX];    /* [count] what the driver's transport calls them */
};

/* What the driver knows of a member. */
struct quo_health {
    bool up;
    uint32_t latency_us; /* smoothed; 0: not known */
};

/* A replica is clearly slow if it is this many times slower than the best and slower than this. */
#define QUO_SLOW_FACTOR 3u
#define QUO_SLOW_MIN_US 1000u

/* The members of an entry for a namespace: the first n of each of its sets. The order of contact is
 * that of the entry until quo_plan_order; `peer` is the driver's to fill. */
void quo_plan_init(struct quo_plan *plan, const struct quo_entry *entry,
                   const struct quo_namespace *ns);

/* Sets `up` and the order of contact: reachable members first, of them the clearly slow ones last,
 * otherwise the entry's order, rotated by `rotation` so that load spreads. `health` is by member.
 */
void quo_plan_order(struct quo_plan *plan, const struct quo_health *health, uint32_t rotation);

/* All members. */
static inline quo_members quo_plan_all(const struct quo_plan *plan)
{
    return plan->sets[0] | plan->sets[1];
}

/* Notes in a receipt that a member has answered. */
static inline void quo_plan_answered(const struct quo_plan *plan, uint8_t member,
                                     struct quo_receipt *receipt)
{
    receipt->answered[receipt->replies] = plan->replica[member];
    receipt->peer[receipt->replies++] = plan->peer[member];
}

#endif
