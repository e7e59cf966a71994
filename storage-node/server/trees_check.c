/* Whether the trees are what a scan of the store makes. For tests. */
#include <stdlib.h>

#include "storage-node/server/internal.h"

struct check {
    struct quo_server *server;
    struct quo_trees *fresh;
};

static bool visit(void *context, struct quo_slice key, struct quo_slice record)
{
    struct check *check = context;
    struct quo_trees *kept = check->server->trees;
    if (key.len < QUO_STORAGE_KEY_PREFIX || quo_get_u16(key.data) >= check->server->partition_count)
        return true;
    check->server->trees = check->fresh;
    quo_trees_change(check->server, key, QUO_SHARE_NONE, quo_trees_share(key, record));
    check->server->trees = kept;
    return true;
}

static bool same_tree(const struct quo_tree *a, const struct quo_tree *b)
{
    static const struct quo_tree empty;
    a = a != NULL ? a : &empty;
    b = b != NULL ? b : &empty;
    if (!quo_tree_consistent(a) || !quo_tree_consistent(b) || a->root != b->root)
        return false;
    for (uint32_t branch = 0; branch < QUO_TREE_BRANCHES; branch++) {
        uint64_t left[QUO_TREE_LEAVES] = {0}, right[QUO_TREE_LEAVES] = {0};
        quo_tree_add_leaves(a, branch, left);
        quo_tree_add_leaves(b, branch, right);
        if (quo_tree_differ(left, right) != 0)
            return false;
    }
    return true;
}

static bool same_forest(const struct quo_forest *a, const struct quo_forest *b)
{
    if (a->gone != b->gone || a->merging != b->merging || a->gone_ms > b->gone_ms)
        return false;
    for (size_t i = 0; i < QUO_COUNT(a->trees); i++)
        if (!same_tree(a->trees[i], b->trees[i]))
            return false;
    return true;
}

bool quo_server_check_trees(struct quo_server *server, uint32_t *ret_ready)
{
    struct quo_trees fresh = {.partitions =
                                  calloc(server->partition_count, sizeof *fresh.partitions)};
    struct check check = {.server = server, .fresh = &fresh};
    uint8_t past[QUO_STORAGE_KEY_MAX + 1];
    bool same = true;
    QUO_REQUIRE(server->trees != NULL && quo_server_idle(server) && fresh.partitions != NULL);
    for (uint32_t i = 0; i < server->partition_count; i++)
        fresh.partitions[i].gone_ms = UINT64_MAX;
    memset(past, 0xff, sizeof past);
    enum quo_status status =
        server->store->ops->scan(server->store, QUO_FAMILY_DATA, quo_slice(past, 0),
                                 quo_slice(past, sizeof past), visit, &check);
    *ret_ready = 0;
    for (uint32_t i = 0; i < server->partition_count; i++) {
        if (quo_trees_ready(server, i)) {
            same = same && same_forest(&server->trees->partitions[i], &fresh.partitions[i]);
            (*ret_ready)++;
        }
        quo_trees_clear(&fresh, &fresh.partitions[i]);
    }
    free(fresh.partitions);
    return status == QUO_OK && same;
}
