/* Which proxy a key's writes go to when proposers get in each other's way.
 */
#ifndef QUORATE_SERVICE_AFFINITY_H
#define QUORATE_SERVICE_AFFINITY_H

#include "quorate/cluster.h"

/* The proxy of the map with the highest rendezvous score for this key (Thaler & Ravishankar 1998),
 * of those that are up: all proxies that see the same ones choose the same one. UINT32_MAX: none is
 * up. `is_up` is by number, [map->proxy_count]. */
uint32_t quo_affinity(const struct quo_map *map, const bool *is_up, uint32_t ns,
                      struct quo_slice key);

#endif
