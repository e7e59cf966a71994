#include <errno.h>
#include <h2o.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "storage-node/admin/admin.h"

/* Probes and scrapers are few. Over this, further ones wait to be accepted. */
#define CONNECTIONS_MAX 64
#define PAUSE_US 1000000u
#define REQUEST_TIMEOUT_MS 5000
#define ENTITY_MAX 1024
#define HANG_UP_TURNS 100

struct connection {
    struct quo_admin *admin;
    h2o_socket_t *socket;
    h2o_linklist_t link;
};

struct quo_admin {
    struct quo_admin_options options;
    bool draining;
    bool hanging_up; /* what the pages tell of may be gone */
    struct quo_timed resume;
    uint64_t resume_us; /* UINT64_MAX while accepting */
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;
    size_t connection_count;
    h2o_linklist_t connections;
};

struct handler {
    h2o_handler_t super;
    struct quo_admin *admin;
};

/* Pages. */

static void answer(h2o_req_t *req, int status, const char *reason, const char *type,
                   const char *body, size_t len)
{
    h2o_generator_t *generator = h2o_mem_alloc_pool(&req->pool, sizeof(*generator));
    h2o_iovec_t copy = h2o_strdup(&req->pool, body, len);

    *generator = (h2o_generator_t){NULL, NULL};
    req->res.status = status;
    req->res.reason = reason;
    req->res.content_length = len;
    /* One request each: then none is idle when the node stops. */
    req->http1_is_persistent = 0;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type, strlen(type));
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   H2O_STRLIT("no-store"));
    h2o_start_response(req, generator);
    h2o_send(req, &copy, 1, H2O_SEND_STATE_FINAL);
}

static void answer_text(h2o_req_t *req, int status, const char *reason, const char *body)
{
    answer(req, status, reason, "text/plain; charset=utf-8", body, strlen(body));
}

static void answer_ready(h2o_req_t *req, struct quo_admin *admin)
{
    struct quo_text text = {0};

    if (quo_admin_ready(&admin->options, admin->draining, &text))
        answer_text(req, 200, "OK", "ready\n");
    else
        answer_text(req, 503, "Service Unavailable", text.failed ? "not ready\n" : text.data);
    quo_text_free(&text);
}

static void answer_metrics(h2o_req_t *req, struct quo_admin *admin)
{
    struct quo_text text = {0};

    quo_admin_metrics(&admin->options, &text);
    if (text.failed)
        answer_text(req, 503, "Service Unavailable", "out of memory\n");
    else
        answer(req, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", text.data, text.size);
    quo_text_free(&text);
}

static bool is_path(const h2o_req_t *req, const char *path)
{
    size_t len = req->query_at != SIZE_MAX ? req->query_at : req->path.len;
    return quo_slice_equal(quo_slice(req->path.base, len), quo_slice_of(path));
}

static int on_request(h2o_handler_t *super, h2o_req_t *req)
{
    struct quo_admin *admin = ((struct handler *)(void *)super)->admin;
    struct quo_slice method = quo_slice(req->method.base, req->method.len);

    if (admin->hanging_up) {
        answer_text(req, 503, "Service Unavailable", "stopped\n");
    } else if (!is_path(req, "/livez") && !is_path(req, "/readyz") && !is_path(req, "/metrics")) {
        answer_text(req, 404, "Not Found", "there are /livez, /readyz and /metrics\n");
    } else if (!quo_slice_equal(method, quo_slice_of("GET")) &&
               !quo_slice_equal(method, quo_slice_of("HEAD"))) {
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ALLOW, NULL,
                       H2O_STRLIT("GET, HEAD"));
        answer_text(req, 405, "Method Not Allowed", "GET or HEAD\n");
    } else if (is_path(req, "/livez")) {
        answer_text(req, 200, "OK", "alive\n");
    } else if (is_path(req, "/readyz")) {
        answer_ready(req, admin);
    } else {
        answer_metrics(req, admin);
    }
    return 0;
}

/* Connections. */

static void on_close(void *data)
{
    struct connection *connection = data;

    h2o_linklist_unlink(&connection->link);
    connection->admin->connection_count--;
    free(connection);
}

static void open_connection(struct quo_admin *admin, h2o_socket_t *socket)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL) {
        h2o_socket_close(socket);
        return;
    }
    connection->admin = admin;
    connection->socket = socket;
    h2o_linklist_insert(&admin->connections, &connection->link);
    admin->connection_count++;
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    h2o_accept(&admin->accept, socket);
}

/* While it cannot take one, the listener stays readable: look again later, not in every turn. */
static void pause_accepting(struct quo_admin *admin)
{
    h2o_socket_read_stop(admin->listener);
    admin->resume_us = quo_mono_us(quo_loop_env(admin->options.loop)) + PAUSE_US;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    struct quo_admin *admin = listener->data;
    h2o_socket_t *socket;

    if (err != NULL)
        return;
    if (admin->connection_count >= CONNECTIONS_MAX) {
        pause_accepting(admin);
        return;
    }
    socket = h2o_evloop_socket_accept(listener);
    if (socket != NULL)
        open_connection(admin, socket);
    else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        pause_accepting(admin);
}

static uint64_t resume_deadline(struct quo_timed *timed)
{
    return QUO_CONTAINER_OF(timed, struct quo_admin, resume)->resume_us;
}

static void resume_accepting(struct quo_timed *timed, uint64_t mono_us)
{
    struct quo_admin *admin = QUO_CONTAINER_OF(timed, struct quo_admin, resume);

    (void)mono_us;
    admin->resume_us = UINT64_MAX;
    h2o_socket_read_start(admin->listener, on_accept);
}

/* Life. */

static void configure(struct quo_admin *admin)
{
    h2o_hostconf_t *host;
    struct handler *handler;

    h2o_config_init(&admin->config);
    admin->config.server_name = h2o_iovec_init("", 0);
    admin->config.max_request_entity_size = ENTITY_MAX;
    admin->config.http1.req_timeout = REQUEST_TIMEOUT_MS;
    admin->config.http1.upgrade_to_http2 = 0;
    host = h2o_config_register_host(&admin->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    handler = (struct handler *)(void *)h2o_create_handler(&host->fallback_path, sizeof(*handler));
    handler->super.on_req = on_request;
    handler->admin = admin;
}

static void listen_on(struct quo_admin *admin, int fd)
{
    admin->listener = h2o_evloop_socket_create(quo_loop_native(admin->options.loop), fd,
                                               H2O_SOCKET_FLAG_DONT_READ);
    admin->listener->data = admin;
    h2o_socket_read_start(admin->listener, on_accept);
}

struct quo_admin *quo_admin_new(const struct quo_admin_options *options)
{
    struct quo_admin *admin = calloc(1, sizeof(*admin));

    if (admin == NULL)
        return NULL;
    admin->options = *options;
    h2o_linklist_init_anchor(&admin->connections);
    configure(admin);
    h2o_context_init(&admin->context, quo_loop_native(options->loop), &admin->config);
    admin->accept = (h2o_accept_ctx_t){.ctx = &admin->context, .hosts = admin->config.hosts};
    listen_on(admin, options->listener);
    admin->resume_us = UINT64_MAX;
    admin->resume.deadline = resume_deadline;
    admin->resume.expire = resume_accepting;
    quo_loop_add_timed(options->loop, &admin->resume);
    return admin;
}

void quo_admin_drain(struct quo_admin *admin)
{
    admin->draining = true;
}

/* The library closes a connection when it reads its end; so give it one. */
static void hang_up(struct quo_admin *admin)
{
    h2o_linklist_t *at;

    admin->hanging_up = true;
    for (at = admin->connections.next; at != &admin->connections; at = at->next) {
        struct connection *connection = QUO_CONTAINER_OF(at, struct connection, link);
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
    }
    for (int i = 0; i < HANG_UP_TURNS && admin->connection_count > 0; i++)
        quo_loop_turn(admin->options.loop, 10);
}

void quo_admin_free(struct quo_admin *admin)
{
    h2o_multithread_queue_t *queue;

    if (admin == NULL)
        return;
    quo_loop_remove_timed(admin->options.loop, &admin->resume);
    h2o_socket_close(admin->listener);
    hang_up(admin);
    queue = admin->context.queue;
    h2o_context_dispose(&admin->context);
    free(queue); /* which the library closes only */
    h2o_config_dispose(&admin->config);
    free(admin);
}
