/* Each rule of a change, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proxy/change/change.h"

enum { RETENTION_S = 100 };
#define MARGIN_MS (2 * QUO_SKEW_MAX_MS)

/* Every ballot of these tests is that many milliseconds after an arbitrary morning. */
static uint64_t hlc_at(uint64_t ms)
{
    return (1700000000000u + ms) << 16;
}

static struct quo_version at(uint64_t ms)
{
    return (struct quo_version){hlc_at(ms), 7};
}

static struct quo_opid keyed(const char *key)
{
    return quo_opid_of_key(quo_slice_of(key));
}

static struct quo_opid unkeyed(uint64_t random)
{
    return quo_opid_make(hlc_at(0), random);
}

struct world {
    struct quo_changer *changer;
    struct quo_record record; /* what the last change made; borrows from `bytes` */
    bool is_there;
    bool is_retry; /* of an attempt whose first ballot is in the context */
    uint8_t *bytes;
    struct quo_change_context context;
    struct quo_change_result result;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->changer = quo_changer_new();
    assert_non_null(w->changer);
    w->context = (struct quo_change_context){.retention_s = RETENTION_S, .value_max = 1000};
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    quo_changer_free(w->changer);
    free(w->bytes);
    free(w);
    return 0;
}

/* The record as the next one to come finds it. */
static void keep(struct world *w, const struct quo_record *made)
{
    const size_t size = quo_record_size(made);
    uint8_t *bytes = malloc(size);

    assert_non_null(bytes);
    quo_record_encode(made, bytes);
    assert_int_equal(quo_record_decode(quo_slice(bytes, size), &w->record), QUO_OK);
    free(w->bytes);
    w->bytes = bytes;
    w->is_there = true;
}

static void assert_same_record(const struct quo_record *a, const struct quo_record *b)
{
    uint8_t x[QUO_RECORD_OVERHEAD_MAX + 64], y[sizeof x];
    const size_t size = quo_record_size(a);

    assert_true(size <= sizeof x);
    assert_int_equal(quo_record_size(b), size);
    quo_record_encode(a, x);
    quo_record_encode(b, y);
    assert_memory_equal(x, y, size);
}

/* Applies the change at `ms`, and keeps the record made if `expected` is WRITE. Of anything else
 * the record made must be the one found. */
static void apply(struct world *w, uint64_t ms, const struct quo_change *change,
                  enum quo_decision expected, enum quo_change_code code)
{
    const struct quo_record *base = w->is_there ? &w->record : NULL;
    struct quo_record made, identity;

    w->context.ballot = at(ms);
    if (!w->is_retry)
        w->context.first = w->context.ballot;
    enum quo_decision decision =
        quo_change_apply(w->changer, change, base, &w->context, &made, &w->result);
    assert_int_equal(decision, expected);
    assert_int_equal(w->result.code, code);
    assert_true(quo_version_equal(made.version, at(ms)));
    if (decision == QUO_DECISION_WRITE) {
        keep(w, &made);
        return;
    }
    quo_change_identity(base, at(ms), &identity);
    assert_same_record(&made, &identity);
}

static struct quo_change put_of(struct quo_opid opid, const char *value)
{
    return (struct quo_change){.type = QUO_CHANGE_PUT,
                               .opid = opid,
                               .since = hlc_at(0),
                               .digest = 5,
                               .content_type = quo_slice_of("text/plain"),
                               .value = quo_slice_of(value)};
}

static struct quo_change add_of(struct quo_opid opid, int64_t by)
{
    return (struct quo_change){
        .type = QUO_CHANGE_ADD, .opid = opid, .since = hlc_at(0), .digest = 6, .by = by};
}

static struct quo_change delete_of(struct quo_opid opid)
{
    return (struct quo_change){
        .type = QUO_CHANGE_DELETE, .opid = opid, .since = hlc_at(0), .digest = 7};
}

static struct quo_change patch_of(struct quo_opid opid, const char *patch)
{
    return (struct quo_change){.type = QUO_CHANGE_PATCH,
                               .opid = opid,
                               .since = hlc_at(0),
                               .digest = 8,
                               .value = quo_slice_of(patch)};
}

static struct quo_change resolve_of(struct quo_opid opid, uint64_t since_ms)
{
    return (struct quo_change){.type = QUO_CHANGE_RESOLVE, .opid = opid, .since = hlc_at(since_ms)};
}

static void assert_holds(const struct world *w, const char *type, const char *value)
{
    assert_int_equal(w->record.flags, 0);
    assert_true(quo_slice_equal(w->record.content_type, quo_slice_of(type)));
    assert_true(quo_slice_equal(w->record.value, quo_slice_of(value)));
}

static void assert_changed(const struct world *w, uint64_t ms)
{
    assert_true(quo_version_equal(w->result.changed, at(ms)));
}

/* A blind write at `ms`. */
static void blind_write(struct world *w, uint64_t ms, const char *value)
{
    keep(w, &(struct quo_record){
                .flags = QUO_RECORD_BLIND, .version = at(ms), .value = quo_slice_of(value)});
}

static void makes_identities(void **state)
{
    struct world *w = *state;
    struct quo_record made;

    quo_change_identity(NULL, at(1), &made);
    keep(w, &made);
    assert_int_equal(w->record.flags, QUO_RECORD_TOMBSTONE);
    assert_true(quo_version_is_none(w->record.changed));
    assert_true(quo_version_is_none(w->record.hist_from));

    blind_write(w, 2, "v");
    quo_change_identity(&w->record, at(3), &made);
    keep(w, &made);
    assert_holds(w, "", "v");
    assert_true(quo_version_equal(w->record.version, at(3)));
    assert_true(quo_version_equal(w->record.changed, at(2)));
    assert_true(quo_version_equal(w->record.hist_from, at(2)));
    assert_true(quo_version_equal(w->record.keyed_from, at(2)));

    struct quo_change put = put_of(keyed("k"), "x");
    put.since = hlc_at(1000000);
    apply(w, 1000000, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    quo_change_identity(&w->record, at(1000001), &made);
    assert_true(quo_slice_equal(made.ring, w->record.ring));
    assert_true(quo_version_equal(made.changed, at(1000000)));
}

static void puts_and_deletes(void **state)
{
    struct world *w = *state;
    struct quo_change put = put_of(unkeyed(1), "one"), delete = delete_of(unkeyed(2));

    apply(w, 10, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_holds(w, "text/plain", "one");
    assert_changed(w, 10);
    assert_false(w->result.replayed);
    assert_false(w->result.has_counter);
    assert_true(quo_version_equal(w->record.changed, at(10)));
    assert_int_equal(quo_ring_count(w->record.ring), 1);

    apply(w, 20, &delete, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_int_equal(w->record.flags, QUO_RECORD_TOMBSTONE);
    assert_int_equal(w->record.value.len + w->record.content_type.len, 0);
    assert_changed(w, 20);
    assert_int_equal(quo_ring_count(w->record.ring), 2);

    delete = delete_of(unkeyed(3));
    apply(w, 30, &delete, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_changed(w, 30);
}

static void deletes_what_never_was(void **state)
{
    struct world *w = *state;
    struct quo_change delete = delete_of(unkeyed(1));

    apply(w, 10, &delete, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_int_equal(w->record.flags, QUO_RECORD_TOMBSTONE);
    assert_true(quo_version_equal(w->record.changed, at(10)));
}

static void refuses_large_values(void **state)
{
    struct world *w = *state;
    struct quo_change put = put_of(unkeyed(1), "12345");

    w->context.value_max = 5;
    apply(w, 10, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    put = put_of(unkeyed(2), "123456");
    apply(w, 20, &put, QUO_DECISION_KEEP, QUO_CHANGE_TOO_LARGE);
    assert_changed(w, 10);
    struct quo_change patch = patch_of(unkeyed(3), "[1,2]");
    apply(w, 30, &patch, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    patch = patch_of(unkeyed(4), "123456");
    apply(w, 40, &patch, QUO_DECISION_KEEP, QUO_CHANGE_TOO_LARGE);
    put = put_of(unkeyed(5), "99999");
    apply(w, 50, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    struct quo_change add = add_of(unkeyed(6), 1);
    apply(w, 60, &add, QUO_DECISION_KEEP, QUO_CHANGE_TOO_LARGE);
    assert_false(w->result.has_counter);
    assert_holds(w, "text/plain", "99999");
}

static void looks_at_conditions(void **state)
{
    struct world *w = *state;
    struct quo_change put = put_of(unkeyed(1), "v");

    /* Nothing is there. */
    put.condition = QUO_CONDITION_PRESENT;
    apply(w, 10, &put, QUO_DECISION_KEEP, QUO_CHANGE_CONDITION);
    assert_true(quo_version_is_none(w->result.changed));
    put.condition = QUO_CONDITION_TAGS;
    put.tag_count = 1; /* the tag of nothing */
    apply(w, 10, &put, QUO_DECISION_KEEP, QUO_CHANGE_CONDITION);
    put.condition = QUO_CONDITION_ABSENT;
    apply(w, 10, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);

    /* Something is. */
    put.opid = unkeyed(2);
    apply(w, 20, &put, QUO_DECISION_KEEP, QUO_CHANGE_CONDITION);
    assert_changed(w, 10);
    put.condition = QUO_CONDITION_TAGS;
    put.tag_count = 0;
    apply(w, 20, &put, QUO_DECISION_KEEP, QUO_CHANGE_CONDITION);
    put.tags[0] = at(9);
    put.tags[1] = at(10);
    put.tag_count = 1;
    apply(w, 20, &put, QUO_DECISION_KEEP, QUO_CHANGE_CONDITION);
    put.tag_count = 2;
    apply(w, 20, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    put.opid = unkeyed(3);
    put.condition = QUO_CONDITION_PRESENT;
    apply(w, 30, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);

    /* A tombstone is nothing. */
    struct quo_change delete = delete_of(unkeyed(4));
    apply(w, 40, &delete, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    put = put_of(unkeyed(5), "w");
    put.condition = QUO_CONDITION_TAGS;
    put.tags[0] = at(40);
    put.tag_count = 1;
    apply(w, 50, &put, QUO_DECISION_KEEP, QUO_CHANGE_CONDITION);
    assert_changed(w, 40);
    put.condition = QUO_CONDITION_PRESENT;
    apply(w, 50, &put, QUO_DECISION_KEEP, QUO_CHANGE_CONDITION);
    put.condition = QUO_CONDITION_ABSENT;
    apply(w, 50, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);

    /* A blind write is known by its version, an identity by what it keeps. */
    blind_write(w, 60, "x");
    struct quo_record made;
    quo_change_identity(&w->record, at(61), &made);
    keep(w, &made);
    put.opid = unkeyed(6);
    put.condition = QUO_CONDITION_TAGS;
    put.tags[0] = at(61);
    apply(w, 62, &put, QUO_DECISION_KEEP, QUO_CHANGE_CONDITION);
    put.tags[0] = at(60);
    apply(w, 62, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
}

static void counts(void **state)
{
    struct world *w = *state;
    struct quo_change add = add_of(unkeyed(1), 5);

    apply(w, 10, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_true(w->result.has_counter);
    assert_int_equal(w->result.counter, 5);
    assert_holds(w, "application/json", "5");

    add = add_of(unkeyed(2), -7);
    add.has_min = true;
    add.min = -1;
    apply(w, 20, &add, QUO_DECISION_KEEP, QUO_CHANGE_BOUND);
    assert_true(w->result.has_counter);
    assert_int_equal(w->result.counter, 5);
    assert_changed(w, 10);
    add.min = -2;
    apply(w, 20, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_holds(w, "application/json", "-2");

    add = add_of(unkeyed(3), 2);
    add.has_max = true;
    add.max = -1;
    apply(w, 30, &add, QUO_DECISION_KEEP, QUO_CHANGE_BOUND);
    add.max = 0;
    apply(w, 30, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_holds(w, "application/json", "0");

    add = add_of(unkeyed(4), INT64_MIN);
    apply(w, 40, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_holds(w, "application/json", "-9223372036854775808");
    add = add_of(unkeyed(5), -1);
    apply(w, 50, &add, QUO_DECISION_KEEP, QUO_CHANGE_BOUND);
    assert_true(w->result.counter == INT64_MIN);

    struct quo_change put = put_of(unkeyed(6), "1 ");
    apply(w, 60, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    apply(w, 70, &add, QUO_DECISION_KEEP, QUO_CHANGE_NOT_A_COUNTER);
    assert_false(w->result.has_counter);
    put = put_of(unkeyed(7), "");
    apply(w, 80, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    apply(w, 90, &add, QUO_DECISION_KEEP, QUO_CHANGE_NOT_A_COUNTER);

    /* A deleted counter begins at 0 again. */
    struct quo_change delete = delete_of(unkeyed(8));
    apply(w, 100, &delete, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    apply(w, 110, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_holds(w, "application/json", "-1");
}

static void patches(void **state)
{
    struct world *w = *state;
    struct quo_change patch = patch_of(unkeyed(1), "{\"a\":1,\"b\":null}");

    apply(w, 10, &patch, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_holds(w, "application/json", "{\"a\":1}");
    struct quo_change put = put_of(unkeyed(2), "{\"a\": 1.0, \"b\": 2}");
    put.content_type = quo_slice_of("application/ld+json");
    apply(w, 20, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    patch = patch_of(unkeyed(3), "{\"b\":null,\"c\":[]}");
    apply(w, 30, &patch, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_holds(w, "application/ld+json", "{\"a\":1.0,\"c\":[]}");

    patch = patch_of(unkeyed(4), "{}");
    put = put_of(unkeyed(5), "hello");
    apply(w, 40, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    apply(w, 50, &patch, QUO_DECISION_KEEP, QUO_CHANGE_NOT_JSON);
    put = put_of(unkeyed(6), "");
    apply(w, 60, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    apply(w, 70, &patch, QUO_DECISION_KEEP, QUO_CHANGE_NOT_JSON);
    blind_write(w, 80, "{\"x\":{\"y\":1}}");
    apply(w, 90, &patch, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_holds(w, "application/json", "{\"x\":{\"y\":1}}");
    /* Of a deleted value nothing is left, not its type either. */
    keep(w, &(struct quo_record){.flags = QUO_RECORD_BLIND | QUO_RECORD_TOMBSTONE,
                                 .version = at(91),
                                 .content_type = quo_slice_of("text/plain")});
    apply(w, 92, &patch, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_holds(w, "application/json", "{}");
    patch = patch_of(unkeyed(7), "{");
    apply(w, 100, &patch, QUO_DECISION_KEEP, QUO_CHANGE_NOT_JSON);
}

static void finds_itself(void **state)
{
    struct world *w = *state;
    struct quo_change add = add_of(unkeyed(1), 5), other = add_of(unkeyed(2), 1);

    apply(w, 10, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    apply(w, 20, &other, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    w->is_retry = w->context.sent = true;
    w->context.first = at(10);
    apply(w, 30, &add, QUO_DECISION_FOUND, QUO_CHANGE_DONE);
    assert_changed(w, 10);
    assert_true(w->result.has_counter);
    assert_int_equal(w->result.counter, 5);
    assert_false(w->result.replayed);
    struct quo_change put = put_of(unkeyed(1), "v");
    put.digest = add.digest;
    apply(w, 30, &put, QUO_DECISION_FOUND, QUO_CHANGE_DONE);
    assert_false(w->result.has_counter);
}

static void replays_keys(void **state)
{
    struct world *w = *state;
    struct quo_change add = add_of(keyed("k"), 5), other = add_of(unkeyed(2), 1);

    apply(w, 10, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_false(w->result.replayed);
    apply(w, 20, &other, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    apply(w, 30, &add, QUO_DECISION_FOUND, QUO_CHANGE_DONE);
    assert_changed(w, 10);
    assert_int_equal(w->result.counter, 5);
    assert_true(w->result.replayed);

    add.digest++;
    apply(w, 40, &add, QUO_DECISION_KEEP, QUO_CHANGE_KEY_REUSED);
    assert_changed(w, 20);
    assert_false(w->result.replayed);
    assert_false(w->result.has_counter);
}

/* Every failure of a keyed operation is decided once and for all. */
static void records_failures_of_keys(void **state)
{
    struct world *w = *state;
    struct quo_change put = put_of(keyed("condition"), "v");
    struct quo_change add = add_of(keyed("bound"), -1);

    put.condition = QUO_CONDITION_PRESENT;
    apply(w, 10, &put, QUO_DECISION_WRITE, QUO_CHANGE_CONDITION);
    assert_true(quo_version_is_none(w->result.changed));
    assert_int_equal(w->record.flags, QUO_RECORD_TOMBSTONE);
    assert_true(quo_version_is_none(w->record.changed));
    assert_int_equal(quo_ring_count(w->record.ring), 1);

    struct quo_change other = add_of(unkeyed(1), 3);
    apply(w, 20, &other, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    add.has_min = true;
    add.min = 3;
    apply(w, 30, &add, QUO_DECISION_WRITE, QUO_CHANGE_BOUND);
    assert_changed(w, 20);
    assert_int_equal(w->result.counter, 3);
    assert_holds(w, "application/json", "3");
    assert_true(quo_version_equal(w->record.changed, at(20)));

    other = add_of(unkeyed(2), 3);
    apply(w, 40, &other, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    apply(w, 50, &put, QUO_DECISION_FOUND, QUO_CHANGE_CONDITION);
    assert_changed(w, 40);
    assert_true(w->result.replayed);
    apply(w, 50, &add, QUO_DECISION_FOUND, QUO_CHANGE_BOUND);
    assert_true(w->result.has_counter);
    assert_int_equal(w->result.counter, 3);

    put = put_of(unkeyed(3), "text");
    apply(w, 60, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    add = add_of(keyed("counter"), 1);
    apply(w, 70, &add, QUO_DECISION_WRITE, QUO_CHANGE_NOT_A_COUNTER);
    struct quo_change patch = patch_of(keyed("json"), "{}");
    apply(w, 80, &patch, QUO_DECISION_WRITE, QUO_CHANGE_NOT_JSON);
    w->context.value_max = 3;
    put = put_of(keyed("large"), "1234");
    apply(w, 90, &put, QUO_DECISION_WRITE, QUO_CHANGE_TOO_LARGE);
    assert_changed(w, 60);
    assert_holds(w, "text/plain", "text");
    /* Over a blind write too: it is one no more, and keeps its tag. */
    blind_write(w, 100, "b");
    put.since = hlc_at(1000000);
    apply(w, 1000000, &put, QUO_DECISION_WRITE, QUO_CHANGE_TOO_LARGE);
    assert_holds(w, "", "b");
    assert_changed(w, 100);
}

static void fills_the_ring_with_keys(struct world *w, uint64_t ms, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct quo_change add = add_of(quo_opid_of_key(quo_slice(&i, sizeof i)), 1);
        add.since = hlc_at(ms + i);
        apply(w, ms + i, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    }
}

static void stops_at_a_full_ring(void **state)
{
    struct world *w = *state;
    struct quo_change add = add_of(keyed("one more"), 1);

    fills_the_ring_with_keys(w, 1, 0, QUO_RING_KEYED_MAX);
    apply(w, 1000, &add, QUO_DECISION_KEEP, QUO_CHANGE_RING_FULL);
    assert_false(w->result.has_counter);
    assert_changed(w, QUO_RING_KEYED_MAX);
    add.condition = QUO_CONDITION_ABSENT;
    apply(w, 1000, &add, QUO_DECISION_KEEP, QUO_CHANGE_RING_FULL);
    struct quo_change resolve = resolve_of(keyed("one more"), 900);
    apply(w, 1000, &resolve, QUO_DECISION_KEEP, QUO_CHANGE_RING_FULL);

    /* Without a key there is always room. */
    for (unsigned i = 0; i < 3 * QUO_RING_UNKEYED_MAX; i++) {
        struct quo_change other = add_of(unkeyed(i), 1);
        apply(w, 1001 + i, &other, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    }
    /* Old keys make room. */
    const uint64_t later = RETENTION_S * 1000 + 2 * MARGIN_MS + 10;
    add = add_of(keyed("one more"), 1);
    add.since = hlc_at(later);
    apply(w, later, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
}

/* An attempt that may have taken effect must see far enough back to tell. */
static void admits_ignorance(void **state)
{
    struct world *w = *state;
    struct quo_change add = add_of(unkeyed(1), 1);

    blind_write(w, 20, "5");
    w->is_retry = w->context.sent = true;
    w->context.first = at(21);
    apply(w, 30, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);

    blind_write(w, 40, "5");
    w->context.first = at(40);
    apply(w, 50, &add, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    w->context.first = at(39);
    apply(w, 50, &add, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    assert_changed(w, 40);
    /* What was never sent has nothing to look for, however long it has tried. */
    w->context.sent = false;
    apply(w, 50, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);

    w->is_retry = w->context.sent = true;
    w->context.first = at(60);
    w->context.floor = at(59);
    add = add_of(unkeyed(2), 1);
    apply(w, 70, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    w->context.floor = at(60);
    add = add_of(unkeyed(3), 1);
    apply(w, 80, &add, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    w->is_there = false;
    apply(w, 80, &add, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    w->context.floor = QUO_VERSION_NONE;
    apply(w, 80, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
}

static void unkeyed_history_does_not_wait_for_keys(void **state)
{
    struct world *w = *state;

    /* One operation without a key too many: hist_from rises, keyed_from does not. */
    for (unsigned i = 0; i <= QUO_RING_UNKEYED_MAX; i++) {
        struct quo_change add = add_of(unkeyed(i), 1);
        apply(w, 10 + i, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    }
    assert_true(quo_version_equal(w->record.hist_from, at(10)));
    w->is_retry = w->context.sent = true;
    w->context.first = at(10);
    struct quo_change add = add_of(unkeyed(99), 1);
    apply(w, 90, &add, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    add = add_of(keyed("k"), 1);
    apply(w, 90, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
}

/* With a key another proposer may be at it: what is not recorded here, it may decide otherwise. */
static void shared_keys_need_their_history(void **state)
{
    struct world *w = *state;
    struct quo_change put = put_of(keyed("k"), "w");

    blind_write(w, 50, "5");
    w->context.retention_s = 0;
    put.since = hlc_at(50 + MARGIN_MS + 100);
    w->context.shared = w->is_retry = true;
    w->context.first = at(40);
    apply(w, 50 + MARGIN_MS + 200, &put, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    w->context.first = at(55);
    apply(w, 50 + MARGIN_MS + 200, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
}

/* Without one it may have been fenced since it was handed on. A blind write forgets fences... */
static void handed_operations_must_see_their_fence(void **state)
{
    struct world *w = *state;
    struct quo_change put = put_of(unkeyed(2), "w");

    blind_write(w, 50, "5");
    w->context.shared = true;
    put.since = hlc_at(50);
    apply(w, 60, &put, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    put.since = hlc_at(51);
    apply(w, 60, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    /* ...and so does the floor... */
    put = put_of(unkeyed(3), "w");
    put.since = hlc_at(65);
    w->context.floor = at(65);
    apply(w, 70, &put, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    w->context.floor = QUO_VERSION_NONE;
    /* ...and time. */
    const uint64_t later = 65 + QUO_RING_FENCE_MS;
    apply(w, later + 1, &put, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    apply(w, later, &put, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
}

/* However many operations follow, whoever was handed one that was given up finds its fence. */
static void fences_outlive_the_operations_around_them(void **state)
{
    struct world *w = *state;
    struct quo_change put = put_of(unkeyed(1), "late");
    struct quo_change resolve = {.type = QUO_CHANGE_RESOLVE, .opid = put.opid};

    put.since = resolve.since = hlc_at(9);
    apply(w, 10, &resolve, QUO_DECISION_WRITE, QUO_CHANGE_FENCED);
    for (unsigned i = 0; i < 3 * QUO_RING_UNKEYED_MAX; i++) {
        struct quo_change add = put_of(unkeyed(100 + i), "v");
        apply(w, 20 + i, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    }
    w->context.shared = true;
    apply(w, 9 + QUO_RING_FENCE_MS, &put, QUO_DECISION_FOUND, QUO_CHANGE_FENCED);
}

static void keys_need_their_history(void **state)
{
    struct world *w = *state;
    const uint64_t lost = 20, seen = lost + RETENTION_S * 1000 + MARGIN_MS + 1;
    struct quo_change add = add_of(keyed("k"), 1);

    blind_write(w, lost, "5");
    add.since = hlc_at(seen - 1);
    apply(w, seen + 10, &add, QUO_DECISION_KEEP, QUO_CHANGE_HISTORY_LOST);
    assert_changed(w, lost);
    /* A clock that runs ahead makes no history look old. */
    add.since = hlc_at(seen + 99);
    apply(w, seen - 1, &add, QUO_DECISION_KEEP, QUO_CHANGE_HISTORY_LOST);
    w->is_retry = w->context.sent = true;
    w->context.first = at(lost + 1);
    add.since = hlc_at(lost + 1);
    apply(w, seen, &add, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    w->is_retry = w->context.sent = false;
    add.since = hlc_at(seen);
    apply(w, seen, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);

    /* An attempt of this very request that the retention, being short, no longer covers. */
    blind_write(w, seen + 10, "5");
    w->context.retention_s = 0;
    w->is_retry = w->context.sent = true;
    w->context.first = at(seen + 10);
    add = add_of(keyed("l"), 1);
    add.since = hlc_at(seen + 20 + MARGIN_MS);
    apply(w, seen + 20 + MARGIN_MS, &add, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    w->context.first = at(seen + 11);
    apply(w, seen + 20 + MARGIN_MS, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
}

static void resolves_what_was_decided(void **state)
{
    struct world *w = *state;
    struct quo_change add = add_of(unkeyed(1), 5), put = put_of(keyed("k"), "v");

    apply(w, 10, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    put.condition = QUO_CONDITION_ABSENT;
    apply(w, 20, &put, QUO_DECISION_WRITE, QUO_CHANGE_CONDITION);
    struct quo_change resolve = resolve_of(unkeyed(1), 5);
    apply(w, 30, &resolve, QUO_DECISION_FOUND, QUO_CHANGE_DONE);
    assert_changed(w, 10);
    assert_true(w->result.replayed);
    assert_false(w->result.has_counter);
    resolve = resolve_of(keyed("k"), 5);
    apply(w, 30, &resolve, QUO_DECISION_FOUND, QUO_CHANGE_CONDITION);
    assert_changed(w, 10);
    assert_true(w->result.replayed);
    struct quo_change bounded = add_of(keyed("b"), 5);
    bounded.has_max = true;
    bounded.max = 9;
    apply(w, 40, &bounded, QUO_DECISION_WRITE, QUO_CHANGE_BOUND);
    resolve = resolve_of(keyed("b"), 5);
    apply(w, 50, &resolve, QUO_DECISION_FOUND, QUO_CHANGE_BOUND);
    assert_true(w->result.has_counter);
    assert_int_equal(w->result.counter, 5);
}

static void fences_what_was_not(void **state)
{
    struct world *w = *state;
    struct quo_change add = add_of(unkeyed(1), 5), put = put_of(keyed("k"), "v");
    struct quo_change resolve = resolve_of(unkeyed(1), 5);

    apply(w, 10, &resolve, QUO_DECISION_WRITE, QUO_CHANGE_FENCED);
    assert_false(w->result.replayed);
    assert_int_equal(w->record.flags, QUO_RECORD_TOMBSTONE);
    assert_true(quo_version_is_none(w->record.changed));
    apply(w, 20, &resolve, QUO_DECISION_FOUND, QUO_CHANGE_FENCED);
    assert_true(w->result.replayed);
    /* Who fenced it did not know what it asked for. */
    apply(w, 20, &add, QUO_DECISION_FOUND, QUO_CHANGE_FENCED);
    assert_false(w->result.has_counter);

    struct quo_change other = put_of(unkeyed(2), "w");
    apply(w, 30, &other, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    resolve = resolve_of(keyed("k"), 5);
    apply(w, 40, &resolve, QUO_DECISION_WRITE, QUO_CHANGE_FENCED);
    assert_changed(w, 30);
    assert_holds(w, "text/plain", "w");
    apply(w, 50, &put, QUO_DECISION_FOUND, QUO_CHANGE_FENCED);
    assert_true(w->result.replayed);
    assert_changed(w, 30);
}

static void resolves_only_what_it_sees(void **state)
{
    struct world *w = *state;
    struct quo_change resolve = resolve_of(unkeyed(1), 20);

    blind_write(w, 20, "v");
    apply(w, 30, &resolve, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    assert_changed(w, 20);
    resolve = resolve_of(unkeyed(1), 21);
    w->context.floor = at(21);
    apply(w, 30, &resolve, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    w->context.floor = at(20);
    apply(w, 30, &resolve, QUO_DECISION_WRITE, QUO_CHANGE_FENCED);

    blind_write(w, 40, "v");
    resolve = resolve_of(keyed("k"), 40 + MARGIN_MS + RETENTION_S * 1000);
    apply(w, 900000, &resolve, QUO_DECISION_UNPROVABLE, QUO_CHANGE_HISTORY_LOST);
    resolve = resolve_of(keyed("k"), 41 + MARGIN_MS + RETENTION_S * 1000);
    apply(w, 900000, &resolve, QUO_DECISION_WRITE, QUO_CHANGE_FENCED);
}

static enum quo_operation_state state_of(const struct world *w, struct quo_opid opid,
                                         uint64_t since_ms, struct quo_ring_entry *ret)
{
    return quo_change_state(w->is_there ? &w->record : NULL, &opid, hlc_at(since_ms), RETENTION_S,
                            ret);
}

static void tells_the_state(void **state)
{
    struct world *w = *state;
    struct quo_ring_entry entry = {0};
    struct quo_change add = add_of(unkeyed(1), 5), put = put_of(keyed("k"), "v");

    assert_int_equal(state_of(w, unkeyed(1), 5, &entry), QUO_OPERATION_IN_FLIGHT);
    apply(w, 10, &add, QUO_DECISION_WRITE, QUO_CHANGE_DONE);
    assert_int_equal(state_of(w, unkeyed(1), 5, &entry), QUO_OPERATION_APPLIED);
    assert_true(quo_version_equal(entry.at, at(10)));
    assert_int_equal(entry.result, 5);
    assert_int_equal(state_of(w, keyed("k"), 5, &entry), QUO_OPERATION_IN_FLIGHT);
    put.condition = QUO_CONDITION_ABSENT;
    apply(w, 20, &put, QUO_DECISION_WRITE, QUO_CHANGE_CONDITION);
    assert_int_equal(state_of(w, keyed("k"), 5, &entry), QUO_OPERATION_NOT_APPLIED);
    assert_int_equal(entry.code, QUO_CHANGE_CONDITION);
    struct quo_change resolve = resolve_of(unkeyed(2), 5);
    apply(w, 30, &resolve, QUO_DECISION_WRITE, QUO_CHANGE_FENCED);
    assert_int_equal(state_of(w, unkeyed(2), 5, &entry), QUO_OPERATION_NOT_APPLIED);
    assert_int_equal(entry.code, QUO_CHANGE_FENCED);

    blind_write(w, 40, "v");
    assert_int_equal(state_of(w, unkeyed(1), 40, &entry), QUO_OPERATION_EXPIRED);
    assert_int_equal(state_of(w, unkeyed(1), 41, &entry), QUO_OPERATION_IN_FLIGHT);
    assert_int_equal(state_of(w, keyed("k"), 40 + MARGIN_MS + RETENTION_S * 1000, &entry),
                     QUO_OPERATION_EXPIRED);
    assert_int_equal(state_of(w, keyed("k"), 41 + MARGIN_MS + RETENTION_S * 1000, &entry),
                     QUO_OPERATION_IN_FLIGHT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_identities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(puts_and_deletes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deletes_what_never_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_large_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(looks_at_conditions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(patches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replays_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_failures_of_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_at_a_full_ring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(admits_ignorance, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unkeyed_history_does_not_wait_for_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shared_keys_need_their_history, set_up, tear_down),
        cmocka_unit_test_setup_teardown(handed_operations_must_see_their_fence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fences_outlive_the_operations_around_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(keys_need_their_history, set_up, tear_down),
        cmocka_unit_test_setup_teardown(resolves_what_was_decided, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fences_what_was_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(resolves_only_what_it_sees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_the_state, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
