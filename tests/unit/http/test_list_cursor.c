#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proxy/http/list_cursor.h"

static struct quo_map *map;
static struct quo_list_scope scope;
static struct quo_list_place place;
static char text[QUO_LIST_CURSOR_MAX];

static int setup(void **state)
{
    (void)state;
    map = calloc(1, sizeof *map);
    map->cluster = 5;
    map->partition_count = 64;
    scope = (struct quo_list_scope){map, 7, quo_slice_of("user/")};
    return map != NULL ? 0 : 1;
}
static int teardown(void **state)
{
    (void)state;
    free(map);
    return 0;
}

static size_t format(const char *after)
{
    return quo_list_cursor_format(&scope, quo_map_partition(map, 7, quo_slice_of(after)),
                                  quo_slice_of(after), text);
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    char key[64] = "user/";
    for (size_t len = 5; len < 40; len++) {
        key[len] = (char)(0xf0 + len); /* so that every digit of the alphabet comes up */
        size_t size = format(key);
        for (size_t i = 0; i < size; i++)
            assert_true(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                               text[i]) != NULL);
        assert_true(quo_list_cursor_parse(&scope, quo_slice(text, size), &place));
        assert_true(quo_slice_equal(quo_slice(place.after, place.after_len), quo_slice_of(key)));
        assert_int_equal(place.partition, quo_map_partition(map, 7, quo_slice_of(key)));
    }
    size_t size = quo_list_cursor_format(&scope, 63, quo_slice(NULL, 0), text);
    assert_true(quo_list_cursor_parse(&scope, quo_slice(text, size), &place));
    assert_int_equal(place.partition, 63);
    assert_int_equal(place.after_len, 0);
}

static void the_longest_key_fits(void **state)
{
    (void)state;
    static uint8_t key[QUO_KEY_MAX];
    memset(key, 0xff, sizeof key);
    scope.prefix = quo_slice(key, sizeof key);
    struct quo_slice after = quo_slice(key, sizeof key);
    size_t size = quo_list_cursor_format(&scope, quo_map_partition(map, 7, after), after, text);
    assert_true(size <= sizeof text);
    assert_true(quo_list_cursor_parse(&scope, quo_slice(text, size), &place));
    assert_int_equal(place.after_len, sizeof key);
}

static void is_good_for_one_scope_only(void **state)
{
    (void)state;
    const size_t size = format("user/1");
    struct quo_list_scope other = scope;
    other.ns = 8;
    assert_false(quo_list_cursor_parse(&other, quo_slice(text, size), &place));
    other = scope;
    other.prefix = quo_slice_of("user");
    assert_false(quo_list_cursor_parse(&other, quo_slice(text, size), &place));
    other.prefix = quo_slice_of("");
    assert_false(quo_list_cursor_parse(&other, quo_slice(text, size), &place));
    map->cluster++;
    assert_false(quo_list_cursor_parse(&scope, quo_slice(text, size), &place));
    map->cluster--;
    assert_true(quo_list_cursor_parse(&scope, quo_slice(text, size), &place));
}

static void places_that_are_none_are_refused(void **state)
{
    (void)state;
    size_t size = quo_list_cursor_format(&scope, 64, quo_slice(NULL, 0), text);
    assert_false(quo_list_cursor_parse(&scope, quo_slice(text, size), &place));
    struct quo_slice key = quo_slice_of("user/1");
    uint16_t home = quo_map_partition(map, 7, key);
    size = quo_list_cursor_format(&scope, (uint16_t)((home + 1) % 64), key, text);
    assert_false(quo_list_cursor_parse(&scope, quo_slice(text, size), &place));
    key = quo_slice_of("usher");
    size = quo_list_cursor_format(&scope, quo_map_partition(map, 7, key), key, text);
    assert_false(quo_list_cursor_parse(&scope, quo_slice(text, size), &place));
}

static void damage_is_noticed(void **state)
{
    (void)state;
    static const char digits[] = "Ab0-_+/=. \xff";
    const size_t size = format("user/1");
    for (size_t i = 0; i < size; i++) {
        for (const char *digit = digits; *digit != 0; digit++) {
            char kept = text[i];
            text[i] = *digit;
            if (kept != *digit)
                assert_false(quo_list_cursor_parse(&scope, quo_slice(text, size), &place));
            text[i] = kept;
        }
    }
    for (size_t len = 0; len < size; len++)
        assert_false(quo_list_cursor_parse(&scope, quo_slice(text, len), &place));
    memset(text, 'A', sizeof text);
    for (size_t len = 0; len <= sizeof text; len++)
        assert_false(quo_list_cursor_parse(&scope, quo_slice(text, len), &place));
    char *longer = malloc(sizeof text + 1);
    memset(longer, 'A', sizeof text + 1);
    assert_false(quo_list_cursor_parse(&scope, quo_slice(longer, sizeof text + 1), &place));
    free(longer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(comes_back_as_it_was),       TEST(the_longest_key_fits),
        TEST(is_good_for_one_scope_only), TEST(places_that_are_none_are_refused),
        TEST(damage_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
