/* FLOOR, message by message: what it does to one server, and what outlives that. */
#include <stdio.h>

#include "storage-node/server/overlay.h"
#include "tests/unit/server/harness.h"

/* Everything that HLC(n) makes is below it, what HLC_ABOVE(n) makes is not. */
#define FLOOR ((struct quo_version){(START_MS + 1) << 16, 0})
#define HLC_ABOVE(n) (((START_MS + 2) << 16) + (n))
#define NUMBER_ABOVE(n) (HLC_ABOVE(n) - HLC(0))

static uint64_t namespaces_of(const struct harness *h)
{
    uint8_t bytes[4 * 5];
    for (uint32_t id = 1; id <= 4; id++) {
        quo_put_u32(bytes + 5 * (id - 1), id);
        for (uint32_t i = 0; i < 4; i++)
            if (h->map->namespaces[i].id == id)
                bytes[5 * (id - 1) + 4] = h->map->namespaces[i].n;
    }
    return quo_overlay_digest(quo_slice(bytes, sizeof bytes));
}

static uint64_t send_floor(struct harness *h, struct quo_msg_floor message)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX], body[256];
    quo_entry_encode(&h->entry, entry);
    message.entry = quo_slice(entry, quo_entry_size(&h->entry));
    message.partition = h->partition;
    quo_msg_floor_encode(&message, body);
    send_frame(h, QUO_MESSAGE_FLOOR, body, quo_msg_floor_size(&message));
    return h->last_id;
}

static uint64_t floor_to(struct harness *h, enum quo_floor_stage stage, struct quo_version floor)
{
    return send_floor(h, (struct quo_msg_floor){.namespaces = namespaces_of(h),
                                                .stage = (uint8_t)stage,
                                                .floor = floor});
}

static void take_floor(struct harness *h, enum quo_floor_stage stage, struct quo_version floor)
{
    uint64_t id = floor_to(h, stage, floor);
    settle(h);
    expect(h, id, QUO_OK);
}

static void start(struct harness *h)
{
    harness_prepare(h);
    h->mesh = harness_empty_mesh();
    harness_open(h);
}

/* `in_order`: it leaves its trees. */
static void restart(struct harness *h, bool in_order)
{
    if (in_order)
        quo_server_drain(h->server);
    settle(h);
    quo_server_free(h->server);
    harness_open(h);
}

static uint64_t put_flags(struct harness *h, uint32_t ns, const char *key, uint64_t n,
                          uint8_t flags, uint8_t store_flags, uint64_t ttl_ms)
{
    uint8_t bytes[256];
    struct quo_record record = {
        .flags = flags, .version = version_of(n), .changed = version_of(n), .ttl_ms = ttl_ms};
    quo_record_encode(&record, bytes);
    struct quo_slice encoded = quo_slice(bytes, quo_record_size(&record));
    uint64_t id;
    if ((flags & QUO_RECORD_BLIND) != 0)
        id = send_store(h, &(struct quo_msg_store){
                               .ns = ns,
                               .kind = kind_of(ns),
                               .flags = store_flags | QUO_STORE_SYNC,
                               .key = quo_slice_of(key),
                               .record = encoded,
                           });
    else
        id = send_acc(
            h, &(struct quo_msg_acc){
                   .ns = ns, .kind = kind_of(ns), .key = quo_slice_of(key), .record = encoded});
    settle(h);
    return id;
}

static void bury(struct harness *h, uint32_t ns, const char *key, uint64_t n)
{
    uint8_t blind = ns == NS_CAS ? 0 : QUO_RECORD_BLIND;
    expect(h, put_flags(h, ns, key, n, QUO_RECORD_TOMBSTONE | blind, 0, 0), QUO_OK);
}

static struct quo_version sealed_of(const struct harness *h)
{
    return quo_server_sealed(h->server, h->partition);
}

static void test_the_gate_is_answered_when_it_is_on_disk(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    uint64_t id = floor_to(&h, QUO_FLOOR_GATE, FLOOR);
    uint64_t below = put_synced(&h, "key", 5);
    assert_false(answered(&h, id));
    settle(&h);
    const struct quo_msg_reply *reply = expect(&h, id, QUO_OK);
    assert_true(quo_version_equal(reply->floor, FLOOR));
    /* In force it was before. */
    expect(&h, below, QUO_NACK);
    harness_stop(&h);
}

static void test_nothing_new_passes_the_gate_and_copies_do(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    take_floor(&h, QUO_FLOOR_GATE, FLOOR);
    for (int life = 0; life < 3; life++) {
        char key[16];
        snprintf(key, sizeof key, "key%d", life);
        expect(&h, put_synced(&h, key, 5), QUO_NACK);
        uint64_t id = acc(&h, key, 5);
        settle(&h);
        expect(&h, id, QUO_NACK);
        id = prep(&h, key, 5);
        settle(&h);
        expect(&h, id, QUO_NACK);
        expect_version(&h, put_flags(&h, NS_LWW, key, 5, QUO_RECORD_BLIND, QUO_STORE_WRITEBACK, 0),
                       QUO_OK, 5, true);
        id = put_synced(&h, key, NUMBER_ABOVE(1));
        settle(&h);
        expect(&h, id, QUO_OK);
        id = prep(&h, key, NUMBER_ABOVE(1));
        settle(&h);
        assert_true(quo_version_equal(expect(&h, id, QUO_OK)->floor, FLOOR));
        /* An absent key is absent, whatever the floor. */
        id = query(&h, "none");
        assert_true(quo_version_is_none(expect(&h, id, QUO_OK)->version));
        assert_true(quo_version_equal(expect(&h, id, QUO_OK)->floor, FLOOR));
        restart(&h, life == 0);
    }
    harness_stop(&h);
}

static void test_what_is_sealed_stops_copies_too(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    take_floor(&h, QUO_FLOOR_GATE, FLOOR);
    take_floor(&h, QUO_FLOOR_SEAL, FLOOR);
    for (int life = 0; life < 3; life++) {
        assert_true(quo_version_equal(sealed_of(&h), FLOOR));
        expect(&h, put_flags(&h, NS_LWW, "key", 5, QUO_RECORD_BLIND, QUO_STORE_WRITEBACK, 0),
               QUO_NACK);
        /* Of what has been dropped. */
        uint64_t id = put_flags(&h, NS_LWW, "key", 5, QUO_RECORD_BLIND | QUO_RECORD_TOMBSTONE,
                                QUO_STORE_WRITEBACK, 0);
        expect_version(&h, id, QUO_OK, 0, true);
        restart(&h, life == 0);
    }
    assert_int_equal(quo_server_tombstones(h.server), 0);
    harness_stop(&h);
}

static void test_no_stage_comes_before_its_turn(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    static const enum quo_floor_stage stages[] = {QUO_FLOOR_CONFIRM, QUO_FLOOR_SEAL,
                                                  QUO_FLOOR_DROP};
    for (size_t i = 0; i < QUO_COUNT(stages); i++)
        expect(&h, floor_to(&h, stages[i], FLOOR), QUO_NACK);
    take_floor(&h, QUO_FLOOR_GATE, FLOOR);
    expect(&h, floor_to(&h, QUO_FLOOR_DROP, FLOOR), QUO_NACK);
    /* It was found equal with nobody. */
    expect(&h, floor_to(&h, QUO_FLOOR_CONFIRM, FLOOR), QUO_BUSY);
    expect(&h, floor_to(&h, QUO_FLOOR_READY, QUO_VERSION_NONE), QUO_BUSY);
    harness_stop(&h);
}

static void test_void_under_any_other_entry_or_map(void **state)
{
    (void)state;
    struct harness h;
    harness_prepare(&h);
    map_fill(h.map, 2);
    h.mesh = harness_empty_mesh();
    harness_open(&h);
    expect(&h, floor_to(&h, QUO_FLOOR_GATE, FLOOR), QUO_WRONG_EPOCH);
    h.entry = entry_of(2, SELF, SECOND, THIRD);
    struct quo_msg_floor message = {.namespaces = 1, .stage = QUO_FLOOR_GATE, .floor = FLOOR};
    expect(&h, send_floor(&h, message), QUO_BUSY);
    message.namespaces = namespaces_of(&h);
    message.stage = 0;
    expect(&h, send_floor(&h, message), QUO_MALFORMED);
    message.stage = QUO_FLOOR_DROP + 1;
    expect(&h, send_floor(&h, message), QUO_MALFORMED);
    send_frame(&h, QUO_MESSAGE_FLOOR, "xyz", 3);
    expect(&h, h.last_id, QUO_MALFORMED);
    /* A newer entry is taken, and nothing is done under it yet; nor while it is joint. */
    h.entry = (struct quo_entry){.epoch = 3,
                                 .state = QUO_ENTRY_JOINT,
                                 .n = 3,
                                 .n_next = 1,
                                 .replicas = {SELF, SECOND, THIRD},
                                 .next = {SELF}};
    for (int i = 0; i < 2; i++) {
        uint64_t id = floor_to(&h, QUO_FLOOR_GATE, FLOOR);
        settle(&h);
        expect(&h, id, QUO_BUSY);
    }
    assert_true(quo_version_is_none(expect(&h, query(&h, "key"), QUO_OK)->floor));
    harness_stop(&h);
}

/* Everything that is there before a drop, and what is left after it. */
static void fill_in(struct harness *h)
{
    bury(h, NS_LWW, "a", 1);
    bury(h, NS_CAS, "b", 2);
    bury(h, NS_MIXED, "c", 3);
    bury(h, NS_LWW, "new", NUMBER_ABOVE(1));
    uint8_t expires = QUO_RECORD_BLIND | QUO_RECORD_EXPIRES;
    expect(h, put_flags(h, NS_CRDT, "short", 4, expires, 0, 1), QUO_OK);
    expect(h, put_flags(h, NS_CRDT, "long", 5, expires, 0, 1000), QUO_OK);
    expect(h, put_flags(h, NS_CRDT, "stays", 6, QUO_RECORD_BLIND, 0, 0), QUO_OK);
    assert_int_equal(quo_server_tombstones(h->server), 6);
}

static uint64_t held(struct harness *h, uint32_t ns, const char *key)
{
    return expect(h, query_of(h, ns, key, 0), QUO_OK)->version.hlc;
}

static void check_dropped(struct harness *h)
{
    rest(h);
    assert_int_equal(held(h, NS_LWW, "a"), 0);
    assert_int_equal(held(h, NS_CAS, "b"), 0);
    assert_int_equal(held(h, NS_MIXED, "c"), 0);
    assert_int_equal(held(h, NS_CRDT, "short"), 0);
    assert_int_equal(held(h, NS_CRDT, "long"), HLC(5));
    assert_int_equal(held(h, NS_CRDT, "stays"), HLC(6));
    assert_int_equal(held(h, NS_LWW, "new"), HLC_ABOVE(1));
    assert_int_equal(quo_server_tombstones(h->server), 2);
    assert_int_equal(ready_count(h), PARTITIONS);
}

static void test_what_is_cleared_is_dropped(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    fill_in(&h);
    take_floor(&h, QUO_FLOOR_GATE, FLOOR);
    take_floor(&h, QUO_FLOOR_SEAL, FLOOR);
    rest(&h);
    assert_int_equal(quo_server_tombstones(h.server), 6);
    take_floor(&h, QUO_FLOOR_DROP, FLOOR);
    check_dropped(&h);
    assert_int_equal(STAT(&h, collected), 4);
    restart(&h, true);
    check_dropped(&h);
    assert_int_equal(STAT(&h, collected), 0);
    harness_stop(&h);
}

static void test_dropping_goes_on_after_a_stop(void **state)
{
    (void)state;
    for (int in_order = 0; in_order < 2; in_order++) {
        struct harness h;
        start(&h);
        fill_in(&h);
        take_floor(&h, QUO_FLOOR_GATE, FLOOR);
        take_floor(&h, QUO_FLOOR_SEAL, FLOOR);
        uint64_t id = floor_to(&h, QUO_FLOOR_DROP, FLOOR);
        quo_server_drain(h.server);
        settle(&h);
        expect(&h, id, QUO_OK);
        assert_int_equal(STAT(&h, collected), 0);
        quo_server_free(h.server);
        harness_open(&h);
        if (in_order == 0) {
            /* A write takes the trees' mark away; then there are none. */
            bury(&h, NS_LWW, "late", NUMBER_ABOVE(2));
            bury(&h, NS_LWW, "late", NUMBER_ABOVE(3));
            quo_server_free(h.server);
            harness_open(&h);
            rest(&h);
            assert_int_equal(quo_server_tombstones(h.server), 3);
            harness_stop(&h);
            continue;
        }
        check_dropped(&h);
        assert_int_equal(STAT(&h, collected), 4);
        harness_stop(&h);
    }
}

/* A promise that may still be needed stays where the tombstone was. */
static void test_a_promise_stays(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    bury(&h, NS_CAS, "low", 1);
    bury(&h, NS_CAS, "high", 2);
    uint64_t low = prep(&h, "low", 3), high = prep(&h, "high", NUMBER_ABOVE(5));
    settle(&h);
    expect(&h, low, QUO_OK);
    expect(&h, high, QUO_OK);
    take_floor(&h, QUO_FLOOR_GATE, FLOOR);
    take_floor(&h, QUO_FLOOR_SEAL, FLOOR);
    take_floor(&h, QUO_FLOOR_DROP, FLOOR);
    rest(&h);
    assert_int_equal(STAT(&h, collected), 2);
    expect_promised(&h, query_of(&h, NS_CAS, "low", 0), QUO_OK, 0, 0);
    expect_promised(&h, query_of(&h, NS_CAS, "high", 0), QUO_OK, 0, NUMBER_ABOVE(5));
    uint64_t id = acc(&h, "high", NUMBER_ABOVE(4));
    settle(&h);
    expect(&h, id, QUO_NACK);
    restart(&h, false);
    expect_promised(&h, query_of(&h, NS_CAS, "high", 0), QUO_OK, 0, NUMBER_ABOVE(5));
    harness_stop(&h);
}

static void test_other_replicas_have_not_sealed(void **state)
{
    (void)state;
    for (int by_map = 0; by_map < 2; by_map++) {
        struct harness h;
        start(&h);
        take_floor(&h, QUO_FLOOR_GATE, FLOOR);
        take_floor(&h, QUO_FLOOR_SEAL, FLOOR);
        /* The same replicas in a newer epoch have. */
        h.entry = entry_of(2, SELF, SECOND, THIRD);
        expect(&h, put_flags(&h, NS_LWW, "key", NUMBER_ABOVE(1), QUO_RECORD_BLIND, 0, 0), QUO_OK);
        assert_true(quo_version_equal(sealed_of(&h), FLOOR));
        h.entry = entry_of(4, SELF, SECOND, STRANGER);
        if (by_map != 0) {
            map_fill(h.map, 4);
            for (uint32_t i = 0; i < PARTITIONS; i++)
                h.map->entries[i] = h.entry;
            restart(&h, false);
        } else {
            expect(&h, put_flags(&h, NS_LWW, "key", NUMBER_ABOVE(2), QUO_RECORD_BLIND, 0, 0),
                   QUO_OK);
        }
        for (int life = 0; life < 2; life++) {
            assert_true(quo_version_is_none(sealed_of(&h)));
            assert_true(quo_version_equal(expect(&h, query(&h, "key"), QUO_OK)->floor, FLOOR));
            if (by_map != 0)
                restart(&h, false);
        }
        harness_stop(&h);
    }
}

static void test_other_namespaces_are_not_sealed(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    take_floor(&h, QUO_FLOOR_GATE, FLOOR);
    take_floor(&h, QUO_FLOOR_SEAL, FLOOR);
    h.map->namespaces[2].n = 2;
    restart(&h, true);
    assert_true(quo_version_is_none(sealed_of(&h)));
    assert_true(quo_version_equal(expect(&h, query(&h, "key"), QUO_OK)->floor, FLOOR));
    take_floor(&h, QUO_FLOOR_SEAL, FLOOR);
    restart(&h, true);
    assert_true(quo_version_equal(sealed_of(&h), FLOOR));
    harness_stop(&h);
}

static void test_who_takes_no_writes_raises_nothing(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    quo_server_drain(h.server);
    expect(&h, floor_to(&h, QUO_FLOOR_GATE, FLOOR), QUO_READ_ONLY);
    assert_true(quo_version_is_none(expect(&h, query(&h, "key"), QUO_OK)->floor));
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_gate_is_answered_when_it_is_on_disk),
        cmocka_unit_test(test_nothing_new_passes_the_gate_and_copies_do),
        cmocka_unit_test(test_what_is_sealed_stops_copies_too),
        cmocka_unit_test(test_no_stage_comes_before_its_turn),
        cmocka_unit_test(test_void_under_any_other_entry_or_map),
        cmocka_unit_test(test_what_is_cleared_is_dropped),
        cmocka_unit_test(test_dropping_goes_on_after_a_stop),
        cmocka_unit_test(test_a_promise_stays),
        cmocka_unit_test(test_other_replicas_have_not_sealed),
        cmocka_unit_test(test_other_namespaces_are_not_sealed),
        cmocka_unit_test(test_who_takes_no_writes_raises_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
