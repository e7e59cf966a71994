/* quorate-bench-load: the load that wrk cannot make, from one thread over epoll.
 *
 *   - at a fixed rate (--rate), the latency counted from when each request was due, so that a
 * system that stalls is charged for all that should have been sent meanwhile. Debian has nothing
 * that does this: wrk is a closed loop, wrk2 is not packaged, and h2load --rps counts from the
 * sending.
 *   - what depends on the last answer: a compare-and-set sends the tag that its last one brought.
 *   - Redis: several commands a request (SET and WAIT), which redis-benchmark cannot do.
 *
 * Requests come ready made from a file, each "SIZE\n" and its bytes, so that no system costs the
 * generator more than another. Prints one line of JSON. Latencies are kept one by one, so
 * percentiles are exact.
 */
#include <argp.h>
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answers.h"
#include "number.h"

#define SECOND 1000000000ull
#define DRAIN (2 * SECOND) /* how long answers are waited for after the end */
#define SAMPLES_MAX (1u << 26)
#define TAG_SIZE 40 /* of the marker, forty '@', that the tag in quotes and blanks replace */

static struct {
    unsigned port, connections, seconds, rate, replies, expect;
    int64_t least;
    const char *requests, *before, *tag_after, *body;
    bool resp, sequential;
} options = {.connections = 64, .seconds = 1, .replies = 1, .expect = 2};

struct request {
    char *bytes;
    size_t size;
    char *tag; /* in the bytes; NULL: there is none */
};

struct requests {
    struct request *all;
    size_t count;
};

struct connection {
    int fd; /* -1: broken */
    size_t number, turns, sent;
    struct request *request; /* under way; NULL: idle */
    uint64_t since;
    char *in;
    size_t have, room;
    bool blocked;
};

static struct {
    struct requests requests, before;
    struct connection *connections;
    struct connection **idle; /* a ring */
    size_t idle_first, idle_count, open;
    int epoll;
    bool preparing;
    uint64_t start, end, due, sent;
    uint32_t *samples;
    size_t sample_count;
    size_t answered, refused, broken, unanswered, wrapped, prepared;
    uint64_t chance;
} load;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static struct requests read_requests(const char *path)
{
    struct requests requests = {NULL, 0};
    FILE *file = fopen(path, "rb");
    if (!file) {
        err(2, "%s", path);
    }
    char marker[TAG_SIZE + 1];
    memset(marker, '@', TAG_SIZE);
    marker[TAG_SIZE] = '\0';
    size_t size;
    while (fscanf(file, "%zu", &size) == 1 && fgetc(file) == '\n') {
        if ((requests.count & (requests.count - 1)) == 0) {
            size_t room = requests.count ? 2 * requests.count : 1;
            requests.all = realloc(requests.all, room * sizeof *requests.all);
        }
        char *bytes = malloc(size + 1);
        if (!requests.all || !bytes || fread(bytes, 1, size, file) != size) {
            errx(2, "%s: request %zu is cut off", path, requests.count);
        }
        bytes[size] = '\0';
        requests.all[requests.count++] =
            (struct request){.bytes = bytes, .size = size, .tag = strstr(bytes, marker)};
    }
    fclose(file);
    if (requests.count == 0) {
        errx(2, "%s: no requests", path);
    }
    return requests;
}

static void sample(uint64_t since, uint64_t now)
{
    if (load.sample_count < SAMPLES_MAX) {
        uint64_t us = (now - since) / 1000;
        load.samples[load.sample_count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    }
}

static void make_idle(struct connection *connection)
{
    load.idle[(load.idle_first + load.idle_count++) % options.connections] = connection;
}

static void break_off(struct connection *connection)
{
    if (load.preparing) {
        errx(1, "a connection broke before the measurement");
    }
    close(connection->fd);
    connection->fd = -1;
    load.broken++;
    load.open--;
}

static void watch(struct connection *connection, int how)
{
    struct epoll_event event = {.events = EPOLLIN | (connection->blocked ? EPOLLOUT : 0),
                                .data.ptr = connection};
    if (epoll_ctl(load.epoll, how, connection->fd, &event) != 0) {
        err(2, "epoll_ctl");
    }
}

static void send_rest(struct connection *connection)
{
    struct request *request = connection->request;
    ssize_t done = send(connection->fd, request->bytes + connection->sent,
                        request->size - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done < 0 && errno != EAGAIN) {
        break_off(connection);
        return;
    }
    connection->sent += done > 0 ? (size_t)done : 0;
    bool blocked = connection->sent < request->size;
    if (blocked != connection->blocked) {
        connection->blocked = blocked;
        watch(connection, EPOLL_CTL_MOD);
    }
}

/* How many of the requests are a connection's own, those whose numbers are its number modulo the
 * connections: the tags of these keys are nobody else's. */
static size_t own(const struct connection *connection, const struct requests *from)
{
    return (from->count + options.connections - 1 - connection->number) / options.connections;
}

static uint64_t chance(void)
{
    load.chance ^= load.chance << 13;
    load.chance ^= load.chance >> 7;
    load.chance ^= load.chance << 17;
    return load.chance >> 16;
}

static struct request *choose(struct connection *connection)
{
    struct requests *from = load.preparing ? &load.before : &load.requests;
    if (!options.tag_after && !options.sequential && !load.preparing) {
        return &from->all[chance() % from->count];
    }
    size_t count = own(connection, from);
    size_t turn = connection->turns++;
    if (load.preparing || options.sequential) {
        load.wrapped += turn == count;
    } else {
        turn = chance();
    }
    return &from->all[connection->number + turn % count * options.connections];
}

static void start(struct connection *connection, uint64_t since)
{
    connection->request = choose(connection);
    connection->since = since;
    connection->sent = 0;
    send_rest(connection);
}

/* The tag, in quotes, behind options.tag_after goes into the next request of the same key. */
static void keep_tag(const struct connection *connection, size_t size)
{
    struct requests *from = load.preparing ? &load.before : &load.requests;
    char *tag = load.requests.all[connection->request - from->all].tag;
    const char *found =
        tag ? memmem(connection->in, size, options.tag_after, strlen(options.tag_after)) : NULL;
    if (!found) {
        return;
    }
    found += strlen(options.tag_after);
    const char *close = memchr(found + 1, '"', size - (size_t)(found + 1 - connection->in));
    if (*found == '"' && close && close - found < TAG_SIZE) {
        memset(tag, ' ', TAG_SIZE);
        memcpy(tag, found, (size_t)(close - found) + 1);
    }
}

static bool is_good(const struct connection *connection, const struct answer *answer)
{
    bool status = options.expect < 10 ? answer->status / 100 == (int)options.expect
                                      : answer->status == (int)options.expect;
    return status && answer->least >= options.least &&
           (load.preparing || !options.body ||
            memmem(connection->in, answer->size, options.body, strlen(options.body)));
}

static void finish(struct connection *connection, const struct answer *answer)
{
    uint64_t now = now_ns();
    bool good = is_good(connection, answer);
    if (options.tag_after) {
        keep_tag(connection, answer->size);
    }
    connection->request = NULL;
    connection->have -= answer->size;
    memmove(connection->in, connection->in + answer->size, connection->have);
    if (load.preparing) {
        if (!good) {
            errx(1, "a request before the measurement was answered %d", answer->status);
        }
        load.prepared++;
        if (connection->turns < own(connection, &load.before)) {
            start(connection, now);
        }
        return;
    }
    load.refused += !good;
    if (now < load.end) {
        load.answered++;
    }
    sample(connection->since, now);
    if (options.rate == 0 && now < load.end) {
        start(connection, now);
    } else {
        make_idle(connection);
    }
}

static void take(struct connection *connection)
{
    if (connection->room - connection->have < 16384) {
        connection->room = connection->room ? 2 * connection->room : 32768;
        connection->in = realloc(connection->in, connection->room);
        if (!connection->in) {
            err(2, "memory");
        }
    }
    ssize_t got = recv(connection->fd, connection->in + connection->have,
                       connection->room - connection->have, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    struct answer answer;
    enum answer_state state = ANSWER_BROKEN;
    if (got > 0 && connection->request) {
        connection->have += (size_t)got;
        state = options.resp
                    ? answer_resp(connection->in, connection->have, options.replies, &answer)
                    : answer_http(connection->in, connection->have, &answer);
    }
    if (state == ANSWER_BROKEN) {
        break_off(connection);
    } else if (state == ANSWER_WHOLE) {
        finish(connection, &answer);
    }
}

/* Sends what is due as far as connections are idle. Returns the nanoseconds until there is more to
 * do than to receive. */
static uint64_t dispatch(uint64_t now)
{
    while (options.rate > 0 && load.due <= now && load.due < load.end && load.idle_count > 0) {
        struct connection *connection = load.idle[load.idle_first];
        load.idle_first = (load.idle_first + 1) % options.connections;
        load.idle_count--;
        uint64_t due = load.due;
        load.due = load.start + ++load.sent * SECOND / options.rate;
        start(connection, due);
    }
    uint64_t next = now < load.end ? load.end : load.end + DRAIN;
    if (options.rate > 0 && load.idle_count > 0 && load.due < next) {
        next = load.due;
    }
    return next > now ? next - now : 0;
}

static bool is_over(uint64_t now)
{
    if (load.preparing) {
        return load.prepared == load.before.count;
    }
    if (load.open == 0 || now < load.end) {
        return load.open == 0;
    }
    bool all = load.due >= load.end && load.idle_count >= load.open;
    return options.rate == 0 || all || now >= load.end + DRAIN;
}

static void run(void)
{
    struct epoll_event events[256];
    for (;;) {
        uint64_t now = now_ns();
        uint64_t rest = load.preparing ? SECOND : dispatch(now);
        if (is_over(now)) {
            return;
        }
        struct timespec wait = {.tv_sec = (time_t)(rest / SECOND),
                                .tv_nsec = (long)(rest % SECOND)};
        int count = epoll_pwait2(load.epoll, events, 256, &wait, NULL);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection->blocked) {
                send_rest(connection);
            }
            if (connection->fd >= 0 && (events[i].events & ~(unsigned)EPOLLOUT)) {
                take(connection);
            }
        }
    }
}

/* What was due and not answered was late by at least the time that has passed. */
static void count_unanswered(void)
{
    uint64_t now = now_ns();
    for (size_t i = 0; options.rate > 0 && i < options.connections; i++) {
        if (load.connections[i].request) {
            sample(load.connections[i].since, now);
            load.unanswered++;
        }
    }
    for (; options.rate > 0 && load.due < load.end; load.unanswered++) {
        sample(load.due, now);
        load.due = load.start + ++load.sent * SECOND / options.rate;
    }
}

static void open_connections(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    load.connections = calloc(options.connections, sizeof *load.connections);
    load.idle = calloc(options.connections, sizeof(struct connection *));
    load.samples = malloc(SAMPLES_MAX * sizeof *load.samples);
    load.epoll = epoll_create1(0);
    if (!load.connections || !load.idle || !load.samples || load.epoll < 0) {
        err(2, "start");
    }
    for (size_t i = 0; i < options.connections; i++) {
        struct connection *connection = &load.connections[i];
        connection->number = i;
        connection->fd = socket(AF_INET, SOCK_STREAM, 0);
        int on = 1;
        if (connection->fd < 0 ||
            connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
            setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
            err(1, "port %u", options.port);
        }
        watch(connection, EPOLL_CTL_ADD);
        load.open++;
    }
}

/* Every request of --before once; then those that are measured. */
static void run_all(void)
{
    load.preparing = load.before.count > 0;
    if (load.preparing) {
        for (size_t i = 0; i < options.connections; i++) {
            start(&load.connections[i], 0);
        }
        run();
        load.preparing = false;
    }
    load.start = load.due = now_ns();
    load.end = load.start + options.seconds * SECOND;
    for (size_t i = 0; i < options.connections; i++) {
        load.connections[i].turns = 0;
        if (options.rate > 0) {
            make_idle(&load.connections[i]);
        } else {
            start(&load.connections[i], now_ns());
        }
    }
    run();
    count_unanswered();
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static unsigned percentile(double share)
{
    if (load.sample_count == 0) {
        return 0;
    }
    size_t rank = (size_t)(share * (double)load.sample_count);
    return load.samples[rank < load.sample_count ? rank : load.sample_count - 1];
}

static void report(void)
{
    qsort(load.samples, load.sample_count, sizeof *load.samples, by_size);
    printf("{\"requests\": %zu, \"us\": %llu, \"p50_us\": %u, \"p90_us\": %u, \"p99_us\": %u, "
           "\"p999_us\": %u, \"max_us\": %u, \"refused\": %zu, \"broken\": %zu, "
           "\"unanswered\": %zu, \"wrapped\": %zu}\n",
           load.answered, options.seconds * SECOND / 1000, percentile(0.5), percentile(0.9),
           percentile(0.99), percentile(0.999), percentile(1), load.refused, load.broken,
           load.unanswered, load.wrapped);
}

static const struct argp_option argp_options[] = {
    {"port", 'p', "PORT", 0, "on loopback", 0},
    {"connections", 'c', "N", 0, "one request under way on each (64)", 0},
    {"seconds", 's', "N", 0, "to measure (1)", 0},
    {"rate", 'r', "N", 0, "requests a second, all connections together; 0: a closed loop (0)", 0},
    {"requests", 'f', "FILE", 0, "what to send", 0},
    {"before", 'b', "FILE", 0, "what to send once before, in order, and not to measure", 0},
    {"sequential", 'q', 0, 0, "send them in order; otherwise by chance", 0},
    {"tag-after", 't', "TEXT", 0, "a quoted tag stands there in answers: put it for '@@...'", 0},
    {"body", 'y', "TEXT", 0, "what has to be in every answer", 0},
    {"expect", 'e', "STATUS", 0, "a status, or the first digit of one (2)", 0},
    {"resp", 'R', "REPLIES", 0, "speak RESP, with so many replies a request", 0},
    {"least", 'l', "N", 0, "RESP: integers less than this are refusals", 0},
    {0},
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    switch (key) {
    case 'p':
        options.port = number(value);
        break;
    case 'c':
        options.connections = number(value);
        break;
    case 's':
        options.seconds = number(value);
        break;
    case 'r':
        options.rate = number(value);
        break;
    case 'f':
        options.requests = value;
        break;
    case 'b':
        options.before = value;
        break;
    case 'q':
        options.sequential = true;
        break;
    case 't':
        options.tag_after = value;
        break;
    case 'y':
        options.body = value;
        break;
    case 'e':
        options.expect = number(value);
        break;
    case 'R':
        options.resp = true;
        options.replies = number(value);
        break;
    case 'l':
        options.least = number(value);
        break;
    case ARGP_KEY_END:
        if (!options.requests || options.port == 0 || options.connections == 0) {
            argp_error(state, "--port, --requests and --connections are needed");
        }
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {.options = argp_options, .parser = parse_option};
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    load.chance = now_ns() | 1;
    load.requests = read_requests(options.requests);
    if (options.before) {
        load.before = read_requests(options.before);
    }
    bool owned = options.tag_after || options.sequential || options.before;
    if (owned && load.requests.count < options.connections) {
        errx(2, "%zu requests are too few", load.requests.count);
    }
    if (options.before && load.before.count != load.requests.count) {
        errx(2, "there have to be as many requests before as later");
    }
    open_connections();
    run_all();
    report();
    return 0;
}
