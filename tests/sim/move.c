/* Changes of the map: the same replicas in a new epoch, or one replaced through a joint entry. The
 * mover is a proxy that is started with each new map and settles every key: its requests carry the
 * new entries to the nodes, and a strong read under a joint entry leaves its key on quorums of both
 * sets. */
#include "sim.h"

#define MOVE_PAUSE (20 * SIM_MS)
#define MOVE_PAUSE_MAX (640 * SIM_MS)
#define MOVE_READS_MAX 120u
#define MOVER_CLIENT SIM_CLIENTS_MAX

static void name_node(struct quo_node_info *node, uint32_t number, uint64_t seed)
{
    uint64_t at = seed + number;
    *node = (struct quo_node_info){
        .replica = sim_splitmix(&at) | 1, .port = (uint16_t)(7000 + number), .weight = 100};
    snprintf(node->name, sizeof node->name, "node-%u", number);
    snprintf(node->host, sizeof node->host, "127.0.0.1");
}

static void name_proxy(struct quo_proxy_info *proxy, uint32_t number)
{
    *proxy = (struct quo_proxy_info){.port = (uint16_t)(8000 + number)};
    snprintf(proxy->name, sizeof proxy->name, "proxy-%u", number);
    snprintf(proxy->host, sizeof proxy->host, "127.0.0.1");
}

static void make_namespace(struct quo_namespace *ns, uint32_t id, const char *name,
                           enum quo_kind kind, const struct sim_swarm *s)
{
    *ns = (struct quo_namespace){.id = id,
                                 .kind = kind,
                                 .n = s->n,
                                 .rs = s->rs,
                                 .ws = s->ws,
                                 .read_level = QUO_LEVEL_STRONG,
                                 .write_level = QUO_LEVEL_STRONG,
                                 .timeout_ms = 1000,
                                 .retention_s = s->retention_s,
                                 .value_max = SIM_VALUE_LEN_MAX};
    snprintf(ns->name, sizeof ns->name, "%s", name);
}

/* Only the parts that are in use: a map has room for many thousands of partitions. */
static void copy_map(struct quo_map *to, const struct quo_map *from)
{
    to->cluster = from->cluster;
    to->epoch = from->epoch;
    to->replicas = from->replicas;
    to->partition_count = from->partition_count;
    to->node_count = from->node_count;
    memcpy(to->nodes, from->nodes, from->node_count * sizeof *to->nodes);
    to->proxy_count = from->proxy_count;
    memcpy(to->proxies, from->proxies, from->proxy_count * sizeof *to->proxies);
    to->namespace_count = from->namespace_count;
    memcpy(to->namespaces, from->namespaces, from->namespace_count * sizeof *to->namespaces);
    memcpy(to->entries, from->entries, from->partition_count * sizeof *to->entries);
}

static uint64_t newcomer(struct sim *sim, const struct quo_entry *entry)
{
    uint32_t start = (uint32_t)sim_below(&sim->rng, sim->swarm.nodes);
    for (uint32_t i = 0; i < sim->swarm.nodes; i++) {
        uint64_t replica = sim->maps[0]->nodes[(start + i) % sim->swarm.nodes].replica;
        if (!quo_entry_has(entry, replica))
            return replica;
    }
    return 0;
}

static void make_joint(struct sim *sim, struct quo_entry *entry)
{
    uint64_t replica = newcomer(sim, entry);
    entry->epoch++;
    if (replica == 0)
        return;
    entry->state = QUO_ENTRY_JOINT;
    entry->n_next = entry->n;
    memcpy(entry->next, entry->replicas, sizeof entry->next);
    entry->next[sim_below(&sim->rng, entry->n)] = replica;
}

static void finish_joint(struct quo_entry *entry)
{
    entry->epoch++;
    if (entry->state != QUO_ENTRY_JOINT)
        return;
    memcpy(entry->replicas, entry->next, sizeof entry->replicas);
    memset(entry->next, 0, sizeof entry->next);
    entry->state = QUO_ENTRY_NORMAL;
    entry->n = entry->n_next;
    entry->n_next = 0;
}

void sim_maps_make(struct sim *sim)
{
    const struct sim_swarm *s = &sim->swarm;
    struct quo_map *map = sim->maps[0];
    map->cluster = sim->seed | 1;
    map->epoch = 1;
    map->replicas = s->n;
    if (s->n < s->nodes && sim_chance(&sim->rng, 150))
        map->replicas++;
    map->partition_count = s->partitions;
    map->node_count = s->nodes;
    for (uint32_t n = 0; n < s->nodes; n++)
        name_node(&map->nodes[n], n, sim->seed * 1000);
    map->proxy_count = sim_seats_proxies(sim);
    for (uint32_t p = 0; p < map->proxy_count; p++)
        name_proxy(&map->proxies[p], p);
    map->namespace_count = 2;
    make_namespace(&map->namespaces[0], 1, "fruit", s->kind, s);
    /* Proxies are wrong about this one, so that they send what its nodes must refuse. */
    make_namespace(&map->namespaces[1], 2, "bank", QUO_KIND_LWW, s);
    char why[256];
    enum quo_status status = quo_map_check(map, why, sizeof why);
    QUO_REQUIRE(status == QUO_OK);
    quo_map_place(map);
    for (uint32_t m = 1; m < SIM_MAPS; m++) {
        copy_map(sim->maps[m], sim->maps[m - 1]);
        sim->maps[m]->epoch++;
    }
    for (uint32_t i = 0; i < s->partitions; i++) {
        struct quo_entry *entry = &sim->maps[1]->entries[i];
        if (s->move)
            make_joint(sim, entry);
        else
            entry->epoch++;
        sim->maps[2]->entries[i] = *entry;
        finish_joint(&sim->maps[2]->entries[i]);
    }
    for (uint32_t m = 0; m < SIM_MAPS; m++) {
        copy_map(sim->node_maps[m], sim->maps[m]);
        sim->node_maps[m]->namespaces[1].kind = QUO_KIND_CAS;
    }
    sim->map_count = 1;
    sim->mover_reads = 0;
    sim->moved = false;
}

static void publish(struct sim *sim)
{
    struct sim_process *mover = sim_proxy(sim, SIM_MOVER);
    sim_process_stop(mover);
    sim->map_count++;
    sim->move_pause = MOVE_PAUSE;
    sim_note(sim, "map %u is published", sim->map_count);
    sim_process_start(mover, sim->map_count - 1);
    for (uint32_t key = 0; key < SIM_KEYS_MAX; key++)
        sim->mover_op[key] = 0;
}

/* Replies after which the epoch before can serve nobody: those who have not answered, and so may
 * not have adopted the new one, are fewer than either quorum. Where Rs is no majority a strong read
 * is not enough. */
static int32_t enough_to_fence(const struct sim *sim)
{
    const struct sim_swarm *s = &sim->swarm;
    return QUO_MAX((int32_t)s->rs, s->n - QUO_MIN(s->rs, s->ws) + 1);
}

/* Where consensus may share a key, a strong read does not do: what an old epoch has only promised
 * must be overcome as well. */
static enum quo_request_type settling(const struct sim *sim)
{
    bool consensus = sim->swarm.kind == QUO_KIND_CAS || sim->swarm.kind == QUO_KIND_MIXED;
    return consensus ? QUO_REQUEST_SETTLE : QUO_REQUEST_GET;
}

/* Whether the key has been settled under the mover's map; asks again if that failed. */
static bool settled(struct sim *sim, uint32_t key)
{
    const struct sim_op *last = sim->mover_op[key] == 0 ? NULL : &sim->ops[sim->mover_op[key] - 1];
    uint32_t partition = sim_key_partition(sim, key);
    uint32_t epoch = sim->maps[sim->map_count - 1]->entries[partition].epoch;
    if (last != NULL && !last->answered && !last->lost)
        return false;
    if (last != NULL && last->seen.outcome == QUO_HISTORY_OK && last->answer_epoch == epoch)
        return true;
    if (sim->mover_reads++ >= MOVE_READS_MAX)
        return false;
    struct sim_op *op = sim_op_new(sim, MOVER_CLIENT, QUO_HISTORY_GET, key);
    if (op == NULL)
        return false;
    op->type = settling(sim);
    struct quo_ask ask = {.r = enough_to_fence(sim), .w = -1, .dw = -1, .timeout_ms = 200};
    sim_op_ask(sim, op, &ask);
    sim_op_send(sim, op, SIM_MOVER);
    sim->mover_op[key] = (uint32_t)op->seen.id;
    return false;
}

void sim_move_step(struct sim *sim)
{
    bool all = true;
    uint32_t last = sim->swarm.move ? SIM_MAPS : SIM_MAPS - 1;
    if (sim->healing)
        return;
    if (sim->map_count == 1) {
        publish(sim);
        all = false;
    }
    for (uint32_t key = 0; key < SIM_KEYS_MAX; key++)
        if (key != SIM_KEY_FORBIDDEN)
            all &= settled(sim, key);
    if (all && sim->map_count < last)
        publish(sim);
    else if (all)
        sim->moved = true;
    if (sim->moved)
        return;
    sim_at(sim, sim->now + sim->move_pause, SIM_EVENT_MOVE, NULL, 0, NULL);
    sim->move_pause = QUO_MIN(2 * sim->move_pause, (uint64_t)MOVE_PAUSE_MAX);
}
