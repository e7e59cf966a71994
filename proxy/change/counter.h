/* Counters as values: decimal integers of 64 bits, each written in one way only.
 *
 * Pure.
 */
#ifndef QUORATE_PROXY_COUNTER_H
#define QUORATE_PROXY_COUNTER_H

#include "quorate/base.h"

#define QUO_COUNTER_TEXT 20u /* bytes of the longest, -9223372036854775808 */

/* Returns false, *ret untouched, on anything that quo_counter_format does not write: white space, a
 * plus sign, leading zeros, a minus zero, more than 64 bits. */
bool quo_counter_parse(struct quo_slice text, int64_t *ret);

/* Returns the length of what it wrote, without a NUL. */
size_t quo_counter_format(int64_t value, char out[QUO_COUNTER_TEXT]);

#endif
