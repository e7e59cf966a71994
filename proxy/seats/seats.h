/* The other proposers as one transport (see struct quo_seats in proxy/service/service.h):
 *
 *   lanes.c      the loops of this proxy: frames are handed over through their mailboxes
 *   seats.c      joins them with the other proxies (peers_h2o) and with whoever connects here
 *
 * Threads: a quo_lanes is shared by the loops it was made for; all else belongs to one loop.
 */
#ifndef QUORATE_PROXY_SEATS_H
#define QUORATE_PROXY_SEATS_H

#include "quorate/cluster.h"
#include "quorate/mailbox.h"
#include "quorate/net.h"
#include "quorate/transport.h"

/* One for the process: a lane from every loop to every loop. */
struct quo_lanes;
/* `mailboxes`: of the loops, borrowed for the life of the lanes. Returns NULL when out of memory. */
struct quo_lanes *quo_lanes_new(struct quo_mailbox *const *mailboxes, uint32_t loops);
/* The end of loop `loop`; its peers are loop numbers. on_up is called for every other loop in that
 * loop's first quo_lanes_end_turn. Frames of a turn leave at its end, in one task for each loop.
 * A frame to a loop whose tasks are too many (QUO_CONN_IN_FLIGHT_MAX frames) is refused: QUO_BUSY. */
struct quo_transport *quo_lanes_transport(struct quo_lanes *lanes, uint32_t loop);
/* In the loop's thread, at the end of its turn: hands over what was sent. */
void quo_lanes_end_turn(struct quo_lanes *lanes, uint32_t loop);
/* After every loop has stopped. */
void quo_lanes_free(struct quo_lanes *lanes);

struct quo_seats_options {
    struct quo_transport *lanes; /* quo_lanes_transport; NULL: one loop */
    uint32_t loops, loop;
    struct quo_transport *proxies;  /* client end; peers are proxies of the map; NULL: none */
    struct quo_transport *acceptor; /* server end; NULL: nobody can connect here */
};
/* One for each loop. Joins the three under one numbering: loops, then proxies, then 2^32 + whatever
 * the acceptor calls its peers. */
struct quo_seats_transport;
/* Returns NULL when out of memory. */
struct quo_seats_transport *quo_seats_new(const struct quo_seats_options *options);
struct quo_transport *quo_seats_transport_of(struct quo_seats_transport *seats);
void quo_seats_free(struct quo_seats_transport *seats);

#endif
