#include "proxy/http/percent.h"

/* Returns the value of a hexadecimal digit, -1 for anything else. */
static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum quo_status quo_percent_decode(struct quo_slice text, uint8_t *out, size_t size,
                                   size_t *ret_len, size_t *ret_at)
{
    size_t len = 0;

    /* Few keys and no words of ours are escaped. */
    if (text.len > 0 && text.len <= size && memchr(text.data, '%', text.len) == NULL) {
        memcpy(out, text.data, text.len);
        *ret_len = text.len;
        return QUO_OK;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];

        if (c == '%') {
            int high = text.len - i > 2 ? digit(text.data[i + 1]) : -1;
            int low = text.len - i > 2 ? digit(text.data[i + 2]) : -1;

            if (high < 0 || low < 0) {
                *ret_at = i;
                return QUO_MALFORMED;
            }
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (len < size)
            out[len] = c;
        len++;
    }
    *ret_len = len;
    return len <= size ? QUO_OK : QUO_TOO_LARGE;
}

static bool is_unreserved(uint8_t c)
{
    uint8_t lower = c | 0x20;

    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

size_t quo_percent_encode(struct quo_slice bytes, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];

        if (is_unreserved(c)) {
            out[len++] = (char)c;
        } else {
            out[len++] = '%';
            out[len++] = hex[c >> 4];
            out[len++] = hex[c & 15];
        }
    }
    return len;
}
