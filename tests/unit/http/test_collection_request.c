#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/collection_request.h"
#include "tests/unit/http/header_lines.h"

#define ID "0192f0000000000a000000000000000b"

static struct quo_map *map;
static struct quo_wish wish;
static struct quo_problem problem;

static int make_map(void **state)
{
    (void)state;
    map = calloc(1, sizeof *map);
    if (map == NULL)
        return 1;
    map->partition_count = 8;
    map->namespace_count = 2;
    for (uint32_t i = 0; i < 2; i++)
        map->namespaces[i] = (struct quo_namespace){.id = i + 1,
                                                    .kind = i == 0 ? QUO_KIND_CRDT : QUO_KIND_MIXED,
                                                    .n = 3,
                                                    .rs = 2,
                                                    .ws = 2,
                                                    .read_level = QUO_LEVEL_STRONG,
                                                    .write_level = QUO_LEVEL_EVENTUAL,
                                                    .timeout_ms = 1000,
                                                    .value_max = 1000};
    snprintf(map->namespaces[0].name, QUO_NAME_MAX, "social");
    snprintf(map->namespaces[1].name, QUO_NAME_MAX, "default");
    return 0;
}

static int free_map(void **state)
{
    (void)state;
    free(map);
    return 0;
}

static bool parse(const char *method, const char *target, const char *headers, const char *body)
{
    struct quo_http_header list[4];
    struct quo_http_request request = {
        .method = quo_slice_of(method),
        .target = quo_slice_of(target),
        .headers = list,
        .header_count = split_headers(headers, list),
        .body = quo_slice_of(body),
    };

    problem.type = QUO_PROBLEM_NONE;
    return quo_request_parse(&request, map, &wish, &problem);
}

static void pages_of_timelines(void **state)
{
    (void)state;
    assert_true(parse("GET", "/v1/timelines/social/a%2Fb", NULL, ""));
    assert_int_equal(wish.route, QUO_ROUTE_TIMELINE);
    assert_int_equal(quo_route_collection(wish.route), QUO_COLLECTION_TIMELINE);
    assert_true(quo_slice_equal(quo_slice(wish.key, wish.key_len), quo_slice_of("a/b")));
    assert_int_equal(wish.limit, QUO_PAGE_DEFAULT);
    assert_true(quo_version_is_none(wish.before));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_QUORUM);
    assert_int_equal(wish.rest_len, 0);
    assert_true(parse("GET", "/v1/timelines/social/a?level=all&limit=7&before=" ID "&timeout=2s",
                      NULL, ""));
    assert_int_equal(wish.limit, 7);
    assert_int_equal(wish.consistency.level, QUO_LEVEL_ALL);
    assert_int_equal(wish.consistency.r, 3);
    assert_int_equal(wish.consistency.timeout_ms, 2000);
    assert_true(wish.before.node == 11);
    assert_true(
        quo_slice_equal(quo_slice(wish.rest, wish.rest_len), quo_slice_of("level=all&timeout=2s")));
}

static void appends(void **state)
{
    uint64_t digest;
    (void)state;

    assert_true(parse("POST", "/v1/timelines/social/a?level=strong&ttl=1h",
                      "content-type: text/plain", "hello"));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_STRONG);
    assert_true(quo_slice_equal(wish.content_type, quo_slice_of("text/plain")));
    assert_true(wish.ask.ttl_ms == 3600000);
    assert_false(wish.has_key);
    assert_true(parse("POST", "/v1/timelines/social/a", "idempotency-key: \"k\"", "hello"));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_EVENTUAL);
    assert_true(wish.has_key);
    assert_true(quo_opid_is_keyed(&wish.opid));
    digest = wish.digest;
    /* Whatever is appended is part of it. */
    assert_true(parse("POST", "/v1/timelines/social/a", "idempotency-key: \"k\"", "hello"));
    assert_true(wish.digest == digest);
    assert_true(parse("POST", "/v1/timelines/social/a", "idempotency-key: \"k\"", "hellp"));
    assert_true(wish.digest != digest);
    assert_true(parse("POST", "/v1/timelines/social/a?ttl=1s", "idempotency-key: \"k\"", "hello"));
    assert_true(wish.digest != digest);
    assert_true(parse("POST", "/v1/timelines/social/a", "idempotency-key: \"k\"\ncontent-type: a/b",
                      "hello"));
    assert_true(wish.digest != digest);
}

static void entries_and_elements(void **state)
{
    (void)state;
    assert_true(parse("GET", "/v1/timelines/social/a/entries/" ID "?r=1", NULL, ""));
    assert_int_equal(wish.route, QUO_ROUTE_ENTRY);
    assert_false(wish.entry.is_keyed);
    assert_int_equal(wish.consistency.level, QUO_LEVEL_EVENTUAL);
    assert_true(parse("DELETE", "/v1/timelines/social/a/entries/" ID ID, NULL, ""));
    assert_true(wish.entry.is_keyed);
    assert_true(parse("GET", "/v1/sets/social/s/elements/x%3Aadd%00", NULL, ""));
    assert_int_equal(wish.route, QUO_ROUTE_ELEMENT);
    assert_int_equal(quo_route_collection(wish.route), QUO_COLLECTION_SET);
    assert_true(
        quo_slice_equal(quo_slice(wish.element, wish.element_len), quo_slice("x:add\0", 6)));
    assert_true(parse("POST", "/v1/sets/social/s:add", NULL, "{}"));
    assert_int_equal(wish.route, QUO_ROUTE_SET_ADD);
    assert_true(parse("POST", "/v1/sets/social/s:remove?w=2&dw=0", NULL, "{}"));
    assert_int_equal(wish.route, QUO_ROUTE_SET_REMOVE);
    assert_true(parse("GET", "/v1/sets/social/s", NULL, ""));
    assert_int_equal(wish.route, QUO_ROUTE_SET);
}

static void a_cursor_is_read_back(void **state)
{
    char target[64 + QUO_SET_CURSOR_MAX], text[QUO_SET_CURSOR_MAX + 1];
    const struct quo_slice tail = quo_slice("\0\1abc", 5);
    (void)state;

    quo_set_cursor_format(1, quo_slice_of("s"), tail, text);
    snprintf(target, sizeof target, "/v1/sets/social/s?cursor=%s", text);
    assert_true(parse("GET", target, NULL, ""));
    assert_true(quo_slice_equal(quo_slice(wish.after, wish.after_len), tail));
    snprintf(target, sizeof target, "/v1/sets/social/t?cursor=%s", text);
    assert_false(parse("GET", target, NULL, ""));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_QUERY);
}

static void what_means_nothing_is_refused(void **state)
{
    static const struct {
        const char *method, *target, *headers;
        enum quo_problem_type type;
    } rows[] = {
        {"GET", "/v1/timelines/default/a", NULL, QUO_PROBLEM_KIND_MISMATCH},
        {"GET", "/v1/sets/default/a", NULL, QUO_PROBLEM_KIND_MISMATCH},
        {"GET", "/v1/timelines/nowhere/a", NULL, QUO_PROBLEM_NAMESPACE_NOT_FOUND},
        {"GET", "/v1/timelines/social/", NULL, QUO_PROBLEM_BAD_KEY},
        {"GET", "/v1/timelines/social/a?level=strong", NULL, QUO_PROBLEM_BAD_CONSISTENCY},
        {"GET", "/v1/timelines/social/a?level=session", NULL, QUO_PROBLEM_BAD_CONSISTENCY},
        {"GET", "/v1/timelines/social/a?cursor=00", NULL, QUO_PROBLEM_BAD_QUERY},
        {"GET", "/v1/timelines/social/a?before=00", NULL, QUO_PROBLEM_BAD_QUERY},
        {"GET", "/v1/timelines/social/a?limit=0", NULL, QUO_PROBLEM_BAD_QUERY},
        {"GET", "/v1/timelines/social/a?ttl=1s", NULL, QUO_PROBLEM_BAD_QUERY},
        {"POST", "/v1/timelines/social/a?limit=1", NULL, QUO_PROBLEM_BAD_QUERY},
        {"POST", "/v1/timelines/social/a", "if-match: *", QUO_PROBLEM_KIND_MISMATCH},
        {"POST", "/v1/timelines/social/a", "content-encoding: gzip",
         QUO_PROBLEM_ENCODING_UNSUPPORTED},
        {"GET", "/v1/timelines/social/a/entries/12", NULL, QUO_PROBLEM_NOT_FOUND},
        {"DELETE", "/v1/timelines/social/a/entries/" ID, "idempotency-key: \"k\"",
         QUO_PROBLEM_KIND_MISMATCH},
        {"PUT", "/v1/timelines/social/a", NULL, QUO_PROBLEM_METHOD_NOT_ALLOWED},
        {"POST", "/v1/sets/social/s:add", "idempotency-key: \"k\"", QUO_PROBLEM_KIND_MISMATCH},
        {"POST", "/v1/sets/social/s:add", "content-type: text/plain",
         QUO_PROBLEM_BODY_TYPE_UNSUPPORTED},
        {"POST", "/v1/sets/social/s:add?ttl=1s", NULL, QUO_PROBLEM_BAD_QUERY},
        {"GET", "/v1/sets/social/s/elements/", NULL, QUO_PROBLEM_BAD_KEY},
        {"GET", "/v1/sets/social/s/elements/%zz", NULL, QUO_PROBLEM_BAD_KEY},
        {"GET", "/v1/sets/social/s?before=" ID, NULL, QUO_PROBLEM_BAD_QUERY},
        {"GET", "/v1/sets/social/s?cursor=0011", NULL, QUO_PROBLEM_BAD_QUERY},
        {"POST", "/v1/sets/social/s:remove?level=bounded&max-stale=1s", NULL,
         QUO_PROBLEM_BAD_CONSISTENCY},
    };
    (void)state;

    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (parse(rows[i].method, rows[i].target, rows[i].headers, "x"))
            fail_msg("taken: %s %s", rows[i].method, rows[i].target);
        if (problem.type != rows[i].type)
            fail_msg("%s %s: %s", rows[i].method, rows[i].target, problem.detail);
    }
}

static void names_have_a_limit(void **state)
{
    char target[64 + QUO_COLLECTION_NAME_MAX + 2];
    (void)state;

    for (size_t len = QUO_COLLECTION_NAME_MAX; len <= QUO_COLLECTION_NAME_MAX + 1; len++) {
        const int at = snprintf(target, sizeof target, "/v1/timelines/social/");
        memset(target + at, 'x', len);
        target[(size_t)at + len] = 0;
        assert_int_equal(parse("GET", target, NULL, ""), len == QUO_COLLECTION_NAME_MAX);
    }
    assert_int_equal(problem.type, QUO_PROBLEM_KEY_TOO_LONG);
    const int at = snprintf(target, sizeof target, "/v1/sets/social/s/elements/");
    memset(target + at, 'x', QUO_ELEMENT_MAX + 1);
    target[at + (int)QUO_ELEMENT_MAX + 1] = 0;
    assert_false(parse("GET", target, NULL, ""));
    assert_int_equal(problem.type, QUO_PROBLEM_KEY_TOO_LONG);
    assert_int_equal(problem.actual, QUO_ELEMENT_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_timelines),
        cmocka_unit_test(appends),
        cmocka_unit_test(entries_and_elements),
        cmocka_unit_test(a_cursor_is_read_back),
        cmocka_unit_test(what_means_nothing_is_refused),
        cmocka_unit_test(names_have_a_limit),
    };
    return cmocka_run_group_tests(tests, make_map, free_map);
}
