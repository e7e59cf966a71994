#include "proxy/http/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <yajl/yajl_gen.h>

static const struct quo_problem_info registry[QUO_PROBLEM_COUNT] = {
#define QUO_PROBLEM(name, slug, status, retry, title, meaning, advice)                             \
    [QUO_PROBLEM_##name] = {slug, status, retry, title, meaning, advice},
#include "proxy/http/problems.def"
#undef QUO_PROBLEM
};

const struct quo_problem_info *quo_problem_info(enum quo_problem_type type)
{
    QUO_REQUIRE(type > QUO_PROBLEM_NONE && type < QUO_PROBLEM_COUNT);
    return &registry[type];
}

enum quo_problem_type quo_problem_by_slug(struct quo_slice slug)
{
    for (int type = QUO_PROBLEM_NONE + 1; type < QUO_PROBLEM_COUNT; type++) {
        if (quo_slice_equal(slug, quo_slice_of(registry[type].slug)))
            return (enum quo_problem_type)type;
    }
    return QUO_PROBLEM_NONE;
}

void quo_problem_set(struct quo_problem *problem, enum quo_problem_type type, const char *format,
                     ...)
{
    va_list args;

    problem->type = type;
    problem->outcome = QUO_NOT_APPLIED;
    problem->need = problem->got = QUO_PROBLEM_UNSAID;
    problem->limit = problem->actual = QUO_PROBLEM_UNSAID;
    problem->has_value = false;
    problem->operation = quo_slice(NULL, 0);
    va_start(args, format);
    vsnprintf(problem->detail, sizeof problem->detail, format, args);
    va_end(args);
}

const char *quo_problem_quote(struct quo_slice bytes, char out[QUO_PROBLEM_QUOTE_MAX])
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;

    out[at++] = '"';
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];

        if (at > 64) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\') {
            out[at++] = (char)c;
        } else {
            out[at++] = '\\';
            out[at++] = 'x';
            out[at++] = hex[c >> 4];
            out[at++] = hex[c & 15];
        }
    }
    out[at++] = '"';
    out[at] = 0;
    return out;
}

/* yajl's output, bounded. */
struct sink {
    char *out;
    size_t size;
    size_t len;
};

static void sink_write(void *context, const char *text, size_t len)
{
    struct sink *sink = context;

    QUO_INVARIANT(len <= sink->size - sink->len);
    memcpy(sink->out + sink->len, text, len);
    sink->len += len;
}

static void member(yajl_gen gen, const char *name, struct quo_slice text)
{
    yajl_gen_string(gen, (const unsigned char *)name, strlen(name));
    yajl_gen_string(gen, text.data, text.len);
}

static void member_text(yajl_gen gen, const char *name, const char *text)
{
    member(gen, name, quo_slice_of(text));
}

static void member_integer(yajl_gen gen, const char *name, int64_t number)
{
    yajl_gen_string(gen, (const unsigned char *)name, strlen(name));
    yajl_gen_integer(gen, number);
}

static void member_number(yajl_gen gen, const char *name, int64_t number)
{
    if (number != QUO_PROBLEM_UNSAID)
        member_integer(gen, name, number);
}

size_t quo_problem_render(const struct quo_problem *problem, const char *request_id,
                          char out[QUO_PROBLEM_DOCUMENT_MAX])
{
    const struct quo_problem_info *info = quo_problem_info(problem->type);
    struct sink sink = {.out = out, .size = QUO_PROBLEM_DOCUMENT_MAX};
    yajl_gen gen = yajl_gen_alloc(NULL);
    char type[64];

    if (gen == NULL)
        return 0;
    yajl_gen_config(gen, yajl_gen_print_callback, sink_write, &sink);
    snprintf(type, sizeof type, "/problems/%s", info->slug);
    yajl_gen_map_open(gen);
    member_text(gen, "type", type);
    member_text(gen, "title", info->title);
    member_integer(gen, "status", info->status);
    member_text(gen, "detail", problem->detail);
    member_text(gen, "outcome", quo_effectuality_name(problem->outcome));
    member_number(gen, "need", problem->need);
    member_number(gen, "got", problem->got);
    member_number(gen, "limit", problem->limit);
    member_number(gen, "actual", problem->actual);
    member_text(gen, "do", info->advice);
    member_text(gen, "request_id", request_id);
    if (problem->has_value)
        member_integer(gen, "value", problem->value);
    if (problem->operation.len > 0)
        member(gen, "operation", problem->operation);
    yajl_gen_map_close(gen);
    yajl_gen_free(gen);
    sink_write(&sink, "\n", 1);
    return sink.len;
}

size_t quo_problem_page(enum quo_problem_type type, char *out, size_t size)
{
    const struct quo_problem_info *info = quo_problem_info(type);
    int len = snprintf(out, size, "%s (HTTP %u)\n\n%s\n\nMeaning: %s\nWhat to do: %s\n", info->slug,
                       info->status, info->title, info->meaning, info->advice);

    QUO_INVARIANT(len > 0 && (size_t)len < size);
    return (size_t)len;
}

const char *quo_effectuality_name(enum quo_effectuality outcome)
{
    switch (outcome) {
    case QUO_NOT_APPLIED:
        return "not-applied";
    case QUO_APPLIED:
        return "applied";
    case QUO_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *quo_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < QUO_COUNT(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Status";
}
