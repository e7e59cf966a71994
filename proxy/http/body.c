#include "proxy/http/body.h"

#include "proxy/change/merge_patch.h"

static bool is_field_text(struct quo_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.data[i] < 0x20 && text.data[i] != '\t') || text.data[i] == 0x7f)
            return false;
    }
    return true;
}

static bool parse_content_type(const struct quo_http_request *request, struct quo_wish *ret,
                               struct quo_problem *problem)
{
    const struct quo_http_header *type = quo_request_header(request, "content-type");

    if (type == NULL)
        return true;
    if (type->value.len > QUO_CONTENT_TYPE_MAX) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "Content-Type has %zu bytes; at most %u are kept.", type->value.len,
                        QUO_CONTENT_TYPE_MAX);
        problem->limit = QUO_CONTENT_TYPE_MAX;
        problem->actual = (int64_t)type->value.len;
        return false;
    }
    if (!is_field_text(type->value)) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER, "Content-Type holds a control character.");
        return false;
    }
    ret->content_type = type->value;
    return true;
}

/* What a value cannot come back as, and what is no JSON. */
static bool check_representation(const struct quo_http_request *request,
                                 struct quo_problem *problem)
{
    const struct quo_http_header *encoding = quo_request_header(request, "content-encoding");
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    if (encoding != NULL && !quo_slice_equal(encoding->value, quo_slice_of("identity"))) {
        quo_problem_set(problem, QUO_PROBLEM_ENCODING_UNSUPPORTED,
                        "Content-Encoding %s is not kept with a value.",
                        quo_problem_quote(encoding->value, quoted));
        return false;
    }
    if (quo_request_header(request, "content-range") != NULL) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "Content-Range: a value can only be written whole.");
        return false;
    }
    return true;
}

static bool too_large(size_t len, const char *what, const char *whose, uint32_t max,
                      struct quo_problem *problem)
{
    quo_problem_set(problem, QUO_PROBLEM_VALUE_TOO_LARGE,
                    "The %s has %zu bytes; %s allows at most %u.", what, len, whose, max);
    problem->limit = max;
    problem->actual = (int64_t)len;
    return false;
}

static bool check_size(const struct quo_http_request *request, const char *what,
                       const struct quo_namespace *ns, struct quo_problem *problem)
{
    char whose[QUO_NAME_MAX + 16] = "namespace ";

    if (request->body.len <= ns->value_max)
        return true;
    memcpy(whose + 10, ns->name, strlen(ns->name) + 1);
    return too_large(request->body.len, what, whose, ns->value_max, problem);
}

static bool check_patch(const struct quo_http_request *request, const struct quo_wish *wish,
                        struct quo_problem *problem)
{
    const struct quo_http_header *type = quo_request_header(request, "content-type");
    char quoted[QUO_PROBLEM_QUOTE_MAX], why[256];

    if (type == NULL || !quo_is_media_type(type->value, QUO_PATCH_TYPE)) {
        quo_problem_set(problem, QUO_PROBLEM_PATCH_TYPE_UNSUPPORTED,
                        "The Content-Type of a PATCH must be " QUO_PATCH_TYPE ", not %s.",
                        quo_problem_quote(type != NULL ? type->value : quo_slice(NULL, 0), quoted));
        return false;
    }
    if (!check_size(request, "patch", wish->ns, problem))
        return false;
    switch (quo_json_check(request->body, why, sizeof why)) {
    case QUO_OK:
        return true;
    case QUO_NO_MEMORY:
        quo_problem_set(problem, QUO_PROBLEM_OVERLOADED, "Out of memory.");
        return false;
    default:
        quo_problem_set(problem, QUO_PROBLEM_BAD_BODY, "The patch is not JSON: %s", why);
        return false;
    }
}

static bool check_json(const struct quo_http_request *request, const char *verb, uint32_t max,
                       struct quo_problem *problem)
{
    const struct quo_http_header *type = quo_request_header(request, "content-type");
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    if (type != NULL && !quo_is_media_type(type->value, "application/json")) {
        quo_problem_set(problem, QUO_PROBLEM_BODY_TYPE_UNSUPPORTED,
                        "The Content-Type of %s must be application/json, not %s.", verb,
                        quo_problem_quote(type->value, quoted));
        return false;
    }
    return request->body.len <= max || too_large(request->body.len, "body", verb, max, problem);
}

bool quo_body_check(const struct quo_http_request *request, struct quo_wish *ret,
                    struct quo_problem *problem)
{
    if (ret->method == QUO_METHOD_DELETE)
        return true;
    if (!check_representation(request, problem))
        return false;
    switch (ret->method) {
    case QUO_METHOD_PUT:
        return parse_content_type(request, ret, problem) &&
               check_size(request, "value", ret->ns, problem);
    case QUO_METHOD_PATCH:
        return check_patch(request, ret, problem);
    default:
        break;
    }
    switch (ret->route) {
    case QUO_ROUTE_TIMELINE:
        return parse_content_type(request, ret, problem) &&
               check_size(request, "value", ret->ns, problem);
    case QUO_ROUTE_SET_ADD:
        return check_json(request, ":add", QUO_SET_BODY_MAX, problem);
    case QUO_ROUTE_SET_REMOVE:
        return check_json(request, ":remove", QUO_SET_BODY_MAX, problem);
    default:
        return check_json(request, ":add", QUO_COUNTER_BODY_MAX, problem) &&
               quo_counter_body_parse(request->body, &ret->counter, problem);
    }
}
