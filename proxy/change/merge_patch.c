#include "proxy/change/merge_patch.h"

#include <stdlib.h>

#include "proxy/change/json.h"
#include "proxy/change/json_object.h"

/* Recursion below is as deep as documents are nested, QUO_JSON_DEPTH_MAX at most. */
static struct quo_json merge(struct quo_json target, struct quo_json patch);

/* What a patch makes of an empty object: itself, without its nulls. */
static void strip_nulls(struct quo_json_object *patch)
{
    for (struct quo_json_member *m = patch->first; m != NULL; m = m->next) {
        if (m->value.type == QUO_JSON_NULL)
            m->gone = true;
        else if (m->value.type == QUO_JSON_OBJECT)
            strip_nulls(m->value.object);
    }
}

/* Tells the patch's members which of the target they are about. */
static void match_members(const struct quo_json_object *target, struct quo_json_object *patch)
{
    size_t t = 0, p = 0;

    while (t < target->count && p < patch->count) {
        const int order = quo_json_compare_names(target->sorted[t], patch->sorted[p]);
        if (order == 0)
            patch->sorted[p]->match = target->sorted[t];
        t += order <= 0;
        p += order >= 0;
    }
}

static void merge_objects(struct quo_json_object *target, struct quo_json_object *patch)
{
    struct quo_json_member *next;

    match_members(target, patch);
    for (struct quo_json_member *m = patch->first; m != NULL; m = next) {
        next = m->next;
        if (m->gone)
            continue;
        if (m->match != NULL) {
            m->match->gone = m->value.type == QUO_JSON_NULL;
            m->match->value = merge(m->match->value, m->value);
        } else if (m->value.type != QUO_JSON_NULL) {
            if (m->value.type == QUO_JSON_OBJECT)
                strip_nulls(m->value.object);
            quo_json_append(target, m);
        }
    }
}

/* RFC 7396, section 2. */
static struct quo_json merge(struct quo_json target, struct quo_json patch)
{
    if (patch.type != QUO_JSON_OBJECT)
        return patch;
    if (target.type != QUO_JSON_OBJECT) {
        strip_nulls(patch.object);
        return patch;
    }
    merge_objects(target.object, patch.object);
    return target;
}

enum quo_status quo_json_check(struct quo_slice text, char *why, size_t why_size)
{
    struct quo_json_arena arena = {0};
    struct quo_json json;

    enum quo_status status = quo_json_read(text, &arena, &json, why, why_size);
    quo_json_arena_free(&arena);
    return status;
}

static enum quo_status read_both(struct quo_slice target, struct quo_slice patch,
                                 struct quo_json_arena *arena, struct quo_json *ret_target,
                                 struct quo_json *ret_patch)
{
    enum quo_status status = quo_json_read(patch, arena, ret_patch, NULL, 0);

    if (status != QUO_OK)
        return status;
    if (target.len == 0) {
        *ret_target = (struct quo_json){.type = QUO_JSON_NULL, .text = quo_slice_of("null")};
        return QUO_OK;
    }
    status = quo_json_read(target, arena, ret_target, NULL, 0);
    return status == QUO_MALFORMED ? QUO_INVALID : status;
}

enum quo_status quo_merge_patch(struct quo_slice target, struct quo_slice patch, size_t max,
                                char **ret_text, size_t *ret_len)
{
    struct quo_json_arena arena = {0};
    struct quo_json from, change;

    enum quo_status status = read_both(target, patch, &arena, &from, &change);
    if (status != QUO_OK)
        goto out;
    const struct quo_json merged = merge(from, change);
    const struct quo_json_measures measures = quo_json_measure(&merged);
    if (measures.len > max || measures.members > QUO_JSON_MEMBERS_MAX) {
        status = QUO_TOO_LARGE;
        goto out;
    }
    char *text = malloc(measures.len);
    if (text == NULL) {
        status = QUO_NO_MEMORY;
        goto out;
    }
    quo_json_write(&merged, text);
    *ret_text = text;
    *ret_len = measures.len;
out:
    quo_json_arena_free(&arena);
    return status;
}
