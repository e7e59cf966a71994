/* The mesh: requests to other nodes, and the way of their answers back to the part that asked. Each
 * part names its requests by ids of its own, which carry the part in their highest byte.
 */
#ifndef QUORATE_NODE_SERVER_MESH_H
#define QUORATE_NODE_SERVER_MESH_H

#include "quorate/transport.h"

struct quo_server;
struct quo_msg_reply;

#define QUO_MESH_PART_SHIFT 56 /* of ids */

enum quo_mesh_part {
    QUO_MESH_EXCHANGES = 1, /* exchanges.h */
    QUO_MESH_HINTS,         /* hints.h */
    QUO_MESH_COLLECTOR,     /* floors.h */
    QUO_MESH_SWEEP,         /* likewise, and to ourselves only */
};

extern const struct quo_transport_events quo_mesh_events;

/* Returns the id of a new request, never 0 and never used before. */
uint64_t quo_mesh_id(struct quo_server *server, enum quo_mesh_part part);

/* The answer to a request that a part made to ourselves. */
void quo_mesh_applied(struct quo_server *server, uint64_t id, const struct quo_msg_reply *reply);

#endif
