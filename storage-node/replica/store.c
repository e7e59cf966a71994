#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

bool quo_replica_is_blind(const struct quo_record *record)
{
    return (record->flags & QUO_RECORD_BLIND) != 0;
}

/* Copies pass between the gate and the seal: what one replica took before the gate and nobody else
 * did would be lost otherwise, or differ for ever. */
static bool is_floored(const struct quo_replica_view *view,
                       const struct quo_replica_incoming *incoming)
{
    if (QUO_MUTANT(COPY_BELOW_SEAL) && incoming->copy)
        return false;
    bool passes = incoming->copy && !QUO_MUTANT(GATE_STOPS_COPIES);
    return quo_version_compare(incoming->version, passes ? view->sealed : view->floor) <= 0;
}

/* Below the seal, who holds nothing has dropped a delete, and everything older with it: it is as
 * good as a replica that holds the delete. */
static bool was_dropped(const struct quo_replica_view *view,
                        const struct quo_replica_incoming *incoming)
{
    return incoming->copy && incoming->gone && quo_version_is_none(view->version) &&
           quo_version_compare(incoming->version, view->sealed) <= 0 &&
           quo_version_compare(incoming->version, view->promised) >= 0;
}

/* The order of the tests is the rule:
 * - equal first, so that a STORE sent twice is answered as it was the first time, even when a
 * promise or the floor has passed it since;
 * - the promise before "superseded": "superseded" counts as an ack, and an ack of a version below a
 *   promise would let a blind write finish that a prepared read-modify-write has not seen (T4). */
static enum quo_status judge(const struct quo_replica_view *view,
                             const struct quo_replica_incoming *incoming)
{
    int against_held = quo_version_compare(incoming->version, view->version);
    if (against_held == 0)
        return incoming->same_bytes ? QUO_OK : QUO_CORRUPT;
    if (is_floored(view, incoming))
        return was_dropped(view, incoming) ? QUO_OK : QUO_NACK;
    if (quo_version_compare(incoming->version, view->promised) < 0)
        return QUO_NACK;
    if (!QUO_MUTANT(STORE_OVERWRITES_NEWER) && against_held < 0) {
        QUO_PROBE(STORE_SUPERSEDED);
        return QUO_SUPERSEDED;
    }
    return QUO_OK;
}

/* A blind record does not say what was promised: where the record it replaces did, the promise has
 * to be kept beside it from here on. A promise that is kept stays, also below the blind record. */
static void keep_promise(const struct quo_replica_view *view, struct quo_replica_verdict *verdict)
{
    if (QUO_MUTANT(BLIND_CLEARS_PROMISE)) {
        verdict->promise = view->promise_kept ? QUO_PROMISE_CLEAR : QUO_PROMISE_LEAVE;
        verdict->reply.promised = QUO_VERSION_NONE;
        verdict->reply.promise_kept = false;
    } else if (!view->blind && !quo_version_is_none(view->version) &&
               quo_version_equal(view->promised, view->version)) {
        QUO_PROBE(PROMISE_MATERIALISED);
        verdict->promise = QUO_PROMISE_PUT;
        verdict->reply.promise_kept = true;
    }
}

struct quo_replica_verdict quo_replica_store(const struct quo_replica_view *view,
                                             const struct quo_replica_incoming *incoming)
{
    QUO_REQUIRE(!quo_version_is_none(incoming->version));
    struct quo_replica_verdict verdict = {.status = judge(view, incoming), .reply = *view};
    bool held = quo_version_equal(incoming->version, view->version);
    if (verdict.status == QUO_OK && !held && !was_dropped(view, incoming)) {
        verdict.write = true;
        verdict.reply.version = incoming->version;
        verdict.reply.blind = true;
        verdict.reply.record_size = incoming->record_size;
        if (incoming->promises)
            keep_promise(view, &verdict);
    }
    return verdict;
}
