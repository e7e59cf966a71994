#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/http/answer_fixture.h"

static void a_value_is_given_as_it_was_stored(void **state)
{
    struct quo_response res = response(QUO_VERDICT_FOUND);

    (void)state;
    answer_to(operation(QUO_METHOD_GET), res);
    assert_int_equal(answer.status, 200);
    assert_true(answer.has_length);
    assert_true(quo_slice_equal(answer.body, quo_slice_of("value")));
    assert_string_equal(header("etag"), TAG);
    assert_string_equal(header("content-type"), "text/plain");
    assert_string_equal(header("cache-control"), "no-cache");
    assert_string_equal(header("x-content-type-options"), "nosniff");
    res.record.content_type.len = 0;
    res.record.value.len = 0;
    answer_to(operation(QUO_METHOD_GET), res);
    assert_int_equal(answer.status, 200);
    assert_true(answer.has_length);
    assert_int_equal(answer.body.len, 0);
    assert_string_equal(header("content-type"), "application/octet-stream");
}

static void what_a_value_has_to_live_is_told(void **state)
{
    struct quo_response res = response(QUO_VERDICT_FOUND);

    (void)state;
    answer_to(operation(QUO_METHOD_GET), res);
    assert_null(header("quorate-ttl"));
    res.left_ms = 1;
    answer_to(operation(QUO_METHOD_GET), res);
    assert_string_equal(header("quorate-ttl"), "0.001");
    res.left_ms = QUO_TTL_MAX_MS;
    answer_to(operation(QUO_METHOD_HEAD), res);
    assert_string_equal(header("quorate-ttl"), "315619200.000");
}

static void a_settled_value_keeps_its_tag(void **state)
{
    struct quo_response res = response(QUO_VERDICT_FOUND);

    (void)state;
    res.record.version = (struct quo_version){0xfff00, 1};
    answer_to(operation(QUO_METHOD_GET), res);
    assert_string_equal(header("etag"), TAG);
}

static void a_write_has_a_tag_and_no_body(void **state)
{
    static const enum quo_method methods[] = {QUO_METHOD_PUT, QUO_METHOD_DELETE};

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(methods); i++) {
        answer_to(operation(methods[i]), response(QUO_VERDICT_WRITTEN));
        assert_int_equal(answer.status, 204);
        assert_false(answer.has_length);
        assert_int_equal(answer.body.len, 0);
        assert_string_equal(header("etag"), TAG);
        assert_null(header("content-type"));
        assert_null(header("operation-id"));
    }
}

static void conditions_of_reads_are_kept(void **state)
{
    static const struct {
        const char *if_match, *if_none_match;
        int found, absent;
    } rows[] = {
        {"", TAG, 304, 404},    {"", "W/" TAG, 304, 404},      {"", "*", 304, 404},
        {"", OTHER, 200, 404},  {TAG, "", 200, 412},           {"*", "", 200, 412},
        {OTHER, "", 412, 412},  {"W/" TAG, "", 412, 412},      {TAG, TAG, 304, 412},
        {OTHER, TAG, 412, 412}, {"", OTHER "," TAG, 304, 404},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_operation op = operation(QUO_METHOD_GET);

        op.if_match = quo_slice_of(rows[i].if_match);
        op.if_none_match = quo_slice_of(rows[i].if_none_match);
        answer_to(op, response(QUO_VERDICT_FOUND));
        assert_int_equal(answer.status, rows[i].found);
        assert_string_equal(header("etag"), TAG);
        if (answer.status == 304) {
            assert_int_equal(answer.body.len, 0);
            assert_false(answer.has_length);
        }
        answer_to(op, response(QUO_VERDICT_ABSENT));
        assert_int_equal(answer.status, rows[i].absent);
        assert_true(body_has(rows[i].absent == 404 ? "key-not-found" : "precondition-failed"));
    }
}

static void absence_is_told_at_its_level(void **state)
{
    struct quo_response res = response(QUO_VERDICT_ABSENT);

    (void)state;
    res.receipt.version = QUO_VERSION_NONE;
    answer_to(operation(QUO_METHOD_HEAD), res);
    assert_int_equal(answer.status, 404);
    assert_true(body_has("no such key at level strong: 2 of 3"));
    assert_null(header("etag"));
    assert_null(strstr(header("consistency-receipt"), "version"));
}

static void refusals_have_their_status(void **state)
{
    static const struct {
        enum quo_status refusal;
        int status;
        const char *slug;
    } rows[] = {
        {QUO_BUSY, 503, "overloaded"},          {QUO_DISK_FULL, 507, "storage-full"},
        {QUO_READ_ONLY, 503, "read-only"},      {QUO_IO_ERROR, 500, "storage-failed"},
        {QUO_CORRUPT, 500, "storage-failed"},   {QUO_WRONG_EPOCH, 503, "map-outdated"},
        {QUO_NOT_REPLICA, 503, "map-outdated"}, {QUO_BAD_KIND, 409, "kind-mismatch"},
        {QUO_SKEW, 503, "clock-skew"},          {QUO_NACK, 409, "contention"},
        {QUO_MALFORMED, 500, "internal"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_response res = response(QUO_VERDICT_REFUSED);

        res.refusal = rows[i].refusal;
        answer_to(operation(QUO_METHOD_PUT), res);
        assert_int_equal(answer.status, rows[i].status);
        assert_true(body_has(rows[i].slug));
        assert_true(body_has("\"outcome\":\"not-applied\""));
        assert_true(body_has(quo_status_text(rows[i].refusal)));
        assert_true((header("retry-after") != NULL) == (rows[i].status == 503));
        /* What may have happened is never reported as what did not. */
        res.outcome = QUO_UNKNOWN;
        answer_to(operation(QUO_METHOD_PUT), res);
        assert_int_equal(answer.status, 504);
        assert_true(body_has("outcome-unknown"));
        assert_true(body_has("\"outcome\":\"unknown\""));
        assert_null(header("retry-after"));
        assert_string_equal(header("link"), "<" BLIND_PATH ">; rel=\"/rels/operation\"");
        assert_true(body_has("\"operation\":\"" BLIND_PATH "\""));
    }
}

static void shortages_are_counted(void **state)
{
    struct quo_response res = response(QUO_VERDICT_UNAVAILABLE);

    (void)state;
    res.receipt.replies = 1;
    answer_to(operation(QUO_METHOD_GET), res);
    assert_int_equal(answer.status, 503);
    assert_string_equal(header("retry-after"), "1");
    assert_true(body_has("\"need\":2"));
    assert_true(body_has("\"got\":1"));
    assert_null(strstr(header("consistency-receipt"), "level="));
    assert_non_null(strstr(header("consistency-receipt"), "asked=strong"));
    res.verdict = QUO_VERDICT_TIMEOUT;
    res.elapsed_us = 250123;
    {
        struct quo_operation op = operation(QUO_METHOD_GET);

        quo_answer_data(&op, &res, map, &facts, &answer);
    }
    assert_int_equal(answer.status, 504);
    assert_true(body_has("strong needs 2 of 3 replicas; 1 answered within 250 ms"));
    assert_true(body_has("\"outcome\":\"not-applied\""));
}

static void a_late_read_has_no_operation(void **state)
{
    struct quo_response res = response(QUO_VERDICT_TIMEOUT);

    (void)state;
    answer_to(operation(QUO_METHOD_GET), res);
    assert_int_equal(answer.status, 504);
    assert_null(header("link"));
    /* Nor has a blind write that had no version yet. */
    res.receipt.version = QUO_VERSION_NONE;
    answer_to(operation(QUO_METHOD_PUT), res);
    assert_int_equal(answer.status, 504);
    assert_null(header("link"));
    assert_false(body_has("\"operation\""));
}

static void receipts_say_what_the_replicas_showed(void **state)
{
    static const char read[] =
        "level=strong, asked=strong, n=3, r=2, replies=2, acks=2, disk=1, rtt=1, "
        "version=\"0000000000000a000000000000000b00\", stable, repaired=?0, epoch=7, "
        "replicas=(\"node-2\" \"0000000000000063\")";
    static const char write[] =
        "level=strong, asked=strong, n=3, w=2, dw=2, replies=2, acks=2, disk=1, rtt=1, hedges=3, "
        "version=\"0000000000000a000000000000000b00\", stable=?0, epoch=7, "
        "replicas=(\"node-2\" \"0000000000000063\")";
    struct quo_operation op = operation(QUO_METHOD_GET);
    struct quo_response res = response(QUO_VERDICT_FOUND);
    char out[QUO_RECEIPT_MAX];
    size_t len;

    (void)state;
    len = quo_receipt_format(&res, &op.consistency, false, map, out);
    assert_int_equal(len, sizeof read - 1);
    assert_memory_equal(out, read, len);
    res.receipt.hedges = 3;
    res.receipt.stable = false;
    len = quo_receipt_format(&res, &op.consistency, true, map, out);
    assert_int_equal(len, sizeof write - 1);
    assert_memory_equal(out, write, len);
}

static void receipts_tell_that_something_newer_was_there(void **state)
{
    struct quo_operation op = operation(QUO_METHOD_PUT);
    struct quo_response res = response(QUO_VERDICT_WRITTEN);

    (void)state;
    answer_to(op, res);
    assert_null(strstr(header("consistency-receipt"), "superseded"));
    res.receipt.superseded = true;
    answer_to(op, res);
    assert_non_null(strstr(header("consistency-receipt"), ", superseded, "));
}

static void receipts_tell_replicas_from_those_who_stand_in(void **state)
{
    struct quo_operation op = operation(QUO_METHOD_PUT);
    struct quo_response res = response(QUO_VERDICT_WRITTEN);

    (void)state;
    op.consistency = (struct quo_consistency){
        .level = QUO_LEVEL_EVENTUAL, .sloppy = true, .n = 3, .w = 2, .dw = 2};
    res.receipt.level = QUO_LEVEL_EVENTUAL;
    res.receipt.acks = 1;
    res.receipt.hints = 1;
    res.receipt.sloppy = true;
    answer_to(op, res);
    assert_non_null(strstr(header("consistency-receipt"),
                           "w=2, dw=2, replies=2, acks=1, disk=1, sloppy, hints=1, rtt=1"));
    res.receipt.hints = 0;
    res.receipt.sloppy = false;
    answer_to(op, res);
    assert_non_null(strstr(header("consistency-receipt"), "disk=1, sloppy=?0, hints=0, rtt=1"));
    op.consistency.sloppy = false;
    answer_to(op, res);
    assert_null(strstr(header("consistency-receipt"), "sloppy"));
    assert_null(strstr(header("consistency-receipt"), "hints"));
}

static void the_longest_receipt_fits(void **state)
{
    struct quo_operation op = operation(QUO_METHOD_GET);
    struct quo_response res = response(QUO_VERDICT_FOUND);
    static const uint8_t long_key[QUO_KEY_MAX];
    char out[QUO_RECEIPT_MAX], id[QUO_REQUEST_ID_MAX + 1];
    struct quo_answer_facts long_facts = {.request_id = id, .total_us = UINT64_MAX};

    (void)state;
    memset(id, 'i', sizeof id);
    id[QUO_REQUEST_ID_MAX] = 0;
    memset(map->nodes[0].name, 'n', QUO_NAME_MAX);
    memset(&res.receipt.replies, 0xff, 1);
    res.receipt.acks = res.receipt.disk = res.receipt.round_trips = res.receipt.hedges = 255;
    res.receipt.epoch = UINT32_MAX;
    res.receipt.stable = false;
    res.receipt.hints = 255;
    op.consistency.sloppy = true;
    res.elapsed_us = UINT64_MAX;
    for (size_t i = 0; i < QUO_COUNT(res.receipt.answered); i++)
        res.receipt.answered[i] = 11;
    assert_true(quo_receipt_format(&res, &op.consistency, true, map, out) < sizeof out);
    quo_answer_data(&op, &res, map, &long_facts, &answer);
    op = operation(QUO_METHOD_PUT);
    op.key = quo_slice(long_key, sizeof long_key);
    res.is_consensus = true;
    res.since = 1;
    res.verdict = QUO_VERDICT_TIMEOUT;
    res.outcome = QUO_UNKNOWN;
    quo_answer_data(&op, &res, map, &long_facts, &answer);
    assert_int_equal(answer.status, 504);
    res.verdict = QUO_VERDICT_WRITTEN;
    op.prefers_representation = true;
    res.change.changed = res.record.changed;
    res.change.replayed = true;
    quo_answer_data(&op, &res, map, &long_facts, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(header("content-location"), "%00%00"));
    snprintf(map->nodes[0].name, sizeof map->nodes[0].name, "node-1");
}

static void problems_and_options_list_methods(void **state)
{
    struct quo_problem problem;

    (void)state;
    quo_problem_set(&problem, QUO_PROBLEM_METHOD_NOT_ALLOWED, "x");
    quo_answer_problem(&problem, QUO_METHOD_GET | QUO_METHOD_OPTIONS, &facts, &answer);
    assert_int_equal(answer.status, 405);
    assert_string_equal(header("allow"), "GET, OPTIONS");
    assert_string_equal(header("content-type"), "application/problem+json");
    assert_string_equal(header("server-timing"), "total;dur=1234.567");
    quo_problem_set(&problem, QUO_PROBLEM_BAD_KEY, "x");
    quo_answer_problem(&problem, 0, &facts, &answer);
    assert_null(header("allow"));
    assert_null(header("accept-patch"));
    quo_problem_set(&problem, QUO_PROBLEM_PATCH_TYPE_UNSUPPORTED, "x");
    quo_answer_problem(&problem, 0, &facts, &answer);
    assert_int_equal(answer.status, 415);
    assert_string_equal(header("accept-patch"), "application/merge-patch+json");
    quo_answer_options(QUO_METHOD_PUT, &facts, &answer);
    assert_int_equal(answer.status, 204);
    assert_string_equal(header("allow"), "PUT");
    assert_null(header("accept-patch"));
    quo_answer_options(QUO_METHOD_PATCH, &facts, &answer);
    assert_string_equal(header("accept-patch"), "application/merge-patch+json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_given_as_it_was_stored),
        cmocka_unit_test(what_a_value_has_to_live_is_told),
        cmocka_unit_test(a_settled_value_keeps_its_tag),
        cmocka_unit_test(a_write_has_a_tag_and_no_body),
        cmocka_unit_test(conditions_of_reads_are_kept),
        cmocka_unit_test(absence_is_told_at_its_level),
        cmocka_unit_test(refusals_have_their_status),
        cmocka_unit_test(shortages_are_counted),
        cmocka_unit_test(a_late_read_has_no_operation),
        cmocka_unit_test(receipts_say_what_the_replicas_showed),
        cmocka_unit_test(receipts_tell_that_something_newer_was_there),
        cmocka_unit_test(receipts_tell_replicas_from_those_who_stand_in),
        cmocka_unit_test(the_longest_receipt_fits),
        cmocka_unit_test(problems_and_options_list_methods),
    };

    return cmocka_run_group_tests(tests, make_map, free_map);
}
