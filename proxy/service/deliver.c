#include "proxy/service/deliver.h"

#include "proxy/service/handed.h"
#include "quorate/testpoints.h"

static void count_change(struct quo_service *service, const struct quo_op *op,
                         const struct quo_response *response)
{
    struct quo_service_stats *stats = &service->stats;
    bool is_decided =
        response->verdict == QUO_VERDICT_WRITTEN || response->verdict == QUO_VERDICT_DECLINED;

    if (response->verdict == QUO_VERDICT_DECLINED)
        quo_count(&stats->declined, 1);
    if (op->is_warm && !op->has_prepared && is_decided)
        quo_count(&stats->warm_hits, 1);
    if (op->is_started)
        quo_count(&stats->preemptions, op->coordinator.rmw.preempted);
}

static void count_answer(struct quo_service *service, const struct quo_op *op,
                         const struct quo_outcome *outcome, const struct quo_response *response)
{
    struct quo_service_stats *stats = &service->stats;
    bool is_write = !quo_op_is_read(op);
    enum quo_level level = response->receipt.level;

    quo_count(&stats->hedges, response->receipt.hedges);
    quo_count(&stats->restarts, outcome->restarts);
    if (response->receipt.sloppy)
        quo_count(&stats->sloppy, 1);
    if (response->receipt.repaired)
        quo_count(&stats->write_backs, 1);
    if (response->receipt.is_bounded && response->receipt.bound_ms > 0)
        quo_count(&stats->bounded_alone, 1);
    if (response->outcome == QUO_UNKNOWN)
        quo_count(&stats->unknown_outcomes, 1);
    if (response->change.replayed)
        quo_count(&stats->replays, 1);
    if (response->is_consensus)
        count_change(service, op, response);
    else if (op->type == QUO_REQUEST_ADD && response->verdict == QUO_VERDICT_WRITTEN)
        quo_count(&stats->additions, 1);
    if (op->answer == NULL)
        return;
    quo_histogram_record(&stats->latency[is_write][level], response->elapsed_us);
    quo_count(&stats->verdicts[is_write][level][response->verdict], 1);
}

/* The answer needs a record that there was no memory for. */
static void be_without_memory(struct quo_response *response)
{
    response->verdict = QUO_VERDICT_REFUSED;
    response->refusal = QUO_NO_MEMORY;
}

static bool has_record(enum quo_verdict verdict, bool is_consensus)
{
    switch (verdict) {
    case QUO_VERDICT_FOUND:
    case QUO_VERDICT_ABSENT:
        return true;
    case QUO_VERDICT_WRITTEN:
    case QUO_VERDICT_DECLINED:
        return is_consensus;
    default:
        return false;
    }
}

/* An expired value is as good as deleted, to whoever asks. */
static void judge_life(struct quo_service *service, struct quo_response *response,
                       struct quo_record *record)
{
    uint64_t now_ms = quo_now_ms(service), expires_ms = quo_record_expires_ms(record);

    if (quo_record_expired(record, now_ms) && !QUO_MUTANT(EXPIRED_IS_SHOWN)) {
        quo_record_bury(record);
        quo_count(&service->stats.expired, 1);
        if (response->verdict == QUO_VERDICT_FOUND)
            response->verdict = QUO_VERDICT_ABSENT;
    } else if (expires_ms != UINT64_MAX) {
        response->left_ms = expires_ms - now_ms;
    }
}

/* The tombstone of a key that never was is no record to a write, but a read may ask for its ring.
 */
static void fill_record(struct quo_service *service, struct quo_response *response,
                        struct quo_slice bytes)
{
    struct quo_record record;

    if (!has_record(response->verdict, response->is_consensus))
        return;
    if (bytes.len == 0) {
        if (response->verdict == QUO_VERDICT_FOUND)
            be_without_memory(response);
        response->receipt.version = QUO_VERSION_NONE;
        return;
    }
    QUO_INVARIANT(quo_record_decode(bytes, &record) == QUO_OK);
    bool is_tombstone = (record.flags & QUO_RECORD_TOMBSTONE) != 0;
    bool is_read =
        response->verdict == QUO_VERDICT_FOUND || response->verdict == QUO_VERDICT_ABSENT;
    if (is_tombstone && quo_version_is_none(record.changed) && !is_read)
        return;
    /* What a read kept before it found nothing. */
    if (response->verdict == QUO_VERDICT_ABSENT && quo_version_is_none(response->receipt.version))
        return;
    judge_life(service, response, &record);
    response->record = record;
    response->receipt.version = record.changed;
}

/* What one replica shows of a kind with consensus may be under way, and come to nothing: then a
 * newer record says that the key is what it was before. A session that has seen the change is not
 * shown that. */
static void judge_session(const struct quo_op *op, struct quo_response *response)
{
    bool is_read =
        response->verdict == QUO_VERDICT_FOUND || response->verdict == QUO_VERDICT_ABSENT;

    if (is_read && op->type == QUO_REQUEST_GET && op->want.level == QUO_LEVEL_SESSION &&
        quo_version_compare(response->receipt.version, op->fresh.least) < 0 &&
        !QUO_MUTANT(SESSION_SHOWN_UNDONE) && !QUO_MUTANT(SESSION_NOT_ESCALATED))
        response->verdict = QUO_VERDICT_UNSATISFIED;
}

/* Whether an addition to a slot was found there. */
static bool was_found(const struct quo_op *op)
{
    return op->type == QUO_REQUEST_ADD && op->coordinator.put.slot.found;
}

/* The moment of submission that the operation's link names. An operation that reached no replica
 * was named by a clock that nobody has judged: were it ahead, then once that moment has come the
 * history before it would seem to hold all that there was. */
static uint64_t submission(struct quo_service *service, const struct quo_op *op)
{
    if (op->type == QUO_REQUEST_RESOLVE)
        return op->change.since;
    if (service->heard_us == 0)
        return 1;
    const uint64_t elapsed_us = quo_mono_us(service->env) - service->heard_us;
    const uint64_t latest_ms = service->heard_ms + elapsed_us / 1000 + QUO_SKEW_MAX_MS;
    return QUO_MIN(op->change.since, latest_ms << 16);
}

static void fill_change(struct quo_service *service, const struct quo_op *op,
                        struct quo_response *response)
{
    response->is_consensus = op->is_consensus;
    if (!response->is_consensus) {
        response->opid = (struct quo_opid){{0}};
        response->since = 0;
        response->change =
            (struct quo_change_result){.code = QUO_CHANGE_DONE, .replayed = was_found(op)};
        return;
    }
    response->opid = op->change.opid;
    response->since = submission(service, op);
    response->change = op->result;
    if (response->verdict == QUO_VERDICT_WRITTEN && op->result.code != QUO_CHANGE_DONE) {
        response->verdict = QUO_VERDICT_DECLINED;
        response->outcome = QUO_NOT_APPLIED;
    }
}

void quo_deliver(struct quo_service *service, struct quo_op *op, const struct quo_outcome *outcome,
                 struct quo_slice record)
{
    struct quo_response response;

    /* Field by field: the receipt is large. */
    response.verdict = outcome->verdict;
    response.outcome = outcome->effect;
    response.refusal = outcome->refusal;
    response.receipt = outcome->receipt;
    response.elapsed_us = quo_mono_us(service->env) - op->started_us;
    memset(&response.record, 0, sizeof response.record);
    response.left_ms = 0;
    fill_change(service, op, &response);
    if (op->no_memory && response.verdict != QUO_VERDICT_TIMEOUT)
        be_without_memory(&response);
    fill_record(service, &response, record);
    judge_session(op, &response);
    if (response.verdict == QUO_VERDICT_DECLINED && op->result.code == QUO_CHANGE_BOUND)
        response.receipt.version = op->result.changed;
    count_answer(service, op, outcome, &response);
    quo_bounds_note(service, op, outcome);
    quo_answer_fn *answer = op->answer;
    op->answer = NULL;
    op->is_answered = true;
    if (op->origin.is_set)
        quo_handed_answer(service, op, &response, record);
    else if (answer != NULL)
        answer(op->context, &response);
}

void quo_deliver_timeout(struct quo_service *service, struct quo_op *op)
{
    const struct quo_outcome outcome = {
        .verdict = QUO_VERDICT_TIMEOUT,
        .effect = op->origin.sent ? QUO_UNKNOWN : QUO_NOT_APPLIED,
        .receipt = {.level = op->want.level, .n = op->want.n, .need = op->want.w},
    };

    quo_deliver(service, op, &outcome, quo_slice(NULL, 0));
}
