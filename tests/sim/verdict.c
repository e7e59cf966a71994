#include <inttypes.h>

#include "../support/checker/versions.h"
#include "sim.h"

/* Copies what clients saw of a key. */
static size_t history_of(const struct sim *sim, uint32_t key, struct quo_history_op *out)
{
    size_t n = 0;
    for (uint32_t i = 0; i < sim->op_count; i++)
        if (sim->ops[i].seen.key == key && sim_op_is_first(&sim->ops[i]) &&
            sim->ops[i].seen.call != 0)
            out[n++] = sim->ops[i].seen;
    return n;
}

/* Gets of any level: what they saw was written before they returned, and was not said to be lost.
 */
static void judge_origin(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->op_count; i++) {
        const struct quo_history_op *get = &sim->ops[i].seen;
        if (get->type != QUO_HISTORY_GET || get->value == 0 || get->model != QUO_HISTORY_REGISTER)
            continue;
        const struct quo_history_op *put = &sim->ops[get->value - 1].seen;
        /* What was fenced may have been accepted somewhere; strong gets are judged with the rest.
         */
        if (sim->ops[get->value - 1].is_fenced)
            continue;
        if (put->outcome == QUO_HISTORY_NOT_APPLIED || put->call > get->ret)
            sim_violate(
                sim, SIM_CONSISTENCY, get->key,
                "operation %" PRIu64 " saw the value of operation %" PRIu64 ", which was %s",
                get->id, put->id, put->call > get->ret ? "not begun" : "said not to be applied");
    }
}

void sim_verdict(struct sim *sim)
{
    struct quo_history_op ops[SIM_OPS_MAX];
    judge_origin(sim);
    sim_session_verdict(sim);
    for (uint32_t key = 0; key < SIM_KEYS_MAX && !sim_failed(sim); key++) {
        size_t n = history_of(sim, key, ops);
        struct quo_versions_finding finding = quo_versions_check(ops, n);
        if (finding.what != NULL)
            sim_violate(sim, SIM_CONSISTENCY, key, "operations %" PRIu64 " and %" PRIu64 ": %s",
                        finding.first->id, finding.second->id, finding.what);
        enum quo_linear_verdict verdict = quo_linear_check(sim->linear, ops, n);
        if (verdict == QUO_LINEAR_VIOLATION)
            sim_violate(sim, SIM_CONSISTENCY, key, "key \"%s\" is not linearizable",
                        sim_key_names[key]);
        sim->undecided += verdict == QUO_LINEAR_UNDECIDED;
    }
}

static void print_history(FILE *out, struct sim *sim, uint32_t key)
{
    struct quo_history_op ops[SIM_OPS_MAX];
    size_t n = history_of(sim, key, ops);
    size_t all = n;
    if (quo_linear_check(sim->linear, ops, n) == QUO_LINEAR_VIOLATION) {
        n = quo_linear_minimise(sim->linear, ops, n);
        fprintf(out, "not linearizable; these %zu of the %zu operations on \"%s\" suffice:\n", n,
                all, sim_key_names[key]);
    } else {
        fprintf(out, "the %zu operations on \"%s\":\n", n, sim_key_names[key]);
    }
    quo_history_print(out, NULL, ops, n);
}

void sim_report(FILE *out, struct sim *sim, const char *program, const char *arguments)
{
    const struct sim_violation *v = &sim->violation;
    const char *class = v->class == SIM_CONSISTENCY ? "consistency"
                        : v->class == SIM_LIVENESS  ? "liveness"
                                                    : "crash";
    fprintf(out, "\nseed %" PRIu64 ": %s violation: %s\n", sim->seed, class, v->text);
    struct sim_swarm swarm = sim_swarm_draw(sim->seed, sim->swarm.kind);
    sim_swarm_print(out, &swarm);
    if (v->key < SIM_KEYS_MAX)
        print_history(out, sim, v->key);
    fprintf(out, "to see it again: %s --seed %" PRIu64 "%s --trace\n\n", program, sim->seed,
            arguments);
}
