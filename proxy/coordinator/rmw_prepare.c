#include "proxy/coordinator/rmw_internal.h"

void quo_rmw_apply(struct quo_rmw *rmw, struct quo_effects *effects)
{
    struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_APPLY);

    rmw->phase = QUO_RMW_APPLY;
    effect->version = rmw->ballot;
    effect->first = quo_version_is_none(rmw->first) ? rmw->ballot : rmw->first;
    effect->sent = rmw->sent;
    effect->floor = rmw->promises.floor;
    effect->nothing = !rmw->warm && quo_version_is_none(rmw->promises.newest);
}

/* Whether the record that the promises showed is at hand. If not, it is on its way, or there will
 * be another ballot since nobody is left who would hand it out. */
static bool has_bytes(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    if (quo_version_is_none(rmw->promises.newest) || quo_fetch_is_done(&rmw->fetch, &rmw->promises))
        return true;
    if (quo_rmw_is_over(rmw, now_us, effects))
        return false;
    switch (
        quo_fetch_ask(&rmw->fetch, &rmw->promises, &rmw->plan, now_us, rmw->deadline_us, effects)) {
    case QUO_FETCH_ASKED:
        quo_receipt_count(&quo_rmw_receipt(rmw)->round_trips, 1);
        QUO_PROBE(RMW_FETCHED);
        break;
    case QUO_FETCH_AWAITED:
        break;
    case QUO_FETCH_IMPOSSIBLE:
        quo_rmw_on_preempted(rmw, now_us, effects);
        break;
    }
    return false;
}

/* What is recorded under a ballot far below the clocks of all who promised it would look old, and
 * leave the ring before its time. A ballot that follows their clocks is no way out: they may be the
 * ones that are wrong, and then the key had a version in the future. Returns whether it has
 * answered. */
static bool is_behind_time(struct quo_rmw *rmw, struct quo_effects *effects)
{
    if (!rmw->options.dated || QUO_MUTANT(STALE_BALLOT) ||
        quo_version_ms(rmw->ballot) + QUO_SKEW_MAX_MS >= rmw->promises.earliest_ms)
        return false;
    QUO_PROBE(RMW_BEHIND_TIME);
    quo_effects_add(effects, QUO_EFFECT_TRUST_CLOCK)->version = rmw->ballot;
    quo_rmw_refuse(rmw, QUO_SKEW, effects);
    return true;
}

void quo_rmw_judge_promises(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    enum quo_vote vote = quo_tally_vote(&rmw->promises.replies);

    if (vote == QUO_VOTE_LOST)
        quo_rmw_on_lost(rmw, &rmw->promises.replies, now_us, effects);
    else if (vote == QUO_VOTE_WON && !is_behind_time(rmw, effects) &&
             has_bytes(rmw, now_us, effects))
        quo_rmw_apply(rmw, effects);
}

void quo_rmw_begin_prepare(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    struct quo_query_options options = {
        .need = quo_rmw_need_promises(rmw),
        .value_max_first = UINT32_MAX,
        .value_max = QUO_INLINE_VALUE_MAX,
        .now_us = now_us,
        .deadline_us = rmw->deadline_us,
        .hedge_us = UINT64_MAX,
        .ballot = rmw->ballot,
    };

    if (quo_rmw_is_over(rmw, now_us, effects))
        return;
    rmw->phase = QUO_RMW_PREP;
    quo_rmw_next_round(rmw, effects);
    quo_fetch_reset(&rmw->fetch);
    /* What an earlier ballot was applied to, the driver need not have kept. */
    rmw->fetch.kept = QUO_VERSION_NONE;
    quo_query_begin(&rmw->promises, &rmw->plan, &options, effects);
    /* A set that is smaller than the quorum. */
    quo_rmw_judge_promises(rmw, now_us, effects);
}

/* The bytes of the record that the promises showed. A holder that shows another one now has
 * accepted something since: this ballot is lost, or about to be. */
static void on_bytes(struct quo_rmw *rmw, const struct quo_event *event,
                     struct quo_effects *effects)
{
    const struct quo_msg_reply *reply = event->reply;
    bool is_answer = quo_query_judge(reply) == QUO_OK;

    if (is_answer && !quo_version_equal(reply->version, rmw->promises.newest)) {
        quo_rmw_on_preempted(rmw, event->now_us, effects);
        return;
    }
    if (is_answer)
        quo_fetch_keep(&rmw->fetch, &rmw->promises, reply, effects);
    quo_fetch_end(&rmw->fetch, is_answer && (reply->flags & QUO_REPLY_VALUE) != 0);
    quo_rmw_judge_promises(rmw, event->now_us, effects);
}

void quo_rmw_on_promise(struct quo_rmw *rmw, const struct quo_event *event,
                        struct quo_effects *effects)
{
    const struct quo_msg_reply *reply = event->reply;
    uint8_t member = event->member;

    quo_rmw_see(rmw, reply);
    if (!quo_rmw_awaits(rmw, member)) {
        /* It can bring the bytes, be it later than we were ready to wait. */
        if (quo_query_judge(reply) == QUO_OK)
            quo_fetch_keep(&rmw->fetch, &rmw->promises, reply, effects);
        quo_rmw_judge_promises(rmw, event->now_us, effects);
        return;
    }
    if (quo_members_has(quo_fetch_waiting(&rmw->fetch), member)) {
        on_bytes(rmw, event, effects);
        return;
    }
    if (quo_query_reply(&rmw->promises, &rmw->plan, member, reply, effects))
        quo_fetch_keep(&rmw->fetch, &rmw->promises, reply, effects);
    else
        quo_rmw_take_refusal(rmw, member, reply, quo_query_status(&rmw->promises, reply));
    quo_rmw_judge_promises(rmw, event->now_us, effects);
}
