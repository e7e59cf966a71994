#include "storage-node/engine/store_cached.h"

#include <stdlib.h>

#include "quorate/testpoints.h"

/* The stamp of buckets that have keys of the batch under way. Otherwise a stamp is the number of
 * the last commit that changed keys of the bucket. */
#define UNDER_WAY UINT64_MAX

/* One put or delete of a batch. */
struct change {
    uint64_t hash;
    struct quo_cached *entry; /* what there will be; NULL: what there is must go */
};

struct quo_batch {
    struct quo_batch *below;
    struct change *changes;
    size_t count, capacity;
    bool unlisted; /* there was no memory to note a change: it may be of any key */
};

/* A load on its way. Reused by free-list. */
struct loading {
    struct quo_load load; /* of the store below */
    struct cached_store *store;
    struct quo_load *asked;
    struct quo_cache_name name;
    uint64_t commits; /* when it began */
    struct loading *next;
};

struct cached_store {
    struct quo_store store;
    struct quo_store *below;
    struct quo_cache *cache;
    uint64_t commits;         /* completed */
    struct quo_commit commit; /* of the store below */
    struct quo_commit *asked; /* what it is for; NULL: none is under way */
    bool any_under_way;       /* its batch may change any key */
    struct loading *spare;
    uint64_t loading; /* under way */
    uint64_t hits, misses, passed;
};

static struct cached_store *self(const struct quo_store *store)
{
    return (struct cached_store *)(uintptr_t)store;
}

/* What a request reads, and what is many and small. */
static bool is_kept(enum quo_family family)
{
    return family == QUO_FAMILY_DATA || family == QUO_FAMILY_PROMISE;
}

/* Pins. Handles of the store below are even. */

static void *handle_of(struct quo_cached *cached)
{
    return (uint8_t *)cached + 1;
}

static bool is_ours(const void *handle)
{
    return ((uintptr_t)handle & 1) != 0;
}

static enum quo_status show(struct cached_store *s, struct quo_cached *cached,
                            struct quo_pinned *ret)
{
    if (cached->absent)
        return QUO_NOT_FOUND;
    quo_cache_pin(s->cache, cached);
    *ret = (struct quo_pinned){quo_cached_value(cached), handle_of(cached)};
    return QUO_OK;
}

static void cached_release(struct quo_store *store, struct quo_pinned *pinned)
{
    struct cached_store *s = self(store);

    if (!is_ours(pinned->handle)) {
        s->below->ops->release(s->below, pinned);
        return;
    }
    quo_cache_unpin(s->cache, (struct quo_cached *)(void *)((uint8_t *)pinned->handle - 1));
    *pinned = (struct quo_pinned){0};
}

/* Reads. */

static void keep(struct cached_store *s, const struct quo_cache_name *name, enum quo_status status,
                 const struct quo_pinned *pinned)
{
    struct quo_cached *cached = NULL;

    if (status == QUO_OK)
        cached = quo_cache_make(s->cache, name, &pinned->bytes);
    else if (status == QUO_NOT_FOUND)
        cached = quo_cache_make(s->cache, name, NULL);
    if (cached != NULL)
        quo_cache_link(s->cache, cached);
}

static enum quo_status cached_get(struct quo_store *store, enum quo_family family,
                                  struct quo_slice key, struct quo_pinned *ret)
{
    struct cached_store *s = self(store);
    struct quo_cache_name name;
    struct quo_cached *cached;
    enum quo_status status;

    if (!is_kept(family))
        return s->below->ops->get(s->below, family, key, ret);
    name = quo_cache_name((uint8_t)family, key);
    if (s->any_under_way || *quo_cache_stamp(s->cache, name.hash) == UNDER_WAY) {
        QUO_PROBE(CACHE_PASSED);
        s->passed++;
        return s->below->ops->get(s->below, family, key, ret);
    }
    cached = quo_cache_find(s->cache, &name);
    if (cached != NULL) {
        s->hits++;
        return show(s, cached, ret);
    }
    s->misses++;
    status = s->below->ops->get(s->below, family, key, ret);
    QUO_INVARIANT(status != QUO_OK || !is_ours(ret->handle));
    keep(s, &name, status, ret);
    return status;
}

/* Whether what a load brought is what there is now: from before its beginning until now no batch
 * with its key was under way. */
static bool is_newest(struct cached_store *s, const struct loading *loading)
{
    uint64_t stamp = *quo_cache_stamp(s->cache, loading->name.hash);

    return QUO_MUTANT(STALE_LOAD_CACHED) || (!s->any_under_way && stamp <= loading->commits);
}

static void loaded(struct quo_load *load)
{
    struct loading *loading = load->context;
    struct cached_store *s = loading->store;
    struct quo_load *asked = loading->asked;

    if (is_newest(s, loading))
        keep(s, &loading->name, load->status, &load->value);
    else
        QUO_PROBE(LOAD_OVERTAKEN);
    asked->status = load->status;
    asked->value = load->value;
    loading->next = s->spare;
    s->spare = loading;
    s->loading--;
    asked->done(asked);
}

static struct loading *take_loading(struct cached_store *s)
{
    struct loading *loading = s->spare;

    if (loading == NULL)
        return malloc(sizeof(*loading));
    s->spare = loading->next;
    return loading;
}

static void cached_load(struct quo_store *store, struct quo_load *load)
{
    struct cached_store *s = self(store);
    struct loading *loading = is_kept(load->family) ? take_loading(s) : NULL;

    if (loading == NULL) {
        s->below->ops->load(s->below, load);
        return;
    }
    load->value = (struct quo_pinned){0};
    load->range = NULL;
    *loading = (struct loading){
        .load = {.family = load->family, .key = load->key, .done = loaded, .context = loading},
        .store = s,
        .asked = load,
        .name = quo_cache_name((uint8_t)load->family, load->key),
        .commits = s->commits,
    };
    s->loading++;
    s->below->ops->load(s->below, &loading->load);
}

static void cached_range(struct quo_store *store, struct quo_range *range)
{
    struct quo_store *under = self(store)->below;
    under->ops->range(under, range);
}

static void cached_range_release(struct quo_store *store, struct quo_range *range)
{
    struct quo_store *under = self(store)->below;
    under->ops->range_release(under, range);
}

static enum quo_status cached_scan(struct quo_store *store, enum quo_family family,
                                   struct quo_slice lo, struct quo_slice hi,
                                   bool (*visit)(void *, struct quo_slice, struct quo_slice),
                                   void *context)
{
    struct quo_store *under = self(store)->below;
    return under->ops->scan(under, family, lo, hi, visit, context);
}

/* Batches. */

static struct quo_batch *cached_batch_new(struct quo_store *store)
{
    struct cached_store *s = self(store);
    struct quo_batch *batch = calloc(1, sizeof(*batch));

    if (batch == NULL)
        return NULL;
    batch->below = s->below->ops->batch_new(s->below);
    if (batch->below == NULL) {
        free(batch);
        return NULL;
    }
    return batch;
}

static void forget_changes(struct cached_store *s, struct quo_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        quo_cache_drop(s->cache, batch->changes[i].entry);
    batch->count = 0;
    batch->unlisted = false;
}

static void cached_batch_clear(struct quo_store *store, struct quo_batch *batch)
{
    struct cached_store *s = self(store);

    forget_changes(s, batch);
    s->below->ops->batch_clear(s->below, batch->below);
}

static void cached_batch_free(struct quo_store *store, struct quo_batch *batch)
{
    struct cached_store *s = self(store);

    if (batch == NULL)
        return;
    forget_changes(s, batch);
    s->below->ops->batch_free(s->below, batch->below);
    free(batch->changes);
    free(batch);
}

/* Notes what there will be for the key: `value`, or nothing when that is NULL. */
static void note(struct cached_store *s, struct quo_batch *batch, enum quo_family family,
                 struct quo_slice key, const struct quo_slice *value)
{
    struct quo_cache_name name;

    if (!is_kept(family))
        return;
    if (batch->count == batch->capacity) {
        size_t capacity = QUO_MAX(64, batch->capacity * 2);
        struct change *grown = reallocarray(batch->changes, capacity, sizeof(*grown));
        if (grown == NULL) {
            batch->unlisted = true;
            return;
        }
        batch->changes = grown;
        batch->capacity = capacity;
    }
    name = quo_cache_name((uint8_t)family, key);
    batch->changes[batch->count++] =
        (struct change){name.hash, quo_cache_make(s->cache, &name, value)};
}

static void cached_batch_put(struct quo_store *store, struct quo_batch *batch,
                             enum quo_family family, struct quo_slice key, struct quo_slice value)
{
    struct cached_store *s = self(store);

    note(s, batch, family, key, &value);
    s->below->ops->batch_put(s->below, batch->below, family, key, value);
}

static void cached_batch_delete(struct quo_store *store, struct quo_batch *batch,
                                enum quo_family family, struct quo_slice key)
{
    struct cached_store *s = self(store);

    note(s, batch, family, key, NULL);
    s->below->ops->batch_delete(s->below, batch->below, family, key);
}

/* Commits. */

/* The last change of a key is the one that stays: it is linked in place of those before. */
static void remember(struct cached_store *s, struct quo_batch *batch, bool succeeded)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct change *change = &batch->changes[i];
        *quo_cache_stamp(s->cache, change->hash) = s->commits;
        if (succeeded && change->entry != NULL) {
            quo_cache_link(s->cache, change->entry);
        } else {
            quo_cache_forget(s->cache, change->hash);
            quo_cache_drop(s->cache, change->entry);
        }
        change->entry = NULL;
    }
}

static void committed(struct quo_commit *commit)
{
    struct cached_store *s = commit->context;
    struct quo_commit *asked = s->asked;
    bool succeeded = commit->status == QUO_OK || QUO_MUTANT(FAILED_WRITE_CACHED);

    s->commits++;
    if (s->any_under_way)
        quo_cache_clear(s->cache, s->commits);
    if (!QUO_MUTANT(CACHE_BEFORE_COMMIT))
        remember(s, asked->batch, succeeded && !s->any_under_way);
    s->any_under_way = false;
    s->asked = NULL;
    asked->status = commit->status;
    asked->done(asked);
}

static void cached_commit(struct quo_store *store, struct quo_commit *commit)
{
    struct cached_store *s = self(store);
    struct quo_batch *batch = commit->batch;

    QUO_REQUIRE(s->asked == NULL);
    s->asked = commit;
    s->any_under_way = batch->unlisted;
    for (size_t i = 0; i < batch->count; i++)
        *quo_cache_stamp(s->cache, batch->changes[i].hash) = UNDER_WAY;
    if (QUO_MUTANT(CACHE_BEFORE_COMMIT))
        remember(s, batch, true);
    s->commit = (struct quo_commit){
        .batch = batch->below, .sync = commit->sync, .done = committed, .context = s};
    s->below->ops->commit(s->below, &s->commit);
}

/* Life. */

static void cached_close(struct quo_store *store)
{
    struct cached_store *s = self(store);

    QUO_REQUIRE(s->asked == NULL && s->loading == 0);
    while (s->spare != NULL) {
        struct loading *loading = s->spare;
        s->spare = loading->next;
        free(loading);
    }
    quo_cache_free(s->cache);
    s->below->ops->close(s->below);
    free(s);
}

static const struct quo_store_ops cached_ops = {
    .get = cached_get,
    .release = cached_release,
    .load = cached_load,
    .range = cached_range,
    .range_release = cached_range_release,
    .batch_new = cached_batch_new,
    .batch_free = cached_batch_free,
    .batch_clear = cached_batch_clear,
    .batch_put = cached_batch_put,
    .batch_delete = cached_batch_delete,
    .commit = cached_commit,
    .scan = cached_scan,
    .close = cached_close,
};

struct quo_store *quo_store_cached_new(struct quo_store *below_it, uint64_t bytes)
{
    struct cached_store *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->cache = quo_cache_new(bytes);
    if (s->cache == NULL) {
        free(s);
        return NULL;
    }
    s->store.ops = &cached_ops;
    s->below = below_it;
    return &s->store;
}

struct quo_store_cached_figures quo_store_cached_figures(const struct quo_store *store)
{
    const struct cached_store *s = self(store);
    struct quo_cache_figures figures;

    QUO_REQUIRE(store->ops == &cached_ops);
    figures = quo_cache_figures(s->cache);
    return (struct quo_store_cached_figures){
        .hits = s->hits,
        .misses = s->misses,
        .passed = s->passed,
        .bytes = figures.bytes,
        .entries = figures.entries,
        .evicted = figures.evicted,
    };
}
