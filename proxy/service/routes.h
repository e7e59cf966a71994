/* Who holds a partition, as far as this loop knows: the map, and newer entries learned from
 * replicas. */
#ifndef QUORATE_SERVICE_ROUTES_H
#define QUORATE_SERVICE_ROUTES_H

#include "proxy/service/liveness.h"

struct quo_routes {
    const struct quo_map *map;
    struct quo_entry **learned; /* [partition_count]; NULL where the map's entry stands */
};

/* QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_routes_init(struct quo_routes *routes, const struct quo_map *map);
void quo_routes_free(struct quo_routes *routes);

/* The newest entry known. Borrowed until the next quo_routes_learn. */
const struct quo_entry *quo_routes_entry(const struct quo_routes *routes, uint16_t partition);

/* Takes over an entry that a replica sent if it is newer and every replica in it is in the map;
 * anything else changes nothing, and neither does a lack of memory. */
void quo_routes_learn(struct quo_routes *routes, const struct quo_liveness *liveness,
                      uint16_t partition, struct quo_slice bytes);

#endif
