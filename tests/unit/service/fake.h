/* A transport and an environment that a test holds in its hand. */
#ifndef QUORATE_TESTS_SERVICE_FAKE_H
#define QUORATE_TESTS_SERVICE_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/service/service.h"

#define FAKE_FRAMES_MAX 16384

struct fake_frame {
    uint64_t peer;
    uint8_t type;
    uint64_t id;
    uint8_t *body;
    size_t body_len;
};

struct fake_answer {
    int calls;
    struct quo_response response;
    uint8_t value[256];
    size_t value_len;
    char content_type[32];
};

struct fake {
    struct quo_env env;
    uint64_t mono_us, wall_ms, random;
    struct quo_transport transport;
    enum quo_status refuse[QUO_NODES_MAX]; /* what reserve returns for the peer */
    struct fake_frame frames[FAKE_FRAMES_MAX];
    int first, count; /* frames[first..count) were not looked at yet */
    struct quo_map map;
    struct quo_service *service;
};

static inline uint64_t fake_mono(struct quo_env *env)
{
    return QUO_CONTAINER_OF(env, struct fake, env)->mono_us;
}
static inline uint64_t fake_wall(struct quo_env *env)
{
    return QUO_CONTAINER_OF(env, struct fake, env)->wall_ms;
}
static inline uint64_t fake_random(struct quo_env *env)
{
    /* Starts with 0, which is no node id. */
    return QUO_CONTAINER_OF(env, struct fake, env)->random++;
}

static inline enum quo_status fake_reserve(struct quo_transport *t, uint64_t peer, size_t body_len,
                                           uint8_t **ret_body)
{
    struct fake *f = QUO_CONTAINER_OF(t, struct fake, transport);

    if (f->refuse[peer] != QUO_OK)
        return f->refuse[peer];
    assert_true(f->count < FAKE_FRAMES_MAX);
    struct fake_frame *frame = &f->frames[f->count];
    frame->peer = peer;
    frame->body = malloc(body_len);
    frame->body_len = body_len;
    assert_non_null(frame->body);
    *ret_body = frame->body;
    return QUO_OK;
}

static inline void fake_seal(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id)
{
    struct fake *f = QUO_CONTAINER_OF(t, struct fake, transport);
    struct fake_frame *frame = &f->frames[f->count++];

    assert_int_equal(frame->peer, peer);
    frame->type = type;
    frame->id = id;
}

static const struct quo_env_ops fake_env_ops = {fake_mono, fake_wall, fake_random};
static const struct quo_transport_ops fake_transport_ops = {fake_reserve, fake_seal};

/* Four nodes with replica ids 101 to 104, one partition on the first three, namespaces "default"
 * (lww) and "bank" (cas). */
static inline void fake_init(struct fake *f)
{
    memset(f, 0, sizeof *f);
    f->env.ops = &fake_env_ops;
    f->transport.ops = &fake_transport_ops;
    f->mono_us = 1000000;
    f->wall_ms = 5000;
    f->map.cluster = 7;
    f->map.epoch = 1;
    f->map.replicas = 3;
    f->map.partition_count = 1;
    f->map.node_count = 4;
    for (uint32_t i = 0; i < 4; i++)
        f->map.nodes[i].replica = 101 + i;
    f->map.namespace_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct quo_namespace *ns = &f->map.namespaces[i];
        *ns = (struct quo_namespace){.id = i + 1,
                                     .kind = i == 0 ? QUO_KIND_LWW : QUO_KIND_CAS,
                                     .n = 3,
                                     .rs = 2,
                                     .ws = 2,
                                     .read_level = QUO_LEVEL_STRONG,
                                     .write_level = QUO_LEVEL_STRONG,
                                     .timeout_ms = 1000,
                                     .value_max = QUO_VALUE_MAX};
    }
    f->map.entries[0] = (struct quo_entry){
        .epoch = 1, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {101, 102, 103}};
}

static inline void fake_start(struct fake *f, uint32_t ops_max, uint32_t hedge_percent)
{
    struct quo_service_options options = {.env = &f->env,
                                          .transport = &f->transport,
                                          .map = &f->map,
                                          .ops_max = ops_max,
                                          .hedge_percent = hedge_percent};

    f->service = quo_service_new(&options);
    assert_non_null(f->service);
    for (uint64_t peer = 0; peer < f->map.node_count; peer++)
        f->transport.events->on_up(f->transport.receiver, peer);
}

static inline void fake_stop(struct fake *f)
{
    quo_service_free(f->service);
    for (int i = 0; i < f->count; i++)
        free(f->frames[i].body);
}

static inline void fake_on_answer(void *context, const struct quo_response *response)
{
    struct fake_answer *answer = context;

    answer->calls++;
    answer->response = *response;
    answer->value_len = response->record.value.len;
    if (answer->value_len > 0 && answer->value_len <= sizeof answer->value)
        memcpy(answer->value, response->record.value.data, answer->value_len);
    memset(answer->content_type, 0, sizeof answer->content_type);
    if (response->record.content_type.len > 0)
        memcpy(answer->content_type, response->record.content_type.data,
               QUO_MIN(response->record.content_type.len, sizeof answer->content_type - 1));
}

static inline struct quo_request fake_request(struct fake *f, enum quo_request_type type,
                                              const char *key, enum quo_level level)
{
    struct quo_request request = {.type = type,
                                  .ns = &f->map.namespaces[0],
                                  .key = quo_slice_of(key),
                                  .content_type = quo_slice_of("text/plain"),
                                  .value = quo_slice_of("hello")};
    struct quo_ask ask = {.has_level = true, .level = level, .r = -1, .w = -1, .dw = -1};

    assert_int_equal(quo_consistency_resolve(request.ns, &ask, type != QUO_REQUEST_GET,
                                             &request.consistency, NULL, 0),
                     QUO_OK);
    return request;
}

static inline quo_ticket fake_submit(struct fake *f, const struct quo_request *request,
                                     struct fake_answer *answer)
{
    quo_ticket ticket = 99;

    memset(answer, 0, sizeof *answer);
    assert_int_equal(quo_service_submit(f->service, request, fake_on_answer, answer, &ticket),
                     QUO_OK);
    return ticket;
}

/* The next frame that was sent; fails when there is none. */
static inline struct fake_frame fake_next(struct fake *f, uint8_t type)
{
    assert_true(f->first < f->count);
    struct fake_frame frame = f->frames[f->first++];
    assert_int_equal(frame.type, type);
    return frame;
}

static inline void fake_expect_nothing(const struct fake *f)
{
    assert_int_equal(f->first, f->count);
}

static inline void fake_deliver(struct fake *f, uint64_t peer, uint64_t id,
                                const struct quo_msg_reply *reply)
{
    size_t len = quo_msg_reply_size(reply);
    uint8_t *body = malloc(len);

    quo_msg_reply_encode(reply, body);
    struct quo_frame frame = {QUO_MESSAGE_REPLY, id, quo_slice(body, len)};
    f->transport.events->on_frame(f->transport.receiver, peer, &frame);
    free(body);
}

/* Answers a QUERY: version 0 for nothing. */
static inline void fake_reply_query(struct fake *f, const struct fake_frame *to, uint64_t hlc,
                                    const char *value)
{
    uint8_t *bytes = NULL;
    struct quo_msg_reply reply = {.flags = QUO_REPLY_DURABLE, .now_ms = f->wall_ms};

    if (hlc != 0) {
        struct quo_record record = {.version = {hlc, 9},
                                    .flags = QUO_RECORD_BLIND,
                                    .content_type = quo_slice_of("text/plain"),
                                    .value = value ? quo_slice_of(value) : quo_slice(NULL, 0)};
        reply.version = record.version;
        reply.record_size = (uint32_t)quo_record_size(&record);
        if (value != NULL) {
            bytes = malloc(reply.record_size);
            quo_record_encode(&record, bytes);
            reply.flags |= QUO_REPLY_VALUE;
            reply.record = quo_slice(bytes, reply.record_size);
        }
    }
    fake_deliver(f, to->peer, to->id, &reply);
    free(bytes);
}

static inline struct quo_version fake_stored_version(const struct fake_frame *store)
{
    struct quo_msg_store message;
    struct quo_record record;

    assert_int_equal(quo_msg_store_decode(quo_slice(store->body, store->body_len), &message),
                     QUO_OK);
    assert_int_equal(quo_record_decode(message.record, &record), QUO_OK);
    return record.version;
}

static inline void fake_reply_store(struct fake *f, const struct fake_frame *to,
                                    enum quo_status status)
{
    struct quo_msg_reply reply = {.status = (uint8_t)status,
                                  .flags = QUO_REPLY_DURABLE,
                                  .version = fake_stored_version(to),
                                  .now_ms = f->wall_ms};

    fake_deliver(f, to->peer, to->id, &reply);
}

#endif
