/* Header fields from text, for tests: "name: value" lines, separated by newlines. */
#ifndef QUORATE_TESTS_HEADER_LINES_H
#define QUORATE_TESTS_HEADER_LINES_H

#include "proxy/http/headers.h"

/* `out` has room for all of them; they borrow from `text`, which may be NULL. */
static inline size_t split_headers(const char *text, struct quo_http_header *out)
{
    size_t count = 0;

    while (text != NULL && *text != 0) {
        const char *colon = strchr(text, ':'), *end = strchr(text, '\n');

        if (end == NULL)
            end = text + strlen(text);
        out[count].name = quo_slice(text, (size_t)(colon - text));
        out[count++].value = quo_slice(colon + 2, (size_t)(end - colon - 2));
        text = *end != 0 ? end + 1 : end;
    }
    return count;
}

#endif
