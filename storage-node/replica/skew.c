#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

enum quo_status quo_replica_skew(struct quo_version version, uint64_t now_ms)
{
    uint64_t ms = quo_version_ms(version);
    /* Subtracted, not added: a clock may show anything. */
    if (!QUO_MUTANT(NO_SKEW_GUARD) && ms > now_ms && ms - now_ms > QUO_SKEW_MAX_MS) {
        QUO_PROBE(SKEW_REFUSED);
        return QUO_SKEW;
    }
    return QUO_OK;
}
