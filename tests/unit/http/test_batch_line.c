/* Lines of a batch: which request each stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/http/batch_line.h"
#include "proxy/http/counter_body.h"
#include "proxy/http/idempotency.h"
#include "proxy/http/percent.h"
#include "proxy/http/route.h"

static struct quo_batch_line line;
static struct quo_problem problem;

/* From memory of its own size, so that the sanitizer sees the end. */
static bool parse_bytes(const char *text, size_t len)
{
    char *exact = malloc(len + 1);
    bool parsed;

    assert_non_null(exact);
    memcpy(exact, text, len);
    parsed = quo_batch_line_parse(quo_slice(exact, len), &line, &problem);
    free(exact);
    return parsed;
}

static void parse(const char *text)
{
    if (!parse_bytes(text, strlen(text)))
        fail_msg("%s: %s", text, problem.detail);
}

static void assert_text(struct quo_slice got, const char *expected)
{
    if (!quo_slice_equal(got, quo_slice_of(expected)))
        fail_msg("%.*s is not %s", (int)got.len, (const char *)got.data, expected);
}

static const char *header(const char *name)
{
    static char out[256];
    const struct quo_http_header *found = quo_request_header(&line.request, name);

    if (found == NULL)
        return NULL;
    assert_true(found->value.len < sizeof out);
    memcpy(out, found->value.data, found->value.len);
    out[found->value.len] = 0;
    return out;
}

static void each_op_is_a_request(void **state)
{
    static const struct {
        const char *line, *method, *target, *body;
    } rows[] = {
        {"{\"op\":\"get\",\"ns\":\"n\",\"key\":\"k\"}", "GET", "/v1/kv/n/k", ""},
        {"{\"op\":\"put\",\"ns\":\"n\",\"key\":\"k\",\"value\":\"v\"}", "PUT", "/v1/kv/n/k", "v"},
        {"{\"op\":\"put\",\"ns\":\"n\",\"key\":\"k\"}", "PUT", "/v1/kv/n/k", ""},
        {"{\"op\":\"put\",\"ns\":\"n\",\"key\":\"k\",\"base64\":\"aGk=\"}", "PUT", "/v1/kv/n/k",
         "hi"},
        {"{\"op\":\"delete\",\"ns\":\"n\",\"key\":\"k\"}", "DELETE", "/v1/kv/n/k", ""},
        {"{\"op\":\"patch\",\"ns\":\"n\",\"key\":\"k\",\"value\":\"{}\"}", "PATCH", "/v1/kv/n/k",
         "{}"},
        {"{\"max\":9,\"op\":\"add\",\"ns\":\"n\",\"key\":\"k\",\"by\":-5,\"min\":0}", "POST",
         "/v1/counters/n/k:add", "{\"by\":-5,\"min\":0,\"max\":9}"},
        {"{\"op\":\"add\",\"ns\":\"n\",\"key\":\"k\"}", "POST", "/v1/counters/n/k:add", "{}"},
        {"{\"op\":\"append\",\"ns\":\"n\",\"key\":\"k\",\"value\":\"v\"}", "POST",
         "/v1/timelines/n/k", "v"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        parse(rows[i].line);
        assert_text(line.request.method, rows[i].method);
        assert_text(line.request.target, rows[i].target);
        assert_text(line.request.body, rows[i].body);
        quo_batch_line_free(&line);
    }
}

/* The parser of requests finds the very bytes again. */
static void any_key_arrives(void **state)
{
    struct quo_target target;
    uint8_t key[256];
    size_t len, at;

    (void)state;
    parse("{\"op\":\"get\",\"ns\":\"n\",\"key\":\"a/b:add?c=d&e\\u0000\\u00e9\\\"%2F\"}");
    target = quo_route_find(line.request.target);
    assert_int_equal(target.route, QUO_ROUTE_KEY);
    assert_int_equal(target.query.len, 0);
    assert_int_equal(quo_percent_decode(target.captures[1], key, sizeof key, &len, &at), QUO_OK);
    assert_true(
        quo_slice_equal(quo_slice(key, len), quo_slice("a/b:add?c=d&e\0\xc3\xa9\"%2F", 20)));
    quo_batch_line_free(&line);
    parse("{\"op\":\"get\",\"ns\":\"n\",\"key-base64\":\"//8AAA==\"}");
    assert_text(line.request.target, "/v1/kv/n/%FF%FF%00%00");
    quo_batch_line_free(&line);
}

static void headers_are_headers(void **state)
{
    (void)state;
    parse("{\"op\":\"put\",\"ns\":\"n\",\"key\":\"k\",\"content-type\":\"a/b\",\"if-match\":\"*\","
          "\"if-none-match\":\"*\",\"prefer\":\"p\",\"session-token\":\"t\","
          "\"idempotency-key\":\"a\\\"b\\\\c\"}");
    assert_int_equal(line.request.header_count, 6);
    assert_text(line.request.target, "/v1/kv/n/k");
    assert_string_equal(header("content-type"), "a/b");
    assert_string_equal(header("if-match"), "*");
    assert_string_equal(header("if-none-match"), "*");
    assert_string_equal(header("prefer"), "p");
    assert_string_equal(header("session-token"), "t");
    assert_string_equal(header("idempotency-key"), "\"a\\\"b\\\\c\"");
    quo_batch_line_free(&line);
    parse("{\"op\":\"patch\",\"ns\":\"n\",\"key\":\"k\"}");
    assert_string_equal(header("content-type"), "application/merge-patch+json");
    quo_batch_line_free(&line);
    parse("{\"op\":\"patch\",\"ns\":\"n\",\"key\":\"k\",\"content-type\":\"text/plain\"}");
    assert_string_equal(header("content-type"), "text/plain");
    quo_batch_line_free(&line);
    parse("{\"op\":\"get\",\"ns\":\"n\",\"key\":\"k\"}");
    assert_null(header("content-type"));
    quo_batch_line_free(&line);
}

/* A key is the same operation in a line as in a header of its own. */
static void idempotency_keys_name_the_same_operations(void **state)
{
    static const struct quo_http_header alone = {
        .name = {(const uint8_t *)"idempotency-key", 15},
        .value = {(const uint8_t *)"token", 5},
    };
    const struct quo_http_request single = {.headers = &alone, .header_count = 1};
    struct quo_opid a, b;

    (void)state;
    parse("{\"op\":\"put\",\"ns\":\"n\",\"key\":\"k\",\"idempotency-key\":\"token\"}");
    assert_true(quo_idempotency_parse(&line.request, &a, &problem));
    assert_true(quo_idempotency_parse(&single, &b, &problem));
    assert_true(quo_opid_equal(&a, &b));
    quo_batch_line_free(&line);
}

static void everything_else_is_a_parameter(void **state)
{
    (void)state;
    parse("{\"level\":\"strong\",\"op\":\"get\",\"ns\":\"n\",\"w\":2,\"key\":\"k\",\"on\":true,"
          "\"off\":false,\"a&b\":\"c=d e\",\"\":\"\"}");
    assert_text(line.request.target, "/v1/kv/n/k?level=strong&w=2&on=1&off=0&a%26b=c%3Dd%20e&=");
    quo_batch_line_free(&line);
}

static void what_is_no_line_is_refused(void **state)
{
    static const struct {
        const char *line, *word;
    } rows[] = {
        {"", "an object"},
        {"5", "an object"},
        {"\"x\"", "an object"},
        {"true", "an object"},
        {"null", "an object"},
        {"[]", "an object"},
        {"{", "an object"},
        {"{}}", "an object"},
        {"{\"op\":\"get\",\"ns\":\"n\",\"key\":\"\xff\"}", "an object"},
        {"{\"op\":\"get\",\"ns\":\"n\",\"key\":{}}", "an object"},
        {"{\"op\":\"get\",\"ns\":\"n\",\"key\":[\"k\"]}", "an object"},
        {"{\"op\":\"get\",\"ns\":\"n\",\"key\":null}", "an object"},
        {"{}", "op must be one of"},
        {"{\"op\":\"GET\"}", "op must be one of"},
        {"{\"op\":1}", "op must be one of"},
        {"{\"op\":\"get\",\"key\":\"k\"}", "ns is missing"},
        {"{\"op\":\"get\",\"ns\":\"n\"}", "one of key and key-base64"},
        {"{\"op\":\"get\",\"ns\":\"n\",\"key\":\"k\",\"key-base64\":\"\"}", "one of key"},
        {"{\"op\":\"get\",\"ns\":\"n\",\"key-base64\":\"x\"}", "\"key-base64\" is no base64"},
        {"{\"op\":\"get\",\"ns\":1,\"key\":\"k\"}", "\"ns\" is no text"},
        {"{\"op\":\"get\",\"ns\":\"n\",\"key\":true}", "\"key\" is no text"},
        {"{\"op\":\"get\",\"ns\":\"n\",\"key\":\"k\",\"if-match\":1}", "\"if-match\" is no text"},
        {"{\"op\":\"get\",\"ns\":\"n\",\"key\":\"k\",\"value\":\"\"}",
         "get has no member \"value\""},
        {"{\"op\":\"put\",\"ns\":\"n\",\"key\":\"k\",\"by\":1}", "put has no member \"by\""},
        {"{\"op\":\"add\",\"ns\":\"n\",\"key\":\"k\",\"by\":\"1\"}", "\"by\" is no number"},
        {"{\"op\":\"add\",\"ns\":\"n\",\"key\":\"k\",\"base64\":\"\"}", "add has no member"},
        {"{\"op\":\"put\",\"ns\":\"n\",\"key\":\"k\",\"value\":\"\",\"base64\":\"\"}",
         "both there"},
        {"{\"op\":\"put\",\"ns\":\"n\",\"key\":\"k\",\"base64\":\"_w==\"}", "no base64"},
        {"{\"op\":\"put\",\"ns\":\"n\",\"key\":\"k\",\"r\":1,\"r\":1}", "\"r\" is given twice"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        problem.type = QUO_PROBLEM_NONE;
        if (parse_bytes(rows[i].line, strlen(rows[i].line)))
            fail_msg("accepted: %s", rows[i].line);
        assert_int_equal(problem.type, QUO_PROBLEM_BAD_BODY);
        assert_int_equal(problem.outcome, QUO_NOT_APPLIED);
        if (strstr(problem.detail, rows[i].word) == NULL)
            fail_msg("%s: %s", rows[i].line, problem.detail);
        assert_null(line.members);
        assert_null(line.text);
    }
}

/* Every beginning of a line is less than a line. */
static void unfinished_lines_are_refused(void **state)
{
    static const char whole[] = "{\"op\":\"add\",\"ns\":\"n\\u0041\",\"key\":\"k\",\"by\":1}";

    (void)state;
    for (size_t len = 0; len < sizeof whole - 1; len++)
        assert_false(parse_bytes(whole, len));
    assert_true(parse_bytes(whole, sizeof whole - 1));
    quo_batch_line_free(&line);
}

static void members_are_limited(void **state)
{
    char text[1024];
    int at = snprintf(text, sizeof text, "{\"op\":\"get\",\"ns\":\"n\",\"key\":\"k\"");

    (void)state;
    for (int i = 0; i < 29; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, ",\"a%d\":%d", i, i);
    snprintf(text + at, sizeof text - (size_t)at, "}");
    parse(text);
    quo_batch_line_free(&line);
    snprintf(text + at, sizeof text - (size_t)at, ",\"z\":1}");
    assert_false(parse_bytes(text, strlen(text)));
    assert_non_null(strstr(problem.detail, "too many members"));
}

static char *fill(char c, size_t len)
{
    char *out = malloc(len + 1);

    assert_non_null(out);
    memset(out, c, len);
    out[len] = 0;
    return out;
}

/* Nothing is longer than the room made for it. */
static void the_longest_of_everything_fits(void **state)
{
    enum { LEN = 5000, ROOM = 6 * LEN };
    static const char *const ops[] = {"get", "append"};
    char *slashes = fill('/', LEN), *spaces = fill(' ', LEN), *marks = fill('\\', 2 * LEN);
    char *text = malloc(ROOM);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < QUO_COUNT(ops); i++) {
        snprintf(text, ROOM,
                 "{\"op\":\"%s\",\"ns\":\"%s\",\"key\":\"%s\",\"idempotency-key\":\"%s\","
                 "\"level\":\"%s\"}",
                 ops[i], slashes, spaces, marks, slashes);
        parse(text);
        quo_batch_line_free(&line);
    }
    free(text);
    free(marks);
    free(spaces);
    free(slashes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_op_is_a_request),
        cmocka_unit_test(any_key_arrives),
        cmocka_unit_test(headers_are_headers),
        cmocka_unit_test(idempotency_keys_name_the_same_operations),
        cmocka_unit_test(everything_else_is_a_parameter),
        cmocka_unit_test(what_is_no_line_is_refused),
        cmocka_unit_test(unfinished_lines_are_refused),
        cmocka_unit_test(members_are_limited),
        cmocka_unit_test(the_longest_of_everything_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
