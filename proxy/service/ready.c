#include "proxy/service/ready.h"

/* What namespaces with n replicas need at most, by n; 0: there is none. Namespaces are many, these
 * are few. */
struct needs {
    uint8_t of_n[QUO_REPLICAS_MAX + 1];
};

static struct needs needs_of(const struct quo_map *map)
{
    struct needs needs = {0};

    for (uint32_t i = 0; i < map->namespace_count; i++) {
        const struct quo_namespace *ns = &map->namespaces[i];
        uint8_t *need = &needs.of_n[ns->n];
        *need = QUO_MAX(*need, QUO_MAX(ns->rs, ns->ws));
    }
    return needs;
}

static bool has_quorums(const struct quo_liveness *liveness, const struct needs *needs,
                        const uint64_t *replicas, uint8_t count)
{
    uint8_t up = 0;

    for (uint8_t n = 1; n <= QUO_REPLICAS_MAX; n++) {
        up += n <= count && quo_liveness_is_up(liveness, replicas[n - 1]);
        if (up < needs->of_n[n])
            return false;
    }
    return true;
}

uint32_t quo_ready_lacking(const struct quo_routes *routes, const struct quo_liveness *liveness)
{
    struct needs needs = needs_of(routes->map);
    uint32_t lacking = 0;

    for (uint32_t i = 0; i < routes->map->partition_count; i++) {
        const struct quo_entry *entry = quo_routes_entry(routes, (uint16_t)i);
        bool ready = has_quorums(liveness, &needs, entry->replicas, entry->n);
        if (ready && entry->state == QUO_ENTRY_JOINT)
            ready = has_quorums(liveness, &needs, entry->next, entry->n_next);
        lacking += !ready;
    }
    return lacking;
}
