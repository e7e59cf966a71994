#include "proxy/http/batch_line.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/http/base64.h"
#include "proxy/http/batch_json.h"
#include "proxy/http/body.h"
#include "proxy/http/percent.h"

#define TARGET_ROOM 64u /* of a target, what no member brings */

struct op {
    const char *name, *method, *before, *after; /* of the target, before ns and after the key */
    bool has_body, is_add;
    const char *type; /* the Content-Type unless it is said; NULL: none */
};

static const struct op ops[] = {
    {"get", "GET", "/v1/kv/", "", false, false, NULL},
    {"put", "PUT", "/v1/kv/", "", true, false, NULL},
    {"delete", "DELETE", "/v1/kv/", "", false, false, NULL},
    {"patch", "PATCH", "/v1/kv/", "", true, false, QUO_PATCH_TYPE},
    {"add", "POST", "/v1/counters/", ":add", false, true, "application/json"},
    {"append", "POST", "/v1/timelines/", "", true, false, NULL},
};

static const char *const headers[] = {"content-type", "if-match",      "if-none-match",
                                      "prefer",       "session-token", "idempotency-key"};
static const char *const bodies[] = {"value", "base64"};
static const char *const numbers[] = {"by", "min", "max"};
static const char *const places[] = {"op", "ns", "key", "key-base64"};

_Static_assert(QUO_COUNT(headers) <= QUO_BATCH_HEADERS_MAX, "each header may be there");

/* What is being made. */
struct maker {
    const struct op *op;
    const struct quo_batch_object *object;
    struct quo_batch_line *line;
    char *out; /* where the next text goes */
    struct quo_problem *problem;
};

static bool refuse(struct quo_problem *problem, const char *why)
{
    quo_problem_set(problem, QUO_PROBLEM_BAD_BODY, "The line is not valid: %s.", why);
    return false;
}

static bool is_one_of(struct quo_slice name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (quo_slice_equal(name, quo_slice_of(names[i])))
            return true;
    }
    return false;
}

#define IS_ONE_OF(name, names) is_one_of(name, names, QUO_COUNT(names))

/* What its place needs: numbers are numbers, and all but parameters of the query is text. */
static bool check_member(const struct op *op, const struct quo_batch_member *member,
                         struct quo_problem *problem)
{
    bool is_number = IS_ONE_OF(member->name, numbers), is_body = IS_ONE_OF(member->name, bodies);
    bool is_text = is_body || IS_ONE_OF(member->name, headers) || IS_ONE_OF(member->name, places);
    char why[192], quoted[QUO_PROBLEM_QUOTE_MAX];

    quo_problem_quote(member->name, quoted);
    if ((is_number && !op->is_add) || (is_body && !op->has_body)) {
        snprintf(why, sizeof why, "%s has no member %s", op->name, quoted);
        return refuse(problem, why);
    }
    if ((is_number && member->type != QUO_BATCH_NUMBER) ||
        (is_text && member->type != QUO_BATCH_TEXT)) {
        snprintf(why, sizeof why, "%s is no %s", quoted, is_number ? "number" : "text");
        return refuse(problem, why);
    }
    return true;
}

static bool find_op(const struct quo_batch_object *object, const struct op **ret,
                    struct quo_problem *problem)
{
    const struct quo_batch_member *member = quo_batch_json_find(object, "op");

    for (size_t i = 0; i < QUO_COUNT(ops) && member != NULL; i++) {
        if (member->type == QUO_BATCH_TEXT &&
            quo_slice_equal(member->value, quo_slice_of(ops[i].name))) {
            *ret = &ops[i];
            return true;
        }
    }
    return refuse(problem, "op must be one of get, put, delete, patch, add, append");
}

static bool check_members(const struct quo_batch_object *object, const struct op *op,
                          struct quo_problem *problem)
{
    for (size_t i = 0; i < object->count; i++) {
        if (!check_member(op, &object->members[i], problem))
            return false;
    }
    if (quo_batch_json_find(object, "ns") == NULL)
        return refuse(problem, "the member ns is missing");
    if ((quo_batch_json_find(object, "key") != NULL) ==
        (quo_batch_json_find(object, "key-base64") != NULL))
        return refuse(problem, "one of key and key-base64 must be there");
    if (quo_batch_json_find(object, "value") != NULL &&
        quo_batch_json_find(object, "base64") != NULL)
        return refuse(problem, "value and base64 are both there");
    return true;
}

/* The bytes that a member of base64 stands for, which take its place in the arena. */
static bool decode(const struct quo_batch_member *member, struct quo_slice *ret,
                   struct quo_problem *problem)
{
    uint8_t *out = (uint8_t *)(uintptr_t)member->value.data;
    char why[160], quoted[QUO_PROBLEM_QUOTE_MAX];
    size_t len;

    if (quo_base64_decode(member->value, out, &len)) {
        *ret = quo_slice(out, len);
        return true;
    }
    snprintf(why, sizeof why, "%s is no base64 with padding",
             quo_problem_quote(member->name, quoted));
    return refuse(problem, why);
}

/* A text, or the bytes of its twin; empty when neither is there. */
static bool read_bytes(const struct maker *m, const char *text, const char *base64,
                       struct quo_slice *ret)
{
    const struct quo_batch_member *member = quo_batch_json_find(m->object, text);

    *ret = quo_slice(NULL, 0);
    if (member != NULL)
        *ret = member->value;
    else if ((member = quo_batch_json_find(m->object, base64)) != NULL)
        return decode(member, ret, m->problem);
    return true;
}

static void put(struct maker *m, const char *text)
{
    size_t len = strlen(text);

    memcpy(m->out, text, len);
    m->out += len;
}

static void put_percent(struct maker *m, struct quo_slice bytes)
{
    m->out += quo_percent_encode(bytes, m->out);
}

static bool is_parameter(struct quo_slice name)
{
    return !IS_ONE_OF(name, headers) && !IS_ONE_OF(name, bodies) && !IS_ONE_OF(name, numbers) &&
           !IS_ONE_OF(name, places);
}

static void make_query(struct maker *m)
{
    const char *separator = "?";

    for (size_t i = 0; i < m->object->count; i++) {
        const struct quo_batch_member *member = &m->object->members[i];

        if (!is_parameter(member->name))
            continue;
        put(m, separator);
        put_percent(m, member->name);
        put(m, "=");
        put_percent(m, member->value);
        separator = "&";
    }
}

static bool make_target(struct maker *m)
{
    const char *begin = m->out;
    struct quo_slice key;

    if (!read_bytes(m, "key", "key-base64", &key))
        return false;
    put(m, m->op->before);
    put_percent(m, quo_batch_json_find(m->object, "ns")->value);
    put(m, "/");
    put_percent(m, key);
    put(m, m->op->after);
    make_query(m);
    m->line->request.target = quo_slice(begin, (size_t)(m->out - begin));
    return true;
}

static void add_header(struct maker *m, const char *name, struct quo_slice value)
{
    struct quo_http_request *request = &m->line->request;

    m->line->headers[request->header_count++] = (struct quo_http_header){quo_slice_of(name), value};
}

/* As a String of RFC 9651, which may hold what no token does. */
static struct quo_slice quote(struct maker *m, struct quo_slice text)
{
    char *begin = m->out;

    *m->out++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            *m->out++ = '\\';
        *m->out++ = (char)text.data[i];
    }
    *m->out++ = '"';
    return quo_slice(begin, (size_t)(m->out - begin));
}

static void make_headers(struct maker *m)
{
    for (size_t i = 0; i < QUO_COUNT(headers); i++) {
        const struct quo_batch_member *member = quo_batch_json_find(m->object, headers[i]);

        if (member != NULL && strcmp(headers[i], "idempotency-key") == 0)
            add_header(m, headers[i], quote(m, member->value));
        else if (member != NULL)
            add_header(m, headers[i], member->value);
        else if (m->op->type != NULL && strcmp(headers[i], "content-type") == 0)
            add_header(m, headers[i], quo_slice_of(m->op->type));
    }
    m->line->request.headers = m->line->headers;
}

static void make_addition(struct maker *m)
{
    const char *begin = m->out, *separator = "{";

    for (size_t i = 0; i < QUO_COUNT(numbers); i++) {
        const struct quo_batch_member *member = quo_batch_json_find(m->object, numbers[i]);

        if (member == NULL)
            continue;
        put(m, separator);
        put(m, "\"");
        put(m, numbers[i]);
        put(m, "\":");
        memcpy(m->out, member->value.data, member->value.len);
        m->out += member->value.len;
        separator = ",";
    }
    put(m, *separator == '{' ? "{}" : "}");
    m->line->request.body = quo_slice(begin, (size_t)(m->out - begin));
}

static bool make_request(struct maker *m)
{
    m->line->request.method = quo_slice_of(m->op->method);
    if (!make_target(m))
        return false;
    make_headers(m);
    if (!m->op->is_add)
        return read_bytes(m, "value", "base64", &m->line->request.body);
    make_addition(m);
    return true;
}

/* Room for all that is made of the members but the body, which stays where it is. */
static size_t room_for(const struct quo_batch_object *object)
{
    size_t room = TARGET_ROOM;

    for (size_t i = 0; i < object->count; i++) {
        const struct quo_batch_member *member = &object->members[i];

        if (!IS_ONE_OF(member->name, bodies))
            room += 8 + 3 * (member->name.len + member->value.len);
    }
    return room;
}

static bool no_memory(struct quo_problem *problem)
{
    quo_problem_set(problem, QUO_PROBLEM_OVERLOADED, "Out of memory.");
    return false;
}

static bool parse(struct maker *m, struct quo_slice line, struct quo_batch_object *object)
{
    m->line->members = malloc(line.len + 1);
    if (m->line->members == NULL)
        return no_memory(m->problem);
    if (!quo_batch_json_parse(line, m->line->members, object, m->problem) ||
        !find_op(object, &m->op, m->problem) || !check_members(object, m->op, m->problem))
        return false;
    m->line->text = m->out = malloc(room_for(object));
    return m->out != NULL ? make_request(m) : no_memory(m->problem);
}

bool quo_batch_line_parse(struct quo_slice line, struct quo_batch_line *ret,
                          struct quo_problem *problem)
{
    struct quo_batch_object object;
    struct maker maker = {.object = &object, .line = ret, .problem = problem};

    *ret = (struct quo_batch_line){.members = NULL};
    if (parse(&maker, line, &object))
        return true;
    quo_batch_line_free(ret);
    return false;
}

void quo_batch_line_free(struct quo_batch_line *line)
{
    free(line->members);
    free(line->text);
    line->members = NULL;
    line->text = NULL;
}
