/* What the engine tests share: a mailbox without a loop, a scratch directory, and calls that wait.
 */
#ifndef QUORATE_TESTS_ENGINE_FIXTURE_H
#define QUORATE_TESTS_ENGINE_FIXTURE_H

#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage-node/engine/engine.h"

#define PATIENCE_S 60

/* A mailbox whose messages the test's own thread takes out. */
struct pump {
    struct quo_mailbox mailbox;
    pthread_mutex_t mutex;
    pthread_cond_t came;
    struct quo_task *tasks, **end;
};

static void pump_post(struct quo_mailbox *mailbox, struct quo_task *task)
{
    struct pump *pump = QUO_CONTAINER_OF(mailbox, struct pump, mailbox);

    pthread_mutex_lock(&pump->mutex);
    task->next = NULL;
    *pump->end = task;
    pump->end = &task->next;
    pthread_cond_signal(&pump->came);
    pthread_mutex_unlock(&pump->mutex);
}

static const struct quo_mailbox_ops pump_ops = {.post = pump_post};

static inline void pump_init(struct pump *pump)
{
    *pump = (struct pump){.mailbox = {&pump_ops}};
    pthread_mutex_init(&pump->mutex, NULL);
    pthread_cond_init(&pump->came, NULL);
    pump->end = &pump->tasks;
}

/* Waits for one message and runs it. */
static inline void pump_one(struct pump *pump)
{
    struct timespec until;
    struct quo_task *task;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&pump->mutex);
    while (pump->tasks == NULL) {
        if (pthread_cond_timedwait(&pump->came, &pump->mutex, &until) != 0)
            QUO_UNREACHABLE();
    }
    task = pump->tasks;
    pump->tasks = task->next;
    if (pump->tasks == NULL)
        pump->end = &pump->tasks;
    pthread_mutex_unlock(&pump->mutex);
    task->run(task);
}

struct scratch {
    char root[64];
    char store[80]; /* root/store */
};

static inline void scratch_make(struct scratch *scratch)
{
    *scratch = (struct scratch){.root = "/tmp/quorate-test-XXXXXX"};
    assert_non_null(mkdtemp(scratch->root));
    snprintf(scratch->store, sizeof(scratch->store), "%s/store", scratch->root);
}

static int scratch_remove_one(const char *path, const struct stat *file, int type,
                              struct FTW *place)
{
    (void)file;
    (void)type;
    (void)place;
    return remove(path);
}

static inline void scratch_remove(const struct scratch *scratch)
{
    assert_int_equal(nftw(scratch->root, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline enum quo_status open_rocksdb(struct pump *pump, const char *path,
                                           uint64_t write_buffer, struct quo_store **ret, char *why,
                                           size_t why_size)
{
    struct quo_engine_options options = {
        .path = path,
        .mailbox = &pump->mailbox,
        .block_cache_bytes = 8u << 20,
        .write_buffer_bytes = write_buffer,
        .reader_threads = 2,
    };
    return quo_store_rocksdb_open(&options, ret, why, why_size);
}

static inline struct quo_store *must_open_rocksdb(struct pump *pump, const char *path,
                                                  uint64_t write_buffer)
{
    struct quo_store *store = NULL;
    char why[512] = "";
    if (open_rocksdb(pump, path, write_buffer, &store, why, sizeof(why)) != QUO_OK)
        fail_msg("cannot open %s: %s", path, why);
    return store;
}

static inline void set_flag(void *flag)
{
    *(bool *)flag = true;
}
static inline void commit_done(struct quo_commit *commit)
{
    set_flag(commit->context);
}
static inline void load_done(struct quo_load *load)
{
    set_flag(load->context);
}

static inline enum quo_status commit_wait(struct pump *pump, struct quo_store *store,
                                          struct quo_batch *batch, bool sync)
{
    bool done = false;
    struct quo_commit commit = {
        .batch = batch, .sync = sync, .done = commit_done, .context = &done};

    store->ops->commit(store, &commit);
    assert_false(done);
    while (!done)
        pump_one(pump);
    return commit.status;
}

static inline enum quo_status put_wait(struct pump *pump, struct quo_store *store,
                                       enum quo_family family, struct quo_slice key,
                                       struct quo_slice value, bool sync)
{
    struct quo_batch *batch = store->ops->batch_new(store);
    enum quo_status status;

    assert_non_null(batch);
    store->ops->batch_put(store, batch, family, key, value);
    status = commit_wait(pump, store, batch, sync);
    store->ops->batch_free(store, batch);
    return status;
}

static inline enum quo_status load_wait(struct pump *pump, struct quo_store *store,
                                        enum quo_family family, struct quo_slice key,
                                        struct quo_pinned *ret)
{
    bool done = false;
    struct quo_load load = {.family = family, .key = key, .done = load_done, .context = &done};

    store->ops->load(store, &load);
    assert_false(done);
    while (!done)
        pump_one(pump);
    if (load.status == QUO_OK)
        *ret = load.value;
    return load.status;
}

/* As the server reads: without blocking, else from the disk. */
static inline enum quo_status read_wait(struct pump *pump, struct quo_store *store,
                                        enum quo_family family, struct quo_slice key,
                                        struct quo_pinned *ret)
{
    enum quo_status status = store->ops->get(store, family, key, ret);
    return status == QUO_WOULD_BLOCK ? load_wait(pump, store, family, key, ret) : status;
}

static inline void expect_read(struct pump *pump, struct quo_store *store, enum quo_family family,
                               struct quo_slice key, struct quo_slice value)
{
    struct quo_pinned pinned = {0};
    assert_int_equal(read_wait(pump, store, family, key, &pinned), QUO_OK);
    assert_true(quo_slice_equal(pinned.bytes, value));
    store->ops->release(store, &pinned);
    assert_null(pinned.handle);
}

static inline void expect_missing(struct pump *pump, struct quo_store *store,
                                  enum quo_family family, struct quo_slice key)
{
    struct quo_pinned pinned = {0};
    assert_int_equal(read_wait(pump, store, family, key, &pinned), QUO_NOT_FOUND);
}

#endif
