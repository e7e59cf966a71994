/* The promises kept for warm starts. Linked with --wrap for the allocator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/service/warm.h"

static int allocations;
static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    allocations++;
    return no_memory ? NULL : __real_malloc(size);
}

static struct quo_warm warm;
static struct quo_warm_start got;
static uint8_t bytes[QUO_WARM_RECORD_MAX + 1];

static int setup(void **state)
{
    (void)state;
    no_memory = false;
    return quo_warm_init(&warm) == QUO_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    quo_warm_free(&warm);
    return 0;
}

static struct quo_name name(const char *key)
{
    return quo_name_of(5, 1, quo_slice_of(key));
}

static void put(const struct quo_name *n, uint64_t hlc, size_t len, uint64_t now_us)
{
    struct quo_warm_start start = {{hlc, 9}, quo_slice(bytes, len)};

    quo_warm_put(&warm, n, 1, &start, now_us);
}

static bool take(const struct quo_name *n)
{
    return quo_warm_take(&warm, n, 1, 0, &got);
}

static void a_promise_is_good_for_one_use(void **state)
{
    (void)state;
    struct quo_name k = name("k"), other = name("other"), elsewhere = k;

    assert_false(take(&k));
    memset(bytes, 7, 100);
    put(&k, 5, 100, 0);
    elsewhere.ns = 2;
    assert_false(take(&other));
    assert_false(take(&elsewhere));
    assert_true(take(&k));
    assert_int_equal(got.ballot.hlc, 5);
    assert_int_equal(got.record.len, 100);
    assert_int_equal(got.record.data[99], 7);
    assert_false(take(&k));
    put(&k, 6, 50, 0);
    assert_true(take(&k));
    assert_int_equal(got.ballot.hlc, 6);
    assert_int_equal(got.record.len, 50);
}

static void it_belongs_to_an_epoch_and_grows_old(void **state)
{
    (void)state;
    struct quo_name k = name("k");
    const uint64_t idle_us = QUO_WARM_IDLE_MS * UINT64_C(1000);

    put(&k, 5, 10, 1000);
    assert_false(quo_warm_take(&warm, &k, 2, 1000, &got));
    assert_false(quo_warm_take(&warm, &k, 1, 1000, &got));
    put(&k, 5, 10, 1000);
    assert_false(quo_warm_take(&warm, &k, 1, 1001 + idle_us, &got));
    assert_false(quo_warm_take(&warm, &k, 1, 1000, &got));
    put(&k, 5, 10, 1000);
    assert_true(quo_warm_take(&warm, &k, 1, 1000 + idle_us, &got));
}

static void a_key_in_use_needs_no_new_memory(void **state)
{
    (void)state;
    struct quo_name k = name("k");

    put(&k, 1, 100, 0);
    int before = allocations;
    for (uint64_t i = 2; i < 100; i++) {
        assert_true(take(&k));
        put(&k, i, 100 + i % 8, 0);
    }
    assert_int_equal(allocations, before);
    assert_int_equal(warm.count, 1);
    /* It grows when it must. */
    put(&k, 200, 5000, 0);
    assert_true(take(&k));
    assert_int_equal(got.record.len, 5000);
    assert_int_equal(warm.count, 1);
}

static void a_large_record_is_not_kept(void **state)
{
    (void)state;
    struct quo_name k = name("k");

    put(&k, 1, QUO_WARM_RECORD_MAX, 0);
    assert_true(take(&k));
    put(&k, 1, 10, 0);
    put(&k, 2, QUO_WARM_RECORD_MAX + 1, 0);
    assert_false(take(&k));
    assert_int_equal(warm.count, 0);
    assert_int_equal(warm.bytes, 0);
}

static void without_memory_there_is_none(void **state)
{
    (void)state;
    struct quo_name k = name("k"), other = name("other");

    put(&k, 1, 10, 0);
    no_memory = true;
    put(&k, 2, 5000, 0);
    put(&other, 2, 10, 0);
    assert_false(take(&k));
    assert_false(take(&other));
    assert_int_equal(warm.count, 0);
}

static void the_longest_unused_gives_way(void **state)
{
    (void)state;
    char text[16];
    struct quo_name first, second;

    for (uint32_t i = 0; i <= QUO_WARM_MAX; i++) {
        snprintf(text, sizeof text, "key-%u", (unsigned)i);
        struct quo_name n = name(text);
        put(&n, i + 1, 10, 0);
        if (i == 1) {
            /* Used again: the second is the oldest now. */
            first = name("key-0");
            put(&first, 7, 10, 0);
        }
    }
    second = name("key-1");
    assert_int_equal(warm.count, QUO_WARM_MAX);
    first = name("key-0");
    assert_true(take(&first));
    assert_int_equal(got.ballot.hlc, 7);
    assert_false(take(&second));
}

static void their_bytes_are_bounded(void **state)
{
    (void)state;
    char text[16];
    uint32_t kept = 0;

    for (uint32_t i = 0; i < QUO_WARM_MAX; i++) {
        snprintf(text, sizeof text, "key-%u", (unsigned)i);
        struct quo_name n = name(text);
        put(&n, i + 1, QUO_WARM_RECORD_MAX, 0);
        assert_true(warm.bytes <= QUO_WARM_BYTES_MAX);
    }
    for (uint32_t i = 0; i < QUO_WARM_MAX; i++) {
        snprintf(text, sizeof text, "key-%u", (unsigned)i);
        struct quo_name n = name(text);
        bool is_kept = take(&n);
        kept += is_kept;
        /* The last ones, without a gap. */
        assert_true(is_kept == (i >= QUO_WARM_MAX - warm.count));
    }
    assert_int_equal(kept, warm.count);
    assert_in_range(kept, QUO_WARM_BYTES_MAX / (QUO_WARM_RECORD_MAX + 512), QUO_WARM_MAX);
}

#define TEST(n) cmocka_unit_test_setup_teardown(n, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_promise_is_good_for_one_use),    TEST(it_belongs_to_an_epoch_and_grows_old),
        TEST(a_key_in_use_needs_no_new_memory), TEST(a_large_record_is_not_kept),
        TEST(without_memory_there_is_none),     TEST(the_longest_unused_gives_way),
        TEST(their_bytes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
