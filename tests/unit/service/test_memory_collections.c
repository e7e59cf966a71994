/* Every allocation of the jobs of timelines and sets fails once: nothing leaks, nobody is answered
 * twice or never, and afterwards everything works. Linked with --wrap for the allocator.
 */
#include "tests/unit/service/collection_world.h"

static uint64_t fail_in; /* the call that fails, counting from now; 0: none */
static bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool strikes(void)
{
    if (fail_in == 0 || --fail_in > 0)
        return false;
    failed = true;
    return true;
}
void *__wrap_malloc(size_t size)
{
    return strikes() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return strikes() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *old, size_t size)
{
    return strikes() ? NULL : __real_realloc(old, size);
}

static struct cw w;
static int calls;
static enum quo_verdict verdict;
static enum quo_effectuality outcome;

static void on_appended(void *context, const struct quo_append_answer *answer)
{
    (void)context;
    calls++;
    verdict = answer->response->verdict;
    outcome = answer->response->outcome;
}
static void on_page(void *context, const struct quo_page_answer *answer)
{
    (void)context;
    calls++;
    verdict = answer->verdict;
    outcome = QUO_NOT_APPLIED;
}
static void on_changed(void *context, const struct quo_set_changed *answer)
{
    (void)context;
    calls++;
    verdict = answer->response->verdict;
    outcome = answer->response->outcome;
}
static void on_list(void *context, const struct quo_set_list *answer)
{
    (void)context;
    calls++;
    verdict = answer->verdict;
    outcome = QUO_NOT_APPLIED;
}
static void on_entry(void *context, const struct quo_response *response)
{
    (void)context;
    calls++;
    verdict = response->verdict;
    outcome = response->outcome;
}

static enum quo_status append(struct quo_job **job)
{
    const struct quo_append_request request = {
        .ns = &w.map.namespaces[0],
        .name = quo_slice_of("t"),
        .consistency = cw_want(&w, QUO_LEVEL_STRONG, true),
        .value = quo_slice_of("a"),
        .has_opid = true,
        .opid = quo_opid_of_key(quo_slice_of("1")),
    };

    return quo_service_append(w.proxies[0].service, &request, on_appended, NULL, job);
}

static enum quo_status read_page(struct quo_job **job)
{
    const struct quo_page_request request = {
        .ns = &w.map.namespaces[0],
        .name = quo_slice_of("t"),
        .limit = 10,
        .consistency = cw_want(&w, QUO_LEVEL_QUORUM, false),
    };

    return quo_service_page(w.proxies[0].service, &request, on_page, NULL, job);
}

static enum quo_status change(bool is_remove, struct quo_job **job)
{
    const struct quo_set_change_request request = {
        .is_remove = is_remove,
        .ns = &w.map.namespaces[0],
        .name = quo_slice_of("s"),
        .elements = quo_slice("\0\1a\0\1b", 6),
        .count = 2,
        .consistency = cw_want(&w, QUO_LEVEL_STRONG, true),
    };

    return quo_service_set_change(w.proxies[0].service, &request, on_changed, NULL, job);
}

static enum quo_status add(struct quo_job **job)
{
    return change(false, job);
}

static enum quo_status take_away(struct quo_job **job)
{
    return change(true, job);
}

static enum quo_status list(struct quo_job **job)
{
    const struct quo_set_list_request request = {
        .ns = &w.map.namespaces[0],
        .name = quo_slice_of("s"),
        .limit = 10,
        .consistency = cw_want(&w, QUO_LEVEL_QUORUM, false),
    };

    return quo_service_set_list(w.proxies[0].service, &request, on_list, NULL, job);
}

static enum quo_status delete_entry(struct quo_job **job)
{
    const struct quo_entry_request request = {
        .is_delete = true,
        .ns = &w.map.namespaces[0],
        .name = quo_slice_of("t"),
        .id = {.version = {w.wall_ms << 16, 1},
               .is_keyed = true,
               .opid = quo_opid_of_key(quo_slice_of("2"))},
        .consistency = cw_want(&w, QUO_LEVEL_STRONG, true),
    };

    return quo_service_entry(w.proxies[0].service, &request, on_entry, NULL, job);
}

/* Something for each request to find. */
static void fill(void)
{
    struct cw_appended a[3];
    struct cw_changed c;

    for (unsigned i = 0; i < 3; i++)
        cw_append(&w, 1, "x", i + 2, QUO_LEVEL_STRONG, &a[i]);
    cw_change(&w, 1, false, "abc", QUO_LEVEL_STRONG, &c);
    cw_run(&w);
    cw_pass(&w, 5);
}

/* Returns whether an allocation failed. */
static bool try_with_failure(enum quo_status (*start)(struct quo_job **job), uint64_t at)
{
    struct quo_job *job = NULL;

    cw_init(&w, 1);
    fill();
    calls = 0;
    failed = false;
    fail_in = at;
    const enum quo_status status = start(&job);
    assert_true(status == QUO_OK || status == QUO_NO_MEMORY);
    cw_run(&w);
    for (int i = 0; i < 30 && status == QUO_OK && calls == 0; i++) {
        cw_pass(&w, 100);
        cw_run(&w);
    }
    fail_in = 0;
    assert_int_equal(calls, status == QUO_OK);
    if (!failed)
        assert_true(verdict == QUO_VERDICT_WRITTEN || verdict == QUO_VERDICT_FOUND);
    if (verdict == QUO_VERDICT_REFUSED)
        assert_int_equal(outcome, QUO_NOT_APPLIED);
    const bool ret = failed;
    /* And once more, with memory. */
    calls = 0;
    assert_int_equal(start(&job), QUO_OK);
    cw_run(&w);
    assert_int_equal(calls, 1);
    assert_true(verdict == QUO_VERDICT_WRITTEN || verdict == QUO_VERDICT_FOUND);
    cw_free(&w);
    return ret;
}

static void every_allocation_may_fail(void **state)
{
    enum quo_status (*const starts[])(struct quo_job * *job) = {
        append, read_page, add, take_away, list, delete_entry,
    };
    (void)state;

    for (size_t i = 0; i < QUO_COUNT(starts); i++) {
        uint64_t at = 1;
        while (try_with_failure(starts[i], at))
            at++;
        assert_true(at > 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
