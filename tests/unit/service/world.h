/* Services, replicas and the network between them, all in a test's hand: replicas that keep the
 * rules of consensus, proxies of several loops, frames that are delivered one by one.
 */
#ifndef QUORATE_TESTS_SERVICE_WORLD_H
#define QUORATE_TESTS_SERVICE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/service/service.h"

#define WORLD_REPLICAS 3
#define WORLD_KEYS 64
#define WORLD_SERVICES 6
#define WORLD_FRAMES 65536
#define WORLD_GUEST (UINT64_C(1) << 32)

struct world_cell {
    char key[32];
    uint8_t *record; /* NULL: none */
    size_t len;
    struct quo_version version, promised;
    bool is_blind;
};

struct world_replica {
    bool is_down; /* frames to it and from it are lost */
    struct world_cell cells[WORLD_KEYS];
    int count;
};

struct world;

struct world_service {
    struct world *world;
    struct quo_env env;
    struct quo_transport transport, seats;
    struct quo_service *service;
    int64_t skew_ms; /* of its clock */
    int nack_preps;  /* PREPs of it that are still to be refused */
    int forwards;    /* FORWARDs that it sent, and those that it got */
    int forwards_in;
};

struct world_frame {
    bool is_gone;
    int from, to; /* services from 0 on; replicas are -1 - number */
    uint64_t from_peer;
    uint8_t type;
    uint64_t id;
    uint8_t *body;
    size_t len;
};

struct world {
    uint64_t mono_us, wall_ms, random;
    struct quo_map map;
    uint32_t epoch;
    uint32_t loops, proxies;
    int accepting; /* the loop of a proxy that others' connections come to */
    struct world_replica replicas[WORLD_REPLICAS];
    struct world_service services[WORLD_SERVICES];
    enum quo_status refuse_seat; /* what reserve returns for every seat */
    struct world_frame frames[WORLD_FRAMES];
    int first, count;
    int sent[64]; /* by message type */
};

struct world_answer {
    int calls;
    int order; /* which answer of all it was */
    struct quo_response response;
    uint8_t value[256];
    size_t value_len;
    char content_type[32];
};
static int world_answers;

/* Environment */

static inline uint64_t world_mono(struct quo_env *env)
{
    return QUO_CONTAINER_OF(env, struct world_service, env)->world->mono_us;
}
static inline uint64_t world_wall(struct quo_env *env)
{
    const struct world_service *s = QUO_CONTAINER_OF(env, struct world_service, env);
    return s->world->wall_ms + (uint64_t)s->skew_ms;
}
static inline uint64_t world_random(struct quo_env *env)
{
    struct world *w = QUO_CONTAINER_OF(env, struct world_service, env)->world;
    return (w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407u) >> 7;
}
static const struct quo_env_ops world_env_ops = {world_mono, world_wall, world_random};

/* Network */

static inline int world_index(const struct world_service *s)
{
    return (int)(s - s->world->services);
}

static inline struct world_frame *world_add(struct world *w, int from, int to, size_t len)
{
    assert_true(w->count < WORLD_FRAMES);
    struct world_frame *frame = &w->frames[w->count];
    *frame = (struct world_frame){.from = from, .to = to, .len = len};
    frame->body = malloc(len);
    assert_non_null(frame->body);
    return frame;
}

static inline enum quo_status world_reserve(struct quo_transport *t, uint64_t peer, size_t len,
                                            uint8_t **ret)
{
    struct world_service *s = QUO_CONTAINER_OF(t, struct world_service, transport);

    *ret = world_add(s->world, world_index(s), -1 - (int)peer, len)->body;
    return QUO_OK;
}

/* Which service stands behind a seat, and what that calls the one that asks. */
static inline int world_behind(struct world_service *s, uint64_t seat, uint64_t *ret_from)
{
    struct world *w = s->world;
    int me = world_index(s), loops = (int)w->loops, proxy = me / loops;

    if (seat < w->loops) {
        *ret_from = (uint64_t)(me % loops);
        return proxy * loops + (int)seat;
    }
    if (seat < WORLD_GUEST) {
        *ret_from = WORLD_GUEST + (uint64_t)me;
        return (int)(seat - w->loops) * loops + w->accepting;
    }
    *ret_from = w->loops + (uint64_t)proxy;
    return (int)(seat - WORLD_GUEST);
}

static inline enum quo_status world_reserve_seat(struct quo_transport *t, uint64_t seat, size_t len,
                                                 uint8_t **ret)
{
    struct world_service *s = QUO_CONTAINER_OF(t, struct world_service, seats);
    uint64_t from;

    if (s->world->refuse_seat != QUO_OK)
        return s->world->refuse_seat;
    int to = world_behind(s, seat, &from);
    struct world_frame *frame = world_add(s->world, world_index(s), to, len);
    frame->from_peer = from;
    *ret = frame->body;
    return QUO_OK;
}

static inline void world_seal_frame(struct world *w, uint8_t type, uint64_t id)
{
    struct world_frame *frame = &w->frames[w->count++];

    frame->type = type;
    frame->id = id;
    w->sent[type]++;
}
static inline void world_seal(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id)
{
    (void)peer;
    world_seal_frame(QUO_CONTAINER_OF(t, struct world_service, transport)->world, type, id);
}
static inline void world_seal_seat(struct quo_transport *t, uint64_t peer, uint8_t type,
                                   uint64_t id)
{
    struct world_service *s = QUO_CONTAINER_OF(t, struct world_service, seats);

    (void)peer;
    s->forwards += type == QUO_MESSAGE_FORWARD;
    world_seal_frame(s->world, type, id);
}
static const struct quo_transport_ops world_transport_ops = {world_reserve, world_seal};
static const struct quo_transport_ops world_seat_ops = {world_reserve_seat, world_seal_seat};

/* Replicas */

static inline struct world_cell *world_cell(struct world *w, int replica, struct quo_slice key)
{
    struct world_replica *r = &w->replicas[replica];

    for (int i = 0; i < r->count; i++) {
        if (quo_slice_equal(quo_slice_of(r->cells[i].key), key))
            return &r->cells[i];
    }
    assert_true(r->count < WORLD_KEYS && key.len < sizeof r->cells[0].key);
    struct world_cell *cell = &r->cells[r->count++];
    memcpy(cell->key, key.data, key.len);
    return cell;
}

static inline void world_put(struct world_cell *cell, struct quo_slice record)
{
    uint8_t flags;

    free(cell->record);
    cell->record = malloc(record.len);
    memcpy(cell->record, record.data, record.len);
    cell->len = record.len;
    assert_int_equal(quo_record_peek(record, &cell->version, &flags), QUO_OK);
    cell->is_blind = (flags & QUO_RECORD_BLIND) != 0;
}

static inline struct quo_version world_promised(const struct world_cell *cell)
{
    return cell->is_blind ? cell->promised : quo_version_max(cell->promised, cell->version);
}

static inline void world_show(const struct world_cell *cell, uint32_t value_max,
                              struct quo_msg_reply *reply)
{
    if (cell->record == NULL || cell->len > value_max)
        return;
    reply->flags |= QUO_REPLY_VALUE;
    reply->record = quo_slice(cell->record, cell->len);
}

static inline uint8_t world_prepare(struct world_cell *cell, const struct quo_msg_prep *prep,
                                    struct quo_msg_reply *reply)
{
    struct quo_version least = quo_version_max(cell->promised, cell->version);

    if (quo_version_compare(prep->ballot, least) <= 0)
        return QUO_NACK;
    cell->promised = prep->ballot;
    world_show(cell, prep->value_max, reply);
    return QUO_OK;
}

static inline uint8_t world_accept(struct world_cell *cell, const struct quo_msg_acc *acc,
                                   struct quo_msg_reply *reply)
{
    struct quo_version ballot;
    uint8_t flags;

    assert_int_equal(quo_record_peek(acc->record, &ballot, &flags), QUO_OK);
    if (quo_version_equal(ballot, cell->version))
        return QUO_OK;
    if (quo_version_compare(ballot, world_promised(cell)) < 0)
        return QUO_NACK;
    if (quo_version_compare(ballot, cell->version) < 0)
        return QUO_SUPERSEDED;
    world_put(cell, acc->record);
    cell->promised = ballot;
    if (!quo_version_is_none(acc->next)) {
        cell->promised = acc->next;
        reply->flags |= QUO_REPLY_NEXT;
    }
    return QUO_OK;
}

static inline uint8_t world_store(struct world_cell *cell, const struct quo_msg_store *store)
{
    struct quo_version version;
    uint8_t flags;

    assert_int_equal(quo_record_peek(store->record, &version, &flags), QUO_OK);
    if (quo_version_compare(version, world_promised(cell)) < 0)
        return QUO_NACK;
    if (quo_version_compare(version, cell->version) < 0)
        return QUO_SUPERSEDED;
    world_put(cell, store->record);
    return QUO_OK;
}

/* What a PREP, ACC or STORE would make the replica hold. */
static inline bool world_is_ahead(const struct world *w, struct quo_version ballot,
                                  struct quo_slice record)
{
    struct quo_version version = ballot;
    uint8_t flags;

    if (record.len > 0)
        assert_int_equal(quo_record_peek(record, &version, &flags), QUO_OK);
    return quo_version_ms(version) > w->wall_ms + QUO_SKEW_MAX_MS;
}

static inline bool world_is_stale(const struct world *w, struct quo_slice bytes)
{
    struct quo_entry entry;

    assert_int_equal(quo_entry_decode(bytes, &entry), QUO_OK);
    return entry.epoch < w->epoch;
}

static inline void world_reply(struct world *w, const struct world_frame *to,
                               const struct quo_msg_reply *reply)
{
    struct world_frame *frame = world_add(w, to->to, to->from, quo_msg_reply_size(reply));

    quo_msg_reply_encode(reply, frame->body);
    frame->from_peer = (uint64_t)(-1 - to->to);
    world_seal_frame(w, QUO_MESSAGE_REPLY, to->id);
}

static inline void world_answer(struct world *w, const struct world_frame *frame)
{
    struct quo_slice body = quo_slice(frame->body, frame->len);
    struct quo_msg_reply reply = {.flags = QUO_REPLY_DURABLE, .now_ms = w->wall_ms};
    struct quo_msg_query query = {0};
    struct quo_msg_prep prep = {0};
    struct quo_msg_acc acc = {0};
    struct quo_msg_store store = {0};
    struct quo_slice key, entry;
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];

    if (frame->type == QUO_MESSAGE_QUERY) {
        assert_int_equal(quo_msg_query_decode(body, &query), QUO_OK);
        key = query.key, entry = query.entry;
    } else if (frame->type == QUO_MESSAGE_PREP) {
        assert_int_equal(quo_msg_prep_decode(body, &prep), QUO_OK);
        key = prep.key, entry = prep.entry;
    } else if (frame->type == QUO_MESSAGE_ACC) {
        assert_int_equal(quo_msg_acc_decode(body, &acc), QUO_OK);
        key = acc.key, entry = acc.entry;
    } else {
        assert_int_equal(quo_msg_store_decode(body, &store), QUO_OK);
        key = store.key, entry = store.entry;
    }
    struct world_cell *cell = world_cell(w, -1 - frame->to, key);
    if (world_is_stale(w, entry)) {
        reply.status = QUO_WRONG_EPOCH;
        reply.entry = quo_slice(bytes, quo_entry_size(&w->map.entries[0]));
        struct quo_entry newer = w->map.entries[0];
        newer.epoch = w->epoch;
        quo_entry_encode(&newer, bytes);
    } else if (world_is_ahead(w, prep.ballot, acc.record.len > 0 ? acc.record : store.record)) {
        reply.status = QUO_SKEW;
    } else if (frame->type == QUO_MESSAGE_QUERY) {
        world_show(cell, query.value_max, &reply);
    } else if (frame->type == QUO_MESSAGE_PREP && w->services[frame->from].nack_preps > 0) {
        w->services[frame->from].nack_preps--;
        reply.status = QUO_NACK;
    } else if (frame->type == QUO_MESSAGE_PREP) {
        reply.status = world_prepare(cell, &prep, &reply);
    } else if (frame->type == QUO_MESSAGE_ACC) {
        reply.status = world_accept(cell, &acc, &reply);
    } else {
        reply.status = world_store(cell, &store);
    }
    reply.version = cell->version;
    reply.promised = cell->promised;
    reply.record_size = (uint32_t)cell->len;
    world_reply(w, frame, &reply);
}

/* Delivery */

static inline void world_deliver(struct world *w, struct world_frame *frame)
{
    struct quo_frame f = {frame->type, frame->id, quo_slice(frame->body, frame->len)};
    uint8_t *body = frame->body;

    frame->is_gone = true;
    if (frame->to < 0) {
        if (!w->replicas[-1 - frame->to].is_down)
            world_answer(w, frame);
    } else if (frame->from >= 0 || !w->replicas[-1 - frame->from].is_down) {
        struct world_service *s = &w->services[frame->to];
        struct quo_transport *t = frame->from < 0 ? &s->transport : &s->seats;
        s->forwards_in += frame->type == QUO_MESSAGE_FORWARD;
        if (s->service != NULL)
            t->events->on_frame(t->receiver, frame->from_peer, &f);
    }
    free(body);
    frame->body = NULL;
}

/* The oldest frame of this type that is under way; NULL: there is none. */
static inline struct world_frame *world_find(struct world *w, uint8_t type)
{
    for (int i = w->first; i < w->count; i++) {
        if (!w->frames[i].is_gone && w->frames[i].type == type)
            return &w->frames[i];
    }
    return NULL;
}

/* Loses every frame of this type that is under way. Returns how many that were. */
static inline int world_lose(struct world *w, uint8_t type)
{
    int lost = 0;

    for (struct world_frame *frame; (frame = world_find(w, type)) != NULL; lost++) {
        frame->is_gone = true;
        free(frame->body);
        frame->body = NULL;
    }
    return lost;
}

/* Delivers everything, in order, but frames of type `held` (0: none); time stands still. */
static inline void world_run_but(struct world *w, uint8_t held)
{
    for (int i = w->first; i < w->count; i++) {
        if (!w->frames[i].is_gone && w->frames[i].type != held)
            world_deliver(w, &w->frames[i]);
    }
    while (w->first < w->count && w->frames[w->first].is_gone)
        w->first++;
    if (w->first == w->count)
        w->first = w->count = 0;
}

static inline void world_run(struct world *w)
{
    world_run_but(w, 0);
}

/* Lets time go by in steps of a millisecond, delivering everything at each. */
static inline void world_pass(struct world *w, uint32_t ms)
{
    for (uint32_t i = 0; i < ms; i++) {
        w->mono_us += 1000;
        w->wall_ms++;
        for (int s = 0; s < WORLD_SERVICES; s++) {
            if (w->services[s].service != NULL)
                quo_service_expire(w->services[s].service, w->mono_us);
        }
        world_run(w);
    }
}

/* Lets it go by at once. */
static inline void world_skip(struct world *w, uint32_t ms)
{
    w->mono_us += ms * UINT64_C(1000);
    w->wall_ms += ms;
}

/* Set-up */

static inline void world_init_map(struct quo_map *map, uint32_t proxies)
{
    static const enum quo_kind kinds[] = {QUO_KIND_CAS, QUO_KIND_MIXED, QUO_KIND_LWW};

    map->cluster = 7;
    map->epoch = 1;
    map->replicas = WORLD_REPLICAS;
    map->partition_count = 4;
    map->node_count = WORLD_REPLICAS;
    for (uint32_t i = 0; i < WORLD_REPLICAS; i++)
        map->nodes[i].replica = 101 + i;
    map->namespace_count = QUO_COUNT(kinds);
    for (uint32_t i = 0; i < QUO_COUNT(kinds); i++)
        map->namespaces[i] = (struct quo_namespace){.id = i + 1,
                                                    .kind = kinds[i],
                                                    .n = 3,
                                                    .rs = 2,
                                                    .ws = 2,
                                                    .read_level = QUO_LEVEL_STRONG,
                                                    .write_level = QUO_LEVEL_STRONG,
                                                    .timeout_ms = 1000,
                                                    .value_max = 1000000,
                                                    .retention_s = 600};
    for (uint32_t i = 0; i < map->partition_count; i++)
        map->entries[i] = (struct quo_entry){
            .epoch = 1, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {101, 102, 103}};
    map->proxy_count = proxies;
    for (uint32_t i = 0; i < proxies; i++)
        snprintf(map->proxies[i].name, sizeof map->proxies[i].name, "proxy-%u", (unsigned)i);
}

static inline void world_start(struct world *w, int index, uint32_t ops_max)
{
    struct world_service *s = &w->services[index];
    uint32_t proxy = (uint32_t)index / w->loops;

    s->world = w;
    s->env.ops = &world_env_ops;
    s->transport.ops = &world_transport_ops;
    s->seats.ops = &world_seat_ops;
    struct quo_service_options options = {
        .env = &s->env,
        .transport = &s->transport,
        .map = &w->map,
        .ops_max = ops_max,
        .seats = {.transport = w->loops * w->proxies > 1 ? &s->seats : NULL,
                  .loops = w->loops,
                  .loop = (uint32_t)index % w->loops,
                  .proxy = w->proxies > 1 ? proxy : UINT32_MAX},
    };
    s->service = quo_service_new(&options);
    assert_non_null(s->service);
    for (uint64_t peer = 0; peer < WORLD_REPLICAS; peer++)
        s->transport.events->on_up(s->transport.receiver, peer);
    if (options.seats.transport == NULL)
        return;
    for (uint64_t seat = 0; seat < w->loops + w->map.proxy_count; seat++) {
        if (seat != options.seats.loop && seat != w->loops + proxy)
            s->seats.events->on_up(s->seats.receiver, seat);
    }
}

static inline void world_init(struct world *w, uint32_t proxies, uint32_t loops)
{
    memset(w, 0, sizeof *w);
    w->mono_us = 1000000;
    w->wall_ms = UINT64_C(1700000000000);
    w->random = 1;
    w->epoch = 1;
    w->loops = loops;
    w->proxies = proxies;
    world_init_map(&w->map, proxies > 1 ? proxies : 0);
    for (uint32_t i = 0; i < proxies * loops; i++)
        world_start(w, (int)i, 0);
    world_answers = 0;
}

static inline void world_free(struct world *w)
{
    for (int i = 0; i < WORLD_SERVICES; i++)
        quo_service_free(w->services[i].service);
    for (int i = w->first; i < w->count; i++)
        free(w->frames[i].body);
    for (int i = 0; i < WORLD_REPLICAS; i++) {
        for (int j = 0; j < w->replicas[i].count; j++)
            free(w->replicas[i].cells[j].record);
    }
}

/* Requests */

static inline void world_on_answer(void *context, const struct quo_response *response)
{
    struct world_answer *answer = context;

    answer->calls++;
    answer->order = world_answers++;
    answer->response = *response;
    answer->value_len = response->record.value.len;
    if (answer->value_len > 0 && answer->value_len <= sizeof answer->value)
        memcpy(answer->value, response->record.value.data, answer->value_len);
    memset(answer->content_type, 0, sizeof answer->content_type);
    size_t len = response->record.content_type.len;
    if (len > 0 && len < sizeof answer->content_type)
        memcpy(answer->content_type, response->record.content_type.data, len);
}

/* Of namespace 0 (cas), 1 (mixed) or 2 (lww). */
static inline struct quo_request world_request(struct world *w, int ns, enum quo_request_type type,
                                               const char *key, const char *value)
{
    struct quo_request request = {
        .type = type, .ns = &w->map.namespaces[ns], .key = quo_slice_of(key)};
    struct quo_ask ask = {.has_level = true, .level = QUO_LEVEL_STRONG, .r = -1, .w = -1, .dw = -1};
    bool is_read = type == QUO_REQUEST_GET || type == QUO_REQUEST_SETTLE;

    if (value != NULL) {
        request.content_type = quo_slice_of("text/plain");
        request.value = quo_slice_of(value);
    }
    assert_int_equal(
        quo_consistency_resolve(request.ns, &ask, !is_read, &request.consistency, NULL, 0), QUO_OK);
    return request;
}

static inline quo_ticket world_submit(struct world *w, int service,
                                      const struct quo_request *request,
                                      struct world_answer *answer)
{
    quo_ticket ticket = 99;

    memset(answer, 0, sizeof *answer);
    assert_int_equal(
        quo_service_submit(w->services[service].service, request, world_on_answer, answer, &ticket),
        QUO_OK);
    return ticket;
}

/* Submits and lets everything happen. */
static inline void world_do(struct world *w, int service, const struct quo_request *request,
                            struct world_answer *answer)
{
    world_submit(w, service, request, answer);
    world_run(w);
    for (int ms = 0; answer->calls == 0 && ms < 2000; ms++)
        world_pass(w, 1);
    assert_int_equal(answer->calls, 1);
}

static inline void world_expect_value(const struct world_answer *answer, const char *value)
{
    assert_int_equal(answer->value_len, strlen(value));
    assert_memory_equal(answer->value, value, strlen(value));
}

static inline const struct quo_service_stats *world_stats(struct world *w, int service)
{
    return quo_service_stats(w->services[service].service);
}

#define WORLD_COUNTED(w, service, name) quo_counted(&world_stats(w, service)->name)

/* A key whose consensus writes this loop runs. */
static inline const char *world_key_of_loop(struct world *w, int ns, uint32_t loop, int nth)
{
    static char keys[8][16];
    static int used;
    char *key = keys[used++ % 8];

    for (int i = 0;; i++) {
        snprintf(key, sizeof keys[0], "key-%d", i);
        uint16_t partition =
            quo_map_partition(&w->map, w->map.namespaces[ns].id, quo_slice_of(key));
        if (quo_service_owner(partition, w->loops) == loop && nth-- == 0)
            return key;
    }
}

#endif
