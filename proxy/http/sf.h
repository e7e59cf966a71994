/* Structured field values (RFC 9651), as far as our headers use them: an Item with Parameters is
 * read, a Dictionary is written. Bare items are Integers, Tokens, Strings and Booleans.
 *
 * Pure: nothing is allocated; what is read borrows from the input.
 */
#ifndef QUORATE_HTTP_SF_H
#define QUORATE_HTTP_SF_H

#include "proxy/http/digits.h"

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

/* The writers are inline: most of what they write are literals, whose lengths cost nothing then. */

static inline void quo_sf_begin(struct quo_sf_writer *writer, char *out, size_t size)
{
    *writer = (struct quo_sf_writer){.out = out, .size = size};
}

static inline void quo_sf_put(struct quo_sf_writer *w, const void *bytes, size_t len)
{
    if (w->size - w->len < len) {
        w->overflow = true;
        return;
    }
    memcpy(w->out + w->len, bytes, len);
    w->len += len;
}

static inline void quo_sf_put_key(struct quo_sf_writer *w, const char *key)
{
    QUO_REQUIRE(!w->in_list);
    if (w->any)
        quo_sf_put(w, ", ", 2);
    quo_sf_put(w, key, strlen(key));
    w->any = true;
}

/* Bytes that a String cannot hold become '?'. */
void quo_sf_put_string(struct quo_sf_writer *w, struct quo_slice text);

/* Keys and tokens are literals of ours and must be valid as such. */
static inline void quo_sf_token(struct quo_sf_writer *w, const char *key, const char *token)
{
    quo_sf_put_key(w, key);
    quo_sf_put(w, "=", 1);
    quo_sf_put(w, token, strlen(token));
}

static inline void quo_sf_integer(struct quo_sf_writer *w, const char *key, uint64_t value)
{
    char digits[QUO_DECIMAL_MAX];

    quo_sf_put_key(w, key);
    quo_sf_put(w, "=", 1);
    if (value < 10) { /* most are */
        digits[0] = (char)('0' + value);
        quo_sf_put(w, digits, 1);
    } else {
        quo_sf_put(w, digits, quo_put_decimal(digits, value));
    }
}

static inline void quo_sf_boolean(struct quo_sf_writer *w, const char *key, bool value)
{
    quo_sf_put_key(w, key);
    if (!value)
        quo_sf_put(w, "=?0", 3);
}

static inline void quo_sf_string(struct quo_sf_writer *w, const char *key, struct quo_slice text)
{
    quo_sf_put_key(w, key);
    quo_sf_put(w, "=", 1);
    quo_sf_put_string(w, text);
}

/* Requires a text that needs no escapes, as digits are. */
static inline void quo_sf_plain_string(struct quo_sf_writer *w, const char *key,
                                       struct quo_slice text)
{
    quo_sf_put_key(w, key);
    quo_sf_put(w, "=\"", 2);
    quo_sf_put(w, text.data, text.len);
    quo_sf_put(w, "\"", 1);
}

/* An Inner List of Strings. */
static inline void quo_sf_list_begin(struct quo_sf_writer *w, const char *key)
{
    quo_sf_put_key(w, key);
    quo_sf_put(w, "=(", 2);
    w->in_list = true;
    w->any = false;
}

static inline void quo_sf_list_string(struct quo_sf_writer *w, struct quo_slice text)
{
    QUO_REQUIRE(w->in_list);
    if (w->any)
        quo_sf_put(w, " ", 1);
    quo_sf_put_string(w, text);
    w->any = true;
}

static inline void quo_sf_list_end(struct quo_sf_writer *w)
{
    QUO_REQUIRE(w->in_list);
    quo_sf_put(w, ")", 1);
    w->in_list = false;
    w->any = true;
}

#endif
