#include "proxy/http/utf8.h"

/* How many bytes follow a first one, and the range of the second: the table of RFC 3629, section 4.
 */
struct form {
    uint8_t more, low, high;
};

static bool form_of(uint8_t first, struct form *ret)
{
    if (first < 0x80)
        *ret = (struct form){0, 0, 0};
    else if (first >= 0xc2 && first <= 0xdf)
        *ret = (struct form){1, 0x80, 0xbf};
    else if (first >= 0xe0 && first <= 0xef)
        *ret = (struct form){2, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf};
    else if (first >= 0xf0 && first <= 0xf4)
        *ret = (struct form){3, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf};
    else
        return false;
    return true;
}

bool quo_utf8_is_valid(struct quo_slice bytes)
{
    size_t at = 0;

    while (at < bytes.len) {
        struct form form;

        if (!form_of(bytes.data[at++], &form) || bytes.len - at < form.more)
            return false;
        for (uint8_t i = 0; i < form.more; i++) {
            const uint8_t byte = bytes.data[at++];

            if (byte < (i == 0 ? form.low : 0x80) || byte > (i == 0 ? form.high : 0xbf))
                return false;
        }
    }
    return true;
}
