/* Filling and freeing a range, alike for every engine. Threads: any, one at a time. */
#ifndef QUORATE_NODE_ENGINE_RANGE_H
#define QUORATE_NODE_ENGINE_RANGE_H

#include "quorate/store.h"

/* Empties it before a read. */
void quo_range_begin(struct quo_range *range);
/* Takes one entry. Returns whether more are wanted: false at a maximum, with `more` set and the
 * entry left out, and when out of memory, with the status set. */
bool quo_range_add(struct quo_range *range, struct quo_slice key, struct quo_slice value);
void quo_range_free(struct quo_range *range);

#endif
