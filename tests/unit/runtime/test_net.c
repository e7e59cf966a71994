/* Both ends of the frame protocol over real loopback sockets, all in one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "quorate/listen.h"
#include "quorate/loop.h"
#include "quorate/net.h"

#define CLUSTER 0x5150u
#define REPLICA 0x77u
/* Far longer than anything here takes: only a hang gets there. */
#define GENEROUS_S 30
#define MIB (1024u * 1024)

/* The length of a request that may be answered with more bytes than it has. */
#define SHORT_REQUEST 100u

/* A node that answers every request with its own bytes, or short ones with `reply_len` bytes, or
 * holds them. */
struct node {
    struct quo_acceptor *acceptor;
    struct bed *bed;
    uint64_t replica;
    uint16_t port;
    bool holds;
    size_t reply_len; /* 0: an echo */
    uint32_t ups, downs;
    uint64_t last_peer;
    uint32_t held;
    uint64_t held_ids[QUO_CONN_IN_FLIGHT_MAX + 1];
};

/* What a proxy saw of a node. */
struct seen {
    uint32_t ups, downs;
    uint32_t replies;
    uint64_t last_id;
    size_t last_len;
    uint64_t sum; /* of all bytes of all replies */
};

struct bed {
    struct quo_loop *loop;
    struct quo_map *map;
    struct quo_peers *peers;
    struct node nodes[2];
    struct seen seen[2];
};

/* Node */

static uint64_t sum_of(struct quo_slice bytes)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes.len; i += 997)
        sum += bytes.data[i];
    return sum;
}

static void node_reply(struct node *node, uint64_t peer, uint64_t id, struct quo_slice body)
{
    struct quo_transport *transport = quo_acceptor_transport(node->acceptor);
    uint8_t *out;
    if (transport->ops->reserve(transport, peer, body.len, &out) != QUO_OK)
        return;
    memcpy(out, body.data, body.len);
    transport->ops->seal(transport, peer, QUO_MESSAGE_REPLY, id);
}

static void node_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    static const uint8_t filler[8 * MIB];
    struct node *node = receiver;
    node->last_peer = peer;
    if (node->holds)
        node->held_ids[node->held++] = frame->id;
    else if (node->reply_len > 0 && frame->body.len == SHORT_REQUEST)
        node_reply(node, peer, frame->id, quo_slice(filler, node->reply_len));
    else
        node_reply(node, peer, frame->id, frame->body);
}

static void node_up(void *receiver, uint64_t peer)
{
    struct node *node = receiver;
    node->ups++;
    assert_true(peer != node->last_peer);
    node->last_peer = peer;
}

static void node_down(void *receiver, uint64_t peer)
{
    struct node *node = receiver;
    struct quo_transport *transport = quo_acceptor_transport(node->acceptor);
    uint8_t *out;
    node->downs++;
    assert_int_equal(transport->ops->reserve(transport, peer, 1, &out), QUO_UNAVAILABLE);
}

static const struct quo_transport_events node_events = {
    .on_frame = node_frame,
    .on_up = node_up,
    .on_down = node_down,
};

static void start_node_as(struct node *node, uint64_t cluster, uint64_t replica)
{
    char why[256];
    int listener;
    assert_int_equal(
        quo_listen("127.0.0.1", node->port, 1, &listener, &node->port, why, sizeof why), QUO_OK);
    const struct quo_acceptor_options options = {
        .loop = node->bed->loop,
        .listener = listener,
        .cluster = cluster,
        .replica = replica,
        .epoch = 1,
    };
    node->acceptor = quo_acceptor_new(&options);
    assert_non_null(node->acceptor);
    struct quo_transport *transport = quo_acceptor_transport(node->acceptor);
    transport->events = &node_events;
    transport->receiver = node;
}

static void start_node(struct node *node)
{
    start_node_as(node, CLUSTER, node->replica);
}

static void stop_node(struct node *node)
{
    quo_acceptor_free(node->acceptor);
    node->acceptor = NULL;
    node->last_peer = 0;
}

/* Proxy */

static void proxy_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    struct seen *seen = &((struct bed *)receiver)->seen[peer];
    assert_int_equal(frame->type, QUO_MESSAGE_REPLY);
    seen->replies++;
    seen->last_id = frame->id;
    seen->last_len = frame->body.len;
    seen->sum += sum_of(frame->body);
}

static void proxy_up(void *receiver, uint64_t peer)
{
    struct bed *bed = receiver;
    bed->seen[peer].ups++;
    assert_int_equal(bed->seen[peer].ups, bed->seen[peer].downs + 1);
    assert_true(quo_peers_up(bed->peers, (uint32_t)peer));
}

static void proxy_down(void *receiver, uint64_t peer)
{
    struct bed *bed = receiver;
    struct quo_transport *transport = quo_peers_transport(bed->peers);
    uint8_t *out;
    bed->seen[peer].downs++;
    assert_int_equal(bed->seen[peer].ups, bed->seen[peer].downs);
    assert_false(quo_peers_up(bed->peers, (uint32_t)peer));
    assert_int_equal(transport->ops->reserve(transport, peer, 1, &out), QUO_UNAVAILABLE);
}

static const struct quo_transport_events proxy_events = {
    .on_frame = proxy_frame,
    .on_up = proxy_up,
    .on_down = proxy_down,
};

static void start_proxy(struct bed *bed, const char *host)
{
    bed->map->cluster = CLUSTER;
    bed->map->epoch = 1;
    bed->map->node_count = 2;
    for (int i = 0; i < 2; i++) {
        struct quo_node_info *info = &bed->map->nodes[i];
        info->replica = bed->nodes[i].replica;
        info->port = bed->nodes[i].port;
        snprintf(info->name, sizeof info->name, "node-%d", i);
        snprintf(info->host, sizeof info->host, "%s", host);
    }
    const struct quo_peers_options options = {.loop = bed->loop, .map = bed->map};
    bed->peers = quo_peers_new(&options);
    assert_non_null(bed->peers);
    struct quo_transport *transport = quo_peers_transport(bed->peers);
    transport->events = &proxy_events;
    transport->receiver = bed;
}

static enum quo_status try_send_as(struct bed *bed, uint32_t peer, uint8_t type, uint64_t id,
                                   struct quo_slice body)
{
    struct quo_transport *transport = quo_peers_transport(bed->peers);
    uint8_t *out;
    enum quo_status status = transport->ops->reserve(transport, peer, body.len, &out);
    if (status != QUO_OK)
        return status;
    memcpy(out, body.data, body.len);
    transport->ops->seal(transport, peer, type, id);
    return QUO_OK;
}

static enum quo_status try_send(struct bed *bed, uint32_t peer, uint64_t id, struct quo_slice body)
{
    return try_send_as(bed, peer, QUO_MESSAGE_QUERY, id, body);
}

/* Turns until a condition holds */

static time_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

#define TURN_UNTIL(bed, condition)                                                                 \
    do {                                                                                           \
        const time_t turning_s = now_s();                                                          \
        while (!(condition)) {                                                                     \
            quo_loop_turn((bed)->loop, 10);                                                        \
            if (now_s() - turning_s > GENEROUS_S)                                                  \
                fail_msg("never came: %s", #condition);                                            \
        }                                                                                          \
    } while (0)

static uint64_t stat(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static int set_up_nodes(void **state)
{
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    bed->loop = quo_loop_new();
    bed->map = calloc(1, sizeof *bed->map);
    assert_non_null(bed->loop);
    assert_non_null(bed->map);
    for (int i = 0; i < 2; i++) {
        bed->nodes[i].bed = bed;
        bed->nodes[i].replica = REPLICA + (uint64_t)i;
        start_node(&bed->nodes[i]);
    }
    *state = bed;
    return 0;
}

static int set_up(void **state)
{
    set_up_nodes(state);
    struct bed *bed = *state;
    start_proxy(bed, "127.0.0.1");
    TURN_UNTIL(bed, bed->seen[0].ups == 1 && bed->seen[1].ups == 1);
    TURN_UNTIL(bed, bed->nodes[0].ups == 1 && bed->nodes[1].ups == 1);
    return 0;
}

static int tear_down(void **state)
{
    struct bed *bed = *state;
    quo_peers_free(bed->peers);
    stop_node(&bed->nodes[0]);
    stop_node(&bed->nodes[1]);
    quo_loop_free(bed->loop);
    free(bed->map);
    free(bed);
    return 0;
}

static void assert_echoes(struct bed *bed, uint32_t peer)
{
    struct seen *seen = &bed->seen[peer];
    const uint32_t before = seen->replies;
    const uint64_t id = 0xabcdef00u + before;
    assert_int_equal(try_send(bed, peer, id, quo_slice_of("still there?")), QUO_OK);
    TURN_UNTIL(bed, seen->replies == before + 1);
    assert_int_equal(seen->last_id, id);
    assert_int_equal(seen->last_len, 12);
}

/* Frames */

static void nothing_can_be_sent_before_the_greeting(void **state)
{
    struct bed *bed = *state;
    start_proxy(bed, "127.0.0.1");
    assert_int_equal(try_send(bed, 0, 1, quo_slice_of("x")), QUO_UNAVAILABLE);
    assert_false(quo_peers_up(bed->peers, 0));
    TURN_UNTIL(bed, bed->seen[0].ups == 1);
    assert_echoes(bed, 0);
}

static void hosts_may_be_names(void **state)
{
    struct bed *bed = *state;
    start_proxy(bed, "localhost");
    TURN_UNTIL(bed, bed->seen[0].ups == 1 && bed->seen[1].ups == 1);
    assert_echoes(bed, 1);
}

static void frames_of_a_turn_leave_in_one_write(void **state)
{
    struct bed *bed = *state;
    const struct quo_net_stats *client = quo_peers_stats(bed->peers);
    const struct quo_net_stats *server = quo_acceptor_stats(bed->nodes[0].acceptor);
    const uint64_t client_writes = stat(&client->writes), server_writes = stat(&server->writes);
    uint8_t body[100];
    uint64_t sum = 0;
    uint32_t sent = 0;
    while (sent < 10000) {
        for (int i = 0; i < 1000; i++) {
            memset(body, (int)sent, sizeof body);
            sum += sum_of(quo_slice(body, sizeof body));
            assert_int_equal(try_send(bed, 0, sent++, quo_slice(body, sizeof body)), QUO_OK);
        }
        TURN_UNTIL(bed, bed->seen[0].replies + 4000 >= sent);
    }
    TURN_UNTIL(bed, bed->seen[0].replies == sent);
    assert_int_equal(bed->seen[0].last_id, sent - 1);
    assert_int_equal(bed->seen[0].sum, sum);
    assert_int_equal(stat(&client->frames_out), 10000 + 2); /* and two HELLOs */
    assert_true(stat(&client->writes) - client_writes <= 50);
    assert_true(stat(&server->writes) - server_writes <= 200);
    assert_true(stat(&client->bytes_out) >= 10000 * sizeof body);
    assert_true(stat(&client->bytes_in) >= 10000 * sizeof body);
}

static void the_largest_frames_pass(void **state)
{
    struct bed *bed = *state;
    uint8_t *body = malloc(QUO_FRAME_BODY_MAX);
    assert_non_null(body);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 3; i++) {
        memset(body, (int)(i + 1), QUO_FRAME_BODY_MAX);
        sum += sum_of(quo_slice(body, QUO_FRAME_BODY_MAX));
        assert_int_equal(try_send(bed, 0, i, quo_slice(body, QUO_FRAME_BODY_MAX)), QUO_OK);
        assert_int_equal(try_send(bed, 0, i, quo_slice(body, 1)), QUO_OK);
        sum += body[0];
    }
    TURN_UNTIL(bed, bed->seen[0].replies == 6);
    assert_int_equal(bed->seen[0].sum, sum);
    assert_echoes(bed, 0);
    free(body);
}

/* Limits */

static void too_many_requests_in_flight_are_refused(void **state)
{
    struct bed *bed = *state;
    struct node *node = &bed->nodes[0];
    node->holds = true;
    uint32_t sent = 0;
    while (try_send(bed, 0, sent, quo_slice_of("q")) == QUO_OK)
        sent++;
    assert_int_equal(sent, QUO_CONN_IN_FLIGHT_MAX);
    assert_int_equal(try_send(bed, 0, sent, quo_slice_of("q")), QUO_BUSY);
    assert_true(stat(&quo_peers_stats(bed->peers)->busy) >= 2);
    assert_int_equal(try_send(bed, 1, 0, quo_slice_of("q")), QUO_OK);

    TURN_UNTIL(bed, node->held == sent);
    node->holds = false;
    for (uint32_t i = 0; i < node->held; i++) {
        assert_int_equal(node->held_ids[i], i);
        node_reply(node, node->last_peer, node->held_ids[i], quo_slice_of("a"));
    }
    TURN_UNTIL(bed, bed->seen[0].replies == sent);
    assert_echoes(bed, 0);
}

/* Its number stands among those of the replies. */
static void a_forward_is_in_flight_until_it_is_answered(void **state)
{
    struct bed *bed = *state;
    struct node *node = &bed->nodes[0];
    const struct quo_slice body = quo_slice_of("f");
    node->holds = true;
    for (uint64_t i = 0; i < QUO_CONN_IN_FLIGHT_MAX; i++)
        assert_int_equal(try_send_as(bed, 0, QUO_MESSAGE_FORWARD, i, body), QUO_OK);
    assert_int_equal(try_send_as(bed, 0, QUO_MESSAGE_FORWARD, 0, body), QUO_BUSY);
    TURN_UNTIL(bed, node->held == QUO_CONN_IN_FLIGHT_MAX);
    node_reply(node, node->last_peer, 0, body);
    node_reply(node, node->last_peer, 1, body);
    TURN_UNTIL(bed, bed->seen[0].replies == 2);
    assert_int_equal(try_send_as(bed, 0, QUO_MESSAGE_FORWARD, 0, body), QUO_OK);
    assert_int_equal(try_send_as(bed, 0, QUO_MESSAGE_FORWARD, 1, body), QUO_OK);
    assert_int_equal(try_send_as(bed, 0, QUO_MESSAGE_FORWARD, 2, body), QUO_BUSY);
    node->held = 0;
}

static void a_full_outbox_refuses_and_loses_nothing(void **state)
{
    struct bed *bed = *state;
    struct node *node = &bed->nodes[0];
    uint8_t *body = calloc(1, MIB);
    assert_non_null(body);
    node->holds = true;
    uint32_t sent = 0;
    while (try_send(bed, 0, sent, quo_slice(body, MIB)) == QUO_OK)
        sent++;
    assert_in_range(sent, QUO_OUTBOX_MAX / MIB - 2, QUO_OUTBOX_MAX / MIB);
    assert_int_equal(try_send(bed, 0, sent, quo_slice(body, MIB)), QUO_BUSY);
    TURN_UNTIL(bed, node->held == sent);
    for (uint32_t i = 0; i < sent; i++)
        assert_int_equal(node->held_ids[i], i);
    assert_int_equal(bed->seen[0].downs, 0);
    node->holds = false;
    assert_echoes(bed, 0);
    free(body);
}

/* Coming and going */

static void a_node_that_comes_back_is_found(void **state)
{
    struct bed *bed = *state;
    for (uint32_t i = 1; i <= 3; i++) {
        bed->nodes[0].holds = true;
        assert_int_equal(try_send(bed, 0, 1, quo_slice_of("lost")), QUO_OK);
        TURN_UNTIL(bed, bed->nodes[0].held == i);
        stop_node(&bed->nodes[0]);
        TURN_UNTIL(bed, bed->seen[0].downs == i);
        for (int turn = 0; turn < 5; turn++)
            quo_loop_turn(bed->loop, 10);
        bed->nodes[0].holds = false;
        start_node(&bed->nodes[0]);
        TURN_UNTIL(bed, bed->seen[0].ups == i + 1);
        assert_echoes(bed, 0);
    }
    assert_int_equal(bed->seen[0].downs, 3);
    assert_int_equal(bed->seen[1].downs, 0);
    assert_echoes(bed, 1);
}

/* Nodes know which of those that connect are proxies. */
static void proxies_are_told_from_nodes(void **state)
{
    struct bed *bed = *state;
    struct node *node = &bed->nodes[0];
    struct quo_transport *transport = quo_acceptor_transport(node->acceptor);
    uint64_t peer = 0;
    assert_true(quo_acceptor_any_proxy(transport, &peer));
    assert_int_equal(peer, node->last_peer);
    quo_peers_free(bed->peers);
    TURN_UNTIL(bed, node->downs == 1);
    assert_false(quo_acceptor_any_proxy(transport, &peer));
    /* The other node. */
    memset(bed->seen, 0, sizeof bed->seen);
    const struct quo_peers_options options = {
        .loop = bed->loop, .map = bed->map, .self = bed->nodes[1].replica};
    bed->peers = quo_peers_new(&options);
    assert_non_null(bed->peers);
    quo_peers_transport(bed->peers)->events = &proxy_events;
    quo_peers_transport(bed->peers)->receiver = bed;
    TURN_UNTIL(bed, node->ups == 2);
    assert_false(quo_acceptor_any_proxy(transport, &peer));
}

static void another_replica_is_refused(void **state)
{
    struct bed *bed = *state;
    stop_node(&bed->nodes[0]);
    start_node_as(&bed->nodes[0], CLUSTER, REPLICA + 99);
    start_proxy(bed, "127.0.0.1");
    TURN_UNTIL(bed, stat(&quo_peers_stats(bed->peers)->refused) >= 1 && bed->seen[1].ups == 1);
    assert_int_equal(bed->seen[0].ups, 0);
    assert_int_equal(try_send(bed, 0, 1, quo_slice_of("x")), QUO_UNAVAILABLE);
    /* Its place is taken by the right one. */
    stop_node(&bed->nodes[0]);
    start_node(&bed->nodes[0]);
    TURN_UNTIL(bed, bed->seen[0].ups == 1);
    assert_echoes(bed, 0);
}

static void another_cluster_is_refused(void **state)
{
    struct bed *bed = *state;
    stop_node(&bed->nodes[0]);
    start_node_as(&bed->nodes[0], CLUSTER + 1, REPLICA);
    start_proxy(bed, "127.0.0.1");
    const struct quo_net_stats *server = quo_acceptor_stats(bed->nodes[0].acceptor);
    TURN_UNTIL(bed, stat(&quo_peers_stats(bed->peers)->refused) + stat(&server->refused) >= 1);
    assert_int_equal(bed->seen[0].ups, 0);
}

/* The second of the map's proxies is where the first node is, then where a proxy is. */
static void proxies_meet_the_other_proxies_of_the_map(void **state)
{
    struct bed *bed = *state;
    bed->map->cluster = CLUSTER;
    bed->map->epoch = 1;
    bed->map->proxy_count = 2;
    for (int i = 0; i < 2; i++) {
        struct quo_proxy_info *info = &bed->map->proxies[i];
        info->port = bed->nodes[0].port;
        snprintf(info->name, sizeof info->name, "proxy-%d", i);
        snprintf(info->host, sizeof info->host, "127.0.0.1");
    }
    const struct quo_peers_options options = {.loop = bed->loop, .map = bed->map, .proxies = true};
    bed->peers = quo_peers_new(&options);
    assert_non_null(bed->peers);
    struct quo_transport *transport = quo_peers_transport(bed->peers);
    transport->events = &proxy_events;
    transport->receiver = bed;
    TURN_UNTIL(bed, stat(&quo_peers_stats(bed->peers)->refused) >= 1);
    stop_node(&bed->nodes[0]);
    start_node_as(&bed->nodes[0], CLUSTER, 0);
    TURN_UNTIL(bed, bed->seen[1].ups == 1);
    assert_echoes(bed, 1);
    /* Not itself, though it could be had there as well. */
    assert_int_equal(bed->seen[0].ups, 0);
    assert_int_equal(try_send(bed, 0, 1, quo_slice_of("x")), QUO_UNAVAILABLE);
    assert_false(quo_peers_up(bed->peers, 0));
}

/* Strangers: plain sockets that send what they like */

struct stranger {
    int fd;
    bool ended;
    size_t got; /* bytes */
    uint8_t first[4096];
};

static struct stranger meet(uint16_t port)
{
    struct stranger stranger = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    const struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    assert_true(stranger.fd >= 0);
    assert_true(connect(stranger.fd, (const struct sockaddr *)&at, sizeof at) == 0 ||
                errno == EINPROGRESS);
    return stranger;
}

/* Returns what could be sent. */
static size_t say(struct bed *bed, struct stranger *stranger, const void *bytes, size_t len)
{
    const time_t start_s = now_s();
    ssize_t sent;
    while ((sent = send(stranger->fd, bytes, len, MSG_NOSIGNAL)) < 0 && errno == EAGAIN) {
        assert_true(now_s() - start_s < GENEROUS_S);
        quo_loop_turn(bed->loop, 1);
    }
    return sent > 0 ? (size_t)sent : 0;
}

static void hear(struct stranger *stranger)
{
    static uint8_t rest[MIB];
    bool first = stranger->got < sizeof stranger->first;
    uint8_t *into = first ? stranger->first + stranger->got : rest;
    size_t room = first ? sizeof stranger->first - stranger->got : sizeof rest;
    ssize_t got = recv(stranger->fd, into, room, 0);
    if (got > 0)
        stranger->got += (size_t)got;
    else if (got == 0 || errno != EAGAIN)
        stranger->ended = true;
}

static bool has_ended(struct stranger *stranger)
{
    hear(stranger);
    return stranger->ended;
}

static size_t hello_frame(uint8_t *out, uint8_t version, uint64_t cluster)
{
    const struct quo_msg_hello hello = {
        .version_min = version,
        .version_max = version,
        .cluster = cluster,
        .epoch = 1,
    };
    const size_t len = quo_msg_hello_size(&hello);
    quo_msg_hello_encode(&hello, out + QUO_FRAME_HEADER);
    quo_frame_seal(out, QUO_MESSAGE_HELLO, 0, len);
    return QUO_FRAME_HEADER + len;
}

static size_t plain_frame(uint8_t *out, uint8_t type, size_t body_len)
{
    memset(out + QUO_FRAME_HEADER, 0, body_len);
    quo_frame_seal(out, type, 7, body_len);
    return QUO_FRAME_HEADER + body_len;
}

/* Whether a GOODBYE with this status is among what was heard. */
static bool was_told(const struct stranger *stranger, enum quo_status status)
{
    struct quo_slice rest = quo_slice(stranger->first, stranger->got);
    struct quo_frame frame;
    size_t size;
    while (quo_frame_next(rest, &frame, &size) == QUO_OK) {
        struct quo_msg_goodbye goodbye;
        if (frame.type == QUO_MESSAGE_GOODBYE) {
            assert_int_equal(quo_msg_goodbye_decode(frame.body, &goodbye), QUO_OK);
            return goodbye.status == status;
        }
        rest = quo_slice(rest.data + size, rest.len - size);
    }
    return false;
}

enum garbage {
    RANDOM_BYTES,
    HTTP_REQUEST,
    NO_HELLO,
    BIG_BEFORE_HELLO,
    WRONG_CHECKSUM,
    OTHER_FRAME_VERSION,
    TOO_LONG,
    TOO_SHORT,
    OTHER_PROTOCOL,
    OTHER_CLUSTER,
    TWO_HELLOS,
    HELLO_CUT_SHORT,
    UNKNOWN_TYPE,
    BAD_PING,
    GARBAGE_AFTER_REQUESTS,
    GARBAGE_COUNT,
};

static size_t make_garbage(enum garbage kind, uint8_t *out, uint64_t random)
{
    size_t hello = hello_frame(out, QUO_PROTOCOL_VERSION, CLUSTER), len;
    switch (kind) {
    case RANDOM_BYTES:
        for (len = 0; len < 256; len++)
            out[len] = (uint8_t)(random >> len % 57);
        out[0] |= 0x80; /* no frame is that long */
        return len;
    case HTTP_REQUEST:
        return (size_t)snprintf((char *)out, 100, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    case NO_HELLO:
        return plain_frame(out, QUO_MESSAGE_QUERY, 10);
    case BIG_BEFORE_HELLO:
        plain_frame(out, QUO_MESSAGE_HELLO, 2000);
        return QUO_FRAME_HEADER + 1; /* the rest is not waited for */
    case WRONG_CHECKSUM:
        out[QUO_FRAME_HEADER + 3] ^= 1;
        return hello;
    case OTHER_FRAME_VERSION:
        len = plain_frame(out + hello, QUO_MESSAGE_QUERY, 10);
        out[hello + 4] ^= 7;
        return hello + len;
    case TOO_LONG:
        quo_put_u32(out + hello, QUO_FRAME_MAX + 1);
        memset(out + hello + 4, 1, 60);
        return hello + 64;
    case TOO_SHORT:
        memset(out + hello, 0, 64);
        return hello + 64;
    case OTHER_PROTOCOL:
        return hello_frame(out, QUO_PROTOCOL_VERSION + 1, CLUSTER);
    case OTHER_CLUSTER:
        return hello_frame(out, QUO_PROTOCOL_VERSION, CLUSTER + 1);
    case TWO_HELLOS:
        return hello + hello_frame(out + hello, QUO_PROTOCOL_VERSION, CLUSTER);
    case HELLO_CUT_SHORT:
        return plain_frame(out, QUO_MESSAGE_HELLO, 5);
    case UNKNOWN_TYPE:
        return hello + plain_frame(out + hello, 9, 0);
    case BAD_PING:
        return hello + plain_frame(out + hello, QUO_MESSAGE_PING, 3);
    case GARBAGE_AFTER_REQUESTS:
        len = hello + plain_frame(out + hello, QUO_MESSAGE_QUERY, 100);
        len += plain_frame(out + len, QUO_MESSAGE_QUERY, 100);
        memset(out + len, 0xff, 500);
        return len + 500;
    case GARBAGE_COUNT:
        break;
    }
    fail();
    return 0;
}

static enum quo_status told_for(enum garbage kind)
{
    switch (kind) {
    case OTHER_CLUSTER:
        return QUO_WRONG_CLUSTER;
    case OTHER_PROTOCOL:
    case OTHER_FRAME_VERSION:
        return QUO_UNSUPPORTED;
    case HTTP_REQUEST: /* "GET " reads as a length */
    default:
        return QUO_MALFORMED;
    }
}

static void garbage_ends_its_connection_and_no_other(void **state)
{
    struct bed *bed = *state;
    const struct quo_net_stats *stats = quo_acceptor_stats(bed->nodes[0].acceptor);
    for (int round = 0; round < 3; round++) {
        for (enum garbage kind = 0; kind < GARBAGE_COUNT; kind++) {
            const bool refused = kind == OTHER_CLUSTER || kind == OTHER_PROTOCOL;
            const uint64_t before = stat(refused ? &stats->refused : &stats->malformed);
            const uint64_t disconnects = stat(&stats->disconnects);
            uint8_t bytes[8192];
            size_t len = make_garbage(kind, bytes, quo_random(quo_loop_env(bed->loop)));
            struct stranger stranger = meet(bed->nodes[0].port);
            /* Whole, then in pieces. */
            size_t piece = round == 0 ? len : round == 1 ? 1 : 7;
            for (size_t at = 0; at < len && !stranger.ended; at += piece) {
                say(bed, &stranger, bytes + at, QUO_MIN(piece, len - at));
                quo_loop_turn(bed->loop, 0);
            }
            TURN_UNTIL(bed, has_ended(&stranger));
            assert_int_equal(stat(refused ? &stats->refused : &stats->malformed), before + 1);
            assert_int_equal(stat(&stats->disconnects), disconnects + 1);
            /* Bytes still unread when a connection is closed make it a reset, which may overtake.
             */
            if (round == 0)
                assert_true(was_told(&stranger, told_for(kind)));
            close(stranger.fd);
        }
    }
    assert_echoes(bed, 0);
    assert_int_equal(bed->seen[0].downs, 0);
    assert_int_equal(bed->nodes[0].ups, bed->nodes[0].downs + 1);
}

static void a_frame_cut_off_is_no_harm(void **state)
{
    struct bed *bed = *state;
    struct node *node = &bed->nodes[0];
    uint8_t bytes[512];
    size_t len = hello_frame(bytes, QUO_PROTOCOL_VERSION, CLUSTER);
    len += plain_frame(bytes + len, QUO_MESSAGE_QUERY, 100);
    for (size_t cut = 0; cut < len; cut++) {
        const uint64_t gone = stat(&quo_acceptor_stats(node->acceptor)->disconnects);
        struct stranger stranger = meet(node->port);
        if (cut > 0)
            say(bed, &stranger, bytes, cut);
        close(stranger.fd);
        TURN_UNTIL(bed, stat(&quo_acceptor_stats(node->acceptor)->disconnects) == gone + 1);
    }
    assert_int_equal(stat(&quo_acceptor_stats(node->acceptor)->malformed), 0);
    assert_int_equal(node->ups, node->downs + 1);
    assert_echoes(bed, 0);
}

static void a_stranger_that_says_nothing_is_dropped(void **state)
{
    struct bed *bed = *state;
    struct stranger stranger = meet(bed->nodes[0].port);
    TURN_UNTIL(bed, has_ended(&stranger));
    close(stranger.fd);
    assert_int_equal(bed->nodes[0].ups, 1);
    assert_echoes(bed, 0);
}

/* Asks for 200 replies of 1 MiB without reading any, until nothing moves any more. */
static void ask_without_reading(struct bed *bed, struct node *node, struct stranger *stranger)
{
    const struct quo_net_stats *stats = quo_acceptor_stats(node->acceptor);
    uint8_t bytes[512];
    node->reply_len = MIB;
    say(bed, stranger, bytes, hello_frame(bytes, QUO_PROTOCOL_VERSION, CLUSTER));
    TURN_UNTIL(bed, node->ups == 2);
    const size_t len = plain_frame(bytes, QUO_MESSAGE_QUERY, SHORT_REQUEST);
    for (int i = 0; i < 200; i++)
        assert_int_equal(say(bed, stranger, bytes, len), len);
    uint64_t before;
    do {
        before = stat(&stats->frames_out) + stat(&stats->frames_in);
        for (int turn = 0; turn < 20; turn++)
            quo_loop_turn(bed->loop, 1);
    } while (stat(&stats->frames_out) + stat(&stats->frames_in) != before);
}

static void a_peer_that_does_not_read_gets_no_more(void **state)
{
    struct bed *bed = *state;
    struct node *node = &bed->nodes[0];
    const struct quo_net_stats *stats = quo_acceptor_stats(node->acceptor);
    struct stranger stranger = meet(node->port);
    ask_without_reading(bed, node, &stranger);
    /* A quarter of an outbox, what the kernel holds, and not two hundred replies. */
    assert_in_range(stat(&stats->frames_out), 16, 100);
    assert_echoes(bed, 0);
    /* Then it reads, and nothing was lost. */
    const size_t all = 200 * (size_t)(MIB + QUO_FRAME_HEADER);
    TURN_UNTIL(bed, (hear(&stranger), stranger.ended || stranger.got >= all));
    assert_false(stranger.ended);
    assert_echoes(bed, 0);
    close(stranger.fd);
    TURN_UNTIL(bed, node->ups == node->downs + 1);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* For longer than silence is borne it reads and says nothing: that it reads shows that it lives. */
static void a_peer_that_reads_slowly_is_kept(void **state)
{
    struct bed *bed = *state;
    struct node *node = &bed->nodes[0];
    struct stranger stranger = meet(node->port);
    ask_without_reading(bed, node, &stranger);
    const uint64_t start_ms = now_ms();
    uint64_t elapsed_ms;
    while ((elapsed_ms = now_ms() - start_ms) < 4000) {
        if (stranger.got < elapsed_ms * (MIB / 32))
            hear(&stranger);
        quo_loop_turn(bed->loop, 1);
    }
    assert_false(stranger.ended);
    assert_int_equal(node->downs, 0);
    close(stranger.fd);
}

static void a_peer_that_never_reads_is_dropped(void **state)
{
    struct bed *bed = *state;
    struct node *node = &bed->nodes[0];
    struct stranger stranger = meet(node->port);
    ask_without_reading(bed, node, &stranger);
    TURN_UNTIL(bed, node->downs == 1);
    close(stranger.fd);
    assert_echoes(bed, 0);
}

static void replies_over_the_limit_end_the_connection(void **state)
{
    struct bed *bed = *state;
    struct node *node = &bed->nodes[0];
    struct quo_transport *transport = quo_acceptor_transport(node->acceptor);
    uint8_t bytes[512], *out;
    struct stranger stranger = meet(node->port);
    say(bed, &stranger, bytes, hello_frame(bytes, QUO_PROTOCOL_VERSION, CLUSTER));
    TURN_UNTIL(bed, node->ups == 2);
    const uint64_t peer = node->last_peer;
    enum quo_status status;
    uint32_t queued = 0;
    while ((status = transport->ops->reserve(transport, peer, MIB, &out)) == QUO_OK) {
        transport->ops->seal(transport, peer, QUO_MESSAGE_REPLY, 1);
        queued++;
        assert_true(quo_acceptor_busy(node->acceptor));
    }
    assert_int_equal(status, QUO_BUSY);
    assert_in_range(queued, QUO_OUTBOX_MAX / MIB - 2, QUO_OUTBOX_MAX / MIB);
    assert_int_equal(node->downs, 0);
    assert_int_equal(transport->ops->reserve(transport, peer, 1, &out), QUO_UNAVAILABLE);
    TURN_UNTIL(bed, node->downs == 1);
    close(stranger.fd);
    assert_false(quo_acceptor_busy(node->acceptor));
    assert_echoes(bed, 0);
}

/* A node of which only the greeting comes. */
static void a_node_that_falls_silent_is_given_up(void **state)
{
    struct bed *bed = *state;
    stop_node(&bed->nodes[0]);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons(bed->nodes[0].port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    assert_int_equal(bind(listener, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 10), 0);
    start_proxy(bed, "127.0.0.1");
    struct stranger silent = {.fd = -1};
    TURN_UNTIL(bed, (silent.fd = accept(listener, NULL, NULL)) >= 0);
    close(listener);
    uint8_t bytes[512];
    const struct quo_msg_hello hello = {1, 1, CLUSTER, REPLICA, 1};
    quo_msg_hello_encode(&hello, bytes + QUO_FRAME_HEADER);
    quo_frame_seal(bytes, QUO_MESSAGE_HELLO, 0, quo_msg_hello_size(&hello));
    say(bed, &silent, bytes, QUO_FRAME_HEADER + quo_msg_hello_size(&hello));
    TURN_UNTIL(bed, bed->seen[0].ups == 1);
    /* First it counts as not up, then as down. */
    TURN_UNTIL(bed, !quo_peers_up(bed->peers, 0));
    assert_int_equal(bed->seen[0].downs, 0);
    TURN_UNTIL(bed, bed->seen[0].downs == 1);
    close(silent.fd);
    assert_int_equal(bed->seen[1].downs, 0);
    start_node(&bed->nodes[0]);
    TURN_UNTIL(bed, bed->seen[0].ups == 2);
}

static void idle_connections_stay_up(void **state)
{
    struct bed *bed = *state;
    const time_t start_s = now_s();
    while (now_s() - start_s < 4)
        quo_loop_turn(bed->loop, 100);
    assert_int_equal(bed->seen[0].downs + bed->seen[1].downs, 0);
    assert_true(quo_peers_up(bed->peers, 0));
    assert_true(stat(&quo_peers_stats(bed->peers)->frames_out) > 4);
}

/* Descriptors */

static bool raise_limit(rlim_t need)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= need)
        return true;
    limit.rlim_cur = need;
    return limit.rlim_max >= need && setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* Returns how many of a crowd, `extra` more than there is room for, were turned away. */
static uint64_t crowd(struct bed *bed, uint32_t extra)
{
    const struct quo_net_stats *stats = quo_acceptor_stats(bed->nodes[0].acceptor);
    const uint64_t refused = stat(&stats->refused);
    const uint64_t met = stat(&stats->connects) + refused;
    const uint32_t count = QUO_NODE_CONNS_MAX - 1 + extra; /* the proxy has one */
    struct stranger *strangers = calloc(count, sizeof *strangers);
    assert_non_null(strangers);
    for (uint32_t i = 0; i < count; i++) {
        strangers[i] = meet(bed->nodes[0].port);
        if (i % 50 == 0)
            quo_loop_turn(bed->loop, 0);
    }
    TURN_UNTIL(bed, stat(&stats->connects) + stat(&stats->refused) == met + count);
    assert_true(stat(&stats->connects) - stat(&stats->disconnects) <= QUO_NODE_CONNS_MAX);
    assert_echoes(bed, 0);
    for (uint32_t i = 0; i < count; i++)
        close(strangers[i].fd);
    free(strangers);
    TURN_UNTIL(bed, stat(&stats->connects) - stat(&stats->disconnects) == 1);
    return stat(&stats->refused) - refused;
}

static void connections_over_the_limit_are_turned_away(void **state)
{
    struct bed *bed = *state;
    enum { EXTRA = 5 };
    if (!raise_limit(2 * (QUO_NODE_CONNS_MAX + EXTRA) + 100))
        skip();
    /* On a machine so busy that the first are dropped for their silence before the last came there
     * is room for all: then again. */
    const time_t start_s = now_s();
    while (crowd(bed, EXTRA) != EXTRA)
        assert_true(now_s() - start_s < GENEROUS_S);
    /* Their places are free again, under new numbers. */
    struct stranger late = meet(bed->nodes[0].port);
    uint8_t bytes[512];
    say(bed, &late, bytes, hello_frame(bytes, QUO_PROTOCOL_VERSION, CLUSTER));
    TURN_UNTIL(bed, bed->nodes[0].ups == 2);
    close(late.fd);
}

static void without_descriptors_the_listener_waits(void **state)
{
    struct bed *bed = *state;
    struct stranger stranger = meet(bed->nodes[0].port);
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 1; /* every new descriptor is over it */
    setrlimit(RLIMIT_NOFILE, &none);
    const time_t start_s = now_s();
    int turns = 0;
    while (now_s() - start_s < 3) {
        quo_loop_turn(bed->loop, 1000);
        turns++;
    }
    setrlimit(RLIMIT_NOFILE, &before);
    assert_true(turns < 300);
    assert_echoes(bed, 0);
    uint8_t bytes[512];
    say(bed, &stranger, bytes, hello_frame(bytes, QUO_PROTOCOL_VERSION, CLUSTER));
    TURN_UNTIL(bed, bed->nodes[0].ups == 2);
    close(stranger.fd);
}

static void closing_the_listener_keeps_connections(void **state)
{
    struct bed *bed = *state;
    quo_acceptor_close_listener(bed->nodes[0].acceptor);
    quo_acceptor_close_listener(bed->nodes[0].acceptor);
    struct stranger stranger = meet(bed->nodes[0].port);
    TURN_UNTIL(bed, has_ended(&stranger));
    close(stranger.fd);
    assert_echoes(bed, 0);
}

static void freeing_with_frames_under_way_is_clean(void **state)
{
    struct bed *bed = *state;
    uint8_t *body = calloc(1, MIB);
    assert_non_null(body);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(try_send(bed, i % 2, i, quo_slice(body, MIB)), QUO_OK);
    quo_loop_turn(bed->loop, 0);
    quo_loop_turn(bed->loop, 0);
    assert_int_equal(try_send(bed, 0, 99, quo_slice_of("never leaves")), QUO_OK);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_can_be_sent_before_the_greeting, set_up_nodes,
                                        tear_down),
        cmocka_unit_test_setup_teardown(hosts_may_be_names, set_up_nodes, tear_down),
        cmocka_unit_test_setup_teardown(frames_of_a_turn_leave_in_one_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_largest_frames_pass, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_requests_in_flight_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_forward_is_in_flight_until_it_is_answered, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_outbox_refuses_and_loses_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_that_comes_back_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(proxies_are_told_from_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_replica_is_refused, set_up_nodes, tear_down),
        cmocka_unit_test_setup_teardown(another_cluster_is_refused, set_up_nodes, tear_down),
        cmocka_unit_test_setup_teardown(proxies_meet_the_other_proxies_of_the_map, set_up_nodes,
                                        tear_down),
        cmocka_unit_test_setup_teardown(garbage_ends_its_connection_and_no_other, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_frame_cut_off_is_no_harm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stranger_that_says_nothing_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_does_not_read_gets_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_reads_slowly_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_never_reads_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replies_over_the_limit_end_the_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_node_that_falls_silent_is_given_up, set_up_nodes,
                                        tear_down),
        cmocka_unit_test_setup_teardown(idle_connections_stay_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(connections_over_the_limit_are_turned_away, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_descriptors_the_listener_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_the_listener_keeps_connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(freeing_with_frames_under_way_is_clean, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
