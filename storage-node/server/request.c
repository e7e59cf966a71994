#include <stdlib.h>

#include "quorate/collection.h"
#include "storage-node/server/internal.h"

static int compare_id(const void *key, const void *element)
{
    uint32_t a = *(const uint32_t *)key;
    uint32_t b = ((const struct quo_namespace *)element)->id;
    return a < b ? -1 : a > b;
}

const struct quo_namespace *quo_request_namespace(const struct quo_server *server, uint32_t id)
{
    const uint32_t base = quo_collection_base(id);
    const struct quo_namespace *ns = bsearch(&base, server->namespaces, server->namespace_count,
                                             sizeof *server->namespaces, compare_id);

    return ns != NULL && quo_collection_fits(id, ns->kind) ? ns : NULL;
}

enum quo_status quo_request_init(const struct quo_server *server, struct quo_request *request,
                                 struct quo_slice entry, struct quo_slice key, uint8_t *out)
{
    if (request->partition >= server->partition_count)
        return QUO_MALFORMED;
    quo_put_u16(out, request->partition);
    quo_put_u32(out + 2, request->ns_id);
    if (key.len > 0)
        memcpy(out + QUO_STORAGE_KEY_PREFIX, key.data, key.len);
    request->key = quo_slice(out, QUO_STORAGE_KEY_PREFIX + key.len);
    return quo_entry_decode(entry, &request->entry);
}

bool quo_request_admit(struct quo_server *server, struct quo_request *request)
{
    if (!server->serving) {
        quo_reply_status(server, request->peer, request->id, QUO_BUSY);
        return false;
    }
    const struct quo_entry *mine = &server->partitions[request->partition].entry;
    struct quo_fence_verdict fence = quo_replica_fence(mine, &request->entry, server->replica);
    if (fence.status == QUO_WRONG_EPOCH) {
        quo_reply_wrong_epoch(server, request, mine);
        return false;
    }
    enum quo_status status = fence.status;
    if (fence.adopt) {
        status = quo_epochs_adopt(server, request->partition, &request->entry);
        if (status == QUO_OK)
            status = fence.status;
    }
    if (status == QUO_OK) {
        request->ns = quo_request_namespace(server, request->ns_id);
        status = quo_replica_kind(request->ns, request->kind, request->op);
    }
    if (status != QUO_OK) {
        quo_reply_refusal(server, request, status);
        return false;
    }
    return true;
}

enum quo_status quo_request_may_write(struct quo_server *server, size_t need)
{
    if (server->draining || server->failed)
        return QUO_READ_ONLY;
    if (need > server->memory_max || server->memory > server->memory_max - need)
        return QUO_BUSY;
    if (server->full && quo_mono_us(server->env) < server->probe_at_us)
        return QUO_DISK_FULL;
    return QUO_OK;
}

struct quo_parked *quo_request_park(const struct quo_request *request)
{
    size_t memory = sizeof(struct quo_parked) + request->key.len + request->record.len;
    struct quo_parked *parked = malloc(memory);
    if (parked == NULL)
        return NULL;
    *parked = (struct quo_parked){.memory = memory, .request = *request};
    memcpy(parked->bytes, request->key.data, request->key.len);
    parked->request.key = quo_slice(parked->bytes, request->key.len);
    if (request->record.len > 0) {
        uint8_t *record = parked->bytes + request->key.len;
        memcpy(record, request->record.data, request->record.len);
        parked->request.record = quo_slice(record, request->record.len);
    }
    return parked;
}

void quo_request_resume(struct quo_server *server, const struct quo_request *request)
{
    if (request->count_max > 0)
        quo_scan_run(server, request);
    else if (request->op == QUO_OP_QUERY)
        quo_query_run(server, request);
    else
        quo_write_resume(server, request);
}
