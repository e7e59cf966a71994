#include "proxy/http/answer_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "proxy/http/etag.h"

#define TIMING_MAX 96u
#define RELATION ">; rel=\"/rels/operation\""

static const char default_type[] = "application/octet-stream";

void quo_answer_add(struct quo_answer *answer, const char *name, struct quo_slice value)
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

static struct quo_slice add_reserved(struct quo_answer *answer, const char *name, size_t len)
{
    struct quo_slice value = quo_slice(answer->text + answer->text_len, len);

    quo_answer_add(answer, name, value);
    answer->text_len += len;
    return value;
}

void quo_answer_add_copy(struct quo_answer *answer, const char *name, const char *value)
{
    size_t len = strlen(value);

    memcpy(reserve(answer, len), value, len);
    add_reserved(answer, name, len);
}

/* Microseconds as "1.234" milliseconds, for a format. */
#define MS_FORMAT "%" PRIu64 ".%03" PRIu64
#define MS(us) (us) / 1000, (us) % 1000

void quo_answer_add_timing(struct quo_answer *answer, const struct quo_answer_facts *facts,
                           const uint64_t *quorum_us)
{
    char *out = reserve(answer, TIMING_MAX);
    int len = snprintf(out, TIMING_MAX, "total;dur=" MS_FORMAT, MS(facts->total_us));

    if (quorum_us != NULL)
        len += snprintf(out + len, TIMING_MAX - (size_t)len, ", quorum;dur=" MS_FORMAT,
                        MS(*quorum_us));
    add_reserved(answer, "server-timing", (size_t)len);
}

void quo_answer_begin(struct quo_answer *answer, int status, const struct quo_answer_facts *facts)
{
    answer->status = status;
    answer->outcome = status < 400 ? QUO_APPLIED : QUO_NOT_APPLIED;
    answer->has_length = true;
    answer->body = quo_slice(NULL, 0);
    answer->header_count = 0;
    answer->text_len = 0;
    quo_answer_add_copy(answer, "request-id", facts->request_id);
}

static void add_receipt(struct quo_answer *answer, const struct quo_answer_case *of)
{
    size_t len = quo_receipt_format(of->response, &of->operation->consistency,
                                    quo_method_is_write(of->operation->method), of->map,
                                    reserve(answer, QUO_RECEIPT_MAX));

    add_reserved(answer, "consistency-receipt", len);
}

static void add_operation_name(struct quo_answer *answer, const struct quo_response *response)
{
    struct quo_operation_id id;
    size_t len;

    if (!response->is_consensus || !quo_operation_id_of(response, &id))
        return;
    len = quo_operation_id_format(&id, reserve(answer, QUO_OPERATION_ID_MAX + 1));
    add_reserved(answer, "operation-id", len);
}

void quo_answer_begin_data(struct quo_answer *answer, int status, const struct quo_answer_case *of)
{
    quo_answer_begin(answer, status, of->facts);
    quo_answer_add_timing(answer, of->facts, &of->response->elapsed_us);
    add_receipt(answer, of);
    if (quo_method_is_write(of->operation->method))
        add_operation_name(answer, of->response);
}

void quo_answer_add_ttl(struct quo_answer *answer, const struct quo_response *response)
{
    char text[32];

    if (response->left_ms == 0)
        return;
    snprintf(text, sizeof text, "%" PRIu64 ".%03u", response->left_ms / 1000,
             (unsigned)(response->left_ms % 1000));
    quo_answer_add_copy(answer, "quorate-ttl", text);
}

void quo_answer_add_etag(struct quo_answer *answer, struct quo_version version)
{
    quo_etag_format(version, reserve(answer, QUO_ETAG_SIZE + 1));
    add_reserved(answer, "etag", QUO_ETAG_SIZE);
}

void quo_answer_add_change(struct quo_answer *answer, const struct quo_response *response)
{
    const struct quo_record *value = quo_response_value(response);
    struct quo_version changed = quo_response_changed(response);

    if (!quo_version_is_none(changed))
        quo_answer_add_etag(answer, changed);
    /* Of what another write has made since nothing is to be told. */
    if (value != NULL && quo_version_equal(value->changed, changed))
        quo_answer_add_ttl(answer, response);
}

void quo_answer_add_location(struct quo_answer *answer, const struct quo_operation *operation)
{
    size_t len =
        quo_key_path(operation->ns->name, operation->key, reserve(answer, QUO_OPERATION_PATH_MAX));

    add_reserved(answer, "content-location", len);
}

struct quo_slice quo_answer_add_operation_link(struct quo_answer *answer,
                                               const struct quo_operation *operation,
                                               const struct quo_operation_id *id)
{
    char *out = reserve(answer, QUO_OPERATION_PATH_MAX + sizeof RELATION);
    size_t len;

    out[0] = '<';
    len = quo_operation_path(operation->ns->name, operation->key, id, out + 1);
    memcpy(out + 1 + len, RELATION, sizeof RELATION - 1);
    add_reserved(answer, "link", 1 + len + sizeof RELATION - 1);
    return quo_slice(out + 1, len);
}

void quo_answer_add_value(struct quo_answer *answer, const struct quo_record *record)
{
    quo_answer_add(answer, "content-type",
                   record->content_type.len > 0 ? record->content_type
                                                : quo_slice_of(default_type));
    /* The bytes are a client's; no browser may guess them to be a page of ours. */
    quo_answer_add(answer, "x-content-type-options", quo_slice_of("nosniff"));
    answer->body = record->value;
}

void quo_answer_add_document(struct quo_answer *answer, const struct quo_problem *problem,
                             const struct quo_answer_facts *facts)
{
    const struct quo_problem_info *info = quo_problem_info(problem->type);
    char number[16];

    answer->outcome = problem->outcome;
    if (info->retry_after_s > 0) {
        snprintf(number, sizeof number, "%u", info->retry_after_s);
        quo_answer_add_copy(answer, "retry-after", number);
    }
    quo_answer_add(answer, "content-type", quo_slice_of("application/problem+json"));
    answer->body = quo_slice(answer->document,
                             quo_problem_render(problem, facts->request_id, answer->document));
}

struct quo_version quo_response_changed(const struct quo_response *response)
{
    return response->is_consensus ? response->change.changed : response->receipt.version;
}

const struct quo_record *quo_response_record(const struct quo_response *response)
{
    return quo_version_is_none(response->record.version) ? NULL : &response->record;
}

const struct quo_record *quo_response_value(const struct quo_response *response)
{
    const struct quo_record *record = quo_response_record(response);

    return record != NULL && (record->flags & QUO_RECORD_TOMBSTONE) == 0 ? record : NULL;
}
