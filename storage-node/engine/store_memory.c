#include "storage-node/engine/store_memory.h"

#include <stdlib.h>

#include "storage-node/engine/ordered.h"
#include "storage-node/engine/range.h"

#define KEPT_ALL ((1u << QUO_FAMILY_COUNT) - 1)

struct operation {
    enum quo_family family;
    struct quo_pair *pair;
};

struct quo_batch {
    size_t count;
    size_t capacity;
    bool incomplete; /* a put or delete found no memory */
    struct operation *operations;
};

struct memory_store {
    struct quo_store store;
    struct quo_mailbox *mailbox;
    struct quo_ordered *families[QUO_FAMILY_COUNT]; /* NULL for what is swallowed */
    struct quo_commit *commit;                      /* under way */
    struct quo_task commit_task;
    struct quo_load *loads; /* under way, linked through ->engine, first come first */
    struct quo_load **loads_end;
    struct quo_task loads_task;
    bool failed;
    uint64_t commits;
    size_t pinned;
    struct quo_store_faults faults;
};

static struct memory_store *self(struct quo_store *store)
{
    return (struct memory_store *)store;
}

/* Whether a countdown strikes with this call. */
static bool strikes(uint64_t *countdown)
{
    return *countdown > 0 && --*countdown == 0;
}

static enum quo_status look_up(struct memory_store *s, enum quo_family family, struct quo_slice key,
                               struct quo_pinned *ret)
{
    struct quo_pair *pair;
    struct quo_shared *value;

    if (s->families[family] == NULL)
        return QUO_NOT_FOUND;
    pair = quo_ordered_seek(s->families[family], key);
    if (pair == NULL || !quo_slice_equal(quo_pair_key(pair), key))
        return QUO_NOT_FOUND;
    value = quo_pair_value(pair);
    value->refs++;
    s->pinned++;
    *ret = (struct quo_pinned){quo_slice(value->bytes, value->len), value};
    return QUO_OK;
}

static void memory_release(struct quo_store *store, struct quo_pinned *pinned)
{
    if (pinned->handle == NULL)
        return;
    self(store)->pinned--;
    quo_shared_drop(pinned->handle);
    *pinned = (struct quo_pinned){0};
}

static enum quo_status memory_get(struct quo_store *store, enum quo_family family,
                                  struct quo_slice key, struct quo_pinned *ret)
{
    struct memory_store *s = self(store);
    struct quo_pinned found;
    enum quo_status status;

    if (strikes(&s->faults.get_in))
        return s->faults.get_status;
    status = look_up(s, family, key, &found);
    if (status != QUO_OK)
        return status;
    if (s->faults.get_would_block) {
        memory_release(store, &found);
        return QUO_WOULD_BLOCK;
    }
    *ret = found;
    return QUO_OK;
}

static void read_range(struct memory_store *s, struct quo_range *range)
{
    struct quo_pair *pair;

    if (strikes(&s->faults.load_in)) {
        range->load.status = s->faults.load_status;
        return;
    }
    if (s->families[range->load.family] == NULL)
        return;
    pair = quo_ordered_seek(s->families[range->load.family], range->lo);
    for (; pair != NULL && quo_key_compare(quo_pair_key(pair), range->hi) < 0;
         pair = quo_pair_next(pair)) {
        const struct quo_shared *value = quo_pair_value(pair);
        if (!quo_range_add(range, quo_pair_key(pair), quo_slice(value->bytes, value->len)))
            return;
    }
}

static void finish_load(struct memory_store *s, struct quo_load *load)
{
    if (load->range != NULL)
        read_range(s, load->range);
    else
        load->status = strikes(&s->faults.load_in)
                           ? s->faults.load_status
                           : look_up(s, load->family, load->key, &load->value);
    load->done(load);
}

static void finish_loads(struct quo_task *task)
{
    struct memory_store *s = QUO_CONTAINER_OF(task, struct memory_store, loads_task);
    struct quo_load *load = s->loads, *next;

    s->loads = NULL;
    s->loads_end = &s->loads;
    for (; load != NULL; load = next) {
        next = load->engine;
        finish_load(s, load);
    }
}

static void start_load(struct memory_store *s, struct quo_load *load)
{
    bool posted = s->loads != NULL;

    load->engine = NULL;
    *s->loads_end = load;
    s->loads_end = (struct quo_load **)&load->engine;
    if (!posted)
        s->mailbox->ops->post(s->mailbox, &s->loads_task);
}

static void memory_load(struct quo_store *store, struct quo_load *load)
{
    load->value = (struct quo_pinned){0};
    load->range = NULL;
    start_load(self(store), load);
}

static void memory_range(struct quo_store *store, struct quo_range *range)
{
    quo_range_begin(range);
    range->load.range = range;
    start_load(self(store), &range->load);
}

static void memory_range_release(struct quo_store *store, struct quo_range *range)
{
    (void)store;
    quo_range_free(range);
}

static struct quo_batch *memory_batch_new(struct quo_store *store)
{
    (void)store;
    return calloc(1, sizeof(struct quo_batch));
}

static void memory_batch_clear(struct quo_store *store, struct quo_batch *batch)
{
    (void)store;
    for (size_t i = 0; i < batch->count; i++)
        quo_pair_free(batch->operations[i].pair);
    batch->count = 0;
    batch->incomplete = false;
}

static void memory_batch_free(struct quo_store *store, struct quo_batch *batch)
{
    if (batch == NULL)
        return;
    memory_batch_clear(store, batch);
    free(batch->operations);
    free(batch);
}

static void batch_add(struct quo_batch *batch, enum quo_family family, struct quo_slice key,
                      struct quo_shared *value)
{
    struct quo_pair *pair = NULL;

    if (batch->count == batch->capacity) {
        size_t capacity = QUO_MAX(64, batch->capacity * 2);
        struct operation *grown = reallocarray(batch->operations, capacity, sizeof(*grown));
        if (grown == NULL)
            goto no_memory;
        batch->operations = grown;
        batch->capacity = capacity;
    }
    pair = quo_pair_new(key, value);
    if (pair == NULL)
        goto no_memory;
    batch->operations[batch->count++] = (struct operation){family, pair};
    return;

no_memory:
    quo_shared_drop(value);
    batch->incomplete = true;
}

static void memory_batch_put(struct quo_store *store, struct quo_batch *batch,
                             enum quo_family family, struct quo_slice key, struct quo_slice value)
{
    struct quo_shared *copy;

    if (self(store)->families[family] == NULL)
        return;
    copy = quo_shared_new(value);
    if (copy == NULL)
        batch->incomplete = true;
    else
        batch_add(batch, family, key, copy);
}

static void memory_batch_delete(struct quo_store *store, struct quo_batch *batch,
                                enum quo_family family, struct quo_slice key)
{
    if (self(store)->families[family] != NULL)
        batch_add(batch, family, key, NULL);
}

static void apply(struct memory_store *s, struct quo_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        quo_ordered_apply(s->families[batch->operations[i].family], batch->operations[i].pair);
    batch->count = 0;
}

static void finish_commit(struct quo_task *task)
{
    struct memory_store *s = QUO_CONTAINER_OF(task, struct memory_store, commit_task);
    struct quo_commit *commit = s->commit;

    s->commit = NULL;
    if (s->failed)
        commit->status = QUO_IO_ERROR;
    else if (strikes(&s->faults.commit_in))
        commit->status = s->faults.commit_status;
    else
        commit->status = commit->batch->incomplete ? QUO_DISK_FULL : QUO_OK;

    if (commit->status == QUO_IO_ERROR)
        s->failed = true;
    if (commit->status == QUO_OK) {
        apply(s, commit->batch);
        s->commits++;
    }
    commit->done(commit);
}

static void memory_commit(struct quo_store *store, struct quo_commit *commit)
{
    struct memory_store *s = self(store);

    QUO_REQUIRE(s->commit == NULL);
    s->commit = commit;
    s->mailbox->ops->post(s->mailbox, &s->commit_task);
}

static enum quo_status memory_scan(struct quo_store *store, enum quo_family family,
                                   struct quo_slice lo, struct quo_slice hi,
                                   bool (*visit)(void *, struct quo_slice, struct quo_slice),
                                   void *context)
{
    struct memory_store *s = self(store);
    struct quo_pair *pair;

    if (s->families[family] == NULL)
        return QUO_OK;
    pair = quo_ordered_seek(s->families[family], lo);
    for (; pair != NULL && quo_key_compare(quo_pair_key(pair), hi) < 0;
         pair = quo_pair_next(pair)) {
        const struct quo_shared *value = quo_pair_value(pair);
        if (!visit(context, quo_pair_key(pair), quo_slice(value->bytes, value->len)))
            break;
    }
    return QUO_OK;
}

static void memory_close(struct quo_store *store)
{
    struct memory_store *s = self(store);

    QUO_REQUIRE(s->commit == NULL && s->loads == NULL && s->pinned == 0);
    for (int i = 0; i < QUO_FAMILY_COUNT; i++)
        quo_ordered_free(s->families[i]);
    free(s);
}

static const struct quo_store_ops memory_ops = {
    .get = memory_get,
    .release = memory_release,
    .load = memory_load,
    .range = memory_range,
    .range_release = memory_range_release,
    .batch_new = memory_batch_new,
    .batch_free = memory_batch_free,
    .batch_clear = memory_batch_clear,
    .batch_put = memory_batch_put,
    .batch_delete = memory_batch_delete,
    .commit = memory_commit,
    .scan = memory_scan,
    .close = memory_close,
};

struct quo_store *quo_store_memory_make(struct quo_mailbox *mailbox, unsigned kept)
{
    struct memory_store *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->store.ops = &memory_ops;
    s->mailbox = mailbox;
    s->commit_task.run = finish_commit;
    s->loads_task.run = finish_loads;
    s->loads_end = &s->loads;
    for (unsigned i = 0; i < QUO_FAMILY_COUNT; i++) {
        if ((kept & (1u << i)) == 0)
            continue;
        s->families[i] = quo_ordered_new();
        if (s->families[i] == NULL) {
            memory_close(&s->store);
            return NULL;
        }
    }
    return &s->store;
}

struct quo_store *quo_store_memory_new(struct quo_mailbox *mailbox)
{
    return quo_store_memory_make(mailbox, KEPT_ALL);
}

struct quo_store_faults *quo_store_memory_faults(struct quo_store *store)
{
    QUO_REQUIRE(store->ops == &memory_ops);
    return &self(store)->faults;
}

uint64_t quo_store_memory_commits(const struct quo_store *store)
{
    QUO_REQUIRE(store->ops == &memory_ops);
    return ((const struct memory_store *)store)->commits;
}
