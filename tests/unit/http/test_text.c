/* Bytes as text: base64 and UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/base64.h"
#include "proxy/http/utf8.h"

static void base64_is_that_of_the_rfc(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe\xfb", "//77"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_slice bytes = quo_slice_of(rows[i][0]), text = quo_slice_of(rows[i][1]);
        char encoded[16];
        uint8_t decoded[16];
        size_t len = 99;

        assert_int_equal(QUO_BASE64_SIZE(bytes.len), text.len);
        assert_int_equal(quo_base64_encode(bytes, encoded), text.len);
        assert_memory_equal(encoded, rows[i][1], text.len);
        assert_true(quo_base64_decode(text, decoded, &len));
        assert_true(quo_slice_equal(quo_slice(decoded, len), bytes));
    }
}

static void every_byte_round_trips_in_place(void **state)
{
    uint8_t bytes[256];
    char text[QUO_BASE64_SIZE(sizeof bytes)];
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        const size_t size_of_text = quo_base64_encode(quo_slice(bytes, size), text);
        assert_true(quo_base64_decode(quo_slice(text, size_of_text), (uint8_t *)text, &len));
        assert_int_equal(len, size);
        assert_memory_equal(text, bytes, size);
    }
}

static void other_texts_are_refused(void **state)
{
    static const char *const rows[] = {
        "Z",    "Zg",   "Zg=",   "Zg===", "Zh==", "Zm9=", "Z===", "====",  "Zg==Zg==",
        "Zm-v", "Zm_v", "Zm 9v", "Zm9\n", "=m9v", "Z=9v", "Zm=v", "Zm9v=", "\xc3\xa9\xc3\xa9",
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        uint8_t out[16];
        size_t len;

        if (quo_base64_decode(quo_slice_of(rows[i]), out, &len))
            fail_msg("accepted: %s", rows[i]);
    }
    uint8_t out[16];
    size_t len;
    assert_false(quo_base64_decode(quo_slice("Zm9\0", 4), out, &len));
}

static bool is_valid(const char *text)
{
    return quo_utf8_is_valid(quo_slice_of(text));
}

static void utf8_is_that_of_the_rfc(void **state)
{
    static const char *const bad[] = {
        "\x80",         "\xbf",         "\xc0\x80",         "\xc1\xbf",         "\xc2",
        "\xc2\x7f",     "\xc2\xc0",     "\xe0\x9f\xbf",     "\xe1\x80",         "\xe1\x80\x7f",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",         "ok\xfe",       "\xf0\x90\x80",     "\xf0\x90\x80\xc0",
    };
    static const char *const good[] = {
        "",
        "plain",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "a\xc3\xa9z",
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(bad); i++) {
        if (is_valid(bad[i]))
            fail_msg("accepted: %zu", i);
    }
    for (size_t i = 0; i < QUO_COUNT(good); i++) {
        if (!is_valid(good[i]))
            fail_msg("refused: %zu", i);
    }
    assert_true(quo_utf8_is_valid(quo_slice("a\0b", 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_that_of_the_rfc),
        cmocka_unit_test(every_byte_round_trips_in_place),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(utf8_is_that_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
