#include "proxy/service/bounds.h"

#include "proxy/service/state.h"
#include "quorate/testpoints.h"

/* The id of a FRESH frame is when it left, under a bit that no other request's has. */
#define ID_MARK (UINT64_C(1) << 62)
/* Monotonic clocks of two machines agree on a span to within one part of so many. */
#define CLOCK_PRECISION 1000u

static struct quo_bound_key *key_slot(struct quo_service *service, const struct quo_op *op,
                                      uint64_t *ret_hash)
{
    struct quo_name name = quo_name_of(service->name_seed, op->ns, op->part[QUO_OP_KEY]);

    *ret_hash = name.hash;
    return &service->bounds.keys[name.hash % QUO_BOUND_KEYS];
}

static struct quo_bound_partition *partition_slot(struct quo_service *service, uint32_t ns,
                                                  uint16_t partition)
{
    return &service->bounds.partitions[(partition + ns * 37u) % QUO_BOUND_PARTITIONS];
}

static bool is_of(const struct quo_bound_partition *slot, uint32_t ns, uint16_t partition,
                  uint32_t epoch)
{
    return slot->ns == ns && slot->partition == partition && slot->epoch == epoch;
}

/* Asking */

static void ask(struct quo_service *service, const struct quo_op *op, const struct quo_plan *plan,
                uint8_t member, uint64_t now_us)
{
    struct quo_transport *t = service->transport;
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *out;
    struct quo_msg_fresh message = {
        .partition = op->partition,
        .entry = quo_slice(entry, quo_entry_size(&plan->entry)),
        .ns = op->ns,
    };

    if (t->ops->reserve(t, plan->peer[member], quo_msg_fresh_size(&message), &out) != QUO_OK)
        return;
    quo_entry_encode(&plan->entry, entry);
    quo_msg_fresh_encode(&message, out);
    t->ops->seal(t, plan->peer[member], QUO_MESSAGE_FRESH, ID_MARK | now_us);
    quo_count(&service->stats.fresh_asked, 1);
}

/* Replicas are compared once a minute or so: that proves a short bound too seldom. */
static void ask_all(struct quo_service *service, const struct quo_op *op,
                    const struct quo_plan *plan, struct quo_bound_partition *slot)
{
    const uint64_t now_us = quo_mono_us(service->env);
    const bool is_known = is_of(slot, op->ns, op->partition, plan->entry.epoch);

    if (op->want.stale_ms < QUO_FRESH_STALE_MIN_MS ||
        (slot->asked_us != 0 && now_us - slot->asked_us < QUO_FRESH_EVERY_MS * UINT64_C(1000)))
        return;
    if (!is_known)
        *slot = (struct quo_bound_partition){
            .ns = op->ns, .epoch = plan->entry.epoch, .partition = op->partition};
    slot->asked_us = now_us;
    for (uint8_t i = 0; i < plan->count; i++) {
        if (quo_members_has(plan->up, i))
            ask(service, op, plan, i, now_us);
    }
}

/* Finding */

/* Returns whether one of them proves the bound of the read. */
static bool find_members(const struct quo_op *op, const struct quo_plan *plan,
                         const struct quo_bound_partition *slot, struct quo_proofs *ret)
{
    bool is_enough = false;

    for (uint8_t i = 0; i < plan->count; i++) {
        for (uint8_t place = 0; place < plan->entry.n; place++) {
            if (plan->entry.replicas[place] == plan->replica[i])
                ret->member_us[i] = slot->since_us[place];
        }
        is_enough =
            is_enough || (ret->member_us[i] != 0 && quo_members_has(plan->up, i) &&
                          op->started_us - ret->member_us[i] <= op->want.stale_ms * UINT64_C(1000));
    }
    return is_enough;
}

void quo_bounds_find(struct quo_service *service, const struct quo_op *op,
                     const struct quo_plan *plan, struct quo_proofs *ret)
{
    struct quo_bound_partition *partition = partition_slot(service, op->ns, op->partition);
    bool is_enough = false;
    uint64_t hash;

    *ret = (struct quo_proofs){.key_us = 0};
    const struct quo_bound_key *key = key_slot(service, op, &hash);
    if (key->since_us != 0 && key->hash == hash) {
        ret->key_us = QUO_MIN(key->since_us, op->started_us);
        ret->version = key->version;
    }
    /* During a move nobody knows. */
    if (plan->entry.state != QUO_ENTRY_NORMAL)
        return;
    if (is_of(partition, op->ns, op->partition, plan->entry.epoch))
        is_enough = find_members(op, plan, partition, ret);
    if (!is_enough)
        ask_all(service, op, plan, partition);
}

/* Learning */

/* Whether nothing that was completed when the operation started is above the outcome's version. */
static bool saw_everything(const struct quo_op *op, const struct quo_outcome *outcome)
{
    const bool is_read =
        outcome->verdict == QUO_VERDICT_FOUND || outcome->verdict == QUO_VERDICT_ABSENT;

    if (op->want.level == QUO_LEVEL_BOUNDED)
        return is_read && outcome->receipt.bound_ms == 0;
    if (quo_op_is_read(op))
        return is_read && op->want.level >= QUO_LEVEL_QUORUM;
    return outcome->verdict == QUO_VERDICT_WRITTEN && op->want.strong;
}

void quo_bounds_note(struct quo_service *service, const struct quo_op *op,
                     const struct quo_outcome *outcome)
{
    uint64_t hash;

    if (!saw_everything(op, outcome))
        return;
    struct quo_bound_key *slot = key_slot(service, op, &hash);
    if (slot->hash == hash && slot->since_us > op->started_us)
        return;
    *slot = (struct quo_bound_key){
        .hash = hash,
        .since_us = QUO_MUTANT(BOUND_FROM_THE_END) ? quo_mono_us(service->env) : op->started_us,
        .version = outcome->receipt.version,
    };
}

static int place_of(const struct quo_entry *entry, uint64_t replica)
{
    for (int i = 0; i < entry->n; i++) {
        if (entry->replicas[i] == replica)
            return i;
    }
    return -1;
}

void quo_bounds_on_frame(struct quo_service *service, uint64_t peer, const struct quo_frame *frame)
{
    const uint64_t asked_us = frame->id & ~ID_MARK;
    struct quo_msg_freshness message;

    if ((frame->id & ID_MARK) == 0 || asked_us > quo_mono_us(service->env) ||
        quo_msg_freshness_decode(frame->body, &message) != QUO_OK || message.status != QUO_OK ||
        message.age_ms == UINT32_MAX || message.partition >= service->map->partition_count)
        return;
    struct quo_bound_partition *slot = partition_slot(service, message.ns, message.partition);
    const struct quo_entry *entry = quo_routes_entry(&service->routes, message.partition);
    const int place = place_of(entry, service->map->nodes[peer].replica);
    if (place < 0 || entry->epoch != message.epoch ||
        !is_of(slot, message.ns, message.partition, message.epoch))
        return;
    /* It was that old when it was told, which was not before it was asked. */
    const uint64_t age_us = message.age_ms * (UINT64_C(1000) + 1000 / CLOCK_PRECISION);
    if (age_us < asked_us)
        slot->since_us[place] = QUO_MAX(slot->since_us[place], asked_us - age_us);
}
