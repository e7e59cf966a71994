/* Servers that hold different things become equal by themselves. */
#include "tests/unit/server/cluster.h"

#define SECOND_US UINT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)

static const char *name_of(char out[24], uint64_t number)
{
    snprintf(out, 24, "key-%05u", (unsigned)number);
    return out;
}

static void check_trees(struct cluster *c)
{
    for (uint32_t i = 0; i < NODES; i++) {
        uint32_t ready;
        assert_true(quo_server_check_trees(c->nodes[i].server, &ready));
        assert_int_equal(ready, PARTITIONS);
    }
}

/* Writes, deletions and promises that reach some nodes only. */
static void scatter(struct cluster *c, uint32_t count)
{
    char key[24];
    for (uint32_t i = 0; i < count; i++) {
        static const uint32_t namespaces[] = {NS_LWW, NS_CAS, NS_MIXED, NS_CRDT};
        uint64_t number = below(c, count / 2 + 1);
        uint16_t partition = (uint16_t)(number % PARTITIONS);
        uint32_t ns = namespaces[number / PARTITIONS % 4];
        uint64_t version = ++c->last_version;
        uint64_t reached = 1 + below(c, 6); /* a set of nodes, not all */
        struct quo_slice value = quo_slice("0123456789", below(c, 11));
        bool blind = ns == NS_LWW || ns == NS_CRDT || (ns == NS_MIXED && below(c, 2) == 0);
        for (uint32_t node = 0; node < NODES; node++) {
            if ((reached >> node & 1) == 0)
                continue;
            if (blind)
                client_put(c, node, partition, ns, name_of(key, number), version, value);
            else
                client_acc(c, node, partition, ns, name_of(key, number), version,
                           value.len == 0 ? quo_slice(NULL, 0) : value);
        }
    }
    cluster_run(c, SECOND_US);
}

static void test_equal_servers_say_so_and_no_more(void **state)
{
    (void)state;
    struct cluster c;
    char key[24];
    cluster_start(&c, 1);
    for (uint64_t i = 0; i < 200; i++)
        for (uint32_t node = 0; node < NODES; node++)
            client_put(&c, node, (uint16_t)(i % PARTITIONS), NS_LWW, name_of(key, i), i + 1,
                       quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    links_set(&c, true);
    cluster_run(&c, SECOND_US);
    /* Three pairs of nodes. */
    assert_int_equal(SUM(&c, exchanges_equal), 3 * PARTITIONS);
    /* Question, answer and what came of it. */
    assert_int_equal(c.frames, 3 * 3 * PARTITIONS);
    assert_int_equal(SUM(&c, differences), 0);
    assert_true(quo_server_unequal_us(c.nodes[0].server) <= SECOND_US);
    assert_int_equal(quo_server_unequal_us(c.nodes[2].server), 0); /* it is the one who is asked */
    /* From then on once in a while. */
    cluster_run(&c, 10 * MINUTE_US);
    assert_in_range(SUM(&c, exchanges_equal), 3 * PARTITIONS * 8, 3 * PARTITIONS * 14);
    assert_true(quo_server_unequal_us(c.nodes[0].server) <= 3 * MINUTE_US);
    cluster_stop(&c);
}

static void test_whatever_differs_becomes_equal(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster c;
        cluster_start(&c, seed);
        scatter(&c, 10 + (uint32_t)below(&c, 1500));
        assert_false(all_equal(&c));
        links_set(&c, true);
        cluster_run(&c, MINUTE_US);
        assert_true(all_equal(&c));
        check_trees(&c);
        assert_true(SUM(&c, mends_pushed) > 0 || SUM(&c, mends_pulled) > 0);
        assert_int_equal(SUM(&c, mends_failed), 0);
        assert_true(quo_server_unequal_us(c.nodes[0].server) <= MINUTE_US);
        cluster_stop(&c);
    }
}

static void test_lost_frames_only_delay_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct cluster c;
        cluster_start(&c, seed);
        scatter(&c, 300);
        links_set(&c, true);
        c.lost_in = 10;
        cluster_run(&c, 20 * MINUTE_US);
        c.lost_in = 0;
        cluster_run(&c, 3 * MINUTE_US);
        assert_true(all_equal(&c));
        check_trees(&c);
        assert_true(SUM(&c, exchanges_given_up) > 0);
        cluster_stop(&c);
    }
}

static void test_it_goes_on_while_links_and_servers_come_and_go(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct cluster c;
        cluster_start(&c, seed);
        links_set(&c, true);
        for (int i = 0; i < 60; i++) {
            if (below(&c, 2) == 0)
                scatter(&c, (uint32_t)below(&c, 60));
            link_set(&c, (uint32_t)below(&c, 2), 2, below(&c, 2) == 0);
            link_set(&c, 0, 1, below(&c, 2) == 0);
            cluster_run(&c, below(&c, SECOND_US));
            if (below(&c, 10) == 0) {
                struct node *node = &c.nodes[below(&c, NODES)];
                node_close(node);
                cluster_run(&c, below(&c, SECOND_US));
                node_open(node);
                cluster_run(&c, 10000);
                links_set(&c, true);
            }
        }
        links_set(&c, true);
        cluster_run(&c, 3 * MINUTE_US);
        assert_true(all_equal(&c));
        check_trees(&c);
        cluster_stop(&c);
    }
}

/* A write is at each node at another moment, and nothing lasts: nobody asks for keys. */
static void test_writes_under_way_are_no_differences(void **state)
{
    (void)state;
    struct cluster c;
    char key[24];
    cluster_start(&c, 3);
    for (uint64_t i = 0; i < 400; i++)
        for (uint32_t node = 0; node < NODES; node++)
            client_put(&c, node, 5, NS_LWW, name_of(key, i), i + 1, quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    links_set(&c, true);
    for (uint64_t i = 0; i < 4000; i++) {
        /* Keys of one partition, most of them in leaves of their own. */
        uint64_t number = below(&c, 400);
        for (uint32_t node = 0; node < NODES; node++) {
            client_put(&c, node, 5, NS_LWW, name_of(key, number), 1000 + i, quo_slice_of("w"));
            cluster_run(&c, below(&c, 2000));
        }
        if (i % 100 == 0) {
            /* As if it came up again. */
            link_set(&c, 0, 1, false);
            link_set(&c, 0, 1, true);
        }
    }
    assert_true(SUM(&c, exchanges_equal) > 100);
    assert_int_equal(SUM(&c, differences), 0);
    cluster_stop(&c);
}

static void test_one_key_of_many_costs_little(void **state)
{
    (void)state;
    const uint64_t keys = 100000;
    struct cluster c;
    char key[24];
    cluster_start(&c, 4);
    for (uint64_t i = 0; i < keys; i++) {
        for (uint32_t node = 0; node < NODES; node++)
            client_put(&c, node, 3, NS_LWW, name_of(key, i), i + 1, quo_slice_of("value"));
        if (i % 1000 == 0)
            cluster_run(&c, 10000);
    }
    client_put(&c, 1, 3, NS_LWW, name_of(key, 54321), keys + 1, quo_slice_of("newer"));
    cluster_run(&c, SECOND_US);
    c.frames = 0;
    c.bytes = 0;
    /* Two of the nodes only. */
    link_set(&c, 0, 1, true);
    cluster_run(&c, 10 * SECOND_US);
    assert_int_equal(NODE_STAT(&c, 0, mends_pulled), 1);
    assert_int_equal(NODE_STAT(&c, 0, differences), 1);
    assert_int_equal(NODE_STAT(&c, 0, exchanges_equal), PARTITIONS);
    /* 8 looks at trees of which 7 found them equal; for the one key: 6 looks and its leaf's keys.
     */
    print_message("1 of %u keys: %u frames, %u bytes\n", (unsigned)keys, c.frames,
                  (unsigned)c.bytes);
    assert_true(c.frames < 100);
    assert_true(c.bytes < 32768);
    cluster_stop(&c);
}

static void test_a_namespace_of_fewer_replicas_stays_on_those(void **state)
{
    (void)state;
    struct cluster c;
    char key[24];
    cluster_prepare(&c, 5);
    c.map->namespaces[1].n = 2; /* lww */
    cluster_open(&c);
    for (uint64_t i = 0; i < 100; i++) {
        client_put(&c, (uint32_t)(i % 2), 3, NS_LWW, name_of(key, i), i + 1, quo_slice_of("v"));
        client_put(&c, (uint32_t)(i % 3), 3, NS_CRDT, name_of(key, i), i + 1, quo_slice_of("v"));
    }
    cluster_run(&c, SECOND_US);
    links_set(&c, true);
    cluster_run(&c, MINUTE_US);
    assert_int_equal(contents_of(&c.nodes[0]).records, 200);
    assert_int_equal(contents_of(&c.nodes[1]).records, 200);
    assert_int_equal(contents_of(&c.nodes[2]).records, 100);
    assert_true(quo_server_unequal_us(c.nodes[0].server) <= 2 * MINUTE_US);
    check_trees(&c);
    cluster_stop(&c);
}

/* Nodes cannot overcome a promise; proxies can. */
static void test_what_a_promise_forbids_is_left_to_a_proxy(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 6);
    client_acc(&c, 0, 3, NS_CAS, "pushed", 5, quo_slice_of("v"));
    client_prep(&c, 1, 3, NS_CAS, "pushed", 9);
    cluster_run(&c, SECOND_US);
    link_set(&c, 0, 1, true);
    cluster_run(&c, SECOND_US);
    cluster_run(&c, 10 * SECOND_US);
    assert_int_equal(c.mends, 1);
    assert_int_equal(c.last_mend_ns, NS_CAS);
    assert_string_equal(c.last_mend, "pushed");
    /* The identity that a proxy then writes. */
    for (uint32_t node = 0; node < NODES; node++)
        client_acc(&c, node, 3, NS_CAS, "pushed", 12, quo_slice_of("v"));
    /* The other way round. */
    client_acc(&c, 1, 3, NS_CAS, "pulled", 5, quo_slice_of("v"));
    client_prep(&c, 0, 3, NS_CAS, "pulled", 9);
    cluster_run(&c, 2 * MINUTE_US);
    assert_true(c.mends >= 2);
    assert_string_equal(c.last_mend, "pulled");
    assert_int_equal(SUM(&c, mends_asked), c.mends);
    cluster_stop(&c);
}

static void test_only_an_entry_that_both_know_is_compared_under(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 7);
    client_put(&c, 0, 3, NS_LWW, "old", 5, quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    /* The second node learns of a newer epoch, under which the first is still a member. */
    c.map->entries[3] = entry_of(4, SECOND, SELF, THIRD);
    client_put(&c, 1, 3, NS_LWW, "new", 6, quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    link_set(&c, 0, 1, true);
    cluster_run(&c, SECOND_US);
    assert_int_equal(NODE_STAT(&c, 0, exchanges_given_up), 1);
    assert_int_equal(NODE_STAT(&c, 0, adopted), 1); /* it learned */
    cluster_run(&c, 2 * MINUTE_US);
    assert_int_equal(NODE_STAT(&c, 0, mends_pushed), 1);
    assert_int_equal(NODE_STAT(&c, 0, mends_pulled), 1);
    /* No comparison during a move. */
    uint64_t equal = NODE_STAT(&c, 0, exchanges_equal);
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        c.map->entries[i].epoch += 5;
        c.map->entries[i].state = QUO_ENTRY_JOINT;
        c.map->entries[i].n_next = 3;
        memcpy(c.map->entries[i].next, c.map->entries[i].replicas, 3 * sizeof(uint64_t));
        client_put(&c, 0, (uint16_t)i, NS_LWW, "moving", 7, quo_slice_of("v"));
    }
    cluster_run(&c, 10 * MINUTE_US);
    assert_true(NODE_STAT(&c, 0, exchanges_equal) <= equal + 1);
    assert_int_equal(c.refusals, 0);
    cluster_stop(&c);
}

static void test_it_asks_no_older_epoch_either(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 8);
    c.map->entries[3] = entry_of(4, SELF, SECOND, THIRD);
    client_put(&c, 0, 3, NS_LWW, "new", 6, quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    link_set(&c, 0, 1, true);
    cluster_run(&c, 3 * MINUTE_US);
    assert_int_equal(NODE_STAT(&c, 1, adopted), 1); /* from the question */
    assert_int_equal(NODE_STAT(&c, 0, mends_pushed), 1);
    cluster_stop(&c);
}

/* A node that has nothing gets everything, in pages and at a rate. */
static void test_a_lot_takes_its_time(void **state)
{
    (void)state;
    static uint8_t value[VALUE_MAX_OF_LWW];
    struct cluster c;
    char key[24];
    cluster_start(&c, 9);
    memset(value, 'x', sizeof value);
    const uint32_t keys = 10000;
    for (uint32_t i = 0; i < keys; i++) {
        client_put(&c, i % 2, 3, NS_LWW, name_of(key, i), i + 1, quo_slice(value, sizeof value));
        if (i % 1000 == 0)
            cluster_run(&c, 10000);
    }
    cluster_run(&c, SECOND_US);
    uint64_t began_us = c.mono_us, size = (uint64_t)keys * (sizeof value + QUO_MEND_OVERHEAD);
    link_set(&c, 0, 1, true);
    while (NODE_STAT(&c, 0, mends_pushed) + NODE_STAT(&c, 0, mends_pulled) < keys &&
           c.mono_us < began_us + 10 * MINUTE_US)
        cluster_run(&c, SECOND_US / 10);
    uint64_t took_us = c.mono_us - began_us;
    assert_true(took_us > (size - QUO_EXCHANGE_RATE) * SECOND_US / QUO_EXCHANGE_RATE);
    assert_true(took_us < 3 * size * SECOND_US / QUO_EXCHANGE_RATE);
    assert_int_equal(contents_of(&c.nodes[0]).records, keys);
    assert_int_equal(contents_of(&c.nodes[1]).digest, contents_of(&c.nodes[0]).digest);
    assert_int_equal(NODE_STAT(&c, 0, mends_failed), 0);
    cluster_stop(&c);
}

static void test_records_may_have_to_come_from_the_disk(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 10);
    scatter(&c, 400);
    for (uint32_t i = 0; i < NODES; i++)
        quo_store_memory_faults(c.nodes[i].store)->get_would_block = true;
    links_set(&c, true);
    cluster_run(&c, MINUTE_US);
    assert_true(all_equal(&c));
    assert_true(SUM(&c, loads) > 100);
    cluster_stop(&c);
}

static void test_a_range_that_fails_is_no_end(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 11);
    scatter(&c, 200);
    for (uint32_t i = 0; i < NODES; i++)
        *quo_store_memory_faults(c.nodes[i].store) =
            (struct quo_store_faults){.load_in = 2, .load_status = QUO_IO_ERROR};
    links_set(&c, true);
    cluster_run(&c, 3 * MINUTE_US);
    assert_true(all_equal(&c));
    assert_true(SUM(&c, io_errors) > 0 && SUM(&c, exchanges_given_up) > 0);
    cluster_stop(&c);
}

/* Whatever comes instead of an answer. */
static void test_nonsense_ends_an_exchange_and_nothing_else(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct cluster c;
        cluster_start(&c, seed);
        scatter(&c, 30);
        link_set(&c, 0, 1, true);
        for (int i = 0; i < 60; i++) {
            cluster_run(&c, below(&c, 300000));
            for (struct packet *at = c.packets; at != NULL; at = at->next)
                for (uint64_t bytes = below(&c, 4); bytes-- > 0 && at->frame.body.len > 0;)
                    at->body[below(&c, at->frame.body.len)] = (uint8_t)cluster_chance(&c);
        }
        cluster_stop(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_servers_say_so_and_no_more),
        cmocka_unit_test(test_whatever_differs_becomes_equal),
        cmocka_unit_test(test_lost_frames_only_delay_it),
        cmocka_unit_test(test_it_goes_on_while_links_and_servers_come_and_go),
        cmocka_unit_test(test_writes_under_way_are_no_differences),
        cmocka_unit_test(test_one_key_of_many_costs_little),
        cmocka_unit_test(test_a_namespace_of_fewer_replicas_stays_on_those),
        cmocka_unit_test(test_what_a_promise_forbids_is_left_to_a_proxy),
        cmocka_unit_test(test_only_an_entry_that_both_know_is_compared_under),
        cmocka_unit_test(test_it_asks_no_older_epoch_either),
        cmocka_unit_test(test_a_lot_takes_its_time),
        cmocka_unit_test(test_records_may_have_to_come_from_the_disk),
        cmocka_unit_test(test_a_range_that_fails_is_no_end),
        cmocka_unit_test(test_nonsense_ends_an_exchange_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
