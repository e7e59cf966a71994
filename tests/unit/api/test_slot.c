#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "quorate/slot.h"

__extension__ typedef __int128 wide;

static uint64_t rng;

static uint64_t next(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

/* Numbers as they come, and those at the ends of 64 bits. */
static int64_t any_number(void)
{
    static const int64_t ends[] = {0,
                                   1,
                                   -1,
                                   INT64_MAX,
                                   INT64_MIN,
                                   INT64_MAX - 1,
                                   INT64_MIN + 1,
                                   INT64_C(1) << 32,
                                   -(INT64_C(1) << 32),
                                   UINT32_MAX};
    uint64_t kind = next() % 3;

    if (kind == 0)
        return ends[next() % QUO_COUNT(ends)];
    return (int64_t)(next() >> (kind == 1 ? 0 : next() % 64));
}

static void put_entry(uint8_t *out, uint8_t first, uint64_t at)
{
    memset(out, 0, QUO_RING_ENTRY_SIZE);
    out[0] = first;
    quo_version_encode((struct quo_version){at, 7}, out + 16);
}

static void assert_round_trip(const struct quo_slot *slot)
{
    const size_t size = quo_slot_size(slot);
    uint8_t *bytes = malloc(size);
    struct quo_slot got;

    quo_slot_encode(slot, bytes);
    assert_int_equal(quo_slot_decode(quo_slice(bytes, size), &got), QUO_OK);
    assert_int_equal(got.added, slot->added);
    assert_int_equal(got.taken, slot->taken);
    assert_true(quo_version_equal(got.keyed_from, slot->keyed_from));
    assert_true(quo_slice_equal(got.ring, slot->ring));
    for (size_t len = 0; len < size; len++) {
        uint8_t *cut = malloc(len + 1);
        memcpy(cut, bytes, len);
        enum quo_status status = quo_slot_decode(quo_slice(cut, len), &got);
        bool whole = len >= QUO_SLOT_HEADER && (len - QUO_SLOT_HEADER) % QUO_RING_ENTRY_SIZE == 0;
        assert_int_equal(status, whole ? QUO_OK : QUO_MALFORMED);
        free(cut);
    }
    free(bytes);
}

static void test_round_trip(void **state)
{
    (void)state;
    uint8_t ring[2 * QUO_RING_ENTRY_SIZE];
    struct quo_slot slot = {0};

    assert_round_trip(&slot);
    slot = (struct quo_slot){.added = UINT64_MAX, .taken = UINT64_MAX - INT64_MAX};
    assert_round_trip(&slot);
    put_entry(ring, 0x80, 5);
    put_entry(ring + QUO_RING_ENTRY_SIZE, 0xff, 6);
    slot.keyed_from = (struct quo_version){4, 7};
    slot.ring = quo_slice(ring, sizeof ring);
    assert_round_trip(&slot);
}

static void test_the_bytes(void **state)
{
    (void)state;
    static const uint8_t bytes[QUO_SLOT_HEADER] = {1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0,
                                                   0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0,
                                                   0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5};
    struct quo_slot slot;
    uint8_t again[QUO_SLOT_HEADER];

    assert_int_equal(quo_slot_decode(quo_slice(bytes, sizeof bytes), &slot), QUO_OK);
    assert_int_equal(slot.added, 258);
    assert_int_equal(slot.taken, 3);
    assert_int_equal(slot.keyed_from.hlc, 4);
    assert_int_equal(slot.keyed_from.node, 5);
    assert_int_equal(quo_slot_value(&slot), 255);
    quo_slot_encode(&slot, again);
    assert_memory_equal(again, bytes, sizeof bytes);
}

static void assert_refused(const struct quo_slot *slot)
{
    uint8_t bytes[QUO_SLOT_HEADER + 2 * QUO_RING_ENTRY_SIZE];
    struct quo_slot got;

    quo_slot_encode(slot, bytes);
    assert_int_equal(quo_slot_decode(quo_slice(bytes, quo_slot_size(slot)), &got), QUO_MALFORMED);
}

static void test_what_is_no_slot(void **state)
{
    (void)state;
    uint8_t ring[2 * QUO_RING_ENTRY_SIZE], format[QUO_SLOT_HEADER] = {2};
    struct quo_slot slot = {.ring = quo_slice(ring, sizeof ring)};

    assert_int_equal(quo_slot_decode(quo_slice(format, sizeof format), &slot), QUO_MALFORMED);
    /* Numbers whose difference has no 64 bits. */
    assert_refused(&(struct quo_slot){.added = UINT64_C(1) << 63});
    assert_refused(&(struct quo_slot){.taken = (UINT64_C(1) << 63) + 1});
    /* An operation without a key. */
    put_entry(ring, 0x80, 5);
    put_entry(ring + QUO_RING_ENTRY_SIZE, 0x7f, 6);
    assert_refused(&slot);
    /* Not in order. */
    put_entry(ring + QUO_RING_ENTRY_SIZE, 0x80, 5);
    assert_refused(&slot);
    /* Below what was left out. */
    put_entry(ring + QUO_RING_ENTRY_SIZE, 0x80, 6);
    slot.keyed_from = (struct quo_version){5, 7};
    assert_refused(&slot);
}

static void test_additions_against_a_wide_twin(void **state)
{
    (void)state;
    rng = 42;
    for (int run = 0; run < 2000; run++) {
        struct quo_slot slot = {0};
        wide added = 0, taken = 0;
        for (int i = 0; i < 20; i++) {
            const int64_t by = any_number();
            const wide more = by > 0 ? (wide)by : 0, less = by < 0 ? -(wide)by : 0;
            const wide sum = added + more - taken - less;
            bool fits = sum <= (wide)INT64_MAX && sum >= (wide)INT64_MIN &&
                        added + more <= (wide)UINT64_MAX && taken + less <= (wide)UINT64_MAX;
            struct quo_slot before = slot;
            assert_int_equal(quo_slot_add(&slot, by, &slot), fits);
            if (!fits) {
                assert_memory_equal(&slot, &before, sizeof slot);
                continue;
            }
            added += more;
            taken += less;
            assert_true((wide)quo_slot_value(&slot) == added - taken);
        }
    }
}

/* What a slot holds grows only, so that of two copies the newer one is all there is to merging. */
static void test_a_slot_only_grows(void **state)
{
    (void)state;
    rng = 7;
    struct quo_slot slot = {0};
    for (int i = 0; i < 10000; i++) {
        struct quo_slot next_one = slot;
        quo_slot_add(&slot, any_number() >> (next() % 64), &next_one);
        assert_true(next_one.added >= slot.added && next_one.taken >= slot.taken);
        slot = next_one;
    }
}

static void test_sums_against_a_wide_twin(void **state)
{
    (void)state;
    rng = 99;
    for (int run = 0; run < 20000; run++) {
        struct quo_slot_sum sum = {0};
        wide twin = 0;
        const int count = (int)(next() % 9);
        for (int i = 0; i < count; i++) {
            const int64_t value = any_number();
            quo_slot_sum_add(&sum, value);
            twin += (wide)value;
        }
        int64_t got = 12345;
        bool fits = twin <= (wide)INT64_MAX && twin >= (wide)INT64_MIN;
        assert_int_equal(quo_slot_sum_value(&sum, &got), fits);
        assert_true(fits ? (wide)got == twin : got == 12345);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_the_bytes),
        cmocka_unit_test(test_what_is_no_slot),
        cmocka_unit_test(test_additions_against_a_wide_twin),
        cmocka_unit_test(test_a_slot_only_grows),
        cmocka_unit_test(test_sums_against_a_wide_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
