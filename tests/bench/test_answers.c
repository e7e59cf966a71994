#include "answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const http_answers[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello",
    "HTTP/1.1 204 No Content\r\netag: \"x\"\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\na\r\n0123456789\r\n0\r\n\r\n",
    "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
};
static const int http_statuses[] = {200, 204, 200, 503};

static void an_http_answer_ends_where_it_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof http_answers / sizeof http_answers[0]; i++) {
        char bytes[512];
        size_t size = strlen(http_answers[i]);
        memcpy(bytes, http_answers[i], size);
        memcpy(bytes + size, "HTTP/1.1 2", 10); /* the next has begun */
        struct answer answer;
        for (size_t some = 0; some < size; some++) {
            assert_int_equal(answer_http(bytes, some, &answer), ANSWER_PARTIAL);
        }
        assert_int_equal(answer_http(bytes, size + 10, &answer), ANSWER_WHOLE);
        assert_int_equal(answer.size, size);
        assert_int_equal(answer.status, http_statuses[i]);
    }
}

static void what_is_no_http_is_broken(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "SSH-2.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n", /* until the connection closes */
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct answer answer;
        assert_int_equal(answer_http(texts[i], strlen(texts[i]), &answer), ANSWER_BROKEN);
    }
}

static void resp_replies_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned replies;
        int status;
        int64_t least;
    } cases[] = {
        {"+OK\r\n:2\r\n", 2, 200, 2},
        {"+OK\r\n:0\r\n", 2, 200, 0},
        {"$5\r\nhe\r\no\r\n", 1, 200, INT64_MAX},
        {"$-1\r\n", 1, 404, INT64_MAX},
        {"-ERR no\r\n:1\r\n", 2, 500, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = strlen(cases[i].text);
        struct answer answer;
        for (size_t some = 0; some < size; some++) {
            assert_int_equal(answer_resp(cases[i].text, some, cases[i].replies, &answer),
                             ANSWER_PARTIAL);
        }
        assert_int_equal(answer_resp(cases[i].text, size, cases[i].replies, &answer), ANSWER_WHOLE);
        assert_int_equal(answer.size, size);
        assert_int_equal(answer.status, cases[i].status);
        assert_int_equal(answer.least, cases[i].least);
    }
    struct answer answer;
    assert_int_equal(answer_resp("what\r\n", 6, 1, &answer), ANSWER_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_http_answer_ends_where_it_ends),
        cmocka_unit_test(what_is_no_http_is_broken),
        cmocka_unit_test(resp_replies_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
