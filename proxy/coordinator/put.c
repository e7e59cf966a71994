#include "proxy/coordinator/put_internal.h"

#include "proxy/coordinator/put_hints.h"
#include "quorate/testpoints.h"

static struct quo_receipt *receipt_of(struct quo_put *put)
{
    return &put->outcome.receipt;
}

static void count_hedges(struct quo_put *put, uint8_t n)
{
    quo_receipt_count(&receipt_of(put)->hedges, n);
}

static uint8_t one_less_if_mutant(const struct quo_put *put, uint8_t need)
{
    return QUO_MUTANT(WRITE_QUORUM_MINUS_ONE) && put->options.want.strong && need > 1
               ? (uint8_t)(need - 1)
               : need;
}

/* Whether the version may be, or may yet come, on some replica. */
static bool may_have_effect(const struct quo_put *put)
{
    if (put->phase == QUO_PUT_SLOT)
        return put->touched || put->maybe != 0 || quo_put_waiting(put) != 0;
    if (put->phase != QUO_PUT_STORE)
        return put->touched;
    if (quo_put_may_be_hinted(put))
        return true;
    if (QUO_MUTANT(SILENCE_IS_REFUSAL))
        return put->touched || put->acks.yes != 0;
    return put->touched || put->acks.yes != 0 || put->maybe != 0 || quo_put_waiting(put) != 0;
}

static void fill_answered(struct quo_put *put, quo_members replied)
{
    struct quo_receipt *receipt = receipt_of(put);

    receipt->replies = 0;
    for (uint8_t i = 0; i < put->plan.count; i++) {
        if (quo_members_has(replied, i))
            quo_plan_answered(&put->plan, i, receipt);
    }
}

static void fill_receipt(struct quo_put *put)
{
    struct quo_receipt *receipt = receipt_of(put);

    receipt->level = put->options.want.level;
    receipt->n = put->plan.n;
    receipt->epoch = put->plan.entry.epoch;
    receipt->version = put->phase == QUO_PUT_SLOT ? QUO_VERSION_NONE : put->tag;
    if (put->phase != QUO_PUT_STORE) {
        receipt->need = put->phase == QUO_PUT_QUERY ? put->options.want.r : put->options.want.w;
        fill_answered(put, put->phase == QUO_PUT_SLOT ? put->acks.refused : put->query.replies.yes);
        return;
    }
    receipt->need = put->options.want.w;
    fill_answered(put, put->acks.yes | put->acks.refused);
    receipt->acks = quo_members_count(put->acks.yes);
    receipt->disk = quo_members_count(put->disk.yes);
    receipt->hints = quo_members_count(put->hints.kept);
    receipt->sloppy = put->hints.kept != 0 && (quo_tally_vote(&put->acks) != QUO_VOTE_WON ||
                                               quo_tally_vote(&put->disk) != QUO_VOTE_WON);
    receipt->superseded = put->superseded;
    receipt->stable =
        quo_tally_would_win(put->plan.sets, put->disk.yes, put->plan.ws) == QUO_VOTE_WON;
    if (QUO_MUTANT(RECEIPT_OVERCLAIMS))
        receipt->replies = receipt->acks = receipt->disk = put->plan.n;
}

void quo_put_answer(struct quo_put *put, enum quo_verdict verdict, enum quo_effectuality effect,
                    struct quo_effects *effects)
{
    QUO_INVARIANT(!put->answered);
    put->outcome.verdict = verdict;
    put->outcome.effect = effect;
    fill_receipt(put);
    put->answered = true;
    if (effect == QUO_UNKNOWN)
        QUO_PROBE(WRITE_UNKNOWN);
    else if (effect == QUO_NOT_APPLIED)
        QUO_PROBE(WRITE_NOT_APPLIED);
    quo_effects_add(effects, QUO_EFFECT_ANSWER);
}

/* The quorum of `tally` is out of reach. */
static void fail(struct quo_put *put, const struct quo_tally *tally, struct quo_effects *effects)
{
    enum quo_verdict verdict = quo_tally_blame(tally);

    if (verdict == QUO_VERDICT_REFUSED)
        put->outcome.refusal = tally->refusal;
    if (may_have_effect(put))
        quo_put_answer(put, QUO_VERDICT_TIMEOUT, QUO_UNKNOWN, effects);
    else
        quo_put_answer(put, verdict, QUO_NOT_APPLIED, effects);
}

static void time_out(struct quo_put *put, struct quo_effects *effects)
{
    quo_put_answer(put, QUO_VERDICT_TIMEOUT, may_have_effect(put) ? QUO_UNKNOWN : QUO_NOT_APPLIED,
                   effects);
}

bool quo_put_may_try_again(struct quo_put *put, struct quo_effects *effects)
{
    if (put->outcome.restarts >= QUO_ATTEMPTS_MAX) {
        time_out(put, effects);
        return false;
    }
    put->outcome.restarts++;
    return true;
}

void quo_put_next_round(struct quo_put *put, struct quo_effects *effects)
{
    put->round++;
    effects->round = put->round;
    quo_receipt_count(&receipt_of(put)->round_trips, 1);
}

static void ask_for_tag(struct quo_put *put, struct quo_effects *effects)
{
    put->phase = QUO_PUT_TAG;
    if (!quo_version_is_none(put->options.version)) {
        put->tag = put->options.version;
        quo_put_begin_store(put, effects);
        return;
    }
    quo_effects_add(effects, QUO_EFFECT_TAG)->version = put->seen;
}

static void judge_query(struct quo_put *put, struct quo_effects *effects)
{
    enum quo_vote vote = quo_tally_vote(&put->query.replies);

    if (vote == QUO_VOTE_LOST) {
        fail(put, &put->query.replies, effects);
    } else if (vote == QUO_VOTE_WON) {
        put->seen = quo_version_max(put->seen, put->query.seen);
        put->promised |= !quo_version_is_none(put->query.promised);
        ask_for_tag(put, effects);
    }
}

static void begin_query(struct quo_put *put, uint64_t now_us, struct quo_effects *effects)
{
    struct quo_query_options options = {
        .need = put->options.want.r,
        .now_us = now_us,
        .deadline_us = put->deadline_us,
        .hedge_us = put->options.hedge_us,
    };

    put->phase = QUO_PUT_QUERY;
    quo_put_next_round(put, effects);
    quo_query_begin(&put->query, &put->plan, &options, effects);
    /* A set that is smaller than the quorum. */
    judge_query(put, effects);
}

void quo_put_init_tallies(struct quo_put *put)
{
    quo_tally_init(&put->acks, put->plan.sets, one_less_if_mutant(put, put->options.want.w));
    quo_tally_init(&put->disk, put->plan.sets, one_less_if_mutant(put, put->options.want.dw));
    put->sent = 0;
    put->maybe = 0;
    put->superseded = false;
    put->clocks.behind = 0;
    put->hints.asked = put->hints.kept = put->hints.failed = put->hints.final = 0;
}

static void take_ack(struct quo_put *put, uint8_t member, bool durable)
{
    quo_tally_yes(&put->acks, member);
    if (durable || QUO_MUTANT(NON_DURABLE_COUNTS))
        quo_tally_yes(&put->disk, member);
    else
        quo_tally_refused(&put->disk, member, QUO_IO_ERROR);
}

static bool is_done(const struct quo_put *put)
{
    return quo_tally_vote(&put->acks) == QUO_VOTE_WON && quo_tally_vote(&put->disk) == QUO_VOTE_WON;
}

static void send_store(struct quo_put *put, uint8_t member, struct quo_effects *effects)
{
    struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_STORE);

    effect->member = member;
    effect->flags = put->options.want.dw > 0 ? QUO_STORE_SYNC : 0;
    if (put->options.adds)
        effect->flags |= QUO_STORE_WRITEBACK;
}

void quo_put_begin_store(struct quo_put *put, struct quo_effects *effects)
{
    quo_put_init_tallies(put);
    put->phase = QUO_PUT_STORE;
    quo_put_next_round(put, effects);
    put->sent = quo_plan_all(&put->plan);
    for (uint8_t i = 0; i < put->plan.count; i++) {
        const uint8_t member = put->plan.order[i];
        /* A slot's own replica has it on disk. */
        if (put->slot.replica != 0 && put->plan.replica[member] == put->slot.replica)
            take_ack(put, member, true);
        else
            send_store(put, member, effects);
    }
    if (is_done(put)) {
        /* The others get it too, but nobody waits for them. */
        receipt_of(put)->round_trips--;
        quo_put_answer(put, QUO_VERDICT_WRITTEN, QUO_APPLIED, effects);
    }
}

/* Too few replicas can be reached: noticed in the store phase, it would be on some of them by then.
 * Returns whether it has answered. */
static bool is_hopeless(struct quo_put *put, struct quo_effects *effects)
{
    struct quo_tally tally;

    quo_tally_init(&tally, put->plan.sets, put->options.want.w);
    tally.unreachable = quo_plan_all(&put->plan) & (quo_members)~put->plan.up;
    if (put->options.want.sloppy)
        tally.unreachable = quo_put_homeless(put, tally.unreachable);
    if (quo_tally_vote(&tally) != QUO_VOTE_LOST)
        return false;
    fail(put, &tally, effects);
    return true;
}

static void start(struct quo_put *put, uint64_t now_us, struct quo_effects *effects)
{
    put->phase = QUO_PUT_TAG;
    if (is_hopeless(put, effects))
        return;
    if (put->options.want.strong && !put->options.is_new && !QUO_MUTANT(NO_QUERY_PHASE))
        begin_query(put, now_us, effects);
    else
        ask_for_tag(put, effects);
}

/* Every replica refused the version as too far ahead of its clock, or never got it: nothing took
 * effect, and another version may be tried. Returns whether it did so. */
bool quo_put_try_other_clock(struct quo_put *put, struct quo_effects *effects)
{
    uint64_t clock_ms;

    if (!quo_version_is_none(put->options.version) ||
        (may_have_effect(put) && !QUO_MUTANT(RETAG_AFTER_SKEW)) ||
        !quo_clocks_choose(&put->clocks, put->options.want.w, put->seen, &clock_ms))
        return false;
    if (!quo_put_may_try_again(put, effects))
        return true;
    struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_CORRECT_CLOCK);
    effect->clock_ms = clock_ms;
    effect->version = put->tag;
    put->tag = QUO_VERSION_NONE;
    ask_for_tag(put, effects);
    return true;
}

/* Whether waiting for the others is worth it although the quorum is lost: while all that came are
 * refusals, the rest may make it certain that nothing happened. */
static bool may_yet_be_certain(const struct quo_put *put)
{
    return !put->touched && put->acks.yes == 0 && put->maybe == 0 && put->acks.refused != 0 &&
           !quo_put_may_be_hinted(put) && quo_put_waiting(put) != 0;
}

static void judge_store(struct quo_put *put, struct quo_effects *effects)
{
    enum quo_vote acks = quo_put_vote(put, &put->acks);
    enum quo_vote disk = quo_put_vote(put, &put->disk);

    if (acks == QUO_VOTE_WON && disk == QUO_VOTE_WON) {
        quo_put_answer(put, QUO_VERDICT_WRITTEN, QUO_APPLIED, effects);
        return;
    }
    if ((acks != QUO_VOTE_LOST && disk != QUO_VOTE_LOST) || may_yet_be_certain(put))
        return;
    if (quo_put_try_other_clock(put, effects))
        return;
    if (QUO_MUTANT(RETAG_AFTER_NACK) && put->acks.refusal == QUO_NACK) {
        if (quo_put_may_try_again(put, effects))
            ask_for_tag(put, effects);
        return;
    }
    fail(put, acks == QUO_VOTE_LOST ? &put->acks : &put->disk, effects);
}

static void take_refusal(struct quo_put *put, const struct quo_event *event)
{
    enum quo_status status = (enum quo_status)event->reply->status;

    quo_tally_refused(&put->acks, event->member, status);
    quo_tally_refused(&put->disk, event->member, status);
    if (!quo_tally_is_proof(status))
        put->maybe |= QUO_MEMBER(event->member);
    if (!quo_put_is_hintable(status))
        put->hints.final |= QUO_MEMBER(event->member);
    if (status == QUO_SKEW)
        quo_clocks_take(&put->clocks, event->member, put->tag, event->reply->now_ms);
    if (QUO_MUTANT(RETAG_AFTER_NACK)) {
        put->seen = quo_version_max(put->seen, event->reply->promised);
        put->seen = quo_version_max(put->seen, event->reply->floor);
    }
}

static void take_store_reply(struct quo_put *put, const struct quo_event *event)
{
    const struct quo_msg_reply *reply = event->reply;

    if (reply->status != QUO_OK && reply->status != QUO_SUPERSEDED) {
        take_refusal(put, event);
        return;
    }
    /* What is newer in a slot has the addition in it. */
    put->superseded |= reply->status == QUO_SUPERSEDED && !put->options.adds;
    take_ack(put, event->member, (reply->flags & QUO_REPLY_DURABLE) != 0);
}

/* Whether the same version may be sent again under a newer entry. Not if consensus shares the key:
 * a ballot of the old epoch may have been decided on without it. */
static bool may_resend(const struct quo_put *put)
{
    bool blind_only = put->plan.kind == QUO_KIND_LWW || put->plan.kind == QUO_KIND_CRDT;

    return !put->options.want.strong || (blind_only && !put->promised);
}

static void resend(struct quo_put *put, const struct quo_plan *newer, struct quo_effects *effects)
{
    if (!quo_put_may_try_again(put, effects))
        return;
    /* Whoever refused did nothing; of all others the old round can no longer tell. */
    put->touched = may_have_effect(put);
    put->plan = *newer;
    if (QUO_MUTANT(RETAG_AFTER_EPOCH))
        ask_for_tag(put, effects);
    else
        quo_put_begin_store(put, effects);
}

static void on_store_reply(struct quo_put *put, const struct quo_event *event,
                           struct quo_effects *effects)
{
    const struct quo_msg_reply *reply = event->reply;

    put->promised |= !quo_version_is_none(reply->promised);
    take_store_reply(put, event);
    if (reply->status == QUO_WRONG_EPOCH && event->newer != NULL && may_resend(put)) {
        resend(put, event->newer, effects);
        return;
    }
    quo_put_hint_now(put, put->acks.refused, effects);
    judge_store(put, effects);
}

static void on_query_reply(struct quo_put *put, const struct quo_event *event,
                           struct quo_effects *effects)
{
    if (event->reply->status == QUO_WRONG_EPOCH && event->newer != NULL) {
        if (!quo_put_may_try_again(put, effects))
            return;
        put->plan = *event->newer;
        begin_query(put, event->now_us, effects);
        return;
    }
    quo_query_reply(&put->query, &put->plan, event->member, event->reply, effects);
    judge_query(put, effects);
}

static void on_reply(struct quo_put *put, const struct quo_event *event,
                     struct quo_effects *effects)
{
    if (!quo_members_has(quo_put_waiting(put), event->member))
        return;
    if (put->phase == QUO_PUT_QUERY)
        on_query_reply(put, event, effects);
    else if (put->phase == QUO_PUT_SLOT)
        quo_put_slot_reply(put, event, effects);
    else
        on_store_reply(put, event, effects);
}

/* No reply will come from these. */
static void on_failed(struct quo_put *put, const struct quo_event *event,
                      struct quo_effects *effects)
{
    quo_members members = quo_event_members(event) & quo_put_waiting(put);

    if (members == 0)
        return;
    if (put->phase == QUO_PUT_SLOT) {
        quo_put_slot_failed(put, event, effects);
        return;
    }
    if (put->phase == QUO_PUT_STORE && event->type == QUO_EVENT_FAILED)
        put->maybe |= members;
    for (uint8_t i = 0; i < put->plan.count; i++) {
        if (!quo_members_has(members, i))
            continue;
        if (put->phase == QUO_PUT_QUERY) {
            quo_query_failed(&put->query, &put->plan, i, effects);
        } else {
            quo_tally_unreachable(&put->acks, i);
            quo_tally_unreachable(&put->disk, i);
        }
    }
    if (put->phase == QUO_PUT_QUERY) {
        judge_query(put, effects);
        return;
    }
    quo_put_hint_now(put, put->acks.unreachable, effects);
    judge_store(put, effects);
}

static void on_hinted(struct quo_put *put, const struct quo_event *event,
                      struct quo_effects *effects)
{
    if (quo_put_take_hinted(put, event) && !put->answered)
        judge_store(put, effects);
}

/* Nothing is decided any more, but who is awaited still counts, and who holds it too. */
static void after_answer(struct quo_put *put, const struct quo_event *event)
{
    quo_members late = quo_event_members(event) & quo_put_waiting(put);

    if (event->type == QUO_EVENT_TIMER)
        put->over = event->now_us >= put->deadline_us;
    if (late == 0)
        return;
    if (event->type == QUO_EVENT_REPLY)
        QUO_PROBE(LATE_REPLY);
    if (put->phase == QUO_PUT_QUERY)
        put->query.replies.unreachable |= late;
    else if (event->type == QUO_EVENT_REPLY)
        take_store_reply(put, event);
    else
        put->acks.unreachable |= late;
}

static void on_timer(struct quo_put *put, const struct quo_event *event,
                     struct quo_effects *effects)
{
    if (event->now_us >= put->deadline_us) {
        time_out(put, effects);
        put->over = true;
        return;
    }
    if (put->phase == QUO_PUT_QUERY)
        count_hedges(put, quo_query_timer(&put->query, &put->plan, event->now_us, effects));
    else if (event->now_us >= quo_put_hint_deadline(put))
        quo_put_hint_silent(put, effects);
}

void quo_put_init(struct quo_put *put, const struct quo_plan *plan,
                  const struct quo_put_options *options)
{
    memset(put, 0, sizeof *put);
    put->plan = *plan;
    put->options = *options;
    if (options->above != 0 && !QUO_MUTANT(SESSION_WRITE_BELOW))
        put->seen = (struct quo_version){options->above, UINT64_MAX};
    put->deadline_us = options->now_us + options->want.timeout_ms * UINT64_C(1000);
}

static void step(struct quo_put *put, const struct quo_event *event, struct quo_effects *effects)
{
    switch (event->type) {
    case QUO_EVENT_START:
        QUO_REQUIRE(put->phase == 0);
        start(put, event->now_us, effects);
        return;
    case QUO_EVENT_REPLY:
        on_reply(put, event, effects);
        return;
    case QUO_EVENT_UNSENT:
    case QUO_EVENT_FAILED:
        on_failed(put, event, effects);
        return;
    case QUO_EVENT_TIMER:
        on_timer(put, event, effects);
        return;
    case QUO_EVENT_HEDGE:
        if (put->phase == QUO_PUT_QUERY)
            count_hedges(put, quo_query_hedge(&put->query, &put->plan, event->now_us, effects));
        return;
    case QUO_EVENT_TAGGED:
        QUO_REQUIRE(put->phase == QUO_PUT_TAG);
        put->tag = event->tag;
        if (put->options.adds && put->slot.replica == 0)
            quo_put_begin_slot(put, effects);
        else
            quo_put_begin_store(put, effects);
        return;
    case QUO_EVENT_HINTED:
        on_hinted(put, event, effects);
        return;
    case QUO_EVENT_APPLIED:
    case QUO_EVENT_FORWARDED:
    case QUO_EVENT_REPAIR:
        break;
    }
    QUO_UNREACHABLE();
}

void quo_put_step(struct quo_put *put, const struct quo_event *event, struct quo_effects *effects)
{
    effects->count = 0;
    effects->round = put->round;
    if (quo_event_members(event) != 0 && event->round != put->round &&
        !QUO_MUTANT(OLD_ROUND_COUNTS))
        return;
    if (put->answered && event->type == QUO_EVENT_HINTED)
        on_hinted(put, event, effects);
    else if (put->answered)
        after_answer(put, event);
    else
        step(put, event, effects);
    if (put->answered && quo_put_waiting(put) == 0)
        quo_put_hint_rest(put, effects);
}

uint64_t quo_put_deadline(const struct quo_put *put)
{
    if (quo_put_finished(put))
        return UINT64_MAX;
    if (!put->answered && put->phase == QUO_PUT_STORE)
        return QUO_MIN(put->deadline_us, quo_put_hint_deadline(put));
    if (put->answered || put->phase != QUO_PUT_QUERY)
        return put->deadline_us;
    return QUO_MIN(put->deadline_us, quo_query_deadline(&put->query, &put->plan));
}

quo_members quo_put_waiting(const struct quo_put *put)
{
    if (put->over || put->phase == 0 || put->phase == QUO_PUT_TAG)
        return 0;
    if (put->phase == QUO_PUT_QUERY)
        return quo_query_waiting(&put->query);
    return put->sent & (quo_members)~quo_tally_voted(&put->acks);
}

bool quo_put_finished(const struct quo_put *put)
{
    return put->answered && quo_put_waiting(put) == 0 && (put->over || quo_put_hinting(put) == 0);
}
