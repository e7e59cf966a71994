/* One line of the answer to a batch: what a request would have been answered, as JSON.
 *
 *   {"status":200,"etag":"\"...\"","consistency-receipt":"...","content-type":"text/plain",
 *    "value":"text"}
 *
 *   status     that of the answer
 *   outcome    of writes
 *   headers    by their names, as text: those that say something of the operation
 *   value      a value that is text: UTF-8 without control characters but those of lines and tabs
 *   base64     a value that is none
 *   document   a document of ours, as it is; problem: likewise, of a failure
 *
 * The last line counts: {"summary":{"lines":3,"succeeded":2,"failed":1,"unknown":0}}.
 */
#ifndef QUORATE_HTTP_BATCH_ANSWER_H
#define QUORATE_HTTP_BATCH_ANSWER_H

#include "proxy/http/answer.h"
#include "quorate/metrics.h"

#define QUO_HTTP_BATCH_TYPE "application/x-ndjson"

/* Lines answered; those that failed with an unknown outcome among `failed` as well. */
struct quo_batch_sum {
    uint32_t lines, succeeded, failed, unknown;
};

/* Appends the line and counts it. `out` is marked failed when out of memory. */
void quo_batch_answer_add(const struct quo_answer *answer, bool is_write, struct quo_text *out,
                          struct quo_batch_sum *sum);
void quo_batch_answer_sum(const struct quo_batch_sum *sum, struct quo_text *out);

#endif
