/* A map from bytes to bytes in key order, for the engines that keep everything in memory.
 *
 * A skip list (Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees", CACM 1990).
 * Threads: all calls in one thread.
 */
#ifndef QUORATE_NODE_ORDERED_H
#define QUORATE_NODE_ORDERED_H

#include "quorate/base.h"

/* Immutable bytes that several holders share; freed with the last of them. */
struct quo_shared {
    size_t refs;
    size_t len;
    uint8_t bytes[];
};

/* Returns a copy of `bytes` with one reference, or NULL when out of memory. */
struct quo_shared *quo_shared_new(struct quo_slice bytes);
/* Gives up one reference. Accepts NULL. */
void quo_shared_drop(struct quo_shared *shared);

struct quo_pair;

/* Makes a pair that is in no map: a copy of `key`, and `value`, whose reference it takes over (NULL
 * for a pair that only says "delete"). Returns NULL when out of memory; then `value` is still the
 * caller's. */
struct quo_pair *quo_pair_new(struct quo_slice key, struct quo_shared *value);
/* Frees a pair that is in no map, with its reference. Accepts NULL. */
void quo_pair_free(struct quo_pair *pair);
struct quo_slice quo_pair_key(const struct quo_pair *pair);
/* Borrowed from the pair. */
struct quo_shared *quo_pair_value(const struct quo_pair *pair);

struct quo_ordered;

/* Returns NULL when out of memory. */
struct quo_ordered *quo_ordered_new(void);
/* Frees the map and its pairs. Accepts NULL. */
void quo_ordered_free(struct quo_ordered *map);

/* Puts the pair in, in place of one with the same key, or, if it has no value, takes that one out.
 * The pair belongs to the map from here on. Cannot fail: what it needs was allocated with the pair.
 */
void quo_ordered_apply(struct quo_ordered *map, struct quo_pair *pair);

/* Returns the first pair whose key is not below `key`, or NULL. Borrowed until the next apply. */
struct quo_pair *quo_ordered_seek(const struct quo_ordered *map, struct quo_slice key);
struct quo_pair *quo_pair_next(const struct quo_pair *pair);

/* Returns <0, 0 or >0 as a sorts before, with or after b: bytes first, then length. */
int quo_key_compare(struct quo_slice a, struct quo_slice b);

#endif
