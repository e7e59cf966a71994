/* The table behind the store that remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage-node/engine/cache.h"

#define LIMIT (64u * 1024)
#define D 0
#define P 1

static struct quo_cache *cache;

static int setup(void **state)
{
    (void)state;
    cache = quo_cache_new(LIMIT);
    return cache == NULL;
}

static int teardown(void **state)
{
    (void)state;
    quo_cache_free(cache);
    return 0;
}

static struct quo_cache_name numbered(uint8_t *key, uint32_t number)
{
    quo_put_u32(key, number);
    return quo_cache_name(D, quo_slice(key, 4));
}

static void put(uint8_t space, const char *key, const char *value)
{
    struct quo_cache_name name = quo_cache_name(space, quo_slice_of(key));
    struct quo_slice bytes = quo_slice_of(value == NULL ? "" : value);
    struct quo_cached *cached = quo_cache_make(cache, &name, value == NULL ? NULL : &bytes);

    assert_non_null(cached);
    quo_cache_link(cache, cached);
}

static struct quo_cached *find(uint8_t space, const char *key)
{
    struct quo_cache_name name = quo_cache_name(space, quo_slice_of(key));
    return quo_cache_find(cache, &name);
}

static void expect(uint8_t space, const char *key, const char *value)
{
    struct quo_cached *cached = find(space, key);

    assert_non_null(cached);
    assert_int_equal(cached->absent, value == NULL);
    if (value != NULL)
        assert_true(quo_slice_equal(quo_cached_value(cached), quo_slice_of(value)));
}

static void finds_what_was_put_last(void **state)
{
    (void)state;
    put(D, "a", "1");
    put(P, "a", NULL);
    put(D, "", "");
    put(D, "b", "2");
    put(D, "b", "longer than it was before, so that it needs another chunk");
    expect(D, "a", "1");
    expect(P, "a", NULL);
    expect(D, "", "");
    expect(D, "b", "longer than it was before, so that it needs another chunk");
    assert_null(find(P, "b"));
    assert_int_equal(quo_cache_figures(cache).entries, 4);
    quo_cache_forget(cache, find(D, "a")->hash);
    assert_null(find(D, "a"));
    quo_cache_clear(cache, 7);
    assert_null(find(D, "b"));
    assert_int_equal(*quo_cache_stamp(cache, 123), 7);
    assert_int_equal(quo_cache_figures(cache).entries, 0);
}

static void pinned_bytes_stay(void **state)
{
    struct quo_cached *pinned;

    (void)state;
    put(D, "a", "old");
    pinned = find(D, "a");
    quo_cache_pin(cache, pinned);
    quo_cache_pin(cache, pinned);
    put(D, "a", "new");
    quo_cache_clear(cache, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t key[4];
        struct quo_cache_name name = numbered(key, i);
        struct quo_slice value = quo_slice_of("xxx");
        quo_cache_link(cache, quo_cache_make(cache, &name, &value));
    }
    assert_true(quo_slice_equal(quo_cached_value(pinned), quo_slice_of("old")));
    quo_cache_unpin(cache, pinned);
    assert_true(quo_slice_equal(quo_cached_value(pinned), quo_slice_of("old")));
    assert_int_equal(quo_cache_figures(cache).pins, 1);
    quo_cache_unpin(cache, pinned);
    assert_int_equal(quo_cache_figures(cache).pins, 0);
}

static void refuses_what_is_too_long(void **state)
{
    static uint8_t bytes[QUO_CACHE_VALUE_MAX + 1];
    struct quo_slice value = quo_slice(bytes, sizeof(bytes));
    struct quo_cache_name name = quo_cache_name(D, quo_slice_of("k"));
    struct quo_cached *cached;

    (void)state;
    assert_null(quo_cache_make(cache, &name, &value));
    value.len--;
    cached = quo_cache_make(cache, &name, &value);
    assert_non_null(cached);
    quo_cache_drop(cache, cached);
    name = quo_cache_name(D, quo_slice(bytes, QUO_CACHE_KEY_MAX + 1));
    assert_null(quo_cache_make(cache, &name, NULL));
    quo_cache_drop(cache, NULL);
}

/* Values of many sizes, so that chunks of one size give way to those of another. */
static void stays_within_its_limit(void **state)
{
    static uint8_t bytes[QUO_CACHE_VALUE_MAX];
    uint32_t random = 1, made = 0;

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        uint8_t key[4];
        struct quo_cache_name name = numbered(key, (random = random * 1664525 + 1013904223) >> 20);
        struct quo_slice value = quo_slice(bytes, (random >> 8) % (i / 2000 % 2 ? 8000 : 100));
        struct quo_cached *cached = quo_cache_make(cache, &name, &value);
        made += cached != NULL;
        if (cached != NULL)
            quo_cache_link(cache, cached);
        assert_true(quo_cache_figures(cache).bytes <= LIMIT);
    }
    assert_int_equal(made, 20000);
    assert_true(quo_cache_figures(cache).evicted > 10000);
}

/* What is used survives a scan of ten times the cache's size. */
static void keeps_what_is_used(void **state)
{
    uint32_t lost = 0;

    (void)state;
    for (uint32_t i = 0; i < 10000; i++) {
        uint8_t key[4];
        struct quo_cache_name name = numbered(key, i % 2 ? i : i / 2 % 50);
        if (quo_cache_find(cache, &name) == NULL) {
            struct quo_slice value = quo_slice_of("a value of some length that is not short");
            lost += i % 2 == 0 && i >= 100;
            quo_cache_link(cache, quo_cache_make(cache, &name, &value));
        }
    }
    assert_true(lost < 50);
}

/* When all is pinned there is no room for more, and none is invented. */
static void gives_up_when_all_is_pinned(void **state)
{
    struct quo_cached *pinned[2000];
    uint32_t count = 0;
    uint8_t key[4];
    struct quo_slice value = quo_slice_of("v");
    struct quo_cache_name name;

    (void)state;
    for (name = numbered(key, 0); (pinned[count] = quo_cache_make(cache, &name, &value)) != NULL;
         name = numbered(key, ++count)) {
        quo_cache_link(cache, pinned[count]);
        quo_cache_pin(cache, pinned[count]);
    }
    assert_true(count > 100);
    quo_cache_unpin(cache, pinned[0]);
    pinned[count] = quo_cache_make(cache, &name, &value);
    assert_non_null(pinned[count]);
    quo_cache_drop(cache, pinned[count]);
    for (uint32_t i = 1; i < count; i++)
        quo_cache_unpin(cache, pinned[i]);
}

/* Once it is full, what is replaced makes room for what comes. */
static void allocates_nothing_in_a_steady_state(void **state)
{
    uint64_t bytes = 0;

    (void)state;
    for (uint32_t i = 0; i < 10000; i++) {
        uint8_t key[4];
        struct quo_cache_name name = numbered(key, i * 7 % 100);
        struct quo_slice value = quo_slice_of("of one length, for all of them");
        quo_cache_link(cache, quo_cache_make(cache, &name, &value));
        if (i == 200)
            bytes = quo_cache_figures(cache).bytes;
    }
    assert_int_equal(quo_cache_figures(cache).bytes, bytes);
    assert_int_equal(quo_cache_figures(cache).evicted, 0);
    assert_int_equal(quo_cache_figures(cache).entries, 100);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(finds_what_was_put_last),
        CASE(pinned_bytes_stay),
        CASE(refuses_what_is_too_long),
        CASE(stays_within_its_limit),
        CASE(keeps_what_is_used),
        CASE(gives_up_when_all_is_pinned),
        CASE(allocates_nothing_in_a_steady_state),
    };
    quo_cache_free(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
