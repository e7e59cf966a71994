/* QUERY and STORE alone: each branch by table, then random sequences against a twin that replays
 * the text of PROTOCOLS B3 word by word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "storage-node/replica/replica.h"

static struct quo_version v(uint64_t hlc)
{
    return hlc == 0 ? QUO_VERSION_NONE : (struct quo_version){hlc, 7};
}

static struct quo_replica_view view(uint64_t version, uint64_t promised, uint64_t floor)
{
    return (struct quo_replica_view){
        .version = v(version),
        .promised = v(promised),
        .floor = v(floor),
        .record_size = version == 0 ? 0 : 100,
    };
}

static struct quo_replica_incoming incoming(uint64_t version)
{
    return (struct quo_replica_incoming){.version = v(version), .record_size = 55};
}

static void assert_view(const struct quo_replica_view *a, const struct quo_replica_view *b)
{
    assert_true(quo_version_equal(a->version, b->version));
    assert_true(quo_version_equal(a->promised, b->promised));
    assert_true(quo_version_equal(a->floor, b->floor));
    assert_int_equal(a->record_size, b->record_size);
}

static void test_store_branches_in_order(void **state)
{
    (void)state;
    static const struct {
        uint64_t t, version, promised, floor;
        enum quo_status status;
    } table[] = {
        /* nothing held */
        {5, 0, 0, 0, QUO_OK},
        {5, 0, 4, 3, QUO_OK},
        /* newer than everything; a promise of exactly this version allows it */
        {5, 4, 0, 0, QUO_OK},
        {5, 4, 5, 0, QUO_OK},
        {5, 4, 5, 4, QUO_OK},
        /* floor, at it and below it, with nothing held too */
        {5, 0, 0, 5, QUO_NACK},
        {5, 4, 0, 6, QUO_NACK},
        {5, 6, 0, 6, QUO_NACK},
        /* promise above */
        {5, 0, 6, 0, QUO_NACK},
        {5, 4, 6, 0, QUO_NACK},
        /* T4: promised above and superseded: the promise is tested first */
        {5, 6, 7, 0, QUO_NACK},
        {5, 6, 6, 0, QUO_NACK},
        /* superseded, with lower or equal promises */
        {5, 6, 0, 0, QUO_SUPERSEDED},
        {5, 6, 5, 0, QUO_SUPERSEDED},
        {5, 6, 4, 4, QUO_SUPERSEDED},
    };
    for (size_t i = 0; i < QUO_COUNT(table); i++) {
        struct quo_replica_view before = view(table[i].version, table[i].promised, table[i].floor);
        struct quo_replica_incoming in = incoming(table[i].t);
        struct quo_replica_verdict verdict = quo_replica_store(&before, &in);
        assert_int_equal(verdict.status, table[i].status);
        assert_int_equal(verdict.write, table[i].status == QUO_OK);
        assert_false(verdict.value);
        if (verdict.write) {
            before.version = v(table[i].t);
            before.record_size = 55;
        }
        assert_view(&verdict.reply, &before);
    }
}

static void test_store_again_is_done_whatever_passed_it(void **state)
{
    (void)state;
    struct quo_replica_incoming again = incoming(5);
    again.same_bytes = true;
    for (uint64_t promised = 0; promised < 8; promised++) {
        for (uint64_t floor = 0; floor < 8; floor++) {
            struct quo_replica_view before = view(5, promised, floor);
            struct quo_replica_verdict verdict = quo_replica_store(&before, &again);
            assert_int_equal(verdict.status, QUO_OK);
            assert_false(verdict.write);
            assert_view(&verdict.reply, &before);
        }
    }
}

static void test_store_of_other_bytes_under_a_version(void **state)
{
    (void)state;
    struct quo_replica_view before = view(5, 0, 0);
    struct quo_replica_incoming in = incoming(5);
    struct quo_replica_verdict verdict = quo_replica_store(&before, &in);
    assert_int_equal(verdict.status, QUO_CORRUPT);
    assert_false(verdict.write);
    assert_view(&verdict.reply, &before);
}

static void test_node_decides_between_equal_clocks(void **state)
{
    (void)state;
    struct quo_replica_view before = view(5, 0, 0);
    struct quo_replica_incoming in = incoming(5);
    in.version.node = 8;
    assert_int_equal(quo_replica_store(&before, &in).status, QUO_OK);
    in.version.node = 6;
    assert_int_equal(quo_replica_store(&before, &in).status, QUO_SUPERSEDED);
}

static void test_only_blind_records_are_stored(void **state)
{
    (void)state;
    struct quo_record record = {.flags = QUO_RECORD_BLIND, .version = v(5), .hist_from = v(5)};
    assert_true(quo_replica_is_blind(&record));
    record.flags |= QUO_RECORD_TOMBSTONE;
    assert_true(quo_replica_is_blind(&record));
    record.flags = QUO_RECORD_TOMBSTONE;
    assert_false(quo_replica_is_blind(&record));
}

static void test_query_shows_what_is_held(void **state)
{
    (void)state;
    struct quo_replica_view held = view(5, 9, 3);
    struct quo_replica_verdict verdict = quo_replica_query(&held, UINT32_MAX);
    assert_int_equal(verdict.status, QUO_OK);
    assert_true(verdict.value);
    assert_false(verdict.write);
    assert_view(&verdict.reply, &held);
}

static void test_query_leaves_large_values_out(void **state)
{
    (void)state;
    struct quo_replica_view held = view(5, 0, 0);
    assert_true(quo_replica_query(&held, 100).value);
    assert_false(quo_replica_query(&held, 99).value);
    assert_false(quo_replica_query(&held, 0).value);
}

static void test_query_of_an_absent_key_reads_none_whatever_the_floor(void **state)
{
    (void)state;
    struct quo_replica_view absent = view(0, 0, 9);
    struct quo_replica_verdict verdict = quo_replica_query(&absent, UINT32_MAX);
    assert_int_equal(verdict.status, QUO_OK);
    assert_false(verdict.value);
    assert_true(quo_version_is_none(verdict.reply.version));
    assert_view(&verdict.reply, &absent);
    struct quo_replica_view below = view(5, 0, 9);
    assert_true(quo_replica_query(&below, UINT32_MAX).value);
}

/* The twin: one key of one replica, the paper's words as they stand. */
struct twin {
    unsigned ver, promised, floor;
    unsigned bytes; /* which bytes are held under ver */
};

static enum quo_status twin_store(struct twin *twin, unsigned t, unsigned bytes)
{
    if (t == twin->ver && bytes != twin->bytes)
        return QUO_CORRUPT;
    if (t == twin->ver)
        return QUO_OK;
    if (t <= twin->floor)
        return QUO_NACK;
    if (t < twin->promised)
        return QUO_NACK;
    if (t < twin->ver)
        return QUO_SUPERSEDED;
    twin->ver = t;
    twin->bytes = bytes;
    return QUO_OK;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void replay(uint64_t seed, unsigned seen[16])
{
    uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    struct twin twin = {0};
    struct quo_replica_view real = view(0, 0, 0);
    unsigned real_bytes = 0;
    for (int i = 0; i < 40; i++) {
        unsigned t = 1 + (unsigned)(next_random(&random) % 12);
        switch (next_random(&random) % 8) {
        case 0:
            twin.promised = QUO_MAX(twin.promised, t);
            real.promised = v(twin.promised);
            break;
        case 1:
            twin.floor = QUO_MAX(twin.floor, t / 2);
            real.floor = v(twin.floor);
            break;
        case 2: {
            struct quo_replica_verdict shown = quo_replica_query(&real, 54 + t % 2);
            assert_int_equal(shown.reply.version.hlc, twin.ver);
            assert_int_equal(shown.value, twin.ver != 0 && t % 2 == 1);
            break;
        }
        default: {
            unsigned bytes = next_random(&random) % 16 == 0 ? 99 : t;
            struct quo_replica_incoming in = incoming(t);
            in.same_bytes = bytes == real_bytes;
            struct quo_replica_verdict verdict = quo_replica_store(&real, &in);
            enum quo_status expected = twin_store(&twin, t, bytes);
            assert_int_equal(verdict.status, expected);
            seen[expected]++;
            if (verdict.write)
                real_bytes = bytes;
            real = verdict.reply;
        }
        }
        assert_int_equal(real.version.hlc, twin.ver);
        assert_int_equal(real.promised.hlc, twin.promised);
        assert_int_equal(real.floor.hlc, twin.floor);
        assert_int_equal(real_bytes, twin.bytes);
    }
}

static void test_random_sequences_against_the_twin(void **state)
{
    (void)state;
    unsigned seen[16] = {0};
    for (uint64_t seed = 1; seed <= 20000; seed++)
        replay(seed, seen);
    /* Silence means something only if every branch spoke. */
    assert_true(seen[QUO_OK] > 1000);
    assert_true(seen[QUO_NACK] > 1000);
    assert_true(seen[QUO_SUPERSEDED] > 1000);
    assert_true(seen[QUO_CORRUPT] > 100);
}

/* Copies pass the gate and stop at the seal; there, a delete that was dropped is as good as held.
 */
static void test_floors_and_copies(void **state)
{
    (void)state;
    static const struct {
        uint64_t t, version, promised, gate, sealed;
        bool copy, gone;
        enum quo_status status;
        bool write;
    } table[] = {
        {5, 0, 0, 5, 4, false, false, QUO_NACK, false},
        {5, 0, 0, 5, 4, true, false, QUO_OK, true},
        {5, 4, 0, 9, 4, true, true, QUO_OK, true},
        {5, 6, 0, 9, 4, true, false, QUO_SUPERSEDED, false},
        {5, 4, 6, 9, 4, true, false, QUO_NACK, false},
        {5, 0, 0, 5, 5, true, false, QUO_NACK, false},
        {5, 4, 0, 5, 5, true, true, QUO_NACK, false},
        {5, 0, 0, 5, 5, true, true, QUO_OK, false},
        {5, 0, 5, 5, 5, true, true, QUO_OK, false},
        {5, 0, 6, 5, 5, true, true, QUO_NACK, false},
        {5, 0, 0, 5, 5, false, true, QUO_NACK, false},
        {5, 6, 0, 5, 5, true, true, QUO_NACK, false},
        {5, 5, 0, 5, 5, true, false, QUO_CORRUPT, false},
    };
    for (size_t i = 0; i < QUO_COUNT(table); i++) {
        struct quo_replica_view before = view(table[i].version, table[i].promised, table[i].gate);
        struct quo_replica_incoming in = incoming(table[i].t);
        before.sealed = v(table[i].sealed);
        in.copy = table[i].copy;
        in.gone = table[i].gone;
        struct quo_replica_verdict verdict = quo_replica_store(&before, &in);
        assert_int_equal(verdict.status, table[i].status);
        assert_int_equal(verdict.write, table[i].write);
        if (!table[i].write)
            assert_view(&verdict.reply, &before);
    }
}

static void test_drop_branches_in_order(void **state)
{
    (void)state;
    static const struct {
        uint64_t t, version, promised, sealed, cleared;
        enum quo_status status;
    } table[] = {
        {5, 5, 0, 5, 5, QUO_OK},         {5, 5, 5, 5, 5, QUO_OK},
        {5, 5, 6, 6, 5, QUO_OK},         {5, 5, 7, 6, 6, QUO_OK}, /* T15 */
        {5, 5, 0, 5, 4, QUO_NACK},       {5, 5, 0, 0, 0, QUO_NACK},
        {5, 6, 0, 9, 9, QUO_SUPERSEDED}, {5, 0, 0, 9, 9, QUO_SUPERSEDED},
        {5, 4, 0, 9, 9, QUO_SUPERSEDED},
    };
    for (size_t i = 0; i < QUO_COUNT(table); i++) {
        for (int kept = 0; kept < 2; kept++) {
            struct quo_replica_view before = view(table[i].version, table[i].promised, 9);
            before.sealed = v(table[i].sealed);
            before.cleared = v(table[i].cleared);
            before.promise_kept = kept != 0;
            struct quo_replica_verdict verdict = quo_replica_drop(&before, v(table[i].t));
            assert_int_equal(verdict.status, table[i].status);
            assert_int_equal(verdict.drop, table[i].status == QUO_OK);
            assert_false(verdict.write);
            if (!verdict.drop) {
                assert_view(&verdict.reply, &before);
                continue;
            }
            bool stays = kept && table[i].promised > table[i].sealed;
            assert_true(quo_version_is_none(verdict.reply.version));
            assert_int_equal(verdict.reply.promised.hlc, stays ? table[i].promised : 0);
            assert_int_equal(verdict.reply.promise_kept, stays);
            assert_int_equal(verdict.promise,
                             kept && !stays ? QUO_PROMISE_CLEAR : QUO_PROMISE_LEAVE);
            assert_int_equal(verdict.reply.record_size, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floors_and_copies),
        cmocka_unit_test(test_drop_branches_in_order),
        cmocka_unit_test(test_store_branches_in_order),
        cmocka_unit_test(test_store_again_is_done_whatever_passed_it),
        cmocka_unit_test(test_store_of_other_bytes_under_a_version),
        cmocka_unit_test(test_node_decides_between_equal_clocks),
        cmocka_unit_test(test_only_blind_records_are_stored),
        cmocka_unit_test(test_query_shows_what_is_held),
        cmocka_unit_test(test_query_leaves_large_values_out),
        cmocka_unit_test(test_query_of_an_absent_key_reads_none_whatever_the_floor),
        cmocka_unit_test(test_random_sequences_against_the_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
