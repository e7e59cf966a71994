/* Group commit: the first group of the queue is under way in the engine, the last one gathers.
 * While one commit runs everything that comes gathers for the next, so groups grow with the load,
 * and an idle server waits for nothing. */
#include <stdlib.h>

#include "storage-node/server/internal.h"

#define SPARE_GROUPS_MAX 4u
#define FIRST_WAITERS 64u

static void free_group(struct quo_group *group)
{
    struct quo_store *store = group->server->store;
    while (group->held != NULL) {
        struct quo_parked *held = group->held;
        group->held = held->next;
        free(held);
    }
    for (size_t i = 0; i < group->waiter_count; i++)
        quo_pinned_release(group->server, &group->waiters[i].record);
    if (group->commit.batch != NULL)
        store->ops->batch_free(store, group->commit.batch);
    quo_arena_free(&group->arena);
    free(group->waiters);
    free(group);
}

static struct quo_group *make_group(struct quo_server *server)
{
    struct quo_group *group = server->spare_groups;
    if (group != NULL) {
        server->spare_groups = group->next;
        server->spare_group_count--;
        return group;
    }
    group = calloc(1, sizeof *group);
    if (group == NULL)
        return NULL;
    group->server = server;
    group->commit.batch = server->store->ops->batch_new(server->store);
    if (group->commit.batch == NULL) {
        free_group(group);
        return NULL;
    }
    return group;
}

static void recycle(struct quo_group *group)
{
    struct quo_server *server = group->server;
    struct quo_store *store = server->store;
    server->memory -= group->memory;
    if (server->spare_group_count == SPARE_GROUPS_MAX) {
        free_group(group);
        return;
    }
    quo_arena_reset(&group->arena);
    store->ops->batch_clear(store, group->commit.batch);
    *group = (struct quo_group){
        .server = server,
        .next = server->spare_groups,
        .commit = {.batch = group->commit.batch},
        .arena = group->arena,
        .waiters = group->waiters,
        .waiter_capacity = group->waiter_capacity,
    };
    server->spare_groups = group;
    server->spare_group_count++;
}

static bool reserve_waiter(struct quo_group *group)
{
    if (group->waiter_count < group->waiter_capacity)
        return true;
    size_t capacity = QUO_MAX(group->waiter_capacity * 2, (size_t)FIRST_WAITERS);
    struct quo_waiter *waiters = realloc(group->waiters, capacity * sizeof *waiters);
    if (waiters == NULL)
        return false;
    group->waiters = waiters;
    group->waiter_capacity = capacity;
    return true;
}

static bool has_room(const struct quo_group *group, size_t bytes)
{
    return group->puts < QUO_BATCH_COUNT_MAX &&
           (group->puts == 0 || group->bytes + bytes <= QUO_BATCH_BYTES_MAX);
}

/* The last group of the queue, unless it is under way. */
static struct quo_group *gathering(struct quo_server *server)
{
    struct quo_group *last = server->last_group;
    return server->committing && last == server->groups ? NULL : last;
}

struct quo_group *quo_group_gather(struct quo_server *server, size_t bytes)
{
    struct quo_group *group = gathering(server);
    if (group != NULL && has_room(group, bytes))
        return reserve_waiter(group) ? group : NULL;
    group = make_group(server);
    if (group == NULL)
        return NULL;
    group->next = NULL;
    group->held_end = &group->held;
    group->sequence = ++server->last_sequence;
    if (server->groups == NULL)
        server->groups = group;
    else
        server->last_group->next = group;
    server->last_group = group;
    return reserve_waiter(group) ? group : NULL;
}

bool quo_group_wait(struct quo_group *group, const struct quo_waiter *waiter)
{
    if (!reserve_waiter(group))
        return false;
    group->waiters[group->waiter_count++] = *waiter;
    quo_group_account(group, sizeof *waiter + waiter->record.bytes.len);
    return true;
}

bool quo_group_hold(struct quo_group *group, const struct quo_request *request)
{
    struct quo_parked *held = quo_request_park(request);
    if (held == NULL)
        return false;
    *group->held_end = held;
    group->held_end = &held->next;
    quo_group_account(group, held->memory);
    return true;
}

void quo_group_put(struct quo_group *group, enum quo_family family, struct quo_slice key,
                   struct quo_slice value)
{
    struct quo_store *store = group->server->store;
    store->ops->batch_put(store, group->commit.batch, family, key, value);
    group->puts++;
    group->bytes += key.len + value.len;
}

void quo_group_delete(struct quo_group *group, enum quo_family family, struct quo_slice key)
{
    struct quo_store *store = group->server->store;
    store->ops->batch_delete(store, group->commit.batch, family, key);
    group->puts++;
    group->bytes += key.len;
}

void quo_group_account(struct quo_group *group, size_t bytes)
{
    group->memory += bytes;
    group->server->memory += bytes;
}

static void forget_unsynced(struct quo_group *group)
{
    for (struct quo_unsynced *at = group->unsynced; at != NULL; at = at->next_in_group)
        if (at->newest)
            quo_overlay_remove(&group->server->overlay, &at->entry);
}

/* Answers everything that hangs on a group that is no longer in the queue, and takes it back.
 * `failure` is QUO_OK when the group is on disk. */
static void release_waiters(struct quo_group *group, enum quo_status failure)
{
    struct quo_server *server = group->server;
    for (size_t i = 0; i < group->waiter_count; i++) {
        struct quo_waiter *waiter = &group->waiters[i];
        if (failure == QUO_OK)
            quo_reply_waiter(server, waiter);
        else
            quo_reply_status(server, waiter->peer, waiter->id, failure);
        quo_pinned_release(server, &waiter->record);
    }
    group->waiter_count = 0;
    while (group->held != NULL) {
        struct quo_parked *held = group->held;
        group->held = held->next;
        if (failure == QUO_OK)
            quo_request_resume(server, &held->request);
        else
            quo_reply_status(server, held->request.peer, held->request.id, failure);
        free(held);
    }
    recycle(group);
}

static void succeed(struct quo_server *server, struct quo_group *group)
{
    server->groups = group->next;
    if (server->groups == NULL)
        server->last_group = NULL;
    server->full = false;
    quo_count(&server->stats.commits, 1);
    quo_count(&server->stats.committed, group->records);
    quo_count(&server->stats.promises, group->promises);
    quo_count(&server->stats.bytes, group->bytes);
    forget_unsynced(group);
    quo_trees_committed(group);
    quo_epochs_settle(group);
    quo_hints_settle(group);
    release_waiters(group, QUO_OK);
}

/* The groups behind the failed one hold writes that were judged by records it was to bring: they
 * fail with it. Theirs were never handed to the engine, so their failure is definite. */
static void fail(struct quo_server *server, enum quo_status status)
{
    QUO_PROBE(COMMIT_FAILED);
    bool full = status == QUO_DISK_FULL;
    quo_count(full ? &server->stats.disk_full : &server->stats.io_errors, 1);
    server->full = full;
    server->failed = !full;
    if (server->failed)
        quo_trees_fail(server);
    server->probe_at_us = quo_mono_us(server->env) + QUO_PROBE_PAUSE_US;
    struct quo_group *lost = server->groups;
    server->groups = NULL;
    server->last_group = NULL;
    for (struct quo_group *group = lost; group != NULL; group = group->next) {
        forget_unsynced(group);
        quo_epochs_revert(group);
        quo_hints_revert(group);
    }
    while (lost != NULL) {
        struct quo_group *group = lost;
        lost = group->next;
        release_waiters(group, status);
        status = full ? QUO_DISK_FULL : QUO_READ_ONLY;
    }
}

static void committed(struct quo_commit *commit)
{
    struct quo_group *group = commit->context;
    struct quo_server *server = group->server;
    QUO_INVARIANT(server->committing && server->groups == group);
    server->committing = false;
    quo_histogram_record(&server->stats.commit_time, quo_mono_us(server->env) - group->started_us);
    if (commit->status == QUO_OK)
        succeed(server, group);
    else
        fail(server, commit->status);
}

void quo_group_commit(struct quo_server *server)
{
    struct quo_group *group = server->groups;
    if (server->committing || group == NULL || group->puts == 0)
        return;
    server->committing = true;
    group->started_us = quo_mono_us(server->env);
    /* Here and not when a write is let through: that one may find that it is held already. */
    if (server->full)
        server->probe_at_us = group->started_us + QUO_PROBE_PAUSE_US;
    quo_trees_commit(group);
    group->commit.sync = true;
    group->commit.done = committed;
    group->commit.context = group;
    server->store->ops->commit(server->store, &group->commit);
}

void quo_group_free_all(struct quo_server *server)
{
    while (server->groups != NULL) {
        struct quo_group *group = server->groups;
        server->groups = group->next;
        free_group(group);
    }
    server->last_group = NULL;
    while (server->spare_groups != NULL) {
        struct quo_group *group = server->spare_groups;
        server->spare_groups = group->next;
        free_group(group);
    }
    server->spare_group_count = 0;
}
