#include "storage-node/server/trees.h"

#include <stdlib.h>

#include "storage-node/server/internal.h"

/* Making and freeing */

void quo_trees_clear(struct quo_trees *trees, struct quo_forest *forest)
{
    for (size_t i = 0; i < QUO_COUNT(forest->trees); i++) {
        struct quo_tree *tree = forest->trees[i];
        if (tree == NULL)
            continue;
        for (size_t branch = 0; branch < QUO_TREE_BRANCHES; branch++) {
            trees->pages -= tree->leaves[branch] != NULL;
            free(tree->leaves[branch]);
        }
        free(tree);
        forest->trees[i] = NULL;
    }
    forest->gone = forest->merging = 0;
    forest->gone_ms = UINT64_MAX;
}

enum quo_status quo_trees_open(struct quo_server *server, bool fresh)
{
    struct quo_trees *trees = calloc(1, sizeof *trees);
    if (trees == NULL)
        return QUO_NO_MEMORY;
    server->trees = trees;
    trees->partitions = calloc(server->partition_count, sizeof *trees->partitions);
    if (trees->partitions == NULL)
        return QUO_NO_MEMORY;
    enum quo_status status = quo_overlay_init(&trees->rebuild.table);
    if (status != QUO_OK)
        return status;
    trees->wanted = true;
    for (uint32_t i = 0; i < server->partition_count; i++)
        trees->partitions[i] = (struct quo_forest){
            .state = fresh ? QUO_FOREST_READY : QUO_FOREST_UNKNOWN,
            .gone_ms = UINT64_MAX,
        };
    return fresh ? QUO_OK : quo_trees_read(server, &server->marked);
}

void quo_trees_free(struct quo_server *server)
{
    struct quo_trees *trees = server->trees;
    if (trees == NULL)
        return;
    for (uint32_t i = 0; trees->partitions != NULL && i < server->partition_count; i++)
        quo_trees_clear(trees, &trees->partitions[i]);
    server->store->ops->range_release(server->store, &trees->rebuild.range);
    quo_rebuild_forget(&trees->rebuild);
    quo_overlay_free(&trees->rebuild.table);
    free(trees->partitions);
    free(trees);
    server->trees = NULL;
}

size_t quo_partition_end(uint32_t partition, uint8_t *out)
{
    if (partition < UINT16_MAX) {
        quo_put_u16(out, (uint16_t)(partition + 1));
        return 2;
    }
    memset(out, 0xff, QUO_STORAGE_KEY_MAX + 1);
    return QUO_STORAGE_KEY_MAX + 1;
}

/* Changes */

struct quo_share quo_trees_share(struct quo_slice key, struct quo_slice record)
{
    struct quo_version version;
    uint8_t flags;
    if (record.len == 0 || quo_record_peek(record, &version, &flags) != QUO_OK)
        return QUO_SHARE_NONE;
    return (struct quo_share){
        .hash = quo_tree_hash(key, version, flags),
        .gone_ms = quo_floors_gone_ms(record),
    };
}

void quo_trees_lose(struct quo_server *server, uint32_t partition)
{
    struct quo_trees *trees = server->trees;
    struct quo_rebuild *rebuild = &trees->rebuild;
    quo_trees_clear(trees, &trees->partitions[partition]);
    trees->partitions[partition].state = QUO_FOREST_UNKNOWN;
    trees->wanted = true;
    trees->wake_us = quo_mono_us(server->env) + QUO_REBUILD_RETRY_US;
    if (rebuild->active && rebuild->partition == partition)
        rebuild->lost = true;
}

/* Returns NULL when out of memory. */
static struct quo_tree *grow(struct quo_trees *trees, struct quo_tree **at, uint32_t leaf)
{
    if (*at == NULL)
        *at = calloc(1, sizeof **at);
    if (*at == NULL || !quo_tree_lacks(*at, leaf))
        return *at;
    if (trees->pages == QUO_TREE_PAGES_MAX)
        return NULL;
    uint64_t *page = calloc(QUO_TREE_LEAVES, sizeof *page);
    if (page == NULL)
        return NULL;
    (*at)->leaves[leaf / QUO_TREE_LEAVES] = page;
    trees->pages++;
    return *at;
}

static bool is_gone(struct quo_share share)
{
    return share.hash != 0 && share.gone_ms != UINT64_MAX;
}

static void count_records(struct quo_forest *forest, const struct quo_namespace *ns,
                          struct quo_share before, struct quo_share after)
{
    forest->gone += (uint64_t)is_gone(after) - (uint64_t)is_gone(before);
    if (ns->kind == QUO_KIND_CRDT)
        forest->merging += (uint64_t)(after.hash != 0) - (uint64_t)(before.hash != 0);
    if (is_gone(after))
        forest->gone_ms = QUO_MIN(forest->gone_ms, after.gone_ms);
}

void quo_trees_change(struct quo_server *server, struct quo_slice key, struct quo_share before,
                      struct quo_share after)
{
    uint32_t partition = quo_get_u16(key.data), leaf = quo_tree_leaf(key);
    const struct quo_namespace *ns = quo_request_namespace(server, quo_get_u32(key.data + 2));
    struct quo_forest *forest = &server->trees->partitions[partition];
    uint64_t difference = before.hash ^ after.hash;
    /* Nobody asks for what belongs to no namespace. */
    if (ns == NULL || difference == 0)
        return;
    QUO_INVARIANT(ns->n >= 1 && ns->n <= QUO_REPLICAS_MAX);
    count_records(forest, ns, before, after);
    struct quo_tree *tree = grow(server->trees, &forest->trees[ns->n - 1], leaf);
    if (tree == NULL)
        quo_trees_lose(server, partition);
    else
        quo_tree_toggle(tree, leaf, difference);
}

void quo_trees_commit(struct quo_group *group)
{
    if (group->server->marked && !QUO_MUTANT(TREE_MARK_STAYS))
        quo_trees_unmark(group);
}

static void take(struct quo_server *server, const struct quo_group *group,
                 const struct quo_unsynced *unsynced)
{
    struct quo_slice key = unsynced->entry.key;
    switch (server->trees->partitions[quo_get_u16(key.data)].state) {
    case QUO_FOREST_READY:
        quo_trees_change(server, key, unsynced->before, unsynced->after);
        break;
    case QUO_FOREST_SCANNED:
        quo_rebuild_touch(server, key, group->sequence, unsynced->before, unsynced->after);
        break;
    case QUO_FOREST_UNKNOWN:
        break;
    }
}

void quo_trees_committed(struct quo_group *group)
{
    struct quo_server *server = group->server;
    server->marked = group->marks;
    if (server->trees == NULL)
        return;
    /* An epoch that came may have made us a replica. */
    if (group->adoptions != NULL)
        server->trees->wanted = true;
    for (const struct quo_unsynced *at = group->unsynced; at != NULL; at = at->next_in_group)
        if (at->brings_record)
            take(server, group, at);
}

void quo_trees_fail(struct quo_server *server)
{
    for (uint32_t i = 0; server->trees != NULL && i < server->partition_count; i++)
        quo_trees_lose(server, i);
}

/* Work */

void quo_trees_end_turn(struct quo_server *server)
{
    struct quo_trees *trees = server->trees;
    if (trees == NULL)
        return;
    if (!server->draining) {
        quo_rebuild_end_turn(server);
        return;
    }
    /* What waits for a group or a reading may still write, and nothing else does. */
    bool busy = server->groups != NULL && server->groups->puts > 0;
    if (trees->left || trees->rebuild.reading || busy || server->readings != NULL)
        return;
    trees->left = true;
    quo_trees_leave(server);
}

bool quo_trees_idle(const struct quo_server *server)
{
    const struct quo_trees *trees = server->trees;
    return trees == NULL || (!trees->rebuild.reading && (!server->draining || trees->left));
}

uint64_t quo_trees_deadline(const struct quo_server *server)
{
    const struct quo_trees *trees = server->trees;
    if (trees == NULL || trees->rebuild.reading || !trees->wanted || server->draining ||
        !server->serving || server->failed)
        return UINT64_MAX;
    return trees->wake_us;
}

/* Reading */

uint64_t quo_server_tombstones(const struct quo_server *server)
{
    uint64_t count = 0;
    for (uint32_t i = 0; server->trees != NULL && i < server->partition_count; i++)
        if (quo_trees_ready(server, i))
            count += server->trees->partitions[i].gone;
    return count;
}

bool quo_trees_ready(const struct quo_server *server, uint32_t partition)
{
    return server->trees != NULL && server->trees->partitions[partition].state == QUO_FOREST_READY;
}

static const struct quo_tree *tree_at(const struct quo_server *server, uint32_t partition,
                                      uint8_t replicas)
{
    return server->trees->partitions[partition].trees[replicas - 1];
}

uint64_t quo_trees_root(const struct quo_server *server, uint32_t partition, uint8_t replicas)
{
    uint64_t root = 0;
    for (uint8_t n = replicas; n <= QUO_REPLICAS_MAX; n++)
        if (tree_at(server, partition, n) != NULL)
            root ^= tree_at(server, partition, n)->root;
    return root;
}

void quo_trees_branches(const struct quo_server *server, uint32_t partition, uint8_t replicas,
                        uint64_t out[QUO_TREE_BRANCHES])
{
    for (uint8_t n = replicas; n <= QUO_REPLICAS_MAX; n++)
        if (tree_at(server, partition, n) != NULL)
            quo_tree_add_branches(tree_at(server, partition, n), out);
}

void quo_trees_leaves(const struct quo_server *server, uint32_t partition, uint8_t replicas,
                      uint32_t branch, uint64_t out[QUO_TREE_LEAVES])
{
    for (uint8_t n = replicas; n <= QUO_REPLICAS_MAX; n++)
        if (tree_at(server, partition, n) != NULL)
            quo_tree_add_leaves(tree_at(server, partition, n), branch, out);
}
