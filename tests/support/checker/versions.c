#include "versions.h"

static bool answered(const struct quo_history_op *op)
{
    bool told = op->outcome == QUO_HISTORY_OK || (op->outcome == QUO_HISTORY_FAILED && op->saw);
    return told && op->ret != QUO_HISTORY_NEVER;
}

static bool versioned(const struct quo_history_op *op)
{
    return answered(op) && !quo_version_is_none(op->version);
}

/* It made the version that it names; a condition that failed names the version it met. */
static bool wrote(const struct quo_history_op *op)
{
    return quo_history_is_write(op) && op->outcome == QUO_HISTORY_OK;
}

/* The value that the version names. */
static int64_t named(const struct quo_history_op *op)
{
    return op->outcome == QUO_HISTORY_FAILED ? op->seen : op->value;
}

/* Leaves its version on a write quorum. */
static bool establishes(const struct quo_history_op *op)
{
    if (!versioned(op) || op->level < QUO_LEVEL_QUORUM)
        return false;
    return quo_history_is_write(op) || op->level != QUO_LEVEL_QUORUM;
}

/* Looks at a read quorum. */
static bool observes(const struct quo_history_op *op)
{
    return answered(op) && op->level >= QUO_LEVEL_QUORUM;
}

static const char *judge_same(const struct quo_history_op *a, const struct quo_history_op *b)
{
    if (!versioned(a) || !versioned(b) || !quo_version_equal(a->version, b->version))
        return NULL;
    if (named(a) != named(b) && !a->is_untold && !b->is_untold)
        return "one version names two values";
    if (wrote(a) && wrote(b))
        return "two writes share a version";
    return NULL;
}

static const char *judge_order(const struct quo_history_op *early,
                               const struct quo_history_op *late)
{
    if (early->ret >= late->call || !establishes(early) || !observes(late))
        return NULL;
    if (quo_version_is_none(late->version))
        return NULL;
    int order = quo_version_compare(late->version, early->version);
    if (wrote(late))
        return order <= 0 ? "a later write has no higher version" : NULL;
    return order < 0 ? "a later read saw an older version" : NULL;
}

/* A get that saw nothing, without a version to judge it by. */
static struct quo_versions_finding judge_absence(const struct quo_history_op *ops, size_t count,
                                                 const struct quo_history_op *get)
{
    const struct quo_history_op *written = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct quo_history_op *op = &ops[i];
        bool puts = wrote(op) && op->value != 0;
        if (quo_history_may_change(op) && op->value == 0 && op->call < get->ret)
            return (struct quo_versions_finding){0};
        if (puts && establishes(op) && op->ret < get->call)
            written = op;
    }
    if (written == NULL)
        return (struct quo_versions_finding){0};
    return (struct quo_versions_finding){"a get missed a completed write", written, get};
}

struct quo_versions_finding quo_versions_check(const struct quo_history_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct quo_history_op *a = &ops[i];
        if (a->type == QUO_HISTORY_GET && a->model == QUO_HISTORY_REGISTER && observes(a) &&
            a->value == 0 && quo_version_is_none(a->version)) {
            struct quo_versions_finding finding = judge_absence(ops, count, a);
            if (finding.what != NULL)
                return finding;
        }
        if (!versioned(a))
            continue;
        for (size_t j = 0; j < count; j++) {
            const char *what = j > i ? judge_same(a, &ops[j]) : NULL;
            if (what == NULL && j != i)
                what = judge_order(a, &ops[j]);
            if (what != NULL)
                return (struct quo_versions_finding){what, a, &ops[j]};
        }
    }
    return (struct quo_versions_finding){0};
}
