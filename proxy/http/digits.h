/* Numbers as text, for what every answer says: the formatted output of the C library costs more
 * than all else that an answer is made of. Pure.
 */
#ifndef QUORATE_HTTP_DIGITS_H
#define QUORATE_HTTP_DIGITS_H

#include "quorate/base.h"

#define QUO_DECIMAL_MAX 20u /* digits of the largest number */
#define QUO_HEX_TEXT 16u    /* digits of a number in hexadecimal, leading zeros included */

/* Writes a number in decimal digits, at most QUO_DECIMAL_MAX, without a NUL. Returns how many. */
size_t quo_put_decimal(char *out, uint64_t value);

/* Writes a number of thousandths as "1.234". Returns its length, at most QUO_DECIMAL_MAX + 1. */
size_t quo_put_thousandths(char *out, uint64_t value);

/* Writes QUO_HEX_TEXT lower-case digits, without a NUL. */
void quo_put_hex(char *out, uint64_t value);

#endif
