/* What STORE, PREP and ACC have in common: they are judged by the newest that was accepted for
 * their key, on disk or not, and what they change joins the group that gathers. */
#include <stdlib.h>

#include "storage-node/server/internal.h"

/* Memory of one write besides its key and record. */
#define WRITE_OVERHEAD (sizeof(struct quo_unsynced) + sizeof(struct quo_waiter) + QUO_VERSION_SIZE)

/* What is held for the key of a write. Either `older`, the overlay's entry, or `found`, what the
 * engine holds when the overlay has nothing. */
struct held {
    const struct quo_replica_view *view;
    struct quo_unsynced *older;
    struct quo_found *found;
};

static uint64_t digest_of(const struct held *held)
{
    return held->older != NULL ? held->older->digest
                               : quo_overlay_digest(held->found->record.bytes);
}

static bool same_record(const struct held *held, const struct quo_request *request)
{
    if (!quo_version_equal(held->view->version, request->version))
        return false;
    if (held->older == NULL)
        return quo_slice_equal(held->found->record.bytes, request->record);
    return held->view->record_size == request->record.len &&
           held->older->digest == quo_overlay_digest(request->record);
}

static struct quo_replica_verdict judge(const struct held *held, const struct quo_request *request)
{
    if (request->op == QUO_OP_PREP)
        return quo_replica_prep(held->view, request->version, request->value_max);
    struct quo_replica_incoming incoming = {
        .version = request->version,
        .record_size = (uint32_t)request->record.len,
        .promises = quo_replica_kind_promises(request->ns->kind),
        .same_bytes = same_record(held, request),
    };
    if (request->op == QUO_OP_ACC)
        return quo_replica_acc(held->view, &incoming, request->next);
    return quo_replica_store(held->view, &incoming);
}

/* Into one batch, so that no crash leaves one without the other. */
static void put(struct quo_group *group, const struct quo_request *request,
                const struct quo_replica_verdict *verdict)
{
    if (verdict->write) {
        quo_group_put(group, QUO_FAMILY_DATA, request->key, request->record);
        group->records++;
    }
    if (verdict->promise == QUO_PROMISE_PUT) {
        uint8_t promised[QUO_VERSION_SIZE];
        quo_version_encode(verdict->reply.promised, promised);
        quo_group_put(group, QUO_FAMILY_PROMISE, request->key,
                      quo_slice(promised, sizeof promised));
        group->promises++;
    } else if (verdict->promise == QUO_PROMISE_CLEAR) {
        quo_group_delete(group, QUO_FAMILY_PROMISE, request->key);
    }
}

/* Puts what the verdict changes into the group that gathers and into the overlay. Returns the new
 * entry of the overlay; NULL when out of memory, with nothing changed. */
static struct quo_unsynced *append(struct quo_server *server, const struct quo_request *request,
                                   const struct quo_replica_verdict *verdict,
                                   const struct held *held)
{
    size_t bytes = request->key.len + request->record.len + QUO_VERSION_SIZE;
    struct quo_group *group = quo_group_gather(server, bytes);
    if (group == NULL)
        return NULL;
    size_t kept = QUO_MUTANT(READ_UNSYNCED) ? request->record.len : 0;
    struct quo_unsynced *unsynced =
        quo_arena_alloc(&group->arena, sizeof *unsynced + request->key.len + kept);
    if (unsynced == NULL)
        return NULL;
    uint8_t *copy = (uint8_t *)(unsynced + 1);
    memcpy(copy, request->key.data, request->key.len);
    *unsynced = (struct quo_unsynced){
        .entry = {.key = quo_slice(copy, request->key.len), .state = QUO_OVERLAY_UNSYNCED},
        .next_in_group = group->unsynced,
        .group = group,
        .newest = true,
        .brings_record = verdict->write,
        .view = verdict->reply,
        .digest = verdict->write ? quo_overlay_digest(request->record) : digest_of(held),
    };
    if (kept > 0) {
        memcpy(copy + request->key.len, request->record.data, kept);
        unsynced->record = quo_slice(copy + request->key.len, kept);
    }
    group->unsynced = unsynced;
    put(group, request, verdict);
    quo_group_account(group, bytes + sizeof *unsynced);
    if (held->older != NULL) {
        quo_overlay_remove(&server->overlay, &held->older->entry);
        held->older->newest = false;
    }
    quo_overlay_insert(&server->overlay, &unsynced->entry);
    return unsynced;
}

/* Answers a STORE or an ACC. `holder` brings the record that is held now to disk. */
static void answer(struct quo_server *server, const struct quo_request *request,
                   const struct quo_replica_verdict *verdict, struct quo_group *holder)
{
    bool wait = request->sync && (verdict->status == QUO_OK || verdict->status == QUO_SUPERSEDED);
    if (QUO_MUTANT(ACK_BEFORE_SYNC) && request->sync)
        holder = NULL;
    if (QUO_MUTANT(SUPERSEDED_BEFORE_SYNC) && !verdict->write)
        holder = NULL;
    if (wait && holder != NULL && !verdict->write)
        QUO_PROBE(STORE_MET_UNSYNCED);
    struct quo_waiter waiter = {
        .status = verdict->status,
        .flags = verdict->next ? QUO_REPLY_NEXT : 0,
        .view = verdict->reply,
    };
    quo_reply_after(server, request, &waiter, holder, wait);
}

/* Waits until the group is on disk and starts again. */
static void hold(struct quo_server *server, const struct quo_request *request,
                 struct quo_group *group)
{
    QUO_PROBE(PREP_MET_UNSYNCED);
    if (!quo_group_hold(group, request))
        quo_reply_refusal(server, request, QUO_BUSY);
}

/* Pins the record that a promise is given over. Returns QUO_OK with *ret (release it), or why it
 * cannot be had now. */
static enum quo_status pin_shown(struct quo_server *server, const struct quo_request *request,
                                 const struct held *held, struct quo_found *ret)
{
    if (held->older == NULL) {
        *ret = *held->found;
        return QUO_OK;
    }
    enum quo_status status = quo_read_now(server, request->key, false, ret);
    /* The overlay brings no record, so the engine's is the one that was judged. */
    QUO_INVARIANT(status != QUO_OK || quo_version_equal(ret->view.version, held->view->version));
    return status;
}

/* A promise shows the record that it was given over, and both must be on disk when the answer
 * leaves. So the record's bytes are pinned here, at the moment of the judgement: by the time the
 * promise is on disk an accept may have joined the same group, and its record, of this ballot or
 * above, would make the proposer build on what its ballot does not come after. A record that is
 * itself on its way to disk cannot be pinned: the PREP waits for it and is judged anew. Then it may
 * have to wait once more; but only accepts overtake it, so that some proposer gets on. */
static void promise(struct quo_server *server, const struct quo_request *request,
                    const struct quo_replica_verdict *verdict, const struct held *held)
{
    if (held->older != NULL && held->older->brings_record) {
        hold(server, request, held->older->group);
        return;
    }
    struct quo_found shown = {.record = {.handle = NULL}};
    enum quo_status status = QUO_OK;
    if (verdict->value)
        status = pin_shown(server, request, held, &shown);
    if (status == QUO_WOULD_BLOCK) {
        hold(server, request, held->older->group);
        return;
    }
    struct quo_unsynced *promised = NULL;
    if (status == QUO_OK && (promised = append(server, request, verdict, held)) == NULL)
        status = QUO_BUSY;
    if (status != QUO_OK) {
        if (held->older != NULL)
            quo_found_release(server, &shown);
        quo_reply_refusal(server, request, status);
        return;
    }
    if (verdict->value && held->older == NULL)
        held->found->record = (struct quo_pinned){.handle = NULL};
    struct quo_waiter waiter = {
        .status = QUO_OK,
        .flags = verdict->value ? QUO_REPLY_VALUE : 0,
        .view = verdict->reply,
        .record = shown.record,
    };
    struct quo_group *holder = QUO_MUTANT(PROMISE_NOT_SYNCED) ? NULL : promised->group;
    quo_reply_after(server, request, &waiter, holder, true);
}

static void apply(struct quo_server *server, const struct quo_request *request,
                  const struct held *held)
{
    struct quo_replica_verdict verdict = judge(held, request);
    if (request->op == QUO_OP_PREP && verdict.status == QUO_OK) {
        promise(server, request, &verdict, held);
        return;
    }
    struct quo_unsynced *holder = held->older;
    if (verdict.write) {
        holder = append(server, request, &verdict, held);
        if (holder == NULL) {
            quo_reply_refusal(server, request, QUO_BUSY);
            return;
        }
    }
    bool unsynced = holder != NULL && holder->brings_record;
    answer(server, request, &verdict, unsynced ? holder->group : NULL);
}

static void apply_unsynced(struct quo_server *server, const struct quo_request *request,
                           struct quo_overlay_entry *entry)
{
    struct quo_unsynced *older = QUO_CONTAINER_OF(entry, struct quo_unsynced, entry);
    apply(server, request, &(struct held){.view = &older->view, .older = older});
}

static void apply_found(struct quo_server *server, const struct quo_request *request,
                        struct quo_found *found)
{
    apply(server, request, &(struct held){.view = &found->view, .found = found});
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

static void loaded(struct quo_reading *reading, enum quo_status status, struct quo_found *found)
{
    struct quo_server *server = reading->server;
    quo_overlay_remove(&server->overlay, &reading->entry);
    while (reading->waiting != NULL) {
        struct quo_parked *waiting = reading->waiting;
        reading->waiting = waiting->next;
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

void quo_write_start(struct quo_server *server, struct quo_request *request, size_t value_len)
{
    if (!quo_request_admit(server, request))
        return;
    uint64_t now_ms = quo_wall_ms(server->env);
    enum quo_status status = quo_replica_skew(request->version, now_ms);
    if (status == QUO_OK)
        status = quo_replica_skew(request->next, now_ms);
    if (status == QUO_OK && value_len > request->ns->value_max)
        status = QUO_MALFORMED;
    if (status == QUO_OK)
        status =
            quo_request_may_write(server, request->key.len + request->record.len + WRITE_OVERHEAD);
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
