#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/set_body.h"

/* Room for exactly what the function may use, so that a sanitizer sees any byte more. */
static bool parse(const char *body, size_t len, uint8_t **ret, uint32_t *ret_count, size_t *ret_len)
{
    struct quo_problem problem;

    *ret = malloc(len + 1);
    assert_non_null(*ret);
    if (quo_set_body_parse(quo_slice(body, len), *ret, ret_count, ret_len, &problem))
        return true;
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_BODY);
    free(*ret);
    return false;
}

static void elements_are_read(void **state)
{
    static const char body[] = " {\"elements\" : [\"ada\", \"\\u00e9\", \"\\u0000\", \"\"\n]} ";
    static const char good[] = " {\"elements\" : [\"ada\", \"\\u00e9\", \"\\u0000\", \"\\\"\"\n]} ";
    static const uint8_t golden[] = "\0\3ada\0\2\xc3\xa9\0\1\0\0\1\"";
    uint8_t *out;
    uint32_t count;
    size_t len;
    (void)state;

    assert_false(parse(body, sizeof body - 1, &out, &count, &len));
    assert_true(parse(good, sizeof good - 1, &out, &count, &len));
    assert_int_equal(count, 4);
    assert_int_equal(len, sizeof golden - 1);
    assert_memory_equal(out, golden, len);
    free(out);
}

static void everything_else_is_refused(void **state)
{
    const char *const bad[] = {
        "",
        "{}",
        "[]",
        "null",
        "1",
        "true",
        "{\"elements\":[]}",
        "{\"elements\":\"a\"}",
        "{\"elements\":[1]}",
        "{\"elements\":[null]}",
        "{\"elements\":[true]}",
        "{\"elements\":[[\"a\"]]}",
        "{\"elements\":[{}]}",
        "{\"elements\":[\"a\"]",
        "{\"elements\":[\"a\"]} x",
        "{\"elements\":[\"a\"],\"elements\":[\"b\"]}",
        "{\"elements\":[\"a\"],\"x\":1}",
        "{\"x\":[\"a\"]}",
        "{\"elements\":[\"\xff\"]}",
    };
    uint8_t *out;
    uint32_t count;
    size_t len;
    (void)state;

    for (size_t i = 0; i < QUO_COUNT(bad); i++) {
        if (parse(bad[i], strlen(bad[i]), &out, &count, &len))
            fail_msg("taken: %s", bad[i]);
    }
}

static void limits_are_kept(void **state)
{
    char body[QUO_ELEMENT_MAX + 64 + QUO_ELEMENTS_MAX * 8];
    uint8_t *out;
    uint32_t count;
    size_t len;
    (void)state;

    for (size_t size = QUO_ELEMENT_MAX; size <= QUO_ELEMENT_MAX + 1; size++) {
        int at = snprintf(body, sizeof body, "{\"elements\":[\"");
        memset(body + at, 'x', size);
        const size_t end = (size_t)at + size;
        snprintf(body + end, sizeof body - end, "\"]}");
        const bool fits = size == QUO_ELEMENT_MAX;
        assert_int_equal(parse(body, strlen(body), &out, &count, &len), fits);
        if (fits) {
            assert_int_equal(len, size + 2);
            free(out);
        }
    }
    for (unsigned n = QUO_ELEMENTS_MAX; n <= QUO_ELEMENTS_MAX + 1; n++) {
        size_t at = (size_t)snprintf(body, sizeof body, "{\"elements\":[");
        for (unsigned i = 0; i < n; i++)
            at += (size_t)snprintf(body + at, sizeof body - at, "%s\"%u\"", i > 0 ? "," : "", i);
        snprintf(body + at, sizeof body - at, "]}");
        const bool fits = n == QUO_ELEMENTS_MAX;
        assert_int_equal(parse(body, strlen(body), &out, &count, &len), fits);
        if (fits) {
            assert_int_equal(count, n);
            free(out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_read),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(limits_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
