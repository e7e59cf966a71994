/* Makes the trees of a partition from a scan, part by part in key order, while writes go on.
 *
 * Let the tree be that of all keys up to the cursor, as the groups that completed left them. A part
 * is read: the entries above the cursor at one moment m between the call and its completion t. What
 * is read of a key is not yet what the tree must know of it, since a group becomes visible in the
 * engine some time before it completes here:
 *
 *   - No group that wrote the key completed since the call, and none is under way: what is read is
 *     what the last completed group left.
 *   - Some completed since the call: m may be before or after each of them. The tree must know what
 *     the last one left, which was noted when it completed.
 *   - None of those, but the group under way wrote it: m may be after it is visible, but it is not
 *     complete. The tree must know what was before; the group will change it when it completes.
 *
 * So for keys of the last two sorts (the touched ones) what was noted counts, whether the part
 * shows them or not, and for all others what was read. Then the cursor moves to the last key read,
 * or past the partition, and the claim at the top holds again. Groups that complete later find
 * their keys up to the cursor in the tree, and change it. At most one group is visible and not
 * complete, since the engine has one commit at a time.
 */
#include <stdlib.h>

#include "storage-node/server/internal.h"

/* What was touched */

void quo_rebuild_forget(struct quo_rebuild *rebuild)
{
    while (rebuild->touched != NULL) {
        struct quo_touched *touched = rebuild->touched;
        rebuild->touched = touched->next;
        quo_overlay_remove(&rebuild->table, &touched->entry);
        free(touched);
    }
    rebuild->touched_count = 0;
}

static struct quo_touched *find_touched(const struct quo_rebuild *rebuild, struct quo_slice key)
{
    struct quo_overlay_entry *entry = quo_overlay_find(&rebuild->table, key);
    return entry != NULL ? QUO_CONTAINER_OF(entry, struct quo_touched, entry) : NULL;
}

/* Returns NULL at the limit or when out of memory. */
static struct quo_touched *touch(struct quo_rebuild *rebuild, struct quo_slice key)
{
    if (rebuild->touched_count == QUO_REBUILD_TOUCHED_MAX)
        return NULL;
    struct quo_touched *touched = malloc(sizeof *touched + key.len);
    if (touched == NULL)
        return NULL;
    *touched =
        (struct quo_touched){.entry = {.state = QUO_OVERLAY_TOUCHED}, .next = rebuild->touched};
    memcpy(touched->key, key.data, key.len);
    touched->entry.key = quo_slice(touched->key, key.len);
    quo_overlay_insert(&rebuild->table, &touched->entry);
    rebuild->touched = touched;
    rebuild->touched_count++;
    return touched;
}

static bool is_past(const struct quo_rebuild *rebuild, struct quo_slice key)
{
    return quo_storage_key_compare(key, quo_slice(rebuild->cursor, rebuild->cursor_len)) > 0;
}

void quo_rebuild_touch(struct quo_server *server, struct quo_slice key, uint64_t sequence,
                       struct quo_share before, struct quo_share after)
{
    struct quo_rebuild *rebuild = &server->trees->rebuild;
    if (!is_past(rebuild, key)) {
        quo_trees_change(server, key, before, after);
        return;
    }
    if (!rebuild->reading)
        return; /* what is read later is later than this */
    struct quo_touched *touched = find_touched(rebuild, key);
    /* A group tells the newest of a key first. */
    if (touched != NULL && touched->sequence == sequence)
        return;
    if (touched == NULL && (touched = touch(rebuild, key)) == NULL) {
        quo_trees_lose(server, rebuild->partition);
        return;
    }
    touched->sequence = sequence;
    touched->share = after;
}

/* Returns false when out of memory. */
static bool touch_uncommitted(struct quo_server *server)
{
    struct quo_rebuild *rebuild = &server->trees->rebuild;
    if (!server->committing)
        return true;
    for (const struct quo_unsynced *at = server->groups->unsynced; at != NULL;
         at = at->next_in_group) {
        struct quo_slice key = at->entry.key;
        if (!at->brings_record || quo_get_u16(key.data) != rebuild->partition ||
            !is_past(rebuild, key))
            continue;
        struct quo_touched *touched = find_touched(rebuild, key);
        if (touched != NULL && touched->sequence != 0)
            continue;
        if (touched == NULL && (touched = touch(rebuild, key)) == NULL)
            return false;
        /* The oldest of a key comes last. */
        touched->share = at->before;
    }
    return true;
}

/* What was read */

/* Takes the entries in and moves the cursor. Returns false when some are not what they should be,
 * or the partition was lost on the way. */
static bool take_entries(struct quo_server *server)
{
    struct quo_rebuild *rebuild = &server->trees->rebuild;
    struct quo_slice last = quo_slice(rebuild->cursor, rebuild->cursor_len);
    struct quo_range_entry entry;
    size_t at = 0;
    while (quo_range_next(&rebuild->range, &at, &entry)) {
        struct quo_touched *touched =
            QUO_MUTANT(REBUILD_MISSES_WRITES) ? NULL : find_touched(rebuild, entry.key);
        struct quo_share share = quo_trees_share(entry.key, entry.value);
        if (share.hash == 0 || entry.key.len < QUO_STORAGE_KEY_PREFIX ||
            entry.key.len > QUO_STORAGE_KEY_MAX)
            return false;
        if (touched != NULL)
            touched->met = true;
        quo_trees_change(server, entry.key, QUO_SHARE_NONE,
                         touched != NULL ? touched->share : share);
        last = entry.key;
    }
    if (!rebuild->range.more)
        last = quo_slice(rebuild->hi, rebuild->hi_len);
    rebuild->cursor_len = last.len;
    memmove(rebuild->cursor, last.data, last.len);
    return true;
}

static void take_touched(struct quo_server *server)
{
    struct quo_rebuild *rebuild = &server->trees->rebuild;
    for (struct quo_touched *at = rebuild->touched; at != NULL; at = at->next)
        if (!at->met && !is_past(rebuild, at->entry.key) && !QUO_MUTANT(REBUILD_MISSES_WRITES))
            quo_trees_change(server, at->entry.key, QUO_SHARE_NONE, at->share);
}

static bool take(struct quo_server *server)
{
    struct quo_rebuild *rebuild = &server->trees->rebuild;
    if (rebuild->lost || rebuild->range.load.status != QUO_OK)
        return false;
    if (!touch_uncommitted(server) || !take_entries(server))
        return false;
    take_touched(server);
    return !rebuild->lost;
}

/* Course */

static void finish(struct quo_server *server)
{
    struct quo_trees *trees = server->trees;
    trees->partitions[trees->rebuild.partition].state = QUO_FOREST_READY;
    trees->rebuild.active = false;
    quo_count(&server->stats.trees_rebuilt, 1);
    quo_collector_wake(server);
}

static void part_read(struct quo_load *load)
{
    struct quo_server *server = load->context;
    struct quo_trees *trees = server->trees;
    struct quo_rebuild *rebuild = &trees->rebuild;
    if (load->status == QUO_IO_ERROR)
        quo_count(&server->stats.io_errors, 1);
    bool taken = take(server);
    bool more = rebuild->range.more;
    rebuild->reading = false;
    server->store->ops->range_release(server->store, &rebuild->range);
    quo_rebuild_forget(rebuild);
    if (!taken) {
        quo_trees_lose(server, rebuild->partition);
        rebuild->active = rebuild->lost = false;
        return;
    }
    trees->wake_us = quo_mono_us(server->env) + QUO_REBUILD_PAUSE_US;
    if (!more)
        finish(server);
}

static void read_part(struct quo_server *server)
{
    struct quo_rebuild *rebuild = &server->trees->rebuild;
    /* The key after the cursor's. */
    rebuild->cursor[rebuild->cursor_len] = 0;
    rebuild->range = (struct quo_range){
        .load = {.family = QUO_FAMILY_DATA, .done = part_read, .context = server},
        .lo = quo_slice(rebuild->cursor, rebuild->cursor_len + 1),
        .hi = quo_slice(rebuild->hi, rebuild->hi_len),
        .count_max = QUO_REBUILD_ENTRIES_MAX,
        .bytes_max = QUO_REBUILD_BYTES_MAX,
        .value_max = QUO_RECORD_EXPIRY_HEAD,
    };
    rebuild->reading = true;
    server->store->ops->range(server->store, &rebuild->range);
}

/* Returns false when there is none. */
static bool start(struct quo_server *server)
{
    struct quo_trees *trees = server->trees;
    struct quo_rebuild *rebuild = &trees->rebuild;
    for (uint32_t i = 0; i < server->partition_count; i++) {
        uint32_t partition = (rebuild->partition + i) % server->partition_count;
        if (trees->partitions[partition].state != QUO_FOREST_UNKNOWN ||
            !quo_entry_has(&server->partitions[partition].entry, server->replica))
            continue;
        trees->partitions[partition].state = QUO_FOREST_SCANNED;
        rebuild->partition = partition;
        rebuild->active = true;
        rebuild->lost = false;
        quo_put_u16(rebuild->cursor, (uint16_t)partition);
        rebuild->cursor_len = 2;
        rebuild->hi_len = quo_partition_end(partition, rebuild->hi);
        return true;
    }
    return false;
}

void quo_rebuild_end_turn(struct quo_server *server)
{
    struct quo_trees *trees = server->trees;
    if (!trees->wanted || trees->rebuild.reading || !server->serving || server->failed ||
        quo_mono_us(server->env) < trees->wake_us)
        return;
    if (trees->rebuild.lost)
        trees->rebuild.active = trees->rebuild.lost = false;
    if (trees->rebuild.active || start(server))
        read_part(server);
    else
        trees->wanted = false;
}
