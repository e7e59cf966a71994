#include "proxy/service/liveness.h"

_Static_assert(QUO_PEERS_TABLE >= 4 * QUO_NODES_MAX, "at most a quarter full");

#define LATENCY_MAX_US 1000000u

/* Replica ids are random already. */
static uint32_t home(uint64_t replica)
{
    return (uint32_t)(replica ^ replica >> 32) % QUO_PEERS_TABLE;
}

void quo_liveness_init(struct quo_liveness *peers, const struct quo_map *map)
{
    memset(peers, 0, sizeof *peers);
    peers->map = map;
    for (uint32_t i = 0; i < map->node_count; i++) {
        uint32_t at = home(map->nodes[i].replica);
        while (peers->table[at] != 0)
            at = (at + 1) % QUO_PEERS_TABLE;
        peers->table[at] = (uint16_t)(i + 1);
    }
}

int quo_liveness_find(const struct quo_liveness *peers, uint64_t replica)
{
    uint32_t at = home(replica);

    while (peers->table[at] != 0) {
        int index = peers->table[at] - 1;
        if (peers->map->nodes[index].replica == replica)
            return index;
        at = (at + 1) % QUO_PEERS_TABLE;
    }
    return -1;
}

bool quo_liveness_is_up(const struct quo_liveness *peers, uint64_t replica)
{
    int index = quo_liveness_find(peers, replica);

    return index >= 0 && peers->peers[index].up;
}

void quo_liveness_up(struct quo_liveness *peers, uint64_t peer)
{
    QUO_REQUIRE(peer < peers->map->node_count);
    /* What it was before it went away says nothing about it now. */
    peers->peers[peer] = (struct quo_peer){.up = true};
}

void quo_liveness_down(struct quo_liveness *peers, uint64_t peer)
{
    QUO_REQUIRE(peer < peers->map->node_count);
    peers->peers[peer].up = false;
}

void quo_liveness_observe(struct quo_liveness *peers, uint64_t peer, uint64_t us)
{
    QUO_REQUIRE(peer < peers->map->node_count);
    uint32_t *latency = &peers->peers[peer].latency_us;
    uint64_t sample = QUO_MAX(QUO_MIN(us, LATENCY_MAX_US), 1u);

    *latency = *latency == 0 ? (uint32_t)sample : (uint32_t)((*latency * 7u + sample) / 8u);
    *latency = QUO_MAX(*latency, 1u);
}

void quo_liveness_observe_none(struct quo_liveness *peers, uint64_t peer, uint64_t us)
{
    QUO_REQUIRE(peer < peers->map->node_count);
    if (us > peers->peers[peer].latency_us)
        quo_liveness_observe(peers, peer, us);
}
