#include "script.h"

#include <stdlib.h>

#define REACTION_US (2 * SIM_MS)

static struct sim_swarm calm(enum quo_kind kind, uint32_t nodes, uint8_t rs, uint8_t ws)
{
    return (struct sim_swarm){.kind = kind,
                              .nodes = nodes,
                              .proxies = 4,
                              .partitions = 1,
                              .keys = 1,
                              .n = 3,
                              .rs = rs,
                              .ws = ws,
                              .latency_min_us = 1,
                              .latency_max_us = 2,
                              .sync_min_us = 10,
                              .sync_max_us = 20,
                              .load_max_us = 100,
                              .think_max_us = 1,
                              .loops = 1,
                              .retention_s = QUO_RETENTION_DEFAULT_S,
                              .ops_max = 16};
}

static struct script begin(struct sim *sim, const struct sim_swarm *swarm)
{
    struct script script = {.sim = sim, .nodes = swarm->nodes};
    sim->manual = true;
    sim->clients_only = true;
    sim_begin(sim, 1, swarm);
    for (uint32_t i = 0; i < script.nodes; i++)
        script.node[i] = i;
    sim_advance(sim, 100 * SIM_MS);
    return script;
}

struct script script_begin(struct sim *sim, enum quo_kind kind, uint8_t rs, uint8_t ws)
{
    struct sim_swarm swarm = calm(kind, 3, rs, ws);
    return begin(sim, &swarm);
}

struct script script_begin_move(struct sim *sim, enum quo_kind kind)
{
    struct sim_swarm swarm = calm(kind, SCRIPT_LETTERS, 2, 2);
    swarm.move = true;
    struct script script = begin(sim, &swarm);
    const struct quo_entry *entry = &sim->maps[1]->entries[0];
    uint32_t stays = SCRIPT_A;
    for (uint32_t node = 0; node < SCRIPT_LETTERS; node++) {
        uint64_t replica = sim->maps[0]->nodes[node].replica;
        bool was = false, will_be = false;
        for (uint8_t i = 0; i < 3; i++) {
            was |= entry->replicas[i] == replica;
            will_be |= entry->next[i] == replica;
        }
        script.node[!was ? SCRIPT_D : !will_be ? SCRIPT_C : stays++] = node;
    }
    return script;
}

void script_move(struct script *script)
{
    sim_move_step(script->sim);
    script_wait(script, REACTION_US);
}

static bool waits(const struct script *script, uint32_t proxy, uint32_t node)
{
    for (const struct sim_packet *at = script->sim->held; at != NULL; at = at->next) {
        const struct sim_conn *conn = &script->sim->conns[at->conn];
        if (at->direction == SIM_TO_NODE && conn->from == sim_proxy_index(proxy) &&
            conn->to == node)
            return true;
    }
    return false;
}

void script_name(struct script *script, uint32_t proxy)
{
    uint32_t named = 0;
    for (uint32_t asked = 1; asked <= 1; asked--)
        for (uint32_t node = 0; node < script->nodes; node++)
            if (waits(script, proxy, node) == (asked == 1))
                script->node[named++] = node;
}

void script_wait(struct script *script, uint64_t us)
{
    sim_advance(script->sim, script->sim->now + us);
}

static struct sim_op *call(struct script *script, struct sim_op *op, uint32_t proxy,
                           enum quo_level level)
{
    struct quo_ask ask = {
        .has_level = true, .level = level, .r = -1, .w = -1, .dw = -1, .timeout_ms = 10000};
    sim_op_ask(script->sim, op, &ask);
    sim_op_send(script->sim, op, proxy);
    script_wait(script, REACTION_US);
    return op;
}

struct sim_op *script_call(struct script *script, uint32_t proxy, enum quo_history_type type,
                           enum quo_level level)
{
    struct sim_op *op = sim_op_new(script->sim, SIM_CLIENTS_MAX, type, SCRIPT_KEY);
    QUO_REQUIRE(op != NULL);
    return call(script, op, proxy, level);
}

struct sim_op *script_cas(struct script *script, uint32_t proxy, const struct sim_sight *expected)
{
    struct sim_op *op = sim_op_new(script->sim, SIM_CLIENTS_MAX, QUO_HISTORY_CAS, SCRIPT_KEY);
    QUO_REQUIRE(op != NULL);
    op->condition = QUO_CONDITION_ABSENT;
    if (expected != NULL) {
        op->condition = QUO_CONDITION_TAGS;
        op->seen.expected = expected->value;
        op->expected = expected->version;
    }
    return call(script, op, proxy, QUO_LEVEL_STRONG);
}

struct sim_sight script_sight(const struct script *script, const struct sim_op *op, uint32_t letter)
{
    const struct sim_disk *disk = &script->sim->disks[script->node[letter]];
    return (struct sim_sight){.value = op->seen.value,
                              .version = op->is_decided ? op->seen.version
                                                        : sim_disk_version(disk, SCRIPT_KEY)};
}

static bool matches(const struct script *script, const struct sim_packet *packet,
                    uint32_t direction, uint32_t proxy, uint32_t letters, uint8_t type)
{
    const struct sim_conn *conn = &script->sim->conns[packet->conn];
    bool named = false;
    for (uint32_t letter = 0; letter < script->nodes; letter++)
        named |= (letters & 1u << letter) != 0 && conn->to == script->node[letter];
    return packet->direction == direction && conn->from == sim_proxy_index(proxy) && named &&
           (type == 0 || packet->frames->type == type);
}

/* Takes the oldest one out of those that wait; NULL when there is none. */
static struct sim_packet *take(struct script *script, uint32_t direction, uint32_t proxy,
                               uint32_t letters, uint8_t type)
{
    struct sim *sim = script->sim;
    struct sim_packet **at = &sim->held;
    while (*at != NULL && !matches(script, *at, direction, proxy, letters, type))
        at = &(*at)->next;
    struct sim_packet *packet = *at;
    if (packet == NULL)
        return NULL;
    *at = packet->next;
    if (sim->held_end == &packet->next)
        sim->held_end = at;
    packet->next = NULL;
    return packet;
}

static void hand_over(struct script *script, struct sim_packet *packet)
{
    struct sim *sim = script->sim;
    const struct sim_conn *conn = &sim->conns[packet->conn];
    struct sim_process *to =
        &sim->processes[packet->direction == SIM_TO_NODE ? conn->to : conn->from];
    sim_at(sim, sim->now, SIM_EVENT_PACKET, to, 0, packet);
    script_wait(script, REACTION_US);
}

static bool arrive(struct script *script, uint32_t direction, uint32_t proxy, uint32_t letters,
                   uint8_t type)
{
    struct sim_packet *packet = take(script, direction, proxy, letters, type);
    if (packet != NULL)
        hand_over(script, packet);
    return packet != NULL;
}

void script_refuse(struct script *script, uint32_t proxy, uint32_t letter)
{
    struct sim_packet *packet = take(script, SIM_TO_NODE, proxy, 1u << letter, QUO_MESSAGE_STORE);
    QUO_REQUIRE(packet != NULL);
    struct quo_msg_reply refusal = {.status = QUO_NACK,
                                    .promised = {.hlc = UINT64_C(1700000002000) << 16, .node = 1}};
    struct sim_frame *frame = malloc(sizeof *frame + quo_msg_reply_size(&refusal));
    QUO_REQUIRE(frame != NULL);
    *frame = (struct sim_frame){.id = packet->frames->id,
                                .len = (uint32_t)quo_msg_reply_size(&refusal),
                                .type = QUO_MESSAGE_REPLY};
    quo_msg_reply_encode(&refusal, frame->body);
    free(packet->frames);
    packet->frames = frame;
    packet->direction = SIM_TO_PROXY;
    hand_over(script, packet);
}

bool script_request(struct script *script, uint32_t proxy, uint32_t letter, uint8_t type)
{
    return arrive(script, SIM_TO_NODE, proxy, 1u << letter, type);
}

bool script_reply(struct script *script, uint32_t proxy, uint32_t letter)
{
    return arrive(script, SIM_TO_PROXY, proxy, 1u << letter, 0);
}

bool script_exchange(struct script *script, uint32_t proxy, uint32_t letter, uint8_t type)
{
    return script_request(script, proxy, letter, type) && script_reply(script, proxy, letter);
}

void script_flush(struct script *script, uint32_t proxy)
{
    script_flush_with(script, proxy, SCRIPT_ALL);
}

void script_flush_with(struct script *script, uint32_t proxy, uint32_t letters)
{
    while (arrive(script, SIM_TO_NODE, proxy, letters, 0) ||
           arrive(script, SIM_TO_PROXY, proxy, letters, 0))
        continue;
}

void script_disconnect(struct script *script, uint32_t proxy, uint32_t letter)
{
    sim_network_cut(sim_proxy_index(proxy), script->node[letter]);
    sim_network_block(sim_proxy_index(proxy), script->node[letter], SIM_TO_NODE, true);
    script_wait(script, REACTION_US);
}

enum sim_class script_end(struct script *script)
{
    struct sim *sim = script->sim;
    if (!sim_failed(sim))
        sim_verdict(sim);
    sim_end(sim);
    sim->manual = false;
    sim->clients_only = false;
    return sim->violation.class;
}
