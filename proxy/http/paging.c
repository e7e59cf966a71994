#include "proxy/http/paging.h"

#include <stdio.h>

#include "proxy/http/ask.h"
#include "proxy/http/percent.h"

static const struct {
    const char *name;
    enum quo_paging_parameter parameter;
} parameters[] = {
    {"limit", QUO_PAGING_LIMIT},
    {"prefix", QUO_PAGING_PREFIX},
    {"cursor", QUO_PAGING_CURSOR},
    {"before", QUO_PAGING_BEFORE},
};

/* Returns 0 if it is none of those allowed. */
static unsigned find(struct quo_slice name, unsigned allowed)
{
    for (size_t i = 0; i < QUO_COUNT(parameters); i++) {
        if (quo_slice_equal(name, quo_slice_of(parameters[i].name)))
            return parameters[i].parameter & allowed;
    }
    return 0;
}

static bool reject_name(struct quo_slice name, unsigned allowed, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];
    char list[64] = "";
    size_t len = 0;

    for (size_t i = 0; i < QUO_COUNT(parameters); i++) {
        if ((parameters[i].parameter & allowed) != 0)
            len += (size_t)snprintf(list + len, sizeof list - len, ", %s", parameters[i].name);
    }
    quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY,
                    "There is no query parameter %s here; there are level, r, timeout%s.",
                    quo_problem_quote(name, quoted), list);
    return false;
}

static bool set_limit(struct quo_slice text, struct quo_paging *paging, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];
    uint32_t limit = 0;
    bool is_number = text.len > 0 && text.len <= 9;

    for (size_t i = 0; i < text.len && is_number; i++) {
        is_number = text.data[i] >= '0' && text.data[i] <= '9';
        limit = limit * 10 + (uint32_t)(text.data[i] - '0');
    }
    if (is_number && limit >= 1 && limit <= QUO_SCAN_COUNT_MAX) {
        paging->limit = limit;
        return true;
    }
    quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY,
                    "limit=%s is not valid: a number from 1 to %u was expected.",
                    quo_problem_quote(text, quoted), QUO_SCAN_COUNT_MAX);
    return false;
}

static bool set_prefix(struct quo_slice text, struct quo_paging *paging,
                       struct quo_problem *problem)
{
    size_t at = 0;

    switch (
        quo_percent_decode(text, paging->prefix, sizeof paging->prefix, &paging->prefix_len, &at)) {
    case QUO_OK:
        return true;
    case QUO_MALFORMED:
        quo_problem_set(problem, QUO_PROBLEM_BAD_KEY,
                        "The percent-escape at offset %zu of the prefix is broken; "
                        "two hexadecimal digits must follow the '%%'.",
                        at);
        return false;
    default:
        quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY,
                        "The prefix has %zu bytes; keys have at most %u.", paging->prefix_len,
                        QUO_KEY_MAX);
        return false;
    }
}

static bool set(unsigned parameter, struct quo_slice text, struct quo_paging *paging,
                struct quo_problem *problem)
{
    if (parameter == QUO_PAGING_LIMIT)
        return set_limit(text, paging, problem);
    if (parameter == QUO_PAGING_PREFIX)
        return set_prefix(text, paging, problem);
    if (parameter == QUO_PAGING_CURSOR)
        paging->cursor = text;
    else
        paging->before = text;
    return true;
}

/* The rest of a query string, being put together. */
struct rest {
    char *text;
    size_t len;
};

static bool leave(struct quo_slice pair, struct rest *rest, struct quo_problem *problem)
{
    if (pair.len + 1 > QUO_PAGING_REST_MAX - rest->len) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY, "The query string is too long.");
        return false;
    }
    if (rest->len > 0)
        rest->text[rest->len++] = '&';
    memcpy(rest->text + rest->len, pair.data, pair.len);
    rest->len += pair.len;
    return true;
}

/* One name=value of the query string. */
static bool take_pair(struct quo_slice pair, unsigned allowed, unsigned *seen,
                      struct quo_paging *paging, struct rest *rest, struct quo_problem *problem)
{
    const uint8_t *equals = memchr(pair.data, '=', pair.len);
    const size_t len = equals != NULL ? (size_t)(equals - pair.data) : pair.len;
    const struct quo_slice name = quo_slice(pair.data, len);
    const size_t at = QUO_MIN(len + 1, pair.len);
    const unsigned parameter = find(name, allowed);

    if (parameter == 0)
        return quo_ask_is_parameter(name) ? leave(pair, rest, problem)
                                          : reject_name(name, allowed, problem);
    if ((*seen & parameter) != 0) {
        char quoted[QUO_PROBLEM_QUOTE_MAX];

        quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY, "The query parameter %s is given twice.",
                        quo_problem_quote(name, quoted));
        return false;
    }
    *seen |= parameter;
    return set(parameter, quo_slice(pair.data + at, pair.len - at), paging, problem);
}

bool quo_paging_parse(struct quo_slice query, unsigned allowed, struct quo_paging *ret,
                      char rest[QUO_PAGING_REST_MAX], size_t *ret_len, struct quo_problem *problem)
{
    struct rest left = {.text = rest};
    unsigned seen = 0;

    ret->limit = QUO_PAGE_DEFAULT;
    ret->prefix_len = 0;
    ret->cursor = ret->before = quo_slice(NULL, 0);
    while (query.len > 0) {
        const uint8_t *amp = memchr(query.data, '&', query.len);
        size_t len = amp != NULL ? (size_t)(amp - query.data) : query.len;

        if (len > 0 && !take_pair(quo_slice(query.data, len), allowed, &seen, ret, &left, problem))
            return false;
        len += amp != NULL;
        query = quo_slice(query.data + len, query.len - len);
    }
    *ret_len = left.len;
    return true;
}
