#include "proxy/service/start.h"

#include "proxy/service/addition.h"
#include "proxy/service/deliver.h"
#include "proxy/service/drive.h"
#include "proxy/service/forward.h"
#include "proxy/service/proposer.h"
#include "proxy/service/repair.h"
#include "quorate/testpoints.h"

/* How long a query phase waits before it hedges. */
static uint64_t hedge_us(const struct quo_service *service)
{
    return service->hedge.percent == 0 ? UINT64_MAX : quo_hedge_delay_us(&service->hedge);
}

static void init_get(struct quo_service *service, struct quo_op *op, const struct quo_plan *plan)
{
    const uint64_t seed = quo_random(service->env);
    struct quo_get_options options = {
        .want = op->want,
        .now_us = op->started_us,
        .hedge_us = hedge_us(service),
        .spread_us = quo_hedge_typical_us(&service->hedge),
        .seed = seed,
        .settle = op->type == QUO_REQUEST_SETTLE,
        .fresh = op->fresh,
        .look_further = quo_repair_looks_further(service, op, seed),
    };

    if (op->want.level == QUO_LEVEL_BOUNDED)
        quo_bounds_find(service, op, plan, &options.proofs);
    quo_coordinator_get(&op->coordinator, plan, &options);
}

static void init_put(struct quo_service *service, struct quo_op *op, const struct quo_plan *plan)
{
    struct quo_put_options options = {
        .want = op->want,
        .now_us = op->started_us,
        .fallbacks =
            op->want.sloppy ? quo_hinter_fallbacks(service, op->partition)->count : (uint8_t)0,
        .hedge_us = hedge_us(service),
        .above = op->above,
        .adds = op->type == QUO_REQUEST_ADD,
        .key_hash = quo_addition_key_hash(op),
        .is_new = op->naming != QUO_NAMED_BY_KEY,
        .version = op->version,
    };

    quo_coordinator_put(&op->coordinator, plan, &options);
}

static bool keep_warm_record(struct quo_service *service, struct quo_op *op,
                             struct quo_slice record)
{
    uint8_t *out;

    if (quo_op_make(&service->ops, op, QUO_OP_BASE, record.len, &out) != QUO_OK)
        return false;
    memcpy(out, record.data, record.len);
    return true;
}

/* The promise that the last write of this key left behind, if it can be used; otherwise none.
 *
 * It is older than the operation. What names its submission must be at or below every ballot of it:
 * of ours it follows, of another proposer's, who told its client maybe, it cannot. */
static struct quo_version take_warm(struct quo_service *service, struct quo_op *op,
                                    const struct quo_plan *plan)
{
    struct quo_warm_start start;

    if (op->forward.route != QUO_ROUTE_HERE || op->origin.sent ||
        !quo_warm_take(&service->warm, &op->name, plan->entry.epoch, quo_mono_us(service->env),
                       &start))
        return QUO_VERSION_NONE;
    if (op->origin.is_set && quo_version_compare(start.ballot, op->origin.first) <= 0)
        return QUO_VERSION_NONE;
    if (start.ballot.hlc <= op->above)
        return QUO_VERSION_NONE;
    if (start.ballot.hlc <= op->change.since) {
        if (op->origin.is_set || op->type == QUO_REQUEST_RESOLVE)
            return QUO_VERSION_NONE;
        op->change.since = start.ballot.hlc;
    }
    if (!keep_warm_record(service, op, start.record))
        return QUO_VERSION_NONE;
    op->is_warm = true;
    quo_count(&service->stats.warm_starts, 1);
    return start.ballot;
}

static void init_rmw(struct quo_service *service, struct quo_op *op, const struct quo_plan *plan)
{
    struct quo_rmw_options options = {
        .purpose = QUO_RMW_WRITE,
        .want = op->want,
        .now_us = op->started_us,
        .round_trip_us = quo_hedge_typical_us(&service->phases),
        .seed = quo_random(service->env),
        .seen = quo_op_above(op),
        .dated = quo_opid_is_keyed(&op->change.opid),
        .first = op->origin.first,
        .sent = op->origin.sent,
        .may_forward = quo_proposer_may_change(service, op),
        .forward_first = op->forward.route != QUO_ROUTE_HERE,
        .warm = take_warm(service, op, plan),
        .piggyback = true,
    };

    quo_coordinator_rmw(&op->coordinator, plan, &options);
}

static void start(struct quo_service *service, struct quo_op *op)
{
    struct quo_event event = {.type = QUO_EVENT_START, .now_us = quo_mono_us(service->env)};
    struct quo_plan plan;

    quo_drive_plan(service, op->partition, quo_map_namespace_by_id(service->map, op->ns), &plan);
    if (quo_op_is_read(op))
        init_get(service, op, &plan);
    else if (op->is_consensus)
        init_rmw(service, op, &plan);
    else
        init_put(service, op, &plan);
    op->is_started = true;
    quo_drive(service, op, &event);
}

static void wait_for_turn(struct quo_service *service, struct quo_op *op)
{
    QUO_PROBE(RMW_QUEUED);
    quo_count(&service->stats.queued, 1);
    quo_deadlines_set(&service->deadlines, op,
                      op->started_us + op->want.timeout_ms * UINT64_C(1000));
}

enum quo_status quo_start(struct quo_service *service, struct quo_op *op)
{
    if (op->is_consensus) {
        op->forward.route = quo_proposer_route(service, op);
        /* Elsewhere it waits there. */
        enum quo_status status =
            op->forward.route == QUO_ROUTE_HERE ? quo_queue_join(&service->queue, op) : QUO_OK;
        if (status != QUO_OK)
            return status;
    }
    if (op->turn.state == QUO_TURN_WAITS)
        wait_for_turn(service, op);
    else
        start(service, op);
    return QUO_OK;
}

/* Its turn has come. */
static void take_turn(struct quo_service *service, struct quo_op *op)
{
    if (op->is_started) {
        quo_forward_go_on(service, op);
        return;
    }
    /* The one before it may have learned that the key is elsewhere. */
    op->forward.route = quo_proposer_route(service, op);
    if (op->forward.route != QUO_ROUTE_HERE)
        quo_queue_leave(&service->queue, op);
    start(service, op);
}

void quo_start_pass_on(struct quo_service *service, struct quo_op *op)
{
    quo_queue_leave(&service->queue, op);
}

void quo_start_ready(struct quo_service *service)
{
    struct quo_op *op;

    /* One that ends at once makes the next one ready: that is for the loop that runs already. */
    if (service->is_starting)
        return;
    service->is_starting = true;
    while ((op = quo_queue_ready(&service->queue)) != NULL)
        take_turn(service, op);
    service->is_starting = false;
}

void quo_start_give_up(struct quo_service *service, struct quo_op *op)
{
    QUO_REQUIRE(op->turn.state == QUO_TURN_WAITS);
    quo_queue_leave(&service->queue, op);
    quo_deliver_timeout(service, op);
    quo_drive_end(service, op);
}
