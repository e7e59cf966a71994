#include "proxy/collections/set.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define CHECK_DIGITS 8u

_Static_assert(QUO_ELEMENT_KEY_MAX <= QUO_KEY_MAX, "the longest name and element fit in a key");

size_t quo_element_prefix(struct quo_slice name, struct quo_slice element,
                          uint8_t out[QUO_ELEMENT_KEY_MAX])
{
    QUO_REQUIRE(name.len >= 1 && name.len <= QUO_COLLECTION_NAME_MAX);
    QUO_REQUIRE(element.len >= 1 && element.len <= QUO_ELEMENT_MAX);
    const size_t len = quo_collection_prefix(name, out);
    quo_put_u16(out + len, (uint16_t)element.len);
    memcpy(out + len + 2, element.data, element.len);
    return len + 2 + element.len;
}

size_t quo_element_bound(struct quo_slice name, struct quo_slice element,
                         uint8_t out[QUO_ELEMENT_KEY_MAX])
{
    const size_t len = quo_element_prefix(name, element, out);

    memset(out + len, 0xff, QUO_VERSION_SIZE + 1);
    return len + QUO_VERSION_SIZE + 1;
}

size_t quo_dot_key(struct quo_slice name, struct quo_slice element, struct quo_version dot,
                   uint8_t out[QUO_ELEMENT_KEY_MAX])
{
    const size_t len = quo_element_prefix(name, element, out) + QUO_VERSION_SIZE;

    quo_dot_key_set(out, len, dot);
    return len;
}

void quo_dot_key_set(uint8_t *key, size_t len, struct quo_version dot)
{
    quo_version_encode(dot, key + len - QUO_VERSION_SIZE);
}

bool quo_dot_key_parse(struct quo_slice key, struct quo_slice *ret_element,
                       struct quo_version *ret_dot)
{
    const size_t name_len = quo_collection_name(key).len, at = 2 + name_len;

    if (name_len == 0 || key.len < at + 2 || quo_get_u16(key.data) != name_len)
        return false;
    const size_t len = quo_get_u16(key.data + at);
    if (len < 1 || len > QUO_ELEMENT_MAX || key.len != at + 2 + len + QUO_VERSION_SIZE)
        return false;
    *ret_element = quo_slice(key.data + at + 2, len);
    *ret_dot = quo_version_decode(key.data + at + 2 + len);
    return true;
}

/* Binds a cursor to its set: a mistake is noticed, and no more is promised. */
static uint32_t check_of(uint32_t ns, struct quo_slice name, struct quo_slice tail)
{
    const uint64_t seed = XXH3_64bits_withSeed(name.data, name.len, ns);

    return (uint32_t)XXH3_64bits_withSeed(tail.data, tail.len, seed);
}

static void put_hex(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
}

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool get_hex(struct quo_slice text, uint8_t *out)
{
    for (size_t i = 0; i < text.len / 2; i++) {
        const int high = digit_of(text.data[2 * i]), low = digit_of(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

size_t quo_set_cursor_format(uint32_t ns, struct quo_slice name, struct quo_slice tail,
                             char out[QUO_SET_CURSOR_MAX + 1])
{
    uint8_t check[CHECK_DIGITS / 2];

    QUO_REQUIRE(tail.len >= 1 && tail.len <= QUO_ELEMENT_TAIL_MAX);
    quo_put_u32(check, check_of(ns, name, tail));
    put_hex(check, sizeof check, out);
    put_hex(tail.data, tail.len, out + CHECK_DIGITS);
    out[CHECK_DIGITS + 2 * tail.len] = 0;
    return CHECK_DIGITS + 2 * tail.len;
}

bool quo_set_cursor_parse(struct quo_slice text, uint32_t ns, struct quo_slice name,
                          uint8_t out[QUO_ELEMENT_TAIL_MAX], size_t *ret_len)
{
    uint8_t check[CHECK_DIGITS / 2];

    if (text.len <= CHECK_DIGITS || text.len > QUO_SET_CURSOR_MAX || text.len % 2 != 0)
        return false;
    const struct quo_slice rest = quo_slice(text.data + CHECK_DIGITS, text.len - CHECK_DIGITS);
    if (!get_hex(quo_slice(text.data, CHECK_DIGITS), check) || !get_hex(rest, out))
        return false;
    if (quo_get_u32(check) != check_of(ns, name, quo_slice(out, rest.len / 2)))
        return false;
    *ret_len = rest.len / 2;
    return true;
}
