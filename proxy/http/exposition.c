#include <stdio.h>

#include "proxy/http/stats.h"

static const char *const op_names[2] = {"read", "write"};

/* Indexed by enum quo_verdict. */
static const char *const verdict_names[] = {NULL,      "found",       "absent",
                                            "written", "unavailable", "timeout",
                                            "refused", "declined",    "unsatisfied"};

enum part { PART_SERVICE, PART_NET, PART_HTTP };

/* Where in a part a counter is. */
struct place {
    enum part part;
    size_t offset;
};

#define SERVICE(field) ((struct place){PART_SERVICE, offsetof(struct quo_service_stats, field)})
#define HTTP(field) ((struct place){PART_HTTP, offsetof(struct quo_http_stats, field)})

/* The counter `index` places after `place`, summed over the loops. */
static uint64_t sum(const struct quo_http_sources *sources, struct place place, size_t index)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < sources->loops; i++) {
        const void *const bases[] = {sources->at[i].service, sources->at[i].net,
                                     sources->at[i].http};
        const void *at = (const char *)bases[place.part] + place.offset;

        total += quo_counted((const _Atomic uint64_t *)at + index);
    }
    return total;
}

static const struct {
    struct place place;
    const char *metric;
    const char *help;
} counters[] = {
#define QUO_SERVICE_COUNTER(field, metric, help)                                                   \
    {{PART_SERVICE, offsetof(struct quo_service_stats, field)}, metric, help},
#define QUO_NET_COUNTER(field, metric, help)                                                       \
    {{PART_NET, offsetof(struct quo_net_stats, field)}, metric, help},
#define QUO_HTTP_COUNTER(field, metric, help)                                                      \
    {{PART_HTTP, offsetof(struct quo_http_stats, field)}, metric, help},
#include "proxy/http/counters.def"
#undef QUO_SERVICE_COUNTER
#undef QUO_NET_COUNTER
#undef QUO_HTTP_COUNTER
};

static void add_counters(const struct quo_http_sources *sources, struct quo_text *text)
{
    for (size_t i = 0; i < QUO_COUNT(counters); i++) {
        quo_metric_head(text, counters[i].metric, "counter", counters[i].help);
        quo_metric_value(text, counters[i].metric, "", sum(sources, counters[i].place, 0));
    }
}

static void add_durations(const struct quo_http_sources *sources, struct quo_text *text)
{
    const char *name = "quo_request_duration_seconds";
    const struct quo_histogram *histograms[QUO_LOOPS_MAX];
    char labels[64];

    quo_metric_head(text, name, "histogram", "Time from submission to answer of data operations.");
    for (int op = 0; op < 2; op++) {
        for (int level = QUO_LEVEL_EVENTUAL; level <= QUO_LEVEL_ALL; level++) {
            for (uint32_t i = 0; i < sources->loops; i++)
                histograms[i] = &sources->at[i].service->latency[op][level];
            snprintf(labels, sizeof labels, "op=\"%s\",level=\"%s\"", op_names[op],
                     quo_level_name((enum quo_level)level));
            quo_metric_histogram(text, name, labels, histograms, sources->loops);
        }
    }
}

/* A read never ends as written or declined, a write never as found, absent or unsatisfied, nor does
 * a read at another level than session. */
static bool may_end(bool is_write, int level, int verdict)
{
    switch (verdict) {
    case QUO_VERDICT_UNSATISFIED:
        return !is_write && level == QUO_LEVEL_SESSION;
    case QUO_VERDICT_FOUND:
    case QUO_VERDICT_ABSENT:
        return !is_write;
    case QUO_VERDICT_WRITTEN:
    case QUO_VERDICT_DECLINED:
        return is_write;
    default:
        return true;
    }
}

static void add_verdicts(const struct quo_http_sources *sources, struct quo_text *text)
{
    const char *name = "quo_requests_total";
    char labels[96];

    quo_metric_head(text, name, "counter", "Data operations by how they ended.");
    for (int op = 0; op < 2; op++) {
        for (int level = QUO_LEVEL_EVENTUAL; level <= QUO_LEVEL_ALL; level++) {
            for (int verdict = QUO_VERDICT_FOUND; verdict < (int)QUO_VERDICTS; verdict++) {
                uint64_t count = sum(sources, SERVICE(verdicts[op][level]), (size_t)verdict);

                if (count == 0 && !may_end(op == 1, level, verdict))
                    continue;
                snprintf(labels, sizeof labels, "op=\"%s\",level=\"%s\",verdict=\"%s\"",
                         op_names[op], quo_level_name((enum quo_level)level),
                         verdict_names[verdict]);
                quo_metric_value(text, name, labels, count);
            }
        }
    }
}

static void add_scans(const struct quo_http_sources *sources, struct quo_text *text)
{
    const char *name = "quo_scans_total", *duration = "quo_scan_duration_seconds";
    static const enum quo_verdict ends[] = {QUO_VERDICT_FOUND, QUO_VERDICT_UNAVAILABLE,
                                            QUO_VERDICT_TIMEOUT, QUO_VERDICT_REFUSED};
    const struct quo_histogram *histograms[QUO_LOOPS_MAX];
    char labels[32];

    quo_metric_head(text, name, "counter", "Scans of a partition by how they ended.");
    for (size_t i = 0; i < QUO_COUNT(ends); i++) {
        snprintf(labels, sizeof labels, "verdict=\"%s\"", verdict_names[ends[i]]);
        quo_metric_value(text, name, labels, sum(sources, SERVICE(scan_verdicts), ends[i]));
    }
    quo_metric_head(text, duration, "histogram", "Time from a scan's beginning to its answer.");
    for (uint32_t i = 0; i < sources->loops; i++)
        histograms[i] = &sources->at[i].service->scan_latency;
    quo_metric_histogram(text, duration, "", histograms, sources->loops);
}

static void add_responses(const struct quo_http_sources *sources, struct quo_text *text)
{
    const char *name = "quo_http_responses_total";
    char labels[32];

    quo_metric_head(text, name, "counter", "Responses by status code.");
    for (int status = 100; status < 600; status++) {
        uint64_t count = sum(sources, HTTP(responses), (size_t)status);

        if (count == 0)
            continue;
        snprintf(labels, sizeof labels, "code=\"%d\"", status);
        quo_metric_value(text, name, labels, count);
    }
}

static void add_floods(const struct quo_http_sources *sources, struct quo_text *text)
{
    const char *name = "quo_http_floods_total";
    char labels[32];

    quo_metric_head(text, name, "counter", "HTTP/2 connections closed for a flood of frames.");
    for (int flood = QUO_FLOOD_NONE + 1; flood < QUO_FLOOD_COUNT; flood++) {
        snprintf(labels, sizeof labels, "kind=\"%s\"", quo_flood_name((enum quo_flood)flood));
        quo_metric_value(text, name, labels, sum(sources, HTTP(floods), (size_t)flood));
    }
}

uint64_t quo_http_lacking(const struct quo_http_sources *sources)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < sources->loops; i++)
        most = QUO_MAX(most, quo_counted(&sources->at[i].http->lacking));
    return most;
}

static void add_gauge(struct quo_text *text, const char *name, const char *help, uint64_t value)
{
    quo_metric_head(text, name, "gauge", help);
    quo_metric_value(text, name, "", value);
}

static void add_gauges(const struct quo_http_sources *sources, struct quo_text *text)
{
    /* What ends is read before what begins, so that no difference is below zero. */
    uint64_t closed = sum(sources, HTTP(closed), 0);
    uint64_t tls_closed = sum(sources, HTTP(tls_closed), 0);
    uint64_t ended = sum(sources, HTTP(cancelled), 0);

    for (size_t status = 100; status < 600; status++)
        ended += sum(sources, HTTP(responses), status);
    add_gauge(text, "quo_http_connections", "Connections that are open.",
              sum(sources, HTTP(accepted), 0) - closed);
    add_gauge(text, "quo_tls_connections", "Of those, the ones that speak TLS.",
              sum(sources, HTTP(tls_handshakes), 0) - tls_closed);
    add_gauge(text, "quo_http_requests_waiting", "Requests that wait for their answer.",
              sum(sources, HTTP(requests), 0) - ended);
    add_gauge(text, "quo_partitions_lacking_quorum",
              "Partitions whose strong operations would fail now.", quo_http_lacking(sources));
    if (sources->tls != NULL)
        add_gauge(text, "quo_tls_certificate_expires_seconds",
                  "When the certificate in use ends, in seconds since 1970.",
                  (uint64_t)quo_tls_expires(sources->tls));
}

void quo_http_exposition(const struct quo_http_sources *sources, struct quo_text *text)
{
    quo_metric_head(text, "quo_build_info", "gauge", "Always 1; the label is the release.");
    quo_metric_value(text, "quo_build_info", "release=\"" QUO_RELEASE "\"", 1);
    add_durations(sources, text);
    add_verdicts(sources, text);
    add_scans(sources, text);
    add_counters(sources, text);
    add_gauges(sources, text);
    add_responses(sources, text);
    add_floods(sources, text);
    quo_metric_process(text);
}
