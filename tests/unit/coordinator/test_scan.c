#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/scan.h"

static const struct quo_namespace ns = {
    .id = 1,
    .name = "ns",
    .kind = QUO_KIND_LWW,
    .n = 5,
    .rs = 3,
    .ws = 3,
    .read_level = QUO_LEVEL_STRONG,
    .timeout_ms = 700,
};
static char why[256];

static struct quo_ask nothing(void)
{
    return (struct quo_ask){.r = -1, .w = -1, .dw = -1};
}

/* Levels */

static void expect_ask(struct quo_ask ask, const struct quo_namespace *in, enum quo_level level,
                       uint8_t r)
{
    struct quo_consistency c;

    assert_int_equal(quo_scan_resolve(in, &ask, &c, why, sizeof why), QUO_OK);
    assert_int_equal(c.level, level);
    assert_int_equal(c.r, r);
    assert_int_equal(c.w, 0);
    assert_int_equal(c.dw, 0);
    assert_int_equal(c.n, in->n);
    assert_false(c.strong);
}

static void levels_mean_numbers(void **state)
{
    (void)state;
    struct quo_ask ask = nothing();
    ask.has_level = true;
    ask.level = QUO_LEVEL_EVENTUAL;
    expect_ask(ask, &ns, QUO_LEVEL_EVENTUAL, 1);
    ask.level = QUO_LEVEL_QUORUM;
    expect_ask(ask, &ns, QUO_LEVEL_QUORUM, 3);
    ask.level = QUO_LEVEL_ALL;
    expect_ask(ask, &ns, QUO_LEVEL_ALL, 5);
    ask.level = QUO_LEVEL_QUORUM;
    ask.r = 4;
    expect_ask(ask, &ns, QUO_LEVEL_QUORUM, 4);
}

static void numbers_mean_levels(void **state)
{
    (void)state;
    struct quo_ask ask = nothing();
    ask.r = 2;
    expect_ask(ask, &ns, QUO_LEVEL_EVENTUAL, 2);
    ask.r = 3;
    expect_ask(ask, &ns, QUO_LEVEL_QUORUM, 3);
    ask.r = 5;
    expect_ask(ask, &ns, QUO_LEVEL_QUORUM, 5);
}

static void namespaces_have_their_say(void **state)
{
    (void)state;
    static const struct {
        enum quo_level of_ns, level;
        uint8_t r;
    } rows[] = {
        {QUO_LEVEL_EVENTUAL, QUO_LEVEL_EVENTUAL, 1}, {QUO_LEVEL_SESSION, QUO_LEVEL_QUORUM, 3},
        {QUO_LEVEL_QUORUM, QUO_LEVEL_QUORUM, 3},     {QUO_LEVEL_STRONG, QUO_LEVEL_QUORUM, 3},
        {QUO_LEVEL_ALL, QUO_LEVEL_ALL, 5},
    };
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_namespace other = ns;
        other.read_level = rows[i].of_ns;
        expect_ask(nothing(), &other, rows[i].level, rows[i].r);
    }
    struct quo_consistency c;
    struct quo_ask ask = nothing();
    assert_int_equal(quo_scan_resolve(&ns, &ask, &c, why, sizeof why), QUO_OK);
    assert_int_equal(c.timeout_ms, 700);
    ask.timeout_ms = 50;
    assert_int_equal(quo_scan_resolve(&ns, &ask, &c, why, sizeof why), QUO_OK);
    assert_int_equal(c.timeout_ms, 50);
}

static void what_has_no_meaning_is_refused(void **state)
{
    (void)state;
    struct quo_consistency c;
    struct quo_ask ask = nothing();
    ask.has_level = true;
    for (int level = QUO_LEVEL_EVENTUAL; level < (int)QUO_LEVELS; level++) {
        ask.level = (enum quo_level)level;
        if (level == QUO_LEVEL_EVENTUAL || level == QUO_LEVEL_QUORUM || level == QUO_LEVEL_ALL)
            continue;
        assert_int_equal(quo_scan_resolve(&ns, &ask, &c, why, sizeof why), QUO_INVALID);
        assert_non_null(strstr(why, quo_level_name(ask.level)));
        assert_non_null(strstr(why, "3 of 5"));
    }
    ask.level = QUO_LEVEL_EVENTUAL;
    ask.r = 3; /* a quorum is not to be called eventual */
    assert_int_equal(quo_scan_resolve(&ns, &ask, &c, why, sizeof why), QUO_INVALID);
    ask.level = QUO_LEVEL_QUORUM;
    ask.r = 2;
    assert_int_equal(quo_scan_resolve(&ns, &ask, &c, why, sizeof why), QUO_INVALID);
    ask.r = 6;
    assert_int_equal(quo_scan_resolve(&ns, &ask, &c, why, sizeof why), QUO_INVALID);
    ask = nothing();
    ask.r = 0;
    assert_int_equal(quo_scan_resolve(&ns, &ask, &c, why, sizeof why), QUO_INVALID);
}

/* Whom to ask */

static struct quo_plan plan;
static struct quo_scan scan;

static void make_plan(quo_members up, bool is_joint)
{
    struct quo_entry entry = {
        .epoch = 1, .state = QUO_ENTRY_NORMAL, .n = 5, .replicas = {1, 2, 3, 4, 5}};
    struct quo_health health[QUO_MEMBERS_MAX] = {{false, 0}};

    if (is_joint) {
        entry.state = QUO_ENTRY_JOINT;
        entry.n_next = 5;
        memcpy(entry.next, (uint64_t[]){4, 5, 6, 7, 8}, 5 * sizeof *entry.next);
    }
    for (uint8_t i = 0; i < QUO_MEMBERS_MAX; i++)
        health[i].up = quo_members_has(up, i);
    quo_plan_init(&plan, &entry, &ns);
    quo_plan_order(&plan, health, 0);
}

static void asks_as_few_as_it_needs(void **state)
{
    (void)state;
    make_plan(0x1f, false);
    assert_int_equal(quo_scan_begin(&scan, &plan, 3, 0, 100), 0x07);
    assert_true(quo_scan_answered(&scan, 0));
    assert_false(quo_scan_answered(&scan, 0));
    assert_false(quo_scan_answered(&scan, 4));
    assert_int_equal(quo_scan_failed(&scan, 1, QUO_BUSY), 0x08);
    assert_int_equal(quo_scan_failed(&scan, 1, QUO_BUSY), 0);
    assert_int_equal(quo_scan_failed(&scan, 2, QUO_UNAVAILABLE), 0x10);
    assert_int_equal(quo_tally_vote(&scan.replies), QUO_VOTE_OPEN);
    assert_true(quo_scan_answered(&scan, 3));
    assert_true(quo_scan_answered(&scan, 4));
    assert_int_equal(quo_tally_vote(&scan.replies), QUO_VOTE_WON);
}

static void loses_when_too_many_fail(void **state)
{
    (void)state;
    make_plan(0x1f, false);
    quo_scan_begin(&scan, &plan, 3, 0, 100);
    assert_int_equal(quo_scan_failed(&scan, 0, QUO_CORRUPT), 0x08);
    assert_int_equal(quo_scan_failed(&scan, 1, QUO_BUSY), 0x10);
    assert_int_equal(quo_tally_vote(&scan.replies), QUO_VOTE_OPEN);
    assert_int_equal(quo_scan_failed(&scan, 2, QUO_BUSY), 0);
    assert_int_equal(quo_tally_vote(&scan.replies), QUO_VOTE_LOST);
    assert_int_equal(quo_tally_blame(&scan.replies), QUO_VERDICT_REFUSED);
    assert_int_equal(scan.replies.refusal, QUO_CORRUPT);
}

static void asks_those_who_are_there_first(void **state)
{
    (void)state;
    make_plan(0x1a, false);
    assert_int_equal(quo_scan_begin(&scan, &plan, 2, 0, 100), 0x0a);
}

static void asks_everybody_who_is_there_when_patience_ends(void **state)
{
    (void)state;
    make_plan(0x0f, false);
    assert_int_equal(quo_scan_begin(&scan, &plan, 2, 1000, 100), 0x03);
    assert_int_equal(scan.patience_at, 1100);
    assert_int_equal(quo_scan_timer(&scan, 1099), 0);
    assert_int_equal(quo_scan_timer(&scan, 1100), 0x0c);
    assert_int_equal(scan.extra, 2);
    assert_int_equal(quo_scan_timer(&scan, 1200), 0);
    assert_int_equal(scan.patience_at, UINT64_MAX);
}

static void needs_both_sets_during_a_move(void **state)
{
    (void)state;
    make_plan(0xff, true);
    /* Members 3 and 4 are of both. */
    quo_members asked = quo_scan_begin(&scan, &plan, 3, 0, 100);
    assert_true(quo_members_count(asked & plan.sets[0]) >= 3);
    assert_true(quo_members_count(asked & plan.sets[1]) >= 3);
    for (uint8_t i = 0; i < 3; i++)
        quo_scan_answered(&scan, i);
    assert_int_equal(quo_tally_vote(&scan.replies), QUO_VOTE_OPEN);
}

/* Merging */

static uint8_t bytes[3][4096];
static size_t lens[3];

/* A text of items like "a5 b7x c2": key, version, x for a tombstone. */
static void page_of(int page, const char *text)
{
    lens[page] = 0;
    for (; *text != 0; text++) {
        if (*text == ' ')
            continue;
        struct quo_scan_item item = {.key = quo_slice(text, 1), .expires_ms = UINT64_MAX};
        item.version = item.changed = (struct quo_version){(uint64_t)(text[1] - '0'), 1};
        text++;
        if (text[1] == 'x')
            item.flags = QUO_RECORD_TOMBSTONE, text++;
        quo_scan_item_encode(&item, bytes[page] + lens[page]);
        lens[page] += quo_scan_item_size(&item);
    }
}

static const char *merged(uint8_t count, const bool more[], bool *ret_more)
{
    static char text[256];
    struct quo_slice items[3];
    struct quo_scan_merge merge;
    struct quo_scan_item item;
    size_t at = 0;

    for (uint8_t i = 0; i < count; i++)
        items[i] = quo_slice(bytes[i], lens[i]);
    quo_scan_merge_begin(&merge, count, items, more);
    while (quo_scan_merge_next(&merge, &item)) {
        text[at++] = (char)item.key.data[0];
        text[at++] = (char)('0' + item.version.hlc);
        if ((item.flags & QUO_RECORD_TOMBSTONE) != 0)
            text[at++] = 'x';
        for (uint8_t i = 0; i < count; i++) {
            if (quo_members_has(merge.behind, i))
                text[at++] = (char)('A' + i);
        }
        text[at++] = ' ';
    }
    text[at] = 0;
    *ret_more = merge.more;
    return text;
}

static void newest_of_each_key(void **state)
{
    (void)state;
    bool more;
    page_of(0, "a1 b2 d4");
    page_of(1, "a1 b3 c1");
    page_of(2, "a2 b3 d5x");
    assert_string_equal(merged(3, (bool[]){false, false, false}, &more), "a2AB b3A c1AC d5xAB ");
    assert_false(more);
}

static void ends_with_the_shortest_page(void **state)
{
    (void)state;
    bool more;
    page_of(0, "a1 b2");
    page_of(1, "a1 b2 c1 d1");
    page_of(2, "c1");
    assert_string_equal(merged(3, (bool[]){true, true, false}, &more), "a1C b2C ");
    assert_true(more);
    assert_string_equal(merged(3, (bool[]){false, true, false}, &more), "a1C b2C c1A d1AC ");
    assert_true(more);
    assert_string_equal(merged(1, (bool[]){true}, &more), "a1 b2 ");
    assert_true(more);
}

static void shows_the_record_that_any_page_shows(void **state)
{
    (void)state;
    uint8_t record[64];
    const struct quo_record r = {.flags = QUO_RECORD_BLIND, .version = {5, 1}};
    struct quo_record read;
    struct quo_scan_merge merge;
    struct quo_scan_item item, got;

    quo_record_encode(&r, record);
    quo_record_decode(quo_slice(record, quo_record_size(&r)), &read);
    quo_scan_item_of(quo_slice_of("a"), &read, &item);
    quo_scan_item_encode(&item, bytes[0]);
    struct quo_slice items[2] = {quo_slice(bytes[0], quo_scan_item_size(&item))};
    item.record = quo_slice(record, quo_record_size(&r));
    quo_scan_item_encode(&item, bytes[1]);
    items[1] = quo_slice(bytes[1], quo_scan_item_size(&item));
    quo_scan_merge_begin(&merge, 2, items, (bool[]){false, false});
    assert_true(quo_scan_merge_next(&merge, &got));
    assert_int_equal(got.record.len, quo_record_size(&r));
    assert_int_equal(merge.behind, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_mean_numbers),
        cmocka_unit_test(numbers_mean_levels),
        cmocka_unit_test(namespaces_have_their_say),
        cmocka_unit_test(what_has_no_meaning_is_refused),
        cmocka_unit_test(asks_as_few_as_it_needs),
        cmocka_unit_test(loses_when_too_many_fail),
        cmocka_unit_test(asks_those_who_are_there_first),
        cmocka_unit_test(asks_everybody_who_is_there_when_patience_ends),
        cmocka_unit_test(needs_both_sets_during_a_move),
        cmocka_unit_test(newest_of_each_key),
        cmocka_unit_test(ends_with_the_shortest_page),
        cmocka_unit_test(shows_the_record_that_any_page_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
