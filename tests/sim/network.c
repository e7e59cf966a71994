#include <stdlib.h>
#include <xxhash.h>

#include "sim.h"

/* A DOWN event with this bit comes from a keep-alive: it counts only if the peer is still out of
 * reach. */
#define IF_STILL_BLOCKED (UINT64_C(1) << 63)

static struct sim_process *receiver_of(const struct sim_conn *conn, uint32_t direction)
{
    return direction == SIM_TO_NODE ? sim_node(sim_world, conn->node)
                                    : sim_proxy(sim_world, conn->proxy);
}

static uint32_t life_at(const struct sim_conn *conn, uint32_t direction)
{
    return direction == SIM_TO_NODE ? conn->node_life : conn->proxy_life;
}

static uint64_t latency(struct sim *sim)
{
    const struct sim_swarm *s = &sim->swarm;
    uint64_t us = sim_between(&sim->rng, s->latency_min_us, s->latency_max_us);
    if (s->tail_permille > 0 && sim_chance(&sim->rng, s->tail_permille))
        us *= 1 + sim_below(&sim->rng, s->tail_factor);
    return us;
}

/* ---- packets ---- */

static struct sim_packet *packet_new(uint64_t conn, uint32_t direction, struct sim_frame *frames)
{
    struct sim_packet *packet = malloc(sizeof *packet);
    QUO_REQUIRE(packet != NULL);
    *packet = (struct sim_packet){.conn = conn, .direction = direction, .frames = frames};
    return packet;
}

static void frames_free(struct sim_frame *frame)
{
    while (frame != NULL) {
        struct sim_frame *next = frame->next;
        free(frame);
        frame = next;
    }
}

void sim_packet_free(struct sim_packet *packet)
{
    frames_free(packet->frames);
    free(packet);
}

static struct sim_frame *frame_copy(const struct sim_frame *frame)
{
    struct sim_frame *copy = malloc(sizeof *copy + frame->len);
    QUO_REQUIRE(copy != NULL);
    memcpy(copy, frame, sizeof *copy + frame->len);
    copy->next = NULL;
    return copy;
}

static void post(struct sim *sim, struct sim_packet *packet, uint64_t at)
{
    const struct sim_conn *conn = &sim->conns[packet->conn];
    struct sim_process *to = receiver_of(conn, packet->direction);
    if (to->incarnation != life_at(conn, packet->direction))
        sim_packet_free(packet);
    else
        sim_at(sim, at, SIM_EVENT_PACKET, to, 0, packet);
}

/* Frames alone: each may be lost and overtake others. Queries, prepares and replies may also come
 * twice. No transport does that, and none may do it with a STORE or an ACC: a refusal proves that
 * nothing was done, and that would be wrong if the same request could be accepted earlier or later.
 */
static void send_datagram(struct sim *sim, struct sim_packet *packet)
{
    const struct sim_conn *conn = &sim->conns[packet->conn];
    if (sim->blocked[conn->proxy][conn->node][packet->direction] ||
        sim_chance(&sim->rng, sim->swarm.loss_permille)) {
        sim_packet_free(packet);
        return;
    }
    uint8_t type = packet->frames->type;
    bool once = type == QUO_MESSAGE_STORE || type == QUO_MESSAGE_ACC;
    while (!once && sim_chance(&sim->rng, sim->swarm.double_permille))
        post(sim, packet_new(packet->conn, packet->direction, frame_copy(packet->frames)),
             sim->now + 4 * latency(sim));
    post(sim, packet, sim->now + latency(sim));
}

/* A stream keeps its order and loses nothing while it lasts; a partition holds it up. */
static void send_stream(struct sim *sim, struct sim_packet *packet)
{
    struct sim_conn *conn = &sim->conns[packet->conn];
    uint32_t d = packet->direction;
    if (sim->blocked[conn->proxy][conn->node][d]) {
        *conn->stalled_end[d] = packet;
        conn->stalled_end[d] = &packet->next;
        return;
    }
    conn->last[d] = QUO_MAX(sim->now + latency(sim), conn->last[d] + 1);
    post(sim, packet, conn->last[d]);
    if (sim_chance(&sim->rng, sim->swarm.cut_permille))
        sim_network_cut(conn->proxy, conn->node);
}

static void send_packet(struct sim *sim, struct sim_packet *packet)
{
    if (sim->conns[packet->conn].cut) {
        sim_packet_free(packet);
    } else if (sim->manual) {
        *sim->held_end = packet;
        sim->held_end = &packet->next;
    } else if (sim->swarm.datagrams) {
        send_datagram(sim, packet);
    } else {
        send_stream(sim, packet);
    }
}

void sim_network_flush(struct sim_process *p)
{
    struct sim *sim = sim_world;
    uint32_t direction = p->is_node ? SIM_TO_PROXY : SIM_TO_NODE;
    bool whole = sim->swarm.batch && !sim->swarm.datagrams && !sim->manual;
    for (uint32_t i = 0; i < p->outbox_count; i++) {
        struct sim_frame *frames = p->outboxes[i].frames;
        while (frames != NULL) {
            struct sim_frame *rest = whole ? NULL : frames->next;
            if (!whole)
                frames->next = NULL;
            send_packet(sim, packet_new(p->outboxes[i].conn, direction, frames));
            frames = rest;
        }
    }
    p->outbox_count = 0;
}

void sim_network_deliver(struct sim_process *p, struct sim_packet *packet)
{
    struct sim *sim = sim_world;
    const struct sim_conn *conn = &sim->conns[packet->conn];
    bool lost = !conn->open[packet->direction] || conn->emptied ||
                p->incarnation != life_at(conn, packet->direction);
    struct sim_frame *frame = lost ? NULL : packet->frames;
    uint64_t peer = p->is_node ? packet->conn : conn->node;
    for (; frame != NULL; frame = frame->next) {
        sim_mix(sim, frame->id << 8 | frame->type);
        if (p->is_node)
            sim_oracle_request(p, packet->conn, frame);
        else
            sim->replied_at[p->number][conn->node] = sim_stamp(sim);
        struct quo_frame seen = {
            .type = frame->type, .id = frame->id, .body = quo_slice(frame->body, frame->len)};
        p->transport.events->on_frame(p->transport.receiver, peer, &seen);
    }
    sim_packet_free(packet);
}

/* ---- the transport port ---- */

static struct sim_process *process_of(struct quo_transport *t)
{
    return (struct sim_process *)(void *)((char *)t - offsetof(struct sim_process, transport));
}

/* The connection to a peer as this process sees it; 0 when there is none. */
static uint64_t conn_to(const struct sim_process *p, uint64_t peer)
{
    struct sim *sim = sim_world;
    if (p->dying)
        return 0;
    if (p->is_node) {
        const struct sim_conn *conn = peer < SIM_CONNS_MAX ? &sim->conns[peer] : NULL;
        bool ours = conn != NULL && peer <= sim->conn_count && conn->node == p->number &&
                    conn->node_life == p->incarnation && conn->open[SIM_TO_NODE];
        return ours ? peer : 0;
    }
    QUO_REQUIRE(peer < sim->swarm.nodes);
    uint64_t link = sim->link[p->number][peer];
    return link != 0 && sim->conns[link].open[SIM_TO_PROXY] ? link : 0;
}

static enum quo_status reserve(struct quo_transport *t, uint64_t peer, size_t body_len,
                               uint8_t **ret_body)
{
    struct sim_process *p = process_of(t);
    struct sim *sim = sim_world;
    QUO_REQUIRE(p->reserved == NULL);
    QUO_REQUIRE(body_len <= QUO_FRAME_BODY_MAX);
    if (conn_to(p, peer) == 0)
        return QUO_UNAVAILABLE;
    if (sim->swarm.busy_permille > 0 && sim_chance(&sim->rng, sim->swarm.busy_permille))
        return QUO_BUSY;
    p->reserved = malloc(sizeof *p->reserved + body_len);
    QUO_REQUIRE(p->reserved != NULL);
    p->reserved->len = (uint32_t)body_len;
    p->reserved->next = NULL;
    p->reserved_peer = peer;
    *ret_body = p->reserved->body;
    return QUO_OK;
}

static struct sim_outbox *outbox_for(struct sim_process *p, uint64_t conn)
{
    for (uint32_t i = 0; i < p->outbox_count; i++)
        if (p->outboxes[i].conn == conn)
            return &p->outboxes[i];
    QUO_REQUIRE(p->outbox_count < SIM_OUTBOXES_MAX);
    struct sim_outbox *outbox = &p->outboxes[p->outbox_count++];
    outbox->conn = conn;
    outbox->frames = NULL;
    outbox->end = &outbox->frames;
    return outbox;
}

static void seal(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id)
{
    struct sim_process *p = process_of(t);
    struct sim_frame *frame = p->reserved;
    QUO_REQUIRE(frame != NULL && p->reserved_peer == peer);
    p->reserved = NULL;
    frame->type = type;
    frame->id = id;
    sim_mix(sim_world, XXH3_64bits_withSeed(frame->body, frame->len, id << 8 | type));
    uint64_t conn = conn_to(p, peer);
    if (p->is_node)
        sim_oracle_reply(p, conn, frame);
    else
        sim_oracle_sent(p, frame);
    if (!p->is_node)
        sim_nemesis_sent(p, type);
    struct sim_outbox *outbox = outbox_for(p, conn);
    *outbox->end = frame;
    outbox->end = &frame->next;
}

const struct quo_transport_ops sim_transport_ops = {.reserve = reserve, .seal = seal};

/* ---- connections ---- */

static void retry_connect(struct sim_process *proxy, uint32_t node)
{
    struct sim *sim = sim_world;
    uint64_t pause = sim_between(&sim->rng, 2 * SIM_MS, 100 * SIM_MS);
    sim_at(sim, sim->now + pause, SIM_EVENT_CONNECT, proxy, node, NULL);
}

void sim_network_connect(struct sim_process *proxy, uint32_t number)
{
    struct sim *sim = sim_world;
    struct sim_process *node = sim_node(sim, number);
    const bool *blocked = sim->blocked[proxy->number][number];
    if (sim->link[proxy->number][number] != 0 || sim->conn_count + 1 >= SIM_CONNS_MAX)
        return;
    bool refused = node->disk->wiped && !sim->unsafe_amnesia;
    if (!node->alive || node->frozen || refused || blocked[0] || blocked[1]) {
        retry_connect(proxy, number);
        return;
    }
    uint64_t c = ++sim->conn_count;
    struct sim_conn *conn = &sim->conns[c];
    *conn = (struct sim_conn){.proxy = proxy->number,
                              .node = number,
                              .proxy_life = proxy->incarnation,
                              .node_life = node->incarnation};
    for (uint32_t d = 0; d < 2; d++)
        conn->stalled_end[d] = &conn->stalled[d];
    sim->link[proxy->number][number] = c;
    uint64_t there = sim->manual ? sim->now : sim->now + latency(sim);
    uint64_t back = sim->manual ? sim->now + 1 : there + latency(sim);
    conn->last[SIM_TO_NODE] = there;
    conn->last[SIM_TO_PROXY] = back;
    sim_at(sim, there, SIM_EVENT_UP, node, c, NULL);
    sim_at(sim, back, SIM_EVENT_UP, proxy, c, NULL);
}

void sim_network_up(struct sim_process *p, uint64_t c)
{
    struct sim *sim = sim_world;
    struct sim_conn *conn = &sim->conns[c];
    uint32_t side = p->is_node ? SIM_TO_NODE : SIM_TO_PROXY;
    if (conn->cut || conn->closed[side])
        return;
    conn->open[side] = true;
    sim_note(sim, "%s: connection %llu is up", sim_process_name(p), (unsigned long long)c);
    p->transport.events->on_up(p->transport.receiver, p->is_node ? c : conn->node);
}

static void drop_stalled(struct sim_conn *conn, uint32_t d)
{
    while (conn->stalled[d] != NULL) {
        struct sim_packet *next = conn->stalled[d]->next;
        sim_packet_free(conn->stalled[d]);
        conn->stalled[d] = next;
    }
    conn->stalled_end[d] = &conn->stalled[d];
}

/* The other side of a closed connection learns of it, sooner or later. */
static void tell_other_side(struct sim *sim, uint64_t c, uint32_t side)
{
    struct sim_conn *conn = &sim->conns[c];
    uint32_t other = 1 - side;
    struct sim_process *peer = receiver_of(conn, other);
    if (conn->closed[other] || peer->incarnation != life_at(conn, other) || !peer->alive)
        return;
    uint64_t delay =
        sim_chance(&sim->rng, 700) ? latency(sim) : sim_between(&sim->rng, SIM_MS, 400 * SIM_MS);
    sim_at(sim, sim->now + delay, SIM_EVENT_DOWN, peer, c, NULL);
}

void sim_network_down(struct sim_process *p, uint64_t arg)
{
    struct sim *sim = sim_world;
    uint64_t c = arg & ~IF_STILL_BLOCKED;
    struct sim_conn *conn = &sim->conns[c];
    const bool *blocked = sim->blocked[conn->proxy][conn->node];
    if ((arg & IF_STILL_BLOCKED) != 0 && !blocked[0] && !blocked[1])
        return;
    uint32_t side = p->is_node ? SIM_TO_NODE : SIM_TO_PROXY;
    if (conn->closed[side])
        return;
    bool was_open = conn->open[side];
    conn->closed[side] = true;
    conn->open[side] = false;
    conn->cut = true;
    drop_stalled(conn, side);
    tell_other_side(sim, c, side);
    if (!p->is_node) {
        sim->link[p->number][conn->node] = 0;
        retry_connect(p, conn->node);
    }
    if (was_open) {
        sim_note(sim, "%s: connection %llu is down", sim_process_name(p), (unsigned long long)c);
        p->transport.events->on_down(p->transport.receiver, p->is_node ? c : conn->node);
    }
}

void sim_network_cut(uint32_t proxy, uint32_t node)
{
    struct sim *sim = sim_world;
    uint64_t c = sim->link[proxy][node];
    if (c == 0 || sim->conns[c].cut)
        return;
    struct sim_conn *conn = &sim->conns[c];
    conn->cut = true;
    /* What is under way is lost, or still arrives at a side that has not noticed. */
    conn->emptied = sim_chance(&sim->rng, 500);
    struct sim_process *p = sim_proxy(sim, proxy);
    sim_at(sim, sim->now + latency(sim), SIM_EVENT_DOWN, p, c, NULL);
}

void sim_network_gone(struct sim_process *p)
{
    struct sim *sim = sim_world;
    uint32_t side = p->is_node ? SIM_TO_NODE : SIM_TO_PROXY;
    for (uint64_t c = 1; c <= sim->conn_count; c++) {
        struct sim_conn *conn = &sim->conns[c];
        if (receiver_of(conn, side) != p || life_at(conn, side) != p->incarnation ||
            conn->closed[side])
            continue;
        if (conn->open[side] && p->is_node)
            p->transport.events->on_down(p->transport.receiver, c);
        conn->closed[side] = true;
        conn->open[side] = false;
        conn->cut = true;
        drop_stalled(conn, side);
        tell_other_side(sim, c, side);
        if (!p->is_node)
            sim->link[p->number][conn->node] = 0;
    }
}

static void release_stalled(struct sim *sim, struct sim_conn *conn, uint32_t d)
{
    struct sim_packet *packet = conn->stalled[d];
    conn->stalled[d] = NULL;
    conn->stalled_end[d] = &conn->stalled[d];
    while (packet != NULL) {
        struct sim_packet *next = packet->next;
        packet->next = NULL;
        conn->last[d] = QUO_MAX(sim->now + latency(sim), conn->last[d] + 1);
        post(sim, packet, conn->last[d]);
        packet = next;
    }
}

void sim_network_block(uint32_t proxy, uint32_t node, uint32_t d, bool blocked)
{
    struct sim *sim = sim_world;
    if (sim->blocked[proxy][node][d] == blocked)
        return;
    sim->blocked[proxy][node][d] = blocked;
    uint64_t c = sim->link[proxy][node];
    if (c == 0)
        return;
    struct sim_conn *conn = &sim->conns[c];
    if (!blocked) {
        release_stalled(sim, conn, d);
        return;
    }
    for (uint32_t side = 0; side < 2 && !sim->manual; side++) {
        struct sim_process *p = receiver_of(conn, side);
        if (p->incarnation == life_at(conn, side))
            sim_at(sim, sim->now + sim_between(&sim->rng, 50 * SIM_MS, 2 * SIM_S), SIM_EVENT_DOWN,
                   p, c | IF_STILL_BLOCKED, NULL);
    }
}
