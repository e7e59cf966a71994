#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

bool quo_replica_is_proposal(const struct quo_record *record)
{
    return (record->flags & QUO_RECORD_BLIND) == 0;
}

/* The order of the tests is the rule, for the reasons given with STORE. */
static enum quo_status judge(const struct quo_replica_view *view,
                             const struct quo_replica_incoming *incoming)
{
    int against_held = quo_version_compare(incoming->version, view->version);
    if (against_held == 0) {
        QUO_PROBE(ACC_RELAYED);
        return incoming->same_bytes ? QUO_OK : QUO_CORRUPT;
    }
    if (quo_version_compare(incoming->version, view->floor) <= 0)
        return QUO_NACK;
    if (!QUO_MUTANT(ACC_IGNORES_PROMISE) &&
        quo_version_compare(incoming->version, view->promised) < 0)
        return QUO_NACK;
    if (against_held < 0) {
        /* What a read-modify-write made is its own promise: only a blind write can be here. */
        QUO_PROBE(ACC_SUPERSEDED);
        return QUO_SUPERSEDED;
    }
    return QUO_OK;
}

/* The accepted record says what was promised, unless more is promised with it. */
static void raise_promise(struct quo_replica_verdict *verdict, struct quo_version next)
{
    verdict->next = !quo_version_is_none(next);
    if (verdict->next) {
        verdict->promise = QUO_PROMISE_PUT;
        verdict->reply.promised = next;
        verdict->reply.promise_kept = true;
    } else if (!QUO_MUTANT(ACC_KEEPS_PROMISE)) {
        verdict->promise = verdict->reply.promise_kept ? QUO_PROMISE_CLEAR : QUO_PROMISE_LEAVE;
        verdict->reply.promised = verdict->reply.version;
        verdict->reply.promise_kept = false;
    }
}

struct quo_replica_verdict quo_replica_acc(const struct quo_replica_view *view,
                                           const struct quo_replica_incoming *incoming,
                                           struct quo_version next)
{
    QUO_REQUIRE(!quo_version_is_none(incoming->version));
    QUO_REQUIRE(quo_version_is_none(next) || quo_version_compare(next, incoming->version) > 0);
    struct quo_replica_verdict verdict = {.status = judge(view, incoming), .reply = *view};
    if (verdict.status != QUO_OK)
        return verdict;
    if (quo_version_equal(incoming->version, view->version)) {
        /* A copy that comes late: `next` may be below what was promised since. */
        verdict.next = QUO_MUTANT(NEXT_WITHOUT_STORE) && !quo_version_is_none(next);
        return verdict;
    }
    verdict.write = true;
    verdict.reply.version = incoming->version;
    verdict.reply.blind = false;
    verdict.reply.record_size = incoming->record_size;
    raise_promise(&verdict, next);
    return verdict;
}
