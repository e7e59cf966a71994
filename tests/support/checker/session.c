#include "session.h"

static bool answered(const struct quo_history_op *op)
{
    bool told = op->outcome == QUO_HISTORY_OK || (op->outcome == QUO_HISTORY_FAILED && op->saw);
    return op->session != 0 && told && op->ret != QUO_HISTORY_NEVER;
}

/* A cas or add that failed has read. */
static bool wrote(const struct quo_history_op *op)
{
    return quo_history_is_write(op) && op->outcome == QUO_HISTORY_OK;
}

/* A get that saw nothing names no version: nothing may be what a delete of somebody left. */
static bool may_be_deleted(const struct quo_history_op *ops, size_t count,
                           const struct quo_history_op *get)
{
    for (size_t i = 0; i < count; i++) {
        if (quo_history_may_change(&ops[i]) && ops[i].value == 0 && ops[i].key == get->key &&
            ops[i].call < get->ret)
            return true;
    }
    return false;
}

/* `late` began after `early` had ended, in the same session; `early` named a version. */
static const char *judge(const struct quo_history_op *ops, size_t count,
                         const struct quo_history_op *early, const struct quo_history_op *late)
{
    bool early_writes = wrote(early);

    if (wrote(late)) {
        if (quo_version_is_none(late->version) ||
            quo_version_compare(late->version, early->version) > 0)
            return NULL;
        return early_writes ? "monotonic writes: a later write of the session is below an earlier"
                            : "writes follow reads: a write is not above what the session had read";
    }
    if (late->key != early->key || quo_version_compare(late->version, early->version) >= 0)
        return NULL;
    if (quo_version_is_none(late->version) && may_be_deleted(ops, count, late))
        return NULL;
    return early_writes ? "read your writes: a read of the session missed its own write"
                        : "monotonic reads: a read of the session went back";
}

struct quo_session_finding quo_session_check(const struct quo_history_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct quo_history_op *early = &ops[i];
        if (!answered(early) || quo_version_is_none(early->version))
            continue;
        for (size_t j = 0; j < count; j++) {
            const struct quo_history_op *late = &ops[j];
            if (!answered(late) || late->session != early->session || early->ret >= late->call)
                continue;
            const char *what = judge(ops, count, early, late);
            if (what != NULL)
                return (struct quo_session_finding){what, early, late};
        }
    }
    return (struct quo_session_finding){0};
}
