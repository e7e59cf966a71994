#include "quorate/version.h"

#include "quorate/base.h"

void quo_version_encode(struct quo_version v, uint8_t out[QUO_VERSION_SIZE])
{
    quo_put_u64(out, v.hlc);
    quo_put_u64(out + 8, v.node);
}

struct quo_version quo_version_decode(const uint8_t in[QUO_VERSION_SIZE])
{
    return (struct quo_version){.hlc = quo_get_u64(in), .node = quo_get_u64(in + 8)};
}

void quo_version_format(struct quo_version v, char out[QUO_VERSION_TEXT + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[QUO_VERSION_SIZE];

    quo_version_encode(v, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
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
