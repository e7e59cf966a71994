/* Session tokens of requests and answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/http/session.h"

static struct quo_token_secret secret;
static char texts[3][QUO_TOKEN_TEXT_MAX + 1];

static int make_texts(void **state)
{
    (void)state;
    assert_int_equal(quo_token_secret(quo_slice(NULL, 0), 7, &secret), QUO_OK);
    for (uint64_t i = 0; i < 3; i++) {
        struct quo_token token = {0};

        quo_token_add(&token, 100 + i, (struct quo_version){10 + i, 0}, true);
        assert_int_equal(quo_token_encode(&token, &secret, texts[i]), QUO_OK);
    }
    return 0;
}

static bool parse(const char *a, const char *b, struct quo_token *ret, bool *ret_has,
                  struct quo_problem *problem)
{
    const struct quo_http_header headers[] = {
        {quo_slice_of("session-token"), quo_slice_of(a != NULL ? a : "")},
        {quo_slice_of("accept"), quo_slice_of("*")},
        {quo_slice_of("session-token"), quo_slice_of(b != NULL ? b : "")},
    };
    const struct quo_http_request request = {
        .headers = a != NULL ? headers : headers + 1,
        .header_count = a == NULL   ? 1
                        : b != NULL ? 3
                                    : 2,
    };

    return quo_session_parse(&request, &secret, ret_has, ret, problem);
}

static void tokens_of_all_lines_count(void **state)
{
    struct quo_problem problem;
    struct quo_token token;
    char line[3 * QUO_TOKEN_TEXT_MAX];
    bool has;

    (void)state;
    assert_true(parse(NULL, NULL, &token, &has, &problem) && !has && token.count == 0);
    assert_true(parse(texts[0], NULL, &token, &has, &problem) && has && token.count == 1);
    snprintf(line, sizeof line, " %s ,\t%s", texts[1], texts[2]);
    assert_true(parse(texts[0], line, &token, &has, &problem) && has);
    assert_int_equal(token.count, 3);
    assert_int_equal(token.max_hlc, 12);
}

static void what_is_no_token_is_refused(void **state)
{
    static const char *const bad[] = {"", "x", ",", " ", "AQ"};
    struct quo_token_secret theirs;
    struct quo_problem problem;
    struct quo_token token = {0};
    char text[QUO_TOKEN_TEXT_MAX + 2];
    bool has;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(bad); i++) {
        assert_false(parse(bad[i], NULL, &token, &has, &problem));
        assert_int_equal(problem.type, QUO_PROBLEM_BAD_SESSION_TOKEN);
    }
    snprintf(text, sizeof text, "%s,", texts[0]);
    assert_false(parse(text, NULL, &token, &has, &problem));
    assert_int_equal(quo_token_secret(quo_slice(NULL, 0), 8, &theirs), QUO_OK);
    assert_int_equal(quo_token_encode(&token, &theirs, text), QUO_OK);
    assert_false(parse(texts[0], text, &token, &has, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_SESSION_TOKEN);
    assert_non_null(strstr(problem.detail, "another cluster"));
}

static bool merge(const char *header, const char *body, struct quo_token *ret,
                  struct quo_problem *problem)
{
    const struct quo_http_header headers[] = {
        {quo_slice_of("session-token"), quo_slice_of(header != NULL ? header : "")}};
    const struct quo_http_request request = {
        .headers = headers, .header_count = header != NULL, .body = quo_slice_of(body)};

    return quo_session_merge(&request, &secret, ret, problem);
}

static void bodies_are_read(void **state)
{
    struct quo_problem problem;
    struct quo_token token;
    char body[3 * QUO_TOKEN_TEXT_MAX];

    (void)state;
    snprintf(body, sizeof body, "{\"tokens\": [\"%s\", \"%s\"]}", texts[1], texts[2]);
    assert_true(merge(NULL, body, &token, &problem));
    assert_int_equal(token.count, 2);
    assert_true(merge(texts[0], body, &token, &problem));
    assert_int_equal(token.count, 3);
    assert_true(merge(texts[0], "", &token, &problem));
    assert_true(merge(texts[0], "{\"tokens\":[]}", &token, &problem));
    assert_int_equal(token.count, 1);
}

static void other_bodies_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "null",
        "\"x\"",
        "{\"tokens\":1}",
        "{\"tokens\":[]}",
        "{\"tokens\":\"x\"}",
        "{\"tokens\":[1]}",
        "{\"tokens\":[null]}",
        "{\"tokens\":[true]}",
        "{\"tokens\":[[]]}",
        "{\"tokens\":[{}]}",
        "{\"token\":[]}",
        "{\"tokens\":[],\"tokens\":[]}",
        "{\"tokens\":[]}x",
        "{\"tokens\":{\"tokens\":[]}}",
    };
    struct quo_problem problem;
    struct quo_token token;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(bad); i++) {
        if (merge(NULL, bad[i], &token, &problem))
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(problem.type, QUO_PROBLEM_BAD_BODY);
    }
    assert_false(merge(NULL, "{\"tokens\":[\"x\"]}", &token, &problem));
    assert_int_equal(problem.type, QUO_PROBLEM_BAD_SESSION_TOKEN);
}

static void an_operation_heeds_the_token(void **state)
{
    struct quo_request get = {.type = QUO_REQUEST_GET};
    struct quo_request put = {.type = QUO_REQUEST_PUT};
    struct quo_token token = {.low_firm = 5, .low_weak = 4};

    (void)state;
    quo_token_add(&token, 1, (struct quo_version){9, 0}, false);
    get.consistency.level = QUO_LEVEL_STRONG;
    quo_session_ask(&token, 1, &get);
    assert_true(quo_version_is_none(get.fresh.least) && get.fresh.low_firm == 0);
    get.consistency.level = QUO_LEVEL_SESSION;
    quo_session_ask(&token, 1, &get);
    assert_int_equal(get.fresh.least.hlc, 9);
    assert_int_equal(get.fresh.low_firm, 0);
    get.fresh = (struct quo_freshness){0};
    quo_session_ask(&token, 2, &get);
    assert_true(quo_version_is_none(get.fresh.least));
    assert_int_equal(get.fresh.low_firm, 5);
    assert_int_equal(get.fresh.low_weak, 4);
    put.consistency.level = QUO_LEVEL_STRONG;
    quo_session_ask(&token, 2, &put);
    assert_int_equal(put.above, 9);
}

static struct quo_token learned(struct quo_response response)
{
    struct quo_token token = {0};

    quo_session_learn(&token, 1, &response);
    return token;
}

static void an_answer_teaches_what_it_shows(void **state)
{
    const struct quo_version v = {9, 0}, at = {7, 0};
    struct quo_response response = {.verdict = QUO_VERDICT_FOUND,
                                    .receipt = {.version = v, .stable = true}};
    struct quo_token token = learned(response);

    (void)state;
    assert_true(token.count == 1 && token.entries[0].seen.hlc == 9 && token.entries[0].is_firm);
    response.receipt.stable = false;
    response.verdict = QUO_VERDICT_ABSENT;
    token = learned(response);
    assert_true(token.count == 1 && !token.entries[0].is_firm);
    response.verdict = QUO_VERDICT_WRITTEN;
    assert_int_equal(learned(response).entries[0].seen.hlc, 9);
    response.is_consensus = true;
    response.change.changed = at;
    assert_int_equal(learned(response).entries[0].seen.hlc, 7);
    response.verdict = QUO_VERDICT_DECLINED;
    response.record.changed = v;
    assert_int_equal(learned(response).entries[0].seen.hlc, 9);
    response.verdict = QUO_VERDICT_TIMEOUT;
    response.outcome = QUO_NOT_APPLIED;
    assert_int_equal(learned(response).max_hlc, 0);
    response.outcome = QUO_UNKNOWN;
    token = learned(response);
    assert_true(token.max_hlc == 9 && token.count == 0);
    response.verdict = QUO_VERDICT_UNSATISFIED;
    assert_int_equal(learned(response).max_hlc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_all_lines_count),
        cmocka_unit_test(what_is_no_token_is_refused),
        cmocka_unit_test(bodies_are_read),
        cmocka_unit_test(other_bodies_are_refused),
        cmocka_unit_test(an_operation_heeds_the_token),
        cmocka_unit_test(an_answer_teaches_what_it_shows),
    };
    return cmocka_run_group_tests(tests, make_texts, NULL);
}
