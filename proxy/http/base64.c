#include "proxy/http/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t quo_base64_encode(struct quo_slice bytes, char *out)
{
    size_t len = 0;

    for (size_t at = 0; at < bytes.len; at += 3) {
        const size_t here = QUO_MIN(bytes.len - at, 3u);
        uint32_t group = (uint32_t)bytes.data[at] << 16;

        if (here > 1)
            group |= (uint32_t)bytes.data[at + 1] << 8;
        if (here > 2)
            group |= bytes.data[at + 2];
        out[len++] = alphabet[group >> 18];
        out[len++] = alphabet[group >> 12 & 63];
        out[len++] = here > 1 ? alphabet[group >> 6 & 63] : '=';
        out[len++] = here > 2 ? alphabet[group & 63] : '=';
    }
    return len;
}

static bool digit_of(uint8_t character, uint32_t *ret)
{
    const char *at = character != 0 ? strchr(alphabet, character) : NULL;

    if (at == NULL)
        return false;
    *ret = (uint32_t)(at - alphabet);
    return true;
}

bool quo_base64_decode(struct quo_slice text, uint8_t *out, size_t *ret_len)
{
    size_t len = 0;

    if (text.len % 4 != 0)
        return false;
    for (size_t at = 0; at < text.len; at += 4) {
        const uint8_t *four = text.data + at;
        const bool is_last = at + 4 == text.len;
        const size_t digits = !is_last || four[3] != '=' ? 4 : four[2] != '=' ? 3 : 2;
        uint32_t group = 0;

        for (size_t i = 0; i < digits; i++) {
            uint32_t digit;

            if (!digit_of(four[i], &digit))
                return false;
            group |= digit << (18 - 6 * i);
        }
        /* Bits that no byte takes are zero, or two texts would mean the same. */
        if ((group & (0xffffffu >> 8 * (digits - 1))) != 0)
            return false;
        for (size_t i = 0; i + 1 < digits; i++)
            out[len++] = (uint8_t)(group >> (16 - 8 * i));
    }
    *ret_len = len;
    return true;
}
