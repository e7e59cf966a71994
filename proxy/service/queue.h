/* Whose turn it is, key by key: two consensus writes of one key at once would only preempt each
 * other, so one of them runs and the others wait, first come, first served.
 *
 * The table holds the operations that have their turn, by key; those that wait hang on them. All
 * links are in the operations: nothing is allocated.
 */
#ifndef QUORATE_SERVICE_QUEUE_H
#define QUORATE_SERVICE_QUEUE_H

#include "proxy/service/ops.h"

struct quo_queue {
    uint32_t mask; /* of the hash, for a bucket */
    struct quo_op **buckets;
    struct quo_op *ready_first, *ready_last; /* have their turn and were not started */
};

/* For at most `capacity` operations. QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_queue_init(struct quo_queue *queue, uint32_t capacity);
void quo_queue_free(struct quo_queue *queue);

/* Requires an operation with its name that is in no turn. QUO_OK: it has its turn (QUO_TURN_HAS),
 * or waits for it (QUO_TURN_WAITS); QUO_BUSY: QUO_KEY_QUEUE_MAX wait already. */
enum quo_status quo_queue_join(struct quo_queue *queue, struct quo_op *op);

/* The operation gives up its turn, or no longer waits; nothing happens if it did neither. Who is
 * next has the turn from now on, and is among the ready ones. Requires that its name still stands.
 */
void quo_queue_leave(struct quo_queue *queue, struct quo_op *op);

/* Takes out the operation whose turn came first; NULL: there is none. */
struct quo_op *quo_queue_ready(struct quo_queue *queue);

#endif
