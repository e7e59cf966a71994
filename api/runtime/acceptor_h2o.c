#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "api/runtime/link.h"
#include "api/runtime/loop_h2o.h"
#include "quorate/log.h"
#include "quorate/net.h"

/* Connections taken in one go; the others wait for the next turn. */
#define ACCEPTS_PER_TURN 64
/* How long no connection is accepted after the process ran out of descriptors. */
#define EXHAUSTED_PAUSE_US 1000000u
/* A peer number is a count of connections, so that none comes twice, above its slot. */
#define SLOT_BITS 16
_Static_assert(QUO_NODE_CONNS_MAX <= 1u << SLOT_BITS, "a slot fits in a peer number");

struct connection {
    struct quo_link link;
    struct quo_acceptor *acceptor;
    uint64_t peer;
    bool is_up;
    bool is_proxy; /* its HELLO named no replica */
    char from[64]; /* its address, for log lines */
};

struct quo_acceptor {
    struct quo_transport transport;
    struct quo_timed timed;
    struct quo_loop *loop;
    struct quo_msg_hello hello;
    h2o_socket_t *listener; /* NULL once closed */
    uint16_t port;          /* for log lines */
    bool paused;
    uint64_t resume_us; /* when paused */
    uint64_t tick_us;
    struct quo_net_stats stats;
    struct quo_link_gate gate;
    uint64_t accepted;
    uint32_t free_count;
    uint16_t free_slots[QUO_NODE_CONNS_MAX];
    uint32_t last_proxy; /* slot of the one that was named last */
    struct connection *slots[QUO_NODE_CONNS_MAX];
};

static uint64_t now_us(struct quo_acceptor *acceptor)
{
    return quo_mono_us(quo_loop_env(acceptor->loop));
}

/* Events of links */

static struct connection *connection_of(struct quo_link *link)
{
    return QUO_CONTAINER_OF(link, struct connection, link);
}

static uint32_t slot_of(uint64_t peer)
{
    return (uint32_t)(peer & ((1u << SLOT_BITS) - 1));
}

static enum quo_status on_hello(struct quo_link *link, const struct quo_msg_hello *hello)
{
    connection_of(link)->is_proxy = hello->replica == 0;
    return hello->cluster == link->hello.cluster ? QUO_OK : QUO_WRONG_CLUSTER;
}

static void on_up(struct quo_link *link)
{
    struct connection *connection = connection_of(link);
    struct quo_transport *transport = &connection->acceptor->transport;
    connection->is_up = true;
    transport->events->on_up(transport->receiver, connection->peer);
}

static void on_frame(struct quo_link *link, const struct quo_frame *frame)
{
    struct connection *connection = connection_of(link);
    struct quo_transport *transport = &connection->acceptor->transport;
    transport->events->on_frame(transport->receiver, connection->peer, frame);
}

static void log_end(struct quo_acceptor *acceptor, const struct connection *connection,
                    const struct quo_link_end *end)
{
    char quoted[300];
    if (end->fate == QUO_LINK_LOST || !quo_link_gate_open(&acceptor->gate, now_us(acceptor)))
        return;
    quo_log(QUO_LOG_WARN, "connection.dropped",
            "peer=%" PRIu64 " from=%s fate=%s status=%s why=%s suppressed=%" PRIu64,
            connection->peer, connection->from, quo_link_fate_name(end->fate),
            quo_status_name(end->status), quo_log_quote(end->text, quoted, sizeof quoted),
            acceptor->gate.suppressed);
    acceptor->gate.suppressed = 0;
}

static void on_end(struct quo_link *link, const struct quo_link_end *end, bool was_up)
{
    struct connection *connection = connection_of(link);
    struct quo_acceptor *acceptor = connection->acceptor;
    struct quo_transport *transport = &acceptor->transport;
    const uint64_t peer = connection->peer;
    log_end(acceptor, connection, end);
    acceptor->slots[slot_of(peer)] = NULL;
    acceptor->free_slots[acceptor->free_count++] = (uint16_t)slot_of(peer);
    free(connection);
    if (was_up)
        transport->events->on_down(transport->receiver, peer);
}

static const struct quo_link_ops link_ops = {
    .on_hello = on_hello,
    .on_up = on_up,
    .on_frame = on_frame,
    .on_end = on_end,
};

/* Accepting */

static bool add_connection(struct quo_acceptor *acceptor, h2o_socket_t *socket)
{
    struct connection *connection = NULL;
    if (acceptor->free_count > 0)
        connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return false;
    const uint16_t slot = acceptor->free_slots[--acceptor->free_count];
    acceptor->slots[slot] = connection;
    connection->acceptor = acceptor;
    connection->peer = ++acceptor->accepted << SLOT_BITS | slot;
    connection->link.ops = &link_ops;
    connection->link.loop = acceptor->loop;
    connection->link.stats = &acceptor->stats;
    connection->link.hello = acceptor->hello;
    connection->link.is_server = true;
    quo_link_accept(&connection->link, socket);
    quo_link_peer_text(&connection->link, connection->from, sizeof connection->from);
    return true;
}

static void turn_away(struct quo_acceptor *acceptor, h2o_socket_t *socket)
{
    h2o_socket_close(socket);
    quo_stat_add(&acceptor->stats.refused, 1);
    if (quo_link_gate_open(&acceptor->gate, now_us(acceptor)))
        quo_log(QUO_LOG_WARN, "connection.refused", "why=\"too many connections\" limit=%u",
                QUO_NODE_CONNS_MAX);
}

/* Without descriptors the listener would stay readable and keep the loop spinning. */
static void pause_listener(struct quo_acceptor *acceptor, int error)
{
    h2o_socket_read_stop(acceptor->listener);
    acceptor->paused = true;
    acceptor->resume_us = now_us(acceptor) + EXHAUSTED_PAUSE_US;
    quo_log(QUO_LOG_ERROR, "listener.paused", "port=%u error=\"%s\"", (unsigned)acceptor->port,
            strerror(error));
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    struct quo_acceptor *acceptor = listener->data;
    QUO_REQUIRE(acceptor->transport.events != NULL);
    if (err != NULL)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
        if (socket == NULL && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (socket == NULL) {
            if (errno != EAGAIN)
                pause_listener(acceptor, errno);
            return;
        }
        if (!add_connection(acceptor, socket))
            turn_away(acceptor, socket);
    }
}

/* Time */

static uint64_t deadline(struct quo_timed *timed)
{
    const struct quo_acceptor *acceptor = QUO_CONTAINER_OF(timed, struct quo_acceptor, timed);
    uint64_t tick_us = acceptor->free_count < QUO_NODE_CONNS_MAX ? acceptor->tick_us : UINT64_MAX;
    return acceptor->paused ? QUO_MIN(tick_us, acceptor->resume_us) : tick_us;
}

static void expire(struct quo_timed *timed, uint64_t mono_us)
{
    struct quo_acceptor *acceptor = QUO_CONTAINER_OF(timed, struct quo_acceptor, timed);
    if (acceptor->paused && mono_us >= acceptor->resume_us) {
        acceptor->paused = false;
        h2o_socket_read_start(acceptor->listener, on_accept);
    }
    if (mono_us < acceptor->tick_us)
        return;
    acceptor->tick_us = mono_us + QUO_LINK_TICK_US;
    for (uint32_t i = 0; i < QUO_NODE_CONNS_MAX; i++) {
        if (acceptor->slots[i] != NULL)
            quo_link_tick(&acceptor->slots[i]->link, mono_us);
    }
}

/* Transport */

static struct connection *find(struct quo_transport *transport, uint64_t peer)
{
    struct quo_acceptor *acceptor = QUO_CONTAINER_OF(transport, struct quo_acceptor, transport);
    const uint32_t slot = slot_of(peer);
    struct connection *connection = slot < QUO_NODE_CONNS_MAX ? acceptor->slots[slot] : NULL;
    return connection != NULL && connection->peer == peer ? connection : NULL;
}

static enum quo_status reserve(struct quo_transport *transport, uint64_t peer, size_t body_len,
                               uint8_t **ret_body)
{
    struct connection *connection = find(transport, peer);
    if (connection == NULL)
        return QUO_UNAVAILABLE;
    return quo_link_reserve(&connection->link, body_len, ret_body);
}

static void seal(struct quo_transport *transport, uint64_t peer, uint8_t type, uint64_t id)
{
    struct connection *connection = find(transport, peer);
    QUO_REQUIRE(connection != NULL);
    quo_link_seal(&connection->link, type, id);
}

bool quo_acceptor_any_proxy(struct quo_transport *transport, uint64_t *ret_peer)
{
    struct quo_acceptor *acceptor = QUO_CONTAINER_OF(transport, struct quo_acceptor, transport);
    for (uint32_t i = 1; i <= QUO_NODE_CONNS_MAX; i++) {
        uint32_t slot = (acceptor->last_proxy + i) % QUO_NODE_CONNS_MAX;
        const struct connection *connection = acceptor->slots[slot];
        if (connection == NULL || !connection->is_up || !connection->is_proxy)
            continue;
        acceptor->last_proxy = slot;
        *ret_peer = connection->peer;
        return true;
    }
    return false;
}

static const struct quo_transport_ops transport_ops = {.reserve = reserve, .seal = seal};

/* Making and freeing */

static void listen_on(struct quo_acceptor *acceptor, int fd)
{
    acceptor->listener =
        h2o_evloop_socket_create(quo_loop_native(acceptor->loop), fd, H2O_SOCKET_FLAG_DONT_READ);
    acceptor->listener->data = acceptor;
    h2o_socket_read_start(acceptor->listener, on_accept);

    struct sockaddr_storage sa;
    struct sockaddr *at = (struct sockaddr *)&sa;
    if (h2o_socket_getsockname(acceptor->listener, at) > 0)
        acceptor->port = (uint16_t)h2o_socket_getport(at);
}

static void init(struct quo_acceptor *acceptor, const struct quo_acceptor_options *options)
{
    acceptor->transport.ops = &transport_ops;
    acceptor->loop = options->loop;
    acceptor->hello.cluster = options->cluster;
    acceptor->hello.replica = options->replica;
    acceptor->hello.epoch = options->epoch;
    for (uint32_t i = 0; i < QUO_NODE_CONNS_MAX; i++)
        acceptor->free_slots[i] = (uint16_t)(QUO_NODE_CONNS_MAX - 1 - i);
    acceptor->free_count = QUO_NODE_CONNS_MAX;
    acceptor->timed.deadline = deadline;
    acceptor->timed.expire = expire;
}

struct quo_acceptor *quo_acceptor_new(const struct quo_acceptor_options *options)
{
    struct quo_acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (acceptor == NULL)
        return NULL;
    init(acceptor, options);
    listen_on(acceptor, options->listener);
    quo_loop_add_timed(acceptor->loop, &acceptor->timed);
    return acceptor;
}

void quo_acceptor_close_listener(struct quo_acceptor *acceptor)
{
    if (acceptor->listener == NULL)
        return;
    h2o_socket_close(acceptor->listener);
    acceptor->listener = NULL;
    acceptor->paused = false;
}

bool quo_acceptor_busy(const struct quo_acceptor *acceptor)
{
    for (uint32_t i = 0; i < QUO_NODE_CONNS_MAX; i++) {
        if (acceptor->slots[i] != NULL && quo_outbox_size(&acceptor->slots[i]->link.outbox) > 0)
            return true;
    }
    return false;
}

void quo_acceptor_free(struct quo_acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    quo_loop_remove_timed(acceptor->loop, &acceptor->timed);
    quo_acceptor_close_listener(acceptor);
    for (uint32_t i = 0; i < QUO_NODE_CONNS_MAX; i++) {
        if (acceptor->slots[i] == NULL)
            continue;
        quo_link_close(&acceptor->slots[i]->link);
        free(acceptor->slots[i]);
    }
    free(acceptor);
}

struct quo_transport *quo_acceptor_transport(struct quo_acceptor *acceptor)
{
    return &acceptor->transport;
}

const struct quo_net_stats *quo_acceptor_stats(const struct quo_acceptor *acceptor)
{
    return &acceptor->stats;
}
