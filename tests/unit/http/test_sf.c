#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/sf.h"

static bool parse(const char *text, struct quo_sf_item *ret)
{
    const char *why = NULL;
    size_t at = 0;

    return quo_sf_parse_item(quo_slice_of(text), ret, &at, &why);
}

static void assert_text(struct quo_slice text, const char *expected)
{
    assert_true(quo_slice_equal(text, quo_slice_of(expected)));
}

static void items_of_every_type_are_read(void **state)
{
    struct quo_sf_item item;

    (void)state;
    assert_true(parse("42", &item));
    assert_int_equal(item.value.type, QUO_SF_INTEGER);
    assert_int_equal(item.value.integer, 42);
    assert_true(parse("-999999999999999", &item));
    assert_true(item.value.integer == -999999999999999);
    assert_true(parse("  a*b/c:d!  ", &item));
    assert_int_equal(item.value.type, QUO_SF_TOKEN);
    assert_text(item.value.text, "a*b/c:d!");
    assert_true(parse("*", &item));
    assert_true(parse("\"a \\\" \\\\ b\"", &item));
    assert_int_equal(item.value.type, QUO_SF_STRING);
    assert_text(item.value.text, "a \\\" \\\\ b");
    assert_true(parse("\"\"", &item));
    assert_true(parse("?1", &item));
    assert_true(item.value.type == QUO_SF_BOOLEAN && item.value.boolean);
    assert_true(parse("?0", &item));
    assert_false(item.value.boolean);
}

static void parameters_are_read_in_order(void **state)
{
    struct quo_sf_item item;

    (void)state;
    assert_true(parse("strong;a=1; b ;*c-1_.*=\"x\";d=?0;e=tok;a=2", &item) == false);
    assert_true(parse("strong;a=1; b;*c-1_.*=\"x\";d=?0;e=tok;a=2", &item));
    assert_int_equal(item.count, 6);
    assert_text(item.parameters[0].key, "a");
    assert_int_equal(item.parameters[0].value.integer, 1);
    assert_true(item.parameters[1].value.type == QUO_SF_BOOLEAN &&
                item.parameters[1].value.boolean);
    assert_text(item.parameters[2].key, "*c-1_.*");
    assert_false(item.parameters[3].value.boolean);
    assert_text(item.parameters[4].value.text, "tok");
    assert_int_equal(item.parameters[5].value.integer, 2);
}

static void what_is_wrong_is_refused_where_it_is(void **state)
{
    static const struct {
        const char *text;
        size_t at;
    } rows[] = {
        {"", 0},         {" ", 1},
        {";a=1", 0},     {"a b", 2},
        {"a;", 2},       {"a; ", 3},
        {"a;A=1", 2},    {"a;1=1", 2},
        {"a;b=", 4},     {"a;b=;c", 4},
        {"a,b", 1},      {"(a)", 0},
        {"\"a", 2},      {"\"a\\n\"", 3},
        {"\"\x7f\"", 1}, {"\"\xc3\"", 1},
        {"?2", 1},       {"?", 1},
        {"-", 1},        {"--1", 1},
        {"1.5", 1},      {"1000000000000000", 15},
        {":YQ==:", 0},   {"@1", 0},
        {"a;b=1.", 5},   {"\xff", 0},
        {"a\t", 1},      {"\ta", 0},
        {"a;b =1", 4},   {"'a'", 0},
        {"\"\\", 2},
    };
    struct quo_sf_item item;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        const char *why = NULL;
        size_t at = 99;

        if (quo_sf_parse_item(quo_slice_of(rows[i].text), &item, &at, &why))
            fail_msg("accepted: %s", rows[i].text);
        if (at != rows[i].at)
            fail_msg("%s: stopped at %zu: %s", rows[i].text, at, why);
        assert_non_null(why);
    }
    assert_false(quo_sf_parse_item(quo_slice("a\0", 2), &item, &(size_t){0}, &(const char *){0}));
}

static void parameters_have_a_limit(void **state)
{
    char text[2 + 3 * (QUO_SF_PARAMETERS_MAX + 1)] = "a";
    struct quo_sf_item item;
    size_t len = 1;

    (void)state;
    for (size_t i = 0; i < QUO_SF_PARAMETERS_MAX; i++, len += 2)
        memcpy(text + len, ";b", 2);
    assert_true(parse(text, &item));
    memcpy(text + len, ";b", 2);
    assert_false(parse(text, &item));
}

static void dictionaries_are_written(void **state)
{
    static const char expected[] =
        "level=strong, n=18446744073709551615, z=0, yes, no=?0, s=\"a\\\"\\\\?\", "
        "l=(\"x\" \"y\"), e=(), after=1";
    char out[256];
    struct quo_sf_writer w;

    (void)state;
    quo_sf_begin(&w, out, sizeof out);
    quo_sf_token(&w, "level", "strong");
    quo_sf_integer(&w, "n", UINT64_MAX);
    quo_sf_integer(&w, "z", 0);
    quo_sf_boolean(&w, "yes", true);
    quo_sf_boolean(&w, "no", false);
    quo_sf_string(&w, "s", quo_slice_of("a\"\\\xff"));
    quo_sf_list_begin(&w, "l");
    quo_sf_list_string(&w, quo_slice_of("x"));
    quo_sf_list_string(&w, quo_slice_of("y"));
    quo_sf_list_end(&w);
    quo_sf_list_begin(&w, "e");
    quo_sf_list_end(&w);
    quo_sf_integer(&w, "after", 1);
    assert_false(w.overflow);
    assert_int_equal(w.len, sizeof expected - 1);
    assert_memory_equal(out, expected, w.len);
}

static void the_writer_never_overruns(void **state)
{
    (void)state;
    for (size_t size = 0; size < 24; size++) {
        char out[32];
        struct quo_sf_writer w;

        memset(out, '#', sizeof out);
        quo_sf_begin(&w, out, size);
        quo_sf_token(&w, "a", "token");
        quo_sf_string(&w, "b", quo_slice_of("string"));
        assert_true(w.overflow == (size < 19));
        assert_true(w.len <= size);
        for (size_t i = size; i < sizeof out; i++)
            assert_int_equal(out[i], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_of_every_type_are_read),
        cmocka_unit_test(parameters_are_read_in_order),
        cmocka_unit_test(what_is_wrong_is_refused_where_it_is),
        cmocka_unit_test(parameters_have_a_limit),
        cmocka_unit_test(dictionaries_are_written),
        cmocka_unit_test(the_writer_never_overruns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
