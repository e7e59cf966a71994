/* A store around another that says later than it happened that a batch is visible or a range was
 * read: as a real one does, whose threads take a moment to reach the loop. */
#ifndef QUORATE_TESTS_SERVER_LATE_STORE_H
#define QUORATE_TESTS_SERVER_LATE_STORE_H

#include <string.h>

#include "quorate/mailbox.h"
#include "quorate/store.h"

struct late_store {
    struct quo_store store;
    struct quo_store *inner;
    bool lazy; /* else completions are passed on at once */
    struct quo_commit commit, *asked_commit, *due_commit;
    struct quo_range *range, *due_range;
    void (*range_done)(struct quo_load *load);
    void *range_context;
};

static inline struct late_store *late_of(struct quo_store *store)
{
    return QUO_CONTAINER_OF(store, struct late_store, store);
}

static inline void late_store_finish(struct late_store *s, bool commit)
{
    if (commit && s->due_commit != NULL) {
        struct quo_commit *due = s->due_commit;
        s->due_commit = NULL;
        due->done(due);
    } else if (!commit && s->due_range != NULL) {
        struct quo_load *load = &s->due_range->load;
        s->due_range = NULL;
        load->done = s->range_done;
        load->context = s->range_context;
        load->done(load);
    }
}
static inline void late_store_finish_all(struct late_store *s)
{
    late_store_finish(s, true);
    late_store_finish(s, false);
}

static inline void late_committed(struct quo_commit *commit)
{
    struct late_store *s = commit->context;
    s->due_commit = s->asked_commit;
    s->due_commit->status = commit->status;
    if (!s->lazy)
        late_store_finish(s, true);
}
static inline void late_commit(struct quo_store *store, struct quo_commit *commit)
{
    struct late_store *s = late_of(store);
    s->asked_commit = commit;
    s->commit = (struct quo_commit){
        .batch = commit->batch, .sync = commit->sync, .done = late_committed, .context = s};
    s->inner->ops->commit(s->inner, &s->commit);
}

static inline void late_ranged(struct quo_load *load)
{
    struct late_store *s = load->context;
    s->due_range = s->range;
    if (!s->lazy)
        late_store_finish(s, false);
}
static inline void late_range(struct quo_store *store, struct quo_range *range)
{
    struct late_store *s = late_of(store);
    /* One of records at a time; others are nobody's concern here. */
    if (range->load.family != QUO_FAMILY_DATA) {
        s->inner->ops->range(s->inner, range);
        return;
    }
    s->range = range;
    s->range_done = range->load.done;
    s->range_context = range->load.context;
    range->load.done = late_ranged;
    range->load.context = s;
    s->inner->ops->range(s->inner, range);
}

static inline enum quo_status late_get(struct quo_store *store, enum quo_family family,
                                       struct quo_slice key, struct quo_pinned *ret)
{
    return late_of(store)->inner->ops->get(late_of(store)->inner, family, key, ret);
}
static inline void late_release(struct quo_store *store, struct quo_pinned *pinned)
{
    late_of(store)->inner->ops->release(late_of(store)->inner, pinned);
}
static inline void late_load(struct quo_store *store, struct quo_load *load)
{
    late_of(store)->inner->ops->load(late_of(store)->inner, load);
}
static inline void late_range_release(struct quo_store *store, struct quo_range *range)
{
    late_of(store)->inner->ops->range_release(late_of(store)->inner, range);
}
static inline struct quo_batch *late_batch_new(struct quo_store *store)
{
    return late_of(store)->inner->ops->batch_new(late_of(store)->inner);
}
static inline void late_batch_free(struct quo_store *store, struct quo_batch *batch)
{
    late_of(store)->inner->ops->batch_free(late_of(store)->inner, batch);
}
static inline void late_batch_clear(struct quo_store *store, struct quo_batch *batch)
{
    late_of(store)->inner->ops->batch_clear(late_of(store)->inner, batch);
}
static inline void late_batch_put(struct quo_store *store, struct quo_batch *batch,
                                  enum quo_family family, struct quo_slice key,
                                  struct quo_slice value)
{
    late_of(store)->inner->ops->batch_put(late_of(store)->inner, batch, family, key, value);
}
static inline void late_batch_delete(struct quo_store *store, struct quo_batch *batch,
                                     enum quo_family family, struct quo_slice key)
{
    late_of(store)->inner->ops->batch_delete(late_of(store)->inner, batch, family, key);
}
static inline enum quo_status
late_scan(struct quo_store *store, enum quo_family family, struct quo_slice lo, struct quo_slice hi,
          bool (*visit)(void *context, struct quo_slice key, struct quo_slice value), void *context)
{
    return late_of(store)->inner->ops->scan(late_of(store)->inner, family, lo, hi, visit, context);
}

static inline void late_store_init(struct late_store *s, struct quo_store *inner)
{
    static const struct quo_store_ops ops = {
        .get = late_get,
        .release = late_release,
        .load = late_load,
        .range = late_range,
        .range_release = late_range_release,
        .batch_new = late_batch_new,
        .batch_free = late_batch_free,
        .batch_clear = late_batch_clear,
        .batch_put = late_batch_put,
        .batch_delete = late_batch_delete,
        .commit = late_commit,
        .scan = late_scan,
    };
    *s = (struct late_store){.store = {&ops}, .inner = inner};
}

#endif
