#include "proxy/http/idempotency.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "proxy/http/sf.h"

static bool refuse(struct quo_slice field, const char *why, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER, "Idempotency-Key: %s %s.",
                    quo_problem_quote(field, quoted), why);
    return false;
}

/* Takes the escapes out of a String. Requires room for `text`. Returns the length. */
static size_t unescape(struct quo_slice text, uint8_t *out)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\\')
            i++;
        out[len++] = text.data[i];
    }
    return len;
}

static bool too_long(size_t len, struct quo_problem *problem)
{
    quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                    "Idempotency-Key has %zu characters; at most %u are allowed.", len,
                    QUO_IDEMPOTENCY_KEY_MAX);
    problem->limit = QUO_IDEMPOTENCY_KEY_MAX;
    problem->actual = (int64_t)len;
    return false;
}

static bool parse_string(struct quo_slice field, struct quo_opid *ret, struct quo_problem *problem)
{
    uint8_t key[2 * QUO_IDEMPOTENCY_KEY_MAX];
    struct quo_sf_item item;
    const char *why = NULL;
    size_t at = 0, len;

    if (!quo_sf_parse_item(field, &item, &at, &why) || item.count > 0)
        return refuse(field, "is no string alone", problem);
    if (item.value.text.len == 0)
        return refuse(field, "is empty", problem);
    if (item.value.text.len > sizeof key)
        return too_long(item.value.text.len, problem);
    len = unescape(item.value.text, key);
    if (len > QUO_IDEMPOTENCY_KEY_MAX)
        return too_long(len, problem);
    *ret = quo_opid_of_key(quo_slice(key, len));
    return true;
}

bool quo_idempotency_parse(const struct quo_http_request *request, struct quo_opid *ret,
                           struct quo_problem *problem)
{
    const struct quo_http_header *header = quo_request_header(request, "idempotency-key");
    struct quo_slice field = header->value;

    if (quo_request_header_count(request, "idempotency-key") > 1)
        return refuse(field, "is not the only one", problem);
    if (field.len > 0 && field.data[0] == '"')
        return parse_string(field, ret, problem);
    if (field.len > QUO_IDEMPOTENCY_KEY_MAX)
        return too_long(field.len, problem);
    if (!quo_is_token(field, QUO_IDEMPOTENCY_KEY_MAX))
        return refuse(field, "is neither a string in quotes nor a token", problem);
    *ret = quo_opid_of_key(field);
    return true;
}

/* Every part with its length, so that no two requests run together. */
static void add_number(XXH3_state_t *state, uint64_t number)
{
    uint8_t bytes[8];

    quo_put_u64(bytes, number);
    XXH3_64bits_update(state, bytes, sizeof bytes);
}

static void add_bytes(XXH3_state_t *state, struct quo_slice bytes)
{
    add_number(state, bytes.len);
    if (bytes.len > 0)
        XXH3_64bits_update(state, bytes.data, bytes.len);
}

static void add_conditions(XXH3_state_t *state, const struct quo_conditions *conditions)
{
    add_number(state, (uint64_t)conditions->type);
    add_number(state, conditions->tag_count);
    for (size_t i = 0; i < conditions->tag_count; i++) {
        add_number(state, conditions->tags[i].hlc);
        add_number(state, conditions->tags[i].node);
    }
}

static void add_counter(XXH3_state_t *state, const struct quo_counter_body *counter)
{
    add_number(state, (uint64_t)counter->by);
    add_number(state, counter->has_min);
    add_number(state, counter->has_min ? (uint64_t)counter->min : 0);
    add_number(state, counter->has_max);
    add_number(state, counter->has_max ? (uint64_t)counter->max : 0);
}

/* What the digest calls a method. */
static uint64_t method_code(enum quo_method method)
{
    switch (method) {
    case QUO_METHOD_PUT:
        return 1;
    case QUO_METHOD_DELETE:
        return 2;
    case QUO_METHOD_PATCH:
        return 3;
    case QUO_METHOD_POST:
        return 4;
    default:
        QUO_UNREACHABLE();
    }
}

uint64_t quo_idempotency_digest(const struct quo_wish *wish, struct quo_slice body)
{
    XXH3_state_t state;

    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    add_number(&state, method_code(wish->method));
    add_conditions(&state, &wish->conditions);
    if (wish->method == QUO_METHOD_PUT || wish->route == QUO_ROUTE_TIMELINE)
        add_bytes(&state, wish->content_type);
    if (wish->method == QUO_METHOD_PUT || wish->method == QUO_METHOD_PATCH ||
        wish->route == QUO_ROUTE_TIMELINE)
        add_bytes(&state, body);
    if (wish->method == QUO_METHOD_POST)
        add_counter(&state, &wish->counter);
    if (wish->ask.ttl_ms != 0)
        add_number(&state, wish->ask.ttl_ms);
    return XXH3_64bits_digest(&state);
}
