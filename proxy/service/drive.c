#include "proxy/service/drive.h"

/* Every so many plans the slow replicas are tried in their turn, to see whether they still are. */
#define PROBE_SLOW_EVERY 64u

/* What the effects of one event left to do. */
struct agenda {
    quo_members unsent; /* could not be sent in round `unsent_round` */
    uint16_t unsent_round;
    bool has_tag;
    struct quo_version tag;
    bool hedge;
    bool answer;
    struct quo_slice fresh; /* the record to keep, still in the transport's frame; empty: none */
};

void quo_drive_plan(struct quo_service *service, uint16_t partition, const struct quo_namespace *ns,
                    struct quo_plan *ret)
{
    struct quo_health health[QUO_MEMBERS_MAX];
    uint32_t rotation = service->rotation++;
    bool trust_latency = rotation % PROBE_SLOW_EVERY != 0;

    quo_plan_init(ret, quo_routes_entry(&service->routes, partition), ns);
    for (uint8_t i = 0; i < ret->count; i++) {
        int index = quo_liveness_find(&service->liveness, ret->replica[i]);
        QUO_INVARIANT(index >= 0);
        ret->peer[i] = (uint16_t)index;
        const struct quo_peer *its = &service->liveness.peers[index];
        health[i] = (struct quo_health){its->up, trust_latency ? its->latency_us : 0};
    }
    quo_plan_order(ret, health, rotation);
}

uint64_t quo_drive_fresh_node(struct quo_service *service)
{
    uint64_t node = quo_random(service->env);

    while (node == 0 || node == service->clock.node)
        node = quo_random(service->env);
    return node;
}

static bool reserve(struct quo_service *service, uint16_t peer, size_t size, uint8_t **ret)
{
    struct quo_transport *t = service->transport;

    return t->ops->reserve(t, peer, size, ret) == QUO_OK;
}

static void seal(struct quo_service *service, uint16_t peer, uint8_t type, uint64_t id)
{
    service->transport->ops->seal(service->transport, peer, type, id);
}

static bool send_query(struct quo_service *service, struct quo_op *op,
                       const struct quo_effect *effect)
{
    const struct quo_plan *plan = quo_coordinator_plan(&op->coordinator);
    uint16_t peer = plan->peer[effect->member];
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *out;
    struct quo_msg_query query = {
        .partition = op->partition,
        .ns = op->ns,
        .kind = (uint8_t)plan->kind,
        .entry = quo_slice(entry, quo_entry_size(&plan->entry)),
        .value_max = effect->value_max,
        .key = op->part[QUO_OP_KEY],
    };

    if (!reserve(service, peer, quo_msg_query_size(&query), &out))
        return false;
    quo_entry_encode(&plan->entry, entry);
    quo_msg_query_encode(&query, out);
    seal(service, peer, QUO_MESSAGE_QUERY, quo_op_id(op, effect->round));
    op->asked[effect->member].us = quo_mono_us(service->env);
    op->asked[effect->member].peer = peer;
    return true;
}

static bool send_store(struct quo_service *service, struct quo_op *op,
                       const struct quo_effect *effect, struct quo_slice record)
{
    const struct quo_plan *plan = quo_coordinator_plan(&op->coordinator);
    uint16_t peer = plan->peer[effect->member];
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *out;
    struct quo_msg_store store = {
        .partition = op->partition,
        .ns = op->ns,
        .kind = (uint8_t)plan->kind,
        .entry = quo_slice(entry, quo_entry_size(&plan->entry)),
        .flags = effect->flags,
        .key = op->part[QUO_OP_KEY],
        .record = record,
    };

    /* A record that there was no memory to keep. */
    if (record.len == 0)
        return false;
    if (!reserve(service, peer, quo_msg_store_size(&store), &out))
        return false;
    quo_entry_encode(&plan->entry, entry);
    quo_msg_store_encode(&store, out);
    seal(service, peer, QUO_MESSAGE_STORE, quo_op_id(op, effect->round));
    return true;
}

/* Whoever still owes a reply to this round's queries is at least this slow. */
static void blame_silent(struct quo_service *service, struct quo_op *op)
{
    uint64_t now_us = quo_mono_us(service->env);

    for (uint8_t i = 0; i < QUO_MEMBERS_MAX; i++) {
        if (op->asked[i].us == 0)
            continue;
        quo_liveness_observe_none(&service->liveness, op->asked[i].peer, now_us - op->asked[i].us);
        op->asked[i].us = 0;
    }
}

static void send_effect(struct quo_service *service, struct quo_op *op,
                        const struct quo_effect *effect, struct agenda *agenda)
{
    if (op->asked_round != effect->round) {
        blame_silent(service, op);
        op->asked_round = effect->round;
    }
    struct quo_slice record = agenda->fresh.len > 0 ? agenda->fresh : op->part[QUO_OP_RECORD];
    bool sent = effect->type == QUO_EFFECT_QUERY ? send_query(service, op, effect)
                                                 : send_store(service, op, effect, record);

    if (sent)
        return;
    /* Failures of a round that is over mean nothing any more. */
    if (agenda->unsent_round != effect->round)
        agenda->unsent = 0;
    agenda->unsent_round = effect->round;
    agenda->unsent |= QUO_MEMBER(effect->member);
}

/* Other operations' versions may have been refused at the same time: one correction serves them
 * all. */
static void correct_clock(struct quo_service *service, const struct quo_effect *effect)
{
    if (effect->version.node != service->clock.node)
        return;
    quo_hlc_correct(&service->clock, effect->clock_ms, quo_mono_us(service->env),
                    quo_drive_fresh_node(service));
}

static void make_tag(struct quo_service *service, struct quo_op *op,
                     const struct quo_effect *effect, struct agenda *agenda)
{
    struct quo_slice record = op->part[QUO_OP_RECORD];

    agenda->has_tag = true;
    agenda->tag = quo_hlc_tick(&service->clock, effect->version, quo_wall_ms(service->env),
                               quo_mono_us(service->env));
    /* The record is this operation's own, made by quo_service_submit. */
    quo_record_set_version((uint8_t *)(uintptr_t)record.data, agenda->tag);
}

static void perform(struct quo_service *service, struct quo_op *op, const struct quo_event *event,
                    const struct quo_effects *effects, struct agenda *agenda)
{
    for (uint8_t i = 0; i < effects->count; i++) {
        const struct quo_effect *effect = &effects->list[i];
        switch (effect->type) {
        case QUO_EFFECT_QUERY:
        case QUO_EFFECT_STORE:
            send_effect(service, op, effect, agenda);
            break;
        case QUO_EFFECT_KEEP:
            agenda->fresh = event->reply->record;
            break;
        case QUO_EFFECT_HEDGE:
            agenda->hedge = quo_hedge_take(&service->hedge);
            break;
        case QUO_EFFECT_CORRECT_CLOCK:
            correct_clock(service, effect);
            break;
        case QUO_EFFECT_TAG:
            make_tag(service, op, effect, agenda);
            break;
        case QUO_EFFECT_ANSWER:
            agenda->answer = true;
            break;
        }
    }
}

/* The next event that effects brought. Returns false when there is none. */
static bool follow_up(struct agenda *agenda, uint64_t now_us, struct quo_event *ret)
{
    *ret = (struct quo_event){.now_us = now_us};
    if (agenda->has_tag) {
        agenda->has_tag = false;
        ret->type = QUO_EVENT_TAGGED;
        ret->tag = agenda->tag;
    } else if (agenda->unsent != 0) {
        ret->type = QUO_EVENT_UNSENT;
        ret->round = agenda->unsent_round;
        ret->members = agenda->unsent;
        agenda->unsent = 0;
    } else if (agenda->hedge) {
        agenda->hedge = false;
        ret->type = QUO_EVENT_HEDGE;
    } else {
        return false;
    }
    return true;
}

static void count_answer(struct quo_service *service, const struct quo_op *op,
                         const struct quo_response *response)
{
    struct quo_service_stats *stats = &service->stats;
    const struct quo_outcome *outcome = quo_coordinator_outcome(&op->coordinator);
    bool is_write = op->type != QUO_REQUEST_GET;
    enum quo_level level = response->receipt.level;

    quo_count(&stats->hedges, response->receipt.hedges);
    quo_count(&stats->restarts, outcome->restarts);
    if (response->receipt.repaired)
        quo_count(&stats->write_backs, 1);
    if (response->outcome == QUO_UNKNOWN)
        quo_count(&stats->unknown_outcomes, 1);
    if (op->answer == NULL)
        return;
    quo_histogram_record(&stats->latency[is_write][level], response->elapsed_us);
    quo_count(&stats->verdicts[is_write][level][response->verdict], 1);
}

static void deliver(struct quo_service *service, struct quo_op *op, struct quo_slice record)
{
    const struct quo_outcome *outcome = quo_coordinator_outcome(&op->coordinator);
    struct quo_response response;

    /* Field by field: the record is large and mostly not needed. */
    response.verdict = outcome->verdict;
    response.outcome = outcome->effect;
    response.refusal = outcome->refusal;
    response.receipt = outcome->receipt;
    response.elapsed_us = quo_mono_us(service->env) - op->started_us;
    if (outcome->verdict != QUO_VERDICT_FOUND) {
        memset(&response.record, 0, sizeof response.record);
    } else if (record.len == 0) {
        memset(&response.record, 0, sizeof response.record);
        response.verdict = QUO_VERDICT_REFUSED;
        response.refusal = QUO_NO_MEMORY;
    } else {
        QUO_INVARIANT(quo_record_decode(record, &response.record) == QUO_OK);
    }
    count_answer(service, op, &response);
    quo_answer_fn *answer = op->answer;
    op->answer = NULL;
    if (answer != NULL)
        answer(op->context, &response);
}

static void keep(struct quo_service *service, struct quo_op *op, struct quo_slice record)
{
    uint8_t *out;

    /* Without room the part stays empty, which send_store and deliver take as a failure. */
    if (quo_op_make(&service->ops, op, QUO_OP_RECORD, record.len, &out) == QUO_OK)
        memcpy(out, record.data, record.len);
}

static void settle(struct quo_service *service, struct quo_op *op, const struct agenda *agenda)
{
    if (agenda->answer) {
        deliver(service, op, agenda->fresh.len > 0 ? agenda->fresh : op->part[QUO_OP_RECORD]);
        /* Nothing is sent any more. */
        quo_op_drop(&service->ops, op, QUO_OP_KEY);
        quo_op_drop(&service->ops, op, QUO_OP_RECORD);
    } else if (agenda->fresh.len > 0 && !quo_coordinator_answered(&op->coordinator)) {
        keep(service, op, agenda->fresh);
    }
    if (quo_coordinator_finished(&op->coordinator)) {
        quo_drive_end(service, op);
        return;
    }
    if (quo_coordinator_answered(&op->coordinator))
        quo_ops_linger(&service->ops, op);
    quo_deadlines_set(&service->deadlines, op, quo_coordinator_deadline(&op->coordinator));
}

void quo_drive(struct quo_service *service, struct quo_op *op, const struct quo_event *event)
{
    struct agenda agenda = {0};
    struct quo_effects effects;
    struct quo_event next = *event;

    do {
        quo_coordinator_step(&op->coordinator, &next, &effects);
        perform(service, op, &next, &effects, &agenda);
    } while (follow_up(&agenda, event->now_us, &next));
    settle(service, op, &agenda);
}

void quo_drive_end(struct quo_service *service, struct quo_op *op)
{
    blame_silent(service, op);
    quo_deadlines_set(&service->deadlines, op, UINT64_MAX);
    quo_ops_release(&service->ops, op);
}
