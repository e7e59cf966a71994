#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/counter_body.h"

static void bodies_are_read(void **state)
{
    static const struct {
        const char *body;
        struct quo_counter_body counter;
    } rows[] = {
        {"{\"by\":1}", {.by = 1, .has_by = true}},
        {" { \"max\" : 9 , \"by\" : -100 , \"min\" : 0 } ",
         {.by = -100, .max = 9, .has_by = true, .has_min = true, .has_max = true}},
        {"{\"by\":9223372036854775807,\"min\":-9223372036854775808}",
         {.by = INT64_MAX, .min = INT64_MIN, .has_by = true, .has_min = true}},
        {"{\"by\":0,\"min\":5,\"max\":5}",
         {.min = 5, .max = 5, .has_by = true, .has_min = true, .has_max = true}},
        {"{\"b\\u0079\":-0}", {.has_by = true}},
    };
    struct quo_counter_body counter;
    struct quo_problem problem;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        const struct quo_counter_body *want = &rows[i].counter;

        if (!quo_counter_body_parse(quo_slice_of(rows[i].body), &counter, &problem))
            fail_msg("%s: %s", rows[i].body, problem.detail);
        assert_true(counter.by == want->by && counter.has_by);
        assert_true(counter.min == want->min && counter.has_min == want->has_min);
        assert_true(counter.max == want->max && counter.has_max == want->has_max);
    }
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *body, *word;
    } rows[] = {
        {"", "was expected"},
        {" ", "was expected"},
        {"1", "was expected"},
        {"null", "was expected"},
        {"[1]", "was expected"},
        {"{", "was expected"},
        {"{\"by\":1", "was expected"},
        {"{\"by\":1}}", "was expected"},
        {"{\"by\":1} x", "was expected"},
        {"{\"by\":1}{\"by\":1}", "was expected"},
        {"{\"by\":\"1\"}", "was expected"},
        {"{\"by\":null}", "was expected"},
        {"{\"by\":true}", "was expected"},
        {"{\"by\":{\"by\":1}}", "was expected"},
        {"{\"by\":[1]}", "was expected"},
        {"{\"by\":01}", "was expected"},
        {"{by:1}", "was expected"},
        {"{}", "by is missing"},
        {"{\"min\":0}", "by is missing"},
        {"{\"by\":1,\"by\":1}", "\"by\" is given twice"},
        {"{\"by\":1,\"step\":1}", "no member \"step\"; there are by, min, max"},
        {"{\"\":1}", "no member \"\""},
        {"{\"by\":1.5}", "by is \"1.5\", and must be a whole number of 64 bits"},
        {"{\"by\":1e3}", "1e3"},
        {"{\"by\":9223372036854775808}", "9223372036854775808"},
        {"{\"by\":1,\"min\":-9223372036854775809}", "min is \"-9223372036854775809\""},
        {"{\"by\":1,\"max\":111111111111111111111111111111}", "max is"},
        {"{\"by\":1,\"min\":2,\"max\":1}", "min is above max"},
    };
    struct quo_counter_body counter = {.by = 77};
    struct quo_problem problem;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        if (quo_counter_body_parse(quo_slice_of(rows[i].body), &counter, &problem))
            fail_msg("accepted: %s", rows[i].body);
        if (problem.type != QUO_PROBLEM_BAD_BODY || strstr(problem.detail, rows[i].word) == NULL)
            fail_msg("%s: %d %s", rows[i].body, problem.type, problem.detail);
        assert_int_equal(counter.by, 77);
    }
    assert_false(quo_counter_body_parse(quo_slice(NULL, 0), &counter, &problem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_read),
        cmocka_unit_test(what_is_wrong_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
