/* The entry in force of every partition: stored under META, taken from the map at start and from
 * requests that carry a newer one. */
#include <inttypes.h>
#include <stdio.h>

#include "storage-node/server/internal.h"

#define PREFIX "epoch"
#define PREFIX_LEN (sizeof PREFIX - 1)
#define KEY_LEN (PREFIX_LEN + 2) /* then the partition, be16 */

struct opening {
    struct quo_server *server;
    uint32_t stored;
    enum quo_status status;
    char *why;
    size_t why_size;
};

static void put_entry(struct quo_group *group, uint16_t partition, const struct quo_entry *entry)
{
    uint8_t key[KEY_LEN];
    uint8_t value[QUO_ENTRY_SIZE_MAX];
    memcpy(key, PREFIX, PREFIX_LEN);
    quo_put_u16(key + PREFIX_LEN, partition);
    quo_entry_encode(entry, value);
    quo_group_put(group, QUO_FAMILY_META, quo_slice(key, sizeof key),
                  quo_slice(value, quo_entry_size(entry)));
}

static bool stop(struct opening *opening, enum quo_status status, const char *what,
                 uint32_t partition)
{
    opening->status = status;
    snprintf(opening->why, opening->why_size, "partition %" PRIu32 ": %s", partition, what);
    return false;
}

static bool visit(void *context, struct quo_slice key, struct quo_slice value)
{
    struct opening *opening = context;
    struct quo_server *server = opening->server;
    struct quo_entry entry;
    if (key.len != KEY_LEN || quo_entry_decode(value, &entry) != QUO_OK)
        return stop(opening, QUO_CORRUPT, "the stored epoch cannot be read", opening->stored);
    uint16_t partition = quo_get_u16(key.data + PREFIX_LEN);
    if (partition >= server->partition_count)
        return stop(opening, QUO_INVALID, "stored here, but the map has fewer", partition);
    server->partitions[partition].entry = entry;
    opening->stored++;
    return true;
}

/* Compares the map's entry of a partition with the stored one, whose epoch is 0 when there is none.
 */
static bool take_from_map(struct opening *opening, uint32_t partition,
                          const struct quo_entry *from_map)
{
    struct quo_partition *ours = &opening->server->partitions[partition];
    if (ours->entry.epoch != 0) {
        if (from_map->epoch < ours->entry.epoch)
            return stop(opening, QUO_INVALID, "the map is older than the stored epoch", partition);
        if (!quo_replica_may_follow(&ours->entry, from_map))
            return stop(opening, QUO_INVALID, "the map names other replicas without a move",
                        partition);
        if (from_map->epoch == ours->entry.epoch)
            return true;
        ours->moved = !quo_floors_outlive(&ours->entry, from_map);
    }
    ours->entry = *from_map;
    ours->unstored = true;
    return true;
}

enum quo_status quo_epochs_open(struct quo_server *server, const struct quo_map *map, char *why,
                                size_t why_size)
{
    static const uint8_t past_prefix[] = {'e', 'p', 'o', 'c', 'h' + 1};
    struct opening opening = {.server = server, .status = QUO_OK, .why = why, .why_size = why_size};
    struct quo_store *store = server->store;
    enum quo_status status =
        store->ops->scan(store, QUO_FAMILY_META, quo_slice(PREFIX, PREFIX_LEN),
                         quo_slice(past_prefix, sizeof past_prefix), visit, &opening);
    if (status != QUO_OK) {
        snprintf(why, why_size, "the stored epochs cannot be read: %s", quo_status_text(status));
        return status;
    }
    server->fresh = opening.stored == 0;
    /* All entries of a map are stored at once, so what is stored tells how many there were. */
    if (opening.status == QUO_OK && opening.stored != 0 && opening.stored != map->partition_count)
        stop(&opening, QUO_INVALID, "not stored here: the map has more partitions", opening.stored);
    for (uint32_t i = 0; i < map->partition_count && opening.status == QUO_OK; i++)
        take_from_map(&opening, i, &map->entries[i]);
    return opening.status;
}

enum quo_status quo_epochs_start(struct quo_server *server)
{
    struct quo_group *group = NULL;
    for (uint32_t i = 0; i < server->partition_count; i++) {
        if (!server->partitions[i].unstored)
            continue;
        if (group == NULL && (group = quo_group_gather(server, 0)) == NULL)
            return QUO_NO_MEMORY;
        put_entry(group, (uint16_t)i, &server->partitions[i].entry);
        quo_floors_start(group, i);
    }
    if (group == NULL)
        server->serving = true;
    else
        group->starts = true;
    return QUO_OK;
}

enum quo_status quo_epochs_adopt(struct quo_server *server, uint16_t partition,
                                 const struct quo_entry *entry)
{
    size_t need = sizeof(struct quo_adoption) + KEY_LEN + quo_entry_size(entry);
    enum quo_status status = quo_request_may_write(server, need);
    if (status != QUO_OK)
        return status;
    struct quo_group *group = quo_group_gather(server, need);
    if (group == NULL)
        return QUO_BUSY;
    struct quo_adoption *adoption = quo_arena_alloc(&group->arena, sizeof *adoption);
    if (adoption == NULL)
        return QUO_BUSY;
    struct quo_partition *ours = &server->partitions[partition];
    *adoption = (struct quo_adoption){
        .next = group->adoptions, .partition = partition, .previous = ours->entry};
    group->adoptions = adoption;
    put_entry(group, partition, entry);
    quo_floors_follow(group, partition, &ours->entry, entry);
    quo_group_account(group, need);
    ours->entry = *entry;
    ours->adopting = group;
    quo_count(&server->stats.adopted, 1);
    return QUO_OK;
}

void quo_epochs_settle(struct quo_group *group)
{
    struct quo_server *server = group->server;
    for (struct quo_adoption *at = group->adoptions; at != NULL; at = at->next)
        if (server->partitions[at->partition].adopting == group)
            server->partitions[at->partition].adopting = NULL;
    if (!group->starts)
        return;
    for (uint32_t i = 0; i < server->partition_count; i++)
        server->partitions[i].unstored = false;
    server->serving = true;
}

void quo_epochs_revert(struct quo_group *group)
{
    struct quo_server *server = group->server;
    for (struct quo_adoption *at = group->adoptions; at != NULL; at = at->next) {
        struct quo_partition *ours = &server->partitions[at->partition];
        ours->adopting = NULL;
        /* Of several lost adoptions of one partition the oldest knows what is on disk. */
        if (at->previous.epoch < ours->entry.epoch)
            ours->entry = at->previous;
    }
}
