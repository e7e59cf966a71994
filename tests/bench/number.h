/* Numbers on the command lines of this folder's programs. */
#ifndef QUORATE_TESTS_BENCH_NUMBER_H
#define QUORATE_TESTS_BENCH_NUMBER_H

#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* The number that the whole text is; ends the program if it is none. */
static inline unsigned number(const char *text)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > INT32_MAX) {
        errx(2, "%s is no number", text);
    }
    return (unsigned)value;
}

#endif
