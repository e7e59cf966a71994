#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/http/request.h"
#include "tests/unit/http/header_lines.h"

static struct quo_map *map;
static struct quo_wish wish;
static struct quo_problem problem;

static int make_map(void **state)
{
    (void)state;
    map = calloc(1, sizeof *map);
    if (map == NULL)
        return 1;
    map->partition_count = 8;
    map->namespace_count = 1;
    map->namespaces[0] = (struct quo_namespace){.id = 1,
                                                .name = "default",
                                                .kind = QUO_KIND_LWW,
                                                .n = 3,
                                                .rs = 2,
                                                .ws = 2,
                                                .read_level = QUO_LEVEL_STRONG,
                                                .write_level = QUO_LEVEL_STRONG,
                                                .timeout_ms = 1000,
                                                .value_max = 1000};
    return 0;
}

static int free_map(void **state)
{
    (void)state;
    free(map);
    return 0;
}

static bool parse(const char *target, const char *headers)
{
    struct quo_http_header list[4];
    struct quo_http_request request = {
        .method = quo_slice_of("GET"),
        .target = quo_slice_of(target),
        .headers = list,
        .header_count = split_headers(headers, list),
    };

    problem.type = QUO_PROBLEM_NONE;
    return quo_request_parse(&request, map, &wish, &problem);
}

static void nothing_said_is_all_of_it(void **state)
{
    (void)state;
    assert_true(parse("/v1/kv/default", NULL));
    assert_int_equal(wish.route, QUO_ROUTE_LIST);
    assert_string_equal(wish.ns->name, "default");
    assert_int_equal(wish.limit, QUO_PAGE_DEFAULT);
    assert_int_equal(wish.key_len, 0);
    assert_int_equal(wish.place.partition, 0);
    assert_int_equal(wish.place.after_len, 0);
    assert_int_equal(wish.consistency.level, QUO_LEVEL_QUORUM);
    assert_int_equal(wish.consistency.r, 2);
    assert_int_equal(wish.consistency.timeout_ms, 1000);
}

static void levels_come_from_either_side(void **state)
{
    (void)state;
    assert_true(parse("/v1/kv/default?prefix=a%2F%00&limit=7&level=eventual&timeout=2s", NULL));
    assert_int_equal(wish.limit, 7);
    assert_true(quo_slice_equal(quo_slice(wish.key, wish.key_len), quo_slice("a/\0", 3)));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_EVENTUAL);
    assert_int_equal(wish.consistency.timeout_ms, 2000);
    assert_true(parse("/v1/kv/default?limit=7", "consistency: all;timeout=30"));
    assert_int_equal(wish.consistency.level, QUO_LEVEL_ALL);
    assert_int_equal(wish.consistency.r, 3);
    assert_int_equal(wish.consistency.timeout_ms, 30);
    assert_false(parse("/v1/kv/default?level=all", "consistency: eventual"));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_CONSISTENCY);
}

static void cursors_are_for_their_listing(void **state)
{
    (void)state;
    char cursor[QUO_LIST_CURSOR_MAX], target[QUO_LIST_CURSOR_MAX + 64];
    const struct quo_list_scope scope = {map, 1, quo_slice_of("a/")};
    const struct quo_slice after = quo_slice_of("a/b");
    const uint16_t partition = quo_map_partition(map, 1, after);
    int len = (int)quo_list_cursor_format(&scope, partition, after, cursor);

    snprintf(target, sizeof target, "/v1/kv/default?cursor=%.*s&prefix=a%%2F", len, cursor);
    assert_true(parse(target, NULL));
    assert_int_equal(wish.place.partition, partition);
    assert_true(quo_slice_equal(quo_slice(wish.place.after, wish.place.after_len), after));
    snprintf(target, sizeof target, "/v1/kv/default?cursor=%.*s&prefix=a", len, cursor);
    assert_false(parse(target, NULL));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_CURSOR);
    snprintf(target, sizeof target, "/v1/kv/default?cursor=%.*s", len, cursor);
    assert_false(parse(target, NULL));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_CURSOR);
}

static void what_is_wrong_has_its_problem(void **state)
{
    (void)state;
    static const struct {
        const char *target, *headers;
        enum quo_problem_type type;
        const char *word;
    } rows[] = {
        {"/v1/kv/", NULL, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "\"\""},
        {"/v1/kv/defualt", NULL, QUO_PROBLEM_NAMESPACE_NOT_FOUND, "\"defualt\""},
        {"/v1/kv/default?limit=0", NULL, QUO_PROBLEM_BAD_QUERY, "1 to 1000"},
        {"/v1/kv/default?after=x", NULL, QUO_PROBLEM_BAD_QUERY, "\"after\""},
        {"/v1/kv/default?ttl=5s", NULL, QUO_PROBLEM_BAD_QUERY, "ttl"},
        {"/v1/kv/default?prefix=%2", NULL, QUO_PROBLEM_BAD_KEY, "offset 0"},
        {"/v1/kv/default?level=strong", NULL, QUO_PROBLEM_BAD_CONSISTENCY, "strong"},
        {"/v1/kv/default", "consistency: session", QUO_PROBLEM_BAD_CONSISTENCY, "session"},
        {"/v1/kv/default?r=4", NULL, QUO_PROBLEM_BAD_CONSISTENCY, "r=4"},
        {"/v1/kv/default?cursor=AAAA", NULL, QUO_PROBLEM_BAD_CURSOR, "damaged"},
    };

    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        assert_false(parse(rows[i].target, rows[i].headers));
        assert_int_equal(problem.type, rows[i].type);
        assert_non_null(strstr(problem.detail, rows[i].word));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_is_all_of_it),
        cmocka_unit_test(levels_come_from_either_side),
        cmocka_unit_test(cursors_are_for_their_listing),
        cmocka_unit_test(what_is_wrong_has_its_problem),
    };
    return cmocka_run_group_tests(tests, make_map, free_map);
}
