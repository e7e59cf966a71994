#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quorate/base.h"
#include "quorate/version.h"

static const struct quo_version sample = {0x0123456789abcdef, 0xfedcba9876543210};

static void order_is_hlc_then_node(void **state)
{
    (void)state;
    static const struct quo_version rising[] = {
        {0, 0}, {0, 1}, {0, UINT64_MAX}, {1, 0}, {1, 1}, {UINT64_MAX, 0}, {UINT64_MAX, UINT64_MAX},
    };
    for (size_t i = 0; i < QUO_COUNT(rising); i++) {
        for (size_t j = 0; j < QUO_COUNT(rising); j++) {
            int order = quo_version_compare(rising[i], rising[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(quo_version_equal(rising[i], rising[j]), i == j);
            assert_true(
                quo_version_equal(quo_version_max(rising[i], rising[j]), rising[QUO_MAX(i, j)]));
        }
        assert_int_equal(quo_version_is_none(rising[i]), i == 0);
    }
}

/* The bytes are compared by RocksDB and by other programs. */
static void bytes_are_big_endian(void **state)
{
    (void)state;
    static const uint8_t expected[QUO_VERSION_SIZE] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
                                                       0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98,
                                                       0x76, 0x54, 0x32, 0x10};
    uint8_t bytes[QUO_VERSION_SIZE];
    quo_version_encode(sample, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_true(quo_version_equal(quo_version_decode(bytes), sample));
}

static void text_round_trips(void **state)
{
    (void)state;
    char text[QUO_VERSION_TEXT + 1];
    struct quo_version parsed = QUO_VERSION_NONE;
    quo_version_format(sample, text);
    assert_string_equal(text, "0123456789abcdeffedcba9876543210");
    assert_true(quo_version_parse(text, QUO_VERSION_TEXT, &parsed));
    assert_true(quo_version_equal(parsed, sample));
    assert_true(quo_version_parse("0123456789ABCDEFFEDCBA9876543210", QUO_VERSION_TEXT, &parsed));
    assert_true(quo_version_equal(parsed, sample));
}

static void other_text_is_refused(void **state)
{
    (void)state;
    struct quo_version parsed = sample;
    char text[QUO_VERSION_TEXT + 2] = "0123456789abcdeffedcba98765432100";
    assert_false(quo_version_parse(text, 31, &parsed));
    assert_false(quo_version_parse(text, 33, &parsed));
    assert_false(quo_version_parse("", 0, &parsed));
    for (size_t at = 0; at < QUO_VERSION_TEXT; at++) {
        static const char wrong[] = {'g', 'G', '/', ':', '@', '`', ' ', '\0', '-', (char)0xff};
        for (size_t i = 0; i < sizeof wrong; i++) {
            char kept = text[at];
            text[at] = wrong[i];
            assert_false(quo_version_parse(text, QUO_VERSION_TEXT, &parsed));
            text[at] = kept;
        }
    }
    assert_true(quo_version_equal(parsed, sample));
}

static void physical_part_is_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(quo_version_ms((struct quo_version){UINT64_C(1767225600000) << 16 | 7, 1}),
                     1767225600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_hlc_then_node),
        cmocka_unit_test(bytes_are_big_endian),
        cmocka_unit_test(text_round_trips),
        cmocka_unit_test(other_text_is_refused),
        cmocka_unit_test(physical_part_is_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
