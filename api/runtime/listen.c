#include "quorate/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "api/runtime/resolve.h"
#include "quorate/base.h"
#include "quorate/limits.h"

#define BACKLOG 4096

static void close_all(const int *sockets, uint32_t count)
{
    const int error = errno;
    while (count > 0)
        close(sockets[--count]);
    errno = error;
}

/* Returns a bound socket, or -1 with errno. */
static int bind_one(const struct quo_address *address, bool shared)
{
    const int on = 1;
    int fd = socket(address->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        bind(fd, (const struct sockaddr *)&address->sa, address->len) == 0)
        return fd;
    close_all(&fd, 1);
    return -1;
}

/* Whether nobody listens there: a shared bind alone would succeed beside another process. */
static bool is_free(const struct quo_address *address)
{
    int fd = bind_one(address, false);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* Writes the port that the kernel gave to `fd` into the address as well. */
static uint16_t learn_port(int fd, struct quo_address *address)
{
    socklen_t len = sizeof address->sa;
    int failed = getsockname(fd, (struct sockaddr *)&address->sa, &len);
    QUO_INVARIANT(!failed);
    return address->sa.ss_family == AF_INET6
               ? ntohs(((const struct sockaddr_in6 *)(const void *)&address->sa)->sin6_port)
               : ntohs(((const struct sockaddr_in *)(const void *)&address->sa)->sin_port);
}

/* Returns how many sockets listen: all, or with errno none. */
static uint32_t listen_all(struct quo_address *address, uint32_t count, int *sockets,
                           uint16_t *port)
{
    uint32_t bound = 0, listening = 0;
    if (!is_free(address))
        return 0;
    for (; bound < count; bound++) {
        sockets[bound] = bind_one(address, count > 1);
        if (sockets[bound] < 0)
            break;
        if (bound == 0)
            *port = learn_port(sockets[0], address);
    }
    while (bound == count && listening < count && listen(sockets[listening], BACKLOG) == 0)
        listening++;
    if (listening == count)
        return count;
    close_all(sockets, bound);
    return 0;
}

enum quo_status quo_listen(const char *host, uint16_t port, uint32_t count, int *ret_sockets,
                           uint16_t *ret_port, char *why, size_t why_size)
{
    QUO_REQUIRE(count > 0 && count <= QUO_LOOPS_MAX);
    struct quo_addresses addresses;
    int sockets[QUO_LOOPS_MAX];
    const int error = quo_resolve(host, port, AI_PASSIVE, &addresses);
    if (error != 0) {
        snprintf(why, why_size, "%s port %u: %s", host, (unsigned)port,
                 error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
        return QUO_UNAVAILABLE;
    }
    for (uint32_t i = 0; i < addresses.count; i++) {
        if (listen_all(&addresses.at[i], count, sockets, &port) == 0)
            continue;
        memcpy(ret_sockets, sockets, count * sizeof sockets[0]);
        *ret_port = port;
        return QUO_OK;
    }
    snprintf(why, why_size, "%s port %u: %s", host, (unsigned)port, strerror(errno));
    return QUO_UNAVAILABLE;
}
