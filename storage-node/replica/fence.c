#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

static bool same_list(const uint64_t *a, uint8_t a_count, const uint64_t *b, uint8_t b_count)
{
    return a_count == b_count && memcmp(a, b, a_count * sizeof *a) == 0;
}

static bool same_replicas(const struct quo_entry *a, const struct quo_entry *b)
{
    return same_list(a->replicas, a->n, b->replicas, b->n);
}

/* A set of replicas takes over alone only after a time in which quorums of both were asked. Without
 * it, a write on a quorum of the old set may be on no quorum of the new one. */
static bool may_follow_at_once(const struct quo_entry *entry, const struct quo_entry *next)
{
    if (same_replicas(entry, next))
        return entry->state == QUO_ENTRY_NORMAL || next->state == QUO_ENTRY_NORMAL ||
               same_list(entry->next, entry->n_next, next->next, next->n_next);
    return entry->state == QUO_ENTRY_JOINT && next->state == QUO_ENTRY_NORMAL &&
           same_list(entry->next, entry->n_next, next->replicas, next->n);
}

bool quo_replica_may_follow(const struct quo_entry *entry, const struct quo_entry *next)
{
    if (next->epoch == entry->epoch)
        return quo_entry_equal(entry, next);
    if (next->epoch < entry->epoch)
        return false;
    return next->epoch - entry->epoch > 1 || may_follow_at_once(entry, next);
}

struct quo_fence_verdict quo_replica_fence(const struct quo_entry *mine,
                                           const struct quo_entry *carried, uint64_t self)
{
    struct quo_fence_verdict verdict = {.status = QUO_OK, .adopt = false};
    if (!QUO_MUTANT(NO_EPOCH_FENCE) && carried->epoch < mine->epoch) {
        QUO_PROBE(EPOCH_REFUSED);
        verdict.status = QUO_WRONG_EPOCH;
        return verdict;
    }
    if (carried->epoch >= mine->epoch && !quo_replica_may_follow(mine, carried)) {
        verdict.status = QUO_WRONG_CLUSTER;
        return verdict;
    }
    if (carried->epoch > mine->epoch) {
        QUO_PROBE(EPOCH_ADOPTED);
        verdict.adopt = true;
    }
    if (!quo_entry_has(carried, self))
        verdict.status = QUO_NOT_REPLICA;
    return verdict;
}
