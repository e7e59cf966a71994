/* The hash trees of a server: what they speak of, and how they come to be after each kind of end.
 */
#include <stdio.h>

#include "storage-node/server/internal.h"
#include "tests/unit/server/harness.h"
#include "tests/unit/server/late_store.h"

static uint64_t chance(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static uint64_t below(uint64_t *state, uint64_t bound)
{
    return chance(state) % bound;
}

static void start(struct harness *h)
{
    harness_prepare(h);
    h->mesh = harness_empty_mesh();
    harness_open(h);
}
/* As after a crash: nothing was left in order. */
static void crash(struct harness *h)
{
    settle(h);
    quo_server_free(h->server);
    h->server = NULL;
}
static void stop(struct harness *h)
{
    quo_server_drain(h->server);
    assert_false(quo_server_idle(h->server));
    settle(h);
    assert_true(quo_server_idle(h->server));
    quo_server_free(h->server);
    h->server = NULL;
}
static uint64_t root(const struct harness *h)
{
    return quo_trees_root(h->server, h->partition, 1);
}
static uint64_t hash_of(const struct harness *h, uint32_t ns, const char *key, uint64_t n,
                        uint8_t flags)
{
    uint8_t bytes[QUO_STORAGE_KEY_MAX];
    quo_put_u16(bytes, h->partition);
    quo_put_u32(bytes + 2, ns);
    memcpy(bytes + QUO_STORAGE_KEY_PREFIX, key, strlen(key));
    return quo_tree_hash(quo_slice(bytes, QUO_STORAGE_KEY_PREFIX + strlen(key)), version_of(n),
                         flags);
}

static void test_without_a_mesh_there_are_none(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    put_synced(&h, "k", 1);
    settle(&h);
    assert_null(h.server->trees);
    assert_int_equal(quo_server_deadline(h.server), UINT64_MAX);
    harness_stop(&h);
}

static void test_a_tree_speaks_of_what_is_on_disk(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    assert_int_equal(ready_count(&h), PARTITIONS);
    put_synced(&h, "k", 1);
    turn(&h);
    assert_int_equal(root(&h), 0);
    settle(&h);
    uint64_t first = hash_of(&h, NS_LWW, "k", 1, QUO_RECORD_BLIND);
    assert_int_equal(root(&h), first);
    /* Two versions of a key in one batch, and another key. */
    put_synced(&h, "k", 2);
    put_synced(&h, "k", 3);
    acc(&h, "c", 5);
    assert_int_equal(root(&h), first);
    settle(&h);
    assert_int_equal(root(&h), hash_of(&h, NS_LWW, "k", 3, QUO_RECORD_BLIND) ^
                                   hash_of(&h, NS_CAS, "c", 5, 0));
    /* A promise is no record. */
    uint64_t before = root(&h);
    prep(&h, "c", 9);
    prep(&h, "d", 9);
    settle(&h);
    assert_int_equal(root(&h), before);
    acc(&h, "c", 9);
    settle(&h);
    assert_int_equal(root(&h), hash_of(&h, NS_LWW, "k", 3, QUO_RECORD_BLIND) ^
                                   hash_of(&h, NS_CAS, "c", 9, 0));
    assert_int_equal(ready_count(&h), PARTITIONS);
    harness_stop(&h);
}

static void test_what_could_not_be_written_is_not_in_it(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    put_synced(&h, "k", 1);
    settle(&h);
    uint64_t before = root(&h);
    *quo_store_memory_faults(h.store) =
        (struct quo_store_faults){.commit_in = 1, .commit_status = QUO_DISK_FULL};
    put_synced(&h, "k", 2);
    put_synced(&h, "l", 2);
    settle(&h);
    assert_int_equal(root(&h), before);
    assert_int_equal(ready_count(&h), PARTITIONS);
    h.mono_us += QUO_PROBE_PAUSE_US;
    put_synced(&h, "k", 3);
    settle(&h);
    assert_int_equal(root(&h), hash_of(&h, NS_LWW, "k", 3, QUO_RECORD_BLIND));
    harness_stop(&h);
}

static void test_a_lost_storage_has_no_trees(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    *quo_store_memory_faults(h.store) =
        (struct quo_store_faults){.commit_in = 1, .commit_status = QUO_IO_ERROR};
    put_synced(&h, "k", 2);
    settle(&h);
    assert_int_equal(ready_count(&h), 0);
    assert_int_equal(quo_server_deadline(h.server), UINT64_MAX);
    stop(&h);
    harness_stop(&h);
}

/* A namespace of fewer replicas is in trees of its own. */
static void test_replicas_compare_what_both_hold(void **state)
{
    (void)state;
    struct harness h;
    harness_prepare(&h);
    h.mesh = harness_empty_mesh();
    h.map->namespaces[1].n = 2;
    harness_open(&h);
    put_synced(&h, "k", 1);
    acc(&h, "c", 5);
    settle(&h);
    uint64_t two = hash_of(&h, NS_LWW, "k", 1, QUO_RECORD_BLIND);
    uint64_t three = hash_of(&h, NS_CAS, "c", 5, 0);
    assert_int_equal(quo_trees_root(h.server, h.partition, 2), two ^ three);
    assert_int_equal(quo_trees_root(h.server, h.partition, 3), three);
    uint64_t branches[QUO_TREE_BRANCHES] = {0}, sum = 0;
    quo_trees_branches(h.server, h.partition, 3, branches);
    for (size_t i = 0; i < QUO_TREE_BRANCHES; i++) {
        uint64_t leaves[QUO_TREE_LEAVES] = {0}, all = 0;
        quo_trees_leaves(h.server, h.partition, 3, (uint32_t)i, leaves);
        for (size_t leaf = 0; leaf < QUO_TREE_LEAVES; leaf++)
            all ^= leaves[leaf];
        assert_int_equal(all, branches[i]);
        sum ^= branches[i];
    }
    assert_int_equal(sum, three);
    assert_int_equal(ready_count(&h), PARTITIONS);
    harness_stop(&h);
}

static void fill(struct harness *h, uint32_t count)
{
    char key[24];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "key-%u", i);
        h->partition = (uint16_t)(i % PARTITIONS);
        put_synced(h, key, i + 1);
        if (i % 500 == 0)
            settle(h);
    }
    settle(h);
    h->partition = 3;
}

static void test_a_server_that_stops_in_order_leaves_them(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    fill(&h, 300);
    uint64_t kept = root(&h);
    stop(&h);
    for (int life = 0; life < 3; life++) {
        harness_open(&h);
        assert_int_equal(ready_count(&h), PARTITIONS);
        assert_int_equal(STAT(&h, trees_rebuilt), 0);
        assert_int_equal(root(&h), kept);
        /* Also a life that wrote nothing leaves them, however it ends. */
        if (life == 0)
            crash(&h);
        else
            stop(&h);
    }
    harness_open(&h);
    put_synced(&h, "k", 7);
    settle(&h);
    assert_int_equal(root(&h), kept ^ hash_of(&h, NS_LWW, "k", 7, QUO_RECORD_BLIND));
    stop(&h);
    harness_open(&h);
    assert_int_equal(ready_count(&h), PARTITIONS);
    harness_stop(&h);
}

static void test_what_is_under_way_is_left_as_well(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    put_synced(&h, "k", 1);
    quo_server_end_turn(h.server);
    put_synced(&h, "l", 2);
    stop(&h);
    harness_open(&h);
    assert_int_equal(ready_count(&h), PARTITIONS);
    assert_int_equal(STAT(&h, trees_rebuilt), 0);
    assert_int_equal(root(&h), hash_of(&h, NS_LWW, "k", 1, QUO_RECORD_BLIND) ^
                                   hash_of(&h, NS_LWW, "l", 2, QUO_RECORD_BLIND));
    harness_stop(&h);
}

static void test_after_a_crash_they_are_made_anew(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    fill(&h, 300);
    stop(&h);
    harness_open(&h);
    put_synced(&h, "k", 7); /* the mark is gone with it */
    settle(&h);
    uint64_t kept = root(&h);
    crash(&h);
    harness_open(&h);
    rest(&h);
    assert_int_equal(STAT(&h, trees_rebuilt), PARTITIONS);
    assert_int_equal(ready_count(&h), PARTITIONS);
    assert_int_equal(root(&h), kept);
    harness_stop(&h);
}

static void test_trees_left_under_other_namespaces_are_not_taken(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    fill(&h, 100);
    stop(&h);
    h.map->namespaces[1].n = 2;
    harness_open(&h);
    rest(&h);
    assert_int_equal(STAT(&h, trees_rebuilt), PARTITIONS);
    assert_int_equal(ready_count(&h), PARTITIONS);
    harness_stop(&h);
}

static void test_what_is_left_survives_a_full_disk_as_nothing(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    fill(&h, 100);
    *quo_store_memory_faults(h.store) =
        (struct quo_store_faults){.commit_in = 1, .commit_status = QUO_DISK_FULL};
    stop(&h);
    harness_open(&h);
    rest(&h);
    assert_int_equal(STAT(&h, trees_rebuilt), PARTITIONS);
    harness_stop(&h);
}

static void test_only_partitions_of_ours_are_scanned(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    fill(&h, 100);
    crash(&h);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        h.map->entries[i] = entry_of(i < 5 ? 1 : 3, SELF, SECOND, THIRD);
    h.map->entries[6].replicas[0] = STRANGER;
    harness_open(&h);
    rest(&h);
    assert_int_equal(ready_count(&h), PARTITIONS - 1);
    /* It comes back to us. */
    h.entry = entry_of(5, THIRD, SELF, SECOND);
    h.partition = 6;
    query(&h, "k");
    settle(&h);
    rest(&h);
    assert_int_equal(ready_count(&h), PARTITIONS);
    harness_stop(&h);
}

static void test_a_scan_that_fails_is_tried_again(void **state)
{
    (void)state;
    struct harness h;
    start(&h);
    fill(&h, 100);
    crash(&h);
    *quo_store_memory_faults(h.store) =
        (struct quo_store_faults){.load_in = 3, .load_status = QUO_IO_ERROR};
    harness_open(&h);
    rest(&h);
    assert_int_equal(STAT(&h, trees_rebuilt), PARTITIONS);
    assert_int_equal(STAT(&h, io_errors), 1);
    assert_int_equal(ready_count(&h), PARTITIONS);
    harness_stop(&h);
}

/* Writes go on while a partition is scanned; the engine shows a batch before it says so, and a part
 * is read at any moment between the call and its completion. */

#define KEYS 2600u /* of one partition: three parts */

static void write_some(struct harness *h, uint64_t *seed, uint64_t *version)
{
    char key[24];
    for (uint64_t i = below(seed, 6); i-- > 0;) {
        /* Some keys are hot, some are new. */
        uint64_t number = below(seed, 2) == 0 ? below(seed, 40) * 65 : below(seed, 2 * KEYS);
        snprintf(key, sizeof key, "key-%04u", (unsigned)number);
        ++*version;
        if (below(seed, 8) == 0)
            prep_of(h, NS_MIXED, key, *version, 0);
        else if (below(seed, 2) == 0)
            put_value(h, NS_MIXED, key, *version, QUO_STORE_SYNC, quo_slice(NULL, 0));
        else
            acc_value(h, NS_MIXED, key, *version, 0, quo_slice(NULL, 0));
    }
}

static void test_trees_made_while_writes_go_on_are_right(void **state)
{
    (void)state;
    uint64_t seed = 9, version = 1, rebuilt = 0;
    struct harness h;
    struct late_store late;
    char key[24];
    start(&h);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key-%04u", 2 * i);
        put_value(&h, NS_MIXED, key, version, QUO_STORE_SYNC, quo_slice(NULL, 0));
    }
    crash(&h);
    late_store_init(&late, h.store);
    h.store = &late.store;
    for (int life = 0; life < 60; life++) {
        late.lazy = false;
        harness_open(&h);
        late.lazy = true;
        for (int step = 0; step < 400; step++) {
            switch (below(&seed, 5)) {
            case 0:
                write_some(&h, &seed, &version);
                break;
            case 1:
                turn(&h);
                break;
            case 2:
                late_store_finish(&late, below(&seed, 2) == 0);
                break;
            case 3:
                h.mono_us += below(&seed, QUO_REBUILD_PAUSE_US);
                break;
            default:
                quo_server_end_turn(h.server);
                break;
            }
        }
        late.lazy = false;
        late_store_finish_all(&late);
        settle(&h);
        rest(&h);
        rebuilt += STAT(&h, trees_rebuilt);
        assert_int_equal(ready_count(&h), PARTITIONS);
        if (below(&seed, 4) == 0)
            stop(&h);
        else
            crash(&h);
    }
    assert_true(rebuilt > 40 * PARTITIONS);
    h.store = late.inner;
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_mesh_there_are_none),
        cmocka_unit_test(test_a_tree_speaks_of_what_is_on_disk),
        cmocka_unit_test(test_what_could_not_be_written_is_not_in_it),
        cmocka_unit_test(test_a_lost_storage_has_no_trees),
        cmocka_unit_test(test_replicas_compare_what_both_hold),
        cmocka_unit_test(test_a_server_that_stops_in_order_leaves_them),
        cmocka_unit_test(test_what_is_under_way_is_left_as_well),
        cmocka_unit_test(test_after_a_crash_they_are_made_anew),
        cmocka_unit_test(test_trees_left_under_other_namespaces_are_not_taken),
        cmocka_unit_test(test_what_is_left_survives_a_full_disk_as_nothing),
        cmocka_unit_test(test_only_partitions_of_ours_are_scanned),
        cmocka_unit_test(test_a_scan_that_fails_is_tried_again),
        cmocka_unit_test(test_trees_made_while_writes_go_on_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
