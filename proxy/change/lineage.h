/* What a record's lineage can tell of an operation.
 *
 * Pure.
 */
#ifndef QUORATE_PROXY_LINEAGE_H
#define QUORATE_PROXY_LINEAGE_H

#include "quorate/record.h"
#include "quorate/ring.h"

/* The version from which on the ring is complete for such operations. At or below `floor` whole
 * records may have been dropped, and their rings with them. */
struct quo_version quo_lineage_from(const struct quo_record *record, const struct quo_opid *opid,
                                    struct quo_version floor);

/* Whether an operation submitted at hlc `since` would be in the ring, had it been decided: its
 * ballots are not below that. With a key: whether an earlier operation with the same one would,
 * that was tried within the retention. */
bool quo_lineage_shows(const struct quo_record *record, const struct quo_opid *opid,
                       struct quo_version floor, uint64_t since, uint32_t retention_s);

#endif
