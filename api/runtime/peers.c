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

struct node {
    struct quo_link link;
    struct quo_peers *peers;
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
    const struct quo_map *map;
    struct quo_net_stats stats;
    uint64_t next_us; /* nothing is due before */
    uint64_t tick_us;
    uint32_t node_count;
    struct node nodes[];
};

static const struct quo_node_info *info_of(const struct node *node)
{
    return &node->peers->map->nodes[node->index];
}

/* Attempts */

static void pause_node(struct node *node, uint64_t pause_us)
{
    struct quo_peers *peers = node->peers;
    node->try_us = quo_mono_us(quo_loop_env(peers->loop)) + pause_us;
    peers->next_us = QUO_MIN(peers->next_us, node->try_us);
}

static void pause_jittered(struct node *node)
{
    uint64_t random = quo_random(quo_loop_env(node->peers->loop));
    pause_node(node, random % (node->pause_cap_us + 1));
    node->pause_cap_us = QUO_MIN(node->pause_cap_us * 2, PAUSE_CAP_MAX_US);
}

static void complain(struct node *node, const char *event, const char *why)
{
    char quoted[256];
    if (node->complained)
        return;
    node->complained = true;
    quo_log(QUO_LOG_WARN, event, "node=%s host=%s port=%u why=%s", info_of(node)->name,
            info_of(node)->host, (unsigned)info_of(node)->port,
            quo_log_quote(quo_slice_of(why), quoted, sizeof quoted));
}

static void fail_attempt(struct node *node, const char *event, const char *why)
{
    complain(node, event, why);
    pause_jittered(node);
}

static void connect_node(struct node *node)
{
    uint32_t which = node->attempts++ % node->addresses.count;
    if (!quo_link_connect(&node->link, &node->addresses.at[which]))
        fail_attempt(node, "peer.unreachable", "cannot connect");
}

static void start_lookup(struct node *node)
{
    node->lookup = quo_lookup_start(info_of(node)->host, info_of(node)->port);
    if (node->lookup == NULL)
        fail_attempt(node, "peer.unresolved", "no thread to look it up");
    else
        pause_node(node, LOOKUP_POLL_US);
}

static void poll_lookup(struct node *node)
{
    int error;
    if (!quo_lookup_done(node->lookup, &node->addresses, &error)) {
        pause_node(node, LOOKUP_POLL_US);
        return;
    }
    quo_lookup_free(node->lookup);
    node->lookup = NULL;
    if (error != 0)
        fail_attempt(node, "peer.unresolved", gai_strerror(error));
    else
        connect_node(node);
}

static void try_node(struct node *node)
{
    if (!node->is_name)
        connect_node(node);
    else if (node->lookup == NULL)
        start_lookup(node);
    else
        poll_lookup(node);
}

/* Events of links */

static struct node *node_of(struct quo_link *link)
{
    return QUO_CONTAINER_OF(link, struct node, link);
}

static enum quo_status on_hello(struct quo_link *link, const struct quo_msg_hello *hello)
{
    struct node *node = node_of(link);
    struct quo_peers *peers = node->peers;
    const uint64_t cluster = peers->map->cluster, replica = info_of(node)->replica;
    if (hello->cluster == cluster && hello->replica == replica)
        return QUO_OK;
    if (!node->complained)
        quo_log(QUO_LOG_ERROR, "peer.refused",
                "node=%s host=%s port=%u cluster=%016" PRIx64 " expected_cluster=%016" PRIx64
                " replica=%016" PRIx64 " expected_replica=%016" PRIx64,
                info_of(node)->name, info_of(node)->host, (unsigned)info_of(node)->port,
                hello->cluster, cluster, hello->replica, replica);
    node->complained = true;
    return QUO_WRONG_CLUSTER;
}

static void on_up(struct quo_link *link)
{
    struct node *node = node_of(link);
    struct quo_transport *transport = &node->peers->transport;
    node->up_us = quo_mono_us(quo_loop_env(link->loop));
    node->complained = false;
    quo_log(QUO_LOG_INFO, "peer.up", "node=%s host=%s port=%u", info_of(node)->name,
            info_of(node)->host, (unsigned)info_of(node)->port);
    transport->events->on_up(transport->receiver, node->index);
}

static void on_frame(struct quo_link *link, const struct quo_frame *frame)
{
    struct node *node = node_of(link);
    struct quo_transport *transport = &node->peers->transport;
    transport->events->on_frame(transport->receiver, node->index, frame);
}

static void log_end(struct node *node, const struct quo_link_end *end, bool was_up)
{
    char quoted[300];
    if (!was_up && node->complained)
        return;
    node->complained = true;
    quo_log(QUO_LOG_WARN, was_up ? "peer.down" : "peer.unreachable",
            "node=%s host=%s port=%u fate=%s status=%s why=%s", info_of(node)->name,
            info_of(node)->host, (unsigned)info_of(node)->port, quo_link_fate_name(end->fate),
            quo_status_name(end->status), quo_log_quote(end->text, quoted, sizeof quoted));
}

static void on_end(struct quo_link *link, const struct quo_link_end *end, bool was_up)
{
    struct node *node = node_of(link);
    struct quo_peers *peers = node->peers;
    log_end(node, end, was_up);
    /* A node that comes and goes at once is not courted as one that was there all the time. */
    if (was_up && quo_mono_us(quo_loop_env(peers->loop)) - node->up_us >= PAUSE_CAP_MAX_US)
        node->pause_cap_us = PAUSE_CAP_MIN_US;
    if (end->fate == QUO_LINK_LOST || end->fate == QUO_LINK_SILENT)
        pause_jittered(node);
    else
        pause_node(node, PAUSE_CAP_MAX_US);
    if (was_up)
        peers->transport.events->on_down(peers->transport.receiver, node->index);
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
    for (uint32_t i = 0; i < peers->node_count; i++) {
        struct node *node = &peers->nodes[i];
        if (node->link.state != QUO_LINK_CLOSED && tick)
            quo_link_tick(&node->link, mono_us);
        else if (node->link.state == QUO_LINK_CLOSED && mono_us >= node->try_us)
            try_node(node);
        if (node->link.state == QUO_LINK_CLOSED)
            peers->next_us = QUO_MIN(peers->next_us, node->try_us);
    }
}

/* Transport */

static struct quo_link *link_to(struct quo_transport *transport, uint64_t peer)
{
    struct quo_peers *peers = QUO_CONTAINER_OF(transport, struct quo_peers, transport);
    QUO_REQUIRE(peer < peers->node_count);
    return &peers->nodes[peer].link;
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

static void init_node(struct quo_peers *peers, uint32_t index, uint64_t self)
{
    struct node *node = &peers->nodes[index];
    const struct quo_node_info *info = &peers->map->nodes[index];
    node->peers = peers;
    node->index = index;
    node->pause_cap_us = PAUSE_CAP_MIN_US;
    node->is_name = quo_resolve(info->host, info->port, AI_NUMERICHOST, &node->addresses) != 0;
    node->link.ops = &link_ops;
    node->link.loop = peers->loop;
    node->link.stats = &peers->stats;
    node->link.hello.cluster = peers->map->cluster;
    node->link.hello.replica = self;
    node->link.hello.epoch = peers->map->epoch;
}

struct quo_peers *quo_peers_new(const struct quo_peers_options *options)
{
    const uint32_t count = options->map->node_count;
    struct quo_peers *peers = calloc(1, sizeof *peers + count * sizeof peers->nodes[0]);
    if (peers == NULL)
        return NULL;
    peers->transport.ops = &transport_ops;
    peers->loop = options->loop;
    peers->map = options->map;
    peers->node_count = count;
    for (uint32_t i = 0; i < count; i++)
        init_node(peers, i, options->self);
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
    for (uint32_t i = 0; i < peers->node_count; i++) {
        quo_link_close(&peers->nodes[i].link);
        quo_lookup_free(peers->nodes[i].lookup);
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
    QUO_REQUIRE(index < peers->node_count);
    return quo_link_answers(&peers->nodes[index].link);
}
