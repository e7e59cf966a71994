#include "proxy/http/set_body.h"

#include "proxy/http/string_list.h"

struct elements {
    uint8_t *out;
    size_t room, len;
    uint32_t count;
};

static bool refuse(struct quo_problem *problem, const char *what, size_t limit, size_t actual)
{
    quo_problem_set(problem, QUO_PROBLEM_BAD_BODY, "%s; at most %zu are allowed.", what, limit);
    problem->limit = (int64_t)limit;
    problem->actual = (int64_t)actual;
    return false;
}

static bool take(void *context, struct quo_slice element, struct quo_problem *problem)
{
    struct elements *e = context;

    if (element.len == 0) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_BODY, "An element is empty.");
        return false;
    }
    if (element.len > QUO_ELEMENT_MAX)
        return refuse(problem, "An element has too many bytes", QUO_ELEMENT_MAX, element.len);
    if (e->count == QUO_ELEMENTS_MAX)
        return refuse(problem, "There are too many elements", QUO_ELEMENTS_MAX,
                      QUO_ELEMENTS_MAX + 1);
    QUO_INVARIANT(2 + element.len <= e->room - e->len);
    quo_put_u16(e->out + e->len, (uint16_t)element.len);
    memcpy(e->out + e->len + 2, element.data, element.len);
    e->len += 2 + element.len;
    e->count++;
    return true;
}

bool quo_set_body_parse(struct quo_slice body, uint8_t *out, uint32_t *ret_count, size_t *ret_len,
                        struct quo_problem *problem)
{
    struct elements e = {.out = out, .room = body.len};

    if (!quo_string_list_parse(body, "elements", take, &e, problem))
        return false;
    if (e.count == 0) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_BODY, "There are no elements.");
        return false;
    }
    *ret_count = e.count;
    *ret_len = e.len;
    return true;
}
