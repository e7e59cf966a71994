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
    uint32_t reader_threads; /* 1 to 64 */
};

/* RocksDB: one writer thread, one fsync per synced commit, readers for cache misses.
 * QUO_OK; QUO_CORRUPT: the log has a hole or files are damaged (the store must not be used);
 * QUO_IO_ERROR: cannot be opened, for instance because another process has it; why says it in a
 * sentence. */
enum quo_status quo_store_rocksdb_open(const struct quo_engine_options *options,
                                       struct quo_store **ret, char *why, size_t why_size);

/* Keeps everything in memory, loses it at close. For tests. Commits complete in the next turn.
 * Returns NULL when out of memory. */
struct quo_store *quo_store_memory_new(struct quo_mailbox *mailbox);

/* Takes every write and finds nothing but META. For measuring everything but storage. */
struct quo_store *quo_store_null_new(struct quo_mailbox *mailbox);

#endif
