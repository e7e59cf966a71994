/* Operations, responses and a map to answer with, for tests of answers. */
#ifndef QUORATE_TESTS_ANSWER_FIXTURE_H
#define QUORATE_TESTS_ANSWER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/http/answer.h"

#define TAG "\"0000000000000a000000000000000b00\""
#define OTHER "\"ffffffffffffffffffffffffffffffff\""
#define OPERATION_ID "81112233445566778899aabbccddeeff0190000000000001"
#define OPERATION_PATH "/v1/kv/bank/a%2Fb/operations/" OPERATION_ID
#define BLIND_PATH "/v1/kv/bank/a%2Fb/operations/v0000000000000a000000000000000b00"

static struct quo_map *map;
static struct quo_answer answer;
static const struct quo_answer_facts facts = {.request_id = "id-1", .total_us = 1234567};

static inline int make_map(void **state)
{
    (void)state;
    map = calloc(1, sizeof *map);
    if (map == NULL)
        return 1;
    map->node_count = 3;
    for (uint32_t i = 0; i < 3; i++) {
        map->nodes[i].replica = 11 + i;
        snprintf(map->nodes[i].name, sizeof map->nodes[i].name, "node-%u", i + 1);
    }
    map->namespaces[0] = (struct quo_namespace){.id = 1,
                                                .name = "bank",
                                                .kind = QUO_KIND_CAS,
                                                .n = 3,
                                                .rs = 2,
                                                .ws = 2,
                                                .value_max = 1000,
                                                .retention_s = 600};
    map->namespace_count = 1;
    return 0;
}

static inline int free_map(void **state)
{
    (void)state;
    free(map);
    return 0;
}

static inline struct quo_operation operation(enum quo_method method)
{
    return (struct quo_operation){
        .route = QUO_ROUTE_KEY,
        .method = method,
        .consistency = {.level = QUO_LEVEL_STRONG, .n = 3, .r = 2, .w = 2, .dw = 2},
        .ns = &map->namespaces[0],
        .key = quo_slice_of("a/b"),
    };
}

/* Of a read, or of a blind write. */
static inline struct quo_response response(enum quo_verdict verdict)
{
    struct quo_response ret = {
        .verdict = verdict,
        .outcome = verdict == QUO_VERDICT_WRITTEN ? QUO_APPLIED : QUO_NOT_APPLIED,
        .receipt = {.level = QUO_LEVEL_STRONG,
                    .n = 3,
                    .replies = 2,
                    .acks = 2,
                    .disk = 1,
                    .need = 2,
                    .round_trips = 1,
                    .stable = true,
                    .epoch = 7,
                    .version = {0xa00, 0xb00},
                    .answered = {12, 99}},
        .elapsed_us = 310,
    };

    ret.record.version = ret.record.changed = ret.receipt.version;
    ret.record.content_type = quo_slice_of("text/plain");
    ret.record.value = quo_slice_of("value");
    return ret;
}

/* Of a consensus write; `verdict` is WRITTEN or DECLINED as the code has it. */
static inline struct quo_response decided(enum quo_change_code code)
{
    struct quo_response ret =
        response(code == QUO_CHANGE_DONE ? QUO_VERDICT_WRITTEN : QUO_VERDICT_DECLINED);
    struct quo_operation_id id;

    QUO_REQUIRE(quo_operation_id_parse(quo_slice_of(OPERATION_ID), &id));
    ret.is_consensus = true;
    ret.opid = id.opid;
    ret.since = id.since;
    ret.change.code = code;
    ret.change.changed = ret.record.changed;
    return ret;
}

static inline const char *header(const char *name)
{
    static char out[QUO_ANSWER_TEXT_MAX + 1];

    for (size_t i = 0; i < answer.header_count; i++) {
        if (!quo_slice_equal(answer.headers[i].name, quo_slice_of(name)))
            continue;
        memcpy(out, answer.headers[i].value.data, answer.headers[i].value.len);
        out[answer.headers[i].value.len] = 0;
        return out;
    }
    return NULL;
}

static inline bool body_has(const char *text)
{
    return memmem(answer.body.data, answer.body.len, text, strlen(text)) != NULL;
}

static inline bool body_is(const char *text)
{
    return quo_slice_equal(answer.body, quo_slice_of(text));
}

static inline void answer_to(struct quo_operation op, struct quo_response res)
{
    quo_answer_data(&op, &res, map, &facts, &answer);
    assert_string_equal(header("request-id"), "id-1");
    assert_string_equal(header("server-timing"), "total;dur=1234.567, quorum;dur=0.310");
    assert_non_null(header("consistency-receipt"));
}

#endif
