#include "proxy/service/service.h"

#include <stdlib.h>

#include "proxy/service/drive.h"
#include "proxy/service/ready.h"
#include "proxy/service/receive.h"

#define HEDGE_MIN_DEFAULT_US 1000u

struct quo_service *quo_service_new(const struct quo_service_options *options)
{
    uint32_t max = options->ops_max != 0 ? options->ops_max : QUO_OPS_MAX;
    struct quo_service *service = calloc(1, sizeof *service);

    QUO_REQUIRE(max <= QUO_OPS_LIMIT);
    if (service == NULL)
        return NULL;
    service->env = options->env;
    service->transport = options->transport;
    service->map = options->map;
    if (quo_ops_init(&service->ops, max) != QUO_OK ||
        quo_deadlines_init(&service->deadlines, max) != QUO_OK ||
        quo_routes_init(&service->routes, options->map) != QUO_OK) {
        quo_service_free(service);
        return NULL;
    }
    quo_liveness_init(&service->liveness, options->map);
    quo_hedge_init(&service->hedge, options->hedge_percent,
                   options->hedge_min_us != 0 ? options->hedge_min_us : HEDGE_MIN_DEFAULT_US);
    quo_hlc_init(&service->clock, quo_drive_fresh_node(service));
    service->transport->receiver = service;
    service->transport->events = &quo_receive_events;
    return service;
}

void quo_service_free(struct quo_service *service)
{
    if (service == NULL)
        return;
    quo_ops_free(&service->ops);
    quo_deadlines_free(&service->deadlines);
    quo_routes_free(&service->routes);
    free(service);
}

/* Operations that only take in late replies give way to new ones. */
static bool make_room(struct quo_service *service)
{
    if (service->ops.in_use < service->ops.max)
        return true;
    if (service->ops.linger_first == NULL)
        return false;
    quo_drive_end(service, service->ops.linger_first);
    return true;
}

static enum quo_status copy_key(struct quo_service *service, struct quo_op *op,
                                struct quo_slice key)
{
    uint8_t *out;
    enum quo_status status = quo_op_make(&service->ops, op, QUO_OP_KEY, key.len, &out);

    if (status == QUO_OK)
        memcpy(out, key.data, key.len);
    return status;
}

/* The record of a write, complete but for its version. */
static enum quo_status make_record(struct quo_service *service, struct quo_op *op,
                                   const struct quo_request *request)
{
    struct quo_record record;
    uint8_t *out;

    /* Field by field: the ring is large and empty. */
    record.flags = QUO_RECORD_BLIND;
    record.version = record.hist_from = QUO_VERSION_NONE;
    record.mver = 0;
    record.ring_count = 0;
    record.content_type = request->content_type;
    record.value = request->value;
    if (request->type == QUO_REQUEST_DELETE) {
        record.flags |= QUO_RECORD_TOMBSTONE;
        record.content_type = record.value = quo_slice(NULL, 0);
    }
    enum quo_status status =
        quo_op_make(&service->ops, op, QUO_OP_RECORD, quo_record_size(&record), &out);
    if (status == QUO_OK)
        quo_record_encode(&record, out);
    return status;
}

/* How long a query phase waits before it hedges. */
static uint64_t hedge_us(const struct quo_service *service)
{
    return service->hedge.percent == 0 ? UINT64_MAX : quo_hedge_delay_us(&service->hedge);
}

static void init_coordinator(struct quo_service *service, struct quo_op *op,
                             const struct quo_request *request)
{
    struct quo_plan plan;

    quo_drive_plan(service, op->partition, request->ns, &plan);
    if (request->type == QUO_REQUEST_GET) {
        struct quo_get_options options = {
            .want = request->consistency,
            .now_us = op->started_us,
            .hedge_us = hedge_us(service),
            .spread_us = quo_hedge_typical_us(&service->hedge),
        };
        quo_coordinator_get(&op->coordinator, &plan, &options);
    } else {
        struct quo_put_options options = {
            .want = request->consistency,
            .now_us = op->started_us,
            .hedge_us = hedge_us(service),
        };
        quo_coordinator_put(&op->coordinator, &plan, &options);
    }
}

static void check_request(const struct quo_request *request)
{
    const struct quo_consistency *want = &request->consistency;
    bool is_get = request->type == QUO_REQUEST_GET;

    QUO_REQUIRE(request->key.len >= 1 && request->key.len <= QUO_KEY_MAX);
    QUO_REQUIRE(request->value.len <= QUO_VALUE_MAX);
    QUO_REQUIRE(request->content_type.len <= QUO_CONTENT_TYPE_MAX);
    QUO_REQUIRE(want->r <= want->n && want->w <= want->n && want->dw <= want->w);
    QUO_REQUIRE(is_get || want->strong ? want->r >= 1 : want->w >= 1);
    QUO_REQUIRE(want->timeout_ms >= QUO_TIMEOUT_MIN_MS && want->timeout_ms <= QUO_TIMEOUT_MAX_MS);
}

enum quo_status quo_service_submit(struct quo_service *service, const struct quo_request *request,
                                   quo_answer_fn *answer, void *context, quo_ticket *ret_ticket)
{
    bool is_get = request->type == QUO_REQUEST_GET;
    struct quo_event start = {.type = QUO_EVENT_START, .now_us = quo_mono_us(service->env)};

    check_request(request);
    if (!make_room(service)) {
        quo_count(&service->stats.overloads, 1);
        return QUO_BUSY;
    }
    struct quo_op *op = quo_ops_acquire(&service->ops);
    if (op == NULL)
        return QUO_NO_MEMORY;
    op->type = request->type;
    op->ns = request->ns->id;
    op->partition = quo_map_partition(service->map, op->ns, request->key);
    op->answer = answer;
    op->context = context;
    op->started_us = start.now_us;
    enum quo_status status = copy_key(service, op, request->key);
    if (status == QUO_OK && !is_get)
        status = make_record(service, op, request);
    if (status != QUO_OK) {
        if (status == QUO_BUSY)
            quo_count(&service->stats.overloads, 1);
        quo_ops_release(&service->ops, op);
        return status;
    }
    if (is_get || request->consistency.strong)
        quo_hedge_earn(&service->hedge);
    init_coordinator(service, op, request);
    const uint64_t ticket = quo_op_id(op, 0);
    quo_drive(service, op, &start);
    uint16_t round;
    op = quo_ops_find(&service->ops, ticket, &round);
    *ret_ticket = op != NULL && !quo_coordinator_answered(&op->coordinator) ? ticket : 0;
    return QUO_OK;
}

void quo_service_abandon(struct quo_service *service, quo_ticket ticket)
{
    uint16_t round;
    struct quo_op *op = quo_ops_find(&service->ops, ticket, &round);

    if (op == NULL || op->answer == NULL)
        return;
    op->answer = NULL;
    quo_count(&service->stats.abandoned, 1);
}

uint64_t quo_service_deadline(const struct quo_service *service)
{
    const struct quo_op *first = quo_deadlines_first(&service->deadlines);

    return first != NULL ? first->deadline_us : UINT64_MAX;
}

void quo_service_expire(struct quo_service *service, uint64_t mono_us)
{
    struct quo_event timer = {.type = QUO_EVENT_TIMER, .now_us = mono_us};

    for (;;) {
        struct quo_op *op = quo_deadlines_first(&service->deadlines);
        if (op == NULL || op->deadline_us > mono_us)
            return;
        quo_drive(service, op, &timer);
    }
}

bool quo_service_ready(const struct quo_service *service, uint32_t *ret_lacking)
{
    uint32_t lacking = quo_ready_lacking(&service->routes, &service->liveness);

    if (lacking > 0)
        *ret_lacking = lacking;
    return lacking == 0;
}

uint32_t quo_service_in_flight(const struct quo_service *service)
{
    return service->ops.in_use;
}

const struct quo_service_stats *quo_service_stats(const struct quo_service *service)
{
    return &service->stats;
}
