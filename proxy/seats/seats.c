#include <stdlib.h>

#include "proxy/seats/seats.h"

/* One of the transports that are joined: its peers from 0 on are seats from `first` on. */
struct part {
    struct quo_seats_transport *seats;
    struct quo_transport *transport; /* NULL: nobody is there */
    uint64_t first;
};

struct quo_seats_transport {
    struct quo_transport transport;
    struct part lanes, proxies, guests;
    bool is_draining;
};

/* Events */

static void pass_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    const struct part *part = receiver;
    const struct quo_transport *whole = &part->seats->transport;

    whole->events->on_frame(whole->receiver, part->first + peer, frame);
}

static void pass_up(void *receiver, uint64_t peer)
{
    const struct part *part = receiver;
    const struct quo_transport *whole = &part->seats->transport;

    whole->events->on_up(whole->receiver, part->first + peer);
}

static void pass_down(void *receiver, uint64_t peer)
{
    const struct part *part = receiver;
    const struct quo_transport *whole = &part->seats->transport;

    whole->events->on_down(whole->receiver, part->first + peer);
}

static const struct quo_transport_events part_events = {
    .on_frame = pass_frame,
    .on_up = pass_up,
    .on_down = pass_down,
};

/* Says that nothing was done; a guest that cannot be told learns it from the end of its connection.
 */
static void turn_down(const struct part *guests, uint64_t peer, uint64_t id)
{
    const struct quo_msg_forwarded answer = {.status = QUO_BUSY};
    struct quo_transport *transport = guests->transport;
    uint8_t *body;

    if (transport->ops->reserve(transport, peer, quo_msg_forwarded_size(&answer), &body) != QUO_OK)
        return;
    quo_msg_forwarded_encode(&answer, body);
    transport->ops->seal(transport, peer, QUO_MESSAGE_FORWARDED, id);
}

static void pass_guest_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    const struct part *guests = receiver;

    if (guests->seats->is_draining && frame->type == QUO_MESSAGE_FORWARD)
        turn_down(guests, peer, frame->id);
    else
        pass_frame(receiver, peer, frame);
}

static const struct quo_transport_events guest_events = {
    .on_frame = pass_guest_frame,
    .on_up = pass_up,
    .on_down = pass_down,
};

/* Transport */

static const struct part *part_of(struct quo_transport *transport, uint64_t seat)
{
    const struct quo_seats_transport *seats =
        QUO_CONTAINER_OF(transport, struct quo_seats_transport, transport);

    if (seat >= seats->guests.first)
        return &seats->guests;
    return seat >= seats->proxies.first ? &seats->proxies : &seats->lanes;
}

static enum quo_status reserve(struct quo_transport *transport, uint64_t seat, size_t body_len,
                               uint8_t **ret_body)
{
    const struct part *part = part_of(transport, seat);

    if (part->transport == NULL)
        return QUO_UNAVAILABLE;
    return part->transport->ops->reserve(part->transport, seat - part->first, body_len, ret_body);
}

static void seal(struct quo_transport *transport, uint64_t seat, uint8_t type, uint64_t id)
{
    const struct part *part = part_of(transport, seat);

    QUO_REQUIRE(part->transport != NULL);
    part->transport->ops->seal(part->transport, seat - part->first, type, id);
}

static const struct quo_transport_ops transport_ops = {.reserve = reserve, .seal = seal};

/* Making and freeing */

static void join(struct quo_seats_transport *seats, struct part *part,
                 struct quo_transport *transport, const struct quo_transport_events *events)
{
    part->seats = seats;
    part->transport = transport;
    if (transport == NULL)
        return;
    transport->events = events;
    transport->receiver = part;
}

struct quo_seats_transport *quo_seats_new(const struct quo_seats_options *options)
{
    struct quo_seats_transport *seats = calloc(1, sizeof *seats);

    if (seats == NULL)
        return NULL;
    seats->transport.ops = &transport_ops;
    seats->proxies.first = options->loops;
    seats->guests.first = QUO_SEATS_GUESTS;
    join(seats, &seats->lanes, options->lanes, &part_events);
    join(seats, &seats->proxies, options->proxies, &part_events);
    join(seats, &seats->guests, options->acceptor, &guest_events);
    return seats;
}

struct quo_transport *quo_seats_transport_of(struct quo_seats_transport *seats)
{
    return &seats->transport;
}

void quo_seats_drain(struct quo_seats_transport *seats)
{
    seats->is_draining = true;
}

void quo_seats_free(struct quo_seats_transport *seats)
{
    free(seats);
}
