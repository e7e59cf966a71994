#include "counter.h"

#include <stdlib.h>

bool quo_counter_applies(const struct quo_history_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool plain = ops[i].type == QUO_HISTORY_ADD || ops[i].type == QUO_HISTORY_GET;
        if (!plain && ops[i].outcome != QUO_HISTORY_NOT_APPLIED)
            return false;
    }
    return true;
}

static bool certain(const struct quo_history_op *op)
{
    return op->type == QUO_HISTORY_ADD && op->outcome == QUO_HISTORY_OK;
}

static bool possible(const struct quo_history_op *op)
{
    return op->type == QUO_HISTORY_ADD && quo_history_may_change(op);
}

/* What the operation says the counter was when it took effect, before itself. */
static bool tells(const struct quo_history_op *op, int64_t *ret)
{
    if (op->type == QUO_HISTORY_ADD && op->outcome == QUO_HISTORY_FAILED) {
        *ret = op->seen;
        return op->saw;
    }
    *ret = certain(op) ? op->value - op->by : op->value;
    return op->outcome == QUO_HISTORY_OK && !op->is_untold &&
           (certain(op) || op->level == QUO_LEVEL_STRONG || op->level == QUO_LEVEL_ALL);
}

/* Additions in the order of a time, with running sums. */
struct sums {
    size_t count;
    struct sum {
        uint64_t time;
        int64_t up, down; /* of the positive and of the negative ones, up to and with this */
    } * list;
};

static int by_time(const void *a, const void *b)
{
    uint64_t x = ((const struct sum *)a)->time, y = ((const struct sum *)b)->time;
    return (x > y) - (x < y);
}

static struct sums sums_of(const struct quo_history_op *ops, size_t count, bool only_certain)
{
    struct sums s = {.list = calloc(count + 1, sizeof *s.list)};
    QUO_REQUIRE(s.list != NULL);
    for (size_t i = 0; i < count; i++) {
        const struct quo_history_op *op = &ops[i];
        if (only_certain ? !certain(op) : !possible(op))
            continue;
        s.list[s.count++] = (struct sum){.time = only_certain ? op->ret : op->call,
                                         .up = QUO_MAX(op->by, 0),
                                         .down = QUO_MIN(op->by, 0)};
    }
    qsort(s.list, s.count, sizeof *s.list, by_time);
    for (size_t i = 1; i < s.count; i++) {
        s.list[i].up += s.list[i - 1].up;
        s.list[i].down += s.list[i - 1].down;
    }
    return s;
}

/* The sums of what stands before `time`; with `equal`, also of what stands at it. */
static struct sum sum_before(const struct sums *s, uint64_t time, bool equal)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint64_t at = s->list[middle].time;
        if (at < time || (equal && at == time))
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? (struct sum){0} : s->list[low - 1];
}

static struct quo_counter_finding judge_range(const struct quo_history_op *ops, size_t count)
{
    struct quo_counter_finding finding = {0};
    struct sums done = sums_of(ops, count, true), called = sums_of(ops, count, false);
    for (size_t i = 0; i < count && finding.what == NULL; i++) {
        const struct quo_history_op *op = &ops[i];
        int64_t told;
        if (!tells(op, &told))
            continue;
        struct sum sure = sum_before(&done, op->call, false);
        struct sum most = sum_before(&called, op->ret, true);
        /* An addition is not before itself. */
        int64_t own_up = certain(op) ? QUO_MAX(op->by, 0) : 0;
        int64_t own_down = certain(op) ? QUO_MIN(op->by, 0) : 0;
        if (told < sure.up + most.down - own_down)
            finding =
                (struct quo_counter_finding){"an addition that was answered is missing", op, NULL};
        else if (told > most.up - own_up + sure.down)
            finding = (struct quo_counter_finding){"more than all that was added", op, NULL};
    }
    free(done.list);
    free(called.list);
    return finding;
}

/* 1 or -1 when all additions that can have taken effect go that way; else 0. */
static int direction(const struct quo_history_op *ops, size_t count)
{
    int way = 0;
    for (size_t i = 0; i < count; i++) {
        if (!possible(&ops[i]))
            continue;
        int own = (ops[i].by > 0) - (ops[i].by < 0);
        if (own == 0 || own == -way)
            return 0;
        way = own;
    }
    return way;
}

static int by_value(const void *a, const void *b)
{
    const struct quo_history_op *x = *(const struct quo_history_op *const *)a;
    const struct quo_history_op *y = *(const struct quo_history_op *const *)b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return (x->call > y->call) - (x->call < y->call);
}

/* Each begins where what is below it ended, or above; holes are as large as what was not told. */
static struct quo_counter_finding judge_once(const struct quo_history_op **adds, size_t count,
                                             int way, int64_t untold)
{
    int64_t end = 0;
    const struct quo_history_op *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct quo_history_op *op = adds[way > 0 ? i : count - 1 - i];
        int64_t hole = way * (op->value - op->by - end);
        if (hole < 0)
            return (struct quo_counter_finding){"two additions count what is one", last ? last : op,
                                                last ? op : NULL};
        if (hole > untold)
            return (struct quo_counter_finding){"more was added than anybody asked for", op, NULL};
        untold -= hole;
        end = op->value;
        last = op;
    }
    return (struct quo_counter_finding){0};
}

/* Of operations in the order of what they say, none may have been called after one above it had
 * returned. */
static struct quo_counter_finding judge_order(const struct quo_history_op **adds, size_t count,
                                              int way)
{
    const struct quo_history_op *earliest = NULL; /* return, of those above */
    for (size_t i = 0; i < count; i++) {
        const struct quo_history_op *op = adds[way > 0 ? count - 1 - i : i];
        if (earliest != NULL && earliest->ret < op->call)
            return (struct quo_counter_finding){"a later addition came to less", earliest, op};
        if (earliest == NULL || op->ret < earliest->ret)
            earliest = op;
    }
    return (struct quo_counter_finding){0};
}

struct quo_counter_finding quo_counter_check(const struct quo_history_op *ops, size_t count)
{
    struct quo_counter_finding finding = judge_range(ops, count);
    int way = direction(ops, count);
    if (finding.what != NULL || way == 0)
        return finding;
    const struct quo_history_op **adds = calloc(count + 1, sizeof *adds);
    QUO_REQUIRE(adds != NULL);
    size_t n = 0;
    int64_t untold = 0; /* what the others may have added in between */
    for (size_t i = 0; i < count; i++) {
        if (certain(&ops[i]) && !ops[i].is_untold)
            adds[n++] = &ops[i];
        else if (possible(&ops[i]))
            untold += way * ops[i].by;
    }
    qsort(adds, n, sizeof *adds, by_value);
    finding = judge_once(adds, n, way, untold);
    if (finding.what == NULL)
        finding = judge_order(adds, n, way);
    free(adds);
    return finding;
}
