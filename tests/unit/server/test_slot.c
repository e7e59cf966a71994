/* Additions to the slots of counters: how they are told apart, put on disk and answered. */
#include "quorate/collection.h"
#include "quorate/slot.h"
#include "tests/unit/server/harness.h"

#define NS_COUNTERS quo_collection_ns(NS_CRDT, QUO_COLLECTION_COUNTER)

/* An addition; `key` names it if it is not 0. */
struct addition {
    int64_t by;
    uint64_t key;
    uint32_t ns;
    uint8_t kind;
    const char *prefix; /* NULL: of the counter "hits" */
    size_t prefix_len;
};

static uint64_t send_addition(struct harness *h, const struct addition *addition)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX], body[QUO_KEY_MAX + 512];
    quo_entry_encode(&h->entry, entry);
    struct quo_msg_slot message = {
        .partition = h->partition,
        .ns = addition->ns,
        .kind = addition->kind,
        .entry = quo_slice(entry, quo_entry_size(&h->entry)),
        .by = (uint64_t)addition->by,
        .opid_high = addition->key != 0 ? UINT64_C(1) << 63 : 0,
        .opid_low = addition->key,
        .since = h->wall_ms << 16,
        .digest = (uint64_t)addition->by,
        .key = addition->prefix != NULL ? quo_slice(addition->prefix, addition->prefix_len)
                                        : quo_slice("\0\4hits", 6),
    };
    quo_msg_slot_encode(&message, body);
    send_frame(h, QUO_MESSAGE_SLOT, body, quo_msg_slot_size(&message));
    return h->last_id;
}

static uint64_t add_keyed(struct harness *h, int64_t by, uint64_t key)
{
    return send_addition(
        h, &(struct addition){.by = by, .key = key, .ns = NS_COUNTERS, .kind = QUO_KIND_CRDT});
}
static uint64_t add(struct harness *h, int64_t by)
{
    return add_keyed(h, by, 0);
}

/* What the record of a reply adds up to. */
static int64_t value_of(struct quo_slice bytes)
{
    struct quo_record record;
    struct quo_slot slot;
    assert_int_equal(quo_record_decode(bytes, &record), QUO_OK);
    assert_int_equal(record.flags, QUO_RECORD_BLIND);
    assert_int_equal(quo_slot_decode(record.value, &slot), QUO_OK);
    return quo_slot_value(&slot);
}

static void expect_added(const struct harness *h, uint64_t id, int64_t value, uint8_t found)
{
    const struct quo_msg_reply *reply = expect(h, id, QUO_OK);
    struct quo_record record;
    assert_int_equal(reply->flags, QUO_REPLY_DURABLE | QUO_REPLY_VALUE | found);
    assert_int_equal(value_of(reply->record), value);
    assert_int_equal(quo_record_decode(reply->record, &record), QUO_OK);
    assert_true(quo_version_equal(record.version, reply->version));
    assert_int_equal(reply->version.node, SELF);
}

/* The slot's key: the counter's name and who writes it. */
static struct quo_slice slot_key(uint64_t replica)
{
    static uint8_t key[6 + QUO_SLOT_KEY_SUFFIX];
    memcpy(key, "\0\4hits", 6);
    quo_put_u64(key + 6, replica);
    return quo_slice(key, sizeof key);
}

static uint64_t query_slot(struct harness *h, uint64_t replica)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX], body[QUO_KEY_MAX + 256];
    quo_entry_encode(&h->entry, entry);
    struct quo_msg_query message = {
        .partition = h->partition,
        .ns = NS_COUNTERS,
        .kind = QUO_KIND_CRDT,
        .entry = quo_slice(entry, quo_entry_size(&h->entry)),
        .value_max = QUO_RECORD_MAX,
        .key = slot_key(replica),
    };
    quo_msg_query_encode(&message, body);
    send_frame(h, QUO_MESSAGE_QUERY, body, quo_msg_query_size(&message));
    return h->last_id;
}

static void test_answers_when_on_disk(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t id = add(&h, 5);
    assert_false(answered(&h, id));
    settle(&h);
    expect_added(&h, id, 5, 0);
    uint64_t shown = query_slot(&h, SELF);
    assert_int_equal(value_of(expect(&h, shown, QUO_OK)->record), 5);
    id = add(&h, -7);
    settle(&h);
    expect_added(&h, id, -2, 0);
    assert_int_equal(STAT(&h, additions), 2);
    harness_stop(&h);
}

/* Those that come while a commit is under way add to each other, and none of them waits for the
 * others' answers. */
static void test_many_in_a_group(void **state)
{
    (void)state;
    struct harness h;
    uint64_t ids[100];
    harness_start(&h);
    for (int i = 0; i < 100; i++) {
        ids[i] = add(&h, i);
        if (i % 10 == 0)
            turn(&h);
    }
    settle(&h);
    for (int i = 0, sum = 0; i < 100; i++) {
        sum += i;
        expect_added(&h, ids[i], sum, 0);
    }
    assert_int_equal(reply_to(&h, ids[99])->version.hlc, (h.wall_ms << 16) + 99);
    harness_stop(&h);
}

static void test_finds_itself(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t first = add_keyed(&h, 5, 1), again = add_keyed(&h, 5, 1), other = add_keyed(&h, 6, 1);
    assert_false(answered(&h, again));
    assert_false(answered(&h, other));
    settle(&h);
    expect_added(&h, first, 5, 0);
    expect_added(&h, again, 5, QUO_REPLY_FOUND);
    expect(&h, other, QUO_KEY_REUSED);
    again = add_keyed(&h, 5, 1);
    assert_true(answered(&h, again));
    expect_added(&h, again, 5, QUO_REPLY_FOUND);
    /* It shows what was added since, too. */
    add(&h, 10);
    again = add_keyed(&h, 5, 1);
    settle(&h);
    expect_added(&h, again, 15, QUO_REPLY_FOUND);
    harness_stop(&h);
}

/* The record that it would show is with a group that is gone before the epoch is on disk. */
/* The answer to who came again takes the record that all of them waited for. */
static void test_those_that_wait_for_one_load_add_to_each_other(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    add_keyed(&h, 5, 1);
    settle(&h);
    quo_store_memory_faults(h.store)->get_would_block = true;
    uint64_t again = add_keyed(&h, 5, 1), next = add(&h, 10), last = add_keyed(&h, 5, 1);
    assert_false(answered(&h, again));
    settle(&h);
    expect_added(&h, again, 5, QUO_REPLY_FOUND);
    expect_added(&h, next, 15, 0);
    expect_added(&h, last, 15, QUO_REPLY_FOUND);
    harness_stop(&h);
}

/* Whatever comes again, waits for the disk or shares a commit: each key counts once. */
static void test_random_additions_add_up(void **state)
{
    enum { SEEDS = 200, STEPS = 120 };

    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        struct harness h;
        int64_t by[STEPS], sum = 0;
        uint64_t keys = 0, id = 0;
        harness_start(&h);
        srandom(seed);
        for (int step = 0; step < STEPS; step++) {
            switch (random() % 6) {
            case 0:
                sum += step;
                id = add(&h, step);
                break;
            case 1:
                by[keys++] = step;
                sum += step;
                id = add_keyed(&h, step, keys);
                break;
            case 2:
            case 3:
                if (keys > 0) {
                    const uint64_t key = 1 + (uint64_t)random() % keys;
                    id = add_keyed(&h, by[key - 1], key);
                }
                break;
            case 4:
                quo_store_memory_faults(h.store)->get_would_block = random() % 2 != 0;
                break;
            default:
                turn(&h);
            }
        }
        settle(&h);
        id = add(&h, 0);
        settle(&h);
        if (value_of(expect(&h, id, QUO_OK)->record) != sum)
            fail_msg("seed %u: %lld instead of %lld", seed,
                     (long long)value_of(reply_to(&h, id)->record), (long long)sum);
        harness_stop(&h);
    }
}

static void test_finds_itself_in_a_newer_epoch(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t first = add_keyed(&h, 5, 1);
    quo_server_end_turn(h.server);
    h.entry = entry_of(2, SELF, SECOND, THIRD);
    uint64_t again = add_keyed(&h, 5, 1), other = add(&h, 1);
    run_tasks(&h);
    assert_true(answered(&h, first));
    assert_false(answered(&h, again));
    settle(&h);
    expect_added(&h, first, 5, 0);
    expect_added(&h, again, 6, QUO_REPLY_FOUND);
    expect_added(&h, other, 6, 0);
    harness_stop(&h);
}

/* What a lost group was to bring is not there for those that stood on it either. */
static void test_lost_with_its_group(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t first = add_keyed(&h, 5, 1);
    settle(&h);
    expect_added(&h, first, 5, 0);
    *quo_store_memory_faults(h.store) =
        (struct quo_store_faults){.commit_in = 1, .commit_status = QUO_DISK_FULL};
    uint64_t second = add_keyed(&h, 6, 2), again = add_keyed(&h, 6, 2),
             reused = add_keyed(&h, 9, 2);
    settle(&h);
    expect(&h, second, QUO_DISK_FULL);
    expect(&h, again, QUO_DISK_FULL);
    expect(&h, reused, QUO_DISK_FULL);
    h.mono_us += 2000000;
    second = add_keyed(&h, 6, 2);
    settle(&h);
    expect_added(&h, second, 11, 0);
    harness_stop(&h);
}

/* An older copy of our own slot changes nothing; one of another replica is another key. */
static void test_copies(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t id = add(&h, 5);
    settle(&h);
    const struct quo_msg_reply *reply = expect(&h, id, QUO_OK);
    struct quo_msg_store store = {
        .ns = NS_COUNTERS,
        .kind = QUO_KIND_CRDT,
        .flags = QUO_STORE_SYNC | QUO_STORE_WRITEBACK,
        .key = slot_key(SELF),
        .record = reply->record,
    };
    add(&h, 1);
    settle(&h);
    uint64_t stored = send_store(&h, &store);
    settle(&h);
    expect(&h, stored, QUO_SUPERSEDED);
    store.key = slot_key(SECOND);
    stored = send_store(&h, &store);
    settle(&h);
    expect(&h, stored, QUO_OK);
    id = add(&h, 1);
    settle(&h);
    expect_added(&h, id, 7, 0);
    assert_int_equal(value_of(expect(&h, query_slot(&h, SECOND), QUO_OK)->record), 5);
    harness_stop(&h);
}

/* Our own slot, newer than we knew it, is on its way to disk: its bytes are there only then. */
static void test_meets_a_copy_on_its_way_to_disk(void **state)
{
    (void)state;
    struct harness h;
    struct quo_slot slot = {.added = 100};
    uint8_t value[QUO_SLOT_HEADER], bytes[256];
    harness_start(&h);
    quo_slot_encode(&slot, value);
    size_t len = make_record(bytes, version_of(9), quo_slice(value, sizeof value));
    struct quo_msg_store store = {
        .ns = NS_COUNTERS,
        .kind = QUO_KIND_CRDT,
        .flags = QUO_STORE_SYNC | QUO_STORE_WRITEBACK,
        .key = slot_key(SELF),
        .record = quo_slice(bytes, len),
    };
    send_store(&h, &store);
    uint64_t id = add(&h, 1), next = add(&h, 1);
    settle(&h);
    expect_added(&h, id, 101, 0);
    expect_added(&h, next, 102, 0);
    harness_stop(&h);
}

static void test_survives_a_restart(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    add_keyed(&h, 5, 1);
    settle(&h);
    quo_server_free(h.server);
    harness_open(&h);
    uint64_t again = add_keyed(&h, 5, 1), more = add(&h, 1);
    settle(&h);
    expect_added(&h, again, 5, QUO_REPLY_FOUND);
    expect_added(&h, more, 6, 0);
    harness_stop(&h);
}

static void test_remembers_more_than_a_client_may_write(void **state)
{
    (void)state;
    struct harness h;
    harness_prepare(&h);
    for (uint32_t i = 0; i < h.map->namespace_count; i++) {
        h.map->namespaces[i].value_max = 10;
        h.map->namespaces[i].retention_s = 600;
    }
    harness_open(&h);
    uint64_t id = 0;
    for (uint64_t i = 1; i <= QUO_RING_KEYED_MAX; i++)
        id = add_keyed(&h, 1, i);
    uint64_t refused = add_keyed(&h, 1, QUO_RING_KEYED_MAX + 1);
    settle(&h);
    expect_added(&h, id, QUO_RING_KEYED_MAX, 0);
    expect(&h, refused, QUO_RING_FULL);
    struct quo_msg_store store = {
        .ns = NS_COUNTERS,
        .kind = QUO_KIND_CRDT,
        .flags = QUO_STORE_SYNC | QUO_STORE_WRITEBACK,
        .key = slot_key(SECOND),
        .record = reply_to(&h, id)->record,
    };
    uint64_t stored = send_store(&h, &store);
    settle(&h);
    expect(&h, stored, QUO_OK);
    harness_stop(&h);
}

static void test_bounds(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    uint64_t most = add(&h, INT64_MAX), one = add(&h, 1), less = add(&h, -1);
    settle(&h);
    expect_added(&h, most, INT64_MAX, 0);
    expect(&h, one, QUO_OUT_OF_BOUNDS);
    expect_added(&h, less, INT64_MAX - 1, 0);
    harness_stop(&h);
}

static void expect_refused(struct harness *h, const struct addition *addition,
                           enum quo_status status)
{
    uint64_t id = send_addition(h, addition);
    settle(h);
    expect(h, id, status);
}

static void test_refusals(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    const struct addition good = {.by = 1, .ns = NS_COUNTERS, .kind = QUO_KIND_CRDT};
    struct addition bad = good;
    static char longest[3 + QUO_COLLECTION_NAME_MAX] = {4, 1};
    bad.ns = NS_CRDT;
    expect_refused(&h, &bad, QUO_MALFORMED);
    bad.ns = quo_collection_ns(NS_CRDT, QUO_COLLECTION_SET);
    expect_refused(&h, &bad, QUO_MALFORMED);
    bad.ns = quo_collection_ns(NS_CAS, QUO_COLLECTION_COUNTER);
    bad.kind = QUO_KIND_CAS;
    expect_refused(&h, &bad, QUO_BAD_KIND);
    bad = good;
    bad.kind = QUO_KIND_MIXED;
    expect_refused(&h, &bad, QUO_BAD_KIND);
    bad = good;
    bad.prefix = "\0\4hit";
    bad.prefix_len = 5;
    expect_refused(&h, &bad, QUO_MALFORMED);
    bad.prefix = "\0\0";
    bad.prefix_len = 2;
    expect_refused(&h, &bad, QUO_MALFORMED);
    bad.prefix = longest;
    bad.prefix_len = sizeof longest;
    expect_refused(&h, &bad, QUO_MALFORMED);
    h.entry = entry_of(2, SECOND, THIRD, STRANGER);
    expect_refused(&h, &good, QUO_WRONG_CLUSTER);
    harness_stop(&h);
}

/* Who joins may have had a slot once, and does not know yet what is in it. */
static void test_not_while_joining(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    const struct addition good = {.by = 1, .ns = NS_COUNTERS, .kind = QUO_KIND_CRDT};
    h.entry = (struct quo_entry){.epoch = 3,
                                 .state = QUO_ENTRY_JOINT,
                                 .n = 2,
                                 .n_next = 2,
                                 .replicas = {SECOND, THIRD},
                                 .next = {SELF, SECOND}};
    expect_refused(&h, &good, QUO_NOT_REPLICA);
    h.entry = entry_of(4, SECOND, THIRD, SELF);
    expect_refused(&h, &good, QUO_WRONG_CLUSTER);
    h.entry = (struct quo_entry){
        .epoch = 4, .state = QUO_ENTRY_NORMAL, .n = 2, .replicas = {SELF, SECOND}};
    expect_refused(&h, &good, QUO_OK);
    harness_stop(&h);
}

static void test_a_clock_ahead(void **state)
{
    (void)state;
    struct harness h;
    harness_start(&h);
    h.wall_ms += QUO_SKEW_MAX_MS + 1;
    const struct addition good = {.by = 1, .ns = NS_COUNTERS, .kind = QUO_KIND_CRDT};
    uint64_t real = h.wall_ms;
    uint64_t id = send_addition(&h, &good);
    settle(&h);
    expect_added(&h, id, 1, 0);
    /* The asker's clock is as far ahead of ours as ours was moved. */
    h.wall_ms = real - QUO_SKEW_MAX_MS - 1;
    uint8_t entry[QUO_ENTRY_SIZE_MAX], body[512];
    quo_entry_encode(&h.entry, entry);
    struct quo_msg_slot message = {
        .partition = h.partition,
        .ns = NS_COUNTERS,
        .kind = QUO_KIND_CRDT,
        .entry = quo_slice(entry, quo_entry_size(&h.entry)),
        .by = 1,
        .since = real << 16,
        .key = quo_slice("\0\4hits", 6),
    };
    quo_msg_slot_encode(&message, body);
    send_frame(&h, QUO_MESSAGE_SLOT, body, quo_msg_slot_size(&message));
    settle(&h);
    expect(&h, h.last_id, QUO_SKEW);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_when_on_disk),
        cmocka_unit_test(test_many_in_a_group),
        cmocka_unit_test(test_finds_itself),
        cmocka_unit_test(test_those_that_wait_for_one_load_add_to_each_other),
        cmocka_unit_test(test_random_additions_add_up),
        cmocka_unit_test(test_finds_itself_in_a_newer_epoch),
        cmocka_unit_test(test_lost_with_its_group),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_meets_a_copy_on_its_way_to_disk),
        cmocka_unit_test(test_survives_a_restart),
        cmocka_unit_test(test_remembers_more_than_a_client_may_write),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_not_while_joining),
        cmocka_unit_test(test_a_clock_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
