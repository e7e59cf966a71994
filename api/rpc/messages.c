/* Sizes, encoders and decoders of every message, made from messages.def: the list is read once per
 * function, with the macros meaning something else each time. */
#include "quorate/rpc.h"

/* Reads a body from front to back. After the first missing byte `failed` stays set, every further
 * read yields zero, and nothing beyond the body is touched. */
struct cursor {
    const uint8_t *at;
    size_t left;
    bool failed;
};

/* Returns where the next `len` bytes stand, or NULL when they are not there. */
static const uint8_t *take(struct cursor *c, size_t len)
{
    if (c->failed || c->left < len) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *at = c->at;
    c->at += len;
    c->left -= len;
    return at;
}

static uint8_t take_u8(struct cursor *c)
{
    const uint8_t *at = take(c, 1);
    return at != NULL ? *at : 0;
}

static uint16_t take_u16(struct cursor *c)
{
    const uint8_t *at = take(c, 2);
    return at != NULL ? quo_get_u16(at) : 0;
}

static uint32_t take_u32(struct cursor *c)
{
    const uint8_t *at = take(c, 4);
    return at != NULL ? quo_get_u32(at) : 0;
}

static uint64_t take_u64(struct cursor *c)
{
    const uint8_t *at = take(c, 8);
    return at != NULL ? quo_get_u64(at) : 0;
}

static struct quo_version take_version(struct cursor *c)
{
    const uint8_t *at = take(c, QUO_VERSION_SIZE);
    return at != NULL ? (struct quo_version){quo_get_u64(at), quo_get_u64(at + 8)}
                      : QUO_VERSION_NONE;
}

static struct quo_slice take_bytes(struct cursor *c, size_t max)
{
    size_t len = take_u32(c);
    if (len > max)
        c->failed = true;
    const uint8_t *at = take(c, len);
    return at != NULL ? quo_slice(at, len) : quo_slice(NULL, 0);
}

/* Each put returns where the next field goes. */
static uint8_t *put_u8(uint8_t *out, uint8_t v)
{
    *out = v;
    return out + 1;
}

static uint8_t *put_u16(uint8_t *out, uint16_t v)
{
    quo_put_u16(out, v);
    return out + 2;
}

static uint8_t *put_u32(uint8_t *out, uint32_t v)
{
    quo_put_u32(out, v);
    return out + 4;
}

static uint8_t *put_u64(uint8_t *out, uint64_t v)
{
    quo_put_u64(out, v);
    return out + 8;
}

static uint8_t *put_bytes(uint8_t *out, struct quo_slice bytes)
{
    out = put_u32(out, (uint32_t)bytes.len);
    if (bytes.len > 0)
        memcpy(out, bytes.data, bytes.len);
    return out + bytes.len;
}

#define QUO_MESSAGE(NAME, name, type)                                                              \
    size_t quo_msg_##name##_size(const struct quo_msg_##name *m)                                   \
    {                                                                                              \
        size_t size = 0;                                                                           \
        (void)m;
#define QUO_U8(field) size += 1;
#define QUO_U16(field) size += 2;
#define QUO_U32(field) size += 4;
#define QUO_U64(field) size += 8;
#define QUO_VERSION(field) size += QUO_VERSION_SIZE;
#define QUO_BYTES(field, max)                                                                      \
    QUO_REQUIRE(m->field.len <= (max));                                                            \
    size += 4 + m->field.len;
#define QUO_MESSAGE_END                                                                            \
    return size;                                                                                   \
    }
#include "quorate/messages.def"

#define QUO_MESSAGE(NAME, name, type)                                                              \
    void quo_msg_##name##_encode(const struct quo_msg_##name *m, uint8_t *out)                     \
    {
#define QUO_U8(field) out = put_u8(out, m->field);
#define QUO_U16(field) out = put_u16(out, m->field);
#define QUO_U32(field) out = put_u32(out, m->field);
#define QUO_U64(field) out = put_u64(out, m->field);
#define QUO_VERSION(field)                                                                         \
    out = put_u64(out, m->field.hlc);                                                              \
    out = put_u64(out, m->field.node);
#define QUO_BYTES(field, max) out = put_bytes(out, m->field);
#define QUO_MESSAGE_END                                                                            \
    (void)out;                                                                                     \
    }
#include "quorate/messages.def"

#define QUO_MESSAGE(NAME, name, type)                                                              \
    enum quo_status quo_msg_##name##_decode(struct quo_slice body, struct quo_msg_##name *ret)     \
    {                                                                                              \
        struct cursor c = {.at = body.data, .left = body.len};                                     \
        struct quo_msg_##name m;
#define QUO_U8(field) m.field = take_u8(&c);
#define QUO_U16(field) m.field = take_u16(&c);
#define QUO_U32(field) m.field = take_u32(&c);
#define QUO_U64(field) m.field = take_u64(&c);
#define QUO_VERSION(field) m.field = take_version(&c);
#define QUO_BYTES(field, max) m.field = take_bytes(&c, (max));
#define QUO_MESSAGE_END                                                                            \
    if (c.failed || c.left != 0)                                                                   \
        return QUO_MALFORMED;                                                                      \
    *ret = m;                                                                                      \
    return QUO_OK;                                                                                 \
    }
#include "quorate/messages.def"

/* The largest message of each kind fits in a frame. */
#define QUO_MESSAGE(NAME, name, type) _Static_assert(0
#define QUO_U8(field) +1
#define QUO_U16(field) +2
#define QUO_U32(field) +4
#define QUO_U64(field) +8
#define QUO_VERSION(field) +QUO_VERSION_SIZE
#define QUO_BYTES(field, max) +4 + (max)
#define QUO_MESSAGE_END <= QUO_FRAME_BODY_MAX, "it fits in a frame");
#include "quorate/messages.def"
