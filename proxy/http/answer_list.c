#include "proxy/http/answer_list.h"

#include <yajl/yajl_gen.h>

#include "proxy/http/answer_parts.h"
#include "proxy/http/etag.h"
#include "proxy/http/percent.h"

#define RELATION ">; rel=\"next\""

/* Text that begins with a Link's value, of link_len bytes, and goes on with the body. */
struct page {
    const struct quo_operation *operation;
    const struct quo_list_answer *list;
    char cursor[QUO_LIST_CURSOR_MAX];
    size_t cursor_len; /* 0: there is nothing more */
};

static void make_cursor(struct page *page, const struct quo_map *map)
{
    const struct quo_operation *operation = page->operation;
    const struct quo_list_scope scope = {map, operation->ns->id, operation->key};

    page->cursor_len = 0;
    if (page->list->more)
        page->cursor_len =
            quo_list_cursor_format(&scope, page->list->partition, page->list->after, page->cursor);
}

/* The Link */

static void add_ask(struct quo_text *text, const struct quo_ask *ask)
{
    if (ask->has_level)
        quo_text_add(text, "&level=%s", quo_level_name(ask->level));
    if (ask->r >= 0)
        quo_text_add(text, "&r=%d", ask->r);
    if (ask->timeout_ms != 0)
        quo_text_add(text, "&timeout=%u", ask->timeout_ms);
}

static void add_link(struct quo_text *text, const struct page *page)
{
    const struct quo_operation *operation = page->operation;
    char prefix[3 * QUO_KEY_MAX];
    size_t len = quo_percent_encode(operation->key, prefix);

    quo_text_add(text, "</v1/kv/%s?prefix=%.*s&limit=%u", operation->ns->name, (int)len, prefix,
                 operation->limit);
    add_ask(text, &operation->ask);
    quo_text_add(text, "&cursor=%.*s" RELATION, (int)page->cursor_len, page->cursor);
}

/* The document */

static void print(void *context, const char *bytes, size_t len)
{
    quo_text_append(context, bytes, len);
}

static void name(yajl_gen gen, const char *text)
{
    yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

static void generate_key(yajl_gen gen, const struct quo_listed_key *key)
{
    char path[3 * QUO_KEY_MAX], etag[QUO_ETAG_SIZE + 1];

    yajl_gen_map_open(gen);
    name(gen, "key");
    yajl_gen_string(gen, (const unsigned char *)path, quo_percent_encode(key->key, path));
    quo_etag_format(key->changed, etag);
    name(gen, "etag");
    name(gen, etag);
    name(gen, "size");
    yajl_gen_integer(gen, key->value_len);
    yajl_gen_map_close(gen);
}

static void generate(yajl_gen gen, const struct page *page)
{
    yajl_gen_map_open(gen);
    name(gen, "keys");
    yajl_gen_array_open(gen);
    for (uint32_t i = 0; i < page->list->count; i++)
        generate_key(gen, &page->list->keys[i]);
    yajl_gen_array_close(gen);
    name(gen, "cursor");
    if (page->cursor_len > 0)
        yajl_gen_string(gen, (const unsigned char *)page->cursor, page->cursor_len);
    else
        yajl_gen_null(gen);
    yajl_gen_map_close(gen);
}

/* Returns false when out of memory. */
static bool add_document(struct quo_text *text, const struct page *page)
{
    yajl_gen gen = yajl_gen_alloc(NULL);

    if (gen == NULL)
        return false;
    yajl_gen_config(gen, yajl_gen_print_callback, print, text);
    generate(gen, page);
    yajl_gen_free(gen);
    quo_text_add(text, "\n");
    return !text->failed;
}

static void answer_page(const struct quo_answer_case *of, const struct page *page,
                        struct quo_text *text, struct quo_answer *ret)
{
    struct quo_problem problem;
    size_t link_len;

    if (page->cursor_len > 0)
        add_link(text, page);
    link_len = text->size;
    if (!add_document(text, page)) {
        quo_answer_begin_data(ret, 500, of);
        quo_problem_set(&problem, QUO_PROBLEM_INTERNAL, "Out of memory.");
        quo_answer_add_document(ret, &problem, of->facts);
        return;
    }
    quo_answer_begin_data(ret, 200, of);
    quo_answer_add(ret, "cache-control", quo_slice_of("no-cache"));
    quo_answer_add(ret, "content-type", quo_slice_of("application/json"));
    if (link_len > 0)
        quo_answer_add_passing(ret, "link", quo_slice(text->data, link_len));
    ret->body = quo_slice(text->data + link_len, text->size - link_len);
}

void quo_answer_list(const struct quo_operation *operation, const struct quo_list_answer *list,
                     const struct quo_map *map, const struct quo_answer_facts *facts,
                     struct quo_text *text, struct quo_answer *ret)
{
    const struct quo_response response = {
        .verdict = list->verdict,
        .outcome = QUO_NOT_APPLIED,
        .refusal = list->refusal,
        .receipt = list->receipt,
        .elapsed_us = list->elapsed_us,
    };
    const struct quo_answer_case of = {operation, &response, map, facts};
    struct page page = {.operation = operation, .list = list};

    if (list->verdict != QUO_VERDICT_FOUND) {
        quo_answer_failure(&of, ret);
        return;
    }
    make_cursor(&page, map);
    answer_page(&of, &page, text, ret);
}
