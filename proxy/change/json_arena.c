#include "proxy/change/json_arena.h"

#include <stdlib.h>

#define BLOCK_MIN 4096u
#define BLOCK_MAX (1024u * 1024)

struct quo_json_arena_block {
    struct quo_json_arena_block *next;
    _Alignas(max_align_t) uint8_t bytes[];
};

/* Blocks double, so that a small document costs little and a large one few of them. */
static bool add_block(struct quo_json_arena *arena, size_t at_least)
{
    size_t size = QUO_MIN(QUO_MAX(2 * arena->size, BLOCK_MIN), BLOCK_MAX);
    size = QUO_MAX(size, at_least);
    struct quo_json_arena_block *block = malloc(sizeof *block + size);
    if (block == NULL)
        return false;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->used = 0;
    arena->size = size;
    return true;
}

void *quo_json_arena_alloc(struct quo_json_arena *arena, size_t size)
{
    const size_t align = _Alignof(max_align_t);

    QUO_REQUIRE(size <= SIZE_MAX / 2);
    size = (size + align - 1) / align * align;
    if (arena->size - arena->used < size && !add_block(arena, size))
        return NULL;
    void *memory = arena->blocks->bytes + arena->used;
    arena->used += size;
    return memory;
}

void quo_json_arena_free(struct quo_json_arena *arena)
{
    while (arena->blocks != NULL) {
        struct quo_json_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = arena->size = 0;
}
