#include "proxy/change/counter.h"

/* Numbers are built below zero, where there is one more. */
static bool parse_digits(struct quo_slice digits, int64_t *ret)
{
    int64_t value = 0;

    for (size_t i = 0; i < digits.len; i++) {
        const uint8_t c = digits.data[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, c - '0', &value))
            return false;
    }
    *ret = value;
    return true;
}

bool quo_counter_parse(struct quo_slice text, int64_t *ret)
{
    const bool is_negative = text.len > 0 && text.data[0] == '-';
    const size_t sign = is_negative ? 1 : 0;
    int64_t value;

    if (text.len == sign || (text.data[sign] == '0' && text.len > 1))
        return false;
    if (!parse_digits(quo_slice(text.data + sign, text.len - sign), &value))
        return false;
    if (!is_negative && value == INT64_MIN)
        return false;
    *ret = is_negative ? value : -value;
    return true;
}

size_t quo_counter_format(int64_t value, char out[QUO_COUNTER_TEXT])
{
    char digits[QUO_COUNTER_TEXT];
    /* Of INT64_MIN too, which has no positive twin of its own type. */
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--at] = '-';
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}
