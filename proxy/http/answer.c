#include "proxy/http/answer.h"

#include <inttypes.h>
#include <stdio.h>

#include "proxy/http/etag.h"
#include "proxy/http/receipt.h"

#define TIMING_MAX 96u

static const char default_type[] = "application/octet-stream";

static bool is_write(enum quo_method method)
{
    return method == QUO_METHOD_PUT || method == QUO_METHOD_DELETE;
}

static void add_header(struct quo_answer *answer, const char *name, struct quo_slice value)
{
    QUO_INVARIANT(answer->header_count < QUO_ANSWER_HEADERS_MAX);
    answer->headers[answer->header_count++] =
        (struct quo_http_header){.name = quo_slice_of(name), .value = value};
}

/* Room in answer->text for a value of at most `size` bytes. */
static char *reserve(struct quo_answer *answer, size_t size)
{
    QUO_INVARIANT(size <= QUO_ANSWER_TEXT_MAX - answer->text_len);
    return answer->text + answer->text_len;
}

static void add_reserved(struct quo_answer *answer, const char *name, size_t len)
{
    add_header(answer, name, quo_slice(answer->text + answer->text_len, len));
    answer->text_len += len;
}

static void add_copy(struct quo_answer *answer, const char *name, const char *value)
{
    size_t len = strlen(value);

    memcpy(reserve(answer, len), value, len);
    add_reserved(answer, name, len);
}

/* Microseconds as "1.234" milliseconds, for a format. */
#define MS_FORMAT "%" PRIu64 ".%03" PRIu64
#define MS(us) (us) / 1000, (us) % 1000

/* Server-Timing (W3C), milliseconds. `quorum_us` is NULL when no replica was asked. */
static void add_timing(struct quo_answer *answer, const struct quo_answer_facts *facts,
                       const uint64_t *quorum_us)
{
    char *out = reserve(answer, TIMING_MAX);
    int len = snprintf(out, TIMING_MAX, "total;dur=" MS_FORMAT, MS(facts->total_us));

    if (quorum_us != NULL)
        len += snprintf(out + len, TIMING_MAX - (size_t)len, ", quorum;dur=" MS_FORMAT,
                        MS(*quorum_us));
    add_reserved(answer, "server-timing", (size_t)len);
}

static void begin(struct quo_answer *answer, int status, const struct quo_answer_facts *facts)
{
    answer->status = status;
    answer->has_length = true;
    answer->body = quo_slice(NULL, 0);
    answer->header_count = 0;
    answer->text_len = 0;
    add_copy(answer, "request-id", facts->request_id);
}

static void add_number(struct quo_answer *answer, const char *name, unsigned number)
{
    add_reserved(answer, name, (size_t)snprintf(reserve(answer, 16), 16, "%u", number));
}

/* The rest of an answer whose document says what failed. */
static void add_document(struct quo_answer *answer, const struct quo_problem *problem,
                         const struct quo_answer_facts *facts)
{
    const struct quo_problem_info *info = quo_problem_info(problem->type);

    if (info->retry_after_s > 0)
        add_number(answer, "retry-after", info->retry_after_s);
    add_header(answer, "content-type", quo_slice_of("application/problem+json"));
    answer->body = quo_slice(answer->document,
                             quo_problem_render(problem, facts->request_id, answer->document));
}

void quo_answer_problem(const struct quo_problem *problem, uint32_t allowed,
                        const struct quo_answer_facts *facts, struct quo_answer *ret)
{
    begin(ret, quo_problem_info(problem->type)->status, facts);
    add_timing(ret, facts, NULL);
    if (allowed != 0) {
        char list[QUO_ALLOW_MAX];

        quo_methods_format(allowed, list);
        add_copy(ret, "allow", list);
    }
    add_document(ret, problem, facts);
}

void quo_answer_page(int status, const char *type, struct quo_slice body,
                     const struct quo_answer_facts *facts, struct quo_answer *ret)
{
    begin(ret, status, facts);
    add_header(ret, "content-type", quo_slice_of(type));
    add_header(ret, "cache-control", quo_slice_of("no-cache"));
    ret->body = body;
}

void quo_answer_options(uint32_t allowed, const struct quo_answer_facts *facts,
                        struct quo_answer *ret)
{
    char list[QUO_ALLOW_MAX];

    begin(ret, 204, facts);
    ret->has_length = false;
    quo_methods_format(allowed, list);
    add_copy(ret, "allow", list);
}

static enum quo_problem_type refusal_problem(enum quo_status refusal)
{
    switch (refusal) {
    case QUO_BUSY:
    case QUO_NO_MEMORY:
        return QUO_PROBLEM_OVERLOADED;
    case QUO_DISK_FULL:
        return QUO_PROBLEM_STORAGE_FULL;
    case QUO_READ_ONLY:
        return QUO_PROBLEM_READ_ONLY;
    case QUO_IO_ERROR:
    case QUO_CORRUPT:
        return QUO_PROBLEM_STORAGE_FAILED;
    case QUO_WRONG_EPOCH:
    case QUO_NOT_REPLICA:
    case QUO_WRONG_CLUSTER:
        return QUO_PROBLEM_MAP_OUTDATED;
    case QUO_BAD_KIND:
        return QUO_PROBLEM_KIND_MISMATCH;
    case QUO_SKEW:
        return QUO_PROBLEM_CLOCK_SKEW;
    case QUO_NACK:
    case QUO_SUPERSEDED:
        return QUO_PROBLEM_CONTENTION;
    default:
        return QUO_PROBLEM_INTERNAL;
    }
}

/* "2 of 3 replicas were needed, 1 answered", for reads and writes. */
static void set_shortage(struct quo_problem *problem, enum quo_problem_type type,
                         const struct quo_operation *operation, const struct quo_response *response,
                         const char *because)
{
    const struct quo_receipt *receipt = &response->receipt;
    bool write = is_write(operation->method);
    unsigned n = receipt->n != 0 ? receipt->n : operation->consistency.n;
    unsigned need = receipt->need;
    unsigned got = write && receipt->replies == 0 ? receipt->acks : receipt->replies;

    quo_problem_set(problem, type,
                    "Level %s needs %u of %u replicas; %u answered within %" PRIu64 " ms%s%s.",
                    quo_level_name(operation->consistency.level), need, n, got,
                    response->elapsed_us / 1000, because[0] ? ": " : "", because);
    problem->need = need;
    problem->got = got;
}

static void set_failure(struct quo_problem *problem, const struct quo_operation *operation,
                        const struct quo_response *response)
{
    bool unknown = is_write(operation->method) && response->outcome == QUO_UNKNOWN;
    const char *refusal = response->refusal != QUO_OK ? quo_status_text(response->refusal) : "";

    if (unknown) {
        /* A status of "nothing happened" would be a lie when something may have. */
        set_shortage(problem, QUO_PROBLEM_OUTCOME_UNKNOWN, operation, response, refusal);
        problem->outcome = QUO_UNKNOWN;
        return;
    }
    switch (response->verdict) {
    case QUO_VERDICT_UNAVAILABLE:
        set_shortage(problem, QUO_PROBLEM_QUORUM_UNAVAILABLE, operation, response,
                     "the others cannot be reached");
        break;
    case QUO_VERDICT_TIMEOUT:
        set_shortage(problem, QUO_PROBLEM_TIMEOUT, operation, response, refusal);
        break;
    case QUO_VERDICT_REFUSED:
        set_shortage(problem, refusal_problem(response->refusal), operation, response, refusal);
        break;
    default:
        QUO_UNREACHABLE();
    }
    problem->outcome = response->outcome;
}

static void add_receipt(struct quo_answer *answer, const struct quo_operation *operation,
                        const struct quo_response *response, const struct quo_map *map)
{
    size_t len = quo_receipt_format(response, &operation->consistency, is_write(operation->method),
                                    map, reserve(answer, QUO_RECEIPT_MAX));

    add_reserved(answer, "consistency-receipt", len);
}

static void answer_failure(const struct quo_operation *operation,
                           const struct quo_response *response, const struct quo_map *map,
                           const struct quo_answer_facts *facts, struct quo_answer *ret)
{
    struct quo_problem problem;

    set_failure(&problem, operation, response);
    begin(ret, quo_problem_info(problem.type)->status, facts);
    add_timing(ret, facts, &response->elapsed_us);
    add_receipt(ret, operation, response, map);
    add_document(ret, &problem, facts);
}

static void add_etag(struct quo_answer *answer, struct quo_version version)
{
    quo_etag_format(version, reserve(answer, QUO_ETAG_SIZE + 1));
    add_reserved(answer, "etag", QUO_ETAG_SIZE);
}

/* A record, or 304 or 412 as the conditions say (RFC 9110 section 13.2.2). */
static void answer_found(const struct quo_operation *operation, const struct quo_record *record,
                         const struct quo_answer_facts *facts, struct quo_answer *ret)
{
    char etag[QUO_ETAG_SIZE + 1];
    struct quo_problem problem;

    quo_etag_format(record->version, etag);
    if (operation->if_match.len > 0 && !quo_etag_listed(operation->if_match, etag, false)) {
        ret->status = 412;
        quo_problem_set(&problem, QUO_PROBLEM_PRECONDITION_FAILED,
                        "The value has the ETag %s, which If-Match does not list.", etag);
        add_document(ret, &problem, facts);
        return;
    }
    add_etag(ret, record->version);
    if (operation->if_none_match.len > 0 && quo_etag_listed(operation->if_none_match, etag, true)) {
        ret->status = 304;
        ret->has_length = false;
        return;
    }
    add_header(ret, "content-type",
               record->content_type.len > 0 ? record->content_type : quo_slice_of(default_type));
    /* The bytes are a client's; no browser may guess them to be a page of ours. */
    add_header(ret, "x-content-type-options", quo_slice_of("nosniff"));
    ret->body = record->value;
}

static void answer_absent(const struct quo_operation *operation,
                          const struct quo_response *response, const struct quo_answer_facts *facts,
                          struct quo_answer *ret)
{
    struct quo_problem problem;

    if (operation->if_match.len > 0) {
        ret->status = 412;
        quo_problem_set(&problem, QUO_PROBLEM_PRECONDITION_FAILED,
                        "There is no such key, so no ETag can match If-Match.");
    } else {
        ret->status = 404;
        quo_problem_set(&problem, QUO_PROBLEM_KEY_NOT_FOUND,
                        "There is no such key at level %s: %u of %u replicas were asked.",
                        quo_level_name(response->receipt.level), response->receipt.replies,
                        response->receipt.n);
    }
    add_document(ret, &problem, facts);
}

void quo_answer_data(const struct quo_operation *operation, const struct quo_response *response,
                     const struct quo_map *map, const struct quo_answer_facts *facts,
                     struct quo_answer *ret)
{
    if (response->verdict != QUO_VERDICT_FOUND && response->verdict != QUO_VERDICT_ABSENT &&
        response->verdict != QUO_VERDICT_WRITTEN) {
        answer_failure(operation, response, map, facts, ret);
        return;
    }
    begin(ret, 200, facts);
    add_timing(ret, facts, &response->elapsed_us);
    add_receipt(ret, operation, response, map);
    if (is_write(operation->method)) {
        ret->status = 204;
        ret->has_length = false;
        add_etag(ret, response->receipt.version);
        return;
    }
    /* Only a replica knows whether a copy is still true. */
    add_header(ret, "cache-control", quo_slice_of("no-cache"));
    if (response->verdict == QUO_VERDICT_FOUND)
        answer_found(operation, &response->record, facts, ret);
    else
        answer_absent(operation, response, facts, ret);
}
