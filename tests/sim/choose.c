/* What clients do: which operation, on which key, at which level, through which proxy. */
#include "sim.h"

static uint32_t weighted(struct sim_rng *rng, const uint32_t *weights, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += weights[i];
    uint64_t at = sim_below(rng, total);
    for (uint32_t i = 0;; i++) {
        if (at < weights[i])
            return i;
        at -= weights[i];
    }
}

struct quo_ask sim_choose_ask(struct sim *sim)
{
    const struct sim_swarm *s = &sim->swarm;
    struct quo_ask ask = {.r = -1, .w = -1, .dw = -1};
    ask.timeout_ms = (uint32_t)sim_between(&sim->rng, s->timeout_min_ms, s->timeout_max_ms);
    if (sim_chance(&sim->rng, s->numeric_permille)) {
        ask.r = (int32_t)sim_between(&sim->rng, 1, s->n);
        ask.w = (int32_t)sim_between(&sim->rng, 1, s->n);
        if (sim_chance(&sim->rng, 500))
            ask.dw = (int32_t)sim_below(&sim->rng, (uint64_t)ask.w + 1);
        ask.has_level = sim_chance(&sim->rng, 200);
    } else {
        ask.has_level = true;
    }
    if (ask.has_level)
        ask.level = (enum quo_level)weighted(&sim->rng, s->weight_level, QUO_LEVELS);
    return ask;
}

bool sim_choose_proxy(struct sim *sim, uint32_t *ret)
{
    uint32_t start = (uint32_t)sim_below(&sim->rng, sim->swarm.proxies);
    for (uint32_t i = 0; i < sim->swarm.proxies; i++) {
        uint32_t proxy = (start + i) % sim->swarm.proxies;
        if (sim_proxy(sim, proxy)->alive) {
            *ret = proxy;
            return true;
        }
    }
    return false;
}

static bool has_consensus(const struct sim *sim)
{
    return sim->swarm.kind == QUO_KIND_CAS || sim->swarm.kind == QUO_KIND_MIXED;
}

/* On the condition that what was seen last, or some time ago, is still there. */
static void make_cas(struct sim *sim, struct sim_op *op)
{
    uint32_t key = op->seen.key, known = QUO_MIN(sim->sight_count[key], SIM_SIGHTS);
    struct sim_sight sight = {0};
    if (known > 0) {
        uint32_t back = sim_chance(&sim->rng, 800) ? 0 : (uint32_t)sim_below(&sim->rng, known);
        sight = sim->sights[key][(sim->sight_count[key] - 1 - back) % SIM_SIGHTS];
    }
    op->seen.expected = sight.value;
    op->expected = sight.version;
    op->is_weak = sight.is_weak;
    op->condition = sight.value == 0 ? QUO_CONDITION_ABSENT : QUO_CONDITION_TAGS;
    if (sight.value != 0 && sim_chance(&sim->rng, 150)) {
        op->type = QUO_REQUEST_DELETE;
        op->seen.value = 0;
    }
}

static void make_add(struct sim *sim, struct sim_op *op)
{
    static const int64_t steps[] = {1, 1, 1, 5, -1, -3}, even[] = {2, 2, -2, -2, 3, -3};
    if (sim_chance(&sim->rng, sim->swarm.bound_permille)) {
        op->seen.by = even[sim_below(&sim->rng, QUO_COUNT(even))];
        op->seen.min = 0;
        op->seen.max = sim_chance(&sim->rng, 500) ? 4 : INT64_MAX;
        return;
    }
    op->seen.by = steps[sim_below(&sim->rng, QUO_COUNT(steps))];
}

static void make_key(struct sim *sim, struct sim_op *op)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%llu-%llu", (unsigned long long)sim->seed,
                     (unsigned long long)op->seen.id);
    op->is_keyed = true;
    op->opid = quo_opid_of_key(quo_slice(text, (size_t)n));
}

static enum quo_history_type choose_type(struct sim *sim, uint32_t key)
{
    const struct sim_swarm *s = &sim->swarm;
    if (sim_key_model(key) == QUO_HISTORY_COUNTER)
        return sim_below(&sim->rng, s->weight_get + s->weight_add) < s->weight_get
                   ? QUO_HISTORY_GET
                   : QUO_HISTORY_ADD;
    const uint32_t weights[] = {s->weight_get, s->weight_put, s->weight_delete, s->weight_cas};
    uint32_t count = key == SIM_KEY_FORBIDDEN ? 3 : 4;
    return (enum quo_history_type)(1 + weighted(&sim->rng, weights, count));
}

static uint32_t choose_key(struct sim *sim)
{
    const struct sim_swarm *s = &sim->swarm;
    uint32_t key = (uint32_t)sim_below(&sim->rng, s->keys + s->counters);
    if (key >= s->keys)
        key += SIM_KEY_COUNTER - s->keys;
    return sim_chance(&sim->rng, s->forbidden_permille) ? SIM_KEY_FORBIDDEN : key;
}

void sim_client_next(struct sim *sim, uint32_t client)
{
    const struct sim_swarm *s = &sim->swarm;
    uint32_t proxy;
    if (sim->healing || sim->ops_started >= s->ops)
        return;
    if (!sim_choose_proxy(sim, &proxy)) {
        sim_at(sim, sim->now + 10 * SIM_MS, SIM_EVENT_CLIENT, NULL, client, NULL);
        return;
    }
    uint32_t key = choose_key(sim);
    struct sim_op *op = sim_op_new(sim, client, choose_type(sim, key), key);
    if (op == NULL)
        return;
    sim->ops_started++;
    if (op->seen.type == QUO_HISTORY_CAS)
        make_cas(sim, op);
    if (op->seen.type == QUO_HISTORY_ADD)
        make_add(sim, op);
    if (has_consensus(sim) && key != SIM_KEY_FORBIDDEN && quo_history_is_write(&op->seen) &&
        sim_chance(&sim->rng, s->keyed_permille))
        make_key(sim, op);
    struct quo_ask ask = sim_choose_ask(sim);
    sim_op_ask(sim, op, &ask);
    sim_op_send(sim, op, proxy);
    if (sim_chance(&sim->rng, s->abandon_permille))
        sim_at(sim, sim->now + sim_below(&sim->rng, 20 * SIM_MS), SIM_EVENT_ABANDON,
               sim_proxy(sim, proxy), op->seen.id - 1, NULL);
}
