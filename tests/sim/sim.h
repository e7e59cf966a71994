/* The simulated world: one thread, virtual time, one seed.
 *
 * The code under test is the real one: proxy/service with proxy/coordinator, storage-node/server
 * with storage-node/replica. The world gives them their ports (clock and chance, transport, store),
 * clients that make operations, and faults. Everything that happens is an event in one heap,
 * ordered by time and then by chance; nothing depends on addresses, the machine or the real clock.
 *
 *   process.c  starts, stops, freezes proxies and nodes; their env port; turns
 *   network.c  connections and packets; the transport port of both ends
 *   seats.c    which proxies hand writes to which
 *   disk.c     what is visible and what is durable; the store port
 *   keys.c     keys and values
 *   choose.c   what clients do
 *   client.c   requests and their answers
 *   again.c    tried again, resolved: one operation all the same
 *   sessions.c what clients have seen, and their guarantees
 *   swarm.c    what a seed is like
 *   nemesis.c  what goes wrong in it
 *   move.c     changes of the map
 *   finish.c   heal, then demand progress
 *   converge.c and that replicas become equal
 *   oracle.c   judges frames and disks as they happen
 *   claims.c   and answers
 *   lineage.c  judges what consensus has decided
 *   verdict.c  judges the history at the end
 *   run.c      one seed
 *   main.c     many
 */
#ifndef QUORATE_SIM_H
#define QUORATE_SIM_H

#include <stdarg.h>
#include <stdio.h>

#include "../support/checker/history.h"
#include "../support/checker/linear.h"
#include "proxy/service/service.h"
#include "proxy/session/token.h"
#include "quorate/record.h"
#include "quorate/testpoints.h"
#include "rng.h"
#include "storage-node/server/server.h"

#define SIM_NODES_MAX 7u
#define SIM_PROXIES_MAX 5u /* the last is the one that moves partitions */
#define SIM_MOVER (SIM_PROXIES_MAX - 1)
#define SIM_PROCESSES_MAX (SIM_NODES_MAX + SIM_PROXIES_MAX)
#define SIM_KEYS_MAX 7u
#define SIM_KEYS_USER 4u   /* keys that clients write */
#define SIM_KEY_COUNTER 4u /* the first of those that clients add to */
#define SIM_COUNTERS_MAX 2u
#define SIM_KEY_FORBIDDEN 6u /* a key of which proxies believe that it takes blind writes */
#define SIM_PARTITIONS_MAX 4u
#define SIM_CLIENTS_MAX 8u
#define SIM_OPS_MAX 1200u
#define SIM_CONNS_MAX 8192u
#define SIM_MAPS 3u
#define SIM_NEVER UINT64_MAX

#define SIM_MS 1000u /* virtual time is in microseconds */
#define SIM_S (1000u * SIM_MS)

/* How a seed ended. The values are exit codes. */
enum sim_class { SIM_HELD = 0, SIM_CRASH = 127, SIM_LIVENESS = 128, SIM_CONSISTENCY = 129 };

/* ---- events ---- */

enum sim_event_kind {
    SIM_EVENT_PACKET,  /* `packet` reaches `process` */
    SIM_EVENT_TIMER,   /* the driver of `process` wants a turn */
    SIM_EVENT_DISK,    /* a commit or load of node `process` completes */
    SIM_EVENT_UP,      /* `process` learns that connection `arg` is there */
    SIM_EVENT_DOWN,    /* ... or gone */
    SIM_EVENT_CONNECT, /* `process` tries to reach process `arg` */
    SIM_EVENT_SUBMIT,  /* operation `arg` reaches proxy `process` */
    SIM_EVENT_ABANDON, /* the client of operation `arg` hangs up */
    SIM_EVENT_CLIENT,  /* client `arg` makes its next operation */
    SIM_EVENT_AGAIN,   /* operation `arg` is tried again */
    SIM_EVENT_RESOLVE, /* somebody wants to know what became of operation `arg` */
    SIM_EVENT_START,   /* `process` starts */
    SIM_EVENT_KILL,    /* proxy `process` dies, and with it some of what it has just sent */
    SIM_EVENT_THAW,    /* `process` goes on */
    SIM_EVENT_FAULT,   /* the nemesis acts */
    SIM_EVENT_HEAL,    /* fault `arg` ends */
    SIM_EVENT_MOVE,    /* the next step of a change of the map */
};

struct sim_packet;

struct sim_event {
    uint64_t time;
    uint64_t tie; /* random, so that events of one instant come in any order */
    enum sim_event_kind kind;
    uint32_t process;
    uint32_t incarnation; /* of the process; events of an earlier life are dropped */
    uint64_t arg;
    void *pointer; /* packet, load or commit */
};

struct sim_heap {
    struct sim_event *events;
    size_t count, room;
};

/* ---- disks ---- */

/* Immutable bytes that several owners share. */
struct sim_blob {
    uint32_t refs;
    uint32_t len;
    uint8_t bytes[];
};

struct sim_write {
    enum quo_family family;
    struct sim_blob *key;
    struct sim_blob *value; /* NULL: delete */
};

struct sim_writes {
    struct sim_write *list;
    uint32_t count, room;
};

struct sim_cell {
    enum quo_family family;
    uint32_t index; /* of our keys; SIM_KEYS_MAX: none of them */
    struct sim_blob *key;
    struct sim_blob *visible; /* NULL: not there */
    struct sim_blob *durable;
};

#define SIM_CELLS_MAX 512u
#define SIM_UNSYNCED_MAX 64u
#define SIM_LOADS_MAX 1024u /* a healed partition lets hundreds of queries in at once */

struct sim_disk {
    struct quo_store store;
    uint32_t node;
    struct sim_cell cells[SIM_CELLS_MAX];
    uint32_t cell_count;
    struct sim_writes
        unsynced[SIM_UNSYNCED_MAX]; /* applied, lost in a crash; a suffix of the log */
    uint32_t unsynced_count;
    struct quo_commit *commit; /* under way */
    struct quo_load *loads[SIM_LOADS_MAX];
    struct sim_blob *load_values[SIM_LOADS_MAX]; /* what a load that looked early saw */
    bool load_early[SIM_LOADS_MAX];
    uint32_t load_count;
    uint32_t touched, replaced; /* keys whose promise or record, or record, this commit changes */
    bool broken;                /* a commit failed: takes no more writes */
    bool full, slow, lying;
    uint32_t error_permille;                  /* of commits, gets and loads that fail */
    bool wiped;                               /* lost for good */
    struct quo_version dropped[SIM_KEYS_MAX]; /* the last delete that was collected */
};

/* ---- network ---- */

struct sim_frame {
    struct sim_frame *next;
    uint64_t id;
    uint32_t len;
    uint8_t type;
    uint8_t body[];
};

/* To the end that accepted the connection, mostly a node; to the one that made it, mostly a proxy.
 */
enum { SIM_TO_NODE = 0, SIM_TO_PROXY = 1 };

struct sim_packet {
    struct sim_packet *next;
    uint64_t conn;
    uint32_t direction;
    struct sim_frame *frames;
};

/* One connection. Either side may believe in it longer than the other. */
struct sim_conn {
    uint32_t from;               /* index of the process that made it */
    uint32_t to;                 /* ... and of the one that accepted it */
    uint32_t from_life, to_life; /* incarnations at both ends */
    bool cut;                    /* what is sent from now on goes nowhere */
    bool emptied;                /* what was under way is lost as well */
    /* By the receiver of a direction: [SIM_TO_NODE] is the node's side. */
    bool open[2], closed[2];
    uint64_t last[2]; /* when the last packet of each direction arrives: a stream keeps its order */
    struct sim_packet *stalled[2]; /* held back by a partition, oldest first */
    struct sim_packet **stalled_end[2];
};

struct sim_outbox {
    uint64_t conn;
    struct sim_frame *frames;
    struct sim_frame **end;
};

#define SIM_OUTBOXES_MAX 64u

/* ---- processes ---- */

struct sim_process {
    struct quo_env env;
    struct quo_transport transport;
    struct quo_transport seats; /* of a proxy: the others */
    struct quo_transport mesh;  /* of a node: the others */
    uint32_t index;             /* nodes first, then proxies */
    bool is_node;
    uint32_t number; /* among its kind */
    bool alive;
    bool drained; /* told to take no more writes */
    bool dying;   /* being taken apart: nothing it does leaves it */
    uint32_t incarnation;
    struct sim_rng rng;
    uint64_t mono_offset_us;
    int64_t wall_offset_ms;
    int64_t drift_ppm;
    bool frozen;
    uint64_t thawed_at;
    struct sim_event *deferred; /* what came while it was frozen */
    size_t deferred_count, deferred_room;
    uint64_t timer_at, timer_for; /* when it rings, and the deadline it was set for */
    uint32_t timer_spins;
    struct sim_outbox outboxes[SIM_OUTBOXES_MAX];
    uint32_t outbox_count;
    struct sim_frame *reserved; /* between reserve and seal */
    uint64_t reserved_peer;
    struct quo_service *service;
    struct quo_server *server;
    struct sim_disk *disk;
    struct quo_store *store; /* of a node that runs: its disk, or what remembers records of it */
    uint32_t map;            /* index of the map it was started with */
};

/* A request a node has received and not answered. */
struct sim_request {
    uint64_t conn, id;
    uint8_t type, flags;
    uint32_t key; /* index; SIM_KEYS_MAX: none of ours */
    uint32_t partition, epoch;
    struct quo_version version; /* of the record, or the ballot of a PREP */
    struct quo_version next;    /* of an ACC */
    uint64_t wall_ms;           /* the node's clock when it came; the latest of duplicates */
};

#define SIM_REQUESTS_MAX 2048u

/* ---- clients ---- */

/* What one answer says of an operation. */
struct sim_told {
    enum quo_history_outcome outcome;
    bool is_decided; /* a write has taken effect, failed or been fenced, once and for all */
    bool is_fenced;
    bool is_lost;   /* nobody can tell any more */
    bool has_value; /* an add: what it came to */
    int64_t value;
    bool saw;
    int64_t seen;
    struct quo_version version;
};

/* A request. A client that gets no answer, or one that does not say what became of its write, may
 * send it again under the same key, and somebody may resolve it: requests of one operation, whose
 * history is that of the first. */
struct sim_op {
    struct quo_history_op seen; /* of the first request: what the client saw of the operation */
    uint32_t of;                /* id of the first request */
    uint32_t client;
    uint32_t proxy;
    uint32_t proxy_life;
    enum quo_request_type type;
    struct quo_consistency consistency;
    uint32_t value_len;
    uint64_t call;  /* stamp */
    uint64_t limit; /* virtual time by which an answer is due */
    quo_ticket ticket;
    bool submitted, answered, lost;
    bool is_consensus;
    enum quo_verdict verdict;
    uint32_t answer_epoch;
    struct sim_told told;
    struct quo_version tag;     /* of the STOREs its proxy sent last */
    struct quo_version settled; /* on a write quorum when the request was called */

    /* Of the first request. */
    enum quo_condition_type condition;
    struct quo_version expected; /* the entity tag that a cas names */
    bool is_weak;                /* from a read that may show what was never chosen */
    bool is_keyed;
    bool is_named; /* `opid` and `since` are known */
    struct quo_opid opid;
    uint64_t since;
    uint32_t tries, running;
    uint64_t begun; /* virtual time */
    bool is_open;   /* some request of it may take effect yet, or may have */
    bool is_decided, is_fenced;
};

/* A value that somebody saw or wrote, with its entity tag. */
struct sim_sight {
    int64_t value;
    struct quo_version version;
    bool is_weak; /* perhaps it was never chosen under this tag, and is there under another */
};

#define SIM_SIGHTS 4u

/* ---- what a seed is like ---- */

struct sim_swarm {
    enum quo_kind kind;
    uint32_t nodes, proxies, partitions, keys, clients, ops;
    uint32_t counters;
    uint8_t n, rs, ws;
    uint32_t retention_s;
    /* network */
    uint32_t latency_min_us, latency_max_us, tail_permille, tail_factor;
    bool datagrams; /* frames travel alone and may be lost, doubled, reordered */
    bool batch;     /* all frames of a turn in one packet */
    uint32_t loss_permille, double_permille, cut_permille, busy_permille;
    /* disks */
    uint32_t sync_min_us, sync_max_us, miss_permille, load_max_us;
    /* clients */
    uint32_t timeout_min_ms, timeout_max_ms, think_max_us, abandon_permille;
    uint32_t large_permille, numeric_permille, forbidden_permille;
    uint32_t weight_get, weight_put, weight_delete, weight_cas, weight_add;
    uint32_t bound_permille; /* of additions, with bounds that they often meet */
    uint32_t keyed_permille, again_permille, resolve_permille;
    bool seats;                        /* proxies reach each other */
    uint32_t loops;                    /* processes that are loops of one proxy to the others */
    uint32_t weight_level[QUO_LEVELS]; /* by enum quo_level */
    uint32_t hedge_percent;
    uint32_t ops_max;     /* of a proxy at once */
    uint32_t memory_max;  /* of a node, for writes not yet on disk; 0: plenty */
    uint32_t cache_bytes; /* of a node, for records it remembers; 0: none */
    uint32_t timer_slop_us;
    /* faults */
    uint32_t fault_gap_us; /* mean time between faults; 0: none */
    uint32_t weight_fault[16];
    uint32_t skew_ms;       /* first offsets of wall clocks */
    uint32_t late_permille; /* of proxies, whose clocks are an hour late at first */
    uint32_t drift_ppm;
    bool node_clocks; /* the clocks that jump are the nodes'; else the proxies' */
    bool stale_maps, move;
    uint32_t sessions; /* of the clients, so many have one */
    /* between nodes */
    bool mesh; /* they compare what they hold, and mend it */
    uint32_t exchange_every_ms, exchange_pause_ms;
    uint32_t grace_ms, collect_every_ms; /* of deletes; 0: as they are made */
};

/* ---- the world ---- */

struct sim_violation {
    enum sim_class class;
    char text[512];
    uint32_t key; /* whose history shows it; SIM_KEYS_MAX: none */
};

/* A version of a key, or a ballot. */
struct sim_known_version {
    uint64_t life; /* of the world that knows it */
    bool accepted; /* some node took it */
    bool hinted;   /* some node was asked to keep it for another one */
    bool chosen;   /* enough of them */
    uint8_t key;
    uint8_t holders;         /* nodes on whose disk it is or was */
    uint32_t prepared_epoch; /* of its PREP; 0: none was sent */
    struct quo_version version;
    uint64_t bytes_hash;  /* 0: no record of it was seen */
    uint64_t prepared_by; /* the operation at its proxy */
};

/* What a chosen record says of an operation. */
struct sim_effect {
    uint64_t life;
    uint32_t key;
    struct quo_opid opid;
    struct quo_version at;
    enum quo_change_code code;
};

#define SIM_EFFECTS_MAX 2048u

struct sim_fault {
    uint32_t kind, a, b;
};

#define SIM_FAULTS_MAX 256u
#define SIM_VERSIONS_MAX 8192u

struct sim {
    uint64_t seed;
    uint64_t life; /* worlds so far in this program */
    struct sim_rng rng;
    struct sim_swarm swarm;
    uint64_t now;
    uint64_t stamp; /* strictly increasing: orders calls and returns */
    struct sim_heap heap;
    uint64_t trace_hash;
    FILE *trace; /* NULL: silent */
    bool manual; /* packets wait for a script */
    struct sim_packet *held;
    struct sim_packet **held_end;

    struct quo_map *maps[SIM_MAPS];      /* as proxies know them */
    struct quo_map *node_maps[SIM_MAPS]; /* as they are */
    uint32_t map_count;                  /* published so far */
    uint32_t mover_op[SIM_KEYS_MAX];     /* the mover's last read of each key */
    uint32_t mover_reads;
    bool moved; /* every key was settled under the last map */
    uint64_t move_pause;

    struct sim_process processes[SIM_PROCESSES_MAX];
    struct sim_disk disks[SIM_NODES_MAX];
    struct sim_conn *conns;
    uint64_t conn_count; /* connection 0 is none */
    /* By the index of a process and of whom it reaches: its current connection. */
    uint64_t link[SIM_PROCESSES_MAX][SIM_PROCESSES_MAX];
    bool blocked[SIM_PROCESSES_MAX][SIM_PROCESSES_MAX][2];

    struct sim_op ops[SIM_OPS_MAX];
    uint32_t op_count, open_ops;
    uint32_t ops_started; /* by clients in the safety phase */
    uint32_t client_op[SIM_CLIENTS_MAX];
    struct quo_token tokens[SIM_CLIENTS_MAX];
    struct sim_fault faults[SIM_FAULTS_MAX];
    uint32_t fault_count;
    uint32_t doomed; /* 1 + the proxy that dies when it has sent this type; 0: none */
    uint8_t doomed_by;
    bool healing; /* no new faults, no new client operations */

    struct sim_request requests[SIM_NODES_MAX][SIM_REQUESTS_MAX];
    uint32_t request_count[SIM_NODES_MAX];
    struct quo_version claimed[SIM_NODES_MAX][SIM_KEYS_MAX];  /* highest version in any answer */
    struct quo_version sworn[SIM_NODES_MAX][SIM_KEYS_MAX];    /* likewise, said to be on disk */
    uint64_t first_held[SIM_NODES_MAX][SIM_KEYS_MAX];         /* when; 0: never */
    uint32_t served_epoch[SIM_NODES_MAX][SIM_PARTITIONS_MAX]; /* highest epoch answered under */
    uint64_t limit[SIM_PROXIES_MAX][SIM_KEYS_MAX]; /* the last deadline of any operation there */
    uint64_t replied_at[SIM_PROXIES_MAX][SIM_NODES_MAX]; /* stamp of the last reply received */
    struct sim_known_version versions[SIM_VERSIONS_MAX];
    uint32_t version_count;
    struct sim_effect effects[SIM_EFFECTS_MAX];
    uint32_t effect_count;
    struct quo_version promised[SIM_NODES_MAX][SIM_KEYS_MAX]; /* on disk, in force */
    struct sim_sight sights[SIM_KEYS_MAX][SIM_SIGHTS];
    uint32_t sight_count[SIM_KEYS_MAX];

    struct quo_linear *linear;
    struct sim_violation violation; /* the first; class SIM_HELD while there is none */
    uint64_t undecided;
    uint64_t events;
    uint64_t blobs;                   /* alive */
    bool unsafe_disk, unsafe_amnesia; /* the world lies: the checkers must notice */
    bool clients_only;                /* judge by what clients saw and by nothing else */
};

/* heap.c */
void sim_heap_push(struct sim_heap *heap, const struct sim_event *event);
/* Requires a non-empty heap. */
struct sim_event sim_heap_pop(struct sim_heap *heap);

/* run.c */
struct sim *sim_new(void);
void sim_free(struct sim *sim);
/* Runs one seed from birth to verdict; sim->violation says how it ended. Kind 0: the seed's. */
void sim_run(struct sim *sim, uint64_t seed, enum quo_kind kind);
/* Pieces of it, for scripts: a world of `swarm` in which nothing has happened; its end. */
void sim_begin(struct sim *sim, uint64_t seed, const struct sim_swarm *swarm);
void sim_end(struct sim *sim);
/* Handles the next event, if there is one by `until`. */
bool sim_advance_one(struct sim *sim, uint64_t until);
/* Handles events until `until`. Stops at a violation. */
void sim_advance(struct sim *sim, uint64_t until);
void sim_at(struct sim *sim, uint64_t time, enum sim_event_kind kind, struct sim_process *process,
            uint64_t arg, void *pointer);
uint64_t sim_stamp(struct sim *sim);
/* Records the first violation. */
__attribute__((format(printf, 4, 5))) void sim_violate(struct sim *sim, enum sim_class class,
                                                       uint32_t key, const char *format, ...);
static inline bool sim_failed(const struct sim *sim)
{
    return sim->violation.class != SIM_HELD;
}
/* Folds a number into the trace's hash. */
static inline void sim_mix(struct sim *sim, uint64_t x)
{
    uint64_t h = (sim->trace_hash ^ x) * 0xff51afd7ed558ccdu;
    sim->trace_hash = h ^ (h >> 29);
}
/* A line of the trace, when one is wanted. */
__attribute__((format(printf, 2, 3))) void sim_note(struct sim *sim, const char *format, ...);

/* process.c */
static inline struct sim_process *sim_node(struct sim *sim, uint32_t number)
{
    return &sim->processes[number];
}
static inline struct sim_process *sim_proxy(struct sim *sim, uint32_t number)
{
    return &sim->processes[SIM_NODES_MAX + number];
}
static inline uint32_t sim_proxy_index(uint32_t number)
{
    return SIM_NODES_MAX + number;
}
extern struct sim *sim_world; /* the one that runs: ports have no other way to it */
void sim_process_init(struct sim_process *process, uint32_t index);
uint64_t sim_process_wall_ms(struct sim_process *process);
/* Whose clocks it goes by. */
struct sim_process *sim_process_clock(struct sim_process *process);
void sim_process_start(struct sim_process *process, uint32_t map);
/* Kills: nothing of it survives but what is on disk. */
void sim_process_stop(struct sim_process *process);
void sim_process_freeze(struct sim_process *process);
void sim_process_thaw(struct sim_process *process);
/* Ends a turn: group commit, packets, timers. */
void sim_process_end_turn(struct sim_process *process);
void sim_process_handle(struct sim_process *process, const struct sim_event *event);
const char *sim_process_name(const struct sim_process *process);

/* seats.c: the other proposers, as a proxy's service numbers them */
/* A peer that is not one of them: somebody who only sends FORWARD here. */
#define SIM_SEAT_GUEST (UINT64_C(1) << 32)
#define SIM_SEAT_NONE UINT32_MAX
struct quo_seats sim_seats_of(struct sim_process *proxy);
uint32_t sim_seats_count(const struct sim *sim);
/* Proxies of the map. */
uint32_t sim_seats_proxies(const struct sim *sim);
/* The number of the proxy that sits there; SIM_SEAT_NONE: nobody, or the proxy itself. */
uint32_t sim_seats_target(const struct sim *sim, uint32_t proxy, uint64_t seat);
/* The seat of another proxy; SIM_SEAT_NONE: it has none. */
uint32_t sim_seats_seat(const struct sim *sim, uint32_t proxy, uint32_t other);
/* Whether both are loops of one proxy. */
bool sim_seats_is_lane(const struct sim *sim, uint32_t proxy, uint32_t other);

/* network.c */
extern const struct quo_transport_ops sim_transport_ops, sim_seat_ops, sim_mesh_ops;
void sim_network_flush(struct sim_process *process);
void sim_network_connect(struct sim_process *process, uint32_t index);
/* Processes go by their index here. Breaks the connection that one made to another, if any. */
void sim_network_cut(uint32_t from, uint32_t to);
/* Both ends of a process are gone at once. */
void sim_network_gone(struct sim_process *process);
/* Of a node's transport: as quo_server_options.any_proxy. */
bool sim_network_any_proxy(struct quo_transport *transport, uint64_t *ret_peer);
void sim_network_block(uint32_t from, uint32_t to, uint32_t direction, bool blocked);
void sim_network_up(struct sim_process *process, uint64_t conn);
void sim_network_down(struct sim_process *process, uint64_t conn);
void sim_network_deliver(struct sim_process *process, struct sim_packet *packet);
void sim_packet_free(struct sim_packet *packet);

/* disk.c */
void sim_disk_init(struct sim_disk *disk, uint32_t node);
/* A crash: what was not synced may be lost. */
void sim_disk_crash(struct sim_disk *disk);
/* Fails what is under way, so that the server can be freed. Returns whether anything was. */
bool sim_disk_abort(struct sim_disk *disk);
void sim_disk_complete(struct sim_disk *disk, const struct sim_event *event);
void sim_disk_wipe(struct sim_disk *disk);
/* The durable record of one of our keys; empty when there is none. Borrowed. */
struct quo_slice sim_disk_durable(const struct sim_disk *disk, uint32_t key);
/* Of that, or of a delete that was collected here. */
struct quo_version sim_disk_version(const struct sim_disk *disk, uint32_t key);
/* Up to where deletes of the partition may go; none when nothing is cleared. */
struct quo_version sim_disk_sealed(const struct sim_disk *disk, uint32_t partition);
/* The version of its last change. */
struct quo_version sim_disk_changed(const struct sim_disk *disk, uint32_t key);
/* Likewise, but not what a failed commit left there to be found after a restart. */
struct quo_slice sim_disk_settled(const struct sim_disk *disk, uint32_t key);
void sim_disk_free(struct sim_disk *disk);
/* Whether both hold the same records of a partition; else *ret_key is one that differs, or
 * SIM_KEYS_MAX for what is none of our keys. */
bool sim_disk_same(const struct sim_disk *a, const struct sim_disk *b, uint32_t partition,
                   uint32_t *ret_key);

/* Likewise the promise kept beside the record; none when there is none. */
struct quo_version sim_disk_promised(const struct sim_disk *disk, uint32_t key);

/* keys.c */
extern const char *const sim_key_names[SIM_KEYS_MAX];
struct quo_slice sim_key(uint32_t key);
uint32_t sim_key_partition(const struct sim *sim, uint32_t key);
uint32_t sim_key_namespace(uint32_t key);
/* Whether clients of this seed use the key. */
bool sim_key_in_use(const struct sim *sim, uint32_t key);
enum quo_history_model sim_key_model(uint32_t key);
/* The index of a data key as replicas store it, or SIM_KEYS_MAX. */
uint32_t sim_key_of_data(struct quo_slice data_key);
uint32_t sim_key_index(uint32_t ns, struct quo_slice key);
/* The bytes of the value that operation `value` writes, in a buffer of its own. */
#define SIM_VALUE_LEN_MAX 8192u
#define SIM_VALUE_LEN_MIN 8u
struct quo_slice sim_value(uint32_t value, uint32_t len);
/* Which operation wrote these bytes: 0 when no operation of this world did. */
uint32_t sim_value_of(const struct sim *sim, struct quo_slice bytes);
/* What a counter's bytes say. Returns false if they are no number. */
bool sim_number_of(struct quo_slice bytes, int64_t *ret);
/* Remembers that a value was there. */
void sim_sight_add(struct sim *sim, uint32_t key, const struct sim_sight *sight);

/* client.c */
/* Makes the first request of an operation; it still has to be sent. NULL when there is no room. */
struct sim_op *sim_op_new(struct sim *sim, uint32_t client, enum quo_history_type type,
                          uint32_t key);
/* Makes a further request of an operation. NULL when there is no room. */
struct sim_op *sim_op_another(struct sim *sim, const struct sim_op *first, uint32_t client,
                              enum quo_request_type type);
static inline struct sim_op *sim_op_first(struct sim *sim, const struct sim_op *op)
{
    return &sim->ops[op->of - 1];
}
static inline bool sim_op_is_first(const struct sim_op *op)
{
    return op->of == op->seen.id;
}
/* Sets level and timeout. */
void sim_op_ask(struct sim *sim, struct sim_op *op, const struct quo_ask *ask);
void sim_op_send(struct sim *sim, struct sim_op *op, uint32_t proxy);
void sim_op_submit(struct sim_process *proxy, struct sim_op *op);
void sim_op_abandon(struct sim_process *proxy, struct sim_op *op);
/* The proxy is gone, and with it the request's answer. */
void sim_op_lose(struct sim *sim, struct sim_op *op);

/* again.c */
/* A request of an operation has ended as op->told says. */
void sim_again_ended(struct sim *sim, struct sim_op *op);
/* `arg` of the event: the first request's index, and above it who asks. */
void sim_again_try(struct sim *sim, uint64_t arg);
void sim_again_resolve(struct sim *sim, uint64_t arg);
/* One more request to resolve an operation, through this proxy; NULL when there is no room. */
struct sim_op *sim_again_ask(struct sim *sim, struct sim_op *first, uint32_t proxy,
                             uint32_t timeout_ms);

/* sessions.c */
/* Whether the request is one of a session. */
bool sim_session_has(const struct sim *sim, const struct sim_op *op);
/* Has the request heed its session's token, and the token learn from the answer. */
void sim_session_ask(const struct sim *sim, const struct sim_op *op, struct quo_request *request);
void sim_session_learn(struct sim *sim, const struct sim_op *op,
                       const struct quo_response *response);
/* Whether the token of the client lists the key, and with which version. */
bool sim_session_wants(const struct sim *sim, uint32_t client, uint32_t key,
                       struct quo_version *ret);
void sim_session_verdict(struct sim *sim);

/* choose.c */
void sim_client_next(struct sim *sim, uint32_t client);
struct quo_ask sim_choose_ask(struct sim *sim);
/* Returns false when no proxy is alive. */
bool sim_choose_proxy(struct sim *sim, uint32_t *ret);

/* swarm.c, nemesis.c, move.c, finish.c */
/* Kind 0: the seed's own. */
struct sim_swarm sim_swarm_draw(uint64_t seed, enum quo_kind kind);
void sim_swarm_print(FILE *out, const struct sim_swarm *swarm);
void sim_maps_make(struct sim *sim);
void sim_nemesis_act(struct sim *sim);
/* A proxy has put a frame of this type into an outbox. */
void sim_nemesis_sent(const struct sim_process *proxy, uint8_t type);
void sim_nemesis_kill(struct sim *sim, struct sim_process *proxy);
void sim_nemesis_heal(struct sim *sim, uint32_t fault);
/* Ends every fault and starts what is down. */
void sim_nemesis_heal_all(struct sim *sim);
void sim_move_step(struct sim *sim);
void sim_finish(struct sim *sim);

/* oracle.c */
void sim_oracle_request(struct sim_process *node, uint64_t conn, const struct sim_frame *frame);
void sim_oracle_reply(struct sim_process *node, uint64_t conn, const struct sim_frame *frame);
void sim_oracle_sent(const struct sim_process *proxy, const struct sim_frame *frame);
/* A node has put a frame for another node into an outbox. */
void sim_oracle_relayed(const struct sim_process *node, uint32_t to, const struct sim_frame *frame);
void sim_oracle_called(struct sim *sim, struct sim_op *op);
void sim_oracle_applied(struct sim_disk *disk, const struct sim_cell *cell,
                        const struct sim_blob *before, const struct sim_blob *after);
/* All of a commit is on disk. */
void sim_oracle_committed(struct sim_disk *disk);
void sim_oracle_forget(struct sim *sim, uint32_t node);
/* A violation that clients may not be able to see (yet). */
__attribute__((format(printf, 3, 4))) void sim_accuse(struct sim *sim, uint32_t key,
                                                      const char *format, ...);
/* What is known of a version of a key; new if need be. */
struct sim_known_version *sim_oracle_know(struct sim *sim, uint32_t key,
                                          struct quo_version version);

/* claims.c: judges an answer and fills op->told. */
void sim_oracle_answer(struct sim *sim, struct sim_op *op, const struct quo_response *response);

/* lineage.c */
void sim_lineage_sent(const struct sim_process *proxy, const struct sim_frame *frame);
/* The record is on the disk of a node for the first time. */
void sim_lineage_held(struct sim *sim, uint32_t node, uint32_t key, struct sim_known_version *known,
                      const struct quo_record *record);

/* converge.c */
/* Where nodes compare what they hold: waits until their disks are equal, and accuses if they do not
 * become so. */
void sim_converge(struct sim *sim);
/* Whether every idle node has the hash trees of what it holds. */
void sim_converge_trees(struct sim *sim);

/* verdict.c */
void sim_verdict(struct sim *sim);
/* The failing seed for people: what, the history that shows it, how to see it again. */
void sim_report(FILE *out, struct sim *sim, const char *program, const char *arguments);

#endif
