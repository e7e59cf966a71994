/* Health and metrics of a node over HTTP: GET /livez, /readyz, /metrics. For operators and their
 * probes, not for strangers: bind it to a private address.
 *
 * Threads: everything in the loop's thread.
 */
#ifndef QUORATE_NODE_ADMIN_H
#define QUORATE_NODE_ADMIN_H

#include "quorate/loop.h"
#include "quorate/metrics.h"
#include "quorate/net.h"
#include "storage-node/server/server.h"

struct quo_admin;

struct quo_admin_options {
    struct quo_loop *loop;
    int listener;                    /* a listening socket; the admin owns it once it is made */
    const struct quo_server *server; /* borrowed; these two outlive the admin */
    const struct quo_net_stats *net;
    /* What only the engine knows: its figures, and why it failed last ("" for nothing). */
    void (*engine_metrics)(void *context, struct quo_text *text);
    const char *(*engine_failure)(void *context);
    void *context;
};

/* Returns NULL when out of memory. */
struct quo_admin *quo_admin_new(const struct quo_admin_options *options);
/* From here on /readyz says that the node is stopping. */
void quo_admin_drain(struct quo_admin *admin);
/* Hangs up on everybody, running turns of the loop for that, and frees. NULL is fine. */
void quo_admin_free(struct quo_admin *admin);

/* The pages, apart from HTTP. */

/* Whether the node should get requests, with a line that says why not. */
bool quo_admin_ready(const struct quo_admin_options *options, bool draining, struct quo_text *text);
void quo_admin_metrics(const struct quo_admin_options *options, struct quo_text *text);

#endif
