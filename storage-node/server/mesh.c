#include "storage-node/server/mesh.h"

#include "storage-node/server/internal.h"

uint64_t quo_mesh_id(struct quo_server *server, enum quo_mesh_part part)
{
    return (uint64_t)part << QUO_MESH_PART_SHIFT | ++server->last_mesh_id;
}

static void on_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    struct quo_server *server = receiver;
    switch (frame->id >> QUO_MESH_PART_SHIFT) {
    case QUO_MESH_EXCHANGES:
        quo_exchanges_on_frame(server, (uint32_t)peer, frame);
        break;
    case QUO_MESH_HINTS:
        quo_hints_on_frame(server, frame);
        break;
    case QUO_MESH_COLLECTOR:
        quo_collector_on_frame(server, frame);
        break;
    default:
        break;
    }
}

void quo_mesh_applied(struct quo_server *server, uint64_t id, const struct quo_msg_reply *reply)
{
    switch (id >> QUO_MESH_PART_SHIFT) {
    case QUO_MESH_EXCHANGES:
        quo_mend_applied(server, id, reply);
        break;
    case QUO_MESH_COLLECTOR:
        quo_collector_on_reply(server, id, reply);
        break;
    case QUO_MESH_SWEEP:
        quo_sweep_on_reply(server, reply);
        break;
    default:
        break;
    }
}

static void on_up(void *receiver, uint64_t peer)
{
    quo_exchanges_on_up(receiver, (uint32_t)peer);
    quo_hints_on_up(receiver, (uint32_t)peer);
    quo_collector_wake(receiver);
}

static void on_down(void *receiver, uint64_t peer)
{
    quo_exchanges_on_down(receiver, (uint32_t)peer);
    quo_hints_on_down(receiver, (uint32_t)peer);
}

const struct quo_transport_events quo_mesh_events = {
    .on_frame = on_frame,
    .on_up = on_up,
    .on_down = on_down,
};
