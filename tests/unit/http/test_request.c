#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/http/request.h"
#include "tests/unit/http/header_lines.h"

enum { HEADERS_MAX = 8 };

static struct quo_map *map;

static int make_map(void **state)
{
    static const struct quo_namespace names[] = {
        {.id = 1, .name = "default", .kind = QUO_KIND_LWW, .value_max = 1000},
        {.id = 2, .name = "bank", .kind = QUO_KIND_CAS, .value_max = 10},
        {.id = 3, .name = "mixed", .kind = QUO_KIND_MIXED, .value_max = 1000},
        {.id = 4, .name = "social", .kind = QUO_KIND_CRDT, .value_max = 1000},
        {.id = 5,
         .name = "strict",
         .kind = QUO_KIND_CAS,
         .value_max = 1000,
         .require_idempotency_key = true},
        {.id = 6,
         .name = "lazy",
         .kind = QUO_KIND_MIXED,
         .value_max = 1000,
         .read_level = QUO_LEVEL_EVENTUAL,
         .write_level = QUO_LEVEL_EVENTUAL},
    };

    (void)state;
    map = calloc(1, sizeof *map);
    map->namespace_count = QUO_COUNT(names);
    for (size_t i = 0; i < QUO_COUNT(names); i++) {
        map->namespaces[i] = names[i];
        map->namespaces[i].n = 3;
        map->namespaces[i].rs = map->namespaces[i].ws = 2;
        if (names[i].read_level == 0)
            map->namespaces[i].read_level = map->namespaces[i].write_level = QUO_LEVEL_STRONG;
        map->namespaces[i].timeout_ms = 1000;
        map->namespaces[i].retention_s = QUO_RETENTION_DEFAULT_S;
    }
    return map == NULL;
}

static int free_map(void **state)
{
    (void)state;
    free(map);
    return 0;
}

static bool parse_body(const char *method, const char *target, const char *headers,
                       struct quo_slice body, struct quo_wish *ret, struct quo_problem *problem)
{
    struct quo_http_header list[HEADERS_MAX];
    struct quo_http_request request = {
        .method = quo_slice_of(method),
        .target = quo_slice_of(target),
        .headers = list,
        .header_count = split_headers(headers, list),
        .body = body,
    };

    problem->type = QUO_PROBLEM_NONE;
    return quo_request_parse(&request, map, ret, problem);
}

static bool parse(const char *method, const char *target, const char *headers, size_t body_len,
                  struct quo_wish *ret, struct quo_problem *problem)
{
    static const uint8_t zeros[8192];

    assert_true(body_len <= sizeof zeros);
    return parse_body(method, target, headers, quo_slice(zeros, body_len), ret, problem);
}

static void pages_have_their_slug(void **state)
{
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    assert_true(parse("GET", "/problems/a-b?x=1", NULL, 0, &wish, &problem));
    assert_int_equal(wish.route, QUO_ROUTE_PROBLEM);
    assert_true(quo_slice_equal(wish.slug, quo_slice_of("a-b")));
    assert_true(parse("GET", "/rels/operation", NULL, 0, &wish, &problem));
    assert_true(quo_slice_equal(wish.slug, quo_slice_of("operation")));
}

static void keys_are_taken_raw(void **state)
{
    static const struct {
        const char *target, *key;
        size_t len;
    } rows[] = {
        {"/v1/kv/default/a%2Fb", "a/b", 3},       {"/v1/kv/default/%00", "\0", 1},
        {"/v1/kv/default/..", "..", 2},           {"/v1/kv/default/.", ".", 1},
        {"/v1/kv/default/%2e%2e%2F", "../", 3},   {"/v1/kv/default/%3F?r=2", "?", 1},
        {"/v1/kv/default/a+b&c=d", "a+b&c=d", 7}, {"/v1/kv/default/%25", "%", 1},
    };
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        assert_true(parse("GET", rows[i].target, NULL, 0, &wish, &problem));
        assert_int_equal(wish.key_len, rows[i].len);
        assert_memory_equal(wish.key, rows[i].key, wish.key_len);
        assert_string_equal(wish.ns->name, "default");
    }
}

static void what_is_wrong_has_its_problem(void **state)
{
    static const struct {
        const char *method, *target, *headers;
        size_t body_len;
        enum quo_problem_type type;
        const char *word;
    } rows[] = {
        {"GET", "", NULL, 0, QUO_PROBLEM_NOT_FOUND, "\"\""},
        {"GET", "*", NULL, 0, QUO_PROBLEM_NOT_FOUND, "*"},
        {"GET", "//", NULL, 0, QUO_PROBLEM_NOT_FOUND, "//"},
        {"GET", "/livez/", NULL, 0, QUO_PROBLEM_NOT_FOUND, "/livez/"},
        {"GET", "/v1/kv", NULL, 0, QUO_PROBLEM_NOT_FOUND, "/v1"},
        {"GET", "/v1/kv/", NULL, 0, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "\"\""},
        {"GET", "/v1/kv//k", NULL, 0, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "\"\""},
        {"GET", "/v1/kv/defualt/k", NULL, 0, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "\"defualt\""},
        {"GET", "/v1/kv/default%00/k", NULL, 0, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "default%00"},
        {"GET", "/v1/kv/default/", NULL, 0, QUO_PROBLEM_BAD_KEY, "empty"},
        {"GET", "/v1/kv/default/?level=strong", NULL, 0, QUO_PROBLEM_BAD_KEY, "empty"},
        {"GET", "/v1/kv/default/a/b", NULL, 0, QUO_PROBLEM_BAD_KEY, "'/' at offset 1"},
        {"POST", "/v1/counters/bank/a/b:add", NULL, 0, QUO_PROBLEM_BAD_KEY, "'/' at offset 1"},
        {"POST", "/v1/counters/bank/:add", NULL, 0, QUO_PROBLEM_BAD_KEY, "empty"},
        {"POST", "/v1/counters/bank/k", NULL, 0, QUO_PROBLEM_METHOD_NOT_ALLOWED,
         "GET, HEAD, OPTIONS"},
        {"GET", "/v1/counters/bank/", NULL, 0, QUO_PROBLEM_BAD_KEY, "empty"},
        {"GET", "/v1/counters/bank/k:add", NULL, 0, QUO_PROBLEM_METHOD_NOT_ALLOWED,
         "POST, OPTIONS"},
        {"GET", "/v1/kv/bank/k/operations/x:resolve", NULL, 0, QUO_PROBLEM_METHOD_NOT_ALLOWED,
         "POST, OPTIONS"},
        {"GET", "/v1/kv/bank/k/operations/", NULL, 0, QUO_PROBLEM_NOT_FOUND, "\"\""},
        {"GET", "/v1/kv/bank/k/operations/abc", NULL, 0, QUO_PROBLEM_NOT_FOUND, "\"abc\""},
        {"GET", "/v1/kv/bank//operations/abc", NULL, 0, QUO_PROBLEM_BAD_KEY, "empty"},
        {"GET", "/v1/kv/default/ab%4", NULL, 0, QUO_PROBLEM_BAD_KEY, "offset 2"},
        {"POST", "/v1/kv/default/k", NULL, 0, QUO_PROBLEM_METHOD_NOT_ALLOWED, "\"POST\""},
        {"get", "/livez", NULL, 0, QUO_PROBLEM_METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS"},
        {"PUT", "/metrics", NULL, 0, QUO_PROBLEM_METHOD_NOT_ALLOWED, "PUT"},
        {"GET", "/v1/kv/default/k?level=x", NULL, 0, QUO_PROBLEM_BAD_CONSISTENCY, "\"x\""},
        {"GET", "/v1/kv/default/k?r=9", NULL, 0, QUO_PROBLEM_BAD_CONSISTENCY, "9"},
        {"GET", "/v1/kv/default/k?x=1", NULL, 0, QUO_PROBLEM_BAD_QUERY, "\"x\""},
        {"GET", "/v1/kv/default/k?level=all", "consistency: strong", 0, QUO_PROBLEM_BAD_CONSISTENCY,
         "different"},
        {"GET", "/v1/kv/default/k", "consistency: strong\nconsistency: strong", 0,
         QUO_PROBLEM_BAD_HEADER, "twice"},
        {"GET", "/v1/kv/default/k", "consistency: ", 0, QUO_PROBLEM_BAD_HEADER, "offset"},
        {"PUT", "/v1/kv/default/k", "if-unmodified-since: x", 0, QUO_PROBLEM_BAD_HEADER,
         "if-unmodified-since"},
        {"PUT", "/v1/kv/bank/k", "if-match: x", 0, QUO_PROBLEM_BAD_HEADER, "If-Match"},
        {"PUT", "/v1/kv/bank/k", "idempotency-key: a b", 0, QUO_PROBLEM_BAD_HEADER,
         "Idempotency-Key"},
        {"PUT", "/v1/kv/default/k", "content-encoding: gzip", 0, QUO_PROBLEM_ENCODING_UNSUPPORTED,
         "gzip"},
        {"PUT", "/v1/kv/default/k", "content-range: bytes 0-1/2", 0, QUO_PROBLEM_BAD_HEADER,
         "Content-Range"},
        {"PUT", "/v1/kv/default/k", "content-type: a\x01", 0, QUO_PROBLEM_BAD_HEADER, "control"},
        {"PUT", "/v1/kv/default/k", NULL, 1001, QUO_PROBLEM_VALUE_TOO_LARGE,
         "1001 bytes; namespace default allows at most 1000"},
        {"PUT", "/v1/kv/bank/k", NULL, 11, QUO_PROBLEM_VALUE_TOO_LARGE, "at most 10"},
    };
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (parse(rows[i].method, rows[i].target, rows[i].headers, rows[i].body_len, &wish,
                  &problem))
            fail_msg("accepted: %s %s", rows[i].method, rows[i].target);
        if (problem.type != rows[i].type || strstr(problem.detail, rows[i].word) == NULL)
            fail_msg("%s %s: %d %s", rows[i].method, rows[i].target, problem.type, problem.detail);
        assert_int_equal(problem.outcome, QUO_NOT_APPLIED);
    }
}

static void key_of(char *out, size_t len)
{
    int at = snprintf(out, 32, "/v1/kv/default/");

    memset(out + at, 'k', len);
    out[(size_t)at + len] = 0;
}

static void limits_are_named_and_exact(void **state)
{
    static char target[QUO_KEY_MAX * 3 + 64], long_value[QUO_HTTP_HEADERS_MAX + 64];
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    key_of(target, QUO_KEY_MAX);
    assert_true(parse("GET", target, NULL, 0, &wish, &problem));
    assert_int_equal(wish.key_len, QUO_KEY_MAX);
    key_of(target, QUO_KEY_MAX + 1);
    assert_false(parse("GET", target, NULL, 0, &wish, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_KEY_TOO_LONG);
    assert_int_equal(problem.limit, QUO_KEY_MAX);
    assert_int_equal(problem.actual, QUO_KEY_MAX + 1);
    /* Encoded bytes count once. */
    key_of(target, 0);
    for (size_t i = 0; i < QUO_KEY_MAX; i++)
        memcpy(target + 15 + i * 3, "%00", 4);
    assert_true(parse("GET", target, NULL, 0, &wish, &problem));
    assert_int_equal(wish.key_len, QUO_KEY_MAX);

    assert_true(parse("PUT", "/v1/kv/default/k", NULL, 1000, &wish, &problem));
    assert_false(parse("PUT", "/v1/kv/default/k", NULL, 1001, &wish, &problem));
    assert_int_equal(problem.limit, 1000);
    assert_int_equal(problem.actual, 1001);

    snprintf(long_value, sizeof long_value, "content-type: %0*d", (int)QUO_CONTENT_TYPE_MAX, 0);
    assert_true(parse("PUT", "/v1/kv/default/k", long_value, 0, &wish, &problem));
    assert_int_equal(wish.content_type.len, QUO_CONTENT_TYPE_MAX);
    snprintf(long_value, sizeof long_value, "content-type: %0*d", (int)QUO_CONTENT_TYPE_MAX + 1, 0);
    assert_false(parse("PUT", "/v1/kv/default/k", long_value, 0, &wish, &problem));
    assert_int_equal(problem.limit, QUO_CONTENT_TYPE_MAX);

    snprintf(long_value, sizeof long_value, "x: %0*d", (int)QUO_HTTP_HEADERS_MAX - 1, 0);
    assert_true(parse("GET", "/livez", long_value, 0, &wish, &problem));
    snprintf(long_value, sizeof long_value, "x: %0*d", (int)QUO_HTTP_HEADERS_MAX, 0);
    assert_false(parse("GET", "/livez", long_value, 0, &wish, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_HEADERS_TOO_LARGE);
    assert_int_equal(problem.actual, QUO_HTTP_HEADERS_MAX + 1);
}

static void consistency_comes_from_query_header_or_namespace(void **state)
{
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    assert_true(parse("GET", "/v1/kv/default/k", NULL, 0, &wish, &problem));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_STRONG);
    assert_int_equal(wish.consistency.timeout_ms, 1000);
    assert_true(parse("GET", "/v1/kv/default/k?timeout=5", NULL, 0, &wish, &problem));
    assert_int_equal(wish.consistency.timeout_ms, 5);
    assert_true(parse("PUT", "/v1/kv/default/k", "consistency: eventual", 0, &wish, &problem));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_EVENTUAL);
    assert_int_equal(wish.consistency.w, 1);
    assert_true(parse("PUT", "/v1/kv/default/k?level=all", "consistency: all", 0, &wish, &problem));
    assert_int_equal(wish.consistency.w, 3);
}

/* What must be consensus is, and the answer will say so; anything else is as eventual. */
static void a_write_of_a_session_is_as_strong_as_it_must_be(void **state)
{
    static const struct {
        const char *method, *target, *headers;
        bool strong;
        int w;
    } rows[] = {
        {"PUT", "/v1/kv/default/k?level=session", NULL, false, 1},
        {"PUT", "/v1/kv/default/k?level=session&w=3", NULL, false, 3},
        {"PUT", "/v1/kv/lazy/k?level=session", "if-match: *", true, 2},
        {"PUT", "/v1/kv/lazy/k", "consistency: session\nidempotency-key: a", true, 2},
        {"PUT", "/v1/kv/bank/k?level=session", NULL, true, 2},
        {"DELETE", "/v1/kv/bank/k?level=session&w=3", NULL, true, 3},
    };
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (!parse(rows[i].method, rows[i].target, rows[i].headers, 0, &wish, &problem))
            fail_msg("row %zu: %s", i, problem.detail);
        assert_int_equal(wish.consistency.level, QUO_LEVEL_SESSION);
        assert_int_equal(wish.consistency.strong, rows[i].strong);
        assert_int_equal(wish.consistency.w, rows[i].w);
        assert_int_equal(wish.consistency.dw, rows[i].w);
    }
    assert_false(parse("PUT", "/v1/kv/bank/k?level=session&w=1", NULL, 0, &wish, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_CONSISTENCY);
    assert_false(parse("PUT", "/v1/kv/default/k?level=session&dw=0", NULL, 0, &wish, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_CONSISTENCY);
    assert_true(parse("GET", "/v1/kv/bank/k?level=session", NULL, 0, &wish, &problem));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_SESSION);
    assert_int_equal(wish.consistency.r, 1);
    assert_false(wish.consistency.strong);
}

static void conditions_are_for_reads_and_types_for_writes(void **state)
{
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    assert_true(parse("GET", "/v1/kv/default/k", "if-match: \"x\"\nif-none-match: \"y\"\nrange: x",
                      0, &wish, &problem));
    assert_true(parse("HEAD", "/v1/kv/default/k", "idempotency-key: x", 0, &wish, &problem));
    assert_true(parse("PUT", "/v1/kv/bank/k", "idempotency-key: x", 0, &wish, &problem));
    assert_true(parse("PUT", "/v1/kv/default/k",
                      "content-encoding: identity\ncontent-type: a/b; c=\"d\t\xc3\xa9\"", 5, &wish,
                      &problem));
    assert_true(quo_slice_equal(wish.content_type, quo_slice_of("a/b; c=\"d\t\xc3\xa9\"")));
    assert_true(parse("DELETE", "/v1/kv/default/k", "content-type: x", 5000, &wish, &problem));
    assert_int_equal(wish.content_type.len, 0);
}

static void options_are_answered_everywhere(void **state)
{
    char list[QUO_ALLOW_MAX];
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    assert_true(parse("OPTIONS", "*", NULL, 0, &wish, &problem));
    quo_methods_format(wish.allowed, list);
    assert_string_equal(list, "GET, HEAD, PUT, DELETE, PATCH, POST, OPTIONS");
    assert_true(parse("OPTIONS", "/livez", NULL, 0, &wish, &problem));
    quo_methods_format(wish.allowed, list);
    assert_string_equal(list, "GET, HEAD, OPTIONS");
    /* Not even the key is looked at. */
    assert_true(parse("OPTIONS", "/v1/kv/nowhere/%", NULL, 0, &wish, &problem));
    assert_false(parse("OPTIONS", "/nowhere", NULL, 0, &wish, &problem));
}

static void request_ids_are_tokens(void **state)
{
    char id[QUO_REQUEST_ID_MAX + 2];

    (void)state;
    memset(id, 'a', sizeof id);
    assert_true(quo_request_id_usable(quo_slice(id, QUO_REQUEST_ID_MAX)));
    assert_false(quo_request_id_usable(quo_slice(id, QUO_REQUEST_ID_MAX + 1)));
    assert_true(quo_request_id_usable(quo_slice_of("0aZ!#$%&'*+-.^_`|~9")));
    assert_false(quo_request_id_usable(quo_slice_of("")));
    for (int c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        bool token = c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;

        assert_true(quo_request_id_usable(quo_slice(&byte, 1)) == token);
    }
}

/* The operation ids of a write in mixed, and of a blind one. */
#define DECIDED "81112233445566778899aabbccddeeff0190000000000001"
#define BLIND "v0190000000000001000000000000000b"

static void kinds_allow_what_they_can_keep(void **state)
{
    static const char add[] = "{\"by\":1}";
    static const struct {
        const char *method, *target, *headers;
        enum quo_problem_type type; /* NONE: allowed */
        const char *word;
    } rows[] = {
        {"PUT", "/v1/kv/default/k", "if-match: *", QUO_PROBLEM_KIND_MISMATCH, "cas and mixed"},
        {"DELETE", "/v1/kv/social/k", "if-none-match: *", QUO_PROBLEM_KIND_MISMATCH,
         "condition, and namespace social is of kind crdt"},
        {"PUT", "/v1/kv/default/k", "idempotency-key: x", QUO_PROBLEM_KIND_MISMATCH,
         "Idempotency-Key, and namespace default is of kind lww"},
        {"PATCH", "/v1/kv/default/k", "content-type: application/merge-patch+json",
         QUO_PROBLEM_KIND_MISMATCH, "changes the value"},
        {"POST", "/v1/counters/default/k:add", NULL, QUO_PROBLEM_KIND_MISMATCH, "counter"},
        {"GET", "/v1/counters/default/k", NULL, QUO_PROBLEM_KIND_MISMATCH,
         "kind lww, which has no counters"},
        {"GET", "/v1/counters/bank/k", NULL, QUO_PROBLEM_NONE, NULL},
        {"GET", "/v1/counters/social/k", NULL, QUO_PROBLEM_NONE, NULL},
        {"POST", "/v1/counters/social/k:add", NULL, QUO_PROBLEM_NONE, NULL},
        {"POST", "/v1/counters/social/k:add", "idempotency-key: x", QUO_PROBLEM_NONE, NULL},
        {"POST", "/v1/counters/social/k:add", "if-match: *", QUO_PROBLEM_KIND_MISMATCH,
         "has a condition"},
        {"PUT", "/v1/kv/social/k", NULL, QUO_PROBLEM_NONE, NULL},
        {"PUT", "/v1/kv/social/k?level=eventual", NULL, QUO_PROBLEM_NONE, NULL},
        {"PUT", "/v1/kv/bank/k", "if-match: *", QUO_PROBLEM_NONE, NULL},
        {"PUT", "/v1/kv/bank/k?level=all", "idempotency-key: x", QUO_PROBLEM_NONE, NULL},
        {"PUT", "/v1/kv/bank/k?level=eventual", NULL, QUO_PROBLEM_KIND_MISMATCH,
         "of kind cas, where every write goes through consensus; level eventual with w=1 and dw=1 "
         "is below its quorum of 2"},
        {"DELETE", "/v1/kv/bank/k?w=2&dw=1", NULL, QUO_PROBLEM_KIND_MISMATCH, "w=2 and dw=1"},
        {"GET", "/v1/kv/bank/k?level=eventual", NULL, QUO_PROBLEM_NONE, NULL},
        {"PUT", "/v1/kv/mixed/k?level=eventual", NULL, QUO_PROBLEM_NONE, NULL},
        {"PUT", "/v1/kv/mixed/k?w=1", "if-match: *", QUO_PROBLEM_KIND_MISMATCH, "has a condition"},
        {"DELETE", "/v1/kv/mixed/k?level=eventual", "idempotency-key: x", QUO_PROBLEM_KIND_MISMATCH,
         "has an Idempotency-Key"},
        {"POST", "/v1/counters/mixed/k:add?level=eventual", NULL, QUO_PROBLEM_KIND_MISMATCH,
         "adds to a counter, which only consensus can decide, and level eventual"},
        {"POST", "/v1/counters/mixed/k:add", NULL, QUO_PROBLEM_NONE, NULL},
        {"PUT", "/v1/kv/strict/k", NULL, QUO_PROBLEM_IDEMPOTENCY_KEY_REQUIRED, "strict"},
        {"DELETE", "/v1/kv/strict/k", NULL, QUO_PROBLEM_IDEMPOTENCY_KEY_REQUIRED, "strict"},
        {"POST", "/v1/counters/strict/k:add", NULL, QUO_PROBLEM_IDEMPOTENCY_KEY_REQUIRED, "strict"},
        {"POST", "/v1/counters/strict/k:add", "idempotency-key: x", QUO_PROBLEM_NONE, NULL},
        {"GET", "/v1/kv/strict/k", NULL, QUO_PROBLEM_NONE, NULL},
        {"GET", "/v1/kv/bank/k/operations/" DECIDED, NULL, QUO_PROBLEM_NONE, NULL},
        {"GET", "/v1/kv/default/k/operations/" DECIDED, NULL, QUO_PROBLEM_KIND_MISMATCH, "lww"},
        {"GET", "/v1/kv/default/k/operations/" BLIND, NULL, QUO_PROBLEM_NONE, NULL},
        {"POST", "/v1/kv/strict/k/operations/" DECIDED ":resolve", NULL, QUO_PROBLEM_NONE, NULL},
        {"POST", "/v1/kv/mixed/k/operations/" BLIND ":resolve", NULL, QUO_PROBLEM_KIND_MISMATCH,
         "blind"},
        {"POST", "/v1/kv/social/k/operations/" DECIDED ":resolve", NULL, QUO_PROBLEM_KIND_MISMATCH,
         "crdt"},
    };
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        bool understood = parse_body(rows[i].method, rows[i].target, rows[i].headers,
                                     quo_slice_of(add), &wish, &problem);

        if (understood != (rows[i].type == QUO_PROBLEM_NONE) || problem.type != rows[i].type)
            fail_msg("%s %s: %d %s", rows[i].method, rows[i].target, problem.type, problem.detail);
        if (!understood && strstr(problem.detail, rows[i].word) == NULL)
            fail_msg("%s %s: %s", rows[i].method, rows[i].target, problem.detail);
    }
}

static void counters_of_slots_are_asked_for_as_such(void **state)
{
    static const struct {
        const char *method, *target;
        enum quo_level level; /* 0: refused */
        uint8_t r, w, dw;
    } rows[] = {
        {"POST", "/v1/counters/social/k:add", QUO_LEVEL_QUORUM, 0, 2, 2},
        {"POST", "/v1/counters/social/k:add?level=eventual", QUO_LEVEL_EVENTUAL, 0, 1, 1},
        {"POST", "/v1/counters/social/k:add?level=quorum", QUO_LEVEL_QUORUM, 0, 2, 2},
        {"POST", "/v1/counters/social/k:add?level=all", QUO_LEVEL_ALL, 0, 3, 3},
        {"POST", "/v1/counters/social/k:add?w=2", QUO_LEVEL_QUORUM, 0, 2, 2},
        {"POST", "/v1/counters/social/k:add?w=2&dw=1", QUO_LEVEL_EVENTUAL, 0, 2, 1},
        {"POST", "/v1/counters/social/k:add?level=strong", 0, 0, 0, 0},
        {"POST", "/v1/counters/social/k:add?level=session", 0, 0, 0, 0},
        {"POST", "/v1/counters/social/k:add?w=4", 0, 0, 0, 0},
        {"GET", "/v1/counters/social/k", QUO_LEVEL_QUORUM, 2, 0, 0},
        {"GET", "/v1/counters/social/k?level=eventual", QUO_LEVEL_EVENTUAL, 1, 0, 0},
        {"GET", "/v1/counters/social/k?level=all", QUO_LEVEL_ALL, 3, 0, 0},
        {"GET", "/v1/counters/social/k?level=strong", 0, 0, 0, 0},
        {"GET", "/v1/counters/social/k?level=session", 0, 0, 0, 0},
    };
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        const struct quo_consistency *want = &wish.consistency;
        bool understood = parse_body(rows[i].method, rows[i].target, NULL,
                                     quo_slice_of("{\"by\":1}"), &wish, &problem);

        if (understood != (rows[i].level != 0))
            fail_msg("%s: %s", rows[i].target, problem.detail);
        if (!understood) {
            assert_int_equal(problem.type, QUO_PROBLEM_BAD_CONSISTENCY);
            continue;
        }
        if (want->level != rows[i].level || want->r != rows[i].r || want->w != rows[i].w ||
            want->dw != rows[i].dw || want->strong)
            fail_msg("%s: level %d r=%u w=%u dw=%u", rows[i].target, want->level, want->r, want->w,
                     want->dw);
    }
}

static void counters_of_slots_are_submitted_by_prefix(void **state)
{
    char target[3000] = "/v1/counters/social/";
    struct quo_request request;
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    assert_true(parse_body("POST", "/v1/counters/social/hits:add", "idempotency-key: x",
                           quo_slice_of("{\"by\":-5}"), &wish, &problem));
    request = quo_wish_submission(&wish, quo_slice_of("{"));
    assert_int_equal(request.type, QUO_REQUEST_ADD);
    assert_int_equal(request.collection, QUO_COLLECTION_COUNTER);
    assert_true(quo_slice_equal(request.key, quo_slice("\0\4hits", 6)));
    assert_int_equal(request.by, -5);
    assert_true(request.has_opid);
    assert_false(quo_request_is_consensus(&request));
    /* Bounds are of the sum, which nobody holds. */
    assert_false(parse_body("POST", "/v1/counters/social/hits:add", NULL,
                            quo_slice_of("{\"by\":1,\"max\":2}"), &wish, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_KIND_MISMATCH);
    assert_non_null(strstr(problem.detail, "bounds"));
    /* A name fits beside what the slots' keys hold besides it. */
    size_t at = strlen(target);
    memset(target + at, 'x', QUO_COLLECTION_NAME_MAX);
    assert_true(parse("GET", target, NULL, 0, &wish, &problem));
    assert_int_equal(wish.prefix_len, 2 + QUO_COLLECTION_NAME_MAX);
    target[at + QUO_COLLECTION_NAME_MAX] = 'x';
    assert_false(parse("GET", target, NULL, 0, &wish, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_KEY_TOO_LONG);
    assert_int_equal(problem.limit, QUO_COLLECTION_NAME_MAX);
    /* In other kinds a counter is a key. */
    memcpy(target, "/v1/counters/bank///", 20);
    target[18] = target[19] = 'x';
    assert_true(parse("GET", target, NULL, 0, &wish, &problem));
    assert_int_equal(quo_wish_submission(&wish, quo_slice(NULL, 0)).collection,
                     QUO_COLLECTION_NONE);
}

static void values_that_are_written_can_have_a_time_to_live(void **state)
{
    static const struct {
        const char *method, *target;
    } others[] = {
        {"GET", "/v1/kv/default/k?ttl=30s"},
        {"DELETE", "/v1/kv/default/k?ttl=30s"},
        {"POST", "/v1/counters/bank/k:add?ttl=30s"},
        {"GET", "/v1/kv/bank/k/operations/" DECIDED "?ttl=30s"},
    };
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    assert_true(parse("PUT", "/v1/kv/default/k?ttl=30s", NULL, 0, &wish, &problem));
    assert_int_equal(quo_wish_submission(&wish, quo_slice(NULL, 0)).ttl_ms, 30000);
    assert_true(
        parse("PUT", "/v1/kv/default/k?ttl=500ms", "consistency: eventual", 0, &wish, &problem));
    assert_int_equal(quo_wish_submission(&wish, quo_slice(NULL, 0)).ttl_ms, 500);
    assert_int_equal(wish.consistency.level, QUO_LEVEL_EVENTUAL);
    assert_true(parse_body("PATCH", "/v1/kv/bank/k?ttl=1h",
                           "content-type: application/merge-patch+json", quo_slice_of("{}"), &wish,
                           &problem));
    assert_int_equal(quo_wish_submission(&wish, quo_slice_of("{}")).ttl_ms, 3600000);
    for (size_t i = 0; i < QUO_COUNT(others); i++) {
        assert_false(parse(others[i].method, others[i].target, NULL, 0, &wish, &problem));
        assert_int_equal(problem.type, QUO_PROBLEM_BAD_QUERY);
        assert_non_null(strstr(problem.detail, "by PUT or PATCH"));
    }
}

static void what_consensus_decides_is_strong_unless_said(void **state)
{
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    assert_true(parse("PUT", "/v1/kv/lazy/k", NULL, 0, &wish, &problem));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_EVENTUAL);
    assert_true(parse("PUT", "/v1/kv/lazy/k", "if-match: *", 0, &wish, &problem));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_STRONG);
    assert_true(parse("PUT", "/v1/kv/lazy/k?timeout=9", "idempotency-key: x", 0, &wish, &problem));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_STRONG);
    assert_int_equal(wish.consistency.timeout_ms, 9);
    assert_false(parse("PUT", "/v1/kv/lazy/k?w=1", "idempotency-key: x", 0, &wish, &problem));
    assert_true(parse("PUT", "/v1/kv/lazy/k?w=3", "idempotency-key: x", 0, &wish, &problem));
    assert_int_equal(wish.consistency.w, 3);
    /* A look at an operation likewise. */
    assert_true(parse("GET", "/v1/kv/lazy/k/operations/" DECIDED, NULL, 0, &wish, &problem));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_STRONG);
    assert_true(
        parse("GET", "/v1/kv/lazy/k/operations/" DECIDED "?level=all", NULL, 0, &wish, &problem));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_ALL);
    assert_false(
        parse("GET", "/v1/kv/lazy/k/operations/" DECIDED "?r=1", NULL, 0, &wish, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_CONSISTENCY);
    assert_false(parse("POST", "/v1/kv/lazy/k/operations/" DECIDED ":resolve?level=eventual", NULL,
                       0, &wish, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_CONSISTENCY);
}

static void writes_are_submitted_as_they_were_asked(void **state)
{
    static const char headers[] = "if-match: \"0000000000000a000000000000000b00\"\n"
                                  "idempotency-key: \"once\"\ncontent-type: a/b\n"
                                  "prefer: return=representation";
    struct quo_opid once = quo_opid_of_key(quo_slice_of("once"));
    struct quo_problem problem;
    struct quo_request request;
    struct quo_wish wish;

    (void)state;
    assert_true(parse_body("PUT", "/v1/kv/mixed/%6B", headers, quo_slice_of("v"), &wish, &problem));
    assert_true(wish.prefers_representation);
    request = quo_wish_submission(&wish, quo_slice_of("v"));
    assert_int_equal(request.type, QUO_REQUEST_PUT);
    assert_string_equal(request.ns->name, "mixed");
    assert_true(quo_slice_equal(request.key, quo_slice_of("k")));
    assert_true(quo_slice_equal(request.value, quo_slice_of("v")));
    assert_true(quo_slice_equal(request.content_type, quo_slice_of("a/b")));
    assert_int_equal(request.condition, QUO_CONDITION_TAGS);
    assert_int_equal(request.tag_count, 1);
    assert_true(quo_version_equal(request.tags[0], (struct quo_version){0xa00, 0xb00}));
    assert_true(request.has_opid && quo_opid_equal(&request.opid, &once));
    assert_true(request.digest == wish.digest && request.digest != 0);
    assert_true(quo_request_is_consensus(&request));

    assert_true(parse_body("DELETE", "/v1/kv/default/k", NULL, quo_slice_of("v"), &wish, &problem));
    request = quo_wish_submission(&wish, quo_slice_of("v"));
    assert_int_equal(request.type, QUO_REQUEST_DELETE);
    assert_int_equal(request.value.len, 0);
    assert_false(request.has_opid);
    assert_int_equal(request.condition, QUO_CONDITION_NONE);
    assert_false(quo_request_is_consensus(&request));

    assert_true(parse_body("PATCH", "/v1/kv/bank/k",
                           "content-type: Application/Merge-Patch+JSON ; charset=utf-8",
                           quo_slice_of("{}"), &wish, &problem));
    request = quo_wish_submission(&wish, quo_slice_of("{}"));
    assert_int_equal(request.type, QUO_REQUEST_PATCH);
    assert_true(quo_slice_equal(request.value, quo_slice_of("{}")));
    assert_int_equal(request.content_type.len, 0);

    assert_true(parse_body("POST", "/v1/counters/bank/k:add:add", NULL,
                           quo_slice_of("{\"by\":-5,\"min\":0}"), &wish, &problem));
    request = quo_wish_submission(&wish, quo_slice_of("{"));
    assert_int_equal(request.type, QUO_REQUEST_ADD);
    assert_true(quo_slice_equal(request.key, quo_slice_of("k:add")));
    assert_int_equal(request.by, -5);
    assert_true(request.has_min && request.min == 0 && !request.has_max);
    assert_int_equal(request.value.len, 0);

    assert_true(parse("POST", "/v1/kv/bank/a%2Fb/operations/" DECIDED ":resolve", NULL, 0, &wish,
                      &problem));
    request = quo_wish_submission(&wish, quo_slice(NULL, 0));
    assert_int_equal(request.type, QUO_REQUEST_RESOLVE);
    assert_true(quo_slice_equal(request.key, quo_slice_of("a/b")));
    assert_true(request.has_opid);
    assert_int_equal(request.opid.bytes[0], 0x81);
    assert_int_equal(request.opid.bytes[15], 0xff);
    assert_true(request.since == 0x0190000000000001);

    assert_true(parse("GET", "/v1/kv/bank/k/operations/" DECIDED, NULL, 0, &wish, &problem));
    request = quo_wish_submission(&wish, quo_slice(NULL, 0));
    assert_int_equal(request.type, QUO_REQUEST_GET);
    assert_true(request.consistency.strong);
}

static void bodies_are_read(void **state)
{
    static const struct {
        const char *method, *target, *headers, *body;
        enum quo_problem_type type;
        const char *word;
    } rows[] = {
        {"PATCH", "/v1/kv/mixed/k", NULL, "{}", QUO_PROBLEM_PATCH_TYPE_UNSUPPORTED, "\"\""},
        {"PATCH", "/v1/kv/mixed/k", "content-type: application/json", "{}",
         QUO_PROBLEM_PATCH_TYPE_UNSUPPORTED, "merge-patch+json, not \"application/json\""},
        {"PATCH", "/v1/kv/mixed/k", "content-type: application/merge-patch+jsonx", "{}",
         QUO_PROBLEM_PATCH_TYPE_UNSUPPORTED, "jsonx"},
        {"PATCH", "/v1/kv/mixed/k", "content-type: application/merge-patch+json", "{\"a\":}",
         QUO_PROBLEM_BAD_BODY, "patch"},
        {"PATCH", "/v1/kv/mixed/k", "content-type: application/merge-patch+json", "",
         QUO_PROBLEM_BAD_BODY, "patch"},
        {"PATCH", "/v1/kv/bank/k", "content-type: application/merge-patch+json", "{\"a\":11111}",
         QUO_PROBLEM_VALUE_TOO_LARGE, "patch has 11 bytes"},
        {"PATCH", "/v1/kv/mixed/k",
         "content-type: application/merge-patch+json\ncontent-encoding: gzip", "{}",
         QUO_PROBLEM_ENCODING_UNSUPPORTED, "gzip"},
        {"POST", "/v1/counters/mixed/k:add", "content-type: text/plain", "{\"by\":1}",
         QUO_PROBLEM_BODY_TYPE_UNSUPPORTED, "text/plain"},
        {"POST", "/v1/counters/mixed/k:add", "content-encoding: br", "{\"by\":1}",
         QUO_PROBLEM_ENCODING_UNSUPPORTED, "br"},
        {"POST", "/v1/counters/mixed/k:add", NULL, "{}", QUO_PROBLEM_BAD_BODY, "by is missing"},
    };
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (parse_body(rows[i].method, rows[i].target, rows[i].headers, quo_slice_of(rows[i].body),
                       &wish, &problem))
            fail_msg("accepted: %s %s", rows[i].method, rows[i].body);
        if (problem.type != rows[i].type || strstr(problem.detail, rows[i].word) == NULL)
            fail_msg("%s: %d %s", rows[i].body, problem.type, problem.detail);
    }
    assert_false(
        parse("POST", "/v1/counters/mixed/k:add", NULL, QUO_COUNTER_BODY_MAX + 1, &wish, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_VALUE_TOO_LARGE);
    assert_int_equal(problem.limit, QUO_COUNTER_BODY_MAX);
    assert_true(parse_body("POST", "/v1/counters/mixed/k:add",
                           "content-type: application/json; charset=utf-8",
                           quo_slice_of("{\"by\":1}"), &wish, &problem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_have_their_slug),
        cmocka_unit_test(keys_are_taken_raw),
        cmocka_unit_test(what_is_wrong_has_its_problem),
        cmocka_unit_test(limits_are_named_and_exact),
        cmocka_unit_test(consistency_comes_from_query_header_or_namespace),
        cmocka_unit_test(values_that_are_written_can_have_a_time_to_live),
        cmocka_unit_test(a_write_of_a_session_is_as_strong_as_it_must_be),
        cmocka_unit_test(conditions_are_for_reads_and_types_for_writes),
        cmocka_unit_test(options_are_answered_everywhere),
        cmocka_unit_test(request_ids_are_tokens),
        cmocka_unit_test(kinds_allow_what_they_can_keep),
        cmocka_unit_test(counters_of_slots_are_asked_for_as_such),
        cmocka_unit_test(counters_of_slots_are_submitted_by_prefix),
        cmocka_unit_test(what_consensus_decides_is_strong_unless_said),
        cmocka_unit_test(writes_are_submitted_as_they_were_asked),
        cmocka_unit_test(bodies_are_read),
    };

    return cmocka_run_group_tests(tests, make_map, free_map);
}
