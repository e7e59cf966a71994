#include "proxy/change/counter.h"

#include <inttypes.h>
#include <stdio.h>

#include "proxy/http/answer_parts.h"

static void add_value(struct quo_answer *ret, int64_t value)
{
    int len = snprintf(ret->document, sizeof ret->document, "{\"value\":%" PRId64 "}\n", value);

    quo_answer_add(ret, "content-type", quo_slice_of("application/json"));
    ret->body = quo_slice(ret->document, (size_t)len);
}

void quo_answer_added(const struct quo_answer_case *of, struct quo_answer *ret)
{
    const struct quo_response *response = of->response;

    quo_answer_begin_data(ret, 200, of);
    quo_answer_add_replayed(ret, response);
    if (response->is_consensus) {
        quo_answer_add_change(ret, response);
        add_value(ret, response->change.counter);
        return;
    }
    /* What the others have added is not known here. */
    ret->status = 204;
    ret->has_length = false;
}

/* The value of a key that is a counter. */
static void answer_found(const struct quo_answer_case *of, struct quo_answer *ret)
{
    const struct quo_record *record = &of->response->record;
    struct quo_problem problem;
    int64_t value;

    if (quo_counter_parse(record->value, &value)) {
        quo_answer_add_etag(ret, record->changed);
        quo_answer_add_ttl(ret, of->response);
        add_value(ret, value);
        return;
    }
    ret->status = 409;
    quo_problem_set(&problem, QUO_PROBLEM_NOT_A_COUNTER, "The value of the key is no number.");
    quo_answer_add_document(ret, &problem, of->facts);
}

void quo_answer_counter(const struct quo_answer_case *of, struct quo_answer *ret)
{
    if (of->response->verdict != QUO_VERDICT_FOUND) {
        quo_answer_read(of, ret);
        return;
    }
    quo_answer_begin_data(ret, 200, of);
    quo_answer_add(ret, "cache-control", quo_slice_of("no-cache"));
    answer_found(of, ret);
}

void quo_answer_sum(const struct quo_operation *operation, const struct quo_response *response,
                    const struct quo_slot_sum *sum, const struct quo_map *map,
                    const struct quo_answer_facts *facts, struct quo_answer *ret)
{
    const struct quo_answer_case of = {operation, response, map, facts};
    struct quo_problem problem;
    int64_t value;

    if (response->verdict != QUO_VERDICT_FOUND) {
        quo_answer_data(operation, response, map, facts, ret);
        return;
    }
    quo_answer_begin_data(ret, 200, &of);
    quo_answer_add(ret, "cache-control", quo_slice_of("no-cache"));
    if (quo_slot_sum_value(sum, &value)) {
        add_value(ret, value);
        return;
    }
    ret->status = 409;
    quo_problem_set(&problem, QUO_PROBLEM_NOT_A_COUNTER,
                    "What the replicas have added makes no number of 64 bits. Add to it in the "
                    "other direction.");
    quo_answer_add_document(ret, &problem, facts);
}
