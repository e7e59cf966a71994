/* ACC: accepts what a read-modify-write proposes, or what a reader passes on of it. */
#include "storage-node/server/internal.h"

static bool is_proper(const struct quo_msg_acc *message, const struct quo_record *record)
{
    return quo_replica_is_proposal(record) &&
           (quo_version_is_none(message->next) ||
            quo_version_compare(message->next, record->version) > 0);
}

void quo_handle_acc(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    quo_count(&server->stats.accepts, 1);
    struct quo_msg_acc message;
    struct quo_record record;
    if (quo_msg_acc_decode(body, &message) != QUO_OK ||
        quo_record_decode(message.record, &record) != QUO_OK || !is_proper(&message, &record)) {
        quo_reply_status(server, peer, id, QUO_MALFORMED);
        return;
    }
    struct quo_request request = {
        .peer = peer,
        .id = id,
        .op = QUO_OP_ACC,
        .partition = message.partition,
        .kind = message.kind,
        .ns_id = message.ns,
        .sync = true,
        .version = record.version,
        .next = message.next,
        .record = message.record,
    };
    uint8_t key[QUO_STORAGE_KEY_MAX];
    if (quo_request_init(server, &request, message.entry, message.key, key) == QUO_OK)
        quo_write_start(server, &request, record.value.len);
    else
        quo_reply_status(server, peer, id, QUO_MALFORMED);
}
