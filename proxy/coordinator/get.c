#include "proxy/coordinator/get_internal.h"

#include "quorate/record.h"
#include "quorate/testpoints.h"

static struct quo_receipt *receipt_of(struct quo_get *get)
{
    return &get->outcome.receipt;
}

static void count_trip(struct quo_get *get)
{
    quo_receipt_count(&receipt_of(get)->round_trips, 1);
}

static void count_hedges(struct quo_get *get, uint8_t n)
{
    quo_receipt_count(&receipt_of(get)->hedges, n);
}

static bool is_bounded(const struct quo_get *get)
{
    return get->options.want.level == QUO_LEVEL_BOUNDED;
}

/* Whether a proof of that moment is good enough; 0: there is none. */
static bool is_within(const struct quo_get *get, uint64_t moment_us)
{
    const uint64_t bound_us = get->options.want.stale_ms * UINT64_C(1000);

    return moment_us != 0 &&
           (moment_us >= get->options.now_us || get->options.now_us - moment_us <= bound_us);
}

/* The latest moment before which no write was completed that the newest of the replies misses. */
static uint64_t proven_us(const struct quo_get *get)
{
    const struct quo_proofs *proofs = &get->options.proofs;
    const quo_members replied = get->query.replies.yes;
    uint64_t moment_us = 0;

    if (quo_tally_would_win(get->plan.sets, replied, get->plan.rs) == QUO_VOTE_WON)
        return get->options.now_us;
    if (quo_version_compare(get->query.newest, proofs->version) >= 0 ||
        QUO_MUTANT(BOUND_IGNORES_VERSION))
        moment_us = proofs->key_us;
    for (uint8_t i = 0; i < get->plan.count; i++) {
        if (quo_members_has(replied, i))
            moment_us = QUO_MAX(moment_us, proofs->member_us[i]);
    }
    return QUO_MIN(moment_us, get->options.now_us);
}

/* Whether one replica may be enough; who is known to be fresh is asked first then. */
static bool may_prove(struct quo_get *get)
{
    const struct quo_proofs *proofs = &get->options.proofs;
    struct quo_plan *plan = &get->plan;
    uint8_t first = 0;

    for (uint8_t i = 0; i < plan->count; i++) {
        const uint8_t member = plan->order[i];
        if (!quo_members_has(plan->up, member) || !is_within(get, proofs->member_us[member]))
            continue;
        memmove(plan->order + first + 1, plan->order + first, i - first);
        plan->order[first++] = member;
    }
    return first > 0 || is_within(get, proofs->key_us);
}

/* Replies that this read needs. For a move, Rs are not enough: a promise was given by Rs replicas
 * too, and where that is no majority only Ws replies are certain to show it. */
static uint8_t need_replies(const struct quo_get *get)
{
    uint8_t need = get->options.want.r;

    if (get->options.settle)
        need = QUO_MAX(need, get->plan.ws);
    if (is_bounded(get) && !get->provable)
        need = QUO_MAX(need, get->plan.rs);
    if (QUO_MUTANT(READ_QUORUM_MINUS_ONE) && get->options.want.strong && need > 1)
        need--;
    return need;
}

/* Replies of one version that make it unnecessary to write it back. Rs of them would not do: with
 * Rs < Ws they say nothing about a write quorum [T3]. At level all, it is on all of them. */
static uint8_t need_agreeing(const struct quo_get *get)
{
    uint8_t need = QUO_MAX(get->plan.rs, get->options.want.w);

    if (QUO_MUTANT(FAST_READ_RS_ONLY))
        need = get->plan.rs;
    if (QUO_MUTANT(READ_QUORUM_MINUS_ONE) && need > 1)
        need--;
    return need;
}

/* Replicas that are known to have the newest version on disk. */
static quo_members durable_holders(const struct quo_get *get)
{
    quo_members holders = quo_query_holders(&get->query, get->query.newest);

    return QUO_MUTANT(NON_DURABLE_COUNTS) ? holders : holders & get->query.durable;
}

static void fill_receipt(struct quo_get *get)
{
    struct quo_receipt *receipt = receipt_of(get);
    quo_members replied = get->query.replies.yes;
    quo_members holders = quo_version_is_none(get->query.newest)
                              ? 0
                              : quo_query_holders(&get->query, get->query.newest);
    quo_members disk = holders & get->query.durable;

    if (get->phase == QUO_GET_WRITE_BACK) {
        holders |= get->held.yes;
        disk |= get->held.yes;
    }
    receipt->level = get->options.want.level;
    receipt->n = get->plan.n;
    receipt->epoch = get->plan.entry.epoch;
    receipt->replies = 0;
    for (uint8_t i = 0; i < get->plan.count; i++) {
        if (quo_members_has(replied, i))
            quo_plan_answered(&get->plan, i, receipt);
    }
    receipt->acks = QUO_MUTANT(RECEIPT_OVERCLAIMS) ? get->plan.n : quo_members_count(holders);
    receipt->disk = QUO_MUTANT(RECEIPT_OVERCLAIMS) ? get->plan.n : quo_members_count(disk);
    receipt->stable = quo_tally_would_win(get->plan.sets, disk, get->plan.ws) == QUO_VOTE_WON;
}

/* Whole milliseconds, none of them left out. */
static void state_bound(struct quo_get *get)
{
    const uint64_t age_us = get->options.now_us - proven_us(get);

    receipt_of(get)->is_bounded = true;
    receipt_of(get)->bound_ms = (uint32_t)QUO_MIN((age_us + 999) / 1000, QUO_STALE_MAX_MS);
}

static void answer(struct quo_get *get, enum quo_verdict verdict, struct quo_effects *effects)
{
    QUO_INVARIANT(!get->answered);
    get->answered = true;
    quo_fetch_reset(&get->fetch);
    get->outcome.verdict = verdict;
    get->outcome.effect = QUO_NOT_APPLIED;
    fill_receipt(get);
    const bool is_read = verdict == QUO_VERDICT_FOUND || verdict == QUO_VERDICT_ABSENT;
    if (is_read)
        receipt_of(get)->version = get->query.newest;
    if (is_read && is_bounded(get))
        state_bound(get);
    quo_effects_add(effects, QUO_EFFECT_ANSWER);
    if (!get->options.want.strong && !get->options.settle && is_read)
        quo_get_listen(get, effects);
}

/* The quorum of `tally` is out of reach. */
static void fail(struct quo_get *get, const struct quo_tally *tally, struct quo_effects *effects)
{
    enum quo_verdict verdict = quo_tally_blame(tally);

    receipt_of(get)->need = tally->need;
    if (verdict == QUO_VERDICT_REFUSED)
        get->outcome.refusal = tally->refusal;
    answer(get, verdict, effects);
}

static void begin_query(struct quo_get *get, uint64_t now_us, struct quo_effects *effects)
{
    get->provable = is_bounded(get) && may_prove(get);
    struct quo_query_options options = {
        .need = need_replies(get),
        .value_max_first = UINT32_MAX,
        .value_max = QUO_INLINE_VALUE_MAX,
        .now_us = now_us,
        .deadline_us = get->deadline_us,
        .hedge_us = get->options.hedge_us,
    };

    get->phase = QUO_GET_QUERY;
    get->round++;
    effects->round = get->round;
    get->spread = false;
    get->widened = false;
    quo_fetch_reset(&get->fetch);
    receipt_of(get)->need = options.need;
    count_trip(get);
    quo_query_begin(&get->query, &get->plan, &options, effects);
}

static void restart(struct quo_get *get, uint64_t now_us, struct quo_effects *effects)
{
    if (get->outcome.restarts >= QUO_ATTEMPTS_MAX) {
        answer(get, QUO_VERDICT_TIMEOUT, effects);
        return;
    }
    get->outcome.restarts++;
    begin_query(get, now_us, effects);
}

/* Whether the record of the newest version is at hand. If not, it is on its way, or the read starts
 * again since nobody is left who would hand it out. */
static bool has_bytes(struct quo_get *get, uint64_t now_us, struct quo_effects *effects)
{
    if (quo_fetch_is_done(&get->fetch, &get->query))
        return true;
    switch (
        quo_fetch_ask(&get->fetch, &get->query, &get->plan, now_us, get->deadline_us, effects)) {
    case QUO_FETCH_ASKED:
        count_trip(get);
        QUO_PROBE(READ_FETCHED_VALUE);
        break;
    case QUO_FETCH_AWAITED:
        break;
    case QUO_FETCH_IMPOSSIBLE:
        restart(get, now_us, effects);
        break;
    }
    return false;
}

static void answer_kept(struct quo_get *get, struct quo_effects *effects)
{
    bool is_deleted = (get->fetch.kept_flags & QUO_RECORD_TOMBSTONE) != 0;

    answer(get, is_deleted ? QUO_VERDICT_ABSENT : QUO_VERDICT_FOUND, effects);
}

void quo_get_pass_on(const struct quo_get *get, struct quo_effects *effects)
{
    bool is_blind = (get->fetch.kept_flags & QUO_RECORD_BLIND) != 0;

    for (uint8_t i = 0; i < get->plan.count; i++) {
        uint8_t member = get->plan.order[i];
        if (!quo_members_has(get->written_back, member))
            continue;
        struct quo_effect *effect =
            quo_effects_add(effects, is_blind ? QUO_EFFECT_STORE : QUO_EFFECT_ACC);
        effect->member = member;
        effect->flags = is_blind ? QUO_STORE_SYNC | QUO_STORE_WRITEBACK : 0;
    }
}

static void begin_write_back(struct quo_get *get, struct quo_effects *effects)
{
    QUO_PROBE(READ_WRITE_BACK);
    quo_tally_init(&get->held, get->plan.sets, get->options.want.w);
    get->held.yes = durable_holders(get);
    get->written_back = quo_tally_lacking(&get->held);
    get->phase = QUO_GET_WRITE_BACK;
    get->round++;
    effects->round = get->round;
    receipt_of(get)->repaired = true;
    count_trip(get);
    quo_get_pass_on(get, effects);
}

static bool held_by(const struct quo_get *get, uint8_t need)
{
    return quo_tally_would_win(get->plan.sets, durable_holders(get), need) == QUO_VOTE_WON;
}

/* Whether the other replicas' replies may still save the write-back: asks them, once, and waits. */
static bool may_yet_agree(struct quo_get *get, uint64_t now_us, struct quo_effects *effects)
{
    if (!get->spread) {
        get->spread = true;
        get->spread_until = QUO_MIN(now_us + get->options.spread_us, get->deadline_us);
        if (quo_query_rest(&get->query, &get->plan, effects) > 0)
            count_trip(get);
    }
    return now_us < get->spread_until && quo_query_waiting(&get->query) != 0;
}

/* Whether somebody lacks the newest record, and a floor that is above it keeps it from being passed
 * on to there. */
static bool is_gated(const struct quo_get *get)
{
    quo_members holders = quo_query_holders(&get->query, get->query.newest);

    return quo_version_compare(get->query.floor, get->query.newest) >= 0 &&
           (get->query.replies.yes & (quo_members)~holders) != 0 &&
           !QUO_MUTANT(SETTLE_IGNORES_FLOOR);
}

/* Only kinds with consensus can have a promise above a record. A ballot that was promised in the
 * old epoch, and nowhere accepted, may still be accepted once its promise is forgotten: a move
 * leaves it none. */
static bool must_settle(const struct quo_get *get)
{
    bool is_promised = quo_version_compare(get->query.promised, get->query.newest) > 0 &&
                       !QUO_MUTANT(SETTLE_IGNORES_PROMISE);

    return get->options.settle && (is_promised || is_gated(get));
}

/* Whether what the replies show is as new as what the session has seen. */
static bool is_fresh(const struct quo_get *get)
{
    const struct quo_freshness *fresh = &get->options.fresh;
    const uint64_t low = QUO_MAX(fresh->low_firm, fresh->low_weak);
    struct quo_version newest = get->query.newest;

    if (QUO_MUTANT(SESSION_NOT_ESCALATED))
        return true;
    if (!quo_version_is_none(fresh->least))
        return quo_version_compare(newest, fresh->least) >= 0;
    if (low == 0 || newest.hlc > low)
        return true;
    /* A version that is not on a write quorum may be on any single replica. */
    if (fresh->low_weak != 0 && newest.hlc <= fresh->low_weak)
        return (quo_plan_all(&get->plan) & (quo_members)~get->query.replies.yes) == 0;
    return quo_tally_would_win(get->plan.sets, get->query.replies.yes, get->plan.rs) ==
           QUO_VOTE_WON;
}

/* Who was asked has not got it: asks everybody else, once. */
static void widen(struct quo_get *get, struct quo_effects *effects)
{
    if (!get->widened) {
        get->widened = true;
        if (quo_query_rest(&get->query, &get->plan, effects) > 0)
            count_trip(get);
    }
    if (quo_query_waiting(&get->query) == 0)
        answer(get, QUO_VERDICT_UNSATISFIED, effects);
}

/* Whether the bound can be kept with what the replies show. */
static bool keeps_bound(const struct quo_get *get)
{
    return !is_bounded(get) || is_within(get, proven_us(get)) || QUO_MUTANT(BOUND_NOT_PROVEN);
}

/* Nothing proves how fresh what is shown is: a quorum does. */
static void ask_quorum(struct quo_get *get, struct quo_effects *effects)
{
    QUO_PROBE(READ_BOUND_ESCALATED);
    get->widened = true;
    receipt_of(get)->need = QUO_MAX(get->options.want.r, get->plan.rs);
    if (quo_query_raise(&get->query, &get->plan, receipt_of(get)->need, effects) > 0)
        count_trip(get);
}

/* Enough replies are in: what do they say? */
static void decide(struct quo_get *get, uint64_t now_us, struct quo_effects *effects)
{
    enum quo_vote vote = quo_tally_vote(&get->query.replies);

    /* Somebody who was asked at first may yet prove the bound. */
    if (get->widened && is_bounded(get) && keeps_bound(get))
        vote = QUO_VOTE_WON;
    if (vote == QUO_VOTE_LOST)
        fail(get, &get->query.replies, effects);
    if (vote != QUO_VOTE_WON)
        return;
    if (must_settle(get)) {
        get->turned = true;
        return;
    }
    if (!is_fresh(get)) {
        widen(get, effects);
        return;
    }
    if (!keeps_bound(get)) {
        ask_quorum(get, effects);
        return;
    }
    /* No completed write can exist: it would have met this quorum. */
    if (quo_version_is_none(get->query.newest)) {
        answer(get, QUO_VERDICT_ABSENT, effects);
        return;
    }
    bool done =
        !get->options.want.strong || held_by(get, need_agreeing(get)) || QUO_MUTANT(NO_WRITE_BACK);
    if (!done && may_yet_agree(get, now_us, effects))
        return;
    if (!has_bytes(get, now_us, effects))
        return;
    /* Where Ws < Rs, what a write-back aims at may be there already. */
    if (done || held_by(get, get->options.want.w))
        answer_kept(get, effects);
    else
        begin_write_back(get, effects);
}

static void on_query_reply(struct quo_get *get, const struct quo_event *event,
                           struct quo_effects *effects)
{
    const struct quo_msg_reply *reply = event->reply;
    bool is_fetch = quo_members_has(quo_fetch_waiting(&get->fetch), event->member);
    bool is_first = quo_members_has(quo_query_waiting(&get->query), event->member);
    bool is_something = reply->status == QUO_OK && !quo_version_is_none(reply->version);
    bool has_value = (reply->flags & QUO_REPLY_VALUE) != 0;

    /* Who has replied before can only bring the bytes, be it later than we were ready to wait;
     * without them it is the first reply once more. */
    if (!is_first && !has_value && (!is_fetch || is_something))
        return;
    bool is_answer = quo_query_reply(&get->query, &get->plan, event->member, reply, effects);
    if (is_answer)
        quo_fetch_keep(&get->fetch, &get->query, reply, effects);
    if (is_fetch)
        quo_fetch_end(&get->fetch, is_answer);
    decide(get, event->now_us, effects);
}

static void query_failed(struct quo_get *get, uint8_t member, struct quo_effects *effects)
{
    if (quo_members_has(quo_fetch_waiting(&get->fetch), member))
        quo_fetch_end(&get->fetch, false);
    else
        quo_query_failed(&get->query, &get->plan, member, effects);
}

static void judge_write_back(struct quo_get *get, struct quo_effects *effects)
{
    enum quo_vote vote = quo_tally_vote(&get->held);

    if (vote == QUO_VOTE_WON)
        answer_kept(get, effects);
    else if (vote == QUO_VOTE_LOST)
        fail(get, &get->held, effects);
}

/* What to do about a write-back that must not be. */
static void on_write_back_refused(struct quo_get *get, enum quo_status why,
                                  const struct quo_event *event, struct quo_effects *effects)
{
    bool is_shared = get->plan.kind == QUO_KIND_CAS || get->plan.kind == QUO_KIND_MIXED;

    if (why == QUO_NACK && is_shared) {
        get->query.seen = quo_version_max(get->query.seen, quo_query_highest(event->reply));
        get->turned = true;
        return;
    }
    QUO_PROBE(READ_RESTARTED);
    restart(get, event->now_us, effects);
}

static void on_write_back_reply(struct quo_get *get, const struct quo_event *event,
                                struct quo_effects *effects)
{
    enum quo_status status = (enum quo_status)event->reply->status;
    bool durable = (event->reply->flags & QUO_REPLY_DURABLE) != 0;

    if (!quo_members_has(quo_get_waiting(get), event->member))
        return;
    if (QUO_MUTANT(SUPERSEDED_NOT_RESTARTED) && status == QUO_SUPERSEDED)
        status = QUO_OK;
    /* Something newer is there, maybe already returned by another reader [T2]; or our version may
     * no longer be stored at all. */
    if (status == QUO_SUPERSEDED || status == QUO_NACK) {
        on_write_back_refused(get, status, event, effects);
        return;
    }
    if (status == QUO_OK && (durable || QUO_MUTANT(NON_DURABLE_COUNTS)))
        quo_tally_yes(&get->held, event->member);
    else
        quo_tally_refused(&get->held, event->member, status == QUO_OK ? QUO_IO_ERROR : status);
    judge_write_back(get, effects);
}

static void on_reply(struct quo_get *get, const struct quo_event *event,
                     struct quo_effects *effects)
{
    if (event->reply->status == QUO_WRONG_EPOCH && event->newer != NULL) {
        if (get->outcome.restarts < QUO_ATTEMPTS_MAX)
            get->plan = *event->newer;
        /* What is known of members was known of those of the old plan. */
        memset(get->options.proofs.member_us, 0, sizeof get->options.proofs.member_us);
        restart(get, event->now_us, effects);
    } else if (get->phase == QUO_GET_QUERY) {
        on_query_reply(get, event, effects);
    } else {
        on_write_back_reply(get, event, effects);
    }
}

/* No reply will come from these. */
static void on_failed(struct quo_get *get, quo_members members, uint64_t now_us,
                      struct quo_effects *effects)
{
    members &= quo_get_waiting(get);
    if (members == 0)
        return;
    for (uint8_t i = 0; i < get->plan.count; i++) {
        if (!quo_members_has(members, i))
            continue;
        if (get->phase == QUO_GET_QUERY)
            query_failed(get, i, effects);
        else
            quo_tally_unreachable(&get->held, i);
    }
    if (get->phase == QUO_GET_QUERY)
        decide(get, now_us, effects);
    else
        judge_write_back(get, effects);
}

/* Nothing is decided any more, but who is awaited still counts. */
static void after_answer(struct quo_get *get, const struct quo_event *event)
{
    struct quo_tally *tally = get->phase == QUO_GET_QUERY ? &get->query.replies : &get->held;
    quo_members gone = quo_event_members(event) & quo_get_waiting(get);

    if (event->type == QUO_EVENT_TIMER)
        get->over = event->now_us >= get->deadline_us;
    if (event->type == QUO_EVENT_REPLY && gone != 0)
        QUO_PROBE(LATE_REPLY);
    tally->unreachable |= gone;
}

static void on_timer(struct quo_get *get, const struct quo_event *event,
                     struct quo_effects *effects)
{
    if (event->now_us >= get->deadline_us) {
        get->over = true;
        answer(get, get->widened && !is_fresh(get) ? QUO_VERDICT_UNSATISFIED : QUO_VERDICT_TIMEOUT,
               effects);
        return;
    }
    if (get->phase != QUO_GET_QUERY)
        return;
    count_hedges(get, quo_query_timer(&get->query, &get->plan, event->now_us, effects));
    quo_fetch_timer(&get->fetch, event->now_us);
    decide(get, event->now_us, effects);
}

static void on_hedge(struct quo_get *get, const struct quo_event *event,
                     struct quo_effects *effects)
{
    if (get->phase != QUO_GET_QUERY ||
        !quo_query_hedge(&get->query, &get->plan, event->now_us, effects))
        return;
    QUO_PROBE(READ_HEDGED);
    count_hedges(get, 1);
}

void quo_get_init(struct quo_get *get, const struct quo_plan *plan,
                  const struct quo_get_options *options)
{
    memset(get, 0, sizeof *get);
    get->plan = *plan;
    get->options = *options;
    get->deadline_us = options->now_us + options->want.timeout_ms * UINT64_C(1000);
    quo_fetch_reset(&get->fetch);
}

void quo_get_step(struct quo_get *get, const struct quo_event *event, struct quo_effects *effects)
{
    QUO_REQUIRE(!get->turned);
    effects->count = 0;
    effects->round = get->round;
    if (quo_event_members(event) != 0 && event->round != get->round &&
        !QUO_MUTANT(OLD_ROUND_COUNTS))
        return;
    if (get->answered) {
        if (get->phase >= QUO_GET_LISTEN)
            quo_get_listen_step(get, event, effects);
        else
            after_answer(get, event);
        return;
    }
    switch (event->type) {
    case QUO_EVENT_START:
        QUO_REQUIRE(get->round == 0);
        begin_query(get, event->now_us, effects);
        /* A set that is smaller than the quorum. */
        decide(get, event->now_us, effects);
        return;
    case QUO_EVENT_REPLY:
        on_reply(get, event, effects);
        return;
    case QUO_EVENT_UNSENT:
    case QUO_EVENT_FAILED:
        on_failed(get, quo_event_members(event), event->now_us, effects);
        return;
    case QUO_EVENT_TIMER:
        on_timer(get, event, effects);
        return;
    case QUO_EVENT_HEDGE:
        on_hedge(get, event, effects);
        return;
    case QUO_EVENT_TAGGED:
    case QUO_EVENT_APPLIED:
    case QUO_EVENT_FORWARDED:
    case QUO_EVENT_REPAIR:
    case QUO_EVENT_HINTED:
        break;
    }
    QUO_UNREACHABLE();
}

uint64_t quo_get_deadline(const struct quo_get *get)
{
    if (quo_get_finished(get))
        return UINT64_MAX;
    if (get->phase == QUO_GET_FETCH)
        return QUO_MIN(get->deadline_us, quo_fetch_deadline(&get->fetch));
    if (get->answered || get->phase != QUO_GET_QUERY)
        return get->deadline_us;
    uint64_t deadline = QUO_MIN(get->deadline_us, quo_query_deadline(&get->query, &get->plan));
    if (quo_fetch_waiting(&get->fetch) != 0)
        deadline = QUO_MIN(deadline, quo_fetch_deadline(&get->fetch));
    else if (get->spread)
        deadline = QUO_MIN(deadline, get->spread_until);
    return deadline;
}

quo_members quo_get_waiting(const struct quo_get *get)
{
    if (get->over)
        return 0;
    switch (get->phase) {
    case QUO_GET_WRITE_BACK:
    case QUO_GET_REPAIR:
        return get->written_back & (quo_members)~quo_tally_voted(&get->held);
    case QUO_GET_OFFER:
        return 0;
    case QUO_GET_FETCH:
        return quo_fetch_waiting(&get->fetch);
    case QUO_GET_QUERY:
    case QUO_GET_LISTEN:
        break;
    }
    return quo_query_waiting(&get->query) | quo_fetch_waiting(&get->fetch);
}

bool quo_get_finished(const struct quo_get *get)
{
    return get->answered && quo_get_waiting(get) == 0;
}

bool quo_get_listens(const struct quo_get *get)
{
    return (get->phase == QUO_GET_LISTEN || get->phase == QUO_GET_FETCH) && !quo_get_finished(get);
}
