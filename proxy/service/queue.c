#include "proxy/service/queue.h"

#include <stdlib.h>

enum quo_status quo_queue_init(struct quo_queue *queue, uint32_t capacity)
{
    uint32_t count = 1;

    while (count < capacity)
        count *= 2;
    *queue = (struct quo_queue){.mask = count - 1};
    queue->buckets = calloc(count, sizeof(struct quo_op *));
    return queue->buckets != NULL ? QUO_OK : QUO_NO_MEMORY;
}

void quo_queue_free(struct quo_queue *queue)
{
    free(queue->buckets);
    *queue = (struct quo_queue){0};
}

/* Where the link to the operation that has this key's turn is, or would be. */
static struct quo_op **link_of(struct quo_queue *queue, const struct quo_name *name)
{
    struct quo_op **link = &queue->buckets[name->hash & queue->mask];

    while (*link != NULL && !quo_name_equal(&(*link)->name, name))
        link = &(*link)->turn.in_bucket;
    return link;
}

static void wait_behind(struct quo_op *head, struct quo_op *op)
{
    op->turn.state = QUO_TURN_WAITS;
    op->turn.previous = head->turn.last;
    if (head->turn.last != NULL)
        head->turn.last->turn.next = op;
    else
        head->turn.first = op;
    head->turn.last = op;
    head->turn.waiting++;
}

enum quo_status quo_queue_join(struct quo_queue *queue, struct quo_op *op)
{
    struct quo_op **link = link_of(queue, &op->name);

    QUO_REQUIRE(op->turn.state == QUO_TURN_NONE);
    if (*link == NULL) {
        op->turn.state = QUO_TURN_HAS;
        *link = op;
        return QUO_OK;
    }
    if ((*link)->turn.waiting >= QUO_KEY_QUEUE_MAX)
        return QUO_BUSY;
    wait_behind(*link, op);
    return QUO_OK;
}

static void stop_waiting(struct quo_queue *queue, struct quo_op *op)
{
    struct quo_op *head = *link_of(queue, &op->name);

    QUO_INVARIANT(head != NULL && head->turn.waiting > 0);
    if (op->turn.previous != NULL)
        op->turn.previous->turn.next = op->turn.next;
    else
        head->turn.first = op->turn.next;
    if (op->turn.next != NULL)
        op->turn.next->turn.previous = op->turn.previous;
    else
        head->turn.last = op->turn.previous;
    head->turn.waiting--;
}

/* The first that waits takes over the turn and whoever else waits. */
static struct quo_op *succeed(const struct quo_op *op)
{
    struct quo_op *next = op->turn.first;

    if (next == NULL)
        return NULL;
    struct quo_op *rest = next->turn.next;
    next->turn = (struct quo_turn){
        .state = QUO_TURN_HAS,
        .in_bucket = op->turn.in_bucket,
        .first = rest,
        .last = rest != NULL ? op->turn.last : NULL,
        .waiting = op->turn.waiting - 1,
    };
    if (rest != NULL)
        rest->turn.previous = NULL;
    return next;
}

static void add_ready(struct quo_queue *queue, struct quo_op *op)
{
    if (queue->ready_last != NULL)
        queue->ready_last->turn.next = op;
    else
        queue->ready_first = op;
    queue->ready_last = op;
}

void quo_queue_leave(struct quo_queue *queue, struct quo_op *op)
{
    if (op->turn.state == QUO_TURN_WAITS) {
        stop_waiting(queue, op);
    } else if (op->turn.state == QUO_TURN_HAS) {
        struct quo_op **link = link_of(queue, &op->name);
        struct quo_op *next = succeed(op);
        QUO_INVARIANT(*link == op);
        *link = next != NULL ? next : op->turn.in_bucket;
        if (next != NULL)
            add_ready(queue, next);
    }
    op->turn = (struct quo_turn){.state = QUO_TURN_NONE};
}

struct quo_op *quo_queue_ready(struct quo_queue *queue)
{
    struct quo_op *op = queue->ready_first;

    if (op == NULL)
        return NULL;
    queue->ready_first = op->turn.next;
    if (queue->ready_first == NULL)
        queue->ready_last = NULL;
    op->turn.next = NULL;
    return op;
}
