/* Timelines and sets, step by step: what is sent, what is answered, and what goes wrong. */
#include "tests/unit/service/collection_world.h"

static struct cw w;

static int setup(void **state)
{
    (void)state;
    cw_init(&w, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cw_free(&w);
    return 0;
}

static int count_frames(uint8_t type)
{
    int count = 0;

    for (int i = 0; i < w.count; i++)
        count += w.frames[i].type == type;
    return count;
}

static bool is_store(const struct cw_frame *frame)
{
    return frame->type == QUO_MESSAGE_STORE;
}

static void lose(uint8_t type)
{
    for (int i = w.count - 1; i >= 0; i--) {
        if (w.frames[i].type == type)
            cw_take(&w, i, false);
    }
}

static struct cw_page page;

static void read_page(struct quo_version before, uint32_t limit, enum quo_level level)
{
    cw_page(&w, 1, before, limit, level, &page);
    cw_run(&w);
    assert_int_equal(page.calls, 1);
    assert_int_equal(page.verdict, QUO_VERDICT_FOUND);
}

/* The values of the page, run together. */
static const char *shown(void)
{
    static char text[CW_ENTRIES * 24];

    size_t len = 0;

    text[0] = 0;
    for (uint32_t i = 0; i < page.count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s", page.entries[i].value);
    return text;
}

static void append(const char *value, unsigned key, enum quo_level level, struct cw_appended *ret)
{
    cw_append(&w, 0, value, key, level, ret);
    cw_run(&w);
    assert_int_equal(ret->calls, 1);
    cw_pass(&w, 1);
}

static void an_append_is_one_write(void **state)
{
    struct cw_appended a;
    (void)state;

    cw_append(&w, 0, "a", 0, QUO_LEVEL_STRONG, &a);
    assert_int_equal(count_frames(QUO_MESSAGE_STORE), 3);
    assert_int_equal(w.count, 3);
    assert_non_null(a.job);
    cw_run(&w);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(a.outcome, QUO_APPLIED);
    assert_false(a.id.is_keyed);
    assert_true(quo_version_equal(a.id.version, a.receipt.version));
    assert_int_equal(a.receipt.round_trips, 1);
    assert_int_equal(a.receipt.acks, 2);
    /* Where its version says it is. */
    uint8_t key[QUO_TIMELINE_KEY_MAX];
    const size_t len = quo_entry_key(quo_slice_of("t"), &a.id, key);
    const struct cw_record *record =
        cw_find(&w.replicas[0], quo_collection_ns(3, QUO_COLLECTION_TIMELINE), quo_slice(key, len));
    assert_true(quo_version_equal(cw_version(record), a.id.version));
}

static void the_newest_comes_first(void **state)
{
    struct cw_appended a;
    (void)state;

    append("a", 0, QUO_LEVEL_EVENTUAL, &a);
    append("b", 0, QUO_LEVEL_STRONG, &a);
    append("c", 0, QUO_LEVEL_ALL, &a);
    w.sealed = (struct quo_version){77, 0};
    read_page(QUO_VERSION_NONE, 10, QUO_LEVEL_QUORUM);
    assert_string_equal(shown(), "cba");
    assert_true(quo_version_is_none(page.before));
    assert_true(page.sealed.hlc == 77);
    read_page(QUO_VERSION_NONE, 2, QUO_LEVEL_EVENTUAL);
    assert_string_equal(shown(), "cb");
    assert_true(quo_version_equal(page.before, page.entries[1].id.version));
    read_page(page.before, 2, QUO_LEVEL_ALL);
    assert_string_equal(shown(), "a");
    assert_true(quo_version_is_none(page.before));
}

static void a_long_timeline_comes_in_pages(void **state)
{
    struct cw_appended a;
    struct quo_version before = QUO_VERSION_NONE;
    unsigned seen = 0;
    char value[8];
    (void)state;

    for (unsigned i = 0; i < 200; i++) {
        snprintf(value, sizeof value, "%u", i);
        append(value, i % 3 == 0 ? i + 1 : 0, QUO_LEVEL_STRONG, &a);
    }
    do {
        read_page(before, 7, QUO_LEVEL_QUORUM);
        for (uint32_t i = 0; i < page.count; i++) {
            snprintf(value, sizeof value, "%u", 199 - seen++);
            assert_string_equal(page.entries[i].value, value);
        }
        before = page.before;
    } while (!quo_version_is_none(before));
    assert_int_equal(seen, 200);
}

static void an_append_tried_again_is_the_same_entry(void **state)
{
    struct cw_appended a, again;
    (void)state;

    append("a", 7, QUO_LEVEL_STRONG, &a);
    assert_int_equal(a.verdict, QUO_VERDICT_WRITTEN);
    assert_false(a.is_replayed);
    assert_int_equal(a.receipt.round_trips, 3);
    const enum quo_level levels[] = {QUO_LEVEL_STRONG, QUO_LEVEL_EVENTUAL, QUO_LEVEL_ALL};
    for (size_t i = 0; i < QUO_COUNT(levels); i++) {
        cw_append(&w, 1, "a", 7, levels[i], &again);
        cw_run(&w);
        assert_int_equal(again.verdict, QUO_VERDICT_WRITTEN);
        assert_true(again.is_replayed);
        assert_true(quo_entry_id_equal(&again.id, &a.id));
        assert_int_equal(again.receipt.level, levels[i]);
        assert_true(again.receipt.acks >= 1);
    }
    append("b", 7, QUO_LEVEL_STRONG, &again);
    assert_int_equal(again.verdict, QUO_VERDICT_DECLINED);
    assert_int_equal(again.code, QUO_CHANGE_KEY_REUSED);
    read_page(QUO_VERSION_NONE, 10, QUO_LEVEL_QUORUM);
    assert_string_equal(shown(), "a");
}

static void an_entry_that_is_not_claimed_is_not_there(void **state)
{
    struct cw_appended a, again;
    (void)state;

    cw_append(&w, 0, "a", 7, QUO_LEVEL_STRONG, &a);
    cw_run_but(&w, is_store);
    assert_int_equal(count_frames(QUO_MESSAGE_STORE), 3);
    cw_take(&w, 0, true); /* on one replica */
    lose(QUO_MESSAGE_STORE);
    cw_run(&w);
    cw_pass(&w, 2000);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.verdict, QUO_VERDICT_TIMEOUT);
    /* Nobody will ever see it. */
    assert_int_equal(a.outcome, QUO_NOT_APPLIED);
    read_page(QUO_VERSION_NONE, 10, QUO_LEVEL_ALL);
    assert_string_equal(shown(), "");
    append("a", 7, QUO_LEVEL_STRONG, &again);
    assert_false(again.is_replayed);
    cw_converge(&w);
    read_page(QUO_VERSION_NONE, 10, QUO_LEVEL_ALL);
    assert_string_equal(shown(), "a");
}

static void a_claim_in_doubt_is_found_and_confirmed(void **state)
{
    struct cw_appended a, again;
    (void)state;

    cw_append(&w, 0, "a", 7, QUO_LEVEL_STRONG, &a);
    cw_run_but(&w, is_store);
    for (int i = 0; i < 3; i++)
        cw_take(&w, 0, true); /* the entry, everywhere */
    cw_run_but(&w, is_store);
    assert_int_equal(count_frames(QUO_MESSAGE_STORE), 3);
    cw_take(&w, 0, true); /* the claim, on one */
    lose(QUO_MESSAGE_STORE);
    cw_run(&w);
    cw_pass(&w, 2000);
    assert_int_equal(a.outcome, QUO_UNKNOWN);
    assert_false(quo_version_is_none(a.id.version));
    cw_append(&w, 1, "a", 7, QUO_LEVEL_ALL, &again);
    cw_run(&w);
    assert_int_equal(again.verdict, QUO_VERDICT_WRITTEN);
    assert_true(again.is_replayed);
    assert_true(quo_entry_id_equal(&a.id, &again.id));
    for (int i = 0; i < CW_REPLICAS; i++) {
        uint8_t key[QUO_TIMELINE_KEY_MAX];
        const uint32_t ns = quo_collection_ns(3, QUO_COLLECTION_TIMELINE);
        size_t len = quo_claim_key(quo_slice_of("t"), &a.id.opid, key);
        assert_true(quo_version_equal(cw_version(cw_find(&w.replicas[i], ns, quo_slice(key, len))),
                                      a.id.version));
    }
}

static void on_response(void *context, const struct quo_response *response)
{
    struct cw_appended *a = context;

    a->calls++;
    a->verdict = response->verdict;
    a->outcome = response->outcome;
    a->receipt = response->receipt;
}

static void a_deleted_entry_does_not_come_back(void **state)
{
    struct cw_appended a, again;
    struct quo_entry_request request = {
        .is_delete = true,
        .ns = &w.map.namespaces[0],
        .name = quo_slice_of("t"),
        .consistency = cw_want(&w, QUO_LEVEL_STRONG, true),
    };
    (void)state;

    append("a", 7, QUO_LEVEL_STRONG, &a);
    append("b", 0, QUO_LEVEL_STRONG, &again);
    request.id = a.id;
    request.id.version.hlc += 5; /* any id of the operation will do */
    struct cw_appended ignored = {0};
    struct quo_job *job = NULL;
    assert_int_equal(quo_service_entry(w.proxies[1].service, &request, on_response, &ignored, &job),
                     QUO_OK);
    cw_run(&w);
    assert_int_equal(ignored.verdict, QUO_VERDICT_WRITTEN);
    read_page(QUO_VERSION_NONE, 10, QUO_LEVEL_QUORUM);
    assert_string_equal(shown(), "b");
    append("a", 7, QUO_LEVEL_STRONG, &again);
    assert_int_equal(again.verdict, QUO_VERDICT_WRITTEN);
    assert_true(again.is_replayed);
    read_page(QUO_VERSION_NONE, 10, QUO_LEVEL_ALL);
    assert_string_equal(shown(), "b");
    request.is_delete = false;
    request.consistency = cw_want(&w, QUO_LEVEL_QUORUM, false);
    request.id = a.id;
    assert_int_equal(quo_service_entry(w.proxies[1].service, &request, on_response, &ignored, &job),
                     QUO_OK);
    cw_run(&w);
    assert_int_equal(ignored.verdict, QUO_VERDICT_ABSENT);
}

/* Its tombstone is collected, and a floor keeps everything that old out. */
static void an_entry_deleted_long_ago_does_not_come_back(void **state)
{
    struct cw_appended a, again;
    uint8_t bytes[QUO_TIMELINE_KEY_MAX];
    (void)state;

    append("a", 7, QUO_LEVEL_STRONG, &a);
    const struct quo_slice key = quo_slice(bytes, quo_entry_key(quo_slice_of("t"), &a.id, bytes));
    for (int i = 0; i < CW_REPLICAS; i++) {
        struct cw_replica *r = &w.replicas[i];
        struct cw_record *record = cw_find(r, quo_collection_ns(3, QUO_COLLECTION_TIMELINE), key);
        if (record != NULL)
            memmove(record, record + 1,
                    (size_t)(&r->records[--r->count] - record) * sizeof *record);
    }
    w.gate = (struct quo_version){a.id.version.hlc + 1, 0};
    append("a", 7, QUO_LEVEL_STRONG, &again);
    assert_int_equal(again.verdict, QUO_VERDICT_WRITTEN);
    assert_true(again.is_replayed);
    assert_true(quo_entry_id_equal(&again.id, &a.id));
    read_page(QUO_VERSION_NONE, 10, QUO_LEVEL_ALL);
    assert_string_equal(shown(), "");
}

/* The key is made of the version, so it follows when the version has to change. */
static void a_clock_that_is_ahead_is_corrected(void **state)
{
    struct cw_appended a;
    (void)state;

    w.proxies[0].skew_ms = 3600000;
    append("a", 0, QUO_LEVEL_STRONG, &a);
    assert_int_equal(a.verdict, QUO_VERDICT_WRITTEN);
    assert_true(quo_version_ms(a.id.version) <= w.wall_ms + QUO_SKEW_MAX_MS);
    read_page(QUO_VERSION_NONE, 10, QUO_LEVEL_QUORUM);
    assert_int_equal(page.count, 1);
    assert_true(quo_entry_id_equal(&page.entries[0].id, &a.id));
}

static void a_session_appends_above_what_it_has_seen(void **state)
{
    struct cw_appended first, second = {0};
    (void)state;

    append("a", 0, QUO_LEVEL_STRONG, &first);
    w.proxies[1].skew_ms = -2000;
    const struct quo_append_request request = {
        .ns = &w.map.namespaces[0],
        .name = quo_slice_of("t"),
        .consistency = cw_want(&w, QUO_LEVEL_SESSION, true),
        .value = quo_slice_of("b"),
        .above = first.id.version.hlc,
    };
    assert_int_equal(
        quo_service_append(w.proxies[1].service, &request, cw_on_appended, &second, &second.job),
        QUO_OK);
    cw_run(&w);
    read_page(QUO_VERSION_NONE, 10, QUO_LEVEL_QUORUM);
    assert_string_equal(shown(), "ba");
}

static void without_a_quorum_a_page_fails(void **state)
{
    struct cw_appended a;
    (void)state;

    append("a", 5, QUO_LEVEL_STRONG, &a);
    w.replicas[0].is_down = w.replicas[1].is_down = true;
    cw_page(&w, 0, QUO_VERSION_NONE, 5, QUO_LEVEL_QUORUM, &page);
    for (int i = 0; i < 200 && page.calls == 0; i++) {
        cw_run(&w);
        cw_pass(&w, 10);
    }
    assert_int_equal(page.calls, 1);
    assert_int_equal(page.verdict, QUO_VERDICT_TIMEOUT);
    cw_page(&w, 0, QUO_VERSION_NONE, 5, QUO_LEVEL_EVENTUAL, &page);
    for (int i = 0; i < 200 && page.calls == 0; i++) {
        cw_run(&w);
        cw_pass(&w, 10);
    }
    assert_int_equal(page.verdict, QUO_VERDICT_FOUND);
    assert_string_equal(shown(), "a");
}

static void change(int proxy, bool is_remove, const char *elements, enum quo_level level,
                   struct cw_changed *ret)
{
    cw_change(&w, proxy, is_remove, elements, level, ret);
    cw_run(&w);
    assert_int_equal(ret->calls, 1);
    assert_int_equal(ret->verdict, QUO_VERDICT_WRITTEN);
    cw_pass(&w, 1);
}

static const char *elements(enum quo_level level)
{
    static struct cw_list list;

    memset(&list, 0, sizeof list);
    cw_list(&w, 0, 0, 60, level, &list);
    cw_run(&w);
    assert_int_equal(list.calls, 1);
    assert_int_equal(list.after_len, 0);
    return list.elements;
}

static void elements_are_there_once(void **state)
{
    struct cw_changed c;
    (void)state;

    change(0, false, "abc", QUO_LEVEL_STRONG, &c);
    assert_int_equal(c.count, 3);
    assert_int_equal(c.receipt.round_trips, 1);
    change(1, false, "bd", QUO_LEVEL_EVENTUAL, &c);
    assert_string_equal(elements(QUO_LEVEL_QUORUM), "abcd");
    change(1, true, "bx", QUO_LEVEL_STRONG, &c);
    assert_int_equal(c.count, 1);
    assert_string_equal(elements(QUO_LEVEL_ALL), "acd");
    change(1, true, "bx", QUO_LEVEL_STRONG, &c);
    assert_int_equal(c.count, 0);
    change(0, false, "b", QUO_LEVEL_ALL, &c);
    assert_string_equal(elements(QUO_LEVEL_QUORUM), "abcd");
}

static void a_set_comes_in_pages(void **state)
{
    const char *all = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    struct cw_changed c;
    struct cw_list list = {0};
    unsigned seen[256] = {0}, count = 0;
    (void)state;

    change(0, false, all, QUO_LEVEL_STRONG, &c);
    change(0, false, all, QUO_LEVEL_STRONG, &c);
    change(0, true, "acegikmoq", QUO_LEVEL_STRONG, &c);
    do {
        cw_list(&w, 1, 0, 5, QUO_LEVEL_QUORUM, &list);
        cw_run(&w);
        assert_int_equal(list.verdict, QUO_VERDICT_FOUND);
        assert_true(list.count <= 5);
        for (uint32_t i = 0; i < list.count; i++)
            assert_int_equal(seen[(uint8_t)list.elements[i]]++, 0);
        count += list.count;
    } while (list.after_len > 0);
    assert_int_equal(count, strlen(all) - 9);
    memset(&list, 0, sizeof list);
    cw_list(&w, 1, 'b', 1, QUO_LEVEL_QUORUM, &list);
    cw_run(&w);
    assert_int_equal(list.count, 1);
    memset(&list, 0, sizeof list);
    cw_list(&w, 1, 'a', 1, QUO_LEVEL_QUORUM, &list);
    cw_run(&w);
    assert_int_equal(list.count, 0);
}

static void many_dots_are_removed_in_turns(void **state)
{
    struct cw_changed c;
    (void)state;

    for (unsigned i = 0; i < 3 * QUO_DOTS_AT_ONCE + 5; i++)
        change((int)(i % 2), false, "a", QUO_LEVEL_STRONG, &c);
    assert_string_equal(elements(QUO_LEVEL_QUORUM), "a");
    change(0, true, "a", QUO_LEVEL_STRONG, &c);
    assert_int_equal(c.count, 1);
    assert_string_equal(elements(QUO_LEVEL_ALL), "");
}

static void a_removal_that_fails_may_be_half_done(void **state)
{
    struct cw_changed c;
    (void)state;

    change(0, false, "abc", QUO_LEVEL_STRONG, &c);
    cw_change(&w, 0, true, "abc", QUO_LEVEL_STRONG, &c);
    cw_run_but(&w, is_store);
    lose(QUO_MESSAGE_STORE);
    cw_run(&w);
    cw_pass(&w, 2000);
    assert_int_equal(c.calls, 1);
    assert_int_equal(c.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(c.outcome, QUO_UNKNOWN);
    change(0, true, "abc", QUO_LEVEL_STRONG, &c);
    assert_int_equal(c.count, 3);
    /* Of one that could not even look, nothing is. */
    w.replicas[0].is_down = w.replicas[1].is_down = true;
    cw_change(&w, 0, true, "abc", QUO_LEVEL_STRONG, &c);
    for (int i = 0; i < 200 && c.calls == 0; i++) {
        cw_run(&w);
        cw_pass(&w, 10);
    }
    assert_int_equal(c.verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(c.outcome, QUO_NOT_APPLIED);
}

static void nobody_is_told_who_has_gone(void **state)
{
    struct cw_appended a;
    struct cw_changed c;
    (void)state;

    cw_append(&w, 0, "a", 7, QUO_LEVEL_STRONG, &a);
    quo_job_abandon(a.job);
    cw_change(&w, 0, false, "abc", QUO_LEVEL_STRONG, &c);
    quo_job_abandon(c.job);
    cw_page(&w, 0, QUO_VERSION_NONE, 5, QUO_LEVEL_QUORUM, &page);
    quo_job_abandon(page.job);
    cw_run(&w);
    assert_int_equal(a.calls + c.calls + page.calls, 0);
    /* What was begun has ended all the same. */
    read_page(QUO_VERSION_NONE, 5, QUO_LEVEL_QUORUM);
    assert_string_equal(shown(), "a");
    assert_string_equal(elements(QUO_LEVEL_QUORUM), "abc");
}

static void what_is_under_way_goes_with_its_service(void **state)
{
    static struct cw_appended a[3];
    static struct cw_changed c[2];
    static struct cw_list list;
    (void)state;

    cw_append(&w, 0, "a", 0, QUO_LEVEL_STRONG, &a[0]);
    cw_append(&w, 0, "a", 7, QUO_LEVEL_STRONG, &a[1]);
    cw_append(&w, 1, "a", 7, QUO_LEVEL_EVENTUAL, &a[2]);
    cw_change(&w, 0, false, "abc", QUO_LEVEL_STRONG, &c[0]);
    cw_change(&w, 0, true, "abc", QUO_LEVEL_STRONG, &c[1]);
    cw_page(&w, 0, QUO_VERSION_NONE, 5, QUO_LEVEL_QUORUM, &page);
    cw_list(&w, 0, 0, 5, QUO_LEVEL_QUORUM, &list);
}

static void there_is_a_limit_to_jobs(void **state)
{
    static struct cw_appended a[QUO_JOBS_MAX + 1];
    struct quo_append_request request = {
        .ns = &w.map.namespaces[0],
        .name = quo_slice_of("t"),
        .consistency = cw_want(&w, QUO_LEVEL_STRONG, true),
    };
    uint32_t count = 0;
    (void)state;

    while (quo_service_append(w.proxies[0].service, &request, cw_on_appended, &a[count],
                              &a[count].job) == QUO_OK) {
        lose(QUO_MESSAGE_STORE);
        assert_true(++count <= QUO_JOBS_MAX);
    }
    assert_int_equal(count, QUO_JOBS_MAX);
    assert_int_equal(quo_counted(&quo_service_stats(w.proxies[0].service)->overloads), 1);
    cw_pass(&w, 2000);
    assert_int_equal(a[0].calls, 1);
    assert_int_equal(quo_service_append(w.proxies[0].service, &request, cw_on_appended, &a[count],
                                        &a[count].job),
                     QUO_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_append_is_one_write),
        TEST(the_newest_comes_first),
        TEST(a_long_timeline_comes_in_pages),
        TEST(an_append_tried_again_is_the_same_entry),
        TEST(an_entry_that_is_not_claimed_is_not_there),
        TEST(a_claim_in_doubt_is_found_and_confirmed),
        TEST(a_deleted_entry_does_not_come_back),
        TEST(an_entry_deleted_long_ago_does_not_come_back),
        TEST(a_clock_that_is_ahead_is_corrected),
        TEST(a_session_appends_above_what_it_has_seen),
        TEST(without_a_quorum_a_page_fails),
        TEST(elements_are_there_once),
        TEST(a_set_comes_in_pages),
        TEST(many_dots_are_removed_in_turns),
        TEST(a_removal_that_fails_may_be_half_done),
        TEST(nobody_is_told_who_has_gone),
        TEST(what_is_under_way_goes_with_its_service),
        TEST(there_is_a_limit_to_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
