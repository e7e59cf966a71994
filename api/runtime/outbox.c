#include "api/runtime/outbox.h"

#include <stdlib.h>

#include "quorate/limits.h"
#include "quorate/rpc.h"

#define CAPACITY_MIN (16u * 1024)
/* Buffers up to here are kept for good; larger ones until they were mostly empty this often in a
 * row. Pings see to it that a connection without traffic gets there too. */
#define CAPACITY_KEPT (64u * 1024)
#define COLD_MAX 16u

size_t quo_outbox_size(const struct quo_outbox *outbox)
{
    return outbox->filling.size + outbox->flying.size - outbox->sent;
}

static bool make_room(struct quo_outbox_buffer *buffer, size_t more)
{
    const size_t need = buffer->size + more; /* limits keep both far from wrapping */
    if (need <= buffer->capacity)
        return true;
    size_t capacity = QUO_MAX(buffer->capacity, CAPACITY_MIN);
    while (capacity < need)
        capacity *= 2;
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

uint8_t *quo_outbox_reserve(struct quo_outbox *outbox, size_t body_len)
{
    QUO_REQUIRE(outbox->reserved == 0);
    QUO_REQUIRE(body_len <= QUO_FRAME_BODY_MAX);
    struct quo_outbox_buffer *buffer = &outbox->filling;
    if (!make_room(buffer, QUO_FRAME_HEADER + body_len))
        return NULL;
    outbox->reserved = QUO_FRAME_HEADER + body_len;
    return buffer->data + buffer->size + QUO_FRAME_HEADER;
}

void quo_outbox_seal(struct quo_outbox *outbox, uint8_t type, uint64_t id)
{
    QUO_REQUIRE(outbox->reserved != 0);
    struct quo_outbox_buffer *buffer = &outbox->filling;
    quo_frame_seal(buffer->data + buffer->size, type, id, outbox->reserved - QUO_FRAME_HEADER);
    buffer->size += outbox->reserved;
    outbox->reserved = 0;
}

struct quo_slice quo_outbox_next(struct quo_outbox *outbox, size_t max)
{
    QUO_REQUIRE(outbox->reserved == 0);
    if (outbox->flying.size == 0) {
        struct quo_outbox_buffer empty = outbox->flying;
        outbox->flying = outbox->filling;
        outbox->filling = empty;
    }
    const size_t left = outbox->flying.size - outbox->sent;
    return left == 0 ? quo_slice(NULL, 0)
                     : quo_slice(outbox->flying.data + outbox->sent, QUO_MIN(left, max));
}

static void release(struct quo_outbox_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct quo_outbox_buffer){0};
}

static void empty(struct quo_outbox_buffer *buffer)
{
    bool mostly_empty = buffer->capacity > CAPACITY_KEPT && buffer->size < buffer->capacity / 4;
    buffer->cold = mostly_empty ? buffer->cold + 1 : 0;
    buffer->size = 0;
    if (buffer->cold >= COLD_MAX)
        release(buffer);
}

void quo_outbox_written(struct quo_outbox *outbox, size_t len)
{
    QUO_REQUIRE(len <= outbox->flying.size - outbox->sent);
    outbox->sent += len;
    if (outbox->sent == outbox->flying.size) {
        empty(&outbox->flying);
        outbox->sent = 0;
    }
}

void quo_outbox_reset(struct quo_outbox *outbox)
{
    release(&outbox->filling);
    release(&outbox->flying);
    outbox->sent = outbox->reserved = 0;
}
