#include "storage-node/engine/range.h"

#include <stdlib.h>

#define FIRST_ROOM 4096u

void quo_range_begin(struct quo_range *range)
{
    QUO_REQUIRE(range->count_max >= 1);
    range->load.status = QUO_OK;
    range->more = false;
    range->count = 0;
    range->bytes = NULL;
    range->len = range->room = 0;
}

static bool reserve(struct quo_range *range, size_t size)
{
    size_t room = QUO_MAX(range->room, (size_t)FIRST_ROOM);

    while (room - range->len < size)
        room *= 2;
    if (room == range->room)
        return true;
    uint8_t *bytes = realloc(range->bytes, room);
    if (bytes == NULL)
        return false;
    range->bytes = bytes;
    range->room = room;
    return true;
}

bool quo_range_add(struct quo_range *range, struct quo_slice key, struct quo_slice value)
{
    size_t here = QUO_MIN(value.len, (size_t)range->value_max);
    size_t size = QUO_RANGE_ENTRY_HEADER + key.len + here;

    if (range->count == range->count_max ||
        (range->count > 0 && range->len + size > range->bytes_max)) {
        range->more = true;
        return false;
    }
    if (!reserve(range, size)) {
        range->load.status = QUO_NO_MEMORY;
        return false;
    }
    uint8_t *out = range->bytes + range->len;
    quo_put_u32(out, (uint32_t)key.len);
    quo_put_u32(out + 4, (uint32_t)value.len);
    quo_put_u32(out + 8, (uint32_t)here);
    memcpy(out + QUO_RANGE_ENTRY_HEADER, key.data, key.len);
    if (here > 0)
        memcpy(out + QUO_RANGE_ENTRY_HEADER + key.len, value.data, here);
    range->len += size;
    range->count++;
    return true;
}

void quo_range_free(struct quo_range *range)
{
    free(range->bytes);
    range->bytes = NULL;
    range->len = range->room = 0;
    range->count = 0;
}
