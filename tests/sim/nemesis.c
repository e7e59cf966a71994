#include "nemesis.h"

#include "sim.h"

const char *const sim_fault_names[SIM_FAULT_KINDS] = {
    "halves",    "one-way",    "isolate", "bridge", "flap",  "crash", "storm",   "disk-full",
    "disk-slow", "disk-error", "clock",   "freeze", "proxy", "wipe",  "promise", "drain",
};

#define HOUR_MS 3600000

static uint64_t soon(struct sim *sim)
{
    return sim->now + sim_between(&sim->rng, 5 * SIM_MS, 400 * SIM_MS);
}

static uint32_t any_node(struct sim *sim)
{
    return (uint32_t)sim_below(&sim->rng, sim->swarm.nodes);
}

static void until(struct sim *sim, uint64_t time, enum sim_fault_kind kind, uint32_t a)
{
    if (sim->fault_count == SIM_FAULTS_MAX)
        return;
    sim->faults[sim->fault_count] = (struct sim_fault){.kind = kind, .a = a};
    sim_at(sim, time, SIM_EVENT_HEAL, NULL, sim->fault_count++, NULL);
}

/* Connections that the first made to the second. */
static void block(uint32_t from, uint32_t to, bool there, bool back)
{
    if (there)
        sim_network_block(from, to, SIM_TO_NODE, true);
    if (back)
        sim_network_block(from, to, SIM_TO_PROXY, true);
}

/* Between two nodes, which have connections of both. */
static void sever(const struct sim *sim, uint32_t a, uint32_t b, bool a_to_b, bool b_to_a)
{
    if (!sim->swarm.mesh || a == b)
        return;
    block(a, b, a_to_b, b_to_a);
    block(b, a, b_to_a, a_to_b);
}

static void unblock(uint32_t from, uint32_t to)
{
    for (uint32_t d = 0; d < 2; d++)
        sim_network_block(from, to, d, false);
}

static void unblock_all(struct sim *sim)
{
    for (uint32_t p = 0; p < SIM_PROXIES_MAX; p++)
        for (uint32_t n = 0; n < sim->swarm.nodes; n++)
            unblock(sim_proxy_index(p), n);
    for (uint32_t p = 0; p < SIM_PROXIES_MAX; p++)
        for (uint32_t other = 0; other < SIM_PROXIES_MAX; other++)
            unblock(sim_proxy_index(p), sim_proxy_index(other));
    for (uint32_t n = 0; n < sim->swarm.nodes; n++)
        for (uint32_t other = 0; other < sim->swarm.nodes; other++)
            unblock(n, other);
}

static void fault_halves(struct sim *sim)
{
    uint64_t nodes = sim_random(&sim->rng), proxies = sim_random(&sim->rng);
    for (uint32_t p = 0; p < SIM_PROXIES_MAX; p++)
        for (uint32_t n = 0; n < sim->swarm.nodes; n++)
            if (((proxies >> p) & 1) != ((nodes >> n) & 1))
                block(sim_proxy_index(p), n, true, true);
    for (uint32_t p = 0; p < sim->swarm.proxies; p++)
        for (uint32_t other = 0; other < sim->swarm.proxies; other++)
            if (((proxies >> p) & 1) != ((proxies >> other) & 1))
                block(sim_proxy_index(p), sim_proxy_index(other), true, true);
    for (uint32_t n = 0; n < sim->swarm.nodes; n++)
        for (uint32_t other = 0; other < n; other++)
            if (((nodes >> n) & 1) != ((nodes >> other) & 1))
                sever(sim, n, other, true, true);
    until(sim, soon(sim), SIM_FAULT_HALVES, 0);
}

static void fault_one_way(struct sim *sim)
{
    uint32_t node = any_node(sim);
    bool to_node = sim_chance(&sim->rng, 500);
    for (uint32_t p = 0; p < SIM_PROXIES_MAX; p++)
        if (sim_chance(&sim->rng, 600))
            block(sim_proxy_index(p), node, to_node, !to_node);
    for (uint32_t n = 0; n < sim->swarm.nodes && sim->swarm.mesh; n++)
        if (sim_chance(&sim->rng, 600))
            sever(sim, n, node, to_node, !to_node);
    until(sim, soon(sim), SIM_FAULT_ONE_WAY, 0);
}

static void fault_isolate(struct sim *sim)
{
    uint32_t node = any_node(sim);
    for (uint32_t p = 0; p < SIM_PROXIES_MAX; p++)
        block(sim_proxy_index(p), node, true, true);
    for (uint32_t n = 0; n < sim->swarm.nodes; n++)
        sever(sim, n, node, true, true);
    until(sim, soon(sim), SIM_FAULT_ISOLATE, 0);
}

static void fault_bridge(struct sim *sim)
{
    for (uint32_t p = 0; p < SIM_PROXIES_MAX; p++)
        block(sim_proxy_index(p), any_node(sim), true, true);
    for (uint32_t n = 0; n < sim->swarm.nodes && sim->swarm.mesh; n++)
        sever(sim, n, any_node(sim), true, true);
    until(sim, soon(sim), SIM_FAULT_BRIDGE, 0);
}

static void cut_some(struct sim *sim, uint32_t from, uint32_t first, uint32_t count,
                     uint32_t permille)
{
    for (uint32_t to = first; to < first + count; to++)
        if (sim_chance(&sim->rng, permille))
            sim_network_cut(from, to);
}

static void fault_flap(struct sim *sim)
{
    const struct sim_swarm *s = &sim->swarm;
    for (uint32_t p = 0; p < SIM_PROXIES_MAX; p++)
        cut_some(sim, sim_proxy_index(p), 0, s->nodes, 400);
    for (uint32_t p = 0; p < s->proxies; p++)
        cut_some(sim, sim_proxy_index(p), sim_proxy_index(0), s->proxies, 300);
    for (uint32_t n = 0; n < s->nodes && s->mesh; n++)
        cut_some(sim, n, 0, s->nodes, 300);
}

static void crash(struct sim *sim, uint32_t node)
{
    struct sim_process *p = sim_node(sim, node);
    if (!p->alive)
        return;
    sim_process_stop(p);
    sim_at(sim, soon(sim), SIM_EVENT_START, p, 0, NULL);
}

static void fault_storm(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->swarm.nodes; n++)
        if (sim_chance(&sim->rng, 700))
            crash(sim, n);
}

static void fault_disk(struct sim *sim, enum sim_fault_kind kind)
{
    uint32_t node = any_node(sim);
    bool all = kind == SIM_FAULT_DISK_FULL && sim_chance(&sim->rng, 200);
    for (uint32_t n = 0; n < sim->swarm.nodes; n++) {
        if (n != node && !all)
            continue;
        struct sim_disk *disk = &sim->disks[n];
        disk->full |= kind == SIM_FAULT_DISK_FULL;
        disk->slow |= kind == SIM_FAULT_DISK_SLOW;
        if (kind == SIM_FAULT_DISK_ERROR)
            disk->error_permille = (uint32_t)sim_between(&sim->rng, 10, 300);
        until(sim, soon(sim), kind, n);
    }
}

/* Ballots follow the earliest clock of those that promise them: some clock of every read quorum
 * must be about right, or keys would have to wait until the time has come that it was. */
static bool may_jump_far(struct sim *sim, const struct sim_process *p)
{
    uint32_t wrong = 0;
    if (!p->is_node || (sim->swarm.kind != QUO_KIND_CAS && sim->swarm.kind != QUO_KIND_MIXED))
        return true;
    for (uint32_t n = 0; n < sim->swarm.nodes; n++) {
        const struct sim_process *other = sim_node(sim, n);
        wrong += other != p && other->wall_offset_ms > (int64_t)QUO_SKEW_MAX_MS / 2;
    }
    return wrong + 1 < sim->swarm.rs;
}

/* Clocks ahead at a proxy and at a replica at once would let a version from the future in: it could
 * not be repaired before its time comes. A seed has one or the other. */
static void fault_clock(struct sim *sim)
{
    struct sim_process *p =
        sim->swarm.node_clocks ? sim_node(sim, any_node(sim))
                               : sim_proxy(sim, (uint32_t)sim_below(&sim->rng, sim->swarm.proxies));
    p = sim_process_clock(p);
    int64_t ms = sim_chance(&sim->rng, 500) ? HOUR_MS : (int64_t)sim_between(&sim->rng, 1, 20000);
    if (!may_jump_far(sim, p))
        ms %= (int64_t)QUO_SKEW_MAX_MS / 2;
    p->wall_offset_ms = sim_chance(&sim->rng, 500) ? ms : -ms;
    sim_note(sim, "%s: clock jumps by %lld ms", sim_process_name(p), (long long)p->wall_offset_ms);
    if (sim_chance(&sim->rng, 700))
        until(sim, soon(sim), SIM_FAULT_CLOCK, p->index);
}

static void fault_freeze(struct sim *sim)
{
    uint32_t proxies = sim->swarm.proxies;
    uint32_t at = (uint32_t)sim_below(&sim->rng, sim->swarm.nodes + proxies);
    struct sim_process *p =
        at < sim->swarm.nodes ? sim_node(sim, at) : sim_proxy(sim, at - sim->swarm.nodes);
    if (!p->alive || p->frozen)
        return;
    sim_note(sim, "%s stands still", sim_process_name(p));
    sim_process_freeze(p);
    uint64_t ms = sim_chance(&sim->rng, 700) ? sim_between(&sim->rng, 5, 300)
                                             : sim_between(&sim->rng, 300, 2000);
    sim_at(sim, sim->now + ms * SIM_MS, SIM_EVENT_THAW, p, 0, NULL);
}

/* All loops of a proxy live and die together. */
static void kill_proxy(struct sim *sim, const struct sim_process *proxy)
{
    uint64_t start = sim->now + sim_between(&sim->rng, SIM_MS, 50 * SIM_MS);
    for (uint32_t n = 0; n < sim->swarm.proxies; n++) {
        struct sim_process *p = sim_proxy(sim, n);
        if (!p->alive || !sim_seats_is_lane(sim, proxy->number, n))
            continue;
        sim_process_stop(p);
        sim_at(sim, start, SIM_EVENT_START, p, 0, NULL);
    }
}

static void fault_proxy(struct sim *sim)
{
    kill_proxy(sim, sim_proxy(sim, (uint32_t)sim_below(&sim->rng, sim->swarm.proxies)));
}

/* Whether every partition of every map could lose this node and keep its quorums. */
static bool spare(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->swarm.nodes; n++)
        if (sim->disks[n].wiped)
            return false;
    return QUO_MAX(sim->swarm.rs, sim->swarm.ws) < sim->swarm.n;
}

static void fault_wipe(struct sim *sim)
{
    uint32_t node = any_node(sim);
    if (!spare(sim))
        return;
    sim_note(sim, "node%u loses its disk", node);
    sim_process_stop(sim_node(sim, node));
    sim_disk_wipe(&sim->disks[node]);
    sim_at(sim, soon(sim), SIM_EVENT_START, sim_node(sim, node), 0, NULL);
}

/* A proxy dies with a proposal under way: what it asked for reaches some nodes only. */
static void fault_promise(struct sim *sim)
{
    if (sim->swarm.kind != QUO_KIND_MIXED && sim->swarm.kind != QUO_KIND_CAS)
        return;
    sim->doomed = 1 + (uint32_t)sim_below(&sim->rng, sim->swarm.proxies);
    sim->doomed_by = sim_chance(&sim->rng, 400) ? QUO_MESSAGE_PREP : QUO_MESSAGE_ACC;
}

void sim_nemesis_sent(const struct sim_process *proxy, uint8_t type)
{
    struct sim *sim = sim_world;
    if (sim->doomed != proxy->number + 1 || type != sim->doomed_by || sim->healing)
        return;
    sim->doomed = 0;
    sim_at(sim, sim->now, SIM_EVENT_KILL, sim_proxy(sim, proxy->number), 0, NULL);
}

void sim_nemesis_kill(struct sim *sim, struct sim_process *p)
{
    for (uint32_t n = 0; n < sim->swarm.nodes; n++) {
        uint64_t link = sim->link[p->index][n];
        if (link != 0 && sim_chance(&sim->rng, 500))
            sim->conns[link].emptied = true;
    }
    kill_proxy(sim, p);
}

static void fault_drain(struct sim *sim)
{
    struct sim_process *p = sim_node(sim, any_node(sim));
    if (!p->alive || p->frozen || p->drained)
        return;
    sim_note(sim, "%s drains", sim_process_name(p));
    quo_server_drain(p->server);
    p->drained = true;
    sim_process_end_turn(p);
    until(sim, soon(sim), SIM_FAULT_DRAIN, p->number);
}

static void restart_drained(struct sim *sim, struct sim_process *p)
{
    if (!p->alive || p->frozen || !p->drained)
        return;
    sim_process_stop(p);
    sim_at(sim, sim->now + SIM_MS, SIM_EVENT_START, p, 0, NULL);
}

static void act(struct sim *sim, enum sim_fault_kind kind)
{
    switch (kind) {
    case SIM_FAULT_HALVES:
        fault_halves(sim);
        break;
    case SIM_FAULT_ONE_WAY:
        fault_one_way(sim);
        break;
    case SIM_FAULT_ISOLATE:
        fault_isolate(sim);
        break;
    case SIM_FAULT_BRIDGE:
        fault_bridge(sim);
        break;
    case SIM_FAULT_FLAP:
        fault_flap(sim);
        break;
    case SIM_FAULT_CRASH:
        crash(sim, any_node(sim));
        break;
    case SIM_FAULT_STORM:
        fault_storm(sim);
        break;
    case SIM_FAULT_DISK_FULL:
    case SIM_FAULT_DISK_SLOW:
    case SIM_FAULT_DISK_ERROR:
        fault_disk(sim, kind);
        break;
    case SIM_FAULT_CLOCK:
        fault_clock(sim);
        break;
    case SIM_FAULT_FREEZE:
        fault_freeze(sim);
        break;
    case SIM_FAULT_PROXY:
        fault_proxy(sim);
        break;
    case SIM_FAULT_WIPE:
        fault_wipe(sim);
        break;
    case SIM_FAULT_PROMISE:
        fault_promise(sim);
        break;
    case SIM_FAULT_DRAIN:
        fault_drain(sim);
        break;
    case SIM_FAULT_KINDS:
        QUO_UNREACHABLE();
    }
}

static void schedule_next(struct sim *sim)
{
    uint64_t gap = 1 + sim_below(&sim->rng, 2 * (uint64_t)sim->swarm.fault_gap_us);
    sim_at(sim, sim->now + gap, SIM_EVENT_FAULT, NULL, 0, NULL);
}

void sim_nemesis_act(struct sim *sim)
{
    uint64_t total = 0;
    if (sim->healing || sim->swarm.fault_gap_us == 0)
        return;
    for (uint32_t kind = 0; kind < SIM_FAULT_KINDS; kind++)
        total += sim->swarm.weight_fault[kind];
    if (total == 0)
        return;
    uint64_t at = sim_below(&sim->rng, total);
    uint32_t kind = 0;
    for (; kind < SIM_FAULT_KINDS - 1 && at >= sim->swarm.weight_fault[kind]; kind++)
        at -= sim->swarm.weight_fault[kind];
    sim_note(sim, "fault: %s", sim_fault_names[kind]);
    act(sim, (enum sim_fault_kind)kind);
    schedule_next(sim);
}

static void heal_disk(struct sim_disk *disk, enum sim_fault_kind kind)
{
    if (kind == SIM_FAULT_DISK_FULL)
        disk->full = false;
    else if (kind == SIM_FAULT_DISK_SLOW)
        disk->slow = false;
    else
        disk->error_permille = 0;
}

void sim_nemesis_heal(struct sim *sim, uint32_t index)
{
    const struct sim_fault *fault = &sim->faults[index];
    switch (fault->kind) {
    case SIM_FAULT_HALVES:
    case SIM_FAULT_ONE_WAY:
    case SIM_FAULT_ISOLATE:
    case SIM_FAULT_BRIDGE:
        sim_note(sim, "the network heals");
        unblock_all(sim);
        break;
    case SIM_FAULT_DISK_FULL:
    case SIM_FAULT_DISK_SLOW:
    case SIM_FAULT_DISK_ERROR:
        heal_disk(&sim->disks[fault->a], (enum sim_fault_kind)fault->kind);
        break;
    case SIM_FAULT_CLOCK:
        sim->processes[fault->a].wall_offset_ms = 0;
        break;
    case SIM_FAULT_DRAIN:
        restart_drained(sim, sim_node(sim, fault->a));
        break;
    default:
        break;
    }
}

static void heal_process(struct sim *sim, struct sim_process *p)
{
    p->wall_offset_ms = 0;
    p->drift_ppm = 0;
    if (p->frozen)
        sim_process_thaw(p);
    /* A node whose disk has failed takes no writes until it is started again. */
    if (p->alive && p->is_node && (p->disk->broken || p->drained))
        sim_process_stop(p);
    if (!p->alive)
        sim_at(sim, sim->now + 1, SIM_EVENT_START, p, 0, NULL);
}

void sim_nemesis_heal_all(struct sim *sim)
{
    struct sim_swarm *s = &sim->swarm;
    sim->healing = true;
    sim_note(sim, "everything heals");
    s->loss_permille = s->double_permille = s->cut_permille = s->busy_permille = 0;
    s->tail_permille = 0;
    unblock_all(sim);
    for (uint32_t n = 0; n < s->nodes; n++) {
        sim->disks[n].full = sim->disks[n].slow = false;
        sim->disks[n].error_permille = 0;
        heal_process(sim, sim_node(sim, n));
    }
    for (uint32_t p = 0; p < s->proxies; p++)
        heal_process(sim, sim_proxy(sim, p));
}
