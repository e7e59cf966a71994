/* A line of a batch: what is taken for one is a request with nothing in it that a request cannot
 * hold, and one and the same line always makes the same. */
#include "tests/fuzz/fuzz.h"

#include "proxy/http/batch_line.h"
#include "proxy/http/route.h"

static void check_target(struct quo_slice target)
{
    struct quo_target found = quo_route_find(target);

    for (size_t i = 0; i < target.len; i++)
        QUO_INVARIANT(target.data[i] > 0x20 && target.data[i] < 0x7f);
    QUO_INVARIANT(memcmp(target.data, "/v1/", 4) == 0);
    /* An empty name or key is for the reader of requests to refuse; no other finds another route.
     */
    QUO_INVARIANT(found.route != QUO_ROUTE_BATCH && found.route != QUO_ROUTE_MERGE &&
                  found.route != QUO_ROUTE_RESOLVE && found.route != QUO_ROUTE_OPERATION);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quo_batch_line line, again;
    struct quo_problem problem;

    if (!quo_batch_line_parse(quo_slice(data, size), &line, &problem)) {
        QUO_INVARIANT(problem.type == QUO_PROBLEM_BAD_BODY && line.members == NULL);
        for (const char *c = problem.detail; *c != 0; c++)
            QUO_INVARIANT(*c >= 0x20 && *c <= 0x7e);
        return 0;
    }
    check_target(line.request.target);
    QUO_INVARIANT(line.request.header_count <= QUO_BATCH_HEADERS_MAX);
    QUO_INVARIANT(line.request.body.len <= size + 64);
    QUO_INVARIANT(quo_batch_line_parse(quo_slice(data, size), &again, &problem));
    QUO_INVARIANT(quo_slice_equal(line.request.target, again.request.target) &&
                  quo_slice_equal(line.request.body, again.request.body));
    quo_batch_line_free(&again);
    quo_batch_line_free(&line);
    return 0;
}
