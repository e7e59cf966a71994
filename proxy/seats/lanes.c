/* A lane leads from one loop to one other. Its frames stand in chunks that the sender fills and the
 * receiver reads in place; a stack of chunks is all that both touch, and whoever finds it empty
 * posts the lane's task. No lock, and no frame is copied or moved.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "proxy/seats/seats.h"

/* Room for the frames of an ordinary turn. A frame that is larger has a chunk to itself. */
#define CHUNK_CAPACITY (8u * 1024)
/* What two threads write at the same time stands this far apart. */
#define CACHE_LINE 64

struct chunk {
    struct chunk *next; /* the one that was filled before it */
    size_t frames;
    size_t size, capacity; /* of `data` */
    _Alignas(8) uint8_t data[];
};

/* A frame in a chunk: this, its body, and what is missing to a multiple of 8. */
struct header {
    uint64_t id;
    uint32_t body_len;
    uint8_t type;
};

/* Frames and their bytes, counted without end. */
struct tally {
    _Atomic uint64_t frames, bytes; /* only one thread adds, any reads */
};

struct lane {
    /* The sender's. */
    _Alignas(CACHE_LINE) struct chunk *newest; /* of those not handed over; NULL: none */
    struct chunk *oldest;                      /* undefined when there is none */
    struct header *reserved;                   /* not sealed; NULL: none */
    struct tally sent;                         /* only the sender reads it */

    /* Both ends'. */
    _Alignas(CACHE_LINE) _Atomic(struct chunk *) handed; /* newest first */
    _Atomic(struct chunk *) spare;                       /* an empty chunk of the usual capacity */
    struct tally taken;                                  /* the receiver adds */
    struct quo_task task; /* posted by who finds `handed` empty, so never twice */
    struct end *receiver;
    uint32_t sender;
};

struct end {
    struct quo_transport transport;
    struct quo_lanes *lanes;
    struct quo_mailbox *mailbox;
    uint32_t loop;
    bool has_met; /* on_up was called for the others */
};

struct quo_lanes {
    uint32_t loops;
    struct end ends[QUO_LOOPS_MAX];
    struct lane lanes[]; /* from a loop, to each loop */
};

static struct lane *lane_between(struct quo_lanes *lanes, uint32_t from, uint32_t to)
{
    return &lanes->lanes[from * lanes->loops + to];
}

static uint64_t read_count(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static void add(struct tally *tally, uint64_t frames, uint64_t bytes)
{
    atomic_store_explicit(&tally->frames, read_count(&tally->frames) + frames,
                          memory_order_relaxed);
    atomic_store_explicit(&tally->bytes, read_count(&tally->bytes) + bytes, memory_order_relaxed);
}

/* Sending */

static size_t room_for(size_t body_len)
{
    return sizeof(struct header) + (body_len + 7) / 8 * 8;
}

static bool is_full(const struct lane *lane, size_t more)
{
    const uint64_t frames = read_count(&lane->sent.frames) - read_count(&lane->taken.frames);
    const uint64_t bytes = read_count(&lane->sent.bytes) - read_count(&lane->taken.bytes);

    return frames >= QUO_CONN_IN_FLIGHT_MAX || bytes + more > QUO_OUTBOX_MAX;
}

/* Returns NULL when out of memory. */
static struct chunk *new_chunk(struct lane *lane, size_t room)
{
    const size_t capacity = QUO_MAX(room, CHUNK_CAPACITY);
    struct chunk *chunk = NULL;

    if (capacity == CHUNK_CAPACITY)
        chunk = atomic_exchange_explicit(&lane->spare, NULL, memory_order_acquire);
    if (chunk == NULL)
        chunk = malloc(sizeof *chunk + capacity);
    if (chunk == NULL)
        return NULL;
    chunk->frames = chunk->size = 0;
    chunk->capacity = capacity;
    return chunk;
}

static bool make_room(struct lane *lane, size_t room)
{
    struct chunk *chunk = lane->newest;

    if (chunk != NULL && chunk->capacity - chunk->size >= room)
        return true;
    chunk = new_chunk(lane, room);
    if (chunk == NULL)
        return false;
    chunk->next = lane->newest;
    if (lane->newest == NULL)
        lane->oldest = chunk;
    lane->newest = chunk;
    return true;
}

static struct lane *lane_to(struct quo_transport *transport, uint64_t peer)
{
    struct end *end = QUO_CONTAINER_OF(transport, struct end, transport);

    QUO_REQUIRE(peer < end->lanes->loops && peer != end->loop);
    return lane_between(end->lanes, end->loop, (uint32_t)peer);
}

static enum quo_status reserve(struct quo_transport *transport, uint64_t peer, size_t body_len,
                               uint8_t **ret_body)
{
    struct lane *lane = lane_to(transport, peer);
    const size_t room = room_for(body_len);

    QUO_REQUIRE(lane->reserved == NULL);
    QUO_REQUIRE(body_len <= QUO_FRAME_BODY_MAX);
    if (is_full(lane, room) || !make_room(lane, room))
        return QUO_BUSY;
    lane->reserved = (struct header *)(void *)(lane->newest->data + lane->newest->size);
    lane->reserved->body_len = (uint32_t)body_len;
    *ret_body = (uint8_t *)(lane->reserved + 1);
    return QUO_OK;
}

static void seal(struct quo_transport *transport, uint64_t peer, uint8_t type, uint64_t id)
{
    struct lane *lane = lane_to(transport, peer);
    struct header *header = lane->reserved;

    QUO_REQUIRE(header != NULL);
    const size_t room = room_for(header->body_len);
    header->type = type;
    header->id = id;
    lane->newest->frames++;
    lane->newest->size += room;
    lane->reserved = NULL;
    add(&lane->sent, 1, room);
}

static const struct quo_transport_ops ops = {.reserve = reserve, .seal = seal};

static void hand_over(struct lane *lane)
{
    struct quo_mailbox *mailbox = lane->receiver->mailbox;
    struct chunk *top = atomic_load_explicit(&lane->handed, memory_order_relaxed);

    QUO_REQUIRE(lane->reserved == NULL);
    if (lane->newest == NULL)
        return;
    /* Acquires as well: who finds the stack empty reuses the task that the receiver has left. */
    do {
        lane->oldest->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&lane->handed, &top, lane->newest,
                                                    memory_order_acq_rel, memory_order_relaxed));
    lane->newest = NULL;
    if (top == NULL)
        mailbox->ops->post(mailbox, &lane->task);
}

static void meet_others(struct end *end)
{
    const struct quo_transport *transport = &end->transport;

    end->has_met = true;
    for (uint32_t i = 0; i < end->lanes->loops; i++) {
        if (i != end->loop)
            transport->events->on_up(transport->receiver, i);
    }
}

void quo_lanes_end_turn(struct quo_lanes *lanes, uint32_t loop)
{
    QUO_REQUIRE(loop < lanes->loops);
    QUO_REQUIRE(lanes->ends[loop].transport.events != NULL);
    if (!lanes->ends[loop].has_met)
        meet_others(&lanes->ends[loop]);
    for (uint32_t i = 0; i < lanes->loops; i++) {
        if (i != loop)
            hand_over(lane_between(lanes, loop, i));
    }
}

/* Receiving */

static struct chunk *reverse(struct chunk *newest)
{
    struct chunk *oldest = NULL;

    while (newest != NULL) {
        struct chunk *before = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = before;
    }
    return oldest;
}

static void deliver(const struct lane *lane, const struct chunk *chunk)
{
    const struct quo_transport *transport = &lane->receiver->transport;

    for (size_t at = 0; at < chunk->size;) {
        const struct header *header = (const void *)(chunk->data + at);
        const struct quo_frame frame = {
            .type = header->type,
            .id = header->id,
            .body = quo_slice(header + 1, header->body_len),
        };

        transport->events->on_frame(transport->receiver, lane->sender, &frame);
        at += room_for(header->body_len);
    }
}

static void take(struct quo_task *task)
{
    struct lane *lane = QUO_CONTAINER_OF(task, struct lane, task);
    struct chunk *chunk =
        reverse(atomic_exchange_explicit(&lane->handed, NULL, memory_order_acq_rel));

    while (chunk != NULL) {
        struct chunk *next = chunk->next;

        deliver(lane, chunk);
        add(&lane->taken, chunk->frames, chunk->size);
        if (chunk->capacity == CHUNK_CAPACITY)
            chunk = atomic_exchange_explicit(&lane->spare, chunk, memory_order_acq_rel);
        free(chunk);
        chunk = next;
    }
}

/* Making and freeing */

static void init_lane(struct quo_lanes *lanes, uint32_t from, uint32_t to)
{
    struct lane *lane = lane_between(lanes, from, to);

    lane->task.run = take;
    lane->receiver = &lanes->ends[to];
    lane->sender = from;
}

struct quo_lanes *quo_lanes_new(struct quo_mailbox *const *mailboxes, uint32_t loops)
{
    QUO_REQUIRE(loops > 0 && loops <= QUO_LOOPS_MAX);
    const size_t size = sizeof(struct quo_lanes) + (size_t)loops * loops * sizeof(struct lane);
    struct quo_lanes *lanes = aligned_alloc(_Alignof(struct quo_lanes), size);

    if (lanes == NULL)
        return NULL;
    memset(lanes, 0, size);
    lanes->loops = loops;
    for (uint32_t i = 0; i < loops; i++) {
        struct end *end = &lanes->ends[i];

        end->transport.ops = &ops;
        end->lanes = lanes;
        end->mailbox = mailboxes[i];
        end->loop = i;
        for (uint32_t j = 0; j < loops; j++)
            init_lane(lanes, i, j);
    }
    return lanes;
}

struct quo_transport *quo_lanes_transport(struct quo_lanes *lanes, uint32_t loop)
{
    QUO_REQUIRE(loop < lanes->loops);
    return &lanes->ends[loop].transport;
}

static void free_chunks(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
}

void quo_lanes_free(struct quo_lanes *lanes)
{
    if (lanes == NULL)
        return;
    for (uint32_t i = 0; i < lanes->loops * lanes->loops; i++) {
        free_chunks(lanes->lanes[i].newest);
        free_chunks(lanes->lanes[i].handed);
        free(lanes->lanes[i].spare);
    }
    free(lanes);
}
