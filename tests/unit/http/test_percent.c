#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "proxy/http/percent.h"

static void what_is_escaped_comes_back(void **state)
{
    static const struct {
        const char *text, *bytes;
        size_t len;
    } rows[] = {
        {"", "", 0},         {"abc", "abc", 3},       {"a%2Fb", "a/b", 3},
        {"a%2fb", "a/b", 3}, {"%00", "\0", 1},        {"%00%FF%ff", "\0\xff\xff", 3},
        {"a+b", "a+b", 3},   {"%25%32%46", "%2F", 3}, {"..", "..", 2},
    };
    uint8_t out[16];
    size_t len = 0, at = 0;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        assert_int_equal(quo_percent_decode(quo_slice_of(rows[i].text), out, sizeof out, &len, &at),
                         QUO_OK);
        assert_int_equal(len, rows[i].len);
        assert_memory_equal(out, rows[i].bytes, len);
    }
}

static void broken_escapes_are_found_where_they_are(void **state)
{
    static const struct {
        const char *text;
        size_t at;
    } rows[] = {{"%", 0},   {"%4", 0},  {"a%", 1},    {"a%4", 1},  {"%zz", 0}, {"%%41", 0},
                {"%4g", 0}, {"%g4", 0}, {"ab%:0", 2}, {"%41%", 3}, {"% 1", 0}, {"%@1", 0}};
    uint8_t out[16];
    size_t len = 77, at = 99;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        assert_int_equal(quo_percent_decode(quo_slice_of(rows[i].text), out, sizeof out, &len, &at),
                         QUO_MALFORMED);
        assert_int_equal(at, rows[i].at);
    }
    assert_int_equal(len, 77);
}

static void every_byte_survives(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[4];
        uint8_t out[1];
        size_t len = 0, at = 0;

        snprintf(text, sizeof text, "%%%02x", byte);
        assert_int_equal(quo_percent_decode(quo_slice(text, 3), out, 1, &len, &at), QUO_OK);
        assert_int_equal(out[0], byte);
    }
}

static void what_does_not_fit_is_measured(void **state)
{
    uint8_t out[3] = {0, 0, 7};
    size_t len = 0, at = 0;

    (void)state;
    assert_int_equal(quo_percent_decode(quo_slice_of("a%41c"), out, 2, &len, &at), QUO_TOO_LARGE);
    assert_int_equal(len, 3);
    assert_memory_equal(out, "aA\7", 3);
    assert_int_equal(quo_percent_decode(quo_slice_of("aaa%4"), out, 2, &len, &at), QUO_MALFORMED);
    assert_int_equal(quo_percent_decode(quo_slice_of(""), NULL, 0, &len, &at), QUO_OK);
    assert_int_equal(len, 0);
}

static void what_is_unreserved_stands_for_itself(void **state)
{
    char out[3 * 256];
    uint8_t all[256], again[256];
    size_t len, at = 0, back = 0;

    (void)state;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    len = quo_percent_encode(quo_slice(all, sizeof all), out);
    assert_int_equal(len, 66 + 3 * (256 - 66));
    for (size_t i = 0; i < len; i++)
        assert_true(out[i] > 0x20 && out[i] < 0x7f && strchr("/?#<>\" ", out[i]) == NULL);
    assert_int_equal(quo_percent_decode(quo_slice(out, len), again, sizeof again, &back, &at),
                     QUO_OK);
    assert_memory_equal(again, all, sizeof all);
    len = quo_percent_encode(quo_slice_of("aZ9-._~/"), out);
    assert_true(quo_slice_equal(quo_slice(out, len), quo_slice_of("aZ9-._~%2F")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_escaped_comes_back),
        cmocka_unit_test(broken_escapes_are_found_where_they_are),
        cmocka_unit_test(every_byte_survives),
        cmocka_unit_test(what_does_not_fit_is_measured),
        cmocka_unit_test(what_is_unreserved_stands_for_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
