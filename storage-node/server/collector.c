/* Which partition is collected when, and the course of its collection. */
#include <stdlib.h>

#include "storage-node/server/internal.h"

#define MS UINT64_C(1000)
#define ANSWER_US (5000u * MS) /* for each answer */

/* Making and freeing */

enum quo_status quo_collector_open(struct quo_server *server,
                                   const struct quo_server_options *options)
{
    struct quo_collector *collector = calloc(1, sizeof *collector);
    if (collector == NULL)
        return QUO_NO_MEMORY;
    server->collector = collector;
    collector->grace_ms =
        options->delete_grace_ms != 0 ? options->delete_grace_ms : QUO_DELETE_GRACE_MS;
    collector->every_us =
        (options->collect_every_ms != 0 ? options->collect_every_ms : QUO_COLLECT_EVERY_MS) * MS;
    collector->alone = options->map->replicas == 1;
    collector->confirming = calloc(server->partition_count, sizeof *collector->confirming);
    collector->collect_us = calloc(server->partition_count, sizeof *collector->collect_us);
    collector->sweep_us = calloc(server->partition_count, sizeof *collector->sweep_us);
    return collector->confirming != NULL && collector->collect_us != NULL &&
                   collector->sweep_us != NULL
               ? QUO_OK
               : QUO_NO_MEMORY;
}

void quo_collector_free(struct quo_server *server)
{
    struct quo_collector *collector = server->collector;
    if (collector == NULL)
        return;
    server->store->ops->range_release(server->store, &collector->sweep.range);
    free(collector->confirming);
    free(collector->collect_us);
    free(collector->sweep_us);
    free(collector);
    server->collector = NULL;
}

void quo_collector_wake(struct quo_server *server)
{
    if (server->collector != NULL)
        server->collector->wake_us = 0;
}

/* The course of a collection */

static void step(struct quo_server *server, struct quo_collecting *c,
                 const struct quo_collect_event *event);

/* Partitions do not come in step, and what failed does not wait so long. */
static uint64_t pause_of(struct quo_server *server, bool done)
{
    uint64_t every_us = server->collector->every_us;
    uint64_t pause_us = done ? every_us : QUO_MIN(every_us, QUO_COLLECT_TIMEOUT_MS * MS);
    return pause_us / 2 + quo_random(server->env) % (pause_us + 1);
}

static void end(struct quo_server *server, struct quo_collecting *c, bool done)
{
    struct quo_server_stats *stats = &server->stats;
    quo_count(done ? &stats->collections_done : &stats->collections_given_up, 1);
    c->active = false;
    server->collector->collect_us[c->partition] = quo_mono_us(server->env) + pause_of(server, done);
    quo_collector_wake(server);
}

/* What cannot be sent has expired already. */
static void send(struct quo_server *server, struct quo_collecting *c, uint8_t member,
                 const struct quo_msg_floor *message)
{
    struct quo_transport *mesh = server->mesh;
    int peer = quo_exchanges_peer(server, c->entry.replicas[member]);
    uint8_t *body;
    if (peer < 0 ||
        mesh->ops->reserve(mesh, (uint64_t)peer, quo_msg_floor_size(message), &body) != QUO_OK) {
        c->expires_us[member] = 0;
        return;
    }
    quo_msg_floor_encode(message, body);
    mesh->ops->seal(mesh, (uint64_t)peer, QUO_MESSAGE_FLOOR, c->ids[member]);
}

/* The answer to what we ask ourselves may come before the return, and end it all. */
static void ask(struct quo_server *server, struct quo_collecting *c)
{
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];
    const uint8_t asks = c->machine.asks;
    const struct quo_entry entry = c->entry;
    quo_entry_encode(&entry, bytes);
    const struct quo_msg_floor message = {
        .partition = (uint16_t)c->partition,
        .entry = quo_slice(bytes, quo_entry_size(&entry)),
        .namespaces = server->namespaces_digest,
        .stage = (uint8_t)c->machine.stage,
        .floor = c->machine.floor,
    };
    for (uint8_t i = 0; i < entry.n; i++) {
        if ((asks >> i & 1) == 0)
            continue;
        c->ids[i] = quo_mesh_id(server, QUO_MESH_COLLECTOR);
        c->expires_us[i] = quo_mono_us(server->env) + ANSWER_US;
        if (entry.replicas[i] != server->replica)
            send(server, c, i, &message);
    }
    uint8_t self = c->machine.options.self;
    if ((asks >> self & 1) == 0)
        return;
    struct quo_request request = {
        .peer = QUO_PEER_SELF,
        .id = c->ids[self],
        .partition = message.partition,
        .entry = entry,
    };
    quo_floors_ask(server, &request, &message);
}

static void step(struct quo_server *server, struct quo_collecting *c,
                 const struct quo_collect_event *event)
{
    switch (quo_collect_step(&c->machine, event)) {
    case QUO_COLLECT_NOTHING:
        break;
    case QUO_COLLECT_ASK:
        ask(server, c);
        break;
    case QUO_COLLECT_DONE:
        end(server, c, true);
        break;
    case QUO_COLLECT_GIVEN_UP:
        end(server, c, false);
        break;
    }
}

static void take_answer(struct quo_server *server, struct quo_collecting *c, uint8_t member,
                        enum quo_status status, uint64_t clock_ms)
{
    struct quo_collect_event event = {
        .type = QUO_COLLECT_ANSWER,
        .now_us = quo_mono_us(server->env),
        .member = member,
        .status = status,
        .clock_ms = clock_ms,
    };
    c->ids[member] = 0;
    step(server, c, &event);
}

void quo_collector_on_reply(struct quo_server *server, uint64_t id,
                            const struct quo_msg_reply *reply)
{
    for (size_t i = 0; i < QUO_COLLECTS_MAX; i++) {
        struct quo_collecting *c = &server->collector->collecting[i];
        for (uint8_t member = 0; c->active && member < c->entry.n; member++) {
            if (c->ids[member] != id)
                continue;
            take_answer(server, c, member, (enum quo_status)reply->status, reply->now_ms);
            return;
        }
    }
}

void quo_collector_on_frame(struct quo_server *server, const struct quo_frame *frame)
{
    struct quo_msg_reply reply;
    if (frame->type == QUO_MESSAGE_REPLY && quo_msg_reply_decode(frame->body, &reply) == QUO_OK)
        quo_collector_on_reply(server, frame->id, &reply);
}

static void start(struct quo_server *server, struct quo_collecting *c, uint32_t partition)
{
    const struct quo_collector *collector = server->collector;
    *c = (struct quo_collecting){
        .active = true,
        .partition = partition,
        .entry = server->partitions[partition].entry,
    };
    quo_collect_init(&c->machine, &(struct quo_collect_options){
                                      .n = c->entry.n,
                                      .self = 0,
                                      .grace_ms = collector->grace_ms,
                                      .pause_us = QUO_COLLECT_PAUSE_MS * MS,
                                      .timeout_us = QUO_COLLECT_TIMEOUT_MS * MS,
                                  });
    struct quo_collect_event event = {
        .type = QUO_COLLECT_START,
        .now_us = quo_mono_us(server->env),
        .floors = &server->partitions[partition].floors,
    };
    step(server, c, &event);
}

/* Schedule */

static bool all_up(const struct quo_server *server, const struct quo_entry *entry)
{
    uint64_t up_us;
    for (uint8_t i = 0; i < entry->n; i++)
        if (entry->replicas[i] != server->replica &&
            !quo_exchanges_is_up(server, entry->replicas[i], &up_us) &&
            !QUO_MUTANT(FLOOR_NOT_ON_ALL))
            return false;
    return true;
}

/* There is something to drop; or what was begun is to be ended; or, of records that merge, readers
 * ask up to where they have all of them. */
static bool is_worth_it(struct quo_server *server, uint32_t partition)
{
    const struct quo_collector *collector = server->collector;
    const struct quo_floors *floors = &server->partitions[partition].floors;
    const struct quo_forest *forest = &server->trees->partitions[partition];
    uint64_t now_ms = quo_wall_ms(server->env);
    uint64_t past_ms = now_ms > collector->grace_ms ? now_ms - collector->grace_ms : 0;
    return quo_version_compare(floors->sealed, floors->cleared) > 0 || forest->gone_ms < past_ms ||
           (forest->merging > 0 && quo_version_ms(floors->sealed) < past_ms);
}

static bool is_wanted(struct quo_server *server, uint32_t partition)
{
    const struct quo_partition *ours = &server->partitions[partition];
    return ours->entry.state == QUO_ENTRY_NORMAL && ours->entry.replicas[0] == server->replica &&
           ours->adopting == NULL && quo_trees_ready(server, partition) &&
           all_up(server, &ours->entry) && is_worth_it(server, partition);
}

static bool is_under_way(const struct quo_collector *collector, uint32_t partition)
{
    for (size_t i = 0; i < QUO_COLLECTS_MAX; i++)
        if (collector->collecting[i].active && collector->collecting[i].partition == partition)
            return true;
    return false;
}

static struct quo_collecting *free_slot(struct quo_collector *collector)
{
    for (size_t i = 0; i < QUO_COLLECTS_MAX; i++)
        if (!collector->collecting[i].active)
            return &collector->collecting[i];
    return NULL;
}

static bool is_connected(const struct quo_server *server)
{
    return server->collector->alone || quo_exchanges_any_up(server);
}

/* What is found later than it could be is found with the next look. Nobody looks while there is no
 * peer and nothing to sweep. */
static void look(struct quo_server *server, uint64_t now_us)
{
    struct quo_collector *collector = server->collector;
    bool sweeps = collector->sweep.active;
    collector->wake_us = UINT64_MAX;
    for (uint32_t i = 0; i < server->partition_count; i++) {
        if (quo_sweep_wanted(server, i)) {
            sweeps = true;
            if (!collector->sweep.active && now_us >= collector->sweep_us[i])
                quo_sweep_start(server, i);
        }
        struct quo_collecting *slot = free_slot(collector);
        if (slot != NULL && now_us >= collector->collect_us[i] && is_wanted(server, i) &&
            !is_under_way(collector, i))
            start(server, slot, i);
    }
    if (sweeps || is_connected(server))
        collector->wake_us = QUO_MIN(
            collector->wake_us, now_us + QUO_MIN(collector->every_us, QUO_COLLECT_LOOK_MS * MS));
}

static void go_on(struct quo_server *server, struct quo_collecting *c, uint64_t now_us)
{
    struct quo_collect_event event = {.type = QUO_COLLECT_TIMER, .now_us = now_us};
    if (!quo_entry_equal(&c->entry, &server->partitions[c->partition].entry)) {
        end(server, c, false);
        return;
    }
    for (uint8_t i = 0; c->active && i < c->entry.n; i++)
        if (c->ids[i] != 0 && now_us >= c->expires_us[i])
            take_answer(server, c, i, QUO_UNAVAILABLE, 0);
    if (c->active && now_us >= quo_collect_deadline(&c->machine))
        step(server, c, &event);
}

static bool is_resting(const struct quo_server *server)
{
    return server->draining || server->failed || !server->serving;
}

void quo_collector_end_turn(struct quo_server *server)
{
    struct quo_collector *collector = server->collector;
    if (collector == NULL)
        return;
    uint64_t now_us = quo_mono_us(server->env);
    bool resting = is_resting(server);
    for (size_t i = 0; i < QUO_COLLECTS_MAX; i++) {
        struct quo_collecting *c = &collector->collecting[i];
        if (c->active && resting)
            end(server, c, false);
        else if (c->active)
            go_on(server, c, now_us);
    }
    if (resting) {
        quo_sweep_abandon(server);
        return;
    }
    if (now_us >= collector->wake_us)
        look(server, now_us);
    quo_sweep_go_on(server);
}

uint64_t quo_collector_deadline(const struct quo_server *server)
{
    const struct quo_collector *collector = server->collector;
    if (collector == NULL || is_resting(server))
        return UINT64_MAX;
    uint64_t deadline = QUO_MIN(collector->wake_us, quo_sweep_deadline(server));
    for (size_t i = 0; i < QUO_COLLECTS_MAX; i++) {
        const struct quo_collecting *c = &collector->collecting[i];
        if (!c->active)
            continue;
        deadline = QUO_MIN(deadline, quo_collect_deadline(&c->machine));
        for (uint8_t member = 0; member < c->entry.n; member++)
            if (c->ids[member] != 0)
                deadline = QUO_MIN(deadline, c->expires_us[member]);
    }
    return deadline;
}

bool quo_collector_idle(const struct quo_server *server)
{
    return server->collector == NULL || !server->collector->sweep.ranging;
}
