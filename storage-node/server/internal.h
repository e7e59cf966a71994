/* What the files of the server share.
 *
 * A write goes: handler -> rules against what is held (the overlay, else the engine) -> the group
 * that gathers, with its record and promise in the overlay -> commit -> everything that waited for
 * the group is answered. A PREP shows a record, so it first waits for one on its way to disk.
 *
 * Groups stand in a queue: the first may be under way in the engine, the last gathers. Every group
 * is synced, also when none of its writes asked for it: what the engine shows is then always on
 * disk, which is what QUERY promises, and a group's sync is shared by all its members and delays
 * none that did not ask.
 */
#ifndef QUORATE_NODE_SERVER_INTERNAL_H
#define QUORATE_NODE_SERVER_INTERNAL_H

#include "quorate/record.h"
#include "quorate/testpoints.h"
#include "storage-node/replica/replica.h"
#include "storage-node/replica/slot.h"
#include "storage-node/server/arena.h"
#include "storage-node/server/exchanges.h"
#include "storage-node/server/floors.h"
#include "storage-node/server/hints.h"
#include "storage-node/server/mesh.h"
#include "storage-node/server/overlay.h"
#include "storage-node/server/server.h"
#include "storage-node/server/trees.h"

#define QUO_PROBE_PAUSE_US 1000000u /* between attempts to write to a full disk */

/* A data request: who asked, under which entry and kind, for what. The slices are borrowed until
 * the handler returns; what waits for longer is a copy (quo_request_park). */
struct quo_request {
    uint64_t peer;
    uint64_t id;
    enum quo_replica_op op;
    uint16_t partition;
    uint8_t kind;
    uint32_t ns_id;
    struct quo_entry entry;
    const struct quo_namespace *ns; /* our own; set by quo_request_admit */
    struct quo_slice key;           /* the storage key */
    uint32_t value_max;             /* QUERY, PREP: longer records are left out of the answer */
    uint16_t count_max;             /* SCAN, which is a QUERY of many keys: of so many; else 0 */
    bool sync;                      /* STORE: answered when on disk, as PREP and ACC always are */
    bool copy;                      /* STORE: of what some replica holds */
    struct quo_version version;     /* STORE, ACC, DROP: of the record; PREP: the ballot */
    struct quo_version next;        /* ACC */
    struct quo_replica_addition addition; /* SLOT; clock and retention are ours to fill in */
    struct quo_slice record; /* STORE, ACC; SCAN: the user's key after which it begins */
};

/* A request that waits, with a copy of its bytes. Freed when it is run or refused. */
struct quo_parked {
    struct quo_parked *next;
    size_t memory;
    struct quo_request request;
    uint8_t bytes[]; /* storage key, record */
};

/* A SCAN being read off the loop. */
struct quo_scanning;

/* An answer that hangs on a group. */
struct quo_waiter {
    uint64_t peer;
    uint64_t id;
    enum quo_status status;
    uint8_t flags; /* of the reply */
    struct quo_replica_view view;
    struct quo_pinned record; /* shown with it; empty: none */
};

/* What was accepted for a key and is not on disk: a record, a promise or both. Lives in its group's
 * arena.
 *
 * A promise is given only over a record that is on disk (PREP waits for it), and a record takes the
 * promise along. So the record of the view is brought by this very group, or is on disk. */
struct quo_unsynced {
    struct quo_overlay_entry entry;
    struct quo_unsynced *next_in_group;
    struct quo_group *group;
    bool newest;                    /* in the overlay: no later group has anything of the key */
    bool brings_record;             /* or drops it; else only the promise is not on disk */
    struct quo_replica_view view;   /* with both */
    uint64_t digest;                /* of the record */
    struct quo_share before, after; /* of the key in its partition; nothing without trees */
    struct quo_slice record; /* of a slot, for the next addition; of others only kept for a test
                                that shows what must not be shown */
};

/* An epoch taken from a request. Lives in its group's arena. */
struct quo_adoption {
    struct quo_adoption *next;
    uint16_t partition;
    struct quo_entry previous; /* what was in force */
};

/* One group commit. */
struct quo_group {
    struct quo_commit commit;
    struct quo_server *server;
    struct quo_group *next;
    uint64_t sequence; /* groups complete in this order */
    uint32_t puts;     /* in the batch, deletions too */
    uint32_t records;  /* of those, records of keys */
    uint32_t promises; /* and promises */
    size_t bytes;      /* of keys and values in the batch */
    size_t memory;     /* accounted to server->memory */
    bool starts;       /* adopts the map: the server serves when it completes */
    bool marks;        /* leaves the trees in the store: the last group of a server */
    uint64_t started_us;
    struct quo_arena arena;
    struct quo_unsynced *unsynced;
    struct quo_adoption *adoptions;
    struct quo_hint_note *hints;
    struct quo_parked *held, **held_end; /* run when the group is on disk */
    struct quo_waiter *waiters;
    size_t waiter_count, waiter_capacity;
};

/* What the engine holds for a key. */
struct quo_found {
    struct quo_pinned record; /* empty when absent, or taken */
    bool taken;
    struct quo_replica_view view;
};

/* What is held for the key of a write. Either `older`, the overlay's entry, or `found`, what the
 * engine holds when the overlay has nothing. */
struct quo_held {
    const struct quo_replica_view *view;
    struct quo_unsynced *older;
    struct quo_found *found;
};

/* A key being read off the loop, for one QUERY or for the writes of the key. Reused by free-list.
 */
struct quo_reading {
    struct quo_server *server;
    struct quo_reading *previous, *next; /* in server->readings, or the free-list */
    struct quo_load promise, record;     /* one after the other */
    bool promises;                       /* the key may have one */
    /* Takes `found` over when status is QUO_OK. */
    void (*done)(struct quo_reading *reading, enum quo_status status, struct quo_found *found);
    struct quo_request request;     /* of a QUERY */
    struct quo_overlay_entry entry; /* for writes */
    struct quo_parked *waiting, **waiting_end;
    size_t key_len;
    uint8_t key[QUO_STORAGE_KEY_MAX];
};

struct quo_partition {
    struct quo_entry entry;     /* in force */
    struct quo_group *adopting; /* the group that makes it durable; NULL when it is */
    bool unstored;              /* the map's, still to be adopted at start */
    bool moved;                 /* likewise, and what was sealed before is so no more */
    struct quo_floors floors;   /* in force */
};

struct quo_server {
    struct quo_env *env;
    struct quo_transport *transport;
    bool (*any_proxy)(struct quo_transport *transport, uint64_t *ret_peer); /* or NULL */
    struct quo_transport *mesh; /* NULL: there is none */
    uint64_t last_mesh_id;
    struct quo_store *store;
    uint64_t replica;
    uint64_t memory_max;

    uint32_t partition_count;
    struct quo_partition *partitions;
    uint32_t namespace_count;
    struct quo_namespace *namespaces; /* by id */
    uint64_t namespaces_digest;       /* of their ids and numbers of replicas */

    struct quo_trees *trees;         /* NULL: none are kept */
    struct quo_exchanges *exchanges; /* NULL: there is no mesh */
    struct quo_hints *hints;         /* likewise */
    struct quo_collector *collector; /* likewise */
    struct quo_listing *listings;    /* under way */
    uint32_t listing_count;
    struct quo_digesting *digesting; /* NULL: none is under way */
    struct quo_scanning *scans;      /* under way */
    uint32_t scan_count;
    struct quo_scanning *scans_waiting, *scan_last_waiting; /* for their turn, oldest first */
    uint32_t scan_waiting_count;
    struct quo_overlay overlay;
    struct quo_group *groups, *last_group; /* oldest first */
    struct quo_group *spare_groups;
    uint32_t spare_group_count;
    bool committing; /* the first group is under way */
    uint64_t last_sequence;
    struct quo_reading *readings; /* under way */
    struct quo_reading *spare_readings;
    uint32_t reading_count;
    uint64_t memory; /* bytes of writes, of what waits and of what their answers show */

    bool fresh;  /* no life before this one served */
    bool marked; /* the store may hold the mark of trees left there */
    bool serving, draining;
    bool failed;          /* the storage is lost for writing, for ever */
    bool full;            /* the disk was full at the last commit */
    uint64_t probe_at_us; /* when full: the disk may be tried again */
    struct quo_server_stats stats;
};

/* request.c */

/* Returns NULL when there is none. */
const struct quo_namespace *quo_request_namespace(const struct quo_server *server, uint32_t id);
/* Completes what all data requests share: decodes the entry that the request carries, and makes the
 * storage key of the user's key in `out`, of QUO_STORAGE_KEY_MAX bytes. QUO_OK or QUO_MALFORMED. */
enum quo_status quo_request_init(const struct quo_server *server, struct quo_request *request,
                                 struct quo_slice entry, struct quo_slice key, uint8_t *out);
/* Rules 0 and 1, adopting a newer epoch. Returns false when the request was refused and answered.
 * Otherwise request->ns is set and the rule of its message may be applied. */
bool quo_request_admit(struct quo_server *server, struct quo_request *request);
/* Whether `need` more bytes may be taken for writing: QUO_OK, QUO_READ_ONLY, QUO_DISK_FULL or
 * QUO_BUSY. On a full disk QUO_OK once a pause is over and until a commit tries the disk again. */
enum quo_status quo_request_may_write(struct quo_server *server, size_t need);
/* Returns a copy that can wait; NULL when out of memory. */
struct quo_parked *quo_request_park(const struct quo_request *request);
/* A request whose wait is over starts again. */
void quo_request_resume(struct quo_server *server, const struct quo_request *request);

/* query.c, store.c, prep.c, acc.c: one handler per message; the body is borrowed until the return.
 */
void quo_handle_query(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
void quo_handle_store(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
void quo_handle_prep(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
void quo_handle_acc(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
void quo_query_run(struct quo_server *server, const struct quo_request *request);

/* slot.c */
void quo_handle_slot(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
/* As quo_apply, of a SLOT. */
void quo_slot_apply(struct quo_server *server, const struct quo_request *request,
                    const struct quo_held *held);

/* scan.c */
void quo_handle_scan(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
void quo_scan_run(struct quo_server *server, const struct quo_request *request);
/* Frees those whose range never calls back. */
void quo_scannings_free(struct quo_server *server);

/* digest.c */
void quo_handle_digest(struct quo_server *server, uint64_t peer, uint64_t id,
                       struct quo_slice body);
/* Requires that no range is under way, or never calls back. */
void quo_digest_free(struct quo_server *server);

/* debt.c */
void quo_handle_debt(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);

/* write.c: what STORE, PREP and ACC have in common. */

/* Rules 0 to 2 and the limits, then the rule of the message, now or when what is held is known.
 * `value_len`: bytes of the value that the request brings. */
void quo_write_start(struct quo_server *server, struct quo_request *request, size_t value_len);
/* Starts again; the limits that it passed when it came do not stop it now. */
void quo_write_resume(struct quo_server *server, const struct quo_request *request);

/* apply.c */

/* Judges an admitted STORE, PREP or ACC by what is held, carries the verdict out and answers, or
 * has a PREP wait for a group. May take the pin of held->found over; then the overlay has the key.
 */
void quo_apply(struct quo_server *server, const struct quo_request *request,
               const struct quo_held *held);
/* Puts what the verdict changes into the group that gathers and into the overlay. Returns the new
 * entry of the overlay; NULL when out of memory, with nothing changed. */
struct quo_unsynced *quo_apply_append(struct quo_server *server, const struct quo_request *request,
                                      const struct quo_replica_verdict *verdict,
                                      const struct quo_held *held);

/* reply.c */

/* Answers with a status and no more. */
void quo_reply_status(struct quo_server *server, uint64_t peer, uint64_t id,
                      enum quo_status status);
void quo_reply_waiter(struct quo_server *server, const struct quo_waiter *answer);
void quo_reply_wrong_epoch(struct quo_server *server, const struct quo_request *request,
                           const struct quo_entry *mine);
/* `record` is empty unless the flags say that it is there. */
void quo_reply_record(struct quo_server *server, const struct quo_request *request, uint8_t flags,
                      const struct quo_replica_view *view, struct quo_slice record);
/* Answers a request that passed the fence with a status and no more, but not before the epoch of
 * its partition is on disk. */
void quo_reply_refusal(struct quo_server *server, const struct quo_request *request,
                       enum quo_status status);
/* Likewise with what is held; completes the answer and takes its pin over. `holder` is the group
 * that brings what the answer says to disk, NULL when it is there; with `wait` the answer hangs on
 * the holder too. */
void quo_reply_after(struct quo_server *server, const struct quo_request *request,
                     struct quo_waiter *answer, struct quo_group *holder, bool wait);

/* group.c */

/* Returns the group that gathers, with room for one write of `bytes` and one more waiter; NULL when
 * out of memory. */
struct quo_group *quo_group_gather(struct quo_server *server, size_t bytes);
/* Adds an answer; takes its pin over. Returns false when out of memory. */
bool quo_group_wait(struct quo_group *group, const struct quo_waiter *waiter);
/* Adds a request to be run again when the group is on disk. Returns false when out of memory. */
bool quo_group_hold(struct quo_group *group, const struct quo_request *request);
void quo_group_put(struct quo_group *group, enum quo_family family, struct quo_slice key,
                   struct quo_slice value);
void quo_group_delete(struct quo_group *group, enum quo_family family, struct quo_slice key);
/* Accounts memory to the group until it completes. */
void quo_group_account(struct quo_group *group, size_t bytes);
/* Starts the commit of the first group if it holds anything and none is under way. */
void quo_group_commit(struct quo_server *server);
/* Frees all groups and the spare ones. */
void quo_group_free_all(struct quo_server *server);

/* reading.c */

/* Reads without blocking: QUO_OK with *ret (release it), QUO_WOULD_BLOCK, QUO_IO_ERROR or
 * QUO_CORRUPT. `promises`: the key may have a promise. */
enum quo_status quo_read_now(struct quo_server *server, struct quo_slice key, bool promises,
                             struct quo_found *ret);
void quo_found_release(struct quo_server *server, struct quo_found *found);
/* Hands the record to the caller, who releases it. From here on it is taken: it says nothing to
 * others that wait for the same read. */
struct quo_pinned quo_found_take(struct quo_found *found);
/* Releases what is held, if anything. */
void quo_pinned_release(struct quo_server *server, struct quo_pinned *pinned);
/* Makes a reading with a copy of the key; NULL at the limit or when out of memory. */
struct quo_reading *quo_reading_new(struct quo_server *server, struct quo_slice key, bool promises);
/* Starts it. `done` is set; it runs once, and the reading may be taken back in it. */
void quo_reading_start(struct quo_reading *reading);
void quo_reading_recycle(struct quo_reading *reading);
void quo_reading_free_all(struct quo_server *server);

/* epochs.c */

/* Reads the stored entries and marks what the map has newer. As quo_server_new. */
enum quo_status quo_epochs_open(struct quo_server *server, const struct quo_map *map, char *why,
                                size_t why_size);
/* Gathers the marked entries into a group, or serves at once when there are none.
 * QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_epochs_start(struct quo_server *server);
/* Puts a request's newer entry in force and into the gathering group. QUO_OK, or why it cannot be:
 * QUO_READ_ONLY, QUO_DISK_FULL, QUO_BUSY. */
enum quo_status quo_epochs_adopt(struct quo_server *server, uint16_t partition,
                                 const struct quo_entry *entry);
/* The group is on disk. */
void quo_epochs_settle(struct quo_group *group);
/* The group is lost: what was in force before is again. */
void quo_epochs_revert(struct quo_group *group);

#endif
