/* Where a listing goes on, as clients carry it about: opaque, checked, and good for the namespace
 * and prefix it was given for only. Pure.
 *
 * Base64url of  u8 1 | be16 partition | be64 hash of namespace, prefix and what stands around it |
 * the key after which to go on; none: the partition's first one.
 */
#ifndef QUORATE_HTTP_LIST_CURSOR_H
#define QUORATE_HTTP_LIST_CURSOR_H

#include "quorate/cluster.h"

/* Characters of the longest one. */
#define QUO_LIST_CURSOR_MAX ((11u + QUO_KEY_MAX + 2) / 3 * 4)

struct quo_list_place {
    uint16_t partition;
    size_t after_len;
    uint8_t after[QUO_KEY_MAX];
};

/* What a cursor is good for. */
struct quo_list_scope {
    const struct quo_map *map;
    uint32_t ns;
    struct quo_slice prefix;
};

/* Returns its length. Requires after.len <= QUO_KEY_MAX. */
size_t quo_list_cursor_format(const struct quo_list_scope *scope, uint16_t partition,
                              struct quo_slice after, char out[QUO_LIST_CURSOR_MAX]);

/* Returns false, with *ret undefined, for anything but what quo_list_cursor_format writes of this
 * scope and a place of it. */
bool quo_list_cursor_parse(const struct quo_list_scope *scope, struct quo_slice text,
                           struct quo_list_place *ret);

#endif
