#include "session.h"

static bool answered(const struct quo_history_op *op)
{
    return op->session != 0 && op->outcome == QUO_HISTORY_OK && op->ret != QUO_HISTORY_NEVER;
}

/* A get that saw nothing names no version: nothing may be what a delete of somebody left. */
static bool may_be_deleted(const struct quo_history_op *ops, size_t count,
                           const struct quo_history_op *get)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].type == QUO_HISTORY_DELETE && ops[i].key == get->key &&
            ops[i].outcome != QUO_HISTORY_NOT_APPLIED && ops[i].call < get->ret)
            return true;
    }
    return false;
}

/* `late` began after `early` had ended, in the same session; `early` named a version. */
static const char *judge(const struct quo_history_op *ops, size_t count,
                         const struct quo_history_op *early, const struct quo_history_op *late)
{
    bool early_writes = quo_history_is_write(early);

    if (quo_history_is_write(late)) {
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
