/* Base64 (RFC 4648 section 4): the standard alphabet, with padding. Pure.
 */
#ifndef QUORATE_HTTP_BASE64_H
#define QUORATE_HTTP_BASE64_H

#include "quorate/base.h"

/* Bytes of the text of so many bytes. */
#define QUO_BASE64_SIZE(len) (((size_t)(len) + 2) / 3 * 4)

/* Writes QUO_BASE64_SIZE(bytes.len) characters; returns their number. */
size_t quo_base64_encode(struct quo_slice bytes, char *out);

/* Writes at most three bytes for four characters, which may be where the text is: `out` may be
 * text.data. Returns false, with `out` undefined, for anything but what quo_base64_encode writes of
 * some bytes. */
bool quo_base64_decode(struct quo_slice text, uint8_t *out, size_t *ret_len);

#endif
