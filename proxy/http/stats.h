/* What one loop's HTTP server counts. Written by its thread, read by any (relaxed).
 */
#ifndef QUORATE_HTTP_STATS_H
#define QUORATE_HTTP_STATS_H

#include "proxy/http/guard.h"
#include "proxy/service/service.h"
#include "quorate/metrics.h"
#include "quorate/net.h"
#include "quorate/tls.h"

struct quo_http_stats {
#define QUO_SERVICE_COUNTER(field, metric, help)
#define QUO_NET_COUNTER(field, metric, help)
#define QUO_HTTP_COUNTER(field, metric, help) _Atomic uint64_t field;
#include "proxy/http/counters.def"
#undef QUO_SERVICE_COUNTER
#undef QUO_NET_COUNTER
#undef QUO_HTTP_COUNTER
    _Atomic uint64_t lacking;        /* partitions without a quorum when the loop last looked */
    _Atomic uint64_t responses[600]; /* by status */
    _Atomic uint64_t floods[QUO_FLOOD_COUNT]; /* connections closed for each */
};

/* Where the numbers of every loop are. Filled before any loop serves, then only read. */
struct quo_http_sources {
    uint32_t loops;
    const struct quo_tls *tls; /* NULL: there is none */
    struct {
        const struct quo_service_stats *service;
        const struct quo_net_stats *net;
        const struct quo_http_stats *http;
    } at[QUO_LOOPS_MAX];
};

/* The most partitions without a quorum that any loop has seen last. Any thread. */
uint64_t quo_http_lacking(const struct quo_http_sources *sources);

/* Writes everything of /metrics: sums over all loops. Any thread. */
void quo_http_exposition(const struct quo_http_sources *sources, struct quo_text *text);

#endif
