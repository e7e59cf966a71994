#include "proxy/service/send.h"

#include "proxy/service/addition.h"

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
    op->asked_members |= QUO_MEMBER(effect->member);
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

    if (!reserve(service, peer, quo_msg_store_size(&store), &out))
        return false;
    quo_entry_encode(&plan->entry, entry);
    quo_msg_store_encode(&store, out);
    seal(service, peer, QUO_MESSAGE_STORE, quo_op_id(op, effect->round));
    return true;
}

static bool send_prep(struct quo_service *service, struct quo_op *op,
                      const struct quo_effect *effect)
{
    const struct quo_plan *plan = quo_coordinator_plan(&op->coordinator);
    uint16_t peer = plan->peer[effect->member];
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *out;
    struct quo_msg_prep prep = {
        .partition = op->partition,
        .ns = op->ns,
        .kind = (uint8_t)plan->kind,
        .entry = quo_slice(entry, quo_entry_size(&plan->entry)),
        .ballot = effect->version,
        .value_max = effect->value_max,
        .key = op->part[QUO_OP_KEY],
    };

    if (!reserve(service, peer, quo_msg_prep_size(&prep), &out))
        return false;
    quo_entry_encode(&plan->entry, entry);
    quo_msg_prep_encode(&prep, out);
    seal(service, peer, QUO_MESSAGE_PREP, quo_op_id(op, effect->round));
    return true;
}

static bool send_acc(struct quo_service *service, struct quo_op *op,
                     const struct quo_effect *effect, struct quo_slice record)
{
    const struct quo_plan *plan = quo_coordinator_plan(&op->coordinator);
    uint16_t peer = plan->peer[effect->member];
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *out;
    struct quo_msg_acc acc = {
        .partition = op->partition,
        .ns = op->ns,
        .kind = (uint8_t)plan->kind,
        .entry = quo_slice(entry, quo_entry_size(&plan->entry)),
        .next = effect->version,
        .key = op->part[QUO_OP_KEY],
        .record = record,
    };

    if (!reserve(service, peer, quo_msg_acc_size(&acc), &out))
        return false;
    quo_entry_encode(&plan->entry, entry);
    quo_msg_acc_encode(&acc, out);
    seal(service, peer, QUO_MESSAGE_ACC, quo_op_id(op, effect->round));
    return true;
}

static bool send_slot(struct quo_service *service, struct quo_op *op,
                      const struct quo_effect *effect)
{
    const struct quo_plan *plan = quo_coordinator_plan(&op->coordinator);
    uint16_t peer = plan->peer[effect->member];
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *out;
    struct quo_msg_slot slot = {
        .partition = op->partition,
        .ns = op->ns,
        .kind = (uint8_t)plan->kind,
        .entry = quo_slice(entry, quo_entry_size(&plan->entry)),
        .by = (uint64_t)op->change.by,
        .opid_high = quo_get_u64(op->change.opid.bytes),
        .opid_low = quo_get_u64(op->change.opid.bytes + 8),
        .since = effect->version.hlc,
        .digest = op->change.digest,
        .key = quo_addition_prefix(op),
    };

    if (!reserve(service, peer, quo_msg_slot_size(&slot), &out))
        return false;
    quo_entry_encode(&plan->entry, entry);
    quo_msg_slot_encode(&slot, out);
    seal(service, peer, QUO_MESSAGE_SLOT, quo_op_id(op, effect->round));
    return true;
}

/* The first request of a phase of consensus. */
static void note_phase(struct quo_service *service, struct quo_op *op,
                       const struct quo_effect *effect)
{
    bool is_prep = effect->type == QUO_EFFECT_PREP;

    if (op->phase_us != 0 && op->phase_round == effect->round)
        return;
    op->phase_round = effect->round;
    op->phase_us = quo_mono_us(service->env);
    op->has_prepared |= is_prep;
    if (op->is_consensus)
        quo_count(is_prep ? &service->stats.prepares : &service->stats.accepts, 1);
}

bool quo_send(struct quo_service *service, struct quo_op *op, const struct quo_effect *effect,
              struct quo_slice record)
{
    if (op->asked_round != effect->round) {
        quo_send_blame_silent(service, op);
        op->asked_round = effect->round;
    }
    switch (effect->type) {
    case QUO_EFFECT_QUERY:
        return send_query(service, op, effect);
    case QUO_EFFECT_PREP:
        note_phase(service, op, effect);
        return send_prep(service, op, effect);
    case QUO_EFFECT_SLOT:
        return send_slot(service, op, effect);
    case QUO_EFFECT_STORE:
        /* Without memory the record was not kept. */
        return record.len > 0 && send_store(service, op, effect, record);
    case QUO_EFFECT_ACC:
        note_phase(service, op, effect);
        return record.len > 0 && send_acc(service, op, effect, record);
    default:
        QUO_UNREACHABLE();
    }
}

void quo_send_blame_silent(struct quo_service *service, struct quo_op *op)
{
    uint64_t now_us = quo_mono_us(service->env);

    for (uint8_t i = 0; op->asked_members >> i != 0; i++) {
        if (op->asked[i].us == 0)
            continue;
        quo_liveness_observe_none(&service->liveness, op->asked[i].peer, now_us - op->asked[i].us);
        op->asked[i].us = 0;
    }
    op->asked_members = 0;
}
