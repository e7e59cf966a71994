/* The trees that a server leaves in the store when it stops in order, under META:
 *
 *   "tree" be16 partition  ->  be64 life | be64 gone, gone_ms, merging, of struct quo_forest
 *                              | for each tree: u8 replicas | be64 bit per page | pages
 *   "trees"                ->  be64 life | be64 digest of what trees depend on besides records
 *
 * The mark "trees" comes with the last group of all, and goes with the first that the next life
 * commits. So trees are found if and only if nothing was written since. Those of a partition that
 * were not ready, or of another life, are not of the life that the mark names.
 */
#include <stdlib.h>

#include "storage-node/server/internal.h"

#define PREFIX "tree"
#define PREFIX_LEN (sizeof PREFIX - 1)
#define KEY_LEN (PREFIX_LEN + 2)
#define MARK "trees"
#define MARK_LEN (sizeof MARK - 1)
#define MARK_VALUE_LEN 16u
#define PAGE_LEN (QUO_TREE_LEAVES * 8u)
#define TREE_LEN_MAX (1u + 8u + QUO_TREE_BRANCHES * PAGE_LEN)
#define HEAD_LEN 32u /* before the trees */
#define FORMAT 2u

/* A namespace's id and number of replicas say in which tree its records are. */
static uint64_t digest_of(const struct quo_server *server)
{
    uint8_t bytes[1 + QUO_NAMESPACES_MAX * 5];
    size_t len = 0;
    bytes[len++] = FORMAT;
    for (uint32_t i = 0; i < server->namespace_count; i++) {
        quo_put_u32(bytes + len, server->namespaces[i].id);
        bytes[len + 4] = server->namespaces[i].n;
        len += 5;
    }
    return quo_overlay_digest(quo_slice(bytes, len));
}

/* Leaving */

static size_t encode_tree(const struct quo_tree *tree, uint8_t replicas, uint8_t *out)
{
    size_t len = 9;
    uint64_t pages = 0;
    for (uint32_t branch = 0; branch < QUO_TREE_BRANCHES; branch++) {
        if (tree->leaves[branch] == NULL)
            continue;
        pages |= UINT64_C(1) << branch;
        for (uint32_t leaf = 0; leaf < QUO_TREE_LEAVES; leaf++, len += 8)
            quo_put_u64(out + len, tree->leaves[branch][leaf]);
    }
    out[0] = replicas;
    quo_put_u64(out + 1, pages);
    return len;
}

/* Returns false when out of memory. */
static bool leave_partition(struct quo_server *server, uint32_t partition, uint64_t life,
                            uint8_t *scratch)
{
    const struct quo_forest *forest = &server->trees->partitions[partition];
    uint8_t key[KEY_LEN];
    size_t len = HEAD_LEN;
    quo_put_u64(scratch, life);
    quo_put_u64(scratch + 8, forest->gone);
    quo_put_u64(scratch + 16, forest->gone_ms);
    quo_put_u64(scratch + 24, forest->merging);
    for (uint8_t i = 0; i < QUO_REPLICAS_MAX; i++)
        if (forest->trees[i] != NULL)
            len += encode_tree(forest->trees[i], i + 1, scratch + len);
    struct quo_group *group = quo_group_gather(server, KEY_LEN + len);
    if (group == NULL)
        return false;
    memcpy(key, PREFIX, PREFIX_LEN);
    quo_put_u16(key + PREFIX_LEN, (uint16_t)partition);
    quo_group_put(group, QUO_FAMILY_META, quo_slice(key, sizeof key), quo_slice(scratch, len));
    quo_group_account(group, KEY_LEN + len);
    return true;
}

static void put_mark(struct quo_server *server, uint64_t life)
{
    uint8_t value[MARK_VALUE_LEN];
    struct quo_group *group = quo_group_gather(server, MARK_LEN + sizeof value);
    if (group == NULL)
        return;
    quo_put_u64(value, life);
    quo_put_u64(value + 8, digest_of(server));
    quo_group_put(group, QUO_FAMILY_META, quo_slice(MARK, MARK_LEN),
                  quo_slice(value, sizeof value));
    group->marks = true;
}

void quo_trees_leave(struct quo_server *server)
{
    const struct quo_trees *trees = server->trees;
    if (server->marked || server->failed || !server->serving ||
        trees->pages > QUO_TREE_SAVED_PAGES_MAX)
        return;
    uint8_t *scratch = malloc(HEAD_LEN + QUO_REPLICAS_MAX * (size_t)TREE_LEN_MAX);
    uint64_t life = quo_random(server->env);
    bool whole = scratch != NULL;
    for (uint32_t i = 0; i < server->partition_count && whole; i++)
        if (quo_trees_ready(server, i))
            whole = leave_partition(server, i, life, scratch);
    if (whole)
        put_mark(server, life);
    free(scratch);
}

void quo_trees_unmark(struct quo_group *group)
{
    quo_group_delete(group, QUO_FAMILY_META, quo_slice(MARK, MARK_LEN));
}

/* Finding */

struct finding {
    struct quo_server *server;
    uint64_t life, digest;
    bool marked;
    enum quo_status status;
};

static bool visit_mark(void *context, struct quo_slice key, struct quo_slice value)
{
    struct finding *finding = context;
    (void)key;
    if (value.len == MARK_VALUE_LEN) {
        finding->life = quo_get_u64(value.data);
        finding->digest = quo_get_u64(value.data + 8);
    }
    finding->marked = true;
    return false;
}

/* Returns how many bytes a tree takes; 0 when it is none, SIZE_MAX when out of memory. */
static size_t decode_tree(struct quo_trees *trees, struct quo_forest *forest,
                          struct quo_slice bytes)
{
    if (bytes.len < 9 || bytes.data[0] < 1 || bytes.data[0] > QUO_REPLICAS_MAX ||
        forest->trees[bytes.data[0] - 1] != NULL)
        return 0;
    uint64_t pages = quo_get_u64(bytes.data + 1);
    size_t len = 9;
    if ((bytes.len - len) / PAGE_LEN < (size_t)__builtin_popcountll(pages))
        return 0;
    struct quo_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL)
        return SIZE_MAX;
    forest->trees[bytes.data[0] - 1] = tree;
    for (uint32_t branch = 0; branch < QUO_TREE_BRANCHES; branch++) {
        if ((pages >> branch & 1) == 0)
            continue;
        tree->leaves[branch] = calloc(QUO_TREE_LEAVES, sizeof(uint64_t));
        if (tree->leaves[branch] == NULL)
            return SIZE_MAX;
        trees->pages++;
        for (uint32_t leaf = 0; leaf < QUO_TREE_LEAVES; leaf++, len += 8)
            quo_tree_toggle(tree, branch * QUO_TREE_LEAVES + leaf, quo_get_u64(bytes.data + len));
    }
    return len;
}

static bool visit(void *context, struct quo_slice key, struct quo_slice value)
{
    struct finding *finding = context;
    struct quo_trees *trees = finding->server->trees;
    if (key.len != KEY_LEN || value.len < HEAD_LEN || quo_get_u64(value.data) != finding->life)
        return true;
    uint32_t partition = quo_get_u16(key.data + PREFIX_LEN);
    if (partition >= finding->server->partition_count)
        return true;
    struct quo_forest *forest = &trees->partitions[partition];
    size_t at = HEAD_LEN, len = 1;
    while (at < value.len && len != 0) {
        len = decode_tree(trees, forest, quo_slice(value.data + at, value.len - at));
        if (len == SIZE_MAX) {
            finding->status = QUO_NO_MEMORY;
            return false;
        }
        at += len;
    }
    if (at != value.len) {
        quo_trees_clear(trees, forest);
        return true;
    }
    forest->state = QUO_FOREST_READY;
    forest->gone = quo_get_u64(value.data + 8);
    forest->gone_ms = quo_get_u64(value.data + 16);
    forest->merging = quo_get_u64(value.data + 24);
    return true;
}

enum quo_status quo_trees_read(struct quo_server *server, bool *ret_found)
{
    static const uint8_t past_mark[] = {'t', 'r', 'e', 'e', 's', 0};
    static const uint8_t past_prefix[] = {'t', 'r', 'e', 'e' + 1};
    struct quo_store *store = server->store;
    struct finding finding = {.server = server, .status = QUO_OK};
    enum quo_status status =
        store->ops->scan(store, QUO_FAMILY_META, quo_slice(MARK, MARK_LEN),
                         quo_slice(past_mark, sizeof past_mark), visit_mark, &finding);
    if (status == QUO_OK && finding.marked && finding.digest == digest_of(server))
        status = store->ops->scan(store, QUO_FAMILY_META, quo_slice(PREFIX, PREFIX_LEN),
                                  quo_slice(past_prefix, sizeof past_prefix), visit, &finding);
    if (status == QUO_OK)
        status = finding.status;
    if (status == QUO_OK)
        *ret_found = finding.marked;
    return status;
}
