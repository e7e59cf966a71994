#include "proxy/service/submit.h"

#include "proxy/service/addition.h"
#include "proxy/service/drive.h"
#include "proxy/service/start.h"

static void check_request(const struct quo_request *request)
{
    const struct quo_consistency *want = &request->consistency;
    bool is_read = request->type == QUO_REQUEST_GET || request->type == QUO_REQUEST_SETTLE;
    bool is_plain = request->type == QUO_REQUEST_PUT || request->type == QUO_REQUEST_DELETE;

    QUO_REQUIRE(request->key.len >= 1 && request->key.len <= QUO_KEY_MAX);
    QUO_REQUIRE(quo_collection_fits(quo_collection_ns(0, request->collection), request->ns->kind));
    QUO_REQUIRE(request->naming == QUO_NAMED_BY_KEY ||
                (request->collection != QUO_COLLECTION_NONE && request->type == QUO_REQUEST_PUT));
    QUO_REQUIRE((request->naming == QUO_NAMED_SO) != quo_version_is_none(request->version));
    QUO_REQUIRE(request->value.len <= QUO_VALUE_MAX);
    QUO_REQUIRE(request->content_type.len <= QUO_CONTENT_TYPE_MAX);
    QUO_REQUIRE(request->ttl_ms <= QUO_TTL_MAX_MS);
    QUO_REQUIRE(request->tag_count <= QUO_CONDITIONS_MAX);
    bool adds = request->type == QUO_REQUEST_ADD && request->collection == QUO_COLLECTION_COUNTER;
    QUO_REQUIRE(is_read || is_plain || adds || quo_request_is_consensus(request));
    QUO_REQUIRE(!adds || quo_addition_may_be(request));
    QUO_REQUIRE(request->type != QUO_REQUEST_SETTLE || want->strong);
    QUO_REQUIRE(want->r <= want->n && want->w <= want->n && want->dw <= want->w);
    QUO_REQUIRE(is_read || want->strong ? want->r >= 1 : want->w >= 1);
    QUO_REQUIRE(want->timeout_ms >= QUO_TIMEOUT_MIN_MS && want->timeout_ms <= QUO_TIMEOUT_MAX_MS);
}

/* Operations that only take in late replies give way to new ones. */
static bool make_room(struct quo_service *service)
{
    if (service->ops.in_use < service->ops.max)
        return true;
    if (service->ops.linger_first == NULL)
        return false;
    quo_drive_give_up(service, service->ops.linger_first);
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

/* The record of a blind write, complete but for its version. */
static enum quo_status make_record(struct quo_service *service, struct quo_op *op,
                                   const struct quo_request *request)
{
    struct quo_record record = {.flags = QUO_RECORD_BLIND, .version = request->version};
    uint8_t *out;

    if (request->type == QUO_REQUEST_DELETE) {
        record.flags |= QUO_RECORD_TOMBSTONE;
    } else {
        record.content_type = request->content_type;
        record.value = request->value;
        record.ttl_ms = request->ttl_ms;
        record.flags |= request->ttl_ms != 0 ? QUO_RECORD_EXPIRES : 0;
    }
    enum quo_status status =
        quo_op_make(&service->ops, op, QUO_OP_RECORD, quo_record_size(&record), &out);
    if (status == QUO_OK)
        quo_record_encode(&record, out);
    return status;
}

static enum quo_change_type change_type(enum quo_request_type type)
{
    switch (type) {
    case QUO_REQUEST_PUT:
        return QUO_CHANGE_PUT;
    case QUO_REQUEST_DELETE:
        return QUO_CHANGE_DELETE;
    case QUO_REQUEST_PATCH:
        return QUO_CHANGE_PATCH;
    case QUO_REQUEST_ADD:
        return QUO_CHANGE_ADD;
    case QUO_REQUEST_RESOLVE:
        return QUO_CHANGE_RESOLVE;
    case QUO_REQUEST_GET:
    case QUO_REQUEST_SETTLE:
        break;
    }
    QUO_UNREACHABLE();
}

/* An operation is named once, by whoever it was submitted to. */
static void name_operation(struct quo_service *service, struct quo_op *op,
                           const struct quo_request *request, bool is_handed)
{
    const uint64_t now = quo_tick(service, QUO_VERSION_NONE).hlc;
    bool is_named = is_handed || request->type == QUO_REQUEST_RESOLVE;

    op->clock_node = service->clock.node;
    op->change.since = is_named ? request->since : now;
    op->change.opid = is_named || request->has_opid ? request->opid
                                                    : quo_opid_make(now, quo_random(service->env));
}

/* Content type and value share a part. */
static enum quo_status copy_request(struct quo_service *service, struct quo_op *op,
                                    const struct quo_request *request)
{
    struct quo_slice type = request->content_type, value = request->value;
    uint8_t *out;

    op->change.content_type = op->change.value = quo_slice(NULL, 0);
    if (type.len + value.len == 0)
        return QUO_OK;
    enum quo_status status =
        quo_op_make(&service->ops, op, QUO_OP_REQUEST, type.len + value.len, &out);
    if (status != QUO_OK)
        return status;
    if (type.len > 0)
        memcpy(out, type.data, type.len);
    if (value.len > 0)
        memcpy(out + type.len, value.data, value.len);
    op->change.content_type = quo_slice(out, type.len);
    op->change.value = quo_slice(out + type.len, value.len);
    return QUO_OK;
}

static enum quo_status make_change(struct quo_service *service, struct quo_op *op,
                                   const struct quo_request *request, bool is_handed)
{
    struct quo_change *change = &op->change;

    change->type = change_type(request->type);
    change->condition = request->condition;
    change->tag_count = request->tag_count;
    memcpy(change->tags, request->tags, request->tag_count * sizeof *request->tags);
    change->digest = request->digest;
    change->ttl_ms = request->ttl_ms;
    change->by = request->by;
    change->min = request->min;
    change->max = request->max;
    change->has_min = request->has_min;
    change->has_max = request->has_max;
    name_operation(service, op, request, is_handed);
    op->name = quo_name_of(service->name_seed, op->ns, op->part[QUO_OP_KEY]);
    op->result = (struct quo_change_result){.code = QUO_CHANGE_DONE};
    return copy_request(service, op, request);
}

/* What goes through consensus is strong, whatever less was asked for. */
static struct quo_consistency consensus_want(const struct quo_request *request)
{
    struct quo_consistency want = request->consistency;

    want.strong = true;
    want.level = QUO_MAX(want.level, QUO_LEVEL_STRONG);
    want.r = QUO_MAX(want.r, request->ns->rs);
    want.w = QUO_MAX(want.w, request->ns->ws);
    want.dw = want.w;
    return want;
}

static enum quo_status make_parts(struct quo_service *service, struct quo_op *op,
                                  const struct quo_request *request, bool is_handed)
{
    if (request->type == QUO_REQUEST_ADD && !op->is_consensus)
        return quo_addition_make(service, op, request);
    enum quo_status status = copy_key(service, op, request->key);

    if (status != QUO_OK || quo_op_is_read(op))
        return status;
    return op->is_consensus ? make_change(service, op, request, is_handed)
                            : make_record(service, op, request);
}

static void fill(struct quo_service *service, struct quo_op *op, const struct quo_request *request,
                 const struct quo_handed *handed)
{
    op->type = request->type;
    op->is_consensus = handed != NULL || quo_request_is_consensus(request);
    op->ns = quo_collection_ns(request->ns->id, request->collection);
    op->partition = quo_map_partition(service->map, op->ns, request->key);
    op->started_us = quo_mono_us(service->env);
    op->want = op->is_consensus ? consensus_want(request) : request->consistency;
    op->fresh = request->fresh;
    op->above = request->above;
    op->naming = request->naming;
    op->version = request->version;
    if (handed == NULL)
        return;
    op->origin.is_set = true;
    op->origin.hops = handed->hops;
    op->is_shared = handed->hops > 0;
    op->origin.sent = handed->sent;
    op->origin.first = handed->first;
    op->origin.peer = handed->peer;
    op->origin.id = handed->id;
}

/* A clock that followed it would be of no use to anybody else. */
static bool is_ahead(const struct quo_service *service, const struct quo_request *request)
{
    uint64_t now = QUO_MAX(quo_wall_ms(service->env), service->clock.last >> 16);

    return request->above >> 16 > now + QUO_SKEW_MAX_MS;
}

/* The ticket of an operation that was just started; 0 if it is answered. */
static quo_ticket still_open(const struct quo_service *service, quo_ticket ticket)
{
    uint16_t round;
    const struct quo_op *op = quo_ops_find(&service->ops, ticket, &round);

    return op != NULL && !op->is_answered ? ticket : 0;
}

enum quo_status quo_submit(struct quo_service *service, const struct quo_request *request,
                           const struct quo_handed *handed, quo_answer_fn *answer, void *context,
                           quo_ticket *ret_ticket)
{
    enum quo_status status = QUO_BUSY;

    check_request(request);
    if (is_ahead(service, request))
        return QUO_SKEW;
    if (!make_room(service))
        goto refused;
    struct quo_op *op = quo_ops_acquire(&service->ops);
    if (op == NULL)
        return QUO_NO_MEMORY;
    fill(service, op, request, handed);
    op->answer = answer;
    op->context = context;
    const quo_ticket ticket = quo_op_id(op, 0);
    status = make_parts(service, op, request, handed != NULL);
    if (status == QUO_OK) {
        if (quo_op_is_read(op) || (op->want.strong && !op->is_consensus))
            quo_hedge_earn(&service->hedge);
        status = quo_start(service, op);
    }
    if (status != QUO_OK) {
        quo_ops_release(&service->ops, op);
        goto refused;
    }
    *ret_ticket = still_open(service, ticket);
    return QUO_OK;

refused:
    if (status == QUO_BUSY)
        quo_count(&service->stats.overloads, 1);
    return status;
}
