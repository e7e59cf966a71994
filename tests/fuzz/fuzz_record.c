/* Records as they come off disk and wire. What is accepted must be what its encoder writes, and the
 * short look must see what the long one sees. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "quorate/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct quo_slice bytes = quo_slice(data, size);
    struct quo_record record;
    struct quo_version version;
    uint8_t flags;

    enum quo_status peeked = quo_record_peek(bytes, &version, &flags);
    if (quo_record_decode(bytes, &record) != QUO_OK)
        return 0;
    QUO_INVARIANT(peeked == QUO_OK && flags == record.flags);
    QUO_INVARIANT(quo_version_equal(version, record.version));
    QUO_INVARIANT(quo_record_size(&record) == size);
    uint8_t *again = malloc(size);
    QUO_REQUIRE(again != NULL);
    quo_record_encode(&record, again);
    QUO_INVARIANT(memcmp(again, data, size) == 0);
    free(again);
    return 0;
}
