/* Slots of counters as they come off disk and wire. What is accepted must be what its encoder
 * writes, and whatever it holds, adding to it makes a slot that holds more, or says why not. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "storage-node/replica/slot.h"

static void add(const struct quo_slot *held, struct quo_slice bytes, bool keyed)
{
    static uint8_t ring[QUO_RING_BYTES_MAX], made[QUO_SLOT_VALUE_MAX];
    const struct quo_replica_view view = {.version = {held->taken, 1}};
    struct quo_replica_addition addition = {
        .by = (int64_t)held->keyed_from.node,
        .since = held->added,
        .now_ms = held->keyed_from.hlc >> 16,
        .retention_s = (uint32_t)held->taken,
    };
    struct quo_slot again;

    if (keyed)
        addition.opid = quo_opid_of_key(bytes);
    struct quo_replica_slot_verdict verdict = quo_replica_slot(&view, bytes, 7, &addition, ring);
    QUO_INVARIANT(verdict.status != QUO_OK || verdict.write != verdict.replayed);
    if (!verdict.write)
        return;
    QUO_INVARIANT(quo_version_compare(verdict.record.version, view.version) > 0);
    QUO_INVARIANT(quo_slot_size(&verdict.slot) <= sizeof made);
    quo_slot_encode(&verdict.slot, made);
    QUO_INVARIANT(quo_slot_decode(quo_slice(made, quo_slot_size(&verdict.slot)), &again) == QUO_OK);
    QUO_INVARIANT(again.added >= held->added && again.taken >= held->taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct quo_slice bytes = quo_slice(data, size);
    struct quo_slot slot;
    struct quo_slot_sum sum = {0};
    int64_t value;

    if (quo_slot_decode(bytes, &slot) != QUO_OK)
        return 0;
    QUO_INVARIANT(quo_slot_size(&slot) == size);
    uint8_t *again = malloc(size);
    QUO_REQUIRE(again != NULL);
    quo_slot_encode(&slot, again);
    QUO_INVARIANT(memcmp(again, data, size) == 0);
    free(again);
    quo_slot_sum_add(&sum, quo_slot_value(&slot));
    QUO_INVARIANT(quo_slot_sum_value(&sum, &value) && value == quo_slot_value(&slot));
    add(&slot, bytes, (size & 1) != 0);
    add(&slot, bytes, (size & 1) == 0);
    return 0;
}
