/* The JSON object of one line of a batch, as it came: names and plain values. */
#ifndef QUORATE_HTTP_BATCH_JSON_H
#define QUORATE_HTTP_BATCH_JSON_H

#include "proxy/http/problem.h"

#define QUO_BATCH_MEMBERS_MAX 32u

enum quo_batch_type { QUO_BATCH_TEXT = 1, QUO_BATCH_NUMBER, QUO_BATCH_BOOLEAN };

struct quo_batch_member {
    struct quo_slice name;
    enum quo_batch_type type;
    struct quo_slice value; /* the text without its escapes; the number as it stands; "1" or "0" */
};

struct quo_batch_object {
    size_t count;
    struct quo_batch_member members[QUO_BATCH_MEMBERS_MAX]; /* each name once */
};

/* Reads a line. `arena` is where names and values go; it has room for line.len bytes. Returns true
 * with *ret, or false with a problem: BAD_BODY, or OVERLOADED when out of memory. */
bool quo_batch_json_parse(struct quo_slice line, uint8_t *arena, struct quo_batch_object *ret,
                          struct quo_problem *problem);

/* Returns NULL when there is none. */
const struct quo_batch_member *quo_batch_json_find(const struct quo_batch_object *object,
                                                   const char *name);

#endif
