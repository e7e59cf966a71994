/* Records as they come off disk and wire. What is accepted must be what its encoder writes, the
 * short look must see what the long one sees, and one operation more can be noted in its past. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "quorate/record.h"
#include "quorate/ring.h"

/* The operation after the record: what the bytes say of the past must be enough to go on from. */
static void note_next(const struct quo_record *record, bool keyed, uint64_t later_ms,
                      uint32_t retention_s)
{
    static uint8_t ring[QUO_RING_BYTES_MAX], bytes[QUO_RECORD_OVERHEAD_MAX + 1];
    const struct quo_ring_past past = {record->ring, record->hist_from, record->keyed_from};
    struct quo_ring_entry entry = {.at = record->version, .result = -1}, found;
    struct quo_ring_past made;
    struct quo_record again;

    if (record->version.hlc > UINT64_MAX - (later_ms << 16) - 1)
        return; /* there is no later ballot */
    entry.at.hlc += (later_ms << 16) + 1;
    entry.opid = keyed ? quo_opid_of_key(record->value) : quo_opid_make(entry.at.hlc, later_ms);
    if (quo_ring_append(&past, &entry, retention_s, ring, &made) != QUO_OK) {
        QUO_INVARIANT(keyed || quo_ring_count(record->ring) > QUO_RING_KEYED_MAX);
        return;
    }
    const struct quo_record next = {
        .version = entry.at,
        .changed = record->changed,
        .hist_from = made.hist_from,
        .keyed_from = made.keyed_from,
        .ring = made.ring,
    };
    const size_t size = quo_record_size(&next);
    QUO_INVARIANT(size <= sizeof bytes);
    quo_record_encode(&next, bytes);
    QUO_INVARIANT(quo_record_decode(quo_slice(bytes, size), &again) == QUO_OK);
    QUO_INVARIANT(quo_ring_find(again.ring, &entry.opid, &found));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct quo_slice bytes = quo_slice(data, size);
    struct quo_record record;
    struct quo_version version;
    uint64_t expires_ms;
    uint8_t flags;

    enum quo_status peeked = quo_record_peek(bytes, &version, &flags);
    if (quo_record_decode(bytes, &record) != QUO_OK)
        return 0;
    QUO_INVARIANT(peeked == QUO_OK && flags == record.flags);
    QUO_INVARIANT(quo_version_equal(version, record.version));
    QUO_INVARIANT(quo_record_peek_expiry(bytes, &expires_ms) == QUO_OK &&
                  expires_ms == quo_record_expires_ms(&record));
    QUO_INVARIANT(quo_record_size(&record) == size);
    uint8_t *again = malloc(size);
    QUO_REQUIRE(again != NULL);
    quo_record_encode(&record, again);
    QUO_INVARIANT(memcmp(again, data, size) == 0);
    free(again);
    note_next(&record, (size & 1) != 0, version.node >> 32, (uint32_t)version.node);
    return 0;
}
