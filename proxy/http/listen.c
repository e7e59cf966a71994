#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/http/server.h"

#define BACKLOG 4096

/* Returns a bound socket, or -1 with errno. */
static int bind_one(const struct addrinfo *address, bool shared)
{
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        bind(fd, address->ai_addr, address->ai_addrlen) != 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Whether nobody listens there: a shared bind alone would succeed beside another proxy. */
static bool is_free(const struct addrinfo *address)
{
    int fd = bind_one(address, false);

    if (fd < 0)
        return false;
    close(fd);
    return true;
}

/* Writes the port that the kernel gave to `fd` into the address. */
static bool learn_port(int fd, struct addrinfo *address, uint16_t *ret)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0 || len != address->ai_addrlen)
        return false;
    memcpy(address->ai_addr, &name, len);
    *ret = name.ss_family == AF_INET6
               ? ntohs(((const struct sockaddr_in6 *)(const void *)&name)->sin6_port)
               : ntohs(((const struct sockaddr_in *)(const void *)&name)->sin_port);
    return true;
}

static bool listen_all(struct addrinfo *address, uint32_t count, int *sockets, uint16_t *ret_port)
{
    uint32_t opened = 0;
    int saved;

    if (!is_free(address))
        return false;
    for (; opened < count; opened++) {
        sockets[opened] = bind_one(address, count > 1);
        if (sockets[opened] < 0)
            break;
        if (opened == 0 && !learn_port(sockets[0], address, ret_port)) {
            opened++;
            break;
        }
    }
    for (uint32_t i = 0; opened == count && i < count; i++) {
        if (listen(sockets[i], BACKLOG) != 0)
            break;
        if (i + 1 == count)
            return true;
    }
    saved = errno;
    while (opened > 0)
        close(sockets[--opened]);
    errno = saved;
    return false;
}

enum quo_status quo_http_listen(const char *host, uint16_t port, uint32_t count, int *ret_sockets,
                                uint16_t *ret_port, char *why, size_t why_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    char service[8];
    int failed;
    bool done;

    QUO_REQUIRE(count > 0);
    snprintf(service, sizeof service, "%u", port);
    failed = getaddrinfo(host, service, &hints, &addresses);
    if (failed != 0) {
        snprintf(why, why_size, "%s: %s", host, gai_strerror(failed));
        return QUO_UNAVAILABLE;
    }
    done = listen_all(addresses, count, ret_sockets, ret_port);
    if (!done)
        snprintf(why, why_size, "%s port %u: %s", host, port, strerror(errno));
    freeaddrinfo(addresses);
    return done ? QUO_OK : QUO_UNAVAILABLE;
}
