#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "quorate/cluster.h"

static struct quo_entry joint(void)
{
    return (struct quo_entry){
        .epoch = 0x01020304,
        .state = QUO_ENTRY_JOINT,
        .n = 3,
        .n_next = 2,
        .replicas = {0x1111111111111111, 0x2222222222222222, 0x3333333333333333},
        .next = {0x2222222222222222, 0x4444444444444444},
    };
}

static struct quo_entry normal(uint8_t n)
{
    struct quo_entry entry = {.epoch = 7, .state = QUO_ENTRY_NORMAL, .n = n};
    for (uint8_t i = 0; i < n; i++)
        entry.replicas[i] = 100u + i;
    return entry;
}

static void bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        1,    2,    3,    4,                            /* epoch */
        2,    3,    2,                                  /* state, n, n_next */
        0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, /* replicas */
        0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, /* */
        0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, /* */
        0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, /* next */
        0x44, 0x44, 0x44, 0x44, 0x44, 0x44, 0x44, 0x44, /* */
    };
    struct quo_entry entry = joint(), decoded;
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];
    assert_int_equal(quo_entry_size(&entry), sizeof expected);
    quo_entry_encode(&entry, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_int_equal(quo_entry_decode(quo_slice(bytes, sizeof expected), &decoded), QUO_OK);
    assert_true(quo_entry_equal(&decoded, &entry));
}

static void every_size_round_trips(void **state)
{
    (void)state;
    for (uint8_t n = 1; n <= QUO_REPLICAS_MAX; n++) {
        for (uint8_t n_next = 0; n_next <= QUO_REPLICAS_MAX; n_next++) {
            struct quo_entry entry = normal(n), decoded;
            uint8_t bytes[QUO_ENTRY_SIZE_MAX];
            entry.state = n_next == 0 ? QUO_ENTRY_NORMAL : QUO_ENTRY_JOINT;
            entry.n_next = n_next;
            for (uint8_t i = 0; i < n_next; i++)
                entry.next[i] = 200u + i;
            size_t size = quo_entry_size(&entry);
            assert_true(size <= sizeof bytes);
            quo_entry_encode(&entry, bytes);
            assert_int_equal(quo_entry_decode(quo_slice(bytes, size), &decoded), QUO_OK);
            assert_true(quo_entry_equal(&decoded, &entry));
        }
    }
}

static void wrong_sizes_are_refused(void **state)
{
    (void)state;
    struct quo_entry entry = joint(), decoded = normal(1), untouched = normal(1);
    size_t size = quo_entry_size(&entry);
    uint8_t bytes[QUO_ENTRY_SIZE_MAX + 1] = {0};
    quo_entry_encode(&entry, bytes);
    for (size_t len = 0; len <= size + 1; len++) {
        if (len == size)
            continue;
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, bytes, len);
        assert_int_equal(quo_entry_decode(quo_slice(exact, len), &decoded), QUO_MALFORMED);
        free(exact);
    }
    assert_true(quo_entry_equal(&decoded, &untouched));
}

/* Encodes without a look at the rules, so that broken entries can be made. */
static enum quo_status decode_encoded(const struct quo_entry *entry)
{
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];
    struct quo_entry decoded;
    quo_entry_encode(entry, bytes);
    return quo_entry_decode(quo_slice(bytes, quo_entry_size(entry)), &decoded);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct quo_entry e = joint();
    assert_int_equal(decode_encoded(&e), QUO_OK);
    e.epoch = 0;
    assert_int_equal(decode_encoded(&e), QUO_MALFORMED);
    e = joint();
    e.state = 0;
    assert_int_equal(decode_encoded(&e), QUO_MALFORMED);
    e.state = 3;
    assert_int_equal(decode_encoded(&e), QUO_MALFORMED);
    e.state = QUO_ENTRY_NORMAL; /* with a next list */
    assert_int_equal(decode_encoded(&e), QUO_MALFORMED);
    e = joint();
    e.n_next = 0; /* joint without one */
    assert_int_equal(decode_encoded(&e), QUO_MALFORMED);
    e = joint();
    e.n = 0;
    assert_int_equal(decode_encoded(&e), QUO_MALFORMED);
    e = joint();
    e.replicas[1] = 0;
    assert_int_equal(decode_encoded(&e), QUO_MALFORMED);
    e = joint();
    e.replicas[2] = e.replicas[0];
    assert_int_equal(decode_encoded(&e), QUO_MALFORMED);
    e = joint();
    e.next[1] = e.next[0];
    assert_int_equal(decode_encoded(&e), QUO_MALFORMED);

    uint8_t bytes[7 + 8 * 8] = {0, 0, 0, 1, QUO_ENTRY_NORMAL, QUO_REPLICAS_MAX + 1, 0};
    for (uint8_t i = 0; i < QUO_REPLICAS_MAX + 1; i++)
        bytes[7 + 8 * i] = i + 1;
    assert_int_equal(quo_entry_decode(quo_slice(bytes, sizeof bytes), &e), QUO_MALFORMED);
}

static void single_byte_changes_are_refused_or_kept(void **state)
{
    (void)state;
    struct quo_entry entry = joint(), decoded;
    size_t size = quo_entry_size(&entry);
    uint8_t bytes[QUO_ENTRY_SIZE_MAX], again[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(&entry, bytes);
    for (size_t at = 0; at < size; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            bytes[at] ^= (uint8_t)flip;
            if (quo_entry_decode(quo_slice(bytes, size), &decoded) == QUO_OK) {
                assert_false(quo_entry_equal(&decoded, &entry));
                quo_entry_encode(&decoded, again);
                assert_memory_equal(again, bytes, size);
            }
            bytes[at] ^= (uint8_t)flip;
        }
    }
}

static void equality_ignores_what_stands_behind_the_counts(void **state)
{
    (void)state;
    struct quo_entry a = normal(3), b = normal(3);
    b.replicas[5] = 99;
    b.next[0] = 98;
    assert_true(quo_entry_equal(&a, &b));
    b.replicas[2] = 99;
    assert_false(quo_entry_equal(&a, &b));
    b = normal(3);
    b.epoch++;
    assert_false(quo_entry_equal(&a, &b));
    b = normal(2);
    assert_false(quo_entry_equal(&a, &b));
}

static void membership_covers_both_lists(void **state)
{
    (void)state;
    struct quo_entry entry = joint();
    assert_true(quo_entry_has(&entry, 0x1111111111111111));
    assert_true(quo_entry_has(&entry, 0x4444444444444444));
    assert_false(quo_entry_has(&entry, 0x5555555555555555));
    assert_false(quo_entry_has(&entry, 0)); /* what stands behind the counts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_golden_ones),
        cmocka_unit_test(every_size_round_trips),
        cmocka_unit_test(wrong_sizes_are_refused),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(single_byte_changes_are_refused_or_kept),
        cmocka_unit_test(equality_ignores_what_stands_behind_the_counts),
        cmocka_unit_test(membership_covers_both_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
