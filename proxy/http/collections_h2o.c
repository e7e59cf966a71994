/* Requests for timelines and sets: from the wish to jobs of the service, and back. */
#include "proxy/http/answer_collection.h"
#include "proxy/http/collection_request.h"
#include "proxy/http/server_h2o.h"
#include "proxy/http/set_body.h"

/* What is kept of a request until its answer. */
struct kept {
    uint32_t limit;
    struct quo_slice rest, element;
};

/* What an answer is made with. */
struct answering {
    struct quo_collection_case of;
    struct quo_answer_facts facts;
    struct quo_collection_body body;
};

static void abandon(struct quo_exchange *exchange)
{
    quo_job_abandon(exchange->work);
}

static struct quo_slice copy(struct quo_exchange *exchange, const void *bytes, size_t len)
{
    uint8_t *ret = h2o_mem_alloc_pool(&exchange->request->pool, len + 1);

    memcpy(ret, bytes, len);
    return quo_slice(ret, len);
}

static void begin_answer(struct quo_exchange *exchange, struct answering *ret)
{
    const struct kept *kept = exchange->kept;

    ret->facts = quo_exchange_facts(exchange);
    ret->body = (struct quo_collection_body){NULL};
    ret->of = (struct quo_collection_case){
        .operation = &exchange->operation,
        .limit = kept->limit,
        .rest = kept->rest,
        .element = kept->element,
        .map = exchange->http->options.map,
        .facts = &ret->facts,
    };
}

/* `seen`: the highest hlc that the client is shown; what its session writes later is above it. */
static void end_answer(struct quo_exchange *exchange, struct answering *answering, uint64_t seen)
{
    struct quo_http *http = exchange->http;

    if (exchange->in_session) {
        quo_token_raise(&exchange->token, seen);
        quo_answer_add_token(&http->answer, &exchange->token, http->options.secret);
    }
    quo_exchange_respond(exchange);
    quo_collection_body_free(&answering->body);
}

static void on_appended(void *context, const struct quo_append_answer *appended)
{
    struct quo_exchange *exchange = context;
    struct answering answering;

    if (!quo_exchange_resume(exchange))
        return;
    begin_answer(exchange, &answering);
    quo_answer_appended(&answering.of, appended, &exchange->http->answer);
    end_answer(exchange, &answering, appended->id.version.hlc);
}

static void on_entry(void *context, const struct quo_response *response)
{
    struct quo_exchange *exchange = context;
    struct answering answering;

    if (!quo_exchange_resume(exchange))
        return;
    begin_answer(exchange, &answering);
    quo_answer_entry(&answering.of, response, &exchange->http->answer);
    end_answer(exchange, &answering, response->receipt.version.hlc);
}

static void on_page(void *context, const struct quo_page_answer *page)
{
    struct quo_exchange *exchange = context;
    struct answering answering;

    if (!quo_exchange_resume(exchange))
        return;
    begin_answer(exchange, &answering);
    quo_answer_timeline(&answering.of, page, &answering.body, &exchange->http->answer);
    end_answer(exchange, &answering, page->count > 0 ? page->entries[0].id.version.hlc : 0);
}

static void on_set_changed(void *context, const struct quo_set_changed *changed)
{
    struct quo_exchange *exchange = context;
    struct answering answering;

    if (!quo_exchange_resume(exchange))
        return;
    begin_answer(exchange, &answering);
    quo_answer_set_changed(&answering.of, changed, &exchange->http->answer);
    end_answer(exchange, &answering, changed->response->receipt.version.hlc);
}

static void on_set(void *context, const struct quo_set_list *list)
{
    struct quo_exchange *exchange = context;
    struct answering answering;

    if (!quo_exchange_resume(exchange))
        return;
    begin_answer(exchange, &answering);
    if (exchange->operation.route == QUO_ROUTE_ELEMENT)
        quo_answer_element(&answering.of, list, &answering.body, &exchange->http->answer);
    else
        quo_answer_set(&answering.of, list, &answering.body, &exchange->http->answer);
    end_answer(exchange, &answering, 0);
}

static enum quo_status append(struct quo_exchange *exchange, const struct quo_http_request *input,
                              const struct quo_wish *wish, struct quo_job **ret_job)
{
    const struct quo_append_request request = {
        .ns = wish->ns,
        .name = exchange->operation.key,
        .consistency = wish->consistency,
        .content_type = wish->content_type,
        .value = input->body,
        .ttl_ms = wish->ask.ttl_ms,
        .above = exchange->in_session ? exchange->token.max_hlc : 0,
        .has_opid = wish->has_key,
        .opid = wish->opid,
        .digest = wish->digest,
    };

    return quo_service_append(exchange->http->options.service, &request, on_appended, exchange,
                              ret_job);
}

static enum quo_status reach_entry(struct quo_exchange *exchange, const struct quo_wish *wish,
                                   struct quo_job **ret_job)
{
    const struct quo_entry_request request = {
        .is_delete = wish->method == QUO_METHOD_DELETE,
        .ns = wish->ns,
        .name = exchange->operation.key,
        .id = wish->entry,
        .consistency = wish->consistency,
        .above = exchange->in_session ? exchange->token.max_hlc : 0,
    };

    return quo_service_entry(exchange->http->options.service, &request, on_entry, exchange,
                             ret_job);
}

static enum quo_status read_page(struct quo_exchange *exchange, const struct quo_wish *wish,
                                 struct quo_job **ret_job)
{
    const struct quo_page_request request = {
        .ns = wish->ns,
        .name = exchange->operation.key,
        .before = wish->before,
        .limit = wish->limit,
        .consistency = wish->consistency,
    };

    return quo_service_page(exchange->http->options.service, &request, on_page, exchange, ret_job);
}

static enum quo_status change_set(struct quo_exchange *exchange, const struct quo_wish *wish,
                                  struct quo_slice elements, uint32_t count,
                                  struct quo_job **ret_job)
{
    const struct quo_set_change_request request = {
        .is_remove = wish->route == QUO_ROUTE_SET_REMOVE,
        .ns = wish->ns,
        .name = exchange->operation.key,
        .elements = elements,
        .count = count,
        .consistency = wish->consistency,
        .above = exchange->in_session ? exchange->token.max_hlc : 0,
    };

    return quo_service_set_change(exchange->http->options.service, &request, on_set_changed,
                                  exchange, ret_job);
}

static enum quo_status list_set(struct quo_exchange *exchange, const struct quo_wish *wish,
                                struct quo_job **ret_job)
{
    const struct quo_set_list_request request = {
        .ns = wish->ns,
        .name = exchange->operation.key,
        .element = quo_slice(wish->element, wish->element_len),
        .after = quo_slice(wish->after, wish->after_len),
        .limit = wish->route == QUO_ROUTE_ELEMENT ? 1 : wish->limit,
        .consistency = wish->consistency,
    };

    return quo_service_set_list(exchange->http->options.service, &request, on_set, exchange,
                                ret_job);
}

static enum quo_status start(struct quo_exchange *exchange, const struct quo_http_request *input,
                             const struct quo_wish *wish, struct quo_slice elements,
                             uint32_t element_count, struct quo_job **ret_job)
{
    switch (wish->route) {
    case QUO_ROUTE_TIMELINE:
        return wish->method == QUO_METHOD_POST ? append(exchange, input, wish, ret_job)
                                               : read_page(exchange, wish, ret_job);
    case QUO_ROUTE_ENTRY:
        return reach_entry(exchange, wish, ret_job);
    case QUO_ROUTE_SET_ADD:
    case QUO_ROUTE_SET_REMOVE:
        return change_set(exchange, wish, elements, element_count, ret_job);
    default:
        return list_set(exchange, wish, ret_job);
    }
}

static void keep(struct quo_exchange *exchange, const struct quo_wish *wish)
{
    struct kept *kept = h2o_mem_alloc_pool(&exchange->request->pool, sizeof *kept);

    exchange->operation = quo_operation_of(wish);
    exchange->operation.key = copy(exchange, wish->key, wish->key_len);
    kept->limit = wish->limit;
    kept->rest = copy(exchange, wish->rest, wish->rest_len);
    kept->element = copy(exchange, wish->element, wish->element_len);
    exchange->kept = kept;
}

void quo_collections_begin(struct quo_exchange *exchange, const struct quo_http_request *input,
                           const struct quo_wish *wish)
{
    const bool has_elements =
        wish->route == QUO_ROUTE_SET_ADD || wish->route == QUO_ROUTE_SET_REMOVE;
    struct quo_problem problem;
    struct quo_job *job = NULL;
    uint8_t *elements = NULL;
    uint32_t count = 0;
    size_t len = 0;
    enum quo_status status;

    if (!quo_exchange_admit(exchange, input, wish))
        return;
    if (has_elements) {
        elements = h2o_mem_alloc_pool(&exchange->request->pool, input->body.len + 1);
        if (!quo_set_body_parse(input->body, elements, &count, &len, &problem)) {
            quo_exchange_refuse(exchange, &problem, 0);
            return;
        }
    }
    keep(exchange, wish);
    exchange->abandon = abandon;
    quo_exchange_wait(exchange);
    status = start(exchange, input, wish, quo_slice(elements, len), count, &job);
    if (status != QUO_OK) {
        quo_exchange_overloaded(exchange, status);
    } else if (job != NULL) {
        exchange->work = job;
        if (exchange->line == NULL)
            quo_connection_arm(exchange->connection, exchange->request);
    }
}
