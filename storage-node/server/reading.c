/* Reads of what the engine holds: at once when it is in memory, else off the loop. */
#include <stdlib.h>

#include "storage-node/server/internal.h"

static enum quo_status parse_record(const struct quo_pinned *pinned, struct quo_replica_view *view)
{
    uint8_t flags;
    if (pinned->bytes.len > QUO_RECORD_MAX ||
        quo_record_peek(pinned->bytes, &view->version, &flags) != QUO_OK)
        return QUO_CORRUPT;
    view->blind = (flags & QUO_RECORD_BLIND) != 0;
    view->record_size = (uint32_t)pinned->bytes.len;
    return QUO_OK;
}

static enum quo_status parse_promise(const struct quo_pinned *pinned, struct quo_replica_view *view)
{
    if (pinned->bytes.len != QUO_VERSION_SIZE)
        return QUO_CORRUPT;
    view->promised = quo_version_decode(pinned->bytes.data);
    view->promise_kept = true;
    return QUO_OK;
}

void quo_pinned_release(struct quo_server *server, struct quo_pinned *pinned)
{
    if (pinned->handle != NULL)
        server->store->ops->release(server->store, pinned);
    *pinned = (struct quo_pinned){.handle = NULL};
}

void quo_found_release(struct quo_server *server, struct quo_found *found)
{
    quo_pinned_release(server, &found->record);
}

struct quo_pinned quo_found_take(struct quo_found *found)
{
    struct quo_pinned record = found->record;
    found->record = (struct quo_pinned){.handle = NULL};
    found->taken = true;
    return record;
}

/* Joins what was read for a key; takes both pins over. */
static enum quo_status join(struct quo_server *server, enum quo_status record_status,
                            struct quo_pinned *record, enum quo_status promise_status,
                            struct quo_pinned *promise, struct quo_found *ret)
{
    struct quo_found found = {.record = *record};
    if (record_status == QUO_OK)
        record_status = parse_record(record, &found.view);
    if (promise_status == QUO_OK)
        promise_status = parse_promise(promise, &found.view);
    quo_pinned_release(server, promise);
    enum quo_status status =
        record_status != QUO_OK && record_status != QUO_NOT_FOUND ? record_status : promise_status;
    if (status == QUO_OK || status == QUO_NOT_FOUND) {
        struct quo_replica_view *view = &found.view;
        view->promised = quo_replica_promised(view->promised, view->version, view->blind);
        *ret = found;
        return QUO_OK;
    }
    quo_pinned_release(server, &found.record);
    if (status == QUO_IO_ERROR)
        quo_count(&server->stats.io_errors, 1);
    return status;
}

/* A write sees a pair that stood there at one moment: while anything of its key is under way to the
 * engine the overlay speaks for the key, and a load for a write keeps all others out. For a QUERY a
 * batch may be applied between the two reads. The promise comes first since an accept clears it as
 * it raises the record to it or above: the pair then still shows all that was promised. The other
 * way round a promise could be missed that was cleared because the record, read too early, had
 * reached it. What a batch begins to keep beside the record a QUERY may miss. That is harmless:
 * what was promised under older epochs is applied before a QUERY of a newer one reads, and promises
 * of its own epoch it may as well have come before. */
enum quo_status quo_read_now(struct quo_server *server, struct quo_slice key, bool promises,
                             struct quo_found *ret)
{
    struct quo_store *store = server->store;
    struct quo_pinned record = {.handle = NULL}, promise = {.handle = NULL};
    enum quo_status promise_status = QUO_NOT_FOUND, record_status = QUO_NOT_FOUND;
    if (promises)
        promise_status = store->ops->get(store, QUO_FAMILY_PROMISE, key, &promise);
    if (promise_status == QUO_OK || promise_status == QUO_NOT_FOUND)
        record_status = store->ops->get(store, QUO_FAMILY_DATA, key, &record);
    return join(server, record_status, &record, promise_status, &promise, ret);
}

static void start(struct quo_reading *reading, struct quo_load *load, enum quo_family family,
                  void (*done)(struct quo_load *load))
{
    *load = (struct quo_load){
        .family = family,
        .key = quo_slice(reading->key, reading->key_len),
        .done = done,
        .context = reading,
    };
    struct quo_store *store = reading->server->store;
    store->ops->load(store, load);
}

static void record_loaded(struct quo_load *load)
{
    struct quo_reading *reading = load->context;
    struct quo_found found;
    enum quo_status status = join(reading->server, load->status, &load->value,
                                  reading->promise.status, &reading->promise.value, &found);
    reading->done(reading, status, &found);
}

static void promise_loaded(struct quo_load *load)
{
    struct quo_reading *reading = load->context;
    start(reading, &reading->record, QUO_FAMILY_DATA, record_loaded);
}

struct quo_reading *quo_reading_new(struct quo_server *server, struct quo_slice key, bool promises)
{
    if (server->reading_count >= QUO_NODE_LOADS_MAX)
        return NULL;
    struct quo_reading *reading = server->spare_readings;
    if (reading != NULL)
        server->spare_readings = reading->next;
    else if ((reading = malloc(sizeof *reading)) == NULL)
        return NULL;
    server->reading_count++;
    reading->server = server;
    reading->previous = NULL;
    reading->next = server->readings;
    if (reading->next != NULL)
        reading->next->previous = reading;
    server->readings = reading;
    reading->promises = promises;
    reading->waiting = NULL;
    reading->waiting_end = &reading->waiting;
    reading->key_len = key.len;
    memcpy(reading->key, key.data, key.len);
    return reading;
}

void quo_reading_start(struct quo_reading *reading)
{
    QUO_PROBE(LOAD_FROM_DISK);
    quo_count(&reading->server->stats.loads, 1);
    reading->record.value = (struct quo_pinned){.handle = NULL};
    reading->promise.value = (struct quo_pinned){.handle = NULL};
    reading->promise.status = QUO_NOT_FOUND;
    if (reading->promises)
        start(reading, &reading->promise, QUO_FAMILY_PROMISE, promise_loaded);
    else
        start(reading, &reading->record, QUO_FAMILY_DATA, record_loaded);
}

void quo_reading_recycle(struct quo_reading *reading)
{
    struct quo_server *server = reading->server;
    if (reading->previous != NULL)
        reading->previous->next = reading->next;
    else
        server->readings = reading->next;
    if (reading->next != NULL)
        reading->next->previous = reading->previous;
    server->reading_count--;
    reading->next = server->spare_readings;
    server->spare_readings = reading;
}

void quo_reading_free_all(struct quo_server *server)
{
    while (server->readings != NULL) {
        struct quo_reading *reading = server->readings;
        while (reading->waiting != NULL) {
            struct quo_parked *waiting = reading->waiting;
            reading->waiting = waiting->next;
            free(waiting);
        }
        quo_pinned_release(server, &reading->record.value);
        quo_pinned_release(server, &reading->promise.value);
        quo_reading_recycle(reading);
    }
    while (server->spare_readings != NULL) {
        struct quo_reading *reading = server->spare_readings;
        server->spare_readings = reading->next;
        free(reading);
    }
}
