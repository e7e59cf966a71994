/* The engines behind the store port. */
#ifndef QUORATE_NODE_ENGINE_H
#define QUORATE_NODE_ENGINE_H

#include "quorate/mailbox.h"
#include "quorate/store.h"

struct quo_engine_options {
    const char *path;            /* data directory; made if missing (parent must exist) */
    struct quo_mailbox *mailbox; /* where completions are posted */
    uint64_t block_cache_bytes;
    uint64_t write_buffer_bytes;
    uint64_t disk_reserve_bytes; /* that writes leave free for flushes and recovery; 0: none */
    uint32_t reader_threads;     /* 1 to 64 */
};

/* RocksDB: one writer thread, one fsync per synced commit, readers for cache misses.
 * QUO_OK; QUO_CORRUPT: the log has a hole or files are damaged (the store must not be used);
 * QUO_IO_ERROR: cannot be opened, for instance because another process has it; QUO_NO_MEMORY; why
 * says it in a sentence.
 *
 * While the disk is full, commits end with QUO_DISK_FULL and reads go on; when there is room again,
 * a commit within some seconds succeeds. Closing requires that every commit and load was completed
 * and every pinned value released. */
enum quo_status quo_store_rocksdb_open(const struct quo_engine_options *options,
                                       struct quo_store **ret, char *why, size_t why_size);

/* Why the last commit that failed did so, in RocksDB's words; "" when none did. Requires a store of
 * quo_store_rocksdb_open. Loop thread; borrowed until the next turn. */
const char *quo_store_rocksdb_failure(const struct quo_store *store);

struct quo_store_figures {
    uint64_t memtable_bytes, cache_bytes, cache_pinned_bytes, table_bytes, live_bytes, keys;
    uint64_t compactions_running, flushes_running, compaction_pending_bytes, background_errors,
        write_stopped, commits, syncs, loads, reopened;
};
/* Likewise. Takes microseconds. */
void quo_store_rocksdb_figures(struct quo_store *store, struct quo_store_figures *ret);

/* Keeps everything in memory, loses it at close. For tests. Commits complete in the next turn.
 * Returns NULL when out of memory. */
struct quo_store *quo_store_memory_new(struct quo_mailbox *mailbox);

/* Takes every write and finds nothing but META. For measuring everything but storage. */
struct quo_store *quo_store_null_new(struct quo_mailbox *mailbox);

#endif
