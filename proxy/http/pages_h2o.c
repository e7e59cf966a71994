#include <inttypes.h>

#include "proxy/http/openapi.h"
#include "proxy/http/server_h2o.h"

#define PAGE_MAX 8192u
#define PLAIN "text/plain; charset=utf-8"

static void answer_text(const struct quo_answer_facts *facts, int status, const char *type,
                        const struct quo_text *text, struct quo_answer *ret)
{
    quo_answer_page(status, type, quo_slice(text->data, text->size), facts, ret);
}

static void answer_index(const struct quo_answer_facts *facts, struct quo_text *text,
                         struct quo_answer *ret)
{
    char page[PAGE_MAX];

    quo_text_append(text, page, quo_routes_page(page, sizeof page));
    answer_text(facts, 200, PLAIN, text, ret);
}

static void answer_ready(struct quo_http *http, const struct quo_answer_facts *facts,
                         struct quo_text *text, struct quo_answer *ret)
{
    uint64_t lacking;
    bool ready;

    quo_http_look(http);
    lacking = quo_http_lacking(http->options.sources);
    ready = lacking == 0;
    if (http->draining) {
        ready = false;
        quo_text_add(text, "not ready: stopping\n");
    } else if (ready) {
        quo_text_add(text, "ready\n");
    } else {
        quo_text_add(text, "not ready: %" PRIu64 " of %u partitions lack a quorum\n", lacking,
                     http->options.map->partition_count);
    }
    answer_text(facts, ready ? 200 : 503, PLAIN, text, ret);
}

static void answer_problem_page(struct quo_slice slug, const struct quo_answer_facts *facts,
                                struct quo_text *text, struct quo_answer *ret)
{
    enum quo_problem_type type = quo_problem_by_slug(slug);
    char page[PAGE_MAX], quoted[QUO_PROBLEM_QUOTE_MAX];
    struct quo_problem problem;

    if (type == QUO_PROBLEM_NONE) {
        quo_problem_set(&problem, QUO_PROBLEM_NOT_FOUND, "There is no problem %s.",
                        quo_problem_quote(slug, quoted));
        quo_answer_problem(&problem, 0, facts, ret);
        return;
    }
    quo_text_append(text, page, quo_problem_page(type, page, sizeof page));
    answer_text(facts, 200, PLAIN, text, ret);
}

static const char relation_page[] =
    "operation\n\n"
    "The write that was answered with this link. GET tells what became of it: applied, "
    "not-applied,\n"
    "in-flight (it has not taken effect and may yet) or unknown (nothing can be told any more).\n"
    "POST to the same path with :resolve behind it has it decided: it took effect, or it never "
    "will.\n";

static void answer_relation(struct quo_slice name, const struct quo_answer_facts *facts,
                            struct quo_answer *ret)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];
    struct quo_problem problem;

    if (quo_slice_equal(name, quo_slice_of("operation"))) {
        quo_answer_page(200, PLAIN, quo_slice_of(relation_page), facts, ret);
        return;
    }
    quo_problem_set(&problem, QUO_PROBLEM_NOT_FOUND, "There is no relation %s.",
                    quo_problem_quote(name, quoted));
    quo_answer_problem(&problem, 0, facts, ret);
}

void quo_pages_answer(struct quo_http *http, const struct quo_wish *wish,
                      const struct quo_answer_facts *facts, struct quo_text *text)
{
    struct quo_answer *ret = &http->answer;
    struct quo_problem problem;

    switch (wish->route) {
    case QUO_ROUTE_INDEX:
        answer_index(facts, text, ret);
        break;
    case QUO_ROUTE_OPENAPI:
        quo_answer_page(200, "application/yaml", quo_openapi(), facts, ret);
        break;
    case QUO_ROUTE_LIVE:
        quo_answer_page(200, PLAIN, quo_slice_of("alive\n"), facts, ret);
        break;
    case QUO_ROUTE_READY:
        answer_ready(http, facts, text, ret);
        break;
    case QUO_ROUTE_METRICS:
        quo_http_exposition(http->options.sources, text);
        answer_text(facts, 200, "text/plain; version=0.0.4; charset=utf-8", text, ret);
        break;
    case QUO_ROUTE_PROBLEM:
        answer_problem_page(wish->slug, facts, text, ret);
        break;
    case QUO_ROUTE_RELATION:
        answer_relation(wish->slug, facts, ret);
        break;
    case QUO_ROUTE_NONE:
    case QUO_ROUTE_KEY:
    case QUO_ROUTE_LIST:
    case QUO_ROUTE_ENTRY:
    case QUO_ROUTE_TIMELINE:
    case QUO_ROUTE_ELEMENT:
    case QUO_ROUTE_SET_ADD:
    case QUO_ROUTE_SET_REMOVE:
    case QUO_ROUTE_SET:
    case QUO_ROUTE_ADD:
    case QUO_ROUTE_COUNTER:
    case QUO_ROUTE_OPERATION:
    case QUO_ROUTE_RESOLVE:
    case QUO_ROUTE_MERGE:
    case QUO_ROUTE_BATCH:
    case QUO_ROUTE_DEBT:
    case QUO_ROUTE_EQUALITY:
    case QUO_ROUTE_COUNT:
        QUO_UNREACHABLE();
    }
    if (text->failed) {
        quo_problem_set(&problem, QUO_PROBLEM_INTERNAL, "Out of memory.");
        quo_answer_problem(&problem, 0, facts, ret);
    }
}
