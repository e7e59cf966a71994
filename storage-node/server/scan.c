/* SCAN: shows the durable records of a run of keys, read off the loop. So many at once; others wait
 * for their turn. */
#include <stdlib.h>

#include "quorate/scan.h"
#include "storage-node/server/internal.h"

struct quo_scanning {
    struct quo_scanning *next;
    struct quo_server *server;
    struct quo_request request; /* its slices are of what follows */
    struct quo_version sealed;  /* when it began: what was read later has all that */
    struct quo_range range;
    uint8_t prefix[QUO_STORAGE_KEY_MAX];
    uint8_t after[QUO_KEY_MAX];
    uint8_t lo[QUO_STORAGE_KEY_MAX + 1], hi[QUO_STORAGE_KEY_MAX];
};

static void take_out(struct quo_scanning *scanning)
{
    struct quo_scanning **at = &scanning->server->scans;

    while (*at != scanning)
        at = &(*at)->next;
    *at = scanning->next;
    scanning->server->scan_count--;
}

/* What the answer says of an entry of the range, whose value may be cut within the record's value.
 * Returns false if it is no record. */
static bool read_item(const struct quo_request *request, const struct quo_range_entry *entry,
                      struct quo_scan_item *ret)
{
    struct quo_record record;

    if (quo_record_decode(entry->value, &record) != QUO_OK)
        return false;
    quo_scan_item_of(quo_slice(entry->key.data + QUO_STORAGE_KEY_PREFIX,
                               entry->key.len - QUO_STORAGE_KEY_PREFIX),
                     &record, ret);
    ret->value_len += entry->value_len - (uint32_t)entry->value.len;
    if (entry->value_len <= request->value_max && entry->value_len == entry->value.len)
        ret->record = entry->value;
    return true;
}

/* How far the entries of the range go into one answer. */
struct page {
    uint32_t count;
    size_t size;
};

/* QUO_OK or QUO_CORRUPT. A record that fits in no answer is left out of it. */
static enum quo_status measure(const struct quo_scanning *scanning, struct page *page)
{
    struct quo_range_entry entry;
    struct quo_scan_item item;
    size_t at = 0;

    *page = (struct page){0};
    while (quo_range_next(&scanning->range, &at, &entry)) {
        if (!read_item(&scanning->request, &entry, &item))
            return QUO_CORRUPT;
        if (page->count == 0 && quo_scan_item_size(&item) > QUO_SCAN_BYTES_MAX)
            item.record = quo_slice(NULL, 0);
        const size_t size = quo_scan_item_size(&item);
        if (size > QUO_SCAN_BYTES_MAX - page->size)
            break;
        page->size += size;
        page->count++;
    }
    return QUO_OK;
}

static void fill(const struct quo_scanning *scanning, const struct page *page, uint8_t *out)
{
    struct quo_range_entry entry;
    struct quo_scan_item item;
    size_t at = 0, left = page->size;

    for (uint32_t i = 0; i < page->count; i++) {
        QUO_INVARIANT(quo_range_next(&scanning->range, &at, &entry) &&
                      read_item(&scanning->request, &entry, &item));
        if (quo_scan_item_size(&item) > left)
            item.record = quo_slice(NULL, 0);
        quo_scan_item_encode(&item, out);
        out += quo_scan_item_size(&item);
        left -= quo_scan_item_size(&item);
    }
}

/* The slice of the items is what the frame has room for, filled in place. */
static void send(struct quo_scanning *scanning, const struct page *page)
{
    struct quo_server *server = scanning->server;
    const struct quo_request *request = &scanning->request;
    struct quo_transport *transport = server->transport;
    uint8_t *items = malloc(page->size + 1), *body;

    if (items == NULL) {
        quo_reply_status(server, request->peer, request->id, QUO_BUSY);
        return;
    }
    fill(scanning, page, items);
    struct quo_msg_scanned message = {
        .more = scanning->range.more || page->count < scanning->range.count,
        .sealed = scanning->sealed,
        .now_ms = quo_wall_ms(server->env),
        .items = quo_slice(items, page->size),
    };
    enum quo_status status =
        transport->ops->reserve(transport, request->peer, quo_msg_scanned_size(&message), &body);
    if (status == QUO_OK) {
        quo_msg_scanned_encode(&message, body);
        transport->ops->seal(transport, request->peer, QUO_MESSAGE_SCANNED, request->id);
        quo_count(&server->stats.scanned, page->count);
    } else if (status == QUO_BUSY) {
        quo_count(&server->stats.dropped, 1);
    }
    free(items);
}

/* As of a QUERY that went to the disk: the partition may have a newer epoch by now. */
static void answer(struct quo_scanning *scanning)
{
    struct quo_server *server = scanning->server;
    struct quo_request *request = &scanning->request;
    struct page page;

    if (!quo_request_admit(server, request))
        return;
    enum quo_status status = measure(scanning, &page);
    if (status == QUO_OK)
        send(scanning, &page);
    else
        quo_reply_status(server, request->peer, request->id, status);
}

static void start_waiting(struct quo_server *server);

static void was_read(struct quo_load *load)
{
    struct quo_scanning *scanning = load->context;
    struct quo_server *server = scanning->server;
    const struct quo_request *request = &scanning->request;
    enum quo_status status = load->status == QUO_NO_MEMORY ? QUO_BUSY : load->status;

    if (status == QUO_IO_ERROR)
        quo_count(&server->stats.io_errors, 1);
    if (status == QUO_OK)
        answer(scanning);
    else
        quo_reply_status(server, request->peer, request->id, status);
    take_out(scanning);
    server->store->ops->range_release(server->store, &scanning->range);
    free(scanning);
    start_waiting(server);
}

/* The first storage key past those with the prefix. There is one: a collection's number, the
 * highest byte of a namespace id, is far from its end. */
static size_t past(struct quo_slice prefix, uint8_t *out)
{
    size_t len = prefix.len;

    while (prefix.data[len - 1] == UINT8_MAX)
        len--;
    memcpy(out, prefix.data, len);
    out[len - 1]++;
    return len;
}

static size_t first(const struct quo_request *request, uint8_t *out)
{
    const size_t len = QUO_STORAGE_KEY_PREFIX + request->record.len;

    if (request->record.len == 0) {
        memcpy(out, request->key.data, request->key.len);
        return request->key.len;
    }
    memcpy(out, request->key.data, QUO_STORAGE_KEY_PREFIX);
    memcpy(out + QUO_STORAGE_KEY_PREFIX, request->record.data, request->record.len);
    out[len] = 0;
    return len + 1;
}

static struct quo_scanning *make(struct quo_server *server, const struct quo_request *request)
{
    struct quo_scanning *scanning = malloc(sizeof *scanning);

    if (scanning == NULL)
        return NULL;
    scanning->next = NULL;
    scanning->server = server;
    scanning->request = *request;
    struct quo_request *own = &scanning->request;
    memcpy(scanning->prefix, request->key.data, request->key.len);
    own->key = quo_slice(scanning->prefix, request->key.len);
    if (request->record.len > 0)
        memcpy(scanning->after, request->record.data, request->record.len);
    own->record = quo_slice(scanning->after, request->record.len);
    own->value_max = QUO_MIN(own->value_max, QUO_SCAN_BYTES_MAX);
    return scanning;
}

/* Without records in the answer little of each is needed, but where its value begins depends on
 * the length of its ring. */
static void start(struct quo_scanning *scanning)
{
    struct quo_server *server = scanning->server;
    const struct quo_request *request = &scanning->request;

    scanning->range = (struct quo_range){
        .load = {.family = QUO_FAMILY_DATA, .done = was_read, .context = scanning},
        .lo = quo_slice(scanning->lo, first(request, scanning->lo)),
        .hi = quo_slice(scanning->hi, past(request->key, scanning->hi)),
        .count_max = request->count_max,
        .bytes_max = request->value_max > 0 ? QUO_SCAN_BYTES_MAX : QUO_SCAN_READ_MAX,
        .value_max = QUO_MAX(request->value_max, QUO_RECORD_OVERHEAD_MAX),
    };
    scanning->sealed = quo_server_sealed(server, request->partition);
    scanning->next = server->scans;
    server->scans = scanning;
    server->scan_count++;
    server->store->ops->range(server->store, &scanning->range);
}

/* Whether it may read now; otherwise it was answered, or is held until the node has adopted the
 * epoch, as a QUERY is. */
static bool may_read(struct quo_server *server, struct quo_request *request)
{
    if (!quo_request_admit(server, request))
        return false;
    struct quo_group *adopting = server->partitions[request->partition].adopting;
    if (adopting == NULL || QUO_MUTANT(ANSWER_BEFORE_ADOPTED))
        return true;
    if (!quo_group_hold(adopting, request))
        quo_reply_status(server, request->peer, request->id, QUO_BUSY);
    return false;
}

static struct quo_scanning *take_waiting(struct quo_server *server)
{
    struct quo_scanning *first_waiting = server->scans_waiting;

    if (first_waiting != NULL) {
        server->scans_waiting = first_waiting->next;
        server->scan_waiting_count--;
    }
    return first_waiting;
}

static void start_waiting(struct quo_server *server)
{
    while (server->scan_count < QUO_NODE_SCANS_MAX) {
        struct quo_scanning *scanning = take_waiting(server);
        if (scanning == NULL)
            return;
        if (may_read(server, &scanning->request))
            start(scanning);
        else
            free(scanning);
    }
}

static void wait(struct quo_scanning *scanning)
{
    struct quo_server *server = scanning->server;

    if (server->scans_waiting == NULL)
        server->scans_waiting = scanning;
    else
        server->scan_last_waiting->next = scanning;
    server->scan_last_waiting = scanning;
    server->scan_waiting_count++;
}

void quo_scan_run(struct quo_server *server, const struct quo_request *came)
{
    struct quo_request request = *came;
    struct quo_scanning *scanning = NULL;

    if (!may_read(server, &request))
        return;
    if (server->scan_waiting_count < QUO_NODE_SCANS_WAITING_MAX)
        scanning = make(server, &request);
    if (scanning == NULL)
        quo_reply_status(server, request.peer, request.id, QUO_BUSY);
    else if (server->scan_count < QUO_NODE_SCANS_MAX)
        start(scanning);
    else
        wait(scanning);
}

static bool is_proper(const struct quo_msg_scan *message)
{
    struct quo_slice prefix = message->prefix, after = message->after;
    bool is_within =
        after.len == 0 || (after.len >= prefix.len &&
                           (prefix.len == 0 || memcmp(after.data, prefix.data, prefix.len) == 0));

    return message->count_max >= 1 && message->count_max <= QUO_SCAN_COUNT_MAX && is_within;
}

void quo_handle_scan(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    struct quo_msg_scan message;
    uint8_t key[QUO_STORAGE_KEY_MAX];

    quo_count(&server->stats.scans, 1);
    if (quo_msg_scan_decode(body, &message) != QUO_OK || !is_proper(&message)) {
        quo_reply_status(server, peer, id, QUO_MALFORMED);
        return;
    }
    struct quo_request request = {
        .peer = peer,
        .id = id,
        .op = QUO_OP_QUERY,
        .partition = message.partition,
        .kind = message.kind,
        .ns_id = message.ns,
        .value_max = message.value_max,
        .count_max = message.count_max,
        .record = message.after,
    };
    if (quo_request_init(server, &request, message.entry, message.prefix, key) == QUO_OK)
        quo_scan_run(server, &request);
    else
        quo_reply_status(server, peer, id, QUO_MALFORMED);
}

void quo_scannings_free(struct quo_server *server)
{
    while (server->scans != NULL) {
        struct quo_scanning *scanning = server->scans;
        server->scans = scanning->next;
        server->store->ops->range_release(server->store, &scanning->range);
        free(scanning);
    }
    server->scan_count = 0;
    for (struct quo_scanning *s = take_waiting(server); s != NULL; s = take_waiting(server))
        free(s);
}
