#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

/* Nothing older can come back: all replicas hold this delete, or something newer, or have dropped
 * it, and refuse copies at or below what they have sealed. A promise above that is another matter.
 * It was given over this delete, and binds also those who never saw it: without it a smaller ballot
 * could be accepted here (T15). A promise that the gate keeps as well can go. */
static enum quo_status judge(const struct quo_replica_view *view, struct quo_version gone)
{
    if (!quo_version_equal(view->version, gone))
        return QUO_SUPERSEDED;
    if (!QUO_MUTANT(DROP_UNSEALED) && quo_version_compare(gone, view->cleared) > 0)
        return QUO_NACK;
    if (quo_version_compare(view->promised, view->sealed) > 0 &&
        !QUO_MUTANT(DROP_IGNORES_PROMISE) && !QUO_MUTANT(DROP_UNSEALED))
        return QUO_NACK;
    return QUO_OK;
}

struct quo_replica_verdict quo_replica_drop(const struct quo_replica_view *view,
                                            struct quo_version gone)
{
    QUO_REQUIRE(!quo_version_is_none(gone));
    struct quo_replica_verdict verdict = {.status = judge(view, gone), .reply = *view};
    if (verdict.status != QUO_OK)
        return verdict;
    verdict.drop = true;
    verdict.promise = view->promise_kept ? QUO_PROMISE_CLEAR : QUO_PROMISE_LEAVE;
    verdict.reply.version = QUO_VERSION_NONE;
    verdict.reply.promised = QUO_VERSION_NONE;
    verdict.reply.promise_kept = verdict.reply.blind = false;
    verdict.reply.record_size = 0;
    return verdict;
}
