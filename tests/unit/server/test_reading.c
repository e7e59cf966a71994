/* Records that are not in memory: reads off the loop, and writes that wait for them. */
#include "tests/unit/server/harness.h"

static struct quo_store_faults *faults(struct harness *h)
{
    return quo_store_memory_faults(h->store);
}

/* A node on which "a" is at version 5, on disk, and no longer in memory. */
static void start_cold(struct harness *h)
{
    harness_start(h);
    put_synced(h, "a", 5);
    settle(h);
    faults(h)->get_would_block = true;
}

static void ignore_commit(struct quo_commit *commit)
{
    assert_int_equal(commit->status, QUO_OK);
}

/* Writes straight to the engine, as another part of a node would. */
static void put_to_store(struct harness *h, enum quo_family family, uint32_t ns, const char *key,
                         struct quo_slice value)
{
    struct quo_store *store = h->store;
    uint8_t storage_key[64];
    quo_put_u16(storage_key, h->partition);
    quo_put_u32(storage_key + 2, ns);
    memcpy(storage_key + 6, key, strlen(key));
    struct quo_batch *batch = store->ops->batch_new(store);
    store->ops->batch_put(store, batch, family, quo_slice(storage_key, 6 + strlen(key)), value);
    struct quo_commit commit = {.batch = batch, .sync = true, .done = ignore_commit};
    store->ops->commit(store, &commit);
    run_tasks(h);
    store->ops->batch_free(store, batch);
}

static void promise(struct harness *h, uint32_t ns, const char *key, uint64_t n)
{
    uint8_t bytes[QUO_VERSION_SIZE];
    quo_version_encode((struct quo_version){HLC(n), 9}, bytes);
    put_to_store(h, QUO_FAMILY_PROMISE, ns, key, quo_slice(bytes, sizeof bytes));
}

static void test_query_loads(void **state)
{
    (void)state;
    struct harness h;
    start_cold(&h);
    uint64_t id = query(&h, "a");
    assert_false(answered(&h, id));
    assert_false(quo_server_idle(h.server));
    run_tasks(&h);
    expect_version(&h, id, QUO_OK, 5, true);
    assert_true(expect(&h, id, QUO_OK)->record.len > 0);
    assert_true(quo_server_idle(h.server));
    assert_int_equal(STAT(&h, loads), 1);
    harness_stop(&h);
}

static void test_query_loads_a_miss(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    faults(&h)->get_in = 1;
    faults(&h)->get_status = QUO_WOULD_BLOCK;
    uint64_t id = query(&h, "nobody");
    assert_false(answered(&h, id));
    run_tasks(&h);
    expect_version(&h, id, QUO_OK, 0, true);
    harness_stop(&h);
}

static void test_many_queries_load_apart(void **state)
{
    (void)state;
    struct harness h;
    start_cold(&h);
    uint64_t ids[10];
    for (int round = 0; round < 2; round++) { /* the second reuses the first's memory */
        for (int i = 0; i < 10; i++)
            ids[i] = query(&h, "a");
        run_tasks(&h);
        for (int i = 0; i < 10; i++)
            expect_version(&h, ids[i], QUO_OK, 5, true);
    }
    harness_stop(&h);
}

static void test_stores_wait_for_the_load_in_order(void **state)
{
    (void)state;
    struct harness h;
    start_cold(&h);
    uint64_t older = put_synced(&h, "a", 4);
    uint64_t same = put_synced(&h, "a", 5);
    uint64_t newer = put(&h, "a", 7, 0);
    uint64_t between = put_synced(&h, "a", 6);
    uint64_t newest = put_synced(&h, "a", 8);
    for (uint64_t id = older; id <= newest; id++)
        assert_false(answered(&h, id));
    run_tasks(&h);
    assert_int_equal(STAT(&h, loads), 1);
    expect_version(&h, older, QUO_SUPERSEDED, 5, true);
    expect_version(&h, same, QUO_OK, 5, true);
    expect_version(&h, newer, QUO_OK, 7, false);
    assert_false(answered(&h, between)); /* by 7, which is not on disk */
    assert_false(answered(&h, newest));
    settle(&h);
    expect_version(&h, between, QUO_SUPERSEDED, 7, true);
    expect_version(&h, newest, QUO_OK, 8, true);
    faults(&h)->get_would_block = false;
    expect_shown(&h, "a", 8);
    harness_stop(&h);
}

static void test_other_keys_do_not_wait(void **state)
{
    (void)state;
    struct harness h;
    start_cold(&h);
    uint64_t waiting = put(&h, "a", 6, 0);
    uint64_t free_one = put(&h, "b", 6, 0);
    assert_false(answered(&h, waiting));
    expect_version(&h, free_one, QUO_OK, 6, false);
    harness_stop(&h);
}

static void test_query_during_a_store_load_reads_for_itself(void **state)
{
    (void)state;
    struct harness h;
    start_cold(&h);
    put_synced(&h, "a", 6);
    uint64_t seen = query(&h, "a");
    run_tasks(&h);
    expect_version(&h, seen, QUO_OK, 5, true);
    harness_stop(&h);
}

static void test_load_that_writes_nothing_leaves_nothing(void **state)
{
    (void)state;
    struct harness h;
    start_cold(&h);
    uint64_t id = put_synced(&h, "a", 4);
    run_tasks(&h);
    expect_version(&h, id, QUO_SUPERSEDED, 5, true);
    assert_true(quo_server_idle(h.server));
    uint64_t again = put_synced(&h, "a", 6); /* loads anew */
    run_tasks(&h);
    assert_int_equal(STAT(&h, loads), 2);
    settle(&h);
    expect_version(&h, again, QUO_OK, 6, true);
    harness_stop(&h);
}

static void test_failed_loads(void **state)
{
    (void)state;
    static const enum quo_status failures[] = {QUO_IO_ERROR, QUO_CORRUPT};
    for (size_t i = 0; i < QUO_COUNT(failures); i++) {
        struct harness h;
        start_cold(&h);
        faults(&h)->load_in = 1;
        faults(&h)->load_status = failures[i];
        uint64_t first = put_synced(&h, "a", 6);
        uint64_t second = put(&h, "a", 7, 0);
        run_tasks(&h);
        expect(&h, first, failures[i]);
        expect(&h, second, failures[i]);
        faults(&h)->load_in = 1;
        uint64_t read = query(&h, "a");
        run_tasks(&h);
        expect(&h, read, failures[i]);
        assert_true(quo_server_idle(h.server));
        assert_int_equal(STAT(&h, io_errors), failures[i] == QUO_IO_ERROR ? 2 : 0);
        harness_stop(&h);
    }
}

static void test_failed_gets(void **state)
{
    (void)state;
    static const enum quo_status failures[] = {QUO_IO_ERROR, QUO_CORRUPT};
    for (size_t i = 0; i < QUO_COUNT(failures); i++) {
        struct harness h;
        harness_start(&h);
        faults(&h)->get_status = failures[i];
        faults(&h)->get_in = 1;
        expect(&h, query(&h, "a"), failures[i]);
        faults(&h)->get_in = 1;
        expect(&h, put_synced(&h, "a", 1), failures[i]);
        assert_true(quo_server_idle(h.server));
        harness_stop(&h);
    }
}

static void test_stored_bytes_that_are_no_record(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_to_store(&h, QUO_FAMILY_DATA, NS_LWW, "a", quo_slice_of("rubbish"));
    expect(&h, query(&h, "a"), QUO_CORRUPT);
    expect(&h, put_synced(&h, "a", 1), QUO_CORRUPT);
    faults(&h)->get_would_block = true;
    uint64_t id = query(&h, "a");
    run_tasks(&h);
    expect(&h, id, QUO_CORRUPT);
    assert_int_equal(STAT(&h, corrupt), 3);
    harness_stop(&h);
}

static void test_promise_gates_stores_before_what_is_held(void **state)
{
    (void)state;
    for (int cold = 0; cold < 2; cold++) {
        struct harness h;
        harness_start(&h);
        promise(&h, NS_MIXED, "a", 8);
        uint64_t low = put_value(&h, NS_MIXED, "a", 7, QUO_STORE_SYNC, quo_slice_of("x"));
        const struct quo_msg_reply *nack = expect(&h, low, QUO_NACK);
        assert_int_equal(nack->promised.hlc, HLC(8));
        assert_true(quo_version_is_none(nack->version));

        uint64_t high = put_value(&h, NS_MIXED, "a", 9, QUO_STORE_SYNC, quo_slice_of("x"));
        /* The promise is remembered with the record that is not on disk yet. */
        uint64_t below = put_value(&h, NS_MIXED, "a", 7, 0, quo_slice_of("x"));
        expect(&h, below, QUO_NACK);
        settle(&h);
        expect_version(&h, high, QUO_OK, 9, true);

        faults(&h)->get_would_block = cold == 1;
        uint64_t later = put_value(&h, NS_MIXED, "a", 7, 0, quo_slice_of("x"));
        uint64_t seen = query_of(&h, NS_MIXED, "a", 100);
        settle(&h);
        expect(&h, later, QUO_NACK);
        assert_int_equal(expect(&h, seen, QUO_OK)->promised.hlc, HLC(8));
        assert_int_equal(STAT(&h, nacks), 3);
        harness_stop(&h);
    }
}

static void test_lww_never_looks_for_promises(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    promise(&h, NS_LWW, "a", 8);
    uint64_t id = put_synced(&h, "a", 7);
    settle(&h);
    expect_version(&h, id, QUO_OK, 7, true);
    assert_true(quo_version_is_none(expect(&h, query(&h, "a"), QUO_OK)->promised));
    harness_stop(&h);
}

static void test_promise_alone_is_shown(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    promise(&h, NS_CAS, "a", 8);
    const struct quo_msg_reply *reply = expect(&h, query_of(&h, NS_CAS, "a", 100), QUO_OK);
    assert_true(quo_version_is_none(reply->version));
    assert_int_equal(reply->promised.hlc, HLC(8));
    harness_stop(&h);
}

static void test_promise_that_cannot_be_read(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_value(&h, NS_MIXED, "a", 5, QUO_STORE_SYNC, quo_slice_of("x"));
    settle(&h);
    put_to_store(&h, QUO_FAMILY_PROMISE, NS_MIXED, "a", quo_slice_of("rubbish"));
    expect(&h, query_of(&h, NS_MIXED, "a", 100), QUO_CORRUPT);
    /* The first get looks for the promise, the second for the record. */
    for (uint64_t which = 1; which <= 2; which++) {
        faults(&h)->get_in = which;
        faults(&h)->get_status = QUO_IO_ERROR;
        expect(&h, query_of(&h, NS_MIXED, "b", 100), QUO_IO_ERROR);
    }
    harness_stop(&h);
}

static void test_promise_and_record_are_loaded_one_after_the_other(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    promise(&h, NS_MIXED, "a", 3);
    put_value(&h, NS_MIXED, "a", 5, QUO_STORE_SYNC, quo_slice_of("x"));
    settle(&h);
    for (uint64_t which = 1; which <= 2; which++) {
        faults(&h)->get_in = which;
        faults(&h)->get_status = QUO_WOULD_BLOCK;
        uint64_t id = query_of(&h, NS_MIXED, "a", 100);
        run_tasks(&h);
        assert_false(answered(&h, id));
        run_tasks(&h);
        const struct quo_msg_reply *reply = expect(&h, id, QUO_OK);
        assert_int_equal(reply->promised.hlc, HLC(3));
        assert_int_equal(reply->version.hlc, HLC(5));
    }
    for (uint64_t which = 1; which <= 2; which++) {
        faults(&h)->get_in = 1;
        faults(&h)->load_in = which;
        faults(&h)->load_status = QUO_IO_ERROR;
        uint64_t id = query_of(&h, NS_MIXED, "a", 100);
        settle(&h);
        expect(&h, id, QUO_IO_ERROR);
    }
    harness_stop(&h);
}

static void test_too_many_loads(void **state)
{
    (void)state;
    struct harness h;
    start_cold(&h);
    for (unsigned i = 0; i < QUO_NODE_LOADS_MAX; i++)
        query(&h, "a");
    assert_int_equal(h.reply_count, 1);
    expect(&h, query(&h, "a"), QUO_BUSY);
    expect(&h, put_synced(&h, "a", 6), QUO_BUSY);
    run_tasks(&h);
    uint64_t id = query(&h, "a");
    run_tasks(&h);
    expect_version(&h, id, QUO_OK, 5, true);
    harness_stop(&h);
}

static void forget_load(struct quo_store *store, struct quo_load *load)
{
    (void)store;
    (void)load;
}

static void forget_commit(struct quo_store *store, struct quo_commit *commit)
{
    (void)store;
    (void)commit;
}

static void test_crash_with_everything_under_way(void **state)
{
    (void)state;
    struct harness h;
    start_cold(&h);
    const struct quo_store_ops *memory = h.store->ops;
    struct quo_store_ops forgetful = *memory;
    forgetful.load = forget_load;
    forgetful.commit = forget_commit;
    put_synced(&h, "b", 6);
    h.store->ops = &forgetful;
    quo_server_end_turn(h.server); /* the commit of "b" is under way */
    put_synced(&h, "c", 6);
    query(&h, "a");
    put_synced(&h, "a", 6);
    put_synced(&h, "a", 7);
    h.entry.epoch = 2;
    query(&h, "b"); /* held for the epoch */
    assert_false(quo_server_idle(h.server));
    quo_server_free(h.server);
    h.server = NULL;
    h.store->ops = memory;
    assert_null(h.tasks);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_loads),
        cmocka_unit_test(test_query_loads_a_miss),
        cmocka_unit_test(test_many_queries_load_apart),
        cmocka_unit_test(test_stores_wait_for_the_load_in_order),
        cmocka_unit_test(test_other_keys_do_not_wait),
        cmocka_unit_test(test_query_during_a_store_load_reads_for_itself),
        cmocka_unit_test(test_load_that_writes_nothing_leaves_nothing),
        cmocka_unit_test(test_failed_loads),
        cmocka_unit_test(test_failed_gets),
        cmocka_unit_test(test_stored_bytes_that_are_no_record),
        cmocka_unit_test(test_promise_gates_stores_before_what_is_held),
        cmocka_unit_test(test_lww_never_looks_for_promises),
        cmocka_unit_test(test_promise_alone_is_shown),
        cmocka_unit_test(test_promise_that_cannot_be_read),
        cmocka_unit_test(test_promise_and_record_are_loaded_one_after_the_other),
        cmocka_unit_test(test_too_many_loads),
        cmocka_unit_test(test_crash_with_everything_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
