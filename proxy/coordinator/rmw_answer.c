#include "proxy/coordinator/rmw_internal.h"

bool quo_rmw_may_be_accepted(const struct quo_rmw *rmw)
{
    quo_members silent = rmw->asked & (quo_members)~quo_tally_voted(&rmw->acks);

    return rmw->phase == QUO_RMW_ACC && (rmw->acks.yes | rmw->maybe | silent) != 0;
}

/* Whether the operation may have taken effect, or may yet: here, at an earlier ballot, or through
 * another proposer. */
static bool may_have_effect(const struct quo_rmw *rmw)
{
    return rmw->options.purpose == QUO_RMW_WRITE &&
           (rmw->sent || rmw->phase == QUO_RMW_FORWARD || quo_rmw_may_be_accepted(rmw));
}

static void fill_answered(struct quo_rmw *rmw, quo_members replied)
{
    struct quo_receipt *receipt = quo_rmw_receipt(rmw);

    receipt->replies = 0;
    for (uint8_t i = 0; i < rmw->plan.count; i++) {
        if (quo_members_has(replied, i))
            quo_plan_answered(&rmw->plan, i, receipt);
    }
}

/* A read has read by its promises; the accept only makes sure of it. */
static quo_members answered_by(const struct quo_rmw *rmw)
{
    quo_members promised = rmw->promises.replies.yes, accepted = rmw->acks.yes | rmw->acks.refused;

    if (rmw->phase != QUO_RMW_ACC)
        return promised;
    return rmw->options.purpose == QUO_RMW_WRITE ? accepted : promised | accepted;
}

static void fill_receipt(struct quo_rmw *rmw)
{
    struct quo_receipt *receipt = quo_rmw_receipt(rmw);
    bool is_accept = rmw->phase == QUO_RMW_ACC;
    quo_members disk = 0;

    if (is_accept) {
        receipt->version = rmw->ballot;
        disk = rmw->acks.yes;
    } else if (!quo_version_is_none(receipt->version)) {
        disk = quo_rmw_holders(rmw);
    }
    receipt->level = rmw->options.want.level;
    receipt->n = rmw->plan.n;
    receipt->epoch = rmw->plan.entry.epoch;
    receipt->need = is_accept ? quo_rmw_need_acks(rmw) : quo_rmw_need_promises(rmw);
    fill_answered(rmw, answered_by(rmw));
    receipt->acks = receipt->disk = quo_members_count(disk);
    receipt->stable = quo_tally_would_win(rmw->plan.sets, disk, rmw->plan.ws) == QUO_VOTE_WON;
    if (QUO_MUTANT(RECEIPT_OVERCLAIMS))
        receipt->replies = receipt->acks = receipt->disk = rmw->plan.n;
}

static void answer(struct quo_rmw *rmw, enum quo_verdict verdict, enum quo_effectuality effect,
                   struct quo_effects *effects)
{
    QUO_INVARIANT(!rmw->answered);
    rmw->outcome.verdict = verdict;
    rmw->outcome.effect = effect;
    fill_receipt(rmw);
    quo_fetch_reset(&rmw->fetch);
    rmw->answered = true;
    if (effect == QUO_UNKNOWN)
        QUO_PROBE(WRITE_UNKNOWN);
    quo_effects_add(effects, QUO_EFFECT_ANSWER);
}

/* Without a result. */
static void answer_failure(struct quo_rmw *rmw, enum quo_verdict verdict,
                           struct quo_effects *effects)
{
    if (may_have_effect(rmw))
        answer(rmw, QUO_VERDICT_TIMEOUT, QUO_UNKNOWN, effects);
    else
        answer(rmw, verdict, QUO_NOT_APPLIED, effects);
}

void quo_rmw_time_out(struct quo_rmw *rmw, struct quo_effects *effects)
{
    answer_failure(rmw, QUO_VERDICT_TIMEOUT, effects);
}

void quo_rmw_fail(struct quo_rmw *rmw, const struct quo_tally *tally, struct quo_effects *effects)
{
    enum quo_verdict verdict = quo_tally_blame(tally);

    if (verdict == QUO_VERDICT_REFUSED)
        rmw->outcome.refusal = tally->refusal;
    answer_failure(rmw, verdict, effects);
    quo_rmw_receipt(rmw)->need = tally->need;
}

void quo_rmw_refuse(struct quo_rmw *rmw, enum quo_status why, struct quo_effects *effects)
{
    rmw->outcome.refusal = why;
    answer_failure(rmw, QUO_VERDICT_REFUSED, effects);
}

void quo_rmw_answer_unknown(struct quo_rmw *rmw, struct quo_effects *effects)
{
    answer(rmw, QUO_VERDICT_TIMEOUT, QUO_UNKNOWN, effects);
}

void quo_rmw_succeed(struct quo_rmw *rmw, struct quo_effects *effects)
{
    bool is_deleted = quo_version_is_none(rmw->promises.newest) ||
                      (rmw->fetch.kept_flags & QUO_RECORD_TOMBSTONE) != 0;

    quo_rmw_receipt(rmw)->version = rmw->promises.newest;
    if (rmw->options.purpose == QUO_RMW_WRITE) {
        answer(rmw, QUO_VERDICT_WRITTEN, QUO_APPLIED, effects);
    } else if (is_deleted) {
        answer(rmw, QUO_VERDICT_ABSENT, QUO_NOT_APPLIED, effects);
    } else {
        answer(rmw, QUO_VERDICT_FOUND, QUO_NOT_APPLIED, effects);
    }
}

bool quo_rmw_is_over(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    if (now_us < rmw->deadline_us || QUO_MUTANT(SEND_AFTER_DEADLINE))
        return false;
    quo_rmw_time_out(rmw, effects);
    return true;
}
