/* A bounded table of what a store holds for single keys: a value, or that there is none.
 *
 * It knows nothing of disks and commits: what may be kept, and until when, is for its owner to say
 * (store_cached.c). For that, every bucket carries a stamp of the owner's.
 *
 * Replacement is CLOCK (Corbato, "A Paging Experiment with the Multics System", 1968): the hand
 * goes over the buckets, takes what was not used since it came by last, and spares the rest once.
 * What was never used after it came goes first, so that a scan, or a fill, leaves what is read
 * again and again. Chunks of what is replaced are kept for what comes, by their size: in a steady
 * state nothing is allocated.
 *
 * Threads: none of its own.
 */
#ifndef QUORATE_NODE_CACHE_H
#define QUORATE_NODE_CACHE_H

#include "quorate/base.h"

/* Bytes of a key and of a value that are kept; what is longer is not. */
#define QUO_CACHE_KEY_MAX 8192u
#define QUO_CACHE_VALUE_MAX (16u * 1024)
/* The least that quo_cache_new takes. */
#define QUO_CACHE_BYTES_MIN 4096u

struct quo_cache;

/* What identifies an entry, with its hash; made by quo_cache_name. */
struct quo_cache_name {
    uint64_t hash;
    uint8_t space; /* keys of one space are not those of another */
    struct quo_slice key;
};

/* One key. Immutable but for what is the cache's own. */
struct quo_cached {
    struct quo_cached *next; /* in its bucket, or among the spare ones */
    uint64_t hash;
    uint32_t pins;
    uint32_t value_len;
    uint16_t key_len;
    uint8_t space;
    bool absent : 1; /* there is none */
    bool linked : 1; /* it is in the table */
    bool used : 1;   /* since the hand came by */
    uint8_t bytes[]; /* key, value */
};

/* A cache of at most `bytes`, all told, at least QUO_CACHE_BYTES_MIN. Returns NULL when out of
 * memory. */
struct quo_cache *quo_cache_new(uint64_t bytes);
/* Requires that nothing is pinned, and that what quo_cache_make made is linked or dropped. Accepts
 * NULL. */
void quo_cache_free(struct quo_cache *cache);

struct quo_cache_name quo_cache_name(uint8_t space, struct quo_slice key);

/* The stamp of the bucket of this hash, 0 at first. Never moves. */
uint64_t *quo_cache_stamp(struct quo_cache *cache, uint64_t hash);
/* Gives every bucket this stamp, and empties the table. */
void quo_cache_clear(struct quo_cache *cache, uint64_t stamp);

/* Returns what the table has for the key, borrowed until the next call that changes it; or NULL. */
struct quo_cached *quo_cache_find(struct quo_cache *cache, const struct quo_cache_name *name);
static inline struct quo_slice quo_cached_value(const struct quo_cached *cached)
{
    return quo_slice(cached->bytes + cached->key_len, cached->value_len);
}

/* Makes an entry that is not in the table, with copies of key and value (NULL: there is none). What
 * has to go for it goes. Returns NULL when it is too long, when too little is free or can go, or
 * when out of memory. */
struct quo_cached *quo_cache_make(struct quo_cache *cache, const struct quo_cache_name *name,
                                  const struct quo_slice *value);
/* Puts it into the table in place of what is there for its key. */
void quo_cache_link(struct quo_cache *cache, struct quo_cached *cached);
/* Takes back one that is not in the table. Accepts NULL. */
void quo_cache_drop(struct quo_cache *cache, struct quo_cached *cached);
/* Takes every entry of this hash out of the table. */
void quo_cache_forget(struct quo_cache *cache, uint64_t hash);

/* An entry that is pinned stays as it is, in the table or not, until it is unpinned as often. */
void quo_cache_pin(struct quo_cache *cache, struct quo_cached *cached);
void quo_cache_unpin(struct quo_cache *cache, struct quo_cached *cached);

struct quo_cache_figures {
    uint64_t bytes;   /* of all it has allocated */
    uint64_t entries; /* in the table */
    uint64_t evicted; /* so far */
    uint64_t pins;    /* now */
};
struct quo_cache_figures quo_cache_figures(const struct quo_cache *cache);

#endif
