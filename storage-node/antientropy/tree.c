#include "storage-node/antientropy/tree.h"

/* Inlined so that this object needs no symbol of a library. */
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(QUO_TREE_BRANCHES == 64 && QUO_TREE_LEAVES == 64, "one bit of a word for each");

uint32_t quo_tree_leaf(struct quo_slice key)
{
    return (uint32_t)(XXH3_64bits(key.data, key.len) % (QUO_TREE_BRANCHES * QUO_TREE_LEAVES));
}

uint64_t quo_tree_hash(struct quo_slice key, struct quo_version version, uint8_t flags)
{
    uint8_t bytes[QUO_VERSION_SIZE + 1];
    if (quo_version_is_none(version))
        return 0;
    quo_version_encode(version, bytes);
    bytes[QUO_VERSION_SIZE] = flags;
    return XXH3_64bits_withSeed(bytes, sizeof bytes, XXH3_64bits(key.data, key.len));
}

void quo_tree_toggle(struct quo_tree *tree, uint32_t leaf, uint64_t difference)
{
    QUO_REQUIRE(leaf < QUO_TREE_BRANCHES * QUO_TREE_LEAVES && !quo_tree_lacks(tree, leaf));
    tree->leaves[leaf / QUO_TREE_LEAVES][leaf % QUO_TREE_LEAVES] ^= difference;
    tree->branches[leaf / QUO_TREE_LEAVES] ^= difference;
    tree->root ^= difference;
}

void quo_tree_add_branches(const struct quo_tree *tree, uint64_t out[QUO_TREE_BRANCHES])
{
    for (uint32_t i = 0; i < QUO_TREE_BRANCHES; i++)
        out[i] ^= tree->branches[i];
}

void quo_tree_add_leaves(const struct quo_tree *tree, uint32_t branch,
                         uint64_t out[QUO_TREE_LEAVES])
{
    QUO_REQUIRE(branch < QUO_TREE_BRANCHES);
    if (tree->leaves[branch] == NULL)
        return;
    for (uint32_t i = 0; i < QUO_TREE_LEAVES; i++)
        out[i] ^= tree->leaves[branch][i];
}

uint64_t quo_tree_differ(const uint64_t a[64], const uint64_t b[64])
{
    uint64_t differ = 0;
    for (uint32_t i = 0; i < 64; i++)
        differ |= (uint64_t)(a[i] != b[i]) << i;
    return differ;
}

static uint64_t sum(const uint64_t hashes[64])
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < 64; i++)
        all ^= hashes[i];
    return all;
}

bool quo_tree_consistent(const struct quo_tree *tree)
{
    for (uint32_t i = 0; i < QUO_TREE_BRANCHES; i++) {
        uint64_t leaves = tree->leaves[i] != NULL ? sum(tree->leaves[i]) : 0;
        if (leaves != tree->branches[i])
            return false;
    }
    return sum(tree->branches) == tree->root;
}
