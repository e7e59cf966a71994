/* Structured log lines on stderr: one line an event, "key=value" pairs (logfmt):
 *
 *   ts=2026-01-02T03:04:05.678Z level=info event=node.started name=node-1 port=7001
 *
 * Only programs and drivers log, never the pure parts; who knows what happened says it, once.
 * Threads: any; a line is written by one write(2).
 */
#ifndef QUORATE_LOG_H
#define QUORATE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "quorate/base.h"

enum quo_log_level { QUO_LOG_DEBUG, QUO_LOG_INFO, QUO_LOG_WARN, QUO_LOG_ERROR };

/* Lines below `level` are dropped. Call before other threads start. */
void quo_log_set_level(enum quo_log_level level);
/* Returns false for an unknown name ("debug", "info", "warn", "error"). */
bool quo_log_level_parse(const char *name, enum quo_log_level *ret);

/* Logs `event` (a dotted static name) with `format`, printf-style "key=value key=value" pairs;
 * quote a text value with quo_log_quote. Lines are cut at 2 KiB. */
void quo_log(enum quo_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Quotes text for a log value into `out` (double quotes, backslash escapes, non-ASCII as \xHH), cut
 * to fit. Returns out. */
const char *quo_log_quote(struct quo_slice text, char *out, size_t size);

#endif
