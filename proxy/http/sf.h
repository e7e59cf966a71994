/* Structured field values (RFC 9651), as far as our headers use them: an Item with Parameters is
 * read, a Dictionary is written. Bare items are Integers, Tokens, Strings and Booleans.
 *
 * Pure: nothing is allocated; what is read borrows from the input.
 */
#ifndef QUORATE_HTTP_SF_H
#define QUORATE_HTTP_SF_H

#include "quorate/base.h"

#define QUO_SF_PARAMETERS_MAX 16u

enum quo_sf_type { QUO_SF_INTEGER = 1, QUO_SF_TOKEN, QUO_SF_STRING, QUO_SF_BOOLEAN };

struct quo_sf_value {
    enum quo_sf_type type;
    int64_t integer;       /* INTEGER: at most 15 digits */
    bool boolean;          /* BOOLEAN */
    struct quo_slice text; /* TOKEN; STRING: what stands between the quotes, escapes kept */
};

struct quo_sf_parameter {
    struct quo_slice key;
    struct quo_sf_value value; /* BOOLEAN true when it stands without one */
};

struct quo_sf_item {
    struct quo_sf_value value;
    size_t count;
    struct quo_sf_parameter parameters[QUO_SF_PARAMETERS_MAX]; /* as written, doubles included */
};

/* Reads a whole field value, spaces around it allowed.
 * Returns true with *ret; or false, *ret undefined, *ret_at the offset where it stopped making
 * sense and *ret_why (static storage) what stands there wrongly. */
bool quo_sf_parse_item(struct quo_slice field, struct quo_sf_item *ret, size_t *ret_at,
                       const char **ret_why);

/* A Dictionary being written. Never overruns `out`: what does not fit sets `overflow`. */
struct quo_sf_writer {
    char *out;
    size_t size;
    size_t len;
    bool overflow;
    bool in_list;
    bool any; /* a member, or an item of the open list, was written */
};

void quo_sf_begin(struct quo_sf_writer *writer, char *out, size_t size);
/* Keys and tokens are literals of ours and must be valid as such. */
void quo_sf_token(struct quo_sf_writer *writer, const char *key, const char *token);
void quo_sf_integer(struct quo_sf_writer *writer, const char *key, uint64_t value);
void quo_sf_boolean(struct quo_sf_writer *writer, const char *key, bool value);
/* Bytes that a String cannot hold become '?'. */
void quo_sf_string(struct quo_sf_writer *writer, const char *key, struct quo_slice text);
/* An Inner List of Strings. */
void quo_sf_list_begin(struct quo_sf_writer *writer, const char *key);
void quo_sf_list_string(struct quo_sf_writer *writer, struct quo_slice text);
void quo_sf_list_end(struct quo_sf_writer *writer);

#endif
