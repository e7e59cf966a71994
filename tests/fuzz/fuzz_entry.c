/* Entries of the map as requests carry them. */
#include "tests/fuzz/fuzz.h"

#include "quorate/cluster.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quo_entry entry;
    uint8_t again[QUO_ENTRY_SIZE_MAX];

    if (quo_entry_decode(quo_slice(data, size), &entry) != QUO_OK)
        return 0;
    QUO_INVARIANT(quo_entry_size(&entry) == size);
    quo_entry_encode(&entry, again);
    QUO_INVARIANT(memcmp(again, data, size) == 0);
    for (uint8_t i = 0; i < entry.n; i++)
        QUO_INVARIANT(quo_entry_has(&entry, entry.replicas[i]));
    QUO_INVARIANT(!quo_entry_has(&entry, 0));
    return 0;
}
