#include "proxy/coordinator/rmw_internal.h"

void quo_rmw_begin_accept(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    if (quo_rmw_is_over(rmw, now_us, effects))
        return;
    rmw->phase = QUO_RMW_ACC;
    quo_rmw_next_round(rmw, effects);
    quo_rmw_note_first(rmw, rmw->ballot);
    quo_tally_init(&rmw->acks, rmw->plan.sets, quo_rmw_need_acks(rmw));
    rmw->asked = quo_plan_all(&rmw->plan);
    rmw->promised = 0;
    rmw->maybe = 0;
    quo_rmw_receipt(rmw)->repaired = rmw->options.purpose != QUO_RMW_WRITE;
    for (uint8_t i = 0; i < rmw->plan.count; i++) {
        struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_ACC);
        effect->member = rmw->plan.order[i];
        effect->version = rmw->next;
    }
}

/* The promises of `next` came from a read quorum and from a write quorum [T11]. */
static bool is_next_ours(const struct quo_rmw *rmw)
{
    return !quo_version_is_none(rmw->next) &&
           quo_tally_would_win(rmw->plan.sets, rmw->promised,
                               QUO_MAX(rmw->plan.rs, rmw->plan.ws)) == QUO_VOTE_WON;
}

void quo_rmw_judge_acks(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    enum quo_vote vote = quo_tally_vote(&rmw->acks);

    if (vote == QUO_VOTE_LOST)
        quo_rmw_on_lost(rmw, &rmw->acks, now_us, effects);
    if (vote != QUO_VOTE_WON)
        return;
    if (rmw->warm)
        QUO_PROBE(WARM_HIT);
    if (is_next_ours(rmw))
        quo_effects_add(effects, QUO_EFFECT_REMEMBER)->version = rmw->next;
    quo_rmw_succeed(rmw, effects);
}

/* A blind write above the ballot was accepted after it could have been, so it hides our record as
 * if that had been there. Not so if the promise is older than the operation: the blind write may be
 * over since, and then our record must not count as written before it [T12]. */
static bool counts_as_accepted(const struct quo_rmw *rmw, enum quo_status status)
{
    return status == QUO_OK ||
           (status == QUO_SUPERSEDED && (!rmw->warm || QUO_MUTANT(WARM_IN_MIXED)));
}

/* Writes that follow each other warm never ask for promises again: a ballot that has fallen behind
 * the replicas' clocks is no good start for another one. */
static bool is_next_promised(const struct quo_rmw *rmw, const struct quo_msg_reply *reply)
{
    return (reply->flags & QUO_REPLY_NEXT) != 0 &&
           (quo_version_ms(rmw->next) + QUO_SKEW_MAX_MS >= reply->now_ms ||
            QUO_MUTANT(STALE_BALLOT));
}

void quo_rmw_take_ack(struct quo_rmw *rmw, uint8_t member, const struct quo_msg_reply *reply)
{
    bool durable = (reply->flags & QUO_REPLY_DURABLE) != 0 || QUO_MUTANT(NON_DURABLE_COUNTS);
    enum quo_status status = (enum quo_status)reply->status;

    if (counts_as_accepted(rmw, status) && durable) {
        quo_tally_yes(&rmw->acks, member);
        if (is_next_promised(rmw, reply))
            rmw->promised |= QUO_MEMBER(member);
        return;
    }
    if (status == QUO_OK)
        status = QUO_IO_ERROR;
    else if (status == QUO_SUPERSEDED)
        status = rmw->warm ? QUO_NACK : QUO_IO_ERROR;
    quo_tally_refused(&rmw->acks, member, status);
    quo_rmw_take_refusal(rmw, member, reply, status);
    if (!quo_tally_is_proof(status))
        rmw->maybe |= QUO_MEMBER(member);
    if (status == QUO_NACK)
        QUO_PROBE(RMW_ACC_NACKED);
}

void quo_rmw_on_ack(struct quo_rmw *rmw, const struct quo_event *event, struct quo_effects *effects)
{
    if (!quo_rmw_awaits(rmw, event->member))
        return;
    quo_rmw_see(rmw, event->reply);
    quo_rmw_take_ack(rmw, event->member, event->reply);
    quo_rmw_judge_acks(rmw, event->now_us, effects);
}
