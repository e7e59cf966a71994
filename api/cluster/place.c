/* Weighted rendezvous hashing (see quo_map_place in cluster.h). */
#include "api/cluster/log2.h"
#include "quorate/cluster.h"
#include "quorate/collection.h"

/* Inlined so that this object needs no symbol of a library. */
#define XXH_INLINE_ALL
#include <xxhash.h>

/* A node's score for one partition is weight / deficit, deficit = -log2(h): proportional to
 * -weight / ln(h), so it orders nodes alike. */
struct score {
    uint64_t replica;
    uint64_t deficit;
    uint32_t weight;
    uint16_t node; /* its index in the map */
};

/* Whether a is preferred to b. 20 bits of weight times 47 of deficit need more than 64. */
static bool score_above(struct score a, struct score b)
{
    const quo_u128 left = (quo_u128)a.weight * b.deficit;
    const quo_u128 right = (quo_u128)b.weight * a.deficit;

    return left != right ? left > right : a.replica > b.replica;
}

static uint64_t hash_of(const struct quo_node_info *node, uint32_t partition)
{
    uint8_t bytes[12];

    quo_put_u64(bytes, node->replica);
    quo_put_u32(bytes + 8, partition);
    return XXH3_64bits(bytes, sizeof bytes);
}

/* Whether a node surely stays below `worst`, without its logarithm: -log2(h) is never less than
 * 1 - h. Spares the logarithm of nearly all nodes of a large cluster. */
static bool surely_below(uint32_t weight, uint64_t hash, struct score worst)
{
    const uint64_t least = ~hash >> (64 - QUO_LOG2_FRACTION);

    return (quo_u128)weight * worst.deficit < (quo_u128)worst.weight * least;
}

/* Keeps `best` as the highest scores seen, highest first; `count` of them are there already. */
static void insert(struct score *best, uint32_t count, uint32_t limit, struct score score)
{
    uint32_t at = count;

    while (at > 0 && score_above(score, best[at - 1]))
        at--;
    for (uint32_t i = QUO_MIN(count, limit - 1); i > at; i--)
        best[i] = best[i - 1];
    if (at < limit)
        best[at] = score;
}

/* The highest scores of a partition, of all nodes if `candidates` is NULL. Returns how many. */
static uint32_t find_best(const struct quo_map *map, uint32_t partition, const bool *candidates,
                          uint32_t max, struct score *best)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < map->node_count; i++) {
        const struct quo_node_info *node = &map->nodes[i];
        if (candidates != NULL && !candidates[i])
            continue;
        const uint64_t hash = hash_of(node, partition);
        if (count == max && surely_below(node->weight, hash, best[max - 1]))
            continue;
        const struct score score = {node->replica, quo_log2_deficit(hash), node->weight,
                                    (uint16_t)i};
        insert(best, count, max, score);
        count = QUO_MIN(count + 1, max);
    }
    return count;
}

static void place_partition(struct quo_map *map, uint32_t partition)
{
    struct score best[QUO_REPLICAS_MAX];
    struct quo_entry *entry = &map->entries[partition];

    find_best(map, partition, NULL, map->replicas, best);
    *entry = (struct quo_entry){
        .epoch = map->epoch,
        .state = QUO_ENTRY_NORMAL,
        .n = map->replicas,
    };
    for (uint32_t i = 0; i < map->replicas; i++)
        entry->replicas[i] = best[i].replica;
}

void quo_map_place(struct quo_map *map)
{
    QUO_REQUIRE(map->replicas >= 1 && map->replicas <= QUO_REPLICAS_MAX);
    QUO_REQUIRE(map->node_count >= map->replicas && map->node_count <= QUO_NODES_MAX);
    QUO_REQUIRE(map->partition_count >= 1 && map->partition_count <= QUO_PARTITIONS_MAX);
    for (uint32_t i = 0; i < map->partition_count; i++)
        place_partition(map, i);
}

uint8_t quo_map_prefer(const struct quo_map *map, uint32_t partition, const bool *candidates,
                       uint8_t max, uint16_t *ret)
{
    struct score best[QUO_REPLICAS_MAX];

    QUO_REQUIRE(max >= 1 && max <= QUO_REPLICAS_MAX && candidates != NULL);
    const uint32_t count = find_best(map, partition, candidates, max, best);
    for (uint32_t i = 0; i < count; i++)
        ret[i] = best[i].node;
    return (uint8_t)count;
}

uint16_t quo_map_partition(const struct quo_map *map, uint32_t namespace_id, struct quo_slice key)
{
    const bool is_plain = quo_collection_of(namespace_id) == QUO_COLLECTION_NONE;
    const struct quo_slice name = is_plain ? key : quo_collection_name(key);
    const uint64_t hash = XXH3_64bits_withSeed(name.data, name.len, namespace_id);

    /* The count is a power of two, so this takes the hash's top bits, also none for one partition.
     */
    return (uint16_t)(((hash >> 32) * map->partition_count) >> 32);
}
