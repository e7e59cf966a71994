/* Frames as they come off a socket. With an even first byte the rest is a stream of frames; with an
 * odd one the rest becomes the body of a sealed frame, which no fuzzer would find through the
 * checksum, and one byte of it is then changed. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "quorate/rpc.h"

static void read_stream(struct quo_slice stream)
{
    struct quo_frame frame;
    size_t size;

    while (quo_frame_next(stream, &frame, &size) == QUO_OK) {
        QUO_INVARIANT(size >= QUO_FRAME_HEADER && size <= stream.len);
        QUO_INVARIANT(frame.body.len == size - QUO_FRAME_HEADER);
        uint8_t *again = malloc(size);
        QUO_REQUIRE(again != NULL);
        memcpy(again + QUO_FRAME_HEADER, frame.body.data, frame.body.len);
        quo_frame_seal(again, frame.type, frame.id, frame.body.len);
        QUO_INVARIANT(memcmp(again, stream.data, size) == 0);
        free(again);
        stream = quo_slice(stream.data + size, stream.len - size);
    }
}

static void break_frame(struct quo_slice body)
{
    const size_t size = QUO_FRAME_HEADER + body.len;
    struct quo_frame frame;
    size_t found;

    uint8_t *bytes = malloc(size);
    QUO_REQUIRE(bytes != NULL);
    if (body.len > 0)
        memcpy(bytes + QUO_FRAME_HEADER, body.data, body.len);
    quo_frame_seal(bytes, QUO_MESSAGE_STORE, body.len, body.len);
    QUO_INVARIANT(quo_frame_next(quo_slice(bytes, size), &frame, &found) == QUO_OK);
    QUO_INVARIANT(found == size && quo_slice_equal(frame.body, body));
    bytes[(body.len > 0 ? body.data[0] : 0) % size] ^= 0x20;
    QUO_INVARIANT(quo_frame_next(quo_slice(bytes, size), &frame, &found) != QUO_OK);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > QUO_FRAME_BODY_MAX)
        return 0;
    if (data[0] % 2 == 0)
        read_stream(quo_slice(data + 1, size - 1));
    else
        break_frame(quo_slice(data + 1, size - 1));
    return 0;
}
