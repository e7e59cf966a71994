/* STORE: keeps a blind record if nothing newer is there. */
#include "storage-node/server/internal.h"

#define STORE_FLAGS (unsigned)(QUO_STORE_SYNC | QUO_STORE_WRITEBACK)

void quo_handle_store(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    quo_count(&server->stats.stores, 1);
    struct quo_msg_store message;
    struct quo_record record;
    if (quo_msg_store_decode(body, &message) != QUO_OK || (message.flags & ~STORE_FLAGS) != 0 ||
        quo_record_decode(message.record, &record) != QUO_OK || !quo_replica_is_blind(&record)) {
        quo_reply_status(server, peer, id, QUO_MALFORMED);
        return;
    }
    struct quo_request request = {
        .peer = peer,
        .id = id,
        .op = QUO_OP_STORE,
        .partition = message.partition,
        .kind = message.kind,
        .ns_id = message.ns,
        .sync = (message.flags & QUO_STORE_SYNC) != 0,
        .copy = (message.flags & QUO_STORE_WRITEBACK) != 0,
        .version = record.version,
        .record = message.record,
    };
    uint8_t key[QUO_STORAGE_KEY_MAX];
    if (quo_request_init(server, &request, message.entry, message.key, key) == QUO_OK)
        quo_write_start(server, &request, record.value.len);
    else
        quo_reply_status(server, peer, id, QUO_MALFORMED);
}
