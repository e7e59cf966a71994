/* The liveness phase: heal, then demand that everything that can work does. Two-thirds of a
 * distributed system's bugs make it stop rather than lie (TigerBeetle's simulator has the same
 * second phase). */
#include "nemesis.h"
#include "sim.h"

#define SETTLE_US                                                                                  \
    (6 * SIM_S) /* the slowest message, keep-alives, reconnects and deadlines are over */
#define DEMAND_TIMEOUT_MS 1000u
#define DEMAND_TRIES 5u
#define QUIET_US (4 * SIM_S)
#define FINISHER_CLIENT (SIM_CLIENTS_MAX + 1)

/* Whether enough members of every list that counts are not lost for good. */
static bool list_has(struct sim *sim, const uint64_t *replicas, uint8_t n, uint32_t need)
{
    uint32_t alive = 0;
    for (uint8_t i = 0; i < QUO_MIN(n, sim->swarm.n); i++) {
        int node = quo_map_node(sim->maps[0], replicas[i]);
        alive += node >= 0 && !sim->disks[node].wiped;
    }
    return alive >= need;
}

static bool can_serve(struct sim *sim, uint32_t key, uint32_t need)
{
    uint32_t partition = sim_key_partition(sim, key);
    for (uint32_t m = 0; m < sim->map_count; m++) {
        const struct quo_entry *entry = &sim->maps[m]->entries[partition];
        if (!list_has(sim, entry->replicas, entry->n, need))
            return false;
        if (entry->state == QUO_ENTRY_JOINT && !list_has(sim, entry->next, entry->n_next, need))
            return false;
    }
    return true;
}

/* What changes a key of this model. */
static enum quo_history_type writing(uint32_t key)
{
    return sim_key_model(key) == QUO_HISTORY_COUNTER ? QUO_HISTORY_ADD : QUO_HISTORY_PUT;
}

static void await(struct sim *sim, const struct sim_op *op)
{
    uint64_t until = sim->now + 2 * DEMAND_TIMEOUT_MS * SIM_MS;
    while (!op->answered && !op->lost && sim->now < until && !sim_failed(sim))
        if (!sim_advance_one(sim, until))
            break;
}

static struct sim_op *ask_once(struct sim *sim, uint32_t client, uint32_t proxy,
                               enum quo_history_type type, uint32_t key, enum quo_level level)
{
    struct sim_op *op = sim_op_new(sim, client, type, key);
    if (op == NULL)
        return NULL;
    op->seen.by = type == QUO_HISTORY_ADD;
    struct quo_ask ask = {.has_level = true,
                          .level = level,
                          .r = -1,
                          .w = -1,
                          .dw = -1,
                          .timeout_ms = DEMAND_TIMEOUT_MS};
    sim_op_ask(sim, op, &ask);
    sim_op_send(sim, op, proxy);
    await(sim, op);
    return op;
}

/* One operation that must succeed, at the latest in the last try. */
static void demand(struct sim *sim, uint32_t proxy, enum quo_history_type type, uint32_t key,
                   enum quo_level level)
{
    static const char *const types[] = {"?", "get", "put", "delete", "cas", "add"};
    for (uint32_t try = 0; try < DEMAND_TRIES && !sim_failed(sim); try++) {
        const struct sim_op *op = ask_once(sim, FINISHER_CLIENT, proxy, type, key, level);
        if (op == NULL || (op->answered && op->verdict <= QUO_VERDICT_WRITTEN))
            return;
        sim_advance(sim, sim->now + 200 * SIM_MS);
    }
    sim_violate(sim, SIM_LIVENESS, key, "proxy%u: %s at level %s fails though all is healed", proxy,
                types[type], quo_level_name(level));
}

static void demand_strong(struct sim *sim)
{
    uint32_t need = QUO_MAX(sim->swarm.rs, sim->swarm.ws);
    for (uint32_t key = 0; key < SIM_KEYS_MAX && !sim_failed(sim); key++) {
        if (!sim_key_in_use(sim, key) || !can_serve(sim, key, need))
            continue;
        uint32_t writer = (uint32_t)sim_below(&sim->rng, sim->swarm.proxies);
        for (uint32_t p = 0; p < sim->swarm.proxies; p++)
            demand(sim, p, QUO_HISTORY_GET, key, QUO_LEVEL_STRONG);
        demand(sim, writer, writing(key), key, QUO_LEVEL_STRONG);
        demand(sim, (writer + 1) % sim->swarm.proxies, QUO_HISTORY_GET, key, QUO_LEVEL_STRONG);
    }
}

/* Whether the newest record of a key is of what the session has seen of it, or later: what only was
 * in the memory of one replica, or on a disk that is lost, or came to nothing, nobody can show. */
static bool is_there(struct sim *sim, uint32_t client, uint32_t key)
{
    const struct quo_entry *entry =
        &sim->maps[sim->map_count - 1]->entries[sim_key_partition(sim, key)];
    struct quo_version least, newest = QUO_VERSION_NONE, changed = QUO_VERSION_NONE;
    if (!sim_session_wants(sim, client, key, &least))
        return true;
    for (uint8_t i = 0; i < QUO_MIN(entry->n, sim->swarm.n); i++) {
        int node = quo_map_node(sim->maps[0], entry->replicas[i]);
        if (node < 0 || quo_version_compare(sim_disk_version(&sim->disks[node], key), newest) < 0)
            continue;
        newest = sim_disk_version(&sim->disks[node], key);
        changed = sim_disk_changed(&sim->disks[node], key);
    }
    return quo_version_compare(changed, least) >= 0;
}

static void demand_session(struct sim *sim, uint32_t client, uint32_t key)
{
    for (uint32_t try = 0; try < DEMAND_TRIES && !sim_failed(sim); try++) {
        uint32_t proxy = (uint32_t)sim_below(&sim->rng, sim->swarm.proxies);
        const struct sim_op *op =
            ask_once(sim, client, proxy, QUO_HISTORY_GET, key, QUO_LEVEL_SESSION);
        if (op == NULL || (op->answered && op->verdict <= QUO_VERDICT_WRITTEN))
            return;
        sim_advance(sim, sim->now + 200 * SIM_MS);
    }
    sim_violate(sim, SIM_LIVENESS, key, "session %u cannot read what is there", client + 1);
}

static void demand_sessions(struct sim *sim)
{
    for (uint32_t client = 0; client < sim->swarm.sessions && !sim_failed(sim); client++) {
        uint32_t key = (uint32_t)sim_below(&sim->rng, sim->swarm.keys);
        if (can_serve(sim, key, sim->swarm.n) && is_there(sim, client, key))
            demand_session(sim, client, key);
    }
}

/* What is not known can be resolved, or is too long ago. */
static void resolve(struct sim *sim, struct sim_op *first)
{
    uint32_t proxy = (uint32_t)sim_below(&sim->rng, sim->swarm.proxies);
    for (uint32_t try = 0; try < DEMAND_TRIES && !sim_failed(sim); try++) {
        const struct sim_op *op = sim_again_ask(sim, first, proxy, DEMAND_TIMEOUT_MS);
        if (op == NULL)
            return;
        await(sim, op);
        if (first->is_decided || op->told.is_lost)
            return;
        /* It may have been submitted by a clock that was ahead: its time must come. */
        sim_advance(sim, sim->now + 5 * SIM_S);
    }
    sim_violate(sim, SIM_LIVENESS, first->seen.key,
                "operation %llu cannot be resolved though all is healed",
                (unsigned long long)first->seen.id);
}

static void demand_resolutions(struct sim *sim)
{
    uint32_t need = QUO_MAX(sim->swarm.rs, sim->swarm.ws);
    for (uint32_t i = 0; i < sim->op_count && !sim_failed(sim); i++) {
        struct sim_op *first = &sim->ops[i];
        if (sim_op_is_first(first) && first->is_open && first->is_named && !first->is_decided &&
            can_serve(sim, first->seen.key, need))
            resolve(sim, first);
    }
}

/* A proxy that says it is not ready gets no traffic. */
static void demand_readiness(struct sim *sim)
{
    uint32_t need = QUO_MAX(sim->swarm.rs, sim->swarm.ws);
    for (uint32_t key = 0; key < SIM_KEYS_MAX; key++)
        if (!can_serve(sim, key, need))
            return;
    for (uint32_t n = 0; n < sim->swarm.nodes; n++)
        if (sim->disks[n].wiped)
            return;
    for (uint32_t p = 0; p < sim->swarm.proxies; p++) {
        uint32_t lacking = 0;
        if (!quo_service_ready(sim_proxy(sim, p)->service, &lacking))
            sim_violate(sim, SIM_LIVENESS, SIM_KEYS_MAX, "proxy%u: %u partitions are not ready", p,
                        lacking);
    }
}

/* A read of all replicas repairs no more than a write quorum; a write to all leaves them the same.
 */
static void demand_convergence(struct sim *sim)
{
    for (uint32_t key = 0; key < SIM_KEYS_MAX && !sim_failed(sim); key++) {
        if (!sim_key_in_use(sim, key) || !can_serve(sim, key, sim->swarm.n))
            continue;
        uint32_t proxy = (uint32_t)sim_below(&sim->rng, sim->swarm.proxies);
        demand(sim, proxy, QUO_HISTORY_GET, key, QUO_LEVEL_ALL);
        demand(sim, proxy, sim_chance(&sim->rng, 800) ? writing(key) : QUO_HISTORY_DELETE, key,
               QUO_LEVEL_ALL);
    }
}

static void judge_convergence(struct sim *sim, uint32_t key)
{
    uint32_t partition = sim_key_partition(sim, key);
    const struct quo_entry *entry = &sim->maps[sim->map_count - 1]->entries[partition];
    struct quo_slice first = {0};
    for (uint8_t i = 0; i < QUO_MIN(entry->n, sim->swarm.n); i++) {
        int node = quo_map_node(sim->maps[0], entry->replicas[i]);
        struct quo_slice bytes = sim_disk_durable(&sim->disks[node], key);
        if (i == 0)
            first = bytes;
        else if (!quo_slice_equal(first, bytes))
            sim_violate(sim, SIM_LIVENESS, key,
                        "key \"%s\": the replicas differ after a write to all of them",
                        sim_key_names[key]);
    }
}

static bool quiet(struct sim *sim)
{
    for (uint32_t p = 0; p < SIM_PROXIES_MAX; p++) {
        const struct sim_process *proxy = sim_proxy(sim, p);
        if (proxy->alive && quo_service_in_flight(proxy->service) > 0)
            return false;
    }
    for (uint32_t n = 0; n < sim->swarm.nodes; n++) {
        const struct sim_process *node = sim_node(sim, n);
        if (node->alive && !quo_server_idle(node->server))
            return false;
    }
    return true;
}

/* Every operation has had an answer, unless its proxy died or its client left. */
static void judge_answers(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->op_count; i++)
        if (!sim->ops[i].answered && !sim->ops[i].lost)
            sim_violate(sim, SIM_LIVENESS, sim->ops[i].seen.key,
                        "operation %llu was never answered",
                        (unsigned long long)sim->ops[i].seen.id);
}

void sim_finish(struct sim *sim)
{
    sim_nemesis_heal_all(sim);
    sim_advance(sim, sim->now + SETTLE_US);
    judge_answers(sim);
    sim_converge(sim);
    demand_readiness(sim);
    demand_resolutions(sim);
    demand_sessions(sim);
    demand_strong(sim);
    demand_convergence(sim);
    for (uint64_t until = sim->now + QUIET_US; sim->now < until && !sim_failed(sim);)
        if (quiet(sim) || !sim_advance_one(sim, until))
            break;
    judge_answers(sim);
    if (sim->swarm.grace_ms > 0)
        sim_converge(sim);
    if (!sim_failed(sim) && !quiet(sim))
        sim_violate(sim, SIM_LIVENESS, SIM_KEYS_MAX, "something is still under way at the end");
    if (!sim_failed(sim))
        sim_converge_trees(sim);
    for (uint32_t key = 0; key < SIM_KEYS_MAX && !sim->clients_only; key++)
        if (!sim_failed(sim) && sim_key_in_use(sim, key) && can_serve(sim, key, sim->swarm.n))
            judge_convergence(sim, key);
}
