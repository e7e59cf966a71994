/* The memory engine's knobs: how a test makes its storage fail. */
#ifndef QUORATE_NODE_STORE_MEMORY_H
#define QUORATE_NODE_STORE_MEMORY_H

#include "storage-node/engine/engine.h"

/* Zero means "never". A countdown of n strikes the n-th call from now, once. */
struct quo_store_faults {
    uint64_t commit_in;            /* this commit ends with commit_status, nothing applied */
    enum quo_status commit_status; /* QUO_DISK_FULL or QUO_IO_ERROR; after the latter every commit
                                      ends so */
    uint64_t get_in;               /* this get returns get_status */
    enum quo_status get_status;    /* QUO_WOULD_BLOCK, QUO_IO_ERROR or QUO_CORRUPT */
    bool get_would_block;          /* every get that finds something returns QUO_WOULD_BLOCK */
    uint64_t load_in;              /* this load ends with load_status */
    enum quo_status load_status;   /* QUO_IO_ERROR or QUO_CORRUPT */
};

/* Requires a store of quo_store_memory_new or quo_store_null_new. Borrowed; set it at any time in
 * the loop thread. */
struct quo_store_faults *quo_store_memory_faults(struct quo_store *store);

/* What was committed so far, for tests of grouping. */
uint64_t quo_store_memory_commits(const struct quo_store *store);

/* A store that keeps only the families whose bit (1 << family) is set in `kept`, and swallows what
 * is written to the others. Returns NULL when out of memory. */
struct quo_store *quo_store_memory_make(struct quo_mailbox *mailbox, unsigned kept);

#endif
