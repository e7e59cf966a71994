#include "proxy/change/change.h"
#include "proxy/change/lineage.h"

enum quo_operation_state quo_change_state(const struct quo_record *record,
                                          const struct quo_opid *opid, uint64_t since,
                                          uint32_t retention_s, struct quo_ring_entry *ret_entry)
{
    if (record == NULL)
        return QUO_OPERATION_IN_FLIGHT;
    if (quo_ring_find(record->ring, opid, ret_entry))
        return ret_entry->code == QUO_CHANGE_DONE ? QUO_OPERATION_APPLIED
                                                  : QUO_OPERATION_NOT_APPLIED;
    return quo_lineage_shows(record, opid, QUO_VERSION_NONE, since, retention_s)
               ? QUO_OPERATION_IN_FLIGHT
               : QUO_OPERATION_EXPIRED;
}
