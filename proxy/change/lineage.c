#include "proxy/change/lineage.h"

struct quo_version quo_lineage_from(const struct quo_record *record, const struct quo_opid *opid,
                                    struct quo_version floor)
{
    return quo_version_max(quo_opid_is_keyed(opid) ? record->keyed_from : record->hist_from, floor);
}

bool quo_lineage_shows(const struct quo_record *record, const struct quo_opid *opid,
                       struct quo_version floor, uint64_t since, uint32_t retention_s)
{
    const struct quo_version from = quo_lineage_from(record, opid, floor);

    if (quo_opid_is_keyed(opid))
        return quo_ring_complete_keyed(from, quo_version_ms((struct quo_version){.hlc = since}),
                                       retention_s);
    return from.hlc < since;
}
