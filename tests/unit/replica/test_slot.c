#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "storage-node/replica/slot.h"

#define SELF 11u
#define START_MS UINT64_C(1700000000000)
#define RETENTION_S 60u

/* A slot as a node keeps it: the bytes of its record's value, and the version. */
struct kept {
    struct quo_replica_view view;
    uint8_t value[QUO_SLOT_VALUE_MAX];
    size_t len;
};

static struct quo_opid key_number(uint64_t number)
{
    struct quo_opid opid = quo_opid_make(number, ~number);
    opid.bytes[0] |= 0x80;
    return opid;
}

static struct quo_replica_addition addition_of(int64_t by, uint64_t now_ms)
{
    return (struct quo_replica_addition){
        .by = by,
        .digest = (uint64_t)by,
        .since = now_ms << 16,
        .now_ms = now_ms,
        .retention_s = RETENTION_S,
    };
}

static struct quo_replica_addition keyed(uint64_t number, int64_t by, uint64_t now_ms)
{
    struct quo_replica_addition addition = addition_of(by, now_ms);
    addition.opid = key_number(number);
    return addition;
}

static struct quo_replica_slot_verdict add(struct kept *kept,
                                           const struct quo_replica_addition *addition)
{
    uint8_t ring[QUO_RING_BYTES_MAX];
    struct quo_replica_slot_verdict verdict =
        quo_replica_slot(&kept->view, quo_slice(kept->value, kept->len), SELF, addition, ring);
    assert_true(!verdict.write || verdict.status == QUO_OK);
    assert_int_equal(verdict.status == QUO_OK, verdict.write != verdict.replayed);
    if (verdict.write) {
        uint8_t made[QUO_SLOT_VALUE_MAX];
        assert_true(quo_version_compare(verdict.record.version, kept->view.version) > 0);
        assert_true(quo_version_compare(verdict.record.version, kept->view.floor) > 0);
        assert_true(verdict.record.version.hlc >= addition->since);
        kept->view.version = verdict.record.version;
        kept->len = quo_slot_size(&verdict.slot);
        quo_slot_encode(&verdict.slot, made);
        memcpy(kept->value, made, kept->len);
    }
    return verdict;
}

static int64_t value_of(const struct kept *kept)
{
    struct quo_slot slot = {0};
    if (kept->len > 0)
        assert_int_equal(quo_slot_decode(quo_slice(kept->value, kept->len), &slot), QUO_OK);
    return quo_slot_value(&slot);
}

static void test_adds(void **state)
{
    (void)state;
    struct kept kept = {.len = 0};
    for (int i = 1; i <= 10; i++) {
        struct quo_replica_addition addition = addition_of(i % 2 ? i : -i, START_MS);
        assert_true(add(&kept, &addition).write);
    }
    assert_int_equal(value_of(&kept), 1 - 2 + 3 - 4 + 5 - 6 + 7 - 8 + 9 - 10);
    /* Names that nobody asks for again are not kept. */
    assert_int_equal(kept.len, QUO_SLOT_HEADER);
}

static void test_with_a_key_once(void **state)
{
    (void)state;
    struct kept kept = {.len = 0};
    struct quo_replica_addition first = keyed(1, 5, START_MS), second = keyed(2, 7, START_MS);
    assert_true(add(&kept, &first).write);
    assert_true(add(&kept, &first).replayed);
    assert_true(add(&kept, &second).write);
    first.now_ms += RETENTION_S * 1000;
    first.since += UINT64_C(1) << 40;
    assert_true(add(&kept, &first).replayed);
    assert_int_equal(value_of(&kept), 12);
}

static void test_a_key_of_another_request(void **state)
{
    (void)state;
    struct kept kept = {.len = 0};
    struct quo_replica_addition first = keyed(1, 5, START_MS), other = keyed(1, 6, START_MS);
    assert_true(add(&kept, &first).write);
    assert_int_equal(add(&kept, &other).status, QUO_KEY_REUSED);
    assert_int_equal(value_of(&kept), 5);
}

static void test_names_leave_when_they_are_old(void **state)
{
    (void)state;
    struct kept kept = {.len = 0};
    uint64_t now_ms = START_MS;
    for (uint64_t i = 0; i < QUO_RING_KEYED_MAX; i++) {
        struct quo_replica_addition addition = keyed(i, 1, now_ms);
        assert_true(add(&kept, &addition).write);
    }
    struct quo_replica_addition more = keyed(1000, 1, now_ms);
    assert_int_equal(add(&kept, &more).status, QUO_RING_FULL);
    assert_int_equal(value_of(&kept), QUO_RING_KEYED_MAX);
    /* Without a key there is always room. */
    struct quo_replica_addition unkeyed = addition_of(1, now_ms);
    assert_true(add(&kept, &unkeyed).write);
    more.now_ms = now_ms + 2 * RETENTION_S * 1000 + 1;
    assert_true(add(&kept, &more).write);
    assert_int_equal(value_of(&kept), QUO_RING_KEYED_MAX + 2);
    struct quo_slot slot;
    assert_int_equal(quo_slot_decode(quo_slice(kept.value, kept.len), &slot), QUO_OK);
    assert_int_equal(quo_ring_count(slot.ring), 1);
    assert_int_equal(quo_version_ms(slot.keyed_from), now_ms);
}

/* Whatever clocks those have who ask, or however ours jumps back, within the retention an addition
 * finds itself. */
static void test_names_are_kept_by_our_clock_alone(void **state)
{
    (void)state;
    srand(5);
    for (int run = 0; run < 300; run++) {
        struct kept kept = {.len = 0};
        uint64_t now_ms = START_MS, passed_ms = 0, given = 0;
        struct quo_replica_addition given_to[50];
        uint64_t given_ms[50];
        int64_t twin = 0;
        for (int i = 0; i < 200; i++) {
            uint64_t pause_ms = (uint64_t)(rand() % 4000);
            now_ms += pause_ms;
            passed_ms += pause_ms;
            if (rand() % 20 == 0)
                now_ms -= (uint64_t)(rand() % 2000000);
            struct quo_replica_addition addition = keyed((uint64_t)rand() % 50, 0, now_ms);
            uint64_t number = quo_get_u64(addition.opid.bytes) & 0xff;
            addition.by = (int64_t)number - 20;
            addition.digest = number;
            addition.since = (now_ms + (uint64_t)(rand() % 10000000) - 5000000) << 16;
            struct quo_replica_slot_verdict verdict = add(&kept, &addition);
            assert_int_equal(verdict.status, QUO_OK);
            bool is_known = (given >> number & 1) != 0;
            if (is_known && passed_ms <= given_ms[number] + RETENTION_S * 1000)
                assert_true(verdict.replayed);
            if (!is_known)
                assert_true(verdict.write);
            if (verdict.write) {
                twin += addition.by;
                given |= UINT64_C(1) << number;
                given_to[number] = addition;
                given_ms[number] = passed_ms;
            }
            assert_int_equal(given_to[number].by, addition.by);
        }
        assert_int_equal(value_of(&kept), twin);
    }
}

static void test_a_longer_retention_than_before(void **state)
{
    (void)state;
    struct kept kept = {.len = 0};
    uint64_t later_ms = START_MS + 2 * RETENTION_S * 1000 + 1;
    struct quo_replica_addition first = keyed(1, 5, START_MS), second = keyed(2, 7, later_ms);
    assert_true(add(&kept, &first).write);
    assert_true(add(&kept, &second).write);
    /* The first one is forgotten, and would be within the retention now. */
    first.now_ms = later_ms + 1;
    first.retention_s = 1000;
    assert_int_equal(add(&kept, &first).status, QUO_HISTORY_LOST);
    assert_int_equal(value_of(&kept), 12);
    /* One that is remembered, and one without a key, are not concerned. */
    second.retention_s = 1000;
    assert_true(add(&kept, &second).replayed);
    struct quo_replica_addition unkeyed = addition_of(1, later_ms);
    unkeyed.retention_s = 1000;
    assert_true(add(&kept, &unkeyed).write);
}

static void test_bounds(void **state)
{
    (void)state;
    struct kept kept = {.len = 0};
    struct quo_replica_addition most = keyed(1, INT64_MAX, START_MS), one = keyed(2, 1, START_MS);
    assert_true(add(&kept, &most).write);
    assert_int_equal(add(&kept, &one).status, QUO_OUT_OF_BOUNDS);
    /* It was not remembered either. */
    one.by = -1;
    one.digest = 1;
    assert_true(add(&kept, &one).write);
    assert_int_equal(value_of(&kept), INT64_MAX - 1);
}

static void test_versions(void **state)
{
    (void)state;
    struct kept kept = {.len = 0};
    struct quo_replica_addition addition = addition_of(1, START_MS);
    struct quo_replica_slot_verdict verdict = add(&kept, &addition);
    assert_int_equal(verdict.record.version.hlc, addition.since);
    assert_int_equal(verdict.record.version.node, SELF);
    assert_int_equal(verdict.record.flags, QUO_RECORD_BLIND);
    /* From a clock behind; at or below a floor. */
    addition.since -= 99;
    verdict = add(&kept, &addition);
    assert_int_equal(verdict.record.version.hlc, (START_MS << 16) + 1);
    kept.view.floor = (struct quo_version){(START_MS << 16) + 50, UINT64_MAX};
    verdict = add(&kept, &addition);
    assert_int_equal(verdict.record.version.hlc, (START_MS << 16) + 51);
    kept.view.version.hlc = UINT64_MAX;
    assert_int_equal(add(&kept, &addition).status, QUO_SKEW);
}

static void test_the_end_of_time(void **state)
{
    (void)state;
    struct kept kept = {.len = 0};
    struct quo_replica_addition first = keyed(1, 5, UINT64_MAX >> 16), next = keyed(2, 5, START_MS);
    struct quo_slot slot;
    first.since = START_MS << 16;
    assert_true(add(&kept, &first).write);
    assert_int_equal(quo_slot_decode(quo_slice(kept.value, kept.len), &slot), QUO_OK);
    /* The hlc of the one entry there is. */
    memset(kept.value + QUO_SLOT_HEADER + 16, 0xff, 8);
    assert_int_equal(add(&kept, &next).status, QUO_SKEW);
    assert_true(add(&kept, &first).replayed);
    struct quo_replica_addition unkeyed = addition_of(1, START_MS);
    assert_true(add(&kept, &unkeyed).write);
}

static void test_what_is_no_slot(void **state)
{
    (void)state;
    struct kept kept = {.view = {.version = {5, 6}}, .value = {77}, .len = 40};
    struct quo_replica_addition addition = addition_of(1, START_MS);
    assert_int_equal(add(&kept, &addition).status, QUO_CORRUPT);
}

static void test_who_may_add(void **state)
{
    (void)state;
    struct quo_entry entry = {.epoch = 2,
                              .state = QUO_ENTRY_JOINT,
                              .n = 3,
                              .n_next = 3,
                              .replicas = {SELF, 22, 33},
                              .next = {22, 33, 44}};
    assert_true(quo_replica_may_add(&entry, 3, SELF));
    assert_true(quo_replica_may_add(&entry, 3, 33));
    assert_false(quo_replica_may_add(&entry, 3, 44));
    /* A namespace with fewer replicas has the first of them. */
    assert_true(quo_replica_may_add(&entry, 2, 22));
    assert_false(quo_replica_may_add(&entry, 2, 33));
    entry.n = 1;
    assert_false(quo_replica_may_add(&entry, 3, 22));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_with_a_key_once),
        cmocka_unit_test(test_a_key_of_another_request),
        cmocka_unit_test(test_names_leave_when_they_are_old),
        cmocka_unit_test(test_names_are_kept_by_our_clock_alone),
        cmocka_unit_test(test_a_longer_retention_than_before),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_the_end_of_time),
        cmocka_unit_test(test_what_is_no_slot),
        cmocka_unit_test(test_who_may_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
