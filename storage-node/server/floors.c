/* The floors of every partition: stored under META, raised by FLOOR, heeded by every write.
 *
 *   "floor" be16 partition  ->  quo_floors_encode
 */
#include <inttypes.h>
#include <stdio.h>

#include "storage-node/server/internal.h"

#define PREFIX "floor"
#define PREFIX_LEN (sizeof PREFIX - 1)
#define KEY_LEN (PREFIX_LEN + 2)

/* Storage */

/* A namespace's number of replicas says which of them a seal speaks of. */
static uint64_t digest_of_namespaces(const struct quo_server *server)
{
    uint8_t bytes[QUO_NAMESPACES_MAX * 5];
    for (uint32_t i = 0; i < server->namespace_count; i++) {
        quo_put_u32(bytes + 5 * i, server->namespaces[i].id);
        bytes[5 * i + 4] = server->namespaces[i].n;
    }
    return quo_overlay_digest(quo_slice(bytes, 5 * (size_t)server->namespace_count));
}

static void put_floors(struct quo_group *group, uint32_t partition)
{
    const struct quo_server *server = group->server;
    uint8_t key[KEY_LEN], value[QUO_FLOORS_SIZE];
    memcpy(key, PREFIX, PREFIX_LEN);
    quo_put_u16(key + PREFIX_LEN, (uint16_t)partition);
    quo_floors_encode(&server->partitions[partition].floors, server->namespaces_digest, value);
    quo_group_put(group, QUO_FAMILY_META, quo_slice(key, sizeof key),
                  quo_slice(value, sizeof value));
}

struct opening {
    struct quo_server *server;
    enum quo_status status;
};

static bool visit(void *context, struct quo_slice key, struct quo_slice value)
{
    struct opening *opening = context;
    struct quo_server *server = opening->server;
    struct quo_floors floors;
    uint64_t namespaces;
    opening->status = QUO_CORRUPT;
    if (key.len != KEY_LEN || quo_floors_decode(value, &floors, &namespaces) != QUO_OK)
        return false;
    uint16_t partition = quo_get_u16(key.data + PREFIX_LEN);
    if (partition >= server->partition_count)
        return false;
    if (namespaces != server->namespaces_digest || server->partitions[partition].moved)
        quo_floors_unseal(&floors);
    server->partitions[partition].floors = floors;
    opening->status = QUO_OK;
    return true;
}

enum quo_status quo_floors_open(struct quo_server *server, char *why, size_t why_size)
{
    static const uint8_t past_prefix[] = {'f', 'l', 'o', 'o', 'r' + 1};
    struct opening opening = {.server = server, .status = QUO_OK};
    struct quo_store *store = server->store;
    server->namespaces_digest = digest_of_namespaces(server);
    enum quo_status status =
        store->ops->scan(store, QUO_FAMILY_META, quo_slice(PREFIX, PREFIX_LEN),
                         quo_slice(past_prefix, sizeof past_prefix), visit, &opening);
    if (status == QUO_OK)
        status = opening.status;
    if (status != QUO_OK)
        snprintf(why, why_size, "the stored floors cannot be read: %s", quo_status_text(status));
    return status;
}

bool quo_floors_outlive(const struct quo_entry *previous, const struct quo_entry *next)
{
    return previous->state == QUO_ENTRY_NORMAL && next->state == QUO_ENTRY_NORMAL &&
           previous->n == next->n &&
           memcmp(previous->replicas, next->replicas, previous->n * sizeof previous->replicas[0]) ==
               0;
}

void quo_floors_follow(struct quo_group *group, uint32_t partition,
                       const struct quo_entry *previous, const struct quo_entry *next)
{
    struct quo_floors *floors = &group->server->partitions[partition].floors;
    if (!quo_floors_outlive(previous, next) && quo_floors_unseal(floors))
        put_floors(group, partition);
}

void quo_floors_start(struct quo_group *group, uint32_t partition)
{
    if (!quo_version_is_none(group->server->partitions[partition].floors.gate))
        put_floors(group, partition);
}

void quo_floors_show(const struct quo_server *server, uint32_t partition,
                     struct quo_replica_view *view)
{
    const struct quo_floors *floors = &server->partitions[partition].floors;
    view->floor = floors->gate;
    view->sealed = floors->sealed;
    view->cleared = floors->cleared;
}

struct quo_version quo_server_sealed(const struct quo_server *server, uint16_t partition)
{
    return server->partitions[partition].floors.sealed;
}

/* FLOOR */

/* As for trees: only among those who agree on who holds the partition, and what of it, and never
 * during a move. */
static enum quo_status admit(struct quo_server *server, const struct quo_request *request,
                             const struct quo_msg_floor *asked)
{
    const struct quo_partition *ours = &server->partitions[request->partition];
    struct quo_fence_verdict fence =
        quo_replica_fence(&ours->entry, &request->entry, server->replica);
    if (fence.adopt)
        quo_epochs_adopt(server, request->partition, &request->entry);
    if (fence.status != QUO_OK)
        return fence.status;
    bool settled = ours->entry.state == QUO_ENTRY_NORMAL && ours->adopting == NULL &&
                   asked->namespaces == server->namespaces_digest && server->collector != NULL;
    return settled ? QUO_OK : QUO_BUSY;
}

/* Whether the replica was found equal by a comparison that began at this moment or later. If not,
 * there will be one soon. */
static bool is_equal(struct quo_server *server, uint32_t partition, uint64_t replica,
                     uint64_t from_us)
{
    uint64_t began_us = quo_exchanges_equal_us(server, partition, replica);
    if (began_us != 0 && began_us >= from_us)
        return true;
    quo_exchanges_hurry(server, partition, replica);
    return false;
}

/* What a replica missed while it was away can only be brought to it in full while there is no gate
 * above it: what a read-modify-write made does not pass one. So no collection begins before that
 * has been looked after. */
static enum quo_status ready(struct quo_server *server, uint32_t partition)
{
    const struct quo_entry *entry = &server->partitions[partition].entry;
    bool fit = quo_trees_ready(server, partition);
    for (uint8_t i = 0; i < entry->n; i++) {
        uint64_t replica = entry->replicas[i], up_us;
        if (replica > server->replica)
            fit = quo_exchanges_is_up(server, replica, &up_us) &&
                  is_equal(server, partition, replica, up_us) && fit;
    }
    return fit ? QUO_OK : QUO_BUSY;
}

/* Every two replicas must be found equal, by the one of them that asks, and not before all had the
 * gate, which they have when they are asked to confirm. */
static enum quo_status confirm(struct quo_server *server, uint32_t partition,
                               struct quo_version floor)
{
    struct quo_confirming *confirming = &server->collector->confirming[partition];
    uint32_t epoch = server->partitions[partition].entry.epoch;
    if (confirming->epoch != epoch || !quo_version_equal(confirming->floor, floor))
        *confirming = (struct quo_confirming){
            .floor = floor, .epoch = epoch, .since_us = quo_mono_us(server->env)};
    const struct quo_entry *entry = &server->partitions[partition].entry;
    bool equal = true;
    if (QUO_MUTANT(EQUAL_TO_ONE) && entry->replicas[0] != server->replica)
        return QUO_OK;
    for (uint8_t i = 0; i < entry->n; i++)
        if (entry->replicas[i] > server->replica)
            equal =
                is_equal(server, partition, entry->replicas[i], confirming->since_us + 1) && equal;
    return equal || QUO_MUTANT(SEAL_WITHOUT_EQUAL) ? QUO_OK : QUO_BUSY;
}

static void answer(struct quo_server *server, const struct quo_request *request,
                   enum quo_status status)
{
    struct quo_waiter waiter = {.status = status};
    quo_floors_show(server, request->partition, &waiter.view);
    quo_reply_after(server, request, &waiter, NULL, false);
}

/* Answered when it is on disk. In force it is at once, so that nothing slips in below it; and what
 * was accepted before is on disk with it. */
static void raise_floors(struct quo_server *server, const struct quo_request *request,
                         const struct quo_floors *floors)
{
    size_t need = KEY_LEN + QUO_FLOORS_SIZE;
    enum quo_status status = quo_request_may_write(server, need);
    struct quo_group *group = status == QUO_OK ? quo_group_gather(server, need) : NULL;
    if (group == NULL) {
        answer(server, request, status == QUO_OK ? QUO_BUSY : status);
        return;
    }
    server->partitions[request->partition].floors = *floors;
    put_floors(group, request->partition);
    quo_group_account(group, need);
    quo_collector_wake(server);
    struct quo_waiter waiter = {.status = QUO_OK};
    quo_floors_show(server, request->partition, &waiter.view);
    quo_reply_after(server, request, &waiter, group, true);
}

void quo_floors_ask(struct quo_server *server, struct quo_request *request,
                    const struct quo_msg_floor *asked)
{
    if (!server->serving) {
        quo_reply_status(server, request->peer, request->id, QUO_BUSY);
        return;
    }
    enum quo_floor_stage stage = (enum quo_floor_stage)asked->stage;
    struct quo_floors floors = server->partitions[request->partition].floors;
    enum quo_status status = admit(server, request, asked);
    if (status == QUO_WRONG_EPOCH) {
        quo_reply_wrong_epoch(server, request, &server->partitions[request->partition].entry);
        return;
    }
    if (status == QUO_OK)
        status = quo_floors_take(&floors, stage, asked->floor);
    if (status == QUO_OK && stage == QUO_FLOOR_READY)
        status = ready(server, request->partition);
    if (status == QUO_OK && stage == QUO_FLOOR_CONFIRM)
        status = confirm(server, request->partition, asked->floor);
    if (status == QUO_OK && stage != QUO_FLOOR_READY && stage != QUO_FLOOR_CONFIRM)
        raise_floors(server, request, &floors);
    else
        answer(server, request, status);
}

void quo_handle_floor(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    struct quo_request request = {.peer = peer, .id = id};
    struct quo_msg_floor asked;
    if (quo_msg_floor_decode(body, &asked) != QUO_OK ||
        asked.partition >= server->partition_count || asked.stage < QUO_FLOOR_READY ||
        asked.stage > QUO_FLOOR_DROP || quo_entry_decode(asked.entry, &request.entry) != QUO_OK) {
        quo_reply_status(server, peer, id, QUO_MALFORMED);
        return;
    }
    request.partition = asked.partition;
    quo_floors_ask(server, &request, &asked);
}
