#include "proxy/service/apply.h"

static enum quo_decision change(struct quo_service *service, struct quo_op *op,
                                const struct quo_effect *effect, const struct quo_record *base,
                                struct quo_record *ret)
{
    const struct quo_namespace *ns = quo_map_namespace_by_id(service->map, op->ns);
    struct quo_change_context context = {
        .ballot = effect->version,
        .now_ms = quo_now_ms(service),
        .first = effect->first,
        .sent = effect->sent,
        .shared = op->is_shared,
        .floor = effect->floor,
        .retention_s = ns->retention_s,
        .value_max = ns->value_max,
    };

    return quo_change_apply(service->changer, &op->change, base, &context, ret, &op->result);
}

static enum quo_decision fail(struct quo_op *op)
{
    op->no_memory = true;
    op->result = (struct quo_change_result){.code = QUO_CHANGE_NO_MEMORY};
    return QUO_DECISION_KEEP;
}

enum quo_decision quo_apply_change(struct quo_service *service, struct quo_op *op,
                                   const struct quo_effect *effect, struct quo_slice base)
{
    enum quo_decision decision = QUO_DECISION_KEEP;
    struct quo_record found, made;
    const struct quo_record *record = NULL;
    uint8_t *out;

    op->no_memory = false;
    quo_op_drop(&service->ops, op, QUO_OP_RECORD);
    if (!effect->nothing) {
        if (base.len == 0)
            return fail(op);
        QUO_INVARIANT(quo_record_decode(base, &found) == QUO_OK);
        record = &found;
    }
    if (quo_op_is_read(op))
        quo_change_identity(record, effect->version, &made);
    else
        decision = change(service, op, effect, record, &made);
    if (quo_op_make(&service->ops, op, QUO_OP_RECORD, quo_record_size(&made), &out) != QUO_OK)
        return fail(op);
    quo_record_encode(&made, out);
    return decision;
}
