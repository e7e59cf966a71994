#include "storage-node/admin/admin.h"

#include <inttypes.h>
#include <stdio.h>

bool quo_admin_ready(const struct quo_admin_options *options, bool draining, struct quo_text *text)
{
    const char *failure = options->engine_failure(options->context);

    if (draining) {
        quo_text_add(text, "not ready: stopping\n");
    } else if (!quo_server_writable(options->server)) {
        quo_text_add(text, "not ready: takes no writes: %s\n",
                     failure[0] != '\0' ? failure : "the storage failed");
    } else if (!quo_server_serving(options->server)) {
        quo_text_add(text, "not ready: starting\n");
    } else {
        quo_text_add(text, "ready\n");
        return true;
    }
    return false;
}

static void add_counter(struct quo_text *text, const char *name, const char *help,
                        const _Atomic uint64_t *counter)
{
    quo_metric_head(text, name, "counter", help);
    quo_metric_value(text, name, "", quo_counted(counter));
}

static void add_gauge(struct quo_text *text, const char *name, const char *help, bool value)
{
    quo_metric_head(text, name, "gauge", help);
    quo_metric_value(text, name, "", value);
}

/* Of each node that hints are kept for. */
static void add_hints(struct quo_text *text, const char *name, const char *type, const char *help,
                      const struct quo_server_hints *hints, size_t count, size_t field)
{
    char label[32];

    quo_metric_head(text, name, type, help);
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&hints[i] + field, sizeof value);
        snprintf(label, sizeof label, "target=\"%016" PRIx64 "\"", hints[i].target);
        quo_metric_value(text, name, label, value);
    }
}

static void add_all_hints(struct quo_text *text, const struct quo_server *server)
{
    struct quo_server_hints hints[QUO_NODES_MAX];
    size_t count = quo_server_hints(server, hints);

#define QUO_HINTS(field, type, metric, help)                                                       \
    add_hints(text, metric, type, help, hints, count, offsetof(struct quo_server_hints, field));
#include "storage-node/admin/hints.def"
#undef QUO_HINTS
}

void quo_admin_metrics(const struct quo_admin_options *options, struct quo_text *text)
{
    static const char refused[] = "quorate_node_answers_total";
    static const char unequal[] = "quorate_node_unequal_seconds";
    static const char differing[] = "quorate_node_pairs_differing";
    static const char tombstones[] = "quorate_node_tombstones";
    static const char commit[] = "quorate_node_commit_seconds";
    const struct quo_server_stats *server = quo_server_stats(options->server);
    const struct quo_net_stats *net = options->net;
    const struct quo_histogram *commits = &server->commit_time;

#define QUO_COUNTER(where, field, metric, help) add_counter(text, metric, help, &where->field);
#include "storage-node/admin/counters.def"
#undef QUO_COUNTER

    quo_metric_head(text, refused, "counter", "Requests that were answered with a status but ok.");
#define QUO_REFUSAL(field, status)                                                                 \
    quo_metric_value(text, refused, "status=\"" status "\"", quo_counted(&server->field));
#include "storage-node/admin/refusals.def"
#undef QUO_REFUSAL

    add_all_hints(text, options->server);
    quo_metric_head(text, commit, "histogram", "From the start of a commit to its completion.");
    quo_metric_histogram(text, commit, "", &commits, 1);
    quo_metric_head(
        text, unequal, "gauge",
        "How long ago the partition and peer were found equal that were so least lately.");
    quo_metric_value(text, unequal, "", quo_server_unequal_us(options->server) / 1000000);
    quo_metric_head(text, differing, "gauge",
                    "Partitions and peers that were different when last compared.");
    quo_metric_value(text, differing, "", quo_server_differing(options->server));
    quo_metric_head(text, tombstones, "gauge",
                    "Deletes, and values that expire, that are kept here.");
    quo_metric_value(text, tombstones, "", quo_server_tombstones(options->server));
    add_gauge(text, "quorate_node_serving", "Whether requests are served.",
              quo_server_serving(options->server));
    add_gauge(text, "quorate_node_writable", "Whether writes are taken.",
              quo_server_writable(options->server));
    options->engine_metrics(options->context, text);
    quo_metric_process(text);
}
