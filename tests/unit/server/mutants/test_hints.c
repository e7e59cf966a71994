/* Hints over a mesh that loses frames, between servers that come and go: each arrives, as the
 * record that it was, and is forgotten then. Nobody but the hint has the record, so that nothing
 * else can bring it.
 *
 * The same histories must show that something is wrong when one rule is switched off.
 */
#include "quorate/testpoints.h"
#include "tests/unit/server/cluster.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

enum { HISTORIES = 12, HINTS = 60, KEEPER = 0, TARGET = 2 };

static struct cluster c;

static const char *key_of(uint64_t n)
{
    static char key[16];
    snprintf(key, sizeof key, "key%u", (unsigned)n);
    return key;
}

static void hint(uint16_t partition, uint64_t n)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX], bytes[256];
    uint32_t ns = n % 2 == 0 ? NS_LWW : NS_MIXED;
    quo_entry_encode(&c.map->entries[partition], entry);
    struct quo_record record = {
        .flags = QUO_RECORD_BLIND, .version = version_of(n), .value = quo_slice(&n, sizeof n)};
    quo_record_encode(&record, bytes);
    struct quo_msg_hint message = {
        .target = THIRD,
        .partition = partition,
        .ns = ns,
        .kind = kind_of(ns),
        .entry = quo_slice(entry, quo_entry_size(&c.map->entries[partition])),
        .key = quo_slice_of(key_of(n)),
        .record = quo_slice(bytes, quo_record_size(&record)),
    };
    struct packet *packet = packet_new(&c, quo_msg_hint_size(&message));
    quo_msg_hint_encode(&message, packet->body);
    client_send(&c, KEEPER, QUO_MESSAGE_HINT, packet);
}

static bool has_versions(void *context, struct quo_slice key, struct quo_slice value)
{
    uint64_t n = 0;
    struct quo_record record;
    assert_int_equal(quo_record_decode(value, &record), QUO_OK);
    for (size_t i = QUO_STORAGE_KEY_PREFIX + 3; i < key.len; i++)
        n = n * 10 + key.data[i] - '0';
    assert_int_equal(record.value.len, sizeof n);
    if (quo_version_equal(record.version, version_of(n)) &&
        memcmp(record.value.data, &n, sizeof n) == 0)
        ++*(uint32_t *)context;
    return true;
}

/* Records at the target that are what was written. */
static uint32_t arrived(void)
{
    static const uint8_t hi[] = {0xff, 0xff, 0xff};
    struct quo_store *store = c.nodes[TARGET].store;
    uint32_t count = 0;
    assert_int_equal(store->ops->scan(store, QUO_FAMILY_DATA, quo_slice(hi, 0),
                                      quo_slice(hi, sizeof hi), has_versions, &count),
                     QUO_OK);
    return count;
}

static uint64_t kept(void)
{
    struct quo_server_hints hints[QUO_NODES_MAX];
    size_t count = quo_server_hints(c.nodes[KEEPER].server, hints);
    return count == 0 ? 0 : hints[0].count;
}

static void disturb(void)
{
    uint32_t victim = below(&c, 2) == 0 ? KEEPER : TARGET;
    switch (below(&c, 4)) {
    case 0:
        links_set(&c, false);
        cluster_run(&c, below(&c, 3000000));
        break;
    case 1:
        node_close(&c.nodes[victim]);
        cluster_run(&c, below(&c, 1000000));
        node_open(&c.nodes[victim]);
        break;
    default:
        cluster_run(&c, below(&c, 2000000));
        break;
    }
    cluster_run(&c, 10000);
    links_set(&c, true);
    c.lost_in = (uint32_t)below(&c, 4);
}

/* Whether everything arrived, and is forgotten. */
static bool play(uint64_t seed)
{
    cluster_start(&c, seed);
    for (uint64_t n = 1; n <= HINTS; n++) {
        hint((uint16_t)below(&c, PARTITIONS), n);
        cluster_run(&c, 10 * TRIP_US); /* it is taken */
        if (below(&c, 8) == 0)
            disturb();
    }
    cluster_run(&c, 100000);
    assert_int_equal(c.refusals, 0);
    c.lost_in = 0;
    links_set(&c, true);
    for (int i = 0; i < 120 && kept() > 0; i++)
        cluster_run(&c, 1000000);
    bool ok = kept() == 0 && arrived() == HINTS;
    cluster_stop(&c);
    return ok;
}

static uint32_t failures(enum quo_mutant planted)
{
    uint32_t count = 0;
    quo_mutant_planted = planted;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
        count += !play(seed);
    quo_mutant_planted = QUO_MUTANT_NONE;
    return count;
}

static void every_hint_arrives_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(failures(QUO_MUTANT_NONE), 0);
}

static void one_that_is_dropped_early_is_missed(void **state)
{
    (void)state;
    assert_true(failures(QUO_MUTANT_HINT_DROPPED_EARLY) > 0);
}

static void one_that_is_tagged_anew_is_noticed(void **state)
{
    (void)state;
    assert_int_equal(failures(QUO_MUTANT_HINT_RETAGGED), HISTORIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_hint_arrives_as_it_was),
        cmocka_unit_test(one_that_is_dropped_early_is_missed),
        cmocka_unit_test(one_that_is_tagged_anew_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
