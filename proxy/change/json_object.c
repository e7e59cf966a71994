#include "proxy/change/json_object.h"

#include <stdlib.h>

void quo_json_append(struct quo_json_object *object, struct quo_json_member *member)
{
    member->next = NULL;
    if (object->last == NULL)
        object->first = member;
    else
        object->last->next = member;
    object->last = member;
}

int quo_json_compare_names(const struct quo_json_member *a, const struct quo_json_member *b)
{
    const size_t common = QUO_MIN(a->name.len, b->name.len);
    const int order = common > 0 ? memcmp(a->name.data, b->name.data, common) : 0;

    if (order != 0)
        return order;
    return a->name.len == b->name.len ? 0 : a->name.len < b->name.len ? -1 : 1;
}

/* By name, those of one name as they came. */
static int compare(const void *a, const void *b)
{
    const struct quo_json_member *x = *(struct quo_json_member *const *)a;
    const struct quo_json_member *y = *(struct quo_json_member *const *)b;
    const int order = quo_json_compare_names(x, y);

    return order != 0 ? order : x->place < y->place ? -1 : 1;
}

/* Of each run of one name the first stays, with the last one's value. */
static size_t merge_repeated(struct quo_json_member **sorted, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && quo_json_compare_names(sorted[kept - 1], sorted[i]) == 0) {
            sorted[kept - 1]->value = sorted[i]->value;
            sorted[i]->gone = true;
        } else {
            sorted[kept++] = sorted[i];
        }
    }
    return kept;
}

bool quo_json_seal(struct quo_json_object *object, struct quo_json_arena *arena)
{
    size_t count = 0;

    for (struct quo_json_member *m = object->first; m != NULL; m = m->next)
        m->place = (uint32_t)count++;
    if (count == 0)
        return true;
    object->sorted = quo_json_arena_alloc(arena, count * sizeof(struct quo_json_member *));
    if (object->sorted == NULL)
        return false;
    size_t i = 0;
    for (struct quo_json_member *m = object->first; m != NULL; m = m->next)
        object->sorted[i++] = m;
    qsort(object->sorted, count, sizeof(struct quo_json_member *), compare);
    object->count = merge_repeated(object->sorted, count);
    return true;
}
