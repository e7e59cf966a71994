#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/change/counter.h"

static const struct {
    const char *text;
    int64_t value;
} written[] = {
    {"0", 0},
    {"7", 7},
    {"-1", -1},
    {"10", 10},
    {"-100", -100},
    {"9223372036854775807", INT64_MAX},
    {"-9223372036854775808", INT64_MIN},
};

static void reads_and_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < QUO_COUNT(written); i++) {
        int64_t value = 42;
        assert_true(quo_counter_parse(quo_slice_of(written[i].text), &value));
        assert_int_equal(value, written[i].value);
        char out[QUO_COUNTER_TEXT];
        const size_t len = quo_counter_format(value, out);
        assert_true(quo_slice_equal(quo_slice(out, len), quo_slice_of(written[i].text)));
    }
}

static void refuses_the_rest(void **state)
{
    static const char *const texts[] = {
        "",
        "-",
        "+1",
        "01",
        "-01",
        "00",
        "-0",
        "--1",
        " 1",
        "1 ",
        "1\n",
        "1.0",
        "1e3",
        "0x1",
        "1a",
        "\"1\"",
        "null",
        "1-1",
        "/",
        ":",
        "1 2",
        "1_0",
        "1,00",
        "9223372036854775808",
        "-9223372036854775809",
        "92233720368547758070",
        "-92233720368547758080",
        "99999999999999999999999999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(texts); i++) {
        int64_t value = 42;
        assert_false(quo_counter_parse(quo_slice_of(texts[i]), &value));
        assert_int_equal(value, 42);
    }
    int64_t value = 42;
    assert_false(quo_counter_parse(quo_slice("1\0", 2), &value));
    assert_false(quo_counter_parse(quo_slice(NULL, 0), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
