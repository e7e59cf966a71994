#include "quorate/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048u

static enum quo_log_level lowest = QUO_LOG_INFO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void quo_log_set_level(enum quo_log_level level)
{
    lowest = level;
}

bool quo_log_level_parse(const char *name, enum quo_log_level *ret)
{
    for (size_t i = 0; i < QUO_COUNT(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret = (enum quo_log_level)i;
            return true;
        }
    }
    return false;
}

/* Writes "ts=... level=... event=... " and returns its length, at most size - 1. */
static size_t write_head(char *line, size_t size, enum quo_log_level level, const char *event)
{
    struct timespec now;
    struct tm utc;
    char date[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    int len = snprintf(line, size, "ts=%s.%03ldZ level=%s event=%s ", date, now.tv_nsec / 1000000,
                       level_names[level], event);
    return len < 0 ? 0 : QUO_MIN((size_t)len, size - 1);
}

/* A control byte that a caller forgot to quote must not end the line or reach a terminal. */
static void blunt(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
    }
}

static void write_line(const char *line, size_t len)
{
    while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR) {
    }
}

void quo_log(enum quo_log_level level, const char *event, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    if (level < lowest)
        return;
    const int kept = errno;
    size_t len = write_head(line, sizeof line - 1, level, event);
    va_start(args, format);
    int added = vsnprintf(line + len, sizeof line - 1 - len, format, args);
    va_end(args);
    if (added > 0)
        len += QUO_MIN((size_t)added, sizeof line - 2 - len);
    if (len > 0 && line[len - 1] == ' ')
        len--; /* an event without pairs */
    blunt(line, len);
    line[len++] = '\n';
    write_line(line, len);
    errno = kept;
}

/* Writes one byte of text as it stands in a log value, 1 to 4 bytes, and returns how many. */
static size_t escape(uint8_t c, char out[4])
{
    static const char digits[] = "0123456789abcdef";

    if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t') {
        out[0] = '\\';
        out[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : (char)c;
        return 2;
    }
    if (c >= 0x20 && c < 0x7f) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[c >> 4];
    out[3] = digits[c & 15];
    return 4;
}

const char *quo_log_quote(struct quo_slice text, char *out, size_t size)
{
    size_t at = 0;

    if (size == 0)
        return out;
    if (size < 3) { /* no room for two quotes */
        out[0] = '\0';
        return out;
    }
    out[at++] = '"';
    for (size_t i = 0; i < text.len; i++) {
        char piece[4];
        size_t len = escape(text.data[i], piece);
        if (at + len + 2 > size)
            break;
        memcpy(out + at, piece, len);
        at += len;
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}
