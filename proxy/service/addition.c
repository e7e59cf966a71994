#include "proxy/service/addition.h"

#include "quorate/slot.h"

bool quo_addition_may_be(const struct quo_request *request)
{
    const size_t name_len = request->key.len > 2 ? request->key.len - 2 : 0;

    return name_len > 0 && name_len <= QUO_COLLECTION_NAME_MAX &&
           quo_get_u16(request->key.data) == name_len && !request->consistency.strong &&
           request->condition == QUO_CONDITION_NONE && !request->has_min && !request->has_max;
}

enum quo_status quo_addition_make(struct quo_service *service, struct quo_op *op,
                                  const struct quo_request *request)
{
    struct quo_change *change = &op->change;
    uint8_t *out;
    enum quo_status status =
        quo_op_make(&service->ops, op, QUO_OP_KEY, request->key.len + QUO_SLOT_KEY_SUFFIX, &out);

    if (status != QUO_OK)
        return status;
    memcpy(out, request->key.data, request->key.len);
    memset(out + request->key.len, 0, QUO_SLOT_KEY_SUFFIX);
    change->type = QUO_CHANGE_ADD;
    change->by = request->by;
    change->digest = request->digest;
    change->opid = request->has_opid ? request->opid : (struct quo_opid){{0}};
    op->result = (struct quo_change_result){.code = QUO_CHANGE_DONE};
    return QUO_OK;
}

struct quo_slice quo_addition_prefix(const struct quo_op *op)
{
    const struct quo_slice key = op->part[QUO_OP_KEY];

    return quo_slice(key.data, key.len - QUO_SLOT_KEY_SUFFIX);
}

void quo_addition_name_slot(struct quo_op *op, uint64_t replica)
{
    const struct quo_slice key = op->part[QUO_OP_KEY];

    quo_put_u64((uint8_t *)(uintptr_t)key.data + key.len - QUO_SLOT_KEY_SUFFIX, replica);
}

uint64_t quo_addition_key_hash(const struct quo_op *op)
{
    /* It is a hash already, and its first bit says that there is one. */
    return op->type == QUO_REQUEST_ADD ? quo_get_u64(op->change.opid.bytes) : 0;
}
