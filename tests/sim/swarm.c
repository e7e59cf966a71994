#include <inttypes.h>

#include "nemesis.h"
#include "sim.h"
#include "storage-node/engine/store_cached.h"

/* What a seed is like: not a mean of everything, but a world with some things pushed far and others
 * left out (Groce et al., "Swarm Testing", ISSTA 2012). */

static bool has_consensus(const struct sim_swarm *s)
{
    return s->kind == QUO_KIND_CAS || s->kind == QUO_KIND_MIXED;
}

static void draw_shape(struct sim_rng *rng, struct sim_swarm *s)
{
    static const uint8_t sizes[] = {3, 3, 3, 3, 3, 3, 1, 2, 4, 5};
    s->n = sizes[sim_below(rng, sizeof sizes)];
    uint32_t least = QUO_MAX(3u, s->n);
    s->nodes = (uint32_t)sim_between(rng, least, QUO_MAX(least, SIM_NODES_MAX));
    if (sim_chance(rng, 600))
        s->nodes = QUO_MIN(least + (uint32_t)sim_below(rng, 2), SIM_NODES_MAX);
    s->ws = (uint8_t)(s->n / 2 + 1);
    s->rs = (uint8_t)(s->n - s->ws + 1);
    if (sim_chance(rng, 300)) {
        s->ws = (uint8_t)sim_between(rng, s->n / 2 + 1, s->n);
        s->rs = (uint8_t)sim_between(rng, (uint64_t)(s->n - s->ws) + 1, s->n);
    }
    s->proxies = (uint32_t)sim_between(rng, 2, SIM_PROXIES_MAX - 1);
    s->partitions = UINT32_C(1) << sim_below(rng, 3);
    s->keys = (uint32_t)sim_between(rng, 1, SIM_KEYS_USER);
    s->clients = (uint32_t)sim_between(rng, 3, SIM_CLIENTS_MAX);
    s->ops = (uint32_t)sim_between(rng, 60, 140);
}

static void draw_network(struct sim_rng *rng, struct sim_swarm *s)
{
    s->latency_min_us = 50;
    s->latency_max_us = 500;
    if (sim_chance(rng, 150)) {
        s->latency_min_us = 5 * SIM_MS;
        s->latency_max_us = 40 * SIM_MS;
    } else if (sim_chance(rng, 400)) {
        s->latency_min_us = 10;
        s->latency_max_us = 5 * SIM_MS;
    }
    if (sim_chance(rng, 400)) {
        s->tail_permille = (uint32_t)sim_between(rng, 5, 100);
        s->tail_factor = (uint32_t)sim_between(rng, 5, 60);
    }
    s->batch = sim_chance(rng, 600);
    s->datagrams = sim_chance(rng, 350);
    if (s->datagrams) {
        s->loss_permille = sim_chance(rng, 700) ? (uint32_t)sim_below(rng, 200) : 0;
        s->double_permille = sim_chance(rng, 500) ? (uint32_t)sim_below(rng, 200) : 0;
    } else if (sim_chance(rng, 300)) {
        s->cut_permille = (uint32_t)sim_between(rng, 1, 30);
    }
    if (sim_chance(rng, 150))
        s->busy_permille = (uint32_t)sim_between(rng, 5, 100);
}

static void draw_disks(struct sim_rng *rng, struct sim_swarm *s)
{
    s->sync_min_us = 20;
    s->sync_max_us = sim_chance(rng, 500) ? 300 : (uint32_t)sim_between(rng, SIM_MS, 12 * SIM_MS);
    s->load_max_us = (uint32_t)sim_between(rng, 100, 3 * SIM_MS);
    if (sim_chance(rng, 300))
        s->miss_permille = (uint32_t)sim_between(rng, 10, 500);
    if (sim_chance(rng, 100))
        s->memory_max = (uint32_t)sim_between(rng, 32 * 1024, 64 * 1024);
}

static void draw_clients(struct sim_rng *rng, struct sim_swarm *s)
{
    uint32_t round = 4 * s->latency_max_us + 2 * s->sync_max_us;
    s->timeout_min_ms = QUO_MAX(20u, round / SIM_MS);
    s->timeout_max_ms = 4 * s->timeout_min_ms + 100;
    s->think_max_us = sim_chance(rng, 500) ? 2 * SIM_MS : 20 * SIM_MS;
    s->abandon_permille = sim_chance(rng, 300) ? (uint32_t)sim_below(rng, 100) : 0;
    s->large_permille = sim_chance(rng, 400) ? (uint32_t)sim_below(rng, 200) : 0;
    s->numeric_permille = sim_chance(rng, 400) ? (uint32_t)sim_below(rng, 400) : 0;
    s->forbidden_permille = sim_chance(rng, 100) ? 20 : 0;
    s->weight_get = (uint32_t)sim_between(rng, 2, 8);
    s->weight_put = (uint32_t)sim_between(rng, 2, 8);
    s->weight_delete = sim_chance(rng, 500) ? (uint32_t)sim_below(rng, 3) : 0;
    s->weight_level[QUO_LEVEL_EVENTUAL] = sim_chance(rng, 600) ? (uint32_t)sim_below(rng, 6) : 0;
    s->weight_level[QUO_LEVEL_QUORUM] = sim_chance(rng, 500) ? (uint32_t)sim_below(rng, 4) : 0;
    s->weight_level[QUO_LEVEL_STRONG] = 6;
    s->weight_level[QUO_LEVEL_ALL] = sim_chance(rng, 300) ? 1 : 0;
    s->ops_max = sim_chance(rng, 150) ? (uint32_t)sim_between(rng, 1, 6) : 256;
    s->hedge_percent = sim_chance(rng, 600) ? (uint32_t)sim_between(rng, 5, 100) : 0;
    s->timer_slop_us = sim_chance(rng, 500) ? (uint32_t)sim_below(rng, 3 * SIM_MS) : 0;
}

static void draw_faults(struct sim_rng *rng, struct sim_swarm *s)
{
    s->skew_ms = sim_chance(rng, 600) ? (uint32_t)sim_below(rng, 2000) : 0;
    s->drift_ppm = sim_chance(rng, 200) ? (uint32_t)sim_below(rng, 100000) : 0;
    s->node_clocks = sim_chance(rng, 400);
    s->stale_maps = sim_chance(rng, 150);
    s->move = !s->stale_maps && sim_chance(rng, 250);
    if (sim_chance(rng, 100))
        return;
    s->fault_gap_us = (uint32_t)sim_between(rng, 5 * SIM_MS, 120 * SIM_MS);
    for (uint32_t kind = 0; kind < SIM_FAULT_KINDS; kind++)
        s->weight_fault[kind] = sim_chance(rng, 400) ? (uint32_t)sim_between(rng, 1, 10) : 0;
    if (!has_consensus(s))
        s->weight_fault[SIM_FAULT_PROMISE] = 0;
}

/* Nothing fails, but everybody is at one key, clocks differ and messages overtake each other far:
 * what the traps of concurrent eventual and strong writes need. */
static void draw_duel(struct sim_rng *rng, struct sim_swarm *s)
{
    s->n = 3;
    s->nodes = 3;
    s->rs = s->ws = 2;
    s->keys = 1;
    s->proxies = SIM_PROXIES_MAX - 1;
    s->clients = SIM_CLIENTS_MAX;
    s->latency_min_us = 20;
    s->latency_max_us = 200;
    s->tail_permille = (uint32_t)sim_between(rng, 100, 400);
    s->tail_factor = (uint32_t)sim_between(rng, 20, 200);
    s->sync_max_us = 100;
    s->think_max_us = (uint32_t)sim_between(rng, 100, 10 * SIM_MS);
    s->timeout_min_ms = 200;
    s->timeout_max_ms = 400;
    s->weight_level[QUO_LEVEL_EVENTUAL] = (uint32_t)sim_between(rng, 3, 8);
    s->weight_level[QUO_LEVEL_ALL] = 0;
    s->skew_ms = 500;
    s->stale_maps = s->move = false;
    s->fault_gap_us = has_consensus(s) ? 20 * SIM_MS : 0;
    memset(s->weight_fault, 0, sizeof s->weight_fault);
    s->weight_fault[SIM_FAULT_PROMISE] = has_consensus(s);
}

/* Clients that write on conditions, count, send again and resolve; mostly few proxies at few keys,
 * so that they meet. */
static void draw_consensus(struct sim_rng *rng, struct sim_swarm *s)
{
    s->weight_cas = (uint32_t)sim_between(rng, 2, 10);
    s->weight_add = (uint32_t)sim_between(rng, 2, 8);
    s->counters = sim_chance(rng, 500) ? (uint32_t)sim_between(rng, 1, SIM_COUNTERS_MAX) : 0;
    s->bound_permille = (uint32_t)sim_between(rng, 200, 1000);
    s->keyed_permille = sim_chance(rng, 700) ? (uint32_t)sim_between(rng, 100, 1000) : 0;
    s->again_permille = (uint32_t)sim_between(rng, 200, 1000);
    s->seats = sim_chance(rng, 600);
    s->loops = s->seats && sim_chance(rng, 400) ? 2 : 1;
    s->resolve_permille = sim_chance(rng, 700) ? (uint32_t)sim_between(rng, 100, 1000) : 0;
    if (sim_chance(rng, 700)) {
        s->keys = (uint32_t)sim_between(rng, 1, 2);
        s->proxies = (uint32_t)sim_between(rng, 2, 3);
    }
    /* Time enough to forget a key; proxies' clocks may not make it pass. */
    if (sim_chance(rng, 150)) {
        s->retention_s = 1;
        s->skew_ms = QUO_MIN(s->skew_ms, 50u);
        s->drift_ppm = QUO_MIN(s->drift_ppm, 1000u);
        s->node_clocks = false;
        s->late_permille = sim_chance(rng, 500) ? 500 : 0;
    }
}

/* Whether nodes compare what they hold, and how often: as they are made, or so often that it gets
 * into the way of everything else. By a stream of its own: what nodes do among themselves does not
 * make another world of a seed. */
static void draw_mesh(uint64_t seed, struct sim_swarm *s)
{
    struct sim_rng rng;
    sim_rng_seed(&rng, seed ^ 0x6d657368);
    uint32_t permille = s->retention_s == 1 ? 800 : 300;
    s->mesh = sim_chance(&rng, has_consensus(s) ? permille : 700);
    if (sim_chance(&rng, 700))
        s->exchange_every_ms = (uint32_t)sim_between(&rng, 20, 1000);
    if (sim_chance(&rng, 700))
        s->exchange_pause_ms = (uint32_t)sim_between(&rng, 1, 50);
    /* Deletes may go when nobody needs them: then no clock of a node is wrong by more than that,
     * and what operations they stand for is forgotten. */
    uint32_t least_ms = has_consensus(s) ? 2000 * s->retention_s : 100;
    if (!s->mesh || least_ms > 2000 || !sim_chance(&rng, 600))
        return;
    s->grace_ms = (uint32_t)sim_between(&rng, least_ms, least_ms + 2000);
    s->collect_every_ms = (uint32_t)sim_between(&rng, 50, 500);
    s->weight_delete = QUO_MAX(s->weight_delete, 2u);
    s->node_clocks = false;
    /* What names a submission has to be right by less than the grace. */
    if (has_consensus(s))
        s->late_permille = s->weight_fault[SIM_FAULT_CLOCK] = 0;
}

/* Whether nodes remember records: all there are, or so few that they go and come. Likewise. */
static void draw_cache(uint64_t seed, struct sim_swarm *s)
{
    static const uint32_t bytes[] = {QUO_STORE_CACHED_BYTES_MIN, 65536};
    struct sim_rng rng;
    sim_rng_seed(&rng, seed ^ 0x63616368);
    s->cache_bytes = sim_chance(&rng, 500) ? bytes[sim_below(&rng, QUO_COUNT(bytes))] : 0;
}

/* Clients that go on from what they have seen and written, whatever proxy they come to. */
static void draw_sessions(uint64_t seed, struct sim_swarm *s)
{
    struct sim_rng rng;
    sim_rng_seed(&rng, seed ^ 0x73657373);
    if (!sim_chance(&rng, 250))
        return;
    s->sessions = (uint32_t)sim_between(&rng, 1, s->clients);
    s->weight_level[QUO_LEVEL_SESSION] = (uint32_t)sim_between(&rng, 3, 12);
    s->weight_level[QUO_LEVEL_EVENTUAL] = QUO_MAX(s->weight_level[QUO_LEVEL_EVENTUAL], 3u);
}

static enum quo_kind kind_of(uint64_t seed)
{
    static const enum quo_kind kinds[] = {QUO_KIND_LWW, QUO_KIND_CAS,   QUO_KIND_MIXED,
                                          QUO_KIND_LWW, QUO_KIND_CAS,   QUO_KIND_MIXED,
                                          QUO_KIND_CAS, QUO_KIND_MIXED, QUO_KIND_CRDT};
    return kinds[seed % QUO_COUNT(kinds)];
}

struct sim_swarm sim_swarm_draw(uint64_t seed, enum quo_kind kind)
{
    struct sim_rng rng;
    struct sim_swarm s = {
        .kind = kind == 0 ? kind_of(seed) : kind, .retention_s = QUO_RETENTION_MAX_S, .loops = 1};
    sim_rng_seed(&rng, seed ^ 0x73776172);
    draw_shape(&rng, &s);
    draw_network(&rng, &s);
    draw_disks(&rng, &s);
    draw_clients(&rng, &s);
    draw_faults(&rng, &s);
    if (sim_chance(&rng, 200))
        draw_duel(&rng, &s);
    if (has_consensus(&s))
        draw_consensus(&rng, &s);
    draw_mesh(seed, &s);
    draw_cache(seed, &s);
    draw_sessions(seed, &s);
    return s;
}

void sim_swarm_print(FILE *out, const struct sim_swarm *s)
{
    fprintf(out,
            "%s, %" PRIu32 " nodes, n=%u rs=%u ws=%u, %" PRIu32 " proxies, %" PRIu32
            " partitions, %" PRIu32 " keys, %" PRIu32 " counters, %" PRIu32 " clients, %" PRIu32
            " operations, retention %" PRIu32 " s\n",
            quo_kind_name(s->kind), s->nodes, s->n, s->rs, s->ws, s->proxies, s->partitions,
            s->keys, s->counters, s->clients, s->ops, s->retention_s);
    fprintf(out,
            "latency %" PRIu32 "-%" PRIu32 " us, %s, lost %" PRIu32 "/1000, doubled %" PRIu32
            "/1000, cut %" PRIu32 "/1000, busy %" PRIu32 "/1000, sync %" PRIu32 "-%" PRIu32 " us\n",
            s->latency_min_us, s->latency_max_us, s->datagrams ? "datagrams" : "streams",
            s->loss_permille, s->double_permille, s->cut_permille, s->busy_permille, s->sync_min_us,
            s->sync_max_us);
    fprintf(out, "faults every %" PRIu32 " us:", s->fault_gap_us);
    for (uint32_t kind = 0; kind < SIM_FAULT_KINDS; kind++)
        if (s->fault_gap_us > 0 && s->weight_fault[kind] > 0)
            fprintf(out, " %s", sim_fault_names[kind]);
    fprintf(out, "%s", s->seats ? ", proxies reach each other" : "");
    fprintf(out, "%s", s->loops > 1 ? ", with two loops each" : "");
    if (s->mesh)
        fprintf(out, ", nodes compare every %" PRIu32 " ms, with pauses of %" PRIu32 " ms",
                s->exchange_every_ms != 0 ? s->exchange_every_ms : QUO_EXCHANGE_EVERY_MS,
                s->exchange_pause_ms != 0 ? s->exchange_pause_ms : QUO_EXCHANGE_PAUSE_MS);
    if (s->grace_ms > 0)
        fprintf(out, ", collect deletes of %" PRIu32 " ms ago every %" PRIu32 " ms", s->grace_ms,
                s->collect_every_ms);
    if (s->cache_bytes > 0)
        fprintf(out, ", %" PRIu32 " bytes of records in memory", s->cache_bytes);
    if (s->sessions > 0)
        fprintf(out, ", %" PRIu32 " sessions", s->sessions);
    fprintf(out, "%s%s\n", s->stale_maps ? ", stale maps" : "", s->move ? ", move" : "");
}
