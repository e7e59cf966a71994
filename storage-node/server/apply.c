/* What a write changes: it is judged by the newest that was accepted for its key, on disk or not,
 * and joins the group that gathers. */
#include "storage-node/server/internal.h"

static uint64_t digest_of(const struct quo_held *held)
{
    return held->older != NULL ? held->older->digest
                               : quo_overlay_digest(held->found->record.bytes);
}

static bool same_record(const struct quo_held *held, const struct quo_request *request)
{
    if (!quo_version_equal(held->view->version, request->version))
        return false;
    if (held->older == NULL)
        return quo_slice_equal(held->found->record.bytes, request->record);
    return held->view->record_size == request->record.len &&
           held->older->digest == quo_overlay_digest(request->record);
}

static struct quo_replica_verdict judge(const struct quo_held *held,
                                        const struct quo_request *request)
{
    if (request->op == QUO_OP_PREP)
        return quo_replica_prep(held->view, request->version, request->value_max);
    if (request->op == QUO_OP_DROP)
        return quo_replica_drop(held->view, request->version);
    struct quo_replica_incoming incoming = {
        .version = request->version,
        .record_size = (uint32_t)request->record.len,
        .promises = quo_replica_kind_promises(request->ns->kind),
        .same_bytes = same_record(held, request),
        .copy = request->copy,
        .gone = request->copy && quo_floors_cover(held->view->sealed, request->record),
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
    } else if (verdict->drop) {
        quo_group_delete(group, QUO_FAMILY_DATA, request->key);
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

static bool is_tombstone(struct quo_slice record)
{
    struct quo_version version;
    uint8_t flags;
    return quo_record_peek(record, &version, &flags) == QUO_OK &&
           (flags & QUO_RECORD_TOMBSTONE) != 0;
}

/* What the key adds to its hash tree, before and after the request. */
static void note_hashes(const struct quo_server *server, const struct quo_request *request,
                        const struct quo_held *held, struct quo_unsynced *unsynced)
{
    if (server->trees == NULL)
        return;
    unsynced->before = held->older != NULL
                           ? held->older->after
                           : quo_trees_share(request->key, held->found->record.bytes);
    unsynced->after =
        unsynced->brings_record ? quo_trees_share(request->key, request->record) : unsynced->before;
    if (QUO_MUTANT(TREE_MISSES_DELETE) && is_tombstone(request->record))
        unsynced->after = unsynced->before;
    if (QUO_MUTANT(TREE_MISSES_OVERWRITE) && unsynced->brings_record)
        unsynced->before = QUO_SHARE_NONE;
}

struct quo_unsynced *quo_apply_append(struct quo_server *server, const struct quo_request *request,
                                      const struct quo_replica_verdict *verdict,
                                      const struct quo_held *held)
{
    size_t bytes = request->key.len + request->record.len + QUO_VERSION_SIZE;
    struct quo_group *group = quo_group_gather(server, bytes);
    if (group == NULL)
        return NULL;
    bool keeps = request->op == QUO_OP_SLOT || QUO_MUTANT(READ_UNSYNCED);
    size_t kept = keeps ? request->record.len : 0;
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
        .brings_record = verdict->write || verdict->drop,
        .view = verdict->reply,
        .digest = verdict->write ? quo_overlay_digest(request->record) : digest_of(held),
        .before = QUO_SHARE_NONE,
        .after = QUO_SHARE_NONE,
    };
    if (kept > 0) {
        memcpy(copy + request->key.len, request->record.data, kept);
        unsynced->record = quo_slice(copy + request->key.len, kept);
    }
    note_hashes(server, request, held, unsynced);
    group->unsynced = unsynced;
    put(group, request, verdict);
    quo_group_account(group, bytes + kept + sizeof *unsynced);
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
    if (QUO_MUTANT(SUPERSEDED_BEFORE_SYNC) && !verdict->write && !verdict->drop)
        holder = NULL;
    if (wait && holder != NULL && !verdict->write && !verdict->drop)
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

/* Pins the record that is held beside a promise which is not on disk yet. QUO_OK with *ret (release
 * it), QUO_WOULD_BLOCK, or why it cannot be had. */
static enum quo_status pin_record(struct quo_server *server, const struct quo_request *request,
                                  const struct quo_unsynced *older, struct quo_pinned *ret)
{
    if (older->brings_record)
        return QUO_WOULD_BLOCK;
    struct quo_found found;
    enum quo_status status = quo_read_now(server, request->key, false, &found);
    if (status != QUO_OK)
        return status;
    QUO_INVARIANT(quo_version_equal(found.view.version, older->view.version));
    *ret = found.record;
    return QUO_OK;
}

/* A promise shows the record that it was given over, and both must be on disk when the answer
 * leaves. So the record's bytes are pinned here, at the moment of the judgement: by the time the
 * promise is on disk an accept may have joined the same group, and its record, of this ballot or
 * above, would make the proposer build on what its ballot does not come after. A record that is
 * itself on its way to disk cannot be pinned: the PREP waits for it and is judged anew. Then it may
 * have to wait once more; but only accepts overtake it, so that some proposer gets on. */
static void promise(struct quo_server *server, const struct quo_request *request,
                    const struct quo_replica_verdict *verdict, const struct quo_held *held)
{
    struct quo_pinned shown = {.handle = NULL};
    enum quo_status status = QUO_OK;
    if (held->older != NULL && (verdict->value || held->older->brings_record))
        status = pin_record(server, request, held->older, &shown);
    if (status == QUO_WOULD_BLOCK) {
        hold(server, request, held->older->group);
        return;
    }
    if (status != QUO_OK) {
        quo_reply_refusal(server, request, status);
        return;
    }
    struct quo_unsynced *promised = quo_apply_append(server, request, verdict, held);
    if (promised == NULL) {
        quo_pinned_release(server, &shown);
        quo_reply_refusal(server, request, QUO_BUSY);
        return;
    }
    if (held->older == NULL && verdict->value)
        shown = quo_found_take(held->found);
    struct quo_waiter waiter = {
        .status = QUO_OK,
        .flags = verdict->value ? QUO_REPLY_VALUE : 0,
        .view = verdict->reply,
        .record = shown,
    };
    struct quo_group *holder = QUO_MUTANT(PROMISE_NOT_SYNCED) ? NULL : promised->group;
    quo_reply_after(server, request, &waiter, holder, true);
}

/* As `held`, with `view`, which shows the floors as they are now. */
static struct quo_held show_floors(const struct quo_server *server,
                                   const struct quo_request *request, const struct quo_held *held,
                                   struct quo_replica_view *view)
{
    struct quo_held shown = *held;
    *view = *held->view;
    quo_floors_show(server, request->partition, view);
    shown.view = view;
    return shown;
}

void quo_apply(struct quo_server *server, const struct quo_request *request,
               const struct quo_held *came)
{
    struct quo_replica_view view;
    const struct quo_held shown = show_floors(server, request, came, &view), *held = &shown;
    if (request->op == QUO_OP_SLOT) {
        quo_slot_apply(server, request, held);
        return;
    }
    struct quo_replica_verdict verdict = judge(held, request);
    if (request->op == QUO_OP_PREP && verdict.status == QUO_OK) {
        promise(server, request, &verdict, held);
        return;
    }
    struct quo_unsynced *holder = held->older;
    if (verdict.write || verdict.drop) {
        holder = quo_apply_append(server, request, &verdict, held);
        if (holder == NULL) {
            quo_reply_refusal(server, request, QUO_BUSY);
            return;
        }
    }
    bool unsynced = holder != NULL && holder->brings_record;
    answer(server, request, &verdict, unsynced ? holder->group : NULL);
}
