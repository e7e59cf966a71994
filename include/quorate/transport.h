/* Port: frames to and from peers. One instance per thread; all calls and callbacks in that thread.
 * Real: api/runtime/ (TCP). Simulated: tests/sim/.
 *
 * In a proxy a peer is the index of a node in the cluster map, and its connection is made and kept
 * by the transport. In a node a peer is an accepted connection; its number is never used twice.
 */
#ifndef QUORATE_TRANSPORT_H
#define QUORATE_TRANSPORT_H

#include "quorate/base.h"
#include "quorate/rpc.h"
#include "quorate/status.h"

struct quo_transport;

struct quo_transport_ops {
    /* Appends one frame to the peer's outbox, which leaves whole at the end of the loop turn.
     * Returns QUO_OK and where to write: the caller fills `body_len` bytes at *ret_body and calls
     * `seal` before it does anything else with the transport.
     * QUO_UNAVAILABLE: no connection; QUO_BUSY: outbox or in-flight limit reached. In both cases
     * nothing was queued and nothing will be sent. */
    enum quo_status (*reserve)(struct quo_transport *t, uint64_t peer, size_t body_len,
                               uint8_t **ret_body);
    /* Seals the frame just reserved for this peer. Cannot fail. */
    void (*seal)(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id);
};

/* Receives from a transport. None of these may close or free the transport. */
struct quo_transport_events {
    /* A frame came; its body is borrowed until the return. None comes twice: a replica's refusal
     * proves that nothing was done only because the request cannot arrive once more. */
    void (*on_frame)(void *receiver, uint64_t peer, const struct quo_frame *frame);
    /* The peer can be reached (after its HELLO was checked), or no longer: then no reply to
     * anything sent before will come, though any of it may have arrived. */
    void (*on_up)(void *receiver, uint64_t peer);
    void (*on_down)(void *receiver, uint64_t peer);
};

struct quo_transport {
    const struct quo_transport_ops *ops;
    const struct quo_transport_events *events; /* set by the receiver before the first turn */
    void *receiver;
};

#endif
