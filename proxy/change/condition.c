#include "proxy/change/condition.h"

static bool has_tag(const struct quo_change *change, struct quo_version tag)
{
    for (uint8_t i = 0; i < change->tag_count; i++) {
        if (quo_version_equal(change->tags[i], tag))
            return true;
    }
    return false;
}

bool quo_condition_holds(const struct quo_change *change, const struct quo_record *record)
{
    const bool is_present = (record->flags & QUO_RECORD_TOMBSTONE) == 0;

    switch (change->condition) {
    case QUO_CONDITION_NONE:
        return true;
    case QUO_CONDITION_TAGS:
        return is_present && has_tag(change, record->changed);
    case QUO_CONDITION_PRESENT:
        return is_present;
    case QUO_CONDITION_ABSENT:
        return !is_present;
    }
    QUO_UNREACHABLE();
}
