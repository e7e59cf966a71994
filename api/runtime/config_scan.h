/* Looks over a configuration text for what libconfig 1.5 would silently get wrong. */
#ifndef QUORATE_API_RUNTIME_CONFIG_SCAN_H
#define QUORATE_API_RUNTIME_CONFIG_SCAN_H

#include <stddef.h>

#include "quorate/status.h"

/* `text` has `len` bytes and a NUL behind them.
 * Returns QUO_OK, or QUO_INVALID with the line and the reason (static storage):
 *  - a NUL byte, at which libconfig would stop reading;
 *  - "@include", since one file says everything;
 *  - a number that libconfig would cut to 32 bits (one without L behind it) or to 64. */
enum quo_status quo_config_scan(const char *text, size_t len, unsigned *ret_line,
                                const char **ret_why);

#endif
