/* Port: the storage of one node. Calls come from the loop thread only; completions run in the loop
 * thread, never inside the call that asked for them.
 * Real: storage-node/engine/ (RocksDB, memory, null). Simulated: tests/sim/.
 *
 * The contract that the replica rules rest on: what `get` and `load` show is on disk. A batch
 * becomes visible as a whole and only after it is synced; batches complete in the order of their
 * commits; a batch committed without sync becomes visible when the engine has it, and may be lost
 * with every unsynced batch after it in a crash.
 */
#ifndef QUORATE_STORE_H
#define QUORATE_STORE_H

#include "quorate/base.h"
#include "quorate/status.h"

enum quo_family {
    QUO_FAMILY_DATA = 0,    /* records: be16 partition | be32 namespace | key */
    QUO_FAMILY_PROMISE = 1, /* promises above the record; same keys */
    QUO_FAMILY_HINTS = 2,
    QUO_FAMILY_META = 3, /* identity, epochs */
    QUO_FAMILY_COUNT = 4,
};

/* Bytes that stay valid until released, whatever is written meanwhile. */
struct quo_pinned {
    struct quo_slice bytes;
    void *handle; /* the engine's; NULL when nothing is held */
};

/* A read that goes to the disk. Owned by the caller, who keeps it and what `key` points to until
 * `done`. */
struct quo_load {
    enum quo_family family;
    struct quo_slice key;
    void (*done)(struct quo_load *load); /* in the loop thread */
    void *context;
    /* Filled by the engine: QUO_OK with `value` (release it), QUO_NOT_FOUND, QUO_IO_ERROR or
     * QUO_CORRUPT. */
    enum quo_status status;
    struct quo_pinned value;
    void *engine;            /* the engine's own */
    struct quo_range *range; /* likewise: the range that this is a load of */
};

/* Many entries at once, in key order, off the loop: what a load is for one. Owned by the caller,
 * who keeps it and what `lo` and `hi` point to until `done`. The entries are those of one moment
 * between the call and `done`. */
struct quo_range {
    /* family, done and context are the caller's. status: QUO_OK, also when there are none;
     * QUO_IO_ERROR, QUO_CORRUPT or QUO_NO_MEMORY. */
    struct quo_load load;
    struct quo_slice lo, hi; /* lo <= key < hi */
    uint32_t count_max;      /* entries, at least 1 */
    uint32_t bytes_max;      /* of keys and values; the first entry is taken whatever its size */
    uint32_t value_max;      /* bytes of each value; of longer ones the beginning */
    /* Filled by the engine; range_release gives them back. */
    bool more; /* it stopped at one of the maxima */
    uint32_t count;
    uint8_t *bytes; /* entries, for quo_range_next */
    size_t len, room;
};

struct quo_range_entry {
    struct quo_slice key;
    struct quo_slice value; /* at most value_max bytes of it */
    uint32_t value_len;     /* of the whole */
};

#define QUO_RANGE_ENTRY_HEADER                                                                     \
    12u /* be32 key length | be32 whole value | be32 bytes of it here                              \
         */

/* Reads the entry at *at, 0 at first, and moves on. Returns false at the end. Borrowed from the
 * range. */
static inline bool quo_range_next(const struct quo_range *range, size_t *at,
                                  struct quo_range_entry *ret)
{
    if (*at >= range->len)
        return false;
    const uint8_t *header = range->bytes + *at;
    uint32_t key_len = quo_get_u32(header), here = quo_get_u32(header + 8);
    ret->value_len = quo_get_u32(header + 4);
    ret->key = quo_slice(header + QUO_RANGE_ENTRY_HEADER, key_len);
    ret->value = quo_slice(header + QUO_RANGE_ENTRY_HEADER + key_len, here);
    *at += QUO_RANGE_ENTRY_HEADER + (size_t)key_len + here;
    return true;
}

/* A group of writes, applied as one. Made by `batch_new`, reused after its completion. */
struct quo_batch;

struct quo_commit {
    struct quo_batch *batch;
    bool sync;
    void (*done)(struct quo_commit *commit); /* in the loop thread */
    void *context;
    /* Filled by the engine: QUO_OK (visible, and on disk if `sync`); QUO_DISK_FULL (nothing
     * applied); QUO_IO_ERROR (unknown; the store takes no more writes). */
    enum quo_status status;
    void *engine;
};

struct quo_store;

struct quo_store_ops {
    /* Reads without blocking. QUO_OK with *ret (release it); QUO_NOT_FOUND; QUO_WOULD_BLOCK: use
     * `load`; QUO_IO_ERROR; QUO_CORRUPT. */
    enum quo_status (*get)(struct quo_store *s, enum quo_family family, struct quo_slice key,
                           struct quo_pinned *ret);
    void (*release)(struct quo_store *s, struct quo_pinned *pinned);
    /* Starts a read on the pool. Always completes, through load->done. */
    void (*load)(struct quo_store *s, struct quo_load *load);
    /* Starts a read of many entries on the pool. Always completes, through range->load.done. */
    void (*range)(struct quo_store *s, struct quo_range *range);
    /* Frees what a range holds; an empty one is fine. */
    void (*range_release)(struct quo_store *s, struct quo_range *range);

    /* Returns NULL when out of memory. Destroy with batch_free when not in a commit. */
    struct quo_batch *(*batch_new)(struct quo_store *s);
    void (*batch_free)(struct quo_store *s, struct quo_batch *batch);
    void (*batch_clear)(struct quo_store *s, struct quo_batch *batch);
    /* Copies key and value. */
    void (*batch_put)(struct quo_store *s, struct quo_batch *batch, enum quo_family family,
                      struct quo_slice key, struct quo_slice value);
    void (*batch_delete)(struct quo_store *s, struct quo_batch *batch, enum quo_family family,
                         struct quo_slice key);
    /* Starts the commit of a batch; it must not be touched until commit->done. At most one commit
     * at a time is under way. Always completes. */
    void (*commit)(struct quo_store *s, struct quo_commit *commit);

    /* Visits entries with lo <= key < hi in key order, blocking; for start-up and tools.
     * Stops when `visit` returns false. QUO_OK, QUO_IO_ERROR or QUO_CORRUPT. */
    enum quo_status (*scan)(
        struct quo_store *s, enum quo_family family, struct quo_slice lo, struct quo_slice hi,
        bool (*visit)(void *context, struct quo_slice key, struct quo_slice value), void *context);
    /* Waits for what is under way, syncs, closes and frees the store. */
    void (*close)(struct quo_store *s);
};

struct quo_store {
    const struct quo_store_ops *ops;
};

#endif
