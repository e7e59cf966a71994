#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/answer_collection.h"

#define ID "0000000000000a000000000000000b00"

static struct quo_map *map;
static struct quo_answer answer;
static struct quo_collection_body body;
static struct quo_operation operation;
static const struct quo_answer_facts facts = {.request_id = "id-1", .total_us = 1234};
static const struct quo_entry_id id = {.version = {0xa00, 0xb00}};
static struct quo_collection_case of;

static int setup(void **state)
{
    (void)state;
    map = calloc(1, sizeof *map);
    assert_non_null(map);
    map->namespace_count = 1;
    map->namespaces[0] = (struct quo_namespace){.id = 1, .kind = QUO_KIND_CRDT, .n = 3};
    snprintf(map->namespaces[0].name, QUO_NAME_MAX, "social");
    body.generator = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    quo_collection_body_free(&body);
    free(map);
    return 0;
}

static void ask(enum quo_route route, enum quo_method method)
{
    operation = (struct quo_operation){
        .route = route,
        .method = method,
        .consistency = {.level = QUO_LEVEL_QUORUM, .n = 3, .r = 2, .w = 2, .dw = 2},
        .ns = &map->namespaces[0],
        .key = quo_slice_of("a/b"),
    };
    of = (struct quo_collection_case){
        .operation = &operation,
        .limit = 7,
        .rest = quo_slice_of("level=quorum"),
        .element = quo_slice_of("e\"1"),
        .map = map,
        .facts = &facts,
    };
}

static const char *header(const char *name)
{
    static char value[4096];

    for (size_t i = 0; i < answer.header_count; i++) {
        const struct quo_http_header *h = &answer.headers[i];
        if (!quo_slice_equal(h->name, quo_slice_of(name)))
            continue;
        snprintf(value, sizeof value, "%.*s", (int)h->value.len, (const char *)h->value.data);
        return value;
    }
    return "";
}

static void assert_body(const char *text)
{
    if (!quo_slice_equal(answer.body, quo_slice_of(text)))
        fail_msg("%.*s", (int)answer.body.len, (const char *)answer.body.data);
}

static bool body_has(const char *text)
{
    char copy[8192];

    snprintf(copy, sizeof copy, "%.*s", (int)answer.body.len, (const char *)answer.body.data);
    return strstr(copy, text) != NULL;
}

static struct quo_response written(enum quo_verdict verdict, enum quo_effectuality outcome)
{
    return (struct quo_response){
        .verdict = verdict,
        .outcome = outcome,
        .receipt = {.level = QUO_LEVEL_QUORUM, .n = 3, .acks = 2, .version = {0xa00, 0xb00}},
    };
}

static void an_append_says_where_its_entry_is(void **state)
{
    struct quo_response response = written(QUO_VERDICT_WRITTEN, QUO_APPLIED);
    struct quo_append_answer appended = {.response = &response, .id = id};
    (void)state;

    ask(QUO_ROUTE_TIMELINE, QUO_METHOD_POST);
    quo_answer_appended(&of, &appended, &answer);
    assert_int_equal(answer.status, 201);
    assert_string_equal(header("location"), "/v1/timelines/social/a%2Fb/entries/" ID);
    assert_string_equal(header("etag"), "\"" ID "\"");
    assert_string_equal(header("idempotent-replayed"), "");
    assert_body("{\"id\":\"" ID "\"}\n");
    appended.is_replayed = true;
    quo_answer_appended(&of, &appended, &answer);
    assert_string_equal(header("idempotent-replayed"), "?1");
}

static void an_append_that_failed_says_what_is_known(void **state)
{
    struct quo_response response = written(QUO_VERDICT_TIMEOUT, QUO_UNKNOWN);
    struct quo_append_answer appended = {.response = &response, .id = id};
    (void)state;

    ask(QUO_ROUTE_TIMELINE, QUO_METHOD_POST);
    quo_answer_appended(&of, &appended, &answer);
    assert_int_equal(answer.status, 504);
    assert_true(body_has("\"outcome\":\"unknown\""));
    assert_true(body_has("\"operation\":\"/v1/timelines/social/a%2Fb/entries/" ID "\""));
    response = written(QUO_VERDICT_UNAVAILABLE, QUO_NOT_APPLIED);
    appended.id.version = QUO_VERSION_NONE;
    quo_answer_appended(&of, &appended, &answer);
    assert_int_equal(answer.status, 503);
    assert_false(body_has("operation"));
    response = written(QUO_VERDICT_DECLINED, QUO_NOT_APPLIED);
    response.change.code = QUO_CHANGE_KEY_REUSED;
    quo_answer_appended(&of, &appended, &answer);
    assert_int_equal(answer.status, 422);
}

static struct quo_slice record(const char *type, struct quo_slice value)
{
    static uint8_t bytes[4][256];
    static unsigned next;
    uint8_t *out = bytes[next++ % 4];
    const struct quo_record made = {
        .flags = QUO_RECORD_BLIND,
        .version = id.version,
        .content_type = quo_slice_of(type),
        .value = value,
    };

    quo_record_encode(&made, out);
    return quo_slice(out, quo_record_size(&made));
}

static void a_page_shows_values_as_what_they_are(void **state)
{
    const struct quo_page_entry entries[] = {
        {id, 7, record("application/json; charset=utf-8", quo_slice_of("{\"a\":1}"))},
        {id, 3, record("text/plain", quo_slice_of("a\"\n"))},
        {id, 2, record("", quo_slice("\xff\0", 2))},
        {id, 99999, {NULL, 0}},
    };
    struct quo_page_answer page = {
        .verdict = QUO_VERDICT_FOUND,
        .receipt = {.level = QUO_LEVEL_QUORUM, .n = 3, .replies = 2, .stable = true},
        .entries = entries,
        .count = 4,
        .before = id.version,
        .sealed = {0x900, 0},
    };
#define WHEN "\"id\":\"" ID "\",\"time\":\"1970-01-01T00:00:00.000Z\""
    (void)state;

    ask(QUO_ROUTE_TIMELINE, QUO_METHOD_GET);
    quo_answer_timeline(&of, &page, &body, &answer);
    assert_int_equal(answer.status, 200);
    assert_body("{\"entries\":["
                "{" WHEN ",\"size\":7,\"content-type\":\"application/json; charset=utf-8\","
                "\"encoding\":\"json\",\"value\":{\"a\":1}},"
                "{" WHEN ",\"size\":3,\"content-type\":\"text/plain\",\"encoding\":\"text\","
                "\"value\":\"a\\\"\\n\"},"
                "{" WHEN ",\"size\":2,\"content-type\":\"application/octet-stream\","
                "\"encoding\":\"base64\",\"value\":\"/wA=\"},"
                "{" WHEN ",\"size\":99999}],"
                "\"before\":\"" ID "\",\"complete-before\":\"0000000000000900"
                "0000000000000000\"}");
    assert_string_equal(header("link"),
                        "</v1/timelines/social/a%2Fb?level=quorum&limit=7&before=" ID
                        ">; rel=\"next\"");
    assert_non_null(strstr(header("consistency-receipt"), "stable"));
    quo_collection_body_free(&body);
    page.count = 0;
    page.before = page.sealed = QUO_VERSION_NONE;
    of.rest = quo_slice(NULL, 0);
    quo_answer_timeline(&of, &page, &body, &answer);
    assert_body("{\"entries\":[],\"before\":null,\"complete-before\":null}");
    assert_string_equal(header("link"), "");
    page.verdict = QUO_VERDICT_TIMEOUT;
    quo_answer_timeline(&of, &page, &body, &answer);
    assert_int_equal(answer.status, 504);
}

static void a_set_shows_its_elements(void **state)
{
    struct quo_set_list list = {
        .verdict = QUO_VERDICT_FOUND,
        .receipt = {.level = QUO_LEVEL_QUORUM, .n = 3, .replies = 2},
        .elements = quo_slice("\0\1a\0\2\xc3\xa9", 7),
        .count = 2,
        .after = quo_slice("\0\2\xc3\xa9", 4),
    };
    char cursor[QUO_SET_CURSOR_MAX + 1], text[QUO_SET_CURSOR_MAX + 128];
    (void)state;

    ask(QUO_ROUTE_SET, QUO_METHOD_GET);
    quo_answer_set(&of, &list, &body, &answer);
    quo_set_cursor_format(1, quo_slice_of("a/b"), list.after, cursor);
    snprintf(text, sizeof text, "{\"elements\":[\"a\",\"\xc3\xa9\"],\"cursor\":\"%s\"}", cursor);
    assert_body(text);
    snprintf(text, sizeof text,
             "</v1/sets/social/a%%2Fb?level=quorum&limit=7&cursor=%s>; rel=\"next\"", cursor);
    assert_string_equal(header("link"), text);
    quo_collection_body_free(&body);
    ask(QUO_ROUTE_ELEMENT, QUO_METHOD_GET);
    quo_answer_element(&of, &list, &body, &answer);
    assert_int_equal(answer.status, 200);
    assert_body("{\"element\":\"e\\\"1\"}");
    quo_collection_body_free(&body);
    list.count = 0;
    quo_answer_element(&of, &list, &body, &answer);
    assert_int_equal(answer.status, 404);
    assert_true(body_has("/problems/key-not-found"));
    list.verdict = QUO_VERDICT_UNAVAILABLE;
    quo_answer_set(&of, &list, &body, &answer);
    assert_int_equal(answer.status, 503);
}

static void changes_are_counted(void **state)
{
    struct quo_response response = written(QUO_VERDICT_WRITTEN, QUO_APPLIED);
    const struct quo_set_changed changed = {.response = &response, .count = 3};
    (void)state;

    ask(QUO_ROUTE_SET_ADD, QUO_METHOD_POST);
    quo_answer_set_changed(&of, &changed, &answer);
    assert_body("{\"added\":3}\n");
    ask(QUO_ROUTE_SET_REMOVE, QUO_METHOD_POST);
    quo_answer_set_changed(&of, &changed, &answer);
    assert_body("{\"removed\":3}\n");
    response = written(QUO_VERDICT_TIMEOUT, QUO_UNKNOWN);
    quo_answer_set_changed(&of, &changed, &answer);
    assert_int_equal(answer.status, 504);
    assert_true(body_has("\"outcome\":\"unknown\""));
    assert_false(body_has("\"operation\""));
}

static void an_entry_is_answered_as_a_key_is(void **state)
{
    struct quo_response response = written(QUO_VERDICT_ABSENT, QUO_NOT_APPLIED);
    (void)state;

    ask(QUO_ROUTE_ENTRY, QUO_METHOD_GET);
    quo_answer_entry(&of, &response, &answer);
    assert_int_equal(answer.status, 404);
    ask(QUO_ROUTE_ENTRY, QUO_METHOD_DELETE);
    response = written(QUO_VERDICT_WRITTEN, QUO_APPLIED);
    quo_answer_entry(&of, &response, &answer);
    assert_int_equal(answer.status, 204);
    response = written(QUO_VERDICT_TIMEOUT, QUO_UNKNOWN);
    quo_answer_entry(&of, &response, &answer);
    assert_int_equal(answer.status, 504);
    assert_string_equal(header("link"), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_append_says_where_its_entry_is),
        TEST(an_append_that_failed_says_what_is_known),
        TEST(a_page_shows_values_as_what_they_are),
        TEST(a_set_shows_its_elements),
        TEST(changes_are_counted),
        TEST(an_entry_is_answered_as_a_key_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
