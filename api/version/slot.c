#include "quorate/slot.h"

#define AT_ADDED 1u
#define AT_TAKEN 9u
#define AT_KEYED_FROM 17u

size_t quo_slot_size(const struct quo_slot *slot)
{
    return QUO_SLOT_HEADER + slot->ring.len;
}

void quo_slot_encode(const struct quo_slot *slot, uint8_t *out)
{
    out[0] = QUO_SLOT_FORMAT;
    quo_put_u64(out + AT_ADDED, slot->added);
    quo_put_u64(out + AT_TAKEN, slot->taken);
    quo_version_encode(slot->keyed_from, out + AT_KEYED_FROM);
    if (slot->ring.len > 0)
        memcpy(out + QUO_SLOT_HEADER, slot->ring.data, slot->ring.len);
}

/* The difference of the two numbers; false: it has no 64 bits. */
static bool difference(uint64_t added, uint64_t taken, int64_t *ret)
{
    return !__builtin_sub_overflow(added, taken, ret);
}

/* In order already, so that the first entry is the lowest. */
static bool is_proper_ring(struct quo_slice ring, struct quo_version keyed_from)
{
    const size_t count = quo_ring_count(ring);

    for (size_t i = 0; i < count; i++) {
        const struct quo_ring_entry entry = quo_ring_at(ring, i);
        if (!quo_opid_is_keyed(&entry.opid) || quo_version_compare(entry.at, keyed_from) <= 0)
            return false;
    }
    return true;
}

enum quo_status quo_slot_decode(struct quo_slice bytes, struct quo_slot *ret)
{
    if (bytes.len < QUO_SLOT_HEADER || bytes.data[0] != QUO_SLOT_FORMAT)
        return QUO_MALFORMED;

    const struct quo_slot slot = {
        .added = quo_get_u64(bytes.data + AT_ADDED),
        .taken = quo_get_u64(bytes.data + AT_TAKEN),
        .keyed_from = quo_version_decode(bytes.data + AT_KEYED_FROM),
        .ring = quo_slice(bytes.data + QUO_SLOT_HEADER, bytes.len - QUO_SLOT_HEADER),
    };
    int64_t value;
    if (!difference(slot.added, slot.taken, &value) || quo_ring_check(slot.ring) != QUO_OK ||
        !is_proper_ring(slot.ring, slot.keyed_from))
        return QUO_MALFORMED;
    *ret = slot;
    return QUO_OK;
}

int64_t quo_slot_value(const struct quo_slot *slot)
{
    int64_t value;

    QUO_INVARIANT(difference(slot->added, slot->taken, &value));
    return value;
}

bool quo_slot_add(const struct quo_slot *slot, int64_t by, struct quo_slot *ret)
{
    /* Of INT64_MIN too, which has no positive twin of its own type. */
    const uint64_t amount = by < 0 ? 0 - (uint64_t)by : (uint64_t)by;
    struct quo_slot sum = *slot;
    uint64_t *at = by < 0 ? &sum.taken : &sum.added;
    int64_t value;

    if (__builtin_add_overflow(*at, amount, at) || !difference(sum.added, sum.taken, &value))
        return false;
    *ret = sum;
    return true;
}

bool quo_slot_sum_value(const struct quo_slot_sum *sum, int64_t *ret)
{
    const int64_t high = sum->high + (int64_t)(sum->low >> 32);

    if (high < INT32_MIN || high > INT32_MAX)
        return false;
    *ret = high * (INT64_C(1) << 32) + (int64_t)(sum->low & UINT32_MAX);
    return true;
}
