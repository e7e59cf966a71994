#include "proxy/service/name.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct quo_name quo_name_of(uint64_t seed, uint32_t ns, struct quo_slice key)
{
    return (struct quo_name){
        .hash = XXH3_64bits_withSeed(key.data, key.len, seed + ns),
        .ns = ns,
        .key = key,
    };
}
