#include "storage-node/server/arena.h"

#include <stdlib.h>

#include "quorate/base.h"

struct quo_arena_chunk {
    struct quo_arena_chunk *next;
    size_t size; /* of bytes */
    size_t taken;
    _Alignas(max_align_t) uint8_t bytes[];
};

static struct quo_arena_chunk *new_chunk(struct quo_arena *arena, size_t size)
{
    struct quo_arena_chunk *chunk = arena->spare;
    if (size <= QUO_ARENA_CHUNK && chunk != NULL) {
        arena->spare = chunk->next;
        arena->spare_count--;
        return chunk;
    }
    size_t bytes = QUO_MAX(size, (size_t)QUO_ARENA_CHUNK);
    size_t whole;
    if (!quo_add_size(sizeof *chunk, bytes, &whole))
        return NULL;
    chunk = malloc(whole);
    if (chunk == NULL)
        return NULL;
    chunk->size = bytes;
    chunk->taken = 0;
    return chunk;
}

void *quo_arena_alloc(struct quo_arena *arena, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    size_t rounded;
    if (!quo_add_size(size, align - 1, &rounded))
        return NULL;
    rounded &= ~(align - 1);
    struct quo_arena_chunk *chunk = arena->used;
    if (chunk == NULL || chunk->size - chunk->taken < rounded) {
        chunk = new_chunk(arena, rounded);
        if (chunk == NULL)
            return NULL;
        chunk->next = arena->used;
        arena->used = chunk;
    }
    void *at = chunk->bytes + chunk->taken;
    chunk->taken += rounded;
    return at;
}

void quo_arena_reset(struct quo_arena *arena)
{
    while (arena->used != NULL) {
        struct quo_arena_chunk *chunk = arena->used;
        arena->used = chunk->next;
        if (chunk->size > QUO_ARENA_CHUNK || arena->spare_count == QUO_ARENA_KEEP) {
            free(chunk);
            continue;
        }
        chunk->taken = 0;
        chunk->next = arena->spare;
        arena->spare = chunk;
        arena->spare_count++;
    }
}

void quo_arena_free(struct quo_arena *arena)
{
    quo_arena_reset(arena);
    while (arena->spare != NULL) {
        struct quo_arena_chunk *chunk = arena->spare;
        arena->spare = chunk->next;
        free(chunk);
    }
    arena->spare_count = 0;
}
