#include "tests/unit/antientropy/records.h"

/* Made anew from what is held, in another order. */
static void rebuild(const struct records *records, struct quo_tree *ret)
{
    *ret = (struct quo_tree){.root = 0};
    for (size_t i = records->count; i-- > 0;)
        toggle(ret, leaf_of(i), hash_of(i, records->at[i]));
}

static bool same_tree(const struct quo_tree *a, const struct quo_tree *b)
{
    if (a->root != b->root || memcmp(a->branches, b->branches, sizeof a->branches) != 0)
        return false;
    for (uint32_t branch = 0; branch < QUO_TREE_BRANCHES; branch++) {
        uint64_t left[QUO_TREE_LEAVES] = {0}, right[QUO_TREE_LEAVES] = {0};
        quo_tree_add_leaves(a, branch, left);
        quo_tree_add_leaves(b, branch, right);
        if (quo_tree_differ(left, right) != 0)
            return false;
    }
    return true;
}

static void test_an_empty_tree_is_zero(void **state)
{
    (void)state;
    struct quo_tree tree = {.root = 0};
    uint64_t hashes[64] = {0}, zeros[64] = {0};

    assert_true(quo_tree_consistent(&tree));
    quo_tree_add_branches(&tree, hashes);
    quo_tree_add_leaves(&tree, 5, hashes);
    assert_int_equal(quo_tree_differ(hashes, zeros), 0);
    assert_true(quo_tree_lacks(&tree, 0) && quo_tree_lacks(&tree, LEAVES - 1));
    assert_int_equal(quo_tree_hash(quo_slice_of("k"), QUO_VERSION_NONE, 3), 0);
}

static void test_a_hash_is_of_key_version_and_flags(void **state)
{
    (void)state;
    struct quo_version version = {5, 6};
    uint64_t hash = quo_tree_hash(quo_slice_of("key"), version, 1);

    assert_int_equal(quo_tree_hash(quo_slice_of("key"), version, 1), hash);
    assert_int_not_equal(quo_tree_hash(quo_slice_of("kex"), version, 1), hash);
    assert_int_not_equal(quo_tree_hash(quo_slice_of("key"), version, 0), hash);
    assert_int_not_equal(quo_tree_hash(quo_slice_of("key"), (struct quo_version){6, 6}, 1), hash);
    assert_int_not_equal(quo_tree_hash(quo_slice_of("key"), (struct quo_version){5, 7}, 1), hash);
}

/* Two nodes of different builds must agree. */
static void test_the_hashes_are_what_they_always_were(void **state)
{
    (void)state;
    struct quo_slice key = quo_slice("\0\3\0\0\0\1user", 10);

    assert_int_equal(quo_tree_leaf(key), 0x3e1);
    assert_int_equal(quo_tree_hash(key, (struct quo_version){1, 2}, 3),
                     UINT64_C(0xd17b845a5ef65a79));
}

static void test_keys_spread_over_the_leaves(void **state)
{
    (void)state;
    static uint32_t counts[LEAVES];
    const size_t keys = 64u * LEAVES;

    for (size_t i = 0; i < keys; i++)
        counts[leaf_of(i)]++;
    for (size_t i = 0; i < LEAVES; i++)
        assert_in_range(counts[i], 16, 160);
}

static void test_a_tree_depends_on_what_is_held_alone(void **state)
{
    (void)state;
    uint64_t seed = 1;
    struct records records;
    struct quo_tree fresh;

    records_init(&records, 3000);
    for (size_t i = 0; i < 20000; i++)
        records_set(&records, below(&seed, records.count), below(&seed, 5), (uint8_t)(i & 3));
    rebuild(&records, &fresh);
    assert_true(quo_tree_consistent(&records.tree));
    assert_true(same_tree(&records.tree, &fresh));
    for (size_t i = 0; i < records.count; i++)
        records_set(&records, i, 0, 0);
    assert_int_equal(records.tree.root, 0);
    assert_true(quo_tree_consistent(&records.tree));
    tree_free(&fresh);
    records_free(&records);
}

/* Root, then the branches and leaves that differ. */
static uint32_t find(const struct quo_tree *a, const struct quo_tree *b)
{
    uint64_t left[64] = {0}, right[64] = {0};

    assert_int_not_equal(a->root, b->root);
    quo_tree_add_branches(a, left);
    quo_tree_add_branches(b, right);
    uint64_t differ = quo_tree_differ(left, right);
    assert_int_equal(__builtin_popcountll(differ), 1);
    uint32_t branch = (uint32_t)__builtin_ctzll(differ);
    memset(left, 0, sizeof left);
    memset(right, 0, sizeof right);
    quo_tree_add_leaves(a, branch, left);
    quo_tree_add_leaves(b, branch, right);
    differ = quo_tree_differ(left, right);
    assert_int_equal(__builtin_popcountll(differ), 1);
    return branch * QUO_TREE_LEAVES + (uint32_t)__builtin_ctzll(differ);
}

static void test_any_single_difference_is_found(void **state)
{
    (void)state;
    uint64_t seed = 2;
    struct records a, b;

    records_init(&a, 2000);
    records_init(&b, 2000);
    for (size_t i = 0; i < a.count; i++) {
        uint64_t version = below(&seed, 4);
        uint8_t flags = (uint8_t)below(&seed, 4);
        records_set(&a, i, version, flags);
        records_set(&b, i, version, flags);
    }
    for (size_t i = 0; i < a.count; i++) {
        struct held held = b.at[i];
        /* Another version, none at all, or other flags. */
        if (below(&seed, 3) > 0 || quo_version_is_none(held.version))
            records_set(&b, i, held.version.hlc == 0 ? 9 : below(&seed, 2) * 9, held.flags);
        else
            records_set(&b, i, held.version.hlc, held.flags ^ 1u);
        assert_int_equal(find(&a.tree, &b.tree), leaf_of(i));
        records_set(&b, i, held.version.hlc, held.flags);
        assert_true(same_tree(&a.tree, &b.tree));
    }
    records_free(&a);
    records_free(&b);
}

static void test_trees_add_up_to_that_of_the_union(void **state)
{
    (void)state;
    struct records odd, even, all;
    uint64_t sum[64] = {0}, whole[64] = {0};

    records_init(&odd, 500);
    records_init(&even, 500);
    records_init(&all, 500);
    for (size_t i = 0; i < 500; i++) {
        records_set(i % 2 == 0 ? &even : &odd, i, i + 1, 0);
        records_set(&all, i, i + 1, 0);
    }
    assert_int_equal(odd.tree.root ^ even.tree.root, all.tree.root);
    quo_tree_add_branches(&odd.tree, sum);
    quo_tree_add_branches(&even.tree, sum);
    quo_tree_add_branches(&all.tree, whole);
    assert_int_equal(quo_tree_differ(sum, whole), 0);
    quo_tree_add_leaves(&odd.tree, 9, sum);
    quo_tree_add_leaves(&even.tree, 9, sum);
    quo_tree_add_leaves(&all.tree, 9, whole);
    assert_int_equal(quo_tree_differ(sum, whole), 0);
    records_free(&odd);
    records_free(&even);
    records_free(&all);
}

static void test_a_broken_tree_is_noticed(void **state)
{
    (void)state;
    struct records records;

    records_init(&records, 10);
    records_set(&records, 3, 4, 0);
    assert_true(quo_tree_consistent(&records.tree));
    records.tree.root ^= 1;
    assert_false(quo_tree_consistent(&records.tree));
    records.tree.root ^= 1;
    records.tree.leaves[leaf_of(3) / QUO_TREE_LEAVES][0] ^= 1;
    assert_false(quo_tree_consistent(&records.tree));
    records_free(&records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_tree_is_zero),
        cmocka_unit_test(test_a_hash_is_of_key_version_and_flags),
        cmocka_unit_test(test_the_hashes_are_what_they_always_were),
        cmocka_unit_test(test_keys_spread_over_the_leaves),
        cmocka_unit_test(test_a_tree_depends_on_what_is_held_alone),
        cmocka_unit_test(test_any_single_difference_is_found),
        cmocka_unit_test(test_trees_add_up_to_that_of_the_union),
        cmocka_unit_test(test_a_broken_tree_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
