/* What clients saw: the input of every checker, and its NDJSON form (tests/sim/HISTORY.md).
 *
 * Keys and values are numbers here; the reader of NDJSON hands them out in order of appearance.
 * Value 0 is "no value": what a get of an absent key returns and what a delete leaves. Of a counter
 * the values are what they say, and nothing counts as 0.
 */
#ifndef QUORATE_CHECKER_HISTORY_H
#define QUORATE_CHECKER_HISTORY_H

#include <stdio.h>

#include "quorate/base.h"
#include "quorate/cluster.h"
#include "quorate/version.h"

enum quo_history_type {
    QUO_HISTORY_GET = 1,
    QUO_HISTORY_PUT,
    QUO_HISTORY_DELETE,
    QUO_HISTORY_CAS, /* puts `value` in the place of `expected`; 0 of either: nothing */
    QUO_HISTORY_ADD, /* to a counter: `by`, unless that leaves min..max */
};

/* What the values of a key are; all its operations have the same. */
enum quo_history_model {
    QUO_HISTORY_REGISTER = 0, /* names of texts */
    QUO_HISTORY_COUNTER,      /* numbers */
};

enum quo_history_outcome {
    QUO_HISTORY_OK = 1,
    QUO_HISTORY_NOT_APPLIED, /* of a write: provably without effect, for ever */
    QUO_HISTORY_UNKNOWN,     /* may have taken effect, or may yet */
    QUO_HISTORY_FAILED, /* of a cas or add: its condition was false, at some moment meanwhile */
};

#define QUO_HISTORY_NEVER UINT64_MAX /* `ret` of an operation that was not answered */

struct quo_history_op {
    uint64_t id;
    uint32_t process;
    uint32_t session; /* what it belongs to; 0: none */
    uint32_t key;
    enum quo_history_type type;
    enum quo_history_model model;
    enum quo_level level;
    int64_t value;        /* put, cas: what was written; get: what was seen; add: what it came to */
    int64_t expected;     /* cas */
    int64_t by, min, max; /* add; bounds of 64 bits are none */
    bool is_untold;       /* an add that is ok, but whose answer did not say what it came to */
    bool saw;             /* failed: `seen` is what the condition was judged by */
    int64_t seen;
    uint64_t call; /* one clock for the whole history; equal times count as concurrent */
    uint64_t ret;
    enum quo_history_outcome outcome;
    struct quo_version version; /* as the answer named it; none when it did not */
};

static inline bool quo_history_is_write(const struct quo_history_op *op)
{
    return op->type != QUO_HISTORY_GET;
}

/* Whether it took effect, or may have. */
static inline bool quo_history_may_change(const struct quo_history_op *op)
{
    return quo_history_is_write(op) &&
           (op->outcome == QUO_HISTORY_OK || op->outcome == QUO_HISTORY_UNKNOWN);
}

/* Whether a cas or add takes effect on a key that holds `held`. */
bool quo_history_holds(const struct quo_history_op *op, int64_t held);
/* A history as read from NDJSON, with the texts its numbers stand for. */
struct quo_history {
    struct quo_history_op *ops;
    size_t count;
    char **keys;
    size_t key_count;
    char **values; /* [0] is NULL */
    size_t value_count;
};

/* Reads a file of one JSON object a line.
 * Returns QUO_OK; QUO_NOT_FOUND (cannot be opened); QUO_INVALID with "line N: what" in why;
 * QUO_NO_MEMORY. On success the caller frees with quo_history_free. */
enum quo_status quo_history_read(const char *path, struct quo_history *ret, char *why,
                                 size_t why_size);
void quo_history_free(struct quo_history *history);

/* Prints operations as aligned lines in order of call. Names come from the history or, where it is
 * NULL, are the numbers themselves ("k1", "v12"). */
void quo_history_print(FILE *out, const struct quo_history *names, const struct quo_history_op *ops,
                       size_t count);

/* Writes what a key's values are; of a counter this comes before its operations. */
void quo_history_write_model(FILE *out, const struct quo_history *names, uint32_t key,
                             enum quo_history_model model);

/* Writes one operation as a line of NDJSON; names as in quo_history_print. */
void quo_history_write(FILE *out, const struct quo_history *names, const struct quo_history_op *op);

#endif
