#include "proxy/http/server_h2o.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define ACCEPTS_PER_TURN 64
/* Read buffers kept for requests under way; the library keeps 16 and asks malloc for the others. */
#define READ_BUFFERS_KEPT 256u
#define SWEEP_US 1000000u
#define LOOK_US 100000u /* while some partitions lack a quorum */
/* Bodies that are longer than allowed, but not by more, get an answer of ours and keep their
 * connection. */
#define ENTITY_SLACK (1024u * 1024 + 64u * 1024)

static void pause_accepting(struct quo_http_listener *listener, _Atomic uint64_t *counter)
{
    h2o_socket_read_stop(listener->socket);
    listener->accepting = false;
    quo_count(counter, 1);
}

static bool has_room(const struct quo_http_listener *listener)
{
    const struct quo_http *http = listener->http;

    return http->connection_count < http->options.connections_max &&
           (!listener->secure || http->handshakes < QUO_HTTP_HANDSHAKES_MAX);
}

static void on_accept(h2o_socket_t *listening, const char *err)
{
    struct quo_http_listener *listener = listening->data;
    struct quo_http *http = listener->http;

    if (err != NULL)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        h2o_socket_t *socket;

        if (!has_room(listener)) {
            pause_accepting(listener, &http->stats.accept_pauses);
            return;
        }
        socket = h2o_evloop_socket_accept(listening);
        if (socket == NULL) {
            /* Without descriptors or memory the listener stays readable: wait for the sweep. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(listener, &http->stats.accept_failures);
            return;
        }
        quo_connection_open(listener, socket);
    }
}

void quo_http_resume_accepting(struct quo_http *http)
{
    for (size_t i = 0; i < QUO_COUNT(http->listeners); i++) {
        struct quo_http_listener *listener = &http->listeners[i];

        if (listener->socket == NULL || listener->accepting || !has_room(listener))
            continue;
        listener->accepting = true;
        h2o_socket_read_start(listener->socket, on_accept);
    }
}

static void listen_on(struct quo_http *http, struct quo_http_listener *listener, int fd,
                      bool secure)
{
    *listener = (struct quo_http_listener){.http = http, .secure = secure};
    if (fd < 0)
        return;
    listener->socket = h2o_evloop_socket_create(quo_loop_native(http->options.loop), fd,
                                                H2O_SOCKET_FLAG_DONT_READ);
    listener->socket->data = listener;
}

static void stop_listening(struct quo_http_listener *listener)
{
    if (listener->socket == NULL)
        return;
    if (listener->accepting)
        h2o_socket_read_stop(listener->socket);
    h2o_socket_close(listener->socket);
    listener->socket = NULL;
}

/* Responses that clients do not take hold memory. */
static void cut_stuck(struct quo_http *http, uint64_t now_us)
{
    uint64_t limit_us = (uint64_t)http->options.write_timeout_ms * 1000;

    for (h2o_linklist_t *at = http->unsent.next; at != &http->unsent; at = at->next) {
        struct quo_exchange *exchange = QUO_CONTAINER_OF(at, struct quo_exchange, link);

        if (exchange->answered_us + limit_us > now_us)
            return;
        if (!exchange->connection->cut) {
            quo_count(&http->stats.stuck_writes, 1);
            quo_connection_cut(exchange->connection);
        }
    }
}

static uint64_t sweep_connections(struct quo_http *http, uint64_t now_us)
{
    uint64_t held = 0;

    for (h2o_linklist_t *at = http->connections.next; at != &http->connections; at = at->next)
        held += quo_connection_sweep(QUO_CONTAINER_OF(at, struct quo_connection, link), now_us);
    return held;
}

/* Gives up connections with large unfinished requests until the rest is within the limit. */
static void cut_largest(struct quo_http *http, uint64_t held, uint64_t now_us)
{
    for (h2o_linklist_t *at = http->connections.next;
         at != &http->connections && held > QUO_HTTP_INPUT_MAX; at = at->next) {
        struct quo_connection *connection = QUO_CONTAINER_OF(at, struct quo_connection, link);
        uint64_t own = quo_connection_sweep(connection, now_us);

        if (own < QUO_HTTP_INPUT_LARGE || connection->cut)
            continue;
        quo_count(&http->stats.input_cuts, 1);
        quo_connection_cut(connection);
        held -= own;
    }
}

void quo_http_look(struct quo_http *http)
{
    uint32_t lacking = 0;

    quo_service_ready(http->options.service, &lacking);
    atomic_store_explicit(&http->stats.lacking, lacking, memory_order_relaxed);
}

static uint64_t look_deadline(struct quo_timed *timed)
{
    return QUO_CONTAINER_OF(timed, struct quo_http, look)->next_look_us;
}

/* The other loops' answers to /readyz depend on ours. */
static void on_look(struct quo_timed *timed, uint64_t now_us)
{
    struct quo_http *http = QUO_CONTAINER_OF(timed, struct quo_http, look);

    quo_http_look(http);
    http->next_look_us = now_us + (quo_counted(&http->stats.lacking) > 0 ? LOOK_US : SWEEP_US);
}

static uint64_t sweep_deadline(struct quo_timed *timed)
{
    return QUO_CONTAINER_OF(timed, struct quo_http, sweep)->next_sweep_us;
}

static void on_sweep(struct quo_timed *timed, uint64_t now_us)
{
    struct quo_http *http = QUO_CONTAINER_OF(timed, struct quo_http, sweep);
    uint64_t held;

    http->next_sweep_us = now_us + SWEEP_US;
    cut_stuck(http, now_us);
    held = sweep_connections(http, now_us);
    if (held > QUO_HTTP_INPUT_MAX)
        cut_largest(http, held, now_us);
    quo_http_resume_accepting(http);
}

size_t quo_http_value_max(const struct quo_map *map)
{
    size_t max = 0;

    for (uint32_t i = 0; i < map->namespace_count; i++)
        max = QUO_MAX(max, map->namespaces[i].value_max);
    return max;
}

static void configure(struct quo_http *http)
{
    h2o_globalconf_t *config = &http->config;
    h2o_hostconf_t *host;
    struct quo_http_handler *handler;

    h2o_config_init(config);
    config->server_name = h2o_iovec_init("", 0);
    config->max_request_entity_size =
        QUO_MAX(quo_http_value_max(http->options.map), QUO_HTTP_BATCH_BODY_MAX) + ENTITY_SLACK;
    config->http1.upgrade_to_http2 = 0; /* connections are told apart by their first bytes */
    /* The sweep is meant to be first; this is one limit for idleness, head and body together. */
    config->http1.req_timeout =
        (uint64_t)http->options.idle_timeout_ms + http->options.request_timeout_ms + 5000;
    config->http2.idle_timeout = http->options.idle_timeout_ms;
    host = h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    handler = (struct quo_http_handler *)(void *)h2o_create_handler(&host->fallback_path,
                                                                    sizeof *handler);
    handler->super.on_req = quo_exchange_begin;
    handler->http = http;
    quo_own_errors_register(http, &host->fallback_path);
}

/* Large bodies stay in memory, which is bounded, instead of becoming files in /tmp. */
static void keep_bodies_in_memory(void)
{
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;
}

struct quo_http *quo_http_new(const struct quo_http_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct quo_http *http = calloc(1, sizeof *http);

    if (http == NULL)
        return NULL;
    pthread_once(&once, keep_bodies_in_memory);
    http->options = *options;
    http->env = quo_loop_env(options->loop);
    http->exchanges.max = 1024;
    h2o_socket_buffer_prototype.allocator.max = READ_BUFFERS_KEPT;
    http->id_base = quo_random(http->env);
    h2o_linklist_init_anchor(&http->connections);
    h2o_linklist_init_anchor(&http->unsent);
    configure(http);
    h2o_context_init(&http->context, quo_loop_native(options->loop), &http->config);
    http->accept = (h2o_accept_ctx_t){.ctx = &http->context, .hosts = http->config.hosts};
    http->sweep.deadline = sweep_deadline;
    http->sweep.expire = on_sweep;
    http->next_sweep_us = quo_mono_us(http->env) + SWEEP_US;
    quo_loop_add_timed(options->loop, &http->sweep);
    quo_http_look(http);
    http->look.deadline = look_deadline;
    http->look.expire = on_look;
    quo_loop_add_timed(options->loop, &http->look);
    listen_on(http, &http->listeners[0], options->listener, false);
    listen_on(http, &http->listeners[1], options->tls_listener, true);
    quo_http_resume_accepting(http);
    return http;
}

const struct quo_http_stats *quo_http_stats(const struct quo_http *http)
{
    return &http->stats;
}

void quo_http_drain(struct quo_http *http)
{
    if (http->draining)
        return;
    http->draining = true;
    for (size_t i = 0; i < QUO_COUNT(http->listeners); i++)
        stop_listening(&http->listeners[i]);
    h2o_context_request_shutdown(&http->context);
    sweep_connections(http, quo_mono_us(http->env));
}

bool quo_http_drained(const struct quo_http *http)
{
    return http->draining && http->connection_count == 0;
}
