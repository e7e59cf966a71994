/* What a server does about what its peers hold differently: it answers their questions about its
 * trees (tree_answers.c), and compares its partitions with theirs (exchanges.c), finds the keys
 * that differ (exchange_keys.c) and mends them (exchange_mend.c).
 *
 * Of two replicas the one with the smaller id asks; the other one only tells it of the partition.
 * All partitions and peers get their turn once in QUO_EXCHANGE_EVERY_MS, unless the options say
 * otherwise; a peer that came up is gone through at once. Several comparisons are under way, since
 * each mostly pauses; one of them at a time goes through keys. All together spend QUO_EXCHANGE_RATE
 * bytes a second at most, and rest while writes queue up.
 */
#ifndef QUORATE_NODE_SERVER_EXCHANGES_H
#define QUORATE_NODE_SERVER_EXCHANGES_H

#include "quorate/rpc.h"
#include "storage-node/antientropy/exchange.h"
#include "storage-node/server/pairs.h"
#include "storage-node/server/server.h"

/* In place of a peer's number: the request is our own. */
#define QUO_PEER_SELF UINT64_MAX
#define QUO_RECHECKS_MAX 64u           /* pairs that were mended and are compared again at once */
#define QUO_EXCHANGE_RETRY_US 2000000u /* until a peer that came up is gone through once more */
#define QUO_EXCHANGE_REST_US 50000u    /* while writes queue up */

/* A key that differs. */
struct quo_difference {
    struct quo_difference *next;
    enum quo_mend mend;
    size_t key_len;
    uint8_t key[]; /* the storage key */
};

/* One key being mended. */
struct quo_mending {
    uint64_t id; /* of the request under way, on the mesh or to ourselves; 0: the slot is free */
    uint64_t expires_us;
    struct quo_version version; /* of the record that was sent */
    bool dropped;               /* as it is by whoever refuses it */
    struct quo_difference *difference;
};

enum quo_keys_step {
    QUO_KEYS_NONE, /* no comparison is there */
    QUO_KEYS_ASK,  /* a page is to be asked for */
    QUO_KEYS_WAIT, /* it was */
    QUO_KEYS_READ, /* ours of the same part are being read */
    QUO_KEYS_MEND,
};

/* The keys of the differing leaves, page by page. */
struct quo_keys {
    enum quo_keys_step step;
    struct quo_comparison *of;           /* that goes through them; NULL: none */
    bool ranging;                        /* `range` is under way, perhaps for one that is over */
    uint8_t lo[QUO_STORAGE_KEY_MAX + 1]; /* the page is of keys in [lo, hi) */
    uint8_t hi[QUO_STORAGE_KEY_MAX + 1];
    size_t lo_len, hi_len;
    bool last;       /* there is no page after this one */
    uint8_t *theirs; /* the peer's keys */
    size_t theirs_len;
    struct quo_range range; /* ours */
    struct quo_difference *differences, **differences_end;
    struct quo_mending mendings[QUO_EXCHANGE_WINDOW];
    uint32_t mending_count;
};

/* One partition and one peer, being compared. */
struct quo_comparison {
    bool active;
    bool wants_keys; /* it waits for its turn with them */
    bool again;      /* as of the pair */
    bool tells;      /* it asks once, for the sake of the entry that goes with the question */
    uint32_t partition, peer;
    struct quo_entry entry; /* under which both hold the partition */
    uint8_t replicas;       /* of the namespaces that both hold */
    uint64_t began_us;
    uint64_t theirs_us; /* the peer's clock at its first look; 0: there was none */
    uint64_t waits_for; /* id of the TREE or LEAF under way; 0: none */
    uint64_t expires_us;
    enum quo_exchange_effect asked;
    struct quo_exchange machine;
    uint32_t mended, failed;
};

struct quo_exchange_peer {
    uint64_t replica;
    bool up;
    bool missed;     /* a partition could not be compared in the round since it came up */
    uint64_t up_us;  /* when that was */
    uint64_t due_us; /* the round of it goes on then... */
    uint32_t due;    /* ...with this partition */
};

struct quo_recheck {
    uint32_t partition, peer;
    bool again; /* looks after what the last one mended */
};

struct quo_exchanges {
    uint64_t every_us; /* a partition is compared with each peer */
    uint64_t pause_us; /* between the two looks at what differs */
    uint32_t peer_count;
    struct quo_exchange_peer *peers;                  /* by index of the map */
    struct quo_pair (*pairs_known)[QUO_REPLICAS_MAX]; /* by partition; pairs.h */
    uint64_t started_us;

    /* Schedule */
    uint32_t partition, member; /* next in turn */
    uint32_t pairs;             /* in a round of turns */
    uint64_t wake_us;           /* the next turn; nothing is done before rest_us */
    uint64_t rest_us;
    struct quo_recheck rechecks[QUO_RECHECKS_MAX];
    uint32_t recheck_count;
    int64_t budget; /* bytes; below 0: in debt */
    uint64_t budget_us;

    struct quo_comparison comparisons[QUO_EXCHANGES_MAX];
    struct quo_keys keys;
};

/* Another node's question, being answered off the loop. */
struct quo_listing;
/* Likewise, of a proxy: digest.c. */
struct quo_digesting;

/* exchanges.c */

/* QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_exchanges_open(struct quo_server *server,
                                   const struct quo_server_options *options);
void quo_exchanges_free(struct quo_server *server);
/* Events of the mesh. */
void quo_exchanges_on_frame(struct quo_server *server, uint32_t peer,
                            const struct quo_frame *frame);
void quo_exchanges_on_up(struct quo_server *server, uint32_t peer);
void quo_exchanges_on_down(struct quo_server *server, uint32_t peer);
void quo_exchanges_end_turn(struct quo_server *server);
uint64_t quo_exchanges_deadline(const struct quo_server *server);
bool quo_exchanges_idle(const struct quo_server *server);
/* The keys of the differing leaves were gone through. */
void quo_exchanges_listed(struct quo_server *server, struct quo_comparison *comparison);
/* It cannot go on. */
void quo_exchanges_give_up(struct quo_server *server, struct quo_comparison *comparison);
/* Adopts the entry of an answer if it is newer. */
void quo_exchanges_learn(struct quo_server *server, const struct quo_comparison *comparison,
                         struct quo_slice entry);
/* Returns the id of a new request, on the mesh or to ourselves; never 0. */
uint64_t quo_exchanges_id(struct quo_server *server);
/* Starts a frame to a peer; NULL when it cannot be sent. Seal it at once. */
uint8_t *quo_exchanges_reserve(struct quo_server *server, uint32_t peer, size_t len);
void quo_exchanges_seal(struct quo_server *server, uint32_t peer, uint8_t type, uint64_t id);
/* The entry that requests carry, in `out`. */
struct quo_slice quo_exchanges_entry(const struct quo_comparison *comparison,
                                     uint8_t out[QUO_ENTRY_SIZE_MAX]);
/* Whether it may go on now: there is budget, and writes do not queue up. */
bool quo_exchanges_may_work(struct quo_server *server);
void quo_exchanges_spend(struct quo_server *server, size_t bytes);

/* The index of a replica in the map; -1: it is not there. */
int quo_exchanges_peer(const struct quo_server *server, uint64_t replica);
/* Whether the replica can be reached, and since when. */
bool quo_exchanges_is_up(const struct quo_server *server, uint64_t replica, uint64_t *ret_us);
bool quo_exchanges_any_up(const struct quo_server *server);
/* When the last comparison with the replica began that found the partition equal under the entry
 * in force; 0: none did. */
uint64_t quo_exchanges_equal_us(const struct quo_server *server, uint32_t partition,
                                uint64_t replica);
/* Compares the partition with the replica as soon as can be, unless that is under way. */
void quo_exchanges_hurry(struct quo_server *server, uint32_t partition, uint64_t replica);

/* exchange_keys.c */

/* Requires that none is there, and that no range is under way. */
void quo_keys_start(struct quo_server *server, struct quo_comparison *comparison);
void quo_keys_stop(struct quo_server *server);
void quo_keys_go_on(struct quo_server *server);
void quo_keys_on_page(struct quo_server *server, const struct quo_msg_leaf_keys *page);

/* exchange_mend.c */

/* Mends what was found, as far as the window and the budget allow. */
void quo_mend_go_on(struct quo_server *server);
void quo_mend_stop(struct quo_server *server);
void quo_mend_on_reply(struct quo_server *server, uint64_t id, const struct quo_msg_reply *reply);
/* The answer to a request of our own. */
void quo_mend_applied(struct quo_server *server, uint64_t id, const struct quo_msg_reply *reply);
/* When the first request expires; UINT64_MAX: never. */
uint64_t quo_mend_deadline(const struct quo_server *server);

/* tree_answers.c: one handler per message; the body is borrowed until the return. */

void quo_handle_tree(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
void quo_handle_leaf(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
void quo_listings_free(struct quo_server *server);

/* A key in a page: be16 length | storage key | version | u8 flags. */
struct quo_listed {
    struct quo_slice key;
    struct quo_version version;
    uint8_t flags;
};
/* Reads the one at *at and moves on. Returns false at the end, or where the bytes are none. */
bool quo_listed_next(struct quo_slice page, size_t *at, struct quo_listed *ret);
/* Whether an entry of a range over a partition is of these leaves, and of a namespace of at least
 * `replicas` replicas. */
bool quo_listed_parse(const struct quo_server *server, const struct quo_range_entry *entry,
                      uint8_t replicas, const uint64_t leaves[QUO_TREE_BRANCHES],
                      struct quo_listed *ret);
/* Order of storage keys: below 0, 0, above 0. */
int quo_storage_key_compare(struct quo_slice a, struct quo_slice b);

#endif
