#include "proxy/http/answer_parts.h"

#include "proxy/http/digits.h"
#include "proxy/http/etag.h"

#define TIMING_MAX 96u
#define RELATION ">; rel=\"/rels/operation\""

/* Room in answer->text for a value of at most `size` bytes. */
static char *reserve(struct quo_answer *answer, size_t size)
{
    QUO_INVARIANT(size <= QUO_ANSWER_TEXT_MAX - answer->text_len);
    return answer->text + answer->text_len;
}

static inline struct quo_slice add_reserved(struct quo_answer *answer, const char *name, size_t len)
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

/* Microseconds are thousandths of what is shown. */
static char *put_duration(char *out, const char *metric, size_t metric_len, uint64_t us)
{
    memcpy(out, metric, metric_len);
    return out + metric_len + quo_put_thousandths(out + metric_len, us);
}

void quo_answer_add_timing(struct quo_answer *answer, const struct quo_answer_facts *facts,
                           const uint64_t *quorum_us)
{
    static const char total[] = "total;dur=", quorum[] = ", quorum;dur=";
    char *out = reserve(answer, TIMING_MAX);
    char *end = put_duration(out, total, sizeof total - 1, facts->total_us);

    if (quorum_us != NULL)
        end = put_duration(end, quorum, sizeof quorum - 1, *quorum_us);
    add_reserved(answer, "server-timing", (size_t)(end - out));
}

void quo_answer_begin(struct quo_answer *answer, int status, const struct quo_answer_facts *facts)
{
    answer->status = status;
    answer->outcome = status < 400 ? QUO_APPLIED : QUO_NOT_APPLIED;
    answer->has_length = true;
    answer->body = quo_slice(NULL, 0);
    answer->header_count = 0;
    answer->passing = 0;
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
    if (response->left_ms == 0)
        return;
    add_reserved(answer, "quorate-ttl",
                 quo_put_thousandths(reserve(answer, QUO_DECIMAL_MAX + 1), response->left_ms));
}

const char *quo_answer_add_etag(struct quo_answer *answer, struct quo_version version)
{
    char *etag = reserve(answer, QUO_ETAG_SIZE + 1);

    quo_etag_format(version, etag);
    quo_answer_add(answer, "etag", quo_slice(etag, QUO_ETAG_SIZE));
    answer->text_len += QUO_ETAG_SIZE + 1;
    return etag;
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
    if (record->content_type.len > 0)
        quo_answer_add_passing(answer, "content-type", record->content_type);
    else
        quo_answer_add(answer, "content-type", quo_slice_of("application/octet-stream"));
    /* The bytes are a client's; no browser may guess them to be a page of ours. */
    quo_answer_add(answer, "x-content-type-options", quo_slice_of("nosniff"));
    answer->body = record->value;
}

void quo_answer_add_document(struct quo_answer *answer, const struct quo_problem *problem,
                             const struct quo_answer_facts *facts)
{
    const struct quo_problem_info *info = quo_problem_info(problem->type);

    answer->outcome = problem->outcome;
    if (info->retry_after_s > 0)
        add_reserved(answer, "retry-after",
                     quo_put_decimal(reserve(answer, QUO_DECIMAL_MAX), info->retry_after_s));
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
