/* A storage node's server with a memory engine, a transport that keeps the replies and a mailbox
 * that runs when the test says so. Time stands still unless the test moves it. */
#ifndef QUORATE_TESTS_SERVER_HARNESS_H
#define QUORATE_TESTS_SERVER_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quorate/record.h"
#include "storage-node/engine/store_memory.h"
#include "storage-node/server/server.h"

enum { SELF = 11, SECOND = 22, THIRD = 33, STRANGER = 44 };
enum { NS_LWW = 1, NS_CAS = 2, NS_MIXED = 3, NS_CRDT = 4 };
#define PARTITIONS 8u
#define VALUE_MAX_OF_LWW 4096u
#define START_MS UINT64_C(1700000000000)
#define HLC(n) ((START_MS << 16) + (n))

struct sent_reply {
    uint64_t peer, id;
    struct quo_msg_reply reply; /* borrows from body */
    uint8_t *body;
};

struct harness {
    struct quo_env env;
    struct quo_mailbox mailbox;
    struct quo_transport transport;
    struct quo_store *store;
    struct quo_server *server;
    struct quo_transport *mesh; /* none unless the test sets it before the start */
    struct quo_map *map;
    uint64_t memory_max;
    uint64_t mono_us, wall_ms, randoms;
    struct quo_task *tasks, **tasks_end;

    struct sent_reply *replies;
    size_t reply_count, reply_capacity;
    uint8_t *reserved;
    size_t reserved_len;
    enum quo_status refuse; /* what reserve returns instead, if not QUO_OK */
    uint64_t last_id;
    struct quo_entry entry; /* that requests carry */
    uint16_t partition;
};

/* Ports */

static inline uint64_t harness_mono_us(struct quo_env *env)
{
    return QUO_CONTAINER_OF(env, struct harness, env)->mono_us;
}
static inline uint64_t harness_wall_ms(struct quo_env *env)
{
    return QUO_CONTAINER_OF(env, struct harness, env)->wall_ms;
}
static inline uint64_t harness_random(struct quo_env *env)
{
    return ++QUO_CONTAINER_OF(env, struct harness, env)->randoms;
}
static inline void harness_post(struct quo_mailbox *mailbox, struct quo_task *task)
{
    struct harness *h = QUO_CONTAINER_OF(mailbox, struct harness, mailbox);
    task->next = NULL;
    *h->tasks_end = task;
    h->tasks_end = &task->next;
}
static inline enum quo_status harness_reserve(struct quo_transport *transport, uint64_t peer,
                                              size_t body_len, uint8_t **ret_body)
{
    struct harness *h = QUO_CONTAINER_OF(transport, struct harness, transport);
    (void)peer;
    assert_null(h->reserved);
    assert_true(body_len <= QUO_FRAME_BODY_MAX);
    if (h->refuse != QUO_OK)
        return h->refuse;
    h->reserved = malloc(body_len);
    h->reserved_len = body_len;
    *ret_body = h->reserved;
    return QUO_OK;
}
static inline void harness_seal(struct quo_transport *transport, uint64_t peer, uint8_t type,
                                uint64_t id)
{
    struct harness *h = QUO_CONTAINER_OF(transport, struct harness, transport);
    assert_non_null(h->reserved);
    assert_int_equal(type, QUO_MESSAGE_REPLY);
    if (h->reply_count == h->reply_capacity) {
        h->reply_capacity = h->reply_capacity * 2 + 64;
        h->replies = realloc(h->replies, h->reply_capacity * sizeof *h->replies);
    }
    struct sent_reply *sent = &h->replies[h->reply_count++];
    *sent = (struct sent_reply){.peer = peer, .id = id, .body = h->reserved};
    assert_int_equal(quo_msg_reply_decode(quo_slice(h->reserved, h->reserved_len), &sent->reply),
                     QUO_OK);
    assert_true(quo_status_on_wire(sent->reply.status));
    h->reserved = NULL;
}

static const struct quo_env_ops harness_env_ops = {harness_mono_us, harness_wall_ms,
                                                   harness_random};
static const struct quo_mailbox_ops harness_mailbox_ops = {harness_post};
static const struct quo_transport_ops harness_transport_ops = {harness_reserve, harness_seal};

/* A mesh on which nobody is there. */
static inline enum quo_status harness_no_peer(struct quo_transport *transport, uint64_t peer,
                                              size_t body_len, uint8_t **ret_body)
{
    (void)transport, (void)peer, (void)body_len, (void)ret_body;
    return QUO_UNAVAILABLE;
}
static inline struct quo_transport *harness_empty_mesh(void)
{
    static const struct quo_transport_ops ops = {.reserve = harness_no_peer};
    static struct quo_transport mesh = {.ops = &ops};
    return &mesh;
}

/* Life */

static inline struct quo_entry entry_of(uint32_t epoch, uint64_t a, uint64_t b, uint64_t c)
{
    return (struct quo_entry){
        .epoch = epoch, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {a, b, c}};
}

static inline void map_fill(struct quo_map *map, uint32_t epoch)
{
    map->cluster = 99;
    map->epoch = epoch;
    map->replicas = 3;
    map->partition_count = PARTITIONS;
    /* Not in the order of their ids: the server has to find them all the same. */
    map->namespace_count = 4;
    map->namespaces[0] = (struct quo_namespace){
        .id = NS_MIXED, .name = "mixed", .kind = QUO_KIND_MIXED, .n = 3, .value_max = 100000};
    map->namespaces[1] = (struct quo_namespace){
        .id = NS_LWW, .name = "lww", .kind = QUO_KIND_LWW, .n = 3, .value_max = VALUE_MAX_OF_LWW};
    map->namespaces[2] = (struct quo_namespace){
        .id = NS_CRDT, .name = "crdt", .kind = QUO_KIND_CRDT, .n = 3, .value_max = 100000};
    map->namespaces[3] = (struct quo_namespace){
        .id = NS_CAS, .name = "cas", .kind = QUO_KIND_CAS, .n = 3, .value_max = 100000};
    for (uint32_t i = 0; i < PARTITIONS; i++)
        map->entries[i] = entry_of(epoch, SELF, SECOND, THIRD);
}

/* The mailbox runs what was posted before the call, and the turn ends. */
static inline void run_tasks(struct harness *h)
{
    struct quo_task *task = h->tasks;
    h->tasks = NULL;
    h->tasks_end = &h->tasks;
    while (task != NULL) {
        struct quo_task *next = task->next;
        task->run(task);
        task = next;
    }
}
static inline void turn(struct harness *h)
{
    run_tasks(h);
    quo_server_end_turn(h->server);
}
static inline void settle(struct harness *h)
{
    for (int i = 0; i < 100 && (h->tasks != NULL || !quo_server_idle(h->server)); i++)
        turn(h);
}

/* Until no work in the background is due. */
static inline void rest(struct harness *h)
{
    for (int i = 0; i < 1000 && quo_server_deadline(h->server) != UINT64_MAX; i++) {
        h->mono_us = QUO_MAX(h->mono_us, quo_server_deadline(h->server));
        turn(h);
        settle(h);
    }
    assert_int_equal(quo_server_deadline(h->server), UINT64_MAX);
}
/* How many partitions have hash trees; they are right. */
static inline uint32_t ready_count(struct harness *h)
{
    uint32_t ready;
    assert_true(quo_server_check_trees(h->server, &ready));
    return ready;
}

static inline enum quo_status server_open(struct harness *h, char *why, size_t why_size)
{
    struct quo_server_options options = {
        .env = &h->env,
        .transport = &h->transport,
        .mesh = h->mesh,
        .store = h->store,
        .replica = SELF,
        .map = h->map,
        .memory_max = h->memory_max,
    };
    return quo_server_new(&options, &h->server, why, why_size);
}

static inline void harness_prepare(struct harness *h)
{
    *h = (struct harness){
        .env = {&harness_env_ops},
        .mailbox = {&harness_mailbox_ops},
        .transport = {.ops = &harness_transport_ops},
        .mono_us = 1000000,
        .wall_ms = START_MS,
        .entry = entry_of(1, SELF, SECOND, THIRD),
        .partition = 3,
    };
    h->tasks_end = &h->tasks;
    h->map = calloc(1, sizeof *h->map);
    assert_non_null(h->map);
    map_fill(h->map, 1);
    h->store = quo_store_memory_new(&h->mailbox);
    assert_non_null(h->store);
}

static inline void harness_open(struct harness *h)
{
    char why[200];
    assert_int_equal(server_open(h, why, sizeof why), QUO_OK);
    settle(h);
    assert_true(quo_server_serving(h->server));
}
static inline void harness_start(struct harness *h)
{
    harness_prepare(h);
    harness_open(h);
}

static inline void harness_stop(struct harness *h)
{
    if (h->server != NULL) {
        settle(h);
        assert_true(quo_server_idle(h->server));
        quo_server_free(h->server);
    }
    h->store->ops->close(h->store);
    for (size_t i = 0; i < h->reply_count; i++)
        free(h->replies[i].body);
    free(h->replies);
    free(h->map);
    assert_null(h->reserved);
}

/* Requests */

static inline void send_frame(struct harness *h, uint8_t type, const void *body, size_t len)
{
    /* Handed over in memory of exactly this size, and gone afterwards: what the server still needs
     * it must have copied. */
    uint8_t *copy = malloc(len + 1);
    if (len > 0)
        memcpy(copy, body, len);
    struct quo_frame frame = {.type = type, .id = ++h->last_id, .body = quo_slice(copy, len)};
    h->transport.events->on_frame(h->transport.receiver, 77, &frame);
    memset(copy, 0xee, len);
    free(copy);
}

static inline size_t make_record(uint8_t *out, struct quo_version version, struct quo_slice value)
{
    struct quo_record record = {
        .flags = QUO_RECORD_BLIND,
        .version = version,
        .hist_from = version,
        .value = value,
    };
    quo_record_encode(&record, out);
    return quo_record_size(&record);
}

static inline uint8_t kind_of(uint32_t ns)
{
    static const uint8_t kinds[] = {0, QUO_KIND_LWW, QUO_KIND_CAS, QUO_KIND_MIXED, QUO_KIND_CRDT};
    return ns < sizeof kinds ? kinds[ns] : QUO_KIND_LWW;
}

static inline uint64_t send_store(struct harness *h, struct quo_msg_store *message)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(&h->entry, entry);
    message->entry = quo_slice(entry, quo_entry_size(&h->entry));
    message->partition = h->partition;
    size_t len = quo_msg_store_size(message);
    uint8_t *body = malloc(len);
    quo_msg_store_encode(message, body);
    send_frame(h, QUO_MESSAGE_STORE, body, len);
    free(body);
    return h->last_id;
}

/* Stores `value` under version {HLC(n), 7}; returns the frame's id. */
static inline uint64_t put_value(struct harness *h, uint32_t ns, const char *key, uint64_t n,
                                 uint8_t flags, struct quo_slice value)
{
    uint8_t *record = malloc(QUO_RECORD_OVERHEAD_MAX + value.len);
    size_t len = make_record(record, (struct quo_version){HLC(n), 7}, value);
    struct quo_msg_store message = {
        .ns = ns,
        .kind = kind_of(ns),
        .flags = flags,
        .key = quo_slice_of(key),
        .record = quo_slice(record, len),
    };
    uint64_t id = send_store(h, &message);
    free(record);
    return id;
}
static inline uint64_t put(struct harness *h, const char *key, uint64_t n, uint8_t flags)
{
    return put_value(h, NS_LWW, key, n, flags, quo_slice(&n, sizeof n));
}
static inline uint64_t put_synced(struct harness *h, const char *key, uint64_t n)
{
    return put(h, key, n, QUO_STORE_SYNC);
}

static inline struct quo_version version_of(uint64_t n)
{
    return n == 0 ? QUO_VERSION_NONE : (struct quo_version){HLC(n), 7};
}

/* Prepares ballot {HLC(n), 7}. */
static inline uint64_t prep_of(struct harness *h, uint32_t ns, const char *key, uint64_t n,
                               uint32_t value_max)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(&h->entry, entry);
    struct quo_msg_prep message = {
        .partition = h->partition,
        .ns = ns,
        .kind = kind_of(ns),
        .entry = quo_slice(entry, quo_entry_size(&h->entry)),
        .ballot = version_of(n),
        .value_max = value_max,
        .key = quo_slice_of(key),
    };
    uint8_t body[QUO_KEY_MAX + 256];
    quo_msg_prep_encode(&message, body);
    send_frame(h, QUO_MESSAGE_PREP, body, quo_msg_prep_size(&message));
    return h->last_id;
}
static inline uint64_t prep(struct harness *h, const char *key, uint64_t n)
{
    return prep_of(h, NS_CAS, key, n, QUO_INLINE_VALUE_MAX);
}

static inline uint64_t send_acc(struct harness *h, struct quo_msg_acc *message)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(&h->entry, entry);
    message->entry = quo_slice(entry, quo_entry_size(&h->entry));
    message->partition = h->partition;
    size_t len = quo_msg_acc_size(message);
    uint8_t *body = malloc(len);
    quo_msg_acc_encode(message, body);
    send_frame(h, QUO_MESSAGE_ACC, body, len);
    free(body);
    return h->last_id;
}

/* Proposes `value` under ballot {HLC(n), 7}, and {HLC(next), 7} as the next one unless it is 0. */
static inline uint64_t acc_value(struct harness *h, uint32_t ns, const char *key, uint64_t n,
                                 uint64_t next, struct quo_slice value)
{
    struct quo_record record = {.version = version_of(n), .changed = version_of(n), .value = value};
    size_t len = quo_record_size(&record);
    uint8_t *bytes = malloc(len);
    quo_record_encode(&record, bytes);
    struct quo_msg_acc message = {
        .ns = ns,
        .kind = kind_of(ns),
        .next = version_of(next),
        .key = quo_slice_of(key),
        .record = quo_slice(bytes, len),
    };
    uint64_t id = send_acc(h, &message);
    free(bytes);
    return id;
}
static inline uint64_t acc(struct harness *h, const char *key, uint64_t n)
{
    return acc_value(h, NS_CAS, key, n, 0, quo_slice(&n, sizeof n));
}

static inline uint64_t query_of(struct harness *h, uint32_t ns, const char *key, uint32_t value_max)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(&h->entry, entry);
    struct quo_msg_query message = {
        .partition = h->partition,
        .ns = ns,
        .kind = kind_of(ns),
        .entry = quo_slice(entry, quo_entry_size(&h->entry)),
        .value_max = value_max,
        .key = quo_slice_of(key),
    };
    uint8_t body[QUO_KEY_MAX + 256];
    quo_msg_query_encode(&message, body);
    send_frame(h, QUO_MESSAGE_QUERY, body, quo_msg_query_size(&message));
    return h->last_id;
}
static inline uint64_t query(struct harness *h, const char *key)
{
    return query_of(h, NS_LWW, key, QUO_INLINE_VALUE_MAX);
}

/* Replies */

static inline const struct quo_msg_reply *reply_to(const struct harness *h, uint64_t id)
{
    const struct quo_msg_reply *found = NULL;
    for (size_t i = 0; i < h->reply_count; i++) {
        if (h->replies[i].id != id)
            continue;
        assert_null(found); /* at most one */
        assert_int_equal(h->replies[i].peer, 77);
        found = &h->replies[i].reply;
    }
    return found;
}
static inline bool answered(const struct harness *h, uint64_t id)
{
    return reply_to(h, id) != NULL;
}
static inline const struct quo_msg_reply *expect(const struct harness *h, uint64_t id,
                                                 enum quo_status status)
{
    const struct quo_msg_reply *reply = reply_to(h, id);
    assert_non_null(reply);
    assert_int_equal(reply->status, status);
    assert_int_equal(reply->now_ms, h->wall_ms);
    return reply;
}
static inline void expect_version(const struct harness *h, uint64_t id, enum quo_status status,
                                  uint64_t n, bool durable)
{
    const struct quo_msg_reply *reply = expect(h, id, status);
    assert_int_equal(reply->version.hlc, n == 0 ? 0 : HLC(n));
    assert_int_equal((reply->flags & QUO_REPLY_DURABLE) != 0, durable);
}
/* A reply of that status, with the promise in force. */
static inline void expect_promised(const struct harness *h, uint64_t id, enum quo_status status,
                                   uint64_t version, uint64_t promised)
{
    const struct quo_msg_reply *reply = expect(h, id, status);
    assert_int_equal(reply->version.hlc, version == 0 ? 0 : HLC(version));
    assert_int_equal(reply->promised.hlc, promised == 0 ? 0 : HLC(promised));
}
/* What a QUERY of the key shows now. */
static inline void expect_shown(struct harness *h, const char *key, uint64_t n)
{
    expect_version(h, query(h, key), QUO_OK, n, true);
}

#define STAT(h, name) quo_counted(&quo_server_stats((h)->server)->name)

#endif
