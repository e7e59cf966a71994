#include "proxy/http/set_body.h"

#include <yajl/yajl_parse.h>

#define WANTED "an object like {\"elements\": [\"...\", \"...\"]} was expected"

enum place { BEFORE, IN_OBJECT, AT_ELEMENTS, IN_ARRAY, AFTER_ARRAY, AFTER };

struct reader {
    uint8_t *out;
    size_t room, len;
    uint32_t count;
    struct quo_problem *problem;
    bool failed; /* the problem says why */
    enum place place;
};

static int fail(struct reader *r)
{
    quo_problem_set(r->problem, QUO_PROBLEM_BAD_BODY, "The body is not valid: " WANTED ".");
    r->failed = true;
    return 0;
}

/* From one place to the next; anywhere else it has no business. */
static int go(struct reader *r, enum place from, enum place to)
{
    if (r->place != from)
        return fail(r);
    r->place = to;
    return 1;
}

static int on_map(void *context)
{
    return go(context, BEFORE, IN_OBJECT);
}

static int on_map_end(void *context)
{
    return go(context, AFTER_ARRAY, AFTER);
}

static int on_array(void *context)
{
    return go(context, AT_ELEMENTS, IN_ARRAY);
}

static int on_array_end(void *context)
{
    return go(context, IN_ARRAY, AFTER_ARRAY);
}

static int on_key(void *context, const unsigned char *text, size_t len)
{
    if (!quo_slice_equal(quo_slice(text, len), quo_slice_of("elements")))
        return fail(context);
    return go(context, IN_OBJECT, AT_ELEMENTS);
}

static int refuse(struct reader *r, const char *what, size_t limit, size_t actual)
{
    quo_problem_set(r->problem, QUO_PROBLEM_BAD_BODY, "%s; at most %zu are allowed.", what, limit);
    r->problem->limit = (int64_t)limit;
    r->problem->actual = (int64_t)actual;
    r->failed = true;
    return 0;
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    struct reader *r = context;

    if (r->place != IN_ARRAY)
        return fail(r);
    if (len == 0) {
        quo_problem_set(r->problem, QUO_PROBLEM_BAD_BODY, "An element is empty.");
        r->failed = true;
        return 0;
    }
    if (len > QUO_ELEMENT_MAX)
        return refuse(r, "An element has too many bytes", QUO_ELEMENT_MAX, len);
    if (r->count == QUO_ELEMENTS_MAX)
        return refuse(r, "There are too many elements", QUO_ELEMENTS_MAX, QUO_ELEMENTS_MAX + 1);
    QUO_INVARIANT(2 + len <= r->room - r->len);
    quo_put_u16(r->out + r->len, (uint16_t)len);
    memcpy(r->out + r->len + 2, text, len);
    r->len += 2 + len;
    r->count++;
    return 1;
}

static int on_other(void *context)
{
    return fail(context);
}

static int on_boolean(void *context, int value)
{
    (void)value;
    return fail(context);
}

static int on_number(void *context, const char *text, size_t len)
{
    (void)text, (void)len;
    return fail(context);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_other,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_map_end,
    .yajl_start_array = on_array,
    .yajl_end_array = on_array_end,
};

bool quo_set_body_parse(struct quo_slice body, uint8_t *out, uint32_t *ret_count, size_t *ret_len,
                        struct quo_problem *problem)
{
    struct reader r = {.out = out, .room = body.len, .problem = problem};
    yajl_handle handle = yajl_alloc(&callbacks, NULL, &r);
    yajl_status status;

    if (handle == NULL) {
        quo_problem_set(problem, QUO_PROBLEM_OVERLOADED, "Out of memory.");
        return false;
    }
    status = yajl_parse(handle, body.data, body.len);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(handle);
    if (!r.failed && (status != yajl_status_ok || r.place != AFTER))
        fail(&r);
    yajl_free(handle);
    if (!r.failed && r.count == 0) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_BODY, "There are no elements.");
        return false;
    }
    *ret_count = r.count;
    *ret_len = r.len;
    return !r.failed;
}
