#include "proxy/coordinator/backoff.h"
#include "proxy/coordinator/rmw_internal.h"

void quo_rmw_next_round(struct quo_rmw *rmw, struct quo_effects *effects)
{
    rmw->round++;
    effects->round = rmw->round;
    quo_receipt_count(&quo_rmw_receipt(rmw)->round_trips, 1);
    rmw->contending = 0;
    rmw->clocks.behind = 0;
}

bool quo_rmw_may_try_again(struct quo_rmw *rmw, struct quo_effects *effects)
{
    if (rmw->outcome.restarts >= QUO_ATTEMPTS_MAX) {
        quo_rmw_time_out(rmw, effects);
        return false;
    }
    rmw->sent |= quo_rmw_may_be_accepted(rmw);
    quo_receipt_count(&rmw->outcome.restarts, 1);
    return true;
}

void quo_rmw_ask_for_tag(struct quo_rmw *rmw, struct quo_effects *effects)
{
    rmw->phase = QUO_RMW_TAG;
    quo_effects_add(effects, QUO_EFFECT_TAG)->version = rmw->seen;
}

void quo_rmw_begin(struct quo_rmw *rmw, struct quo_effects *effects)
{
    rmw->warm = false;
    rmw->next = QUO_VERSION_NONE;
    quo_rmw_ask_for_tag(rmw, effects);
}

/* History must be complete from the lowest ballot on under which the operation may have taken
 * effect. */
void quo_rmw_note_first(struct quo_rmw *rmw, struct quo_version ballot)
{
    if (quo_version_is_none(rmw->first) || quo_version_compare(ballot, rmw->first) < 0)
        rmw->first = ballot;
}

/* Below every ballot that another proposer may use from now on: one that it holds the promise of
 * may be as old as a promise is kept. */
static struct quo_version first_elsewhere(const struct quo_rmw *rmw)
{
    const uint64_t margin = quo_rmw_may_warm(rmw) ? (uint64_t)QUO_WARM_IDLE_MS << 16 : 0;
    uint64_t hlc = rmw->ballot.hlc > margin ? rmw->ballot.hlc - margin : 1;

    return (struct quo_version){.hlc = hlc};
}

void quo_rmw_forward(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    if (quo_rmw_is_over(rmw, now_us, effects))
        return;
    rmw->forwarded = true;
    rmw->first_elsewhere = first_elsewhere(rmw);
    rmw->phase = QUO_RMW_FORWARD;
    struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_FORWARD);
    effect->first = rmw->first_elsewhere;
    if (!quo_version_is_none(rmw->first) &&
        quo_version_compare(rmw->first, rmw->first_elsewhere) < 0)
        effect->first = rmw->first;
    effect->sent = rmw->sent;
}

void quo_rmw_on_preempted(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    QUO_PROBE(RMW_PREEMPTED);
    if (!quo_rmw_may_try_again(rmw, effects))
        return;
    rmw->preempted++;
    if (rmw->options.may_forward && !rmw->forwarded && rmw->preempted >= QUO_FORWARD_AFTER) {
        quo_rmw_forward(rmw, now_us, effects);
        return;
    }
    rmw->phase = QUO_RMW_BACKOFF;
    rmw->wake_us =
        now_us + quo_backoff_us(&rmw->chance, rmw->preempted, rmw->options.round_trip_us);
}

/* Somebody wrote the key since: this is no contention yet. */
static void on_warm_lost(struct quo_rmw *rmw, struct quo_effects *effects)
{
    QUO_PROBE(WARM_LOST);
    if (quo_rmw_may_try_again(rmw, effects))
        quo_rmw_begin(rmw, effects);
}

/* Whether a lost vote would not be lost, had these not refused. */
static bool is_lost_by(const struct quo_tally *tally, quo_members refused)
{
    struct quo_tally without = *tally;

    without.refused &= (quo_members)~refused;
    return quo_tally_vote(&without) != QUO_VOTE_LOST;
}

/* Whether waiting for the others is worth it although the quorum is lost: while all that came are
 * refusals, the rest may make it certain that nothing happened. */
static bool may_yet_be_certain(const struct quo_rmw *rmw)
{
    quo_members silent = rmw->asked & (quo_members)~quo_tally_voted(&rmw->acks);

    return rmw->phase == QUO_RMW_ACC && !rmw->sent && (rmw->acks.yes | rmw->maybe) == 0 &&
           rmw->acks.refused != 0 && silent != 0;
}

void quo_rmw_on_lost(struct quo_rmw *rmw, const struct quo_tally *tally, uint64_t now_us,
                     struct quo_effects *effects)
{
    uint8_t need = QUO_MAX(quo_rmw_need_promises(rmw), quo_rmw_need_acks(rmw));
    uint64_t clock_ms;

    if (is_lost_by(tally, rmw->contending)) {
        if (rmw->warm)
            on_warm_lost(rmw, effects);
        else
            quo_rmw_on_preempted(rmw, now_us, effects);
    } else if (is_lost_by(tally, rmw->contending | rmw->clocks.behind) &&
               quo_clocks_choose(&rmw->clocks, need, rmw->seen, &clock_ms)) {
        if (!quo_rmw_may_try_again(rmw, effects))
            return;
        struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_CORRECT_CLOCK);
        effect->clock_ms = clock_ms;
        effect->version = rmw->ballot;
        quo_rmw_begin(rmw, effects);
    } else if (!may_yet_be_certain(rmw)) {
        quo_rmw_fail(rmw, tally, effects);
    }
}

void quo_rmw_take_refusal(struct quo_rmw *rmw, uint8_t member, const struct quo_msg_reply *reply,
                          enum quo_status status)
{
    if (status == QUO_NACK)
        rmw->contending |= QUO_MEMBER(member);
    if (status == QUO_SKEW)
        quo_clocks_take(&rmw->clocks, member, rmw->ballot, reply->now_ms);
}
