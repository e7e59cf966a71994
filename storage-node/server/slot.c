/* SLOT: adds to this replica's slot of a counter, and shows the slot's record when that is on disk,
 * so that whoever asked may pass it on to the other replicas. */
#include "quorate/collection.h"
#include "storage-node/server/internal.h"

#define RECORD_MAX (QUO_SLOT_VALUE_MAX + 64u) /* of a slot, encoded */

/* The name of a counter, as its slots' keys begin. */
static bool is_prefix(struct quo_slice key)
{
    return key.len > 2 && key.len <= 2 + QUO_COLLECTION_NAME_MAX &&
           quo_get_u16(key.data) == key.len - 2;
}

static struct quo_opid opid_of(const struct quo_msg_slot *message)
{
    struct quo_opid opid;
    quo_put_u64(opid.bytes, message->opid_high);
    quo_put_u64(opid.bytes + 8, message->opid_low);
    return opid;
}

static struct quo_request request_of(uint64_t peer, uint64_t id, const struct quo_msg_slot *message)
{
    return (struct quo_request){
        .peer = peer,
        .id = id,
        .op = QUO_OP_SLOT,
        .partition = message->partition,
        .kind = message->kind,
        .ns_id = message->ns,
        .sync = true,
        .version = {message->since, 0},
        .addition =
            {
                .by = (int64_t)message->by,
                .opid = opid_of(message),
                .digest = message->digest,
                .since = message->since,
            },
    };
}

void quo_handle_slot(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    quo_count(&server->stats.additions, 1);
    struct quo_msg_slot message;
    if (quo_msg_slot_decode(body, &message) != QUO_OK || !is_prefix(message.key) ||
        quo_collection_of(message.ns) != QUO_COLLECTION_COUNTER) {
        quo_reply_status(server, peer, id, QUO_MALFORMED);
        return;
    }
    uint8_t name[2 + QUO_COLLECTION_NAME_MAX + QUO_SLOT_KEY_SUFFIX], key[QUO_STORAGE_KEY_MAX];
    memcpy(name, message.key.data, message.key.len);
    quo_put_u64(name + message.key.len, server->replica);
    struct quo_request request = request_of(peer, id, &message);
    struct quo_slice user_key = quo_slice(name, message.key.len + QUO_SLOT_KEY_SUFFIX);
    if (quo_request_init(server, &request, message.entry, user_key, key) == QUO_OK)
        quo_write_start(server, &request, 0);
    else
        quo_reply_status(server, peer, id, QUO_MALFORMED);
}

/* Applying */

/* The bytes that are held; empty: nothing, or a record on its way to disk of which they are not
 * kept. */
static struct quo_slice bytes_of(const struct quo_held *held)
{
    return held->older != NULL ? held->older->record : held->found->record.bytes;
}

static void hold(struct quo_server *server, const struct quo_request *request,
                 struct quo_group *group)
{
    if (!quo_group_hold(group, request))
        quo_reply_refusal(server, request, QUO_BUSY);
}

/* The answer to an addition that is in a record which is held. It shows that record, whose bytes
 * are with the group that brings it to disk; so it cannot wait for a later group. */
static void answer_found(struct quo_server *server, const struct quo_request *request,
                         const struct quo_held *held)
{
    struct quo_group *holder = held->older != NULL ? held->older->group : NULL;
    struct quo_group *adopting = server->partitions[request->partition].adopting;
    if (holder != NULL && adopting != NULL && adopting->sequence > holder->sequence) {
        hold(server, request, adopting);
        return;
    }
    struct quo_waiter waiter = {
        .status = QUO_OK,
        .flags = QUO_REPLY_VALUE | QUO_REPLY_FOUND,
        .view = *held->view,
        .record = {.bytes = bytes_of(held)},
    };
    if (held->older == NULL)
        waiter.record = quo_found_take(held->found);
    quo_reply_after(server, request, &waiter, holder, true);
}

/* A refusal may stand on what is not on disk yet: then it waits for that. */
static void refuse(struct quo_server *server, const struct quo_request *request,
                   const struct quo_held *held, enum quo_status status)
{
    struct quo_waiter waiter = {.status = status, .view = *held->view};
    struct quo_group *holder = held->older != NULL ? held->older->group : NULL;
    quo_reply_after(server, request, &waiter, holder, true);
}

static void write(struct quo_server *server, const struct quo_request *request,
                  const struct quo_held *held, const struct quo_replica_slot_verdict *slot)
{
    uint8_t value[QUO_SLOT_VALUE_MAX], bytes[RECORD_MAX];
    struct quo_record record = slot->record;
    quo_slot_encode(&slot->slot, value);
    record.value = quo_slice(value, quo_slot_size(&slot->slot));
    QUO_INVARIANT(quo_record_size(&record) <= sizeof bytes);
    quo_record_encode(&record, bytes);
    struct quo_request made = *request;
    made.version = record.version;
    made.record = quo_slice(bytes, quo_record_size(&record));
    struct quo_replica_verdict verdict = {.status = QUO_OK, .write = true, .reply = *held->view};
    verdict.reply.version = record.version;
    verdict.reply.blind = true;
    verdict.reply.record_size = (uint32_t)made.record.len;
    struct quo_unsynced *unsynced = quo_apply_append(server, &made, &verdict, held);
    if (unsynced == NULL) {
        quo_reply_refusal(server, request, QUO_BUSY);
        return;
    }
    struct quo_waiter waiter = {
        .status = QUO_OK,
        .flags = QUO_REPLY_VALUE,
        .view = verdict.reply,
        .record = {.bytes = unsynced->record},
    };
    struct quo_group *holder = QUO_MUTANT(ACK_BEFORE_SYNC) ? NULL : unsynced->group;
    quo_reply_after(server, request, &waiter, holder, true);
}

void quo_slot_apply(struct quo_server *server, const struct quo_request *request,
                    const struct quo_held *held)
{
    uint8_t ring[QUO_RING_BYTES_MAX];
    struct quo_record record = {.flags = 0};
    struct quo_slice bytes = bytes_of(held);
    if (!quo_replica_may_add(&request->entry, request->ns->n, server->replica)) {
        quo_reply_refusal(server, request, QUO_NOT_REPLICA);
        return;
    }
    if (held->older != NULL && bytes.len == 0) {
        hold(server, request, held->older->group);
        return;
    }
    if (bytes.len > 0 && quo_record_decode(bytes, &record) != QUO_OK) {
        quo_reply_refusal(server, request, QUO_CORRUPT);
        return;
    }
    struct quo_replica_addition addition = request->addition;
    addition.now_ms = quo_wall_ms(server->env);
    addition.retention_s = request->ns->retention_s;
    struct quo_replica_slot_verdict verdict =
        quo_replica_slot(held->view, record.value, server->replica, &addition, ring);
    if (verdict.write)
        write(server, request, held, &verdict);
    else if (verdict.replayed)
        answer_found(server, request, held);
    else
        refuse(server, request, held, verdict.status);
}
