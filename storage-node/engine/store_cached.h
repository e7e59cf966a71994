/* A store that remembers what another one holds: the newest durable values of single keys, and that
 * a key has none, so that a read of what was read or written lately costs one look into a table.
 *
 * It keeps the port's contract to the letter: at every moment `get` shows what the store below
 * shows, which is what is on disk.
 * - What a batch changes enters the table when its commit has succeeded. From the start of the
 *   commit until then the keys of the batch are asked of the store below, which may show the batch
 *   a moment before it says so; then it shows the whole of it.
 * - After a commit that failed nothing is remembered of its keys.
 * - What a load brings is kept only if nothing was committed to its key since it began.
 * `range` and `scan` go below. So do keys and values that are longer than the table takes.
 *
 * Threads: as the port says; all of it runs in the loop thread.
 */
#ifndef QUORATE_NODE_STORE_CACHED_H
#define QUORATE_NODE_STORE_CACHED_H

#include "storage-node/engine/cache.h"
#include "storage-node/engine/engine.h"

/* The least that it can be given. */
#define QUO_STORE_CACHED_BYTES_MIN QUO_CACHE_BYTES_MIN

/* Takes `below` over and closes it when it is closed itself. Requires that nothing is under way
 * there, and that its handles are addresses of something aligned, as those of malloc are. `bytes`
 * bounds what it remembers. Returns NULL when out of memory; then `below` is still the caller's. */
struct quo_store *quo_store_cached_new(struct quo_store *below, uint64_t bytes);

struct quo_store_cached_figures {
    uint64_t hits, misses;
    uint64_t passed; /* not looked for: their batch was under way */
    uint64_t bytes, entries, evicted;
};
/* Requires a store of quo_store_cached_new. Loop thread. */
struct quo_store_cached_figures quo_store_cached_figures(const struct quo_store *store);

#endif
