#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "proxy/http/idempotency.h"
#include "tests/unit/http/header_lines.h"

enum { HEADERS_MAX = 8 };

static bool parse(const char *headers, struct quo_opid *ret, struct quo_problem *problem)
{
    struct quo_http_header list[HEADERS_MAX];
    struct quo_http_request request = {.headers = list};

    request.header_count = split_headers(headers, list);
    problem->type = QUO_PROBLEM_NONE;
    return quo_idempotency_parse(&request, ret, problem);
}

static void keys_name_operations(void **state)
{
    static const struct {
        const char *header, *key;
    } rows[] = {
        {"idempotency-key: \"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
         "8e03978e-40d5-43dd-bc93-6894a57f9324"},
        {"idempotency-key: 8e03978e-40d5-43dd-bc93-6894a57f9324",
         "8e03978e-40d5-43dd-bc93-6894a57f9324"},
        {"idempotency-key: once", "once"},
        {"idempotency-key: 1", "1"},
        {"idempotency-key: \"a b, \\\"c\\\\\"", "a b, \"c\\"},
    };
    struct quo_opid opid, want;
    struct quo_problem problem;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (!parse(rows[i].header, &opid, &problem))
            fail_msg("%s: %s", rows[i].header, problem.detail);
        want = quo_opid_of_key(quo_slice_of(rows[i].key));
        assert_true(quo_opid_equal(&opid, &want));
        assert_true(quo_opid_is_keyed(&opid));
    }
}

static void bad_keys_are_refused(void **state)
{
    static const char *const rows[] = {
        "idempotency-key: ",
        "idempotency-key: \"\"",
        "idempotency-key: \"x",
        "idempotency-key: a b",
        "idempotency-key: \"x\";p=1",
        "idempotency-key: \"x\" \"y\"",
        "idempotency-key: \"\xff\"",
        "idempotency-key: \xff",
        "idempotency-key: a,b",
        "idempotency-key: (a)",
        "idempotency-key: x\nidempotency-key: x",
    };
    struct quo_problem problem;
    struct quo_opid opid;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (parse(rows[i], &opid, &problem))
            fail_msg("accepted: %s", rows[i]);
        assert_int_equal(problem.type, QUO_PROBLEM_BAD_HEADER);
        assert_non_null(strstr(problem.detail, "Idempotency-Key"));
    }
}

static void the_length_is_limited(void **state)
{
    char header[1200];
    struct quo_problem problem;
    struct quo_opid opid, quoted;

    (void)state;
    snprintf(header, sizeof header, "idempotency-key: %0*d", (int)QUO_IDEMPOTENCY_KEY_MAX, 0);
    assert_true(parse(header, &opid, &problem));
    snprintf(header, sizeof header, "idempotency-key: \"%0*d\"", (int)QUO_IDEMPOTENCY_KEY_MAX, 0);
    assert_true(parse(header, &quoted, &problem));
    assert_true(quo_opid_equal(&opid, &quoted));
    for (int quotes = 0; quotes < 2; quotes++) {
        snprintf(header, sizeof header, "idempotency-key: %s%0*d%s", quotes ? "\"" : "",
                 (int)QUO_IDEMPOTENCY_KEY_MAX + 1, 0, quotes ? "\"" : "");
        assert_false(parse(header, &opid, &problem));
        assert_int_equal(problem.limit, QUO_IDEMPOTENCY_KEY_MAX);
        assert_int_equal(problem.actual, QUO_IDEMPOTENCY_KEY_MAX + 1);
    }
    /* Escapes are not counted, but bound what is looked at. */
    memcpy(header, "idempotency-key: \"", 18);
    for (size_t i = 0; i < QUO_IDEMPOTENCY_KEY_MAX + 1; i++)
        memcpy(header + 18 + 2 * i, "\\\"", 2);
    memcpy(header + 18 + 2 * QUO_IDEMPOTENCY_KEY_MAX, "\"", 2);
    assert_true(parse(header, &opid, &problem));
    memcpy(header + 18 + 2 * QUO_IDEMPOTENCY_KEY_MAX, "\\\"\"", 4);
    assert_false(parse(header, &opid, &problem));
}

static struct quo_wish wish;

static uint64_t digest(const char *body)
{
    return quo_idempotency_digest(&wish, quo_slice_of(body));
}

static void start_with(enum quo_method method)
{
    memset(&wish, 0, sizeof wish);
    wish.method = method;
    wish.content_type = quo_slice_of("a/b");
    wish.counter.by = 1;
}

static void assert_differs(uint64_t *digests, size_t *count, uint64_t next)
{
    for (size_t i = 0; i < *count; i++)
        assert_true(digests[i] != next);
    digests[(*count)++] = next;
}

static void digests_tell_requests_apart(void **state)
{
    uint64_t seen[32];
    size_t count = 0;

    (void)state;
    start_with(QUO_METHOD_PUT);
    assert_differs(seen, &count, digest("x"));
    assert_differs(seen, &count, digest(""));
    assert_differs(seen, &count, digest("xy"));
    wish.content_type = quo_slice_of("a/bx");
    assert_differs(seen, &count, digest(""));
    assert_differs(seen, &count, digest("x"));
    wish.conditions.type = QUO_CONDITION_PRESENT;
    assert_differs(seen, &count, digest("x"));
    wish.conditions.type = QUO_CONDITION_TAGS;
    assert_differs(seen, &count, digest("x"));
    wish.conditions.tag_count = 1;
    assert_differs(seen, &count, digest("x"));
    wish.conditions.tags[0].node = 1;
    assert_differs(seen, &count, digest("x"));
    wish.ask.ttl_ms = 1;
    assert_differs(seen, &count, digest("x"));
    wish.ask.ttl_ms = 2;
    assert_differs(seen, &count, digest("x"));
    start_with(QUO_METHOD_DELETE);
    assert_differs(seen, &count, digest("x"));
    start_with(QUO_METHOD_PATCH);
    assert_differs(seen, &count, digest("x"));
    assert_differs(seen, &count, digest("y"));
    start_with(QUO_METHOD_POST);
    assert_differs(seen, &count, digest("x"));
    wish.counter.by = 2;
    assert_differs(seen, &count, digest("x"));
    wish.counter.has_min = true;
    assert_differs(seen, &count, digest("x"));
    wish.counter.min = 1;
    assert_differs(seen, &count, digest("x"));
    wish.counter.has_min = false;
    wish.counter.has_max = true;
    wish.counter.max = 1;
    assert_differs(seen, &count, digest("x"));
}

static void digests_see_nothing_else(void **state)
{
    uint64_t first;

    (void)state;
    start_with(QUO_METHOD_DELETE);
    first = digest("x");
    wish.content_type = quo_slice_of("other");
    wish.consistency.w = 3;
    wish.prefers_representation = true;
    assert_true(digest("y") == first);
    start_with(QUO_METHOD_POST);
    first = digest("{\"by\":1}");
    wish.counter.min = 7; /* not given */
    assert_true(digest("{ \"by\": 1 }") == first);
}

/* Records remember digests for days, across releases. */
static void digests_are_for_ever(void **state)
{
    (void)state;
    start_with(QUO_METHOD_PUT);
    wish.conditions.type = QUO_CONDITION_TAGS;
    wish.conditions.tag_count = 1;
    wish.conditions.tags[0] = (struct quo_version){0xa00, 0xb00};
    assert_true(digest("value") == 0xccb3062eee011eaf);
    start_with(QUO_METHOD_POST);
    wish.counter.by = -5;
    wish.counter.has_min = true;
    assert_true(digest("") == 0x1715505831102c09);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_name_operations),     cmocka_unit_test(bad_keys_are_refused),
        cmocka_unit_test(the_length_is_limited),    cmocka_unit_test(digests_tell_requests_apart),
        cmocka_unit_test(digests_see_nothing_else), cmocka_unit_test(digests_are_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
