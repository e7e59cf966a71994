/* One key of very many that differs is found and mended without a scan of the data, and what that
 * takes hardly grows with them: the trees have as many leaves whatever they hold, and keys are read
 * of the one partition only, a thousandth of all. */
#include "tests/unit/server/cluster.h"

#define SECOND_US UINT64_C(1000000)
#define MANY_PARTITIONS 1024u

/* Counts the entries that ranges have read. */

static struct quo_store_ops counting_ops;
static const struct quo_store_ops *inner_ops;
static uint64_t ranges, entries_read;

struct counted {
    void (*done)(struct quo_load *load);
    void *context;
};

static void on_counted(struct quo_load *load)
{
    struct counted counted = *(struct counted *)load->context;
    struct quo_range *range = QUO_CONTAINER_OF(load, struct quo_range, load);
    free(load->context);
    load->done = counted.done;
    load->context = counted.context;
    ranges++;
    entries_read += range->count;
    load->done(load);
}

static void counting_range(struct quo_store *store, struct quo_range *range)
{
    struct counted *counted = malloc(sizeof *counted);
    assert_non_null(counted);
    *counted = (struct counted){range->load.done, range->load.context};
    range->load.done = on_counted;
    range->load.context = counted;
    inner_ops->range(store, range);
}

static void count_ranges(struct cluster *c)
{
    inner_ops = c->nodes[0].store->ops;
    counting_ops = *inner_ops;
    counting_ops.range = counting_range;
    for (uint32_t i = 0; i < NODES; i++)
        c->nodes[i].store->ops = &counting_ops;
    ranges = entries_read = 0;
}

struct cost {
    uint64_t entries, ranges, frames, bytes, us;
};

static void put_one(struct cluster *c, uint32_t node, uint64_t number, uint64_t version)
{
    char key[24];
    snprintf(key, sizeof key, "key-%07u", (unsigned)number);
    client_put(c, node, (uint16_t)(number % MANY_PARTITIONS), NS_LWW, key, version,
               quo_slice_of("value"));
}

/* What it takes to mend one key of so many on two nodes, after one had been away. */
static struct cost mend_one_of(uint64_t keys)
{
    struct cluster c;
    cluster_prepare(&c, 4);
    c.map->partition_count = MANY_PARTITIONS;
    for (uint32_t i = 0; i < MANY_PARTITIONS; i++)
        c.map->entries[i] = c.map->entries[0];
    cluster_open(&c);
    for (uint64_t i = 0; i < keys; i++) {
        put_one(&c, 0, i, i + 1);
        put_one(&c, 1, i, i + 1);
        if (i % 1000 == 0)
            cluster_run(&c, 10000);
    }
    link_set(&c, 0, 1, true);
    cluster_run(&c, 60 * SECOND_US);
    assert_int_equal(NODE_STAT(&c, 0, differences), 0);
    link_set(&c, 0, 1, false);
    put_one(&c, 1, keys / 2, keys + 1);
    cluster_run(&c, SECOND_US);
    count_ranges(&c);
    c.frames = 0;
    c.bytes = 0;
    uint64_t began_us = c.mono_us;
    link_set(&c, 0, 1, true);
    while (NODE_STAT(&c, 0, mends_pulled) == 0)
        cluster_run(&c, 10000);
    struct cost cost = {entries_read, ranges, c.frames, c.bytes, c.mono_us - began_us};
    assert_int_equal(NODE_STAT(&c, 0, differences), 1);
    cluster_run(&c, 30 * SECOND_US);
    assert_int_equal(NODE_STAT(&c, 0, mends_pulled), 1);
    struct contents first = contents_of(&c.nodes[0]), second = contents_of(&c.nodes[1]);
    assert_int_equal(first.records, keys);
    assert_int_equal(first.digest, second.digest);
    cluster_stop(&c);
    print_message("1 of %7u keys: %u read in %u ranges, %u frames, %u bytes, %u ms\n",
                  (unsigned)keys, (unsigned)cost.entries, (unsigned)cost.ranges,
                  (unsigned)cost.frames, (unsigned)cost.bytes, (unsigned)(cost.us / 1000));
    return cost;
}

static void one_key_of_many_is_mended_without_a_scan(void **state)
{
    (void)state;
    const uint64_t few = 51200, many = 10 * few;
    struct cost less = mend_one_of(few), more = mend_one_of(many);
    /* Those of one partition, on both nodes; not one more. */
    assert_int_equal(less.entries, 2 * few / MANY_PARTITIONS);
    assert_int_equal(more.entries, 2 * many / MANY_PARTITIONS);
    assert_int_equal(less.ranges, 2);
    assert_int_equal(more.ranges, 2);
    /* Each partition is compared once, and the one that differs looked into. */
    assert_in_range(more.frames, 3, 3 * MANY_PARTITIONS + 200);
    assert_in_range(more.frames, less.frames, less.frames + 10);
    assert_in_range(more.bytes, less.bytes - 100, less.bytes + 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_of_many_is_mended_without_a_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
