#include "storage-node/engine/ordered.h"

#include <stdlib.h>

/* 4^12 pairs before searches lengthen: more than a test keeps. */
#define HEIGHT_MAX 12

struct quo_pair {
    struct quo_shared *value;
    size_t key_len;
    uint8_t *key; /* behind the tower, in the same allocation */
    unsigned height;
    struct quo_pair *next[];
};

struct quo_ordered {
    struct quo_pair *next[HEIGHT_MAX];
};

struct quo_shared *quo_shared_new(struct quo_slice bytes)
{
    struct quo_shared *shared = malloc(sizeof(*shared) + bytes.len);
    if (shared == NULL)
        return NULL;
    shared->refs = 1;
    shared->len = bytes.len;
    if (bytes.len > 0)
        memcpy(shared->bytes, bytes.data, bytes.len);
    return shared;
}

void quo_shared_drop(struct quo_shared *shared)
{
    if (shared != NULL && --shared->refs == 0)
        free(shared);
}

int quo_key_compare(struct quo_slice a, struct quo_slice b)
{
    size_t common = QUO_MIN(a.len, b.len);
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0)
        return order;
    return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

/* One more level with a chance of 1/4. Heights come from a generator with a fixed seed of its own,
 * so that a run can be repeated. */
static unsigned draw_height(void)
{
    static _Thread_local uint64_t state = 0x9e3779b97f4a7c15u;
    unsigned height = 1;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    for (uint64_t bits = state; height < HEIGHT_MAX && (bits & 3) == 0; bits >>= 2)
        height++;
    return height;
}

struct quo_pair *quo_pair_new(struct quo_slice key, struct quo_shared *value)
{
    unsigned height = draw_height();
    struct quo_pair *pair = malloc(sizeof(*pair) + height * sizeof(pair->next[0]) + key.len);
    if (pair == NULL)
        return NULL;
    pair->value = value;
    pair->height = height;
    pair->key = (uint8_t *)&pair->next[height];
    pair->key_len = key.len;
    if (key.len > 0)
        memcpy(pair->key, key.data, key.len);
    return pair;
}

void quo_pair_free(struct quo_pair *pair)
{
    if (pair == NULL)
        return;
    quo_shared_drop(pair->value);
    free(pair);
}

struct quo_slice quo_pair_key(const struct quo_pair *pair)
{
    return quo_slice(pair->key, pair->key_len);
}

struct quo_shared *quo_pair_value(const struct quo_pair *pair)
{
    return pair->value;
}

struct quo_pair *quo_pair_next(const struct quo_pair *pair)
{
    return pair->next[0];
}

struct quo_ordered *quo_ordered_new(void)
{
    return calloc(1, sizeof(struct quo_ordered));
}

void quo_ordered_free(struct quo_ordered *map)
{
    if (map == NULL)
        return;
    for (struct quo_pair *pair = map->next[0], *next; pair != NULL; pair = next) {
        next = pair->next[0];
        quo_pair_free(pair);
    }
    free(map);
}

/* Finds, for every level, the pointer that leads to the first pair not below `key`. */
static void find(const struct quo_ordered *map, struct quo_slice key,
                 struct quo_pair **links[HEIGHT_MAX])
{
    struct quo_pair **level = (struct quo_pair **)map->next;

    for (int i = HEIGHT_MAX - 1; i >= 0; i--) {
        while (level[i] != NULL && quo_key_compare(quo_pair_key(level[i]), key) < 0)
            level = level[i]->next;
        links[i] = &level[i];
    }
}

struct quo_pair *quo_ordered_seek(const struct quo_ordered *map, struct quo_slice key)
{
    struct quo_pair **links[HEIGHT_MAX];
    find(map, key, links);
    return *links[0];
}

void quo_ordered_apply(struct quo_ordered *map, struct quo_pair *pair)
{
    struct quo_pair **links[HEIGHT_MAX];
    struct quo_pair *old;

    find(map, quo_pair_key(pair), links);
    old = *links[0];
    if (old != NULL && quo_key_compare(quo_pair_key(old), quo_pair_key(pair)) == 0) {
        for (unsigned i = 0; i < old->height; i++)
            *links[i] = old->next[i];
        quo_pair_free(old);
    }
    if (pair->value == NULL) {
        quo_pair_free(pair);
        return;
    }
    for (unsigned i = 0; i < pair->height; i++) {
        pair->next[i] = *links[i];
        *links[i] = pair;
    }
}
