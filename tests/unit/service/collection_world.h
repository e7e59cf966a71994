/* Two proxies with clocks of their own, three replicas, and the network between them in a test's
 * hand: frames are delivered in an order that is drawn, late, or never.
 *
 * Replicas keep blind records and answer QUERY, STORE and SCAN; hints are lost.
 */
#ifndef QUORATE_TESTS_SERVICE_COLLECTION_WORLD_H
#define QUORATE_TESTS_SERVICE_COLLECTION_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/service/set.h"
#include "proxy/service/timeline.h"

#define CW_PROXIES 2
#define CW_REPLICAS 3
#define CW_RECORDS 2048
#define CW_FRAMES 4096
#define CW_KEY_MAX 64
#define CW_RECORD_MAX 96

struct cw_record {
    uint32_t ns;
    uint8_t key[CW_KEY_MAX];
    size_t key_len;
    uint8_t bytes[CW_RECORD_MAX];
    size_t len;
};

struct cw_replica {
    bool is_down; /* frames to it and from it are lost */
    int count;
    struct cw_record records[CW_RECORDS]; /* in order of namespace and key */
};

struct cw;

struct cw_proxy {
    struct cw *world;
    struct quo_env env;
    struct quo_transport transport;
    struct quo_service *service;
    int64_t skew_ms;
};

struct cw_frame {
    int from, to; /* proxies from 0 on; replicas are -1 - number */
    uint8_t type;
    uint64_t id;
    uint8_t *body;
    size_t len;
};

struct cw {
    uint64_t mono_us, wall_ms, random;
    struct quo_map map;
    struct cw_proxy proxies[CW_PROXIES];
    struct cw_replica replicas[CW_REPLICAS];
    struct cw_frame frames[CW_FRAMES]; /* under way, in the order in which they were sent */
    int count;
    struct quo_version sealed; /* that replicas claim of their scans */
    struct quo_version gate;   /* at or below it nothing new is taken */
};

static inline uint64_t cw_draw(struct cw *w, uint64_t below)
{
    w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (w->random >> 33) % below;
}

static inline uint64_t cw_mono(struct quo_env *env)
{
    return QUO_CONTAINER_OF(env, struct cw_proxy, env)->world->mono_us;
}
static inline uint64_t cw_wall(struct quo_env *env)
{
    const struct cw_proxy *p = QUO_CONTAINER_OF(env, struct cw_proxy, env);
    return p->world->wall_ms + (uint64_t)p->skew_ms;
}
static inline uint64_t cw_random(struct quo_env *env)
{
    struct cw *w = QUO_CONTAINER_OF(env, struct cw_proxy, env)->world;
    return cw_draw(w, UINT64_C(1) << 31) << 31 | cw_draw(w, UINT64_C(1) << 31) | 1;
}
static const struct quo_env_ops cw_env_ops = {cw_mono, cw_wall, cw_random};

static inline struct cw_frame *cw_add(struct cw *w, int from, int to, size_t len)
{
    assert_true(w->count < CW_FRAMES);
    struct cw_frame *frame = &w->frames[w->count];
    /* Not by malloc, which a test may let fail: the network has memory of its own. */
    *frame = (struct cw_frame){.from = from, .to = to, .len = len};
    frame->body = aligned_alloc(16, (len | 15) + 1);
    assert_non_null(frame->body);
    return frame;
}

static inline enum quo_status cw_reserve(struct quo_transport *t, uint64_t peer, size_t len,
                                         uint8_t **ret)
{
    struct cw_proxy *p = QUO_CONTAINER_OF(t, struct cw_proxy, transport);

    *ret = cw_add(p->world, (int)(p - p->world->proxies), -1 - (int)peer, len)->body;
    return QUO_OK;
}
static inline void cw_seal(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id)
{
    struct cw *w = QUO_CONTAINER_OF(t, struct cw_proxy, transport)->world;
    struct cw_frame *frame = &w->frames[w->count++];

    (void)peer;
    frame->type = type;
    frame->id = id;
}
static const struct quo_transport_ops cw_transport_ops = {cw_reserve, cw_seal};

/* Replicas */

static inline int cw_order(const struct cw_record *a, uint32_t ns, struct quo_slice key)
{
    if (a->ns != ns)
        return a->ns < ns ? -1 : 1;
    return quo_scan_key_compare(quo_slice(a->key, a->key_len), key);
}

static inline struct cw_record *cw_find(struct cw_replica *r, uint32_t ns, struct quo_slice key)
{
    for (int i = 0; i < r->count; i++) {
        if (cw_order(&r->records[i], ns, key) == 0)
            return &r->records[i];
    }
    return NULL;
}

static inline struct quo_version cw_version(const struct cw_record *record)
{
    struct quo_version version = QUO_VERSION_NONE;
    uint8_t flags;

    if (record != NULL)
        assert_int_equal(quo_record_peek(quo_slice(record->bytes, record->len), &version, &flags),
                         QUO_OK);
    return version;
}

static inline enum quo_status cw_keep(struct cw_replica *r, uint32_t ns, struct quo_slice key,
                                      struct quo_slice bytes)
{
    struct cw_record *record = cw_find(r, ns, key);
    struct quo_version brought;
    uint8_t flags;
    int at = 0;

    assert_true(key.len <= CW_KEY_MAX && bytes.len <= CW_RECORD_MAX);
    assert_int_equal(quo_record_peek(bytes, &brought, &flags), QUO_OK);
    if (record != NULL) {
        const int order = quo_version_compare(brought, cw_version(record));
        /* One version, one record. */
        if (order == 0)
            assert_true(quo_slice_equal(bytes, quo_slice(record->bytes, record->len)));
        if (order <= 0)
            return order == 0 ? QUO_OK : QUO_SUPERSEDED;
    } else {
        while (at < r->count && cw_order(&r->records[at], ns, key) < 0)
            at++;
        assert_true(r->count < CW_RECORDS);
        record = &r->records[at];
        memmove(record + 1, record, (size_t)(r->count++ - at) * sizeof *record);
        record->ns = ns;
        memcpy(record->key, key.data, key.len);
        record->key_len = key.len;
    }
    memcpy(record->bytes, bytes.data, bytes.len);
    record->len = bytes.len;
    return QUO_OK;
}

static inline enum quo_status cw_store(struct cw *w, struct cw_replica *r, uint32_t ns,
                                       struct quo_slice key, struct quo_slice bytes,
                                       uint8_t flags_of_store)
{
    struct quo_version brought;
    uint8_t flags;

    assert_int_equal(quo_record_peek(bytes, &brought, &flags), QUO_OK);
    if (quo_version_ms(brought) > w->wall_ms + QUO_SKEW_MAX_MS)
        return QUO_SKEW;
    if (quo_version_compare(brought, w->gate) <= 0 && (flags_of_store & QUO_STORE_WRITEBACK) == 0)
        return QUO_NACK;
    return cw_keep(r, ns, key, bytes);
}

static inline void cw_send(struct cw *w, const struct cw_frame *to, uint8_t type, uint8_t *bytes,
                           size_t len)
{
    struct cw_frame *frame = cw_add(w, to->to, to->from, len);

    memcpy(frame->body, bytes, len);
    frame->type = type;
    frame->id = to->id;
    w->count++;
}

static inline void cw_reply(struct cw *w, const struct cw_frame *to, struct quo_msg_reply *reply)
{
    uint8_t bytes[1024];

    reply->now_ms = w->wall_ms;
    quo_msg_reply_encode(reply, bytes);
    cw_send(w, to, QUO_MESSAGE_REPLY, bytes, quo_msg_reply_size(reply));
}

static inline void cw_answer_scan(struct cw *w, const struct cw_frame *to)
{
    static uint8_t items[CW_RECORDS * 256], bytes[CW_RECORDS * 256 + 256];
    struct cw_replica *r = &w->replicas[-1 - to->to];
    struct quo_msg_scanned message = {.now_ms = w->wall_ms, .sealed = w->sealed};
    struct quo_msg_scan asked;
    uint32_t count = 0;
    size_t len = 0;

    assert_int_equal(quo_msg_scan_decode(quo_slice(to->body, to->len), &asked), QUO_OK);
    for (int i = 0; i < r->count; i++) {
        const struct cw_record *s = &r->records[i];
        const struct quo_slice key = quo_slice(s->key, s->key_len);
        struct quo_record record;
        struct quo_scan_item item;
        if (s->ns != asked.ns || key.len < asked.prefix.len ||
            memcmp(key.data, asked.prefix.data, asked.prefix.len) != 0 ||
            quo_scan_key_compare(key, asked.after) <= 0)
            continue;
        if (count++ == asked.count_max) {
            message.more = 1;
            break;
        }
        assert_int_equal(quo_record_decode(quo_slice(s->bytes, s->len), &record), QUO_OK);
        quo_scan_item_of(key, &record, &item);
        if (s->len <= asked.value_max)
            item.record = quo_slice(s->bytes, s->len);
        quo_scan_item_encode(&item, items + len);
        len += quo_scan_item_size(&item);
    }
    message.items = quo_slice(items, len);
    quo_msg_scanned_encode(&message, bytes);
    cw_send(w, to, QUO_MESSAGE_SCANNED, bytes, quo_msg_scanned_size(&message));
}

static inline void cw_answer_key(struct cw *w, const struct cw_frame *to)
{
    struct cw_replica *r = &w->replicas[-1 - to->to];
    const struct quo_slice body = quo_slice(to->body, to->len);
    struct quo_msg_reply reply = {.flags = QUO_REPLY_DURABLE};
    struct quo_msg_query query = {0};
    struct quo_msg_store store;
    struct quo_slice key;
    uint32_t ns;

    if (to->type == QUO_MESSAGE_QUERY) {
        assert_int_equal(quo_msg_query_decode(body, &query), QUO_OK);
        key = query.key, ns = query.ns;
    } else {
        assert_int_equal(to->type, QUO_MESSAGE_STORE);
        assert_int_equal(quo_msg_store_decode(body, &store), QUO_OK);
        key = store.key, ns = store.ns;
        reply.status = (uint8_t)cw_store(w, r, ns, key, store.record, store.flags);
    }
    const struct cw_record *record = cw_find(r, ns, key);
    reply.version = cw_version(record);
    if (record != NULL)
        reply.record_size = (uint32_t)record->len;
    if (record != NULL && to->type == QUO_MESSAGE_QUERY && record->len <= query.value_max) {
        reply.flags |= QUO_REPLY_VALUE;
        reply.record = quo_slice(record->bytes, record->len);
    }
    cw_reply(w, to, &reply);
}

/* Delivery */

static inline bool cw_is_lost(const struct cw *w, const struct cw_frame *frame)
{
    const int replica = -1 - (frame->to < 0 ? frame->to : frame->from);

    assert_true(replica >= 0 && replica < CW_REPLICAS);
    return w->replicas[replica].is_down;
}

/* Takes frame `at` off the wire. */
static inline void cw_take(struct cw *w, int at, bool deliver)
{
    struct cw_frame frame = w->frames[at];

    w->count--;
    for (int i = at; i < w->count; i++)
        w->frames[i] = w->frames[i + 1];
    if (deliver && !cw_is_lost(w, &frame)) {
        if (frame.to >= 0) {
            struct quo_frame f = {frame.type, frame.id, quo_slice(frame.body, frame.len)};
            struct quo_transport *t = &w->proxies[frame.to].transport;
            t->events->on_frame(t->receiver, (uint64_t)(-1 - frame.from), &f);
        } else if (frame.type == QUO_MESSAGE_SCAN) {
            cw_answer_scan(w, &frame);
        } else if (frame.type != QUO_MESSAGE_HINT) {
            cw_answer_key(w, &frame);
        }
    }
    free(frame.body);
}

/* Delivers all frames, in order, but those that `held` picks. */
static inline void cw_run_but(struct cw *w, bool (*held)(const struct cw_frame *frame))
{
    for (int i = 0; i < w->count;) {
        if (held != NULL && held(&w->frames[i])) {
            i++;
            continue;
        }
        cw_take(w, i, true);
        i = 0;
    }
}

static inline void cw_run(struct cw *w)
{
    cw_run_but(w, NULL);
}

static inline void cw_pass(struct cw *w, uint64_t ms)
{
    w->mono_us += ms * 1000;
    w->wall_ms += ms;
    for (int i = 0; i < CW_PROXIES; i++)
        quo_service_expire(w->proxies[i].service, w->mono_us);
}

/* Everything that any replica holds is on all of them, as if they had compared each with each. */
static inline void cw_converge(struct cw *w)
{
    for (int from = 0; from < CW_REPLICAS; from++) {
        for (int i = 0; i < w->replicas[from].count; i++) {
            const struct cw_record *s = &w->replicas[from].records[i];
            for (int to = 0; to < CW_REPLICAS; to++) {
                if (to != from)
                    cw_keep(&w->replicas[to], s->ns, quo_slice(s->key, s->key_len),
                            quo_slice(s->bytes, s->len));
            }
        }
    }
}

static inline void cw_init(struct cw *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->random = seed * 7919 + 1;
    w->mono_us = 1000000;
    w->wall_ms = UINT64_C(1700000000000);
    w->map.cluster = 7;
    w->map.epoch = 1;
    w->map.replicas = CW_REPLICAS;
    w->map.partition_count = 1;
    w->map.node_count = CW_REPLICAS;
    for (uint32_t i = 0; i < CW_REPLICAS; i++)
        w->map.nodes[i].replica = 101 + i;
    w->map.namespace_count = 1;
    w->map.namespaces[0] = (struct quo_namespace){.id = 3,
                                                  .kind = QUO_KIND_CRDT,
                                                  .n = 3,
                                                  .rs = 2,
                                                  .ws = 2,
                                                  .read_level = QUO_LEVEL_QUORUM,
                                                  .write_level = QUO_LEVEL_STRONG,
                                                  .timeout_ms = 1000,
                                                  .value_max = 1000};
    w->map.entries[0] = (struct quo_entry){
        .epoch = 1, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {101, 102, 103}};
    for (int i = 0; i < CW_PROXIES; i++) {
        struct cw_proxy *p = &w->proxies[i];
        p->world = w;
        p->env.ops = &cw_env_ops;
        p->transport.ops = &cw_transport_ops;
        const struct quo_service_options options = {
            .env = &p->env, .transport = &p->transport, .map = &w->map};
        p->service = quo_service_new(&options);
        assert_non_null(p->service);
        for (uint64_t peer = 0; peer < CW_REPLICAS; peer++)
            p->transport.events->on_up(p->transport.receiver, peer);
    }
}

static inline void cw_free(struct cw *w)
{
    for (int i = 0; i < CW_PROXIES; i++)
        quo_service_free(w->proxies[i].service);
    while (w->count > 0)
        cw_take(w, 0, false);
}

/* What a request at this level comes down to. */
static inline struct quo_consistency cw_want(struct cw *w, enum quo_level level, bool is_write)
{
    const struct quo_ask ask = {.has_level = true, .level = level, .r = -1, .w = -1, .dw = -1};
    struct quo_consistency want;

    if (is_write)
        assert_int_equal(quo_consistency_resolve(&w->map.namespaces[0], &ask, true, &want, NULL, 0),
                         QUO_OK);
    else
        assert_int_equal(quo_scan_resolve(&w->map.namespaces[0], &ask, &want, NULL, 0), QUO_OK);
    return want;
}

/* Answers, as a test keeps them. */

struct cw_appended {
    int calls;
    enum quo_verdict verdict;
    enum quo_effectuality outcome;
    struct quo_receipt receipt;
    enum quo_change_code code;
    struct quo_entry_id id;
    bool is_replayed;
    struct quo_job *job;
};

static inline void cw_on_appended(void *context, const struct quo_append_answer *answer)
{
    struct cw_appended *a = context;

    a->calls++;
    a->verdict = answer->response->verdict;
    a->outcome = answer->response->outcome;
    a->receipt = answer->response->receipt;
    a->code = answer->response->change.code;
    a->id = answer->id;
    a->is_replayed = answer->is_replayed;
    a->job = NULL;
}

/* `key` 0: none. */
static inline void cw_append(struct cw *w, int proxy, const char *value, unsigned key,
                             enum quo_level level, struct cw_appended *ret)
{
    char text[16];
    struct quo_append_request request = {
        .ns = &w->map.namespaces[0],
        .name = quo_slice_of("t"),
        .consistency = cw_want(w, level, true),
        .value = quo_slice_of(value),
        .has_opid = key != 0,
        .digest = key != 0 ? (uint64_t)value[0] : 0,
    };

    if (key != 0) {
        snprintf(text, sizeof text, "%u", key);
        request.opid = quo_opid_of_key(quo_slice_of(text));
    }
    memset(ret, 0, sizeof *ret);
    assert_int_equal(
        quo_service_append(w->proxies[proxy].service, &request, cw_on_appended, ret, &ret->job),
        QUO_OK);
}

#define CW_ENTRIES 512

struct cw_page {
    int calls;
    enum quo_verdict verdict;
    struct quo_receipt receipt;
    uint32_t count;
    struct {
        struct quo_entry_id id;
        char value[24];
    } entries[CW_ENTRIES];
    struct quo_version before, sealed;
    struct quo_job *job;
};

static inline void cw_on_page(void *context, const struct quo_page_answer *answer)
{
    struct cw_page *p = context;
    struct quo_record record;

    p->calls++;
    p->verdict = answer->verdict;
    p->receipt = answer->receipt;
    p->before = answer->before;
    p->sealed = answer->sealed;
    p->count = answer->count;
    assert_true(answer->count <= CW_ENTRIES);
    for (uint32_t i = 0; i < answer->count; i++) {
        p->entries[i].id = answer->entries[i].id;
        assert_int_equal(quo_record_decode(answer->entries[i].record, &record), QUO_OK);
        assert_true(record.value.len < sizeof p->entries[i].value);
        memset(p->entries[i].value, 0, sizeof p->entries[i].value);
        memcpy(p->entries[i].value, record.value.data, record.value.len);
    }
    p->job = NULL;
}

static inline void cw_page(struct cw *w, int proxy, struct quo_version before, uint32_t limit,
                           enum quo_level level, struct cw_page *ret)
{
    const struct quo_page_request request = {
        .ns = &w->map.namespaces[0],
        .name = quo_slice_of("t"),
        .before = before,
        .limit = limit,
        .consistency = cw_want(w, level, false),
    };

    ret->calls = 0;
    ret->job = NULL;
    assert_int_equal(
        quo_service_page(w->proxies[proxy].service, &request, cw_on_page, ret, &ret->job), QUO_OK);
}

struct cw_changed {
    int calls;
    enum quo_verdict verdict;
    enum quo_effectuality outcome;
    struct quo_receipt receipt;
    uint32_t count;
    struct quo_job *job;
};

static inline void cw_on_changed(void *context, const struct quo_set_changed *answer)
{
    struct cw_changed *c = context;

    c->calls++;
    c->verdict = answer->response->verdict;
    c->outcome = answer->response->outcome;
    c->receipt = answer->response->receipt;
    c->count = answer->count;
    c->job = NULL;
}

/* `elements` are letters, each one an element. */
static inline void cw_change(struct cw *w, int proxy, bool is_remove, const char *elements,
                             enum quo_level level, struct cw_changed *ret)
{
    uint8_t bytes[3 * 64];
    const uint32_t count = (uint32_t)strlen(elements);
    struct quo_set_change_request request = {
        .is_remove = is_remove,
        .ns = &w->map.namespaces[0],
        .name = quo_slice_of("s"),
        .elements = quo_slice(bytes, 3 * count),
        .count = count,
        .consistency = cw_want(w, level, true),
    };

    for (uint32_t i = 0; i < count; i++) {
        quo_put_u16(bytes + 3 * i, 1);
        bytes[3 * i + 2] = (uint8_t)elements[i];
    }
    memset(ret, 0, sizeof *ret);
    assert_int_equal(
        quo_service_set_change(w->proxies[proxy].service, &request, cw_on_changed, ret, &ret->job),
        QUO_OK);
}

struct cw_list {
    int calls;
    enum quo_verdict verdict;
    struct quo_receipt receipt;
    uint32_t count;
    char elements[64];
    uint8_t after[QUO_ELEMENT_TAIL_MAX];
    size_t after_len;
    struct quo_job *job;
};

static inline void cw_on_list(void *context, const struct quo_set_list *answer)
{
    struct cw_list *l = context;

    l->calls++;
    l->verdict = answer->verdict;
    l->receipt = answer->receipt;
    l->count = answer->count;
    memset(l->elements, 0, sizeof l->elements);
    for (uint32_t i = 0; i < answer->count; i++)
        l->elements[i] = (char)answer->elements.data[3 * i + 2];
    l->after_len = answer->after.len;
    if (l->after_len > 0)
        memcpy(l->after, answer->after.data, l->after_len);
    l->job = NULL;
}

/* `element` 0: all of them, after what `ret` holds. */
static inline void cw_list(struct cw *w, int proxy, char element, uint32_t limit,
                           enum quo_level level, struct cw_list *ret)
{
    const struct quo_set_list_request request = {
        .ns = &w->map.namespaces[0],
        .name = quo_slice_of("s"),
        .element = quo_slice(&element, element != 0),
        .after = quo_slice(ret->after, ret->after_len),
        .limit = limit,
        .consistency = cw_want(w, level, false),
    };

    ret->calls = 0;
    ret->job = NULL;
    assert_int_equal(
        quo_service_set_list(w->proxies[proxy].service, &request, cw_on_list, ret, &ret->job),
        QUO_OK);
}

#endif
