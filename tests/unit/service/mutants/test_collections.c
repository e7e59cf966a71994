/* Runs of timelines and sets in which attempts overlap, frames are late or lost and replicas are
 * away, against what a client was promised; and the rules that keep it, switched off one by one.
 */
#include "tests/unit/service/collection_world.h"

#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

static struct cw w;

/* One append as its client means it. */
#define MEANT 16
#define ATTEMPTS 4
struct meant {
    char value[8];
    unsigned key; /* 0: none, and one attempt */
    int attempts;
    struct cw_appended attempt[ATTEMPTS];
    int began_at[ATTEMPTS];
    int acked_at;           /* step; 0: not */
    bool acked_alone;       /* there had been no other attempt */
    struct quo_entry_id id; /* of the first answer */
    int delete_at, deleted_at;
    bool was_alone; /* all attempts were over when the delete began, and nothing on its way */
    struct cw_appended deletion;
};

/* A client that reads all pages, one after the other. */
struct reader {
    bool is_reading;
    int began_at;
    unsigned seen[MEANT];
    struct quo_entry_id last;
    struct cw_page page;
};

static struct meant meant[MEANT];
static int meant_count;
static struct reader reader;
static int now;
static const char *violation;

static void complain(const char *what)
{
    if (violation == NULL)
        violation = what;
}

static bool is_trying(const struct meant *m)
{
    for (int i = 0; i < m->attempts; i++) {
        if (m->attempt[i].calls == 0)
            return true;
    }
    return false;
}

static void on_deleted(void *context, const struct quo_response *response)
{
    struct cw_appended *a = context;

    a->calls++;
    a->verdict = response->verdict;
}

static void start_delete(struct meant *m)
{
    const struct quo_entry_request request = {
        .is_delete = true,
        .ns = &w.map.namespaces[0],
        .name = quo_slice_of("t"),
        .id = m->id,
        .consistency = cw_want(&w, QUO_LEVEL_STRONG, true),
    };

    m->delete_at = now;
    m->was_alone = !is_trying(m) && w.count == 0;
    assert_int_equal(quo_service_entry(w.proxies[cw_draw(&w, CW_PROXIES)].service, &request,
                                       on_deleted, &m->deletion, &m->deletion.job),
                     QUO_OK);
}

static void start_attempt(bool is_strong)
{
    const bool is_new = meant_count == 0 || (meant_count < MEANT && cw_draw(&w, 2) == 0);
    struct meant *m = &meant[is_new ? meant_count : (int)cw_draw(&w, (uint64_t)meant_count)];
    enum quo_level level = is_strong || cw_draw(&w, 2) ? QUO_LEVEL_STRONG : QUO_LEVEL_EVENTUAL;

    if (is_new) {
        memset(m, 0, sizeof *m);
        snprintf(m->value, sizeof m->value, "%c", 'a' + meant_count);
        m->key = cw_draw(&w, 3) > 0 ? (unsigned)meant_count + 1 : 0;
        meant_count++;
    } else if (m->key == 0 || m->attempts == ATTEMPTS) {
        return;
    }
    m->began_at[m->attempts] = now;
    cw_append(&w, (int)cw_draw(&w, CW_PROXIES), m->value, m->key, level,
              &m->attempt[m->attempts++]);
}

/* What answers have come. */
static void look_at_answers(bool is_strong)
{
    for (int i = 0; i < meant_count; i++) {
        struct meant *m = &meant[i];
        for (int k = 0; k < m->attempts; k++) {
            const struct cw_appended *a = &m->attempt[k];
            if (a->calls == 0 || a->verdict != QUO_VERDICT_WRITTEN)
                continue;
            if (m->acked_at == 0) {
                m->acked_at = now;
                m->acked_alone = m->attempts == 1;
                m->id = a->id;
            }
            /* Whoever tries again after the first answer is told the same. */
            if (is_strong && m->began_at[k] > m->acked_at && m->acked_alone &&
                (!a->is_replayed || !quo_entry_id_equal(&a->id, &m->id)))
                complain("an append that was answered was done again");
        }
        if (m->delete_at != 0 && m->deleted_at == 0 && m->deletion.calls != 0 &&
            m->deletion.verdict == QUO_VERDICT_WRITTEN)
            m->deleted_at = now;
    }
}

static void finish_reading(bool is_strong)
{
    reader.is_reading = false;
    for (int i = 0; i < meant_count; i++) {
        const struct meant *m = &meant[i];
        const bool was_acked = m->acked_at != 0 && m->acked_at < reader.began_at;
        if (was_acked && m->delete_at == 0 && !is_trying(m) && reader.seen[i] == 0 &&
            m->attempts == 1 && is_strong)
            complain("an entry that was there is not shown");
        if (m->deleted_at != 0 && m->deleted_at < reader.began_at && reader.seen[i] > 0 &&
            is_strong && m->was_alone)
            complain("an entry that was deleted is shown");
    }
}

static void look_at_page(bool is_strong)
{
    unsigned seen[MEANT] = {0};

    if (reader.page.verdict != QUO_VERDICT_FOUND) {
        reader.is_reading = false;
        return;
    }
    for (uint32_t i = 0; i < reader.page.count; i++) {
        const int which = reader.page.entries[i].value[0] - 'a';
        const struct quo_entry_id *id = &reader.page.entries[i].id;
        if (which < 0 || which >= meant_count)
            complain("an entry is shown that nobody appended");
        else if (++seen[which] > 1)
            complain("a page shows an append twice");
        else
            reader.seen[which]++;
        if (!quo_version_is_none(reader.last.version) &&
            quo_version_compare(id->version, reader.last.version) >= 0)
            complain("entries are out of order");
        reader.last = *id;
    }
    if (quo_version_is_none(reader.page.before))
        finish_reading(is_strong);
    else
        cw_page(&w, (int)cw_draw(&w, CW_PROXIES), reader.page.before, 1 + (uint32_t)cw_draw(&w, 6),
                QUO_LEVEL_QUORUM, &reader.page);
}

static void start_reading(void)
{
    memset(&reader, 0, sizeof reader);
    reader.is_reading = true;
    reader.began_at = now;
    cw_page(&w, (int)cw_draw(&w, CW_PROXIES), QUO_VERSION_NONE, 1 + (uint32_t)cw_draw(&w, 20),
            QUO_LEVEL_QUORUM, &reader.page);
}

static void step(bool is_strong)
{
    const uint64_t what = cw_draw(&w, 100);

    now++;
    if (what < 6) {
        start_attempt(is_strong);
    } else if (what < 9) {
        if (!reader.is_reading)
            start_reading();
    } else if (what < 10 && meant_count > 0) {
        struct meant *m = &meant[cw_draw(&w, (uint64_t)meant_count)];
        if (cw_draw(&w, 2) == 0)
            cw_run(&w);
        if (m->acked_at != 0 && m->delete_at == 0)
            start_delete(m);
    } else if (what < 12) {
        cw_pass(&w, 1 + cw_draw(&w, 400));
    } else if (what < 13) {
        const int replica = (int)cw_draw(&w, CW_REPLICAS);
        bool others = false;
        for (int i = 0; i < CW_REPLICAS; i++)
            others |= i != replica && w.replicas[i].is_down;
        w.replicas[replica].is_down = !w.replicas[replica].is_down && !others;
    } else if (w.count > 0) {
        const int at = (int)cw_draw(&w, (uint64_t)QUO_MIN(w.count, 12));
        cw_take(&w, at, what < 97);
    }
    look_at_answers(is_strong);
    if (reader.is_reading && reader.page.calls > 0)
        look_at_page(is_strong);
}

/* Everything has arrived everywhere: each replica alone shows each append once. */
static void look_at_the_end(bool is_strong)
{
    for (int i = 0; i < CW_REPLICAS; i++)
        w.replicas[i].is_down = false;
    for (int i = 0; i < 40; i++) {
        cw_run(&w);
        cw_pass(&w, 100);
    }
    look_at_answers(is_strong);
    cw_converge(&w);
    memset(&reader, 0, sizeof reader);
    cw_page(&w, 0, QUO_VERSION_NONE, 100, QUO_LEVEL_EVENTUAL, &reader.page);
    cw_run(&w);
    assert_int_equal(reader.page.calls, 1);
    now++;
    reader.began_at = now;
    look_at_page(is_strong);
    for (int i = 0; i < meant_count; i++) {
        const struct meant *m = &meant[i];
        bool may_be_there = false;
        for (int k = 0; k < m->attempts; k++)
            may_be_there |= m->attempt[k].outcome != QUO_NOT_APPLIED;
        if (m->acked_at != 0 && m->delete_at == 0 && reader.seen[i] != 1)
            complain("an append that was answered is lost");
        if (!may_be_there && reader.seen[i] != 0)
            complain("an append that was not applied is there");
    }
}

/* Returns what was wrong, or NULL. */
static const char *run_timeline(uint64_t seed, bool is_strong)
{
    violation = NULL;
    meant_count = now = 0;
    memset(&reader, 0, sizeof reader);
    cw_init(&w, seed);
    w.proxies[1].skew_ms = (int64_t)cw_draw(&w, 1000) - 500;
    for (int i = 0; i < 500 && violation == NULL; i++)
        step(is_strong);
    look_at_the_end(is_strong);
    cw_free(&w);
    return violation;
}

static void expect_kept(uint64_t runs)
{
    for (uint64_t seed = 1; seed <= runs; seed++) {
        const char *what = run_timeline(seed, seed % 2 == 0);
        if (what != NULL)
            fail_msg("seed %u: %s", (unsigned)seed, what);
    }
}

static void expect_broken(enum quo_mutant mutant, uint64_t runs)
{
    const char *what = NULL;

    quo_mutant_planted = mutant;
    for (uint64_t seed = 1; seed <= runs && what == NULL; seed++)
        what = run_timeline(seed, seed % 2 == 0);
    quo_mutant_planted = QUO_MUTANT_NONE;
    if (what == NULL)
        fail_msg("nobody noticed in %u runs", (unsigned)runs);
}

static void timelines_keep_what_they_promise(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    expect_kept(1500);
    assert_true(quo_probe_counts[QUO_PROBE_PAGE_SCANNED_AGAIN] > 0);
}

static void claims_count(void **state)
{
    (void)state;
    expect_broken(QUO_MUTANT_CLAIM_IGNORED, 400);
}

static void claims_are_looked_for(void **state)
{
    (void)state;
    expect_broken(QUO_MUTANT_CLAIM_NOT_SOUGHT, 400);
}

static void entries_come_before_their_claims(void **state)
{
    (void)state;
    expect_broken(QUO_MUTANT_CLAIM_BEFORE_ENTRY, 1500);
}

/* A page that was scanned before the entry was there, and whose claims were read after. */
static const char *read_early(void)
{
    struct cw_appended first, second;
    const char *ret = NULL;

    cw_init(&w, 3);
    w.proxies[1].skew_ms = 200; /* its entry is the newer one */
    cw_append(&w, 0, "a", 1, QUO_LEVEL_STRONG, &first);
    /* Two attempts at once: both have found no claim. */
    cw_append(&w, 1, "a", 1, QUO_LEVEL_STRONG, &second);
    for (int i = 0; i < w.count;) {
        if (w.frames[i].from == 1 && w.frames[i].type == QUO_MESSAGE_STORE)
            i++;
        else
            cw_take(&w, i, true), i = 0;
    }
    assert_int_equal(first.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(second.calls, 0);
    cw_page(&w, 0, QUO_VERSION_NONE, 5, QUO_LEVEL_QUORUM, &reader.page);
    /* The scan of the page, with the first one's entry; then the second attempt to its end. */
    for (int i = 0; i < w.count;) {
        if (w.frames[i].type == QUO_MESSAGE_SCAN || w.frames[i].type == QUO_MESSAGE_SCANNED)
            cw_take(&w, i, true), i = 0;
        else
            i++;
    }
    for (int i = 0; i < w.count;) {
        if (w.frames[i].from == 1 || w.frames[i].to == 1)
            cw_take(&w, i, true), i = 0;
        else
            i++;
    }
    assert_int_equal(second.verdict, QUO_VERDICT_WRITTEN);
    cw_run(&w);
    assert_int_equal(reader.page.calls, 1);
    if (reader.page.count != 1)
        ret = "an append that was answered is not shown, or twice";
    else if (!quo_entry_id_equal(&reader.page.entries[0].id, &second.id))
        ret = "an entry is shown that is not claimed";
    cw_free(&w);
    return ret;
}

static void a_page_is_not_older_than_its_claims(void **state)
{
    const char *what;
    (void)state;

    quo_mutant_planted = QUO_MUTANT_NONE;
    what = read_early();
    if (what != NULL)
        fail_msg("%s", what);
    quo_mutant_planted = QUO_MUTANT_PAGE_READ_ONCE;
    what = read_early();
    quo_mutant_planted = QUO_MUTANT_NONE;
    assert_non_null(what);
}

static bool is_store(const struct cw_frame *frame)
{
    return frame->type == QUO_MESSAGE_STORE;
}

/* Who adds an element that somebody is about to remove has it added. Returns whether it is there.
 */
static bool add_while_removing(void)
{
    struct cw_changed c, removal;
    struct cw_list list = {0};

    cw_init(&w, 5);
    w.proxies[0].skew_ms = 300;
    cw_change(&w, 0, false, "a", QUO_LEVEL_STRONG, &c);
    cw_run(&w);
    cw_pass(&w, 10);
    cw_change(&w, 0, true, "a", QUO_LEVEL_STRONG, &removal);
    cw_run_but(&w, is_store); /* it has seen one dot */
    cw_change(&w, 1, false, "a", QUO_LEVEL_STRONG, &c);
    for (int i = w.count - 1; i >= 0; i--) {
        if (w.frames[i].from == 1)
            cw_take(&w, i, true);
    }
    cw_run(&w);
    assert_int_equal(c.verdict, QUO_VERDICT_WRITTEN);
    assert_int_equal(removal.verdict, QUO_VERDICT_WRITTEN);
    cw_converge(&w);
    cw_list(&w, 0, 0, 5, QUO_LEVEL_QUORUM, &list);
    cw_run(&w);
    cw_free(&w);
    return list.count == 1;
}

static void who_adds_wins(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    assert_true(add_while_removing());
    quo_mutant_planted = QUO_MUTANT_DOT_SHARED;
    assert_false(add_while_removing());
    quo_mutant_planted = QUO_MUTANT_NONE;
}

/* Sets: what only was added and removed one after the other is as the last of them left it. */
#define ELEMENTS 4
static const char *run_set(uint64_t seed)
{
    static struct cw_changed changes[64];
    bool is_there[ELEMENTS] = {false}, is_unsure[ELEMENTS] = {false}, may_come[ELEMENTS] = {false};
    static struct cw_list list;
    const char *ret = NULL;

    cw_init(&w, seed);
    w.proxies[1].skew_ms = (int64_t)cw_draw(&w, 1000) - 500;
    for (int i = 0; i < 40; i++) {
        const int which = (int)cw_draw(&w, ELEMENTS);
        const char element[2] = {(char)('a' + which), 0};
        const bool is_remove = cw_draw(&w, 2) == 0;
        cw_change(&w, (int)cw_draw(&w, CW_PROXIES), is_remove, element, QUO_LEVEL_STRONG,
                  &changes[i]);
        for (int k = 0; k < 200 && changes[i].calls == 0; k++) {
            if (w.count > 0)
                cw_take(&w, (int)cw_draw(&w, (uint64_t)QUO_MIN(w.count, 8)), cw_draw(&w, 100) < 93);
            else
                cw_pass(&w, 100);
        }
        cw_run(&w);
        cw_pass(&w, changes[i].calls == 0 ? 2000 : 1);
        assert_int_equal(changes[i].calls, 1);
        is_unsure[which] = changes[i].verdict != QUO_VERDICT_WRITTEN;
        is_there[which] = !is_remove;
        /* One that failed may turn up at any time. */
        may_come[which] |= is_unsure[which] && !is_remove;
    }
    cw_converge(&w);
    memset(&list, 0, sizeof list);
    cw_list(&w, 0, 0, 50, QUO_LEVEL_EVENTUAL, &list);
    cw_run(&w);
    for (int i = 0; i < ELEMENTS; i++) {
        const bool is_listed = strchr(list.elements, 'a' + i) != NULL;
        if (!is_unsure[i] && is_there[i] && !is_listed)
            ret = "an element is lost";
        if (!is_unsure[i] && !is_there[i] && is_listed && !may_come[i])
            ret = "an element came back";
    }
    cw_free(&w);
    return ret;
}

static void sets_are_as_they_were_left(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        const char *what = run_set(seed);
        if (what != NULL)
            fail_msg("seed %u: %s", (unsigned)seed, what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timelines_keep_what_they_promise),
        cmocka_unit_test(claims_count),
        cmocka_unit_test(claims_are_looked_for),
        cmocka_unit_test(entries_come_before_their_claims),
        cmocka_unit_test(a_page_is_not_older_than_its_claims),
        cmocka_unit_test(who_adds_wins),
        cmocka_unit_test(sets_are_as_they_were_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
