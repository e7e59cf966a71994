#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/ask.h"

enum { OK = QUO_PROBLEM_NONE, QUERY = QUO_PROBLEM_BAD_QUERY };
enum { HEADER = QUO_PROBLEM_BAD_HEADER, CONSISTENCY = QUO_PROBLEM_BAD_CONSISTENCY };

static void queries_are_read(void **state)
{
    struct quo_problem problem;
    struct quo_ask ask;

    (void)state;
    assert_true(quo_ask_parse_query(quo_slice_of(""), &ask, &problem));
    assert_true(quo_ask_is_nothing(&ask));
    assert_true(quo_ask_parse_query(quo_slice_of("&&"), &ask, &problem));
    assert_true(quo_ask_is_nothing(&ask));
    assert_true(
        quo_ask_parse_query(quo_slice_of("level=all&r=0&w=12&dw=3&timeout=2s"), &ask, &problem));
    assert_true(ask.has_level && ask.level == QUO_LEVEL_ALL);
    assert_int_equal(ask.r, 0);
    assert_int_equal(ask.w, 12);
    assert_int_equal(ask.dw, 3);
    assert_int_equal(ask.timeout_ms, 2000);
    assert_true(quo_ask_parse_query(quo_slice_of("timeout=250ms&level=str%6Fng"), &ask, &problem));
    assert_int_equal(ask.timeout_ms, 250);
    assert_int_equal(ask.level, QUO_LEVEL_STRONG);
    assert_int_equal(ask.r, -1);
    assert_true(quo_ask_parse_query(quo_slice_of("timeout=60000&r=007"), &ask, &problem));
    assert_int_equal(ask.timeout_ms, 60000);
    assert_int_equal(ask.r, 7);
    assert_true(quo_ask_parse_query(quo_slice_of("level=bounded&max-stale=2s"), &ask, &problem));
    assert_int_equal(ask.level, QUO_LEVEL_BOUNDED);
    assert_int_equal(ask.stale_ms, 2000);
}

static void expect_refused(const char *query, int type, const char *word)
{
    struct quo_ask ask = {.r = 55};
    struct quo_problem problem = {0};

    if (quo_ask_parse_query(quo_slice_of(query), &ask, &problem))
        fail_msg("accepted: %s", query);
    assert_int_equal(problem.type, type);
    if (strstr(problem.detail, word) == NULL)
        fail_msg("%s: %s", query, problem.detail);
    assert_int_equal(problem.outcome, QUO_NOT_APPLIED);
    assert_int_equal(ask.r, 55);
}

static void bad_queries_are_refused(void **state)
{
    static const struct {
        const char *query;
        int type;
        const char *word; /* in the detail */
    } rows[] = {
        {"level=strnog", CONSISTENCY,
         "\"strnog\"; the levels are eventual, session, bounded, quorum, strong and all"},
        {"level=", CONSISTENCY, "\"\""},
        {"level", CONSISTENCY, "\"\""},
        {"level=STRONG", CONSISTENCY, "STRONG"},
        {"level=strong%00", CONSISTENCY, "\\x00"},
        {"level=%zz", QUERY, "escape"},
        {"level=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", QUERY, "too long"},
        {"levle=strong", QUERY,
         "\"levle\"; there are level, r, w, dw, timeout, max-stale, sloppy, ttl"},
        {"=1", QUERY, "\"\""},
        {"Level=strong", QUERY, "Level"},
        {"r=2&r=2", QUERY, "r is given twice"},
        {"level=strong&level=strong", QUERY, "level is given twice"},
        {"r=", QUERY, "r="},
        {"r=-1", QUERY, "-1"},
        {"r=+1", QUERY, "+1"},
        {"r=0x2", QUERY, "0x2"},
        {"r=2.0", QUERY, "2.0"},
        {"r= 2", QUERY, "decimal"},
        {"r=two", QUERY, "two"},
        {"r=1000000000", QUERY, "1000000000"},
        {"w=99999999999999999999", QUERY, "decimal"},
        {"dw=1%202", QUERY, "decimal"},
        {"timeout=", QUERY, "250ms"},
        {"timeout=ms", QUERY, "250ms"},
        {"timeout=s", QUERY, "250ms"},
        {"timeout=1h", QUERY, "1h"},
        {"timeout=1.5s", QUERY, "1.5s"},
        {"timeout=-1s", QUERY, "-1s"},
        {"timeout=0", CONSISTENCY, "0 ms"},
        {"timeout=0s", CONSISTENCY, "0 ms"},
        {"timeout=61s", CONSISTENCY, "61000 ms is not allowed; it must be from 1 to 60000"},
        {"timeout=999999999s", CONSISTENCY, "999999999000"},
        {"max-stale=0", CONSISTENCY, "0 ms is not allowed; it must be from 1 to 86400000"},
        {"max-stale=86401s", CONSISTENCY, "86401000"},
        {"max-stale=1441m", CONSISTENCY, "86460000"},
        {"max-stale=soon", QUERY, "250ms"},
        {"max-stale=1s&max-stale=1s", QUERY, "max-stale is given twice"},
        {"sloppy", QUERY, "1 or 0"},
        {"sloppy=yes", QUERY, "1 or 0"},
        {"sloppy=1&sloppy=1", QUERY, "sloppy is given twice"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++)
        expect_refused(rows[i].query, rows[i].type, rows[i].word);
}

static void bad_times_to_live_are_refused(void **state)
{
    static const struct {
        const char *query, *word;
    } rows[] = {
        {"ttl=", "30s"},
        {"ttl=30", "30s"},
        {"ttl=s", "30s"},
        {"ttl=1.5s", "30s"},
        {"ttl=5y", "5y"},
        {"ttl=0s", "0 ms is not allowed; it must be from 1ms to 3653d"},
        {"ttl=3654d", "315705600000 ms"},
        {"ttl=1s&ttl=1s", "ttl is given twice"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++)
        expect_refused(rows[i].query, QUERY, rows[i].word);
}

static void times_to_live_are_read(void **state)
{
    static const struct {
        const char *query;
        uint64_t ms;
    } rows[] = {
        {"ttl=1ms", 1},        {"ttl=30s", 30000},      {"ttl=5m", 300000},
        {"ttl=12h", 43200000}, {"ttl=30d", 2592000000}, {"ttl=3653d", QUO_TTL_MAX_MS},
    };
    struct quo_problem problem;
    struct quo_ask ask;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        assert_true(quo_ask_parse_query(quo_slice_of(rows[i].query), &ask, &problem));
        assert_int_equal(ask.ttl_ms, rows[i].ms);
        assert_true(quo_ask_is_nothing(&ask)); /* of consistency */
    }
}

static void headers_are_read(void **state)
{
    struct quo_problem problem;
    struct quo_ask header, query;

    (void)state;
    assert_true(
        quo_ask_parse_header(quo_slice_of("strong;timeout=250;r=2;w=2;dw=1"), &header, &problem));
    assert_true(quo_ask_parse_query(quo_slice_of("dw=1&w=2&r=2&timeout=250ms&level=strong"), &query,
                                    &problem));
    assert_true(quo_ask_equal(&header, &query));
    assert_true(quo_ask_parse_header(quo_slice_of("bounded;max-stale=500"), &header, &problem));
    assert_int_equal(header.stale_ms, 500);
    query = header;
    query.stale_ms = 400;
    assert_false(quo_ask_equal(&header, &query));
    assert_true(quo_ask_parse_header(quo_slice_of("eventual;w=2;sloppy"), &header, &problem));
    assert_true(quo_ask_parse_query(quo_slice_of("level=eventual&w=2&sloppy=1"), &query, &problem));
    assert_true(header.sloppy);
    assert_true(quo_ask_equal(&header, &query));
    assert_true(quo_ask_parse_header(quo_slice_of("eventual;w=2;sloppy=?0"), &header, &problem));
    assert_false(quo_ask_equal(&header, &query));
    assert_true(quo_ask_parse_header(quo_slice_of(" eventual "), &header, &problem));
    assert_int_equal(header.level, QUO_LEVEL_EVENTUAL);
    assert_false(quo_ask_equal(&header, &query));
}

static void bad_headers_are_refused(void **state)
{
    static const struct {
        const char *field;
        int type;
        const char *word;
    } rows[] = {
        {"", HEADER, "offset 0"},
        {"strong;", HEADER, "offset 7"},
        {"\"strong\"", HEADER, "begin with a level"},
        {"2", HEADER, "begin with a level"},
        {"(strong)", HEADER, "offset 0"},
        {"strong, eventual", HEADER, "offset 6"},
        {"strnog", CONSISTENCY, "strnog"},
        {"strong;x=1", HEADER, "\"x\"; there are r, w, dw, timeout"},
        {"strong;level=all", HEADER, "level"},
        {"strong;ttl=1", HEADER, "\"ttl\"; there are r, w, dw, timeout"},
        {"strong;r", HEADER, "whole number of replicas"},
        {"strong;r=two", HEADER, "whole number"},
        {"strong;r=\"2\"", HEADER, "whole number"},
        {"strong;r=-1", HEADER, "whole number"},
        {"strong;r=1000000000", HEADER, "whole number"},
        {"strong;r=2;r=2", HEADER, "\"r\" of Consistency is given twice"},
        {"strong;timeout=1.5", HEADER, "whole number"},
        {"strong;timeout=0", CONSISTENCY, "0 ms"},
        {"strong;timeout=60001", CONSISTENCY, "60001"},
        {"eventual;sloppy=1", HEADER, "no value"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_ask ask = {.r = 55};
        struct quo_problem problem = {0};

        if (quo_ask_parse_header(quo_slice_of(rows[i].field), &ask, &problem))
            fail_msg("accepted: %s", rows[i].field);
        if (problem.type != (enum quo_problem_type)rows[i].type ||
            strstr(problem.detail, rows[i].word) == NULL)
            fail_msg("%s: %s", rows[i].field, problem.detail);
        assert_int_equal(ask.r, 55);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_are_read),       cmocka_unit_test(bad_queries_are_refused),
        cmocka_unit_test(times_to_live_are_read), cmocka_unit_test(bad_times_to_live_are_refused),
        cmocka_unit_test(headers_are_read),       cmocka_unit_test(bad_headers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
