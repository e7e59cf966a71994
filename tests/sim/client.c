#include "sim.h"

#define LARGE_EXTRA 1500u

static struct sim_op *take_slot(struct sim *sim, uint32_t client)
{
    if (sim->op_count == SIM_OPS_MAX)
        return NULL;
    struct sim_op *op = &sim->ops[sim->op_count++];
    *op = (struct sim_op){.client = client};
    op->seen.id = sim->op_count;
    op->told.outcome = QUO_HISTORY_UNKNOWN;
    return op;
}

static enum quo_request_type request_type(enum quo_history_type type)
{
    switch (type) {
    case QUO_HISTORY_GET:
        return QUO_REQUEST_GET;
    case QUO_HISTORY_DELETE:
        return QUO_REQUEST_DELETE;
    case QUO_HISTORY_ADD:
        return QUO_REQUEST_ADD;
    case QUO_HISTORY_PUT:
    case QUO_HISTORY_CAS:
        break;
    }
    return QUO_REQUEST_PUT;
}

static bool writes_value(enum quo_history_type type)
{
    return type == QUO_HISTORY_PUT || type == QUO_HISTORY_CAS;
}

struct sim_op *sim_op_new(struct sim *sim, uint32_t client, enum quo_history_type type,
                          uint32_t key)
{
    struct sim_op *op = take_slot(sim, client);
    if (op == NULL)
        return NULL;
    op->of = sim->op_count;
    op->type = request_type(type);
    op->seen = (struct quo_history_op){.id = sim->op_count,
                                       .process = client,
                                       .key = key,
                                       .type = type,
                                       .model = sim_key_model(key),
                                       .min = INT64_MIN,
                                       .max = INT64_MAX,
                                       .ret = QUO_HISTORY_NEVER,
                                       .outcome = QUO_HISTORY_UNKNOWN};
    op->seen.session = sim_session_has(sim, op) ? client + 1 : 0;
    if (writes_value(type)) {
        op->seen.value = sim->op_count;
        op->value_len = SIM_VALUE_LEN_MIN + (uint32_t)sim_below(&sim->rng, 40);
        if (sim_chance(&sim->rng, sim->swarm.large_permille))
            op->value_len =
                QUO_INLINE_VALUE_MAX - 200 + (uint32_t)sim_below(&sim->rng, LARGE_EXTRA);
    }
    return op;
}

struct sim_op *sim_op_another(struct sim *sim, const struct sim_op *first, uint32_t client,
                              enum quo_request_type type)
{
    struct sim_op *op = take_slot(sim, client);
    if (op == NULL)
        return NULL;
    op->of = first->of;
    op->type = type;
    op->seen.key = first->seen.key;
    op->seen.type = first->seen.type;
    op->seen.model = first->seen.model;
    return op;
}

/* As the checkers know levels: numbers are strong or eventual. */
static enum quo_level level_seen(const struct quo_consistency *c)
{
    if (c->level <= QUO_LEVEL_QUORUM)
        return c->level;
    return c->level == QUO_LEVEL_ALL ? QUO_LEVEL_ALL : QUO_LEVEL_STRONG;
}

static struct quo_request request_of(struct sim *sim, const struct sim_op *op,
                                     const struct quo_map *map)
{
    const struct sim_op *first = sim_op_first(sim, op);
    const struct quo_history_op *seen = &first->seen;
    struct quo_request request = {
        .type = op->type,
        .ns = quo_map_namespace_by_id(map, sim_key_namespace(seen->key)),
        .key = sim_key(seen->key),
        .consistency = op->consistency,
        .has_opid = first->is_keyed || op->type == QUO_REQUEST_RESOLVE,
        .opid = first->opid,
        .digest = seen->id,
    };
    if (op->type == QUO_REQUEST_RESOLVE) {
        request.since = first->since;
        return request;
    }
    request.condition = first->condition;
    request.tag_count = first->condition == QUO_CONDITION_TAGS;
    request.tags[0] = first->expected;
    request.by = seen->by;
    request.min = seen->min;
    request.max = seen->max;
    request.has_min = seen->min != INT64_MIN;
    request.has_max = seen->max != INT64_MAX;
    if (op->type == QUO_REQUEST_PUT) {
        request.content_type = quo_slice_of(seen->id % 3 == 0 ? "" : "text/plain");
        request.value = sim_value((uint32_t)seen->value, first->value_len);
    }
    return request;
}

/* What goes through consensus is strong, whatever less was asked for. */
static void lift(struct quo_consistency *c, const struct quo_namespace *ns)
{
    c->strong = true;
    c->level = QUO_MAX(c->level, QUO_LEVEL_STRONG);
    c->r = QUO_MAX(c->r, ns->rs);
    c->w = QUO_MAX(c->w, ns->ws);
    c->dw = c->w;
}

void sim_op_ask(struct sim *sim, struct sim_op *op, const struct quo_ask *ask)
{
    const struct quo_namespace *ns =
        quo_map_namespace_by_id(sim->maps[0], sim_key_namespace(op->seen.key));
    bool is_write = op->type != QUO_REQUEST_GET && op->type != QUO_REQUEST_SETTLE;
    char why[256];
    enum quo_status status =
        quo_consistency_resolve(ns, ask, is_write, &op->consistency, why, sizeof why);
    if (status != QUO_OK) {
        /* Numbers that contradict each other, or the level: no request is made of them. */
        struct quo_ask plain = {
            .r = -1, .w = -1, .dw = -1, .has_level = true, .level = QUO_LEVEL_STRONG};
        plain.timeout_ms = ask->timeout_ms;
        status = quo_consistency_resolve(ns, &plain, is_write, &op->consistency, why, sizeof why);
        QUO_REQUIRE(status == QUO_OK);
    }
    struct quo_request request = request_of(sim, op, sim->maps[0]);
    op->is_consensus = quo_request_is_consensus(&request);
    if (op->is_consensus)
        lift(&op->consistency, ns);
    op->seen.level = level_seen(&op->consistency);
}

void sim_op_send(struct sim *sim, struct sim_op *op, uint32_t proxy)
{
    struct sim_process *p = sim_proxy(sim, proxy);
    struct sim_op *first = sim_op_first(sim, op);
    op->proxy = proxy;
    op->proxy_life = p->incarnation;
    op->call = sim_stamp(sim);
    if (op == first) {
        op->seen.call = op->call;
        op->begun = sim->now;
    }
    op->limit = SIM_NEVER;
    first->running++;
    sim_oracle_called(sim, op);
    sim->open_ops++;
    sim_at(sim, sim->now + sim_below(&sim->rng, 100), SIM_EVENT_SUBMIT, p, op->seen.id - 1, NULL);
}

static bool finished(const struct sim_op *op)
{
    return op->answered || op->lost;
}

static void end(struct sim *sim, struct sim_op *op)
{
    QUO_REQUIRE(sim->open_ops > 0);
    sim->open_ops--;
    sim_again_ended(sim, op);
}

void sim_op_lose(struct sim *sim, struct sim_op *op)
{
    if (finished(op) || op->call == 0)
        return;
    sim_note(sim, "operation %llu: the client will never know", (unsigned long long)op->seen.id);
    op->lost = true;
    end(sim, op);
}

/* By this name anybody can ask for it later. Whatever is said later of when it was submitted, the
 * earliest holds. */
static void learn_name(struct sim_op *first, const struct quo_response *response)
{
    if (!response->is_consensus)
        return;
    first->since = first->is_named ? QUO_MIN(first->since, response->since) : response->since;
    first->opid = response->opid;
    first->is_named = true;
}

static void answered(void *context, const struct quo_response *response)
{
    struct sim_op *op = context;
    struct sim *sim = sim_world;
    QUO_REQUIRE(!finished(op));
    op->answered = true;
    sim_session_learn(sim, op, response);
    op->verdict = response->verdict;
    op->answer_epoch = response->receipt.epoch;
    sim_mix(sim, op->seen.id << 8 | (uint64_t)response->verdict);
    sim_mix(sim, response->receipt.version.hlc ^ response->receipt.version.node);
    learn_name(sim_op_first(sim, op), response);
    if (response->verdict == QUO_VERDICT_UNSATISFIED)
        sim_note(sim, "operation %llu: nothing is as new as its session",
                 (unsigned long long)op->seen.id);
    else
        sim_oracle_answer(sim, op, response);
    end(sim, op);
}

void sim_op_submit(struct sim_process *p, struct sim_op *op)
{
    struct sim *sim = sim_world;
    struct quo_request request = request_of(sim, op, sim->maps[p->map]);
    sim_session_ask(sim, op, &request);
    uint64_t *last = &sim->limit[op->proxy][op->seen.key];
    op->limit = sim->now + op->consistency.timeout_ms * SIM_MS;
    *last = QUO_MAX(*last, op->limit);
    op->submitted = true;
    enum quo_status status = quo_service_submit(p->service, &request, answered, op, &op->ticket);
    if (status == QUO_OK)
        return;
    QUO_REQUIRE(!op->answered);
    op->answered = true;
    op->verdict = QUO_VERDICT_UNAVAILABLE;
    if (quo_history_is_write(&op->seen))
        op->told.outcome = QUO_HISTORY_NOT_APPLIED;
    end(sim, op);
}

void sim_op_abandon(struct sim_process *p, struct sim_op *op)
{
    if (finished(op) || !op->submitted)
        return;
    quo_service_abandon(p->service, op->ticket);
    sim_op_lose(sim_world, op);
}
