#include <stdlib.h>
#include <xxhash.h>

#include "sim.h"

/* A DOWN event with this bit comes from a keep-alive: it counts only if the peer is still out of
 * reach. */
#define IF_STILL_BLOCKED (UINT64_C(1) << 63)
#define LANE_US_MAX 20u

static struct sim_process *receiver_of(const struct sim_conn *conn, uint32_t direction)
{
    return &sim_world->processes[direction == SIM_TO_NODE ? conn->to : conn->from];
}

static uint32_t life_at(const struct sim_conn *conn, uint32_t direction)
{
    return direction == SIM_TO_NODE ? conn->to_life : conn->from_life;
}

static bool is_between_proxies(const struct sim_conn *conn)
{
    return conn->to >= SIM_NODES_MAX;
}

/* Between the loops of one proxy, which share their memory. */
static bool is_lane(uint32_t from, uint32_t to)
{
    return from >= SIM_NODES_MAX && to >= SIM_NODES_MAX &&
           sim_seats_is_lane(sim_world, from - SIM_NODES_MAX, to - SIM_NODES_MAX);
}

static uint32_t side_of(const struct sim_process *p, const struct sim_conn *conn)
{
    return conn->to == p->index ? SIM_TO_NODE : SIM_TO_PROXY;
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
 * twice. No transport does that, and none may do it with a STORE, an ACC or a FORWARD: a refusal
 * proves that nothing was done, and that would be wrong if the same request could be accepted
 * earlier or later. */
static void send_datagram(struct sim *sim, struct sim_packet *packet)
{
    const struct sim_conn *conn = &sim->conns[packet->conn];
    if (sim->blocked[conn->from][conn->to][packet->direction] ||
        sim_chance(&sim->rng, sim->swarm.loss_permille)) {
        sim_packet_free(packet);
        return;
    }
    uint8_t type = packet->frames->type;
    bool once = type == QUO_MESSAGE_STORE || type == QUO_MESSAGE_ACC || is_between_proxies(conn);
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
    if (sim->blocked[conn->from][conn->to][d]) {
        *conn->stalled_end[d] = packet;
        conn->stalled_end[d] = &packet->next;
        return;
    }
    conn->last[d] = QUO_MAX(sim->now + latency(sim), conn->last[d] + 1);
    post(sim, packet, conn->last[d]);
    if (sim_chance(&sim->rng, sim->swarm.cut_permille))
        sim_network_cut(conn->from, conn->to);
}

static void send_lane(struct sim *sim, struct sim_packet *packet)
{
    struct sim_conn *conn = &sim->conns[packet->conn];
    uint64_t *last = &conn->last[packet->direction];
    *last = QUO_MAX(sim->now + sim_between(&sim->rng, 1, LANE_US_MAX), *last + 1);
    post(sim, packet, *last);
}

static void send_packet(struct sim *sim, struct sim_packet *packet)
{
    const struct sim_conn *conn = &sim->conns[packet->conn];
    if (conn->cut) {
        sim_packet_free(packet);
    } else if (sim->manual) {
        *sim->held_end = packet;
        sim->held_end = &packet->next;
    } else if (is_lane(conn->from, conn->to)) {
        send_lane(sim, packet);
    } else if (sim->swarm.datagrams) {
        send_datagram(sim, packet);
    } else {
        send_stream(sim, packet);
    }
}

void sim_network_flush(struct sim_process *p)
{
    struct sim *sim = sim_world;
    bool whole = sim->swarm.batch && !sim->swarm.datagrams && !sim->manual;
    for (uint32_t i = 0; i < p->outbox_count; i++) {
        struct sim_frame *frames = p->outboxes[i].frames;
        uint32_t direction = 1 - side_of(p, &sim->conns[p->outboxes[i].conn]);
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

/* A write that was handed over lives on with whoever has taken it. */
static void note_forward(struct sim *sim, const struct sim_process *p,
                         const struct sim_frame *frame)
{
    struct quo_msg_forward forward;
    if (frame->type != QUO_MESSAGE_FORWARD ||
        quo_msg_forward_decode(quo_slice(frame->body, frame->len), &forward) != QUO_OK)
        return;
    uint32_t key = sim_key_index(forward.ns, forward.key);
    QUO_REQUIRE(key < SIM_KEYS_MAX);
    uint64_t *limit = &sim->limit[p->number][key];
    sim_note(sim, "%s is handed a write of \"%s\", above %llx.%llx", sim_process_name(p),
             sim_key_names[key], (unsigned long long)forward.first.hlc,
             (unsigned long long)forward.first.node);
    *limit = QUO_MAX(*limit, sim->now + forward.timeout_ms * SIM_MS);
}

/* A node asks for a write that changes nothing: no client's operation, but one. */
static void note_mend(struct sim *sim, const struct sim_process *p, const struct sim_frame *frame)
{
    struct quo_msg_mend mend;
    enum quo_status status = quo_msg_mend_decode(quo_slice(frame->body, frame->len), &mend);
    QUO_REQUIRE(status == QUO_OK);
    uint32_t key = sim_key_index(mend.ns, mend.key);
    QUO_REQUIRE(key < SIM_KEYS_MAX);
    uint64_t *limit = &sim->limit[p->number][key];
    sim_note(sim, "%s is asked to settle \"%s\"", sim_process_name(p), sim_key_names[key]);
    *limit = QUO_MAX(*limit, sim->now + QUO_TIMEOUT_DEFAULT_MS * SIM_MS);
}

static void note_frame(struct sim *sim, struct sim_process *p, const struct sim_packet *packet,
                       const struct sim_frame *frame)
{
    const struct sim_conn *conn = &sim->conns[packet->conn];
    if (is_between_proxies(conn))
        note_forward(sim, p, frame);
    else if (packet->direction == SIM_TO_NODE)
        sim_oracle_request(p, packet->conn, frame);
    else if (frame->type == QUO_MESSAGE_MEND)
        note_mend(sim, p, frame);
    else if (!p->is_node)
        sim->replied_at[p->number][conn->to] = sim_stamp(sim);
}

/* How the process calls the other end. */
static uint64_t peer_name(const struct sim_process *p, uint64_t c)
{
    struct sim *sim = sim_world;
    const struct sim_conn *conn = &sim->conns[c];
    bool accepted = side_of(p, conn) == SIM_TO_NODE;
    if (!is_between_proxies(conn))
        return accepted ? c : conn->to;
    if (!accepted)
        return sim_seats_seat(sim, p->number, conn->to - SIM_NODES_MAX);
    uint32_t other = conn->from - SIM_NODES_MAX;
    if (sim_seats_is_lane(sim, p->number, other))
        return sim_seats_seat(sim, p->number, other);
    return SIM_SEAT_GUEST + c;
}

static struct quo_transport *transport_of(struct sim_process *p, const struct sim_conn *conn)
{
    if (is_between_proxies(conn))
        return &p->seats;
    return p->is_node && conn->from == p->index ? &p->mesh : &p->transport;
}

void sim_network_deliver(struct sim_process *p, struct sim_packet *packet)
{
    struct sim *sim = sim_world;
    const struct sim_conn *conn = &sim->conns[packet->conn];
    bool lost = !conn->open[packet->direction] || conn->emptied ||
                p->incarnation != life_at(conn, packet->direction);
    struct sim_frame *frame = lost ? NULL : packet->frames;
    struct quo_transport *t = transport_of(p, conn);
    uint64_t peer = peer_name(p, packet->conn);
    for (; frame != NULL; frame = frame->next) {
        sim_mix(sim, frame->id << 8 | frame->type);
        note_frame(sim, p, packet, frame);
        struct quo_frame seen = {
            .type = frame->type, .id = frame->id, .body = quo_slice(frame->body, frame->len)};
        t->events->on_frame(t->receiver, peer, &seen);
    }
    sim_packet_free(packet);
}

/* ---- the transport port ---- */

static struct sim_process *process_of(struct quo_transport *t)
{
    size_t at = offsetof(struct sim_process, transport);
    if (t->ops == &sim_seat_ops)
        at = offsetof(struct sim_process, seats);
    else if (t->ops == &sim_mesh_ops)
        at = offsetof(struct sim_process, mesh);
    return (struct sim_process *)(void *)((char *)t - at);
}

/* An accepted connection, if it is this process's. */
static uint64_t accepted_conn(const struct sim_process *p, uint64_t c)
{
    struct sim *sim = sim_world;
    const struct sim_conn *conn = c < SIM_CONNS_MAX ? &sim->conns[c] : NULL;
    bool ours = conn != NULL && c <= sim->conn_count && conn->to == p->index &&
                conn->to_life == p->incarnation && conn->open[SIM_TO_NODE];
    return ours ? c : 0;
}

/* The connection to a peer as this process sees it; 0 when there is none. */
static uint64_t conn_to(const struct sim_process *p, const struct quo_transport *t, uint64_t peer)
{
    struct sim *sim = sim_world;
    bool seats = t == &p->seats;
    if (p->dying)
        return 0;
    if (p->is_node && t == &p->transport)
        return accepted_conn(p, peer);
    if (seats && peer >= SIM_SEAT_GUEST)
        return accepted_conn(p, peer - SIM_SEAT_GUEST);
    uint64_t index = peer;
    if (seats) {
        uint32_t target = sim_seats_target(sim, p->number, peer);
        if (target == SIM_SEAT_NONE)
            return 0;
        index = SIM_NODES_MAX + target;
    }
    QUO_REQUIRE(index < SIM_PROCESSES_MAX);
    uint64_t link = sim->link[p->index][index];
    return link != 0 && sim->conns[link].open[SIM_TO_PROXY] ? link : 0;
}

static enum quo_status reserve(struct quo_transport *t, uint64_t peer, size_t body_len,
                               uint8_t **ret_body)
{
    struct sim_process *p = process_of(t);
    struct sim *sim = sim_world;
    QUO_REQUIRE(p->reserved == NULL);
    QUO_REQUIRE(body_len <= QUO_FRAME_BODY_MAX);
    if (conn_to(p, t, peer) == 0)
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

static void judge_sent(struct sim_process *p, uint64_t conn, const struct sim_frame *frame)
{
    bool accepted = sim_world->conns[conn].to == p->index;
    if (is_between_proxies(&sim_world->conns[conn]))
        return;
    if (p->is_node && accepted) {
        sim_oracle_reply(p, conn, frame);
    } else if (p->is_node) {
        sim_oracle_relayed(p, sim_world->conns[conn].to, frame);
    } else {
        sim_oracle_sent(p, frame);
        sim_nemesis_sent(p, frame->type);
    }
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
    uint64_t conn = conn_to(p, t, peer);
    judge_sent(p, conn, frame);
    struct sim_outbox *outbox = outbox_for(p, conn);
    *outbox->end = frame;
    outbox->end = &frame->next;
}

bool sim_network_any_proxy(struct quo_transport *t, uint64_t *ret_peer)
{
    struct sim *sim = sim_world;
    const struct sim_process *p = process_of(t);
    uint32_t first = (uint32_t)sim_below(&sim->rng, SIM_PROXIES_MAX);
    for (uint32_t i = 0; i < SIM_PROXIES_MAX; i++) {
        uint32_t proxy = (first + i) % SIM_PROXIES_MAX;
        uint64_t link = sim->link[sim_proxy_index(proxy)][p->index];
        if (link == 0 || accepted_conn(p, link) == 0)
            continue;
        *ret_peer = link;
        return true;
    }
    return false;
}

const struct quo_transport_ops sim_transport_ops = {.reserve = reserve, .seal = seal};
const struct quo_transport_ops sim_seat_ops = {.reserve = reserve, .seal = seal};
const struct quo_transport_ops sim_mesh_ops = {.reserve = reserve, .seal = seal};

/* ---- connections ---- */

static void retry_connect(struct sim_process *p, uint32_t index)
{
    struct sim *sim = sim_world;
    uint64_t pause = sim_between(&sim->rng, 2 * SIM_MS, 100 * SIM_MS);
    sim_at(sim, sim->now + pause, SIM_EVENT_CONNECT, p, index, NULL);
}

static bool can_accept(const struct sim *sim, const struct sim_process *p)
{
    bool refused = p->is_node && p->disk->wiped && !sim->unsafe_amnesia;
    return p->alive && !p->frozen && !refused;
}

void sim_network_connect(struct sim_process *p, uint32_t index)
{
    struct sim *sim = sim_world;
    struct sim_process *to = &sim->processes[index];
    const bool *blocked = sim->blocked[p->index][index];
    if (sim->link[p->index][index] != 0 || sim->conn_count + 1 >= SIM_CONNS_MAX)
        return;
    if (!can_accept(sim, to) || blocked[0] || blocked[1]) {
        retry_connect(p, index);
        return;
    }
    uint64_t c = ++sim->conn_count;
    struct sim_conn *conn = &sim->conns[c];
    *conn = (struct sim_conn){
        .from = p->index, .to = index, .from_life = p->incarnation, .to_life = to->incarnation};
    for (uint32_t d = 0; d < 2; d++)
        conn->stalled_end[d] = &conn->stalled[d];
    sim->link[p->index][index] = c;
    uint64_t there = sim->manual ? sim->now : sim->now + latency(sim);
    uint64_t back = sim->manual ? sim->now + 1 : there + latency(sim);
    conn->last[SIM_TO_NODE] = there;
    conn->last[SIM_TO_PROXY] = back;
    sim_at(sim, there, SIM_EVENT_UP, to, c, NULL);
    sim_at(sim, back, SIM_EVENT_UP, p, c, NULL);
}

/* The loops of a proxy know each other by number: who has accepted has nothing to be told. */
static bool is_told(const struct sim_process *p, uint32_t side, const struct sim_conn *conn)
{
    return side == SIM_TO_PROXY || !is_between_proxies(conn) ||
           !sim_seats_is_lane(sim_world, p->number, conn->from - SIM_NODES_MAX);
}

void sim_network_up(struct sim_process *p, uint64_t c)
{
    struct sim *sim = sim_world;
    struct sim_conn *conn = &sim->conns[c];
    uint32_t side = side_of(p, conn);
    if (conn->cut || conn->closed[side])
        return;
    conn->open[side] = true;
    sim_note(sim, "%s: connection %llu is up", sim_process_name(p), (unsigned long long)c);
    const struct quo_transport *t = transport_of(p, conn);
    if (is_told(p, side, conn))
        t->events->on_up(t->receiver, peer_name(p, c));
}

static void tell_down(struct sim_process *p, uint64_t c)
{
    const struct sim_conn *conn = &sim_world->conns[c];
    const struct quo_transport *t = transport_of(p, conn);
    if (is_told(p, side_of(p, conn), conn))
        t->events->on_down(t->receiver, peer_name(p, c));
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

static void close_side(struct sim *sim, uint64_t c, uint32_t side)
{
    struct sim_conn *conn = &sim->conns[c];
    conn->closed[side] = true;
    conn->open[side] = false;
    conn->cut = true;
    drop_stalled(conn, side);
    tell_other_side(sim, c, side);
    if (side == SIM_TO_PROXY)
        sim->link[conn->from][conn->to] = 0;
}

void sim_network_down(struct sim_process *p, uint64_t arg)
{
    struct sim *sim = sim_world;
    uint64_t c = arg & ~IF_STILL_BLOCKED;
    struct sim_conn *conn = &sim->conns[c];
    const bool *blocked = sim->blocked[conn->from][conn->to];
    if ((arg & IF_STILL_BLOCKED) != 0 && !blocked[0] && !blocked[1])
        return;
    uint32_t side = side_of(p, conn);
    if (conn->closed[side])
        return;
    bool was_open = conn->open[side];
    close_side(sim, c, side);
    if (side == SIM_TO_PROXY)
        retry_connect(p, conn->to);
    if (was_open) {
        sim_note(sim, "%s: connection %llu is down", sim_process_name(p), (unsigned long long)c);
        tell_down(p, c);
    }
}

void sim_network_cut(uint32_t from, uint32_t to)
{
    struct sim *sim = sim_world;
    uint64_t c = sim->link[from][to];
    if (c == 0 || sim->conns[c].cut || is_lane(from, to))
        return;
    struct sim_conn *conn = &sim->conns[c];
    conn->cut = true;
    /* What is under way is lost, or still arrives at a side that has not noticed. */
    conn->emptied = sim_chance(&sim->rng, 500);
    sim_at(sim, sim->now + latency(sim), SIM_EVENT_DOWN, &sim->processes[from], c, NULL);
}

void sim_network_gone(struct sim_process *p)
{
    struct sim *sim = sim_world;
    for (uint64_t c = 1; c <= sim->conn_count; c++) {
        struct sim_conn *conn = &sim->conns[c];
        uint32_t side = side_of(p, conn);
        if (receiver_of(conn, side) != p || life_at(conn, side) != p->incarnation ||
            conn->closed[side])
            continue;
        if (conn->open[side] && p->is_node)
            tell_down(p, c);
        close_side(sim, c, side);
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

void sim_network_block(uint32_t from, uint32_t to, uint32_t d, bool blocked)
{
    struct sim *sim = sim_world;
    if (sim->blocked[from][to][d] == blocked || is_lane(from, to))
        return;
    sim->blocked[from][to][d] = blocked;
    uint64_t c = sim->link[from][to];
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
