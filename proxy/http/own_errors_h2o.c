#include "proxy/http/server_h2o.h"

struct filter {
    h2o_filter_t super;
    struct quo_http *http;
};

struct replacement {
    h2o_ostream_t super;
    h2o_iovec_t body;
    bool sent;
};

static void send_replacement(h2o_ostream_t *stream, h2o_req_t *request, h2o_iovec_t *bufs,
                             size_t count, h2o_send_state_t state)
{
    struct replacement *self = (struct replacement *)(void *)stream;
    bool is_head =
        h2o_memis(request->input.method.base, request->input.method.len, H2O_STRLIT("HEAD"));

    (void)bufs, (void)count;
    if (self->sent || is_head) {
        h2o_ostream_send_next(stream, request, NULL, 0, state);
    } else {
        self->sent = true;
        h2o_ostream_send_next(stream, request, &self->body, 1, state);
    }
}

static void describe(struct quo_http *http, int status, struct quo_problem *ret)
{
    size_t max = quo_http_value_max(http->options.map);

    switch (status) {
    case 413:
        quo_problem_set(
            ret, QUO_PROBLEM_VALUE_TOO_LARGE,
            "The body is much larger than the %zu bytes that a namespace allows at most.", max);
        ret->limit = (int64_t)max;
        break;
    case 417:
        quo_problem_set(ret, QUO_PROBLEM_EXPECTATION_FAILED,
                        "The Expect header asks for something other than 100-continue.");
        break;
    case 400:
        quo_problem_set(ret, QUO_PROBLEM_BAD_REQUEST,
                        "The header fields or the framing of the body are not valid.");
        break;
    default:
        quo_problem_set(ret, QUO_PROBLEM_INTERNAL, "The HTTP library answered %d.", status);
        break;
    }
}

static void replace(struct quo_http *http, h2o_req_t *request, struct replacement *ret)
{
    char id[QUO_REQUEST_ID_MAX + 1], document[QUO_PROBLEM_DOCUMENT_MAX];
    struct quo_problem problem;
    size_t len;

    quo_exchange_make_id(http, id);
    describe(http, request->res.status, &problem);
    request->res.status = quo_problem_info(problem.type)->status;
    request->res.reason = quo_http_reason(request->res.status);
    quo_count(&http->stats.requests, 1);
    quo_count(&http->stats.responses[request->res.status], 1);
    len = quo_problem_render(&problem, id, document);
    ret->body = h2o_strdup(&request->pool, document, len);
    request->res.content_length = len;
    memset(&request->res.headers, 0, sizeof request->res.headers);
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/problem+json"));
    h2o_add_header_by_str(&request->pool, &request->res.headers, H2O_STRLIT("request-id"), 0, NULL,
                          h2o_strdup(&request->pool, id, SIZE_MAX).base, strlen(id));
}

static void on_setup_ostream(h2o_filter_t *super, h2o_req_t *request, h2o_ostream_t **slot)
{
    struct filter *self = (struct filter *)(void *)super;

    if (request->_generator != &quo_exchange_generator && request->res.status >= 400) {
        struct replacement *stream =
            (struct replacement *)(void *)h2o_add_ostream(request, sizeof *stream, slot);

        stream->super.do_send = send_replacement;
        stream->sent = false;
        replace(self->http, request, stream);
        slot = &stream->super.next;
    }
    h2o_setup_next_ostream(request, slot);
}

void quo_own_errors_register(struct quo_http *http, h2o_pathconf_t *path)
{
    struct filter *self = (struct filter *)(void *)h2o_create_filter(path, sizeof *self);

    self->super.on_setup_ostream = on_setup_ostream;
    self->http = http;
}
