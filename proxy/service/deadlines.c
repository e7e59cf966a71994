#include "proxy/service/deadlines.h"

#include <stdlib.h>

enum quo_status quo_deadlines_init(struct quo_deadlines *deadlines, uint32_t capacity)
{
    *deadlines = (struct quo_deadlines){.capacity = capacity};
    deadlines->heap = calloc(capacity, sizeof(struct quo_op *));
    return deadlines->heap != NULL ? QUO_OK : QUO_NO_MEMORY;
}

void quo_deadlines_free(struct quo_deadlines *deadlines)
{
    free(deadlines->heap);
    *deadlines = (struct quo_deadlines){0};
}

static void place(struct quo_deadlines *deadlines, struct quo_op *op, uint32_t at)
{
    deadlines->heap[at] = op;
    op->heap_at = at;
}

static void sift_up(struct quo_deadlines *deadlines, struct quo_op *op, uint32_t at)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (deadlines->heap[parent]->deadline_us <= op->deadline_us)
            break;
        place(deadlines, deadlines->heap[parent], at);
        at = parent;
    }
    place(deadlines, op, at);
}

static void sift_down(struct quo_deadlines *deadlines, struct quo_op *op, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= deadlines->count)
            break;
        if (child + 1 < deadlines->count &&
            deadlines->heap[child + 1]->deadline_us < deadlines->heap[child]->deadline_us)
            child++;
        if (op->deadline_us <= deadlines->heap[child]->deadline_us)
            break;
        place(deadlines, deadlines->heap[child], at);
        at = child;
    }
    place(deadlines, op, at);
}

static void take_out(struct quo_deadlines *deadlines, struct quo_op *op)
{
    uint32_t hole = op->heap_at;
    struct quo_op *last = deadlines->heap[--deadlines->count];

    op->heap_at = UINT32_MAX;
    if (last == op)
        return;
    if (last->deadline_us < op->deadline_us)
        sift_up(deadlines, last, hole);
    else
        sift_down(deadlines, last, hole);
}

void quo_deadlines_set(struct quo_deadlines *deadlines, struct quo_op *op, uint64_t deadline_us)
{
    bool is_in = op->heap_at != UINT32_MAX;

    if (is_in && deadline_us == op->deadline_us)
        return;
    if (is_in)
        take_out(deadlines, op);
    op->deadline_us = deadline_us;
    if (deadline_us == UINT64_MAX)
        return;
    QUO_INVARIANT(deadlines->count < deadlines->capacity);
    sift_up(deadlines, op, deadlines->count++);
}
