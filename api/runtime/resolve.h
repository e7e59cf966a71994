/* Addresses of hosts. A name is looked up in a thread of its own, since that may take many seconds
 * and a loop must not wait; what is written as an address needs no look-up.
 */
#ifndef QUORATE_RUNTIME_RESOLVE_H
#define QUORATE_RUNTIME_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define QUO_ADDRESSES_MAX 8u

struct quo_address {
    struct sockaddr_storage sa;
    socklen_t len;
};

struct quo_addresses {
    uint32_t count; /* of the addresses of a name the first QUO_ADDRESSES_MAX are taken */
    struct quo_address at[QUO_ADDRESSES_MAX];
};

/* Returns 0, or an error for gai_strerror; then *ret is untouched. `flags` as in getaddrinfo:
 * AI_NUMERICHOST never waits, AI_PASSIVE is for binding. */
int quo_resolve(const char *host, uint16_t port, int flags, struct quo_addresses *ret);

struct quo_lookup;
/* Returns NULL when out of memory or threads. */
struct quo_lookup *quo_lookup_start(const char *host, uint16_t port);
/* Returns false while it is under way; else *ret_error is as quo_resolve returns. */
bool quo_lookup_done(struct quo_lookup *lookup, struct quo_addresses *ret, int *ret_error);
/* Forgets the look-up, finished or not. Accepts NULL. */
void quo_lookup_free(struct quo_lookup *lookup);

#endif
