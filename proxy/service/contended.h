/* Keys that proposers have fought over lately: their writes go to the key's own proxy at once.
 *
 * Forgetful by design: keys that meet in a slot drive each other out, and what is wrongly taken for
 * contended only makes a detour.
 */
#ifndef QUORATE_SERVICE_CONTENDED_H
#define QUORATE_SERVICE_CONTENDED_H

#include "quorate/base.h"
#include "quorate/limits.h"

struct quo_contended {
    struct {
        uint64_t hash; /* of quo_name */
        uint64_t until_us;
    } slots[QUO_CONTENDED_MAX];
};

static inline void quo_contended_mark(struct quo_contended *contended, uint64_t hash,
                                      uint64_t now_us)
{
    contended->slots[hash % QUO_CONTENDED_MAX].hash = hash;
    contended->slots[hash % QUO_CONTENDED_MAX].until_us =
        now_us + QUO_CONTENDED_MS * UINT64_C(1000);
}

static inline bool quo_contended_has(const struct quo_contended *contended, uint64_t hash,
                                     uint64_t now_us)
{
    return contended->slots[hash % QUO_CONTENDED_MAX].hash == hash &&
           now_us < contended->slots[hash % QUO_CONTENDED_MAX].until_us;
}

static inline void quo_contended_clear(struct quo_contended *contended, uint64_t hash)
{
    if (contended->slots[hash % QUO_CONTENDED_MAX].hash == hash)
        contended->slots[hash % QUO_CONTENDED_MAX].until_us = 0;
}

#endif
