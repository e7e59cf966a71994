#include "proxy/service/routes.h"

#include <stdlib.h>

enum quo_status quo_routes_init(struct quo_routes *routes, const struct quo_map *map)
{
    *routes = (struct quo_routes){.map = map};
    routes->learned = calloc(map->partition_count, sizeof(struct quo_entry *));
    return routes->learned != NULL ? QUO_OK : QUO_NO_MEMORY;
}

void quo_routes_free(struct quo_routes *routes)
{
    for (uint32_t i = 0; routes->learned != NULL && i < routes->map->partition_count; i++)
        free(routes->learned[i]);
    free(routes->learned);
    *routes = (struct quo_routes){0};
}

const struct quo_entry *quo_routes_entry(const struct quo_routes *routes, uint16_t partition)
{
    const struct quo_entry *learned = routes->learned[partition];

    return learned != NULL ? learned : &routes->map->entries[partition];
}

static bool all_known(const struct quo_liveness *liveness, const uint64_t *replicas, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        if (quo_liveness_find(liveness, replicas[i]) < 0)
            return false;
    }
    return true;
}

void quo_routes_learn(struct quo_routes *routes, const struct quo_liveness *liveness,
                      uint16_t partition, struct quo_slice bytes)
{
    struct quo_entry entry;

    if (quo_entry_decode(bytes, &entry) != QUO_OK ||
        entry.epoch <= quo_routes_entry(routes, partition)->epoch)
        return;
    if (!all_known(liveness, entry.replicas, entry.n) ||
        !all_known(liveness, entry.next, entry.n_next))
        return;
    if (routes->learned[partition] == NULL)
        routes->learned[partition] = malloc(sizeof entry);
    if (routes->learned[partition] != NULL)
        *routes->learned[partition] = entry;
}
