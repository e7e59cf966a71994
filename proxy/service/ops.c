#include "proxy/service/ops.h"

#include <stdlib.h>

#define CHUNK 64u
#define ROUND_BITS 12
#define SLOT_BITS 20

_Static_assert(QUO_OPS_LIMIT == 1u << SLOT_BITS, "every slot fits in an id");
/* A restart brings at most two rounds. */
_Static_assert(QUO_ATTEMPTS_MAX * 2 + 4 < 1u << ROUND_BITS, "every round fits in an id");
_Static_assert(QUO_NODES_MAX <= UINT16_MAX, "peers fit in quo_op.peer");

enum quo_status quo_ops_init(struct quo_ops *ops, uint32_t max)
{
    QUO_REQUIRE(max > 0 && max <= QUO_OPS_LIMIT);
    *ops = (struct quo_ops){.max = max};
    ops->chunks = calloc((max + CHUNK - 1) / CHUNK, sizeof(struct quo_op *));
    return ops->chunks != NULL ? QUO_OK : QUO_NO_MEMORY;
}

void quo_ops_free(struct quo_ops *ops)
{
    for (uint32_t slot = 0; slot < ops->made; slot++) {
        for (int part = 0; part < QUO_OP_PARTS; part++)
            free(quo_ops_at(ops, slot)->heap[part]);
    }
    for (uint32_t chunk = 0; chunk * CHUNK < ops->made; chunk++)
        free(ops->chunks[chunk]);
    while (ops->buffers != NULL) {
        struct quo_op_buffer *next = ops->buffers->next;
        free(ops->buffers);
        ops->buffers = next;
    }
    free(ops->chunks);
    *ops = (struct quo_ops){0};
}

static bool grow(struct quo_ops *ops)
{
    struct quo_op *chunk = calloc(CHUNK, sizeof *chunk);

    if (chunk == NULL)
        return false;
    ops->chunks[ops->made / CHUNK] = chunk;
    /* Backwards, so that low slots are used first. */
    for (uint32_t i = CHUNK; i-- > 0;) {
        chunk[i].slot = ops->made + i;
        chunk[i].next = ops->free;
        ops->free = &chunk[i];
    }
    ops->made += CHUNK;
    return true;
}

struct quo_op *quo_ops_acquire(struct quo_ops *ops)
{
    QUO_REQUIRE(ops->in_use < ops->max);
    if (ops->free == NULL && !grow(ops))
        return NULL;
    struct quo_op *op = ops->free;
    ops->free = op->next;
    ops->in_use++;
    uint32_t slot = op->slot, generation = op->generation + 1;
    /* The coordinator's init and the parts' lengths make the rest's content irrelevant. */
    memset(op, 0, offsetof(struct quo_op, change));
    op->slot = slot;
    op->generation = generation > INT32_MAX ? 1 : generation; /* the top bit is others' */
    op->in_use = true;
    op->heap_at = UINT32_MAX;
    return op;
}

static void unlink_lingering(struct quo_ops *ops, struct quo_op *op)
{
    if (op->previous != NULL)
        op->previous->next = op->next;
    else
        ops->linger_first = op->next;
    if (op->next != NULL)
        op->next->previous = op->previous;
    else
        ops->linger_last = op->previous;
    op->lingers = false;
}

void quo_ops_release(struct quo_ops *ops, struct quo_op *op)
{
    QUO_REQUIRE(op->in_use && op->heap_at == UINT32_MAX && op->turn.state == QUO_TURN_NONE);
    if (op->lingers)
        unlink_lingering(ops, op);
    for (int part = 0; part < QUO_OP_PARTS; part++)
        quo_op_drop(ops, op, (enum quo_op_part)part);
    op->in_use = false;
    op->next = ops->free;
    ops->free = op;
    ops->in_use--;
}

struct quo_op *quo_ops_at(const struct quo_ops *ops, uint32_t slot)
{
    QUO_REQUIRE(slot < ops->made);
    return &ops->chunks[slot / CHUNK][slot % CHUNK];
}

uint64_t quo_op_id(const struct quo_op *op, uint16_t round)
{
    QUO_REQUIRE(round < 1u << ROUND_BITS);
    return (uint64_t)op->generation << (SLOT_BITS + ROUND_BITS) | (uint64_t)op->slot << ROUND_BITS |
           round;
}

struct quo_op *quo_ops_find(const struct quo_ops *ops, uint64_t id, uint16_t *ret_round)
{
    uint32_t slot = (uint32_t)(id >> ROUND_BITS) & ((1u << SLOT_BITS) - 1);

    if (slot >= ops->made)
        return NULL;
    struct quo_op *op = quo_ops_at(ops, slot);
    if (!op->in_use || op->generation != id >> (SLOT_BITS + ROUND_BITS))
        return NULL;
    *ret_round = (uint16_t)(id & ((1u << ROUND_BITS) - 1));
    return op;
}

static void *take_room(struct quo_ops *ops, size_t size)
{
    struct quo_op_buffer *buffer = ops->buffers;

    if (size > QUO_OP_BUFFER)
        return malloc(size);
    if (buffer == NULL)
        return malloc(QUO_OP_BUFFER);
    ops->buffers = buffer->next;
    ops->buffer_count--;
    return buffer;
}

static void give_back(struct quo_ops *ops, void *room, size_t size)
{
    struct quo_op_buffer *buffer = room;

    if (size > QUO_OP_BUFFER || ops->buffer_count == QUO_OP_BUFFERS_MAX) {
        free(room);
        return;
    }
    buffer->next = ops->buffers;
    ops->buffers = buffer;
    ops->buffer_count++;
}

void quo_op_give_back(struct quo_ops *ops, struct quo_op *op, enum quo_op_part part)
{
    give_back(ops, op->heap[part], op->heap_size[part]);
    op->heap[part] = NULL;
    ops->bytes -= op->heap_size[part];
    op->heap_size[part] = 0;
}

/* Parts stand in the slot in their order: room for one is between its neighbours. */
static uint8_t *inline_room(struct quo_op *op, enum quo_op_part part, size_t size)
{
    size_t from = 0, to = QUO_OP_INLINE;

    for (int i = 0; i < QUO_OP_PARTS; i++) {
        if (op->heap[i] != NULL || op->part[i].len == 0)
            continue;
        size_t begin = (size_t)(op->part[i].data - op->inline_bytes);
        if (i < (int)part)
            from = begin + op->part[i].len;
        else if (to == QUO_OP_INLINE)
            to = begin;
    }
    return size <= to - from ? op->inline_bytes + from : NULL;
}

enum quo_status quo_op_make(struct quo_ops *ops, struct quo_op *op, enum quo_op_part part,
                            size_t size, uint8_t **ret)
{
    quo_op_drop(ops, op, part);
    uint8_t *room = inline_room(op, part, size);
    if (room == NULL) {
        if (size > QUO_OPS_BYTES_MAX - ops->bytes)
            return QUO_BUSY;
        room = take_room(ops, size);
        if (room == NULL)
            return QUO_NO_MEMORY;
        op->heap[part] = room;
        op->heap_size[part] = size;
        ops->bytes += size;
    }
    op->part[part] = quo_slice(room, size);
    *ret = room;
    return QUO_OK;
}

void quo_ops_linger(struct quo_ops *ops, struct quo_op *op)
{
    if (op->lingers)
        return;
    op->lingers = true;
    op->next = NULL;
    op->previous = ops->linger_last;
    if (ops->linger_last != NULL)
        ops->linger_last->next = op;
    else
        ops->linger_first = op;
    ops->linger_last = op;
}
