#include <stdlib.h>

#include "sim.h"

#define SMALL_MIN 8u
#define LARGE_EXTRA 1500u
#define DIGITS 6u

/* The last one lives in a namespace that takes no blind writes. */
const char *const sim_key_names[SIM_KEYS_MAX] = {"apple", "banana/1", "c", "\xc3\xa9t\xc3\xa9",
                                                 "gold"};

static const uint32_t namespace_ids[SIM_KEYS_MAX] = {1, 1, 1, 1, 2};

struct quo_slice sim_key(uint32_t key)
{
    return quo_slice_of(sim_key_names[key]);
}

uint32_t sim_key_namespace(uint32_t key)
{
    return namespace_ids[key];
}

uint32_t sim_key_partition(const struct sim *sim, uint32_t key)
{
    return quo_map_partition(sim->maps[0], namespace_ids[key], sim_key(key));
}

uint32_t sim_key_index(uint32_t ns, struct quo_slice key)
{
    for (uint32_t i = 0; i < SIM_KEYS_MAX; i++)
        if (namespace_ids[i] == ns && quo_slice_equal(key, sim_key(i)))
            return i;
    return SIM_KEYS_MAX;
}

uint32_t sim_key_of_data(struct quo_slice data_key)
{
    if (data_key.len < 6)
        return SIM_KEYS_MAX;
    return sim_key_index(quo_get_u32(data_key.data + 2),
                         quo_slice(data_key.data + 6, data_key.len - 6));
}

/* "v000042" and a filling that depends on it: a mix-up of bytes shows. */
struct quo_slice sim_value(uint32_t value, uint32_t len)
{
    static uint8_t bytes[SIM_VALUE_LEN_MAX];
    QUO_REQUIRE(len >= SMALL_MIN && len <= sizeof bytes);
    bytes[0] = 'v';
    uint32_t rest = value;
    for (uint32_t i = DIGITS; i > 0; i--, rest /= 10)
        bytes[i] = (uint8_t)('0' + rest % 10);
    memset(bytes + 1 + DIGITS, (int)('a' + value % 26), len - 1 - DIGITS);
    return quo_slice(bytes, len);
}

uint32_t sim_value_of(const struct sim *sim, struct quo_slice bytes)
{
    if (bytes.len < SMALL_MIN || bytes.data[0] != 'v')
        return 0;
    uint32_t value = 0;
    for (uint32_t i = 1; i <= DIGITS; i++)
        value = value * 10 + (uint32_t)(bytes.data[i] - '0');
    if (value == 0 || value > sim->op_count)
        return 0;
    const struct sim_op *op = &sim->ops[value - 1];
    if (op->seen.type != QUO_HISTORY_PUT)
        return 0;
    return quo_slice_equal(bytes, sim_value(value, op->value_len)) ? value : 0;
}

struct sim_op *sim_op_new(struct sim *sim, uint32_t client, enum quo_history_type type,
                          uint32_t key)
{
    if (sim->op_count == SIM_OPS_MAX)
        return NULL;
    struct sim_op *op = &sim->ops[sim->op_count++];
    *op = (struct sim_op){.client = client};
    op->seen = (struct quo_history_op){.id = sim->op_count,
                                       .process = client,
                                       .key = key,
                                       .type = type,
                                       .ret = QUO_HISTORY_NEVER,
                                       .outcome = QUO_HISTORY_UNKNOWN};
    if (type == QUO_HISTORY_PUT) {
        op->seen.value = sim->op_count;
        op->value_len = SMALL_MIN + (uint32_t)sim_below(&sim->rng, 40);
        if (sim_chance(&sim->rng, sim->swarm.large_permille))
            op->value_len =
                QUO_INLINE_VALUE_MAX - 200 + (uint32_t)sim_below(&sim->rng, LARGE_EXTRA);
    }
    return op;
}

/* As the checkers know levels: numbers are strong or eventual. */
static enum quo_level level_seen(const struct quo_consistency *c)
{
    if (c->level == QUO_LEVEL_EVENTUAL || c->level == QUO_LEVEL_QUORUM)
        return c->level;
    return c->level == QUO_LEVEL_ALL ? QUO_LEVEL_ALL : QUO_LEVEL_STRONG;
}

void sim_op_ask(struct sim *sim, struct sim_op *op, const struct quo_ask *ask)
{
    const struct quo_namespace *ns =
        quo_map_namespace_by_id(sim->maps[0], namespace_ids[op->seen.key]);
    char why[256];
    enum quo_status status = quo_consistency_resolve(ns, ask, quo_history_is_write(&op->seen),
                                                     &op->consistency, why, sizeof why);
    if (status != QUO_OK) {
        /* Numbers that contradict each other, or the level: no request is made of them. */
        struct quo_ask plain = {
            .r = -1, .w = -1, .dw = -1, .has_level = true, .level = QUO_LEVEL_STRONG};
        plain.timeout_ms = ask->timeout_ms;
        status = quo_consistency_resolve(ns, &plain, quo_history_is_write(&op->seen),
                                         &op->consistency, why, sizeof why);
        QUO_REQUIRE(status == QUO_OK);
    }
    op->seen.level = level_seen(&op->consistency);
}

void sim_op_send(struct sim *sim, struct sim_op *op, uint32_t proxy)
{
    struct sim_process *p = sim_proxy(sim, proxy);
    op->proxy = proxy;
    op->proxy_life = p->incarnation;
    op->seen.call = sim_stamp(sim);
    op->limit = SIM_NEVER;
    sim_oracle_called(sim, op);
    sim->open_ops++;
    sim_at(sim, sim->now + sim_below(&sim->rng, 100), SIM_EVENT_SUBMIT, p, op->seen.id - 1, NULL);
}

static void settle(struct sim *sim, struct sim_op *op)
{
    QUO_REQUIRE(sim->open_ops > 0);
    sim->open_ops--;
    if (op->client < SIM_CLIENTS_MAX) {
        uint64_t think = sim_below(&sim->rng, sim->swarm.think_max_us + 1);
        sim_at(sim, sim->now + think, SIM_EVENT_CLIENT, NULL, op->client, NULL);
    }
}

static bool finished(const struct sim_op *op)
{
    return op->answered || op->lost;
}

void sim_op_lose(struct sim *sim, struct sim_op *op)
{
    if (finished(op) || op->seen.call == 0)
        return;
    sim_note(sim, "operation %llu: the client will never know", (unsigned long long)op->seen.id);
    op->lost = true;
    settle(sim, op);
}

static void answered(void *context, const struct quo_response *response)
{
    struct sim_op *op = context;
    struct sim *sim = sim_world;
    QUO_REQUIRE(!finished(op));
    op->answered = true;
    op->verdict = response->verdict;
    op->answer_epoch = response->receipt.epoch;
    op->seen.ret = sim_stamp(sim);
    sim_mix(sim, op->seen.id << 8 | (uint64_t)response->verdict);
    sim_mix(sim, response->receipt.version.hlc ^ response->receipt.version.node);
    sim_oracle_answer(sim, op, response);
    settle(sim, op);
}

static enum quo_request_type request_type(enum quo_history_type type)
{
    return type == QUO_HISTORY_GET   ? QUO_REQUEST_GET
           : type == QUO_HISTORY_PUT ? QUO_REQUEST_PUT
                                     : QUO_REQUEST_DELETE;
}

void sim_op_submit(struct sim_process *p, struct sim_op *op)
{
    struct sim *sim = sim_world;
    struct quo_request request = {
        .type = request_type(op->seen.type),
        .ns = quo_map_namespace_by_id(sim->maps[p->map], namespace_ids[op->seen.key]),
        .key = sim_key(op->seen.key),
        .consistency = op->consistency,
    };
    if (op->seen.type == QUO_HISTORY_PUT) {
        request.content_type = quo_slice_of(op->seen.id % 3 == 0 ? "" : "text/plain");
        request.value = sim_value(op->seen.value, op->value_len);
    }
    op->limit = sim->now + op->consistency.timeout_ms * SIM_MS;
    op->submitted = true;
    enum quo_status status = quo_service_submit(p->service, &request, answered, op, &op->ticket);
    if (status == QUO_OK)
        return;
    QUO_REQUIRE(!op->answered);
    op->answered = true;
    op->verdict = QUO_VERDICT_UNAVAILABLE;
    op->seen.ret = sim_stamp(sim);
    op->seen.outcome =
        quo_history_is_write(&op->seen) ? QUO_HISTORY_NOT_APPLIED : QUO_HISTORY_UNKNOWN;
    settle(sim, op);
}

void sim_op_abandon(struct sim_process *p, struct sim_op *op)
{
    if (finished(op) || !op->submitted)
        return;
    quo_service_abandon(p->service, op->ticket);
    sim_op_lose(sim_world, op);
}

/* ---- what clients do ---- */

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

static struct quo_ask random_ask(struct sim *sim)
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
        ask.level = (enum quo_level)weighted(&sim->rng, s->weight_level, 5);
    return ask;
}

static bool pick_proxy(struct sim *sim, uint32_t *ret)
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

void sim_client_next(struct sim *sim, uint32_t client)
{
    const struct sim_swarm *s = &sim->swarm;
    uint32_t proxy;
    if (sim->healing || sim->ops_started >= s->ops)
        return;
    if (!pick_proxy(sim, &proxy)) {
        sim_at(sim, sim->now + 10 * SIM_MS, SIM_EVENT_CLIENT, NULL, client, NULL);
        return;
    }
    const uint32_t weights[3] = {s->weight_get, s->weight_put, s->weight_delete};
    enum quo_history_type type = (enum quo_history_type)(1 + weighted(&sim->rng, weights, 3));
    uint32_t key = (uint32_t)sim_below(&sim->rng, s->keys);
    if (sim_chance(&sim->rng, s->forbidden_permille))
        key = SIM_KEY_FORBIDDEN;
    struct sim_op *op = sim_op_new(sim, client, type, key);
    if (op == NULL)
        return;
    sim->ops_started++;
    struct quo_ask ask = random_ask(sim);
    sim_op_ask(sim, op, &ask);
    sim_op_send(sim, op, proxy);
    if (sim_chance(&sim->rng, s->abandon_permille))
        sim_at(sim, sim->now + sim_below(&sim->rng, 20 * SIM_MS), SIM_EVENT_ABANDON,
               sim_proxy(sim, proxy), op->seen.id - 1, NULL);
}
