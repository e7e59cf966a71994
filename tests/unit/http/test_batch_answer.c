/* Lines of the answer to a batch. */
#include "tests/unit/http/answer_fixture.h"

#include "proxy/http/batch_answer.h"

static struct quo_text out;
static struct quo_batch_sum sum;

/* The line of the answer made last. */
static const char *line(bool is_write)
{
    quo_text_free(&out);
    quo_batch_answer_add(&answer, is_write, &out, &sum);
    assert_false(out.failed);
    assert_ptr_equal(strchr(out.data, '\n'), out.data + out.size - 1);
    return out.data;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("%s is not in %s", part, text);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("%s is in %s", part, text);
}

static const char *value_line(const char *bytes, size_t len)
{
    struct quo_response res = response(QUO_VERDICT_FOUND);

    res.record.value = quo_slice(bytes, len);
    answer_to(operation(QUO_METHOD_GET), res);
    return line(false);
}

static void a_value_comes_with_what_is_said_of_it(void **state)
{
    const char *text = value_line("value", 5);

    (void)state;
    assert_has(text, "{\"status\":200,");
    assert_has(text, "\"consistency-receipt\":\"level=strong, ");
    assert_has(text, "replicas=(\\\"node-2\\\"");
    assert_has(text, "\"etag\":\"\\\"0000000000000a000000000000000b00\\\"\"");
    assert_has(text, "\"content-type\":\"text/plain\",\"value\":\"value\"}\n");
    assert_lacks(text, "outcome");
    assert_lacks(text, "request-id");
    assert_lacks(text, "server-timing");
    assert_lacks(text, "cache-control");
    assert_lacks(text, "nosniff");
}

static void values_are_text_or_base64(void **state)
{
    (void)state;
    assert_has(value_line("", 0), ",\"value\":\"\"}");
    assert_has(value_line("a\"b\\\n\t\r\xc3\xa9", 9),
               ",\"value\":\"a\\\"b\\\\\\n\\t\\r\xc3\xa9\"}");
    assert_has(value_line("\xff", 1), ",\"base64\":\"/w==\"}");
    assert_has(value_line("a\0", 2), ",\"base64\":\"YQA=\"}");
    assert_has(value_line("\x1b", 1), ",\"base64\":\"Gw==\"}");
    assert_has(value_line("\x7f", 1), ",\"base64\":\"fw==\"}");
    assert_has(value_line("\xed\xa0\x80", 3), ",\"base64\":\"7aCA\"}");
}

/* What a client stored as Content-Type is its affair, unless no JSON can say it. */
static void headers_that_are_no_text_are_left_out(void **state)
{
    struct quo_response res = response(QUO_VERDICT_FOUND);

    (void)state;
    res.record.content_type = quo_slice("\xff", 1);
    answer_to(operation(QUO_METHOD_GET), res);
    assert_lacks(line(false), "content-type");
}

static void writes_say_their_outcome(void **state)
{
    struct quo_response res = response(QUO_VERDICT_WRITTEN);

    (void)state;
    answer_to(operation(QUO_METHOD_PUT), res);
    assert_has(line(true), "{\"status\":204,\"outcome\":\"applied\",");
    assert_lacks(out.data, "\"value\"");
    answer_to(operation(QUO_METHOD_PUT), decided(QUO_CHANGE_CONDITION));
    assert_has(line(true), "{\"status\":412,\"outcome\":\"not-applied\",");
    assert_has(out.data, ",\"problem\":{\"type\":\"/problems/precondition-failed\",");
    assert_lacks(out.data, "content-type");
    struct quo_operation shown = operation(QUO_METHOD_PUT);
    shown.prefers_representation = true;
    answer_to(shown, decided(QUO_CHANGE_CONDITION));
    assert_has(line(true), "{\"status\":412,\"outcome\":\"not-applied\",");
    assert_has(out.data, ",\"value\":\"value\"}");
    res = response(QUO_VERDICT_TIMEOUT);
    res.outcome = QUO_UNKNOWN;
    answer_to(operation(QUO_METHOD_PUT), res);
    assert_has(line(true), "{\"status\":504,\"outcome\":\"unknown\",");
}

static void documents_stand_as_they_are(void **state)
{
    struct quo_operation adding = operation(QUO_METHOD_POST);
    struct quo_response res = decided(QUO_CHANGE_DONE);

    (void)state;
    adding.route = QUO_ROUTE_ADD;
    res.change.has_counter = true;
    res.change.counter = -7;
    answer_to(adding, res);
    assert_has(line(true), ",\"document\":{\"value\":-7}}\n");
    assert_lacks(out.data, "content-type");
}

static void all_are_counted(void **state)
{
    struct quo_response res = response(QUO_VERDICT_TIMEOUT);

    (void)state;
    memset(&sum, 0, sizeof sum);
    value_line("x", 1);
    answer_to(operation(QUO_METHOD_GET), res);
    line(false);
    res.outcome = QUO_UNKNOWN;
    answer_to(operation(QUO_METHOD_PUT), res);
    line(true);
    answer_to(operation(QUO_METHOD_PUT), response(QUO_VERDICT_WRITTEN));
    line(true);
    quo_text_free(&out);
    quo_batch_answer_sum(&sum, &out);
    assert_string_equal(out.data,
                        "{\"summary\":{\"lines\":4,\"succeeded\":2,\"failed\":2,\"unknown\":1}}\n");
    quo_text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_comes_with_what_is_said_of_it),
        cmocka_unit_test(values_are_text_or_base64),
        cmocka_unit_test(headers_that_are_no_text_are_left_out),
        cmocka_unit_test(writes_say_their_outcome),
        cmocka_unit_test(documents_stand_as_they_are),
        cmocka_unit_test(all_are_counted),
    };

    return cmocka_run_group_tests(tests, make_map, free_map);
}
