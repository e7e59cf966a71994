#include <stdlib.h>

#include "proxy/http/batch_answer.h"
#include "proxy/http/batch_line.h"
#include "proxy/http/server_h2o.h"

/* Bytes of answers that wait for the client to take them, beyond which no further line is begun. */
#define HELD_HIGH (256u * 1024)
/* Bytes that the first answers are taken to have: a few begin, and show how large they are. */
#define FIRST_EXPECTED (HELD_HIGH / 4)
/* Lines begun before others get their turn. */
#define LINES_PER_TURN 64u

enum line_state { LINE_FREE = 0, LINE_RUNNING, LINE_DONE };

struct quo_line {
    struct quo_http_batch *batch;
    enum line_state state;
    struct quo_exchange *exchange; /* RUNNING */
    struct quo_text text;          /* DONE: its answer */
};

/* Goes with its request. Line i is in slot i % QUO_HTTP_BATCH_WINDOW until its answer is in `out`.
 */
struct quo_http_batch {
    h2o_generator_t super;
    struct quo_exchange *exchange;
    char *body;
    struct quo_slice rest; /* of it: lines that were not begun */
    uint32_t begun, told;  /* lines */
    uint32_t running;
    struct quo_line lines[QUO_HTTP_BATCH_WINDOW];
    struct quo_batch_sum sum;
    struct quo_text out;
    struct quo_text sending; /* the library has it while `is_sending` */
    bool is_sending;
    uint64_t held;             /* bytes of answers that the client has not taken */
    uint64_t expected;         /* bytes of the next answer, going by those that came */
    uint64_t bytes;            /* sent in all */
    bool is_complete;          /* the last line is in `out` */
    h2o_timeout_entry_t timer; /* for the next turn of the loop */
};

static struct quo_slice trim(struct quo_slice line)
{
    while (line.len > 0 && (line.data[line.len - 1] == '\r' || line.data[line.len - 1] == ' '))
        line.len--;
    while (line.len > 0 && line.data[0] == ' ')
        line = quo_slice(line.data + 1, line.len - 1);
    return line;
}

/* Takes the next line that is not blank. */
static bool take_line(struct quo_slice *rest, struct quo_slice *ret)
{
    while (rest->len > 0) {
        const uint8_t *end = memchr(rest->data, '\n', rest->len);
        size_t len = end != NULL ? (size_t)(end - rest->data) : rest->len;
        size_t taken = len + (end != NULL);

        *ret = trim(quo_slice(rest->data, len));
        *rest = quo_slice(rest->data + taken, rest->len - taken);
        if (ret->len > 0)
            return true;
    }
    return false;
}

/* The answers of this moment leave together, and lines begin where no operation is under our feet.
 */
static void wake(struct quo_http_batch *batch)
{
    h2o_context_t *context = &batch->exchange->http->context;

    if (!h2o_timeout_is_linked(&batch->timer))
        h2o_timeout_link(context->loop, &context->zero_timeout, &batch->timer);
}

void quo_batch_answered(struct quo_line *line)
{
    struct quo_http_batch *batch = line->batch;
    struct quo_http *http = batch->exchange->http;
    bool is_write = quo_method_is_write(line->exchange->operation.method);

    quo_batch_answer_add(&http->answer, is_write, &line->text, &batch->sum);
    line->state = LINE_DONE;
    line->exchange = NULL;
    batch->held += line->text.size;
    batch->expected = QUO_MAX(batch->expected - batch->expected / 4, line->text.size);
    batch->running--;
    wake(batch);
}

/* A line that is no request. Nothing was written by it. */
static void refuse_line(struct quo_line *line, const struct quo_problem *problem)
{
    struct quo_http_batch *batch = line->batch;
    struct quo_http *http = batch->exchange->http;
    struct quo_answer_facts facts = quo_exchange_facts(batch->exchange);

    quo_answer_problem(problem, 0, &facts, &http->answer);
    quo_batch_answer_add(&http->answer, true, &line->text, &batch->sum);
    line->state = LINE_DONE;
    batch->held += line->text.size;
}

static bool parse_line(struct quo_slice text, struct quo_batch_line *ret,
                       struct quo_problem *problem)
{
    if (text.len <= QUO_HTTP_BATCH_LINE_MAX)
        return quo_batch_line_parse(text, ret, problem);
    quo_problem_set(problem, QUO_PROBLEM_VALUE_TOO_LARGE,
                    "The line has %zu bytes; at most %u are allowed.", text.len,
                    QUO_HTTP_BATCH_LINE_MAX);
    problem->limit = QUO_HTTP_BATCH_LINE_MAX;
    problem->actual = (int64_t)text.len;
    return false;
}

static void begin_line(struct quo_http_batch *batch, struct quo_slice text)
{
    struct quo_line *line = &batch->lines[batch->begun % QUO_HTTP_BATCH_WINDOW];
    struct quo_batch_line parsed;
    struct quo_problem problem;

    QUO_INVARIANT(line->state == LINE_FREE);
    batch->begun++;
    quo_count(&batch->exchange->http->stats.lines, 1);
    *line = (struct quo_line){.batch = batch};
    if (!parse_line(text, &parsed, &problem)) {
        refuse_line(line, &problem);
        return;
    }
    line->exchange = quo_exchange_of_line(batch->exchange, line);
    line->state = LINE_RUNNING;
    batch->running++;
    quo_exchange_dispatch(line->exchange, &parsed.request, parsed.request.header_count);
    quo_batch_line_free(&parsed);
}

/* Answers leave in the order of the lines. */
static void collect(struct quo_http_batch *batch)
{
    for (; batch->told < batch->begun; batch->told++) {
        struct quo_line *line = &batch->lines[batch->told % QUO_HTTP_BATCH_WINDOW];

        if (line->state != LINE_DONE || batch->out.size >= HELD_HIGH)
            return;
        if (line->text.failed)
            batch->out.failed = true;
        else
            quo_text_append(&batch->out, line->text.data, line->text.size);
        quo_text_free(&line->text);
        line->state = LINE_FREE;
    }
}

/* Others' operations on this connection count as well; ours will end. Answers that are expected
 * count as those that are there: many large ones at once would keep the loop from all others. */
static bool may_begin(const struct quo_http_batch *batch)
{
    bool is_full = batch->exchange->connection->operations >= QUO_HTTP_CONN_OPS_MAX;
    uint64_t coming = batch->running * batch->expected;

    return batch->begun - batch->told < QUO_HTTP_BATCH_WINDOW && batch->held < HELD_HIGH &&
           (batch->running == 0 || (!is_full && batch->held + coming < HELD_HIGH));
}

/* Whoever reads `sending` must be through with it. */
static void send_some(struct quo_http_batch *batch)
{
    struct quo_text sent = batch->sending;
    h2o_iovec_t bytes;

    batch->sending = batch->out;
    batch->out = sent;
    batch->out.size = 0;
    batch->is_sending = true;
    batch->bytes += batch->sending.size;
    quo_exchange_unsent(batch->exchange);
    if (batch->is_complete)
        quo_exchange_log(batch->exchange, 200, batch->bytes);
    bytes = h2o_iovec_init(batch->sending.data, batch->sending.size);
    h2o_send(batch->exchange->request, &bytes, 1,
             batch->is_complete ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void cut(struct quo_connection *connection)
{
    if (!connection->cut)
        quo_connection_cut(connection);
}

static void take_turn(struct quo_http_batch *batch)
{
    struct quo_slice text;

    collect(batch);
    for (uint32_t i = 0; may_begin(batch) && take_line(&batch->rest, &text); i++) {
        begin_line(batch, text);
        collect(batch);
        if (i == LINES_PER_TURN) {
            wake(batch);
            break;
        }
    }
    if (batch->rest.len == 0 && batch->told == batch->begun && !batch->is_complete) {
        quo_batch_answer_sum(&batch->sum, &batch->out);
        batch->is_complete = true;
    }
    /* A line that is missing would make all that follow answer others. */
    if (batch->out.failed)
        cut(batch->exchange->connection);
    else if (!batch->is_sending && batch->out.size > 0)
        send_some(batch);
}

static void on_timer(h2o_timeout_entry_t *timer)
{
    take_turn(QUO_CONTAINER_OF(timer, struct quo_http_batch, timer));
}

/* The client has taken what was sent. */
static void on_proceed(h2o_generator_t *generator, h2o_req_t *request)
{
    struct quo_http_batch *batch = QUO_CONTAINER_OF(generator, struct quo_http_batch, super);

    (void)request;
    batch->is_sending = false;
    batch->held -= QUO_MIN(batch->held, batch->sending.size);
    quo_exchange_sent(batch->exchange);
    take_turn(batch);
}

bool quo_batch_gone(struct quo_http_batch *batch)
{
    bool is_open = !batch->is_complete;

    for (size_t i = 0; i < QUO_HTTP_BATCH_WINDOW; i++) {
        struct quo_line *line = &batch->lines[i];

        if (line->state == LINE_RUNNING) {
            line->exchange->request = NULL;
            line->exchange->line = NULL;
        }
        quo_text_free(&line->text);
    }
    if (h2o_timeout_is_linked(&batch->timer))
        h2o_timeout_unlink(&batch->timer);
    quo_text_free(&batch->out);
    quo_text_free(&batch->sending);
    free(batch->body);
    free(batch);
    return is_open;
}

static bool is_for_lines(const struct quo_http_request *input, struct quo_problem *problem)
{
    static const char *const others[] = {"consistency", "idempotency-key", "if-match",
                                         "if-none-match", "session-token"};
    const struct quo_http_header *type = quo_request_header(input, "content-type");

    if (type != NULL && !quo_is_media_type(type->value, QUO_HTTP_BATCH_TYPE)) {
        quo_problem_set(problem, QUO_PROBLEM_BODY_TYPE_UNSUPPORTED,
                        "The Content-Type of a batch must be " QUO_HTTP_BATCH_TYPE ".");
        return false;
    }
    if (quo_route_find(input->target).query.len > 0) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY,
                        "A batch has no query parameters; say them in its lines.");
        return false;
    }
    for (size_t i = 0; i < QUO_COUNT(others); i++) {
        if (quo_request_header(input, others[i]) == NULL)
            continue;
        quo_problem_set(problem, QUO_PROBLEM_BAD_HEADER,
                        "%s is for single requests; say it in the lines of the batch.", others[i]);
        return false;
    }
    return true;
}

static bool is_short(const struct quo_http_request *input, struct quo_problem *problem)
{
    struct quo_slice rest = input->body, line;
    size_t lines = 0;

    if (input->body.len > QUO_HTTP_BATCH_BODY_MAX) {
        quo_problem_set(problem, QUO_PROBLEM_VALUE_TOO_LARGE,
                        "The body has %zu bytes; a batch may have %u.", input->body.len,
                        QUO_HTTP_BATCH_BODY_MAX);
        problem->limit = QUO_HTTP_BATCH_BODY_MAX;
        problem->actual = (int64_t)input->body.len;
        return false;
    }
    while (take_line(&rest, &line))
        lines++;
    if (lines <= QUO_HTTP_BATCH_LINES_MAX)
        return true;
    quo_problem_set(problem, QUO_PROBLEM_VALUE_TOO_LARGE,
                    "The body has %zu lines; a batch may have %u.", lines,
                    QUO_HTTP_BATCH_LINES_MAX);
    return false;
}

/* The body is in the connection's buffer, which moves when that reads on. */
static struct quo_http_batch *new_batch(struct quo_exchange *exchange, struct quo_slice body)
{
    struct quo_http_batch *batch = calloc(1, sizeof *batch);

    if (batch == NULL)
        return NULL;
    batch->body = malloc(body.len + 1);
    if (batch->body == NULL) {
        free(batch);
        return NULL;
    }
    if (body.len > 0)
        memcpy(batch->body, body.data, body.len);
    batch->rest = quo_slice(batch->body, body.len);
    batch->super.proceed = on_proceed;
    batch->timer.cb = on_timer;
    batch->exchange = exchange;
    batch->expected = FIRST_EXPECTED;
    return batch;
}

static void start_response(struct quo_exchange *exchange)
{
    struct quo_http *http = exchange->http;
    struct quo_answer_facts facts = quo_exchange_facts(exchange);

    quo_answer_page(200, QUO_HTTP_BATCH_TYPE, quo_slice(NULL, 0), &facts, &http->answer);
    http->answer.has_length = false;
    quo_exchange_start(exchange, &exchange->batch->super);
}

void quo_batch_begin(struct quo_exchange *exchange, const struct quo_http_request *input)
{
    struct quo_problem problem;

    if (!is_for_lines(input, &problem) || !is_short(input, &problem)) {
        quo_exchange_refuse(exchange, &problem, 0);
        return;
    }
    exchange->batch = new_batch(exchange, input->body);
    if (exchange->batch == NULL) {
        quo_problem_set(&problem, QUO_PROBLEM_OVERLOADED, "Out of memory.");
        quo_exchange_refuse(exchange, &problem, 0);
        return;
    }
    start_response(exchange);
    quo_connection_arm(exchange->connection, exchange->request);
    wake(exchange->batch);
}
