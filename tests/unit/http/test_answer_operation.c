#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/http/answer_fixture.h"

#define BLIND_ID "v0000000000000a000000000000000b00"

static uint8_t ring[QUO_RING_BYTES_MAX];

static struct quo_operation asking(const char *id, enum quo_route route)
{
    struct quo_operation ret =
        operation(route == QUO_ROUTE_RESOLVE ? QUO_METHOD_POST : QUO_METHOD_GET);

    ret.route = route;
    QUO_REQUIRE(quo_operation_id_parse(quo_slice_of(id), &ret.id));
    return ret;
}

/* A record that remembers the operation. */
static struct quo_response remembering(enum quo_change_code code, int64_t result)
{
    struct quo_response ret = response(QUO_VERDICT_FOUND);
    struct quo_ring_past past = {0};
    struct quo_ring_entry entry = {.code = code, .result = result};
    struct quo_operation_id id;

    QUO_REQUIRE(quo_operation_id_parse(quo_slice_of(OPERATION_ID), &id));
    entry.opid = id.opid;
    entry.at = ret.record.changed;
    QUO_REQUIRE(quo_ring_append(&past, &entry, 600, ring, &past) == QUO_OK);
    ret.record.ring = past.ring;
    ret.record.changed = ret.record.version = (struct quo_version){id.since + 7, 1};
    return ret;
}

static void assert_answer(const char *id, const char *rest)
{
    char want[512];

    snprintf(want, sizeof want, "{\"operation\":\"/v1/kv/bank/a%%2Fb/operations/%s\",%s}\n", id,
             rest);
    assert_int_equal(answer.status, 200);
    if (!body_is(want))
        fail_msg("%.*s is not %s", (int)answer.body.len, (const char *)answer.body.data, want);
    assert_string_equal(header("content-type"), "application/json");
    assert_string_equal(header("cache-control"), "no-cache");
    assert_null(header("etag"));
}

static void what_the_record_remembers_is_told(void **state)
{
    struct quo_operation op = asking(OPERATION_ID, QUO_ROUTE_OPERATION);

    (void)state;
    answer_to(op, remembering(QUO_CHANGE_DONE, 0));
    assert_answer(OPERATION_ID, "\"state\":\"applied\",\"code\":\"done\","
                                "\"etag\":\"\\\"0000000000000a000000000000000b00\\\"\"");
    answer_to(op, remembering(QUO_CHANGE_CONDITION, 0));
    assert_answer(OPERATION_ID, "\"state\":\"not-applied\",\"code\":\"precondition-failed\"");
    answer_to(op, remembering(QUO_CHANGE_BOUND, -1));
    assert_answer(OPERATION_ID,
                  "\"state\":\"not-applied\",\"code\":\"counter-bound\",\"value\":-1");
    answer_to(op, remembering(QUO_CHANGE_FENCED, 0));
    assert_answer(OPERATION_ID, "\"state\":\"not-applied\",\"code\":\"operation-fenced\"");
}

static void what_it_does_not_is_open_or_lost(void **state)
{
    struct quo_operation op = asking(OPERATION_ID, QUO_ROUTE_OPERATION);
    struct quo_response res = response(QUO_VERDICT_FOUND);

    (void)state;
    res.record.version = res.record.changed = (struct quo_version){op.id.since + 7, 1};
    answer_to(op, res);
    assert_answer(OPERATION_ID, "\"state\":\"in-flight\"");
    res.record.hist_from = res.record.keyed_from = res.record.version;
    answer_to(op, res);
    assert_answer(OPERATION_ID, "\"state\":\"unknown\"");
    /* No record at all: nothing was decided. */
    res = response(QUO_VERDICT_ABSENT);
    res.record = (struct quo_record){0};
    answer_to(op, res);
    assert_answer(OPERATION_ID, "\"state\":\"in-flight\"");
    assert_null(header("operation-id"));
}

static void deleted_keys_remember_as_well(void **state)
{
    struct quo_response res = remembering(QUO_CHANGE_DONE, 0);

    (void)state;
    res.verdict = QUO_VERDICT_ABSENT;
    res.record.flags = QUO_RECORD_TOMBSTONE;
    res.record.value = quo_slice(NULL, 0);
    res.record.changed = QUO_VERSION_NONE; /* the key never was */
    answer_to(asking(OPERATION_ID, QUO_ROUTE_OPERATION), res);
    assert_int_equal(answer.status, 200);
    assert_true(body_has("\"applied\""));
}

static void blind_writes_are_seen_by_their_version(void **state)
{
    struct quo_operation op = asking(BLIND_ID, QUO_ROUTE_OPERATION);
    struct quo_response res = response(QUO_VERDICT_FOUND);

    (void)state;
    answer_to(op, res);
    assert_answer(BLIND_ID, "\"state\":\"applied\","
                            "\"etag\":\"\\\"0000000000000a000000000000000b00\\\"\"");
    /* Settled since. */
    res.record.version.hlc++;
    answer_to(op, res);
    assert_true(body_has("\"applied\""));
    res.record.changed.hlc++;
    answer_to(op, res);
    assert_answer(BLIND_ID, "\"state\":\"unknown\"");
    res.record.version = res.record.changed = (struct quo_version){1, 1};
    answer_to(op, res);
    assert_answer(BLIND_ID, "\"state\":\"in-flight\"");
    res = response(QUO_VERDICT_ABSENT);
    res.record = (struct quo_record){0};
    answer_to(op, res);
    assert_answer(BLIND_ID, "\"state\":\"in-flight\"");
}

static void resolutions_are_told_alike(void **state)
{
    struct quo_operation op = asking(OPERATION_ID, QUO_ROUTE_RESOLVE);
    struct quo_response res = decided(QUO_CHANGE_DONE);

    (void)state;
    res.change.replayed = true;
    answer_to(op, res);
    assert_answer(OPERATION_ID, "\"state\":\"applied\",\"code\":\"done\","
                                "\"etag\":\"\\\"0000000000000a000000000000000b00\\\"\"");
    assert_string_equal(header("operation-id"), OPERATION_ID);
    assert_null(header("idempotent-replayed"));
    answer_to(op, decided(QUO_CHANGE_FENCED));
    assert_answer(OPERATION_ID, "\"state\":\"not-applied\",\"code\":\"operation-fenced\"");
    answer_to(op, decided(QUO_CHANGE_NOT_JSON));
    assert_answer(OPERATION_ID, "\"state\":\"not-applied\",\"code\":\"not-json\"");
    /* Nothing can be told any more: that is an answer as well. */
    res = decided(QUO_CHANGE_HISTORY_LOST);
    res.verdict = QUO_VERDICT_TIMEOUT;
    res.outcome = QUO_UNKNOWN;
    answer_to(op, res);
    assert_answer(OPERATION_ID, "\"state\":\"unknown\"");
}

static void resolutions_can_fail(void **state)
{
    struct quo_operation op = asking(OPERATION_ID, QUO_ROUTE_RESOLVE);
    struct quo_response res = decided(QUO_CHANGE_DONE);

    (void)state;
    answer_to(op, decided(QUO_CHANGE_RING_FULL));
    assert_int_equal(answer.status, 429);
    answer_to(op, decided(QUO_CHANGE_NO_MEMORY));
    assert_int_equal(answer.status, 503);
    res.verdict = QUO_VERDICT_TIMEOUT;
    res.outcome = QUO_UNKNOWN;
    answer_to(op, res);
    assert_int_equal(answer.status, 504);
    assert_true(body_has("\"operation\":\"" OPERATION_PATH "\""));
    res = response(QUO_VERDICT_TIMEOUT);
    answer_to(asking(OPERATION_ID, QUO_ROUTE_OPERATION), res);
    assert_int_equal(answer.status, 504);
    assert_null(header("link"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_record_remembers_is_told),
        cmocka_unit_test(what_it_does_not_is_open_or_lost),
        cmocka_unit_test(deleted_keys_remember_as_well),
        cmocka_unit_test(blind_writes_are_seen_by_their_version),
        cmocka_unit_test(resolutions_are_told_alike),
        cmocka_unit_test(resolutions_can_fail),
    };

    return cmocka_run_group_tests(tests, make_map, free_map);
}
