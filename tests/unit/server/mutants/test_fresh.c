/* How fresh a node says that it is, and what it owes: never fresher than it is, whichever rule of
 * that is switched off. */
#include "tests/unit/server/cluster.h"

#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

#define SECOND_US UINT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)

/* All three replicas make the read quorum of NS_LWW, two that of the others. */
static void prepare(struct cluster *c, uint64_t seed)
{
    cluster_prepare(c, seed);
    for (uint32_t i = 0; i < c->map->namespace_count; i++) {
        struct quo_namespace *ns = &c->map->namespaces[i];
        ns->rs = ns->id == NS_LWW ? 3 : 2;
        ns->ws = 2;
    }
    cluster_open(c);
}

static void ask_fresh(struct cluster *c, uint32_t node, uint16_t partition, uint32_t ns,
                      const struct quo_entry *entry)
{
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(entry, bytes);
    struct quo_msg_fresh message = {
        .partition = partition, .entry = quo_slice(bytes, quo_entry_size(entry)), .ns = ns};
    struct packet *packet = packet_new(c, quo_msg_fresh_size(&message));
    quo_msg_fresh_encode(&message, packet->body);
    client_send(c, node, QUO_MESSAGE_FRESH, packet);
    uint32_t before = c->freshnesses;
    cluster_run(c, 5 * TRIP_US);
    assert_int_equal(c->freshnesses, before + 1);
}

static uint32_t age_of(struct cluster *c, uint32_t node, uint16_t partition, uint32_t ns)
{
    ask_fresh(c, node, partition, ns, &c->map->entries[partition]);
    assert_int_equal(c->freshness.status, QUO_OK);
    assert_int_equal(c->freshness.partition, partition);
    assert_int_equal(c->freshness.ns, ns);
    assert_int_equal(c->freshness.epoch, c->map->entries[partition].epoch);
    return c->freshness.age_ms;
}

static const struct quo_msg_debts *debts_of(struct cluster *c, uint32_t node, uint64_t now_ms)
{
    struct quo_msg_debt message = {.now_ms = now_ms};
    struct packet *packet = packet_new(c, quo_msg_debt_size(&message));
    quo_msg_debt_encode(&message, packet->body);
    client_send(c, node, QUO_MESSAGE_DEBT, packet);
    uint32_t before = c->debt_count;
    cluster_run(c, 5 * TRIP_US);
    assert_int_equal(c->debt_count, before + 1);
    return &c->debts;
}

static void all_are_fresh_after_a_round_whoever_asks_whom(void **state)
{
    (void)state;
    struct cluster c;
    prepare(&c, 1);
    for (uint32_t node = 0; node < NODES; node++)
        assert_int_equal(age_of(&c, node, 3, NS_MIXED), UINT32_MAX);
    links_set(&c, true);
    cluster_run(&c, SECOND_US);
    for (uint32_t node = 0; node < NODES; node++) {
        for (uint16_t partition = 0; partition < PARTITIONS; partition++) {
            assert_in_range(age_of(&c, node, partition, NS_MIXED), 1, 2000);
            assert_in_range(age_of(&c, node, partition, NS_LWW), 1, 2000);
        }
    }
    uint32_t before = age_of(&c, 2, 0, NS_MIXED);
    links_set(&c, false);
    cluster_run(&c, 30 * SECOND_US);
    assert_in_range(age_of(&c, 2, 0, NS_MIXED), before + 30000, before + 30100);
    cluster_stop(&c);
}

/* Whoever is alone with one peer is half of three, and two of three. Returns whether that shows. */
static bool one_peer_is_not_two(void)
{
    struct cluster c;
    prepare(&c, 2);
    link_set(&c, 0, 1, true);
    cluster_run(&c, SECOND_US);
    bool holds = age_of(&c, 0, 0, NS_MIXED) < 2000 && age_of(&c, 1, 0, NS_MIXED) < 2000 &&
                 age_of(&c, 0, 0, NS_LWW) == UINT32_MAX && age_of(&c, 1, 0, NS_LWW) == UINT32_MAX;
    cluster_stop(&c);
    return holds;
}

/* The third replica changes; the second one was found equal before that. */
static bool an_older_epoch_proves_nothing(void)
{
    struct cluster c;
    prepare(&c, 3);
    link_set(&c, 0, 1, true);
    cluster_run(&c, SECOND_US);
    link_set(&c, 0, 1, false);
    struct quo_entry *entry = &c.map->entries[0];
    entry->state = QUO_ENTRY_JOINT;
    entry->epoch++;
    entry->n_next = 3;
    memcpy(entry->next, (uint64_t[]){SELF, SECOND, STRANGER}, 3 * sizeof(uint64_t));
    client_put(&c, 0, 0, NS_MIXED, "key", 1, quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    bool holds = age_of(&c, 0, 0, NS_MIXED) == UINT32_MAX;
    entry->state = QUO_ENTRY_NORMAL;
    entry->epoch++;
    memcpy(entry->replicas, entry->next, sizeof entry->next);
    entry->n_next = 0;
    client_put(&c, 0, 0, NS_MIXED, "key", 2, quo_slice_of("v"));
    cluster_run(&c, SECOND_US);
    holds = holds && age_of(&c, 0, 0, NS_MIXED) == UINT32_MAX;
    assert_true(age_of(&c, 0, 1, NS_MIXED) < 5000);
    cluster_stop(&c);
    return holds;
}

static void freshness_takes_a_read_quorum_of_one_epoch(void **state)
{
    (void)state;
    assert_true(one_peer_is_not_two());
    assert_true(an_older_epoch_proves_nothing());
    quo_mutant_planted = QUO_MUTANT_FRESH_BY_ONE_PEER;
    assert_false(one_peer_is_not_two());
    quo_mutant_planted = QUO_MUTANT_FRESH_ACROSS_EPOCHS;
    assert_false(an_older_epoch_proves_nothing());
    quo_mutant_planted = QUO_MUTANT_NONE;
}

/* At any moment, what a node says was long enough ago: everything that was on a write quorum by
 * then is on it. */
static void nobody_is_ever_fresher_than_it_says(void **state)
{
    enum { KEYS = 40 };
    (void)state;
    uint32_t proven = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct cluster c;
        uint64_t done_us[KEYS * 4];
        uint32_t written = 0;
        prepare(&c, seed);
        links_set(&c, true);
        c.lost_in = 20;
        while (written < KEYS * 4) {
            /* Two of three hold it; it is complete once both have it. */
            uint32_t without = (uint32_t)below(&c, NODES), node = (uint32_t)below(&c, NODES);
            char key[16];
            snprintf(key, sizeof key, "%u", (unsigned)(written % KEYS));
            for (uint32_t i = 0; i < NODES; i++)
                if (i != without)
                    client_put(&c, i, 0, NS_MIXED, key, written + 1, quo_slice_of("v"));
            cluster_run(&c, 10000);
            done_us[written++] = c.mono_us;
            cluster_run(&c, below(&c, 3 * SECOND_US));
            uint32_t age_ms = age_of(&c, node, 0, NS_MIXED);
            if (age_ms == UINT32_MAX)
                continue;
            proven++;
            for (uint32_t i = 0; i < written; i++) {
                if (done_us[i] + age_ms * UINT64_C(1000) + 5 * TRIP_US >= c.mono_us)
                    continue;
                snprintf(key, sizeof key, "%u", (unsigned)(i % KEYS));
                uint8_t name[64] = {0};
                quo_put_u32(name + 2, NS_MIXED);
                memcpy(name + 6, key, strlen(key));
                struct quo_pinned held;
                struct quo_store *store = c.nodes[node].store;
                assert_int_equal(store->ops->get(store, QUO_FAMILY_DATA,
                                                 quo_slice(name, 6 + strlen(key)), &held),
                                 QUO_OK);
                struct quo_record record;
                assert_int_equal(quo_record_decode(held.bytes, &record), QUO_OK);
                assert_true(quo_version_compare(record.version, version_of(i + 1)) >= 0);
                store->ops->release(store, &held);
            }
        }
        cluster_stop(&c);
    }
    assert_true(proven > 1000);
}

static void only_a_proper_question_is_answered(void **state)
{
    (void)state;
    struct cluster c;
    prepare(&c, 4);
    links_set(&c, true);
    cluster_run(&c, SECOND_US);
    struct quo_entry other = c.map->entries[0];
    other.epoch++;
    ask_fresh(&c, 0, 0, NS_MIXED, &other);
    assert_int_equal(c.freshness.status, QUO_BUSY);
    assert_int_equal(c.freshness.age_ms, UINT32_MAX);
    ask_fresh(&c, 0, PARTITIONS, NS_MIXED, &c.map->entries[0]);
    assert_int_equal(c.freshness.status, QUO_MALFORMED);
    ask_fresh(&c, 0, 0, 99, &c.map->entries[0]);
    assert_int_equal(c.freshness.status, QUO_BUSY);
    other.replicas[0] = 0;
    ask_fresh(&c, 0, 0, NS_MIXED, &other);
    assert_int_equal(c.freshness.status, QUO_MALFORMED);
    cluster_stop(&c);
}

/* A frame that tells of equality: from nobody, about the future, or under another entry. */
static void hearsay_is_checked(void **state)
{
    (void)state;
    struct cluster c;
    prepare(&c, 5);
    for (int wrong = 0; wrong < 6; wrong++) {
        struct quo_entry entry = c.map->entries[0];
        uint8_t bytes[QUO_ENTRY_SIZE_MAX];
        entry.epoch += wrong == 1;
        quo_entry_encode(&entry, bytes);
        struct quo_msg_equal message = {
            .partition = wrong == 2 ? PARTITIONS : 0,
            .entry = quo_slice(bytes, quo_entry_size(&entry) - (wrong == 3)),
            .replica = wrong == 4 ? STRANGER : SELF,
            .since_us = wrong == 0 ? c.mono_us + SECOND_US : c.mono_us,
        };
        struct packet *packet = packet_new(&c, quo_msg_equal_size(&message));
        quo_msg_equal_encode(&message, packet->body);
        client_send(&c, 2, QUO_MESSAGE_EQUAL, packet);
        cluster_run(&c, 5 * TRIP_US);
        assert_int_equal(age_of(&c, 2, 0, NS_MIXED) == UINT32_MAX, wrong < 5);
    }
    cluster_stop(&c);
}

static void debt_rises_and_falls(void **state)
{
    (void)state;
    struct cluster c;
    prepare(&c, 6);
    for (uint32_t i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", (unsigned)i);
        client_put(&c, 0, (uint16_t)(i % PARTITIONS), NS_MIXED, key, i + 1, quo_slice_of("v"));
    }
    cluster_run(&c, SECOND_US);
    const struct quo_msg_debts *debts = debts_of(&c, 0, node_wall_ms(&c.nodes[0].env) - 250);
    assert_int_equal(debts->status, QUO_OK);
    assert_in_range((int64_t)debts->ahead_ms, 249, 252);
    assert_int_equal(debts->pairs, 2 * PARTITIONS);
    assert_int_equal(debts->differing, 0); /* nobody has looked */
    assert_in_range(debts->unequal_ms, 1000, 1100);
    assert_int_equal(debts->round_ms, QUO_EXCHANGE_EVERY_MS);
    assert_int_equal(debts->trees, 0);
    assert_int_equal(debts->hints.len, 0);
    assert_int_equal(debts_of(&c, 2, 0)->pairs, 0);
    links_set(&c, true);
    uint32_t most = 0;
    for (int i = 0; i < 400; i++) {
        cluster_run(&c, 10000);
        most = QUO_MAX(most, debts_of(&c, 0, 0)->differing);
        assert_int_equal(quo_server_differing(c.nodes[0].server), c.debts.differing);
    }
    assert_true(most > 0);
    cluster_run(&c, 10 * SECOND_US);
    assert_int_equal(debts_of(&c, 0, 0)->differing, 0);
    assert_in_range(c.debts.unequal_ms, 0, 15000);
    assert_true(all_equal(&c));
    cluster_stop(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_fresh_after_a_round_whoever_asks_whom),
        cmocka_unit_test(freshness_takes_a_read_quorum_of_one_epoch),
        cmocka_unit_test(nobody_is_ever_fresher_than_it_says),
        cmocka_unit_test(only_a_proper_question_is_answered),
        cmocka_unit_test(hearsay_is_checked),
        cmocka_unit_test(debt_rises_and_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
