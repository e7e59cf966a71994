#include "proxy/http/digits.h"

size_t quo_put_decimal(char *out, uint64_t value)
{
    char digits[QUO_DECIMAL_MAX];
    size_t at = sizeof digits, len;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    len = sizeof digits - at;
    for (size_t i = 0; i < len; i++)
        out[i] = digits[at + i];
    return len;
}

size_t quo_put_thousandths(char *out, uint64_t value)
{
    const uint32_t rest = (uint32_t)(value % 1000);
    size_t len = quo_put_decimal(out, value / 1000);

    out[len++] = '.';
    out[len++] = (char)('0' + rest / 100);
    out[len++] = (char)('0' + rest / 10 % 10);
    out[len++] = (char)('0' + rest % 10);
    return len;
}

void quo_put_hex(char *out, uint64_t value)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = QUO_HEX_TEXT; i-- > 0; value >>= 4)
        out[i] = digits[value & 15];
}
