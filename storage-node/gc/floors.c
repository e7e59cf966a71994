#include "storage-node/gc/floors.h"

static enum quo_status raise_to(struct quo_version *at, struct quo_version floor)
{
    *at = quo_version_max(*at, floor);
    return QUO_OK;
}

enum quo_status quo_floors_take(struct quo_floors *floors, enum quo_floor_stage stage,
                                struct quo_version floor)
{
    bool gated = quo_version_compare(floor, floors->gate) <= 0;
    bool sealed = quo_version_compare(floor, floors->sealed) <= 0;
    switch (stage) {
    case QUO_FLOOR_READY:
        return QUO_OK;
    case QUO_FLOOR_GATE:
        return raise_to(&floors->gate, floor);
    case QUO_FLOOR_CONFIRM:
        return gated ? QUO_OK : QUO_NACK;
    case QUO_FLOOR_SEAL:
        return gated ? raise_to(&floors->sealed, floor) : QUO_NACK;
    case QUO_FLOOR_DROP:
        return sealed ? raise_to(&floors->cleared, floor) : QUO_NACK;
    }
    QUO_UNREACHABLE();
}

bool quo_floors_unseal(struct quo_floors *floors)
{
    bool sealed = !quo_version_is_none(floors->sealed);
    floors->sealed = floors->cleared = QUO_VERSION_NONE;
    return sealed;
}

void quo_floors_encode(const struct quo_floors *floors, uint64_t namespaces,
                       uint8_t out[QUO_FLOORS_SIZE])
{
    quo_put_u64(out, namespaces);
    quo_version_encode(floors->gate, out + 8);
    quo_version_encode(floors->sealed, out + 8 + QUO_VERSION_SIZE);
    quo_version_encode(floors->cleared, out + 8 + 2 * QUO_VERSION_SIZE);
}

enum quo_status quo_floors_decode(struct quo_slice bytes, struct quo_floors *ret,
                                  uint64_t *ret_namespaces)
{
    if (bytes.len != QUO_FLOORS_SIZE)
        return QUO_MALFORMED;
    struct quo_floors floors = {
        .gate = quo_version_decode(bytes.data + 8),
        .sealed = quo_version_decode(bytes.data + 8 + QUO_VERSION_SIZE),
        .cleared = quo_version_decode(bytes.data + 8 + 2 * QUO_VERSION_SIZE),
    };
    if (quo_version_compare(floors.cleared, floors.sealed) > 0 ||
        quo_version_compare(floors.sealed, floors.gate) > 0)
        return QUO_MALFORMED;
    *ret = floors;
    *ret_namespaces = quo_get_u64(bytes.data);
    return QUO_OK;
}

uint64_t quo_floors_gone_ms(struct quo_slice record)
{
    struct quo_version version;
    uint64_t expires_ms;
    uint8_t flags;
    if (quo_record_peek(record, &version, &flags) != QUO_OK)
        return UINT64_MAX;
    if ((flags & QUO_RECORD_TOMBSTONE) != 0)
        return quo_version_ms(version);
    if ((flags & QUO_RECORD_EXPIRES) == 0 || quo_record_peek_expiry(record, &expires_ms) != QUO_OK)
        return UINT64_MAX;
    return QUO_MAX(quo_version_ms(version), expires_ms);
}

bool quo_floors_cover(struct quo_version floor, struct quo_slice record)
{
    struct quo_version version;
    uint8_t flags;
    return quo_record_peek(record, &version, &flags) == QUO_OK &&
           quo_version_compare(version, floor) <= 0 &&
           quo_floors_gone_ms(record) <= quo_version_ms(floor);
}
