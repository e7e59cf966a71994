#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

bool quo_replica_is_blind(const struct quo_record *record)
{
    return (record->flags & QUO_RECORD_BLIND) != 0 && record->ring_count == 0 &&
           quo_version_equal(record->hist_from, record->version);
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
    if (quo_version_compare(incoming->version, view->floor) <= 0)
        return QUO_NACK;
    if (quo_version_compare(incoming->version, view->promised) < 0)
        return QUO_NACK;
    if (!QUO_MUTANT(STORE_OVERWRITES_NEWER) && against_held < 0) {
        QUO_PROBE(STORE_SUPERSEDED);
        return QUO_SUPERSEDED;
    }
    return QUO_OK;
}

struct quo_replica_verdict quo_replica_store(const struct quo_replica_view *view,
                                             const struct quo_replica_incoming *incoming)
{
    QUO_REQUIRE(!quo_version_is_none(incoming->version));
    struct quo_replica_verdict verdict = {.status = judge(view, incoming), .reply = *view};
    if (verdict.status == QUO_OK && !quo_version_equal(incoming->version, view->version)) {
        verdict.write = true;
        verdict.reply.version = incoming->version;
        verdict.reply.record_size = incoming->record_size;
    }
    return verdict;
}
