/* What the transport tells a service. */
#ifndef QUORATE_SERVICE_RECEIVE_H
#define QUORATE_SERVICE_RECEIVE_H

#include "quorate/transport.h"

/* The receiver is a struct quo_service. */
extern const struct quo_transport_events quo_receive_events;

#endif
