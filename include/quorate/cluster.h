/* The cluster map: nodes, namespaces, and which replicas hold which partition in which epoch.
 *
 * Pure. A map is built once and then read by any thread; it owns no memory outside itself.
 */
#ifndef QUORATE_CLUSTER_H
#define QUORATE_CLUSTER_H

#include "quorate/base.h"
#include "quorate/limits.h"
#include "quorate/status.h"

/* What the writes of a namespace may be. The replica enforces it. */
enum quo_kind {
    QUO_KIND_LWW = 1,   /* blind writes, strong to eventual */
    QUO_KIND_CAS = 2,   /* every write through consensus */
    QUO_KIND_MIXED = 3, /* both on one key */
    QUO_KIND_CRDT = 4,  /* values that merge */
};

/* Returns "lww", "cas", "mixed", "crdt"; "unknown" for anything else. */
const char *quo_kind_name(enum quo_kind kind);
/* Returns false, *ret untouched, for an unknown name. */
bool quo_kind_parse(struct quo_slice name, enum quo_kind *ret);

/* Consistency of one request, weakest first. */
enum quo_level {
    QUO_LEVEL_EVENTUAL = 1,
    QUO_LEVEL_SESSION = 2,
    QUO_LEVEL_BOUNDED = 3, /* of reads only */
    QUO_LEVEL_QUORUM = 4,
    QUO_LEVEL_STRONG = 5,
    QUO_LEVEL_ALL = 6,
};
#define QUO_LEVELS 7u /* of an array that they index */
const char *quo_level_name(enum quo_level level);
bool quo_level_parse(struct quo_slice name, enum quo_level *ret);

struct quo_namespace {
    uint32_t id;                 /* never reused, 1 to QUO_NAMESPACE_ID_MAX */
    char name[QUO_NAME_MAX + 1]; /* [a-z0-9_-], first a letter */
    enum quo_kind kind;
    uint8_t n;  /* replicas of a key: the first n of the partition's */
    uint8_t rs; /* strong quorums: rs + ws > n and 2 * ws > n */
    uint8_t ws;
    enum quo_level read_level; /* when a request names none */
    enum quo_level write_level;
    uint32_t timeout_ms;          /* likewise */
    uint32_t stale_ms;            /* likewise, at level bounded; 0: a request must say it */
    uint32_t value_max;           /* bytes */
    uint32_t retention_s;         /* how long an Idempotency-Key is remembered; not in kind lww */
    bool require_idempotency_key; /* kinds cas and mixed: writes without one are refused */
};

/* Checks the quorum arithmetic and every limit. Returns QUO_OK or QUO_INVALID; then *ret_why
 * (static storage) says what is wrong. */
enum quo_status quo_namespace_check(const struct quo_namespace *ns, const char **ret_why);

enum quo_entry_state {
    QUO_ENTRY_NORMAL = 1,
    QUO_ENTRY_JOINT = 2, /* moving from `replicas` to `next`: quorums of both */
};

/* Who holds a partition in one epoch. Immutable for a (partition, epoch): every request carries it,
 * so that a replica that missed a change learns it from the request. Replicas are named by the
 * random id in their data directory, so that one that lost its disk is not taken for the one that
 * was. */
struct quo_entry {
    uint32_t epoch; /* from 1 */
    uint8_t state;  /* enum quo_entry_state */
    uint8_t n;
    uint8_t n_next;                      /* 0 unless JOINT */
    uint64_t replicas[QUO_REPLICAS_MAX]; /* in order of preference */
    uint64_t next[QUO_REPLICAS_MAX];
};

#define QUO_ENTRY_SIZE_MAX (7u + 2u * QUO_REPLICAS_MAX * 8u)

size_t quo_entry_size(const struct quo_entry *entry);
/* Writes quo_entry_size bytes: be32 epoch, u8 state, u8 n, u8 n_next, be64 each. */
void quo_entry_encode(const struct quo_entry *entry, uint8_t *out);
/* Requires nothing of `bytes`. Returns QUO_OK or QUO_MALFORMED (sizes, state, epoch 0, a replica 0
 * or named twice in one list). */
enum quo_status quo_entry_decode(struct quo_slice bytes, struct quo_entry *ret);
bool quo_entry_equal(const struct quo_entry *a, const struct quo_entry *b);
bool quo_entry_has(const struct quo_entry *entry, uint64_t replica);

struct quo_node_info {
    uint64_t replica; /* the id in its data directory, never 0 */
    char name[QUO_NAME_MAX + 1];
    char host[QUO_HOST_MAX + 1];
    uint16_t port;
    uint32_t weight; /* 1 to QUO_WEIGHT_MAX; share of the partitions */
};

/* A proxy that others may hand a key's writes to. Proxies that are not in the map work as well;
 * nobody hands them anything. */
struct quo_proxy_info {
    char name[QUO_NAME_MAX + 1];
    char host[QUO_HOST_MAX + 1]; /* where its peers reach it */
    uint16_t port;
};

struct quo_map {
    uint64_t cluster;         /* random, drawn once at init, never 0 */
    uint32_t epoch;           /* from 1 */
    uint8_t replicas;         /* N of every partition */
    uint32_t partition_count; /* a power of two */
    uint32_t node_count;
    struct quo_node_info nodes[QUO_NODES_MAX];
    uint32_t proxy_count;
    struct quo_proxy_info proxies[QUO_PROXIES_MAX];
    uint32_t namespace_count;
    struct quo_namespace namespaces[QUO_NAMESPACES_MAX];
    struct quo_entry entries[QUO_PARTITIONS_MAX]; /* [partition_count], filled by quo_map_place */
};

/* Checks everything but `entries`: counts, ranges, unique ids and names, replicas <= nodes, each
 * namespace. Returns QUO_OK, or QUO_INVALID with a sentence in `why` (NUL-terminated and cut to
 * fit). */
enum quo_status quo_map_check(const struct quo_map *map, char *why, size_t why_size);

/* Fills `entries`: for each partition the `replicas` nodes with the highest weighted rendezvous
 * score -weight / ln(h), h in (0,1) from XXH3 of (replica, partition) (Thaler & Ravishankar 1998;
 * weights as in Schindelhauer & Schomaker 2005). Deterministic on every machine: the logarithm is
 * computed in integers. Adding a node moves only partitions to it. Requires a map that passes
 * quo_map_check. */
void quo_map_place(struct quo_map *map);

/* Of the nodes whose place in `candidates`, by index in the map, is true, those that a partition
 * prefers, in the order of quo_map_place: at most `max`, from 1 to QUO_REPLICAS_MAX. Writes their
 * indices; returns how many. */
uint8_t quo_map_prefer(const struct quo_map *map, uint32_t partition, const bool *candidates,
                       uint8_t max, uint16_t *ret);

/* The partition of a key: the top bits of XXH3_64(key, seed = namespace id). Of a record of a
 * collection: that of the collection's name (collection.h). */
uint16_t quo_map_partition(const struct quo_map *map, uint32_t namespace_id, struct quo_slice key);

/* Returns NULL when there is none. Borrowed from the map. */
const struct quo_namespace *quo_map_namespace(const struct quo_map *map, struct quo_slice name);
/* `id` may be that of a collection's records (collection.h); NULL unless the kind has such. */
const struct quo_namespace *quo_map_namespace_by_id(const struct quo_map *map, uint32_t id);

/* Returns the index of the node with this replica id, or -1. */
int quo_map_node(const struct quo_map *map, uint64_t replica);

#endif
