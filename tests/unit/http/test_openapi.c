#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/http/openapi.h"
#include "proxy/http/request.h"

static char *document;

static int copy_document(void **state)
{
    struct quo_slice bytes = quo_openapi();

    (void)state;
    document = calloc(1, bytes.len + 1);
    if (document == NULL)
        return 1;
    memcpy(document, bytes.data, bytes.len);
    return 0;
}

static int free_document(void **state)
{
    (void)state;
    free(document);
    return 0;
}

static void assert_documented(const char *text)
{
    if (strstr(document, text) == NULL)
        fail_msg("not in the document: %s", text);
}

static void it_is_the_file(void **state)
{
    FILE *file = fopen(QUO_SOURCE_DIR "/api/http/openapi.yaml", "rb");
    struct quo_slice bytes = quo_openapi();
    int c;

    (void)state;
    assert_non_null(file);
    for (size_t i = 0; (c = fgetc(file)) != EOF; i++) {
        assert_true(i < bytes.len);
        assert_int_equal(bytes.data[i], c);
    }
    assert_int_equal(ftell(file), bytes.len);
    fclose(file);
}

static void it_lists_what_the_tables_list(void **state)
{
    (void)state;
#define QUO_ROUTE(name, pattern, methods, text) assert_documented("\n  " pattern ":\n");
#include "proxy/http/routes.def"
#undef QUO_ROUTE
#define QUO_PROBLEM(name, slug, status, retry, title, meaning, advice)                             \
    assert_documented("\n            - /problems/" slug "\n");                                     \
    assert_documented("`" slug "`");
#include "proxy/http/problems.def"
#undef QUO_PROBLEM
}

static void it_lists_no_problem_that_is_none(void **state)
{
    (void)state;
    for (const char *at = document; (at = strstr(at, "- /problems/")) != NULL;) {
        size_t len;

        at += strlen("- /problems/");
        len = strcspn(at, "\n");
        assert_int_not_equal(quo_problem_by_slug(quo_slice(at, len)), QUO_PROBLEM_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_file),
        cmocka_unit_test(it_lists_what_the_tables_list),
        cmocka_unit_test(it_lists_no_problem_that_is_none),
    };

    return cmocka_run_group_tests(tests, copy_document, free_document);
}
