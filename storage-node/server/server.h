/* The driver of a storage node: takes frames, applies the replica rules, groups commits, answers.
 *
 * It speaks only to ports, so that the simulator runs exactly this code. One server, one loop, one
 * thread; the store's threads are behind its port.
 */
#ifndef QUORATE_NODE_SERVER_H
#define QUORATE_NODE_SERVER_H

#include <stdatomic.h>

#include "quorate/cluster.h"
#include "quorate/env.h"
#include "quorate/histogram.h"
#include "quorate/store.h"
#include "quorate/transport.h"
#include "quorate/version.h"

struct quo_server;

struct quo_server_options {
    struct quo_env *env;
    struct quo_transport *transport; /* the server sets its events */
    /* To the other nodes: its peers are the nodes of the map, by their index; the server sets its
     * events. NULL: none; then no hash trees are kept either. */
    struct quo_transport *mesh;
    /* Names a connection of the transport that a proxy made and that is up, another one each time
     * if there are several. Returns false if there is none. NULL: there never is. */
    bool (*any_proxy)(struct quo_transport *transport, uint64_t *ret_peer);
    struct quo_store *store;    /* borrowed; outlives the server */
    uint64_t replica;           /* our id */
    const struct quo_map *map;  /* to adopt at start; borrowed for the call */
    uint64_t memory_max;        /* bytes of writes not yet on disk; 0: QUO_NODE_MEMORY_MAX */
    uint32_t exchange_every_ms; /* 0: QUO_EXCHANGE_EVERY_MS */
    uint32_t exchange_pause_ms; /* 0: QUO_EXCHANGE_PAUSE_MS */
    uint64_t delete_grace_ms;   /* 0: QUO_DELETE_GRACE_MS */
    uint64_t collect_every_ms;  /* 0: QUO_COLLECT_EVERY_MS */
};

/* Reads the stored epochs, adopts the map's newer entries durably and starts to serve when that is
 * on disk; until then every request is answered BUSY. QUO_OK; QUO_NO_MEMORY; QUO_INVALID: the map
 * is older than what is stored, or names other replicas for a partition without a move (why says
 * which); QUO_IO_ERROR; QUO_CORRUPT. */
enum quo_status quo_server_new(const struct quo_server_options *options, struct quo_server **ret,
                               char *why, size_t why_size);

/* Whether requests are served: the map's entries are on disk. Once true, true for ever; when it
 * stays false while quo_server_writable is false, the storage failed. */
bool quo_server_serving(const struct quo_server *server);

/* Call at the end of every loop turn: starts the commit of what gathered, and background work. */
void quo_server_end_turn(struct quo_server *server);
/* The monotonic microseconds at which it wants a turn at the latest; UINT64_MAX: never. */
uint64_t quo_server_deadline(const struct quo_server *server);

/* Stops taking writes (they answer READ_ONLY) and background work. Reads go on. Then, in the turns
 * until it is idle, leaves its hash trees in the store. */
void quo_server_drain(struct quo_server *server);
/* Whether nothing is gathered, under way or being read. */
bool quo_server_idle(const struct quo_server *server);

/* Whether writes are taken: false after draining, a storage failure or while the disk is full. */
bool quo_server_writable(const struct quo_server *server);

/* Requires quo_server_idle; or, as in a simulated crash, that neither store nor transport will call
 * the server again: then also the batch of a commit under way is freed. NULL is fine. */
void quo_server_free(struct quo_server *server);

/* How long ago, in microseconds, the partition and peer that were found equal least lately were; of
 * those that this node compares. 0 when there are none. */
uint64_t quo_server_unequal_us(const struct quo_server *server);
/* How many such pairs of partition and peer were different when they were last compared. */
uint32_t quo_server_differing(const struct quo_server *server);

/* What is kept for another node, and what became of it since the start. */
struct quo_server_hints {
    uint64_t target;                                     /* replica id */
    uint64_t count, bytes;                               /* kept now */
    uint64_t oldest_ms;                                  /* wall clock; 0 without any */
    uint64_t kept, delivered, expired, useless, refused; /* so far */
};
/* Writes one for each node that hints were kept or refused for, QUO_NODES_MAX at most; returns how
 * many. */
size_t quo_server_hints(const struct quo_server *server,
                        struct quo_server_hints ret[QUO_NODES_MAX]);
/* Hints delivered in the last minute. */
uint64_t quo_server_hints_drained(const struct quo_server *server);

/* All that any replica holds of the partition at or below this version, all of them hold, or
 * something newer; and nothing at or below it will be accepted by any. */
struct quo_version quo_server_sealed(const struct quo_server *server, uint16_t partition);

/* Deletes, and values that expire, that this node still keeps: of partitions whose hash trees are
 * ready. 0 without a mesh. */
uint64_t quo_server_tombstones(const struct quo_server *server);

/* For checks: whether the hash trees of all partitions that have them are what a scan of the store
 * makes; *ret_ready is how many that are. Requires a mesh and quo_server_idle. Blocks. */
bool quo_server_check_trees(struct quo_server *server, uint32_t *ret_ready);

/* Written by the server's thread, read by any (relaxed). */
struct quo_server_stats {
    _Atomic uint64_t queries, stores, prepares, accepts; /* requests that came */
    _Atomic uint64_t hints;                              /* likewise */
    _Atomic uint64_t additions;                          /* SLOT requests that came */
    _Atomic uint64_t loads;                              /* records read off the loop */
    _Atomic uint64_t scans, scanned;                     /* SCANs that came; records they showed */
    _Atomic uint64_t commits;                            /* groups that reached the disk */
    _Atomic uint64_t committed, bytes; /* records in those, and bytes of all they hold */
    _Atomic uint64_t promises;         /* promises in those */
    _Atomic uint64_t superseded, nacks, wrong_epochs, not_replica, bad_kind, skews, busy, malformed,
        corrupt, wrong_cluster;            /* answers of that status */
    _Atomic uint64_t io_errors, disk_full; /* calls of the engine that failed so */
    _Atomic uint64_t adopted;              /* epochs taken from requests */
    _Atomic uint64_t dropped;              /* answers that found the peer's outbox full */
    _Atomic uint64_t trees_rebuilt;        /* partitions whose hash trees were made by a scan */
    /* Comparisons with peers, by their end. */
    _Atomic uint64_t exchanges_equal, exchanges_mended, exchanges_given_up;
    _Atomic uint64_t exchange_requests, exchange_bytes; /* sent; sent and received */
    _Atomic uint64_t differences;                       /* keys that were found to differ */
    _Atomic uint64_t mends_pushed, mends_pulled, mends_failed;
    _Atomic uint64_t mends_asked; /* of proxies; counted as failed, too */
    /* Collections of deletes that this node ran for a partition, by their end. */
    _Atomic uint64_t collections_done, collections_given_up;
    _Atomic uint64_t collected; /* deletes and expired values dropped here */
    struct quo_histogram commit_time;
};
const struct quo_server_stats *quo_server_stats(const struct quo_server *server);

#endif
