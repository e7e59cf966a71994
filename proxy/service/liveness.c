#include "proxy/service/liveness.h"

_Static_assert(QUO_LIVENESS_TABLE >= 4 * QUO_NODES_MAX, "at most a quarter full");

#define LATENCY_MAX_US 1000000u

/* Replica ids are random already. */
static uint32_t home(uint64_t replica)
{
    return (uint32_t)(replica ^ replica >> 32) % QUO_LIVENESS_TABLE;
}

void quo_liveness_init(struct quo_liveness *liveness, const struct quo_map *map)
{
    memset(liveness, 0, sizeof *liveness);
    liveness->map = map;
    for (uint32_t i = 0; i < map->node_count; i++) {
        uint32_t at = home(map->nodes[i].replica);
        while (liveness->table[at] != 0)
            at = (at + 1) % QUO_LIVENESS_TABLE;
        liveness->table[at] = (uint16_t)(i + 1);
    }
}

int quo_liveness_find(const struct quo_liveness *liveness, uint64_t replica)
{
    uint32_t at = home(replica);

    while (liveness->table[at] != 0) {
        int index = liveness->table[at] - 1;
        if (liveness->map->nodes[index].replica == replica)
            return index;
        at = (at + 1) % QUO_LIVENESS_TABLE;
    }
    return -1;
}

bool quo_liveness_is_up(const struct quo_liveness *liveness, uint64_t replica)
{
    int index = quo_liveness_find(liveness, replica);

    return index >= 0 && liveness->peers[index].up;
}

void quo_liveness_up(struct quo_liveness *liveness, uint64_t peer)
{
    QUO_REQUIRE(peer < liveness->map->node_count);
    /* What it was before it went away says nothing about it now. */
    liveness->peers[peer] = (struct quo_peer){.up = true};
}

void quo_liveness_down(struct quo_liveness *liveness, uint64_t peer)
{
    QUO_REQUIRE(peer < liveness->map->node_count);
    liveness->peers[peer].up = false;
}

void quo_liveness_observe(struct quo_liveness *liveness, uint64_t peer, uint64_t us)
{
    QUO_REQUIRE(peer < liveness->map->node_count);
    uint32_t *latency = &liveness->peers[peer].latency_us;
    uint64_t sample = QUO_MAX(QUO_MIN(us, LATENCY_MAX_US), 1u);

    *latency = *latency == 0 ? (uint32_t)sample : (uint32_t)((*latency * 7u + sample) / 8u);
    *latency = QUO_MAX(*latency, 1u);
}

void quo_liveness_observe_none(struct quo_liveness *liveness, uint64_t peer, uint64_t us)
{
    QUO_REQUIRE(peer < liveness->map->node_count);
    if (us > liveness->peers[peer].latency_us)
        quo_liveness_observe(liveness, peer, us);
}
