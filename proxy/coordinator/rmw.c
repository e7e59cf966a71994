#include "proxy/coordinator/rmw_internal.h"

static void on_tagged(struct quo_rmw *rmw, const struct quo_event *event,
                      struct quo_effects *effects)
{
    rmw->ballot = rmw->warm ? rmw->options.warm : event->tag;
    if (rmw->options.piggyback && quo_rmw_may_warm(rmw))
        rmw->next = rmw->warm ? event->tag : event->next;
    if (rmw->warm)
        quo_rmw_apply(rmw, effects);
    else if (rmw->options.forward_first && !rmw->forwarded)
        quo_rmw_forward(rmw, event->now_us, effects);
    else
        quo_rmw_begin_prepare(rmw, event->now_us, effects);
}

/* Whether the record found is on as many disks as the answer claims. Of a key without record, the
 * promises have seen to it that nothing completed can come to light. */
static bool is_held(const struct quo_rmw *rmw)
{
    return quo_version_is_none(rmw->promises.newest) ||
           quo_tally_would_win(rmw->plan.sets, quo_rmw_holders(rmw), quo_rmw_need_acks(rmw)) ==
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
        quo_rmw_succeed(rmw, effects);
    } else if (rmw->warm && decision != QUO_DECISION_WRITE) {
        QUO_PROBE(WARM_LOST);
        quo_rmw_begin(rmw, effects);
    } else if (decision == QUO_DECISION_UNPROVABLE) {
        quo_rmw_answer_unknown(rmw, effects);
    } else {
        if (is_same)
            QUO_PROBE(KEEP_ACCEPTED);
        quo_rmw_begin_accept(rmw, event->now_us, effects);
    }
}

/* Promises and accepts of one ballot belong to one epoch: under another, its quorums need not meet
 * those that were prepared. */
static void on_newer_epoch(struct quo_rmw *rmw, const struct quo_event *event,
                           struct quo_effects *effects)
{
    bool is_accept = rmw->phase == QUO_RMW_ACC;

    if (!quo_rmw_awaits(rmw, event->member))
        return;
    if (is_accept)
        quo_rmw_take_ack(rmw, event->member, event->reply);
    if (!quo_rmw_may_try_again(rmw, effects))
        return;
    rmw->plan = *event->newer;
    /* What was said in the old epoch, members of the new plan have not said. */
    rmw->promises = (struct quo_query){0};
    rmw->acks = (struct quo_tally){0};
    if (rmw->warm)
        QUO_PROBE(WARM_LOST);
    if (is_accept && QUO_MUTANT(ACC_ACROSS_EPOCHS))
        quo_rmw_begin_accept(rmw, event->now_us, effects);
    else
        quo_rmw_begin(rmw, effects);
}

static void on_reply(struct quo_rmw *rmw, const struct quo_event *event,
                     struct quo_effects *effects)
{
    if (event->reply->status == QUO_WRONG_EPOCH && event->newer != NULL)
        on_newer_epoch(rmw, event, effects);
    else if (rmw->phase == QUO_RMW_PREP)
        quo_rmw_on_promise(rmw, event, effects);
    else if (rmw->phase == QUO_RMW_ACC)
        quo_rmw_on_ack(rmw, event, effects);
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
        quo_rmw_judge_acks(rmw, event->now_us, effects);
    else
        quo_rmw_judge_promises(rmw, event->now_us, effects);
}

static void on_timer(struct quo_rmw *rmw, const struct quo_event *event,
                     struct quo_effects *effects)
{
    if (event->now_us >= rmw->deadline_us) {
        quo_rmw_time_out(rmw, effects);
        rmw->over = true;
    } else if (rmw->phase == QUO_RMW_BACKOFF && event->now_us >= rmw->wake_us) {
        quo_rmw_begin(rmw, effects);
    } else if (rmw->phase == QUO_RMW_PREP) {
        quo_fetch_timer(&rmw->fetch, event->now_us);
        quo_rmw_judge_promises(rmw, event->now_us, effects);
    }
}

/* Another proposer has ended the operation, or is out of reach. */
static void on_forwarded(struct quo_rmw *rmw, const struct quo_event *event,
                         struct quo_effects *effects)
{
    uint8_t round_trips = quo_rmw_receipt(rmw)->round_trips;
    uint8_t restarts = rmw->outcome.restarts;

    if (event->outcome == NULL) {
        if (event->sent)
            quo_rmw_note_first(rmw, rmw->first_elsewhere);
        rmw->sent |= event->sent;
        quo_rmw_begin(rmw, effects);
        return;
    }
    rmw->outcome = *event->outcome;
    quo_receipt_count(&rmw->outcome.restarts, restarts);
    quo_receipt_count(&quo_rmw_receipt(rmw)->round_trips, round_trips);
    /* A failure there says nothing of the ACCs that left here. */
    if (rmw->sent && rmw->outcome.effect == QUO_NOT_APPLIED &&
        rmw->outcome.verdict != QUO_VERDICT_DECLINED) {
        rmw->outcome.verdict = QUO_VERDICT_TIMEOUT;
        rmw->outcome.effect = QUO_UNKNOWN;
    }
    rmw->answered = true;
    quo_effects_add(effects, QUO_EFFECT_ANSWER);
}

/* Nothing is decided any more, but who is awaited still counts, and who holds the record too. */
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
        quo_rmw_take_ack(rmw, event->member, event->reply);
    else
        rmw->acks.unreachable |= late;
}

/* Too few replicas can be reached: noticed in the accept phase, it would be on some of them by
 * then. Returns whether it has answered. */
static bool is_hopeless(struct quo_rmw *rmw, struct quo_effects *effects)
{
    struct quo_tally tally;

    quo_tally_init(&tally, rmw->plan.sets,
                   QUO_MAX(quo_rmw_need_promises(rmw), quo_rmw_need_acks(rmw)));
    tally.unreachable = quo_plan_all(&rmw->plan) & (quo_members)~rmw->plan.up;
    if (quo_tally_vote(&tally) != QUO_VOTE_LOST)
        return false;
    quo_rmw_fail(rmw, &tally, effects);
    return true;
}

static void start(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects)
{
    rmw->phase = QUO_RMW_TAG;
    if (quo_rmw_is_over(rmw, now_us, effects) ||
        (!rmw->options.forward_first && is_hopeless(rmw, effects)))
        return;
    rmw->warm =
        quo_rmw_may_warm(rmw) && quo_version_compare(rmw->options.warm, rmw->options.first) > 0;
    if (rmw->warm)
        rmw->seen = quo_version_max(rmw->seen, rmw->options.warm);
    quo_rmw_ask_for_tag(rmw, effects);
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
        on_tagged(rmw, event, effects);
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
    case QUO_EVENT_REPAIR:
    case QUO_EVENT_HINTED:
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
    /* Answered after APPLY: the others' promises are still on their way. */
    if (rmw->phase == QUO_RMW_PREP || (rmw->phase == QUO_RMW_APPLY && rmw->answered))
        return quo_query_waiting(&rmw->promises) | quo_fetch_waiting(&rmw->fetch);
    if (rmw->phase == QUO_RMW_ACC)
        return rmw->asked & (quo_members)~quo_tally_voted(&rmw->acks);
    return 0;
}

bool quo_rmw_finished(const struct quo_rmw *rmw)
{
    return rmw->answered && quo_rmw_waiting(rmw) == 0;
}
