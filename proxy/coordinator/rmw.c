#include "proxy/coordinator/rmw.h"

#include "proxy/coordinator/backoff.h"
#include "quorate/record.h"
#include "quorate/testpoints.h"

static struct quo_receipt *receipt_of(struct quo_rmw *rmw)
{
    return &rmw->outcome.receipt;
}

static uint8_t need_promises(const struct quo_rmw *rmw)
{
    return QUO_MAX(rmw->options.want.r, rmw->plan.rs);
}

static uint8_t need_acks(const struct quo_rmw *rmw)
{
    return QUO_MAX(rmw->options.want.w, rmw->plan.ws);
}

/* Members that showed the newest record as one that is on their disk. */
static quo_members durable_holders(const struct quo_rmw *rmw)
{
    return quo_query_holders(&rmw->promises, rmw->promises.newest) & rmw->promises.durable;
}

/* Whether an ACC of this ballot may be, or may yet come, on some replica. */
static bool may_be_accepted(const struct quo_rmw *rmw)
{
    quo_members silent = rmw->asked & (quo_members)~quo_tally_voted(&rmw->acks);

    return rmw->phase == QUO_RMW_ACC && (rmw->acks.yes | rmw->maybe | silent) != 0;
}

/* Whether the operation may have taken effect, or may yet: here, at an earlier ballot, or through
 * another proposer. */
static bool may_have_effect(const struct quo_rmw *rmw)
{
    return rmw->options.purpose == QUO_RMW_WRITE &&
           (rmw->sent || rmw->phase == QUO_RMW_FORWARD || may_be_accepted(rmw));
}

static void fill_answered(struct quo_rmw *rmw, quo_members replied)
{
    struct quo_receipt *receipt = receipt_of(rmw);

    receipt->replies = 0;
    for (uint8_t i = 0; i < rmw->plan.count; i++) {
        if (quo_members_has(replied, i))
            receipt->answered[receipt->replies++] = rmw->plan.replica[i];
    }
}

static void fill_receipt(struct quo_rmw *rmw)
{
    struct quo_receipt *receipt = receipt_of(rmw);
    bool is_accept = rmw->phase == QUO_RMW_ACC;
    quo_members disk = 0;

    if (is_accept) {
        receipt->version = rmw->ballot;
        disk = rmw->acks.yes;
    } else if (!quo_version_is_none(receipt->version)) {
        disk = durable_holders(rmw);
    }
    receipt->level = rmw->options.want.level;
    receipt->n = rmw->plan.n;
    receipt->epoch = rmw->plan.entry.epoch;
    receipt->need = is_accept ? need_acks(rmw) : need_promises(rmw);
    fill_answered(rmw, is_accept ? rmw->acks.yes | rmw->acks.refused : rmw->promises.replies.yes);
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

static void time_out(struct quo_rmw *rmw, struct quo_effects *effects)
{
    answer_failure(rmw, QUO_VERDICT_TIMEOUT, effects);
}

/* The quorum of `tally` is out of reach. */
static void fail(struct quo_rmw *rmw, const struct quo_tally *tally, struct quo_effects *effects)
{
    enum quo_verdict verdict = quo_tally_blame(tally);

    if (verdict == QUO_VERDICT_REFUSED)
        rmw->outcome.refusal = tally->refusal;
    answer_failure(rmw, verdict, effects);
}

/* The decision holds: the record that shows it is on a write quorum. */
static void succeed(struct quo_rmw *rmw, struct quo_effects *effects)
{
    bool is_deleted = quo_version_is_none(rmw->promises.newest) ||
                      (rmw->fetch.kept_flags & QUO_RECORD_TOMBSTONE) != 0;

    receipt_of(rmw)->version = rmw->promises.newest;
    if (rmw->options.purpose == QUO_RMW_WRITE)
        answer(rmw, QUO_VERDICT_WRITTEN, QUO_APPLIED, effects);
    else
        answer(rmw, is_deleted ? QUO_VERDICT_ABSENT : QUO_VERDICT_FOUND, QUO_NOT_APPLIED, effects);
    if (rmw->outcome.verdict == QUO_VERDICT_ABSENT)
        receipt_of(rmw)->version = QUO_VERSION_NONE;
}

/* Whether it is too late to send anything; if so, it has answered. */
static bool is_over(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    if (now_us < rmw->deadline_us || QUO_MUTANT(SEND_AFTER_DEADLINE))
        return false;
    time_out(rmw, effects);
    return true;
}

static void next_round(struct quo_rmw *rmw, struct quo_effects *effects)
{
    rmw->round++;
    effects->round = rmw->round;
    quo_receipt_count(&receipt_of(rmw)->round_trips, 1);
    rmw->contending = 0;
    rmw->clocks.behind = 0;
}

static void ask_for_tag(struct quo_rmw *rmw, struct quo_effects *effects)
{
    rmw->phase = QUO_RMW_TAG;
    quo_effects_add(effects, QUO_EFFECT_TAG)->version = rmw->seen;
}

/* A new ballot, unless there were too many. What this one may have left behind is remembered. */
static bool may_try_again(struct quo_rmw *rmw, struct quo_effects *effects)
{
    if (rmw->outcome.restarts >= QUO_ATTEMPTS_MAX) {
        time_out(rmw, effects);
        return false;
    }
    rmw->sent |= may_be_accepted(rmw);
    quo_receipt_count(&rmw->outcome.restarts, 1);
    return true;
}

static void begin_cold(struct quo_rmw *rmw, struct quo_effects *effects)
{
    rmw->warm = false;
    rmw->next = QUO_VERSION_NONE;
    ask_for_tag(rmw, effects);
}

/* The ballot up to which the operation's history must be complete. */
static void note_first(struct quo_rmw *rmw)
{
    if (quo_version_is_none(rmw->first) || quo_version_compare(rmw->ballot, rmw->first) < 0)
        rmw->first = rmw->ballot;
}

static void forward(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    if (is_over(rmw, now_us, effects))
        return;
    note_first(rmw);
    rmw->forwarded = true;
    rmw->phase = QUO_RMW_FORWARD;
    struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_FORWARD);
    effect->first = rmw->first;
    effect->sent = rmw->sent;
}

/* Another proposer got in between. */
static void on_preempted(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    QUO_PROBE(RMW_PREEMPTED);
    if (!may_try_again(rmw, effects))
        return;
    rmw->preempted++;
    if (rmw->options.may_forward && !rmw->forwarded && rmw->preempted >= QUO_FORWARD_AFTER) {
        forward(rmw, now_us, effects);
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
    if (may_try_again(rmw, effects))
        begin_cold(rmw, effects);
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

/* The quorum of this phase is lost: to another proposer, to clocks, or for good. */
static void on_lost(struct quo_rmw *rmw, const struct quo_tally *tally, uint64_t now_us,
                    struct quo_effects *effects)
{
    uint8_t need = QUO_MAX(need_promises(rmw), need_acks(rmw));
    uint64_t clock_ms;

    if (is_lost_by(tally, rmw->contending)) {
        if (rmw->warm)
            on_warm_lost(rmw, effects);
        else
            on_preempted(rmw, now_us, effects);
    } else if (is_lost_by(tally, rmw->contending | rmw->clocks.behind) &&
               quo_clocks_choose(&rmw->clocks, need, rmw->seen, &clock_ms)) {
        if (!may_try_again(rmw, effects))
            return;
        struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_CORRECT_CLOCK);
        effect->clock_ms = clock_ms;
        effect->version = rmw->ballot;
        begin_cold(rmw, effects);
    } else if (!may_yet_be_certain(rmw)) {
        fail(rmw, tally, effects);
    }
}

static void see(struct quo_rmw *rmw, const struct quo_msg_reply *reply)
{
    rmw->seen = quo_version_max(rmw->seen, quo_query_highest(reply));
}

static void take_refusal(struct quo_rmw *rmw, uint8_t member, const struct quo_msg_reply *reply,
                         enum quo_status status)
{
    if (status == QUO_NACK)
        rmw->contending |= QUO_MEMBER(member);
    if (status == QUO_SKEW)
        quo_clocks_take(&rmw->clocks, member, reply->now_ms);
}

static void apply(struct quo_rmw *rmw, struct quo_effects *effects)
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
    if (is_over(rmw, now_us, effects))
        return false;
    switch (
        quo_fetch_ask(&rmw->fetch, &rmw->promises, &rmw->plan, now_us, rmw->deadline_us, effects)) {
    case QUO_FETCH_ASKED:
        quo_receipt_count(&receipt_of(rmw)->round_trips, 1);
        QUO_PROBE(RMW_FETCHED);
        break;
    case QUO_FETCH_AWAITED:
        break;
    case QUO_FETCH_IMPOSSIBLE:
        on_preempted(rmw, now_us, effects);
        break;
    }
    return false;
}

static void judge_promises(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    enum quo_vote vote = quo_tally_vote(&rmw->promises.replies);

    if (vote == QUO_VOTE_LOST)
        on_lost(rmw, &rmw->promises.replies, now_us, effects);
    else if (vote == QUO_VOTE_WON && has_bytes(rmw, now_us, effects))
        apply(rmw, effects);
}

static void begin_prepare(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    struct quo_query_options options = {
        .need = need_promises(rmw),
        .value_max_first = UINT32_MAX,
        .value_max = QUO_INLINE_VALUE_MAX,
        .now_us = now_us,
        .deadline_us = rmw->deadline_us,
        .hedge_us = UINT64_MAX,
        .ballot = rmw->ballot,
    };

    if (is_over(rmw, now_us, effects))
        return;
    rmw->phase = QUO_RMW_PREP;
    next_round(rmw, effects);
    quo_fetch_reset(&rmw->fetch);
    quo_query_begin(&rmw->promises, &rmw->plan, &options, effects);
    /* A set that is smaller than the quorum. */
    judge_promises(rmw, now_us, effects);
}

static void begin_accept(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    if (is_over(rmw, now_us, effects))
        return;
    rmw->phase = QUO_RMW_ACC;
    next_round(rmw, effects);
    note_first(rmw);
    quo_tally_init(&rmw->acks, rmw->plan.sets, need_acks(rmw));
    rmw->asked = quo_plan_all(&rmw->plan);
    rmw->promised = 0;
    rmw->maybe = 0;
    receipt_of(rmw)->repaired = rmw->options.purpose != QUO_RMW_WRITE;
    for (uint8_t i = 0; i < rmw->plan.count; i++) {
        struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_ACC);
        effect->member = rmw->plan.order[i];
        effect->version = rmw->next;
    }
}

static void begin(struct quo_rmw *rmw, const struct quo_event *event, struct quo_effects *effects)
{
    bool may_warm = rmw->plan.kind == QUO_KIND_CAS || QUO_MUTANT(WARM_IN_MIXED);

    rmw->ballot = rmw->warm ? rmw->options.warm : event->tag;
    rmw->next = QUO_VERSION_NONE;
    if (rmw->options.piggyback && may_warm)
        rmw->next = rmw->warm ? event->tag : event->next;
    if (rmw->warm)
        apply(rmw, effects);
    else if (rmw->options.forward_first && !rmw->forwarded)
        forward(rmw, event->now_us, effects);
    else
        begin_prepare(rmw, event->now_us, effects);
}

/* Whether the record found is where this answer claims a write quorum has it. */
static bool is_held(const struct quo_rmw *rmw)
{
    return quo_version_is_none(rmw->promises.newest) ||
           quo_tally_would_win(rmw->plan.sets, durable_holders(rmw), need_acks(rmw)) ==
               QUO_VOTE_WON;
}

/* Whether a decision that changes nothing may be answered without an accept. Not if an ACC of this
 * very operation may be on some replica: it could still be chosen, after the answer said that
 * nothing was done [T1]. */
static bool may_skip_accept(const struct quo_rmw *rmw, enum quo_decision decision)
{
    bool is_write = rmw->options.purpose == QUO_RMW_WRITE;

    if (rmw->warm)
        return QUO_MUTANT(WARM_ANSWERS);
    if (QUO_MUTANT(NO_ACCEPT_AFTER_KEEP))
        return true;
    if (rmw->options.purpose == QUO_RMW_SETTLE && !QUO_MUTANT(SETTLE_IGNORES_PROMISE))
        return false;
    if (is_write && decision == QUO_DECISION_KEEP && rmw->sent &&
        !QUO_MUTANT(ACCEPT_SKIPPED_AFTER_SENT))
        return false;
    return is_held(rmw);
}

static void on_applied(struct quo_rmw *rmw, const struct quo_event *event,
                       struct quo_effects *effects)
{
    enum quo_decision decision = event->decision;
    bool is_same = decision == QUO_DECISION_KEEP || decision == QUO_DECISION_FOUND;

    if (is_same && may_skip_accept(rmw, decision)) {
        succeed(rmw, effects);
    } else if (rmw->warm && decision != QUO_DECISION_WRITE) {
        QUO_PROBE(WARM_LOST);
        begin_cold(rmw, effects);
    } else if (decision == QUO_DECISION_UNPROVABLE) {
        answer(rmw, QUO_VERDICT_TIMEOUT, QUO_UNKNOWN, effects);
    } else {
        if (is_same)
            QUO_PROBE(KEEP_ACCEPTED);
        begin_accept(rmw, event->now_us, effects);
    }
}

static bool is_waiting_for(const struct quo_rmw *rmw, uint8_t member)
{
    return quo_members_has(quo_rmw_waiting(rmw), member);
}

/* The bytes of the record that the promises showed. A holder that shows another one now has
 * accepted something since: this ballot is lost, or about to be. */
static void on_bytes(struct quo_rmw *rmw, const struct quo_event *event,
                     struct quo_effects *effects)
{
    const struct quo_msg_reply *reply = event->reply;
    bool is_answer = quo_query_judge(reply) == QUO_OK;

    if (is_answer && !quo_version_equal(reply->version, rmw->promises.newest)) {
        on_preempted(rmw, event->now_us, effects);
        return;
    }
    if (is_answer)
        quo_fetch_keep(&rmw->fetch, &rmw->promises, reply, effects);
    quo_fetch_end(&rmw->fetch, is_answer && (reply->flags & QUO_REPLY_VALUE) != 0);
    judge_promises(rmw, event->now_us, effects);
}

static void on_promise(struct quo_rmw *rmw, const struct quo_event *event,
                       struct quo_effects *effects)
{
    const struct quo_msg_reply *reply = event->reply;
    uint8_t member = event->member;

    if (!is_waiting_for(rmw, member))
        return;
    see(rmw, reply);
    if (quo_members_has(quo_fetch_waiting(&rmw->fetch), member)) {
        on_bytes(rmw, event, effects);
        return;
    }
    if (quo_query_reply(&rmw->promises, &rmw->plan, member, reply, effects))
        quo_fetch_keep(&rmw->fetch, &rmw->promises, reply, effects);
    else
        take_refusal(rmw, member, reply, quo_query_status(&rmw->promises, reply));
    judge_promises(rmw, event->now_us, effects);
}

/* The promises of `next` came from a read quorum and from a write quorum [T11]. */
static bool is_next_ours(const struct quo_rmw *rmw)
{
    return !quo_version_is_none(rmw->next) &&
           quo_tally_would_win(rmw->plan.sets, rmw->promised,
                               QUO_MAX(rmw->plan.rs, rmw->plan.ws)) == QUO_VOTE_WON;
}

static void judge_acks(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    enum quo_vote vote = quo_tally_vote(&rmw->acks);

    if (vote == QUO_VOTE_LOST)
        on_lost(rmw, &rmw->acks, now_us, effects);
    if (vote != QUO_VOTE_WON)
        return;
    if (rmw->warm)
        QUO_PROBE(WARM_HIT);
    if (is_next_ours(rmw))
        quo_effects_add(effects, QUO_EFFECT_REMEMBER)->version = rmw->next;
    succeed(rmw, effects);
}

/* A blind write above the ballot was accepted after it could have been, so it hides our record as
 * if that had been there. Not so if the promise is older than the operation: the blind write may be
 * over since, and then our record must not count as written before it [T12]. */
static bool counts_as_accepted(const struct quo_rmw *rmw, enum quo_status status)
{
    return status == QUO_OK ||
           (status == QUO_SUPERSEDED && (!rmw->warm || QUO_MUTANT(WARM_IN_MIXED)));
}

static void take_ack(struct quo_rmw *rmw, uint8_t member, const struct quo_msg_reply *reply)
{
    bool durable = (reply->flags & QUO_REPLY_DURABLE) != 0 || QUO_MUTANT(NON_DURABLE_COUNTS);
    enum quo_status status = (enum quo_status)reply->status;

    if (counts_as_accepted(rmw, status) && durable) {
        quo_tally_yes(&rmw->acks, member);
        if ((reply->flags & QUO_REPLY_NEXT) != 0)
            rmw->promised |= QUO_MEMBER(member);
        return;
    }
    if (status == QUO_OK)
        status = QUO_IO_ERROR;
    else if (status == QUO_SUPERSEDED)
        status = rmw->warm ? QUO_NACK : QUO_IO_ERROR;
    quo_tally_refused(&rmw->acks, member, status);
    take_refusal(rmw, member, reply, status);
    if (!quo_tally_is_proof(status))
        rmw->maybe |= QUO_MEMBER(member);
    if (status == QUO_NACK)
        QUO_PROBE(RMW_ACC_NACKED);
}

static void on_ack(struct quo_rmw *rmw, const struct quo_event *event, struct quo_effects *effects)
{
    if (!is_waiting_for(rmw, event->member))
        return;
    see(rmw, event->reply);
    take_ack(rmw, event->member, event->reply);
    judge_acks(rmw, event->now_us, effects);
}

/* Promises and accepts of one ballot belong to one epoch: under another, its quorums need not meet
 * those that were prepared. */
static void on_newer_epoch(struct quo_rmw *rmw, const struct quo_event *event,
                           struct quo_effects *effects)
{
    bool is_accept = rmw->phase == QUO_RMW_ACC;

    if (!is_waiting_for(rmw, event->member))
        return;
    if (is_accept)
        take_ack(rmw, event->member, event->reply);
    if (!may_try_again(rmw, effects))
        return;
    rmw->plan = *event->newer;
    if (rmw->warm)
        QUO_PROBE(WARM_LOST);
    if (is_accept && QUO_MUTANT(ACC_ACROSS_EPOCHS))
        begin_accept(rmw, event->now_us, effects);
    else
        begin_cold(rmw, effects);
}

static void on_reply(struct quo_rmw *rmw, const struct quo_event *event,
                     struct quo_effects *effects)
{
    if (event->reply->status == QUO_WRONG_EPOCH && event->newer != NULL)
        on_newer_epoch(rmw, event, effects);
    else if (rmw->phase == QUO_RMW_PREP)
        on_promise(rmw, event, effects);
    else if (rmw->phase == QUO_RMW_ACC)
        on_ack(rmw, event, effects);
}

/* No reply will come from these. */
static void on_failed(struct quo_rmw *rmw, const struct quo_event *event,
                      struct quo_effects *effects)
{
    quo_members members = quo_event_members(event) & quo_rmw_waiting(rmw);

    if (members == 0)
        return;
    if (rmw->phase == QUO_RMW_ACC && event->type == QUO_EVENT_FAILED)
        rmw->maybe |= members;
    for (uint8_t i = 0; i < rmw->plan.count; i++) {
        if (!quo_members_has(members, i))
            continue;
        if (rmw->phase == QUO_RMW_ACC)
            quo_tally_unreachable(&rmw->acks, i);
        else if (quo_members_has(quo_fetch_waiting(&rmw->fetch), i))
            quo_fetch_end(&rmw->fetch, false);
        else
            quo_query_failed(&rmw->promises, &rmw->plan, i, effects);
    }
    if (rmw->phase == QUO_RMW_ACC)
        judge_acks(rmw, event->now_us, effects);
    else
        judge_promises(rmw, event->now_us, effects);
}

static void on_timer(struct quo_rmw *rmw, const struct quo_event *event,
                     struct quo_effects *effects)
{
    if (event->now_us >= rmw->deadline_us) {
        time_out(rmw, effects);
        rmw->over = true;
    } else if (rmw->phase == QUO_RMW_BACKOFF && event->now_us >= rmw->wake_us) {
        begin_cold(rmw, effects);
    } else if (rmw->phase == QUO_RMW_PREP) {
        quo_fetch_timer(&rmw->fetch, event->now_us);
        judge_promises(rmw, event->now_us, effects);
    }
}

/* Another proposer has ended the operation, or is out of reach. */
static void on_forwarded(struct quo_rmw *rmw, const struct quo_event *event,
                         struct quo_effects *effects)
{
    const struct quo_receipt mine = *receipt_of(rmw);
    uint8_t restarts = rmw->outcome.restarts;

    if (event->outcome == NULL) {
        rmw->sent |= event->sent;
        begin_cold(rmw, effects);
        return;
    }
    rmw->outcome = *event->outcome;
    quo_receipt_count(&rmw->outcome.restarts, restarts);
    quo_receipt_count(&receipt_of(rmw)->round_trips, mine.round_trips);
    rmw->answered = true;
    quo_effects_add(effects, QUO_EFFECT_ANSWER);
}

/* Nothing is decided any more, but who is awaited still counts, and who holds it too. */
static void after_answer(struct quo_rmw *rmw, const struct quo_event *event)
{
    quo_members late = quo_event_members(event) & quo_rmw_waiting(rmw);

    if (event->type == QUO_EVENT_TIMER)
        rmw->over = event->now_us >= rmw->deadline_us;
    if (late == 0)
        return;
    if (event->type == QUO_EVENT_REPLY)
        QUO_PROBE(LATE_REPLY);
    if (rmw->phase != QUO_RMW_ACC)
        rmw->promises.replies.unreachable |= late;
    else if (event->type == QUO_EVENT_REPLY)
        take_ack(rmw, event->member, event->reply);
    else
        rmw->acks.unreachable |= late;
}

/* Too few replicas can be reached: noticed in the accept phase, it would be on some of them by
 * then. Returns whether it has answered. */
static bool is_hopeless(struct quo_rmw *rmw, struct quo_effects *effects)
{
    struct quo_tally tally;

    quo_tally_init(&tally, rmw->plan.sets, QUO_MAX(need_promises(rmw), need_acks(rmw)));
    tally.unreachable = quo_plan_all(&rmw->plan) & (quo_members)~rmw->plan.up;
    if (quo_tally_vote(&tally) != QUO_VOTE_LOST)
        return false;
    fail(rmw, &tally, effects);
    return true;
}

static void start(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    bool may_warm = rmw->plan.kind == QUO_KIND_CAS || QUO_MUTANT(WARM_IN_MIXED);

    rmw->phase = QUO_RMW_TAG;
    if (is_over(rmw, now_us, effects) || is_hopeless(rmw, effects))
        return;
    if (may_warm && !quo_version_is_none(rmw->options.warm)) {
        rmw->warm = true;
        rmw->seen = quo_version_max(rmw->seen, rmw->options.warm);
    }
    ask_for_tag(rmw, effects);
}

void quo_rmw_init(struct quo_rmw *rmw, const struct quo_plan *plan,
                  const struct quo_rmw_options *options)
{
    memset(rmw, 0, sizeof *rmw);
    rmw->plan = *plan;
    rmw->options = *options;
    rmw->deadline_us = options->now_us + options->want.timeout_ms * UINT64_C(1000);
    rmw->round = options->first_round;
    rmw->chance = options->seed;
    rmw->first = options->first;
    rmw->seen = quo_version_max(options->seen, options->first);
    rmw->sent = options->sent;
    rmw->outcome.restarts = options->restarts;
    rmw->outcome.receipt.round_trips = options->round_trips;
    rmw->outcome.receipt.hedges = options->hedges;
    quo_fetch_reset(&rmw->fetch);
}

static void step(struct quo_rmw *rmw, const struct quo_event *event, struct quo_effects *effects)
{
    switch (event->type) {
    case QUO_EVENT_START:
        QUO_REQUIRE(rmw->phase == 0);
        start(rmw, event->now_us, effects);
        return;
    case QUO_EVENT_REPLY:
        on_reply(rmw, event, effects);
        return;
    case QUO_EVENT_UNSENT:
    case QUO_EVENT_FAILED:
        on_failed(rmw, event, effects);
        return;
    case QUO_EVENT_TIMER:
        on_timer(rmw, event, effects);
        return;
    case QUO_EVENT_TAGGED:
        QUO_REQUIRE(rmw->phase == QUO_RMW_TAG);
        begin(rmw, event, effects);
        return;
    case QUO_EVENT_APPLIED:
        QUO_REQUIRE(rmw->phase == QUO_RMW_APPLY);
        on_applied(rmw, event, effects);
        return;
    case QUO_EVENT_FORWARDED:
        QUO_REQUIRE(rmw->phase == QUO_RMW_FORWARD);
        on_forwarded(rmw, event, effects);
        return;
    case QUO_EVENT_HEDGE:
        break;
    }
    QUO_UNREACHABLE();
}

void quo_rmw_step(struct quo_rmw *rmw, const struct quo_event *event, struct quo_effects *effects)
{
    effects->count = 0;
    effects->round = rmw->round;
    if (quo_event_members(event) != 0 && event->round != rmw->round &&
        !QUO_MUTANT(OLD_ROUND_COUNTS))
        return;
    if (rmw->answered)
        after_answer(rmw, event);
    else
        step(rmw, event, effects);
}

uint64_t quo_rmw_deadline(const struct quo_rmw *rmw)
{
    if (quo_rmw_finished(rmw))
        return UINT64_MAX;
    if (rmw->answered)
        return rmw->deadline_us;
    if (rmw->phase == QUO_RMW_BACKOFF)
        return QUO_MIN(rmw->deadline_us, rmw->wake_us);
    if (rmw->phase == QUO_RMW_PREP)
        return QUO_MIN(rmw->deadline_us, quo_fetch_deadline(&rmw->fetch));
    return rmw->deadline_us;
}

quo_members quo_rmw_waiting(const struct quo_rmw *rmw)
{
    if (rmw->over)
        return 0;
    if (rmw->phase == QUO_RMW_PREP)
        return quo_query_waiting(&rmw->promises) | quo_fetch_waiting(&rmw->fetch);
    if (rmw->phase == QUO_RMW_ACC)
        return rmw->asked & (quo_members)~quo_tally_voted(&rmw->acks);
    return 0;
}

bool quo_rmw_finished(const struct quo_rmw *rmw)
{
    return rmw->answered && quo_rmw_waiting(rmw) == 0;
}
