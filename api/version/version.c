#include "quorate/version.h"

#include "quorate/base.h"

/* Eight hexadecimal digits at once, each in a byte: every answer has some of them. */
static void format_half(uint32_t v, char *out)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t x = v;

    x = (x << 16 | x) & UINT64_C(0x0000ffff0000ffff);
    x = (x << 8 | x) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x << 4 | x) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (x + 6 * ones) >> 4 & ones; /* 1 for 10 to 15 */
    quo_put_u64((uint8_t *)out, x + '0' * ones + ('a' - '0' - 10) * letters);
}

void quo_version_format(struct quo_version v, char out[QUO_VERSION_TEXT + 1])
{
    format_half((uint32_t)(v.hlc >> 32), out);
    format_half((uint32_t)v.hlc, out + 8);
    format_half((uint32_t)(v.node >> 32), out + 16);
    format_half((uint32_t)v.node, out + 24);
    out[QUO_VERSION_TEXT] = '\0';
}

/* Returns the value of a hexadecimal digit, or -1. */
static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool quo_version_parse(const char *text, size_t len, struct quo_version *ret)
{
    uint8_t bytes[QUO_VERSION_SIZE] = {0};

    if (len != QUO_VERSION_TEXT)
        return false;
    for (size_t i = 0; i < len; i++) {
        int value = digit_value(text[i]);
        if (value < 0)
            return false;
        bytes[i / 2] = (uint8_t)(bytes[i / 2] << 4 | value);
    }
    *ret = quo_version_decode(bytes);
    return true;
}
