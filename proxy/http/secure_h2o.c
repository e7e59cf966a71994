/* Connections that speak TLS: their handshake, and their end when the client announces it. */
#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>

#include "proxy/http/server_h2o.h"
#include "quorate/log.h"

#define LOG_GAP_US 1000000u /* between two lines about handshakes that failed */

struct quo_secure {
    struct quo_connection *connection;
    struct ssl_ctx_st *context;
    bool shaking;
    bool established;
    bool http2;  /* was agreed upon */
    bool ending; /* no further request is wanted, or will come */
    h2o_timeout_entry_t ending_timer;
};

/* Handshake */

static void log_failure(struct quo_connection *connection, const char *why)
{
    struct quo_http *http = connection->http;
    const uint64_t now_us = quo_mono_us(http->env);
    struct sockaddr_storage address;
    struct sockaddr *at = (struct sockaddr *)&address;
    char from[NI_MAXHOST] = "?", quoted[200];

    if (now_us - http->handshake_logged_us < LOG_GAP_US) {
        http->handshakes_unlogged++;
        return;
    }
    if (h2o_socket_getpeername(connection->socket, at) > 0)
        h2o_socket_getnumerichost(at, sizeof address, from);
    quo_log(QUO_LOG_WARN, "tls.handshake_failed", "from=%s why=%s suppressed=%" PRIu64, from,
            quo_log_quote(quo_slice_of(why), quoted, sizeof quoted), http->handshakes_unlogged);
    http->handshake_logged_us = now_us;
    http->handshakes_unlogged = 0;
}

static void handshake_failed(struct quo_connection *connection, const char *err)
{
    quo_count(&connection->http->stats.tls_failures, 1);
    if (connection->cut)
        log_failure(connection, "too slow");
    else if (err != h2o_socket_error_closed && err != h2o_socket_error_io)
        log_failure(connection, quo_tls_failure());
    h2o_socket_close(connection->socket);
}

static void handshake_done(struct quo_connection *connection)
{
    struct quo_http_stats *stats = &connection->http->stats;
    struct quo_secure *secure = connection->secure;
    const h2o_iovec_t protocol = h2o_socket_ssl_get_selected_protocol(connection->socket);

    quo_count(&stats->tls_handshakes, 1);
    if (h2o_socket_get_ssl_session_reused(connection->socket) == 1)
        quo_count(&stats->tls_resumptions, 1);
    secure->established = true;
    secure->http2 = h2o_memis(protocol.base, protocol.len, H2O_STRLIT("h2"));
    connection->quiet_since = quo_mono_us(connection->http->env);
    quo_connection_await_first_bytes(connection);
}

static void on_handshake(h2o_socket_t *socket, const char *err)
{
    struct quo_connection *connection = quo_connection_of_socket(socket);
    struct quo_http *http = connection->http;

    connection->secure->shaking = false;
    http->handshakes--;
    if (err != NULL)
        handshake_failed(connection, err);
    else
        handshake_done(connection);
    quo_http_resume_accepting(http);
}

enum quo_http_version quo_secure_version(const struct quo_connection *connection)
{
    return connection->secure->http2 ? QUO_HTTP_2 : QUO_HTTP_1;
}

/* End */

static void on_ending(h2o_timeout_entry_t *entry)
{
    struct quo_connection *connection =
        QUO_CONTAINER_OF(entry, struct quo_secure, ending_timer)->connection;
    h2o_socket_t *socket = connection->socket;

    /* Of HTTP/1 requests those that have come are answered first; no more is read meanwhile. */
    if (connection->version == QUO_HTTP_1 && connection->open > 0)
        return;
    /* Who reads takes it like the end of a TCP stream and closes properly. What is neither read nor
     * answered has no future. */
    if (h2o_socket_is_reading(socket))
        socket->_cb.read(socket, h2o_socket_error_closed);
    else
        quo_connection_cut(connection);
}

/* At the end of the turn, since the socket may be in use now. */
static void end_soon(struct quo_connection *connection)
{
    struct quo_secure *secure = connection->secure;
    h2o_context_t *context = &connection->http->context;

    secure->ending = true;
    if (!h2o_timeout_is_linked(&secure->ending_timer))
        h2o_timeout_link(context->loop, &context->zero_timeout, &secure->ending_timer);
}

bool quo_secure_retire(struct quo_connection *connection)
{
    if (connection->secure->ending)
        return false;
    end_soon(connection);
    return true;
}

void quo_secure_request_gone(struct quo_connection *connection)
{
    if (connection->secure->ending)
        end_soon(connection);
}

/* The client has said its last word. What it sent after that the library would keep undecoded, all
 * of it. */
void quo_secure_on_end(void *transport)
{
    end_soon(quo_connection_of_socket(transport));
}

/* Life */

void quo_secure_begin(struct quo_connection *connection)
{
    struct quo_http *http = connection->http;
    struct quo_secure *secure = h2o_mem_alloc(sizeof *secure);
    struct sockaddr_storage address;

    *secure = (struct quo_secure){
        .connection = connection,
        .context = quo_tls_acquire(http->options.tls),
        .shaking = true,
        .ending_timer.cb = on_ending,
    };
    connection->secure = secure;
    http->handshakes++;
    /* Kept for log lines; who hangs up has none any more. */
    h2o_socket_getpeername(connection->socket, (struct sockaddr *)&address);
    h2o_socket_ssl_handshake(connection->socket, secure->context, NULL, on_handshake);
}

bool quo_secure_shaking(const struct quo_connection *connection)
{
    return connection->secure != NULL && connection->secure->shaking;
}

void quo_secure_free(struct quo_connection *connection)
{
    struct quo_secure *secure = connection->secure;

    if (secure == NULL)
        return;
    QUO_INVARIANT(!secure->shaking);
    if (secure->established)
        quo_count(&connection->http->stats.tls_closed, 1);
    h2o_timeout_unlink(&secure->ending_timer);
    quo_tls_release(secure->context);
    free(secure);
}
