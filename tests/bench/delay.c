/* quorate-bench-delay LISTEN TO MILLISECONDS: a TCP relay on loopback that passes every byte on so
 * much later, in both directions. It stands in front of a node to make it slow where the kernel
 * cannot (netem is a module that is not everywhere, and needs rights); other nodes and the proxy
 * get the node's address from the map, so all that they send it comes through here. With 0 it
 * delays nothing: that is what a slow node is compared with.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "number.h"

#define PIECE 65536
#define QUEUE_MAX (64u * 1024 * 1024) /* bytes of one direction; then it is read no further */

struct piece {
    struct piece *next;
    uint64_t due;
    size_t size, sent;
    char bytes[];
};

/* One direction: what comes from `from` leaves at `to`. */
struct direction {
    struct end *from, *to;
    struct piece *first, **last;
    size_t queued;
};

struct end {
    int fd;
    struct direction *out, *in; /* what it is the source of, and what it is sent */
};

struct pair {
    struct pair *next;
    struct end ends[2];
    struct direction directions[2];
    bool closed;
};

static struct pair *pairs;
static int poller;
static uint64_t delay_ms;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct sockaddr_in loopback(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void watch(struct pair *pair, int fd)
{
    int on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = pair};
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) {
        err(1, "watch");
    }
}

static void accept_one(int listener, unsigned to)
{
    struct pair *pair = calloc(1, sizeof *pair);
    struct sockaddr_in address = loopback(to);
    int client = accept(listener, NULL, NULL);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (!pair || client < 0 || server < 0) {
        err(1, "accept");
    }
    if (connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
        close(client);
        close(server);
        free(pair);
        return;
    }
    for (int i = 0; i < 2; i++) {
        pair->ends[i] =
            (struct end){i == 0 ? client : server, &pair->directions[i], &pair->directions[1 - i]};
        pair->directions[i].from = &pair->ends[i];
        pair->directions[i].to = &pair->ends[1 - i];
        pair->directions[i].last = &pair->directions[i].first;
    }
    watch(pair, client);
    watch(pair, server);
    pair->next = pairs;
    pairs = pair;
}

/* Returns false when the connection is over. */
static bool read_some(struct direction *direction)
{
    if (direction->queued > QUEUE_MAX) {
        return true;
    }
    struct piece *piece = malloc(sizeof *piece + PIECE);
    if (!piece) {
        err(1, "memory");
    }
    ssize_t got = recv(direction->from->fd, piece->bytes, PIECE, MSG_DONTWAIT);
    if (got <= 0) {
        free(piece);
        return got < 0 && errno == EAGAIN;
    }
    piece = realloc(piece, sizeof *piece + (size_t)got);
    if (!piece) {
        err(1, "memory");
    }
    piece->next = NULL;
    piece->due = now_ms() + delay_ms;
    piece->size = (size_t)got;
    piece->sent = 0;
    *direction->last = piece;
    direction->last = &piece->next;
    direction->queued += piece->size;
    return true;
}

/* Sends what is due. Returns false when the connection is over. */
static bool send_due(struct direction *direction, uint64_t now)
{
    struct piece *piece;
    while ((piece = direction->first) != NULL && piece->due <= now) {
        ssize_t done = send(direction->to->fd, piece->bytes + piece->sent,
                            piece->size - piece->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0) {
            return errno == EAGAIN;
        }
        piece->sent += (size_t)done;
        if (piece->sent < piece->size) {
            return true;
        }
        direction->queued -= piece->size;
        direction->first = piece->next;
        if (!direction->first) {
            direction->last = &direction->first;
        }
        free(piece);
    }
    return true;
}

static void drop_closed(void)
{
    for (struct pair **at = &pairs; *at;) {
        struct pair *pair = *at;
        if (!pair->closed) {
            at = &pair->next;
            continue;
        }
        *at = pair->next;
        for (int i = 0; i < 2; i++) {
            close(pair->ends[i].fd);
            while (pair->directions[i].first) {
                struct piece *piece = pair->directions[i].first;
                pair->directions[i].first = piece->next;
                free(piece);
            }
        }
        free(pair);
    }
}

/* Milliseconds until something is due; -1: nothing waits. */
static int send_all_due(void)
{
    uint64_t now = now_ms();
    int wait = -1;
    for (struct pair *pair = pairs; pair; pair = pair->next) {
        for (int i = 0; i < 2 && !pair->closed; i++) {
            struct direction *direction = &pair->directions[i];
            pair->closed = !send_due(direction, now);
            if (direction->first) {
                int rest = direction->first->due > now ? (int)(direction->first->due - now) : 1;
                wait = wait < 0 || rest < wait ? rest : wait;
            }
        }
    }
    drop_closed();
    return wait;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        errx(2, "usage: quorate-bench-delay LISTEN TO MILLISECONDS");
    }
    delay_ms = number(argv[3]);
    struct sockaddr_in address = loopback(number(argv[1]));
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    poller = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1024) != 0) {
        err(1, "port %s", argv[1]);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(poller, events, 64, send_all_due());
        for (int i = 0; i < count; i++) {
            struct pair *pair = events[i].data.ptr;
            if (!pair) {
                accept_one(listener, number(argv[2]));
                continue;
            }
            bool open = read_some(&pair->directions[0]) && read_some(&pair->directions[1]);
            pair->closed = pair->closed || !open;
        }
    }
}
