#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "quorate/cluster.h"
#include "quorate/collection.h"

static struct quo_map map;

static void add_node(uint64_t replica, const char *name, uint16_t port)
{
    struct quo_node_info *node = &map.nodes[map.node_count++];
    *node = (struct quo_node_info){.replica = replica, .port = port, .weight = 100};
    snprintf(node->name, sizeof node->name, "%s", name);
    snprintf(node->host, sizeof node->host, "127.0.0.1");
}

static void add_proxy(const char *name, uint16_t port)
{
    struct quo_proxy_info *proxy = &map.proxies[map.proxy_count++];
    *proxy = (struct quo_proxy_info){.port = port};
    snprintf(proxy->name, sizeof proxy->name, "%s", name);
    snprintf(proxy->host, sizeof proxy->host, "127.0.0.1");
}

static void add_namespace(uint32_t id, const char *name)
{
    struct quo_namespace *ns = &map.namespaces[map.namespace_count++];
    *ns = (struct quo_namespace){
        .id = id,
        .kind = QUO_KIND_LWW,
        .n = 3,
        .rs = 2,
        .ws = 2,
        .read_level = QUO_LEVEL_STRONG,
        .write_level = QUO_LEVEL_STRONG,
        .timeout_ms = QUO_TIMEOUT_DEFAULT_MS,
        .value_max = QUO_VALUE_MAX_DEFAULT,
    };
    snprintf(ns->name, sizeof ns->name, "%s", name);
}

static int fresh_map(void **state)
{
    (void)state;
    map.cluster = 1;
    map.epoch = 1;
    map.replicas = 3;
    map.partition_count = 16;
    map.node_count = map.proxy_count = map.namespace_count = 0;
    add_node(11, "node-1", 7001);
    add_node(12, "node-2", 7002);
    add_node(13, "node-3", 7003);
    add_proxy("proxy-1", 7101);
    add_proxy("proxy-2", 7102);
    add_namespace(5, "default");
    add_namespace(6, "bank");
    return 0;
}

static void expect_invalid(const char *start)
{
    char why[200] = "";
    assert_int_equal(quo_map_check(&map, why, sizeof why), QUO_INVALID);
    if (strncmp(why, start, strlen(start)) != 0)
        fail_msg("\"%s\" does not start with \"%s\"", why, start);
    fresh_map(NULL);
}

static void good_map_passes(void **state)
{
    (void)state;
    char why[10] = "untouched";
    assert_int_equal(quo_map_check(&map, why, sizeof why), QUO_OK);
    assert_string_equal(why, "untouched");
    map.namespace_count = 0;
    assert_int_equal(quo_map_check(&map, why, sizeof why), QUO_OK);
    map.proxy_count = 0;
    assert_int_equal(quo_map_check(&map, why, sizeof why), QUO_OK);
}

static void counts_are_checked(void **state)
{
    (void)state;
    map.cluster = 0;
    expect_invalid("cluster ");
    map.epoch = 0;
    expect_invalid("epoch ");
    map.replicas = 0;
    expect_invalid("replicas ");
    map.replicas = QUO_REPLICAS_MAX + 1;
    expect_invalid("replicas ");
    map.partition_count = 0;
    expect_invalid("partitions ");
    map.partition_count = 1000;
    expect_invalid("partitions ");
    map.partition_count = 2 * QUO_PARTITIONS_MAX;
    expect_invalid("partitions ");
    map.node_count = 2;
    expect_invalid("there must be at least as many nodes");
    map.node_count = QUO_NODES_MAX + 1;
    expect_invalid("there must be at most 256 nodes");
    map.proxy_count = QUO_PROXIES_MAX + 1;
    expect_invalid("there must be at most 64 proxies");
    map.namespace_count = QUO_NAMESPACES_MAX + 1;
    expect_invalid("there must be at most 256 namespaces");
}

static void every_power_of_two_passes(void **state)
{
    (void)state;
    char why[200];
    for (uint32_t count = 1; count <= QUO_PARTITIONS_MAX; count *= 2) {
        map.partition_count = count;
        assert_int_equal(quo_map_check(&map, why, sizeof why), QUO_OK);
    }
}

static void nodes_are_checked(void **state)
{
    (void)state;
    map.nodes[1].replica = 0;
    expect_invalid("nodes[1]: replica ");
    map.nodes[2].replica = 11;
    expect_invalid("nodes[2]: replica is the id of an earlier node");
    map.nodes[2].name[0] = '\0';
    expect_invalid("nodes[2]: name ");
    memcpy(map.nodes[2].name, "node-1", 7);
    expect_invalid("nodes[2]: name is that of an earlier node");
    map.nodes[0].host[0] = '\0';
    expect_invalid("nodes[0]: host ");
    map.nodes[0].host[3] = ' ';
    expect_invalid("nodes[0]: host ");
    memset(map.nodes[0].host, 'h', sizeof map.nodes[0].host);
    expect_invalid("nodes[0]: host ");
    map.nodes[0].port = 0;
    expect_invalid("nodes[0]: port ");
    map.nodes[1].port = 7001;
    expect_invalid("nodes[1]: host and port ");
    map.nodes[1].weight = 0;
    expect_invalid("nodes[1]: weight ");
    map.nodes[1].weight = QUO_WEIGHT_MAX + 1;
    expect_invalid("nodes[1]: weight ");
}

static void proxies_are_checked(void **state)
{
    (void)state;
    map.proxies[1].name[0] = '\0';
    expect_invalid("proxies[1]: name must be a lower-case letter");
    memcpy(map.proxies[1].name, "proxy-1", 8);
    expect_invalid("proxies[1]: name is that of an earlier proxy");
    map.proxies[0].host[0] = '\0';
    expect_invalid("proxies[0]: host must be a host name or an address");
    memset(map.proxies[0].host, 'h', sizeof map.proxies[0].host);
    expect_invalid("proxies[0]: host must be a host name or an address");
    map.proxies[0].port = 0;
    expect_invalid("proxies[0]: port must not be 0");
    map.proxies[1].port = 7101;
    expect_invalid("proxies[1]: host and port are those of an earlier proxy");
    map.proxies[1].port = 7003;
    expect_invalid("proxies[1]: host and port are those of a node");
}

/* One machine may hold several of them, and a proxy may be called what a node is. */
static void proxies_share_hosts_ports_and_names(void **state)
{
    (void)state;
    char why[200];
    map.proxies[1].host[0] = '2';
    map.proxies[1].port = 7101;
    assert_int_equal(quo_map_check(&map, why, sizeof why), QUO_OK);
    map.proxies[1].port = 7001;
    memcpy(map.proxies[1].name, "node-1", 7);
    assert_int_equal(quo_map_check(&map, why, sizeof why), QUO_OK);
    fresh_map(NULL);
}

static void namespaces_are_checked(void **state)
{
    (void)state;
    map.namespaces[1].ws = 1;
    expect_invalid("namespaces[1]: rs + ws ");
    map.namespaces[0].require_idempotency_key = true;
    expect_invalid("namespaces[0]: require_idempotency_key ");
    map.namespaces[1].id = 5;
    expect_invalid("namespaces[1]: id is that of an earlier namespace");
    memcpy(map.namespaces[1].name, "default", 8);
    expect_invalid("namespaces[1]: name is that of an earlier namespace");
    map.replicas = 2;
    expect_invalid("namespaces[0]: n must be at most the replicas of the map");
}

/* The sentence is cut, never written past its end, also when there is no room at all. */
static void sentence_is_cut_to_fit(void **state)
{
    (void)state;
    static const char whole[] = "nodes[1]: weight must be from 1 to 1000000";
    map.nodes[1].weight = 0;
    for (size_t size = 0; size <= sizeof whole + 5; size++) {
        char why[sizeof whole + 6], expected[sizeof whole + 6];
        memset(why, '#', sizeof why);
        memset(expected, '#', sizeof expected);
        if (size > 0) {
            memcpy(expected, whole, QUO_MIN(size, sizeof whole));
            expected[QUO_MIN(size, sizeof whole) - 1] = '\0';
        }
        assert_int_equal(quo_map_check(&map, why, size), QUO_INVALID);
        assert_memory_equal(why, expected, sizeof why);
    }
}

static void look_ups_find_what_is_there(void **state)
{
    (void)state;
    assert_ptr_equal(quo_map_namespace(&map, quo_slice_of("bank")), &map.namespaces[1]);
    assert_null(quo_map_namespace(&map, quo_slice_of("ban")));
    assert_null(quo_map_namespace(&map, quo_slice_of("bankx")));
    assert_null(quo_map_namespace(&map, quo_slice("bank\0", 5)));
    assert_null(quo_map_namespace(&map, quo_slice(NULL, 0)));
    assert_ptr_equal(quo_map_namespace_by_id(&map, 5), &map.namespaces[0]);
    assert_null(quo_map_namespace_by_id(&map, 7));
    assert_null(quo_map_namespace_by_id(&map, quo_collection_ns(5, QUO_COLLECTION_TIMELINE)));
    map.namespaces[0].kind = QUO_KIND_CRDT;
    assert_ptr_equal(quo_map_namespace_by_id(&map, quo_collection_ns(5, QUO_COLLECTION_SET)),
                     &map.namespaces[0]);
    assert_null(quo_map_namespace_by_id(&map, quo_collection_ns(5, QUO_COLLECTIONS)));
    assert_int_equal(quo_map_node(&map, 13), 2);
    assert_int_equal(quo_map_node(&map, 14), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(good_map_passes, fresh_map),
        cmocka_unit_test_setup(counts_are_checked, fresh_map),
        cmocka_unit_test_setup(every_power_of_two_passes, fresh_map),
        cmocka_unit_test_setup(nodes_are_checked, fresh_map),
        cmocka_unit_test_setup(proxies_are_checked, fresh_map),
        cmocka_unit_test_setup(proxies_share_hosts_ports_and_names, fresh_map),
        cmocka_unit_test_setup(namespaces_are_checked, fresh_map),
        cmocka_unit_test_setup(sentence_is_cut_to_fit, fresh_map),
        cmocka_unit_test_setup(look_ups_find_what_is_there, fresh_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
