#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "api/cluster/log2.h"
#include "quorate/cluster.h"
#include "quorate/collection.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static struct quo_map map, other;

/* Fills `m` with nodes of weights `weights`, whose ids depend on their index only. */
static void make(struct quo_map *m, uint32_t partitions, uint8_t replicas, uint32_t nodes,
                 const uint32_t *weights)
{
    memset(m, 0, offsetof(struct quo_map, entries));
    m->cluster = 1;
    m->epoch = 9;
    m->replicas = replicas;
    m->partition_count = partitions;
    m->node_count = nodes;
    for (uint32_t i = 0; i < nodes; i++) {
        m->nodes[i].replica = 0x9e3779b97f4a7c15u * (i + 1);
        m->nodes[i].weight = weights == NULL ? 100 : weights[i];
        m->nodes[i].port = (uint16_t)(7000 + i);
        snprintf(m->nodes[i].name, sizeof m->nodes[i].name, "node-%u", i);
        snprintf(m->nodes[i].host, sizeof m->nodes[i].host, "localhost");
    }
    char why[200];
    assert_int_equal(quo_map_check(m, why, sizeof why), QUO_OK);
    quo_map_place(m);
}

static uint32_t held_by(const struct quo_map *m, uint32_t node)
{
    uint32_t held = 0;
    for (uint32_t p = 0; p < m->partition_count; p++)
        held += quo_entry_has(&m->entries[p], m->nodes[node].replica);
    return held;
}

static uint64_t fingerprint(const struct quo_map *m)
{
    uint64_t hash = 0;
    for (uint32_t p = 0; p < m->partition_count; p++) {
        uint8_t bytes[QUO_ENTRY_SIZE_MAX];
        quo_entry_encode(&m->entries[p], bytes);
        hash = XXH3_64bits_withSeed(bytes, quo_entry_size(&m->entries[p]), hash);
    }
    return hash;
}

/* Data lies where these say: if this test fails, every key of every cluster would be looked for in
 * the wrong place. */
static void placement_is_the_golden_one(void **state)
{
    (void)state;
    static const uint32_t weights[] = {100, 1, 250, 1000000, 100, 99, 100};
    static const int first[4][3] = {{6, 3, 2}, {4, 3, 0}, {5, 0, 4}, {4, 3, 6}};
    make(&map, 1024, 3, 7, NULL);
    for (uint32_t p = 0; p < QUO_COUNT(first); p++) {
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(quo_map_node(&map, map.entries[p].replicas[i]), first[p][i]);
    }
    assert_int_equal(fingerprint(&map), 0x75beb0cb83cd52cf);
    make(&map, 256, 2, 7, weights);
    assert_int_equal(fingerprint(&map), 0x19983496a969f0ca);
}

static void partition_of_a_key_is_the_golden_one(void **state)
{
    (void)state;
    static const struct {
        uint32_t namespace_id;
        const char *key;
        uint16_t of_65536, of_1024;
    } rows[] = {
        {1, "", 19909, 311},
        {1, "hello", 29872, 466},
        {2, "hello", 23197, 362},
        {QUO_NAMESPACE_ID_MAX, "a/b%c", 60765, 949},
    };
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        map.partition_count = 65536;
        assert_int_equal(quo_map_partition(&map, rows[i].namespace_id, quo_slice_of(rows[i].key)),
                         rows[i].of_65536);
        map.partition_count = 1024;
        assert_int_equal(quo_map_partition(&map, rows[i].namespace_id, quo_slice_of(rows[i].key)),
                         rows[i].of_1024);
    }
}

static void records_of_a_collection_are_where_its_name_is(void **state)
{
    (void)state;
    const uint32_t id = quo_collection_ns(7, QUO_COLLECTION_SET);
    uint64_t hash = XXH3_64bits_withSeed("friends", 7, id);
    map.partition_count = 65536;
    assert_int_equal(quo_map_partition(&map, id, quo_slice("\0\7friends", 9)), hash >> 48);
    assert_int_equal(quo_map_partition(&map, id, quo_slice("\0\7friends of", 12)), hash >> 48);
    assert_int_equal(quo_map_partition(&map, id, quo_slice("\0\11friends", 9)), hash >> 48);
    assert_int_not_equal(quo_map_partition(&map, id, quo_slice("\0\6friends", 9)), hash >> 48);
    hash = XXH3_64bits_withSeed("", 0, id);
    assert_int_equal(quo_map_partition(&map, id, quo_slice("\0", 1)), hash >> 48);
    assert_int_equal(quo_map_partition(&map, id, quo_slice("\0\0x", 3)), hash >> 48);
}

static void partition_is_the_top_of_the_hash(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t hash = XXH3_64bits_withSeed(&i, sizeof i, 7);
        map.partition_count = 1;
        assert_int_equal(quo_map_partition(&map, 7, quo_slice(&i, sizeof i)), 0);
        for (unsigned bits = 1; bits <= 16; bits++) {
            map.partition_count = 1u << bits;
            assert_int_equal(quo_map_partition(&map, 7, quo_slice(&i, sizeof i)),
                             hash >> (64 - bits));
        }
    }
}

static void entries_are_proper(void **state)
{
    (void)state;
    for (uint8_t replicas = 1; replicas <= QUO_REPLICAS_MAX; replicas++) {
        make(&map, 64, replicas, 7, NULL);
        for (uint32_t p = 0; p < 64; p++) {
            struct quo_entry decoded;
            uint8_t bytes[QUO_ENTRY_SIZE_MAX];
            assert_int_equal(map.entries[p].epoch, 9);
            assert_int_equal(map.entries[p].n, replicas);
            quo_entry_encode(&map.entries[p], bytes);
            assert_int_equal(
                quo_entry_decode(quo_slice(bytes, quo_entry_size(&map.entries[p])), &decoded),
                QUO_OK);
            for (uint8_t i = 0; i < replicas; i++)
                assert_true(quo_map_node(&map, map.entries[p].replicas[i]) >= 0);
        }
    }
}

static void equal_nodes_share_equally(void **state)
{
    (void)state;
    make(&map, 1024, 3, 5, NULL);
    for (uint32_t i = 0; i < 5; i++) /* 614.4 on average, standard deviation 15.7 */
        assert_in_range(held_by(&map, i), 552, 677);
}

static void shares_follow_the_weights(void **state)
{
    (void)state;
    static const uint32_t weights[] = {100, 100, 200, 400, 1};
    make(&map, 65536, 1, 5, weights);
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t mean = 65536u * weights[i] / 801;
        uint32_t slack = mean / 20 + 30; /* above 4 standard deviations for each of these */
        assert_in_range(held_by(&map, i), mean > slack ? mean - slack : 1, mean + slack);
    }
}

/* The order of the nodes in the file must not matter. */
static void order_of_nodes_does_not_matter(void **state)
{
    (void)state;
    static const uint32_t weights[] = {100, 50, 200, 100, 100};
    make(&map, 256, 3, 5, weights);
    make(&other, 256, 3, 5, weights);
    for (uint32_t i = 0; i < 5; i++)
        other.nodes[i] = map.nodes[4 - i];
    quo_map_place(&other);
    assert_int_equal(fingerprint(&other), fingerprint(&map));
}

static void new_node_takes_and_nothing_else_moves(void **state)
{
    (void)state;
    make(&map, 1024, 3, 5, NULL);
    make(&other, 1024, 3, 6, NULL);
    uint64_t added = other.nodes[5].replica;
    uint32_t moved = 0;
    for (uint32_t p = 0; p < 1024; p++) {
        uint64_t expected[4];
        /* Take the new node out of the new list: the old list's beginning must remain, in order. */
        uint32_t kept = 0;
        for (uint32_t i = 0; i < 3; i++) {
            if (other.entries[p].replicas[i] != added)
                expected[kept++] = other.entries[p].replicas[i];
        }
        moved += 3 - kept;
        assert_true(kept >= 2);
        assert_memory_equal(expected, map.entries[p].replicas, kept * sizeof expected[0]);
    }
    assert_in_range(moved, 450, 575); /* 512 on average, standard deviation 16 */
}

static void heavier_node_only_gains(void **state)
{
    (void)state;
    static const uint32_t weights[] = {100, 100, 150, 100, 100};
    make(&map, 1024, 3, 5, NULL);
    make(&other, 1024, 3, 5, weights);
    uint64_t heavier = map.nodes[2].replica;
    for (uint32_t p = 0; p < 1024; p++) {
        for (uint32_t i = 0; i < 3; i++) {
            uint64_t replica = other.entries[p].replicas[i];
            assert_true(replica == heavier || quo_entry_has(&map.entries[p], replica));
        }
    }
    assert_true(held_by(&other, 2) > held_by(&map, 2));
}

/* ln by a series in floating point, unlike the algorithm under test in every respect. */
static long double dumb_ln(long double x)
{
    const long double ln2 = 0.693147180559945309417232121458176568L;
    int exponent = 0;
    while (x < 0.75L) {
        x *= 2;
        exponent--;
    }
    long double s = (x - 1) / (x + 1), power = s, sum = 0;
    for (int k = 1; k < 60; k += 2) {
        sum += power / k;
        power *= s * s;
    }
    return 2 * sum + exponent * ln2;
}

static void logarithm_is_exact_enough(void **state)
{
    (void)state;
    assert_int_equal(quo_log2_deficit(UINT64_MAX), 1);
    assert_int_equal(quo_log2_deficit(0), UINT64_C(64) << QUO_LOG2_FRACTION);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(quo_log2_deficit(UINT64_C(1) << i), (UINT64_C(64) - i)
                                                                 << QUO_LOG2_FRACTION);
    uint64_t x = 88172645463325252;
    for (int i = 0; i < 100000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t v = i % 2 == 0 ? x : ~(x >> (i % 60));
        long double exact = -dumb_ln((long double)v / 0x1p64L) / 0.693147180559945309417232L;
        long double units = (long double)quo_log2_deficit(v) - exact * 0x1p40L;
        assert_true(units > -0.001L && units < 2);
    }
}

static int dumb_pick(uint32_t partition, uint64_t taken[], uint32_t count)
{
    int best = -1;
    long double best_score = 0;
    for (uint32_t i = 0; i < map.node_count; i++) {
        bool skip = false;
        for (uint32_t t = 0; t < count; t++)
            skip |= taken[t] == map.nodes[i].replica;
        uint8_t bytes[12];
        quo_put_u64(bytes, map.nodes[i].replica);
        quo_put_u32(bytes + 8, partition);
        long double h = (long double)XXH3_64bits(bytes, sizeof bytes) / 0x1p64L;
        long double score = -(long double)map.nodes[i].weight / dumb_ln(h);
        if (!skip && (best < 0 || score > best_score)) {
            best = (int)i;
            best_score = score;
        }
    }
    return best;
}

static void placement_agrees_with_floating_point(void **state)
{
    (void)state;
    static const uint32_t weights[] = {100, 3, 250, 1000000, 100, 99, 700000, 1};
    make(&map, 4096, 3, 8, weights);
    for (uint32_t p = 0; p < 4096; p++) {
        uint64_t taken[3];
        for (uint32_t i = 0; i < 3; i++) {
            int node = dumb_pick(p, taken, i);
            taken[i] = map.nodes[node].replica;
            assert_int_equal(map.entries[p].replicas[i], taken[i]);
        }
    }
}

/* Those who stand in follow in the same order, whoever is left out. */
static void preference_is_that_of_placement(void **state)
{
    (void)state;
    static const uint32_t weights[] = {100, 3, 250, 1000, 100, 99, 700, 1};
    uint16_t all[QUO_REPLICAS_MAX], some[QUO_REPLICAS_MAX];
    make(&map, 512, 3, 8, weights);
    for (uint32_t p = 0; p < 512; p++) {
        bool candidates[QUO_NODES_MAX] = {true, true, true, true, true, true, true, true};
        assert_int_equal(quo_map_prefer(&map, p, candidates, QUO_REPLICAS_MAX, all), 7);
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(map.nodes[all[i]].replica, map.entries[p].replicas[i]);
        candidates[all[0]] = candidates[all[2]] = candidates[all[4]] = false;
        assert_int_equal(quo_map_prefer(&map, p, candidates, 2, some), 2);
        assert_int_equal(some[0], all[1]);
        assert_int_equal(some[1], all[3]);
        assert_int_equal(quo_map_prefer(&map, p, candidates, QUO_REPLICAS_MAX, some), 5);
        assert_int_equal(some[3], all[6]);
        memset(candidates, 0, sizeof candidates);
        assert_int_equal(quo_map_prefer(&map, p, candidates, 1, some), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placement_is_the_golden_one),
        cmocka_unit_test(partition_of_a_key_is_the_golden_one),
        cmocka_unit_test(records_of_a_collection_are_where_its_name_is),
        cmocka_unit_test(partition_is_the_top_of_the_hash),
        cmocka_unit_test(entries_are_proper),
        cmocka_unit_test(equal_nodes_share_equally),
        cmocka_unit_test(shares_follow_the_weights),
        cmocka_unit_test(order_of_nodes_does_not_matter),
        cmocka_unit_test(new_node_takes_and_nothing_else_moves),
        cmocka_unit_test(heavier_node_only_gains),
        cmocka_unit_test(logarithm_is_exact_enough),
        cmocka_unit_test(placement_agrees_with_floating_point),
        cmocka_unit_test(preference_is_that_of_placement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
