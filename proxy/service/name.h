/* A key among all keys, with its hash: what tables are asked for.
 */
#ifndef QUORATE_SERVICE_NAME_H
#define QUORATE_SERVICE_NAME_H

#include "quorate/base.h"

struct quo_name {
    uint64_t hash;
    uint32_t ns;
    struct quo_slice key; /* borrowed */
};

/* `seed` is random and secret, so that nobody chooses keys that meet in one bucket. */
struct quo_name quo_name_of(uint64_t seed, uint32_t ns, struct quo_slice key);

static inline bool quo_name_equal(const struct quo_name *a, const struct quo_name *b)
{
    return a->hash == b->hash && a->ns == b->ns && quo_slice_equal(a->key, b->key);
}

#endif
