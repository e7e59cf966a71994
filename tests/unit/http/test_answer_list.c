#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/answer_list.h"
#include "tests/unit/http/answer_fixture.h"

static struct quo_text text;

static struct quo_operation listing(const char *prefix)
{
    struct quo_operation ret = operation(QUO_METHOD_GET);

    ret.route = QUO_ROUTE_LIST;
    ret.key = quo_slice_of(prefix);
    ret.limit = 50;
    ret.ask = (struct quo_ask){.r = -1, .w = -1, .dw = -1};
    ret.consistency.level = QUO_LEVEL_QUORUM;
    return ret;
}

static struct quo_list_answer found(const struct quo_listed_key *keys, uint32_t count)
{
    struct quo_list_answer ret = {
        .verdict = QUO_VERDICT_FOUND,
        .receipt = response(QUO_VERDICT_FOUND).receipt,
        .elapsed_us = 310,
        .keys = keys,
        .count = count,
    };

    ret.receipt.level = QUO_LEVEL_QUORUM;
    ret.receipt.version = QUO_VERSION_NONE;
    return ret;
}

static void make(struct quo_operation op, struct quo_list_answer list)
{
    quo_text_free(&text);
    text = (struct quo_text){0};
    map->partition_count = 8;
    quo_answer_list(&op, &list, map, &facts, &text, &answer);
    assert_string_equal(header("request-id"), "id-1");
    assert_string_equal(header("server-timing"), "total;dur=1234.567, quorum;dur=0.310");
}

static void pages_are_documents(void **state)
{
    (void)state;
    const struct quo_listed_key keys[] = {
        {quo_slice_of("a/b c"), {0xa00, 0xb00}, 5},
        {quo_slice("\0\xff\"", 3), {0xa00, 0xb00}, 0},
    };
    make(listing("a"), found(keys, 2));
    assert_int_equal(answer.status, 200);
    assert_string_equal(header("content-type"), "application/json");
    assert_string_equal(header("cache-control"), "no-cache");
    assert_null(header("link"));
    assert_null(header("etag"));
    assert_string_equal(
        header("consistency-receipt"),
        "level=quorum, asked=quorum, n=3, r=2, replies=2, acks=2, disk=1, rtt=1, stable, "
        "repaired=?0, epoch=7, replicas=(\"node-2\" \"0000000000000063\")");
    assert_true(body_is("{\"keys\":["
                        "{\"key\":\"a%2Fb%20c\","
                        "\"etag\":\"\\\"0000000000000a000000000000000b00\\\"\",\"size\":5},"
                        "{\"key\":\"%00%FF%22\","
                        "\"etag\":\"\\\"0000000000000a000000000000000b00\\\"\",\"size\":0}"
                        "],\"cursor\":null}\n"));
}

static void nothing_is_a_page(void **state)
{
    (void)state;
    make(listing(""), found(NULL, 0));
    assert_true(body_is("{\"keys\":[],\"cursor\":null}\n"));
}

/* The cursor of the document and that of the Link are the same, and lead on. */
static void expect_link(const char *before, struct quo_slice prefix, uint16_t partition,
                        struct quo_slice after)
{
    const struct quo_list_scope scope = {map, 1, prefix};
    static struct quo_list_place place;
    const char *link = header("link");
    char cursor[512];

    assert_non_null(link);
    assert_memory_equal(link, before, strlen(before));
    const char *begin = link + strlen(before), *end = strchr(begin, '>');
    assert_string_equal(end, ">; rel=\"next\"");
    assert_true(quo_list_cursor_parse(&scope, quo_slice(begin, (size_t)(end - begin)), &place));
    assert_int_equal(place.partition, partition);
    assert_true(quo_slice_equal(quo_slice(place.after, place.after_len), after));
    snprintf(cursor, sizeof cursor, "\"cursor\":\"%.*s\"}\n", (int)(end - begin), begin);
    assert_true(body_has(cursor));
}

static void more_is_linked_to(void **state)
{
    (void)state;
    struct quo_list_answer list = found(NULL, 0);
    struct quo_operation op = listing("a/");
    list.more = true;
    list.after = quo_slice_of("a/b");
    list.partition = quo_map_partition(map, 1, list.after);
    make(op, list);
    list.partition = quo_map_partition(map, 1, list.after);
    make(op, list);
    expect_link("</v1/kv/bank?prefix=a%2F&limit=50&cursor=", op.key, list.partition, list.after);
    op.ask = (struct quo_ask){.has_level = true, .level = QUO_LEVEL_ALL, .r = 3, .timeout_ms = 70};
    list.partition = 7;
    list.after.len = 0;
    make(op, list);
    expect_link("</v1/kv/bank?prefix=a%2F&limit=50&level=all&r=3&timeout=70&cursor=", op.key, 7,
                quo_slice(NULL, 0));
}

static void the_longest_prefix_has_room(void **state)
{
    (void)state;
    static char prefix[QUO_KEY_MAX + 1];
    memset(prefix, '\xff', QUO_KEY_MAX);
    struct quo_list_answer list = found(NULL, 0);
    list.more = true;
    list.after = quo_slice_of(prefix);
    make(listing(prefix), list);
    assert_int_equal(answer.status, 200);
    size_t len = 0;
    for (size_t i = 0; i < answer.header_count; i++) {
        if (quo_slice_equal(answer.headers[i].name, quo_slice_of("link")))
            len = answer.headers[i].value.len;
    }
    assert_true(len > 4 * QUO_KEY_MAX);
}

static void failures_are_problems(void **state)
{
    (void)state;
    struct quo_list_answer list = found(NULL, 0);
    list.verdict = QUO_VERDICT_UNAVAILABLE;
    list.receipt.replies = 1;
    make(listing(""), list);
    assert_int_equal(answer.status, 503);
    assert_true(body_has("quorum-unavailable"));
    assert_true(body_has("\"outcome\":\"not-applied\""));
    list.verdict = QUO_VERDICT_TIMEOUT;
    make(listing(""), list);
    assert_int_equal(answer.status, 504);
    list.verdict = QUO_VERDICT_REFUSED;
    list.refusal = QUO_BUSY;
    make(listing(""), list);
    assert_int_equal(answer.status, 503);
    assert_true(body_has("overloaded"));
    quo_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_documents),   cmocka_unit_test(nothing_is_a_page),
        cmocka_unit_test(more_is_linked_to),     cmocka_unit_test(the_longest_prefix_has_room),
        cmocka_unit_test(failures_are_problems),
    };
    return cmocka_run_group_tests(tests, make_map, free_map);
}
