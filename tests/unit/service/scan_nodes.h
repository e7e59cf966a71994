/* Nodes that keep records and answer SCAN, QUERY and STORE of them, behind the transport of fake.h.
 */
#ifndef QUORATE_TESTS_SERVICE_SCAN_NODES_H
#define QUORATE_TESTS_SERVICE_SCAN_NODES_H

#include "proxy/service/scan.h"
#include "tests/unit/service/fake.h"

#define SCAN_NODES 4
#define SCAN_STORED_MAX 256

struct scan_stored {
    uint32_t ns; /* with the collection */
    uint8_t key[40];
    size_t key_len;
    uint8_t record[200];
    size_t len;
};

struct scan_node {
    bool is_silent;
    enum quo_status refusal; /* instead of a page, unless QUO_OK */
    bool is_lying;           /* sends what nobody asked for */
    uint32_t page_max;       /* items in one answer; 0: as asked */
    struct quo_version sealed;
    uint64_t now_ms;
    struct scan_stored list[SCAN_STORED_MAX]; /* in order of namespace and key */
    int count;
};

struct scan_world {
    struct fake f;
    struct scan_node nodes[SCAN_NODES];
    uint32_t epoch; /* of the nodes */
    int scans, queries, stores;
};

static inline void scan_world_init_of(struct scan_world *w, uint32_t partitions)
{
    memset(w->nodes, 0, sizeof w->nodes);
    w->epoch = 1;
    w->scans = w->queries = w->stores = 0;
    fake_init(&w->f);
    w->f.wall_ms = 1000000;
    w->f.map.namespaces[1].kind = QUO_KIND_CRDT;
    w->f.map.partition_count = partitions;
    for (uint32_t i = 1; i < partitions; i++)
        w->f.map.entries[i] = w->f.map.entries[0];
    fake_start(&w->f, 0, 0);
}

static inline void scan_world_init(struct scan_world *w)
{
    scan_world_init_of(w, 1);
}

static inline int scan_order(const struct scan_stored *a, uint32_t ns, struct quo_slice key)
{
    if (a->ns != ns)
        return a->ns < ns ? -1 : 1;
    return quo_scan_key_compare(quo_slice(a->key, a->key_len), key);
}

static inline void scan_keep(struct scan_node *node, uint32_t ns, struct quo_slice key,
                             struct quo_slice bytes)
{
    int at = 0;
    struct quo_version held, brought;
    uint8_t flags;

    while (at < node->count && scan_order(&node->list[at], ns, key) < 0)
        at++;
    struct scan_stored *slot = &node->list[at];
    if (at == node->count || scan_order(slot, ns, key) != 0) {
        assert_true(node->count < SCAN_STORED_MAX && key.len <= sizeof slot->key);
        memmove(slot + 1, slot, (size_t)(node->count++ - at) * sizeof *slot);
        slot->ns = ns;
        memcpy(slot->key, key.data, key.len);
        slot->key_len = key.len;
        slot->len = 0;
    }
    assert_true(bytes.len <= sizeof slot->record);
    assert_int_equal(quo_record_peek(bytes, &brought, &flags), QUO_OK);
    if (slot->len > 0) {
        assert_int_equal(quo_record_peek(quo_slice(slot->record, slot->len), &held, &flags),
                         QUO_OK);
        if (quo_version_compare(brought, held) <= 0)
            return;
    }
    memcpy(slot->record, bytes.data, bytes.len);
    slot->len = bytes.len;
}

/* A blind record: value NULL is a tombstone; ttl_ms 0: it stays. */
static inline void scan_put(struct scan_node *node, uint32_t ns, const char *key, uint64_t hlc,
                            const char *value, uint64_t ttl_ms)
{
    uint8_t bytes[200];
    struct quo_record record = {.flags = QUO_RECORD_BLIND, .version = {hlc, 9}, .ttl_ms = ttl_ms};

    if (value == NULL)
        record.flags |= QUO_RECORD_TOMBSTONE;
    else
        record.value = quo_slice_of(value);
    if (ttl_ms > 0)
        record.flags |= QUO_RECORD_EXPIRES;
    quo_record_encode(&record, bytes);
    scan_keep(node, ns, quo_slice_of(key), quo_slice(bytes, quo_record_size(&record)));
}

static inline const struct scan_stored *scan_get(const struct scan_node *node, uint32_t ns,
                                                 const char *key)
{
    for (int i = 0; i < node->count; i++) {
        if (scan_order(&node->list[i], ns, quo_slice_of(key)) == 0)
            return &node->list[i];
    }
    return NULL;
}

static inline bool scan_is_asked(const struct scan_world *w, const struct scan_stored *s,
                                 const struct quo_msg_scan *asked)
{
    struct quo_slice key = quo_slice(s->key, s->key_len);

    return s->ns == asked->ns && quo_map_partition(&w->f.map, s->ns, key) == asked->partition &&
           key.len >= asked->prefix.len &&
           (asked->prefix.len == 0 ||
            memcmp(key.data, asked->prefix.data, asked->prefix.len) == 0) &&
           quo_scan_key_compare(key, asked->after) > 0;
}

static inline void scan_deliver_page(struct scan_world *w, const struct fake_frame *to,
                                     const struct quo_msg_scanned *message)
{
    size_t len = quo_msg_scanned_size(message);
    uint8_t *body = malloc(len);

    quo_msg_scanned_encode(message, body);
    struct quo_frame frame = {QUO_MESSAGE_SCANNED, to->id, quo_slice(body, len)};
    w->f.transport.events->on_frame(w->f.transport.receiver, to->peer, &frame);
    memset(body, 0xee, len);
    free(body);
}

static inline void scan_answer_page(struct scan_world *w, const struct fake_frame *to,
                                    const struct quo_msg_scan *asked)
{
    const struct scan_node *node = &w->nodes[to->peer];
    uint32_t max =
        node->page_max > 0 ? QUO_MIN(node->page_max, asked->count_max) : asked->count_max;
    struct quo_msg_scanned message = {.sealed = node->sealed, .now_ms = node->now_ms};
    uint8_t *items = malloc(SCAN_STORED_MAX * 320);
    size_t len = 0;
    uint32_t count = 0;

    for (int i = 0; i < node->count; i++) {
        const struct scan_stored *s = &node->list[i];
        struct quo_record record;
        struct quo_scan_item item;
        if (!node->is_lying && !scan_is_asked(w, s, asked))
            continue;
        if (count == max) {
            message.more = 1;
            break;
        }
        assert_int_equal(quo_record_decode(quo_slice(s->record, s->len), &record), QUO_OK);
        quo_scan_item_of(quo_slice(s->key, s->key_len), &record, &item);
        if (s->len <= asked->value_max)
            item.record = quo_slice(s->record, s->len);
        quo_scan_item_encode(&item, items + len);
        len += quo_scan_item_size(&item);
        count++;
    }
    message.items = quo_slice(items, len);
    scan_deliver_page(w, to, &message);
    free(items);
}

static inline void scan_answer_scan(struct scan_world *w, const struct fake_frame *to)
{
    const struct scan_node *node = &w->nodes[to->peer];
    struct quo_msg_scan asked;
    struct quo_entry entry;
    struct quo_msg_reply reply = {.status = (uint8_t)node->refusal, .now_ms = node->now_ms};
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];

    w->scans++;
    assert_int_equal(quo_msg_scan_decode(quo_slice(to->body, to->body_len), &asked), QUO_OK);
    assert_true(asked.count_max >= 1 && asked.count_max <= QUO_SCAN_COUNT_MAX);
    assert_int_equal(quo_entry_decode(asked.entry, &entry), QUO_OK);
    if (entry.epoch < w->epoch) {
        entry.epoch = w->epoch;
        quo_entry_encode(&entry, bytes);
        reply.status = QUO_WRONG_EPOCH;
        reply.entry = quo_slice(bytes, quo_entry_size(&entry));
        fake_deliver(&w->f, to->peer, to->id, &reply);
    } else if (node->refusal != QUO_OK) {
        fake_deliver(&w->f, to->peer, to->id, &reply);
    } else {
        scan_answer_page(w, to, &asked);
    }
}

static inline void scan_answer_key(struct scan_world *w, const struct fake_frame *to)
{
    struct scan_node *node = &w->nodes[to->peer];
    struct quo_slice body = quo_slice(to->body, to->body_len), key;
    struct quo_msg_reply reply = {.flags = QUO_REPLY_DURABLE, .now_ms = node->now_ms};
    struct quo_msg_query query;
    struct quo_msg_store store;
    uint8_t flags;
    uint32_t ns;

    if (to->type == QUO_MESSAGE_QUERY) {
        w->queries++;
        assert_int_equal(quo_msg_query_decode(body, &query), QUO_OK);
        key = query.key, ns = query.ns;
    } else {
        w->stores++;
        assert_int_equal(to->type, QUO_MESSAGE_STORE);
        assert_int_equal(quo_msg_store_decode(body, &store), QUO_OK);
        assert_true((store.flags & QUO_STORE_WRITEBACK) != 0);
        key = store.key, ns = store.ns;
        scan_keep(node, ns, key, store.record);
    }
    for (int i = 0; i < node->count; i++) {
        const struct scan_stored *s = &node->list[i];
        if (scan_order(s, ns, key) != 0)
            continue;
        assert_int_equal(quo_record_peek(quo_slice(s->record, s->len), &reply.version, &flags),
                         QUO_OK);
        reply.record_size = (uint32_t)s->len;
        if (to->type == QUO_MESSAGE_QUERY && s->len <= query.value_max) {
            reply.flags |= QUO_REPLY_VALUE;
            reply.record = quo_slice(s->record, s->len);
        }
    }
    fake_deliver(&w->f, to->peer, to->id, &reply);
}

/* Answers everything that was sent, and what that brings. */
static inline void scan_serve(struct scan_world *w)
{
    struct fake *f = &w->f;

    while (f->first < f->count) {
        struct fake_frame frame = f->frames[f->first++];
        if (w->nodes[frame.peer].is_silent)
            continue;
        if (frame.type == QUO_MESSAGE_SCAN)
            scan_answer_scan(w, &frame);
        else
            scan_answer_key(w, &frame);
    }
    for (int i = 0; i < f->count; i++)
        free(f->frames[i].body);
    f->first = f->count = 0;
}

/* Lets time go by, in milliseconds, and answers what comes of it. */
static inline void scan_pass(struct scan_world *w, uint32_t ms)
{
    for (uint32_t i = 0; i < ms; i++) {
        w->f.mono_us += 1000;
        w->f.wall_ms++;
        quo_service_expire(w->f.service, w->f.mono_us);
        scan_serve(w);
    }
}

/* What came of a scan. */
struct scan_result {
    int calls;
    enum quo_verdict verdict;
    enum quo_status refusal;
    struct quo_receipt receipt;
    uint32_t count;
    struct {
        char key[40];
        char value[64];
        uint64_t hlc;
        uint32_t value_len;
        bool is_shown;
    } items[SCAN_STORED_MAX];
    bool more;
    uint8_t upto[40];
    size_t upto_len;
    struct quo_version sealed;
    uint64_t now_ms;
};

static inline void scan_on_answer(void *context, const struct quo_scan_answer *answer)
{
    struct scan_result *result = context;
    struct quo_record record;

    result->calls++;
    result->verdict = answer->verdict;
    result->refusal = answer->refusal;
    result->receipt = answer->receipt;
    result->count = answer->count;
    result->more = answer->more;
    result->upto_len = answer->upto.len;
    result->sealed = answer->sealed;
    result->now_ms = answer->now_ms;
    assert_true(answer->upto.len <= sizeof result->upto && answer->count <= SCAN_STORED_MAX);
    if (answer->upto.len > 0)
        memcpy(result->upto, answer->upto.data, answer->upto.len);
    memset(result->items, 0, sizeof result->items);
    for (uint32_t i = 0; i < answer->count; i++) {
        const struct quo_scan_item *item = &answer->items[i];
        memcpy(result->items[i].key, item->key.data, item->key.len);
        result->items[i].hlc = item->version.hlc;
        result->items[i].value_len = item->value_len;
        result->items[i].is_shown = item->record.len > 0;
        if (item->record.len == 0)
            continue;
        assert_int_equal(quo_record_decode(item->record, &record), QUO_OK);
        memcpy(result->items[i].value, record.value.data, record.value.len);
    }
}

/* Of namespace 0 (lww), at level quorum, all but a few things that a test sets. */
static inline struct quo_scan_request scan_request(struct scan_world *w, const char *prefix,
                                                   uint32_t limit)
{
    struct quo_ask ask = {.has_level = true, .level = QUO_LEVEL_QUORUM, .r = -1, .w = -1, .dw = -1};
    struct quo_scan_request request = {
        .ns = &w->f.map.namespaces[0],
        .prefix = quo_slice_of(prefix),
        .limit = limit,
        .value_max = 1000,
    };

    assert_int_equal(quo_scan_resolve(request.ns, &ask, &request.consistency, NULL, 0), QUO_OK);
    return request;
}

static inline quo_ticket scan_start(struct scan_world *w, const struct quo_scan_request *request,
                                    struct scan_result *result)
{
    quo_ticket ticket = 99;

    memset(result, 0, sizeof *result);
    assert_int_equal(quo_service_scan(w->f.service, request, scan_on_answer, result, &ticket),
                     QUO_OK);
    return ticket;
}

static inline void scan_do(struct scan_world *w, const struct quo_scan_request *request,
                           struct scan_result *result)
{
    scan_start(w, request, result);
    scan_serve(w);
    for (int ms = 0; result->calls == 0 && ms < 3000; ms++)
        scan_pass(w, 1);
    assert_int_equal(result->calls, 1);
}

#endif
