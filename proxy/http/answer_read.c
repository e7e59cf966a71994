#include "proxy/http/answer_parts.h"
#include "proxy/http/etag.h"

/* A record, or 304 or 412 as the conditions say (RFC 9110 section 13.2.2). */
static void answer_found(const struct quo_answer_case *of, struct quo_answer *ret)
{
    const struct quo_operation *operation = of->operation;
    const struct quo_record *record = &of->response->record;
    const char *etag = quo_answer_add_etag(ret, record->changed);
    struct quo_problem problem;

    quo_answer_add_ttl(ret, of->response);
    if (operation->if_match.len > 0 && !quo_etag_listed(operation->if_match, etag, false)) {
        ret->status = 412;
        quo_problem_set(&problem, QUO_PROBLEM_PRECONDITION_FAILED,
                        "The value has the ETag %s, which If-Match does not list.", etag);
        quo_answer_add_document(ret, &problem, of->facts);
        return;
    }
    if (operation->if_none_match.len > 0 && quo_etag_listed(operation->if_none_match, etag, true)) {
        ret->status = 304;
        ret->has_length = false;
        return;
    }
    quo_answer_add_value(ret, record);
}

static void answer_absent(const struct quo_answer_case *of, struct quo_answer *ret)
{
    const struct quo_receipt *receipt = &of->response->receipt;
    struct quo_problem problem;

    if (of->operation->if_match.len > 0) {
        ret->status = 412;
        quo_problem_set(&problem, QUO_PROBLEM_PRECONDITION_FAILED,
                        "There is no such key, so no ETag can match If-Match.");
    } else {
        ret->status = 404;
        quo_problem_set(&problem, QUO_PROBLEM_KEY_NOT_FOUND,
                        "There is no such key at level %s: %u of %u replicas were asked.",
                        quo_level_name(receipt->level), receipt->replies, receipt->n);
    }
    quo_answer_add_document(ret, &problem, of->facts);
}

void quo_answer_read(const struct quo_answer_case *of, struct quo_answer *ret)
{
    quo_answer_begin_data(ret, 200, of);
    /* Only a replica knows whether a copy is still true. */
    quo_answer_add(ret, "cache-control", quo_slice_of("no-cache"));
    if (of->response->verdict == QUO_VERDICT_FOUND)
        answer_found(of, ret);
    else
        answer_absent(of, ret);
}
