#include "proxy/http/conditions.h"

#include "proxy/http/etag.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == ',';
}

static bool refuse_if_match(struct quo_slice field, const char *why, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER, "If-Match: %s %s.",
                    quo_problem_quote(field, quoted), why);
    return false;
}

/* What a reader of If-Match has seen. */
struct reader {
    struct quo_conditions *conditions;
    bool any; /* "*" */
    size_t count;
};

static void add_tag(struct reader *reader, struct quo_slice tag, bool weak)
{
    struct quo_conditions *conditions = reader->conditions;

    reader->count++;
    /* The comparison is strong (RFC 9110 section 13.1.1): a weak tag matches nothing. */
    if (!weak && reader->count <= QUO_CONDITIONS_MAX &&
        quo_etag_parse(tag, &conditions->tags[conditions->tag_count]))
        conditions->tag_count++;
}

/* One line of the header. */
static bool read_if_match(struct reader *reader, struct quo_slice field,
                          struct quo_problem *problem)
{
    struct quo_slice rest = field, tag;
    bool weak;

    while (rest.len > 0) {
        if (is_blank(rest.data[0]) || rest.data[0] == '*') {
            reader->any |= rest.data[0] == '*';
            rest = quo_slice(rest.data + 1, rest.len - 1);
            continue;
        }
        if (!quo_etag_take(&rest, &tag, &weak) || (rest.len > 0 && !is_blank(rest.data[0])))
            return refuse_if_match(field, "is no list of entity tags, as in \"x\", \"y\"", problem);
        add_tag(reader, tag, weak);
    }
    return true;
}

static bool parse_if_match(const struct quo_http_request *request, struct quo_conditions *ret,
                           struct quo_problem *problem)
{
    struct reader reader = {.conditions = ret};
    struct quo_slice field = {NULL, 0};

    for (size_t i = 0; i < request->header_count; i++) {
        if (!quo_slice_equal(request->headers[i].name, quo_slice_of("if-match")))
            continue;
        field = request->headers[i].value;
        if (!read_if_match(&reader, field, problem))
            return false;
    }
    if (!reader.any && reader.count == 0)
        return refuse_if_match(field, "names no entity tag", problem);
    if (reader.any && reader.count > 0)
        return refuse_if_match(field, "names tags beside the '*', which is any", problem);
    if (reader.count > QUO_CONDITIONS_MAX) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "If-Match names %zu entity tags; at most %u are allowed.", reader.count,
                        QUO_CONDITIONS_MAX);
        return false;
    }
    ret->type = reader.any ? QUO_CONDITION_PRESENT : QUO_CONDITION_TAGS;
    return true;
}

/* Spaces are trimmed by whoever read the header. */
static bool parse_if_none_match(const struct quo_http_request *request, struct quo_conditions *ret,
                                struct quo_problem *problem)
{
    const struct quo_http_header *header = quo_request_header(request, "if-none-match");
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    if (quo_request_header_count(request, "if-none-match") > 1 ||
        !quo_slice_equal(header->value, quo_slice_of("*"))) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "If-None-Match: %s: a write can only ask for *, that there is no such key; "
                        "entity tags are for If-Match.",
                        quo_problem_quote(header->value, quoted));
        return false;
    }
    ret->type = QUO_CONDITION_ABSENT;
    return true;
}

static bool refuse_others(const struct quo_http_request *request, struct quo_problem *problem)
{
    static const char *const others[] = {"if-unmodified-since", "if"};

    for (size_t i = 0; i < QUO_COUNT(others); i++) {
        if (quo_request_header(request, others[i]) == NULL)
            continue;
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "The write carries %s, which cannot be kept: values have no dates; use "
                        "If-Match with the ETag.",
                        others[i]);
        return false;
    }
    return true;
}

bool quo_conditions_parse(const struct quo_http_request *request, struct quo_conditions *ret,
                          struct quo_problem *problem)
{
    bool match = quo_request_header(request, "if-match") != NULL;
    bool none_match = quo_request_header(request, "if-none-match") != NULL;

    ret->type = QUO_CONDITION_NONE;
    ret->tag_count = 0;
    if (!refuse_others(request, problem))
        return false;
    if (match && none_match) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "If-Match wants a value to be there and If-None-Match none; "
                        "use one of them.");
        return false;
    }
    if (match)
        return parse_if_match(request, ret, problem);
    return !none_match || parse_if_none_match(request, ret, problem);
}
