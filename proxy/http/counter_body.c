#include "proxy/http/counter_body.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#define WANTED "an object like {\"by\": 1, \"min\": 0, \"max\": 100} was expected"
#define NUMBER_MAX 20u /* characters of "-9223372036854775808" */

struct reader {
    struct quo_counter_body body;
    struct quo_problem *problem;
    bool failed;     /* the problem says why */
    unsigned depth;  /* of maps */
    bool ended;      /* the object is complete */
    bool *has;       /* of the member whose value comes next; NULL: none */
    int64_t *member; /* likewise */
    const char *name;
};

static int fail(struct reader *r, const char *why)
{
    quo_problem_set(r->problem, QUO_PROBLEM_BAD_BODY, "The body is not valid: %s.", why);
    r->failed = true;
    return 0;
}

static int on_map(void *context)
{
    struct reader *r = context;

    return r->depth++ == 0 ? 1 : fail(r, WANTED);
}

static int on_map_end(void *context)
{
    struct reader *r = context;

    r->ended = true;
    return 1;
}

static int on_other(void *context)
{
    return fail(context, WANTED);
}

static int on_boolean(void *context, int value)
{
    (void)value;
    return on_other(context);
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    (void)text, (void)len;
    return on_other(context);
}

static int on_key(void *context, const unsigned char *text, size_t len)
{
    struct reader *r = context;
    const struct {
        const char *name;
        bool *has;
        int64_t *member;
    } members[] = {
        {"by", &r->body.has_by, &r->body.by},
        {"min", &r->body.has_min, &r->body.min},
        {"max", &r->body.has_max, &r->body.max},
    };
    char why[160], quoted[QUO_PROBLEM_QUOTE_MAX];

    quo_problem_quote(quo_slice(text, len), quoted);
    for (size_t i = 0; i < QUO_COUNT(members); i++) {
        if (!quo_slice_equal(quo_slice(text, len), quo_slice_of(members[i].name)))
            continue;
        snprintf(why, sizeof why, "the member %s is given twice", quoted);
        if (*members[i].has)
            return fail(r, why);
        r->name = members[i].name;
        r->has = members[i].has;
        r->member = members[i].member;
        return 1;
    }
    snprintf(why, sizeof why, "there is no member %s; there are by, min, max", quoted);
    return fail(r, why);
}

static int on_number(void *context, const char *text, size_t len)
{
    struct reader *r = context;
    char copy[NUMBER_MAX + 1], why[160], quoted[QUO_PROBLEM_QUOTE_MAX], *end = copy;

    if (r->member == NULL)
        return fail(r, WANTED);
    errno = 0;
    if (len <= NUMBER_MAX) {
        memcpy(copy, text, len);
        copy[len] = 0;
        *r->member = strtoll(copy, &end, 10);
    }
    if (len > NUMBER_MAX || errno != 0 || *end != 0) {
        snprintf(why, sizeof why, "%s is %s, and must be a whole number of 64 bits", r->name,
                 quo_problem_quote(quo_slice(text, len), quoted));
        return fail(r, why);
    }
    *r->has = true;
    r->member = NULL;
    return 1;
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

static void parse(struct reader *r, struct quo_slice body)
{
    yajl_handle handle = yajl_alloc(&callbacks, NULL, r);
    yajl_status status;

    if (handle == NULL) {
        quo_problem_set(r->problem, QUO_PROBLEM_OVERLOADED, "Out of memory.");
        r->failed = true;
        return;
    }
    status = yajl_parse(handle, body.data, body.len);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(handle);
    if (!r->failed && (status != yajl_status_ok || !r->ended))
        fail(r, WANTED);
    yajl_free(handle);
}

bool quo_counter_body_parse(struct quo_slice body, struct quo_counter_body *ret,
                            struct quo_problem *problem)
{
    struct reader r = {.problem = problem};

    parse(&r, body);
    if (!r.failed && !r.body.has_by)
        fail(&r, "the member by is missing");
    if (!r.failed && r.body.has_min && r.body.has_max && r.body.min > r.body.max)
        fail(&r, "min is above max");
    if (r.failed)
        return false;
    *ret = r.body;
    return true;
}
