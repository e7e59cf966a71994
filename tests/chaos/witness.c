/* Holds one node to its promises: none that was answered may be gone after a crash.
 *
 *   chaos-witness MAP NODE
 *
 * Prepares keys of its own over and over, under rising ballots, as a proposer would that never gets
 * further. Each time it has to connect anew it asks for every key what is promised now: it must be
 * what was answered, or more. Clients seldom notice a promise that is forgotten, since somebody
 * must just then be using an older one; the next crash may be different.
 *
 * Prints a line that begins with BROKEN for each promise that is gone, and when stdin ends how many
 * there were. The status is always 0 then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "quorate/map_file.h"
#include "quorate/rpc.h"

#define KEYS 32u
#define AT_ONCE 4u        /* prepares under way */
#define PAUSE_MS 8        /* between such groups: a witness shall not be the load */
#define RECONNECT_MS 20   /* pause before a new connection */
#define PATIENCE_S 1      /* for an answer */
#define QUESTIONS_MAX 50u /* until a node that is busy tells what it promised */
#define NAMESPACE "bank"

struct key {
    char name[24];
    uint16_t partition;
    struct quo_version promised; /* the highest that was answered */
};

struct witness {
    const struct quo_map *map;
    const struct quo_namespace *ns;
    const struct quo_node_info *node;
    struct key keys[KEYS];
    uint64_t hlc;         /* of the last ballot */
    uint64_t chance;      /* this proposer's half of its ballots */
    int socket;           /* -1: none */
    size_t filled, taken; /* bytes received; of them the frames already handled */
    uint8_t in[1 << 16], out[1 << 12];
    uint64_t promises, questions, connections, broken;
};

/* Waits. Returns false once stdin has ended. */
static bool linger(int ms)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&in, 1, ms) == 0;
}

static void choose_keys(struct witness *w)
{
    for (uint32_t i = 0, found = 0; found < KEYS; i++) {
        struct key *key = &w->keys[found];
        int len = snprintf(key->name, sizeof key->name, "promise-%" PRIu32, i);
        QUO_REQUIRE(len > 0 && (size_t)len < sizeof key->name);
        key->partition = quo_map_partition(w->map, w->ns->id, quo_slice_of(key->name));
        found += quo_entry_has(&w->map->entries[key->partition], w->node->replica);
    }
}

static struct quo_version next_ballot(struct witness *w)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    w->hlc = QUO_MAX(w->hlc + 1, ms << 16);
    return (struct quo_version){.hlc = w->hlc, .node = w->chance};
}

/* Sends the frame whose body stands in `out`. */
static bool send_frame(struct witness *w, uint8_t type, uint64_t id, size_t body_len)
{
    quo_frame_seal(w->out, type, id, body_len);
    size_t size = QUO_FRAME_HEADER + body_len;
    return send(w->socket, w->out, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool send_hello(struct witness *w)
{
    const struct quo_msg_hello hello = {
        .version_min = QUO_PROTOCOL_VERSION,
        .version_max = QUO_PROTOCOL_VERSION,
        .cluster = w->map->cluster,
        .epoch = w->map->epoch,
    };
    quo_msg_hello_encode(&hello, w->out + QUO_FRAME_HEADER);
    return send_frame(w, QUO_MESSAGE_HELLO, 0, quo_msg_hello_size(&hello));
}

static struct quo_slice entry_of(const struct witness *w, const struct key *key, uint8_t *room)
{
    const struct quo_entry *entry = &w->map->entries[key->partition];
    quo_entry_encode(entry, room);
    return quo_slice(room, quo_entry_size(entry));
}

static bool send_prepare(struct witness *w, const struct key *key, struct quo_version ballot)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    const struct quo_msg_prep prep = {
        .partition = key->partition,
        .ns = w->ns->id,
        .kind = (uint8_t)w->ns->kind,
        .entry = entry_of(w, key, entry),
        .ballot = ballot,
        .key = quo_slice_of(key->name),
    };
    quo_msg_prep_encode(&prep, w->out + QUO_FRAME_HEADER);
    return send_frame(w, QUO_MESSAGE_PREP, (uint64_t)(key - w->keys) + 1, quo_msg_prep_size(&prep));
}

static bool send_question(struct witness *w, const struct key *key)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    const struct quo_msg_query query = {
        .partition = key->partition,
        .ns = w->ns->id,
        .kind = (uint8_t)w->ns->kind,
        .entry = entry_of(w, key, entry),
        .key = quo_slice_of(key->name),
    };
    quo_msg_query_encode(&query, w->out + QUO_FRAME_HEADER);
    return send_frame(w, QUO_MESSAGE_QUERY, (uint64_t)(key - w->keys) + 1,
                      quo_msg_query_size(&query));
}

/* The next frame, which borrows from `in` until the next call. False: the connection is over. */
static bool receive(struct witness *w, struct quo_frame *ret)
{
    for (;;) {
        size_t size;
        struct quo_slice bytes = quo_slice(w->in + w->taken, w->filled - w->taken);
        enum quo_status status = quo_frame_next(bytes, ret, &size);
        if (status == QUO_OK) {
            w->taken += size;
            return true;
        }
        if (status != QUO_MORE)
            return false;
        memmove(w->in, w->in + w->taken, bytes.len);
        w->filled = bytes.len;
        w->taken = 0;
        ssize_t n = recv(w->socket, w->in + w->filled, sizeof w->in - w->filled, 0);
        if (n <= 0)
            return false;
        w->filled += (size_t)n;
    }
}

/* The next reply. Its id less one is the key it is about. */
static bool receive_reply(struct witness *w, struct key **ret_key, struct quo_msg_reply *ret)
{
    struct quo_frame frame;
    struct quo_msg_ping ping;
    while (receive(w, &frame)) {
        if (frame.type == QUO_MESSAGE_REPLY) {
            QUO_REQUIRE(frame.id >= 1 && frame.id <= KEYS);
            *ret_key = &w->keys[frame.id - 1];
            return quo_msg_reply_decode(frame.body, ret) == QUO_OK;
        }
        if (frame.type != QUO_MESSAGE_PING || quo_msg_ping_decode(frame.body, &ping) != QUO_OK)
            return false;
        const struct quo_msg_pong pong = {.sent_us = ping.sent_us};
        quo_msg_pong_encode(&pong, w->out + QUO_FRAME_HEADER);
        if (!send_frame(w, QUO_MESSAGE_PONG, 0, quo_msg_pong_size(&pong)))
            return false;
    }
    return false;
}

static bool open_connection(struct witness *w)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(w->node->port)};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const int yes = 1;
    struct quo_frame frame;

    QUO_REQUIRE(inet_pton(AF_INET, w->node->host, &to.sin_addr) == 1);
    w->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    QUO_REQUIRE(w->socket >= 0);
    setsockopt(w->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(w->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(w->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    w->filled = w->taken = 0;
    return connect(w->socket, (const struct sockaddr *)&to, sizeof to) == 0 && send_hello(w) &&
           receive(w, &frame) && frame.type == QUO_MESSAGE_HELLO;
}

static void judge(struct witness *w, const struct key *key, struct quo_version now)
{
    char was[QUO_VERSION_TEXT + 1], is[QUO_VERSION_TEXT + 1];
    w->questions++;
    if (quo_version_compare(now, key->promised) >= 0)
        return;
    quo_version_format(key->promised, was);
    quo_version_format(now, is);
    printf("BROKEN %s promised %s of key %s, and after it came back only %s\n", w->node->name, was,
           key->name, is);
    fflush(stdout);
    w->broken++;
}

/* What the node says of its promises now. */
static bool ask(struct witness *w, const struct key *key)
{
    for (uint32_t i = 0; i < QUESTIONS_MAX; i++) {
        struct quo_msg_reply reply;
        struct key *answered;
        if (!send_question(w, key) || !receive_reply(w, &answered, &reply))
            return false;
        if (reply.status == QUO_OK) {
            judge(w, key, reply.promised);
            return true;
        }
        linger(RECONNECT_MS);
    }
    return false;
}

static bool ask_all(struct witness *w)
{
    for (uint32_t i = 0; i < KEYS; i++)
        if (!quo_version_is_none(w->keys[i].promised) && !ask(w, &w->keys[i]))
            return false;
    return true;
}

/* A few prepares at once, of the keys from `start` on. */
static bool prepare(struct witness *w, uint32_t start)
{
    struct quo_version ballots[AT_ONCE];
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        ballots[i] = next_ballot(w);
        if (!send_prepare(w, &w->keys[(start + i) % KEYS], ballots[i]))
            return false;
    }
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        struct quo_msg_reply reply;
        struct key *key;
        if (!receive_reply(w, &key, &reply))
            return false;
        if (reply.status != QUO_OK)
            continue;
        key->promised = ballots[((uint32_t)(key - w->keys) + KEYS - start) % KEYS];
        w->promises++;
    }
    return true;
}

static void watch(struct witness *w)
{
    if (open_connection(w) && ask_all(w)) {
        w->connections++;
        for (uint32_t start = 0; prepare(w, start) && linger(PAUSE_MS);)
            start = (start + AT_ONCE) % KEYS;
    }
    close(w->socket);
    w->socket = -1;
}

static const struct quo_node_info *find_node(const struct quo_map *map, const char *name)
{
    for (uint32_t i = 0; i < map->node_count; i++)
        if (strcmp(map->nodes[i].name, name) == 0)
            return &map->nodes[i];
    return NULL;
}

int main(int argc, char **argv)
{
    static struct quo_map map;
    static struct witness w = {.socket = -1};
    char why[256];
    if (argc != 3 || quo_map_load(argv[1], &map, why, sizeof why) != QUO_OK) {
        fprintf(stderr, "chaos-witness MAP NODE: %s\n", argc != 3 ? "two arguments" : why);
        return 2;
    }
    w.map = &map;
    w.ns = quo_map_namespace(&map, quo_slice_of(NAMESPACE));
    w.node = find_node(&map, argv[2]);
    w.chance = (uint64_t)getpid() << 32 | 1;
    if (w.ns == NULL || w.node == NULL) {
        fprintf(stderr, "chaos-witness: no such node or namespace\n");
        return 2;
    }
    choose_keys(&w);
    while (linger(RECONNECT_MS))
        watch(&w);
    printf("%" PRIu64 " promises, %" PRIu64 " asked for again in %" PRIu64 " connections, %" PRIu64
           " broken\n",
           w.promises, w.questions, w.connections, w.broken);
    return 0;
}
