/* The hash trees of a server: what it holds, partition by partition, for comparison with peers.
 *
 * A tree speaks of what is on disk, as QUERY does: it is changed when a group is there. A partition
 * has a tree for each number of replicas that its namespaces ask for, since a namespace of fewer
 * replicas is on the first ones only: two replicas compare the trees of what both hold.
 *
 * Trees are never made anew in steady state. A server that stops in order leaves them in the store;
 * the next one deletes their mark with its first group, so that after a crash there is none. Then,
 * and when memory ran out, a partition's trees are unknown until a scan in the background is
 * through (rebuild.c).
 */
#ifndef QUORATE_NODE_SERVER_TREES_H
#define QUORATE_NODE_SERVER_TREES_H

#include "storage-node/antientropy/tree.h"
#include "storage-node/server/overlay.h"
#include "storage-node/server/server.h"

#define QUO_TREE_PAGES_MAX 524288u /* pages of leaves on one node: 256 MiB */
#define QUO_TREE_SAVED_PAGES_MAX                                                                   \
    131072u                           /* over that they are not left in the store: 64 MiB          \
                                       */
#define QUO_REBUILD_ENTRIES_MAX 1024u /* read at once */
#define QUO_REBUILD_BYTES_MAX (256u * 1024)
#define QUO_REBUILD_PAUSE_US 2000u     /* between two reads */
#define QUO_REBUILD_RETRY_US 10000000u /* after one that failed */
#define QUO_REBUILD_TOUCHED_MAX 65536u /* keys written during one read */

enum quo_forest_state { QUO_FOREST_UNKNOWN, QUO_FOREST_SCANNED, QUO_FOREST_READY };

/* What the record of a key adds to its partition. */
struct quo_share {
    uint64_t hash;    /* to a tree; 0: there is no record */
    uint64_t gone_ms; /* of a record: quo_floors_gone_ms */
};
#define QUO_SHARE_NONE ((struct quo_share){.hash = 0, .gone_ms = UINT64_MAX})

/* The trees of one partition, and what else is known of all its records. */
struct quo_forest {
    enum quo_forest_state state;
    uint64_t gone;    /* records that are gone, or will be: deletes, and what expires */
    uint64_t gone_ms; /* none of them is gone before; UINT64_MAX: there are none */
    uint64_t merging; /* records of kind crdt */
    struct quo_tree *trees[QUO_REPLICAS_MAX]; /* by replicas of the namespace, less one; NULL: 0 */
};

/* A key that was written while a part of its partition was being read. */
struct quo_touched {
    struct quo_overlay_entry entry;
    struct quo_touched *next;
    uint64_t sequence;      /* of the group that wrote it; 0: that is not on disk yet */
    struct quo_share share; /* of what is on disk */
    bool met;
    uint8_t key[];
};

/* The scan under way. */
struct quo_rebuild {
    bool active;
    bool reading;       /* `range` is */
    bool lost;          /* of no use any more, wait for the range only */
    uint32_t partition; /* when not active: where to look for the next */
    size_t cursor_len;
    uint8_t
        cursor[QUO_STORAGE_KEY_MAX + 1]; /* the last key that the tree knows, and room for a 0 */
    uint8_t hi[QUO_STORAGE_KEY_MAX + 1]; /* past the partition */
    size_t hi_len;
    struct quo_range range;
    struct quo_overlay table; /* of what is in `touched` */
    struct quo_touched *touched;
    uint32_t touched_count;
};

struct quo_trees {
    struct quo_forest *partitions;
    uint32_t pages;
    bool wanted;      /* some partition may have to be scanned */
    uint64_t wake_us; /* not before */
    struct quo_rebuild rebuild;
    bool left; /* when draining: they were left in the store, or cannot be */
};

struct quo_group;

/* Writes the first key past a partition, at most QUO_STORAGE_KEY_MAX + 1 bytes; returns its length.
 */
size_t quo_partition_end(uint32_t partition, uint8_t *out);

/* Reads what the last life left. `fresh`: the store never held a record. QUO_OK, QUO_NO_MEMORY,
 * QUO_IO_ERROR or QUO_CORRUPT. */
enum quo_status quo_trees_open(struct quo_server *server, bool fresh);
/* NULL trees are fine. Requires that no range is under way, or never calls back. */
void quo_trees_free(struct quo_server *server);

/* The share of a record, of which the first QUO_RECORD_EXPIRY_HEAD bytes are enough; none for no
 * bytes. */
struct quo_share quo_trees_share(struct quo_slice key, struct quo_slice record);
/* The group is about to be committed. */
void quo_trees_commit(struct quo_group *group);
/* The group is on disk. */
void quo_trees_committed(struct quo_group *group);
/* Nobody knows what is on disk. */
void quo_trees_fail(struct quo_server *server);
/* Starts what is due: a part of a scan; when draining, leaving the trees in the store. */
void quo_trees_end_turn(struct quo_server *server);
bool quo_trees_idle(const struct quo_server *server);
uint64_t quo_trees_deadline(const struct quo_server *server);

/* A key has one share in place of another. On failure the partition is unknown. */
void quo_trees_change(struct quo_server *server, struct quo_slice key, struct quo_share before,
                      struct quo_share after);
/* Frees the trees of a partition. */
void quo_trees_clear(struct quo_trees *trees, struct quo_forest *forest);
/* A partition is given up, and scanned later. */
void quo_trees_lose(struct quo_server *server, uint32_t partition);
bool quo_trees_ready(const struct quo_server *server, uint32_t partition);
/* Adds up the trees of the partition for namespaces of at least `replicas` replicas: the root, the
 * branches, or the leaves of a branch. Requires that they are ready, and zeros in `out`. */
uint64_t quo_trees_root(const struct quo_server *server, uint32_t partition, uint8_t replicas);
void quo_trees_branches(const struct quo_server *server, uint32_t partition, uint8_t replicas,
                        uint64_t out[QUO_TREE_BRANCHES]);
void quo_trees_leaves(const struct quo_server *server, uint32_t partition, uint8_t replicas,
                      uint32_t branch, uint64_t out[QUO_TREE_LEAVES]);

/* rebuild.c */

void quo_rebuild_end_turn(struct quo_server *server);
/* A record of the partition being scanned is on disk. */
void quo_rebuild_touch(struct quo_server *server, struct quo_slice key, uint64_t sequence,
                       struct quo_share before, struct quo_share after);
/* Forgets what was touched. */
void quo_rebuild_forget(struct quo_rebuild *rebuild);

/* trees_left.c */

/* Takes what was left; *ret_found: the mark is there. As quo_trees_open. */
enum quo_status quo_trees_read(struct quo_server *server, bool *ret_found);
/* Gathers the trees and their mark, unless the mark still stands. */
void quo_trees_leave(struct quo_server *server);
/* The trees in the store are about to be those of the past. */
void quo_trees_unmark(struct quo_group *group);

#endif
