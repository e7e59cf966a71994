#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <yajl/yajl_tree.h>

#include "proxy/http/operation_id.h"
#include "proxy/http/problem.h"

static yajl_val parse(const char *document, size_t len)
{
    static char copy[QUO_PROBLEM_DOCUMENT_MAX + 1];
    char why[256];
    yajl_val root;

    memcpy(copy, document, len);
    copy[len] = 0;
    root = yajl_tree_parse(copy, why, sizeof why);
    if (root == NULL)
        fail_msg("%s: %s", why, copy);
    return root;
}

static yajl_val member(yajl_val root, const char *name)
{
    return yajl_tree_get(root, (const char *[]){name, NULL}, yajl_t_any);
}

static void every_problem_is_a_document_and_a_page(void **state)
{
    char document[QUO_PROBLEM_DOCUMENT_MAX], page[4096];

    (void)state;
    for (int type = QUO_PROBLEM_NONE + 1; type < QUO_PROBLEM_COUNT; type++) {
        const struct quo_problem_info *info = quo_problem_info((enum quo_problem_type)type);
        struct quo_problem problem;
        yajl_val root;
        size_t len;

        assert_int_equal(quo_problem_by_slug(quo_slice_of(info->slug)), type);
        quo_problem_set(&problem, (enum quo_problem_type)type, "detail %d", type);
        root = parse(document, quo_problem_render(&problem, "id-1", document));
        assert_memory_equal(YAJL_GET_STRING(member(root, "type")), "/problems/", 10);
        assert_string_equal(YAJL_GET_STRING(member(root, "type")) + 10, info->slug);
        assert_string_equal(YAJL_GET_STRING(member(root, "title")), info->title);
        assert_int_equal(YAJL_GET_INTEGER(member(root, "status")), info->status);
        assert_string_equal(YAJL_GET_STRING(member(root, "detail")), problem.detail);
        assert_string_equal(YAJL_GET_STRING(member(root, "outcome")), "not-applied");
        assert_string_equal(YAJL_GET_STRING(member(root, "do")), info->advice);
        assert_string_equal(YAJL_GET_STRING(member(root, "request_id")), "id-1");
        assert_null(member(root, "need"));
        assert_null(member(root, "limit"));
        yajl_tree_free(root);

        len = quo_problem_page((enum quo_problem_type)type, page, sizeof page);
        assert_true(len < sizeof page);
        assert_non_null(strstr(page, info->title));
        assert_string_not_equal(quo_http_reason(info->status), "Status");
        /* "Come back later" is for failures that pass. */
        assert_true((info->retry_after_s > 0) == (info->status == 503 || info->status == 429));
    }
    assert_int_equal(quo_problem_by_slug(quo_slice_of("no-such")), QUO_PROBLEM_NONE);
    assert_int_equal(quo_problem_by_slug(quo_slice_of("")), QUO_PROBLEM_NONE);
}

static void numbers_stand_where_they_say_something(void **state)
{
    char document[QUO_PROBLEM_DOCUMENT_MAX];
    struct quo_problem problem;
    yajl_val root;

    (void)state;
    quo_problem_set(&problem, QUO_PROBLEM_TIMEOUT, "x");
    problem.need = 2;
    problem.got = 0;
    problem.limit = 16777216;
    problem.actual = 16777217;
    problem.outcome = QUO_UNKNOWN;
    root = parse(document, quo_problem_render(&problem, "id", document));
    assert_int_equal(YAJL_GET_INTEGER(member(root, "need")), 2);
    assert_int_equal(YAJL_GET_INTEGER(member(root, "got")), 0);
    assert_int_equal(YAJL_GET_INTEGER(member(root, "limit")), 16777216);
    assert_int_equal(YAJL_GET_INTEGER(member(root, "actual")), 16777217);
    assert_string_equal(YAJL_GET_STRING(member(root, "outcome")), "unknown");
    assert_null(member(root, "value"));
    assert_null(member(root, "operation"));
    yajl_tree_free(root);
    problem.has_value = true;
    problem.value = QUO_PROBLEM_UNSAID;
    problem.operation = quo_slice_of("/v1/kv/a/b%2Fc/operations/x");
    root = parse(document, quo_problem_render(&problem, "id", document));
    assert_int_equal(YAJL_GET_INTEGER(member(root, "value")), -1);
    assert_string_equal(YAJL_GET_STRING(member(root, "operation")), "/v1/kv/a/b%2Fc/operations/x");
    yajl_tree_free(root);
}

static void any_bytes_can_be_quoted(void **state)
{
    char out[QUO_PROBLEM_QUOTE_MAX], document[QUO_PROBLEM_DOCUMENT_MAX];
    uint8_t all[256];
    struct quo_problem problem;

    (void)state;
    assert_string_equal(quo_problem_quote(quo_slice_of("a b"), out), "\"a b\"");
    assert_string_equal(quo_problem_quote(quo_slice_of("\"\\\n\xff"), out),
                        "\"\\x22\\x5c\\x0a\\xff\"");
    assert_string_equal(quo_problem_quote(quo_slice(NULL, 0), out), "\"\"");
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    for (size_t from = 0; from < sizeof all; from++) {
        quo_problem_quote(quo_slice(all + from, sizeof all - from), out);
        assert_true(strlen(out) < QUO_PROBLEM_QUOTE_MAX);
        quo_problem_set(&problem, QUO_PROBLEM_BAD_QUERY, "%s", out);
        yajl_tree_free(parse(document, quo_problem_render(&problem, "id", document)));
    }
}

static void long_details_are_cut(void **state)
{
    static char path[QUO_OPERATION_PATH_MAX];
    char document[QUO_PROBLEM_DOCUMENT_MAX], id[QUO_REQUEST_ID_MAX + 1];
    struct quo_problem problem;

    (void)state;
    memset(id, 'i', sizeof id);
    id[QUO_REQUEST_ID_MAX] = 0;
    memset(path, '/', sizeof path);
    for (int type = QUO_PROBLEM_NONE + 1; type < QUO_PROBLEM_COUNT; type++) {
        quo_problem_set(&problem, (enum quo_problem_type)type, "%1000d", 7);
        assert_int_equal(strlen(problem.detail), QUO_PROBLEM_DETAIL_MAX - 1);
        memset(problem.detail, '"', QUO_PROBLEM_DETAIL_MAX - 1);
        problem.need = problem.got = problem.limit = problem.actual = INT64_MAX;
        problem.has_value = true;
        problem.value = INT64_MIN;
        problem.operation = quo_slice(path, sizeof path);
        yajl_tree_free(parse(document, quo_problem_render(&problem, id, document)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_problem_is_a_document_and_a_page),
        cmocka_unit_test(numbers_stand_where_they_say_something),
        cmocka_unit_test(any_bytes_can_be_quoted),
        cmocka_unit_test(long_details_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
