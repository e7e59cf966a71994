#include "proxy/http/answer_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "proxy/http/etag.h"

enum quo_problem_type quo_declined_problem(enum quo_change_code code)
{
    switch (code) {
    case QUO_CHANGE_CONDITION:
        return QUO_PROBLEM_PRECONDITION_FAILED;
    case QUO_CHANGE_BOUND:
        return QUO_PROBLEM_COUNTER_BOUND;
    case QUO_CHANGE_NOT_A_COUNTER:
        return QUO_PROBLEM_NOT_A_COUNTER;
    case QUO_CHANGE_NOT_JSON:
        return QUO_PROBLEM_NOT_JSON;
    case QUO_CHANGE_TOO_LARGE:
        return QUO_PROBLEM_VALUE_TOO_LARGE;
    case QUO_CHANGE_FENCED:
        return QUO_PROBLEM_OPERATION_FENCED;
    case QUO_CHANGE_KEY_REUSED:
        return QUO_PROBLEM_IDEMPOTENCY_KEY_REUSED;
    case QUO_CHANGE_RING_FULL:
        return QUO_PROBLEM_TOO_MANY_KEYS;
    case QUO_CHANGE_HISTORY_LOST:
        return QUO_PROBLEM_HISTORY_LOST;
    case QUO_CHANGE_NO_MEMORY:
        return QUO_PROBLEM_OVERLOADED;
    case QUO_CHANGE_DONE:
    case QUO_CHANGE_STORED_COUNT:
        break;
    }
    QUO_UNREACHABLE();
}

void quo_answer_add_replayed(struct quo_answer *answer, const struct quo_response *response)
{
    if (response->change.replayed)
        quo_answer_add(answer, "idempotent-replayed", quo_slice_of("?1"));
}

/* The present value in the answer to a write (RFC 7240 section 4.2; RFC 8144 section 3 with 412).
 */
static void add_representation(const struct quo_answer_case *of, const struct quo_record *record,
                               struct quo_answer *ret)
{
    quo_answer_add(ret, "preference-applied", quo_slice_of("return=representation"));
    quo_answer_add_location(ret, of->operation);
    quo_answer_add_value(ret, record);
}

void quo_answer_written(const struct quo_answer_case *of, struct quo_answer *ret)
{
    const struct quo_response *response = of->response;
    const struct quo_record *value = quo_response_value(response);
    struct quo_version changed = quo_response_changed(response);

    if (of->operation->route == QUO_ROUTE_ADD) {
        quo_answer_added(of, ret);
        return;
    }
    quo_answer_begin_data(ret, 200, of);
    quo_answer_add_replayed(ret, response);
    quo_answer_add_change(ret, response);
    if (of->operation->prefers_representation && response->is_consensus && value != NULL &&
        quo_version_equal(value->changed, changed)) {
        /* What another write has replaced since the first attempt is not what this one made. */
        add_representation(of, value, ret);
    } else {
        ret->status = 204;
        ret->has_length = false;
    }
}

static void describe_condition(const struct quo_answer_case *of, struct quo_problem *ret)
{
    const struct quo_record *value = quo_response_value(of->response);
    char etag[QUO_ETAG_SIZE + 1] = "";

    if (value != NULL)
        quo_etag_format(value->changed, etag);
    if (of->response->change.replayed)
        quo_problem_set(ret, QUO_PROBLEM_PRECONDITION_FAILED,
                        "An earlier attempt with this Idempotency-Key found that the key did not "
                        "meet the condition.");
    else if (of->operation->condition == QUO_CONDITION_ABSENT)
        quo_problem_set(ret, QUO_PROBLEM_PRECONDITION_FAILED,
                        "There is a value with the ETag %s, and If-None-Match: * wants none.",
                        etag);
    else if (value == NULL)
        quo_problem_set(ret, QUO_PROBLEM_PRECONDITION_FAILED,
                        "There is no such key, so If-Match cannot be met.");
    else
        quo_problem_set(ret, QUO_PROBLEM_PRECONDITION_FAILED,
                        "The value has the ETag %s, which If-Match does not list.", etag);
}

static void describe(const struct quo_answer_case *of, struct quo_problem *ret)
{
    const struct quo_change_result *change = &of->response->change;
    enum quo_problem_type type = quo_declined_problem(change->code);

    switch (change->code) {
    case QUO_CHANGE_CONDITION:
        describe_condition(of, ret);
        break;
    case QUO_CHANGE_BOUND:
        quo_problem_set(ret, type, "The counter is %" PRId64 "; the sum would leave its bounds.",
                        change->counter);
        ret->has_value = change->has_counter;
        ret->value = change->counter;
        break;
    case QUO_CHANGE_TOO_LARGE:
        quo_problem_set(ret, type,
                        "The new value would be larger than the %u bytes of namespace %s.",
                        of->operation->ns->value_max, of->operation->ns->name);
        ret->limit = of->operation->ns->value_max;
        break;
    case QUO_CHANGE_RING_FULL:
        quo_problem_set(
            ret, type,
            "The record remembers %u operations with a key at most, each for the %u s of "
            "namespace %s.",
            QUO_RING_KEYED_MAX, of->operation->ns->retention_s, of->operation->ns->name);
        break;
    default:
        quo_problem_set(ret, type, "%s.", quo_problem_info(type)->title);
        break;
    }
    /* This attempt did nothing; an earlier one of the same operation may have. */
    if (change->code == QUO_CHANGE_HISTORY_LOST)
        ret->outcome = QUO_UNKNOWN;
}

void quo_answer_declined(const struct quo_answer_case *of, struct quo_answer *ret)
{
    const struct quo_response *response = of->response;
    const struct quo_record *value = quo_response_value(response);
    struct quo_problem problem;

    describe(of, &problem);
    quo_answer_begin_data(ret, quo_problem_info(problem.type)->status, of);
    quo_answer_add_replayed(ret, response);
    bool is_of_now =
        response->change.code != QUO_CHANGE_BOUND || !quo_version_is_none(response->change.changed);
    if (ret->status == 412 && value != NULL && is_of_now)
        quo_answer_add_etag(ret, value->changed);
    if (response->change.code == QUO_CHANGE_CONDITION && value != NULL &&
        of->operation->prefers_representation)
        add_representation(of, value, ret);
    else
        quo_answer_add_document(ret, &problem, of->facts);
}
