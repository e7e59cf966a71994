/* Memory that is given back all at once: the nodes of a document.
 *
 * Threads: an arena belongs to one thread.
 */
#ifndef QUORATE_PROXY_JSON_ARENA_H
#define QUORATE_PROXY_JSON_ARENA_H

#include "quorate/base.h"

struct quo_json_arena_block;

/* All zero: an empty arena. */
struct quo_json_arena {
    struct quo_json_arena_block *blocks; /* newest first */
    size_t used, size;                   /* bytes of the newest */
};

/* Returns `size` bytes, aligned for any type, or NULL when out of memory. They stay where they are
 * until quo_json_arena_free. */
void *quo_json_arena_alloc(struct quo_json_arena *arena, size_t size);
void quo_json_arena_free(struct quo_json_arena *arena);

#endif
