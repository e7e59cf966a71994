#include "proxy/http/answer_collection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <yajl/yajl_gen.h>

#include "proxy/change/merge_patch.h"
#include "proxy/http/answer_parts.h"
#include "proxy/http/base64.h"
#include "proxy/http/collection_request.h"
#include "proxy/http/percent.h"
#include "proxy/http/utf8.h"

/* Of every path: what stands round the names, each byte of the name escaped, and the query. */
#define PATH_MAX_BYTES                                                                             \
    (64u + QUO_NAME_MAX + 3u * QUO_COLLECTION_NAME_MAX + QUO_PAGING_REST_MAX + QUO_SET_CURSOR_MAX)
#define TIME_MAX 40u

_Static_assert(PATH_MAX_BYTES < QUO_OPERATION_PATH_MAX, "an answer has room for one");

void quo_collection_body_free(struct quo_collection_body *body)
{
    if (body->generator != NULL)
        yajl_gen_free(body->generator);
    body->generator = NULL;
}

static struct quo_answer_case case_of(const struct quo_collection_case *of,
                                      const struct quo_response *response)
{
    return (struct quo_answer_case){of->operation, response, of->map, of->facts};
}

/* Writes the path of the collection. Returns its length. */
static size_t put_path(const struct quo_collection_case *of, char *out)
{
    const enum quo_collection collection = quo_route_collection(of->operation->route);
    const char *kind = collection == QUO_COLLECTION_TIMELINE ? "timelines" : "sets";
    const size_t len =
        (size_t)snprintf(out, 16 + QUO_NAME_MAX, "/v1/%s/%s/", kind, of->operation->ns->name);

    return len + quo_percent_encode(of->operation->key, out + len);
}

static void put_entry_path(const struct quo_collection_case *of, const struct quo_entry_id *id,
                           char *out)
{
    const size_t len = put_path(of, out);

    memcpy(out + len, "/entries/", 9);
    quo_entry_id_format(id, out + len + 9);
}

/* The Link to the page that follows (RFC 8288). */
static void add_next(const struct quo_collection_case *of, const char *start, const char *cursor,
                     struct quo_answer *ret)
{
    char link[PATH_MAX_BYTES];
    size_t len = 1;

    link[0] = '<';
    len += put_path(of, link + len);
    link[len++] = '?';
    if (of->rest.len > 0) {
        memcpy(link + len, of->rest.data, of->rest.len);
        len += of->rest.len;
        link[len++] = '&';
    }
    snprintf(link + len, sizeof link - len, "limit=%u&%s=%s>; rel=\"next\"", of->limit, start,
             cursor);
    quo_answer_add_copy(ret, "link", link);
}

static void put_text(yajl_gen gen, struct quo_slice text)
{
    yajl_gen_string(gen, text.data != NULL ? text.data : (const unsigned char *)"", text.len);
}

static void put_name(yajl_gen gen, const char *name)
{
    put_text(gen, quo_slice_of(name));
}

static void put_member(yajl_gen gen, const char *name, const char *text)
{
    put_name(gen, name);
    put_text(gen, quo_slice_of(text));
}

/* RFC 3339, of the clock that made the version. */
static void put_time(yajl_gen gen, const char *name, struct quo_version version)
{
    const uint64_t ms = quo_version_ms(version);
    const time_t seconds = (time_t)(ms / 1000);
    char text[TIME_MAX];
    struct tm utc;
    size_t len;

    gmtime_r(&seconds, &utc);
    len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + len, sizeof text - len, ".%03uZ", (unsigned)(ms % 1000));
    put_member(gen, name, text);
}

static bool is_json(const struct quo_record *record)
{
    const struct quo_slice type = record->content_type;
    char why[8];

    return quo_is_media_type(type, "application/json") && record->value.len > 0 &&
           quo_json_check(record->value, why, sizeof why) == QUO_OK;
}

/* Returns false without memory. */
static bool put_base64(yajl_gen gen, struct quo_slice value)
{
    const size_t len = QUO_BASE64_SIZE(value.len);
    char *text = malloc(len + 1);

    if (text == NULL)
        return false;
    quo_base64_encode(value, text);
    put_text(gen, quo_slice(text, len));
    free(text);
    return true;
}

/* JSON as it is, text as a string, and everything else as base64. */
static bool put_value(yajl_gen gen, const struct quo_record *record)
{
    const struct quo_slice value = record->value;

    if (is_json(record)) {
        put_member(gen, "encoding", "json");
        put_name(gen, "value");
        /* Written as it stands, like any number. */
        yajl_gen_number(gen, (const char *)value.data, value.len);
        return true;
    }
    const bool is_text = quo_utf8_is_valid(value);
    put_member(gen, "encoding", is_text ? "text" : "base64");
    put_name(gen, "value");
    if (!is_text)
        return put_base64(gen, value);
    put_text(gen, value);
    return true;
}

/* A value that the page has no room for is to be read by itself. */
static bool put_entry(yajl_gen gen, const struct quo_page_entry *entry)
{
    char id[QUO_ENTRY_ID_MAX + 1];
    struct quo_record record;
    bool done = true;

    quo_entry_id_format(&entry->id, id);
    yajl_gen_map_open(gen);
    put_member(gen, "id", id);
    put_time(gen, "time", entry->id.version);
    put_name(gen, "size");
    yajl_gen_integer(gen, entry->value_len);
    if (entry->record.len > 0 && quo_record_decode(entry->record, &record) == QUO_OK) {
        put_name(gen, "content-type");
        put_text(gen, record.content_type.len > 0 ? record.content_type
                                                  : quo_slice_of("application/octet-stream"));
        done = put_value(gen, &record);
    }
    yajl_gen_map_close(gen);
    return done;
}

/* Takes what was generated for the body. Returns false when out of memory. */
static bool take_body(struct quo_collection_body *body, bool done, struct quo_answer *ret)
{
    const unsigned char *text;
    size_t len;

    if (!done || yajl_gen_get_buf(body->generator, &text, &len) != yajl_gen_status_ok)
        return false;
    quo_answer_add(ret, "content-type", quo_slice_of("application/json"));
    ret->body = quo_slice(text, len);
    return true;
}

static void answer_no_memory(const struct quo_collection_case *of, struct quo_answer *ret)
{
    struct quo_problem problem;

    quo_problem_set(&problem, QUO_PROBLEM_OVERLOADED, "Out of memory.");
    quo_answer_problem(&problem, 0, of->facts, ret);
}

static struct quo_response as_response(enum quo_verdict verdict, enum quo_status refusal,
                                       const struct quo_receipt *receipt, uint64_t elapsed_us)
{
    return (struct quo_response){
        .verdict = verdict,
        .outcome = QUO_NOT_APPLIED,
        .refusal = refusal,
        .receipt = *receipt,
        .elapsed_us = elapsed_us,
    };
}

static void put_or_null(yajl_gen gen, const char *name, const char *text)
{
    put_name(gen, name);
    if (text != NULL)
        put_text(gen, quo_slice_of(text));
    else
        yajl_gen_null(gen);
}

static bool generate_page(yajl_gen gen, const struct quo_page_answer *page, const char *before)
{
    char sealed[QUO_VERSION_TEXT + 1];
    bool done = true;

    yajl_gen_map_open(gen);
    put_name(gen, "entries");
    yajl_gen_array_open(gen);
    for (uint32_t i = 0; i < page->count && done; i++)
        done = put_entry(gen, &page->entries[i]);
    yajl_gen_array_close(gen);
    put_or_null(gen, "before", before);
    quo_version_format(page->sealed, sealed);
    put_or_null(gen, "complete-before", quo_version_is_none(page->sealed) ? NULL : sealed);
    yajl_gen_map_close(gen);
    return done;
}

void quo_answer_timeline(const struct quo_collection_case *of, const struct quo_page_answer *page,
                         struct quo_collection_body *body, struct quo_answer *ret)
{
    const struct quo_response response =
        as_response(page->verdict, page->refusal, &page->receipt, page->elapsed_us);
    const struct quo_answer_case as_case = case_of(of, &response);
    const bool more = !quo_version_is_none(page->before);
    char before[QUO_VERSION_TEXT + 1];

    if (page->verdict != QUO_VERDICT_FOUND) {
        quo_answer_failure(&as_case, ret);
        return;
    }
    quo_version_format(page->before, before);
    quo_answer_begin_data(ret, 200, &as_case);
    quo_answer_add(ret, "cache-control", quo_slice_of("no-cache"));
    if (more)
        add_next(of, "before", before, ret);
    body->generator = yajl_gen_alloc(NULL);
    if (body->generator == NULL ||
        !take_body(body, generate_page(body->generator, page, more ? before : NULL), ret))
        answer_no_memory(of, ret);
}

/* The entry can be asked for, whatever became of the append. */
static void add_entry_link(const struct quo_collection_case *of, const struct quo_entry_id *id,
                           struct quo_problem *problem, char *path)
{
    if (quo_version_is_none(id->version) || quo_problem_info(problem->type)->status != 504)
        return;
    put_entry_path(of, id, path);
    problem->operation = quo_slice_of(path);
}

void quo_answer_appended(const struct quo_collection_case *of,
                         const struct quo_append_answer *appended, struct quo_answer *ret)
{
    const struct quo_answer_case as_case = case_of(of, appended->response);
    char path[PATH_MAX_BYTES], id[QUO_ENTRY_ID_MAX + 1];
    struct quo_problem problem;
    int len;

    if (appended->response->verdict == QUO_VERDICT_DECLINED) {
        quo_answer_declined(&as_case, ret);
        return;
    }
    if (appended->response->verdict != QUO_VERDICT_WRITTEN) {
        quo_failure_problem(&as_case, &problem);
        quo_answer_begin_data(ret, quo_problem_info(problem.type)->status, &as_case);
        add_entry_link(of, &appended->id, &problem, path);
        quo_answer_add_document(ret, &problem, of->facts);
        return;
    }
    quo_answer_begin_data(ret, 201, &as_case);
    put_entry_path(of, &appended->id, path);
    quo_answer_add_copy(ret, "location", path);
    quo_answer_add_etag(ret, appended->id.version);
    if (appended->is_replayed)
        quo_answer_add(ret, "idempotent-replayed", quo_slice_of("?1"));
    quo_answer_add(ret, "content-type", quo_slice_of("application/json"));
    quo_entry_id_format(&appended->id, id);
    len = snprintf(ret->document, sizeof ret->document, "{\"id\":\"%s\"}\n", id);
    ret->body = quo_slice(ret->document, (size_t)len);
}

/* What failed can be done again without harm, so there is nothing to ask about. */
static void answer_failed(const struct quo_answer_case *as_case, struct quo_answer *ret)
{
    struct quo_problem problem;

    quo_failure_problem(as_case, &problem);
    quo_answer_begin_data(ret, quo_problem_info(problem.type)->status, as_case);
    quo_answer_add_document(ret, &problem, as_case->facts);
}

void quo_answer_entry(const struct quo_collection_case *of, const struct quo_response *response,
                      struct quo_answer *ret)
{
    const struct quo_answer_case as_case = case_of(of, response);

    switch (response->verdict) {
    case QUO_VERDICT_FOUND:
    case QUO_VERDICT_ABSENT:
        quo_answer_read(&as_case, ret);
        break;
    case QUO_VERDICT_WRITTEN:
        quo_answer_written(&as_case, ret);
        break;
    default:
        answer_failed(&as_case, ret);
        break;
    }
}

void quo_answer_set_changed(const struct quo_collection_case *of,
                            const struct quo_set_changed *changed, struct quo_answer *ret)
{
    const struct quo_answer_case as_case = case_of(of, changed->response);
    const char *what = of->operation->route == QUO_ROUTE_SET_ADD ? "added" : "removed";
    int len;

    if (changed->response->verdict != QUO_VERDICT_WRITTEN) {
        answer_failed(&as_case, ret);
        return;
    }
    quo_answer_begin_data(ret, 200, &as_case);
    quo_answer_add(ret, "content-type", quo_slice_of("application/json"));
    len = snprintf(ret->document, sizeof ret->document, "{\"%s\":%" PRIu32 "}\n", what,
                   changed->count);
    ret->body = quo_slice(ret->document, (size_t)len);
}

static void generate_set(yajl_gen gen, const struct quo_set_list *list, const char *cursor)
{
    size_t at = 0;

    yajl_gen_map_open(gen);
    put_name(gen, "elements");
    yajl_gen_array_open(gen);
    for (uint32_t i = 0; i < list->count; i++) {
        const size_t len = quo_get_u16(list->elements.data + at);

        put_text(gen, quo_slice(list->elements.data + at + 2, len));
        at += 2 + len;
    }
    yajl_gen_array_close(gen);
    put_or_null(gen, "cursor", cursor);
    yajl_gen_map_close(gen);
}

void quo_answer_set(const struct quo_collection_case *of, const struct quo_set_list *list,
                    struct quo_collection_body *body, struct quo_answer *ret)
{
    const struct quo_response response =
        as_response(list->verdict, list->refusal, &list->receipt, list->elapsed_us);
    const struct quo_answer_case as_case = case_of(of, &response);
    const bool more = list->after.len > 0;
    char cursor[QUO_SET_CURSOR_MAX + 1];

    if (list->verdict != QUO_VERDICT_FOUND) {
        quo_answer_failure(&as_case, ret);
        return;
    }
    quo_answer_begin_data(ret, 200, &as_case);
    quo_answer_add(ret, "cache-control", quo_slice_of("no-cache"));
    if (more) {
        quo_set_cursor_format(of->operation->ns->id, of->operation->key, list->after, cursor);
        add_next(of, "cursor", cursor, ret);
    }
    body->generator = yajl_gen_alloc(NULL);
    if (body->generator != NULL)
        generate_set(body->generator, list, more ? cursor : NULL);
    if (body->generator == NULL || !take_body(body, true, ret))
        answer_no_memory(of, ret);
}

void quo_answer_element(const struct quo_collection_case *of, const struct quo_set_list *list,
                        struct quo_collection_body *body, struct quo_answer *ret)
{
    const struct quo_response response =
        as_response(list->verdict, list->refusal, &list->receipt, list->elapsed_us);
    const struct quo_answer_case as_case = case_of(of, &response);
    struct quo_problem problem;

    if (list->verdict != QUO_VERDICT_FOUND) {
        quo_answer_failure(&as_case, ret);
        return;
    }
    quo_answer_begin_data(ret, list->count > 0 ? 200 : 404, &as_case);
    quo_answer_add(ret, "cache-control", quo_slice_of("no-cache"));
    if (list->count == 0) {
        quo_problem_set(&problem, QUO_PROBLEM_KEY_NOT_FOUND,
                        "The element is not in the set at level %s: %u of %u replicas were asked.",
                        quo_level_name(list->receipt.level), list->receipt.replies,
                        list->receipt.n);
        quo_answer_add_document(ret, &problem, of->facts);
        return;
    }
    body->generator = yajl_gen_alloc(NULL);
    if (body->generator != NULL) {
        yajl_gen_map_open(body->generator);
        put_name(body->generator, "element");
        put_text(body->generator, of->element);
        yajl_gen_map_close(body->generator);
    }
    if (body->generator == NULL || !take_body(body, true, ret))
        answer_no_memory(of, ret);
}
