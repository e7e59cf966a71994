/* Memory that is given back all at once: what one group commit needs, from its first write to its
 * completion. Chunks are kept between uses, so that a busy server does not allocate.
 *
 * Threads: none of its own.
 */
#ifndef QUORATE_NODE_SERVER_ARENA_H
#define QUORATE_NODE_SERVER_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define QUO_ARENA_CHUNK                                                                            \
    (64u * 1024)           /* bytes asked from the allocator at once, or more if needed            \
                            */
#define QUO_ARENA_KEEP 16u /* chunks of that size kept by a reset */

struct quo_arena_chunk;

/* Zero-initialise; free with quo_arena_free. */
struct quo_arena {
    struct quo_arena_chunk *used;
    struct quo_arena_chunk *spare;
    uint32_t spare_count;
};

/* Returns `size` bytes aligned for anything, or NULL when out of memory. Valid until the reset. */
void *quo_arena_alloc(struct quo_arena *arena, size_t size);
/* Takes back everything that was handed out. */
void quo_arena_reset(struct quo_arena *arena);
/* Likewise, and frees the chunks. */
void quo_arena_free(struct quo_arena *arena);

#endif
