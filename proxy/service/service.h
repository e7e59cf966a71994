/* The driver of one proxy loop: takes requests, runs their coordinators, answers.
 *
 * It speaks only to ports, so that the simulator runs exactly this code. It holds no lock and
 * shares nothing: one service, one loop, one thread.
 */
#ifndef QUORATE_PROXY_SERVICE_H
#define QUORATE_PROXY_SERVICE_H

#include <stdatomic.h>

#include "proxy/change/change.h"
#include "proxy/coordinator/answer.h"
#include "proxy/coordinator/consistency.h"
#include "quorate/cluster.h"
#include "quorate/collection.h"
#include "quorate/env.h"
#include "quorate/histogram.h"
#include "quorate/record.h"
#include "quorate/transport.h"

struct quo_service;

/* The other proposers: a key's writes go through one of them if possible, since two that write the
 * same key preempt each other. Seat i < loops is loop i of this proxy; seat loops + i is proxy i of
 * the map. The transport tells with on_up and on_down which are there; a peer beyond them is one
 * that only sends FORWARD here and is answered. The service sets the transport's events. */
struct quo_seats {
    struct quo_transport *transport; /* NULL: this loop is alone */
    uint32_t loops;                  /* of this proxy; the owner of a partition is
                                        quo_service_owner */
    uint32_t loop;                   /* which of them this is */
    uint32_t proxy;                  /* which of the map's this is; UINT32_MAX: none of them */
};

/* The loop, of `loops`, that runs the consensus writes of a partition. */
static inline uint32_t quo_service_owner(uint16_t partition, uint32_t loops)
{
    return partition % loops;
}

struct quo_service_options {
    struct quo_env *env;
    struct quo_transport *transport; /* the service sets its events */
    const struct quo_map *map;       /* borrowed for the life of the service */
    uint32_t ops_max;                /* operations in flight; 0: QUO_OPS_MAX */
    uint32_t hedge_percent;          /* extra reads allowed, per hundred reads; 0: no hedging */
    uint64_t hedge_min_us;           /* never hedge sooner; 0: 1000 */
    struct quo_seats seats;
};

/* An ADD in kind crdt is no consensus write: it goes to the counter's slot at one replica. Its
 * collection is QUO_COLLECTION_COUNTER, its key the counter's prefix (quo_collection_prefix), and
 * it has no condition, no bounds and a level that is not strong. Without `opid` it is not known
 * again. Of its result only `replayed` says something. */
enum quo_request_type {
    QUO_REQUEST_GET = 1,
    QUO_REQUEST_PUT,
    QUO_REQUEST_DELETE,
    QUO_REQUEST_PATCH,
    QUO_REQUEST_ADD,     /* to a counter */
    QUO_REQUEST_RESOLVE, /* decides whether an operation took effect, and fences it if not */
    QUO_REQUEST_SETTLE,  /* of a move: makes the key's state hold under the newest epoch */
};

/* What names the record that a PUT makes. */
enum quo_naming {
    QUO_NAMED_BY_KEY = 0, /* the key; its version is above what was there */
    /* Records of a collection that are new, each written by one operation only: nothing was there.
     */
    QUO_NAMED_ENTRY, /* its version, which comes into a key of quo_entry_key */
    QUO_NAMED_DOT,   /* likewise, of quo_dot_key */
    QUO_NAMED_SO,    /* the key, and a version that is given */
};

struct quo_request {
    enum quo_request_type type;
    const struct quo_namespace *ns; /* of the service's map */
    enum quo_collection collection; /* whose record the key is; then of a kind that has it */
    struct quo_slice key;           /* 1 to QUO_KEY_MAX bytes; copied */
    enum quo_naming naming;         /* PUT */
    struct quo_version version;     /* with QUO_NAMED_SO: of an operation of this service */
    struct quo_consistency consistency;
    /* Of a write; see struct quo_change. Slices are copied. A PATCH passes quo_json_check. */
    enum quo_condition_type condition;
    uint8_t tag_count;
    struct quo_version tags[QUO_CONDITIONS_MAX];
    bool has_opid; /* of a keyed write and of RESOLVE; else the service makes one */
    struct quo_opid opid;
    uint64_t since; /* RESOLVE: hlc of the operation's submission */
    uint64_t digest;
    struct quo_slice content_type; /* PUT */
    struct quo_slice value;        /* PUT, PATCH */
    uint64_t ttl_ms;               /* likewise: see struct quo_change; at most QUO_TTL_MAX_MS */
    int64_t by, min, max;          /* ADD */
    bool has_min, has_max;
    struct quo_freshness fresh; /* GET at level session */
    uint64_t above;             /* hlc: a write is above what its session has met; 0: no session */
};

/* Whether the request goes through consensus: always in kind cas; in mixed if it is strong, has a
 * condition or an operation id, or is no plain PUT or DELETE. A strong write of a mixed key is not
 * blind, since a blind write forgets the key's operations, and with them what makes keyed writes
 * happen once. GET and SETTLE: never, they only may come to need it. */
bool quo_request_is_consensus(const struct quo_request *request);

struct quo_response {
    enum quo_verdict verdict;
    enum quo_effectuality outcome;
    enum quo_status refusal;    /* with REFUSED, and with TIMEOUT if refusals made it certain; else
                                   QUO_OK */
    struct quo_receipt receipt; /* its version is the record's `changed`: the ETag */
    /* With FOUND; with ABSENT and version not none: the tombstone; with WRITTEN and DECLINED of a
     * consensus write: the key's record after it (version none: there is none). One that has
     * expired is shown as a tombstone. Borrowed until the callback returns. */
    struct quo_record record;
    uint64_t left_ms;                /* that the record's value has still to live; 0: it stays */
    bool is_consensus;               /* opid, since and change say something */
    struct quo_opid opid;            /* the operation's name */
    uint64_t since;                  /* and when it was submitted, for its link */
    struct quo_change_result change; /* with WRITTEN and DECLINED; see enum quo_request_type */
    uint64_t elapsed_us;
};

/* Called exactly once per accepted and not abandoned request, from a transport event or
 * quo_service_expire, or from within quo_service_submit when the answer is known at once. */
typedef void quo_answer_fn(void *context, const struct quo_response *response);

/* Names a request until it is answered. 0 is none. */
typedef uint64_t quo_ticket;

/* Returns NULL when out of memory. */
struct quo_service *quo_service_new(const struct quo_service_options *options);
/* Unanswered requests are dropped without a call. */
void quo_service_free(struct quo_service *service);

/* Starts an operation. Requires what struct quo_request says.
 * QUO_OK: `answer` will be called, or was (then *ret_ticket is 0).
 * QUO_BUSY: a limit is reached; QUO_NO_MEMORY; QUO_SKEW: replicas would refuse a version `above` as
 * too far ahead. Nothing was attempted, `answer` is not called. */
enum quo_status quo_service_submit(struct quo_service *service, const struct quo_request *request,
                                   quo_answer_fn *answer, void *context, quo_ticket *ret_ticket);

/* The requester is gone: `answer` will not be called. The operation itself goes on to its end. */
void quo_service_abandon(struct quo_service *service, quo_ticket ticket);

/* The next moment (monotonic us) at which quo_service_expire wants to be called; UINT64_MAX: none.
 */
uint64_t quo_service_deadline(const struct quo_service *service);
void quo_service_expire(struct quo_service *service, uint64_t mono_us);

/* Whether a strong operation on every partition of every namespace could succeed now. When not,
 * *ret_lacking is the number of partitions that lack a quorum. */
bool quo_service_ready(const struct quo_service *service, uint32_t *ret_lacking);

/* Operations that are not finished, answered or not. */
uint32_t quo_service_in_flight(const struct quo_service *service);

/* Written by the service's thread, read by any (relaxed). */
struct quo_service_stats {
    struct quo_histogram latency[2][QUO_LEVELS]; /* [write][level] of answered requests */
    _Atomic uint64_t verdicts[2][QUO_LEVELS][QUO_VERDICTS]; /* [write][level][verdict] */
    _Atomic uint64_t unknown_outcomes, hedges, write_backs, restarts, wrong_epochs, skews,
        late_replies, overloads, abandoned;
    _Atomic uint64_t prepares, accepts; /* phases of consensus writes that were started */
    _Atomic uint64_t warm_starts, warm_hits, preemptions, forwards, forwarded_in, replays, declined,
        queued;
    _Atomic uint64_t additions;                    /* to counters of kind crdt that took effect */
    _Atomic uint64_t looks, repairs, repairs_shed; /* of reads that had answered */
    /* For replicas that blind writes did not reach: sent to other nodes, and what came of them. */
    _Atomic uint64_t hints, hints_kept, hints_refused, hints_shed;
    _Atomic uint64_t sloppy;        /* writes that would have failed without */
    _Atomic uint64_t expired;       /* answers that met a value that was over */
    _Atomic uint64_t mends;         /* keys settled because a node asked */
    _Atomic uint64_t bounded_alone; /* bounded reads that needed no quorum for their proof */
    _Atomic uint64_t fresh_asked;   /* FRESH requests */
    struct quo_histogram scan_latency;
    _Atomic uint64_t scan_verdicts[QUO_VERDICTS];
    _Atomic uint64_t scan_rounds, scan_items, scan_differences; /* keys that replicas had apart */
    /* Of timelines and sets: requests that were answered. */
    _Atomic uint64_t appends, appends_replayed, pages, set_changes, set_lists;
    _Atomic uint64_t pages_again; /* scans that were done again for a page */
};
const struct quo_service_stats *quo_service_stats(const struct quo_service *service);

#endif
