#include "proxy/service/repair.h"

#include "proxy/service/state.h"

_Static_assert(QUO_REPAIR_RECORD_MAX <= QUO_OP_BUFFER,
               "what is kept needs no allocation of its own");

/* Those who wait for an answer come first. */
static bool is_busy(const struct quo_service *service)
{
    return service->ops.in_use > service->ops.max / 4;
}

bool quo_repair_looks_further(struct quo_service *service, const struct quo_op *op, uint64_t seed)
{
    const bool is_eventual = op->want.level < QUO_LEVEL_QUORUM;

    if (!is_eventual || (uint32_t)seed % QUO_REPAIR_CHANCE != 0 || is_busy(service))
        return false;
    quo_count(&service->stats.looks, 1);
    return true;
}

bool quo_repair_begin(struct quo_service *service, struct quo_op *op, uint64_t now_us)
{
    struct quo_repairs *repairs = &service->repairs;
    struct quo_name name = quo_name_of(service->name_seed, op->ns, op->part[QUO_OP_KEY]);
    uint64_t *until_us = &repairs->until_us[name.hash % QUO_REPAIR_SLOTS];

    QUO_REQUIRE(name.key.len > 0 && !op->is_repair);
    if (is_busy(service) || repairs->under_way >= QUO_REPAIRS_MAX || now_us < *until_us) {
        quo_count(&service->stats.repairs_shed, 1);
        return false;
    }
    *until_us = now_us + QUO_REPAIR_EVERY_MS * UINT64_C(1000);
    repairs->under_way++;
    op->is_repair = true;
    quo_count(&service->stats.repairs, 1);
    return true;
}

void quo_repair_end(struct quo_service *service, struct quo_op *op)
{
    service->repairs.under_way -= op->is_repair;
    op->is_repair = false;
}

void quo_repair_keep(struct quo_service *service, struct quo_op *op, struct quo_slice fresh)
{
    size_t size = fresh.len > 0 ? fresh.len : op->part[QUO_OP_BASE].len;
    uint8_t *out;

    if (size > QUO_REPAIR_RECORD_MAX)
        quo_op_drop(&service->ops, op, QUO_OP_BASE);
    else if (fresh.len > 0 &&
             quo_op_make(&service->ops, op, QUO_OP_BASE, fresh.len, &out) == QUO_OK)
        memcpy(out, fresh.data, fresh.len);
}
