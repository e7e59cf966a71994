/* Answers of counters: additions, sums, and what a slot refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/http/answer_fixture.h"

static struct quo_namespace merging;

static struct quo_operation at(enum quo_route route, enum quo_method method)
{
    struct quo_operation ret = operation(method);

    merging = map->namespaces[0];
    merging.kind = QUO_KIND_CRDT;
    ret.route = route;
    ret.ns = &merging;
    return ret;
}

static void an_addition_says_no_more_than_that(void **state)
{
    struct quo_response res = response(QUO_VERDICT_WRITTEN);

    (void)state;
    answer_to(at(QUO_ROUTE_ADD, QUO_METHOD_POST), res);
    assert_int_equal(answer.status, 204);
    assert_false(answer.has_length);
    assert_int_equal(answer.body.len, 0);
    assert_null(header("etag"));
    assert_null(header("operation-id"));
    assert_null(header("idempotent-replayed"));
    res.change.replayed = true;
    answer_to(at(QUO_ROUTE_ADD, QUO_METHOD_POST), res);
    assert_string_equal(header("idempotent-replayed"), "?1");
}

static void what_a_slot_refuses_has_its_problem(void **state)
{
    static const struct {
        enum quo_status refusal;
        int status;
        const char *slug, *outcome;
    } rows[] = {
        {QUO_OUT_OF_BOUNDS, 412, "counter-bound", "\"not-applied\""},
        {QUO_KEY_REUSED, 422, "idempotency-key-reused", "\"not-applied\""},
        {QUO_RING_FULL, 429, "too-many-idempotency-keys", "\"not-applied\""},
        {QUO_HISTORY_LOST, 409, "history-lost", "\"unknown\""},
        {QUO_BUSY, 503, "overloaded", "\"not-applied\""},
        {QUO_SKEW, 503, "clock-skew", "\"not-applied\""},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_response res = response(QUO_VERDICT_REFUSED);

        res.refusal = rows[i].refusal;
        answer_to(at(QUO_ROUTE_ADD, QUO_METHOD_POST), res);
        assert_int_equal(answer.status, rows[i].status);
        assert_true(body_has(rows[i].slug));
        assert_true(body_has(rows[i].outcome));
    }
}

/* Nobody could tell what became of it: the slots know it by its key alone. */
static void an_unknown_addition_has_no_operation(void **state)
{
    struct quo_response res = response(QUO_VERDICT_TIMEOUT);

    (void)state;
    res.outcome = QUO_UNKNOWN;
    answer_to(at(QUO_ROUTE_ADD, QUO_METHOD_POST), res);
    assert_int_equal(answer.status, 504);
    assert_true(body_has("outcome-unknown"));
    assert_true(body_has("sent again with its Idempotency-Key it counts once"));
    assert_null(header("link"));
    assert_false(body_has("\"operation\""));
}

static void sum_to(struct quo_operation op, struct quo_response res, const int64_t *values,
                   size_t count)
{
    struct quo_slot_sum sum = {0};

    for (size_t i = 0; i < count; i++)
        quo_slot_sum_add(&sum, values[i]);
    quo_answer_sum(&op, &res, &sum, map, &facts, &answer);
}

static void a_sum_is_a_value(void **state)
{
    static const int64_t some[] = {INT64_MAX, -5, INT64_MIN, 7}, many[] = {INT64_MAX, 1};
    struct quo_response res = response(QUO_VERDICT_FOUND);

    (void)state;
    res.receipt.version = QUO_VERSION_NONE;
    sum_to(at(QUO_ROUTE_COUNTER, QUO_METHOD_GET), res, some, 4);
    assert_int_equal(answer.status, 200);
    assert_true(body_is("{\"value\":1}\n"));
    assert_string_equal(header("content-type"), "application/json");
    assert_string_equal(header("cache-control"), "no-cache");
    assert_null(header("etag"));
    assert_non_null(header("consistency-receipt"));
    sum_to(at(QUO_ROUTE_COUNTER, QUO_METHOD_GET), res, many, 2);
    assert_int_equal(answer.status, 409);
    assert_true(body_has("not-a-counter"));
}

static void without_a_sum(void **state)
{
    struct quo_response res = response(QUO_VERDICT_ABSENT);

    (void)state;
    res.record = (struct quo_record){0};
    res.receipt.version = QUO_VERSION_NONE;
    sum_to(at(QUO_ROUTE_COUNTER, QUO_METHOD_GET), res, NULL, 0);
    assert_int_equal(answer.status, 404);
    assert_true(body_has("key-not-found"));
    res.verdict = QUO_VERDICT_UNAVAILABLE;
    sum_to(at(QUO_ROUTE_COUNTER, QUO_METHOD_GET), res, NULL, 0);
    assert_int_equal(answer.status, 503);
    res.verdict = QUO_VERDICT_REFUSED;
    res.refusal = QUO_CORRUPT;
    sum_to(at(QUO_ROUTE_COUNTER, QUO_METHOD_GET), res, NULL, 0);
    assert_int_equal(answer.status, 500);
    assert_true(body_has("storage-failed"));
}

static void a_key_can_be_a_counter(void **state)
{
    struct quo_operation op = operation(QUO_METHOD_GET);
    struct quo_response res = response(QUO_VERDICT_FOUND);

    (void)state;
    op.route = QUO_ROUTE_COUNTER;
    res.record.value = quo_slice_of("-42");
    answer_to(op, res);
    assert_int_equal(answer.status, 200);
    assert_true(body_is("{\"value\":-42}\n"));
    assert_string_equal(header("etag"), TAG);
    res.record.value = quo_slice_of("042");
    answer_to(op, res);
    assert_int_equal(answer.status, 409);
    assert_true(body_has("not-a-counter"));
    answer_to(op, response(QUO_VERDICT_ABSENT));
    assert_int_equal(answer.status, 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_addition_says_no_more_than_that),
        cmocka_unit_test(what_a_slot_refuses_has_its_problem),
        cmocka_unit_test(an_unknown_addition_has_no_operation),
        cmocka_unit_test(a_sum_is_a_value),
        cmocka_unit_test(without_a_sum),
        cmocka_unit_test(a_key_can_be_a_counter),
    };
    return cmocka_run_group_tests(tests, make_map, free_map);
}
