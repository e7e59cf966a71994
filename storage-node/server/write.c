/* What STORE, PREP, ACC and SLOT have in common: their limits, and the way to what is held for
 * their key. */
#include <stdlib.h>

#include "quorate/collection.h"
#include "storage-node/server/internal.h"

/* Memory of one write besides its key and record. */
#define WRITE_OVERHEAD (sizeof(struct quo_unsynced) + sizeof(struct quo_waiter) + QUO_VERSION_SIZE)

static void apply_unsynced(struct quo_server *server, const struct quo_request *request,
                           struct quo_overlay_entry *entry)
{
    struct quo_unsynced *older = QUO_CONTAINER_OF(entry, struct quo_unsynced, entry);
    quo_apply(server, request, &(struct quo_held){.view = &older->view, .older = older});
}

static void apply_found(struct quo_server *server, const struct quo_request *request,
                        struct quo_found *found)
{
    quo_apply(server, request, &(struct quo_held){.view = &found->view, .found = found});
}

/* Writes of a key are judged in the order they came: what the first one changed is in the overlay
 * when the second is judged. What was true when they came may not be: the epoch may have moved on,
 * the storage may have failed. */
static void apply_waiting(struct quo_server *server, struct quo_request *request,
                          enum quo_status status, struct quo_found *found)
{
    if (!quo_request_admit(server, request))
        return;
    struct quo_overlay_entry *entry = quo_overlay_find(&server->overlay, request->key);
    if (server->failed)
        quo_reply_refusal(server, request, QUO_READ_ONLY);
    else if (status != QUO_OK)
        quo_reply_refusal(server, request, status);
    else if (entry != NULL)
        apply_unsynced(server, request, entry);
    else
        apply_found(server, request, found);
}

/* Whose answer shows the record takes it along; those behind him read anew. */
static void loaded(struct quo_reading *reading, enum quo_status status, struct quo_found *found)
{
    struct quo_server *server = reading->server;
    quo_overlay_remove(&server->overlay, &reading->entry);
    while (reading->waiting != NULL) {
        struct quo_parked *waiting = reading->waiting;
        reading->waiting = waiting->next;
        if (status == QUO_OK && found->taken)
            quo_write_resume(server, &waiting->request);
        else
            apply_waiting(server, &waiting->request, status, found);
        server->memory -= waiting->memory;
        free(waiting);
    }
    if (status == QUO_OK)
        quo_found_release(server, found);
    quo_reading_recycle(reading);
}

/* Returns false when out of memory. */
static bool wait_for(struct quo_reading *reading, const struct quo_request *request)
{
    struct quo_parked *waiting = quo_request_park(request);
    if (waiting == NULL)
        return false;
    *reading->waiting_end = waiting;
    reading->waiting_end = &waiting->next;
    reading->server->memory += waiting->memory;
    QUO_PROBE(STORE_WAITED_FOR_LOAD);
    return true;
}

static enum quo_status start_load(struct quo_server *server, const struct quo_request *request,
                                  bool promises)
{
    struct quo_reading *reading = quo_reading_new(server, request->key, promises);
    if (reading == NULL)
        return QUO_BUSY;
    if (!wait_for(reading, request)) {
        quo_reading_recycle(reading);
        return QUO_BUSY;
    }
    reading->entry = (struct quo_overlay_entry){
        .key = quo_slice(reading->key, reading->key_len),
        .state = QUO_OVERLAY_LOADING,
    };
    quo_overlay_insert(&server->overlay, &reading->entry);
    reading->done = loaded;
    quo_reading_start(reading);
    return QUO_OK;
}

static void run(struct quo_server *server, const struct quo_request *request)
{
    struct quo_overlay_entry *entry = quo_overlay_find(&server->overlay, request->key);
    if (entry != NULL && entry->state == QUO_OVERLAY_UNSYNCED) {
        apply_unsynced(server, request, entry);
        return;
    }
    if (entry != NULL) {
        if (!wait_for(QUO_CONTAINER_OF(entry, struct quo_reading, entry), request))
            quo_reply_refusal(server, request, QUO_BUSY);
        return;
    }
    bool promises = quo_replica_kind_promises(request->ns->kind);
    struct quo_found found;
    enum quo_status status = quo_read_now(server, request->key, promises, &found);
    if (status == QUO_OK) {
        apply_found(server, request, &found);
        quo_found_release(server, &found);
        return;
    }
    if (status == QUO_WOULD_BLOCK)
        status = start_load(server, request, promises);
    if (status != QUO_OK)
        quo_reply_refusal(server, request, status);
}

/* The longest value that the request may bring. A slot grows with what it remembers, whatever the
 * namespace allows its clients. */
static size_t value_max(const struct quo_request *request)
{
    bool is_slot = quo_collection_of(request->ns_id) == QUO_COLLECTION_COUNTER;
    return is_slot ? QUO_SLOT_VALUE_MAX : request->ns->value_max;
}

/* Bytes that the request may make us keep. */
static size_t memory_of(const struct quo_request *request)
{
    size_t record = request->op == QUO_OP_SLOT ? QUO_SLOT_VALUE_MAX : request->record.len;
    return request->key.len + record + WRITE_OVERHEAD;
}

void quo_write_start(struct quo_server *server, struct quo_request *request, size_t value_len)
{
    if (!quo_request_admit(server, request))
        return;
    uint64_t now_ms = quo_wall_ms(server->env);
    enum quo_status status = quo_replica_skew(request->version, now_ms);
    if (status == QUO_OK)
        status = quo_replica_skew(request->next, now_ms);
    if (status == QUO_OK && value_len > value_max(request))
        status = QUO_MALFORMED;
    if (status == QUO_OK)
        status = quo_request_may_write(server, memory_of(request));
    if (status == QUO_OK)
        run(server, request);
    else
        quo_reply_refusal(server, request, status);
}

void quo_write_resume(struct quo_server *server, const struct quo_request *request)
{
    struct quo_request admitted = *request;
    if (quo_request_admit(server, &admitted))
        run(server, &admitted);
}
