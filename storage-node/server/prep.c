/* PREP: promises a ballot and shows the record. */
#include "storage-node/server/internal.h"

void quo_handle_prep(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    quo_count(&server->stats.prepares, 1);
    struct quo_msg_prep message;
    if (quo_msg_prep_decode(body, &message) != QUO_OK || quo_version_is_none(message.ballot)) {
        quo_reply_status(server, peer, id, QUO_MALFORMED);
        return;
    }
    struct quo_request request = {
        .peer = peer,
        .id = id,
        .op = QUO_OP_PREP,
        .partition = message.partition,
        .kind = message.kind,
        .ns_id = message.ns,
        .value_max = message.value_max,
        .version = message.ballot,
    };
    uint8_t key[QUO_STORAGE_KEY_MAX];
    if (quo_request_init(server, &request, message.entry, message.key, key) == QUO_OK)
        quo_write_start(server, &request, 0);
    else
        quo_reply_status(server, peer, id, QUO_MALFORMED);
}
