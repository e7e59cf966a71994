#include "proxy/http/batch_json.h"

#include <stdio.h>
#include <yajl/yajl_parse.h>

#define WANTED "an object of names and plain values was expected"

struct reader {
    struct quo_batch_object *object;
    uint8_t *arena;
    size_t used;
    struct quo_problem *problem;
    bool failed; /* the problem says why */
    bool is_open, has_ended;
    struct quo_slice name; /* of the value that comes next */
};

static int fail(struct reader *r, const char *why)
{
    quo_problem_set(r->problem, QUO_PROBLEM_BAD_BODY, "The line is not valid: %s.", why);
    r->failed = true;
    return 0;
}

/* No text is longer without its escapes, so all of a line's find room. */
static struct quo_slice keep(struct reader *r, const void *text, size_t len)
{
    uint8_t *out = r->arena + r->used;

    if (len > 0)
        memcpy(out, text, len);
    r->used += len;
    return quo_slice(out, len);
}

static int on_map(void *context)
{
    struct reader *r = context;

    if (r->is_open)
        return fail(r, WANTED);
    r->is_open = true;
    return 1;
}

static int on_map_end(void *context)
{
    struct reader *r = context;

    r->has_ended = true;
    return 1;
}

static int on_other(void *context)
{
    return fail(context, WANTED);
}

static int on_key(void *context, const unsigned char *text, size_t len)
{
    struct reader *r = context;
    char why[160], quoted[QUO_PROBLEM_QUOTE_MAX];

    for (size_t i = 0; i < r->object->count; i++) {
        if (!quo_slice_equal(r->object->members[i].name, quo_slice(text, len)))
            continue;
        snprintf(why, sizeof why, "the member %s is given twice",
                 quo_problem_quote(quo_slice(text, len), quoted));
        return fail(r, why);
    }
    if (r->object->count == QUO_BATCH_MEMBERS_MAX)
        return fail(r, "it has too many members");
    r->name = keep(r, text, len);
    return 1;
}

static int add(struct reader *r, enum quo_batch_type type, const void *text, size_t len)
{
    if (!r->is_open)
        return fail(r, WANTED);
    r->object->members[r->object->count++] = (struct quo_batch_member){
        .name = r->name,
        .type = type,
        .value = keep(r, text, len),
    };
    return 1;
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    return add(context, QUO_BATCH_TEXT, text, len);
}

static int on_number(void *context, const char *text, size_t len)
{
    return add(context, QUO_BATCH_NUMBER, text, len);
}

static int on_boolean(void *context, int value)
{
    return add(context, QUO_BATCH_BOOLEAN, value ? "1" : "0", 1);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_other,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_map_end,
    .yajl_start_array = on_other,
    .yajl_end_array = on_other,
};

bool quo_batch_json_parse(struct quo_slice line, uint8_t *arena, struct quo_batch_object *ret,
                          struct quo_problem *problem)
{
    struct reader r = {.object = ret, .arena = arena, .problem = problem};
    yajl_handle handle = yajl_alloc(&callbacks, NULL, &r);
    yajl_status status;

    ret->count = 0;
    if (handle == NULL) {
        quo_problem_set(problem, QUO_PROBLEM_OVERLOADED, "Out of memory.");
        return false;
    }
    status = yajl_parse(handle, line.data, line.len);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(handle);
    if (!r.failed && (status != yajl_status_ok || !r.has_ended))
        fail(&r, WANTED);
    yajl_free(handle);
    return !r.failed;
}

const struct quo_batch_member *quo_batch_json_find(const struct quo_batch_object *object,
                                                   const char *name)
{
    for (size_t i = 0; i < object->count; i++) {
        if (quo_slice_equal(object->members[i].name, quo_slice_of(name)))
            return &object->members[i];
    }
    return NULL;
}
