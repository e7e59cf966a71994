/* The driver of one proxy loop: takes requests, runs their coordinators, answers.
 *
 * It speaks only to ports, so that the simulator runs exactly this code. It holds no lock and shares
 * nothing: one service, one loop, one thread.
 */
#ifndef QUORATE_PROXY_SERVICE_H
#define QUORATE_PROXY_SERVICE_H

#include <stdatomic.h>

#include "quorate/cluster.h"
#include "quorate/env.h"
#include "quorate/histogram.h"
#include "quorate/record.h"
#include "quorate/transport.h"

struct quo_service;

struct quo_service_options {
    struct quo_env *env;
    struct quo_transport *transport; /* the service sets its events */
    const struct quo_map *map;       /* borrowed for the life of the service */
    uint32_t ops_max;                /* operations in flight; 0: QUO_OPS_MAX */
    uint32_t hedge_percent;          /* extra reads allowed, per hundred reads; 0: no hedging */
    uint64_t hedge_min_us;           /* never hedge sooner; 0: 1000 */
};

enum quo_request_type { QUO_REQUEST_GET = 1, QUO_REQUEST_PUT = 2, QUO_REQUEST_DELETE = 3 };

/* What the client said of consistency. */
struct quo_ask {
    bool has_level;
    enum quo_level level;
    int32_t r, w, dw; /* -1: not said */
    uint32_t timeout_ms; /* 0: not said */
};

/* What that means in a namespace. */
struct quo_consistency {
    enum quo_level level; /* what the answer will claim */
    bool strong;          /* runs the strong protocol */
    uint8_t n, r, w, dw;  /* replies, acks and disk acks needed */
    uint32_t timeout_ms;
};

/* The arithmetic of levels and numbers, see api/PROTOCOLS.md "Levels".
 * Returns QUO_OK, or QUO_INVALID with a sentence that shows the numbers in `why`. */
enum quo_status quo_consistency_resolve(const struct quo_namespace *ns, const struct quo_ask *ask,
                                        bool is_write, struct quo_consistency *ret, char *why,
                                        size_t why_size);

struct quo_request {
    enum quo_request_type type;
    const struct quo_namespace *ns;   /* of the service's map */
    struct quo_slice key;             /* 1 to QUO_KEY_MAX bytes; copied */
    struct quo_slice content_type;    /* PUT; copied */
    struct quo_slice value;           /* PUT; copied */
    struct quo_consistency consistency;
};

/* Whether a write took effect. */
enum quo_effectuality {
    QUO_NOT_APPLIED = 1, /* provably not, and never will */
    QUO_APPLIED = 2,
    QUO_UNKNOWN = 3,
};

/* How an operation ended. */
enum quo_verdict {
    QUO_VERDICT_FOUND = 1,   /* GET: the record is there */
    QUO_VERDICT_ABSENT,      /* GET: no record, or deleted, at the level asked */
    QUO_VERDICT_WRITTEN,     /* PUT, DELETE */
    QUO_VERDICT_UNAVAILABLE, /* too few replicas can be reached; nothing was attempted (503) */
    QUO_VERDICT_TIMEOUT,     /* the deadline passed, or it is certain to be missed (504) */
    QUO_VERDICT_REFUSED,     /* replicas refused: `refusal` says why */
};

/* The facts behind the answer; the receipt is made of them and claims nothing else. */
struct quo_receipt {
    enum quo_level level; /* reached */
    uint8_t n;
    uint8_t replies;      /* replicas that answered in the phase that decided */
    uint8_t acks;         /* replicas known to hold the version (or something newer) */
    uint8_t disk;         /* of them, on disk */
    uint8_t need;         /* what was needed of them; with `replies`/`acks` what a failure lacked */
    uint8_t round_trips;
    uint8_t hedges;       /* extra requests sent */
    bool repaired;        /* a write-back was needed */
    bool stable;          /* the version is on a write quorum */
    uint32_t epoch;
    struct quo_version version; /* none when absent or failed before a version was chosen */
    uint64_t answered[QUO_REPLICAS_MAX]; /* replica ids, `replies` of them */
};

struct quo_response {
    enum quo_verdict verdict;
    enum quo_effectuality outcome;
    enum quo_status refusal; /* with REFUSED; else QUO_OK */
    struct quo_receipt receipt;
    struct quo_record record; /* with FOUND; borrowed until the callback returns */
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
 * QUO_BUSY: a limit is reached; QUO_NO_MEMORY. Nothing was attempted, `answer` is not called. */
enum quo_status quo_service_submit(struct quo_service *service, const struct quo_request *request,
                                   quo_answer_fn *answer, void *context, quo_ticket *ret_ticket);

/* The requester is gone: `answer` will not be called. The operation itself goes on to its end. */
void quo_service_abandon(struct quo_service *service, quo_ticket ticket);

/* The next moment (monotonic us) at which quo_service_expire wants to be called; UINT64_MAX: none. */
uint64_t quo_service_deadline(const struct quo_service *service);
void quo_service_expire(struct quo_service *service, uint64_t mono_us);

/* Whether a strong operation on every partition of every namespace could succeed now. When not, *ret_lacking is
 * the number of partitions that lack a quorum. */
bool quo_service_ready(const struct quo_service *service, uint32_t *ret_lacking);

/* Operations that are not finished, answered or not. */
uint32_t quo_service_in_flight(const struct quo_service *service);

/* Written by the service's thread, read by any (relaxed). */
struct quo_service_stats {
    struct quo_histogram latency[2][5]; /* [write][level] of answered requests */
    _Atomic uint64_t verdicts[2][5][7]; /* [write][level][verdict] */
    _Atomic uint64_t unknown_outcomes, hedges, write_backs, restarts, wrong_epochs, skews, late_replies,
        overloads, abandoned;
};
const struct quo_service_stats *quo_service_stats(const struct quo_service *service);

#endif
