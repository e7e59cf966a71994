/* Mends keys that differ, by the ordinary messages and under the ordinary rules: what is newer here
 * is sent as STORE or ACC, what is newer there is asked for and then given to ourselves likewise.
 * An ACC so relayed is its proposer's own, sent once more; a blind record is a write-back. What a
 * promise keeps from being relayed needs a read-modify-write: a proxy is asked for one. */
#include <stdlib.h>

#include "storage-node/server/internal.h"

#define EXPIRY_US (QUO_EXCHANGE_TIMEOUT_MS * UINT64_C(1000))

static struct quo_mending *find(struct quo_server *server, uint64_t id)
{
    struct quo_keys *keys = &server->exchanges->keys;
    for (size_t i = 0; id != 0 && i < QUO_EXCHANGE_WINDOW; i++)
        if (keys->mendings[i].id == id)
            return &keys->mendings[i];
    return NULL;
}

static void end(struct quo_server *server, struct quo_mending *mending)
{
    free(mending->difference);
    *mending = (struct quo_mending){.id = 0};
    server->exchanges->keys.mending_count--;
}

static void fail(struct quo_server *server, struct quo_mending *mending)
{
    server->exchanges->keys.of->failed++;
    quo_count(&server->stats.mends_failed, 1);
    end(server, mending);
}

static void succeed(struct quo_server *server, struct quo_mending *mending)
{
    bool pushed = mending->difference->mend == QUO_MEND_PUSH;
    server->exchanges->keys.of->mended++;
    quo_count(pushed ? &server->stats.mends_pushed : &server->stats.mends_pulled, 1);
    end(server, mending);
}

/* A new request for the same key: answers to the last one count no more. */
static void renew(struct quo_server *server, struct quo_mending *mending)
{
    mending->id = quo_exchanges_id(server);
    mending->expires_us = quo_mono_us(server->env) + EXPIRY_US;
}

static struct quo_slice key_of(const struct quo_difference *difference)
{
    return quo_slice(difference->key, difference->key_len);
}

static struct quo_slice user_key_of(const struct quo_difference *difference)
{
    return quo_slice(difference->key + QUO_STORAGE_KEY_PREFIX,
                     difference->key_len - QUO_STORAGE_KEY_PREFIX);
}

static uint32_t ns_of(const struct quo_difference *difference)
{
    return quo_get_u32(difference->key + 2);
}

/* Asking a proxy */

static void ask_proxy(struct quo_server *server, struct quo_mending *mending)
{
    struct quo_transport *transport = server->transport;
    struct quo_msg_mend message = {
        .ns = ns_of(mending->difference),
        .key = user_key_of(mending->difference),
    };
    size_t len = quo_msg_mend_size(&message);
    uint64_t peer;
    uint8_t *body;
    if (server->any_proxy != NULL && server->any_proxy(transport, &peer) &&
        !QUO_MUTANT(MEND_NOT_ASKED) &&
        transport->ops->reserve(transport, peer, len, &body) == QUO_OK) {
        quo_msg_mend_encode(&message, body);
        transport->ops->seal(transport, peer, QUO_MESSAGE_MEND, 0);
        quo_exchanges_spend(server, QUO_FRAME_HEADER + len);
        quo_count(&server->stats.mends_asked, 1);
    }
    fail(server, mending);
}

/* An ACC below what a read-modify-write made since is refused like one below a promise. */
static bool is_outdone(const struct quo_mending *mending, const struct quo_msg_reply *reply)
{
    return quo_version_compare(reply->version, mending->version) > 0;
}

/* A delete below what is sealed: who refuses it has dropped it, a little before us or after. */
static bool was_dropped(const struct quo_server *server, struct quo_slice record)
{
    const struct quo_comparison *of = server->exchanges->keys.of;
    return quo_floors_cover(server->partitions[of->partition].floors.sealed, record);
}

static void take_status(struct quo_server *server, struct quo_mending *mending,
                        const struct quo_msg_reply *reply)
{
    switch (reply->status) {
    case QUO_OK:
    case QUO_SUPERSEDED:
        succeed(server, mending);
        break;
    case QUO_NACK:
        if (mending->dropped || is_outdone(mending, reply))
            succeed(server, mending);
        else
            ask_proxy(server, mending);
        break;
    default:
        fail(server, mending);
        break;
    }
}

/* Sending */

static bool send_store(struct quo_server *server, const struct quo_mending *mending,
                       const struct quo_namespace *ns, struct quo_slice record)
{
    const struct quo_comparison *of = server->exchanges->keys.of;
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    struct quo_msg_store message = {
        .partition = (uint16_t)of->partition,
        .ns = ns_of(mending->difference),
        .kind = (uint8_t)ns->kind,
        .entry = quo_exchanges_entry(of, entry),
        .flags = QUO_STORE_SYNC | QUO_STORE_WRITEBACK,
        .key = user_key_of(mending->difference),
        .record = record,
    };
    uint8_t *body = quo_exchanges_reserve(server, of->peer, quo_msg_store_size(&message));
    if (body == NULL)
        return false;
    quo_msg_store_encode(&message, body);
    quo_exchanges_seal(server, of->peer, QUO_MESSAGE_STORE, mending->id);
    return true;
}

static bool send_acc(struct quo_server *server, const struct quo_mending *mending,
                     const struct quo_namespace *ns, struct quo_slice record)
{
    const struct quo_comparison *of = server->exchanges->keys.of;
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    struct quo_msg_acc message = {
        .partition = (uint16_t)of->partition,
        .ns = ns_of(mending->difference),
        .kind = (uint8_t)ns->kind,
        .entry = quo_exchanges_entry(of, entry),
        .next = QUO_VERSION_NONE,
        .key = user_key_of(mending->difference),
        .record = record,
    };
    uint8_t *body = quo_exchanges_reserve(server, of->peer, quo_msg_acc_size(&message));
    if (body == NULL)
        return false;
    quo_msg_acc_encode(&message, body);
    quo_exchanges_seal(server, of->peer, QUO_MESSAGE_ACC, mending->id);
    return true;
}

static void push_found(struct quo_server *server, struct quo_mending *mending,
                       const struct quo_found *found)
{
    const struct quo_namespace *ns = quo_request_namespace(server, ns_of(mending->difference));
    bool sent = false;
    mending->version = found->view.version;
    mending->dropped = was_dropped(server, found->record.bytes);
    if (ns != NULL && found->record.bytes.len > 0)
        sent = found->view.blind ? send_store(server, mending, ns, found->record.bytes)
                                 : send_acc(server, mending, ns, found->record.bytes);
    if (!sent)
        fail(server, mending);
}

static void loaded(struct quo_reading *reading, enum quo_status status, struct quo_found *found)
{
    struct quo_server *server = reading->server;
    struct quo_mending *mending = find(server, reading->request.id);
    quo_reading_recycle(reading);
    if (mending != NULL && status == QUO_OK)
        push_found(server, mending, found);
    else if (mending != NULL)
        fail(server, mending);
    if (status == QUO_OK)
        quo_found_release(server, found);
}

static void push(struct quo_server *server, struct quo_mending *mending)
{
    struct quo_slice key = key_of(mending->difference);
    struct quo_found found;
    enum quo_status status = quo_read_now(server, key, false, &found);
    if (status == QUO_OK) {
        push_found(server, mending, &found);
        quo_found_release(server, &found);
        return;
    }
    struct quo_reading *reading = NULL;
    if (status == QUO_WOULD_BLOCK)
        reading = quo_reading_new(server, key, false);
    if (reading == NULL) {
        fail(server, mending);
        return;
    }
    reading->request.id = mending->id;
    reading->done = loaded;
    quo_reading_start(reading);
}

/* Fetching */

static void pull(struct quo_server *server, struct quo_mending *mending)
{
    const struct quo_namespace *ns = quo_request_namespace(server, ns_of(mending->difference));
    const struct quo_comparison *of = server->exchanges->keys.of;
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    if (ns == NULL) {
        fail(server, mending);
        return;
    }
    struct quo_msg_query message = {
        .partition = (uint16_t)of->partition,
        .ns = ns_of(mending->difference),
        .kind = (uint8_t)ns->kind,
        .entry = quo_exchanges_entry(of, entry),
        .value_max = QUO_RECORD_MAX,
        .key = user_key_of(mending->difference),
    };
    uint8_t *body = quo_exchanges_reserve(server, of->peer, quo_msg_query_size(&message));
    if (body == NULL) {
        fail(server, mending);
        return;
    }
    quo_msg_query_encode(&message, body);
    quo_exchanges_seal(server, of->peer, QUO_MESSAGE_QUERY, mending->id);
}

/* To ourselves, as from anybody. The answer comes to quo_mend_applied, perhaps before the return.
 */
static void apply(struct quo_server *server, struct quo_mending *mending, struct quo_slice bytes)
{
    const struct quo_comparison *of = server->exchanges->keys.of;
    uint8_t entry[QUO_ENTRY_SIZE_MAX], key[QUO_STORAGE_KEY_MAX];
    struct quo_record record;
    if (quo_record_decode(bytes, &record) != QUO_OK) {
        fail(server, mending);
        return;
    }
    renew(server, mending);
    mending->version = record.version;
    mending->dropped = was_dropped(server, bytes);
    const struct quo_namespace *ns = quo_request_namespace(server, ns_of(mending->difference));
    struct quo_request request = {
        .peer = QUO_PEER_SELF,
        .id = mending->id,
        .op = quo_replica_is_blind(&record) ? QUO_OP_STORE : QUO_OP_ACC,
        .copy = true,
        .partition = (uint16_t)of->partition,
        .kind = ns != NULL ? (uint8_t)ns->kind : 0,
        .ns_id = ns_of(mending->difference),
        .sync = true,
        .version = record.version,
        .record = bytes,
    };
    if ((request.op == QUO_OP_STORE || quo_replica_is_proposal(&record)) &&
        quo_request_init(server, &request, quo_exchanges_entry(of, entry),
                         user_key_of(mending->difference), key) == QUO_OK)
        quo_write_start(server, &request, record.value.len);
    else
        fail(server, mending);
}

static void take_record(struct quo_server *server, struct quo_mending *mending,
                        const struct quo_msg_reply *reply)
{
    if (reply->status == QUO_OK && (reply->flags & QUO_REPLY_VALUE) != 0)
        apply(server, mending, reply->record);
    else
        fail(server, mending);
}

/* Course */

static void begin(struct quo_server *server, struct quo_difference *difference)
{
    struct quo_keys *keys = &server->exchanges->keys;
    struct quo_mending *mending = keys->mendings;
    while (mending->id != 0)
        mending++;
    keys->mending_count++;
    mending->difference = difference;
    renew(server, mending);
    if (difference->mend == QUO_MEND_PUSH)
        push(server, mending);
    else
        pull(server, mending);
}

static void expire(struct quo_server *server)
{
    struct quo_keys *keys = &server->exchanges->keys;
    uint64_t now_us = quo_mono_us(server->env);
    for (size_t i = 0; i < QUO_EXCHANGE_WINDOW; i++)
        if (keys->mendings[i].id != 0 && now_us >= keys->mendings[i].expires_us)
            fail(server, &keys->mendings[i]);
}

void quo_mend_go_on(struct quo_server *server)
{
    struct quo_keys *keys = &server->exchanges->keys;
    expire(server);
    while (keys->differences != NULL && keys->mending_count < QUO_EXCHANGE_WINDOW &&
           quo_exchanges_may_work(server)) {
        struct quo_difference *difference = keys->differences;
        keys->differences = difference->next;
        quo_exchanges_spend(server, QUO_MEND_OVERHEAD);
        begin(server, difference);
    }
}

void quo_mend_stop(struct quo_server *server)
{
    struct quo_keys *keys = &server->exchanges->keys;
    for (size_t i = 0; i < QUO_EXCHANGE_WINDOW; i++)
        if (keys->mendings[i].id != 0)
            end(server, &keys->mendings[i]);
}

void quo_mend_on_reply(struct quo_server *server, uint64_t id, const struct quo_msg_reply *reply)
{
    struct quo_mending *mending = find(server, id);
    if (mending == NULL)
        return;
    if (reply->status == QUO_WRONG_EPOCH) {
        quo_exchanges_learn(server, server->exchanges->keys.of, reply->entry);
        quo_exchanges_give_up(server, server->exchanges->keys.of);
    } else if (mending->difference->mend == QUO_MEND_PULL) {
        take_record(server, mending, reply);
    } else {
        take_status(server, mending, reply);
    }
}

void quo_mend_applied(struct quo_server *server, uint64_t id, const struct quo_msg_reply *reply)
{
    struct quo_mending *mending = server->exchanges != NULL ? find(server, id) : NULL;
    if (mending != NULL)
        take_status(server, mending, reply);
}

uint64_t quo_mend_deadline(const struct quo_server *server)
{
    const struct quo_keys *keys = &server->exchanges->keys;
    uint64_t deadline = UINT64_MAX;
    for (size_t i = 0; i < QUO_EXCHANGE_WINDOW; i++)
        if (keys->mendings[i].id != 0)
            deadline = QUO_MIN(deadline, keys->mendings[i].expires_us);
    return deadline;
}
