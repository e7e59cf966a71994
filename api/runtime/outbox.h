/* Frames on their way to one peer: one buffer fills while the other is being written, so that all
 * frames of a turn leave in one write.
 *
 * Zero-initialise; give memory back with quo_outbox_reset. Threads: one.
 */
#ifndef QUORATE_RUNTIME_OUTBOX_H
#define QUORATE_RUNTIME_OUTBOX_H

#include "quorate/base.h"

struct quo_outbox_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    unsigned cold; /* how often in a row it was far too large */
};

struct quo_outbox {
    struct quo_outbox_buffer filling, flying;
    size_t sent;     /* bytes of `flying` that are written */
    size_t reserved; /* bytes of the frame begun at the end of `filling`; 0: none */
};

/* Bytes that are not written yet. */
size_t quo_outbox_size(const struct quo_outbox *outbox);

/* Begins a frame. Returns where its body belongs, until the next call; NULL when out of memory.
 * Requires that none is begun and body_len <= QUO_FRAME_BODY_MAX. */
uint8_t *quo_outbox_reserve(struct quo_outbox *outbox, size_t body_len);
/* Seals the frame that was begun. */
void quo_outbox_seal(struct quo_outbox *outbox, uint8_t type, uint64_t id);

/* What to write next, at most `max` bytes, in place until quo_outbox_written has been told of it.
 * Empty when there is nothing. Frames that are reserved meanwhile go elsewhere. */
struct quo_slice quo_outbox_next(struct quo_outbox *outbox, size_t max);
/* The first `len` bytes of what quo_outbox_next returned are written. */
void quo_outbox_written(struct quo_outbox *outbox, size_t len);

/* Forgets everything and frees the memory. */
void quo_outbox_reset(struct quo_outbox *outbox);

#endif
