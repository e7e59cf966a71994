/* Whether bytes are text. Pure.
 */
#ifndef QUORATE_HTTP_UTF8_H
#define QUORATE_HTTP_UTF8_H

#include "quorate/base.h"

/* Whether the bytes are UTF-8 (RFC 3629): shortest forms only, no surrogates, nothing above
 * U+10FFFF. */
bool quo_utf8_is_valid(struct quo_slice bytes);

#endif
