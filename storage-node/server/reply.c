#include "storage-node/server/internal.h"

static _Atomic uint64_t *counter_of(struct quo_server_stats *stats, enum quo_status status)
{
    switch (status) {
    case QUO_SUPERSEDED:
        return &stats->superseded;
    case QUO_NACK:
        return &stats->nacks;
    case QUO_WRONG_EPOCH:
        return &stats->wrong_epochs;
    case QUO_NOT_REPLICA:
        return &stats->not_replica;
    case QUO_BAD_KIND:
        return &stats->bad_kind;
    case QUO_SKEW:
        return &stats->skews;
    case QUO_BUSY:
        return &stats->busy;
    case QUO_MALFORMED:
        return &stats->malformed;
    case QUO_CORRUPT:
        return &stats->corrupt;
    case QUO_WRONG_CLUSTER:
        return &stats->wrong_cluster;
    default:
        return NULL;
    }
}

/* A peer that is gone needs no answer. One whose outbox is full does not get it: it will time out,
 * which is what a slow reader must be ready for. */
static void send(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_msg_reply *reply)
{
    reply->now_ms = quo_wall_ms(server->env);
    if (peer == QUO_PEER_SELF) {
        quo_mesh_applied(server, id, reply);
        return;
    }
    _Atomic uint64_t *counter = counter_of(&server->stats, (enum quo_status)reply->status);
    if (counter != NULL)
        quo_count(counter, 1);
    struct quo_transport *transport = server->transport;
    uint8_t *body;
    enum quo_status status =
        transport->ops->reserve(transport, peer, quo_msg_reply_size(reply), &body);
    if (status == QUO_OK) {
        quo_msg_reply_encode(reply, body);
        transport->ops->seal(transport, peer, QUO_MESSAGE_REPLY, id);
    } else if (status == QUO_BUSY) {
        quo_count(&server->stats.dropped, 1);
    }
}

void quo_reply_status(struct quo_server *server, uint64_t peer, uint64_t id, enum quo_status status)
{
    struct quo_msg_reply reply = {.status = (uint8_t)status};
    send(server, peer, id, &reply);
}

static struct quo_msg_reply reply_of(enum quo_status status, uint8_t flags,
                                     const struct quo_replica_view *view)
{
    return (struct quo_msg_reply){
        .status = (uint8_t)status,
        .flags = flags,
        .version = view->version,
        .promised = view->promised,
        .floor = view->floor,
        .record_size = view->record_size,
    };
}

void quo_reply_waiter(struct quo_server *server, const struct quo_waiter *answer)
{
    struct quo_msg_reply reply = reply_of(answer->status, answer->flags, &answer->view);
    reply.record = answer->record.bytes;
    send(server, answer->peer, answer->id, &reply);
}

void quo_reply_wrong_epoch(struct quo_server *server, const struct quo_request *request,
                           const struct quo_entry *mine)
{
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(mine, bytes);
    struct quo_msg_reply reply = {
        .status = QUO_WRONG_EPOCH,
        .entry = quo_slice(bytes, quo_entry_size(mine)),
    };
    send(server, request->peer, request->id, &reply);
}

void quo_reply_record(struct quo_server *server, const struct quo_request *request, uint8_t flags,
                      const struct quo_replica_view *view, struct quo_slice record)
{
    struct quo_msg_reply reply = reply_of(QUO_OK, flags, view);
    reply.record = record;
    send(server, request->peer, request->id, &reply);
}

/* Answers when the group is on disk; NULL: there is nothing to wait for. Takes the pin over. */
static void answer_after(struct quo_server *server, struct quo_waiter *answer,
                         struct quo_group *until)
{
    if (until == NULL) {
        quo_reply_waiter(server, answer);
        quo_pinned_release(server, &answer->record);
    } else if (!quo_group_wait(until, answer)) {
        quo_pinned_release(server, &answer->record);
        quo_count(&server->stats.dropped, 1);
    }
}

/* The group that makes the epoch of the request's partition durable; NULL when it is. */
static struct quo_group *adopting(const struct quo_server *server,
                                  const struct quo_request *request)
{
    if (QUO_MUTANT(ANSWER_BEFORE_ADOPTED))
        return NULL;
    return server->partitions[request->partition].adopting;
}

void quo_reply_refusal(struct quo_server *server, const struct quo_request *request,
                       enum quo_status status)
{
    struct quo_waiter answer = {.peer = request->peer, .id = request->id, .status = status};
    answer_after(server, &answer, adopting(server, request));
}

void quo_reply_after(struct quo_server *server, const struct quo_request *request,
                     struct quo_waiter *answer, struct quo_group *holder, bool wait)
{
    struct quo_group *until = wait ? holder : NULL;
    struct quo_group *epoch = adopting(server, request);
    if (epoch != NULL && (until == NULL || epoch->sequence > until->sequence))
        until = epoch;
    answer->peer = request->peer;
    answer->id = request->id;
    if (holder == NULL || (until != NULL && holder->sequence <= until->sequence))
        answer->flags |= QUO_REPLY_DURABLE;
    answer_after(server, answer, until);
}
