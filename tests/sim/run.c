#include <stdlib.h>

#include "sim.h"

#define SAFETY_US_MAX (30 * SIM_S)
#define CHECKER_MEMORY ((size_t)64 << 20)
#define EVENTS_MAX 2000000u

struct sim *sim_world;

struct sim *sim_new(void)
{
    struct sim *sim = calloc(1, sizeof *sim);
    QUO_REQUIRE(sim != NULL);
    sim->conns = calloc(SIM_CONNS_MAX, sizeof *sim->conns);
    sim->linear = quo_linear_new(CHECKER_MEMORY);
    QUO_REQUIRE(sim->conns != NULL && sim->linear != NULL);
    for (uint32_t i = 0; i < SIM_MAPS; i++) {
        sim->maps[i] = calloc(1, sizeof *sim->maps[i]);
        sim->node_maps[i] = calloc(1, sizeof *sim->node_maps[i]);
        QUO_REQUIRE(sim->maps[i] != NULL && sim->node_maps[i] != NULL);
    }
    return sim;
}

void sim_free(struct sim *sim)
{
    if (sim == NULL)
        return;
    for (uint32_t i = 0; i < SIM_PROCESSES_MAX; i++)
        free(sim->processes[i].deferred);
    for (uint32_t i = 0; i < SIM_MAPS; i++) {
        free(sim->maps[i]);
        free(sim->node_maps[i]);
    }
    quo_linear_free(sim->linear);
    free(sim->heap.events);
    free(sim->conns);
    free(sim);
}

uint64_t sim_stamp(struct sim *sim)
{
    sim->stamp = QUO_MAX(sim->stamp + 1, sim->now);
    return sim->stamp;
}

void sim_at(struct sim *sim, uint64_t time, enum sim_event_kind kind, struct sim_process *process,
            uint64_t arg, void *pointer)
{
    struct sim_event event = {.time = QUO_MAX(time, sim->now),
                              .tie = sim_random(&sim->rng),
                              .kind = kind,
                              .process = process == NULL ? 0 : process->index,
                              .incarnation = process == NULL ? 0 : process->incarnation,
                              .arg = arg,
                              .pointer = pointer};
    sim_heap_push(&sim->heap, &event);
}

void sim_violate(struct sim *sim, enum sim_class class, uint32_t key, const char *format, ...)
{
    if (sim_failed(sim))
        return;
    sim->violation.class = class;
    sim->violation.key = key;
    va_list args;
    va_start(args, format);
    vsnprintf(sim->violation.text, sizeof sim->violation.text, format, args);
    va_end(args);
    sim_note(sim, "VIOLATION: %s", sim->violation.text);
}

void sim_note(struct sim *sim, const char *format, ...)
{
    if (sim->trace == NULL)
        return;
    fprintf(sim->trace, "%10llu  ", (unsigned long long)sim->now);
    va_list args;
    va_start(args, format);
    vfprintf(sim->trace, format, args);
    va_end(args);
    fputc('\n', sim->trace);
}

static void start(struct sim *sim, struct sim_process *process)
{
    if (process->alive)
        return;
    /* Nodes get the newest map; a proxy may come up with one that is long out of date. */
    uint32_t map = sim->map_count - 1;
    if (!process->is_node)
        map = (uint32_t)sim_below(&sim->rng, sim->map_count);
    sim_process_start(process, map);
    if (!process->alive)
        sim_at(sim, sim->now + 100 * SIM_MS, SIM_EVENT_START, process, 0, NULL);
}

static void handle(struct sim *sim, const struct sim_event *event)
{
    struct sim_process *process = &sim->processes[event->process];
    sim->events++;
    sim_mix(sim, event->time << 8 | (uint64_t)event->kind << 4 | event->process);
    switch (event->kind) {
    case SIM_EVENT_CLIENT:
        sim_client_next(sim, (uint32_t)event->arg);
        break;
    case SIM_EVENT_AGAIN:
        sim_again_try(sim, event->arg);
        break;
    case SIM_EVENT_RESOLVE:
        sim_again_resolve(sim, event->arg);
        break;
    case SIM_EVENT_START:
        start(sim, process);
        break;
    case SIM_EVENT_KILL:
        if (process->incarnation == event->incarnation)
            sim_nemesis_kill(sim, process);
        break;
    case SIM_EVENT_THAW:
        if (process->incarnation == event->incarnation)
            sim_process_thaw(process);
        break;
    case SIM_EVENT_FAULT:
        sim_nemesis_act(sim);
        break;
    case SIM_EVENT_HEAL:
        sim_nemesis_heal(sim, (uint32_t)event->arg);
        break;
    case SIM_EVENT_MOVE:
        sim_move_step(sim);
        break;
    default:
        sim_process_handle(process, event);
        break;
    }
}

bool sim_advance_one(struct sim *sim, uint64_t until)
{
    if (sim->heap.count == 0 || sim->heap.events[0].time > until)
        return false;
    if (sim->events > EVENTS_MAX) {
        sim_violate(sim, SIM_LIVENESS, SIM_KEYS_MAX, "too many events: something goes in circles");
        return false;
    }
    struct sim_event event = sim_heap_pop(&sim->heap);
    sim->now = event.time;
    handle(sim, &event);
    return true;
}

void sim_advance(struct sim *sim, uint64_t until)
{
    while (!sim_failed(sim) && sim_advance_one(sim, until))
        continue;
    sim->now = QUO_MAX(sim->now, until);
}

static void reset(struct sim *sim, uint64_t seed, const struct sim_swarm *swarm)
{
    sim_world = sim;
    sim->seed = seed;
    sim->life++;
    sim->swarm = *swarm;
    sim->now = 1;
    sim->stamp = 0;
    sim->heap.count = 0;
    sim->trace_hash = seed;
    sim->held = NULL;
    sim->held_end = &sim->held;
    sim->conn_count = 0;
    memset(sim->link, 0, sizeof sim->link);
    memset(sim->blocked, 0, sizeof sim->blocked);
    memset(sim->tokens, 0, sizeof sim->tokens);
    sim->op_count = sim->open_ops = sim->ops_started = 0;
    sim->fault_count = sim->doomed = 0;
    sim->healing = false;
    memset(sim->request_count, 0, sizeof sim->request_count);
    memset(sim->claimed, 0, sizeof sim->claimed);
    memset(sim->sworn, 0, sizeof sim->sworn);
    memset(sim->first_held, 0, sizeof sim->first_held);
    memset(sim->served_epoch, 0, sizeof sim->served_epoch);
    memset(sim->replied_at, 0, sizeof sim->replied_at);
    memset(sim->limit, 0, sizeof sim->limit);
    memset(sim->promised, 0, sizeof sim->promised);
    memset(sim->sight_count, 0, sizeof sim->sight_count);
    sim->version_count = sim->effect_count = 0;
    sim->violation = (struct sim_violation){.class = SIM_HELD, .key = SIM_KEYS_MAX};
    sim->events = 0;
    sim_rng_seed(&sim->rng, seed);
}

void sim_begin(struct sim *sim, uint64_t seed, const struct sim_swarm *swarm)
{
    reset(sim, seed, swarm);
    sim_maps_make(sim);
    for (uint32_t n = 0; n < SIM_NODES_MAX; n++)
        sim_disk_init(&sim->disks[n], n);
    for (uint32_t i = 0; i < SIM_PROCESSES_MAX; i++)
        sim_process_init(&sim->processes[i], i);
    for (uint32_t n = 0; n < swarm->nodes; n++)
        sim_process_start(sim_node(sim, n), 0);
    for (uint32_t p = 0; p < swarm->proxies; p++)
        sim_process_start(sim_proxy(sim, p), 0);
}

static void drop_packets(struct sim *sim)
{
    for (size_t i = 0; i < sim->heap.count; i++)
        if (sim->heap.events[i].kind == SIM_EVENT_PACKET)
            sim_packet_free(sim->heap.events[i].pointer);
    sim->heap.count = 0;
    while (sim->held != NULL) {
        struct sim_packet *next = sim->held->next;
        sim_packet_free(sim->held);
        sim->held = next;
    }
    for (uint64_t c = 1; c <= sim->conn_count; c++) {
        for (uint32_t d = 0; d < 2; d++) {
            struct sim_packet *packet = sim->conns[c].stalled[d];
            while (packet != NULL) {
                struct sim_packet *next = packet->next;
                sim_packet_free(packet);
                packet = next;
            }
            sim->conns[c].stalled[d] = NULL;
        }
    }
}

void sim_end(struct sim *sim)
{
    for (uint32_t i = SIM_PROCESSES_MAX; i-- > 0;)
        sim_process_stop(&sim->processes[i]);
    drop_packets(sim);
    for (uint32_t n = 0; n < SIM_NODES_MAX; n++)
        sim_disk_free(&sim->disks[n]);
    if (sim->blobs != 0)
        sim_violate(sim, SIM_CRASH, SIM_KEYS_MAX, "%llu reads of the store were never released",
                    (unsigned long long)sim->blobs);
    sim->blobs = 0;
}

void sim_run(struct sim *sim, uint64_t seed, enum quo_kind kind)
{
    struct sim_swarm swarm = sim_swarm_draw(seed, kind);
    sim_begin(sim, seed, &swarm);
    /* Proxies have met most nodes by then. */
    uint64_t dawn = 2 * SIM_MS + 3 * (uint64_t)swarm.latency_max_us;
    for (uint32_t c = 0; c < swarm.clients; c++)
        sim_at(sim, dawn + sim_below(&sim->rng, 5 * SIM_MS), SIM_EVENT_CLIENT, NULL, c, NULL);
    sim_at(sim, dawn + 8 * SIM_MS, SIM_EVENT_FAULT, NULL, 0, NULL);
    if (swarm.move || swarm.stale_maps)
        sim_at(sim, dawn + sim_below(&sim->rng, 200 * SIM_MS), SIM_EVENT_MOVE, NULL, 0, NULL);
    while (!sim_failed(sim) && sim->now < SAFETY_US_MAX &&
           (sim->ops_started < swarm.ops || sim->open_ops > 0))
        if (!sim_advance_one(sim, SAFETY_US_MAX))
            break;
    if (!sim_failed(sim))
        sim_finish(sim);
    if (!sim_failed(sim))
        sim_verdict(sim);
    sim_end(sim);
}
