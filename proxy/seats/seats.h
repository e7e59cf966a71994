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
/* `mailboxes`: of the loops, borrowed for the life of the lanes. Returns NULL when out of memory.
 */
struct quo_lanes *quo_lanes_new(struct quo_mailbox *const *mailboxes, uint32_t loops);
/* The end of loop `loop`; its peers are the numbers of the other loops. on_up is called for every
 * one of them in that loop's first quo_lanes_end_turn, on_down never. Frames of a turn leave at its
 * end, in one task for each loop. A frame is refused (QUO_BUSY) when memory is out, or when those
 * that the other loop has not taken yet are too many (QUO_CONN_IN_FLIGHT_MAX) or too large
 * (QUO_OUTBOX_MAX bytes). */
struct quo_transport *quo_lanes_transport(struct quo_lanes *lanes, uint32_t loop);
/* In the loop's thread, at the end of its turn: hands over what was sent. Requires that the events
 * of the loop's transport are set, and so for every loop before the first of them runs. */
void quo_lanes_end_turn(struct quo_lanes *lanes, uint32_t loop);
/* After every loop has stopped; frames that were not taken are dropped. Accepts NULL. */
void quo_lanes_free(struct quo_lanes *lanes);

/* Seats from here on are those of proxies that connected here. */
#define QUO_SEATS_GUESTS (UINT64_C(1) << 32)

struct quo_seats_options {
    struct quo_transport *lanes; /* quo_lanes_transport; NULL: one loop */
    uint32_t loops;
    struct quo_transport *proxies;  /* client end; peers are proxies of the map; NULL: none */
    struct quo_transport *acceptor; /* server end; NULL: nobody can connect here */
};
/* One for each loop. Joins the three under one numbering: loops, then proxies, then
 * QUO_SEATS_GUESTS + whatever the acceptor calls its peers. */
struct quo_seats_transport;
/* Sets the events of the three, which are borrowed for the life of the seats. Returns NULL when out
 * of memory. */
struct quo_seats_transport *quo_seats_new(const struct quo_seats_options *options);
/* Its events are set before the first turn; a peer that is not there is QUO_UNAVAILABLE. */
struct quo_transport *quo_seats_transport_of(struct quo_seats_transport *seats);
/* From here on a FORWARD of a guest is answered as not taken; those that were are finished. */
void quo_seats_drain(struct quo_seats_transport *seats);
/* Accepts NULL. Requires that the three are freed before their next turn. */
void quo_seats_free(struct quo_seats_transport *seats);

#endif
