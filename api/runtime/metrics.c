#include "quorate/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "quorate/base.h"
#include "quorate/limits.h"

#define FIRST_CAPACITY 4096u

/* Makes room for `more` bytes and a NUL. */
static bool reserve(struct quo_text *text, size_t more)
{
    size_t needed;

    if (!quo_add_size(text->size, more, &needed) || needed >= QUO_TEXT_MAX)
        return false;
    if (needed < text->capacity)
        return true;
    size_t capacity = QUO_MAX(text->capacity, FIRST_CAPACITY);
    while (capacity <= needed)
        capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (data == NULL)
        return false;
    text->data = data;
    text->capacity = capacity;
    return true;
}

void quo_text_add(struct quo_text *text, const char *format, ...)
{
    va_list args;

    if (text->failed)
        return;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !reserve(text, (size_t)len)) {
        text->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(text->data + text->size, (size_t)len + 1, format, args);
    va_end(args);
    text->size += (size_t)len;
}

void quo_text_append(struct quo_text *text, const void *bytes, size_t len)
{
    if (text->failed || len == 0)
        return;
    if (!reserve(text, len)) {
        text->failed = true;
        return;
    }
    memcpy(text->data + text->size, bytes, len);
    text->size += len;
    text->data[text->size] = '\0';
}

void quo_text_free(struct quo_text *text)
{
    if (text == NULL)
        return;
    free(text->data);
    *text = (struct quo_text){0};
}

void quo_metric_head(struct quo_text *text, const char *name, const char *type, const char *help)
{
    quo_text_add(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Writes "name{labels} ", or "name " when there are none. */
static void add_series(struct quo_text *text, const char *name, const char *suffix,
                       const char *labels)
{
    if (labels[0] == '\0')
        quo_text_add(text, "%s%s ", name, suffix);
    else
        quo_text_add(text, "%s%s{%s} ", name, suffix, labels);
}

void quo_metric_value(struct quo_text *text, const char *name, const char *labels, uint64_t value)
{
    add_series(text, name, "", labels);
    quo_text_add(text, "%llu\n", (unsigned long long)value);
}

static void add_seconds(struct quo_text *text, uint64_t us)
{
    quo_text_add(text, "%llu.%06llu", (unsigned long long)(us / 1000000),
                 (unsigned long long)(us % 1000000));
}

static void add_bucket(struct quo_text *text, const char *name, const char *labels, size_t bucket,
                       uint64_t count)
{
    quo_text_add(text, "%s_bucket{%s%sle=\"", name, labels, labels[0] == '\0' ? "" : ",");
    if (bucket < QUO_HISTOGRAM_BUCKETS - 1)
        quo_text_add(text, "%g", (double)quo_histogram_bounds_us[bucket] / 1e6);
    else
        quo_text_add(text, "+Inf");
    quo_text_add(text, "\"} %llu\n", (unsigned long long)count);
}

void quo_metric_histogram(struct quo_text *text, const char *name, const char *labels,
                          const struct quo_histogram *const *histograms, size_t count)
{
    uint64_t cumulative = 0, sum_us = 0;

    /* Each bucket is read once, and _count is what was read: a histogram that is written meanwhile
     * still shows +Inf equal to _count. */
    for (size_t bucket = 0; bucket < QUO_HISTOGRAM_BUCKETS; bucket++) {
        for (size_t i = 0; i < count; i++)
            cumulative += quo_counted(&histograms[i]->buckets[bucket]);
        add_bucket(text, name, labels, bucket, cumulative);
    }
    for (size_t i = 0; i < count; i++)
        sum_us += quo_counted(&histograms[i]->sum_us);
    add_series(text, name, "_sum", labels);
    add_seconds(text, sum_us);
    quo_text_add(text, "\n");
    add_series(text, name, "_count", labels);
    quo_text_add(text, "%llu\n", (unsigned long long)cumulative);
}
