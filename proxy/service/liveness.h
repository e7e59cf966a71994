/* What a loop knows of the nodes: who can be reached, and how fast each one answers. */
#ifndef QUORATE_SERVICE_LIVENESS_H
#define QUORATE_SERVICE_LIVENESS_H

#include "proxy/coordinator/plan.h"

#define QUO_LIVENESS_TABLE 1024u

struct quo_peer {
    bool up;
    uint32_t latency_us; /* smoothed over its last replies; 0: not known */
};

struct quo_liveness {
    const struct quo_map *map;
    struct quo_peer peers[QUO_NODES_MAX]; /* by index in the map */
    uint16_t table[QUO_LIVENESS_TABLE];   /* index + 1 by replica id; 0: empty */
};

void quo_liveness_init(struct quo_liveness *liveness, const struct quo_map *map);

/* The index of the node with this replica id in the map, or -1. */
int quo_liveness_find(const struct quo_liveness *liveness, uint64_t replica);
/* Whether this replica can be reached. False for an unknown one. */
bool quo_liveness_is_up(const struct quo_liveness *liveness, uint64_t replica);

void quo_liveness_up(struct quo_liveness *liveness, uint64_t peer);
void quo_liveness_down(struct quo_liveness *liveness, uint64_t peer);

/* A reply of this peer took `us`. */
void quo_liveness_observe(struct quo_liveness *liveness, uint64_t peer, uint64_t us);
/* A reply of this peer has not come after `us`: no news unless it is known as faster than that. */
void quo_liveness_observe_none(struct quo_liveness *liveness, uint64_t peer, uint64_t us);

#endif
