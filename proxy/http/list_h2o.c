#include "proxy/http/answer_list.h"
#include "proxy/http/server_h2o.h"

static void abandon(struct quo_exchange *exchange)
{
    quo_job_abandon(exchange->work);
}

static void on_answer(void *context, const struct quo_list_answer *list)
{
    struct quo_exchange *exchange = context;
    struct quo_http *http = exchange->http;
    struct quo_text text = {0};

    if (!quo_exchange_resume(exchange))
        return;
    struct quo_answer_facts facts = quo_exchange_facts(exchange);
    quo_answer_list(&exchange->operation, list, http->options.map, &facts, &text, &http->answer);
    if (exchange->in_session) {
        /* What the session writes is above all that it was shown. */
        quo_token_raise(&exchange->token, list->newest.hlc);
        quo_answer_add_token(&http->answer, &exchange->token, http->options.secret);
    }
    quo_exchange_respond(exchange);
    quo_text_free(&text);
}

void quo_list_begin(struct quo_exchange *exchange, const struct quo_http_request *input,
                    const struct quo_wish *wish)
{
    struct quo_http *http = exchange->http;
    const struct quo_list_request request = {
        .ns = wish->ns,
        .prefix = quo_slice(wish->key, wish->key_len),
        .partition = wish->place.partition,
        .after = quo_slice(wish->place.after, wish->place.after_len),
        .limit = wish->limit,
        .consistency = wish->consistency,
    };
    struct quo_job *job = NULL;

    if (!quo_exchange_admit(exchange, input, wish))
        return;
    exchange->operation = quo_operation_of(wish);
    h2o_iovec_t prefix =
        h2o_strdup(&exchange->request->pool, (const char *)wish->key, wish->key_len);
    exchange->operation.key = quo_slice(prefix.base, prefix.len);
    quo_exchange_wait(exchange);
    enum quo_status status =
        quo_service_list(http->options.service, &request, on_answer, exchange, &job);
    if (status != QUO_OK) {
        quo_exchange_overloaded(exchange, status);
    } else if (job != NULL) {
        exchange->abandon = abandon;
        exchange->work = job;
        quo_connection_arm(exchange->connection, exchange->request);
    }
}
