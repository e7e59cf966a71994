/* Sockets that listen. Threads: start-up only, since a name may have to be looked up. */
#ifndef QUORATE_LISTEN_H
#define QUORATE_LISTEN_H

#include <stddef.h>
#include <stdint.h>

#include "quorate/status.h"

/* Opens `count` sockets (1 to QUO_LOOPS_MAX) that share one address, so that the kernel spreads
 * connections over them; of a name's addresses the first that can be had. `port` 0: the kernel
 * chooses, see *ret_port. Returns QUO_OK; QUO_UNAVAILABLE with "host port number: what" in why
 * (NUL-terminated, cut to fit) when the address cannot be had, also when another process listens
 * there in the same shared manner. */
enum quo_status quo_listen(const char *host, uint16_t port, uint32_t count, int *ret_sockets,
                           uint16_t *ret_port, char *why, size_t why_size);

#endif
