#include "proxy/http/session.h"

#include "proxy/http/string_list.h"

#define HEADER "session-token"

static bool merge_one(struct quo_slice text, const struct quo_token_secret *secret,
                      struct quo_token *token, struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];
    struct quo_token one;

    switch (quo_token_decode(text, secret, &one)) {
    case QUO_OK:
        quo_token_merge(token, &one);
        return true;
    case QUO_NO_MEMORY:
        quo_problem_set(problem, QUO_PROBLEM_OVERLOADED, "Out of memory.");
        return false;
    case QUO_WRONG_CLUSTER:
        quo_problem_set(problem, QUO_PROBLEM_BAD_SESSION_TOKEN,
                        "The session token %s is of another cluster.",
                        quo_problem_quote(text, quoted));
        return false;
    default:
        quo_problem_set(problem, QUO_PROBLEM_BAD_SESSION_TOKEN,
                        "%s is no session token, or damaged, or signed with another key.",
                        quo_problem_quote(text, quoted));
        return false;
    }
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct quo_slice trim(struct quo_slice text)
{
    while (text.len > 0 && is_blank(text.data[0]))
        text = quo_slice(text.data + 1, text.len - 1);
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* One line, which somebody on the way may have put together from several (RFC 9110 section 5.3). */
static bool merge_line(struct quo_slice line, const struct quo_token_secret *secret,
                       struct quo_token *token, struct quo_problem *problem)
{
    for (;;) {
        const uint8_t *comma = line.len > 0 ? memchr(line.data, ',', line.len) : NULL;
        size_t len = comma != NULL ? (size_t)(comma - line.data) : line.len;

        if (!merge_one(trim(quo_slice(line.data, len)), secret, token, problem))
            return false;
        if (comma == NULL)
            return true;
        line = quo_slice(comma + 1, line.len - len - 1);
    }
}

bool quo_session_parse(const struct quo_http_request *request,
                       const struct quo_token_secret *secret, bool *ret_has, struct quo_token *ret,
                       struct quo_problem *problem)
{
    struct quo_slice name = quo_slice_of(HEADER);

    memset(ret, 0, sizeof *ret);
    *ret_has = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct quo_http_header *header = &request->headers[i];

        if (!quo_slice_equal(header->name, name))
            continue;
        if (!merge_line(header->value, secret, ret, problem))
            return false;
        *ret_has = true;
    }
    return true;
}

/* What reads the tokens of a body. */
struct merger {
    const struct quo_token_secret *secret;
    struct quo_token *token;
    bool has_any;
};

static bool take(void *context, struct quo_slice text, struct quo_problem *problem)
{
    struct merger *merger = context;

    merger->has_any = true;
    return merge_one(text, merger->secret, merger->token, problem);
}

static bool check_body(const struct quo_http_request *request, struct quo_problem *problem)
{
    const struct quo_http_header *type = quo_request_header(request, "content-type");
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    if (type != NULL && !quo_is_media_type(type->value, "application/json")) {
        quo_problem_set(problem, QUO_PROBLEM_BODY_TYPE_UNSUPPORTED,
                        "The Content-Type of :merge must be application/json, not %s.",
                        quo_problem_quote(type->value, quoted));
        return false;
    }
    if (request->body.len <= QUO_SESSION_BODY_MAX)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_VALUE_TOO_LARGE,
                    "The body has %zu bytes; :merge allows at most %u.", request->body.len,
                    QUO_SESSION_BODY_MAX);
    problem->limit = QUO_SESSION_BODY_MAX;
    problem->actual = (int64_t)request->body.len;
    return false;
}

bool quo_session_merge(const struct quo_http_request *request,
                       const struct quo_token_secret *secret, struct quo_token *ret,
                       struct quo_problem *problem)
{
    struct merger merger = {.secret = secret, .token = ret};
    bool has_header;

    if (!quo_session_parse(request, secret, &has_header, ret, problem))
        return false;
    if (request->body.len > 0 &&
        (!check_body(request, problem) ||
         !quo_string_list_parse(request->body, "tokens", take, &merger, problem)))
        return false;
    if (has_header || merger.has_any)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_BAD_BODY,
                    "There is no token: send them in lines Session-Token, or as {\"tokens\": "
                    "[...]}.");
    return false;
}
