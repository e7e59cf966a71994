#include "proxy/http/server_h2o.h"

#include <h2o/http1.h>
#include <h2o/http2.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "quorate/log.h"

#define PREFACE_START "PRI" /* of HTTP/2; no HTTP/1 method is called so */
#define PREFACE_START_LEN 3u
/* The library reads at least this much at once, and moves the buffer when there is less room. */
#define READ_ROOM 4096u

struct quo_connection *quo_connection_of_socket(h2o_socket_t *socket)
{
    return socket->on_close.data;
}

struct quo_connection *quo_connection_of(h2o_req_t *request)
{
    return quo_connection_of_socket(request->conn->callbacks->get_socket(request->conn));
}

static void on_close(void *data)
{
    struct quo_connection *connection = data;
    struct quo_http *http = connection->http;

    if (connection->ret_closed != NULL)
        *connection->ret_closed = true;
    while (!h2o_linklist_is_empty(&connection->pending))
        quo_exchange_disown(QUO_CONTAINER_OF(connection->pending.next, struct quo_exchange, link));
    h2o_linklist_unlink(&connection->link);
    http->connection_count--;
    quo_count(&http->stats.closed, 1);
    if (connection->guard != NULL)
        http->body_bytes -= connection->guard->body_bytes;
    free(connection->guard);
    quo_secure_free(connection);
    free(connection);
    quo_http_resume_accepting(http);
}

void quo_connection_cut(struct quo_connection *connection)
{
    /* Reads and writes fail from now on; the library notices and cleans up by itself. */
    connection->cut = true;
    shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

void quo_connection_flooded(struct quo_connection *connection, enum quo_flood flood)
{
    struct quo_http *http = connection->http;
    uint64_t now_us = quo_mono_us(http->env);

    if (connection->cut)
        return;
    quo_count(&http->stats.floods[flood], 1);
    if (now_us - http->flood_logged_us >= 1000000) {
        http->flood_logged_us = now_us;
        quo_log(QUO_LOG_WARN, "http.flood", "kind=%s", quo_flood_name(flood));
    }
    quo_connection_cut(connection);
}

/* Shows new bytes to the guard, and keeps the sum of all connections. */
static enum quo_flood watch(struct quo_connection *connection, struct quo_slice bytes)
{
    struct quo_http *http = connection->http;
    struct quo_guard *guard = connection->guard;
    h2o_socket_t *socket = connection->socket;
    bool deaf = h2o_socket_is_writing(socket) && socket->bytes_written == connection->bytes_written;
    enum quo_flood flood;

    connection->bytes_written = socket->bytes_written;
    guard->whole_blocks = http->draining;
    http->body_bytes -= guard->body_bytes;
    flood = quo_guard_feed(guard, bytes, deaf, quo_mono_us(http->env));
    http->body_bytes += guard->body_bytes;
    if (flood == QUO_FLOOD_NONE && http->body_bytes > QUO_HTTP_INPUT_MAX &&
        guard->body_bytes > QUO_HTTP_INPUT_LARGE)
        flood = QUO_FLOOD_BODIES;
    return flood;
}

/* Stands before the library's reader of an HTTP/2 connection. */
static void on_http2_read(h2o_socket_t *socket, const char *err)
{
    struct quo_connection *connection = quo_connection_of_socket(socket);
    const h2o_buffer_t *input = socket->input;
    h2o_socket_cb library_read = connection->library_read;

    if (err != NULL) {
        connection->cut = true;
    } else if (socket->bytes_read > 0) {
        enum quo_flood flood =
            watch(connection,
                  quo_slice(input->bytes + input->size - socket->bytes_read, socket->bytes_read));

        if (flood != QUO_FLOOD_NONE) {
            quo_connection_flooded(connection, flood);
            err = h2o_socket_error_io;
        }
    }
    library_read(socket, err);
}

static void become_http2(struct quo_connection *connection, struct timeval connected_at)
{
    struct quo_http *http = connection->http;
    h2o_socket_t *socket = connection->socket;
    bool closed = false;
    enum quo_flood flood;

    connection->version = QUO_HTTP_2;
    connection->guard = h2o_mem_alloc(sizeof *connection->guard);
    quo_guard_init(connection->guard);
    quo_count(&http->stats.http2, 1);
    flood = watch(connection, quo_slice(socket->input->bytes, socket->input->size));
    if (flood != QUO_FLOOD_NONE) {
        quo_connection_flooded(connection, flood);
        h2o_socket_close(socket);
        return;
    }
    connection->ret_closed = &closed;
    h2o_http2_accept(&http->accept, socket, connected_at);
    if (closed)
        return;
    connection->ret_closed = NULL;
    /* Reading is stopped only when the connection is about to end. */
    if (h2o_socket_is_reading(socket)) {
        connection->library_read = socket->_cb.read;
        h2o_socket_read_start(socket, on_http2_read);
    }
}

/* By what has come so far. */
static enum quo_http_version version_of(const struct quo_connection *connection)
{
    const h2o_buffer_t *input = connection->socket->input;
    size_t known = QUO_MIN(input->size, PREFACE_START_LEN);

    if (known == 0)
        return QUO_HTTP_UNKNOWN;
    if (connection->secure != NULL)
        return quo_secure_version(connection);
    if (memcmp(input->bytes, PREFACE_START, known) != 0)
        return QUO_HTTP_1;
    return known == PREFACE_START_LEN ? QUO_HTTP_2 : QUO_HTTP_UNKNOWN;
}

static void on_first_bytes(h2o_socket_t *socket, const char *err)
{
    struct quo_connection *connection = quo_connection_of_socket(socket);
    enum quo_http_version version;
    uint64_t now_ms = quo_wall_ms(connection->http->env);
    struct timeval now = {.tv_sec = (time_t)(now_ms / 1000),
                          .tv_usec = (suseconds_t)(now_ms % 1000 * 1000)};

    if (err != NULL) {
        h2o_socket_close(socket);
        return;
    }
    version = version_of(connection);
    if (version == QUO_HTTP_1) {
        connection->version = QUO_HTTP_1;
        h2o_http1_accept(&connection->http->accept, socket, now);
    } else if (version == QUO_HTTP_2) {
        become_http2(connection, now);
    }
}

void quo_connection_await_first_bytes(struct quo_connection *connection)
{
    h2o_socket_t *socket = connection->socket;

    h2o_socket_read_start(socket, on_first_bytes);
    if (socket->input->size > 0)
        on_first_bytes(socket, NULL);
}

void quo_connection_open(const struct quo_http_listener *listener, h2o_socket_t *socket)
{
    struct quo_http *http = listener->http;
    struct quo_connection *connection = h2o_mem_alloc(sizeof *connection);

    memset(connection, 0, sizeof *connection);
    connection->http = http;
    connection->socket = socket;
    connection->quiet_since = quo_mono_us(http->env);
    h2o_linklist_init_anchor(&connection->pending);
    h2o_linklist_insert(&http->connections, &connection->link);
    http->connection_count++;
    quo_count(&http->stats.accepted, 1);
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    if (listener->secure)
        quo_secure_begin(connection);
    else
        quo_connection_await_first_bytes(connection);
}

static void on_read_while_pending(h2o_socket_t *socket, const char *err)
{
    struct quo_connection *connection = quo_connection_of_socket(socket);

    /* The next request's bytes wait in the buffer. A client that closed may have closed only its
     * sending side, so it still gets its answer. */
    h2o_socket_read_stop(socket);
    if (err != NULL && connection->armed != NULL)
        connection->armed->http1_is_persistent = 0;
}

void quo_connection_arm(struct quo_connection *connection, h2o_req_t *request)
{
    h2o_socket_t *socket = connection->socket;
    const h2o_buffer_t *input = socket->input;
    size_t used = (size_t)(input->bytes - input->_buf) + input->size;

    if (connection->version != QUO_HTTP_1 || input->capacity - used < READ_ROOM)
        return;
    connection->armed = request;
    h2o_socket_read_start(socket, on_read_while_pending);
}

static void cut_counted(struct quo_connection *connection, _Atomic uint64_t *counter)
{
    quo_count(counter, 1);
    quo_connection_cut(connection);
}

/* Ends an idle connection. Whether that was begun only now. */
static bool retire(struct quo_connection *connection)
{
    if (connection->secure != NULL && quo_secure_retire(connection))
        return true;
    quo_connection_cut(connection);
    return connection->secure == NULL;
}

static void sweep_handshake(struct quo_connection *connection, uint64_t now_us)
{
    struct quo_http *http = connection->http;

    if (http->draining)
        quo_connection_cut(connection);
    else if (now_us - connection->quiet_since > (uint64_t)http->options.request_timeout_ms * 1000)
        cut_counted(connection, &http->stats.tls_slow);
}

/* The library says goodbye to an idle connection properly, and listens until then; what is left
 * after that is a write. */
static void sweep_http2(struct quo_connection *connection, uint64_t now_us)
{
    struct quo_http *http = connection->http;

    if (h2o_socket_is_reading(connection->socket))
        connection->partial_since = 0;
    else if (connection->partial_since == 0)
        connection->partial_since = now_us;
    else if (now_us - connection->partial_since > (uint64_t)http->options.write_timeout_ms * 1000)
        cut_counted(connection, &http->stats.stuck_writes);
}

/* Between requests: idle too long, or a request that does not arrive? */
static void sweep_waiting(struct quo_connection *connection, uint64_t now_us)
{
    struct quo_http *http = connection->http;

    if (connection->socket->input->size == 0) {
        uint64_t limit_us = (uint64_t)http->options.idle_timeout_ms * 1000;

        connection->partial_since = 0;
        if (http->draining)
            retire(connection);
        else if (now_us - connection->quiet_since > limit_us && retire(connection))
            quo_count(&http->stats.idle_closed, 1);
    } else if (connection->partial_since == 0) {
        connection->partial_since = now_us;
    } else if (now_us - connection->partial_since >
               (uint64_t)http->options.request_timeout_ms * 1000) {
        cut_counted(connection, &http->stats.slow_requests);
    }
}

uint64_t quo_connection_sweep(struct quo_connection *connection, uint64_t now_us)
{
    if (connection->cut)
        return 0;
    if (quo_secure_shaking(connection)) {
        sweep_handshake(connection, now_us);
        return 0;
    }
    if (connection->version == QUO_HTTP_2) {
        sweep_http2(connection, now_us);
        return connection->guard->body_bytes + connection->socket->input->size;
    }
    if (connection->open > 0)
        return 0;
    sweep_waiting(connection, now_us);
    return connection->socket->input->size;
}
