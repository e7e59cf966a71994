/* Bodies of messages: the first byte is the type. What is accepted must be what its encoder writes.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "quorate/rpc.h"

#define QUO_MESSAGE(NAME, name, type)                                                              \
    static void check_##name(struct quo_slice body)                                                \
    {                                                                                              \
        struct quo_msg_##name m;                                                                   \
        if (quo_msg_##name##_decode(body, &m) != QUO_OK)                                           \
            return;                                                                                \
        QUO_INVARIANT(quo_msg_##name##_size(&m) == body.len);                                      \
        uint8_t *again = malloc(body.len);                                                         \
        QUO_REQUIRE(again != NULL);                                                                \
        quo_msg_##name##_encode(&m, again);                                                        \
        QUO_INVARIANT(memcmp(again, body.data, body.len) == 0);                                    \
        free(again);                                                                               \
    }
#include "quorate/messages.def"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct quo_slice body = quo_slice(data + 1, size - 1);
    switch (data[0]) {
#define QUO_MESSAGE(NAME, name, type)                                                              \
    case type:                                                                                     \
        check_##name(body);                                                                        \
        break;
#include "quorate/messages.def"
    }
    return 0;
}
