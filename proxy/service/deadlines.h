/* The deadlines of operations: an indexed binary heap, O(log n) to set, O(1) to ask for the next.
 */
#ifndef QUORATE_SERVICE_DEADLINES_H
#define QUORATE_SERVICE_DEADLINES_H

#include "proxy/service/ops.h"

struct quo_deadlines {
    uint32_t count, capacity;
    struct quo_op **heap;
};

/* For at most `capacity` operations. Returns QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_deadlines_init(struct quo_deadlines *deadlines, uint32_t capacity);
void quo_deadlines_free(struct quo_deadlines *deadlines);

/* Gives the operation this deadline instead of any other; UINT64_MAX: none. */
void quo_deadlines_set(struct quo_deadlines *deadlines, struct quo_op *op, uint64_t deadline_us);

/* The operation with the earliest deadline; NULL: there is none. */
static inline struct quo_op *quo_deadlines_first(const struct quo_deadlines *deadlines)
{
    return deadlines->count > 0 ? deadlines->heap[0] : NULL;
}

#endif
