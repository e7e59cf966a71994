#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/etag.h"

#define TAG "\"0102030405060708090a0b0c0d0e0f10\""
#define OTHER "\"ffffffffffffffffffffffffffffffff\""

static void a_tag_is_the_version_in_quotes(void **state)
{
    char out[QUO_ETAG_SIZE + 1];

    (void)state;
    quo_etag_format((struct quo_version){0x0102030405060708, 0x090a0b0c0d0e0f10}, out);
    assert_string_equal(out, TAG);
}

static void lists_are_searched(void **state)
{
    static const struct {
        const char *field;
        bool weak, strong; /* matches in each kind of comparison */
    } rows[] = {
        {TAG, true, true},
        {OTHER ", " TAG, true, true},
        {OTHER "," TAG "," OTHER, true, true},
        {" ,, " TAG " ", true, true},
        {"*", true, true},
        {OTHER ", *", true, true},
        {"W/" TAG, true, false},
        {"W/" OTHER ", W/" TAG, true, false},
        {OTHER, false, false},
        {"", false, false},
        {"W/", false, false},
        {"W", false, false},
        {"\"", false, false},
        {"\"0102", false, false},
        {"0102030405060708090a0b0c0d0e0f10", false, false},
        {"\"0102030405060708090A0B0C0D0E0F10\"", false, false},
        {"w/" TAG, false, false},
        {"garbage " TAG, false, false},
        {"\"a,b\", " TAG, true, true},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (quo_etag_listed(quo_slice_of(rows[i].field), TAG, true) != rows[i].weak ||
            quo_etag_listed(quo_slice_of(rows[i].field), TAG, false) != rows[i].strong)
            fail_msg("%s", rows[i].field);
    }
}

static void only_our_own_tags_are_versions(void **state)
{
    static const char *const strange[] = {
        OTHER "x",
        "x",
        "",
        "\"\"",
        "\"0102030405060708090A0B0C0D0E0F10\"",
        "\"0102030405060708090a0b0c0d0e0f1g\"",
        "\"0102030405060708090a0b0c0d0e0f\"",
    };
    struct quo_version version = {7, 7};

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(strange); i++)
        assert_false(quo_etag_parse(quo_slice_of(strange[i]), &version));
    assert_true(quo_version_equal(version, (struct quo_version){7, 7}));
    assert_true(quo_etag_parse(quo_slice_of(TAG), &version));
    assert_true(
        quo_version_equal(version, (struct quo_version){0x0102030405060708, 0x090a0b0c0d0e0f10}));
}

static void tags_are_taken_one_by_one(void **state)
{
    struct quo_slice rest = quo_slice_of("\"a,b\"W/\"\" x"), tag;
    bool weak;

    (void)state;
    assert_true(quo_etag_take(&rest, &tag, &weak));
    assert_true(!weak && quo_slice_equal(tag, quo_slice_of("\"a,b\"")));
    assert_true(quo_etag_take(&rest, &tag, &weak));
    assert_true(weak && quo_slice_equal(tag, quo_slice_of("\"\"")));
    assert_false(quo_etag_take(&rest, &tag, &weak));
    assert_true(quo_slice_equal(rest, quo_slice_of(" x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_the_version_in_quotes),
        cmocka_unit_test(lists_are_searched),
        cmocka_unit_test(only_our_own_tags_are_versions),
        cmocka_unit_test(tags_are_taken_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
