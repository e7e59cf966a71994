#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

/* A blind write replaces the record, and with it what consensus keeps there: the ring of recent
 * operations and the intent of a transaction that may be committed. So `cas` refuses it here, at
 * the replica, where no stale proxy or hint gets round it. Where nothing is decided by consensus a
 * promise would only be in the way of blind writes. */
static unsigned allowed(enum quo_kind kind)
{
    switch (kind) {
    case QUO_KIND_LWW:
        return QUO_OP_QUERY | QUO_OP_STORE;
    case QUO_KIND_CRDT:
        return QUO_OP_QUERY | QUO_OP_STORE | QUO_OP_SLOT;
    case QUO_KIND_CAS:
        return QUO_OP_QUERY | QUO_OP_PREP | QUO_OP_ACC;
    case QUO_KIND_MIXED:
        return QUO_OP_QUERY | QUO_OP_STORE | QUO_OP_PREP | QUO_OP_ACC;
    }
    return 0;
}

enum quo_status quo_replica_kind(const struct quo_namespace *ns, uint8_t carried,
                                 enum quo_replica_op op)
{
    if (ns == NULL)
        return QUO_BAD_KIND;
    if (QUO_MUTANT(NO_KIND_MASK))
        return QUO_OK;
    return carried == (uint8_t)ns->kind && ((allowed(ns->kind) | QUO_OP_DROP) & op) != 0
               ? QUO_OK
               : QUO_BAD_KIND;
}

bool quo_replica_kind_promises(enum quo_kind kind)
{
    return kind == QUO_KIND_CAS || kind == QUO_KIND_MIXED;
}
