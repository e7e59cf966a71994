#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/route.h"

static void routes_are_found(void **state)
{
    static const struct {
        const char *target;
        enum quo_route route;
    } rows[] = {
        {"/", QUO_ROUTE_INDEX},
        {"/?x=1", QUO_ROUTE_INDEX},
        {"/livez", QUO_ROUTE_LIVE},
        {"/readyz?verbose", QUO_ROUTE_READY},
        {"/metrics", QUO_ROUTE_METRICS},
        {"/openapi.yaml", QUO_ROUTE_OPENAPI},
        {"/problems/bad-key", QUO_ROUTE_PROBLEM},
        {"/v1/kv/default/k", QUO_ROUTE_KEY},
        {"http://host:80/livez", QUO_ROUTE_LIVE},
        {"https://host", QUO_ROUTE_INDEX},
        {"http://host/v1/kv/default/k?level=strong", QUO_ROUTE_KEY},
        {"/rels/operation", QUO_ROUTE_RELATION},
        {"/v1/kv/default/k:add", QUO_ROUTE_KEY},
        {"/v1/kv/default/operations", QUO_ROUTE_KEY},
        {"/v1/kv/default/k/operations", QUO_ROUTE_KEY},
        {"/v1/kv/default/k%2Foperations%2Fx", QUO_ROUTE_KEY},
        {"/v1/kv/default/k/operations/", QUO_ROUTE_OPERATION},
        {"/v1/kv/default/k/operations/x?level=all", QUO_ROUTE_OPERATION},
        {"/v1/kv/default/k/operations/x:resolve", QUO_ROUTE_RESOLVE},
        {"/v1/kv/default/k/operations/:resolve", QUO_ROUTE_RESOLVE},
        {"/v1/kv/default/k/operations/x:resolved", QUO_ROUTE_OPERATION},
        {"/v1/counters/default/k:add", QUO_ROUTE_ADD},
        {"/v1/batch", QUO_ROUTE_BATCH},
        {"/v1/counters/default/k:ad", QUO_ROUTE_COUNTER},
        {"/v1/counters/default/:add", QUO_ROUTE_ADD},
        {"/v1/counters/default/k", QUO_ROUTE_COUNTER},
        {"/v1/counters/default/k%3Aadd", QUO_ROUTE_COUNTER},
        {"/v1/counters/default:add", QUO_ROUTE_NONE},
        {"/v1/kv/default", QUO_ROUTE_LIST},
        {"/v1/kv/default?prefix=a/b", QUO_ROUTE_LIST},
        {"/v1/kv/", QUO_ROUTE_LIST},
        {"/v1/kv/default/", QUO_ROUTE_KEY},
        {"/v1/kv", QUO_ROUTE_NONE},
        {"/livez/", QUO_ROUTE_NONE},
        {"", QUO_ROUTE_NONE},
        {"*", QUO_ROUTE_NONE},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_target target = quo_route_find(quo_slice_of(rows[i].target));

        if (target.route != rows[i].route)
            fail_msg("%s: %d", rows[i].target, target.route);
    }
}

static void captures_are_taken_as_they_stand(void **state)
{
    static const struct {
        const char *target, *captures[QUO_CAPTURES_MAX], *query;
    } rows[] = {
        {"/v1/kv/a/b%2Fc?x=/y", {"a", "b%2Fc", ""}, "x=/y"},
        {"/v1/kv/a/b/c", {"a", "b/c", ""}, ""},
        {"/v1/kv/a/b/operations/c?", {"a", "b", "c"}, ""},
        {"/v1/kv/a/b/operations/c/d:resolve", {"a", "b", "c/d"}, ""},
        {"/v1/counters/a/b:add:add", {"a", "b:add", ""}, ""},
        {"/v1/counters/a/b/c:add", {"a", "b/c", ""}, ""},
        {"http://h/problems/x", {"x", "", ""}, ""},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_target target = quo_route_find(quo_slice_of(rows[i].target));

        for (size_t k = 0; k < QUO_CAPTURES_MAX && rows[i].captures[k][0] != 0; k++)
            assert_true(quo_slice_equal(target.captures[k], quo_slice_of(rows[i].captures[k])));
        assert_true(quo_slice_equal(target.query, quo_slice_of(rows[i].query)));
    }
}

static void methods_are_known(void **state)
{
    static const char *const names[] = {"GET", "HEAD", "PUT", "DELETE", "PATCH", "POST", "OPTIONS"};
    char list[QUO_ALLOW_MAX];

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(names); i++) {
        enum quo_method method = quo_method_parse(quo_slice_of(names[i]));

        quo_methods_format(method, list);
        assert_string_equal(list, names[i]);
        assert_true(quo_method_is_write(method) == (i >= 2 && i <= 5));
    }
    assert_int_equal(quo_method_parse(quo_slice_of("get")), QUO_METHOD_OTHER);
    assert_int_equal(quo_method_parse(quo_slice_of("")), QUO_METHOD_OTHER);
    quo_methods_format(0, list);
    assert_string_equal(list, "");
}

static void data_has_a_namespace_and_a_key(void **state)
{
    (void)state;
    assert_true(quo_route_is_data(QUO_ROUTE_KEY) && quo_route_is_data(QUO_ROUTE_ADD));
    assert_true(quo_route_is_data(QUO_ROUTE_OPERATION) && quo_route_is_data(QUO_ROUTE_RESOLVE));
    assert_false(quo_route_is_data(QUO_ROUTE_METRICS) || quo_route_is_data(QUO_ROUTE_NONE));
}

static void the_index_names_every_route(void **state)
{
    char page[4096];
    size_t len = quo_routes_page(page, sizeof page);

    (void)state;
    assert_true(len < sizeof page);
#define QUO_ROUTE(name, pattern, methods, text)                                                    \
    assert_non_null(strstr(page, pattern));                                                        \
    assert_non_null(strstr(page, text));
#include "proxy/http/routes.def"
#undef QUO_ROUTE
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found),
        cmocka_unit_test(captures_are_taken_as_they_stand),
        cmocka_unit_test(methods_are_known),
        cmocka_unit_test(data_has_a_namespace_and_a_key),
        cmocka_unit_test(the_index_names_every_route),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
