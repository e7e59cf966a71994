#include "proxy/http/list_cursor.h"

#include "proxy/http/base64.h"

/* Inlined so that this object needs no symbol of a library. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#define FORMAT 1u
#define HASH_AT 3u
#define HEAD 11u

static uint64_t hash_of(const struct quo_list_scope *scope, uint16_t partition,
                        struct quo_slice after)
{
    uint8_t bytes[4 + 2 + 2 + 2 * QUO_KEY_MAX];
    size_t len = 8;

    quo_put_u32(bytes, scope->ns);
    quo_put_u16(bytes + 4, partition);
    quo_put_u16(bytes + 6, (uint16_t)scope->prefix.len);
    if (scope->prefix.len > 0)
        memcpy(bytes + len, scope->prefix.data, scope->prefix.len);
    len += scope->prefix.len;
    if (after.len > 0)
        memcpy(bytes + len, after.data, after.len);
    return XXH3_64bits_withSeed(bytes, len + after.len, scope->map->cluster);
}

/* The alphabet of RFC 4648 section 5 instead of that of section 4. */
static void replace(char *text, size_t len, const char from[2], const char to[2])
{
    for (size_t i = 0; i < len; i++) {
        for (int j = 0; j < 2; j++) {
            if (text[i] == from[j])
                text[i] = to[j];
        }
    }
}

size_t quo_list_cursor_format(const struct quo_list_scope *scope, uint16_t partition,
                              struct quo_slice after, char out[QUO_LIST_CURSOR_MAX])
{
    uint8_t bytes[HEAD + QUO_KEY_MAX];

    bytes[0] = FORMAT;
    quo_put_u16(bytes + 1, partition);
    quo_put_u64(bytes + HASH_AT, hash_of(scope, partition, after));
    if (after.len > 0)
        memcpy(bytes + HEAD, after.data, after.len);
    size_t len = quo_base64_encode(quo_slice(bytes, HEAD + after.len), out);
    while (out[len - 1] == '=')
        len--;
    replace(out, len, "+/", "-_");
    return len;
}

static bool is_of_scope(const struct quo_list_scope *scope, const struct quo_list_place *place)
{
    const struct quo_slice after = quo_slice(place->after, place->after_len);
    const struct quo_slice prefix = scope->prefix;

    if (place->partition >= scope->map->partition_count)
        return false;
    return after.len == 0 ||
           (after.len >= prefix.len && quo_slice_equal(quo_slice(after.data, prefix.len), prefix) &&
            quo_map_partition(scope->map, scope->ns, after) == place->partition);
}

bool quo_list_cursor_parse(const struct quo_list_scope *scope, struct quo_slice text,
                           struct quo_list_place *ret)
{
    char copy[QUO_LIST_CURSOR_MAX];
    uint8_t bytes[QUO_LIST_CURSOR_MAX / 4 * 3];
    size_t len = 0;

    if (text.len == 0 || text.len > sizeof copy)
        return false;
    memset(copy, '=', sizeof copy);
    memcpy(copy, text.data, text.len);
    /* What belongs to the other alphabet becomes what belongs to neither. */
    replace(copy, text.len, "+/", "==");
    replace(copy, text.len, "-_", "+/");
    if (!quo_base64_decode(quo_slice(copy, (text.len + 3) / 4 * 4), bytes, &len) || len < HEAD ||
        len > HEAD + QUO_KEY_MAX || bytes[0] != FORMAT)
        return false;
    ret->partition = quo_get_u16(bytes + 1);
    ret->after_len = len - HEAD;
    memcpy(ret->after, bytes + HEAD, ret->after_len);
    return quo_get_u64(bytes + HASH_AT) ==
               hash_of(scope, ret->partition, quo_slice(ret->after, ret->after_len)) &&
           is_of_scope(scope, ret);
}
