/* A set of records with its hash tree, and chance for tests of many random cases. */
#ifndef QUORATE_TESTS_ANTIENTROPY_RECORDS_H
#define QUORATE_TESTS_ANTIENTROPY_RECORDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage-node/antientropy/tree.h"

#define LEAVES (QUO_TREE_BRANCHES * QUO_TREE_LEAVES)

/* SplitMix64 (Steele, Lea & Flood 2014). */
static inline uint64_t chance(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static inline uint64_t below(uint64_t *state, uint64_t bound)
{
    return chance(state) % bound;
}

struct held {
    struct quo_version version;
    uint8_t flags;
};

struct records {
    struct quo_tree tree;
    size_t count;
    struct held *at;
};

struct key {
    char text[24];
    struct quo_slice slice;
};

static inline struct key *key_of(struct key *key, size_t number)
{
    int len = snprintf(key->text, sizeof key->text, "key-%zu", number);
    key->slice = quo_slice(key->text, (size_t)len);
    return key;
}

static inline void toggle(struct quo_tree *tree, uint32_t leaf, uint64_t difference)
{
    if (quo_tree_lacks(tree, leaf)) {
        tree->leaves[leaf / QUO_TREE_LEAVES] = calloc(QUO_TREE_LEAVES, sizeof(uint64_t));
        assert_non_null(tree->leaves[leaf / QUO_TREE_LEAVES]);
    }
    quo_tree_toggle(tree, leaf, difference);
}

static inline void records_init(struct records *records, size_t count)
{
    *records = (struct records){.count = count, .at = calloc(count, sizeof *records->at)};
    assert_non_null(records->at);
}
static inline void tree_free(struct quo_tree *tree)
{
    for (size_t i = 0; i < QUO_TREE_BRANCHES; i++)
        free(tree->leaves[i]);
    *tree = (struct quo_tree){.root = 0};
}
static inline void records_free(struct records *records)
{
    tree_free(&records->tree);
    free(records->at);
}

static inline uint64_t hash_of(size_t number, struct held held)
{
    struct key key;
    return quo_tree_hash(key_of(&key, number)->slice, held.version, held.flags);
}
static inline uint32_t leaf_of(size_t number)
{
    struct key key;
    return quo_tree_leaf(key_of(&key, number)->slice);
}
static inline void records_set(struct records *records, size_t number, uint64_t version,
                               uint8_t flags)
{
    struct held held = {.version = {version, version != 0 ? 7 : 0}, .flags = flags};
    toggle(&records->tree, leaf_of(number),
           hash_of(number, records->at[number]) ^ hash_of(number, held));
    records->at[number] = held;
}

#endif
