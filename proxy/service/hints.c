#include "proxy/service/hints.h"

#include <stdlib.h>

#include "proxy/service/state.h"

enum quo_status quo_hinter_init(struct quo_service *service)
{
    struct quo_hinter *hints = &service->hints;

    hints->generation = 1;
    hints->fallbacks = calloc(service->map->partition_count, sizeof *hints->fallbacks);
    return hints->fallbacks != NULL ? QUO_OK : QUO_NO_MEMORY;
}

void quo_hinter_free(struct quo_service *service)
{
    free(service->hints.fallbacks);
}

/* Who stands in */

static void find_fallbacks(const struct quo_service *service, uint16_t partition,
                           const struct quo_entry *entry, struct quo_fallbacks *ret)
{
    const struct quo_map *map = service->map;
    bool candidates[QUO_NODES_MAX];

    for (uint32_t i = 0; i < map->node_count; i++)
        candidates[i] =
            service->liveness.peers[i].up && !quo_entry_has(entry, map->nodes[i].replica);
    ret->count = quo_map_prefer(map, partition, candidates, QUO_REPLICAS_MAX, ret->peers);
    ret->generation = service->hints.generation;
    ret->epoch = entry->epoch;
}

const struct quo_fallbacks *quo_hinter_fallbacks(struct quo_service *service, uint16_t partition)
{
    struct quo_fallbacks *found = &service->hints.fallbacks[partition];
    const struct quo_entry *entry = quo_routes_entry(&service->routes, partition);

    if (found->generation != service->hints.generation || found->epoch != entry->epoch)
        find_fallbacks(service, partition, entry, found);
    return found;
}

bool quo_hinter_keep(const struct quo_service *service)
{
    return service->ops.bytes <= QUO_OPS_BYTES_MAX / 2;
}

/* Sending */

static bool send_to(struct quo_service *service, const struct quo_op *op, uint16_t peer,
                    uint8_t member, uint64_t id, struct quo_slice record)
{
    const struct quo_plan *plan = quo_coordinator_plan(&op->coordinator);
    struct quo_transport *transport = service->transport;
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *out;
    struct quo_msg_hint hint = {
        .target = plan->replica[member],
        .partition = op->partition,
        .ns = op->ns,
        .kind = (uint8_t)plan->kind,
        .entry = quo_slice(entry, quo_entry_size(&plan->entry)),
        .key = op->part[QUO_OP_KEY],
        .record = record,
    };

    if (transport->ops->reserve(transport, peer, quo_msg_hint_size(&hint), &out) != QUO_OK)
        return false;
    quo_entry_encode(&plan->entry, entry);
    quo_msg_hint_encode(&hint, out);
    transport->ops->seal(transport, peer, QUO_MESSAGE_HINT, id);
    quo_count(&service->stats.hints, 1);
    return true;
}

/* Of this round of the operation. */
static bool is_asked(const struct quo_op *op, uint16_t peer)
{
    return quo_hinter_from(op, peer) != 0;
}

/* Each is kept by a node of its own, or two acks would be one disk. */
static bool send_awaited(struct quo_service *service, struct quo_op *op,
                         const struct quo_effect *effect, struct quo_slice record)
{
    const struct quo_fallbacks *fallbacks = quo_hinter_fallbacks(service, op->partition);
    const uint64_t id = quo_op_id(op, effect->round);

    if (op->hinted_round != effect->round) {
        memset(op->hinted, 0, sizeof op->hinted);
        op->hinted_round = effect->round;
    }
    for (uint8_t i = 0; i < fallbacks->count; i++) {
        const uint16_t peer = fallbacks->peers[i];
        if (is_asked(op, peer) || !send_to(service, op, peer, effect->member, id, record))
            continue;
        op->hinted[effect->member] = (uint16_t)(peer + 1);
        return true;
    }
    return false;
}

/* A replica that has the record itself keeps it for another one if nobody else can. */
static uint8_t list_keepers(struct quo_service *service, const struct quo_op *op, uint16_t *ret)
{
    const struct quo_fallbacks *fallbacks = quo_hinter_fallbacks(service, op->partition);
    const struct quo_put *put = &op->coordinator.put;
    uint8_t count = fallbacks->count;

    memcpy(ret, fallbacks->peers, count * sizeof *ret);
    for (uint8_t i = 0; i < put->plan.count; i++) {
        if (quo_members_has(put->acks.yes, i))
            ret[count++] = put->plan.peer[i];
    }
    return count;
}

static bool send_unawaited(struct quo_service *service, struct quo_op *op, uint8_t member,
                           struct quo_slice record)
{
    struct quo_hinter *hints = &service->hints;
    uint16_t keepers[QUO_REPLICAS_MAX + QUO_MEMBERS_MAX];
    const uint8_t count = list_keepers(service, op, keepers);

    if (hints->under_way >= QUO_HINTS_UNDER_WAY_MAX)
        return false;
    for (uint8_t i = 0; i < count; i++) {
        hints->last_id += 1 + (hints->last_id == UINT32_MAX);
        if (!send_to(service, op, keepers[i], member, hints->last_id, record))
            continue;
        hints->under_way++;
        hints->of_peer[keepers[i]]++;
        return true;
    }
    return false;
}

bool quo_hinter_send(struct quo_service *service, struct quo_op *op,
                     const struct quo_effect *effect, struct quo_slice record)
{
    const bool is_awaited = (effect->flags & QUO_HINT_AWAITED) != 0;
    bool is_sent = false;

    /* Without memory the record was not kept. */
    if (record.len > 0)
        is_sent = is_awaited ? send_awaited(service, op, effect, record)
                             : send_unawaited(service, op, effect->member, record);
    if (!is_sent)
        quo_count(&service->stats.hints_shed, 1);
    return is_sent;
}

/* Answers */

quo_members quo_hinter_from(const struct quo_op *op, uint64_t peer)
{
    quo_members members = 0;

    for (uint8_t i = 0; i < QUO_MEMBERS_MAX; i++) {
        if (op->hinted[i] == peer + 1)
            members |= QUO_MEMBER(i);
    }
    return members;
}

void quo_hinter_count(struct quo_service *service, enum quo_status status)
{
    quo_count(status == QUO_OK ? &service->stats.hints_kept : &service->stats.hints_refused, 1);
}

void quo_hinter_on_frame(struct quo_service *service, uint64_t peer, const struct quo_frame *frame)
{
    struct quo_hinter *hints = &service->hints;
    struct quo_msg_reply reply;

    if (frame->type != QUO_MESSAGE_REPLY || hints->of_peer[peer] == 0)
        return;
    hints->of_peer[peer]--;
    hints->under_way--;
    if (quo_msg_reply_decode(frame->body, &reply) == QUO_OK)
        quo_hinter_count(service, (enum quo_status)reply.status);
}

void quo_hinter_on_up_or_down(struct quo_service *service, uint64_t peer)
{
    struct quo_hinter *hints = &service->hints;

    hints->generation += 1 + (hints->generation == UINT32_MAX);
    hints->under_way -= hints->of_peer[peer];
    hints->of_peer[peer] = 0;
}
