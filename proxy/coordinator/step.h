/* What goes into a coordinator and what comes out: events in, effects out.
 *
 * A coordinator sends nothing and knows no time. The driver feeds it one event, carries out the
 * effects in their order, and feeds what these bring: messages that could not be sent come back
 * together as UNSENT, a TAG as TAGGED, a granted HEDGE as HEDGE, a granted REPAIR as REPAIR, an
 * APPLY as APPLIED, and a FORWARD, sooner or later, as FORWARDED.
 */
#ifndef QUORATE_COORDINATOR_STEP_H
#define QUORATE_COORDINATOR_STEP_H

#include "proxy/coordinator/plan.h"
#include "quorate/rpc.h"

enum quo_event_type {
    QUO_EVENT_START = 1, /* once, first */
    QUO_EVENT_REPLY,     /* `member` answered the request of `round`: `reply` */
    QUO_EVENT_UNSENT,    /* the requests of `round` to `members` could not be sent */
    QUO_EVENT_FAILED,  /* no reply of `member` will come in `round`; the request may have arrived */
    QUO_EVENT_TIMER,   /* a deadline may have passed */
    QUO_EVENT_HEDGE,   /* the budget allows the hedge that was asked for */
    QUO_EVENT_TAGGED,  /* here is the version that was asked for: `tag`, and `next` above it */
    QUO_EVENT_APPLIED, /* the change was applied: `decision`; of a read, QUO_DECISION_KEEP */
    QUO_EVENT_FORWARDED, /* another proposer ended the operation: `outcome`; NULL: it cannot be
                            reached, and did nothing unless `sent` */
    QUO_EVENT_REPAIR,    /* the repair that was asked for may be: `has_record` */
    QUO_EVENT_HINTED,    /* hints for `members` that are awaited in `round`: `status` is OK if they
                            are kept, or says why not */
};

struct quo_event {
    enum quo_event_type type;
    uint64_t now_us;
    uint8_t member;      /* REPLY, FAILED */
    quo_members members; /* UNSENT, HINTED */
    uint16_t round;      /* of the request: REPLY, FAILED, UNSENT, HINTED */
    const struct quo_msg_reply *reply;
    /* With a reply of WRONG_EPOCH: the plan under the newer entry; NULL if that cannot be used. */
    const struct quo_plan *newer;
    struct quo_version tag, next;
    enum quo_decision decision;
    bool sent;
    bool has_record;        /* REPAIR: the record kept last is still there */
    enum quo_status status; /* HINTED: QUO_UNAVAILABLE: no node could be asked; QUO_IO_ERROR: the
                               one that was will not answer, and may keep it */
    const struct quo_outcome *outcome;
};

/* The members that an event is about; none for what concerns the whole operation. */
static inline quo_members quo_event_members(const struct quo_event *event)
{
    switch (event->type) {
    case QUO_EVENT_REPLY:
    case QUO_EVENT_FAILED:
        return QUO_MEMBER(event->member);
    case QUO_EVENT_UNSENT:
    case QUO_EVENT_HINTED:
        return event->members;
    default:
        return 0;
    }
}

enum quo_effect_type {
    QUO_EFFECT_QUERY = 1, /* QUERY to `member`, with `value_max` */
    QUO_EFFECT_STORE,     /* STORE to `member`, with `flags` (enum quo_store_flag) */
    QUO_EFFECT_SLOT,      /* SLOT to `member`, submitted at `version` */
    QUO_EFFECT_KEEP,      /* the record in this reply is the newest: keep it instead of any other */
    QUO_EFFECT_HEDGE,     /* take a hedge from the budget */
    QUO_EFFECT_CORRECT_CLOCK, /* replicas whose clocks read `clock_ms` refused `version` as too far
                                 ahead */
    QUO_EFFECT_TRUST_CLOCK,   /* the clocks of all who promised `version` are far above it: if ours
                                 was corrected, then by clocks that were wrong, or ours was set */
    QUO_EFFECT_TAG,           /* make a version above `version`, and another above that */
    QUO_EFFECT_PREP,          /* PREP of ballot `version` to `member`, with `value_max` */
    QUO_EFFECT_ACC,           /* ACC of the record that was made (or, of a read, kept) to `member`;
                                 `version` is `next` of the message */
    QUO_EFFECT_APPLY, /* apply the change to the record kept (`nothing`: to no record), for ballot
                         `version`; `first` and `sent` as in quo_change_context, `floor` too. The
                         record kept is not asked for again */
    QUO_EFFECT_REMEMBER, /* the promise for `version` is ours: the next write of this key may start
                            at its ACC, from the record just accepted */
    QUO_EFFECT_FORWARD,  /* hand the operation to the proposer its key belongs to, with `first` and
                            `sent` */
    QUO_EFFECT_ANSWER,   /* the outcome is known; comes exactly once */
    QUO_EFFECT_REPAIR,   /* replicas lack the newest record, and the read is over or about to be:
                            may it be passed on to them? After the answer only */
    QUO_EFFECT_HINT,     /* have a node that is no member keep the record made for `member`; with
                            QUO_HINT_AWAITED in `flags`, one that keeps none for another member, and
                            HINTED tells what came of it */
};

#define QUO_HINT_AWAITED 1u

struct quo_effect {
    enum quo_effect_type type;
    uint16_t round; /* QUERY, STORE, PREP, ACC, HINT: to be named by the reply */
    uint8_t member;
    uint8_t flags;
    uint32_t value_max;
    uint64_t clock_ms;
    struct quo_version version;
    struct quo_version first, floor; /* APPLY; FORWARD: `first` */
    bool sent, nothing;              /* APPLY; FORWARD: `sent` */
};

/* In one step a member gets at most a request of the round that ends and one of the next. */
#define QUO_EFFECTS_MAX (2u * QUO_MEMBERS_MAX + 5u)

struct quo_effects {
    uint16_t round; /* of what is added next */
    uint8_t count;
    struct quo_effect list[QUO_EFFECTS_MAX];
};

static inline struct quo_effect *quo_effects_add(struct quo_effects *effects,
                                                 enum quo_effect_type type)
{
    QUO_INVARIANT(effects->count < QUO_EFFECTS_MAX);
    struct quo_effect *effect = &effects->list[effects->count++];
    *effect = (struct quo_effect){.type = type, .round = effects->round};
    return effect;
}

#endif
