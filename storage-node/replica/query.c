#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

struct quo_replica_verdict quo_replica_query(const struct quo_replica_view *view,
                                             uint32_t value_max)
{
    /* The floor gates what is accepted, never what is shown: an absent key reads as version none,
     * and a reader that took the floor for a version would believe in a write that never was (T8).
     */
    struct quo_replica_verdict verdict = {
        .status = QUO_OK,
        .value = !quo_version_is_none(view->version) && view->record_size <= value_max,
        .reply = *view,
    };
    if (QUO_MUTANT(ABSENT_IS_FLOOR) && quo_version_is_none(view->version))
        verdict.reply.version = view->floor;
    return verdict;
}
