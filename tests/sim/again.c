/* One operation, many requests: what clients do when they do not know what became of a write.
 *
 * Who has an Idempotency-Key sends the request again, through any proxy, while the first may still
 * be under way; now and then also when the answer has come. Anybody who was told the operation's
 * name asks for a decision, sometimes two at once. All answers that decide must agree; the history
 * has one operation, from its first call to the first answer that decides. */
#include "sim.h"

#define TRIES_MAX 5u
#define VALUE_OF_NOBODY INT64_C(-1)
#define RESOLVER_CLIENT (SIM_CLIENTS_MAX + 2)
#define DOUBLED_PERMILLE 100u /* of writes whose outcome is known, sent again all the same */

static void disagree(struct sim *sim, const struct sim_op *first, const char *what)
{
    sim_violate(sim, SIM_CONSISTENCY, first->seen.key, "operation %llu was answered twice: %s",
                (unsigned long long)first->seen.id, what);
}

/* A second answer that decides says the same. */
static void judge_agreement(struct sim *sim, const struct sim_op *first,
                            const struct sim_told *told)
{
    const struct quo_history_op *seen = &first->seen;
    bool ok = seen->outcome == QUO_HISTORY_OK;
    if (seen->outcome != told->outcome)
        disagree(sim, first, "once that it took effect or failed, once otherwise");
    else if (first->is_fenced != told->is_fenced)
        disagree(sim, first, "once that it is fenced");
    else if (ok && !quo_version_equal(seen->version, told->version))
        disagree(sim, first, "with two versions");
    else if (ok && told->has_value && !seen->is_untold && seen->value != told->value)
        disagree(sim, first, "with two sums");
}

static void decide(struct sim *sim, struct sim_op *first, const struct sim_told *told)
{
    struct quo_history_op *seen = &first->seen;
    first->is_decided = true;
    first->is_fenced = told->is_fenced;
    seen->outcome = told->outcome;
    seen->ret = sim_stamp(sim);
    seen->version = told->version;
    seen->saw = told->saw;
    seen->seen = told->seen;
    if (seen->type == QUO_HISTORY_ADD && told->outcome == QUO_HISTORY_OK) {
        seen->is_untold = !told->has_value;
        seen->value = told->has_value ? told->value : 0;
    }
    /* The tag that was named may be that of the same value, from an attempt that came to nothing.
     */
    if (first->is_weak && told->outcome == QUO_HISTORY_FAILED &&
        (!told->saw || told->seen == seen->expected))
        seen->expected = VALUE_OF_NOBODY;
    struct sim_sight sight = {.value = seen->value, .version = told->version};
    if (told->outcome == QUO_HISTORY_FAILED)
        sight.value = told->seen;
    if (seen->model == QUO_HISTORY_REGISTER && (told->outcome == QUO_HISTORY_OK || told->saw))
        sim_sight_add(sim, seen->key, &sight);
}

static void end_read(struct sim *sim, struct sim_op *op)
{
    struct quo_history_op *seen = &op->seen;
    if (!op->answered)
        return;
    seen->ret = sim_stamp(sim);
    seen->outcome = op->told.outcome;
    seen->value = op->told.value;
    seen->version = op->told.version;
    struct sim_sight sight = {.value = seen->value, .version = seen->version};
    sight.is_weak = seen->level != QUO_LEVEL_STRONG && seen->level != QUO_LEVEL_ALL;
    if (seen->outcome == QUO_HISTORY_OK && seen->model == QUO_HISTORY_REGISTER)
        sim_sight_add(sim, seen->key, &sight);
}

static void end_write(struct sim *sim, struct sim_op *first, const struct sim_op *op)
{
    const struct sim_told *told = &op->told;
    if (told->is_decided && first->is_decided) {
        judge_agreement(sim, first, told);
        if (told->has_value && first->seen.is_untold) {
            first->seen.is_untold = false;
            first->seen.value = told->value;
        }
        return;
    }
    if (told->is_decided) {
        /* Who asked for it never heard. */
        if (op->client != first->client)
            first->seen.session = 0;
        decide(sim, first, told);
        return;
    }
    first->is_open |= told->outcome == QUO_HISTORY_UNKNOWN && op->type != QUO_REQUEST_RESOLVE;
    if (first->is_decided || first->running > 0)
        return;
    first->seen.outcome = first->is_open ? QUO_HISTORY_UNKNOWN : QUO_HISTORY_NOT_APPLIED;
    first->seen.ret = sim_stamp(sim);
}

static uint64_t soon(struct sim *sim)
{
    return sim->now + sim_below(&sim->rng, sim_chance(&sim->rng, 500) ? SIM_MS : 50 * SIM_MS);
}

/* Within half of the time for which the key is remembered. */
static bool may_try_again(const struct sim *sim, const struct sim_op *first)
{
    uint64_t age = sim->now - first->begun;
    return first->is_keyed && first->tries + 1 < TRIES_MAX && !sim->healing &&
           age < sim->swarm.retention_s * (uint64_t)SIM_S / 2;
}

static bool wants_again(struct sim *sim, const struct sim_op *first)
{
    if (!may_try_again(sim, first))
        return false;
    return sim_chance(&sim->rng, first->is_decided ? DOUBLED_PERMILLE : sim->swarm.again_permille);
}

static void schedule(struct sim *sim, enum sim_event_kind kind, const struct sim_op *first,
                     uint64_t client)
{
    sim_at(sim, soon(sim), kind, NULL, client << 32 | (first->seen.id - 1), NULL);
}

static bool wants_resolved(struct sim *sim, const struct sim_op *first)
{
    return first->is_open && !first->is_decided && first->is_named && !sim->healing &&
           sim_chance(&sim->rng, sim->swarm.resolve_permille);
}

static void next_of_client(struct sim *sim, uint32_t client)
{
    uint64_t think = sim_below(&sim->rng, sim->swarm.think_max_us + 1);
    if (client < SIM_CLIENTS_MAX)
        sim_at(sim, sim->now + think, SIM_EVENT_CLIENT, NULL, client, NULL);
}

void sim_again_ended(struct sim *sim, struct sim_op *op)
{
    struct sim_op *first = sim_op_first(sim, op);
    first->running--;
    if (!quo_history_is_write(&first->seen)) {
        end_read(sim, op);
        next_of_client(sim, op->client);
        return;
    }
    end_write(sim, first, op);
    /* What a resolver has fenced is tried once more: it must stay so. */
    bool again = wants_again(sim, first);
    if (again)
        schedule(sim, SIM_EVENT_AGAIN, first, op->client);
    else
        next_of_client(sim, op->client);
    if (op->type != QUO_REQUEST_RESOLVE && wants_resolved(sim, first)) {
        schedule(sim, SIM_EVENT_RESOLVE, first, RESOLVER_CLIENT);
        if (sim_chance(&sim->rng, 400))
            schedule(sim, SIM_EVENT_RESOLVE, first, RESOLVER_CLIENT);
    }
}

void sim_again_try(struct sim *sim, uint64_t arg)
{
    struct sim_op *first = &sim->ops[(uint32_t)arg];
    uint32_t proxy, client = (uint32_t)(arg >> 32);
    struct sim_op *op = NULL;
    if (may_try_again(sim, first) && sim_choose_proxy(sim, &proxy))
        op = sim_op_another(sim, first, client, first->type);
    if (op == NULL) {
        next_of_client(sim, client);
        return;
    }
    first->tries++;
    if (!first->is_decided) {
        first->seen.outcome = QUO_HISTORY_UNKNOWN;
        first->seen.ret = QUO_HISTORY_NEVER;
    }
    struct quo_ask ask = sim_choose_ask(sim);
    sim_op_ask(sim, op, &ask);
    sim_op_send(sim, op, proxy);
}

struct sim_op *sim_again_ask(struct sim *sim, struct sim_op *first, uint32_t proxy,
                             uint32_t timeout_ms)
{
    struct sim_op *op = sim_op_another(sim, first, RESOLVER_CLIENT, QUO_REQUEST_RESOLVE);
    struct quo_ask ask = {.has_level = true,
                          .level = QUO_LEVEL_STRONG,
                          .r = -1,
                          .w = -1,
                          .dw = -1,
                          .timeout_ms = timeout_ms};
    if (op == NULL)
        return NULL;
    sim_op_ask(sim, op, &ask);
    sim_op_send(sim, op, proxy);
    return op;
}

void sim_again_resolve(struct sim *sim, uint64_t arg)
{
    const struct sim_swarm *s = &sim->swarm;
    uint32_t proxy;
    uint32_t timeout = (uint32_t)sim_between(&sim->rng, s->timeout_min_ms, s->timeout_max_ms);
    if (!sim->healing && sim_choose_proxy(sim, &proxy))
        (void)sim_again_ask(sim, &sim->ops[(uint32_t)arg], proxy, timeout);
}
