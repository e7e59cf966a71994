#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "proxy/http/ask.h"
#include "proxy/http/paging.h"

#define LISTING (QUO_PAGING_LIMIT | QUO_PAGING_PREFIX | QUO_PAGING_CURSOR)

static struct quo_paging paging;
static struct quo_problem problem;
static char rest[QUO_PAGING_REST_MAX + 1];

static bool parse(const char *query, unsigned allowed)
{
    size_t len = 0;

    memset(rest, 0, sizeof rest);
    if (!quo_paging_parse(quo_slice_of(query), allowed, &paging, rest, &len, &problem))
        return false;
    assert_int_equal(strlen(rest), len);
    return true;
}

static void takes_its_own_and_leaves_the_rest(void **state)
{
    (void)state;
    assert_true(parse("level=quorum&prefix=user%2Fx&limit=7&r=2&cursor=Zm9v", LISTING));
    assert_int_equal(paging.limit, 7);
    assert_true(
        quo_slice_equal(quo_slice(paging.prefix, paging.prefix_len), quo_slice_of("user/x")));
    assert_true(quo_slice_equal(paging.cursor, quo_slice_of("Zm9v")));
    assert_int_equal(paging.before.len, 0);
    assert_string_equal(rest, "level=quorum&r=2");
    assert_true(parse("before=01-02", QUO_PAGING_BEFORE));
    assert_true(quo_slice_equal(paging.before, quo_slice_of("01-02")));
}

static void nothing_means_the_defaults(void **state)
{
    (void)state;
    static const char *const queries[] = {"", "&", "&&", "prefix=", "prefix", "cursor="};
    for (size_t i = 0; i < QUO_COUNT(queries); i++) {
        assert_true(parse(queries[i], LISTING));
        assert_int_equal(paging.limit, QUO_PAGE_DEFAULT);
        assert_int_equal(paging.prefix_len, 0);
        assert_int_equal(paging.cursor.len, 0);
        assert_string_equal(rest, "");
    }
}

static void limits_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "limit=0",  "limit=1001", "limit=",    "limit",           "limit=-1",
        "limit=1x", "limit= 1",   "limit=%31", "limit=4294967297"};
    for (size_t i = 0; i < QUO_COUNT(bad); i++) {
        assert_false(parse(bad[i], LISTING));
        assert_int_equal(problem.type, QUO_PROBLEM_BAD_QUERY);
        assert_non_null(strstr(problem.detail, "1 to 1000"));
    }
    assert_true(parse("limit=1000", LISTING));
    assert_int_equal(paging.limit, 1000);
    assert_true(parse("limit=1", LISTING));
    assert_int_equal(paging.limit, 1);
}

static void names_are_checked(void **state)
{
    (void)state;
    assert_false(parse("limt=7", LISTING));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_QUERY);
    assert_string_equal(problem.detail, "There is no query parameter \"limt\" here; there are "
                                        "level, r, timeout, limit, prefix, cursor.");
    assert_false(parse("before=x", LISTING));
    assert_false(parse("prefix=x", QUO_PAGING_LIMIT));
    assert_false(parse("=x", LISTING));
}

static void each_is_given_once(void **state)
{
    (void)state;
    assert_false(parse("limit=7&limit=7", LISTING));
    assert_non_null(strstr(problem.detail, "limit\" is given twice"));
    assert_false(parse("prefix=&prefix=", LISTING));
    /* Of the rest, whoever reads it says so. */
    assert_true(parse("r=1&r=1", LISTING));
    assert_string_equal(rest, "r=1&r=1");
}

static void prefixes_are_keys(void **state)
{
    (void)state;
    char query[3 * QUO_KEY_MAX + 16];
    assert_false(parse("prefix=a%2", LISTING));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_KEY);
    memset(query, 'x', sizeof query);
    memcpy(query, "prefix=", 7);
    query[7 + QUO_KEY_MAX] = 0;
    assert_true(parse(query, LISTING));
    assert_int_equal(paging.prefix_len, QUO_KEY_MAX);
    query[7 + QUO_KEY_MAX] = 'x';
    query[8 + QUO_KEY_MAX] = 0;
    assert_false(parse(query, LISTING));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_QUERY);
    assert_true(parse("prefix=%00%ff", LISTING));
    assert_true(
        quo_slice_equal(quo_slice(paging.prefix, paging.prefix_len), quo_slice("\0\xff", 2)));
}

static void the_rest_has_a_limit(void **state)
{
    (void)state;
    char query[QUO_PAGING_REST_MAX + 8];
    memset(query, '1', sizeof query);
    memcpy(query, "r=", 2);
    query[QUO_PAGING_REST_MAX - 1] = 0;
    assert_true(parse(query, LISTING));
    query[QUO_PAGING_REST_MAX - 1] = '1';
    query[QUO_PAGING_REST_MAX] = 0;
    assert_false(parse(query, LISTING));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_QUERY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_its_own_and_leaves_the_rest),
        cmocka_unit_test(nothing_means_the_defaults),
        cmocka_unit_test(limits_are_checked),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(each_is_given_once),
        cmocka_unit_test(prefixes_are_keys),
        cmocka_unit_test(the_rest_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
