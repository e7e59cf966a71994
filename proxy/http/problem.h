/* Failures as documents: RFC 9457 problem details from one registry (problems.def).
 *
 *   {"type": "/problems/quorum-unavailable", "title": "...", "status": 503, "detail": "...",
 *    "outcome": "not-applied", "need": 2, "got": 1, "do": "...", "request_id": "...",
 *    "operation": "/v1/kv/default/k/operations/..."}
 */
#ifndef QUORATE_HTTP_PROBLEM_H
#define QUORATE_HTTP_PROBLEM_H

#include "proxy/service/service.h"

enum quo_problem_type {
    QUO_PROBLEM_NONE = 0,
#define QUO_PROBLEM(name, slug, status, retry, title, meaning, advice) QUO_PROBLEM_##name,
#include "proxy/http/problems.def"
#undef QUO_PROBLEM
    QUO_PROBLEM_COUNT
};

struct quo_problem_info {
    const char *slug;
    uint16_t status;
    uint16_t retry_after_s; /* 0: no Retry-After */
    const char *title;
    const char *meaning;
    const char *advice;
};

#define QUO_PROBLEM_DETAIL_MAX 512u
/* Bytes of any document: an operation's path may hold a long key. */
#define QUO_PROBLEM_DOCUMENT_MAX (4096u + 3u * QUO_KEY_MAX + 256u)
#define QUO_PROBLEM_UNSAID (-1)

/* One failure. */
struct quo_problem {
    enum quo_problem_type type;
    enum quo_effectuality outcome;
    int64_t need, got;     /* replicas; QUO_PROBLEM_UNSAID when numbers say nothing */
    int64_t limit, actual; /* likewise, bytes */
    bool has_value;
    int64_t value;                       /* of a counter */
    struct quo_slice operation;          /* path of a write's operation, borrowed; empty: none */
    char detail[QUO_PROBLEM_DETAIL_MAX]; /* printable ASCII */
};

/* Requires a type of the registry. Static storage. */
const struct quo_problem_info *quo_problem_info(enum quo_problem_type type);

/* Returns QUO_PROBLEM_NONE for an unknown slug. */
enum quo_problem_type quo_problem_by_slug(struct quo_slice slug);

/* Fills everything: outcome not-applied, no numbers, no operation, and the detail, cut to fit.
 * Bytes of a client go through quo_problem_quote first. */
void quo_problem_set(struct quo_problem *problem, enum quo_problem_type type, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));

/* Makes any bytes readable in a detail: quotes round them, \xHH for what is not printable ASCII,
 * "..." after 64 bytes of output. Returns `out`. */
#define QUO_PROBLEM_QUOTE_MAX 80u
const char *quo_problem_quote(struct quo_slice bytes, char out[QUO_PROBLEM_QUOTE_MAX]);

/* Writes the JSON document. Returns its length, 0 when out of memory. */
size_t quo_problem_render(const struct quo_problem *problem, const char *request_id,
                          char out[QUO_PROBLEM_DOCUMENT_MAX]);

/* Writes the page of /problems/<slug>, plain text. Returns its length. */
size_t quo_problem_page(enum quo_problem_type type, char *out, size_t size);

/* Returns "not-applied", "applied" or "unknown". Static storage. */
const char *quo_effectuality_name(enum quo_effectuality outcome);

/* Returns the reason phrase of a status code that we send; "Status" for any other. */
const char *quo_http_reason(int status);

#endif
