#include "storage-node/engine/cache.h"

#include <stddef.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BYTES_PER_BUCKET 256u /* of the limit: about those of a short record with its key */
#define BUCKETS_MIN 8u
/* Chunks come in multiples of this; the smaller ones are kept when they are spare. */
#define CHUNK_STEP 32u
#define CHUNK_CLASSES 64u
#define SPARE_SHARE 16u /* of the limit, as a divisor: for spare chunks */
/* What malloc adds to each. */
#define CHUNK_OVERHEAD 16u
/* Buckets that the hand passes at most for one entry. */
#define HAND_MAX 4096u

struct bucket {
    struct quo_cached *first;
    uint64_t stamp;
};

struct quo_cache {
    uint64_t limit;
    uint64_t bytes; /* allocated: buckets, entries, spare chunks */
    uint64_t spare_bytes;
    uint64_t entries, evicted, pins;
    size_t bucket_count; /* a power of two */
    size_t hand;
    struct bucket *buckets;
    struct quo_cached *spare[CHUNK_CLASSES]; /* of (index + 1) * CHUNK_STEP bytes */
};

_Static_assert(sizeof(struct quo_cached) <= CHUNK_STEP, "every chunk holds a header");

struct quo_cache *quo_cache_new(uint64_t bytes)
{
    struct quo_cache *cache;
    uint64_t wanted = bytes / BYTES_PER_BUCKET;
    size_t count = BUCKETS_MIN;

    QUO_REQUIRE(bytes >= QUO_CACHE_BYTES_MIN);
    while (count * 2 <= wanted)
        count *= 2;
    cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        return NULL;
    /* Of fresh pages, which cost nothing until they are used. */
    cache->buckets = calloc(count, sizeof(*cache->buckets));
    if (cache->buckets == NULL) {
        free(cache);
        return NULL;
    }
    cache->limit = bytes;
    cache->bucket_count = count;
    cache->bytes = sizeof(*cache) + count * sizeof(*cache->buckets);
    return cache;
}

/* Chunks. */

static size_t chunk_of(const struct quo_cached *cached)
{
    size_t size = offsetof(struct quo_cached, bytes) + cached->key_len + cached->value_len;
    return (size + CHUNK_STEP - 1) / CHUNK_STEP * CHUNK_STEP;
}

static struct quo_cached **spare_of(struct quo_cache *cache, size_t chunk)
{
    size_t class = chunk / CHUNK_STEP - 1;
    return class < CHUNK_CLASSES ? &cache->spare[class] : NULL;
}

static void give_back(struct quo_cache *cache, struct quo_cached *cached, size_t chunk)
{
    cache->bytes -= chunk + CHUNK_OVERHEAD;
    free(cached);
}

static void free_chunk(struct quo_cache *cache, struct quo_cached *cached)
{
    size_t chunk = chunk_of(cached);
    struct quo_cached **spare = spare_of(cache, chunk);

    if (spare == NULL || cache->spare_bytes + chunk > cache->limit / SPARE_SHARE) {
        give_back(cache, cached, chunk);
        return;
    }
    cached->next = *spare;
    *spare = cached;
    cache->spare_bytes += chunk;
}

static struct quo_cached *take_spare(struct quo_cache *cache, size_t chunk)
{
    struct quo_cached **spare = spare_of(cache, chunk);
    struct quo_cached *taken = spare == NULL ? NULL : *spare;

    if (taken != NULL) {
        *spare = taken->next;
        cache->spare_bytes -= chunk;
    }
    return taken;
}

static void free_spare(struct quo_cache *cache)
{
    for (size_t class = 0; class < CHUNK_CLASSES; class ++) {
        size_t chunk = (class + 1) * CHUNK_STEP;
        for (struct quo_cached *spare; (spare = take_spare(cache, chunk)) != NULL;)
            give_back(cache, spare, chunk);
    }
}

/* The table. */

static struct bucket *bucket_of(struct quo_cache *cache, uint64_t hash)
{
    return &cache->buckets[hash & (cache->bucket_count - 1)];
}

struct quo_cache_name quo_cache_name(uint8_t space, struct quo_slice key)
{
    return (struct quo_cache_name){XXH3_64bits_withSeed(key.data, key.len, space), space, key};
}

uint64_t *quo_cache_stamp(struct quo_cache *cache, uint64_t hash)
{
    return &bucket_of(cache, hash)->stamp;
}

static bool is_of(const struct quo_cached *cached, const struct quo_cache_name *name)
{
    return cached->hash == name->hash && cached->space == name->space &&
           quo_slice_equal(quo_slice(cached->bytes, cached->key_len), name->key);
}

/* The pointer that leads to the key's entry, or to NULL at the end of its chain. */
static struct quo_cached **seek(struct quo_cache *cache, const struct quo_cache_name *name)
{
    struct quo_cached **at = &bucket_of(cache, name->hash)->first;

    while (*at != NULL && !is_of(*at, name))
        at = &(*at)->next;
    return at;
}

struct quo_cached *quo_cache_find(struct quo_cache *cache, const struct quo_cache_name *name)
{
    struct quo_cached *found = *seek(cache, name);

    if (found != NULL)
        found->used = true;
    return found;
}

/* Takes out what `at` leads to; it is the caller's. */
static struct quo_cached *take_out(struct quo_cache *cache, struct quo_cached **at)
{
    struct quo_cached *out = *at;

    *at = out->next;
    out->linked = false;
    cache->entries--;
    return out;
}

static void put_away(struct quo_cache *cache, struct quo_cached *cached)
{
    if (cached->pins == 0)
        free_chunk(cache, cached);
}

void quo_cache_link(struct quo_cache *cache, struct quo_cached *cached)
{
    struct quo_cache_name name = {cached->hash, cached->space,
                                  quo_slice(cached->bytes, cached->key_len)};
    struct quo_cached **at = seek(cache, &name);

    QUO_REQUIRE(!cached->linked);
    if (*at != NULL) {
        struct quo_cached *old = take_out(cache, at);
        cached->used = old->used;
        put_away(cache, old);
    }
    cached->next = *at;
    cached->linked = true;
    *at = cached;
    cache->entries++;
}

void quo_cache_drop(struct quo_cache *cache, struct quo_cached *cached)
{
    if (cached == NULL)
        return;
    QUO_REQUIRE(!cached->linked && cached->pins == 0);
    free_chunk(cache, cached);
}

void quo_cache_forget(struct quo_cache *cache, uint64_t hash)
{
    struct quo_cached **at = &bucket_of(cache, hash)->first;

    while (*at != NULL) {
        if ((*at)->hash == hash)
            put_away(cache, take_out(cache, at));
        else
            at = &(*at)->next;
    }
}

void quo_cache_clear(struct quo_cache *cache, uint64_t stamp)
{
    for (size_t i = 0; i < cache->bucket_count; i++) {
        cache->buckets[i].stamp = stamp;
        while (cache->buckets[i].first != NULL)
            put_away(cache, take_out(cache, &cache->buckets[i].first));
    }
}

void quo_cache_free(struct quo_cache *cache)
{
    if (cache == NULL)
        return;
    QUO_REQUIRE(cache->pins == 0);
    quo_cache_clear(cache, 0);
    free_spare(cache);
    QUO_INVARIANT(cache->bytes == sizeof(*cache) + cache->bucket_count * sizeof(*cache->buckets));
    free(cache->buckets);
    free(cache);
}

/* Making room. */

/* Returns what the hand finds in this bucket, taken out of the table, or NULL. */
static struct quo_cached *sweep(struct quo_cache *cache, struct bucket *bucket)
{
    for (struct quo_cached **at = &bucket->first; *at != NULL; at = &(*at)->next) {
        if ((*at)->pins == 0 && !(*at)->used)
            return take_out(cache, at);
        (*at)->used = false;
    }
    return NULL;
}

static struct quo_cached *evict(struct quo_cache *cache)
{
    for (size_t left = QUO_MIN(2 * cache->bucket_count, (size_t)HAND_MAX); left > 0; left--) {
        struct quo_cached *out = sweep(cache, &cache->buckets[cache->hand]);
        /* On in any case: what was spared here is not looked at again before the next round. */
        cache->hand = (cache->hand + 1) & (cache->bucket_count - 1);
        if (out != NULL) {
            cache->evicted++;
            return out;
        }
    }
    return NULL;
}

/* A chunk of this size, of what is spare, or of what goes, or a new one. */
static struct quo_cached *find_chunk(struct quo_cache *cache, size_t chunk)
{
    struct quo_cached *found = take_spare(cache, chunk);

    if (found != NULL)
        return found;
    if (cache->bytes + chunk + CHUNK_OVERHEAD > cache->limit)
        free_spare(cache);
    while (cache->bytes + chunk + CHUNK_OVERHEAD > cache->limit) {
        found = evict(cache);
        if (found == NULL)
            return NULL;
        if (chunk_of(found) == chunk)
            return found;
        give_back(cache, found, chunk_of(found));
    }
    found = malloc(chunk);
    if (found != NULL)
        cache->bytes += chunk + CHUNK_OVERHEAD;
    return found;
}

struct quo_cached *quo_cache_make(struct quo_cache *cache, const struct quo_cache_name *name,
                                  const struct quo_slice *value)
{
    struct quo_cached shape = {.hash = name->hash, .space = name->space, .absent = value == NULL};
    struct quo_cached *made;

    if (name->key.len > QUO_CACHE_KEY_MAX || (value != NULL && value->len > QUO_CACHE_VALUE_MAX))
        return NULL;
    shape.key_len = (uint16_t)name->key.len;
    shape.value_len = value == NULL ? 0 : (uint32_t)value->len;
    made = find_chunk(cache, chunk_of(&shape));
    if (made == NULL)
        return NULL;
    *made = shape; /* no longer than the smallest chunk */
    if (name->key.len > 0)
        memcpy(made->bytes, name->key.data, name->key.len);
    if (shape.value_len > 0)
        memcpy(made->bytes + name->key.len, value->data, value->len);
    return made;
}

void quo_cache_pin(struct quo_cache *cache, struct quo_cached *cached)
{
    cached->pins++;
    cache->pins++;
}

void quo_cache_unpin(struct quo_cache *cache, struct quo_cached *cached)
{
    QUO_REQUIRE(cached->pins > 0);
    cached->pins--;
    cache->pins--;
    if (cached->pins == 0 && !cached->linked)
        free_chunk(cache, cached);
}

struct quo_cache_figures quo_cache_figures(const struct quo_cache *cache)
{
    return (struct quo_cache_figures){cache->bytes, cache->entries, cache->evicted, cache->pins};
}
