/* The driver of one proxy loop: takes requests, runs their coordinators, answers.
 *
 * It speaks only to ports, so that the simulator runs exactly this code. It holds no lock and
 * shares nothing: one service, one loop, one thread.
 */
#ifndef QUORATE_PROXY_SERVICE_H
#define QUORATE_PROXY_SERVICE_H

#include <stdatomic.h>

#include "proxy/coordinator/answer.h"
#include "proxy/coordinator/consistency.h"
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

struct quo_request {
    enum quo_request_type type;
    const struct quo_namespace *ns; /* of the service's map */
    struct quo_slice key;           /* 1 to QUO_KEY_MAX bytes; copied */
    struct quo_slice content_type;  /* PUT; copied */
    struct quo_slice value;         /* PUT; copied */
    struct quo_consistency consistency;
};

struct quo_response {
    enum quo_verdict verdict;
    enum quo_effectuality outcome;
    enum quo_status refusal; /* with REFUSED, and with TIMEOUT if refusals made it certain; else
                                QUO_OK */
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
    struct quo_histogram latency[2][5]; /* [write][level] of answered requests */
    _Atomic uint64_t verdicts[2][5][7]; /* [write][level][verdict] */
    _Atomic uint64_t unknown_outcomes, hedges, write_backs, restarts, wrong_epochs, skews,
        late_replies, overloads, abandoned;
};
const struct quo_service_stats *quo_service_stats(const struct quo_service *service);

#endif
