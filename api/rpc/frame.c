#include "quorate/rpc.h"

/* Inlined so that this object needs no symbol of a library. */
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Offsets in the header. */
enum {
    AT_LENGTH = 0,
    AT_PROTOCOL = 4,
    AT_TYPE = 5,
    AT_ZERO = 6,
    AT_ID = 8,
    AT_CHECKSUM = 16,
    AT_BODY_LENGTH = 20,
};
_Static_assert(AT_BODY_LENGTH + 4 == QUO_FRAME_HEADER, "the header is packed");
_Static_assert(QUO_FRAME_MAX <= UINT32_MAX, "a frame's length fits its field");

/* Up to here copying the frame is cheaper than hashing it in pieces. */
#define HASH_COPY_MAX 256u

/* The checksum of a frame that may not be written to: as if its checksum field were zero. */
static uint32_t checksum_of(const uint8_t *frame, size_t size)
{
    if (size <= HASH_COPY_MAX) {
        uint8_t copy[HASH_COPY_MAX];
        memcpy(copy, frame, size);
        quo_put_u32(copy + AT_CHECKSUM, 0);
        return (uint32_t)XXH3_64bits(copy, size);
    }
    static const uint8_t zero[4];
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, frame, AT_CHECKSUM);
    XXH3_64bits_update(&state, zero, sizeof zero);
    XXH3_64bits_update(&state, frame + AT_BODY_LENGTH, size - AT_BODY_LENGTH);
    return (uint32_t)XXH3_64bits_digest(&state);
}

void quo_frame_seal(uint8_t *out, uint8_t type, uint64_t id, size_t body_len)
{
    QUO_REQUIRE(body_len <= QUO_FRAME_BODY_MAX);
    const size_t size = QUO_FRAME_HEADER + body_len;

    quo_put_u32(out + AT_LENGTH, (uint32_t)size);
    out[AT_PROTOCOL] = QUO_PROTOCOL_VERSION;
    out[AT_TYPE] = type;
    quo_put_u16(out + AT_ZERO, 0);
    quo_put_u64(out + AT_ID, id);
    quo_put_u32(out + AT_CHECKSUM, 0);
    quo_put_u32(out + AT_BODY_LENGTH, (uint32_t)body_len);
    quo_put_u32(out + AT_CHECKSUM, (uint32_t)XXH3_64bits(out, size));
}

/* Judges as much of a header as is there, so that a stranger is refused at its first bytes and not
 * only when it has sent a header's worth. */
static enum quo_status check_header(struct quo_slice bytes)
{
    if (bytes.len >= AT_LENGTH + 4) {
        uint32_t size = quo_get_u32(bytes.data + AT_LENGTH);
        if (size < QUO_FRAME_HEADER || size > QUO_FRAME_MAX)
            return QUO_MALFORMED;
    }
    if (bytes.len >= AT_PROTOCOL + 1 && bytes.data[AT_PROTOCOL] != QUO_PROTOCOL_VERSION)
        return QUO_UNSUPPORTED;
    if (bytes.len >= AT_ZERO + 2 && quo_get_u16(bytes.data + AT_ZERO) != 0)
        return QUO_MALFORMED;
    if (bytes.len >= QUO_FRAME_HEADER && quo_get_u32(bytes.data + AT_BODY_LENGTH) !=
                                             quo_get_u32(bytes.data + AT_LENGTH) - QUO_FRAME_HEADER)
        return QUO_MALFORMED;
    return QUO_OK;
}

enum quo_status quo_frame_next(struct quo_slice bytes, struct quo_frame *ret, size_t *ret_size)
{
    enum quo_status status = check_header(bytes);
    if (status != QUO_OK)
        return status;
    if (bytes.len < QUO_FRAME_HEADER) {
        *ret_size = 0;
        return QUO_MORE;
    }
    const size_t size = quo_get_u32(bytes.data + AT_LENGTH);
    if (bytes.len < size) {
        *ret_size = size;
        return QUO_MORE;
    }
    if (checksum_of(bytes.data, size) != quo_get_u32(bytes.data + AT_CHECKSUM))
        return QUO_MALFORMED;
    ret->type = bytes.data[AT_TYPE];
    ret->id = quo_get_u64(bytes.data + AT_ID);
    ret->body = quo_slice(bytes.data + QUO_FRAME_HEADER, size - QUO_FRAME_HEADER);
    *ret_size = size;
    return QUO_OK;
}
