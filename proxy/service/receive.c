#include "proxy/service/receive.h"

#include "proxy/service/drive.h"
#include "proxy/service/forward.h"
#include "proxy/service/handed.h"
#include "proxy/service/mend.h"

static uint8_t member_of(const struct quo_op *op, uint64_t peer)
{
    const struct quo_plan *plan = quo_coordinator_plan(&op->coordinator);

    for (uint8_t i = 0; i < plan->count; i++) {
        if (plan->peer[i] == peer)
            return i;
    }
    return QUO_MEMBER_NONE;
}

/* Causality: what we make after seeing a version is above it. */
static void observe_clocks(struct quo_service *service, const struct quo_msg_reply *reply)
{
    uint64_t wall_ms = quo_wall_ms(service->env);

    quo_hlc_observe(&service->clock, reply->version.hlc, wall_ms);
    if (reply->now_ms < UINT64_C(1) << 48) {
        quo_hlc_observe(&service->clock, reply->now_ms << 16, wall_ms);
        quo_hear_clock(service, reply->now_ms);
    }
}

/* Large replies say more about their size than about the peer. */
static void observe_latency(struct quo_service *service, struct quo_op *op, uint8_t member,
                            const struct quo_msg_reply *reply)
{
    uint64_t asked_us = op->asked[member].us;

    op->asked[member].us = 0;
    if (asked_us == 0 || reply->record.len > QUO_INLINE_VALUE_MAX)
        return;
    uint64_t us = quo_mono_us(service->env) - asked_us;
    quo_liveness_observe(&service->liveness, op->asked[member].peer, us);
    quo_hedge_observe(&service->hedge, us);
}

/* How long a phase of consensus takes, for those that wait before they try again. */
static void observe_phase(struct quo_service *service, const struct quo_op *op, uint16_t round)
{
    if (op->is_answered || op->phase_us == 0 || op->phase_round != round)
        return;
    quo_hedge_observe(&service->phases, quo_mono_us(service->env) - op->phase_us);
}

/* Learns the entry of a refusal. Returns the operation's new plan, or NULL if it has the newest. */
static const struct quo_plan *learn_epoch(struct quo_service *service, struct quo_op *op,
                                          const struct quo_msg_reply *reply, struct quo_plan *plan)
{
    quo_count(&service->stats.wrong_epochs, 1);
    quo_routes_learn(&service->routes, &service->liveness, op->partition, reply->entry);
    const struct quo_entry *newest = quo_routes_entry(&service->routes, op->partition);
    if (newest->epoch <= quo_coordinator_plan(&op->coordinator)->entry.epoch)
        return NULL;
    quo_drive_plan(service, op->partition, quo_map_namespace_by_id(service->map, op->ns), plan);
    return plan;
}

static void on_reply(struct quo_service *service, struct quo_op *op, struct quo_event *event)
{
    const struct quo_msg_reply *reply = event->reply;
    struct quo_plan plan;

    observe_clocks(service, reply);
    if (op->is_answered && !op->is_repair)
        quo_count(&service->stats.late_replies, 1);
    if (reply->status == QUO_SKEW)
        quo_count(&service->stats.skews, 1);
    if (reply->status == QUO_WRONG_EPOCH)
        event->newer = learn_epoch(service, op, reply, &plan);
    if (event->round == op->asked_round)
        observe_latency(service, op, event->member, reply);
    observe_phase(service, op, event->round);
    quo_drive(service, op, event);
}

/* The answer to a hint that the operation awaits. */
static void on_hinted(struct quo_service *service, struct quo_op *op, uint64_t peer,
                      struct quo_event *event, struct quo_slice body)
{
    struct quo_msg_reply reply;
    struct quo_plan plan;

    event->type = QUO_EVENT_HINTED;
    event->members = quo_hinter_from(op, peer);
    event->status = QUO_IO_ERROR;
    if (event->members == 0 || event->round != op->hinted_round)
        return;
    if (quo_msg_reply_decode(body, &reply) == QUO_OK && quo_status_on_wire(reply.status)) {
        event->status = (enum quo_status)reply.status;
        observe_clocks(service, &reply);
        if (reply.status == QUO_WRONG_EPOCH)
            learn_epoch(service, op, &reply, &plan);
    }
    quo_hinter_count(service, event->status);
    quo_drive(service, op, event);
}

static void on_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    struct quo_service *service = receiver;
    struct quo_event event = {.type = QUO_EVENT_REPLY, .now_us = quo_mono_us(service->env)};
    struct quo_msg_reply reply;

    if (frame->type == QUO_MESSAGE_MEND)
        quo_mend_take(service, frame);
    if (frame->type == QUO_MESSAGE_FRESHNESS)
        quo_bounds_on_frame(service, peer, frame);
    if (quo_surveys_own(frame->type)) {
        quo_surveys_on_frame(service, peer, frame);
        return;
    }
    if (quo_hinter_own(frame->id)) {
        quo_hinter_on_frame(service, peer, frame);
        return;
    }
    if (quo_scans_own(frame->id)) {
        quo_scans_on_frame(service, peer, frame);
        return;
    }
    if (frame->type != QUO_MESSAGE_REPLY)
        return;
    struct quo_op *op = quo_ops_find(&service->ops, frame->id, &event.round);
    if (op == NULL || !op->is_started) {
        quo_count(&service->stats.late_replies, 1);
        return;
    }
    event.member = member_of(op, peer);
    if (event.member == QUO_MEMBER_NONE) {
        on_hinted(service, op, peer, &event, frame->body);
        return;
    }
    if (quo_msg_reply_decode(frame->body, &reply) != QUO_OK || !quo_status_on_wire(reply.status)) {
        event.type = QUO_EVENT_FAILED;
        quo_drive(service, op, &event);
        return;
    }
    event.reply = &reply;
    on_reply(service, op, &event);
}

static void on_up(void *receiver, uint64_t peer)
{
    struct quo_service *service = receiver;

    quo_liveness_up(&service->liveness, peer);
    quo_hinter_on_up_or_down(service, peer);
}

/* What became of a hint that the peer was asked to keep nobody can tell. */
static bool lose_hint(struct quo_service *service, struct quo_op *op, uint64_t peer)
{
    struct quo_event event = {
        .type = QUO_EVENT_HINTED,
        .now_us = quo_mono_us(service->env),
        .members = quo_hinter_from(op, peer),
        .round = op->hinted_round,
        .status = QUO_IO_ERROR,
    };

    if (event.members == 0 || event.round != quo_coordinator_round(&op->coordinator))
        return false;
    quo_drive(service, op, &event);
    return true;
}

static void on_down(void *receiver, uint64_t peer)
{
    struct quo_service *service = receiver;

    quo_liveness_down(&service->liveness, peer);
    quo_hinter_on_up_or_down(service, peer);
    quo_scans_on_down(service, peer);
    quo_surveys_on_down(service, peer);
    for (uint32_t slot = 0; slot < service->ops.made; slot++) {
        struct quo_op *op = quo_ops_at(&service->ops, slot);
        bool is_open = op->in_use && op->is_started;
        if (is_open && lose_hint(service, op, peer))
            continue;
        uint8_t member = is_open ? member_of(op, peer) : QUO_MEMBER_NONE;
        if (member == QUO_MEMBER_NONE ||
            !quo_members_has(quo_coordinator_waiting(&op->coordinator), member))
            continue;
        op->asked[member].us = 0;
        struct quo_event event = {
            .type = QUO_EVENT_FAILED,
            .now_us = quo_mono_us(service->env),
            .member = member,
            .round = quo_coordinator_round(&op->coordinator),
        };
        quo_drive(service, op, &event);
    }
}

const struct quo_transport_events quo_receive_events = {
    .on_frame = on_frame,
    .on_up = on_up,
    .on_down = on_down,
};

static void on_seat_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    struct quo_service *service = receiver;

    if (frame->type == QUO_MESSAGE_FORWARD)
        quo_handed_on_frame(service, peer, frame);
    else if (frame->type == QUO_MESSAGE_FORWARDED)
        quo_forward_on_frame(service, peer, frame);
}

/* Those who only send FORWARD here have no seat. */
static bool is_seat(const struct quo_service *service, uint64_t peer)
{
    return peer < service->seats.loops + service->map->proxy_count;
}

static void on_seat_up(void *receiver, uint64_t peer)
{
    struct quo_service *service = receiver;

    if (is_seat(service, peer))
        service->seat_up[peer] = true;
}

static void on_seat_down(void *receiver, uint64_t peer)
{
    struct quo_service *service = receiver;

    if (!is_seat(service, peer))
        return;
    service->seat_up[peer] = false;
    quo_forward_on_down(service, peer);
}

const struct quo_transport_events quo_receive_seat_events = {
    .on_frame = on_seat_frame,
    .on_up = on_seat_up,
    .on_down = on_seat_down,
};
