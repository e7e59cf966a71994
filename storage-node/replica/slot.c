#include "storage-node/replica/slot.h"

#include "quorate/testpoints.h"

bool quo_replica_may_add(const struct quo_entry *entry, uint8_t n, uint64_t self)
{
    for (uint8_t i = 0; i < QUO_MIN(n, entry->n); i++)
        if (entry->replicas[i] == self)
            return true;
    return false;
}

/* Our clock, which never shows less than it did: operations are kept by it alone, whatever clocks
 * those who asked have. None: there is no later moment. */
static struct quo_version time_of(const struct quo_slot *slot, uint64_t self, uint64_t now_ms)
{
    const size_t count = quo_ring_count(slot->ring);
    struct quo_version last = slot->keyed_from;

    if (count > 0)
        last = quo_ring_at(slot->ring, count - 1).at;
    if (last.hlc == UINT64_MAX)
        return QUO_VERSION_NONE;
    return (struct quo_version){QUO_MAX(now_ms << 16, last.hlc + 1), self};
}

/* Looks for an addition with a key, and remembers it. */
static enum quo_status name(const struct quo_replica_addition *addition, uint64_t self,
                            struct quo_slot *slot, bool *ret_replayed, uint8_t *ring)
{
    const struct quo_version at = time_of(slot, self, addition->now_ms);
    const struct quo_ring_entry entry = {
        .opid = addition->opid,
        .at = at,
        .code = QUO_CHANGE_DONE,
        .digest = addition->digest,
        .result = addition->by,
    };
    struct quo_ring_past past = {slot->ring, slot->keyed_from, slot->keyed_from};
    struct quo_ring_entry found;

    if (quo_ring_find(slot->ring, &addition->opid, &found)) {
        *ret_replayed = found.digest == addition->digest;
        return *ret_replayed ? QUO_OK : QUO_KEY_REUSED;
    }
    if (quo_version_is_none(at))
        return QUO_SKEW;
    if (!quo_ring_complete_keyed(slot->keyed_from, quo_version_ms(at), addition->retention_s))
        return QUO_HISTORY_LOST;
    if (quo_ring_append(&past, &entry, addition->retention_s, ring, &past) != QUO_OK)
        return QUO_RING_FULL;
    slot->ring = past.ring;
    slot->keyed_from = past.keyed_from;
    return QUO_OK;
}

/* Above what is held and above the floor, and not below the submission. Who asked has a clock that
 * other replicas accept; ours may be ahead of theirs. None: there is no such version. */
static struct quo_version version_above(const struct quo_replica_view *view, uint64_t since,
                                        uint64_t self)
{
    const uint64_t held = QUO_MAX(view->version.hlc, view->floor.hlc);

    if (held == UINT64_MAX)
        return QUO_VERSION_NONE;
    if (QUO_MUTANT(SLOT_REUSES_VERSION))
        return (struct quo_version){QUO_MAX(since, held), self};
    return (struct quo_version){QUO_MAX(since, held + 1), self};
}

struct quo_replica_slot_verdict quo_replica_slot(const struct quo_replica_view *view,
                                                 struct quo_slice value, uint64_t self,
                                                 const struct quo_replica_addition *addition,
                                                 uint8_t *ring)
{
    const struct quo_version version = version_above(view, addition->since, self);
    struct quo_replica_slot_verdict verdict = {.status = QUO_OK};

    if (value.len > 0)
        verdict.status = quo_slot_decode(value, &verdict.slot) == QUO_OK ? QUO_OK : QUO_CORRUPT;
    if (verdict.status == QUO_OK && quo_version_is_none(version))
        verdict.status = QUO_SKEW;
    if (verdict.status == QUO_OK && quo_opid_is_keyed(&addition->opid) && !QUO_MUTANT(SLOT_FORGETS))
        verdict.status = name(addition, self, &verdict.slot, &verdict.replayed, ring);
    if (verdict.status != QUO_OK || verdict.replayed)
        return verdict;
    if (!quo_slot_add(&verdict.slot, addition->by, &verdict.slot)) {
        verdict.status = QUO_OUT_OF_BOUNDS;
        return verdict;
    }
    verdict.write = true;
    verdict.record = (struct quo_record){.flags = QUO_RECORD_BLIND, .version = version};
    return verdict;
}
