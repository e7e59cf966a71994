#include "storage-node/replica/replica.h"

#include "quorate/testpoints.h"

struct quo_version quo_replica_promised(struct quo_version kept, struct quo_version version,
                                        bool blind)
{
    if (blind || QUO_MUTANT(ACC_KEEPS_PROMISE))
        return kept;
    return quo_version_max(kept, version);
}
