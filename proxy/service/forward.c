#include "proxy/service/forward.h"

#include "proxy/service/drive.h"
#include "proxy/service/proposer.h"
#include "quorate/testpoints.h"

/* Within the proxy where it began, a hop to its own loop is none. */
static uint8_t hops_to_be(const struct quo_op *op)
{
    bool to_owner = op->forward.route == QUO_ROUTE_OWNER;

    return to_owner && !op->origin.is_set ? 0 : (uint8_t)(op->origin.hops + 1);
}

/* Whoever takes it may start it with a promise as old as that. What names the submission must be no
 * younger than any ballot. */
static void backdate(struct quo_op *op)
{
    const uint64_t margin = (uint64_t)QUO_WARM_IDLE_MS << 16;

    bool may_be_warm = quo_coordinator_plan(&op->coordinator)->kind == QUO_KIND_CAS;

    if (may_be_warm && op->type != QUO_REQUEST_RESOLVE && !op->origin.is_set)
        op->change.since -= QUO_MIN(op->change.since, margin);
}

static uint8_t flags_of(const struct quo_change *change, bool sent)
{
    return (uint8_t)((sent ? QUO_FORWARD_SENT : 0) | (change->has_min ? QUO_FORWARD_HAS_MIN : 0) |
                     (change->has_max ? QUO_FORWARD_HAS_MAX : 0));
}

static struct quo_msg_forward message_of(const struct quo_op *op, const struct quo_effect *effect,
                                         uint32_t timeout_ms)
{
    const struct quo_change *change = &op->change;

    return (struct quo_msg_forward){
        .hops = hops_to_be(op),
        .type = (uint8_t)op->type,
        .flags = flags_of(change, effect->sent),
        .condition = (uint8_t)change->condition,
        .level = (uint8_t)op->want.level,
        .w = op->want.w,
        .ns = op->ns,
        .timeout_ms = timeout_ms,
        .deadline_us = op->started_us + op->want.timeout_ms * UINT64_C(1000),
        .opid_high = quo_get_u64(change->opid.bytes),
        .opid_low = quo_get_u64(change->opid.bytes + 8),
        .since = change->since,
        .digest = change->digest,
        .first =
            quo_version_max(quo_version_max(effect->first, quo_op_above(op)), op->origin.first),
        .by = (uint64_t)change->by,
        .min = (uint64_t)change->min,
        .max = (uint64_t)change->max,
        .ttl_ms = change->ttl_ms,
        .key = op->part[QUO_OP_KEY],
        .content_type = change->content_type,
        .value = change->value,
    };
}

static enum quo_status send(struct quo_service *service, struct quo_op *op, uint32_t seat,
                            const struct quo_effect *effect, uint32_t timeout_ms)
{
    struct quo_transport *t = service->seats.transport;
    struct quo_msg_forward message = message_of(op, effect, timeout_ms);
    uint8_t tags[QUO_CONDITIONS_MAX * QUO_VERSION_SIZE];
    uint8_t *out;

    for (uint8_t i = 0; i < op->change.tag_count; i++)
        quo_version_encode(op->change.tags[i], tags + i * QUO_VERSION_SIZE);
    message.tags = quo_slice(tags, (size_t)op->change.tag_count * QUO_VERSION_SIZE);
    enum quo_status status = t->ops->reserve(t, seat, quo_msg_forward_size(&message), &out);
    if (status != QUO_OK)
        return status;
    quo_msg_forward_encode(&message, out);
    t->ops->seal(t, seat, QUO_MESSAGE_FORWARD, quo_op_id(op, effect->round));
    return QUO_OK;
}

/* It goes on here, when it is its turn among those that stayed; where too many wait, it is one more
 * who does not. Returns whether it waits. `sent`: the other one may have tried. */
static bool must_wait(struct quo_service *service, struct quo_op *op, bool sent)
{
    op->forward.under_way = false;
    op->forward.came_back = true;
    op->forward.sent = sent;
    op->is_shared |= sent;
    quo_contended_clear(&service->contended, op->name.hash);
    if (op->turn.state == QUO_TURN_NONE)
        (void)quo_queue_join(&service->queue, op);
    return op->turn.state == QUO_TURN_WAITS;
}

/* Returns QUO_OK if it is on its way. */
static enum quo_status hand_on(struct quo_service *service, struct quo_op *op,
                               const struct quo_effect *effect)
{
    bool to_owner = op->forward.route == QUO_ROUTE_OWNER;
    uint64_t now_us = quo_mono_us(service->env);
    uint64_t deadline_us = op->started_us + op->want.timeout_ms * UINT64_C(1000);
    uint32_t seat = to_owner ? quo_proposer_owner(service, op) : quo_proposer_affine(service, op);

    if (seat == UINT32_MAX || deadline_us < now_us + 1000)
        return QUO_UNAVAILABLE;
    backdate(op);
    enum quo_status status =
        send(service, op, seat, effect, (uint32_t)((deadline_us - now_us) / 1000));
    if (status != QUO_OK)
        return status;
    op->forward.under_way = true;
    op->forward.seat = seat;
    op->forward.round = effect->round;
    return QUO_OK;
}

enum quo_forwarding quo_forward(struct quo_service *service, struct quo_op *op,
                                const struct quo_effect *effect)
{
    enum quo_status status = hand_on(service, op, effect);

    if (status == QUO_OK) {
        QUO_PROBE(RMW_FORWARDED);
        quo_count(&service->stats.forwards, 1);
        if (op->forward.route != QUO_ROUTE_OWNER)
            quo_contended_mark(&service->contended, op->name.hash, quo_mono_us(service->env));
        return QUO_FORWARDING_GOES_ON;
    }
    if (status == QUO_BUSY && op->forward.route == QUO_ROUTE_OWNER)
        return QUO_FORWARDING_REFUSED;
    if (must_wait(service, op, false))
        return QUO_FORWARDING_GOES_ON;
    op->forward.came_back = false;
    return QUO_FORWARDING_STUCK;
}

struct quo_outcome quo_forward_refused(const struct quo_op *op)
{
    return (struct quo_outcome){
        .verdict = QUO_VERDICT_REFUSED,
        .effect = QUO_NOT_APPLIED,
        .refusal = QUO_BUSY,
        .receipt = {.level = op->want.level, .n = op->want.n, .need = op->want.w},
    };
}

void quo_forward_go_on(struct quo_service *service, struct quo_op *op)
{
    struct quo_event event = {
        .type = QUO_EVENT_FORWARDED,
        .now_us = quo_mono_us(service->env),
        .sent = op->forward.sent,
    };

    QUO_REQUIRE(op->forward.came_back);
    op->forward.came_back = false;
    quo_drive(service, op, &event);
}

/* Nobody knows what the other one made of it, and it may make something of it much later: two that
 * are at one write without a key could both do it. */
static void give_up(struct quo_service *service, struct quo_op *op)
{
    struct quo_outcome outcome = {
        .verdict = QUO_VERDICT_TIMEOUT,
        .effect = QUO_UNKNOWN,
        .receipt = {.level = op->want.level, .n = op->want.n, .need = op->want.w},
    };
    struct quo_event event = {
        .type = QUO_EVENT_FORWARDED, .now_us = quo_mono_us(service->env), .outcome = &outcome};

    op->forward.under_way = false;
    quo_drive(service, op, &event);
}

/* The other one has not ended it. */
static void come_back(struct quo_service *service, struct quo_op *op, bool sent)
{
    bool may_be_done_twice = quo_opid_is_keyed(&op->change.opid) || op->type == QUO_REQUEST_RESOLVE;

    if (sent && !may_be_done_twice && !QUO_MUTANT(HANDED_TWICE)) {
        give_up(service, op);
        return;
    }
    if (!must_wait(service, op, sent))
        quo_forward_go_on(service, op);
}

/* Not taken. The loop that it belongs to is full then, which is no reason to disturb it. */
static void on_refusal(struct quo_service *service, struct quo_op *op, enum quo_status status)
{
    struct quo_outcome outcome = quo_forward_refused(op);
    struct quo_event event = {
        .type = QUO_EVENT_FORWARDED, .now_us = quo_mono_us(service->env), .outcome = &outcome};

    if (op->forward.route != QUO_ROUTE_OWNER || status != QUO_BUSY) {
        come_back(service, op, false);
        return;
    }
    op->forward.under_way = false;
    quo_drive(service, op, &event);
}

static bool is_code(uint8_t code)
{
    return code < QUO_CHANGE_STORED_COUNT ||
           (code >= QUO_CHANGE_KEY_REUSED && code <= QUO_CHANGE_NO_MEMORY);
}

/* Whether the answer is one that quo_handed_answer may have sent. */
static bool is_sound(const struct quo_msg_forwarded *m)
{
    struct quo_record record;

    return m->verdict >= QUO_VERDICT_WRITTEN && m->verdict <= QUO_VERDICT_DECLINED &&
           m->outcome >= QUO_NOT_APPLIED && m->outcome <= QUO_UNKNOWN && is_code(m->code) &&
           (m->outcome != QUO_UNKNOWN || m->verdict == QUO_VERDICT_TIMEOUT) &&
           m->level >= QUO_LEVEL_EVENTUAL && m->level <= QUO_LEVEL_ALL &&
           m->answered.len == m->replies * sizeof(uint64_t) && m->replies <= QUO_MEMBERS_MAX &&
           (m->record.len == 0 || quo_record_decode(m->record, &record) == QUO_OK);
}

static struct quo_outcome outcome_of(const struct quo_msg_forwarded *m)
{
    struct quo_outcome outcome = {
        .verdict = (enum quo_verdict)m->verdict,
        .effect = (enum quo_effectuality)m->outcome,
        .refusal = (enum quo_status)m->refusal,
        .receipt =
            {
                .level = (enum quo_level)m->level,
                .n = m->n,
                .replies = m->replies,
                .acks = m->acks,
                .disk = m->disk,
                .need = m->need,
                .round_trips = m->round_trips,
                .hedges = m->hedges,
                .stable = (m->flags & QUO_FORWARD_STABLE) != 0,
                .epoch = m->epoch,
                .version = m->version,
            },
    };

    for (uint8_t i = 0; i < m->replies; i++)
        outcome.receipt.answered[i] = quo_get_u64(m->answered.data + i * sizeof(uint64_t));
    return outcome;
}

static void take_result(struct quo_op *op, const struct quo_msg_forwarded *m)
{
    op->no_memory = false;
    op->result = (struct quo_change_result){
        .code = (enum quo_change_code)m->code,
        .replayed = (m->flags & QUO_FORWARD_REPLAYED) != 0,
        .has_counter = (m->flags & QUO_FORWARD_HAS_COUNTER) != 0,
        .counter = (int64_t)m->counter,
        .changed = m->changed,
    };
}

/* Replicas have taken a version made just now. */
static void note_clock(struct quo_service *service, const struct quo_msg_forwarded *m)
{
    const bool is_old = m->code != QUO_CHANGE_DONE || (m->flags & QUO_FORWARD_REPLAYED) != 0;

    if (m->verdict != QUO_VERDICT_WRITTEN || is_old)
        return;
    quo_hear_clock(service, quo_version_ms(m->version));
}

static void on_answer(struct quo_service *service, struct quo_op *op,
                      const struct quo_msg_forwarded *m)
{
    struct quo_outcome outcome = outcome_of(m);
    struct quo_event event = {
        .type = QUO_EVENT_FORWARDED, .now_us = quo_mono_us(service->env), .outcome = &outcome};

    quo_hlc_observe(&service->clock, m->version.hlc, quo_wall_ms(service->env));
    take_result(op, m);
    note_clock(service, m);
    op->forward.under_way = false;
    quo_drive_forwarded(service, op, &event, m->record);
}

void quo_forward_on_frame(struct quo_service *service, uint64_t seat, const struct quo_frame *frame)
{
    struct quo_msg_forwarded message;
    uint16_t round;
    struct quo_op *op = quo_ops_find(&service->ops, frame->id, &round);

    if (op == NULL || !op->forward.under_way || op->forward.seat != seat ||
        op->forward.round != round) {
        quo_count(&service->stats.late_replies, 1);
        return;
    }
    if (quo_msg_forwarded_decode(frame->body, &message) != QUO_OK)
        come_back(service, op, true);
    else if (message.status != QUO_OK)
        on_refusal(service, op, (enum quo_status)message.status);
    else if (!is_sound(&message))
        come_back(service, op, true);
    else
        on_answer(service, op, &message);
}

void quo_forward_on_down(struct quo_service *service, uint64_t seat)
{
    for (uint32_t slot = 0; slot < service->ops.made; slot++) {
        struct quo_op *op = quo_ops_at(&service->ops, slot);
        if (op->in_use && op->forward.under_way && op->forward.seat == seat)
            come_back(service, op, true);
    }
}
