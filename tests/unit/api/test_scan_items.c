#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "quorate/scan.h"

static uint8_t bytes[4096];
static size_t len;

/* A record of this key, shown or not, at the end of `bytes`. */
static struct quo_scan_item item_of(const char *key, struct quo_record record, bool is_shown)
{
    static uint8_t shown[1024];
    struct quo_scan_item item;

    quo_record_encode(&record, shown);
    struct quo_record read;
    assert_int_equal(quo_record_decode(quo_slice(shown, quo_record_size(&record)), &read), QUO_OK);
    quo_scan_item_of(quo_slice_of(key), &read, &item);
    if (is_shown)
        item.record = quo_slice(shown, quo_record_size(&record));
    return item;
}

static void add(const struct quo_scan_item *item)
{
    assert_true(len + quo_scan_item_size(item) <= sizeof bytes);
    quo_scan_item_encode(item, bytes + len);
    len += quo_scan_item_size(item);
}

static struct quo_record blind(uint64_t hlc)
{
    return (struct quo_record){
        .flags = QUO_RECORD_BLIND, .version = {hlc, 7}, .value = quo_slice_of("value")};
}

static bool check(const char *prefix, const char *after)
{
    /* In memory of exactly this size. */
    uint8_t *copy = malloc(len + 1);
    memcpy(copy, bytes, len);
    bool ret =
        quo_scan_items_check(quo_slice(copy, len), quo_slice_of(prefix), quo_slice_of(after));
    free(copy);
    return ret;
}

static int setup(void **state)
{
    (void)state;
    len = 0;
    return 0;
}

static void survives_its_encoding(void **state)
{
    (void)state;
    struct quo_record record = {
        .flags = QUO_RECORD_EXPIRES,
        .version = {50u << 16, 1},
        .changed = {40u << 16, 2},
        .hist_from = {3, 3},
        .ttl_ms = 1000,
        .content_type = quo_slice_of("text/plain"),
        .value = quo_slice_of("the value"),
    };
    struct quo_scan_item first = item_of("a", record, true), got;
    size_t at = 0;
    add(&first);
    struct quo_scan_item second = item_of("b", blind(9), false);
    add(&second);
    assert_true(quo_scan_item_next(quo_slice(bytes, len), &at, &got));
    assert_true(quo_slice_equal(got.key, quo_slice_of("a")));
    assert_true(quo_version_equal(got.version, record.version));
    assert_true(quo_version_equal(got.changed, record.changed));
    assert_int_equal(got.flags, QUO_RECORD_EXPIRES);
    assert_int_equal(got.expires_ms, 1040);
    assert_int_equal(got.value_len, 9);
    assert_int_equal(got.record.len, quo_record_size(&record));
    assert_true(quo_scan_item_next(quo_slice(bytes, len), &at, &got));
    assert_true(quo_slice_equal(got.key, quo_slice_of("b")));
    assert_true(quo_version_equal(got.changed, (struct quo_version){9, 7}));
    assert_int_equal(got.expires_ms, UINT64_MAX);
    assert_int_equal(got.record.len, 0);
    assert_false(quo_scan_item_next(quo_slice(bytes, len), &at, &got));
    assert_int_equal(at, len);
    assert_true(check("", ""));
}

static void is_live_until_it_expires(void **state)
{
    (void)state;
    struct quo_scan_item item = {.version = {50u << 16, 1}, .expires_ms = UINT64_MAX};
    assert_true(quo_scan_item_is_live(&item, UINT64_MAX - 1));
    item.expires_ms = 1000;
    assert_true(quo_scan_item_is_live(&item, 999));
    assert_false(quo_scan_item_is_live(&item, 1000));
    item.expires_ms = 50; /* nobody who sees a version is before its moment */
    assert_false(quo_scan_item_is_live(&item, 0));
    item.expires_ms = UINT64_MAX;
    item.flags = QUO_RECORD_TOMBSTONE;
    assert_false(quo_scan_item_is_live(&item, 0));
}

static void cut_bytes_are_refused(void **state)
{
    (void)state;
    struct quo_scan_item item = item_of("key", blind(9), true);
    add(&item);
    const size_t whole = len;
    for (len = 1; len < whole; len++)
        assert_false(check("", ""));
    len = whole;
    assert_true(check("", ""));
    bytes[len++] = 0;
    assert_false(check("", ""));
}

static void keys_are_in_order_and_asked_for(void **state)
{
    (void)state;
    struct quo_scan_item first = item_of("ka", blind(9), false);
    struct quo_scan_item second = item_of("kb", blind(9), false);
    add(&first);
    add(&second);
    assert_true(check("", ""));
    assert_true(check("k", "k"));
    assert_true(check("k", "k9"));
    assert_false(check("k", "ka"));
    assert_false(check("ka", ""));
    assert_false(check("l", ""));
    add(&second);
    assert_false(check("", ""));
    len = 0;
    add(&second);
    add(&first);
    assert_false(check("", ""));
    len = 0;
    struct quo_scan_item none = item_of("", blind(9), false);
    add(&none);
    assert_false(check("", ""));
}

static void refused(struct quo_scan_item item)
{
    len = 0;
    add(&item);
    assert_false(check("", ""));
}

static void items_say_what_their_record_says(void **state)
{
    (void)state;
    const struct quo_scan_item good = item_of("key", blind(9), true);
    struct quo_scan_item item;
    add(&good);
    assert_true(check("", ""));
    item = good, item.version.hlc++;
    refused(item);
    item = good, item.changed.hlc--;
    refused(item);
    item = good, item.flags |= QUO_RECORD_TOMBSTONE;
    refused(item);
    item = good, item.expires_ms--;
    refused(item);
    item = good, item.value_len++;
    refused(item);
    item = good, item.record.len = 5;
    refused(item);
    /* What no record says, when none is shown. */
    const struct quo_scan_item hidden = item_of("key", blind(9), false);
    item = hidden, item.version = item.changed = QUO_VERSION_NONE;
    refused(item);
    item = hidden, item.changed.hlc++;
    refused(item);
    item = hidden, item.flags |= 0x80;
    refused(item);
    item = hidden, item.value_len = QUO_VALUE_MAX + 1;
    refused(item);
}

static void any_bytes_are_read_safely(void **state)
{
    (void)state;
    uint64_t chance = 1;
    for (int i = 0; i < 20000; i++) {
        len = 0;
        for (int j = 0; j < 3; j++) {
            const char key[] = {(char)('a' + j), 0};
            struct quo_scan_item item = item_of(key, blind(9), j != 1);
            add(&item);
        }
        for (int j = 0; j < 2; j++) {
            chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[(chance >> 33) % len] = (uint8_t)(chance >> 20);
        }
        check("", "");
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(survives_its_encoding),
        TEST(is_live_until_it_expires),
        TEST(cut_bytes_are_refused),
        TEST(keys_are_in_order_and_asked_for),
        TEST(items_say_what_their_record_says),
        TEST(any_bytes_are_read_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
