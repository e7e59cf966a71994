/* QUERY: shows the durable record of a key. */
#include "storage-node/server/internal.h"

static void answer(struct quo_server *server, const struct quo_request *request,
                   const struct quo_replica_view *view, struct quo_slice record)
{
    struct quo_replica_view shown = *view;
    quo_floors_show(server, request->partition, &shown);
    struct quo_replica_verdict verdict = quo_replica_query(&shown, request->value_max);
    uint8_t flags = QUO_REPLY_DURABLE;
    if (verdict.value)
        flags |= QUO_REPLY_VALUE;
    else
        record = quo_slice(NULL, 0);
    quo_reply_record(server, request, flags, &verdict.reply, record);
}

static void answer_found(struct quo_server *server, const struct quo_request *request,
                         struct quo_found *found)
{
    answer(server, request, &found->view, found->record.bytes);
    quo_found_release(server, found);
}

/* What must never be shown: a crash can take it back. */
static bool answer_unsynced(struct quo_server *server, const struct quo_request *request)
{
    struct quo_overlay_entry *entry = quo_overlay_find(&server->overlay, request->key);
    if (entry == NULL || entry->state != QUO_OVERLAY_UNSYNCED)
        return false;
    struct quo_unsynced *unsynced = QUO_CONTAINER_OF(entry, struct quo_unsynced, entry);
    if (!unsynced->brings_record)
        return false;
    answer(server, request, &unsynced->view, unsynced->record);
    return true;
}

/* The disk took its time, and the partition may have a newer epoch by now: then this answer would
 * speak for an epoch that is over. If it has none, its epoch was on disk before the read began. */
static void loaded(struct quo_reading *reading, enum quo_status status, struct quo_found *found)
{
    struct quo_server *server = reading->server;
    struct quo_request *request = &reading->request;
    if (status != QUO_OK) {
        quo_reply_status(server, request->peer, request->id, status);
    } else if (!quo_request_admit(server, request)) {
        quo_found_release(server, found);
    } else {
        answer_found(server, request, found);
    }
    quo_reading_recycle(reading);
}

static void start_load(struct quo_server *server, const struct quo_request *request, bool promises)
{
    struct quo_reading *reading = quo_reading_new(server, request->key, promises);
    if (reading == NULL) {
        quo_reply_status(server, request->peer, request->id, QUO_BUSY);
        return;
    }
    reading->request = *request;
    reading->request.key = quo_slice(reading->key, reading->key_len);
    reading->done = loaded;
    quo_reading_start(reading);
}

void quo_query_run(struct quo_server *server, const struct quo_request *came)
{
    struct quo_request admitted = *came;
    const struct quo_request *request = &admitted;
    if (!quo_request_admit(server, &admitted))
        return;
    struct quo_group *adopting = server->partitions[request->partition].adopting;
    if (adopting != NULL && !QUO_MUTANT(ANSWER_BEFORE_ADOPTED)) {
        /* What is read before the new epoch is on disk could miss a write that an older epoch still
         * has under way here. So the read itself waits, not only its answer. */
        if (!quo_group_hold(adopting, request))
            quo_reply_status(server, request->peer, request->id, QUO_BUSY);
        return;
    }
    if (QUO_MUTANT(READ_UNSYNCED) && answer_unsynced(server, request))
        return;
    bool promises = quo_replica_kind_promises(request->ns->kind);
    struct quo_found found;
    enum quo_status status = quo_read_now(server, request->key, promises, &found);
    if (status == QUO_OK)
        answer_found(server, request, &found);
    else if (status == QUO_WOULD_BLOCK)
        start_load(server, request, promises);
    else
        quo_reply_status(server, request->peer, request->id, status);
}

void quo_handle_query(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    quo_count(&server->stats.queries, 1);
    struct quo_msg_query message;
    if (quo_msg_query_decode(body, &message) != QUO_OK) {
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
    };
    uint8_t key[QUO_STORAGE_KEY_MAX];
    if (quo_request_init(server, &request, message.entry, message.key, key) == QUO_OK)
        quo_query_run(server, &request);
    else
        quo_reply_status(server, peer, id, QUO_MALFORMED);
}
