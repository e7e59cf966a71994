/* A timeline and a set are what is left when replicas are merged, key by key, the newest version of
 * each: in whatever order that is done, and however often, against a twin that only counts dots.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/collections/set.h"
#include "proxy/collections/timeline.h"

#define RECORDS 160
#define ELEMENTS 5
#define ENTRIES 40

struct row {
    uint8_t key[64]; /* names are short here */
    size_t len;
    struct quo_version version;
    bool is_tombstone;
};

/* What one replica holds. */
struct held {
    struct row rows[RECORDS];
    int count;
};

/* What was done, by whoever did it: an element is there if one of its dots was not seen by who
 * removed it. */
struct twin {
    struct {
        int element; /* -1: an entry of a timeline */
        struct quo_version dot;
        bool is_removed;
    } dots[RECORDS];
    int count;
};

static uint64_t seed;
static uint64_t last_hlc;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

static void keep(struct held *held, const struct row *row)
{
    for (int i = 0; i < held->count; i++) {
        struct row *mine = &held->rows[i];
        if (!quo_slice_equal(quo_slice(mine->key, mine->len), quo_slice(row->key, row->len)))
            continue;
        if (quo_version_compare(row->version, mine->version) > 0)
            *mine = *row;
        return;
    }
    assert_true(held->count < RECORDS);
    held->rows[held->count++] = *row;
}

static void merge(struct held *into, const struct held *from)
{
    for (int i = 0; i < from->count; i++)
        keep(into, &from->rows[i]);
}

static int by_key(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    const int order = memcmp(x->key, y->key, QUO_MIN(x->len, y->len));

    return order != 0 ? order : x->len < y->len ? -1 : x->len > y->len;
}

static void assert_same(const struct held *a, const struct held *b)
{
    static struct held x, y;

    x = *a, y = *b;
    qsort(x.rows, (size_t)x.count, sizeof x.rows[0], by_key);
    qsort(y.rows, (size_t)y.count, sizeof y.rows[0], by_key);
    assert_int_equal(x.count, y.count);
    for (int i = 0; i < x.count; i++) {
        assert_int_equal(by_key(&x.rows[i], &y.rows[i]), 0);
        assert_true(quo_version_equal(x.rows[i].version, y.rows[i].version));
        assert_int_equal(x.rows[i].is_tombstone, y.rows[i].is_tombstone);
    }
}

/* Clocks of several proxies: in no order, but never twice the same. */
static struct quo_version make_version(void)
{
    last_hlc++;
    return (struct quo_version){(UINT64_C(1000) + draw(200)) << 16 | (last_hlc & 0xffff),
                                1 + draw(3)};
}

static struct quo_slice element_of(int element)
{
    static const char names[ELEMENTS][4] = {"a", "b", "aa", "ab", "ba"};

    return quo_slice_of(names[element]);
}

static void add(struct held *at, struct twin *twin, int element)
{
    struct row row = {.version = make_version()};
    const struct quo_entry_id id = {.version = row.version};

    uint8_t key[QUO_KEY_MAX];

    row.len = element < 0 ? quo_entry_key(quo_slice_of("x"), &id, key)
                          : quo_dot_key(quo_slice_of("x"), element_of(element), row.version, key);
    assert_true(row.len <= sizeof row.key);
    memcpy(row.key, key, row.len);
    keep(at, &row);
    twin->dots[twin->count].element = element;
    twin->dots[twin->count].is_removed = false;
    twin->dots[twin->count++].dot = row.version;
}

/* Deletes what this replica shows of the element, or the newest of its entries. */
static void take_away(struct held *at, struct twin *twin, int element)
{
    for (int i = 0; i < at->count; i++) {
        struct row row = at->rows[i];
        struct quo_version dot;
        struct quo_entry_id id;
        struct quo_slice name;
        if (row.is_tombstone)
            continue;
        if (element < 0 ? !quo_entry_key_parse(quo_slice(row.key, row.len), &id)
                        : !quo_dot_key_parse(quo_slice(row.key, row.len), &name, &dot) ||
                              !quo_slice_equal(name, element_of(element)))
            continue;
        if (element < 0)
            dot = id.version;
        row.is_tombstone = true;
        row.version = make_version();
        row.version.hlc = QUO_MAX(row.version.hlc, dot.hlc + 1);
        keep(at, &row);
        for (int k = 0; k < twin->count; k++)
            twin->dots[k].is_removed |= quo_version_equal(twin->dots[k].dot, dot);
        if (element < 0)
            return;
    }
}

/* Whether a replica shows just what the twin has left. */
static void assert_shows(struct held *held, const struct twin *twin)
{
    bool shown[ELEMENTS] = {false}, meant[ELEMENTS] = {false};
    int entries = 0, meant_entries = 0;
    struct quo_entry_id id, before = {.version = {UINT64_MAX, UINT64_MAX}};
    struct quo_slice name;
    struct quo_version dot;

    for (int i = 0; i < twin->count; i++) {
        if (twin->dots[i].is_removed)
            continue;
        if (twin->dots[i].element < 0)
            meant_entries++;
        else
            meant[twin->dots[i].element] = true;
    }
    qsort(held->rows, (size_t)held->count, sizeof held->rows[0], by_key);
    for (int i = 0; i < held->count; i++) {
        const struct quo_slice key = quo_slice(held->rows[i].key, held->rows[i].len);
        if (held->rows[i].is_tombstone)
            continue;
        if (quo_entry_key_parse(key, &id)) {
            assert_true(quo_version_compare(id.version, before.version) < 0);
            before = id;
            entries++;
        } else {
            assert_true(quo_dot_key_parse(key, &name, &dot));
            for (int k = 0; k < ELEMENTS; k++)
                shown[k] |= quo_slice_equal(name, element_of(k));
        }
    }
    assert_int_equal(entries, meant_entries);
    assert_memory_equal(shown, meant, sizeof shown);
}

/* Several replicas, each of which takes writes by itself and now and then what another one has. */
static void do_something(struct held replicas[3], struct twin *twin, bool is_set)
{
    struct held *at = &replicas[draw(3)];
    const int element = is_set ? (int)draw(ELEMENTS) : -1;

    if (twin->count < ENTRIES && draw(3) > 0)
        add(at, twin, element);
    else if (draw(2) == 0)
        take_away(at, twin, element);
    else
        merge(at, &replicas[draw(3)]);
}

static void merging_is_a_join(struct held replicas[3], const struct twin *twin)
{
    static struct held ab_c, a_bc, all, bc;

    ab_c = replicas[0];
    merge(&ab_c, &replicas[1]);
    merge(&ab_c, &replicas[2]);
    bc = replicas[1];
    merge(&bc, &replicas[2]);
    a_bc = replicas[0];
    merge(&a_bc, &bc);
    assert_same(&ab_c, &a_bc);
    all = replicas[2];
    merge(&all, &replicas[0]);
    merge(&all, &replicas[1]);
    merge(&all, &replicas[0]);
    merge(&all, &ab_c);
    assert_same(&all, &ab_c);
    assert_shows(&all, twin);
}

static void run(bool is_set)
{
    static struct held replicas[3];
    static struct twin twin;

    for (uint64_t turn = 1; turn <= 400; turn++) {
        seed = turn;
        last_hlc = 0;
        memset(replicas, 0, sizeof replicas);
        memset(&twin, 0, sizeof twin);
        for (int i = 0; i < 80; i++)
            do_something(replicas, &twin, is_set);
        merging_is_a_join(replicas, &twin);
    }
}

static void sets_merge(void **state)
{
    (void)state;
    run(true);
}

static void timelines_merge(void **state)
{
    (void)state;
    run(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_merge),
        cmocka_unit_test(timelines_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
