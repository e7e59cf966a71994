#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "storage-node/engine/engine.h"
#include "storage-node/engine/range.h"
#include "storage-node/engine/wal_check.h"

#define READERS_MAX 64
#define MESSAGE_MAX 512
#define OPEN_FILES_MAX 512
#define BLOOM_BITS_PER_KEY 10.0
#define BLOCK_BYTES 4096
#define READ_CACHED_ONLY 1 /* kBlockCacheTier: the C header has no name for it */
#define INFO_LOG_FATAL 4   /* InfoLogLevel: the C header has no names for them */
#define INFO_LOGS 4
#define NO_SPACE "No space left on device"
/* Room for a manifest, a log and a small table, on top of what recovery writes out. */
#define REOPEN_SLACK_BYTES (8u * 1024 * 1024)

/* RocksDB wants its default family opened too; nothing is in it. */
#define FAMILIES_OPENED (QUO_FAMILY_COUNT + 1)
static const char *const family_names[FAMILIES_OPENED] = {
    [QUO_FAMILY_DATA] = "data", [QUO_FAMILY_PROMISE] = "promise", [QUO_FAMILY_HINTS] = "hints",
    [QUO_FAMILY_META] = "meta", [QUO_FAMILY_COUNT] = "default",
};
/* What share of the write buffer one family's table may fill, as a divisor. */
static const unsigned family_share[FAMILIES_OPENED] = {
    [QUO_FAMILY_DATA] = 2,  [QUO_FAMILY_PROMISE] = 8, [QUO_FAMILY_HINTS] = 8,
    [QUO_FAMILY_META] = 64, [QUO_FAMILY_COUNT] = 64,
};

/* Follows what is wrong. */
static const char corrupt_advice[] =
    "; writes that were acknowledged may be missing, so this replica must not serve: move its data "
    "directory away and add the node again under a new replica id";

#if defined(__SANITIZE_THREAD__)
/* RocksDB is not instrumented: the sanitizer does not see its synchronisation. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:librocksdb.so\n";
}
#endif

struct quo_batch {
    rocksdb_writebatch_t *native;
    bool incomplete; /* filled while there was no database to name the families */
};

/* How one attempt to write ended. */
enum attempt {
    ATTEMPT_OK,
    ATTEMPT_NO_ROOM,    /* nothing was applied */
    ATTEMPT_LOG_BROKEN, /* likewise; this log takes no more, a fresh one may */
    ATTEMPT_UNKNOWN,    /* it may or may not survive */
};

struct rocks_store {
    struct quo_store store;
    struct quo_mailbox *mailbox;
    char *path;
    int directory;    /* locked against other processes */
    uint64_t reserve; /* bytes of the disk that writes leave free */

    rocksdb_cache_t *cache;
    rocksdb_options_t *options;
    rocksdb_options_t *family_options[FAMILIES_OPENED];
    rocksdb_readoptions_t *read_cached; /* what memory holds, else "incomplete" */
    rocksdb_readoptions_t *read_disk;
    rocksdb_writeoptions_t *write_synced;
    rocksdb_writeoptions_t *write_unsynced;

    /* The loop opens and closes it: alone against the readers by the gate, against the writer
     * because that one has nothing to do then. */
    pthread_rwlock_t gate;
    rocksdb_t *db; /* NULL when it could not be opened anew */
    rocksdb_column_family_handle_t *families[FAMILIES_OPENED];
    _Atomic size_t pins;

    pthread_mutex_t mutex; /* guards stopping, to_write, loads, done */
    bool stopping;

    /* The writer. */
    pthread_t writer;
    bool writer_runs;
    pthread_cond_t commit_came;
    struct quo_commit *to_write;
    enum attempt attempt; /* the writer's result, handed over with the task */
    char attempt_message[MESSAGE_MAX];
    struct quo_task commit_task;
    struct quo_commit *commit; /* under way; the loop's own, like what follows */
    bool log_broken;           /* an append failed: this log takes no more */
    bool failed;               /* a write may or may not survive: no more of them */
    char failure[MESSAGE_MAX];

    /* The readers: loads wait in `loads`, then in `done`; both linked through ->engine. */
    pthread_t readers[READERS_MAX];
    uint32_t reader_count;
    pthread_cond_t load_came;
    struct quo_load *loads, **loads_end;
    struct quo_load *done, **done_end;
    size_t loads_under_way; /* the loop's own */
    struct quo_task done_task;

    _Atomic uint64_t commits, syncs, loads_served, reopened;
};

static struct rocks_store *self(const struct quo_store *store)
{
    return (struct rocks_store *)(uintptr_t)store;
}

static bool says(const char *text, const char *what)
{
    return strstr(text, what) != NULL;
}

/* RocksDB's slices may not be NULL, not even empty ones. */
static const char *chars(struct quo_slice slice)
{
    return slice.data == NULL ? "" : (const char *)slice.data;
}

/* Whether RocksDB's message is of this class ("Corruption: ..."). */
static bool is_of(const char *message, const char *class)
{
    return strncmp(message, class, strlen(class)) == 0;
}

/* RocksDB counts every comparison of keys and more for each thread, which nobody reads here: that
 * was a fifth of the instructions of a put. To be called in each thread that calls RocksDB. */
static void count_nothing(void)
{
    rocksdb_set_perf_level(rocksdb_disable);
}

/* Reads. */

static enum quo_status read_status(char *message)
{
    enum quo_status status = is_of(message, "Result incomplete") ? QUO_WOULD_BLOCK
                             : is_of(message, "Corruption")      ? QUO_CORRUPT
                                                                 : QUO_IO_ERROR;
    rocksdb_free(message);
    return status;
}

/* Requires the gate, or to be the loop. */
static enum quo_status read_pinned(struct rocks_store *s, const rocksdb_readoptions_t *options,
                                   enum quo_family family, struct quo_slice key,
                                   struct quo_pinned *ret)
{
    char *message = NULL;
    rocksdb_pinnableslice_t *pinned;
    size_t len;

    if (s->db == NULL)
        return QUO_IO_ERROR;
    pinned =
        rocksdb_get_pinned_cf(s->db, options, s->families[family], chars(key), key.len, &message);
    if (message != NULL)
        return read_status(message);
    if (pinned == NULL)
        return QUO_NOT_FOUND;
    const char *data = rocksdb_pinnableslice_value(pinned, &len);
    *ret = (struct quo_pinned){quo_slice(data, len), pinned};
    atomic_fetch_add(&s->pins, 1);
    return QUO_OK;
}

static enum quo_status rocks_get(struct quo_store *store, enum quo_family family,
                                 struct quo_slice key, struct quo_pinned *ret)
{
    struct rocks_store *s = self(store);
    return read_pinned(s, s->read_cached, family, key, ret);
}

static void rocks_release(struct quo_store *store, struct quo_pinned *pinned)
{
    if (pinned->handle == NULL)
        return;
    rocksdb_pinnableslice_destroy(pinned->handle);
    atomic_fetch_sub(&self(store)->pins, 1);
    *pinned = (struct quo_pinned){0};
}

static void append(struct quo_load ***end, struct quo_load *load)
{
    load->engine = NULL;
    **end = load;
    *end = (struct quo_load **)&load->engine;
}

static void hand_to_readers(struct rocks_store *s, struct quo_load *load)
{
    s->loads_under_way++;
    pthread_mutex_lock(&s->mutex);
    append(&s->loads_end, load);
    pthread_cond_signal(&s->load_came);
    pthread_mutex_unlock(&s->mutex);
}

static void rocks_load(struct quo_store *store, struct quo_load *load)
{
    load->value = (struct quo_pinned){0};
    load->range = NULL;
    hand_to_readers(self(store), load);
}

static void rocks_range(struct quo_store *store, struct quo_range *range)
{
    quo_range_begin(range);
    range->load.range = range;
    hand_to_readers(self(store), &range->load);
}

static void rocks_range_release(struct quo_store *store, struct quo_range *range)
{
    (void)store;
    quo_range_free(range);
}

/* Requires the gate, or to be the loop. */
static enum quo_status visit_range(struct rocks_store *s, enum quo_family family,
                                   struct quo_slice lo, struct quo_slice hi,
                                   bool (*visit)(void *, struct quo_slice, struct quo_slice),
                                   void *context)
{
    rocksdb_readoptions_t *options;
    rocksdb_iterator_t *iterator;
    char *message = NULL;
    bool more = true;

    if (s->db == NULL)
        return QUO_IO_ERROR;
    options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_upper_bound(options, chars(hi), hi.len);
    rocksdb_readoptions_set_fill_cache(options, 0);
    iterator = rocksdb_create_iterator_cf(s->db, options, s->families[family]);
    rocksdb_iter_seek(iterator, chars(lo), lo.len);
    while (more && rocksdb_iter_valid(iterator)) {
        size_t key_len, value_len;
        const char *key = rocksdb_iter_key(iterator, &key_len);
        const char *value = rocksdb_iter_value(iterator, &value_len);
        more = visit(context, quo_slice(key, key_len), quo_slice(value, value_len));
        if (more)
            rocksdb_iter_next(iterator);
    }
    rocksdb_iter_get_error(iterator, &message);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
    return message == NULL ? QUO_OK : read_status(message);
}

static enum quo_status rocks_scan(struct quo_store *store, enum quo_family family,
                                  struct quo_slice lo, struct quo_slice hi,
                                  bool (*visit)(void *, struct quo_slice, struct quo_slice),
                                  void *context)
{
    return visit_range(self(store), family, lo, hi, visit, context);
}

static bool take_entry(void *range, struct quo_slice key, struct quo_slice value)
{
    return quo_range_add(range, key, value);
}

static void read_range(struct rocks_store *s, struct quo_range *range)
{
    enum quo_status status =
        visit_range(s, range->load.family, range->lo, range->hi, take_entry, range);

    if (status != QUO_OK)
        range->load.status = status;
}

/* Returns NULL when the readers shall end. */
static struct quo_load *next_load(struct rocks_store *s)
{
    struct quo_load *load;

    pthread_mutex_lock(&s->mutex);
    while (s->loads == NULL && !s->stopping)
        pthread_cond_wait(&s->load_came, &s->mutex);
    load = s->loads;
    if (load != NULL) {
        s->loads = load->engine;
        if (s->loads == NULL)
            s->loads_end = &s->loads;
    }
    pthread_mutex_unlock(&s->mutex);
    return load;
}

static void hand_back(struct rocks_store *s, struct quo_load *load)
{
    bool first;

    pthread_mutex_lock(&s->mutex);
    first = s->done == NULL;
    append(&s->done_end, load);
    pthread_mutex_unlock(&s->mutex);
    /* One message wakes the loop for all that is done by then. */
    if (first)
        s->mailbox->ops->post(s->mailbox, &s->done_task);
}

static void *run_reader(void *store)
{
    struct rocks_store *s = store;
    struct quo_load *load;

    count_nothing();
    while ((load = next_load(s)) != NULL) {
        pthread_rwlock_rdlock(&s->gate);
        if (load->range != NULL)
            read_range(s, load->range);
        else
            load->status = read_pinned(s, s->read_disk, load->family, load->key, &load->value);
        pthread_rwlock_unlock(&s->gate);
        atomic_fetch_add_explicit(&s->loads_served, 1, memory_order_relaxed);
        hand_back(s, load);
    }
    return NULL;
}

static void finish_loads(struct quo_task *task)
{
    struct rocks_store *s = QUO_CONTAINER_OF(task, struct rocks_store, done_task);
    struct quo_load *load, *next;

    pthread_mutex_lock(&s->mutex);
    load = s->done;
    s->done = NULL;
    s->done_end = &s->done;
    pthread_mutex_unlock(&s->mutex);
    for (; load != NULL; load = next) {
        next = load->engine;
        s->loads_under_way--;
        load->done(load);
    }
}

/* Batches. */

static struct quo_batch *rocks_batch_new(struct quo_store *store)
{
    struct quo_batch *batch = calloc(1, sizeof(*batch));
    (void)store;
    if (batch != NULL)
        batch->native = rocksdb_writebatch_create();
    return batch;
}

static void rocks_batch_free(struct quo_store *store, struct quo_batch *batch)
{
    (void)store;
    if (batch == NULL)
        return;
    rocksdb_writebatch_destroy(batch->native);
    free(batch);
}

static void rocks_batch_clear(struct quo_store *store, struct quo_batch *batch)
{
    (void)store;
    rocksdb_writebatch_clear(batch->native);
    batch->incomplete = false;
}

static void rocks_batch_put(struct quo_store *store, struct quo_batch *batch,
                            enum quo_family family, struct quo_slice key, struct quo_slice value)
{
    struct rocks_store *s = self(store);

    if (s->db == NULL)
        batch->incomplete = true;
    else
        rocksdb_writebatch_put_cf(batch->native, s->families[family], chars(key), key.len,
                                  chars(value), value.len);
}

static void rocks_batch_delete(struct quo_store *store, struct quo_batch *batch,
                               enum quo_family family, struct quo_slice key)
{
    struct rocks_store *s = self(store);

    if (s->db == NULL)
        batch->incomplete = true;
    else
        rocksdb_writebatch_delete_cf(batch->native, s->families[family], chars(key), key.len);
}

/* Opening. */

static void keep(char *to, char *message)
{
    snprintf(to, MESSAGE_MAX, "%s", message);
    rocksdb_free(message);
}

static rocksdb_block_based_table_options_t *table_options(rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY));
    /* Indexes and filters count as cache: then its size bounds what tables cost in memory. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_format_version(table, 5);
    return table;
}

static void set_options(rocksdb_options_t *options, const struct quo_engine_options *wanted)
{
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    rocksdb_options_set_paranoid_checks(options, 1);
    /* Incomplete records at the end are dropped, anything else refuses; see also wal_check.h. */
    rocksdb_options_set_wal_recovery_mode(options,
                                          rocksdb_tolerate_corrupted_tail_records_recovery);
    rocksdb_options_set_db_write_buffer_size(options, wanted->write_buffer_bytes);
    rocksdb_options_set_max_total_wal_size(options, 2 * wanted->write_buffer_bytes);
    rocksdb_options_set_max_write_buffer_number(options, 4);
    rocksdb_options_set_max_open_files(options, OPEN_FILES_MAX);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    /* On a full disk a second line to its own log makes RocksDB abort, in builds that keep its
     * assertions, as Debian's does. */
    rocksdb_options_set_info_log_level(options, INFO_LOG_FATAL);
    rocksdb_options_set_keep_log_file_num(options, INFO_LOGS);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    /* What was measured and does not pay here: pipelined writes and a memtable without concurrent
     * writers (there is one writer anyhow), a bloom filter for memtables (records are remembered
     * above, see store_cached.h), insertion with a hint for each partition (it saves half of the
     * comparisons but no time, and takes 250 bytes of each memtable for each partition). */
}

static enum quo_status make_options(struct rocks_store *s, const struct quo_engine_options *wanted,
                                    char *ret_message)
{
    rocksdb_options_t *basic = rocksdb_options_create();
    rocksdb_block_based_table_options_t *table;
    char *message = NULL;

    s->options = rocksdb_options_create();
    /* Closed logs are listed in the MANIFEST with their sizes, and a missing or shorter one
     * refuses. The C interface knows this option by its text alone. */
    rocksdb_get_options_from_string(basic, "track_and_verify_wals_in_manifest=true", s->options,
                                    &message);
    rocksdb_options_destroy(basic);
    if (message != NULL) {
        keep(ret_message, message);
        return QUO_IO_ERROR;
    }
    set_options(s->options, wanted);
    s->cache = rocksdb_cache_create_lru(wanted->block_cache_bytes);
    table = table_options(s->cache);
    rocksdb_options_set_block_based_table_factory(s->options, table);
    rocksdb_block_based_options_destroy(table);
    for (int i = 0; i < FAMILIES_OPENED; i++) {
        s->family_options[i] = rocksdb_options_create_copy(s->options);
        rocksdb_options_set_write_buffer_size(s->family_options[i],
                                              wanted->write_buffer_bytes / family_share[i]);
    }
    s->read_cached = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(s->read_cached, READ_CACHED_ONLY);
    s->read_disk = rocksdb_readoptions_create();
    s->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(s->write_synced, 1);
    s->write_unsynced = rocksdb_writeoptions_create();
    return QUO_OK;
}

static void close_database(struct rocks_store *s)
{
    if (s->db == NULL)
        return;
    for (int i = 0; i < FAMILIES_OPENED; i++) {
        rocksdb_column_family_handle_destroy(s->families[i]);
        s->families[i] = NULL;
    }
    rocksdb_close(s->db);
    s->db = NULL;
}

/* Sets s->db only on success. */
static enum quo_status open_database(struct rocks_store *s, char *ret_message)
{
    uint64_t last = 0;
    char *message = NULL;
    enum quo_status status = quo_wal_check(s->path, &last, ret_message, MESSAGE_MAX);

    if (status != QUO_OK)
        return status;
    s->db = rocksdb_open_column_families(s->options, s->path, FAMILIES_OPENED, family_names,
                                         (const rocksdb_options_t *const *)s->family_options,
                                         s->families, &message);
    if (message != NULL) {
        s->db = NULL;
        status = is_of(message, "Corruption") ? QUO_CORRUPT : QUO_IO_ERROR;
        keep(ret_message, message);
        return status;
    }
    if (rocksdb_get_latest_sequence_number(s->db) < last) {
        close_database(s);
        snprintf(ret_message, MESSAGE_MAX,
                 "the store came back without writes that its write-ahead log holds");
        return QUO_CORRUPT;
    }
    return QUO_OK;
}

/* Whether the disk has `bytes` and the reserve. */
static bool has_room(const struct rocks_store *s, uint64_t bytes)
{
    struct statvfs disk;
    return fstatvfs(s->directory, &disk) == 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize >= s->reserve + bytes;
}

/* What recovery writes out as tables. */
static uint64_t recovery_bytes(const struct rocks_store *s)
{
    uint64_t sum = REOPEN_SLACK_BYTES, bytes;

    for (int i = 0; s->db != NULL && i < FAMILIES_OPENED; i++) {
        if (rocksdb_property_int_cf(s->db, s->families[i], "rocksdb.cur-size-all-mem-tables",
                                    &bytes) == 0)
            sum += bytes;
    }
    return sum;
}

/* A full disk broke the log. RocksDB starts a fresh one only when it has something to flush, and
 * before that an attempt to write may abort the process: so open everything anew. Runs on the loop,
 * which stands still for it, because batches and reads of the loop name families of the open
 * database. */
static enum quo_status open_anew(struct rocks_store *s)
{
    enum quo_status status = QUO_DISK_FULL;

    if (!has_room(s, recovery_bytes(s)) || atomic_load(&s->pins) != 0)
        return QUO_DISK_FULL;
    pthread_rwlock_wrlock(&s->gate);
    if (atomic_load(&s->pins) == 0) {
        close_database(s);
        status = open_database(s, s->attempt_message);
        if (status == QUO_OK) {
            s->log_broken = false;
            atomic_fetch_add_explicit(&s->reopened, 1, memory_order_relaxed);
        } else if (says(s->attempt_message, NO_SPACE)) {
            status = QUO_DISK_FULL;
        }
    }
    pthread_rwlock_unlock(&s->gate);
    return status;
}

/* Commits. */

/* Reads RocksDB 7.8.3's messages: the C interface gives no more than them. DISK_FULL promises that
 * nothing was applied. That is so when the append to the log failed, since the end of the batch is
 * then missing from it, or when writes are refused after a failed flush or compaction (a .sst
 * file). After any other failure, of an fsync or of the MANIFEST behind a written log, the batch
 * may be there. */
static enum attempt judge(const char *message)
{
    const char *file = strrchr(message, '/');
    bool append = says(message, "While appending to file") || says(message, "While open a file");

    if (!says(message, NO_SPACE) || file == NULL || says(file, "MANIFEST"))
        return ATTEMPT_UNKNOWN;
    if (says(file, ".sst"))
        return ATTEMPT_NO_ROOM;
    return append && says(file, ".log") ? ATTEMPT_LOG_BROKEN : ATTEMPT_UNKNOWN;
}

static enum attempt write_batch(struct rocks_store *s, const struct quo_commit *commit)
{
    char *message = NULL;
    size_t bytes;

    rocksdb_writebatch_data(commit->batch->native, &bytes);
    if (commit->batch->incomplete || (s->reserve > 0 && !has_room(s, bytes))) {
        snprintf(s->attempt_message, MESSAGE_MAX,
                 NO_SPACE ": fewer than %" PRIu64 " bytes are free, which are kept in reserve",
                 s->reserve + bytes);
        return ATTEMPT_NO_ROOM;
    }
    rocksdb_write(s->db, commit->sync ? s->write_synced : s->write_unsynced, commit->batch->native,
                  &message);
    if (message == NULL)
        return ATTEMPT_OK;
    keep(s->attempt_message, message);
    return judge(s->attempt_message);
}

static void *run_writer(void *store)
{
    struct rocks_store *s = store;
    struct quo_commit *commit;

    count_nothing();
    for (;;) {
        pthread_mutex_lock(&s->mutex);
        while (s->to_write == NULL && !s->stopping)
            pthread_cond_wait(&s->commit_came, &s->mutex);
        commit = s->to_write;
        s->to_write = NULL;
        pthread_mutex_unlock(&s->mutex);
        if (commit == NULL)
            return NULL;
        s->attempt = write_batch(s, commit);
        s->mailbox->ops->post(s->mailbox, &s->commit_task);
    }
}

static void rocks_commit(struct quo_store *store, struct quo_commit *commit)
{
    struct rocks_store *s = self(store);
    enum quo_status status = s->failed ? QUO_IO_ERROR : QUO_OK;

    QUO_REQUIRE(s->commit == NULL);
    s->commit = commit;
    if (status == QUO_OK && s->log_broken)
        status = open_anew(s);
    if (status != QUO_OK) {
        s->attempt = status == QUO_DISK_FULL ? ATTEMPT_LOG_BROKEN : ATTEMPT_UNKNOWN;
        s->mailbox->ops->post(s->mailbox, &s->commit_task);
        return;
    }
    pthread_mutex_lock(&s->mutex);
    s->to_write = commit;
    pthread_cond_signal(&s->commit_came);
    pthread_mutex_unlock(&s->mutex);
}

static enum quo_status attempt_status(enum attempt attempt)
{
    switch (attempt) {
    case ATTEMPT_OK:
        return QUO_OK;
    case ATTEMPT_NO_ROOM:
    case ATTEMPT_LOG_BROKEN:
        return QUO_DISK_FULL;
    case ATTEMPT_UNKNOWN:
        return QUO_IO_ERROR;
    }
    QUO_UNREACHABLE();
}

static void finish_commit(struct quo_task *task)
{
    struct rocks_store *s = QUO_CONTAINER_OF(task, struct rocks_store, commit_task);
    struct quo_commit *commit = s->commit;
    enum quo_status status = attempt_status(s->attempt);

    if (status != QUO_OK && !s->failed)
        memcpy(s->failure, s->attempt_message, MESSAGE_MAX);
    if (s->attempt == ATTEMPT_LOG_BROKEN)
        s->log_broken = true;
    if (s->attempt == ATTEMPT_UNKNOWN)
        s->failed = true;
    atomic_fetch_add_explicit(&s->commits, status == QUO_OK, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->syncs, status == QUO_OK && commit->sync, memory_order_relaxed);
    s->commit = NULL;
    commit->status = status;
    commit->done(commit);
}

/* Life. */

static void stop_threads(struct rocks_store *s)
{
    pthread_mutex_lock(&s->mutex);
    s->stopping = true;
    pthread_cond_broadcast(&s->commit_came);
    pthread_cond_broadcast(&s->load_came);
    pthread_mutex_unlock(&s->mutex);
    if (s->writer_runs)
        pthread_join(s->writer, NULL);
    for (uint32_t i = 0; i < s->reader_count; i++)
        pthread_join(s->readers[i], NULL);
}

static void free_options(struct rocks_store *s)
{
    if (s->options == NULL)
        return;
    rocksdb_options_destroy(s->options);
    for (int i = 0; i < FAMILIES_OPENED; i++) {
        if (s->family_options[i] != NULL)
            rocksdb_options_destroy(s->family_options[i]);
    }
    if (s->cache == NULL)
        return;
    rocksdb_cache_destroy(s->cache);
    rocksdb_readoptions_destroy(s->read_cached);
    rocksdb_readoptions_destroy(s->read_disk);
    rocksdb_writeoptions_destroy(s->write_synced);
    rocksdb_writeoptions_destroy(s->write_unsynced);
}

static void free_store(struct rocks_store *s)
{
    stop_threads(s);
    close_database(s);
    free_options(s);
    if (s->directory >= 0)
        close(s->directory);
    free(s->path);
    pthread_rwlock_destroy(&s->gate);
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->commit_came);
    pthread_cond_destroy(&s->load_came);
    free(s);
}

static void rocks_close(struct quo_store *store)
{
    struct rocks_store *s = self(store);
    char *message = NULL;

    QUO_REQUIRE(s->commit == NULL && s->loads_under_way == 0 && atomic_load(&s->pins) == 0);
    /* For commits that did not ask for it. If it fails they are lost, as they may be. */
    if (s->db != NULL && !s->failed && !s->log_broken)
        rocksdb_flush_wal(s->db, 1, &message);
    if (message != NULL)
        rocksdb_free(message);
    free_store(s);
}

static const struct quo_store_ops rocks_ops = {
    .get = rocks_get,
    .release = rocks_release,
    .load = rocks_load,
    .range = rocks_range,
    .range_release = rocks_range_release,
    .batch_new = rocks_batch_new,
    .batch_free = rocks_batch_free,
    .batch_clear = rocks_batch_clear,
    .batch_put = rocks_batch_put,
    .batch_delete = rocks_batch_delete,
    .commit = rocks_commit,
    .scan = rocks_scan,
    .close = rocks_close,
};

/* Makes the directory if need be, durably, and keeps other processes out of it: RocksDB's own lock
 * comes too late for the look at the logs. */
static enum quo_status hold_directory(struct rocks_store *s, char *ret_message)
{
    int parent;
    bool made = mkdir(s->path, 0700) == 0;

    if (!made && errno != EEXIST)
        goto failed;
    s->directory = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->directory < 0)
        goto failed;
    if (flock(s->directory, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            goto failed;
        snprintf(ret_message, MESSAGE_MAX, "another process uses %s", s->path);
        return QUO_IO_ERROR;
    }
    if (made) {
        parent = openat(s->directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
            goto failed;
        if (fsync(parent) != 0) {
            close(parent);
            goto failed;
        }
        close(parent);
    }
    return QUO_OK;

failed:
    snprintf(ret_message, MESSAGE_MAX, "cannot use %s: %s", s->path, strerror(errno));
    return QUO_IO_ERROR;
}

static enum quo_status start_threads(struct rocks_store *s, uint32_t readers, char *ret_message)
{
    s->writer_runs = pthread_create(&s->writer, NULL, run_writer, s) == 0;
    while (s->writer_runs && s->reader_count < readers &&
           pthread_create(&s->readers[s->reader_count], NULL, run_reader, s) == 0)
        s->reader_count++;
    if (s->writer_runs && s->reader_count == readers)
        return QUO_OK;
    snprintf(ret_message, MESSAGE_MAX, "cannot start threads");
    return QUO_IO_ERROR;
}

static struct rocks_store *make_store(const struct quo_engine_options *options)
{
    struct rocks_store *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->path = strdup(options->path);
    if (s->path == NULL) {
        free(s);
        return NULL;
    }
    s->store.ops = &rocks_ops;
    s->mailbox = options->mailbox;
    s->reserve = options->disk_reserve_bytes;
    s->directory = -1;
    pthread_rwlock_init(&s->gate, NULL);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->commit_came, NULL);
    pthread_cond_init(&s->load_came, NULL);
    s->commit_task.run = finish_commit;
    s->done_task.run = finish_loads;
    s->loads_end = &s->loads;
    s->done_end = &s->done;
    return s;
}

enum quo_status quo_store_rocksdb_open(const struct quo_engine_options *options,
                                       struct quo_store **ret, char *why, size_t why_size)
{
    struct rocks_store *s;
    enum quo_status status;

    QUO_REQUIRE(options->reader_threads >= 1 && options->reader_threads <= READERS_MAX);
    count_nothing();
    s = make_store(options);
    if (s == NULL) {
        snprintf(why, why_size, "out of memory");
        return QUO_NO_MEMORY;
    }
    status = hold_directory(s, s->failure);
    if (status == QUO_OK)
        status = make_options(s, options, s->failure);
    if (status == QUO_OK)
        status = open_database(s, s->failure);
    if (status == QUO_OK)
        status = start_threads(s, options->reader_threads, s->failure);
    if (status != QUO_OK) {
        snprintf(why, why_size, "%s%s", s->failure, status == QUO_CORRUPT ? corrupt_advice : "");
        free_store(s);
        return status;
    }
    *ret = &s->store;
    return QUO_OK;
}

const char *quo_store_rocksdb_failure(const struct quo_store *store)
{
    QUO_REQUIRE(store->ops == &rocks_ops);
    return self(store)->failure;
}

/* The sum over all families. */
static uint64_t figure(const struct rocks_store *s, const char *property)
{
    uint64_t sum = 0, value;

    for (int i = 0; s->db != NULL && i < FAMILIES_OPENED; i++) {
        if (rocksdb_property_int_cf(s->db, s->families[i], property, &value) == 0)
            sum += value;
    }
    return sum;
}

/* Of the whole database. */
static uint64_t figure_once(const struct rocks_store *s, const char *property)
{
    uint64_t value;
    return s->db != NULL && rocksdb_property_int(s->db, property, &value) == 0 ? value : 0;
}

void quo_store_rocksdb_figures(struct quo_store *store, struct quo_store_figures *ret)
{
    struct rocks_store *s = self(store);

    QUO_REQUIRE(store->ops == &rocks_ops);
    *ret = (struct quo_store_figures){
        .memtable_bytes = figure(s, "rocksdb.cur-size-all-mem-tables"),
        .cache_bytes = rocksdb_cache_get_usage(s->cache),
        .cache_pinned_bytes = rocksdb_cache_get_pinned_usage(s->cache),
        .table_bytes = figure(s, "rocksdb.total-sst-files-size"),
        .live_bytes = figure(s, "rocksdb.estimate-live-data-size"),
        .keys = figure(s, "rocksdb.estimate-num-keys"),
        .compaction_pending_bytes = figure(s, "rocksdb.estimate-pending-compaction-bytes"),
        .compactions_running = figure_once(s, "rocksdb.num-running-compactions"),
        .flushes_running = figure_once(s, "rocksdb.num-running-flushes"),
        .background_errors = figure_once(s, "rocksdb.background-errors"),
        .write_stopped = figure_once(s, "rocksdb.is-write-stopped"),
        .commits = atomic_load_explicit(&s->commits, memory_order_relaxed),
        .syncs = atomic_load_explicit(&s->syncs, memory_order_relaxed),
        .loads = atomic_load_explicit(&s->loads_served, memory_order_relaxed),
        .reopened = atomic_load_explicit(&s->reopened, memory_order_relaxed),
    };
}
