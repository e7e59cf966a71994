/* Hints: what a blind write has others keep for the members that it did not reach.
 *
 * They go to the nodes that the partition would prefer next. What nobody awaits is a favour: it is
 * left out when too much is under way.
 */
#ifndef QUORATE_SERVICE_HINTS_H
#define QUORATE_SERVICE_HINTS_H

#include "proxy/service/ops.h"
#include "quorate/rpc.h"

struct quo_service;

/* The nodes that stand in for a partition's replicas, in order of preference. */
struct quo_fallbacks {
    uint32_t generation; /* for which this was found out; 0: for none yet */
    uint32_t epoch;
    uint8_t count;
    uint16_t peers[QUO_REPLICAS_MAX];
};

struct quo_hinter {
    uint32_t generation;             /* changes with who can be reached */
    struct quo_fallbacks *fallbacks; /* by partition */
    uint32_t last_id;
    uint32_t under_way; /* that nobody awaits */
    uint32_t of_peer[QUO_NODES_MAX];
};

/* QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_hinter_init(struct quo_service *service);
void quo_hinter_free(struct quo_service *service);

/* Nodes that can be reached and are no replica of the partition. Borrowed until the next call. */
const struct quo_fallbacks *quo_hinter_fallbacks(struct quo_service *service, uint16_t partition);

/* Whether the record of a blind write that is answered may stay in memory for its hints. */
bool quo_hinter_keep(const struct quo_service *service);

/* Sends what a HINT effect says. Returns whether it left; if it is awaited, its answer is found by
 * quo_hinter_from. */
bool quo_hinter_send(struct quo_service *service, struct quo_op *op,
                     const struct quo_effect *effect, struct quo_slice record);
/* Members whose awaited hints this peer was asked to keep. */
quo_members quo_hinter_from(const struct quo_op *op, uint64_t peer);

/* Whether the id of a frame is that of a hint that nobody awaits. Of operations' ids the upper half
 * is never 0. */
static inline bool quo_hinter_own(uint64_t id)
{
    return id >> 32 == 0;
}
/* Its answer came; its body is borrowed until the return. */
void quo_hinter_on_frame(struct quo_service *service, uint64_t peer, const struct quo_frame *frame);
/* Counts the answer to any hint. */
void quo_hinter_count(struct quo_service *service, enum quo_status status);
/* The peer can be reached, or no longer. */
void quo_hinter_on_up_or_down(struct quo_service *service, uint64_t peer);

#endif
