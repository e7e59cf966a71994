/* What the answers to data operations are put together from. For answer*.c only.
 */
#ifndef QUORATE_HTTP_ANSWER_PARTS_H
#define QUORATE_HTTP_ANSWER_PARTS_H

#include "proxy/http/answer.h"

/* One data operation that was answered. */
struct quo_answer_case {
    const struct quo_operation *operation;
    const struct quo_response *response;
    const struct quo_map *map;
    const struct quo_answer_facts *facts;
};

/* Begins an answer with its Request-Id. */
void quo_answer_begin(struct quo_answer *answer, int status, const struct quo_answer_facts *facts);
/* Begins the answer to a data operation: Server-Timing, the receipt, and of a consensus write its
 * name. */
void quo_answer_begin_data(struct quo_answer *answer, int status, const struct quo_answer_case *of);

/* `name` and `value` are static. Inline, so that lengths of literals are no work. */
static inline void quo_answer_add(struct quo_answer *answer, const char *name,
                                  struct quo_slice value)
{
    QUO_INVARIANT(answer->header_count < QUO_ANSWER_HEADERS_MAX);
    answer->headers[answer->header_count].name = quo_slice_of(name);
    answer->headers[answer->header_count++].value = value;
}

/* Likewise, with a value that outlives the answer, but not its sending. */
static inline void quo_answer_add_passing(struct quo_answer *answer, const char *name,
                                          struct quo_slice value)
{
    answer->passing |= 1u << answer->header_count;
    quo_answer_add(answer, name, value);
}

void quo_answer_add_copy(struct quo_answer *answer, const char *name, const char *value);
/* Server-Timing (W3C), milliseconds. `quorum_us` is NULL when no replica was asked. */
void quo_answer_add_timing(struct quo_answer *answer, const struct quo_answer_facts *facts,
                           const uint64_t *quorum_us);
/* Quorate-Ttl: how long the value shown will still be there, in seconds; nothing if it stays. */
void quo_answer_add_ttl(struct quo_answer *answer, const struct quo_response *response);
/* Returns it, NUL-terminated, borrowed from the answer. */
const char *quo_answer_add_etag(struct quo_answer *answer, struct quo_version version);
/* Idempotent-Replayed, if an earlier attempt did it. */
void quo_answer_add_replayed(struct quo_answer *answer, const struct quo_response *response);
/* Both of them, of what a write has made. */
void quo_answer_add_change(struct quo_answer *answer, const struct quo_response *response);
/* Content-Location: the path of the key's value. */
void quo_answer_add_location(struct quo_answer *answer, const struct quo_operation *operation);
/* Link to the operation of a write; returns its path, borrowed from the answer. */
struct quo_slice quo_answer_add_operation_link(struct quo_answer *answer,
                                               const struct quo_operation *operation,
                                               const struct quo_operation_id *id);
/* The value of a record as body, with its type. */
void quo_answer_add_value(struct quo_answer *answer, const struct quo_record *record);
/* The document that says what failed, and what belongs to it. */
void quo_answer_add_document(struct quo_answer *answer, const struct quo_problem *problem,
                             const struct quo_answer_facts *facts);

/* The kinds of answers. Each makes a whole one. */

/* To FOUND and ABSENT, of a key. */
void quo_answer_read(const struct quo_answer_case *of, struct quo_answer *ret);
/* To WRITTEN. */
void quo_answer_written(const struct quo_answer_case *of, struct quo_answer *ret);
/* To WRITTEN, of an addition to a counter. */
void quo_answer_added(const struct quo_answer_case *of, struct quo_answer *ret);
/* To FOUND and ABSENT, of a key that is a counter. */
void quo_answer_counter(const struct quo_answer_case *of, struct quo_answer *ret);
/* To DECLINED. */
void quo_answer_declined(const struct quo_answer_case *of, struct quo_answer *ret);
/* To FOUND and ABSENT, WRITTEN and DECLINED, of an operation; and to TIMEOUT when its history is
 * lost. */
void quo_answer_operation(const struct quo_answer_case *of, struct quo_answer *ret);
/* What UNAVAILABLE, TIMEOUT and REFUSED are called; without the operation. */
void quo_failure_problem(const struct quo_answer_case *of, struct quo_problem *problem);
/* To them. */
void quo_answer_failure(const struct quo_answer_case *of, struct quo_answer *ret);

/* The failure that a declined write is answered with. Requires a code other than DONE. */
enum quo_problem_type quo_declined_problem(enum quo_change_code code);

/* The version that a write has given the key; none: it made none. */
struct quo_version quo_response_changed(const struct quo_response *response);
/* The record that a response shows; NULL: there is none. A tombstone is one. */
const struct quo_record *quo_response_record(const struct quo_response *response);
/* Likewise, NULL for a tombstone as well. */
const struct quo_record *quo_response_value(const struct quo_response *response);

#endif
