#include "proxy/http/string_list.h"

#include <yajl/yajl_parse.h>

enum place { BEFORE, IN_OBJECT, AT_MEMBER, IN_ARRAY, AFTER_ARRAY, AFTER };

struct reader {
    const char *member;
    quo_string_take_fn *take;
    void *context;
    struct quo_problem *problem;
    bool failed; /* the problem says why */
    enum place place;
};

static int fail(struct reader *r)
{
    quo_problem_set(
        r->problem, QUO_PROBLEM_BAD_BODY,
        "The body is not valid: an object like {\"%s\": [\"...\", \"...\"]} was expected.",
        r->member);
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
    return go(context, AT_MEMBER, IN_ARRAY);
}

static int on_array_end(void *context)
{
    return go(context, IN_ARRAY, AFTER_ARRAY);
}

static int on_key(void *context, const unsigned char *text, size_t len)
{
    struct reader *r = context;

    if (!quo_slice_equal(quo_slice(text, len), quo_slice_of(r->member)))
        return fail(r);
    return go(r, IN_OBJECT, AT_MEMBER);
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    struct reader *r = context;

    if (r->place != IN_ARRAY)
        return fail(r);
    r->failed = !r->take(r->context, quo_slice(text, len), r->problem);
    return !r->failed;
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

bool quo_string_list_parse(struct quo_slice body, const char *member, quo_string_take_fn *take,
                           void *context, struct quo_problem *problem)
{
    struct reader r = {.member = member, .take = take, .context = context, .problem = problem};
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
    return !r.failed;
}
