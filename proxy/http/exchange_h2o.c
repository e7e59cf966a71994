#include <inttypes.h>
#include <stdlib.h>

#include "proxy/http/counter.h"
#include "proxy/http/digits.h"
#include "proxy/http/server_h2o.h"
#include "proxy/http/session.h"
#include "quorate/log.h"

h2o_generator_t quo_exchange_generator = {NULL, NULL};

/* In the request's pool: knows when the request goes. */
struct anchor {
    struct quo_exchange *exchange;
};

void quo_exchange_make_id(struct quo_http *http, char out[QUO_REQUEST_ID_MAX + 1])
{
    quo_put_hex(out, http->id_base + http->id_next++);
    out[QUO_HEX_TEXT] = 0;
}

static void free_exchange(struct quo_exchange *exchange)
{
    h2o_mem_free_recycle(&exchange->http->exchanges, exchange);
}

/* A client that asks much and waits for nothing is a flood. */
static void count_cancelled(struct quo_exchange *exchange, uint64_t now_us)
{
    struct quo_connection *connection = exchange->connection;

    quo_count(&exchange->http->stats.cancelled, 1);
    if (connection->guard != NULL && !connection->cut) {
        enum quo_flood flood = quo_guard_cancelled(connection->guard, now_us);

        if (flood != QUO_FLOOD_NONE)
            quo_connection_flooded(connection, flood);
    }
}

static void on_request_gone(void *data)
{
    struct quo_exchange *exchange = ((struct anchor *)data)->exchange;
    struct quo_connection *connection = exchange->connection;
    uint64_t now_us = quo_mono_us(exchange->http->env);

    exchange->request = NULL;
    connection->open--;
    connection->armed = NULL;
    connection->quiet_since = now_us;
    connection->partial_since = 0;
    if (connection->secure != NULL)
        quo_secure_request_gone(connection);
    if (exchange->pending || (exchange->batch != NULL && quo_batch_gone(exchange->batch)))
        count_cancelled(exchange, now_us);
    if (exchange->pending)
        return;
    quo_exchange_sent(exchange);
    free_exchange(exchange);
}

void quo_exchange_unsent(struct quo_exchange *exchange)
{
    exchange->answered_us = quo_mono_us(exchange->http->env);
    h2o_linklist_insert(&exchange->http->unsent, &exchange->link);
}

void quo_exchange_sent(struct quo_exchange *exchange)
{
    if (h2o_linklist_is_linked(&exchange->link))
        h2o_linklist_unlink(&exchange->link);
}

void quo_exchange_disown(struct quo_exchange *exchange)
{
    QUO_INVARIANT(exchange->pending && exchange->request == NULL);
    h2o_linklist_unlink(&exchange->link);
    if (exchange->abandon != NULL)
        exchange->abandon(exchange);
    else
        quo_service_abandon(exchange->http->options.service, exchange->ticket);
    free_exchange(exchange);
}

static struct quo_slice keep(h2o_req_t *request, h2o_iovec_t text)
{
    h2o_iovec_t copy = h2o_strdup(&request->pool, text.base, text.len);

    return quo_slice(copy.base, copy.len);
}

static struct quo_exchange *make_exchange(struct quo_http *http, struct quo_connection *connection,
                                          h2o_req_t *request)
{
    struct quo_exchange *exchange = h2o_mem_alloc_recycle(&http->exchanges, sizeof *exchange);

    memset(exchange, 0, offsetof(struct quo_exchange, request_id));
    exchange->http = http;
    exchange->connection = connection;
    exchange->request = request;
    exchange->started_us = quo_mono_us(http->env);
    return exchange;
}

struct quo_exchange *quo_exchange_of_line(struct quo_exchange *batch, struct quo_line *line)
{
    struct quo_exchange *exchange = make_exchange(batch->http, batch->connection, batch->request);

    exchange->line = line;
    memcpy(exchange->request_id, batch->request_id, sizeof exchange->request_id);
    return exchange;
}

static struct quo_exchange *new_exchange(struct quo_http *http, h2o_req_t *request)
{
    struct quo_exchange *exchange = make_exchange(http, quo_connection_of(request), request);
    struct anchor *anchor = h2o_mem_alloc_shared(&request->pool, sizeof *anchor, on_request_gone);

    quo_count(&http->stats.requests, 1);
    exchange->connection->open++;
    anchor->exchange = exchange;
    if (http->options.access_log) {
        exchange->method = keep(request, request->input.method);
        exchange->target = keep(request, request->input.path);
    }
    return exchange;
}

/* Copies one answer into the request and hands it to the library. */
static void send_answer(struct quo_http *http, h2o_req_t *request, bool with_body)
{
    const struct quo_answer *answer = &http->answer;
    h2o_iovec_t body = {NULL, 0};

    quo_head_put(&http->names, request, answer);
    h2o_start_response(request, &quo_exchange_generator);
    if (with_body && answer->body.len > 0) {
        body.base = h2o_mem_alloc_pool(&request->pool, answer->body.len);
        body.len = answer->body.len;
        memcpy(body.base, answer->body.data, body.len);
    }
    h2o_send(request, &body, body.len > 0 ? 1 : 0, H2O_SEND_STATE_FINAL);
}

void quo_exchange_log(const struct quo_exchange *exchange, int status, uint64_t bytes)
{
    char target[256], method[32];

    if (!exchange->http->options.access_log)
        return;
    quo_log(QUO_LOG_INFO, "http.access",
            "request_id=%s method=%s target=%s status=%d bytes=%" PRIu64 " us=%" PRIu64,
            exchange->request_id, quo_log_quote(exchange->method, method, sizeof method),
            quo_log_quote(exchange->target, target, sizeof target), status, bytes,
            exchange->answered_us - exchange->started_us);
}

void quo_exchange_respond(struct quo_exchange *exchange)
{
    struct quo_http *http = exchange->http;
    h2o_req_t *request = exchange->request;

    if (exchange->line != NULL) {
        quo_batch_answered(exchange->line);
        free_exchange(exchange);
        return;
    }
    quo_exchange_unsent(exchange);
    quo_count(&http->stats.responses[http->answer.status], 1);
    if (http->draining && request->version < 0x200)
        request->http1_is_persistent = 0;
    quo_exchange_log(exchange, http->answer.status, http->answer.body.len);
    send_answer(http, request, exchange->operation.method != QUO_METHOD_HEAD);
}

void quo_exchange_start(struct quo_exchange *exchange, h2o_generator_t *generator)
{
    struct quo_http *http = exchange->http;

    quo_count(&http->stats.responses[http->answer.status], 1);
    if (http->draining && exchange->request->version < 0x200)
        exchange->request->http1_is_persistent = 0;
    quo_head_put(&http->names, exchange->request, &http->answer);
    h2o_start_response(exchange->request, generator);
}

struct quo_answer_facts quo_exchange_facts(const struct quo_exchange *exchange)
{
    return (struct quo_answer_facts){
        .request_id = exchange->request_id,
        .total_us = quo_mono_us(exchange->http->env) - exchange->started_us,
    };
}

void quo_exchange_refuse(struct quo_exchange *exchange, const struct quo_problem *problem,
                         uint32_t allowed)
{
    struct quo_answer_facts facts = quo_exchange_facts(exchange);

    quo_answer_problem(problem, allowed, &facts, &exchange->http->answer);
    quo_exchange_respond(exchange);
}

void quo_exchange_wait(struct quo_exchange *exchange)
{
    exchange->pending = true;
    exchange->connection->operations++;
    h2o_linklist_insert(&exchange->connection->pending, &exchange->link);
}

bool quo_exchange_resume(struct quo_exchange *exchange)
{
    exchange->pending = false;
    exchange->connection->operations--;
    h2o_linklist_unlink(&exchange->link);
    if (exchange->request != NULL)
        return true;
    free_exchange(exchange);
    return false;
}

/* The service's answer. */
static void on_answer(void *context, const struct quo_response *response)
{
    struct quo_exchange *exchange = context;
    struct quo_http *http = exchange->http;
    struct quo_answer_facts facts;

    if (!quo_exchange_resume(exchange))
        return;
    facts = quo_exchange_facts(exchange);
    quo_answer_data(&exchange->operation, response, http->options.map, &facts, &http->answer);
    if (exchange->in_session) {
        if (quo_counter_has_slots(exchange->operation.ns, exchange->operation.route))
            quo_token_raise(&exchange->token, response->receipt.version.hlc);
        else
            quo_session_learn(&exchange->token, exchange->session_key, response);
        quo_answer_add_token(&http->answer, &exchange->token, http->options.secret);
    }
    quo_exchange_respond(exchange);
}

static struct quo_slice join(h2o_req_t *request, const struct quo_http_request *input,
                             const char *name)
{
    size_t len = quo_request_join(input, name, NULL, 0);
    char *out;

    if (len == 0)
        return quo_slice(NULL, 0);
    out = h2o_mem_alloc_pool(&request->pool, len);
    quo_request_join(input, name, out, len);
    return quo_slice(out, len);
}

void quo_exchange_overloaded(struct quo_exchange *exchange, enum quo_status status)
{
    struct quo_http *http = exchange->http;
    struct quo_problem problem;

    if (!quo_exchange_resume(exchange))
        return;
    quo_count(&http->stats.refused_service, 1);
    quo_problem_set(&problem, status == QUO_SKEW ? QUO_PROBLEM_CLOCK_SKEW : QUO_PROBLEM_OVERLOADED,
                    "The proxy cannot take the operation: %s.", quo_status_text(status));
    quo_exchange_refuse(exchange, &problem, 0);
}

static void submit(struct quo_exchange *exchange, const struct quo_wish *wish)
{
    struct quo_http *http = exchange->http;
    struct quo_request operation = quo_wish_submission(wish, exchange->body);
    quo_ticket ticket = 0;
    enum quo_status status;

    if (exchange->in_session)
        quo_session_ask(&exchange->token, exchange->session_key, &operation);
    quo_exchange_wait(exchange);
    status = quo_service_submit(http->options.service, &operation, on_answer, exchange, &ticket);
    if (status != QUO_OK) {
        quo_exchange_overloaded(exchange, status);
    } else if (ticket != 0) {
        exchange->ticket = ticket;
        if (exchange->line == NULL)
            quo_connection_arm(exchange->connection, exchange->request);
    }
}

/* A session begins without a token. */
static bool join_session(struct quo_exchange *exchange, const struct quo_http_request *input,
                         const struct quo_wish *wish, struct quo_problem *problem)
{
    bool has_token;

    if (!quo_session_parse(input, exchange->http->options.secret, &has_token, &exchange->token,
                           problem))
        return false;
    exchange->in_session = has_token || wish->consistency.level == QUO_LEVEL_SESSION;
    exchange->session_key = quo_token_key(wish->ns->id, quo_slice(wish->key, wish->key_len));
    return true;
}

bool quo_exchange_has_room(struct quo_exchange *exchange)
{
    struct quo_problem problem;

    if (exchange->connection->operations < QUO_HTTP_CONN_OPS_MAX)
        return true;
    quo_count(&exchange->http->stats.refused_in_flight, 1);
    quo_problem_set(&problem, QUO_PROBLEM_TOO_MANY_IN_FLIGHT,
                    "This connection has %u operations under way; at most %u are allowed.",
                    exchange->connection->operations, QUO_HTTP_CONN_OPS_MAX);
    quo_exchange_refuse(exchange, &problem, 0);
    return false;
}

bool quo_exchange_admit(struct quo_exchange *exchange, const struct quo_http_request *input,
                        const struct quo_wish *wish)
{
    struct quo_problem problem;

    if (!quo_exchange_has_room(exchange))
        return false;
    if (join_session(exchange, input, wish, &problem))
        return true;
    quo_exchange_refuse(exchange, &problem, 0);
    return false;
}

static void begin_operation(struct quo_exchange *exchange, const struct quo_http_request *input,
                            const struct quo_wish *wish)
{
    if (!quo_exchange_admit(exchange, input, wish))
        return;
    exchange->operation = quo_operation_of(wish);
    if (wish->route == QUO_ROUTE_KEY && !quo_method_is_write(wish->method)) {
        exchange->operation.if_match = join(exchange->request, input, "if-match");
        exchange->operation.if_none_match = join(exchange->request, input, "if-none-match");
    } else {
        exchange->operation.key = keep(exchange->request, h2o_iovec_init(wish->key, wish->key_len));
    }
    if (wish->route == QUO_ROUTE_COUNTER && quo_counter_has_slots(wish->ns, wish->route))
        quo_counter_begin(exchange, wish);
    else
        submit(exchange, wish);
}

static void merge_sessions(struct quo_exchange *exchange, const struct quo_http_request *input)
{
    struct quo_http *http = exchange->http;
    struct quo_answer_facts facts;
    struct quo_problem problem;
    struct quo_token token;

    if (!quo_session_merge(input, http->options.secret, &token, &problem)) {
        quo_exchange_refuse(exchange, &problem, 0);
        return;
    }
    facts = quo_exchange_facts(exchange);
    quo_answer_merged(&token, http->options.secret, &facts, &http->answer);
    quo_exchange_respond(exchange);
}

static void choose_id(struct quo_exchange *exchange, const struct quo_http_request *input)
{
    const struct quo_http_header *header = quo_request_header(input, "request-id");

    if (header == NULL || !quo_request_id_usable(header->value)) {
        quo_exchange_make_id(exchange->http, exchange->request_id);
        return;
    }
    memcpy(exchange->request_id, header->value.data, header->value.len);
    exchange->request_id[header->value.len] = 0;
}

static struct quo_http_request describe(struct quo_http *http, const h2o_req_t *request)
{
    struct quo_http_request ret = {
        .method = quo_slice(request->input.method.base, request->input.method.len),
        .target = quo_slice(request->input.path.base, request->input.path.len),
        .headers = http->headers,
        .header_count = QUO_MIN(request->headers.size, QUO_HTTP_HEADER_COUNT_MAX),
        .body = quo_slice(request->entity.base, request->entity.len),
    };

    for (size_t i = 0; i < ret.header_count; i++) {
        const h2o_header_t *header = &request->headers.entries[i];

        http->headers[i].name = quo_slice(header->name->base, header->name->len);
        http->headers[i].value = quo_slice(header->value.base, header->value.len);
    }
    return ret;
}

static bool read_request(const struct quo_http_request *input, size_t header_count,
                         struct quo_http *http, struct quo_problem *problem)
{
    if (header_count <= QUO_HTTP_HEADER_COUNT_MAX)
        return quo_request_parse(input, http->options.map, &http->wish, problem);
    http->wish.method = QUO_METHOD_OTHER;
    quo_problem_set(problem, QUO_PROBLEM_HEADERS_TOO_LARGE,
                    "The request has %zu header fields; at most %u are allowed.", header_count,
                    QUO_HTTP_HEADER_COUNT_MAX);
    return false;
}

void quo_exchange_dispatch(struct quo_exchange *exchange, const struct quo_http_request *input,
                           size_t header_count)
{
    struct quo_http *http = exchange->http;
    const struct quo_wish *wish = &http->wish;
    struct quo_answer_facts facts;
    struct quo_problem problem;
    bool understood = read_request(input, header_count, http, &problem);

    exchange->operation.method = wish->method;
    exchange->body = input->body;
    if (!understood) {
        quo_exchange_refuse(exchange, &problem,
                            problem.type == QUO_PROBLEM_METHOD_NOT_ALLOWED ? wish->allowed : 0);
    } else if (wish->method == QUO_METHOD_OPTIONS) {
        facts = quo_exchange_facts(exchange);
        quo_answer_options(wish->allowed, &facts, &http->answer);
        quo_exchange_respond(exchange);
    } else if (quo_route_is_collection(wish->route)) {
        quo_collections_begin(exchange, input, wish);
    } else if (quo_route_is_data(wish->route)) {
        begin_operation(exchange, input, wish);
    } else if (wish->route == QUO_ROUTE_LIST) {
        quo_list_begin(exchange, input, wish);
    } else if (wish->route == QUO_ROUTE_MERGE) {
        merge_sessions(exchange, input);
    } else if (wish->route == QUO_ROUTE_BATCH) {
        quo_batch_begin(exchange, input);
    } else if (quo_route_is_cluster(wish->route)) {
        quo_cluster_begin(exchange, wish);
    } else {
        struct quo_text text = {0};

        facts = quo_exchange_facts(exchange);
        quo_pages_answer(http, wish, &facts, &text);
        quo_exchange_respond(exchange);
        quo_text_free(&text);
    }
}

int quo_exchange_begin(h2o_handler_t *handler, h2o_req_t *request)
{
    struct quo_http *http = ((struct quo_http_handler *)(void *)handler)->http;
    struct quo_exchange *exchange = new_exchange(http, request);
    struct quo_http_request input = describe(http, request);

    choose_id(exchange, &input);
    quo_exchange_dispatch(exchange, &input, request->headers.size);
    return 0;
}
