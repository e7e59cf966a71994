/* The exchange with a simulated peer, while writes are under way: each is on one side for a while.
 */
#include "storage-node/antientropy/exchange.h"
#include "tests/unit/antientropy/records.h"

#define PAUSE_US 500000u
#define TRIP_US 1000u
#define WRITES_MAX 64u

struct write {
    size_t number;
    uint64_t version;
    uint64_t at_us[2]; /* when it is at each side; UINT64_MAX: it is there already */
};

struct world {
    struct records side[2];
    uint64_t now_us;
    uint64_t seed;
    struct write writes[WRITES_MAX];
    uint32_t write_count;
    struct quo_exchange exchange;
    uint32_t asked; /* of the peer */
};

static void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed, .now_us = 7};
    for (int side = 0; side < 2; side++) {
        records_init(&world->side[side], 4000);
        for (size_t i = 0; i < 3000; i++)
            records_set(&world->side[side], i, i + 1, 0);
    }
    quo_exchange_init(&world->exchange, PAUSE_US);
}
static void world_free(struct world *world)
{
    records_free(&world->side[0]);
    records_free(&world->side[1]);
}

static void pass(struct world *world, uint64_t us)
{
    world->now_us += us;
    for (uint32_t i = 0; i < world->write_count; i++)
        for (int side = 0; side < 2; side++)
            if (world->writes[i].at_us[side] <= world->now_us) {
                world->writes[i].at_us[side] = UINT64_MAX;
                records_set(&world->side[side], world->writes[i].number, world->writes[i].version,
                            0);
            }
}

/* Is first at one side and less than a pause later at the other. */
static void write_soon(struct world *world, size_t number, uint64_t in_us)
{
    struct write *write = &world->writes[world->write_count++];
    uint64_t first = below(&world->seed, 2);

    write->number = number;
    write->version = 100000 + chance(&world->seed) % 100000;
    write->at_us[first] = world->now_us + in_us;
    write->at_us[1 - first] = write->at_us[first] + below(&world->seed, PAUSE_US - 2 * TRIP_US);
}

static void hashes_of(const struct world *world, int side, enum quo_exchange_effect effect,
                      uint64_t out[64])
{
    const struct quo_tree *tree = &world->side[side].tree;

    memset(out, 0, 64 * sizeof *out);
    if (effect == QUO_EXCHANGE_ASK_ROOT)
        out[0] = tree->root;
    else if (effect == QUO_EXCHANGE_ASK_BRANCHES)
        quo_tree_add_branches(tree, out);
    else
        quo_tree_add_leaves(tree, world->exchange.branch, out);
}

static enum quo_exchange_effect step(struct world *world, enum quo_exchange_event_type type)
{
    struct quo_exchange_event event = {.type = type, .now_us = world->now_us};
    return quo_exchange_step(&world->exchange, &event);
}

static enum quo_exchange_effect answer(struct world *world, enum quo_exchange_effect asked)
{
    uint64_t theirs[64], ours[64];
    struct quo_exchange_event event = {.type = QUO_EXCHANGE_HASHES};

    /* The peer looks into its tree half a trip before we look into ours. */
    pass(world, TRIP_US / 2);
    hashes_of(world, 1, asked, theirs);
    pass(world, TRIP_US / 2);
    hashes_of(world, 0, asked, ours);
    world->asked++;
    event.now_us = world->now_us;
    event.theirs = theirs;
    event.ours = ours;
    return quo_exchange_step(&world->exchange, &event);
}

/* Returns the effect with which the exchange is over; ASK_KEYS leaves it at that. */
static enum quo_exchange_effect run(struct world *world)
{
    enum quo_exchange_effect effect = step(world, QUO_EXCHANGE_START);

    for (int i = 0; i < 1000; i++) {
        if (effect == QUO_EXCHANGE_NOTHING) {
            uint64_t deadline = quo_exchange_deadline(&world->exchange);
            assert_int_equal(deadline, world->now_us + PAUSE_US);
            pass(world, PAUSE_US - 1);
            assert_int_equal(step(world, QUO_EXCHANGE_TIMER), QUO_EXCHANGE_NOTHING);
            pass(world, 1);
            effect = step(world, QUO_EXCHANGE_TIMER);
            assert_int_not_equal(effect, QUO_EXCHANGE_NOTHING);
        } else if (effect <= QUO_EXCHANGE_ASK_LEAVES) {
            effect = answer(world, effect);
        } else {
            assert_int_equal(quo_exchange_deadline(&world->exchange), UINT64_MAX);
            return effect;
        }
    }
    fail();
    return QUO_EXCHANGE_NOTHING;
}

static bool reported(const struct world *world, uint32_t leaf)
{
    return (world->exchange.leaves[leaf / QUO_TREE_LEAVES] >> leaf % QUO_TREE_LEAVES & 1) != 0;
}

static uint32_t reported_count(const struct world *world)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < QUO_TREE_BRANCHES; i++)
        count += (uint32_t)__builtin_popcountll(world->exchange.leaves[i]);
    return count;
}

static void test_equal_partitions_need_one_message(void **state)
{
    (void)state;
    struct world world;

    world_init(&world, 1);
    assert_int_equal(run(&world), QUO_EXCHANGE_EQUAL);
    assert_int_equal(world.asked, 1);
    world_free(&world);
}

static void test_one_difference_needs_six(void **state)
{
    (void)state;
    struct world world;

    world_init(&world, 2);
    records_set(&world.side[1], 17, 99, 0);
    assert_int_equal(run(&world), QUO_EXCHANGE_ASK_KEYS);
    assert_int_equal(world.asked, 6);
    assert_int_equal(reported_count(&world), 1);
    assert_true(reported(&world, leaf_of(17)));
    assert_int_equal(step(&world, QUO_EXCHANGE_LISTED), QUO_EXCHANGE_MENDED);
    world_free(&world);
}

/* Transient ones each in a leaf of its own, so that no leaf differs twice by chance. */
static void test_what_passes_is_not_reported_and_what_lasts_is(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct world world;
        static bool taken[LEAVES], lasting[LEAVES];
        uint32_t expected = 0;

        memset(taken, 0, sizeof taken);
        memset(lasting, 0, sizeof lasting);
        world_init(&world, seed);
        for (uint64_t i = below(&world.seed, 8); i-- > 0;) {
            size_t number = below(&world.seed, 4000);
            if (lasting[leaf_of(number)])
                continue;
            lasting[leaf_of(number)] = taken[leaf_of(number)] = true;
            records_set(&world.side[below(&world.seed, 2)], number, 50000 + i, 0);
            expected++;
        }
        for (int i = 0; i < 40; i++) {
            size_t number = below(&world.seed, 4000);
            if (taken[leaf_of(number)])
                continue;
            taken[leaf_of(number)] = true;
            write_soon(&world, number, below(&world.seed, 4 * PAUSE_US));
        }
        enum quo_exchange_effect effect = run(&world);
        assert_int_equal(effect, expected > 0 ? QUO_EXCHANGE_ASK_KEYS : QUO_EXCHANGE_EQUAL);
        if (expected > 0)
            assert_int_equal(reported_count(&world), expected);
        for (uint32_t leaf = 0; leaf < LEAVES; leaf++)
            if (lasting[leaf])
                assert_true(reported(&world, leaf));
        world_free(&world);
    }
}

/* Hot keys, written again and again: what lasts beside them is found all the same. */
static void test_what_lasts_is_found_among_hot_keys(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world world;

        world_init(&world, seed);
        size_t lasting = 20 + below(&world.seed, 2980);
        records_set(&world.side[below(&world.seed, 2)], lasting, 77, 0);
        for (uint32_t i = 0; i < WRITES_MAX; i++)
            write_soon(&world, i % 20, i * PAUSE_US / 12);
        assert_int_equal(run(&world), QUO_EXCHANGE_ASK_KEYS);
        assert_true(reported(&world, leaf_of(lasting)));
        world_free(&world);
    }
}

static void test_everything_different_is_found_at_once(void **state)
{
    (void)state;
    struct world world;

    world_init(&world, 5);
    for (size_t i = 0; i < 4000; i++)
        records_set(&world.side[0], i, 3, 1);
    assert_int_equal(run(&world), QUO_EXCHANGE_ASK_KEYS);
    assert_int_equal(world.asked, 4 + 2 * QUO_TREE_BRANCHES);
    for (size_t i = 0; i < 4000; i++)
        assert_true(reported(&world, leaf_of(i)));
    world_free(&world);
}

static void test_a_failure_ends_it_at_any_moment(void **state)
{
    (void)state;
    for (int steps = 0; steps < 8; steps++) {
        struct world world;

        world_init(&world, 6);
        records_set(&world.side[1], 17, 99, 0);
        enum quo_exchange_effect effect = step(&world, QUO_EXCHANGE_START);
        for (int i = 0; i < steps; i++) {
            if (effect == QUO_EXCHANGE_NOTHING) {
                pass(&world, PAUSE_US);
                effect = step(&world, QUO_EXCHANGE_TIMER);
            } else {
                effect = answer(&world, effect);
            }
        }
        assert_int_equal(step(&world, QUO_EXCHANGE_FAILED), QUO_EXCHANGE_GIVEN_UP);
        assert_int_equal(quo_exchange_deadline(&world.exchange), UINT64_MAX);
        world_free(&world);
    }
}

static void test_the_newer_version_goes_where_it_is_not(void **state)
{
    (void)state;
    struct quo_version older = {5, 9}, newer = {6, 1};

    assert_int_equal(quo_exchange_mend(older, older), QUO_MEND_NOTHING);
    assert_int_equal(quo_exchange_mend(newer, older), QUO_MEND_PUSH);
    assert_int_equal(quo_exchange_mend(older, newer), QUO_MEND_PULL);
    assert_int_equal(quo_exchange_mend(older, QUO_VERSION_NONE), QUO_MEND_PUSH);
    assert_int_equal(quo_exchange_mend(QUO_VERSION_NONE, older), QUO_MEND_PULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_partitions_need_one_message),
        cmocka_unit_test(test_one_difference_needs_six),
        cmocka_unit_test(test_what_passes_is_not_reported_and_what_lasts_is),
        cmocka_unit_test(test_what_lasts_is_found_among_hot_keys),
        cmocka_unit_test(test_everything_different_is_found_at_once),
        cmocka_unit_test(test_a_failure_ends_it_at_any_moment),
        cmocka_unit_test(test_the_newer_version_goes_where_it_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
