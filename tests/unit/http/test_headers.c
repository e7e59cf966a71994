#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/http/header_lines.h"

enum { HEADERS_MAX = 8 };

static void lines_are_found(void **state)
{
    struct quo_http_header list[HEADERS_MAX];
    struct quo_http_request request = {.headers = list};

    (void)state;
    request.header_count = split_headers("a: 1\nb: 2\na: 3", list);
    assert_true(quo_slice_equal(quo_request_header(&request, "a")->value, quo_slice_of("1")));
    assert_null(quo_request_header(&request, "c"));
    assert_int_equal(quo_request_header_count(&request, "a"), 2);
    assert_int_equal(quo_request_header_count(&request, "c"), 0);
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

static void media_types_are_compared(void **state)
{
    static const struct {
        const char *field;
        bool same;
    } rows[] = {
        {"a/b", true},   {"A/B", true}, {"a/b;c=d", true}, {"a/b \t; c=d", true}, {"a/b ", true},
        {"a/bc", false}, {"a/", false}, {"", false},       {"a/b c", false},      {"x/b", false},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (quo_is_media_type(quo_slice_of(rows[i].field), "a/b") != rows[i].same)
            fail_msg("%s", rows[i].field);
    }
    assert_false(quo_is_media_type(quo_slice(NULL, 0), "a/b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_found),
        cmocka_unit_test(list_headers_are_joined),
        cmocka_unit_test(media_types_are_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
