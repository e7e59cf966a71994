/* What a loop knows that lets one replica answer a read at level bounded (struct quo_proofs).
 *
 * Of keys: a read at level quorum or above has seen all that was completed when it began, and a
 * strong write is above all that; so after either, nothing that was completed before its start has
 * a higher version. Of partitions: nodes that compare their replicas know since when they have
 * everything, and are asked now and then (FRESH), beside a read and not for its sake.
 *
 * Both are facts about the past, which nothing makes untrue. Keys, and partitions, that meet in a
 * slot take it from each other; whoever finds nothing asks a quorum.
 */
#ifndef QUORATE_SERVICE_BOUNDS_H
#define QUORATE_SERVICE_BOUNDS_H

#include "proxy/service/ops.h"

struct quo_service;

#define QUO_BOUND_KEYS 8192u
#define QUO_BOUND_PARTITIONS 1024u

struct quo_bound_key {
    uint64_t hash;     /* of quo_name */
    uint64_t since_us; /* 0: the slot is free */
    struct quo_version version;
};

struct quo_bound_partition {
    uint32_t ns;
    uint32_t epoch; /* 0: the slot is free */
    uint16_t partition;
    uint64_t asked_us;
    uint64_t since_us[QUO_REPLICAS_MAX]; /* in the order of the entry's replicas */
};

struct quo_bounds {
    struct quo_bound_key keys[QUO_BOUND_KEYS];
    struct quo_bound_partition partitions[QUO_BOUND_PARTITIONS];
};

/* What is known for a bounded read that is about to start under this plan; asks the replicas how
 * fresh they are when that may help the next one. */
void quo_bounds_find(struct quo_service *service, const struct quo_op *op,
                     const struct quo_plan *plan, struct quo_proofs *ret);
/* The operation ended so. Requires that its key is there. */
void quo_bounds_note(struct quo_service *service, const struct quo_op *op,
                     const struct quo_outcome *outcome);

/* A FRESHNESS frame came; its body is borrowed until the return. What is malformed is ignored. */
void quo_bounds_on_frame(struct quo_service *service, uint64_t peer, const struct quo_frame *frame);

#endif
