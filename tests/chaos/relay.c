/* Stands between a proxy and its nodes and makes links slow: delays, throttles, stalls.
 *
 *   chaos-relay LISTEN_PORT:HOST:PORT...
 *
 * Listens on loopback, one port a link. Orders come on stdin, one a line:
 *
 *   LINK DIRECTION DELAY_US JITTER_US BYTES_PER_SECOND
 *
 * LINK counts from 0, DIRECTION is 0 (to the node) or 1 (back); 0 bytes a second means no limit,
 * and a delay below 0 stops the link altogether. An order holds for open connections too; bytes
 * already waiting keep their time. The order of bytes is never changed, as it is not on a TCP
 * connection. Ends when stdin ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINKS_MAX 16
#define CONNECTIONS_MAX 256
#define CHUNK 16384
#define WAITING_MAX (512 * 1024) /* bytes on their way in one direction before reading stops */

struct order {
    int64_t delay_us; /* < 0: nothing passes */
    int64_t jitter_us;
    int64_t rate;
};

struct link {
    int listener;
    struct sockaddr_in node;
    struct order orders[2];
};

struct chunk {
    struct chunk *next;
    int64_t due_us;
    size_t size, sent;
    char bytes[];
};

/* One direction of one connection: from `in` to the other end's socket. */
struct flow {
    struct chunk *head, **tail;
    size_t waiting;
    int64_t last_due_us; /* later bytes are never due before earlier ones */
    bool ended, closed;  /* its source has no more; that was passed on */
};

struct connection {
    struct link *link;
    int sockets[2]; /* 0: the proxy's, 1: the node's */
    bool connecting;
    struct flow flows[2]; /* [i]: read from sockets[i] */
};

static struct link links[LINKS_MAX];
static size_t link_count;
static struct connection *connections[CONNECTIONS_MAX];
static size_t connection_count;

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void start_link(struct link *link, const char *text)
{
    unsigned listen_port, port;
    char host[64];
    if (sscanf(text, "%u:%63[0-9.]:%u", &listen_port, host, &port) != 3) {
        fprintf(stderr, "not PORT:HOST:PORT: %s\n", text);
        exit(2);
    }
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)listen_port)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    link->node = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &link->node.sin_addr);
    link->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(link->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (link->listener < 0 || bind(link->listener, (struct sockaddr *)&here, sizeof here) != 0 ||
        listen(link->listener, 64) != 0)
        die(text);
}

static void no_delay(int socket_)
{
    int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void accept_one(struct link *link)
{
    int from = accept4(link->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (from < 0)
        return;
    int to = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (to < 0 || connection_count == CONNECTIONS_MAX)
        die("too many connections");
    no_delay(from);
    no_delay(to);
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL)
        die("calloc");
    c->link = link;
    c->sockets[0] = from;
    c->sockets[1] = to;
    c->connecting = connect(to, (struct sockaddr *)&link->node, sizeof link->node) != 0;
    for (int i = 0; i < 2; i++)
        c->flows[i].tail = &c->flows[i].head;
    connections[connection_count++] = c;
}

/* Both ends see a reset, as they would without a relay between them. */
static void break_connection(size_t at)
{
    struct connection *c = connections[at];
    for (int i = 0; i < 2; i++) {
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(c->sockets[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(c->sockets[i]);
        while (c->flows[i].head != NULL) {
            struct chunk *chunk = c->flows[i].head;
            c->flows[i].head = chunk->next;
            free(chunk);
        }
    }
    free(c);
    connections[at] = connections[--connection_count];
}

/* Returns false if the connection broke. */
static bool take(struct connection *c, int side, int64_t now)
{
    struct flow *flow = &c->flows[side];
    const struct order *order = &c->link->orders[side];
    char bytes[CHUNK];
    ssize_t n = read(c->sockets[side], bytes, sizeof bytes);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
        flow->ended = true;
        return true;
    }
    struct chunk *chunk = malloc(sizeof *chunk + (size_t)n);
    if (chunk == NULL)
        die("malloc");
    int64_t due = now + (order->delay_us > 0 ? order->delay_us : 0);
    if (order->jitter_us > 0)
        due += random() % order->jitter_us;
    if (due < flow->last_due_us)
        due = flow->last_due_us;
    if (order->rate > 0)
        due += (int64_t)n * 1000000 / order->rate;
    flow->last_due_us = due;
    *chunk = (struct chunk){.due_us = due, .size = (size_t)n};
    memcpy(chunk->bytes, bytes, (size_t)n);
    *flow->tail = chunk;
    flow->tail = &chunk->next;
    flow->waiting += (size_t)n;
    return true;
}

/* Sends what is due. Returns false if the connection broke. */
static bool give(struct connection *c, int side, int64_t now)
{
    struct flow *flow = &c->flows[side];
    int to = c->sockets[!side];
    while (flow->head != NULL && flow->head->due_us <= now) {
        struct chunk *chunk = flow->head;
        ssize_t n = send(to, chunk->bytes + chunk->sent, chunk->size - chunk->sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        chunk->sent += (size_t)n;
        if (chunk->sent < chunk->size)
            return true;
        flow->waiting -= chunk->size;
        flow->head = chunk->next;
        if (flow->head == NULL)
            flow->tail = &flow->head;
        free(chunk);
    }
    if (flow->ended && flow->head == NULL && !flow->closed) {
        flow->closed = true;
        shutdown(to, SHUT_WR);
    }
    return true;
}

static bool passes(const struct connection *c, int side)
{
    return c->link->orders[side].delay_us >= 0;
}

/* Fills in what to wait for on both sockets; lowers *wake_us to when bytes become due. */
static void wish(const struct connection *c, struct pollfd out[2], int64_t now, int64_t *wake_us)
{
    for (int i = 0; i < 2; i++) {
        const struct flow *flow = &c->flows[i];
        if (!c->connecting && passes(c, i) && !flow->ended && flow->waiting < WAITING_MAX)
            out[i].events |= POLLIN;
        if (c->connecting || !passes(c, i) || flow->head == NULL)
            continue;
        if (flow->head->due_us <= now)
            out[!i].events |= POLLOUT;
        else if (flow->head->due_us < *wake_us)
            *wake_us = flow->head->due_us;
    }
    if (c->connecting)
        out[1].events |= POLLOUT;
}

/* Returns false if the connection is over. */
static bool serve(struct connection *c, const struct pollfd seen[2], int64_t now)
{
    if (c->connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        if ((seen[1].revents & (POLLOUT | POLLERR | POLLHUP)) == 0)
            return (seen[0].revents & (POLLERR | POLLHUP)) == 0;
        getsockopt(c->sockets[1], SOL_SOCKET, SO_ERROR, &error, &size);
        c->connecting = false;
        if (error != 0)
            return false;
    }
    for (int i = 0; i < 2; i++) {
        if ((seen[i].revents & POLLERR) != 0)
            return false;
        if ((seen[i].revents & (POLLIN | POLLHUP)) != 0 && passes(c, i) && !c->flows[i].ended &&
            !take(c, i, now))
            return false;
        if (passes(c, i) && !give(c, i, now))
            return false;
    }
    return !c->flows[0].closed || !c->flows[1].closed;
}

static void obey(const char *line)
{
    unsigned link, direction;
    long long delay, jitter, rate;
    if (sscanf(line, "%u %u %lld %lld %lld", &link, &direction, &delay, &jitter, &rate) != 5 ||
        link >= link_count || direction > 1) {
        fprintf(stderr, "no order: %s\n", line);
        exit(2);
    }
    links[link].orders[direction] =
        (struct order){.delay_us = delay, .jitter_us = jitter, .rate = rate};
}

/* Returns false at the end of the orders. */
static bool read_orders(void)
{
    static char text[4096];
    static size_t used;
    ssize_t n = read(STDIN_FILENO, text + used, sizeof text - 1 - used);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    used += (size_t)n;
    text[used] = '\0';
    char *line = text, *end;
    while ((end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        obey(line);
        line = end + 1;
    }
    used -= (size_t)(line - text);
    memmove(text, line, used);
    return used < sizeof text - 1;
}

/* One wait and what it brought. Returns false at the end of the orders. */
static bool turn(void)
{
    static struct pollfd polled[1 + LINKS_MAX + 2 * CONNECTIONS_MAX];
    size_t base = 1 + link_count, count = connection_count;
    int64_t now = now_us(), wake = now + 1000000;

    polled[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    for (size_t i = 0; i < link_count; i++)
        polled[1 + i] = (struct pollfd){.fd = links[i].listener, .events = POLLIN};
    for (size_t i = 0; i < count; i++) {
        struct pollfd *pair = &polled[base + 2 * i];
        for (int side = 0; side < 2; side++)
            pair[side] = (struct pollfd){.fd = connections[i]->sockets[side]};
        wish(connections[i], pair, now, &wake);
        /* A socket that has hung up and may not be read would wake us without end. */
        for (int side = 0; side < 2; side++)
            if (pair[side].events == 0 && !connections[i]->connecting)
                pair[side].fd = -1;
    }
    struct timespec wait = {.tv_sec = (wake - now) / 1000000,
                            .tv_nsec = (wake - now) % 1000000 * 1000};
    if (ppoll(polled, base + 2 * count, &wait, NULL) < 0 && errno != EINTR)
        die("ppoll");
    now = now_us();
    for (size_t i = count; i-- > 0;)
        if (!serve(connections[i], &polled[base + 2 * i], now))
            break_connection(i);
    for (size_t i = 0; i < link_count; i++)
        if ((polled[1 + i].revents & POLLIN) != 0)
            accept_one(&links[i]);
    return (polled[0].revents & (POLLIN | POLLHUP)) == 0 || read_orders();
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc - 1 > LINKS_MAX) {
        fprintf(stderr, "usage: chaos-relay LISTEN_PORT:HOST:PORT...\n");
        return 2;
    }
    for (; link_count < (size_t)argc - 1; link_count++)
        start_link(&links[link_count], argv[link_count + 1]);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    puts("ready");
    fflush(stdout);
    while (turn())
        continue;
    return 0;
}
