/* The rules of the floors, and what a record says of when it is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage-node/gc/floors.h"

static struct quo_version at(uint64_t n)
{
    return (struct quo_version){.hlc = n, .node = 0};
}

static void expect(const struct quo_floors *floors, uint64_t gate, uint64_t sealed,
                   uint64_t cleared)
{
    assert_int_equal(floors->gate.hlc, gate);
    assert_int_equal(floors->sealed.hlc, sealed);
    assert_int_equal(floors->cleared.hlc, cleared);
}

static void test_no_stage_is_left_out(void **state)
{
    (void)state;
    struct quo_floors floors = {.gate = at(5)};
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_SEAL, at(6)), QUO_NACK);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_CONFIRM, at(6)), QUO_NACK);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_DROP, at(5)), QUO_NACK);
    expect(&floors, 5, 0, 0);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_GATE, at(6)), QUO_OK);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_CONFIRM, at(6)), QUO_OK);
    expect(&floors, 6, 0, 0);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_SEAL, at(6)), QUO_OK);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_DROP, at(7)), QUO_NACK);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_DROP, at(6)), QUO_OK);
    expect(&floors, 6, 6, 6);
}

static void test_floors_never_fall(void **state)
{
    (void)state;
    struct quo_floors floors = {at(9), at(8), at(7)};
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_READY, QUO_VERSION_NONE), QUO_OK);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_GATE, at(5)), QUO_OK);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_SEAL, at(5)), QUO_OK);
    assert_int_equal(quo_floors_take(&floors, QUO_FLOOR_DROP, at(5)), QUO_OK);
    expect(&floors, 9, 8, 7);
}

static void test_other_replicas_have_sealed_nothing(void **state)
{
    (void)state;
    struct quo_floors floors = {at(9), at(8), at(7)};
    assert_true(quo_floors_unseal(&floors));
    expect(&floors, 9, 0, 0);
    assert_false(quo_floors_unseal(&floors));
}

static void test_what_is_stored_is_read_again(void **state)
{
    (void)state;
    uint8_t bytes[QUO_FLOORS_SIZE];
    struct quo_floors floors = {{9, 1}, {8, 2}, {7, 3}}, read;
    uint64_t namespaces;
    quo_floors_encode(&floors, 77, bytes);
    assert_int_equal(quo_floors_decode(quo_slice(bytes, sizeof bytes), &read, &namespaces), QUO_OK);
    assert_int_equal(namespaces, 77);
    assert_true(quo_version_equal(read.gate, floors.gate));
    assert_true(quo_version_equal(read.sealed, floors.sealed));
    assert_true(quo_version_equal(read.cleared, floors.cleared));
    assert_int_equal(quo_floors_decode(quo_slice(bytes, sizeof bytes - 1), &read, &namespaces),
                     QUO_MALFORMED);
    struct quo_floors wrong[] = {{{7, 0}, {8, 0}, {7, 0}}, {{9, 0}, {7, 0}, {8, 0}}};
    for (size_t i = 0; i < QUO_COUNT(wrong); i++) {
        quo_floors_encode(&wrong[i], 77, bytes);
        assert_int_equal(quo_floors_decode(quo_slice(bytes, sizeof bytes), &read, &namespaces),
                         QUO_MALFORMED);
    }
}

static struct quo_slice record_of(uint8_t *out, uint8_t flags, uint64_t ms, uint64_t ttl_ms)
{
    struct quo_record record = {
        .flags = flags,
        .version = {ms << 16, 7},
        .changed = {ms << 16, 7},
        .ttl_ms = ttl_ms,
    };
    quo_record_encode(&record, out);
    return quo_slice(out, quo_record_size(&record));
}

static void test_a_floor_covers_what_is_gone_by_then(void **state)
{
    (void)state;
    uint8_t bytes[256];
    static const struct {
        uint8_t flags;
        uint64_t ttl_ms, gone_ms;
    } cases[] = {
        {0, 0, UINT64_MAX},
        {QUO_RECORD_BLIND, 0, UINT64_MAX},
        {QUO_RECORD_TOMBSTONE, 0, 1000},
        {QUO_RECORD_TOMBSTONE | QUO_RECORD_BLIND, 0, 1000},
        {QUO_RECORD_EXPIRES, 500, 1500},
        {QUO_RECORD_EXPIRES | QUO_RECORD_BLIND, 500, 1500},
    };
    for (size_t i = 0; i < QUO_COUNT(cases); i++) {
        struct quo_slice record = record_of(bytes, cases[i].flags, 1000, cases[i].ttl_ms);
        assert_int_equal(quo_floors_gone_ms(record), cases[i].gone_ms);
        record.len = QUO_MIN(record.len, (size_t)QUO_RECORD_EXPIRY_HEAD);
        assert_int_equal(quo_floors_gone_ms(record), cases[i].gone_ms);
        assert_false(quo_floors_cover(quo_floor_of_ms(1000), record));
        assert_int_equal(quo_floors_cover(quo_floor_of_ms(1001), record), cases[i].gone_ms == 1000);
        assert_false(quo_floors_cover(quo_floor_of_ms(1499), record) && cases[i].gone_ms > 1499);
        assert_int_equal(quo_floors_cover(quo_floor_of_ms(1500), record),
                         cases[i].gone_ms != UINT64_MAX);
    }
    assert_int_equal(quo_floors_gone_ms(quo_slice(bytes, 3)), UINT64_MAX);
    assert_false(quo_floors_cover(quo_floor_of_ms(2000), quo_slice(bytes, 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_stage_is_left_out),
        cmocka_unit_test(test_floors_never_fall),
        cmocka_unit_test(test_other_replicas_have_sealed_nothing),
        cmocka_unit_test(test_what_is_stored_is_read_again),
        cmocka_unit_test(test_a_floor_covers_what_is_gone_by_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
