#include "linear.h"

/* The judgement in its plainest form, sharing nothing with linear.c: build every sequence, accept
 * one that obeys the object and the clock. */

enum role { IGNORED, MUST_READ, MUST_WRITE, MAY_WRITE };

static enum role role_of(const struct quo_history_op *op)
{
    if (op->outcome == QUO_HISTORY_FAILED)
        return MUST_READ;
    if (op->type == QUO_HISTORY_GET) {
        bool counts = op->level == QUO_LEVEL_STRONG || op->level == QUO_LEVEL_ALL;
        return counts && op->outcome == QUO_HISTORY_OK ? MUST_READ : IGNORED;
    }
    if (op->outcome == QUO_HISTORY_NOT_APPLIED)
        return IGNORED;
    if (op->outcome == QUO_HISTORY_UNKNOWN || op->level < QUO_LEVEL_QUORUM)
        return MAY_WRITE;
    return op->ret == QUO_HISTORY_NEVER ? MAY_WRITE : MUST_WRITE;
}

struct attempt {
    const struct quo_history_op *ops;
    size_t count;
    size_t sequence[QUO_BRUTE_MAX];
    size_t length;
    bool used[QUO_BRUTE_MAX];
};

/* Nobody may stand before an operation that had returned before it was called. */
static bool obeys_clock(const struct attempt *a)
{
    for (size_t i = 0; i < a->length; i++) {
        for (size_t j = i + 1; j < a->length; j++) {
            const struct quo_history_op *late = &a->ops[a->sequence[j]];
            bool bounded = role_of(late) == MUST_READ || role_of(late) == MUST_WRITE;
            if (bounded && late->ret < a->ops[a->sequence[i]].call)
                return false;
        }
    }
    return true;
}

/* What the operation leaves of what is held, in *ret; false if it cannot stand there. An open cas
 * or add that finds its condition false does nothing: it might as well not be in the sequence. */
static bool apply(const struct quo_history_op *op, int64_t held, int64_t *ret)
{
    bool failed = op->outcome == QUO_HISTORY_FAILED;
    bool condition = true;
    int64_t left = op->value;
    switch (op->type) {
    case QUO_HISTORY_GET:
        *ret = held;
        return op->value == held;
    case QUO_HISTORY_PUT:
        break;
    case QUO_HISTORY_DELETE:
        left = 0;
        break;
    case QUO_HISTORY_CAS:
        condition = held == op->expected;
        break;
    case QUO_HISTORY_ADD:
        left = held + op->by;
        condition = left >= op->min && left <= op->max;
        if (op->outcome == QUO_HISTORY_OK && !op->is_untold && left != op->value)
            return false;
        break;
    }
    *ret = failed ? held : left;
    return condition != failed && (!failed || !op->saw || op->seen == held);
}

static bool obeys_model(const struct attempt *a)
{
    int64_t held = 0;
    for (size_t i = 0; i < a->length; i++)
        if (!apply(&a->ops[a->sequence[i]], held, &held))
            return false;
    return true;
}

static bool complete(const struct attempt *a)
{
    for (size_t i = 0; i < a->count; i++) {
        enum role role = role_of(&a->ops[i]);
        if (!a->used[i] && (role == MUST_READ || role == MUST_WRITE))
            return false;
    }
    return true;
}

static bool extend(struct attempt *a)
{
    if (complete(a) && obeys_clock(a) && obeys_model(a))
        return true;
    for (size_t i = 0; i < a->count; i++) {
        if (a->used[i] || role_of(&a->ops[i]) == IGNORED)
            continue;
        a->used[i] = true;
        a->sequence[a->length++] = i;
        bool found = extend(a);
        a->length--;
        a->used[i] = false;
        if (found)
            return true;
    }
    return false;
}

bool quo_brute_linearizable(const struct quo_history_op *ops, size_t count)
{
    QUO_REQUIRE(count <= QUO_BRUTE_MAX);
    struct attempt a = {.ops = ops, .count = count};
    return extend(&a);
}
