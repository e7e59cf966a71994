/* What is asked of several nodes rather than of a key: debt, and equality. */
#include <stdlib.h>

#include "proxy/http/debt.h"
#include "proxy/http/equality.h"
#include "proxy/http/server_h2o.h"
#include "proxy/service/survey.h"
#include "quorate/metrics.h"

/* Writes that are under way are on some replicas for a moment: it looks so often. */
#define LOOKS_MAX 3u

/* The replicas of one partition being compared, group by group. */
struct equality_work {
    struct quo_equality equality;
    struct quo_entry entry;
    uint32_t group; /* being asked */
    uint32_t looks;
    uint32_t timeout_ms;
};

static void abandon(struct quo_exchange *exchange)
{
    quo_service_survey_abandon(exchange->http->options.service, exchange->ticket);
    free(exchange->work);
}

/* Sends a document that was built, and frees it. */
static void respond(struct quo_exchange *exchange, struct quo_text *text)
{
    const struct quo_answer_facts facts = quo_exchange_facts(exchange);
    struct quo_problem problem;

    if (text->failed) {
        quo_problem_set(&problem, QUO_PROBLEM_INTERNAL, "Out of memory.");
        quo_answer_problem(&problem, 0, &facts, &exchange->http->answer);
    } else {
        quo_answer_page(200, "application/json", quo_slice(text->data, text->size), &facts,
                        &exchange->http->answer);
    }
    quo_exchange_respond(exchange);
    quo_text_free(text);
}

/* Debt */

static void on_debts(void *context, const struct quo_survey_answer *answers, uint32_t count)
{
    struct quo_exchange *exchange = context;
    struct quo_node_debt debts[QUO_NODES_MAX];
    struct quo_text text = {0};

    if (!quo_exchange_resume(exchange))
        return;
    for (uint32_t i = 0; i < count; i++)
        debts[i] = quo_debt_read(answers[i].node, answers[i].body);
    quo_debt_render(debts, count, exchange->http->options.map, &text);
    respond(exchange, &text);
}

static enum quo_status ask_debts(struct quo_exchange *exchange, uint32_t timeout_ms)
{
    struct quo_http *http = exchange->http;
    const struct quo_map *map = http->options.map;
    const struct quo_msg_debt message = {.now_ms = quo_wall_ms(http->env)};
    uint8_t body[8];
    uint32_t nodes[QUO_NODES_MAX];
    const struct quo_survey_question question = {
        .type = QUO_MESSAGE_DEBT,
        .answer_type = QUO_MESSAGE_DEBTS,
        .body = quo_slice(body, quo_msg_debt_size(&message)),
        .node_count = map->node_count,
        .nodes = nodes,
        .timeout_ms = timeout_ms,
    };

    QUO_INVARIANT(question.body.len <= sizeof body);
    quo_msg_debt_encode(&message, body);
    for (uint32_t i = 0; i < map->node_count; i++)
        nodes[i] = i;
    return quo_service_survey(http->options.service, &question, on_debts, exchange,
                              &exchange->ticket);
}

/* Equality */

static enum quo_status ask_group(struct quo_exchange *exchange);

static void finish_equality(struct quo_exchange *exchange)
{
    struct equality_work *work = exchange->work;
    struct quo_text text = {0};

    if (quo_exchange_resume(exchange)) {
        quo_equality_render(&work->equality, exchange->http->options.map, &text);
        respond(exchange, &text);
    }
    free(work);
}

static void go_on(struct quo_exchange *exchange)
{
    struct equality_work *work = exchange->work;
    enum quo_status status = QUO_OK;

    if (work->group == work->equality.group_count) {
        finish_equality(exchange);
        return;
    }
    status = ask_group(exchange);
    if (status != QUO_OK) {
        quo_exchange_overloaded(exchange, status);
        free(work);
    }
}

static void on_digests(void *context, const struct quo_survey_answer *answers, uint32_t count)
{
    struct quo_exchange *exchange = context;
    struct equality_work *work = exchange->work;
    struct quo_equality_group *group = &work->equality.groups[work->group];

    for (uint32_t i = 0; i < count; i++)
        group->digests[i] = quo_equality_read(answers[i].node, answers[i].body);
    if (++work->looks == LOOKS_MAX || quo_equality_of_group(group) == QUO_EQUAL_YES) {
        work->group++;
        work->looks = 0;
    }
    go_on(exchange);
}

static enum quo_status ask_group(struct quo_exchange *exchange)
{
    struct equality_work *work = exchange->work;
    struct quo_equality_group *group = &work->equality.groups[work->group];
    uint8_t entry[QUO_ENTRY_SIZE_MAX], body[QUO_ENTRY_SIZE_MAX + 16];
    uint32_t nodes[QUO_REPLICAS_MAX];
    const struct quo_msg_digest message = {
        .partition = (uint16_t)work->equality.partition,
        .entry = quo_slice(entry, quo_entry_size(&work->entry)),
        .replicas = group->replicas,
    };
    const struct quo_survey_question question = {
        .type = QUO_MESSAGE_DIGEST,
        .answer_type = QUO_MESSAGE_DIGESTED,
        .body = quo_slice(body, quo_msg_digest_size(&message)),
        .node_count = group->replicas,
        .nodes = nodes,
        .timeout_ms = work->timeout_ms,
    };

    QUO_INVARIANT(question.body.len <= sizeof body);
    quo_entry_encode(&work->entry, entry);
    quo_msg_digest_encode(&message, body);
    for (uint8_t i = 0; i < group->replicas; i++)
        nodes[i] = group->digests[i].node;
    return quo_service_survey(exchange->http->options.service, &question, on_digests, exchange,
                              &exchange->ticket);
}

static void begin_equality(struct quo_exchange *exchange, const struct quo_wish *wish)
{
    struct quo_http *http = exchange->http;
    struct equality_work *work = malloc(sizeof *work);

    if (work == NULL) {
        quo_exchange_overloaded(exchange, QUO_NO_MEMORY);
        return;
    }
    *work = (struct equality_work){
        .entry = *quo_service_replicas(http->options.service, wish->partition),
        .timeout_ms = wish->ask.timeout_ms,
    };
    quo_equality_init(&work->equality, http->options.map, wish->partition, &work->entry);
    exchange->work = work;
    go_on(exchange);
}

void quo_cluster_begin(struct quo_exchange *exchange, const struct quo_wish *wish)
{
    enum quo_status status = QUO_OK;

    exchange->abandon = abandon;
    quo_exchange_wait(exchange);
    if (wish->route == QUO_ROUTE_EQUALITY) {
        begin_equality(exchange, wish);
        return;
    }
    status = ask_debts(exchange, wish->ask.timeout_ms);
    if (status != QUO_OK)
        quo_exchange_overloaded(exchange, status);
}
