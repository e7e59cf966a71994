#include "proxy/service/affinity.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint32_t quo_affinity(const struct quo_map *map, const bool *is_up, uint32_t ns,
                      struct quo_slice key)
{
    const uint64_t hash = XXH3_64bits_withSeed(key.data, key.len, ns);
    uint32_t best = UINT32_MAX;
    uint64_t best_score = 0;

    for (uint32_t i = 0; i < map->proxy_count; i++) {
        struct quo_slice name = quo_slice_of(map->proxies[i].name);
        uint64_t score = XXH3_64bits_withSeed(name.data, name.len, hash);
        if (!is_up[i] || (best != UINT32_MAX && score <= best_score))
            continue;
        best = i;
        best_score = score;
    }
    return best;
}
