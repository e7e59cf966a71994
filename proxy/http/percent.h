/* Percent-encoding (RFC 3986 section 2.1). Pure.
 */
#ifndef QUORATE_HTTP_PERCENT_H
#define QUORATE_HTTP_PERCENT_H

#include "quorate/base.h"
#include "quorate/status.h"

/* Decodes every escape, NUL and '/' included; '+' stays '+'.
 * Returns QUO_OK with the length in *ret_len; QUO_MALFORMED with the offset of the broken escape in
 * *ret_at; or QUO_TOO_LARGE with the length that would be needed in *ret_len: then `out` holds the
 * beginning. A broken escape is found even when the text is too large. */
enum quo_status quo_percent_decode(struct quo_slice text, uint8_t *out, size_t size,
                                   size_t *ret_len, size_t *ret_at);

/* Escapes every byte that is not unreserved (section 2.3): letters, digits and -._~ stand for
 * themselves. Requires room for three times the bytes. Returns the length written. */
size_t quo_percent_encode(struct quo_slice bytes, char *out);

#endif
