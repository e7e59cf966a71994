#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "proxy/http/conditions.h"
#include "tests/unit/http/header_lines.h"

enum { HEADERS_MAX = 8 };

#define OURS "\"0000000000000a000000000000000b00\""
#define OTHER "\"0000000000000c000000000000000d00\""

static bool parse(const char *headers, struct quo_conditions *ret, struct quo_problem *problem)
{
    struct quo_http_header list[HEADERS_MAX];
    struct quo_http_request request = {.headers = list};

    request.header_count = split_headers(headers, list);
    problem->type = QUO_PROBLEM_NONE;
    return quo_conditions_parse(&request, ret, problem);
}

static void conditions_are_read(void **state)
{
    static const struct {
        const char *headers;
        enum quo_condition_type type;
        uint8_t tag_count;
    } rows[] = {
        {NULL, QUO_CONDITION_NONE, 0},
        {"if-modified-since: x", QUO_CONDITION_NONE, 0}, /* is for reads: RFC 9110, 13.1.3 */
        {"if-match: *", QUO_CONDITION_PRESENT, 0},
        {"if-match: , * ,", QUO_CONDITION_PRESENT, 0},
        {"if-none-match: *", QUO_CONDITION_ABSENT, 0},
        {"if-match: " OURS, QUO_CONDITION_TAGS, 1},
        {"if-match: " OURS " ,\t" OTHER ",", QUO_CONDITION_TAGS, 2},
        {"if-match: " OURS "\nif-match: " OTHER, QUO_CONDITION_TAGS, 2},
        /* What no value of ours ever had matches nothing. */
        {"if-match: \"x\"", QUO_CONDITION_TAGS, 0},
        {"if-match: \"\", \"a,b\", " OURS, QUO_CONDITION_TAGS, 1},
        {"if-match: W/" OURS, QUO_CONDITION_TAGS, 0},
        {"if-match: \"0000000000000A000000000000000B00\"", QUO_CONDITION_TAGS, 0},
        {"if-match: \"\xff\"", QUO_CONDITION_TAGS, 0},
    };
    struct quo_conditions conditions;
    struct quo_problem problem;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (!parse(rows[i].headers, &conditions, &problem))
            fail_msg("%s: %s", rows[i].headers, problem.detail);
        if (conditions.type != rows[i].type || conditions.tag_count != rows[i].tag_count)
            fail_msg("%s: %d %u", rows[i].headers, conditions.type, conditions.tag_count);
    }
    assert_true(parse("if-match: \"x\", " OTHER ", " OURS, &conditions, &problem));
    assert_true(quo_version_equal(conditions.tags[0], (struct quo_version){0xc00, 0xd00}));
    assert_true(quo_version_equal(conditions.tags[1], (struct quo_version){0xa00, 0xb00}));
}

static void what_is_ill_formed_is_refused(void **state)
{
    static const struct {
        const char *headers, *word;
    } rows[] = {
        {"if-match: ", "no entity tag"},
        {"if-match: ,,", "no entity tag"},
        {"if-match: x", "\"x\""},
        {"if-match: \"x", "list of entity tags"},
        {"if-match: w/" OURS, "list of entity tags"},
        {"if-match: " OURS "x", "list of entity tags"},
        {"if-match: " OURS OTHER, "list of entity tags"},
        {"if-match: \"a b\"", "list of entity tags"},
        {"if-match: *, " OURS, "beside the '*'"},
        {"if-match: " OURS "\nif-match: *", "beside the '*'"},
        {"if-none-match: " OURS, "only ask for *"},
        {"if-none-match: ", "only ask for *"},
        {"if-none-match: *\nif-none-match: *", "only ask for *"},
        {"if-match: *\nif-none-match: *", "use one of them"},
        {"if-unmodified-since: Sat, 29 Oct 1994 19:43:31 GMT", "if-unmodified-since"},
        {"if: (<x>)", "no dates"},
    };
    struct quo_conditions conditions;
    struct quo_problem problem;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (parse(rows[i].headers, &conditions, &problem))
            fail_msg("accepted: %s", rows[i].headers);
        if (problem.type != QUO_PROBLEM_BAD_HEADER || strstr(problem.detail, rows[i].word) == NULL)
            fail_msg("%s: %d %s", rows[i].headers, problem.type, problem.detail);
    }
}

static void the_number_of_tags_is_limited(void **state)
{
    char field[2048] = "if-match: ";
    struct quo_conditions conditions;
    struct quo_problem problem;
    size_t at = strlen(field);

    (void)state;
    for (unsigned i = 0; i < QUO_CONDITIONS_MAX; i++)
        at += (size_t)snprintf(field + at, sizeof field - at, "\"%032x\", ", i + 1);
    assert_true(parse(field, &conditions, &problem));
    assert_int_equal(conditions.tag_count, QUO_CONDITIONS_MAX);
    assert_int_equal(conditions.tags[QUO_CONDITIONS_MAX - 1].node, QUO_CONDITIONS_MAX);
    snprintf(field + at, sizeof field - at, "\"x\"");
    assert_false(parse(field, &conditions, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_HEADER);
    assert_non_null(strstr(problem.detail, "17 entity tags; at most 16"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_read),
        cmocka_unit_test(what_is_ill_formed_is_refused),
        cmocka_unit_test(the_number_of_tags_is_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
