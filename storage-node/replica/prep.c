#include "storage-node/replica/replica.h"

struct quo_replica_verdict quo_replica_prep(const struct quo_replica_view *view,
                                            struct quo_version ballot, uint32_t value_max)
{
    QUO_REQUIRE(!quo_version_is_none(ballot));
    struct quo_replica_verdict verdict = {.status = QUO_NACK, .reply = *view};
    struct quo_version highest =
        quo_version_max(view->floor, quo_version_max(view->promised, view->version));
    if (quo_version_compare(ballot, highest) <= 0)
        return verdict;
    verdict.status = QUO_OK;
    verdict.value = !quo_version_is_none(view->version) && view->record_size <= value_max;
    verdict.promise = QUO_PROMISE_PUT;
    verdict.reply.promised = ballot;
    verdict.reply.promise_kept = true;
    return verdict;
}
