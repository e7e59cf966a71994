/* Directed schedules: a world in which every packet waits until a script says that it arrives.
 *
 * Nodes are named by letters; script_name gives the first ones to those that an operation has
 * asked. */
#ifndef QUORATE_SIM_SCRIPT_H
#define QUORATE_SIM_SCRIPT_H

#include "sim.h"

#define SCRIPT_KEY 0u

enum { SCRIPT_A, SCRIPT_B, SCRIPT_C, SCRIPT_D, SCRIPT_LETTERS };
#define SCRIPT_ALL ((1u << SCRIPT_LETTERS) - 1)

struct script {
    struct sim *sim;
    uint32_t nodes;
    uint32_t node[SCRIPT_LETTERS]; /* A, B, C, and D if there are four */
};

/* Three nodes, four proxies, one key, steady clocks, no hedges. */
struct script script_begin(struct sim *sim, enum quo_kind kind, uint8_t rs, uint8_t ws);
/* Four nodes, of which A, B and C hold the key, and a move that will put D in the place of C. */
struct script script_begin_move(struct sim *sim, enum quo_kind kind);
/* The next step of the move, and what follows from it. */
void script_move(struct script *script);
/* Names the nodes that have a message from this proxy waiting A, B..., in that order. */
void script_name(struct script *script, uint32_t proxy);
/* Starts an operation; its first messages wait. */
struct sim_op *script_call(struct script *script, uint32_t proxy, enum quo_history_type type,
                           enum quo_level level);
/* Likewise, a strong put on the condition that this is still there; NULL: that nothing is. */
struct sim_op *script_cas(struct script *script, uint32_t proxy, const struct sim_sight *expected);
/* What a write was about, and its entity tag: that of the answer or, if there was none, of the
 * record that this node has on disk. */
struct sim_sight script_sight(const struct script *script, const struct sim_op *op,
                              uint32_t letter);
/* The oldest waiting message of this type between the two arrives, and what it causes happens.
 * Returns false when there is none. */
bool script_request(struct script *script, uint32_t proxy, uint32_t letter, uint8_t type);
bool script_reply(struct script *script, uint32_t proxy, uint32_t letter);
/* The oldest waiting STORE to the node is lost, and a refusal comes back in its place, because of a
 * promise above it. */
void script_refuse(struct script *script, uint32_t proxy, uint32_t letter);
/* Request and reply. */
bool script_exchange(struct script *script, uint32_t proxy, uint32_t letter, uint8_t type);
/* Everything between a proxy and the nodes arrives, until nothing is left. */
void script_flush(struct script *script, uint32_t proxy);
/* Likewise, for these letters only (a bit each). */
void script_flush_with(struct script *script, uint32_t proxy, uint32_t letters);
/* The proxy cannot reach the node any more. */
void script_disconnect(struct script *script, uint32_t proxy, uint32_t letter);
/* Time passes. */
void script_wait(struct script *script, uint64_t us);
/* Judges what clients saw and ends the world. Returns how it ended. */
enum sim_class script_end(struct script *script);

#endif
