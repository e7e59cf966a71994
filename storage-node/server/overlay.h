/* The keys about which the engine does not know everything yet: those with an accepted record that
 * is not on disk, and those whose record is being read from disk for a write. A hash table of
 * entries that live elsewhere.
 *
 * Threads: none of its own.
 */
#ifndef QUORATE_NODE_SERVER_OVERLAY_H
#define QUORATE_NODE_SERVER_OVERLAY_H

#include "quorate/base.h"
#include "quorate/status.h"

enum quo_overlay_state {
    QUO_OVERLAY_UNSYNCED, /* struct quo_unsynced */
    QUO_OVERLAY_LOADING,  /* struct quo_reading */
    QUO_OVERLAY_TOUCHED,  /* struct quo_touched, in a table of its own */
};

/* Embedded in its owner, which keeps it and its key in place while it is in the table. */
struct quo_overlay_entry {
    struct quo_overlay_entry *next;
    uint64_t hash;
    struct quo_slice key; /* the storage key */
    enum quo_overlay_state state;
};

struct quo_overlay {
    struct quo_overlay_entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
};

/* QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_overlay_init(struct quo_overlay *overlay);
/* Forgets the entries. NULL buckets are fine. */
void quo_overlay_free(struct quo_overlay *overlay);

/* Returns NULL when the key is not there. */
struct quo_overlay_entry *quo_overlay_find(const struct quo_overlay *overlay, struct quo_slice key);
/* Requires that the key is not there, and entry->key and state set. Cannot fail. */
void quo_overlay_insert(struct quo_overlay *overlay, struct quo_overlay_entry *entry);
/* Requires that the entry is there. */
void quo_overlay_remove(struct quo_overlay *overlay, struct quo_overlay_entry *entry);

/* A digest of any bytes: tells records of one version apart. */
uint64_t quo_overlay_digest(struct quo_slice bytes);

#endif
