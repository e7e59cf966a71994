#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

static enum quo_status judge(const struct quo_replica_view *view, struct quo_version gone)
{
    if (!quo_version_equal(view->version, gone))
        return QUO_SUPERSEDED;
    if (!QUO_MUTANT(DROP_UNSEALED) && quo_version_compare(gone, view->cleared) > 0)
        return QUO_NACK;
    return QUO_OK;
}

/* The record can go: all replicas hold it, or something newer, or have dropped it, and refuse what
 * is older. A promise above what is sealed is another matter, though it was given over this record.
 * It stays, or a smaller ballot could be accepted here (T15); the record goes all the same, or the
 * replicas that have no such promise would hold something else for as long as this one has it. One
 * below, the gate keeps as well. */
struct quo_replica_verdict quo_replica_drop(const struct quo_replica_view *view,
                                            struct quo_version gone)
{
    QUO_REQUIRE(!quo_version_is_none(gone));
    struct quo_replica_verdict verdict = {.status = judge(view, gone), .reply = *view};
    if (verdict.status != QUO_OK)
        return verdict;
    verdict.drop = true;
    verdict.reply.version = QUO_VERSION_NONE;
    verdict.reply.blind = false;
    verdict.reply.record_size = 0;
    bool binds = view->promise_kept && quo_version_compare(view->promised, view->sealed) > 0;
    if (binds && !QUO_MUTANT(DROP_IGNORES_PROMISE))
        return verdict;
    verdict.promise = view->promise_kept ? QUO_PROMISE_CLEAR : QUO_PROMISE_LEAVE;
    verdict.reply.promised = QUO_VERSION_NONE;
    verdict.reply.promise_kept = false;
    return verdict;
}
