/* Epochs: taken from the map at start and from requests, durable before any answer speaks for them.
 */
#include "tests/unit/server/harness.h"

static void fail_commit(struct harness *h, uint64_t countdown, enum quo_status status)
{
    quo_store_memory_faults(h->store)->commit_in = countdown;
    quo_store_memory_faults(h->store)->commit_status = status;
}

/* Stops the server and starts another on the same storage. */
static enum quo_status restart(struct harness *h, char *why, size_t why_size)
{
    settle(h);
    quo_server_free(h->server);
    h->server = NULL;
    enum quo_status status = server_open(h, why, why_size);
    if (status == QUO_OK)
        settle(h);
    return status;
}

static void test_old_epoch_is_refused_with_ours(void **state)
{
    (void)state;
    struct harness h;
    char why[200];
    harness_start(&h);
    map_fill(h.map, 4);
    assert_int_equal(restart(&h, why, sizeof why), QUO_OK);
    uint64_t ids[] = {put_synced(&h, "a", 1), query(&h, "a")};
    for (size_t i = 0; i < QUO_COUNT(ids); i++) {
        const struct quo_msg_reply *reply = expect(&h, ids[i], QUO_WRONG_EPOCH);
        struct quo_entry entry;
        assert_int_equal(quo_entry_decode(reply->entry, &entry), QUO_OK);
        assert_true(quo_entry_equal(&entry, &h.map->entries[h.partition]));
    }
    assert_int_equal(STAT(&h, wrong_epochs), 2);
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

static void test_newer_epoch_is_adopted_before_any_answer(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.entry.epoch = 2;
    uint64_t read = query(&h, "a");
    uint64_t careless = put(&h, "a", 1, 0);
    uint64_t synced = put_synced(&h, "b", 1);
    uint64_t another_read = query(&h, "a");
    assert_int_equal(h.reply_count, 0);
    assert_int_equal(STAT(&h, adopted), 1);
    h.entry.epoch = 1;
    expect(&h, put_synced(&h, "a", 3), QUO_WRONG_EPOCH);
    turn(&h);
    assert_int_equal(h.reply_count, 1);
    turn(&h);
    /* Read when the epoch was on disk, so with the write that came along with it. */
    expect_version(&h, read, QUO_OK, 1, true);
    expect_version(&h, another_read, QUO_OK, 1, true);
    expect_version(&h, careless, QUO_OK, 1, true);
    expect_version(&h, synced, QUO_OK, 1, true);
    h.entry.epoch = 2;
    expect_shown(&h, "a", 1);
    assert_int_equal(STAT(&h, adopted), 1);
    harness_stop(&h);
}

static void test_other_partitions_keep_theirs(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.entry.epoch = 2;
    uint64_t read = query(&h, "a");
    h.partition = 5;
    h.entry.epoch = 1;
    expect_shown(&h, "a", 0);
    uint64_t careless = put(&h, "a", 1, 0);
    expect_version(&h, careless, QUO_OK, 1, false);
    assert_false(answered(&h, read));
    harness_stop(&h);
}

static void test_reads_wait_for_writes_of_the_epoch_before(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t before = put_synced(&h, "a", 7);
    h.entry.epoch = 2;
    uint64_t read = query(&h, "a");
    settle(&h);
    expect_version(&h, before, QUO_OK, 7, true);
    /* The writer in the old epoch was answered; a reader in the new one must see it. */
    expect_version(&h, read, QUO_OK, 7, true);
    harness_stop(&h);
}

static void test_unsynced_answer_waits_for_the_epoch_but_not_for_its_record(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.entry.epoch = 2;
    query(&h, "a");
    quo_server_end_turn(h.server); /* the adoption is under way */
    uint64_t careless = put(&h, "a", 1, 0);
    assert_false(answered(&h, careless));
    run_tasks(&h);
    expect_version(&h, careless, QUO_OK, 1, false);
    harness_stop(&h);
}

static void test_adopted_epoch_survives_a_restart(void **state)
{
    (void)state;
    struct harness h;
    char why[200];
    harness_start(&h);
    h.entry.epoch = 3;
    query(&h, "a");
    settle(&h);
    map_fill(h.map, 3);
    assert_int_equal(restart(&h, why, sizeof why), QUO_OK);
    expect_shown(&h, "a", 0);
    h.entry.epoch = 2;
    expect(&h, query(&h, "a"), QUO_WRONG_EPOCH);
    /* and a map older than it is not taken */
    map_fill(h.map, 2);
    assert_int_equal(restart(&h, why, sizeof why), QUO_INVALID);
    assert_non_null(strstr(why, "older"));
    assert_null(h.server);
    harness_stop(&h);
}

static void test_leaver_answers_when_it_is_durable(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.entry = entry_of(3, STRANGER, SECOND, THIRD);
    uint64_t id = put_synced(&h, "a", 1);
    uint64_t read = query(&h, "a");
    assert_int_equal(h.reply_count, 0);
    settle(&h);
    expect(&h, id, QUO_NOT_REPLICA);
    expect(&h, read, QUO_NOT_REPLICA);
    assert_int_equal(STAT(&h, not_replica), 2);
    assert_int_equal(STAT(&h, committed), 0);
    harness_stop(&h);
}

static void test_replicas_that_change_without_a_move(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.entry = entry_of(2, SELF, SECOND, STRANGER);
    expect(&h, put_synced(&h, "a", 1), QUO_WRONG_CLUSTER);
    h.entry = entry_of(1, SELF, SECOND, STRANGER);
    expect(&h, query(&h, "a"), QUO_WRONG_CLUSTER);
    assert_int_equal(STAT(&h, wrong_cluster), 2);
    assert_int_equal(STAT(&h, adopted), 0);
    h.entry = entry_of(1, SELF, SECOND, THIRD);
    expect_shown(&h, "a", 0);
    harness_stop(&h);
}

static void test_several_adoptions_at_once(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t ids[4];
    for (uint32_t i = 0; i < 4; i++) {
        h.entry.epoch = 2 + i;
        ids[i] = query(&h, "a");
        if (i % 2 == 0)
            quo_server_end_turn(h.server);
    }
    settle(&h);
    /* When the others' wait was over the epoch had moved on. */
    for (uint32_t i = 0; i < 3; i++)
        expect(&h, ids[i], QUO_WRONG_EPOCH);
    expect(&h, ids[3], QUO_OK);
    assert_int_equal(STAT(&h, adopted), 4);
    harness_stop(&h);
}

static void test_adoption_lost_with_the_commit(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    fail_commit(&h, 2, QUO_DISK_FULL);
    h.entry.epoch = 2;
    uint64_t kept = query(&h, "a");
    quo_server_end_turn(h.server);
    h.entry.epoch = 3;
    uint64_t lost = query(&h, "a");
    h.entry.epoch = 4;
    uint64_t lost_too = put_synced(&h, "a", 1);
    settle(&h);
    expect(&h, kept, QUO_WRONG_EPOCH); /* 4 was in force when its wait was over */
    expect(&h, lost, QUO_DISK_FULL);
    expect(&h, lost_too, QUO_DISK_FULL);
    /* What is on disk is in force again: 2, no more and no less. */
    h.entry.epoch = 2;
    expect_shown(&h, "a", 0);
    h.entry.epoch = 1;
    expect(&h, query(&h, "a"), QUO_WRONG_EPOCH);
    h.entry.epoch = 5;
    expect(&h, query(&h, "a"), QUO_DISK_FULL);
    h.mono_us += 1000000;
    uint64_t again = query(&h, "a");
    settle(&h);
    expect(&h, again, QUO_OK);
    harness_stop(&h);
}

static void test_all_adoptions_lost(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    fail_commit(&h, 1, QUO_IO_ERROR);
    for (uint32_t epoch = 2; epoch < 5; epoch++) {
        h.entry.epoch = epoch;
        query(&h, "a");
        quo_server_end_turn(h.server);
    }
    settle(&h);
    h.entry.epoch = 1;
    expect_shown(&h, "a", 0);
    h.entry.epoch = 2;
    expect(&h, query(&h, "a"), QUO_READ_ONLY);
    harness_stop(&h);
}

static void test_store_that_waited_for_a_load_meets_a_newer_epoch(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 5);
    settle(&h);
    quo_store_memory_faults(h.store)->get_would_block = true;
    uint64_t store = put_synced(&h, "a", 6);
    uint64_t read = query(&h, "a");
    h.entry.epoch = 2;
    uint64_t adopting = query(&h, "b");
    run_tasks(&h);
    expect(&h, store, QUO_WRONG_EPOCH);
    expect(&h, read, QUO_WRONG_EPOCH);
    settle(&h);
    expect(&h, adopting, QUO_OK);
    quo_store_memory_faults(h.store)->get_would_block = false;
    expect_shown(&h, "a", 5);
    harness_stop(&h);
}

/* The load is started in the newer epoch, which is lost and carried anew meanwhile. */
static void test_query_that_waited_for_a_load_carries_its_epoch_again(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "a", 5);
    settle(&h);
    quo_store_memory_faults(h.store)->get_would_block = true;
    uint64_t read = query(&h, "a");
    h.entry.epoch = 2;
    uint64_t store = put_synced(&h, "a", 6); /* waits for a load, and for the adoption */
    run_tasks(&h);
    expect(&h, read, QUO_WRONG_EPOCH);
    assert_false(answered(&h, store));
    uint64_t newer = query(&h, "a");
    settle(&h);
    expect_version(&h, store, QUO_OK, 6, true);
    expect_version(&h, newer, QUO_OK, 6, true);
    harness_stop(&h);
}

static void test_bad_kind_waits_for_the_epoch_too(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.entry.epoch = 2;
    uint64_t id = put_value(&h, NS_CAS, "a", 1, QUO_STORE_SYNC, quo_slice_of("x"));
    assert_false(answered(&h, id));
    settle(&h);
    expect(&h, id, QUO_BAD_KIND);
    harness_stop(&h);
}

static void test_nothing_is_served_before_the_map_is_stored(void **state)
{
    (void)state;
    struct harness h;
    char why[200];
    harness_prepare(&h);
    assert_int_equal(server_open(&h, why, sizeof why), QUO_OK);
    assert_false(quo_server_serving(h.server));
    assert_false(quo_server_idle(h.server));
    expect(&h, query(&h, "a"), QUO_BUSY);
    expect(&h, put_synced(&h, "a", 1), QUO_BUSY);
    settle(&h);
    assert_true(quo_server_serving(h.server));
    expect_shown(&h, "a", 0);
    /* With nothing new in the map the next start has nothing to wait for. */
    quo_server_free(h.server);
    assert_int_equal(server_open(&h, why, sizeof why), QUO_OK);
    assert_true(quo_server_serving(h.server));
    assert_true(quo_server_idle(h.server));
    harness_stop(&h);
}

static void start_with(struct harness *h, enum quo_status expected, const char *part)
{
    char why[200] = "";
    assert_int_equal(restart(h, why, sizeof why), expected);
    if (part != NULL)
        assert_non_null(strstr(why, part));
    if (expected != QUO_OK) {
        assert_null(h->server);
        map_fill(h->map, 1);
        assert_int_equal(server_open(h, why, sizeof why), QUO_OK);
    }
}

static void test_maps_that_are_refused(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.map->entries[6] = entry_of(2, SELF, SECOND, STRANGER);
    start_with(&h, QUO_INVALID, "partition 6: the map names other replicas");
    h.map->entries[2] = entry_of(1, SELF, SECOND, STRANGER);
    start_with(&h, QUO_INVALID, "partition 2");
    h.map->partition_count = PARTITIONS * 2;
    start_with(&h, QUO_INVALID, "more partitions");
    h.map->partition_count = PARTITIONS / 2;
    start_with(&h, QUO_INVALID, "fewer");
    map_fill(h.map, 2);
    start_with(&h, QUO_OK, NULL);
    h.map->entries[6] = entry_of(4, SELF, SECOND, STRANGER);
    start_with(&h, QUO_OK, NULL);
    harness_stop(&h);
}

static void ignore_commit(struct quo_commit *commit)
{
    assert_int_equal(commit->status, QUO_OK);
}

static void put_meta(struct harness *h, struct quo_slice key, struct quo_slice value)
{
    struct quo_store *store = h->store;
    struct quo_batch *batch = store->ops->batch_new(store);
    store->ops->batch_put(store, batch, QUO_FAMILY_META, key, value);
    struct quo_commit commit = {.batch = batch, .sync = true, .done = ignore_commit};
    store->ops->commit(store, &commit);
    run_tasks(h);
    store->ops->batch_free(store, batch);
}

static void test_stored_epochs_that_cannot_be_read(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        size_t key_len;
        const char *value;
    } table[] = {
        {"epoch\0\3", 7, "rubbish"},
        {"epoch\0\3\0", 8, "rubbish"},
        {"epoch", 5, ""},
    };
    for (size_t i = 0; i < QUO_COUNT(table); i++) {
        struct harness h;
        char why[200] = "";
        harness_prepare(&h);
        put_meta(&h, quo_slice(table[i].key, table[i].key_len), quo_slice_of(table[i].value));
        assert_int_equal(server_open(&h, why, sizeof why), QUO_CORRUPT);
        assert_non_null(strstr(why, "cannot be read"));
        assert_null(h.server);
        harness_stop(&h);
    }
}

static void test_other_meta_is_none_of_ours(void **state)
{
    (void)state;
    struct harness h;
    char why[200];
    harness_prepare(&h);
    put_meta(&h, quo_slice_of("epocg"), quo_slice_of("x"));
    put_meta(&h, quo_slice_of("epoci"), quo_slice_of("x"));
    put_meta(&h, quo_slice_of("identity"), quo_slice_of("x"));
    assert_int_equal(server_open(&h, why, sizeof why), QUO_OK);
    harness_stop(&h);
}

static enum quo_status failing_scan(struct quo_store *store, enum quo_family family,
                                    struct quo_slice lo, struct quo_slice hi,
                                    bool (*visit)(void *, struct quo_slice, struct quo_slice),
                                    void *context)
{
    (void)store, (void)family, (void)lo, (void)hi, (void)visit, (void)context;
    return QUO_IO_ERROR;
}

static void test_scan_that_fails(void **state)
{
    (void)state;
    struct harness h;
    char why[200] = "";
    harness_prepare(&h);
    const struct quo_store_ops *memory = h.store->ops;
    struct quo_store_ops failing = *memory;
    failing.scan = failing_scan;
    h.store->ops = &failing;
    assert_int_equal(server_open(&h, why, sizeof why), QUO_IO_ERROR);
    assert_true(strlen(why) > 0);
    h.store->ops = memory;
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_epoch_is_refused_with_ours),
        cmocka_unit_test(test_newer_epoch_is_adopted_before_any_answer),
        cmocka_unit_test(test_other_partitions_keep_theirs),
        cmocka_unit_test(test_reads_wait_for_writes_of_the_epoch_before),
        cmocka_unit_test(test_unsynced_answer_waits_for_the_epoch_but_not_for_its_record),
        cmocka_unit_test(test_adopted_epoch_survives_a_restart),
        cmocka_unit_test(test_leaver_answers_when_it_is_durable),
        cmocka_unit_test(test_replicas_that_change_without_a_move),
        cmocka_unit_test(test_several_adoptions_at_once),
        cmocka_unit_test(test_adoption_lost_with_the_commit),
        cmocka_unit_test(test_all_adoptions_lost),
        cmocka_unit_test(test_store_that_waited_for_a_load_meets_a_newer_epoch),
        cmocka_unit_test(test_query_that_waited_for_a_load_carries_its_epoch_again),
        cmocka_unit_test(test_bad_kind_waits_for_the_epoch_too),
        cmocka_unit_test(test_nothing_is_served_before_the_map_is_stored),
        cmocka_unit_test(test_maps_that_are_refused),
        cmocka_unit_test(test_stored_epochs_that_cannot_be_read),
        cmocka_unit_test(test_other_meta_is_none_of_ours),
        cmocka_unit_test(test_scan_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
