/* Clients with a session token: what they ask for with it, what it learns, and whether the four
 * guarantees held. */
#include "../support/checker/session.h"
#include "proxy/http/session.h"
#include "sim.h"

#define VISIT_PERMILLE 80u /* of operations, after which a session has met many other keys */
#define VISIT_KEYS QUO_TOKEN_ENTRIES_MAX

bool sim_session_has(const struct sim *sim, const struct sim_op *op)
{
    return op->client < sim->swarm.sessions && op->type != QUO_REQUEST_RESOLVE;
}

static uint64_t name_of(uint32_t key)
{
    return quo_token_key(sim_key_namespace(key), sim_key(key));
}

void sim_session_ask(const struct sim *sim, const struct sim_op *op, struct quo_request *request)
{
    if (sim_session_has(sim, op))
        quo_session_ask(&sim->tokens[op->client], name_of(op->seen.key), request);
}

/* Of a key that consensus changes, a token that does not list it cannot tell what was undone. */
static bool may_forget(const struct sim *sim)
{
    return sim->swarm.kind == QUO_KIND_LWW || sim->swarm.kind == QUO_KIND_CRDT;
}

/* Keys that nobody else knows push those that are judged out of the token. */
static void visit(struct sim *sim, struct quo_token *token)
{
    struct quo_version version = {.hlc = token->max_hlc, .node = UINT64_C(1) << 48};
    for (uint32_t i = 0; i < VISIT_KEYS; i++)
        quo_token_add(token, sim_random(&sim->rng), version, sim_chance(&sim->rng, 500));
}

void sim_session_learn(struct sim *sim, const struct sim_op *op,
                       const struct quo_response *response)
{
    if (!sim_session_has(sim, op))
        return;
    struct quo_token *token = &sim->tokens[op->client];
    quo_session_learn(token, name_of(op->seen.key), response);
    if (may_forget(sim) && !sim->healing && sim_chance(&sim->rng, VISIT_PERMILLE))
        visit(sim, token);
}

bool sim_session_wants(const struct sim *sim, uint32_t client, uint32_t key,
                       struct quo_version *ret)
{
    return quo_token_find(&sim->tokens[client], name_of(key), ret);
}

/* Reads at other levels, and conditions that do not hold, are not held to what the session has
 * seen; they only add to it. */
void sim_session_verdict(struct sim *sim)
{
    static struct quo_history_op ops[SIM_OPS_MAX];
    size_t n = 0;
    for (uint32_t i = 0; i < sim->op_count && sim->swarm.sessions > 0; i++) {
        const struct sim_op *op = &sim->ops[i];
        if (!sim_op_is_first(op) || op->seen.call == 0)
            continue;
        ops[n] = op->seen;
        bool is_held = quo_history_is_write(&op->seen) ? op->seen.outcome == QUO_HISTORY_OK
                                                       : op->seen.level == QUO_LEVEL_SESSION;
        if (!is_held)
            ops[n].call = 0;
        /* Of a key that never was, the answer names what made sure of that. */
        if (op->seen.outcome == QUO_HISTORY_FAILED && op->seen.seen == 0)
            ops[n].version = QUO_VERSION_NONE;
        n++;
    }
    struct quo_session_finding finding = quo_session_check(ops, n);
    if (finding.what != NULL)
        sim_violate(sim, SIM_CONSISTENCY, finding.second->key, "operations %llu and %llu: %s",
                    (unsigned long long)finding.first->id, (unsigned long long)finding.second->id,
                    finding.what);
}
