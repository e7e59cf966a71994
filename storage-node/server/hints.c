/* HINT, and what is known of the hints in the store. */
#include "storage-node/server/hints.h"

#include <stdlib.h>

#include "storage-node/server/internal.h"

#define COUNT_ENTRIES_MAX 4096u /* read at once */
#define COUNT_BYTES_MAX (1024u * 1024)
#define COUNT_RETRY_US 1000000u /* after a read that failed */

enum quo_status quo_hints_open(struct quo_server *server, const struct quo_map *map)
{
    struct quo_hints *hints = calloc(1, sizeof *hints);
    if (hints == NULL)
        return QUO_NO_MEMORY;
    server->hints = hints;
    quo_handoff_init(&hints->handoff, quo_mono_us(server->env));
    for (uint32_t i = 0; i < map->node_count; i++)
        quo_handoff_add(&hints->handoff, map->nodes[i].replica);
    for (size_t i = 0; i < QUO_HINT_LANES; i++)
        hints->lanes[i].server = server;
    return QUO_OK;
}

void quo_hints_free(struct quo_server *server)
{
    struct quo_hints *hints = server->hints;
    if (hints == NULL)
        return;
    for (size_t i = 0; i < QUO_HINT_LANES; i++)
        server->store->ops->range_release(server->store, &hints->lanes[i].range);
    server->store->ops->range_release(server->store, &hints->count);
    free(hints);
    server->hints = NULL;
}

/* HINT */

/* Rules 0 to 2 as for a STORE, but for who holds the partition: that is the target. */
static enum quo_status admit(struct quo_server *server, struct quo_request *request,
                             uint64_t target)
{
    struct quo_partition *partition = &server->partitions[request->partition];
    struct quo_fence_verdict fence =
        quo_replica_fence(&partition->entry, &request->entry, server->replica);
    if (fence.status == QUO_WRONG_EPOCH || fence.status == QUO_WRONG_CLUSTER)
        return fence.status;
    enum quo_status status = QUO_OK;
    if (fence.adopt)
        status = quo_epochs_adopt(server, request->partition, &request->entry);
    if (status == QUO_OK && !quo_entry_has(&partition->entry, target))
        status = QUO_NOT_REPLICA;
    if (status == QUO_OK) {
        request->ns = quo_request_namespace(server, request->ns_id);
        status = quo_replica_kind(request->ns, request->kind, request->op);
    }
    if (status == QUO_OK)
        status = quo_replica_skew(request->version, quo_wall_ms(server->env));
    return status;
}

/* Returns NULL when out of memory. */
static struct quo_hint_note *note(struct quo_group *group, struct quo_handoff_target *target,
                                  size_t bytes)
{
    struct quo_hint_note *made = quo_arena_alloc(&group->arena, sizeof *made);
    if (made == NULL)
        return NULL;
    *made = (struct quo_hint_note){.next = group->hints, .target = target, .bytes = bytes};
    group->hints = made;
    return made;
}

/* The counts run ahead of the disk, so that a burst keeps to the limits. */
static enum quo_status keep(struct quo_server *server, const struct quo_request *request,
                            struct quo_handoff_target *target, struct quo_slice key)
{
    struct quo_hints *hints = server->hints;
    size_t bytes = key.len + request->record.len;
    enum quo_status status = quo_request_may_write(server, bytes + sizeof(struct quo_hint_note));
    if (status == QUO_OK)
        status = quo_handoff_admit(target, bytes, request->version, quo_wall_ms(server->env));
    if (status != QUO_OK)
        return status;
    struct quo_group *group = quo_group_gather(server, bytes);
    if (group == NULL || note(group, target, bytes) == NULL)
        return QUO_BUSY;
    quo_group_put(group, QUO_FAMILY_HINTS, key, request->record);
    quo_group_account(group, bytes + sizeof(struct quo_hint_note));
    quo_handoff_added(target, bytes, request->version);
    target->kept++;
    hints->arriving++;
    struct quo_waiter waiter = {.status = QUO_OK};
    quo_reply_after(server, request, &waiter, group, true);
    return QUO_OK;
}

static void take(struct quo_server *server, struct quo_request *request, uint64_t replica,
                 size_t value_len)
{
    uint8_t bytes[QUO_HINT_KEY_MAX];
    const struct quo_hint_key key = {
        .target = replica, .version = request->version, .key = request->key};
    enum quo_status status = server->serving ? admit(server, request, replica) : QUO_BUSY;
    if (status == QUO_WRONG_EPOCH) {
        quo_reply_wrong_epoch(server, request, &server->partitions[request->partition].entry);
        return;
    }
    if (status == QUO_OK && value_len > request->ns->value_max)
        status = QUO_MALFORMED;
    struct quo_handoff_target *target =
        server->hints != NULL ? quo_handoff_find(&server->hints->handoff, replica) : NULL;
    if (status == QUO_OK && (server->hints == NULL || !server->hints->counted))
        status = QUO_BUSY;
    if (status == QUO_OK && target == NULL)
        status = QUO_NOT_REPLICA;
    if (status == QUO_OK)
        status = keep(server, request, target, quo_slice(bytes, quo_hint_key_encode(&key, bytes)));
    if (status != QUO_OK)
        quo_reply_refusal(server, request, status);
}

void quo_handle_hint(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    quo_count(&server->stats.hints, 1);
    struct quo_msg_hint message;
    struct quo_record record;
    if (quo_msg_hint_decode(body, &message) != QUO_OK || message.target == server->replica ||
        quo_record_decode(message.record, &record) != QUO_OK || !quo_replica_is_blind(&record)) {
        quo_reply_status(server, peer, id, QUO_MALFORMED);
        return;
    }
    struct quo_request request = {
        .peer = peer,
        .id = id,
        .op = QUO_OP_STORE,
        .partition = message.partition,
        .kind = message.kind,
        .ns_id = message.ns,
        .sync = true,
        .version = record.version,
        .record = message.record,
    };
    uint8_t key[QUO_STORAGE_KEY_MAX];
    if (quo_request_init(server, &request, message.entry, message.key, key) == QUO_OK)
        take(server, &request, message.target, record.value.len);
    else
        quo_reply_status(server, peer, id, QUO_MALFORMED);
}

/* Groups */

bool quo_hints_remove(struct quo_server *server, struct quo_handoff_target *target,
                      struct quo_slice key, size_t bytes)
{
    struct quo_group *group = quo_group_gather(server, key.len);
    struct quo_hint_note *made = group != NULL ? note(group, target, bytes) : NULL;
    if (made == NULL)
        return false;
    made->removed = true;
    quo_group_delete(group, QUO_FAMILY_HINTS, key);
    quo_group_account(group, key.len + sizeof *made);
    return true;
}

/* A hint that came twice is one in the store: what is missing then was put right by a round that
 * found less. */
static void subtract(const struct quo_hint_note *at)
{
    if (at->target->count > 0 && at->target->bytes >= at->bytes)
        quo_handoff_removed(at->target, at->bytes);
}

void quo_hints_settle(struct quo_group *group)
{
    for (const struct quo_hint_note *at = group->hints; at != NULL; at = at->next) {
        if (at->removed)
            subtract(at);
        else
            group->server->hints->arriving--;
    }
}

void quo_hints_revert(struct quo_group *group)
{
    for (const struct quo_hint_note *at = group->hints; at != NULL; at = at->next) {
        if (at->removed)
            continue;
        group->server->hints->arriving--;
        subtract(at);
    }
}

/* Counting, at the start */

/* Hints for nodes that the map has no more will never be delivered. */
static void count_entry(struct quo_server *server, const struct quo_range_entry *entry)
{
    struct quo_hint_key key;
    size_t bytes = entry->key.len + entry->value_len;
    if (quo_hint_key_decode(entry->key, &key) != QUO_OK)
        return;
    struct quo_handoff_target *target = quo_handoff_find(&server->hints->handoff, key.target);
    struct quo_group *group = target == NULL ? quo_group_gather(server, entry->key.len) : NULL;
    if (target != NULL)
        quo_handoff_added(target, bytes, key.version);
    else if (group != NULL)
        quo_group_delete(group, QUO_FAMILY_HINTS, entry->key);
}

static void counted(struct quo_load *load)
{
    struct quo_server *server = load->context;
    struct quo_hints *hints = server->hints;
    struct quo_range_entry entry;
    hints->counting = false;
    if (load->status != QUO_OK) {
        hints->count_at_us = quo_mono_us(server->env) + COUNT_RETRY_US;
    } else if (!server->draining) {
        for (size_t at = 0; quo_range_next(&hints->count, &at, &entry);) {
            count_entry(server, &entry);
            hints->lo_len = QUO_MIN(entry.key.len, (size_t)QUO_HINT_KEY_MAX);
            memcpy(hints->lo, entry.key.data, hints->lo_len);
            hints->lo[hints->lo_len++] = 0;
        }
        hints->counted = !hints->count.more;
    }
    server->store->ops->range_release(server->store, &hints->count);
}

static void start_counting(struct quo_server *server)
{
    static const uint8_t past[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct quo_hints *hints = server->hints;
    if (hints->counted || hints->counting || !server->serving ||
        quo_mono_us(server->env) < hints->count_at_us)
        return;
    hints->counting = true;
    hints->count = (struct quo_range){
        .load = {.family = QUO_FAMILY_HINTS, .done = counted, .context = server},
        .lo = quo_slice(hints->lo, hints->lo_len),
        .hi = quo_slice(past, sizeof past),
        .count_max = COUNT_ENTRIES_MAX,
        .bytes_max = COUNT_BYTES_MAX,
    };
    server->store->ops->range(server->store, &hints->count);
}

/* Course */

void quo_hints_end_turn(struct quo_server *server)
{
    if (server->hints == NULL)
        return;
    if (!server->draining && !server->failed)
        start_counting(server);
    quo_hints_deliver(server);
}

uint64_t quo_hints_deadline(const struct quo_server *server)
{
    const struct quo_hints *hints = server->hints;
    if (hints == NULL || server->draining || server->failed || !server->serving || hints->counting)
        return UINT64_MAX;
    return hints->counted ? quo_hints_delivery_deadline(server) : hints->count_at_us;
}

bool quo_hints_idle(const struct quo_server *server)
{
    const struct quo_hints *hints = server->hints;
    if (hints == NULL)
        return true;
    for (size_t i = 0; i < QUO_HINT_LANES; i++)
        if (hints->lanes[i].reading)
            return false;
    return !hints->counting;
}

/* What is told */

size_t quo_server_hints(const struct quo_server *server, struct quo_server_hints ret[QUO_NODES_MAX])
{
    size_t count = 0;
    for (uint32_t i = 0; server->hints != NULL && i < server->hints->handoff.target_count; i++) {
        const struct quo_handoff_target *target = &server->hints->handoff.targets[i];
        uint64_t ended = target->delivered + target->expired + target->useless;
        if (target->count + target->kept + target->refused + ended == 0)
            continue;
        ret[count++] = (struct quo_server_hints){
            .target = target->replica,
            .count = target->count,
            .bytes = target->bytes,
            .oldest_ms = target->count > 0 ? target->oldest_ms : 0,
            .kept = target->kept,
            .delivered = target->delivered,
            .expired = target->expired,
            .useless = target->useless,
            .refused = target->refused,
        };
    }
    return count;
}

uint64_t quo_server_hints_drained(const struct quo_server *server)
{
    return server->hints != NULL
               ? quo_handoff_drained(&server->hints->handoff, quo_mono_us(server->env))
               : 0;
}
