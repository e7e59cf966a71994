#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/http/request.h"

enum { HEADERS_MAX = 8 };

static struct quo_map *map;

static int make_map(void **state)
{
    static const struct quo_namespace names[] = {
        {.id = 1, .name = "default", .kind = QUO_KIND_LWW, .value_max = 1000},
        {.id = 2, .name = "bank", .kind = QUO_KIND_CAS, .value_max = 10},
    };

    (void)state;
    map = calloc(1, sizeof *map);
    map->namespace_count = QUO_COUNT(names);
    for (size_t i = 0; i < QUO_COUNT(names); i++) {
        map->namespaces[i] = names[i];
        map->namespaces[i].n = 3;
        map->namespaces[i].rs = map->namespaces[i].ws = 2;
        map->namespaces[i].read_level = map->namespaces[i].write_level = QUO_LEVEL_STRONG;
        map->namespaces[i].timeout_ms = 1000;
    }
    return map == NULL;
}

static int free_map(void **state)
{
    (void)state;
    free(map);
    return 0;
}

/* "name: value" lines, separated by newlines. */
static size_t split_headers(const char *text, struct quo_http_header *out)
{
    size_t count = 0;

    while (text != NULL && *text != 0) {
        const char *colon = strchr(text, ':'), *end = strchr(text, '\n');

        if (end == NULL)
            end = text + strlen(text);
        out[count].name = quo_slice(text, (size_t)(colon - text));
        out[count++].value = quo_slice(colon + 2, (size_t)(end - colon - 2));
        text = *end != 0 ? end + 1 : end;
    }
    return count;
}

static bool parse(const char *method, const char *target, const char *headers, size_t body_len,
                  struct quo_wish *ret, struct quo_problem *problem)
{
    struct quo_http_header list[HEADERS_MAX];
    struct quo_http_request request = {
        .method = quo_slice_of(method),
        .target = quo_slice_of(target),
        .headers = list,
        .header_count = split_headers(headers, list),
        .body_len = body_len,
    };

    problem->type = QUO_PROBLEM_NONE;
    return quo_request_parse(&request, map, ret, problem);
}

static void routes_are_found(void **state)
{
    static const struct {
        const char *target;
        enum quo_route route;
    } rows[] = {
        {"/", QUO_ROUTE_INDEX},
        {"/?x=1", QUO_ROUTE_INDEX},
        {"/livez", QUO_ROUTE_LIVE},
        {"/readyz?verbose", QUO_ROUTE_READY},
        {"/metrics", QUO_ROUTE_METRICS},
        {"/openapi.yaml", QUO_ROUTE_OPENAPI},
        {"/problems/bad-key", QUO_ROUTE_PROBLEM},
        {"/v1/kv/default/k", QUO_ROUTE_KEY},
        {"http://host:80/livez", QUO_ROUTE_LIVE},
        {"https://host", QUO_ROUTE_INDEX},
        {"http://host/v1/kv/default/k?level=strong", QUO_ROUTE_KEY},
    };
    struct quo_problem problem;
    struct quo_wish wish;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (!parse("GET", rows[i].target, NULL, 0, &wish, &problem))
            fail_msg("%s: %s", rows[i].target, problem.detail);
        assert_int_equal(wish.route, rows[i].route);
    }
    assert_true(parse("GET", "/problems/a-b", NULL, 0, &wish, &problem));
    assert_true(quo_slice_equal(wish.slug, quo_slice_of("a-b")));
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
        {"GET", "/v1/kv/default", NULL, 0, QUO_PROBLEM_NOT_FOUND, "/v1"},
        {"GET", "/v1/kv/", NULL, 0, QUO_PROBLEM_NOT_FOUND, "/v1"},
        {"GET", "/v1/kv//k", NULL, 0, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "\"\""},
        {"GET", "/v1/kv/defualt/k", NULL, 0, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "\"defualt\""},
        {"GET", "/v1/kv/default%00/k", NULL, 0, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "default%00"},
        {"GET", "/v1/kv/default/", NULL, 0, QUO_PROBLEM_BAD_KEY, "empty"},
        {"GET", "/v1/kv/default/?level=strong", NULL, 0, QUO_PROBLEM_BAD_KEY, "empty"},
        {"GET", "/v1/kv/default/a/b", NULL, 0, QUO_PROBLEM_BAD_KEY, "'/' at offset 1"},
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
        {"PUT", "/v1/kv/default/k", "if-match: \"x\"", 0,
         QUO_PROBLEM_CONDITIONAL_WRITES_UNAVAILABLE, "if-match"},
        {"DELETE", "/v1/kv/default/k", "if-none-match: *", 0,
         QUO_PROBLEM_CONDITIONAL_WRITES_UNAVAILABLE, "if-none-match"},
        {"PUT", "/v1/kv/default/k", "if-unmodified-since: x", 0,
         QUO_PROBLEM_CONDITIONAL_WRITES_UNAVAILABLE, "if-unmodified-since"},
        {"PUT", "/v1/kv/default/k", "idempotency-key: x", 0, QUO_PROBLEM_KIND_MISMATCH,
         "cas, mixed and crdt"},
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
    assert_string_equal(list, "GET, HEAD, PUT, DELETE, OPTIONS");
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

static void list_headers_are_joined(void **state)
{
    struct quo_http_header list[HEADERS_MAX];
    struct quo_http_request request = {.headers = list};
    char out[16] = "";

    (void)state;
    request.header_count = split_headers("a: 1\nb: 2\na: 34\na: ", list);
    assert_int_equal(quo_request_join(&request, "a", out, sizeof out), 5);
    assert_memory_equal(out, "1,34,", 5);
    assert_int_equal(quo_request_join(&request, "a", out, 2), 5);
    assert_int_equal(quo_request_join(&request, "a", NULL, 0), 5);
    assert_int_equal(quo_request_join(&request, "c", out, sizeof out), 0);
}

static void the_index_names_every_route(void **state)
{
    char page[4096];
    size_t len = quo_routes_page(page, sizeof page);

    (void)state;
    assert_true(len < sizeof page);
#define QUO_ROUTE(name, pattern, methods, text)                                                    \
    assert_non_null(strstr(page, pattern));                                                        \
    assert_non_null(strstr(page, text));
#include "proxy/http/routes.def"
#undef QUO_ROUTE
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found),
        cmocka_unit_test(keys_are_taken_raw),
        cmocka_unit_test(what_is_wrong_has_its_problem),
        cmocka_unit_test(limits_are_named_and_exact),
        cmocka_unit_test(consistency_comes_from_query_header_or_namespace),
        cmocka_unit_test(conditions_are_for_reads_and_types_for_writes),
        cmocka_unit_test(options_are_answered_everywhere),
        cmocka_unit_test(request_ids_are_tokens),
        cmocka_unit_test(list_headers_are_joined),
        cmocka_unit_test(the_index_names_every_route),
    };

    return cmocka_run_group_tests(tests, make_map, free_map);
}
