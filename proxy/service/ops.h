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
#include "proxy/service/name.h"
#include "proxy/service/service.h"

/* Key, request and records of most operations fit in the slot. */
#define QUO_OP_INLINE 1024u
/* What does not fit there mostly fits in a buffer that is used again and again. */
#define QUO_OP_BUFFER 4096u
/* Buffers kept for that. */
#define QUO_OP_BUFFERS_MAX 1024u

enum quo_op_part {
    QUO_OP_KEY,
    QUO_OP_REQUEST, /* content type, then value, of a consensus write */
    QUO_OP_BASE,    /* the record kept */
    QUO_OP_RECORD,  /* the record made */
    QUO_OP_PARTS,
};

/* Where a consensus write starts. */
enum quo_route {
    QUO_ROUTE_HERE = 0,
    QUO_ROUTE_OWNER,  /* the loop of this proxy that its key belongs to */
    QUO_ROUTE_AFFINE, /* the key's own proxy */
};

/* Of a consensus write, among those of its key (queue.h). */
enum quo_turn_state { QUO_TURN_NONE = 0, QUO_TURN_WAITS, QUO_TURN_HAS };

struct quo_turn {
    enum quo_turn_state state;
    uint32_t waiting;               /* HAS: how many */
    struct quo_op *first, *last;    /* HAS: who waits */
    struct quo_op *in_bucket;       /* HAS */
    struct quo_op *next, *previous; /* WAITS */
};

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
    enum quo_naming naming;
    struct quo_version version; /* with QUO_NAMED_SO */
    bool is_consensus;
    bool is_started;  /* its coordinator is; until then it waits for its turn */
    bool is_answered; /* likewise; also of one that never started */
    bool no_memory;   /* something could not be kept or made */
    bool is_repair;   /* answered, and goes on as one of those that are counted */
    uint32_t ns;
    uint16_t partition;
    uint64_t started_us;
    struct quo_consistency want;
    struct quo_freshness fresh;
    uint64_t above;
    uint16_t hinted_round;            /* of `hinted` */
    uint16_t hinted[QUO_MEMBERS_MAX]; /* the peer that keeps a hint for the member, plus one */
    uint16_t asked_round;             /* of `asked` */
    quo_members asked_members;        /* those of `asked` whose QUERY left in it */
    struct {
        uint64_t us; /* when its QUERY left; 0: none did, or the reply is there */
        uint16_t peer;
    } asked[QUO_MEMBERS_MAX];

    /* Of a consensus write. */
    struct quo_name name; /* its key is QUO_OP_KEY */
    struct quo_turn turn;
    uint64_t clock_node;  /* whose clock `change.since` is of */
    uint16_t phase_round; /* of the last PREP or ACC */
    uint64_t phase_us;    /* when the first of that round left */
    bool is_warm, has_prepared;
    bool is_shared; /* as `shared` of struct quo_change_context */
    struct {
        enum quo_route route;
        bool under_way;
        bool came_back; /* it goes on here when it is its turn */
        bool sent;      /* then: the other one may have tried */
        uint16_t round;
        uint32_t seat;
    } forward;
    struct { /* of one that another proposer began */
        bool is_set;
        uint8_t hops;
        bool sent;
        struct quo_version first;
        uint64_t peer, id; /* whom to answer, and how it names the operation */
    } origin;

    struct quo_slice part[QUO_OP_PARTS]; /* in `inline_bytes` or in `heap` */
    void *heap[QUO_OP_PARTS];
    size_t heap_size[QUO_OP_PARTS];

    /* From here on a new use of the slot finds what the last one left. */
    struct quo_change change; /* of a consensus write; slices in QUO_OP_REQUEST */
    struct quo_change_result result;
    struct quo_coordinator coordinator;
    uint8_t inline_bytes[QUO_OP_INLINE];
};

struct quo_op_buffer {
    struct quo_op_buffer *next;
};

struct quo_ops {
    uint32_t max;
    uint32_t made; /* slots of the chunks so far */
    uint32_t in_use;
    uint64_t bytes; /* on the heap for parts */
    struct quo_op **chunks;
    struct quo_op *free;
    struct quo_op *linger_first, *linger_last; /* answered, awaiting late replies; oldest first */
    struct quo_op_buffer *buffers;             /* not in use, QUO_OP_BUFFER bytes each */
    uint32_t buffer_count;
};

/* Reads, those of moves among them, change nothing. */
static inline bool quo_op_is_read(const struct quo_op *op)
{
    return op->type == QUO_REQUEST_GET || op->type == QUO_REQUEST_SETTLE;
}

/* What a version must be above for the session's sake; none: nothing. */
static inline struct quo_version quo_op_above(const struct quo_op *op)
{
    return op->above != 0 ? (struct quo_version){op->above, UINT64_MAX} : QUO_VERSION_NONE;
}

/* Slots that an id can name. */
#define QUO_OPS_LIMIT (1u << 20)

/* Requires 0 < max <= QUO_OPS_LIMIT. Returns QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_ops_init(struct quo_ops *ops, uint32_t max);
void quo_ops_free(struct quo_ops *ops);

/* Requires in_use < max. Returns a slot with everything before `change` but its pool fields zero,
 * or NULL when out of memory. */
struct quo_op *quo_ops_acquire(struct quo_ops *ops);
/* Requires that it is in no turn and among no deadlines. */
void quo_ops_release(struct quo_ops *ops, struct quo_op *op);

/* Every slot that was ever made, by number. */
struct quo_op *quo_ops_at(const struct quo_ops *ops, uint32_t slot);

/* The id of a request frame: generation, slot, round. Its round 0 is the ticket. Ids with the top
 * bit are of scans (scans.h). */
uint64_t quo_op_id(const struct quo_op *op, uint16_t round);
/* The operation that an id names, with its round; NULL when that operation is over. */
struct quo_op *quo_ops_find(const struct quo_ops *ops, uint64_t id, uint16_t *ret_round);

/* Makes room for a part of the operation, in the slot if it fits between the parts that are there,
 * instead of what was there. QUO_OK with where to write `size` bytes; QUO_BUSY: QUO_OPS_BYTES_MAX;
 * QUO_NO_MEMORY. In both cases the part is empty then. */
enum quo_status quo_op_make(struct quo_ops *ops, struct quo_op *op, enum quo_op_part part,
                            size_t size, uint8_t **ret);
/* Gives back what a part has on the heap. */
void quo_op_give_back(struct quo_ops *ops, struct quo_op *op, enum quo_op_part part);
static inline void quo_op_drop(struct quo_ops *ops, struct quo_op *op, enum quo_op_part part)
{
    op->part[part] = quo_slice(NULL, 0);
    if (op->heap[part] != NULL)
        quo_op_give_back(ops, op, part);
}

/* Marks an operation that is answered and only takes in late replies. */
void quo_ops_linger(struct quo_ops *ops, struct quo_op *op);

#endif
