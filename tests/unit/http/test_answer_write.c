#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/http/answer_fixture.h"

static struct quo_operation adding(void)
{
    struct quo_operation ret = operation(QUO_METHOD_POST);

    ret.route = QUO_ROUTE_ADD;
    return ret;
}

static struct quo_operation preferring(enum quo_method method)
{
    struct quo_operation ret = operation(method);

    ret.prefers_representation = true;
    return ret;
}

/* The key was deleted, or never was. */
static struct quo_response without_value(struct quo_response res)
{
    res.record = (struct quo_record){.flags = QUO_RECORD_TOMBSTONE,
                                     .version = res.record.version,
                                     .changed = res.record.changed};
    return res;
}

static void a_consensus_write_has_its_name(void **state)
{
    static const enum quo_method methods[] = {QUO_METHOD_PUT, QUO_METHOD_DELETE, QUO_METHOD_PATCH};

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(methods); i++) {
        answer_to(operation(methods[i]), decided(QUO_CHANGE_DONE));
        assert_int_equal(answer.status, 204);
        assert_false(answer.has_length);
        assert_string_equal(header("operation-id"), OPERATION_ID);
        assert_string_equal(header("etag"), TAG);
        assert_null(header("idempotent-replayed"));
        assert_null(header("preference-applied"));
    }
}

static void a_replay_is_answered_as_the_first_attempt(void **state)
{
    struct quo_response res = decided(QUO_CHANGE_DONE);

    (void)state;
    res.change.replayed = true;
    /* Another write came since. */
    res.record.changed = res.receipt.version = (struct quo_version){0xc00, 0xd00};
    answer_to(operation(QUO_METHOD_PUT), res);
    assert_int_equal(answer.status, 204);
    assert_string_equal(header("idempotent-replayed"), "?1");
    assert_string_equal(header("etag"), TAG);
    /* Its value is not what the first attempt has made. */
    answer_to(preferring(QUO_METHOD_PUT), res);
    assert_int_equal(answer.status, 204);
    assert_null(header("preference-applied"));
    assert_string_equal(header("etag"), TAG);
}

static void a_delete_of_nothing_has_no_tag(void **state)
{
    struct quo_response res = without_value(decided(QUO_CHANGE_DONE));

    (void)state;
    res.change.changed = QUO_VERSION_NONE;
    answer_to(operation(QUO_METHOD_DELETE), res);
    assert_int_equal(answer.status, 204);
    assert_null(header("etag"));
}

static void the_value_is_given_if_preferred(void **state)
{
    (void)state;
    answer_to(preferring(QUO_METHOD_PATCH), decided(QUO_CHANGE_DONE));
    assert_int_equal(answer.status, 200);
    assert_true(answer.has_length && body_is("value"));
    assert_string_equal(header("preference-applied"), "return=representation");
    assert_string_equal(header("content-location"), "/v1/kv/bank/a%2Fb");
    assert_string_equal(header("content-type"), "text/plain");
    assert_string_equal(header("x-content-type-options"), "nosniff");
    assert_string_equal(header("etag"), TAG);
    answer_to(preferring(QUO_METHOD_DELETE), without_value(decided(QUO_CHANGE_DONE)));
    assert_int_equal(answer.status, 204);
    /* A blind write has not seen what is there. */
    answer_to(preferring(QUO_METHOD_PUT), response(QUO_VERDICT_WRITTEN));
    assert_int_equal(answer.status, 204);
    assert_null(header("preference-applied"));
}

static void what_the_value_written_has_to_live_is_told(void **state)
{
    struct quo_response res = decided(QUO_CHANGE_DONE);

    (void)state;
    res.left_ms = 30000;
    answer_to(operation(QUO_METHOD_PUT), res);
    assert_int_equal(answer.status, 204);
    assert_string_equal(header("quorate-ttl"), "30.000");
    /* Of another write's value it says nothing. */
    res.change.changed.node++;
    answer_to(operation(QUO_METHOD_PUT), res);
    assert_null(header("quorate-ttl"));
}

static void counters_are_told(void **state)
{
    struct quo_response res = decided(QUO_CHANGE_DONE);

    (void)state;
    res.change.has_counter = true;
    res.change.counter = INT64_MIN;
    answer_to(adding(), res);
    assert_int_equal(answer.status, 200);
    assert_true(body_is("{\"value\":-9223372036854775808}\n"));
    assert_string_equal(header("content-type"), "application/json");
    assert_string_equal(header("etag"), TAG);
    assert_string_equal(header("operation-id"), OPERATION_ID);

    res = decided(QUO_CHANGE_BOUND);
    res.change.has_counter = true;
    res.change.counter = -1;
    answer_to(adding(), res);
    assert_int_equal(answer.status, 412);
    assert_true(body_has("/problems/counter-bound"));
    assert_true(body_has("\"value\":-1"));
    assert_string_equal(header("etag"), TAG);
    answer_to(adding(), without_value(res));
    assert_int_equal(answer.status, 412);
    assert_null(header("etag"));
}

static void failed_conditions_show_what_is_there(void **state)
{
    static const struct {
        enum quo_condition_type condition;
        bool is_there;
        const char *word;
    } rows[] = {
        {QUO_CONDITION_TAGS, true, "0b00\\\", which If-Match does not list"},
        {QUO_CONDITION_TAGS, false, "no such key"},
        {QUO_CONDITION_PRESENT, false, "no such key"},
        {QUO_CONDITION_ABSENT, true, "If-None-Match: * wants none"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_response res = decided(QUO_CHANGE_CONDITION);
        struct quo_operation op = operation(QUO_METHOD_PUT);

        if (!rows[i].is_there)
            res = without_value(res);
        op.condition = rows[i].condition;
        answer_to(op, res);
        assert_int_equal(answer.status, 412);
        assert_true(body_has("precondition-failed") && body_has(rows[i].word));
        assert_true(body_has("\"outcome\":\"not-applied\""));
        assert_true((header("etag") != NULL) == rows[i].is_there);
        assert_string_equal(header("operation-id"), OPERATION_ID);

        op.prefers_representation = true;
        answer_to(op, res);
        assert_int_equal(answer.status, 412);
        assert_true((header("preference-applied") != NULL) == rows[i].is_there);
        if (rows[i].is_there) {
            assert_true(body_is("value"));
            assert_string_equal(header("content-type"), "text/plain");
            assert_string_equal(header("content-location"), "/v1/kv/bank/a%2Fb");
        } else {
            assert_true(body_has("precondition-failed"));
        }
    }
}

static void a_replayed_failure_says_so(void **state)
{
    struct quo_response res = decided(QUO_CHANGE_CONDITION);

    (void)state;
    res.change.replayed = true;
    answer_to(operation(QUO_METHOD_PUT), res);
    assert_int_equal(answer.status, 412);
    assert_string_equal(header("idempotent-replayed"), "?1");
    assert_true(body_has("An earlier attempt"));
}

static void declined_writes_have_their_status(void **state)
{
    static const struct {
        enum quo_change_code code;
        int status;
        const char *slug, *outcome, *retry_after;
    } rows[] = {
        {QUO_CHANGE_CONDITION, 412, "precondition-failed", "not-applied", NULL},
        {QUO_CHANGE_BOUND, 412, "counter-bound", "not-applied", NULL},
        {QUO_CHANGE_NOT_A_COUNTER, 409, "not-a-counter", "not-applied", NULL},
        {QUO_CHANGE_NOT_JSON, 422, "not-json", "not-applied", NULL},
        {QUO_CHANGE_TOO_LARGE, 413, "value-too-large", "not-applied", NULL},
        {QUO_CHANGE_FENCED, 409, "operation-fenced", "not-applied", NULL},
        {QUO_CHANGE_KEY_REUSED, 422, "idempotency-key-reused", "not-applied", NULL},
        {QUO_CHANGE_RING_FULL, 429, "too-many-idempotency-keys", "not-applied", "10"},
        {QUO_CHANGE_HISTORY_LOST, 409, "history-lost", "unknown", NULL},
        {QUO_CHANGE_NO_MEMORY, 503, "overloaded", "not-applied", "1"},
    };
    char type[64], outcome[64];

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        answer_to(operation(QUO_METHOD_PATCH), decided(rows[i].code));
        assert_int_equal(answer.status, rows[i].status);
        snprintf(type, sizeof type, "\"type\":\"/problems/%s\"", rows[i].slug);
        snprintf(outcome, sizeof outcome, "\"outcome\":\"%s\"", rows[i].outcome);
        assert_true(body_has(type) && body_has(outcome));
        assert_string_equal(header("operation-id"), OPERATION_ID);
        if (rows[i].retry_after != NULL)
            assert_string_equal(header("retry-after"), rows[i].retry_after);
        else
            assert_null(header("retry-after"));
    }
    answer_to(operation(QUO_METHOD_PATCH), decided(QUO_CHANGE_TOO_LARGE));
    assert_true(body_has("1000 bytes of namespace bank") && body_has("\"limit\":1000"));
}

static void late_writes_name_their_operation(void **state)
{
    struct quo_response res = decided(QUO_CHANGE_DONE);

    (void)state;
    res.verdict = QUO_VERDICT_TIMEOUT;
    for (int unknown = 0; unknown < 2; unknown++) {
        res.outcome = unknown ? QUO_UNKNOWN : QUO_NOT_APPLIED;
        answer_to(operation(QUO_METHOD_PUT), res);
        assert_int_equal(answer.status, 504);
        assert_true(body_has(unknown ? "outcome-unknown" : "/problems/timeout"));
        assert_true(body_has("\"operation\":\"" OPERATION_PATH "\""));
        assert_true(body_has("other operations on the key were in the way"));
        assert_string_equal(header("link"), "<" OPERATION_PATH ">; rel=\"/rels/operation\"");
        assert_string_equal(header("operation-id"), OPERATION_ID);
    }
    res.change.code = QUO_CHANGE_HISTORY_LOST;
    answer_to(operation(QUO_METHOD_PUT), res);
    assert_int_equal(answer.status, 504);
    assert_true(body_has("cannot be told any more"));
    res.verdict = QUO_VERDICT_UNAVAILABLE;
    res.outcome = QUO_NOT_APPLIED;
    answer_to(operation(QUO_METHOD_PUT), res);
    assert_int_equal(answer.status, 503);
    assert_null(header("link"));
    assert_false(body_has("\"operation\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_consensus_write_has_its_name),
        cmocka_unit_test(a_replay_is_answered_as_the_first_attempt),
        cmocka_unit_test(a_delete_of_nothing_has_no_tag),
        cmocka_unit_test(the_value_is_given_if_preferred),
        cmocka_unit_test(what_the_value_written_has_to_live_is_told),
        cmocka_unit_test(counters_are_told),
        cmocka_unit_test(failed_conditions_show_what_is_there),
        cmocka_unit_test(a_replayed_failure_says_so),
        cmocka_unit_test(declined_writes_have_their_status),
        cmocka_unit_test(late_writes_name_their_operation),
    };

    return cmocka_run_group_tests(tests, make_map, free_map);
}
