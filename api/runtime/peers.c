#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>

#include "api/runtime/link.h"
#include "quorate/log.h"
#include "quorate/net.h"

/* The pause before an attempt is drawn between 0 and a cap that doubles from the first to the last.
 */
#define PAUSE_CAP_MIN_US 20000u
#define PAUSE_CAP_MAX_US 2000000u
/* How often a look-up under way is asked for. */
#define LOOKUP_POLL_US 10000u

/* Whom to connect to. Borrowed from the map. */
struct target {
    const char *name;
    const char *host;
    uint16_t port;
    uint64_t replica; /* what its HELLO must say */
};

struct peer {
    struct quo_link link;
    struct quo_peers *peers;
    struct target target;
    uint32_t index;
    uint64_t try_us; /* when closed: the next attempt, or the next look at the look-up */
    uint64_t pause_cap_us;
    uint64_t up_us;  /* when it came up last */
    bool complained; /* that it cannot be had was logged; not again until it was up */
    bool is_name;    /* the host is no address: looked up before every attempt */
    struct quo_lookup *lookup;
    uint32_t attempts;
    struct quo_addresses addresses;
};

struct quo_peers {
    struct quo_transport transport;
    struct quo_timed timed;
    struct quo_loop *loop;
    uint64_t cluster;
    const char *role; /* of the peers, in log lines */
    struct quo_net_stats stats;
    uint64_t next_us; /* nothing is due before */
    uint64_t tick_us;
    uint32_t count;
    struct peer at[];
};

/* Attempts */

static void pause_peer(struct peer *peer, uint64_t pause_us)
{
    struct quo_peers *peers = peer->peers;
    peer->try_us = quo_mono_us(quo_loop_env(peers->loop)) + pause_us;
    peers->next_us = QUO_MIN(peers->next_us, peer->try_us);
}

static void pause_jittered(struct peer *peer)
{
    uint64_t random = quo_random(quo_loop_env(peer->peers->loop));
    pause_peer(peer, random % (peer->pause_cap_us + 1));
    peer->pause_cap_us = QUO_MIN(peer->pause_cap_us * 2, PAUSE_CAP_MAX_US);
}

static void complain(struct peer *peer, const char *event, const char *why)
{
    char quoted[256];
    if (peer->complained)
        return;
    peer->complained = true;
    quo_log(QUO_LOG_WARN, event, "%s=%s host=%s port=%u why=%s", peer->peers->role,
            peer->target.name, peer->target.host, (unsigned)peer->target.port,
            quo_log_quote(quo_slice_of(why), quoted, sizeof quoted));
}

static void fail_attempt(struct peer *peer, const char *event, const char *why)
{
    complain(peer, event, why);
    pause_jittered(peer);
}

static void connect_peer(struct peer *peer)
{
    uint32_t which = peer->attempts++ % peer->addresses.count;
    if (!quo_link_connect(&peer->link, &peer->addresses.at[which]))
        fail_attempt(peer, "peer.unreachable", "cannot connect");
}

static void start_lookup(struct peer *peer)
{
    peer->lookup = quo_lookup_start(peer->target.host, peer->target.port);
    if (peer->lookup == NULL)
        fail_attempt(peer, "peer.unresolved", "no thread to look it up");
    else
        pause_peer(peer, LOOKUP_POLL_US);
}

static void poll_lookup(struct peer *peer)
{
    int error;
    if (!quo_lookup_done(peer->lookup, &peer->addresses, &error)) {
        pause_peer(peer, LOOKUP_POLL_US);
        return;
    }
    quo_lookup_free(peer->lookup);
    peer->lookup = NULL;
    if (error != 0)
        fail_attempt(peer, "peer.unresolved", gai_strerror(error));
    else
        connect_peer(peer);
}

static void try_peer(struct peer *peer)
{
    if (!peer->is_name)
        connect_peer(peer);
    else if (peer->lookup == NULL)
        start_lookup(peer);
    else
        poll_lookup(peer);
}

/* Events of links */

static struct peer *peer_of(struct quo_link *link)
{
    return QUO_CONTAINER_OF(link, struct peer, link);
}

static enum quo_status on_hello(struct quo_link *link, const struct quo_msg_hello *hello)
{
    struct peer *peer = peer_of(link);
    struct quo_peers *peers = peer->peers;
    const uint64_t replica = peer->target.replica;
    if (hello->cluster == peers->cluster && hello->replica == replica)
        return QUO_OK;
    if (!peer->complained)
        quo_log(QUO_LOG_ERROR, "peer.refused",
                "%s=%s host=%s port=%u cluster=%016" PRIx64 " expected_cluster=%016" PRIx64
                " replica=%016" PRIx64 " expected_replica=%016" PRIx64,
                peer->peers->role, peer->target.name, peer->target.host,
                (unsigned)peer->target.port, hello->cluster, peers->cluster, hello->replica,
                replica);
    peer->complained = true;
    return QUO_WRONG_CLUSTER;
}

static void on_up(struct quo_link *link)
{
    struct peer *peer = peer_of(link);
    struct quo_transport *transport = &peer->peers->transport;
    peer->up_us = quo_mono_us(quo_loop_env(link->loop));
    peer->complained = false;
    quo_log(QUO_LOG_INFO, "peer.up", "%s=%s host=%s port=%u", peer->peers->role, peer->target.name,
            peer->target.host, (unsigned)peer->target.port);
    transport->events->on_up(transport->receiver, peer->index);
}

static void on_frame(struct quo_link *link, const struct quo_frame *frame)
{
    struct peer *peer = peer_of(link);
    struct quo_transport *transport = &peer->peers->transport;
    transport->events->on_frame(transport->receiver, peer->index, frame);
}

static void log_end(struct peer *peer, const struct quo_link_end *end, bool was_up)
{
    char quoted[300];
    if (!was_up && peer->complained)
        return;
    peer->complained = true;
    quo_log(QUO_LOG_WARN, was_up ? "peer.down" : "peer.unreachable",
            "%s=%s host=%s port=%u fate=%s status=%s why=%s", peer->peers->role, peer->target.name,
            peer->target.host, (unsigned)peer->target.port, quo_link_fate_name(end->fate),
            quo_status_name(end->status), quo_log_quote(end->text, quoted, sizeof quoted));
}

static void on_end(struct quo_link *link, const struct quo_link_end *end, bool was_up)
{
    struct peer *peer = peer_of(link);
    struct quo_peers *peers = peer->peers;
    log_end(peer, end, was_up);
    /* A peer that comes and goes at once is not courted as one that was there all the time. */
    if (was_up && quo_mono_us(quo_loop_env(peers->loop)) - peer->up_us >= PAUSE_CAP_MAX_US)
        peer->pause_cap_us = PAUSE_CAP_MIN_US;
    if (end->fate == QUO_LINK_LOST || end->fate == QUO_LINK_SILENT)
        pause_jittered(peer);
    else
        pause_peer(peer, PAUSE_CAP_MAX_US);
    if (was_up)
        peers->transport.events->on_down(peers->transport.receiver, peer->index);
}

static const struct quo_link_ops link_ops = {
    .on_hello = on_hello,
    .on_up = on_up,
    .on_frame = on_frame,
    .on_end = on_end,
};

/* Time */

static uint64_t deadline(struct quo_timed *timed)
{
    return QUO_CONTAINER_OF(timed, struct quo_peers, timed)->next_us;
}

static void expire(struct quo_timed *timed, uint64_t mono_us)
{
    struct quo_peers *peers = QUO_CONTAINER_OF(timed, struct quo_peers, timed);
    QUO_REQUIRE(peers->transport.events != NULL);
    const bool tick = mono_us >= peers->tick_us;
    if (tick)
        peers->tick_us = mono_us + QUO_LINK_TICK_US;
    peers->next_us = peers->tick_us;
    for (uint32_t i = 0; i < peers->count; i++) {
        struct peer *peer = &peers->at[i];
        if (peer->link.state != QUO_LINK_CLOSED && tick)
            quo_link_tick(&peer->link, mono_us);
        else if (peer->link.state == QUO_LINK_CLOSED && mono_us >= peer->try_us)
            try_peer(peer);
        if (peer->link.state == QUO_LINK_CLOSED)
            peers->next_us = QUO_MIN(peers->next_us, peer->try_us);
    }
}

/* Transport */

static struct quo_link *link_to(struct quo_transport *transport, uint64_t peer)
{
    struct quo_peers *peers = QUO_CONTAINER_OF(transport, struct quo_peers, transport);
    QUO_REQUIRE(peer < peers->count);
    return &peers->at[peer].link;
}

static enum quo_status reserve(struct quo_transport *transport, uint64_t peer, size_t body_len,
                               uint8_t **ret_body)
{
    return quo_link_reserve(link_to(transport, peer), body_len, ret_body);
}

static void seal(struct quo_transport *transport, uint64_t peer, uint8_t type, uint64_t id)
{
    quo_link_seal(link_to(transport, peer), type, id);
}

static const struct quo_transport_ops transport_ops = {.reserve = reserve, .seal = seal};

/* Making and freeing */

static struct target target_of(const struct quo_peers_options *options, uint32_t index)
{
    if (options->proxies) {
        const struct quo_proxy_info *proxy = &options->map->proxies[index];
        return (struct target){proxy->name, proxy->host, proxy->port, 0};
    }
    const struct quo_node_info *node = &options->map->nodes[index];
    return (struct target){node->name, node->host, node->port, node->replica};
}

static void init_peer(struct quo_peers *peers, uint32_t index,
                      const struct quo_peers_options *options)
{
    struct peer *peer = &peers->at[index];
    peer->peers = peers;
    peer->index = index;
    peer->target = target_of(options, index);
    peer->pause_cap_us = PAUSE_CAP_MIN_US;
    const bool is_self = options->proxies
                             ? index == options->own
                             : options->self != 0 && peer->target.replica == options->self;
    if (is_self)
        peer->try_us = UINT64_MAX;
    else
        peer->is_name = quo_resolve(peer->target.host, peer->target.port, AI_NUMERICHOST,
                                    &peer->addresses) != 0;
    peer->link.ops = &link_ops;
    peer->link.loop = peers->loop;
    peer->link.stats = &peers->stats;
    peer->link.hello.cluster = options->map->cluster;
    peer->link.hello.replica = options->self;
    peer->link.hello.epoch = options->map->epoch;
}

struct quo_peers *quo_peers_new(const struct quo_peers_options *options)
{
    const struct quo_map *map = options->map;
    const uint32_t count = options->proxies ? map->proxy_count : map->node_count;
    struct quo_peers *peers = calloc(1, sizeof *peers + count * sizeof peers->at[0]);
    if (peers == NULL)
        return NULL;
    peers->transport.ops = &transport_ops;
    peers->loop = options->loop;
    peers->cluster = map->cluster;
    peers->role = options->proxies ? "proxy" : "node";
    peers->count = count;
    for (uint32_t i = 0; i < count; i++)
        init_peer(peers, i, options);
    peers->timed.deadline = deadline;
    peers->timed.expire = expire;
    quo_loop_add_timed(peers->loop, &peers->timed);
    return peers;
}

void quo_peers_free(struct quo_peers *peers)
{
    if (peers == NULL)
        return;
    quo_loop_remove_timed(peers->loop, &peers->timed);
    for (uint32_t i = 0; i < peers->count; i++) {
        quo_link_close(&peers->at[i].link);
        quo_lookup_free(peers->at[i].lookup);
    }
    free(peers);
}

struct quo_transport *quo_peers_transport(struct quo_peers *peers)
{
    return &peers->transport;
}

const struct quo_net_stats *quo_peers_stats(const struct quo_peers *peers)
{
    return &peers->stats;
}

bool quo_peers_up(const struct quo_peers *peers, uint32_t index)
{
    QUO_REQUIRE(index < peers->count);
    return quo_link_answers(&peers->at[index].link);
}
