/* The two ends of the frame protocol over TCP, as transports (see transport.h).
 *
 * Both ends greet with HELLO, batch all frames for a peer into one write per loop turn, keep reads
 * armed, send PING when a peer has been silent, and drop it when it stays silent. A peer that sends
 * anything malformed is told GOODBYE, disconnected, counted and logged once per second at most.
 *
 * Threads: everything in the loop's thread.
 */
#ifndef QUORATE_NET_H
#define QUORATE_NET_H

#include <stdatomic.h>

#include "quorate/cluster.h"
#include "quorate/loop.h"
#include "quorate/transport.h"

/* Written by the loop's thread, read by any (relaxed). */
struct quo_net_stats {
    _Atomic uint64_t frames_in, frames_out, bytes_in, bytes_out, writes;
    _Atomic uint64_t connects, disconnects, malformed, refused, busy;
};

/* Client end: one connection to every (other) node of the map, or to every other proxy of it, made
 * and kept for ever: reconnects after a pause of full jitter between 0 and a cap that doubles from
 * 20 ms to 2 s. A peer that answers with another cluster or replica id than the map's is refused
 * (it lost its disk, or it is another) and tried again at the cap. */
struct quo_peers;
struct quo_peers_options {
    struct quo_loop *loop;
    const struct quo_map *map; /* borrowed for the life of the peers */
    uint64_t self; /* replica id to present, of a node that is never connected; 0 for a proxy */
    bool proxies;  /* the peers are the proxies of the map, else its nodes */
    uint32_t own;  /* of the proxies the one that this is: never connected; UINT32_MAX: none */
};
/* Returns NULL when out of memory. Starts to connect in the first turn. */
struct quo_peers *quo_peers_new(const struct quo_peers_options *options);
struct quo_transport *quo_peers_transport(struct quo_peers *peers);
const struct quo_net_stats *quo_peers_stats(const struct quo_peers *peers);
/* Whether peer `index` is connected and has answered its last PING in time. */
bool quo_peers_up(const struct quo_peers *peers, uint32_t index);
/* Closes everything. No events come any more. */
void quo_peers_free(struct quo_peers *peers);

/* Server end. */
struct quo_acceptor;
struct quo_acceptor_options {
    struct quo_loop *loop;
    int listener; /* a listening socket; the acceptor owns it once it is made */
    uint64_t cluster;
    uint64_t replica; /* 0 for a proxy */
    uint32_t epoch;
};
/* Returns NULL when out of memory. */
struct quo_acceptor *quo_acceptor_new(const struct quo_acceptor_options *options);
struct quo_transport *quo_acceptor_transport(struct quo_acceptor *acceptor);
/* Names a connection of an acceptor's transport that is up and whose HELLO named no replica,
 * another one each time if there are several. Returns false if there is none. */
bool quo_acceptor_any_proxy(struct quo_transport *transport, uint64_t *ret_peer);
const struct quo_net_stats *quo_acceptor_stats(const struct quo_acceptor *acceptor);
/* Stops accepting; existing connections go on. */
void quo_acceptor_close_listener(struct quo_acceptor *acceptor);
/* Whether some outbox still holds bytes. */
bool quo_acceptor_busy(const struct quo_acceptor *acceptor);
void quo_acceptor_free(struct quo_acceptor *acceptor);

#endif
