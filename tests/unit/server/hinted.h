/* A server that keeps hints, and a mesh that the test holds in its hand: what is sent there is
 * kept, and answered when the test says so. */
#ifndef QUORATE_TESTS_SERVER_HINTED_H
#define QUORATE_TESTS_SERVER_HINTED_H

#include <stdio.h>

#include "tests/unit/server/harness.h"

#define HINTED_FRAMES 4096u
enum { PEER_SELF = 0, PEER_SECOND = 1, PEER_THIRD = 2, PEER_STRANGER = 3, PEERS = 4 };

struct hinted_frame {
    uint64_t peer, id;
    uint8_t *body;
    size_t len;
    struct quo_msg_store store; /* borrows from body */
    struct quo_record record;   /* likewise */
};

struct hinted {
    struct harness h; /* first: what is of the harness is reached through it */
    struct quo_transport mesh;
    struct hinted_frame stores[HINTED_FRAMES];
    size_t first, count; /* stores[first..count) were not looked at yet */
    uint8_t *reserved;
    size_t reserved_len;
    bool refuse; /* nothing can be sent */
};

static inline enum quo_status hinted_reserve(struct quo_transport *t, uint64_t peer, size_t len,
                                             uint8_t **ret)
{
    struct hinted *s = QUO_CONTAINER_OF(t, struct hinted, mesh);
    (void)peer;
    assert_null(s->reserved);
    if (s->refuse)
        return QUO_BUSY;
    s->reserved_len = len;
    *ret = s->reserved = malloc(len);
    return QUO_OK;
}
static inline void hinted_seal(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id)
{
    struct hinted *s = QUO_CONTAINER_OF(t, struct hinted, mesh);
    uint8_t *body = s->reserved;
    s->reserved = NULL;
    /* Trees are nobody's concern here. */
    if (type != QUO_MESSAGE_STORE) {
        free(body);
        return;
    }
    assert_true(s->count < HINTED_FRAMES);
    struct hinted_frame *frame = &s->stores[s->count++];
    *frame = (struct hinted_frame){peer, id, body, s->reserved_len, .store = {0}};
    assert_int_equal(quo_msg_store_decode(quo_slice(body, frame->len), &frame->store), QUO_OK);
    assert_int_equal(quo_record_decode(frame->store.record, &frame->record), QUO_OK);
    assert_int_equal(frame->store.flags, QUO_STORE_SYNC);
}
static const struct quo_transport_ops hinted_ops = {hinted_reserve, hinted_seal};

static inline void hinted_prepare(struct hinted *s)
{
    static const uint64_t replicas[PEERS] = {SELF, SECOND, THIRD, STRANGER};
    memset(s, 0, sizeof *s);
    harness_prepare(&s->h);
    s->h.tasks_end = &s->h.tasks;
    s->mesh.ops = &hinted_ops;
    s->h.mesh = &s->mesh;
    s->h.map->node_count = PEERS;
    for (uint32_t i = 0; i < PEERS; i++)
        s->h.map->nodes[i].replica = replicas[i];
}
static inline void hinted_start(struct hinted *s)
{
    hinted_prepare(s);
    harness_open(&s->h);
}
static inline void hinted_stop(struct hinted *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->stores[i].body);
    if (s->h.server != NULL)
        quo_server_drain(s->h.server);
    harness_stop(&s->h);
}

/* Lets time go by. */
static inline void hinted_pass(struct hinted *s, uint64_t us)
{
    uint64_t until_us = s->h.mono_us + us;
    for (uint64_t next_us; (next_us = quo_server_deadline(s->h.server)) <= until_us;) {
        next_us = QUO_MAX(s->h.mono_us + 1, next_us);
        s->h.wall_ms += next_us / 1000 - s->h.mono_us / 1000;
        s->h.mono_us = next_us;
        turn(&s->h);
        settle(&s->h);
    }
    if (until_us > s->h.mono_us) {
        s->h.wall_ms += until_us / 1000 - s->h.mono_us / 1000;
        s->h.mono_us = until_us;
    }
    turn(&s->h);
    settle(&s->h);
}

static inline void hinted_up(struct hinted *s, uint64_t peer)
{
    s->mesh.events->on_up(s->mesh.receiver, peer);
    hinted_pass(s, 1000);
}
static inline void hinted_down(struct hinted *s, uint64_t peer)
{
    s->mesh.events->on_down(s->mesh.receiver, peer);
    hinted_pass(s, 1000);
}

/* Sends a HINT of version {HLC(n), 7}; returns its id. */
static inline uint64_t hinted_send(struct hinted *s, uint64_t target, uint32_t ns, uint8_t flags,
                                   const char *key, uint64_t n, struct quo_slice value)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(&s->h.entry, entry);
    struct quo_record record = {
        .flags = flags, .version = version_of(n), .changed = version_of(n), .value = value};
    size_t len = quo_record_size(&record);
    uint8_t *bytes = malloc(len);
    quo_record_encode(&record, bytes);
    struct quo_msg_hint message = {
        .target = target,
        .partition = s->h.partition,
        .ns = ns,
        .kind = kind_of(ns),
        .entry = quo_slice(entry, quo_entry_size(&s->h.entry)),
        .key = quo_slice_of(key),
        .record = quo_slice(bytes, len),
    };
    size_t size = quo_msg_hint_size(&message);
    uint8_t *body = malloc(size);
    quo_msg_hint_encode(&message, body);
    send_frame(&s->h, QUO_MESSAGE_HINT, body, size);
    free(body);
    free(bytes);
    return s->h.last_id;
}
static inline uint64_t hinted_try(struct hinted *s, uint64_t target, const char *key, uint64_t n)
{
    return hinted_send(s, target, NS_LWW, QUO_RECORD_BLIND, key, n, quo_slice(&n, sizeof n));
}
static inline void hinted_keep(struct hinted *s, uint64_t target, const char *key, uint64_t n)
{
    uint64_t id = hinted_try(s, target, key, n);
    settle(&s->h);
    assert_true((expect(&s->h, id, QUO_OK)->flags & QUO_REPLY_DURABLE) != 0);
}

/* The next STORE; NULL: there is none. */
static inline const struct hinted_frame *hinted_next(struct hinted *s)
{
    return s->first < s->count ? &s->stores[s->first++] : NULL;
}
static inline void hinted_expect(struct hinted *s, uint64_t peer, const char *key, uint64_t n,
                                 uint64_t *ret_id)
{
    const struct hinted_frame *frame = hinted_next(s);
    assert_non_null(frame);
    assert_int_equal(frame->peer, peer);
    assert_true(quo_slice_equal(frame->store.key, quo_slice_of(key)));
    assert_int_equal(frame->record.version.hlc, HLC(n));
    assert_int_equal(frame->record.version.node, 7);
    *ret_id = frame->id;
}
/* Lets time go by until a STORE is sent. */
static inline void hinted_wait(struct hinted *s)
{
    for (int i = 0; i < 600 && s->first == s->count; i++)
        hinted_pass(s, 100000);
}
/* Its answer comes. */
static inline void hinted_answer_with(struct hinted *s, uint64_t peer, uint64_t id,
                                      const struct quo_msg_reply *reply)
{
    size_t len = quo_msg_reply_size(reply);
    uint8_t *body = malloc(len);
    quo_msg_reply_encode(reply, body);
    struct quo_frame frame = {QUO_MESSAGE_REPLY, id, quo_slice(body, len)};
    s->mesh.events->on_frame(s->mesh.receiver, peer, &frame);
    free(body);
    turn(&s->h);
    settle(&s->h);
}
static inline void hinted_answer(struct hinted *s, uint64_t peer, uint64_t id,
                                 enum quo_status status)
{
    hinted_answer_with(s, peer, id, &(struct quo_msg_reply){.status = (uint8_t)status});
}

static inline bool hinted_visit(void *context, struct quo_slice key, struct quo_slice value)
{
    (void)key, (void)value;
    ++*(size_t *)context;
    return true;
}
/* How many hints are in the store. */
static inline size_t hinted_stored(const struct hinted *s)
{
    static const uint8_t hi[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    size_t count = 0;
    assert_int_equal(s->h.store->ops->scan(s->h.store, QUO_FAMILY_HINTS, quo_slice(hi, 0),
                                           quo_slice(hi, sizeof hi), hinted_visit, &count),
                     QUO_OK);
    return count;
}
/* What the server says of a target. */
static inline struct quo_server_hints hinted_of(const struct hinted *s, uint64_t target)
{
    struct quo_server_hints all[QUO_NODES_MAX];
    size_t count = quo_server_hints(s->h.server, all);
    for (size_t i = 0; i < count; i++)
        if (all[i].target == target)
            return all[i];
    return (struct quo_server_hints){.target = target};
}

#endif
