/* STORE: keeps a record if nothing newer is there. */
#include <stdlib.h>

#include "storage-node/server/internal.h"

/* Memory of one write besides its key and record. */
#define STORE_OVERHEAD (sizeof(struct quo_unsynced) + sizeof(struct quo_waiter))

#define STORE_FLAGS (unsigned)(QUO_STORE_SYNC | QUO_STORE_WRITEBACK)

static void refuse(struct quo_server *server, const struct quo_store_request *store,
                   enum quo_status status)
{
    quo_reply_after(server, &store->request, status, NULL, NULL, false);
}

static void answer(struct quo_server *server, const struct quo_store_request *store,
                   const struct quo_replica_verdict *verdict, struct quo_group *holder)
{
    bool wait = store->sync && (verdict->status == QUO_OK || verdict->status == QUO_SUPERSEDED);
    if (QUO_MUTANT(ACK_BEFORE_SYNC) && store->sync)
        holder = NULL;
    if (QUO_MUTANT(SUPERSEDED_BEFORE_SYNC) && !verdict->write)
        holder = NULL;
    if (wait && holder != NULL && !verdict->write)
        QUO_PROBE(STORE_MET_UNSYNCED);
    quo_reply_after(server, &store->request, verdict->status, &verdict->reply, holder, wait);
}

/* Returns the new overlay entry of the record, in the group that gathers; NULL when out of memory,
 * with nothing changed. */
static struct quo_unsynced *append(struct quo_server *server, const struct quo_store_request *store,
                                   const struct quo_replica_view *view)
{
    struct quo_group *group = quo_group_gather(server, store->key.len + store->record.len);
    if (group == NULL)
        return NULL;
    size_t kept = QUO_MUTANT(READ_UNSYNCED) ? store->record.len : 0;
    struct quo_unsynced *unsynced =
        quo_arena_alloc(&group->arena, sizeof *unsynced + store->key.len + kept);
    if (unsynced == NULL)
        return NULL;
    uint8_t *bytes = (uint8_t *)(unsynced + 1);
    memcpy(bytes, store->key.data, store->key.len);
    *unsynced = (struct quo_unsynced){
        .entry = {.key = quo_slice(bytes, store->key.len), .state = QUO_OVERLAY_UNSYNCED},
        .next_in_group = group->unsynced,
        .group = group,
        .newest = true,
        .view = *view,
        .digest = quo_overlay_digest(store->record),
    };
    if (kept > 0) {
        memcpy(bytes + store->key.len, store->record.data, kept);
        unsynced->record = quo_slice(bytes + store->key.len, kept);
    }
    group->unsynced = unsynced;
    quo_group_put(group, QUO_FAMILY_DATA, store->key, store->record);
    quo_group_account(group, store->key.len + store->record.len + sizeof *unsynced);
    group->records++;
    return unsynced;
}

/* Applies the rule. `older` is the overlay's entry of the key if `view` is of a record that is not
 * on disk, else NULL. */
static void judge(struct quo_server *server, const struct quo_store_request *store,
                  const struct quo_replica_view *view, bool same_bytes, struct quo_unsynced *older)
{
    struct quo_replica_incoming incoming = {
        .version = store->version,
        .record_size = (uint32_t)store->record.len,
        .same_bytes = same_bytes,
    };
    struct quo_replica_verdict verdict = quo_replica_store(view, &incoming);
    struct quo_group *holder = older != NULL ? older->group : NULL;
    if (verdict.write) {
        struct quo_unsynced *newer = append(server, store, &verdict.reply);
        if (newer == NULL) {
            refuse(server, store, QUO_BUSY);
            return;
        }
        if (older != NULL) {
            quo_overlay_remove(&server->overlay, &older->entry);
            older->newest = false;
        }
        quo_overlay_insert(&server->overlay, &newer->entry);
        holder = newer->group;
    }
    answer(server, store, &verdict, holder);
}

static void judge_unsynced(struct quo_server *server, const struct quo_store_request *store,
                           struct quo_unsynced *older)
{
    bool same_bytes = older->view.record_size == store->record.len &&
                      older->digest == quo_overlay_digest(store->record);
    judge(server, store, &older->view, same_bytes, older);
}

static void judge_found(struct quo_server *server, const struct quo_store_request *store,
                        const struct quo_found *found)
{
    judge(server, store, &found->view, quo_slice_equal(found->record.bytes, store->record), NULL);
}

/* Writes of a key are judged in the order they came: the first one's record is in the overlay when
 * the second is judged. What was true when they came may not be: the epoch may have moved on, the
 * storage may have failed. */
static void judge_waiting(struct quo_server *server, struct quo_store_request *store,
                          enum quo_status status, const struct quo_found *found)
{
    if (!quo_request_admit(server, &store->request))
        return;
    struct quo_overlay_entry *entry = quo_overlay_find(&server->overlay, store->key);
    if (server->failed)
        refuse(server, store, QUO_READ_ONLY);
    else if (status != QUO_OK)
        refuse(server, store, status);
    else if (entry != NULL)
        judge_unsynced(server, store, QUO_CONTAINER_OF(entry, struct quo_unsynced, entry));
    else
        judge_found(server, store, found);
}

static void loaded(struct quo_reading *reading, enum quo_status status, struct quo_found *found)
{
    struct quo_server *server = reading->server;
    quo_overlay_remove(&server->overlay, &reading->entry);
    while (reading->waiting != NULL) {
        struct quo_waiting *waiting = reading->waiting;
        reading->waiting = waiting->next;
        judge_waiting(server, &waiting->store, status, found);
        server->memory -= waiting->memory;
        free(waiting);
    }
    if (status == QUO_OK)
        quo_found_release(server, found);
    quo_reading_recycle(reading);
}

/* Returns false when out of memory. */
static bool wait_for(struct quo_reading *reading, const struct quo_store_request *store)
{
    size_t memory = sizeof(struct quo_waiting) + store->key.len + store->record.len;
    struct quo_waiting *waiting = malloc(memory);
    if (waiting == NULL)
        return false;
    waiting->next = NULL;
    waiting->memory = memory;
    waiting->store = *store;
    memcpy(waiting->bytes, store->key.data, store->key.len);
    memcpy(waiting->bytes + store->key.len, store->record.data, store->record.len);
    waiting->store.key = quo_slice(waiting->bytes, store->key.len);
    waiting->store.record = quo_slice(waiting->bytes + store->key.len, store->record.len);
    *reading->waiting_end = waiting;
    reading->waiting_end = &waiting->next;
    reading->server->memory += memory;
    QUO_PROBE(STORE_WAITED_FOR_LOAD);
    return true;
}

static enum quo_status start_load(struct quo_server *server, const struct quo_store_request *store,
                                  bool promises)
{
    struct quo_reading *reading = quo_reading_new(server, store->key, promises);
    if (reading == NULL)
        return QUO_BUSY;
    if (!wait_for(reading, store)) {
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

static void run(struct quo_server *server, const struct quo_store_request *store)
{
    struct quo_overlay_entry *entry = quo_overlay_find(&server->overlay, store->key);
    if (entry != NULL && entry->state == QUO_OVERLAY_UNSYNCED) {
        judge_unsynced(server, store, QUO_CONTAINER_OF(entry, struct quo_unsynced, entry));
        return;
    }
    if (entry != NULL) {
        if (!wait_for(QUO_CONTAINER_OF(entry, struct quo_reading, entry), store))
            refuse(server, store, QUO_BUSY);
        return;
    }
    bool promises = quo_replica_kind_promises(store->request.ns->kind);
    struct quo_found found;
    enum quo_status status = quo_read_now(server, store->key, promises, &found);
    if (status == QUO_OK) {
        judge_found(server, store, &found);
        quo_found_release(server, &found);
        return;
    }
    if (status == QUO_WOULD_BLOCK)
        status = start_load(server, store, promises);
    if (status != QUO_OK)
        refuse(server, store, status);
}

/* Rules 0 to 2 and the limits. Returns false when the STORE was refused and answered. */
static bool admit(struct quo_server *server, struct quo_store_request *store,
                  const struct quo_record *record, size_t key_len)
{
    if (!quo_request_admit(server, &store->request))
        return false;
    enum quo_status status = quo_replica_skew(record->version, quo_wall_ms(server->env));
    if (status == QUO_OK && record->value.len > store->request.ns->value_max)
        status = QUO_MALFORMED;
    if (status == QUO_OK)
        status = quo_request_may_write(server, QUO_STORAGE_KEY_PREFIX + key_len +
                                                   store->record.len + STORE_OVERHEAD);
    if (status != QUO_OK)
        refuse(server, store, status);
    return status == QUO_OK;
}

void quo_handle_store(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    quo_count(&server->stats.stores, 1);
    struct quo_msg_store message;
    struct quo_record record;
    if (quo_msg_store_decode(body, &message) != QUO_OK || (message.flags & ~STORE_FLAGS) != 0 ||
        quo_record_decode(message.record, &record) != QUO_OK || !quo_replica_is_blind(&record)) {
        quo_reply_status(server, peer, id, QUO_MALFORMED);
        return;
    }
    struct quo_store_request store = {
        .request =
            {
                .peer = peer,
                .id = id,
                .op = QUO_OP_STORE,
                .partition = message.partition,
                .kind = message.kind,
                .ns_id = message.ns,
            },
        .sync = (message.flags & QUO_STORE_SYNC) != 0,
        .version = record.version,
        .record = message.record,
    };
    if (quo_request_init(server, &store.request, message.entry) != QUO_OK) {
        quo_reply_status(server, peer, id, QUO_MALFORMED);
        return;
    }
    if (!admit(server, &store, &record, message.key.len))
        return;
    uint8_t key[QUO_STORAGE_KEY_MAX];
    store.key = quo_request_key(&store.request, message.key, key);
    run(server, &store);
}
