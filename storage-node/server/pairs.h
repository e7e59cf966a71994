/* Pairs of a partition and a peer that holds it as well: which of them we compare, when each was
 * last found equal, and what follows for how fresh the partition is.
 *
 * Of two replicas the one with the smaller id compares, and tells the other one of it with EQUAL.
 * So both know when they were equal, each by its own clock.
 *
 * What "equal at a moment" says: whatever one of the two had on disk then, the other one has by
 * now, or something newer of the same key. It says so under the epoch in which it was found: who
 * was no replica before may have been equal to us without having all that was.
 */
#ifndef QUORATE_NODE_SERVER_PAIRS_H
#define QUORATE_NODE_SERVER_PAIRS_H

#include "quorate/cluster.h"

struct quo_server;

/* What is known of one pair. */
struct quo_pair {
    uint64_t replica; /* the peer; 0: the slot is free */
    uint64_t mono_us; /* by our clock, when it was equal; 0: never */
    uint32_t epoch;   /* of the partition's entry then */
    bool differs;     /* it was found different since */
};

/* Index among the entry's replicas, -1 if it is none of them. */
int quo_pairs_place(const struct quo_entry *entry, uint64_t replica);
/* Whether the partition is one that both hold, and it is not moving. */
bool quo_pairs_share(const struct quo_server *server, uint32_t partition, uint64_t replica);
/* And whether we are the one who compares. */
bool quo_pairs_is(const struct quo_server *server, uint32_t partition, uint64_t replica);
/* Returns NULL when nothing is known. Requires a mesh. */
struct quo_pair *quo_pairs_find(const struct quo_server *server, uint32_t partition,
                                uint64_t replica);

/* They were compared under this entry, the one in force: equal at that moment of our clock, or
 * different. Require a mesh. */
void quo_pairs_equal(struct quo_server *server, uint32_t partition, const struct quo_entry *entry,
                     uint64_t replica, uint64_t mono_us);
void quo_pairs_differ(struct quo_server *server, uint32_t partition, const struct quo_entry *entry,
                      uint64_t replica);

/* The moment of our clock up to which everything that was completed is here: a write on a write
 * quorum of the namespace is on one of as many replicas as make its read quorum, and with those we
 * were equal then. 0: not known. Requires a partition of which we are a replica. */
uint64_t quo_pairs_fresh_us(const struct quo_server *server, uint32_t partition,
                            const struct quo_namespace *ns);

/* Over all pairs that we compare. */
struct quo_pairs_sum {
    uint32_t pairs, differing;
    uint64_t unequal_us; /* how long ago the one that was equal least lately was */
};
struct quo_pairs_sum quo_pairs_sum(const struct quo_server *server);

/* One handler per message; the body is borrowed until the return. */
void quo_handle_equal(struct quo_server *server, struct quo_slice body);
void quo_handle_fresh(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);

#endif
