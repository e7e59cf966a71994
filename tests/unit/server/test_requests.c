/* What is refused before any rule of its message: bytes, kinds, clocks, limits; and peers that
 * left. */
#include "tests/unit/server/harness.h"

static const uint8_t types[] = {QUO_MESSAGE_QUERY, QUO_MESSAGE_STORE, QUO_MESSAGE_PREP,
                                QUO_MESSAGE_ACC};

static size_t make_prep(struct quo_slice entry, uint8_t *out)
{
    struct quo_msg_prep message = {.partition = 3,
                                   .ns = NS_CAS,
                                   .kind = QUO_KIND_CAS,
                                   .entry = entry,
                                   .ballot = version_of(1),
                                   .key = quo_slice_of("key")};
    quo_msg_prep_encode(&message, out);
    return quo_msg_prep_size(&message);
}

static size_t make_acc(struct quo_slice entry, uint8_t *out)
{
    uint8_t bytes[256];
    struct quo_record record = {.version = version_of(2), .value = quo_slice_of("value")};
    quo_record_encode(&record, bytes);
    struct quo_msg_acc message = {.partition = 3,
                                  .ns = NS_CAS,
                                  .kind = QUO_KIND_CAS,
                                  .entry = entry,
                                  .next = version_of(3),
                                  .key = quo_slice_of("key"),
                                  .record = quo_slice(bytes, quo_record_size(&record))};
    quo_msg_acc_encode(&message, out);
    return quo_msg_acc_size(&message);
}

/* A proper request, as bytes. */
static size_t make_body(uint8_t type, uint8_t *out)
{
    uint8_t entry_bytes[QUO_ENTRY_SIZE_MAX], record_bytes[QUO_RECORD_OVERHEAD_MAX];
    struct quo_entry entry = entry_of(1, SELF, SECOND, THIRD);
    quo_entry_encode(&entry, entry_bytes);
    struct quo_slice encoded = quo_slice(entry_bytes, quo_entry_size(&entry));
    if (type == QUO_MESSAGE_PREP)
        return make_prep(encoded, out);
    if (type == QUO_MESSAGE_ACC)
        return make_acc(encoded, out);
    if (type == QUO_MESSAGE_QUERY) {
        struct quo_msg_query query = {.partition = 3,
                                      .ns = NS_LWW,
                                      .kind = QUO_KIND_LWW,
                                      .entry = encoded,
                                      .key = quo_slice_of("key")};
        quo_msg_query_encode(&query, out);
        return quo_msg_query_size(&query);
    }
    size_t len = make_record(record_bytes, (struct quo_version){HLC(1), 7}, quo_slice_of("value"));
    struct quo_msg_store store = {.partition = 3,
                                  .ns = NS_LWW,
                                  .kind = QUO_KIND_LWW,
                                  .entry = encoded,
                                  .flags = QUO_STORE_SYNC,
                                  .key = quo_slice_of("key"),
                                  .record = quo_slice(record_bytes, len)};
    quo_msg_store_encode(&store, out);
    return quo_msg_store_size(&store);
}

static void test_truncated_bodies(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    for (size_t i = 0; i < QUO_COUNT(types); i++) {
        uint8_t body[4096];
        size_t len = make_body(types[i], body);
        for (size_t cut = 0; cut < len; cut++) {
            send_frame(&h, types[i], body, cut);
            expect(&h, h.last_id, QUO_MALFORMED);
        }
        body[len] = 0;
        send_frame(&h, types[i], body, len + 1);
        expect(&h, h.last_id, QUO_MALFORMED);
        send_frame(&h, types[i], body, len);
        settle(&h);
        expect(&h, h.last_id, QUO_OK);
    }
    harness_stop(&h);
}

/* Any byte may be anything; the server must answer once and stay sane. Sanitizers watch. */
static void test_flipped_bytes(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    for (size_t i = 0; i < QUO_COUNT(types); i++) {
        uint8_t body[4096];
        size_t len = make_body(types[i], body);
        for (size_t at = 0; at < len; at++) {
            for (unsigned flip = 1; flip < 256; flip += 2) {
                body[at] ^= (uint8_t)flip;
                send_frame(&h, types[i], body, len);
                body[at] ^= (uint8_t)flip;
            }
            settle(&h);
            h.mono_us += 1000000;
        }
    }
    assert_int_equal(h.reply_count, h.last_id);
    assert_true(STAT(&h, malformed) > 1000);
    harness_stop(&h);
}

static void test_record_that_no_blind_write_made(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint8_t bytes[QUO_RECORD_OVERHEAD_MAX];
    struct quo_record record = {.version = {HLC(5), 7}, .hist_from = {HLC(5), 7}};
    quo_record_encode(&record, bytes);
    struct quo_msg_store message = {
        .ns = NS_MIXED,
        .kind = QUO_KIND_MIXED,
        .key = quo_slice_of("a"),
        .record = quo_slice(bytes, quo_record_size(&record)),
    };
    expect(&h, send_store(&h, &message), QUO_MALFORMED);
    record.flags = QUO_RECORD_BLIND;
    quo_record_encode(&record, bytes);
    expect(&h, send_store(&h, &message), QUO_OK);
    harness_stop(&h);
}

static void test_record_that_no_read_modify_write_made(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint8_t bytes[QUO_RECORD_OVERHEAD_MAX];
    size_t len = make_record(bytes, version_of(5), quo_slice_of("x"));
    struct quo_msg_acc message = {
        .ns = NS_MIXED,
        .kind = QUO_KIND_MIXED,
        .key = quo_slice_of("a"),
        .record = quo_slice(bytes, len),
    };
    expect(&h, send_acc(&h, &message), QUO_MALFORMED);
    message.record = quo_slice_of("rubbish");
    expect(&h, send_acc(&h, &message), QUO_MALFORMED);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

static void test_ballots_that_cannot_be(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    expect(&h, prep(&h, "a", 0), QUO_MALFORMED);
    for (uint64_t next = 4; next <= 5; next++) /* at the record's version and below */
        expect(&h, acc_value(&h, NS_CAS, "a", 5, next, quo_slice_of("x")), QUO_MALFORMED);
    uint64_t id = acc_value(&h, NS_CAS, "a", 5, 6, quo_slice_of("x"));
    settle(&h);
    expect(&h, id, QUO_OK);
    harness_stop(&h);
}

static void test_unknown_message(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    send_frame(&h, 200, "x", 1);
    expect(&h, h.last_id, QUO_MALFORMED);
    send_frame(&h, QUO_MESSAGE_REPLY, "", 0);
    expect(&h, h.last_id, QUO_MALFORMED);
    assert_int_equal(STAT(&h, malformed), 2);
    harness_stop(&h);
}

static void test_partition_that_does_not_exist(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.partition = PARTITIONS;
    expect(&h, query(&h, "a"), QUO_MALFORMED);
    expect(&h, put_synced(&h, "a", 1), QUO_MALFORMED);
    h.partition = PARTITIONS - 1;
    expect_shown(&h, "a", 0);
    harness_stop(&h);
}

static void test_unknown_flags(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    expect(&h, put(&h, "a", 1, 1u << 7), QUO_MALFORMED);
    expect(&h, put(&h, "a", 1, QUO_STORE_WRITEBACK), QUO_OK);
    harness_stop(&h);
}

static void test_kinds(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    expect(&h, put_value(&h, NS_CAS, "a", 1, 0, quo_slice_of("x")), QUO_BAD_KIND);
    expect(&h, query_of(&h, NS_CAS, "a", 0), QUO_OK);
    expect(&h, put_value(&h, NS_MIXED, "a", 1, 0, quo_slice_of("x")), QUO_OK);
    expect(&h, put_value(&h, NS_CRDT, "a", 1, 0, quo_slice_of("x")), QUO_OK);
    expect(&h, put_value(&h, 9, "a", 1, 0, quo_slice_of("x")), QUO_BAD_KIND);
    expect(&h, query_of(&h, 0, "a", 0), QUO_BAD_KIND);
    static const struct {
        uint32_t ns;
        enum quo_status status;
    } consensus[] = {{NS_CAS, QUO_OK},
                     {NS_MIXED, QUO_OK},
                     {NS_LWW, QUO_BAD_KIND},
                     {NS_CRDT, QUO_BAD_KIND},
                     {9, QUO_BAD_KIND}};
    for (size_t i = 0; i < QUO_COUNT(consensus); i++) {
        uint64_t prepared = prep_of(&h, consensus[i].ns, "b", 1, 0);
        uint64_t accepted = acc_value(&h, consensus[i].ns, "b", 1, 0, quo_slice_of("x"));
        settle(&h);
        expect(&h, prepared, consensus[i].status);
        expect(&h, accepted, consensus[i].status);
    }
    assert_int_equal(STAT(&h, bad_kind), 9);
    harness_stop(&h);
}

static void test_versions_from_the_future(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t limit = (uint64_t)QUO_SKEW_MAX_MS << 16;
    expect(&h, put(&h, "a", limit, 0), QUO_OK);
    expect(&h, put(&h, "a", limit + (1u << 16), 0), QUO_SKEW);
    h.wall_ms++;
    expect(&h, put(&h, "a", limit + (1u << 16), 0), QUO_OK);
    assert_int_equal(STAT(&h, skews), 1);
    limit += 1u << 16;
    uint64_t over = limit + (1u << 16);
    expect(&h, prep(&h, "a", over), QUO_SKEW);
    expect(&h, acc(&h, "a", over), QUO_SKEW);
    expect(&h, acc_value(&h, NS_CAS, "a", 1, over, quo_slice_of("x")), QUO_SKEW);
    uint64_t ids[] = {prep(&h, "a", limit), acc(&h, "a", limit),
                      acc_value(&h, NS_CAS, "b", 1, limit, quo_slice_of("x"))};
    settle(&h);
    for (size_t i = 0; i < QUO_COUNT(ids); i++)
        expect(&h, ids[i], QUO_OK);
    assert_int_equal(STAT(&h, skews), 4);
    harness_stop(&h);
}

static void test_value_limit_of_the_namespace(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint8_t value[VALUE_MAX_OF_LWW + 1] = {0};
    expect(&h, put_value(&h, NS_LWW, "a", 1, 0, quo_slice(value, VALUE_MAX_OF_LWW)), QUO_OK);
    expect(&h, put_value(&h, NS_LWW, "a", 2, 0, quo_slice(value, VALUE_MAX_OF_LWW + 1)),
           QUO_MALFORMED);
    uint8_t *large = calloc(1, 100001);
    expect(&h, acc_value(&h, NS_CAS, "a", 1, 0, quo_slice(large, 100001)), QUO_MALFORMED);
    uint64_t fits = acc_value(&h, NS_CAS, "a", 1, 0, quo_slice(large, 100000));
    settle(&h);
    expect(&h, fits, QUO_OK);
    free(large);
    harness_stop(&h);
}

static void start_small(struct harness *h, uint64_t memory_max)
{
    char why[200];
    harness_prepare(h);
    h->memory_max = memory_max;
    assert_int_equal(server_open(h, why, sizeof why), QUO_OK);
    settle(h);
}

static void test_memory_limit(void **state)
{
    (void)state;
    struct harness h;
    uint8_t value[4000] = {0};
    start_small(&h, 100000);
    for (int round = 0; round < 3; round++) {
        unsigned taken = 0;
        for (uint64_t n = 1; n <= 100; n++) {
            char key[4] = {'k', (char)('a' + n % 26), (char)('a' + n / 26)};
            uint64_t id = put_value(&h, NS_LWW, key, n + 100u * (unsigned)round, 0,
                                    quo_slice(value, sizeof value));
            if (expect(&h, id, reply_to(&h, id)->status)->status == QUO_OK)
                taken++;
            else
                expect(&h, id, QUO_BUSY);
        }
        assert_in_range(taken, 15, 25);
        settle(&h); /* gives the memory back */
    }
    harness_stop(&h);
}

static void test_memory_of_what_waits_for_loads_is_limited(void **state)
{
    (void)state;
    struct harness h;
    uint8_t value[4000] = {0};
    start_small(&h, 100000);
    put_synced(&h, "a", 1);
    settle(&h);
    for (int round = 0; round < 3; round++) {
        quo_store_memory_faults(h.store)->get_would_block = true;
        unsigned waiting = 0;
        for (unsigned n = 0; n < 100; n++) {
            uint64_t id = put_value(&h, NS_LWW, "a", 2 + n + 100u * (unsigned)round, 0,
                                    quo_slice(value, sizeof value));
            waiting += !answered(&h, id);
            if (answered(&h, id))
                expect(&h, id, QUO_BUSY);
        }
        assert_in_range(waiting, 15, 25);
        settle(&h);
    }
    harness_stop(&h);
}

/* What promises are to show counts as well: the records stay pinned until the answers leave. */
static void test_memory_of_records_to_show_is_limited(void **state)
{
    (void)state;
    struct harness h;
    uint8_t value[4000] = {0};
    start_small(&h, 100000);
    acc_value(&h, NS_CAS, "a", 1, 0, quo_slice(value, sizeof value));
    settle(&h);
    for (unsigned round = 0; round < 3; round++) {
        unsigned waiting = 0;
        for (unsigned n = 0; n < 100; n++) {
            uint64_t id = prep_of(&h, NS_CAS, "a", 2 + n + 100u * round, UINT32_MAX);
            waiting += !answered(&h, id);
            if (answered(&h, id))
                expect(&h, id, QUO_BUSY);
        }
        assert_in_range(waiting, 15, 25);
        settle(&h);
    }
    harness_stop(&h);
}

/* So do the PREPs that wait for a record. */
static void test_memory_of_what_waits_for_groups_is_limited(void **state)
{
    (void)state;
    struct harness h;
    start_small(&h, 100000);
    for (unsigned round = 0; round < 3; round++) {
        unsigned waiting = 0;
        acc(&h, "a", 1 + 1000u * round);
        for (unsigned n = 0; n < 900; n++) {
            uint64_t id = prep(&h, "a", 2 + n + 1000u * round);
            waiting += !answered(&h, id);
            if (answered(&h, id))
                expect(&h, id, QUO_BUSY);
        }
        assert_in_range(waiting, 100, 800);
        settle(&h);
    }
    harness_stop(&h);
}

static void test_one_write_larger_than_all_memory(void **state)
{
    (void)state;
    struct harness h;
    start_small(&h, 100);
    expect(&h, put_synced(&h, "a", 1), QUO_BUSY);
    expect(&h, prep(&h, "a", 1), QUO_BUSY);
    expect(&h, acc(&h, "a", 1), QUO_BUSY);
    h.entry.epoch = 2; /* neither is there room to adopt an epoch */
    expect(&h, query(&h, "a"), QUO_BUSY);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

static void test_large_values_fill_groups_by_bytes(void **state)
{
    (void)state;
    struct harness h;
    char why[200];
    enum { LARGE = 8 * 1024 * 1024 };
    harness_prepare(&h);
    h.map->namespaces[0].value_max = QUO_VALUE_MAX;
    assert_int_equal(server_open(&h, why, sizeof why), QUO_OK);
    settle(&h);
    uint64_t before = STAT(&h, commits);
    uint8_t *value = calloc(1, LARGE);
    uint64_t ids[5];
    for (unsigned i = 0; i < 5; i++)
        ids[i] = put_value(&h, NS_MIXED, "a", i + 1, QUO_STORE_SYNC, quo_slice(value, LARGE));
    settle(&h);
    for (unsigned i = 0; i < 5; i++)
        expect(&h, ids[i], QUO_OK);
    assert_int_equal(STAT(&h, commits), before + 2);
    const struct quo_msg_reply *shown = expect(&h, query_of(&h, NS_MIXED, "a", UINT32_MAX), QUO_OK);
    assert_true(shown->record.len > LARGE);
    free(value);
    harness_stop(&h);
}

static void test_peer_that_is_gone(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.transport.events->on_up(h.transport.receiver, 77);
    put_synced(&h, "a", 1);
    query(&h, "a");
    h.refuse = QUO_UNAVAILABLE;
    h.transport.events->on_down(h.transport.receiver, 77);
    settle(&h);
    assert_int_equal(STAT(&h, dropped), 0);
    h.refuse = QUO_BUSY;
    put_synced(&h, "a", 2);
    settle(&h);
    assert_int_equal(STAT(&h, dropped), 1);
    h.refuse = QUO_OK;
    assert_int_equal(h.reply_count, 1);
    expect_shown(&h, "a", 2);
    harness_stop(&h);
}

static void test_free_of_nothing(void **state)
{
    (void)state;
    quo_server_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated_bodies),
        cmocka_unit_test(test_flipped_bytes),
        cmocka_unit_test(test_record_that_no_blind_write_made),
        cmocka_unit_test(test_record_that_no_read_modify_write_made),
        cmocka_unit_test(test_ballots_that_cannot_be),
        cmocka_unit_test(test_unknown_message),
        cmocka_unit_test(test_partition_that_does_not_exist),
        cmocka_unit_test(test_unknown_flags),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_versions_from_the_future),
        cmocka_unit_test(test_value_limit_of_the_namespace),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_memory_of_what_waits_for_loads_is_limited),
        cmocka_unit_test(test_memory_of_records_to_show_is_limited),
        cmocka_unit_test(test_memory_of_what_waits_for_groups_is_limited),
        cmocka_unit_test(test_one_write_larger_than_all_memory),
        cmocka_unit_test(test_large_values_fill_groups_by_bytes),
        cmocka_unit_test(test_peer_that_is_gone),
        cmocka_unit_test(test_free_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
