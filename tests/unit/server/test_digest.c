/* The digest of a partition: the same on replicas that hold the same, another one whatever differs.
 */
#include "tests/unit/server/cluster.h"
#include "tests/unit/server/late_store.h"

#define SECOND_US UINT64_C(1000000)

static struct cluster c;

static int setup(void **state)
{
    (void)state;
    cluster_prepare(&c, 7);
    c.map->namespaces[1].n = 2; /* NS_LWW */
    cluster_open(&c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cluster_stop(&c);
    return 0;
}

static void send_digest(uint32_t node, uint16_t partition, const struct quo_entry *entry,
                        uint8_t replicas)
{
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(entry, bytes);
    struct quo_msg_digest message = {.partition = partition,
                                     .entry = quo_slice(bytes, quo_entry_size(entry)),
                                     .replicas = replicas};
    struct packet *packet = packet_new(&c, quo_msg_digest_size(&message));
    quo_msg_digest_encode(&message, packet->body);
    client_send(&c, node, QUO_MESSAGE_DIGEST, packet);
}

static struct quo_msg_digested ask(uint32_t node, uint16_t partition, const struct quo_entry *entry,
                                   uint8_t replicas)
{
    uint32_t before = c.digests;
    send_digest(node, partition, entry, replicas);
    cluster_run(&c, SECOND_US);
    assert_int_equal(c.digests, before + 1);
    return c.digested;
}

static struct quo_msg_digested digest_of(uint32_t node, uint16_t partition, uint8_t replicas)
{
    struct quo_msg_digested digest = ask(node, partition, &c.map->entries[partition], replicas);
    assert_int_equal(digest.status, QUO_OK);
    assert_int_equal(digest.steady, 1);
    return digest;
}

static bool is_same(const struct quo_msg_digested *a, const struct quo_msg_digested *b)
{
    return a->records == b->records && a->bytes == b->bytes && a->high == b->high &&
           a->low == b->low;
}

static void put_everywhere(uint32_t ns, const char *key, uint64_t n, const char *value)
{
    for (uint32_t i = 0; i < NODES; i++)
        client_put(&c, i, 3, ns, key, n, quo_slice_of(value));
    cluster_run(&c, SECOND_US);
}

static void equal_replicas_have_one_digest(void **state)
{
    (void)state;
    struct quo_msg_digested none = digest_of(0, 3, 3);
    assert_int_equal(none.records, 0);
    char key[16];
    /* More than a page. */
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        for (uint32_t node = 0; node < NODES; node++)
            client_put(&c, node, 3, i % 2 ? NS_MIXED : NS_CRDT, key, (uint64_t)i + 1,
                       quo_slice_of("value"));
    }
    put_everywhere(NS_LWW, "lww", 1, "v");
    put_everywhere(NS_LWW, "lwx", 1, "v");
    struct quo_msg_digested first = digest_of(0, 3, 3);
    assert_int_equal(first.records, 3000);
    for (uint32_t node = 1; node < NODES; node++) {
        struct quo_msg_digested other = digest_of(node, 3, 3);
        assert_true(is_same(&first, &other));
    }
    assert_int_equal(digest_of(0, 3, 2).records, 2);
    assert_int_equal(digest_of(0, 4, 3).records, 0);
    assert_int_equal(digest_of(0, 3, 1).records, 0);
}

static void whatever_differs_shows(void **state)
{
    (void)state;
    put_everywhere(NS_MIXED, "ab", 1, "v");
    put_everywhere(NS_MIXED, "c", 1, "w");
    struct quo_msg_digested before = digest_of(1, 3, 3), after;
    uint64_t version = 1;
    /* A version, a value, another key, a delete. */
    client_put(&c, 1, 3, NS_MIXED, "ab", ++version, quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    after = digest_of(1, 3, 3);
    assert_int_equal(after.bytes, before.bytes);
    assert_false(is_same(&before, &after));
    before = after;
    client_put(&c, 1, 3, NS_MIXED, "c", ++version, quo_slice_of("x"));
    cluster_run(&c, SECOND_US);
    after = digest_of(1, 3, 3);
    assert_false(is_same(&before, &after));
    before = after;
    client_put(&c, 1, 3, NS_CRDT, "ab", ++version, quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    after = digest_of(1, 3, 3);
    assert_int_equal(after.records, 3);
    before = after;
    client_acc(&c, 1, 3, NS_MIXED, "c", ++version, quo_slice(NULL, 0));
    cluster_run(&c, SECOND_US);
    after = digest_of(1, 3, 3);
    assert_int_equal(after.records, 3);
    assert_false(is_same(&before, &after));
}

static void only_a_proper_question_is_answered(void **state)
{
    (void)state;
    struct quo_entry entry = c.map->entries[0];
    assert_int_equal(ask(0, PARTITIONS, &entry, 3).status, QUO_MALFORMED);
    assert_int_equal(ask(0, 0, &entry, 0).status, QUO_MALFORMED);
    assert_int_equal(ask(0, 0, &entry, QUO_REPLICAS_MAX + 1).status, QUO_MALFORMED);
    entry.epoch++;
    assert_int_equal(ask(0, 0, &entry, 3).status, QUO_BUSY);
}

/* A store that takes its time: one reads at a time, and writes are noticed. */
static void one_at_a_time_and_no_moving_target(void **state)
{
    (void)state;
    struct node *node = &c.nodes[2];
    struct late_store late;
    put_everywhere(NS_MIXED, "a", 1, "v");
    node_close(node);
    late_store_init(&late, node->store);
    node->store = &late.store;
    node_open(node);
    cluster_run(&c, SECOND_US);
    late.lazy = true;
    send_digest(2, 3, &c.map->entries[3], 3);
    cluster_run(&c, SECOND_US);
    assert_int_equal(c.digests, 0);
    send_digest(2, 3, &c.map->entries[3], 3);
    cluster_run(&c, SECOND_US);
    assert_int_equal(c.digests, 1);
    assert_int_equal(c.digested.status, QUO_BUSY);
    client_put(&c, 2, 3, NS_MIXED, "b", 2, quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    late_store_finish(&late, true);
    late_store_finish(&late, false);
    cluster_run(&c, SECOND_US);
    late.lazy = false;
    late_store_finish_all(&late);
    cluster_run(&c, SECOND_US);
    assert_int_equal(c.digests, 2);
    assert_int_equal(c.digested.status, QUO_OK);
    assert_int_equal(c.digested.steady, 0);
    assert_int_equal(digest_of(2, 3, 3).records, 2);
    node_close(node);
    node->store = late.inner;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_replicas_have_one_digest),
        TEST(whatever_differs_shows),
        TEST(only_a_proper_question_is_answered),
        TEST(one_at_a_time_and_no_moving_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
