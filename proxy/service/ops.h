/* The slots of operations in flight: a pool that grows by chunks and never moves, so that a pointer
 * to an operation stays good while it is in use, and no small operation asks the allocator for
 * anything.
 *
 * An operation is named from outside by slot and generation: a name outlives the operation
 * harmlessly.
 */
#ifndef QUORATE_SERVICE_OPS_H
#define QUORATE_SERVICE_OPS_H

#include "proxy/coordinator/coordinator.h"
#include "proxy/service/service.h"

/* Key and record of most operations fit in the slot. */
#define QUO_OP_INLINE 512u

enum quo_op_part { QUO_OP_KEY, QUO_OP_RECORD, QUO_OP_PARTS };

struct quo_op {
    uint32_t slot;
    uint32_t generation; /* from 1; of the slot's current use */
    bool in_use;
    uint32_t heap_at;     /* place among the deadlines; UINT32_MAX: in none */
    uint64_t deadline_us; /* by which it stands there */
    struct quo_op *next;  /* in the free list, or among the lingering */
    struct quo_op *previous;
    bool lingers;

    quo_answer_fn *answer; /* NULL once answered or abandoned */
    void *context;
    enum quo_request_type type;
    uint32_t ns;
    uint16_t partition;
    uint64_t started_us;
    uint16_t asked_round; /* of `asked` */
    struct {
        uint64_t us; /* when its QUERY left; 0: none did, or the reply is there */
        uint16_t peer;
    } asked[QUO_MEMBERS_MAX];

    struct quo_slice part[QUO_OP_PARTS]; /* in `inline_bytes` or in `heap` */
    void *heap[QUO_OP_PARTS];
    size_t heap_size[QUO_OP_PARTS];

    struct quo_coordinator coordinator;
    uint8_t inline_bytes[QUO_OP_INLINE];
};

struct quo_ops {
    uint32_t max;
    uint32_t made; /* slots of the chunks so far */
    uint32_t in_use;
    uint64_t bytes; /* on the heap for parts */
    struct quo_op **chunks;
    struct quo_op *free;
    struct quo_op *linger_first, *linger_last; /* answered, awaiting late replies; oldest first */
};

/* Slots that an id can name. */
#define QUO_OPS_LIMIT (1u << 20)

/* Requires 0 < max <= QUO_OPS_LIMIT. Returns QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_ops_init(struct quo_ops *ops, uint32_t max);
void quo_ops_free(struct quo_ops *ops);

/* Requires in_use < max. Returns a slot with everything but its pool fields zero, or NULL when out
 * of memory. */
struct quo_op *quo_ops_acquire(struct quo_ops *ops);
void quo_ops_release(struct quo_ops *ops, struct quo_op *op);

/* Every slot that was ever made, by number. */
struct quo_op *quo_ops_at(const struct quo_ops *ops, uint32_t slot);

/* The id of a request frame: generation, slot, round. Its round 0 is the ticket. */
uint64_t quo_op_id(const struct quo_op *op, uint16_t round);
/* The operation that an id names, with its round; NULL when that operation is over. */
struct quo_op *quo_ops_find(const struct quo_ops *ops, uint64_t id, uint16_t *ret_round);

/* Makes room for a part of the operation, in the slot if it fits, instead of what was there. The
 * key is made first and once. QUO_OK with where to write `size` bytes; QUO_BUSY: QUO_OPS_BYTES_MAX;
 * QUO_NO_MEMORY. In both cases the part is empty then. */
enum quo_status quo_op_make(struct quo_ops *ops, struct quo_op *op, enum quo_op_part part,
                            size_t size, uint8_t **ret);
void quo_op_drop(struct quo_ops *ops, struct quo_op *op, enum quo_op_part part);

/* Marks an operation that is answered and only takes in late replies. */
void quo_ops_linger(struct quo_ops *ops, struct quo_op *op);

#endif
