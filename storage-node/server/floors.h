/* What a server does about its floors: it keeps them and does what FLOOR asks for (floors.c), runs
 * the collections of partitions that it is the first replica of (collector.c), and drops what is
 * cleared (sweep.c). api/PROTOCOLS.md, "Collecting deletes", says why that is safe.
 */
#ifndef QUORATE_NODE_SERVER_FLOORS_H
#define QUORATE_NODE_SERVER_FLOORS_H

#include "storage-node/gc/collect.h"
#include "storage-node/replica/replica.h"
#include "storage-node/server/server.h"

#define QUO_COLLECTS_MAX 4u /* collections under way at once on one node */
#define QUO_COLLECT_LOOK_MS 1000u
#define QUO_SWEEP_ENTRIES_MAX 256u /* read at once, and dropped in one go */
#define QUO_SWEEP_BYTES_MAX (256u * 1024)
#define QUO_SWEEP_PAUSE_US 2000u /* between two reads */

/* A CONFIRM that a partition was asked for. */
struct quo_confirming {
    struct quo_version floor;
    uint32_t epoch;
    uint64_t since_us; /* when that was for the first time: all had the gate */
};

/* A collection under way. */
struct quo_collecting {
    bool active;
    uint32_t partition;
    struct quo_entry entry;
    struct quo_collect machine;
    uint64_t ids[QUO_REPLICAS_MAX]; /* of the requests to each member; 0: none */
    uint64_t expires_us[QUO_REPLICAS_MAX];
};

/* The partition being swept. */
struct quo_sweep {
    bool active;
    bool ranging;   /* `range` is under way */
    bool abandoned; /* of no use any more, wait for the range only */
    uint32_t partition;
    uint64_t before_ms; /* of the partition, at the start */
    uint64_t gone_ms;   /* of what has to stay, the earliest that is gone */
    uint64_t page_ms;   /* of what is dropped now, likewise */
    uint32_t dropping;  /* not answered yet */
    uint64_t wake_us;
    uint8_t lo[QUO_STORAGE_KEY_MAX + 1]; /* the next page is of keys from here on */
    uint8_t hi[QUO_STORAGE_KEY_MAX + 1]; /* past the partition */
    size_t lo_len, hi_len;               /* lo_len 0: that was the last */
    struct quo_range range;
};

struct quo_collector {
    uint64_t grace_ms, every_us;
    bool alone;                        /* partitions have one replica: there are no peers */
    struct quo_confirming *confirming; /* by partition */
    uint64_t *collect_us;              /* by partition: no collection before */
    uint64_t *sweep_us;                /* likewise, no sweep */
    uint64_t wake_us;                  /* the next look for something to do */
    struct quo_collecting collecting[QUO_COLLECTS_MAX];
    struct quo_sweep sweep;
};

struct quo_group;
struct quo_request;

/* floors.c */

/* Reads what is stored; before that the namespaces are known, and the entries. As quo_server_new.
 */
enum quo_status quo_floors_open(struct quo_server *server, char *why, size_t why_size);
/* What the floors of the partition say, for a view of one of its keys. */
void quo_floors_show(const struct quo_server *server, uint32_t partition,
                     struct quo_replica_view *view);
/* Whether what is sealed under one entry is so under the next: the replicas are the same, and
 * nobody moves. */
bool quo_floors_outlive(const struct quo_entry *previous, const struct quo_entry *next);
/* The map's entry of the partition comes with this group. */
void quo_floors_start(struct quo_group *group, uint32_t partition);
/* The partition's entry changes in this group. */
void quo_floors_follow(struct quo_group *group, uint32_t partition,
                       const struct quo_entry *previous, const struct quo_entry *next);
void quo_handle_floor(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
/* A FLOOR of our own or of another node's, decoded. Answered by a reply. */
void quo_floors_ask(struct quo_server *server, struct quo_request *request,
                    const struct quo_msg_floor *asked);

/* collector.c */

/* QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_collector_open(struct quo_server *server,
                                   const struct quo_server_options *options);
/* NULL is fine. */
void quo_collector_free(struct quo_server *server);
/* Something may have become possible. NULL is fine. */
void quo_collector_wake(struct quo_server *server);
void quo_collector_end_turn(struct quo_server *server);
uint64_t quo_collector_deadline(const struct quo_server *server);
bool quo_collector_idle(const struct quo_server *server);
void quo_collector_on_frame(struct quo_server *server, const struct quo_frame *frame);
void quo_collector_on_reply(struct quo_server *server, uint64_t id,
                            const struct quo_msg_reply *reply);

/* sweep.c */

/* Whether the partition has something that can be dropped. */
bool quo_sweep_wanted(const struct quo_server *server, uint32_t partition);
/* Requires that none is under way. */
void quo_sweep_start(struct quo_server *server, uint32_t partition);
void quo_sweep_go_on(struct quo_server *server);
void quo_sweep_abandon(struct quo_server *server);
void quo_sweep_on_reply(struct quo_server *server, const struct quo_msg_reply *reply);
uint64_t quo_sweep_deadline(const struct quo_server *server);

#endif
