/* Prometheus text exposition (format 0.0.4).
 *
 * Threads: a text belongs to one thread; the histograms it shows may be written meanwhile.
 */
#ifndef QUORATE_METRICS_H
#define QUORATE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quorate/histogram.h"

/* Text being built; grows by itself. Zero-initialise; free with quo_text_free. */
struct quo_text {
    char *data; /* NUL-terminated when size > 0 */
    size_t size;
    size_t capacity;
    bool failed; /* out of memory or over QUO_TEXT_MAX: the text is not complete */
};
/* Appends, printf-style; nothing once `failed`. */
void quo_text_add(struct quo_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends `len` bytes as they are; nothing once `failed`. `bytes` may be NULL if there are none. */
void quo_text_append(struct quo_text *text, const void *bytes, size_t len);
void quo_text_free(struct quo_text *text);

/* "# HELP" and "# TYPE"; type is "counter", "gauge" or "histogram". */
void quo_metric_head(struct quo_text *text, const char *name, const char *type, const char *help);
/* One sample; `labels` without braces ("level=\"strong\"") or "". */
void quo_metric_value(struct quo_text *text, const char *name, const char *labels, uint64_t value);
/* The samples of the sum of `count` histograms, in seconds. */
void quo_metric_histogram(struct quo_text *text, const char *name, const char *labels,
                          const struct quo_histogram *const *histograms, size_t count);
/* Resident memory, open descriptors, start time, CPU seconds of this process, as process_*. */
void quo_metric_process(struct quo_text *text);

#endif
