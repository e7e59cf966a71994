#include "proxy/service/drive.h"

#include "proxy/collections/set.h"
#include "proxy/collections/timeline.h"
#include "proxy/service/addition.h"
#include "proxy/service/apply.h"
#include "proxy/service/deliver.h"
#include "proxy/service/forward.h"
#include "proxy/service/repair.h"
#include "proxy/service/send.h"
#include "proxy/service/start.h"
#include "quorate/testpoints.h"

/* Every so many plans the slow replicas are tried in their turn, to see whether they still are, but
 * not more often than this: whoever tries them is slow as well. */
#define PROBE_SLOW_EVERY 64u
#define PROBE_SLOW_GAP_US 250000u

/* What the effects of one event left to do. */
struct agenda {
    quo_members unsent; /* could not be sent in round `unsent_round` */
    uint16_t unsent_round;
    quo_members unhinted; /* hints that are awaited could not be sent in round `unhinted_round` */
    uint16_t unhinted_round;
    bool has_tag;
    struct quo_version tag, next;
    bool hedge;
    bool has_decision;
    enum quo_decision decision;
    enum quo_forwarding forwarding;
    bool answer;
    bool repair;
    bool give_back;         /* whoever handed it on must go on itself */
    struct quo_slice fresh; /* the record to keep, still in the transport's frame; empty: none */
    bool has_final;
    struct quo_slice final; /* likewise, the record of a FORWARDED */
};

static bool must_probe(struct quo_service *service)
{
    if (service->rotation % PROBE_SLOW_EVERY != 0)
        return false;
    const uint64_t now_us = quo_mono_us(service->env);
    if (now_us - service->probed_us < PROBE_SLOW_GAP_US)
        return false;
    service->probed_us = now_us;
    return true;
}

void quo_drive_plan(struct quo_service *service, uint16_t partition, const struct quo_namespace *ns,
                    struct quo_plan *ret)
{
    struct quo_health health[QUO_MEMBERS_MAX];
    const bool trust_latency = !must_probe(service);
    const uint32_t rotation = service->rotation++;

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

static bool is_blind_write(const struct quo_op *op)
{
    return !op->is_consensus && !quo_op_is_read(op);
}

/* To a slot, whose replica makes the record. */
static bool is_addition(const struct quo_op *op)
{
    return op->type == QUO_REQUEST_ADD && !op->is_consensus;
}

/* The record that the operation is about: the one made, or else the one kept. */
static struct quo_slice record_of(const struct quo_op *op, const struct agenda *agenda)
{
    if (agenda->has_final)
        return agenda->final;
    if (op->part[QUO_OP_RECORD].len > 0)
        return op->part[QUO_OP_RECORD];
    return agenda->fresh.len > 0 ? agenda->fresh : op->part[QUO_OP_BASE];
}

static void send(struct quo_service *service, struct quo_op *op, const struct quo_effect *effect,
                 struct agenda *agenda)
{
    struct quo_slice record = record_of(op, agenda);

    if (QUO_MUTANT(REPAIR_RETAGGED) && op->is_repair && effect->type == QUO_EFFECT_STORE)
        quo_record_set_version((uint8_t *)(uintptr_t)record.data,
                               quo_tick(service, QUO_VERSION_NONE));
    if (quo_send(service, op, effect, record))
        return;
    /* Failures of a round that is over mean nothing any more. */
    if (agenda->unsent_round != effect->round)
        agenda->unsent = 0;
    agenda->unsent_round = effect->round;
    agenda->unsent |= QUO_MEMBER(effect->member);
}

static void hint(struct quo_service *service, struct quo_op *op, const struct quo_effect *effect,
                 struct agenda *agenda)
{
    if (quo_hinter_send(service, op, effect, record_of(op, agenda)) ||
        (effect->flags & QUO_HINT_AWAITED) == 0)
        return;
    if (agenda->unhinted_round != effect->round)
        agenda->unhinted = 0;
    agenda->unhinted_round = effect->round;
    agenda->unhinted |= QUO_MEMBER(effect->member);
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

/* What fences an operation is above its submission, so that a later blind write, which forgets the
 * fence, is as well. A clock that was further ahead has submitted nothing that anybody takes over.
 */
static bool may_be_taken_over(struct quo_service *service, uint64_t since)
{
    const uint64_t now_ms = quo_version_ms(quo_tick(service, QUO_VERSION_NONE));

    return since >> 16 <= now_ms + 4 * QUO_SKEW_MAX_MS;
}

/* What the next ballot is above. The moment that names an operation's submission is at or below
 * every ballot of it, or what is told of the operation later would be wrong; it follows when the
 * clock is set back. Of an operation that another proposer named, the ballots are above one of its
 * own; of a RESOLVE it is a stranger's, and moves only what it may. */
static struct quo_version floor_of(struct quo_service *service, struct quo_op *op,
                                   struct quo_version seen)
{
    const struct quo_version submitted = {op->change.since, UINT64_MAX};

    if (op->type == QUO_REQUEST_RESOLVE)
        return may_be_taken_over(service, op->change.since) ? quo_version_max(seen, submitted)
                                                            : seen;
    if (!op->is_consensus || op->origin.is_set)
        return seen;
    if (op->clock_node != service->clock.node) {
        op->clock_node = service->clock.node;
        op->change.since = QUO_MIN(op->change.since, service->clock.last);
    }
    return quo_version_max(seen, (struct quo_version){op->change.since, UINT64_MAX});
}

static void make_tag(struct quo_service *service, struct quo_op *op,
                     const struct quo_effect *effect, struct agenda *agenda)
{
    agenda->has_tag = true;
    agenda->tag = quo_tick(service, floor_of(service, op, effect->version));
    if (is_addition(op))
        return;
    if (!is_blind_write(op)) {
        agenda->next = quo_tick(service, agenda->tag);
        return;
    }
    /* Record and key are this operation's own, made when it was submitted. */
    struct quo_slice record = op->part[QUO_OP_RECORD], key = op->part[QUO_OP_KEY];
    quo_record_set_version((uint8_t *)(uintptr_t)record.data, agenda->tag);
    if (op->naming == QUO_NAMED_ENTRY)
        quo_entry_key_set_version((uint8_t *)(uintptr_t)key.data, agenda->tag);
    else if (op->naming == QUO_NAMED_DOT && !QUO_MUTANT(DOT_SHARED))
        quo_dot_key_set((uint8_t *)(uintptr_t)key.data, key.len, agenda->tag);
}

/* The record made holds all that is still needed of the one found. */
static void apply(struct quo_service *service, struct quo_op *op, const struct quo_effect *effect,
                  struct agenda *agenda)
{
    bool is_fresh = agenda->fresh.len > 0;

    agenda->has_decision = true;
    agenda->decision =
        quo_apply_change(service, op, effect, is_fresh ? agenda->fresh : op->part[QUO_OP_BASE]);
    agenda->fresh = quo_slice(NULL, 0);
    quo_op_drop(&service->ops, op, QUO_OP_BASE);
}

static void remember(struct quo_service *service, const struct quo_op *op,
                     const struct quo_effect *effect)
{
    struct quo_warm_start start = {effect->version, op->part[QUO_OP_RECORD]};
    uint32_t epoch = quo_coordinator_plan(&op->coordinator)->entry.epoch;

    if (op->is_consensus)
        quo_warm_put(&service->warm, &op->name, epoch, &start, quo_mono_us(service->env));
}

/* The record that a slot made is this operation's own from here on, and its key is known. Without
 * memory it is there until the end of this event. */
static void keep_slot(struct quo_service *service, struct quo_op *op, const struct quo_event *event,
                      struct agenda *agenda)
{
    const struct quo_slice record = agenda->fresh;
    uint8_t *out;

    quo_addition_name_slot(op, quo_coordinator_plan(&op->coordinator)->replica[event->member]);
    if (quo_op_make(&service->ops, op, QUO_OP_RECORD, record.len, &out) != QUO_OK)
        return;
    memcpy(out, record.data, record.len);
    agenda->fresh = quo_slice(NULL, 0);
}

static void perform_one(struct quo_service *service, struct quo_op *op,
                        const struct quo_event *event, const struct quo_effect *effect,
                        struct agenda *agenda)
{
    switch (effect->type) {
    case QUO_EFFECT_QUERY:
    case QUO_EFFECT_STORE:
    case QUO_EFFECT_PREP:
    case QUO_EFFECT_ACC:
    case QUO_EFFECT_SLOT:
        send(service, op, effect, agenda);
        break;
    case QUO_EFFECT_KEEP:
        agenda->fresh = event->reply->record;
        if (is_addition(op))
            keep_slot(service, op, event, agenda);
        break;
    case QUO_EFFECT_HEDGE:
        agenda->hedge = quo_hedge_take(&service->hedge);
        break;
    case QUO_EFFECT_TRUST_CLOCK:
        if (effect->version.node == service->clock.node)
            quo_hlc_trust(&service->clock);
        break;
    case QUO_EFFECT_CORRECT_CLOCK:
        correct_clock(service, effect);
        break;
    case QUO_EFFECT_TAG:
        make_tag(service, op, effect, agenda);
        break;
    case QUO_EFFECT_APPLY:
        apply(service, op, effect, agenda);
        break;
    case QUO_EFFECT_REMEMBER:
        remember(service, op, effect);
        break;
    case QUO_EFFECT_FORWARD:
        agenda->forwarding = quo_forward(service, op, effect);
        break;
    case QUO_EFFECT_ANSWER:
        agenda->answer = true;
        break;
    case QUO_EFFECT_REPAIR:
        agenda->repair = true;
        break;
    case QUO_EFFECT_HINT:
        hint(service, op, effect, agenda);
        break;
    }
}

static void perform(struct quo_service *service, struct quo_op *op, const struct quo_event *event,
                    const struct quo_effects *effects, struct agenda *agenda)
{
    for (uint8_t i = 0; i < effects->count; i++)
        perform_one(service, op, event, &effects->list[i], agenda);
}

/* The next event that effects brought. Returns false when there is none. `refused` has room for an
 * outcome. */
static bool follow_up(struct agenda *agenda, const struct quo_op *op, uint64_t now_us,
                      struct quo_outcome *refused, struct quo_event *ret)
{
    *ret = (struct quo_event){.now_us = now_us};
    if (agenda->has_tag) {
        agenda->has_tag = false;
        ret->type = QUO_EVENT_TAGGED;
        ret->tag = agenda->tag;
        ret->next = agenda->next;
    } else if (agenda->has_decision) {
        agenda->has_decision = false;
        ret->type = QUO_EVENT_APPLIED;
        ret->decision = agenda->decision;
    } else if (agenda->forwarding != QUO_FORWARDING_GOES_ON) {
        ret->type = QUO_EVENT_FORWARDED;
        *refused = quo_forward_refused(op);
        ret->outcome = agenda->forwarding == QUO_FORWARDING_REFUSED ? refused : NULL;
        agenda->forwarding = QUO_FORWARDING_GOES_ON;
    } else if (agenda->unsent != 0) {
        ret->type = QUO_EVENT_UNSENT;
        ret->round = agenda->unsent_round;
        ret->members = agenda->unsent;
        agenda->unsent = 0;
    } else if (agenda->unhinted != 0) {
        ret->type = QUO_EVENT_HINTED;
        ret->round = agenda->unhinted_round;
        ret->members = agenda->unhinted;
        ret->status = QUO_UNAVAILABLE;
        agenda->unhinted = 0;
    } else if (agenda->hedge) {
        agenda->hedge = false;
        ret->type = QUO_EVENT_HEDGE;
    } else {
        return false;
    }
    return true;
}

static void copy_base(struct quo_service *service, struct quo_op *op, struct quo_slice record)
{
    uint8_t *out;

    /* Without room the part stays empty, which quo_send, quo_apply_change and quo_deliver take as a
     * failure. */
    if (quo_op_make(&service->ops, op, QUO_OP_BASE, record.len, &out) == QUO_OK)
        memcpy(out, record.data, record.len);
}

/* Feeds the event, and whatever that brings. */
static void pump(struct quo_service *service, struct quo_op *op, const struct quo_event *event,
                 struct agenda *agenda)
{
    struct quo_effects effects;
    struct quo_outcome refused;
    struct quo_event next = *event;

    do {
        quo_coordinator_step(&op->coordinator, &next, &effects);
        perform(service, op, &next, &effects, agenda);
    } while (follow_up(agenda, op, event->now_us, &refused, &next));
}

static void repair(struct quo_service *service, struct quo_op *op, uint64_t now_us,
                   struct agenda *agenda)
{
    struct quo_event granted = {
        .type = QUO_EVENT_REPAIR,
        .now_us = now_us,
        .has_record = record_of(op, agenda).len > 0,
    };

    if (quo_repair_begin(service, op, now_us))
        pump(service, op, &granted, agenda);
}

/* What may still be sent stays in memory, and nothing else. */
static void retain(struct quo_service *service, struct quo_op *op, struct quo_slice fresh)
{
    if (!op->is_answered && fresh.len > 0)
        copy_base(service, op, fresh);
    if (!op->is_answered)
        return;
    if (quo_coordinator_listens(&op->coordinator)) {
        quo_repair_keep(service, op, fresh);
        return;
    }
    if (is_blind_write(op) && quo_hinter_keep(service)) {
        if (fresh.len > 0)
            copy_base(service, op, fresh);
        return;
    }
    for (int part = 0; part < QUO_OP_PARTS; part++)
        quo_op_drop(&service->ops, op, (enum quo_op_part)part);
}

static void settle(struct quo_service *service, struct quo_op *op, uint64_t now_us,
                   struct agenda *agenda)
{
    if (agenda->answer) {
        quo_deliver(service, op, quo_coordinator_outcome(&op->coordinator), record_of(op, agenda));
        quo_start_pass_on(service, op);
    }
    if (agenda->repair)
        repair(service, op, now_us, agenda);
    retain(service, op, agenda->fresh);
    if (quo_coordinator_finished(&op->coordinator)) {
        quo_drive_end(service, op);
        return;
    }
    if (op->is_answered)
        quo_ops_linger(&service->ops, op);
    quo_deadlines_set(&service->deadlines, op, quo_coordinator_deadline(&op->coordinator));
}

static void drive(struct quo_service *service, struct quo_op *op, const struct quo_event *event,
                  struct agenda *agenda)
{
    pump(service, op, event, agenda);
    settle(service, op, event->now_us, agenda);
    quo_start_ready(service);
}

void quo_drive(struct quo_service *service, struct quo_op *op, const struct quo_event *event)
{
    struct agenda agenda = {0};

    drive(service, op, event, &agenda);
}

void quo_drive_forwarded(struct quo_service *service, struct quo_op *op,
                         const struct quo_event *event, struct quo_slice record)
{
    struct agenda agenda = {.has_final = true, .final = record};

    drive(service, op, event, &agenda);
}

void quo_drive_give_up(struct quo_service *service, struct quo_op *op)
{
    const struct quo_event timer = {.type = QUO_EVENT_TIMER, .now_us = UINT64_MAX};

    /* Only a blind write has something left to say. */
    if (is_blind_write(op))
        quo_drive(service, op, &timer);
    else
        quo_drive_end(service, op);
}

void quo_drive_end(struct quo_service *service, struct quo_op *op)
{
    QUO_REQUIRE(op->is_answered);
    quo_send_blame_silent(service, op);
    quo_repair_end(service, op);
    quo_deadlines_set(&service->deadlines, op, UINT64_MAX);
    quo_ops_release(&service->ops, op);
}
