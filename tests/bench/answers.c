#include "answers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The bytes after the next CRLF, NULL if there is none yet. */
static const char *line_end(const char *at, const char *end)
{
    const char *found = memmem(at, (size_t)(end - at), "\r\n", 2);
    return found ? found + 2 : NULL;
}

/* The value of a header field in the lines from `at` to `end`, NULL if it is not there. */
static const char *field(const char *at, const char *end, const char *name)
{
    size_t size = strlen(name);
    for (; at && at < end; at = line_end(at, end)) {
        if ((size_t)(end - at) > size && strncasecmp(at, name, size) == 0 && at[size] == ':') {
            return at + size + 1;
        }
    }
    return NULL;
}

static enum answer_state chunks(const char *at, const char *end, const char **ret_end)
{
    for (;;) {
        const char *data = line_end(at, end);
        if (!data) {
            return ANSWER_PARTIAL;
        }
        char *stop;
        unsigned long size = strtoul(at, &stop, 16);
        if (stop == at) {
            return ANSWER_BROKEN;
        }
        if ((size_t)(end - data) < size + 2) {
            return ANSWER_PARTIAL;
        }
        at = data + size + 2;
        if (size == 0) {
            *ret_end = at;
            return ANSWER_WHOLE;
        }
    }
}

enum answer_state answer_http(const char *bytes, size_t size, struct answer *ret_answer)
{
    const char *blank = memmem(bytes, size, "\r\n\r\n", 4);
    if (!blank) {
        return size < 65536 ? ANSWER_PARTIAL : ANSWER_BROKEN;
    }
    if (strncmp(bytes, "HTTP/1.1 ", 9) != 0) {
        return ANSWER_BROKEN;
    }
    const char *fields = line_end(bytes, blank + 2);
    const char *body = blank + 4;
    const char *end = bytes + size;
    int status = (int)strtol(bytes + 9, NULL, 10);
    const char *length = field(fields, blank + 2, "content-length");
    const char *after = body;
    if (length) {
        after = body + strtoul(length, NULL, 10);
    } else if (field(fields, blank + 2, "transfer-encoding")) {
        enum answer_state state = chunks(body, end, &after);
        if (state != ANSWER_WHOLE) {
            return state;
        }
    } else if (status != 204 && status != 304) {
        return ANSWER_BROKEN;
    }
    if (after > end) {
        return ANSWER_PARTIAL;
    }
    *ret_answer =
        (struct answer){.size = (size_t)(after - bytes), .status = status, .least = INT64_MAX};
    return ANSWER_WHOLE;
}

enum answer_state answer_resp(const char *bytes, size_t size, unsigned replies,
                              struct answer *ret_answer)
{
    struct answer answer = {.status = 200, .least = INT64_MAX};
    const char *at = bytes;
    const char *end = bytes + size;
    for (unsigned i = 0; i < replies; i++) {
        const char *next = line_end(at, end);
        if (!next) {
            return ANSWER_PARTIAL;
        }
        long long number = at[0] == ':' || at[0] == '$' ? strtoll(at + 1, NULL, 10) : 0;
        if (at[0] == '-') {
            answer.status = 500;
        } else if (at[0] == ':' && number < answer.least) {
            answer.least = number;
        } else if (at[0] == '$' && number < 0) {
            answer.status = 404;
        } else if (at[0] == '$') {
            next += number + 2;
        } else if (at[0] != '+' && at[0] != ':') {
            return ANSWER_BROKEN;
        }
        if (next > end) {
            return ANSWER_PARTIAL;
        }
        at = next;
    }
    answer.size = (size_t)(at - bytes);
    *ret_answer = answer;
    return ANSWER_WHOLE;
}
