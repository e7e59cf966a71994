#include "api/runtime/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quorate/base.h"
#include "quorate/limits.h"

int quo_resolve(const char *host, uint16_t port, int flags, struct quo_addresses *ret)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {
        .ai_flags = flags | AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *found;
    int error = getaddrinfo(host, service, &hints, &found);
    if (error != 0)
        return error;
    ret->count = 0;
    for (struct addrinfo *at = found; at != NULL && ret->count < QUO_ADDRESSES_MAX;
         at = at->ai_next) {
        struct quo_address *address = &ret->at[ret->count++];
        memcpy(&address->sa, at->ai_addr, at->ai_addrlen);
        address->len = at->ai_addrlen;
    }
    freeaddrinfo(found);
    return ret->count > 0 ? 0 : EAI_NONAME;
}

/* Shared by its owner and its thread; whoever lets go last frees it. */
struct quo_lookup {
    atomic_int holders;
    atomic_bool done;
    int error;
    struct quo_addresses addresses;
    uint16_t port;
    char host[QUO_HOST_MAX + 1];
};

void quo_lookup_free(struct quo_lookup *lookup)
{
    if (lookup != NULL && atomic_fetch_sub(&lookup->holders, 1) == 1)
        free(lookup);
}

static void *look_up(void *context)
{
    struct quo_lookup *lookup = context;
    lookup->error = quo_resolve(lookup->host, lookup->port, AI_ADDRCONFIG, &lookup->addresses);
    atomic_store_explicit(&lookup->done, true, memory_order_release);
    quo_lookup_free(lookup);
    return NULL;
}

struct quo_lookup *quo_lookup_start(const char *host, uint16_t port)
{
    QUO_REQUIRE(strlen(host) <= QUO_HOST_MAX);
    struct quo_lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return NULL;
    atomic_init(&lookup->holders, 2);
    memcpy(lookup->host, host, strlen(host) + 1);
    lookup->port = port;

    pthread_attr_t detached;
    pthread_t thread;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &detached, look_up, lookup);
    pthread_attr_destroy(&detached);
    if (failed) {
        free(lookup);
        return NULL;
    }
    return lookup;
}

bool quo_lookup_done(struct quo_lookup *lookup, struct quo_addresses *ret, int *ret_error)
{
    if (!atomic_load_explicit(&lookup->done, memory_order_acquire))
        return false;
    *ret_error = lookup->error;
    if (lookup->error == 0)
        *ret = lookup->addresses;
    return true;
}
