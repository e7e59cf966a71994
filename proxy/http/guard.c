#include "proxy/http/guard.h"

enum frame_type {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_WINDOW_UPDATE = 8,
    FRAME_CONTINUATION = 9,
};

#define FLAG_END_STREAM 0x1u
#define FLAG_END_HEADERS 0x4u
#define PREFACE_LEN 24u

const char *quo_flood_name(enum quo_flood flood)
{
    static const char *const names[QUO_FLOOD_COUNT] = {"none",
#define QUO_FLOOD(NAME, name, text) #name,
                                                       QUO_FLOODS(QUO_FLOOD)
#undef QUO_FLOOD
    };

    QUO_REQUIRE(flood < QUO_FLOOD_COUNT);
    return names[flood];
}

void quo_guard_init(struct quo_guard *guard)
{
    memset(guard, 0, sizeof *guard);
    guard->preface = PREFACE_LEN;
}

static void forget_stream(struct quo_guard *guard, uint32_t index)
{
    guard->body_bytes -= guard->streams[index].bytes;
    guard->streams[index] = guard->streams[--guard->stream_count];
}

/* Returns stream_count when it has no body under way. */
static uint32_t find_stream(const struct quo_guard *guard, uint32_t id)
{
    uint32_t i = 0;

    while (i < guard->stream_count && guard->streams[i].id != id)
        i++;
    return i;
}

/* Moves to the second that `mono_us` is in. */
static void decay(struct quo_guard *guard, uint64_t mono_us)
{
    uint64_t second = mono_us / 1000000;

    if (second == guard->second)
        return;
    guard->resets = guard->control = 0;
    for (; guard->second < second && guard->requests > 0; guard->second++) {
        guard->requests -= (guard->requests + 7) / 8;
        guard->cancelled -= (guard->cancelled + 7) / 8;
    }
    guard->second = second;
}

static enum quo_flood on_headers(struct quo_guard *guard, uint32_t id, uint8_t flags)
{
    guard->requests++;
    if (id > guard->highest) {
        guard->highest = id;
        /* Streams over the library's limit are refused by it and hold nothing. */
        if ((flags & FLAG_END_STREAM) == 0 && guard->stream_count < QUO_GUARD_STREAMS) {
            guard->streams[guard->stream_count].id = id;
            guard->streams[guard->stream_count++].bytes = 0;
        }
    } else if ((flags & FLAG_END_STREAM) != 0) { /* trailers */
        uint32_t index = find_stream(guard, id);

        if (index < guard->stream_count)
            forget_stream(guard, index);
    }
    return QUO_FLOOD_NONE;
}

static enum quo_flood on_control(struct quo_guard *guard, uint32_t weight)
{
    guard->control += weight;
    return guard->control > QUO_GUARD_CONTROL_MAX ? QUO_FLOOD_CONTROL : QUO_FLOOD_NONE;
}

static enum quo_flood on_data(struct quo_guard *guard, uint32_t id, uint8_t flags, uint32_t len)
{
    uint32_t index = find_stream(guard, id);

    /* A frame for a stream that has no body costs us an RST_STREAM; an empty one moves nothing. */
    if (index == guard->stream_count || (len == 0 && (flags & FLAG_END_STREAM) == 0))
        return on_control(guard, 1);
    guard->streams[index].bytes += len;
    guard->body_bytes += len;
    if ((flags & FLAG_END_STREAM) != 0)
        forget_stream(guard, index);
    return guard->body_bytes > QUO_GUARD_BODIES_MAX ? QUO_FLOOD_BODIES : QUO_FLOOD_NONE;
}

static enum quo_flood on_reset(struct quo_guard *guard, uint32_t id)
{
    uint32_t index = find_stream(guard, id);

    if (index < guard->stream_count)
        forget_stream(guard, index);
    return ++guard->resets > QUO_GUARD_RESETS_MAX ? QUO_FLOOD_RESETS : QUO_FLOOD_NONE;
}

/* A header block is one HEADERS frame and the CONTINUATIONs up to END_HEADERS. */
static enum quo_flood on_block(struct quo_guard *guard, uint8_t flags, uint32_t len)
{
    guard->block_bytes += len;
    guard->block_frames++;
    if (guard->block_bytes > QUO_GUARD_BLOCK_MAX ||
        guard->block_frames > QUO_GUARD_BLOCK_FRAMES_MAX)
        return QUO_FLOOD_HEADERS;
    if ((flags & FLAG_END_HEADERS) != 0)
        guard->block_bytes = guard->block_frames = 0;
    return QUO_FLOOD_NONE;
}

static enum quo_flood on_frame(struct quo_guard *guard, bool deaf)
{
    const uint8_t *head = guard->head;
    uint32_t len = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    uint32_t id = quo_get_u32(head + 5) & 0x7fffffffu;
    uint8_t type = head[3], flags = head[4];
    enum quo_flood flood;

    guard->payload = len;
    guard->deaf = deaf ? guard->deaf + 1 : 0;
    if (guard->deaf > QUO_GUARD_DEAF_MAX)
        return QUO_FLOOD_DEAF;
    switch (type) {
    case FRAME_DATA:
        return on_data(guard, id, flags, len);
    case FRAME_HEADERS:
        flood = on_headers(guard, id, flags);
        return flood != QUO_FLOOD_NONE ? flood : on_block(guard, flags, len);
    case FRAME_CONTINUATION:
        return guard->whole_blocks ? QUO_FLOOD_HEADERS : on_block(guard, flags, len);
    case FRAME_RST_STREAM:
        return on_reset(guard, id);
    case FRAME_WINDOW_UPDATE:
        return QUO_FLOOD_NONE; /* answered by nothing, and sent for every DATA frame by some */
    default:
        /* The library writes a line to stderr for each frame that it does not know. */
        return on_control(guard, type <= FRAME_CONTINUATION ? 1 : QUO_GUARD_UNKNOWN_WEIGHT);
    }
}

/* Takes as many bytes as `want` still needs. */
static uint32_t take(struct quo_slice *bytes, uint32_t want)
{
    uint32_t len = (uint32_t)QUO_MIN(bytes->len, (size_t)want);

    *bytes = quo_slice(bytes->data + len, bytes->len - len);
    return len;
}

enum quo_flood quo_guard_feed(struct quo_guard *guard, struct quo_slice bytes, bool deaf,
                              uint64_t mono_us)
{
    decay(guard, mono_us);
    while (bytes.len > 0) {
        const uint8_t *from = bytes.data;
        enum quo_flood flood;
        uint32_t len;

        if (guard->preface > 0) {
            guard->preface -= take(&bytes, guard->preface);
            continue;
        }
        if (guard->payload > 0) {
            guard->payload -= take(&bytes, guard->payload);
            continue;
        }
        len = take(&bytes, (uint32_t)(sizeof guard->head - guard->head_len));
        memcpy(guard->head + guard->head_len, from, len);
        guard->head_len = (uint8_t)(guard->head_len + len);
        if (guard->head_len < sizeof guard->head)
            break;
        guard->head_len = 0;
        flood = on_frame(guard, deaf);
        if (flood != QUO_FLOOD_NONE)
            return flood;
    }
    return QUO_FLOOD_NONE;
}

enum quo_flood quo_guard_cancelled(struct quo_guard *guard, uint64_t mono_us)
{
    decay(guard, mono_us);
    guard->cancelled++;
    if (++guard->resets > QUO_GUARD_RESETS_MAX)
        return QUO_FLOOD_RESETS;
    if (guard->requests > QUO_GUARD_SHARE_AFTER && guard->cancelled > guard->requests / 2)
        return QUO_FLOOD_RESETS;
    return QUO_FLOOD_NONE;
}
