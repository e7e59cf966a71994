#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/http/digits.h"
#include "quorate/version.h"

static const uint64_t numbers[] = {
    0,
    1,
    9,
    10,
    99,
    100,
    999,
    1000,
    1234,
    9999,
    10000,
    99999,
    123456,
    1000000,
    UINT32_MAX,
    UINT64_C(0x0123456789abcdef),
    UINT64_C(0xfedcba9876543210),
    UINT64_MAX,
};

static void numbers_are_written_as_the_library_writes_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < QUO_COUNT(numbers); i++) {
        const uint64_t n = numbers[i];
        char expected[64], out[64] = {0};

        snprintf(expected, sizeof expected, "%" PRIu64, n);
        assert_int_equal(quo_put_decimal(out, n), strlen(expected));
        assert_string_equal(out, expected);

        memset(out, 0, sizeof out);
        snprintf(expected, sizeof expected, "%" PRIu64 ".%03" PRIu64, n / 1000, n % 1000);
        assert_int_equal(quo_put_thousandths(out, n), strlen(expected));
        assert_string_equal(out, expected);

        memset(out, 0, sizeof out);
        snprintf(expected, sizeof expected, "%016" PRIx64, n);
        quo_put_hex(out, n);
        assert_string_equal(out, expected);
    }
}

static void versions_are_written_as_the_library_writes_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < QUO_COUNT(numbers); i++) {
        const struct quo_version v = {numbers[i], numbers[QUO_COUNT(numbers) - 1 - i]};
        char expected[64], out[QUO_VERSION_TEXT + 1];

        snprintf(expected, sizeof expected, "%016" PRIx64 "%016" PRIx64, v.hlc, v.node);
        quo_version_format(v, out);
        assert_string_equal(out, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written_as_the_library_writes_them),
        cmocka_unit_test(versions_are_written_as_the_library_writes_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
