#include "api/runtime/config_scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct scanner {
    const char *at;
    unsigned line;
    bool at_line_start; /* nothing but blanks so far on this line */
};

static void step(struct scanner *s)
{
    if (*s->at == '\n') {
        s->line++;
        s->at_line_start = true;
    } else if (*s->at != ' ' && *s->at != '\t') {
        s->at_line_start = false;
    }
    s->at++;
}

/* Skips the text in quotes that begins here. */
static void skip_string(struct scanner *s)
{
    step(s);
    while (*s->at != '\0' && *s->at != '"') {
        if (*s->at == '\\' && s->at[1] != '\0')
            step(s);
        step(s);
    }
    if (*s->at != '\0')
        step(s);
}

static void skip_line(struct scanner *s)
{
    while (*s->at != '\0' && *s->at != '\n')
        step(s);
}

static void skip_block(struct scanner *s)
{
    step(s); /* so that the star of the beginning is not taken for that of the end */
    step(s);
    while (*s->at != '\0' && !(s->at[0] == '*' && s->at[1] == '/'))
        step(s);
    if (*s->at != '\0') {
        step(s);
        step(s);
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '*';
}

/* Returns a digit's value in `base`, or -1. */
static int digit_value(char c, int base)
{
    int value = -1;
    if (is_digit(c))
        value = c - '0';
    else if (c >= 'a' && c <= 'f')
        value = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F')
        value = c - 'A' + 10;
    return value < base ? value : -1;
}

/* Whether the number written here fits the type libconfig would give it. Fractions and what is no
 * number at all are libconfig's to judge. */
static bool number_fits(const char *at)
{
    int base = 10;
    uint64_t number = 0;
    bool wrapped = false;

    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X')) {
        base = 16;
        at += 2;
    }
    for (int digit; (digit = digit_value(*at, base)) >= 0; at++) {
        wrapped |= __builtin_mul_overflow(number, (uint64_t)base, &number);
        wrapped |= __builtin_add_overflow(number, (uint64_t)digit, &number);
    }
    if (*at == '.' || (base == 10 && (*at == 'e' || *at == 'E')))
        return true;
    return !wrapped && number <= (*at == 'L' ? (uint64_t)INT64_MAX : (uint64_t)INT32_MAX);
}

/* Skips a name, or a number with its suffix: what may not begin within it. */
static void skip_word(struct scanner *s)
{
    while (is_letter(*s->at) || is_digit(*s->at) || *s->at == '-' || *s->at == '.')
        step(s);
}

/* Moves over what begins here. Returns what is wrong with it, or NULL. */
static const char *scan_one(struct scanner *s)
{
    const char c = *s->at;

    if (c == '"') {
        skip_string(s);
    } else if (c == '#' || (c == '/' && s->at[1] == '/')) {
        skip_line(s);
    } else if (c == '/' && s->at[1] == '*') {
        skip_block(s);
    } else if (is_letter(c)) {
        skip_word(s);
    } else if (is_digit(c)) {
        if (!number_fits(s->at))
            return "number too large; one above 2147483647 needs an L behind it";
        skip_word(s);
    } else if (s->at_line_start && strncmp(s->at, "@include", 8) == 0) {
        return "@include is not supported";
    } else {
        step(s);
    }
    return NULL;
}

enum quo_status quo_config_scan(const char *text, size_t len, unsigned *ret_line,
                                const char **ret_why)
{
    struct scanner s = {.at = text, .line = 1, .at_line_start = true};
    const char *why = NULL;

    while (why == NULL && *s.at != '\0')
        why = scan_one(&s);
    if (why == NULL && s.at != text + len)
        why = "a NUL byte";
    if (why == NULL)
        return QUO_OK;
    *ret_line = s.line;
    *ret_why = why;
    return QUO_INVALID;
}
