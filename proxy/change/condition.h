/* Preconditions of a change (RFC 9110, section 13.1), evaluated on the record that was found.
 *
 * Pure.
 */
#ifndef QUORATE_PROXY_CONDITION_H
#define QUORATE_PROXY_CONDITION_H

#include "proxy/change/change.h"

/* `record` may be a tombstone: that is an absent key. */
bool quo_condition_holds(const struct quo_change *change, const struct quo_record *record);

#endif
