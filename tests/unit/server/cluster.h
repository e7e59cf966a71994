/* Three servers with memory engines, joined by a mesh that the test can cut and make lossy, and a
 * client that talks to each of them alone. Frames take TRIP_US; time passes only between events. */
#ifndef QUORATE_TESTS_SERVER_CLUSTER_H
#define QUORATE_TESTS_SERVER_CLUSTER_H

#include <stdio.h>

#include "tests/unit/server/harness.h"

#define NODES 3u
#define CLIENT UINT64_C(77)
#define NODE_PEER UINT64_C(1000) /* connections that other nodes made */
#define TRIP_US 500u

struct packet {
    struct packet *next;
    uint64_t at_us;
    uint64_t peer; /* as the receiver knows the sender */
    struct quo_transport *to;
    uint32_t node; /* that receives; NODES: the client */
    struct quo_frame frame;
    uint8_t body[];
};

struct cluster;
struct node {
    struct cluster *cluster;
    uint32_t index;
    struct quo_env env;
    struct quo_mailbox mailbox;
    struct quo_transport transport, mesh;
    struct quo_store *store;
    struct quo_server *server;
    struct quo_task *tasks, **tasks_end;
    uint64_t reserved_for;
    bool up[NODES]; /* on its mesh */
};

struct cluster {
    struct node nodes[NODES];
    struct quo_server_options options; /* of all nodes, but for what each has of its own */
    /* What a client does with a reply of this node, unless NULL. */
    void (*on_reply)(struct cluster *c, uint32_t node, uint64_t id,
                     const struct quo_msg_reply *reply);
    struct quo_map *map;
    uint64_t mono_us, seed;
    struct packet *packets, **packets_end, *reserved;
    uint32_t lost_in; /* each frame between nodes is lost with a chance of 1 in this; 0: none */
    uint32_t frames;
    uint64_t bytes; /* between nodes */
    uint64_t last_id, last_version;
    uint32_t refusals; /* answers to the client that are neither OK nor SUPERSEDED */
    uint32_t mends;    /* MEND frames that came to the client */
    struct quo_msg_freshness freshness; /* the last that came */
    struct quo_msg_debts debts;         /* likewise, but for its hints */
    struct quo_msg_digested digested;   /* likewise */
    uint32_t freshnesses, debt_count, digests;
    uint32_t last_mend_ns;
    char last_mend[64];
};

static inline uint64_t cluster_chance(struct cluster *c)
{
    uint64_t z = (c->seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static inline uint64_t below(struct cluster *c, uint64_t bound)
{
    return cluster_chance(c) % bound;
}

/* Ports */

static inline uint64_t node_mono_us(struct quo_env *env)
{
    return QUO_CONTAINER_OF(env, struct node, env)->cluster->mono_us;
}
static inline uint64_t node_wall_ms(struct quo_env *env)
{
    return START_MS + QUO_CONTAINER_OF(env, struct node, env)->cluster->mono_us / 1000;
}
static inline uint64_t node_random(struct quo_env *env)
{
    return cluster_chance(QUO_CONTAINER_OF(env, struct node, env)->cluster);
}
static inline void node_post(struct quo_mailbox *mailbox, struct quo_task *task)
{
    struct node *node = QUO_CONTAINER_OF(mailbox, struct node, mailbox);
    task->next = NULL;
    *node->tasks_end = task;
    node->tasks_end = &task->next;
}

static inline struct packet *packet_new(struct cluster *c, size_t len)
{
    struct packet *packet = calloc(1, sizeof *packet + len);
    assert_non_null(packet);
    packet->at_us = c->mono_us + TRIP_US;
    packet->frame.body = quo_slice(packet->body, len);
    return packet;
}
static inline void packet_send(struct cluster *c, struct packet *packet, uint8_t type, uint64_t id)
{
    packet->frame.type = type;
    packet->frame.id = id;
    *c->packets_end = packet;
    c->packets_end = &packet->next;
}

/* To a connection that somebody else made. */
static inline enum quo_status node_reserve(struct quo_transport *t, uint64_t peer, size_t body_len,
                                           uint8_t **ret_body)
{
    struct node *node = QUO_CONTAINER_OF(t, struct node, transport);
    struct cluster *c = node->cluster;
    struct packet *packet = packet_new(c, body_len);
    assert_null(c->reserved);
    assert_true(body_len <= QUO_FRAME_BODY_MAX);
    packet->peer = node->index;
    packet->node = NODES;
    if (peer != CLIENT) {
        packet->node = (uint32_t)(peer - NODE_PEER);
        packet->to = &c->nodes[packet->node].mesh;
    }
    c->reserved = packet;
    *ret_body = packet->body;
    return QUO_OK;
}
static inline enum quo_status mesh_reserve(struct quo_transport *t, uint64_t peer, size_t body_len,
                                           uint8_t **ret_body)
{
    struct node *node = QUO_CONTAINER_OF(t, struct node, mesh);
    struct cluster *c = node->cluster;
    assert_true(peer < NODES && peer != node->index);
    assert_null(c->reserved);
    if (!node->up[peer])
        return QUO_UNAVAILABLE;
    c->reserved = packet_new(c, body_len);
    c->reserved->peer = NODE_PEER + node->index;
    c->reserved->node = (uint32_t)peer;
    c->reserved->to = &c->nodes[peer].transport;
    *ret_body = c->reserved->body;
    return QUO_OK;
}
static inline void cluster_seal(struct cluster *c, uint8_t type, uint64_t id)
{
    struct packet *packet = c->reserved;
    c->reserved = NULL;
    if (packet->node < NODES) {
        c->frames++;
        c->bytes += QUO_FRAME_HEADER + packet->frame.body.len;
        if (c->lost_in != 0 && below(c, c->lost_in) == 0) {
            free(packet);
            return;
        }
    }
    packet_send(c, packet, type, id);
}
static inline void node_seal(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id)
{
    (void)peer;
    cluster_seal(QUO_CONTAINER_OF(t, struct node, transport)->cluster, type, id);
}
static inline void mesh_seal(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id)
{
    (void)peer;
    cluster_seal(QUO_CONTAINER_OF(t, struct node, mesh)->cluster, type, id);
}

static const struct quo_env_ops node_env_ops = {node_mono_us, node_wall_ms, node_random};
static const struct quo_mailbox_ops node_mailbox_ops = {node_post};
static const struct quo_transport_ops node_transport_ops = {node_reserve, node_seal};
static const struct quo_transport_ops mesh_transport_ops = {mesh_reserve, mesh_seal};

static inline bool node_any_proxy(struct quo_transport *transport, uint64_t *ret_peer)
{
    (void)transport;
    *ret_peer = CLIENT;
    return true;
}

/* Life */

static inline void take_answer(struct cluster *c, const struct packet *packet)
{
    struct quo_msg_reply reply;
    struct quo_msg_mend mend;
    if (packet->frame.type == QUO_MESSAGE_MEND) {
        assert_int_equal(quo_msg_mend_decode(packet->frame.body, &mend), QUO_OK);
        assert_int_equal(packet->frame.id, 0);
        c->mends++;
        c->last_mend_ns = mend.ns;
        snprintf(c->last_mend, sizeof c->last_mend, "%.*s", (int)mend.key.len,
                 (const char *)mend.key.data);
        return;
    }
    if (packet->frame.type == QUO_MESSAGE_FRESHNESS) {
        c->freshnesses++;
        assert_int_equal(quo_msg_freshness_decode(packet->frame.body, &c->freshness), QUO_OK);
        return;
    }
    if (packet->frame.type == QUO_MESSAGE_DIGESTED) {
        c->digests++;
        assert_int_equal(quo_msg_digested_decode(packet->frame.body, &c->digested), QUO_OK);
        return;
    }
    if (packet->frame.type == QUO_MESSAGE_DEBTS) {
        c->debt_count++;
        assert_int_equal(quo_msg_debts_decode(packet->frame.body, &c->debts), QUO_OK);
        return;
    }
    assert_int_equal(packet->frame.type, QUO_MESSAGE_REPLY);
    assert_int_equal(quo_msg_reply_decode(packet->frame.body, &reply), QUO_OK);
    c->refusals += reply.status != QUO_OK && reply.status != QUO_SUPERSEDED;
    if (c->on_reply != NULL)
        c->on_reply(c, (uint32_t)packet->peer, packet->frame.id, &reply);
}

static inline void deliver(struct cluster *c)
{
    while (c->packets != NULL && c->packets->at_us <= c->mono_us) {
        struct packet *packet = c->packets;
        c->packets = packet->next;
        if (c->packets == NULL)
            c->packets_end = &c->packets;
        if (packet->node == NODES)
            take_answer(c, packet);
        else if (c->nodes[packet->node].server != NULL)
            packet->to->events->on_frame(packet->to->receiver, packet->peer, &packet->frame);
        free(packet);
    }
}
static inline void node_turn(struct node *node)
{
    struct quo_task *task = node->tasks;
    node->tasks = NULL;
    node->tasks_end = &node->tasks;
    while (task != NULL) {
        struct quo_task *next = task->next;
        task->run(task);
        task = next;
    }
    if (node->server != NULL)
        quo_server_end_turn(node->server);
}
static inline void cluster_turn(struct cluster *c)
{
    deliver(c);
    for (uint32_t i = 0; i < NODES; i++)
        node_turn(&c->nodes[i]);
}

/* When something happens next; now if something can. */
static inline uint64_t cluster_next_us(const struct cluster *c)
{
    uint64_t next_us = c->packets != NULL ? c->packets->at_us : UINT64_MAX;
    for (uint32_t i = 0; i < NODES; i++) {
        if (c->nodes[i].tasks != NULL)
            return c->mono_us;
        if (c->nodes[i].server != NULL)
            next_us = QUO_MIN(next_us, quo_server_deadline(c->nodes[i].server));
    }
    return next_us;
}
static inline void cluster_run(struct cluster *c, uint64_t us)
{
    uint64_t until_us = c->mono_us + us;
    for (;;) {
        uint64_t next_us = cluster_next_us(c);
        if (next_us > until_us)
            break;
        /* Something that is due and does not happen would stop the world. */
        c->mono_us = QUO_MAX(c->mono_us + 1, next_us);
        cluster_turn(c);
    }
    c->mono_us = QUO_MAX(c->mono_us, until_us);
}

static inline void node_open(struct node *node)
{
    char why[200];
    struct cluster *c = node->cluster;
    struct quo_server_options options = c->options;
    options.env = &node->env;
    options.transport = &node->transport;
    options.any_proxy = node_any_proxy;
    options.mesh = &node->mesh;
    options.store = node->store;
    options.replica = c->map->nodes[node->index].replica;
    options.map = c->map;
    assert_int_equal(quo_server_new(&options, &node->server, why, sizeof why), QUO_OK);
}
static inline void link_set(struct cluster *c, uint32_t a, uint32_t b, bool up)
{
    struct node *node = &c->nodes[a];
    if (node->up[b] == up)
        return;
    node->up[b] = up;
    if (up)
        node->mesh.events->on_up(node->mesh.receiver, b);
    else
        node->mesh.events->on_down(node->mesh.receiver, b);
}
static inline void links_set(struct cluster *c, bool up)
{
    for (uint32_t a = 0; a < NODES; a++)
        for (uint32_t b = 0; b < NODES; b++)
            if (a != b)
                link_set(c, a, b, up);
}

static inline void cluster_prepare(struct cluster *c, uint64_t seed)
{
    static const uint64_t replicas[NODES] = {SELF, SECOND, THIRD};
    *c = (struct cluster){.seed = seed, .mono_us = 1000000};
    c->packets_end = &c->packets;
    c->map = calloc(1, sizeof *c->map);
    assert_non_null(c->map);
    map_fill(c->map, 1);
    c->map->node_count = NODES;
    for (uint32_t i = 0; i < NODES; i++) {
        c->map->nodes[i].replica = replicas[i];
        c->nodes[i] = (struct node){
            .cluster = c,
            .index = i,
            .env = {&node_env_ops},
            .mailbox = {&node_mailbox_ops},
            .transport = {.ops = &node_transport_ops},
            .mesh = {.ops = &mesh_transport_ops},
        };
        c->nodes[i].tasks_end = &c->nodes[i].tasks;
        c->nodes[i].store = quo_store_memory_new(&c->nodes[i].mailbox);
    }
}
static inline void cluster_open(struct cluster *c)
{
    for (uint32_t i = 0; i < NODES; i++)
        node_open(&c->nodes[i]);
    cluster_run(c, 10000);
}
static inline void cluster_start(struct cluster *c, uint64_t seed)
{
    cluster_prepare(c, seed);
    cluster_open(c);
}

static inline void node_close(struct node *node)
{
    struct cluster *c = node->cluster;
    for (uint32_t i = 0; i < NODES; i++)
        if (i != node->index) {
            link_set(c, i, node->index, false);
            link_set(c, node->index, i, false);
        }
    quo_server_drain(node->server);
    for (int i = 0; i < 1000 && !quo_server_idle(node->server); i++)
        node_turn(node);
    assert_true(quo_server_idle(node->server));
    quo_server_free(node->server);
    node->server = NULL;
}
static inline void cluster_stop(struct cluster *c)
{
    for (uint32_t i = 0; i < NODES; i++) {
        if (c->nodes[i].server != NULL)
            node_close(&c->nodes[i]);
    }
    while (c->packets != NULL) {
        struct packet *packet = c->packets;
        c->packets = packet->next;
        free(packet);
    }
    for (uint32_t i = 0; i < NODES; i++)
        c->nodes[i].store->ops->close(c->nodes[i].store);
    assert_null(c->reserved);
    free(c->map);
}

/* The client */

static inline void client_send(struct cluster *c, uint32_t node, uint8_t type,
                               struct packet *packet)
{
    packet->peer = CLIENT;
    packet->node = node;
    packet->to = &c->nodes[node].transport;
    packet_send(c, packet, type, ++c->last_id);
}

/* A blind write at one node. */
static inline void client_put(struct cluster *c, uint32_t node, uint16_t partition, uint32_t ns,
                              const char *key, uint64_t n, struct quo_slice value)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(&c->map->entries[partition], entry);
    struct quo_record record = {
        .flags = QUO_RECORD_BLIND, .version = version_of(n), .value = value};
    size_t len = quo_record_size(&record);
    uint8_t *bytes = malloc(len);
    quo_record_encode(&record, bytes);
    struct quo_msg_store message = {
        .partition = partition,
        .ns = ns,
        .kind = kind_of(ns),
        .entry = quo_slice(entry, quo_entry_size(&c->map->entries[partition])),
        .flags = QUO_STORE_SYNC,
        .key = quo_slice_of(key),
        .record = quo_slice(bytes, len),
    };
    struct packet *packet = packet_new(c, quo_msg_store_size(&message));
    quo_msg_store_encode(&message, packet->body);
    client_send(c, node, QUO_MESSAGE_STORE, packet);
    free(bytes);
}
/* What a read-modify-write proposes, at one node; a tombstone if `value` is NULL. */
static inline void client_acc(struct cluster *c, uint32_t node, uint16_t partition, uint32_t ns,
                              const char *key, uint64_t n, struct quo_slice value)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX], bytes[QUO_RECORD_OVERHEAD_MAX];
    quo_entry_encode(&c->map->entries[partition], entry);
    struct quo_record record = {
        .flags = value.data == NULL ? QUO_RECORD_TOMBSTONE : 0,
        .version = version_of(n),
        .changed = version_of(n),
        .value = value,
    };
    quo_record_encode(&record, bytes);
    struct quo_msg_acc message = {
        .partition = partition,
        .ns = ns,
        .kind = kind_of(ns),
        .entry = quo_slice(entry, quo_entry_size(&c->map->entries[partition])),
        .key = quo_slice_of(key),
        .record = quo_slice(bytes, quo_record_size(&record)),
    };
    struct packet *packet = packet_new(c, quo_msg_acc_size(&message));
    quo_msg_acc_encode(&message, packet->body);
    client_send(c, node, QUO_MESSAGE_ACC, packet);
}
static inline void client_prep(struct cluster *c, uint32_t node, uint16_t partition, uint32_t ns,
                               const char *key, uint64_t n)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(&c->map->entries[partition], entry);
    struct quo_msg_prep message = {
        .partition = partition,
        .ns = ns,
        .kind = kind_of(ns),
        .entry = quo_slice(entry, quo_entry_size(&c->map->entries[partition])),
        .ballot = version_of(n),
        .key = quo_slice_of(key),
    };
    struct packet *packet = packet_new(c, quo_msg_prep_size(&message));
    quo_msg_prep_encode(&message, packet->body);
    client_send(c, node, QUO_MESSAGE_PREP, packet);
}

/* What is held */

struct contents {
    uint32_t records;
    uint64_t digest; /* of all records, in order */
};
static inline bool add_record(void *context, struct quo_slice key, struct quo_slice value)
{
    struct contents *contents = context;
    for (size_t i = 0; i < key.len; i++)
        contents->digest = (contents->digest ^ key.data[i]) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < value.len; i++)
        contents->digest = (contents->digest ^ value.data[i]) * UINT64_C(0x100000001b3);
    contents->records++;
    return true;
}
static inline struct contents contents_of(const struct node *node)
{
    struct contents contents = {.digest = UINT64_C(0xcbf29ce484222325)};
    const uint8_t hi[] = {0xff, 0xff, 0xff};
    assert_int_equal(node->store->ops->scan(node->store, QUO_FAMILY_DATA, quo_slice(hi, 0),
                                            quo_slice(hi, sizeof hi), add_record, &contents),
                     QUO_OK);
    return contents;
}
static inline bool all_equal(const struct cluster *c)
{
    struct contents first = contents_of(&c->nodes[0]);
    for (uint32_t i = 1; i < NODES; i++) {
        struct contents other = contents_of(&c->nodes[i]);
        if (other.records != first.records || other.digest != first.digest)
            return false;
    }
    return true;
}

#define NODE_STAT(c, i, name) quo_counted(&quo_server_stats((c)->nodes[i].server)->name)
static inline uint64_t sum_of(const struct cluster *c, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < NODES; i++)
        if (c->nodes[i].server != NULL)
            sum +=
                quo_counted((const _Atomic uint64_t *)(const void *)((const char *)quo_server_stats(
                                                                         c->nodes[i].server) +
                                                                     offset));
    return sum;
}
#define SUM(c, name) sum_of(c, offsetof(struct quo_server_stats, name))

#endif
