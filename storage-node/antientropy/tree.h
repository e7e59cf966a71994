/* The hash tree of one partition, which finds what two replicas hold differently.
 *
 * A leaf is the XOR of the hashes of its records, a branch of its leaves, the root of the branches
 * (the "TicTac" form of a Merkle tree): a write changes all three by the same difference, in
 * constant time, whatever else is there, and trees are equal exactly when the sets are, but for a
 * chance of 2^-64 per comparison. Nodes trust each other, so nothing stronger is needed.
 *
 * Pure; leaf pages come from the caller.
 */
#ifndef QUORATE_NODE_TREE_H
#define QUORATE_NODE_TREE_H

#include "quorate/base.h"
#include "quorate/version.h"

#define QUO_TREE_BRANCHES 64u
#define QUO_TREE_LEAVES 64u /* of a branch */

struct quo_tree {
    uint64_t root;
    uint64_t branches[QUO_TREE_BRANCHES];
    uint64_t *leaves[QUO_TREE_BRANCHES]; /* pages of QUO_TREE_LEAVES; NULL while all are 0 */
};

/* The leaf of a key, 0 to QUO_TREE_BRANCHES * QUO_TREE_LEAVES - 1, from XXH3_64. `key` is the
 * storage key. */
uint32_t quo_tree_leaf(struct quo_slice key);

/* What a record adds to its leaf: XXH3_64 of its version and flags, seeded with that of its key; 0
 * for version none. */
uint64_t quo_tree_hash(struct quo_slice key, struct quo_version version, uint8_t flags);

/* Whether quo_tree_toggle of this leaf needs a page that is not there yet. */
static inline bool quo_tree_lacks(const struct quo_tree *tree, uint32_t leaf)
{
    return tree->leaves[leaf / QUO_TREE_LEAVES] == NULL;
}

/* Takes a difference in: the hash of the old record XOR that of the new one. Requires the page. */
void quo_tree_toggle(struct quo_tree *tree, uint32_t leaf, uint64_t difference);

/* Adds, in the sense of XOR, the hashes of all branches, or of all leaves of a branch, to what is
 * in `out`: those of several trees make those of their union. */
void quo_tree_add_branches(const struct quo_tree *tree, uint64_t out[QUO_TREE_BRANCHES]);
void quo_tree_add_leaves(const struct quo_tree *tree, uint32_t branch,
                         uint64_t out[QUO_TREE_LEAVES]);

/* Bit i is set if a[i] and b[i] differ; of branches, or of leaves of one. */
uint64_t quo_tree_differ(const uint64_t a[64], const uint64_t b[64]);

/* Whether every level is the XOR of the one below: for checks. */
bool quo_tree_consistent(const struct quo_tree *tree);

#endif
