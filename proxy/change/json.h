/* JSON documents (RFC 8259) as far as a merge patch looks into them: objects are trees of members,
 * everything else stands as it was written. So strings keep their escapes, numbers their digits,
 * and an array costs no memory however long it is.
 *
 * Threads: none of its own.
 */
#ifndef QUORATE_PROXY_JSON_H
#define QUORATE_PROXY_JSON_H

#include "proxy/change/json_arena.h"
#include "quorate/limits.h"
#include "quorate/status.h"

enum quo_json_type {
    QUO_JSON_NULL = 1,
    QUO_JSON_OBJECT,
    QUO_JSON_OTHER, /* a string, number, boolean or array */
};

struct quo_json {
    enum quo_json_type type;
    union {
        struct quo_slice text; /* NULL and OTHER: as it stands in the document */
        struct quo_json_object *object;
    };
};

struct quo_json_member {
    struct quo_slice name;    /* without quotes and escapes: what names are compared by */
    struct quo_slice spelled; /* as it stands in the document, with both */
    struct quo_json value;
    struct quo_json_member *next;
    struct quo_json_member *match; /* for whoever merges two objects; NULL */
    uint32_t place;                /* among the members as they were read */
    bool gone;                     /* taken out: to be passed over */
};

/* No two members that are not gone have one name: of a member given twice the last value counts, at
 * the first one's place. */
struct quo_json_object {
    struct quo_json_member *first, *last; /* in the document's order */
    struct quo_json_member **sorted;      /* `count` of them, by name; none is gone */
    size_t count;
};

/* Reads one whole document, nested at most QUO_JSON_DEPTH_MAX deep and with at most
 * QUO_JSON_MEMBERS_MAX members outside of arrays; *ret borrows from `text` and the arena. Returns
 * QUO_OK; QUO_MALFORMED with a sentence that says where in `why` (cut to fit; of size 0 it may be
 * NULL); QUO_NO_MEMORY. An escaped surrogate without its other half is malformed: it stands for no
 * character. */
enum quo_status quo_json_read(struct quo_slice text, struct quo_json_arena *arena,
                              struct quo_json *ret, char *why, size_t why_size);

struct quo_json_measures {
    size_t len;     /* bytes that quo_json_write writes */
    size_t members; /* of all objects outside of arrays */
};
struct quo_json_measures quo_json_measure(const struct quo_json *json);

/* Writes the document without white space, quo_json_measure(json).len bytes. */
void quo_json_write(const struct quo_json *json, char *out);

#endif
