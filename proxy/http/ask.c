#include "proxy/http/ask.h"

#include <inttypes.h>

#include "proxy/http/percent.h"
#include "proxy/http/sf.h"

#define KNOWN_PARAMETERS "level, r, w, dw, timeout, max-stale, sloppy, ttl"
#define VALUE_MAX 32u /* bytes of a parameter's value: all that mean something are shorter */

enum member {
    MEMBER_LEVEL,
    MEMBER_R,
    MEMBER_W,
    MEMBER_DW,
    MEMBER_TIMEOUT,
    MEMBER_STALE,
    MEMBER_SLOPPY,
    MEMBER_TTL,
    MEMBER_COUNT
};

static const char *const member_names[MEMBER_COUNT] = {"level",   "r",         "w",      "dw",
                                                       "timeout", "max-stale", "sloppy", "ttl"};

static bool find_member(struct quo_slice name, enum member *ret)
{
    for (int i = 0; i < MEMBER_COUNT; i++) {
        if (quo_slice_equal(name, quo_slice_of(member_names[i]))) {
            *ret = (enum member)i;
            return true;
        }
    }
    return false;
}

/* Decimal digits only, no sign, at most nine of them. */
static bool parse_decimal(struct quo_slice text, uint32_t *ret)
{
    uint32_t value = 0;

    if (text.len == 0 || text.len > 9)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.data[i] - '0');
    }
    *ret = value;
    return true;
}

static bool set_level(struct quo_slice name, struct quo_ask *ask, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    if (quo_level_parse(name, &ask->level)) {
        ask->has_level = true;
        return true;
    }
    quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY,
                    "There is no level %s; the levels are eventual, session, bounded, quorum, "
                    "strong and all.",
                    quo_problem_quote(name, quoted));
    return false;
}

static bool set_timeout(uint64_t ms, struct quo_ask *ask, struct quo_problem *problem)
{
    if (ms >= QUO_TIMEOUT_MIN_MS && ms <= QUO_TIMEOUT_MAX_MS) {
        ask->timeout_ms = (uint32_t)ms;
        return true;
    }
    quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY,
                    "A timeout of %" PRIu64 " ms is not allowed; it must be from %u to %u ms.", ms,
                    QUO_TIMEOUT_MIN_MS, QUO_TIMEOUT_MAX_MS);
    return false;
}

static bool set_ttl(uint64_t ms, struct quo_ask *ask, struct quo_problem *problem)
{
    if (ms > 0 && ms <= QUO_TTL_MAX_MS) {
        ask->ttl_ms = ms;
        return true;
    }
    quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY,
                    "A ttl of %" PRIu64 " ms is not allowed; it must be from 1ms to %" PRIu64 "d.",
                    ms, (uint64_t)(QUO_TTL_MAX_MS / 86400000));
    return false;
}

static bool set_stale(uint64_t ms, struct quo_ask *ask, struct quo_problem *problem)
{
    if (ms >= 1 && ms <= QUO_STALE_MAX_MS) {
        ask->stale_ms = (uint32_t)ms;
        return true;
    }
    quo_problem_set(problem, QUO_PROBLEM_BAD_CONSISTENCY,
                    "A max-stale of %" PRIu64 " ms is not allowed; it must be from 1 to %u ms.", ms,
                    QUO_STALE_MAX_MS);
    return false;
}

static void set_count(enum member member, uint32_t count, struct quo_ask *ask)
{
    if (member == MEMBER_R)
        ask->r = (int32_t)count;
    else if (member == MEMBER_W)
        ask->w = (int32_t)count;
    else
        ask->dw = (int32_t)count;
}

static bool is_duration(enum member member)
{
    return member == MEMBER_TIMEOUT || member == MEMBER_STALE;
}

static bool set_duration(enum member member, uint64_t ms, struct quo_ask *ask,
                         struct quo_problem *problem)
{
    return member == MEMBER_STALE ? set_stale(ms, ask, problem) : set_timeout(ms, ask, problem);
}

/* "250ms" or "2s"; "5m", "1h" or "30d" of what is longer than a wait; "250" of what is mostly said
 * in milliseconds. */
static bool parse_duration(struct quo_slice text, enum member member, uint64_t *ret_ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    const size_t unit_count = member == MEMBER_TIMEOUT ? 2 : QUO_COUNT(units);
    uint64_t scale = member == MEMBER_TTL ? 0 : 1;
    size_t digits = 0;
    uint32_t number;

    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    struct quo_slice unit = quo_slice(text.data + digits, text.len - digits);
    for (size_t i = 0; i < unit_count && unit.len > 0; i++) {
        if (quo_slice_equal(unit, quo_slice_of(units[i].name))) {
            scale = units[i].ms;
            unit.len = 0;
        }
    }
    if (unit.len > 0 || scale == 0 || !parse_decimal(quo_slice(text.data, digits), &number))
        return false;
    *ret_ms = number * scale;
    return true;
}

static bool bad_value(struct quo_problem *problem, enum member member, struct quo_slice value,
                      const char *wanted)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY, "%s=%s is not valid: %s.", member_names[member],
                    quo_problem_quote(value, quoted), wanted);
    return false;
}

static bool set_query_member(enum member member, struct quo_slice value, struct quo_ask *ask,
                             struct quo_problem *problem)
{
    uint32_t count;
    uint64_t ms;

    if (member == MEMBER_LEVEL)
        return set_level(value, ask, problem);
    if (is_duration(member)) {
        if (!parse_duration(value, member, &ms))
            return bad_value(problem, member, value,
                             "a duration like 250ms, 2s or 250 (milliseconds) was expected");
        return set_duration(member, ms, ask, problem);
    }
    if (member == MEMBER_SLOPPY) {
        ask->sloppy = quo_slice_equal(value, quo_slice_of("1"));
        if (ask->sloppy || quo_slice_equal(value, quo_slice_of("0")))
            return true;
        return bad_value(problem, member, value, "1 or 0 was expected");
    }
    if (member == MEMBER_TTL) {
        if (!parse_duration(value, member, &ms))
            return bad_value(problem, member, value,
                             "a duration like 500ms, 30s, 5m, 12h or 30d was expected");
        return set_ttl(ms, ask, problem);
    }
    if (!parse_decimal(value, &count))
        return bad_value(problem, member, value, "a decimal number of replicas was expected");
    set_count(member, count, ask);
    return true;
}

/* One name=value of the query string. */
static bool parse_pair(struct quo_slice pair, unsigned *seen, struct quo_ask *ask,
                       struct quo_problem *problem)
{
    const uint8_t *equals = memchr(pair.data, '=', pair.len);
    size_t name_len = equals != NULL ? (size_t)(equals - pair.data) : pair.len;
    struct quo_slice name = quo_slice(pair.data, name_len);
    struct quo_slice raw = quo_slice(pair.data + name_len, pair.len - name_len);
    uint8_t decoded[VALUE_MAX];
    char quoted[QUO_PROBLEM_QUOTE_MAX];
    enum member member;
    size_t len, at;

    if (!find_member(name, &member)) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY,
                        "There is no query parameter %s; there are " KNOWN_PARAMETERS ".",
                        quo_problem_quote(name, quoted));
        return false;
    }
    if (*seen & 1u << member) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY, "The query parameter %s is given twice.",
                        member_names[member]);
        return false;
    }
    *seen |= 1u << member;
    if (raw.len > 0) /* the '=' */
        raw = quo_slice(raw.data + 1, raw.len - 1);
    if (quo_percent_decode(raw, decoded, sizeof decoded, &len, &at) != QUO_OK)
        return bad_value(problem, member, raw, "it is too long or has a broken percent-escape");
    return set_query_member(member, quo_slice(decoded, len), ask, problem);
}

bool quo_ask_parse_query(struct quo_slice query, struct quo_ask *ret, struct quo_problem *problem)
{
    struct quo_ask ask = QUO_ASK_NOTHING;
    unsigned seen = 0;

    while (query.len > 0) {
        const uint8_t *amp = memchr(query.data, '&', query.len);
        size_t len = amp != NULL ? (size_t)(amp - query.data) : query.len;

        if (len > 0 && !parse_pair(quo_slice(query.data, len), &seen, &ask, problem))
            return false;
        len += amp != NULL;
        query = quo_slice(query.data + len, query.len - len);
    }
    *ret = ask;
    return true;
}

bool quo_ask_is_parameter(struct quo_slice name)
{
    enum member member;

    return find_member(name, &member);
}

static bool set_header_member(const struct quo_sf_parameter *parameter, unsigned *seen,
                              struct quo_ask *ask, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];
    enum member member;

    quo_problem_quote(parameter->key, quoted);
    if (!find_member(parameter->key, &member) || member == MEMBER_LEVEL || member == MEMBER_TTL) {
        quo_problem_set(
            problem, QUO_PROBLEM_BAD_HEADER,
            "Consistency has no parameter %s; there are r, w, dw, timeout, max-stale, sloppy.",
            quoted);
        return false;
    }
    if (*seen & 1u << member) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "The parameter %s of Consistency is given twice.", quoted);
        return false;
    }
    *seen |= 1u << member;
    if (member == MEMBER_SLOPPY && parameter->value.type == QUO_SF_BOOLEAN) {
        ask->sloppy = parameter->value.boolean;
        return true;
    }
    if (member == MEMBER_SLOPPY) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "The parameter sloppy of Consistency is there or not: it has no value.");
        return false;
    }
    if (parameter->value.type != QUO_SF_INTEGER || parameter->value.integer < 0 ||
        parameter->value.integer > 999999999) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "The parameter %s of Consistency must be a whole number%s.", quoted,
                        is_duration(member) ? " of milliseconds" : " of replicas");
        return false;
    }
    if (is_duration(member))
        return set_duration(member, (uint64_t)parameter->value.integer, ask, problem);
    set_count(member, (uint32_t)parameter->value.integer, ask);
    return true;
}

bool quo_ask_parse_header(struct quo_slice field, struct quo_ask *ret, struct quo_problem *problem)
{
    struct quo_ask ask = QUO_ASK_NOTHING;
    struct quo_sf_item item;
    const char *why = NULL;
    unsigned seen = 0;
    size_t at = 0;

    if (!quo_sf_parse_item(field, &item, &at, &why)) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER, "Consistency: %s at offset %zu.", why, at);
        return false;
    }
    if (item.value.type != QUO_SF_TOKEN) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "Consistency must begin with a level, as in strong;timeout=250.");
        return false;
    }
    if (!set_level(item.value.text, &ask, problem))
        return false;
    for (size_t i = 0; i < item.count; i++) {
        if (!set_header_member(&item.parameters[i], &seen, &ask, problem))
            return false;
    }
    *ret = ask;
    return true;
}

bool quo_ask_is_nothing(const struct quo_ask *ask)
{
    struct quo_ask nothing = QUO_ASK_NOTHING;

    return quo_ask_equal(ask, &nothing);
}

bool quo_ask_equal(const struct quo_ask *a, const struct quo_ask *b)
{
    return a->has_level == b->has_level && (!a->has_level || a->level == b->level) &&
           a->r == b->r && a->w == b->w && a->dw == b->dw && a->timeout_ms == b->timeout_ms &&
           a->stale_ms == b->stale_ms && a->sloppy == b->sloppy;
}
