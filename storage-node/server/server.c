#include "storage-node/server/server.h"

#include <stdio.h>
#include <stdlib.h>

#include "storage-node/server/internal.h"

static void on_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    struct quo_server *server = receiver;
    switch (frame->type) {
    case QUO_MESSAGE_QUERY:
        quo_handle_query(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_STORE:
        quo_handle_store(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_PREP:
        quo_handle_prep(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_ACC:
        quo_handle_acc(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_SLOT:
        quo_handle_slot(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_TREE:
        quo_handle_tree(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_SCAN:
        quo_handle_scan(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_LEAF:
        quo_handle_leaf(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_HINT:
        quo_handle_hint(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_EQUAL:
        quo_handle_equal(server, frame->body);
        break;
    case QUO_MESSAGE_FRESH:
        quo_handle_fresh(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_DIGEST:
        quo_handle_digest(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_DEBT:
        quo_handle_debt(server, peer, frame->id, frame->body);
        break;
    case QUO_MESSAGE_FLOOR:
        quo_handle_floor(server, peer, frame->id, frame->body);
        break;
    default:
        quo_reply_status(server, peer, frame->id, QUO_MALFORMED);
        break;
    }
}

/* A node keeps nothing about its peers: an answer to one that is gone is dropped by the transport.
 */
static void on_up_or_down(void *receiver, uint64_t peer)
{
    (void)receiver;
    (void)peer;
}

static const struct quo_transport_events events = {
    .on_frame = on_frame,
    .on_up = on_up_or_down,
    .on_down = on_up_or_down,
};

static int compare_namespaces(const void *a, const void *b)
{
    uint32_t left = ((const struct quo_namespace *)a)->id;
    uint32_t right = ((const struct quo_namespace *)b)->id;
    return left < right ? -1 : left > right;
}

static enum quo_status allocate(struct quo_server *server, const struct quo_map *map)
{
    server->partition_count = map->partition_count;
    server->partitions = calloc(map->partition_count, sizeof *server->partitions);
    server->namespace_count = map->namespace_count;
    server->namespaces = calloc((size_t)map->namespace_count + 1, sizeof *server->namespaces);
    if (server->partitions == NULL || server->namespaces == NULL)
        return QUO_NO_MEMORY;
    memcpy(server->namespaces, map->namespaces, map->namespace_count * sizeof *server->namespaces);
    qsort(server->namespaces, server->namespace_count, sizeof *server->namespaces,
          compare_namespaces);
    return quo_overlay_init(&server->overlay);
}

enum quo_status quo_server_new(const struct quo_server_options *options, struct quo_server **ret,
                               char *why, size_t why_size)
{
    QUO_REQUIRE(options->replica != 0);
    snprintf(why, why_size, "out of memory");
    struct quo_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return QUO_NO_MEMORY;
    server->env = options->env;
    server->transport = options->transport;
    server->mesh = options->mesh;
    server->any_proxy = options->any_proxy;
    server->store = options->store;
    server->replica = options->replica;
    server->memory_max = options->memory_max != 0 ? options->memory_max : QUO_NODE_MEMORY_MAX;
    enum quo_status status = allocate(server, options->map);
    if (status == QUO_OK)
        status = quo_epochs_open(server, options->map, why, why_size);
    if (status == QUO_OK)
        status = quo_floors_open(server, why, why_size);
    server->marked = !server->fresh;
    if (status == QUO_OK && options->mesh != NULL)
        status = quo_trees_open(server, server->fresh);
    if (status == QUO_OK && options->mesh != NULL)
        status = quo_exchanges_open(server, options);
    if (status == QUO_OK && options->mesh != NULL)
        status = quo_hints_open(server, options->map);
    if (status == QUO_OK && options->mesh != NULL)
        status = quo_collector_open(server, options);
    if (status == QUO_OK)
        status = quo_epochs_start(server);
    if (status != QUO_OK) {
        quo_server_free(server);
        return status;
    }
    server->transport->events = &events;
    server->transport->receiver = server;
    if (options->mesh != NULL) {
        options->mesh->events = &quo_mesh_events;
        options->mesh->receiver = server;
    }
    quo_group_commit(server);
    *ret = server;
    return QUO_OK;
}

bool quo_server_serving(const struct quo_server *server)
{
    return server->serving;
}

/* The map could not be stored since the disk was full: try again. */
static void retry_start(struct quo_server *server)
{
    if (server->serving || server->failed || server->groups != NULL ||
        quo_mono_us(server->env) < server->probe_at_us)
        return;
    server->probe_at_us = quo_mono_us(server->env) + QUO_PROBE_PAUSE_US;
    quo_epochs_start(server);
}

void quo_server_end_turn(struct quo_server *server)
{
    retry_start(server);
    quo_exchanges_end_turn(server);
    quo_hints_end_turn(server);
    quo_collector_end_turn(server);
    quo_trees_end_turn(server);
    quo_group_commit(server);
}

uint64_t quo_server_deadline(const struct quo_server *server)
{
    uint64_t deadline = QUO_MIN(quo_trees_deadline(server), quo_exchanges_deadline(server));
    deadline = QUO_MIN(deadline, quo_hints_deadline(server));
    return QUO_MIN(deadline, quo_collector_deadline(server));
}

void quo_server_drain(struct quo_server *server)
{
    server->draining = true;
}

bool quo_server_idle(const struct quo_server *server)
{
    /* An empty group may gather: memory ran out before its first write. */
    return (server->groups == NULL || server->groups->puts == 0) && server->readings == NULL &&
           server->scans == NULL && server->digesting == NULL && quo_trees_idle(server) &&
           quo_exchanges_idle(server) && quo_hints_idle(server) && quo_collector_idle(server);
}

bool quo_server_writable(const struct quo_server *server)
{
    return !server->draining && !server->failed && !server->full;
}

void quo_server_free(struct quo_server *server)
{
    if (server == NULL)
        return;
    quo_reading_free_all(server);
    quo_group_free_all(server);
    quo_collector_free(server);
    quo_exchanges_free(server);
    quo_hints_free(server);
    quo_listings_free(server);
    quo_digest_free(server);
    quo_scannings_free(server);
    quo_trees_free(server);
    quo_overlay_free(&server->overlay);
    free(server->partitions);
    free(server->namespaces);
    free(server);
}

const struct quo_server_stats *quo_server_stats(const struct quo_server *server)
{
    return &server->stats;
}
