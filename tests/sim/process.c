#include <stdlib.h>

#include "sim.h"
#include "storage-node/engine/store_cached.h"

#define WALL_BASE_MS 1700000000000u
#define HOUR_MS 3600000
#define BURIAL_TURNS_MAX 10000u
#define TIMER_SPINS_MAX 1000u

/* The loops of a proxy share its clocks. */
struct sim_process *sim_process_clock(struct sim_process *p)
{
    const struct sim_swarm *s = &sim_world->swarm;
    bool is_loop = !p->is_node && s->seats && p->number < s->proxies;
    return is_loop ? sim_proxy(sim_world, p->number - p->number % s->loops) : p;
}

static uint64_t mono_offset_us(struct sim_process *p)
{
    return sim_process_clock(p)->mono_offset_us;
}

static uint64_t env_mono_us(struct quo_env *env)
{
    return sim_world->now + mono_offset_us((struct sim_process *)(void *)env);
}

uint64_t sim_process_wall_ms(struct sim_process *of)
{
    const struct sim_process *p = sim_process_clock(of);
    int64_t ms = (int64_t)(sim_world->now / SIM_MS);
    return (uint64_t)((int64_t)WALL_BASE_MS + ms + ms * p->drift_ppm / 1000000 + p->wall_offset_ms);
}

static uint64_t env_wall_ms(struct quo_env *env)
{
    return sim_process_wall_ms((struct sim_process *)(void *)env);
}

static uint64_t env_random(struct quo_env *env)
{
    return sim_random(&((struct sim_process *)(void *)env)->rng);
}

static const struct quo_env_ops env_ops = {
    .mono_us = env_mono_us, .wall_ms = env_wall_ms, .random = env_random};
_Static_assert(offsetof(struct sim_process, env) == 0, "the port leads back to its process");

void sim_process_init(struct sim_process *p, uint32_t index)
{
    struct sim *sim = sim_world;
    p->env.ops = &env_ops;
    p->transport = (struct quo_transport){.ops = &sim_transport_ops};
    p->seats = (struct quo_transport){.ops = &sim_seat_ops};
    p->mesh = (struct quo_transport){.ops = &sim_mesh_ops};
    p->index = index;
    p->is_node = index < SIM_NODES_MAX;
    p->number = p->is_node ? index : index - SIM_NODES_MAX;
    p->alive = p->dying = p->frozen = false;
    p->incarnation = 0;
    p->thawed_at = 0;
    p->mono_offset_us = sim_between(&sim->rng, 1, SIM_S);
    int64_t skew = (int64_t)sim_between(&sim->rng, 0, 2 * sim->swarm.skew_ms);
    p->wall_offset_ms = skew - (int64_t)sim->swarm.skew_ms;
    if (!p->is_node && sim_chance(&sim->rng, sim->swarm.late_permille))
        p->wall_offset_ms -= HOUR_MS;
    int64_t drift = (int64_t)sim_between(&sim->rng, 0, 2 * sim->swarm.drift_ppm);
    p->drift_ppm = drift - (int64_t)sim->swarm.drift_ppm;
    p->timer_at = SIM_NEVER;
    p->timer_spins = 0;
    p->deferred_count = 0;
    p->outbox_count = 0;
    p->reserved = NULL;
    p->service = NULL;
    p->server = NULL;
    p->store = NULL;
    p->disk = p->is_node ? &sim->disks[p->number] : NULL;
    p->map = 0;
}

const char *sim_process_name(const struct sim_process *p)
{
    static const char *const names[SIM_PROCESSES_MAX] = {"node0",  "node1",  "node2",  "node3",
                                                         "node4",  "node5",  "node6",  "proxy0",
                                                         "proxy1", "proxy2", "proxy3", "mover"};
    return names[p->index];
}

/* One that lost its disk is nobody's peer. */
static void join_mesh(struct sim_process *p)
{
    struct sim *sim = sim_world;
    if (!sim->swarm.mesh || p->disk->wiped)
        return;
    for (uint32_t n = 0; n < sim->swarm.nodes; n++)
        if (n != p->number)
            sim_at(sim, sim->now + sim_below(&sim->rng, SIM_MS), SIM_EVENT_CONNECT, p, n, NULL);
}

/* What a node remembers is lost with it. */
static void open_store(struct sim_process *p)
{
    uint32_t bytes = sim_world->swarm.cache_bytes;
    p->store = &p->disk->store;
    if (bytes > 0)
        p->store = quo_store_cached_new(p->store, bytes);
    QUO_REQUIRE(p->store != NULL);
}

static void close_store(struct sim_process *p)
{
    p->store->ops->close(p->store);
    p->store = NULL;
}

static void start_node(struct sim_process *p)
{
    struct sim *sim = sim_world;
    const struct sim_swarm *s = &sim->swarm;
    const struct quo_map *map = sim->node_maps[p->map];
    open_store(p);
    struct quo_server_options options = {.env = &p->env,
                                         .transport = &p->transport,
                                         .mesh = s->mesh ? &p->mesh : NULL,
                                         .any_proxy = sim_network_any_proxy,
                                         .exchange_every_ms = s->exchange_every_ms,
                                         .exchange_pause_ms = s->exchange_pause_ms,
                                         .delete_grace_ms = s->grace_ms,
                                         .collect_every_ms = s->collect_every_ms,
                                         .store = p->store,
                                         .replica = map->nodes[p->number].replica,
                                         .memory_max = s->memory_max,
                                         .map = map};
    /* One that lost its disk is another replica, and nobody in the map. */
    if (p->disk->wiped && !sim->unsafe_amnesia)
        options.replica++;
    char why[256] = "";
    enum quo_status status = quo_server_new(&options, &p->server, why, sizeof why);
    if (status == QUO_OK) {
        join_mesh(p);
        return;
    }
    close_store(p);
    p->server = NULL;
    p->alive = false;
    sim_note(sim, "%s cannot start: %s", sim_process_name(p), why);
    if (status != QUO_IO_ERROR && status != QUO_CORRUPT)
        sim_violate(sim, SIM_CRASH, SIM_KEYS_MAX, "%s refuses to start: %s", sim_process_name(p),
                    why);
}

static void start_proxy(struct sim_process *p)
{
    struct sim *sim = sim_world;
    struct quo_service_options options = {.env = &p->env,
                                          .transport = &p->transport,
                                          .map = sim->maps[p->map],
                                          .ops_max = sim->swarm.ops_max,
                                          .hedge_percent = sim->swarm.hedge_percent,
                                          .seats = sim_seats_of(p)};
    p->service = quo_service_new(&options);
    QUO_REQUIRE(p->service != NULL);
    for (uint32_t n = 0; n < sim->swarm.nodes; n++)
        sim_at(sim, sim->now + sim_below(&sim->rng, SIM_MS), SIM_EVENT_CONNECT, p, n, NULL);
    for (uint32_t seat = 0; options.seats.transport != NULL && seat < sim_seats_count(sim);
         seat++) {
        uint32_t target = sim_seats_target(sim, p->number, seat);
        if (target != SIM_SEAT_NONE)
            sim_at(sim, sim->now + sim_below(&sim->rng, SIM_MS), SIM_EVENT_CONNECT, p,
                   SIM_NODES_MAX + target, NULL);
    }
}

void sim_process_start(struct sim_process *p, uint32_t map)
{
    struct sim *sim = sim_world;
    QUO_REQUIRE(!p->alive);
    p->incarnation++;
    p->alive = true;
    p->drained = false;
    p->frozen = false;
    p->timer_at = SIM_NEVER;
    p->timer_spins = 0;
    p->map = map;
    p->transport.events = p->seats.events = p->mesh.events = NULL;
    uint64_t life = sim->seed;
    life = sim_splitmix(&life) ^ ((uint64_t)p->index << 32 | p->incarnation);
    sim_rng_seed(&p->rng, life);
    sim_note(sim, "%s starts with map %u", sim_process_name(p), map + 1);
    if (p->is_node)
        start_node(p);
    else
        start_proxy(p);
    if (p->alive)
        sim_process_end_turn(p);
}

static void drop_deferred(struct sim_process *p)
{
    for (size_t i = 0; i < p->deferred_count; i++) {
        if (p->deferred[i].kind == SIM_EVENT_PACKET)
            sim_packet_free(p->deferred[i].pointer);
        else if (p->deferred[i].kind == SIM_EVENT_SUBMIT)
            sim_op_lose(sim_world, &sim_world->ops[p->deferred[i].arg]);
    }
    p->deferred_count = 0;
}

static void free_server(struct sim_process *p)
{
    quo_server_free(p->server);
    close_store(p);
}

/* A server may only be freed when it is idle, and a crashed one never will be by itself: fail what
 * its disk has under way until it is. It is cut off from everything, so nobody sees this. */
static void bury_server(struct sim_process *p)
{
    uint64_t probes[QUO_PROBE_COUNT];
    memcpy(probes, quo_probe_counts, sizeof probes);
    uint32_t turns = 0;
    while (!quo_server_idle(p->server) && turns++ < BURIAL_TURNS_MAX) {
        sim_disk_abort(p->disk);
        quo_server_end_turn(p->server);
    }
    if (turns >= BURIAL_TURNS_MAX)
        sim_violate(sim_world, SIM_LIVENESS, SIM_KEYS_MAX, "%s does not become idle",
                    sim_process_name(p));
    else
        free_server(p);
    p->server = NULL;
    memcpy(quo_probe_counts, probes, sizeof probes);
}

static void lose_ops(struct sim_process *p)
{
    struct sim *sim = sim_world;
    for (uint32_t i = 0; i < sim->op_count; i++) {
        struct sim_op *op = &sim->ops[i];
        if (op->proxy == p->number && op->proxy_life == p->incarnation)
            sim_op_lose(sim, op);
    }
}

void sim_process_stop(struct sim_process *p)
{
    if (!p->alive)
        return;
    sim_note(sim_world, "%s stops", sim_process_name(p));
    p->dying = true;
    sim_network_gone(p);
    if (p->is_node) {
        sim_disk_crash(p->disk);
        bury_server(p);
        sim_oracle_forget(sim_world, p->number);
    } else {
        quo_service_free(p->service);
        p->service = NULL;
        lose_ops(p);
    }
    drop_deferred(p);
    p->alive = p->dying = p->frozen = false;
    p->timer_at = SIM_NEVER;
    p->incarnation++;
}

void sim_process_freeze(struct sim_process *p)
{
    if (p->alive)
        p->frozen = true;
}

static void defer(struct sim_process *p, const struct sim_event *event)
{
    if (p->deferred_count == p->deferred_room) {
        p->deferred_room = 2 * p->deferred_room + 64;
        p->deferred = realloc(p->deferred, p->deferred_room * sizeof *p->deferred);
        QUO_REQUIRE(p->deferred != NULL);
    }
    p->deferred[p->deferred_count++] = *event;
}

void sim_process_thaw(struct sim_process *p)
{
    if (!p->alive || !p->frozen)
        return;
    sim_note(sim_world, "%s goes on", sim_process_name(p));
    p->frozen = false;
    p->thawed_at = sim_world->now;
    struct sim_event *events = p->deferred;
    size_t count = p->deferred_count;
    p->deferred = NULL;
    p->deferred_count = p->deferred_room = 0;
    for (size_t i = 0; i < count; i++)
        sim_process_handle(p, &events[i]);
    free(p->deferred);
    p->deferred = events;
    p->deferred_room = count;
    p->deferred_count = 0;
    sim_process_end_turn(p);
}

static uint64_t deadline_of(const struct sim_process *p)
{
    return p->is_node ? quo_server_deadline(p->server) : quo_service_deadline(p->service);
}

static void set_timer(struct sim_process *p)
{
    struct sim *sim = sim_world;
    uint64_t deadline = deadline_of(p);
    if (deadline == UINT64_MAX) {
        p->timer_at = SIM_NEVER;
        return;
    }
    uint64_t offset = mono_offset_us(p);
    uint64_t at = deadline > offset ? deadline - offset : 0;
    if (p->timer_at != SIM_NEVER && p->timer_for <= at)
        return; /* one that rings too early finds nothing to do, and sets the next */
    p->timer_for = at;
    at = QUO_MAX(at, sim->now + 1);
    if (sim->swarm.timer_slop_us > 0)
        at += sim_below(&sim->rng, sim->swarm.timer_slop_us);
    p->timer_at = at;
    sim_at(sim, at, SIM_EVENT_TIMER, p, 0, NULL);
}

static void fire_timer(struct sim_process *p, const struct sim_event *event)
{
    struct sim *sim = sim_world;
    if (event->time != p->timer_at)
        return;
    p->timer_at = SIM_NEVER;
    uint64_t mono = sim->now + mono_offset_us(p);
    if (deadline_of(p) > mono)
        return;
    if (p->is_node)
        quo_server_end_turn(p->server);
    else
        quo_service_expire(p->service, mono);
    p->timer_spins = deadline_of(p) <= mono ? p->timer_spins + 1 : 0;
    if (p->timer_spins > TIMER_SPINS_MAX)
        sim_violate(sim, SIM_LIVENESS, SIM_KEYS_MAX, "%s: a deadline does not pass",
                    sim_process_name(p));
}

void sim_process_end_turn(struct sim_process *p)
{
    if (p->is_node)
        quo_server_end_turn(p->server);
    sim_network_flush(p);
    set_timer(p);
}

static void dispatch(struct sim_process *p, const struct sim_event *event)
{
    struct sim *sim = sim_world;
    switch (event->kind) {
    case SIM_EVENT_PACKET:
        sim_network_deliver(p, event->pointer);
        break;
    case SIM_EVENT_TIMER:
        fire_timer(p, event);
        break;
    case SIM_EVENT_DISK:
        sim_disk_complete(p->disk, event);
        break;
    case SIM_EVENT_UP:
        sim_network_up(p, event->arg);
        break;
    case SIM_EVENT_DOWN:
        sim_network_down(p, event->arg);
        break;
    case SIM_EVENT_CONNECT:
        sim_network_connect(p, (uint32_t)event->arg);
        break;
    case SIM_EVENT_SUBMIT:
        sim_op_submit(p, &sim->ops[event->arg]);
        break;
    case SIM_EVENT_ABANDON:
        sim_op_abandon(p, &sim->ops[event->arg]);
        break;
    default:
        QUO_UNREACHABLE();
    }
}

static void discard(const struct sim_event *event)
{
    if (event->kind == SIM_EVENT_PACKET)
        sim_packet_free(event->pointer);
    else if (event->kind == SIM_EVENT_SUBMIT)
        sim_op_lose(sim_world, &sim_world->ops[event->arg]);
}

void sim_process_handle(struct sim_process *p, const struct sim_event *event)
{
    if (!p->alive || p->incarnation != event->incarnation) {
        discard(event);
        return;
    }
    if (p->frozen) {
        defer(p, event);
        return;
    }
    dispatch(p, event);
    if (p->alive)
        sim_process_end_turn(p);
}
