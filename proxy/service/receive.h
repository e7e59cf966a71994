/* What the transports tell a service.
 */
#ifndef QUORATE_SERVICE_RECEIVE_H
#define QUORATE_SERVICE_RECEIVE_H

#include "quorate/transport.h"

/* Of replicas, and of other proposers. The receiver is a struct quo_service. */
extern const struct quo_transport_events quo_receive_events;
extern const struct quo_transport_events quo_receive_seat_events;

#endif
