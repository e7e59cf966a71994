/* SCAN on a node: what it shows, in which pages, and when it refuses. */
#include <stdio.h>

#include "quorate/collection.h"
#include "quorate/scan.h"
#include "storage-node/server/internal.h"
#include "tests/unit/server/harness.h"

static struct harness h;

/* The last SCANNED that was sent. */
static struct {
    uint64_t id;
    int count;
    uint8_t *body;
    struct quo_msg_scanned page;
} got;

static void seal(struct quo_transport *transport, uint64_t peer, uint8_t type, uint64_t id)
{
    if (type != QUO_MESSAGE_SCANNED) {
        harness_seal(transport, peer, type, id);
        return;
    }
    free(got.body);
    got.body = h.reserved;
    got.id = id;
    got.count++;
    h.reserved = NULL;
    assert_int_equal(peer, 77);
    assert_int_equal(quo_msg_scanned_decode(quo_slice(got.body, h.reserved_len), &got.page),
                     QUO_OK);
}
static const struct quo_transport_ops ops = {harness_reserve, seal};

static int setup(void **state)
{
    (void)state;
    memset(&got, 0, sizeof got);
    harness_prepare(&h);
    h.transport.ops = &ops;
    harness_open(&h);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    harness_stop(&h);
    free(got.body);
    return 0;
}

static struct quo_msg_scan scan_of(uint32_t ns, const char *prefix)
{
    return (struct quo_msg_scan){
        .partition = h.partition,
        .ns = ns,
        .kind = kind_of(quo_collection_base(ns)),
        .value_max = 1000,
        .count_max = 100,
        .prefix = quo_slice_of(prefix),
    };
}

static uint64_t send(struct quo_msg_scan message)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    quo_entry_encode(&h.entry, entry);
    message.entry = quo_slice(entry, quo_entry_size(&h.entry));
    size_t len = quo_msg_scan_size(&message);
    uint8_t *body = malloc(len);
    quo_msg_scan_encode(&message, body);
    send_frame(&h, QUO_MESSAGE_SCAN, body, len);
    free(body);
    return h.last_id;
}

/* Its answer is a page that a proxy would take. */
static void scan(struct quo_msg_scan message)
{
    int before = got.count;
    uint64_t id = send(message);
    settle(&h);
    assert_int_equal(got.count, before + 1);
    assert_int_equal(got.id, id);
    assert_int_equal(got.page.now_ms, h.wall_ms);
    assert_true(quo_scan_items_check(got.page.items, message.prefix, message.after));
}

/* The keys of the page, each with what is shown of it. */
static const char *shown(void)
{
    static char text[1024];
    struct quo_scan_item item;
    size_t at = 0, len = 0;

    text[0] = 0;
    while (quo_scan_item_next(got.page.items, &at, &item))
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s%s:%u%s ", (int)item.key.len,
                                (const char *)item.key.data,
                                (item.flags & QUO_RECORD_TOMBSTONE) != 0 ? "x" : "",
                                (unsigned)item.value_len, item.record.len > 0 ? "!" : "");
    return text;
}

static void put_some(uint32_t ns, const char *keys)
{
    uint64_t n = 1;
    for (; *keys != 0; keys++, n++) {
        const char key[] = {*keys, 0};
        put_value(&h, ns, key, n, QUO_STORE_SYNC, quo_slice_of("value"));
    }
    settle(&h);
}

static void shows_keys_in_order(void **state)
{
    (void)state;
    put_some(NS_LWW, "cab");
    put_some(NS_CRDT, "d");
    scan(scan_of(NS_LWW, ""));
    assert_string_equal(shown(), "a:5! b:5! c:5! ");
    assert_int_equal(got.page.more, 0);
    struct quo_scan_item item;
    size_t at = 0;
    quo_scan_item_next(got.page.items, &at, &item);
    assert_int_equal(item.version.hlc, HLC(2));
    assert_int_equal(STAT(&h, scans), 1);
    assert_int_equal(STAT(&h, scanned), 3);
}

static void other_partitions_and_namespaces_are_apart(void **state)
{
    (void)state;
    put_some(NS_LWW, "a");
    h.partition++;
    put_some(NS_LWW, "b");
    scan(scan_of(NS_LWW, ""));
    assert_string_equal(shown(), "b:5! ");
    scan(scan_of(NS_MIXED, ""));
    assert_string_equal(shown(), "");
    h.partition -= 2;
    scan(scan_of(NS_LWW, ""));
    assert_string_equal(shown(), "");
}

static void collections_have_keys_of_their_own(void **state)
{
    (void)state;
    const uint32_t set = quo_collection_ns(NS_CRDT, QUO_COLLECTION_SET);
    uint8_t record[QUO_RECORD_OVERHEAD_MAX];
    size_t len = make_record(record, (struct quo_version){HLC(1), 7}, quo_slice_of("x"));
    struct quo_msg_store message = {.ns = set,
                                    .kind = QUO_KIND_CRDT,
                                    .flags = QUO_STORE_SYNC,
                                    .key = quo_slice_of("in the set"),
                                    .record = quo_slice(record, len)};
    send_store(&h, &message);
    put_some(NS_CRDT, "p");
    scan(scan_of(set, ""));
    assert_string_equal(shown(), "in the set:1! ");
    scan(scan_of(NS_CRDT, ""));
    assert_string_equal(shown(), "p:5! ");
    /* A namespace of another kind has no sets. */
    struct quo_msg_scan none = scan_of(quo_collection_ns(NS_LWW, QUO_COLLECTION_SET), "");
    uint64_t id = send(none);
    settle(&h);
    expect(&h, id, QUO_BAD_KIND);
}

static void prefix_and_after_bound_it(void **state)
{
    (void)state;
    const char *keys[] = {"a", "b", "ba", "bb", "b\xff", "b\xff\xff", "c", "\xff", "\xff\xff"};
    for (size_t i = 0; i < QUO_COUNT(keys); i++)
        put(&h, keys[i], 1, QUO_STORE_SYNC);
    settle(&h);
    scan(scan_of(NS_LWW, "b"));
    assert_string_equal(shown(), "b:8! ba:8! bb:8! b\xff:8! b\xff\xff:8! ");
    scan(scan_of(NS_LWW, "b\xff"));
    assert_string_equal(shown(), "b\xff:8! b\xff\xff:8! ");
    scan(scan_of(NS_LWW, "\xff"));
    assert_string_equal(shown(), "\xff:8! \xff\xff:8! ");
    struct quo_msg_scan message = scan_of(NS_LWW, "b");
    message.after = quo_slice_of("ba");
    scan(message);
    assert_string_equal(shown(), "bb:8! b\xff:8! b\xff\xff:8! ");
    message.after = quo_slice_of("b");
    message.count_max = 1;
    scan(message);
    assert_string_equal(shown(), "ba:8! ");
    assert_int_equal(got.page.more, 1);
}

static void pages_meet_without_a_gap(void **state)
{
    (void)state;
    put_some(NS_LWW, "gfedcba");
    struct quo_msg_scan message = scan_of(NS_LWW, "");
    char all[64] = "", after[2] = "";
    size_t len = 0;
    message.count_max = 3;
    do {
        struct quo_scan_item item;
        size_t at = 0;
        scan(message);
        while (quo_scan_item_next(got.page.items, &at, &item)) {
            all[len++] = after[0] = (char)item.key.data[0];
        }
        message.after = quo_slice_of(after);
    } while (got.page.more);
    assert_string_equal(all, "abcdefg");
    assert_int_equal(got.count, 3);
}

static void long_records_show_all_but_themselves(void **state)
{
    (void)state;
    static uint8_t value[90000];
    put_some(NS_CRDT, "a");
    put_value(&h, NS_CRDT, "b", 2, QUO_STORE_SYNC, quo_slice(value, sizeof value));
    settle(&h);
    scan(scan_of(NS_CRDT, ""));
    assert_string_equal(shown(), "a:5! b:90000 ");
    struct quo_msg_scan message = scan_of(NS_CRDT, "");
    message.value_max = 0;
    scan(message);
    assert_string_equal(shown(), "a:5 b:90000 ");
    message.value_max = UINT32_MAX;
    scan(message);
    assert_string_equal(shown(), "a:5! b:90000! ");
}

static void frames_have_an_end(void **state)
{
    (void)state;
    static uint8_t value[90000];
    char key[16];
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "%02d", i);
        put_value(&h, NS_CRDT, key, 1, QUO_STORE_SYNC, quo_slice(value, sizeof value));
    }
    settle(&h);
    struct quo_msg_scan message = scan_of(NS_CRDT, "");
    message.value_max = UINT32_MAX;
    scan(message);
    assert_int_equal(got.page.more, 1);
    assert_true(got.page.items.len <= QUO_SCAN_BYTES_MAX);
    struct quo_scan_item item;
    size_t at = 0, count = 0;
    while (quo_scan_item_next(got.page.items, &at, &item)) {
        assert_true(item.record.len > 0);
        count++;
    }
    assert_int_equal(count, QUO_SCAN_BYTES_MAX / 90100);
}

static void a_record_longer_than_a_frame_is_not_shown(void **state)
{
    (void)state;
    uint8_t *value = calloc(1, QUO_SCAN_BYTES_MAX);
    for (uint32_t i = 0; i < h.map->namespace_count; i++)
        h.map->namespaces[i].value_max = QUO_VALUE_MAX;
    quo_server_free(h.server);
    harness_open(&h);
    /* One that fits by itself, but not with its key and version. */
    put_value(&h, NS_CRDT, "a", 1, QUO_STORE_SYNC, quo_slice(value, QUO_SCAN_BYTES_MAX - 20));
    put_value(&h, NS_CRDT, "b", 1, QUO_STORE_SYNC, quo_slice(value, QUO_SCAN_BYTES_MAX));
    put_value(&h, NS_CRDT, "c", 1, QUO_STORE_SYNC, quo_slice(value, 1));
    settle(&h);
    struct quo_msg_scan message = scan_of(NS_CRDT, "");
    message.value_max = UINT32_MAX;
    scan(message);
    assert_string_equal(shown(), "a:1048556 ");
    message.after = quo_slice_of("a");
    scan(message);
    assert_string_equal(shown(), "b:1048576 ");
    message.after = quo_slice_of("b");
    scan(message);
    assert_string_equal(shown(), "c:1! ");
    assert_int_equal(got.page.more, 0);
    free(value);
}

static void consensus_records_tell_their_etag_and_size(void **state)
{
    (void)state;
    struct quo_record record = {.version = version_of(9),
                                .changed = version_of(4),
                                .hist_from = version_of(2),
                                .content_type = quo_slice_of("text/plain"),
                                .value = quo_slice_of("money")};
    uint8_t bytes[256];
    quo_record_encode(&record, bytes);
    struct quo_msg_acc message = {.ns = NS_CAS,
                                  .kind = QUO_KIND_CAS,
                                  .key = quo_slice_of("k"),
                                  .record = quo_slice(bytes, quo_record_size(&record))};
    send_acc(&h, &message);
    settle(&h);
    struct quo_msg_scan asked = scan_of(NS_CAS, "");
    asked.value_max = 0;
    scan(asked);
    struct quo_scan_item item;
    size_t at = 0;
    assert_true(quo_scan_item_next(got.page.items, &at, &item));
    assert_true(quo_version_equal(item.version, record.version));
    assert_true(quo_version_equal(item.changed, record.changed));
    assert_int_equal(item.value_len, 5);
}

static void tombstones_are_shown(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct quo_record record = {.flags = QUO_RECORD_BLIND | QUO_RECORD_TOMBSTONE,
                                .version = version_of(5)};
    quo_record_encode(&record, bytes);
    struct quo_msg_store message = {.ns = NS_LWW,
                                    .kind = QUO_KIND_LWW,
                                    .flags = QUO_STORE_SYNC,
                                    .key = quo_slice_of("gone"),
                                    .record = quo_slice(bytes, quo_record_size(&record))};
    send_store(&h, &message);
    settle(&h);
    scan(scan_of(NS_LWW, ""));
    assert_string_equal(shown(), "gonex:0! ");
}

static void what_is_not_on_disk_is_not_shown(void **state)
{
    (void)state;
    put_some(NS_LWW, "a");
    put(&h, "b", 9, 0);
    int before = got.count;
    send(scan_of(NS_LWW, ""));
    run_tasks(&h); /* the range, but no turn's end: nothing is committed */
    assert_int_equal(got.count, before + 1);
    assert_string_equal(shown(), "a:5! ");
    settle(&h);
    scan(scan_of(NS_LWW, ""));
    assert_string_equal(shown(), "a:5! b:8! ");
}

/* What is sealed after the read was begun may have come after it, too. */
static void sealed_is_what_was_so_before_it_read(void **state)
{
    (void)state;
    put_some(NS_LWW, "a");
    struct quo_version *sealed = &h.server->partitions[h.partition].floors.sealed;
    *sealed = version_of(5);
    send(scan_of(NS_LWW, ""));
    *sealed = version_of(9);
    settle(&h);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.page.sealed.hlc, HLC(5));
    scan(scan_of(NS_LWW, ""));
    assert_int_equal(got.page.sealed.hlc, HLC(9));
}

static void bad_questions_are_refused(void **state)
{
    (void)state;
    struct quo_msg_scan message = scan_of(NS_LWW, "b");
    message.count_max = 0;
    expect(&h, send(message), QUO_MALFORMED);
    message.count_max = QUO_SCAN_COUNT_MAX + 1;
    expect(&h, send(message), QUO_MALFORMED);
    message.count_max = 1;
    message.after = quo_slice_of("ab"); /* of another prefix */
    expect(&h, send(message), QUO_MALFORMED);
    message.after = quo_slice_of("");
    message.partition = PARTITIONS;
    expect(&h, send(message), QUO_MALFORMED);
    message.partition = h.partition;
    message.ns = 99;
    expect(&h, send(message), QUO_BAD_KIND);
    message.ns = NS_CAS;
    expect(&h, send(message), QUO_BAD_KIND);
    send_frame(&h, QUO_MESSAGE_SCAN, "junk", 4);
    expect(&h, h.last_id, QUO_MALFORMED);
    assert_int_equal(got.count, 0);
}

static void epochs_are_obeyed(void **state)
{
    (void)state;
    put_some(NS_LWW, "a");
    /* A newer one is adopted, and on disk before anything is read. */
    h.entry = entry_of(3, SELF, SECOND, THIRD);
    uint64_t id = send(scan_of(NS_LWW, ""));
    run_tasks(&h);
    assert_int_equal(got.count, 0);
    settle(&h);
    assert_int_equal(got.id, id);
    assert_string_equal(shown(), "a:5! ");
    h.entry = entry_of(1, SELF, SECOND, THIRD);
    const struct quo_msg_reply *reply = expect(&h, send(scan_of(NS_LWW, "")), QUO_WRONG_EPOCH);
    struct quo_entry mine;
    assert_int_equal(quo_entry_decode(reply->entry, &mine), QUO_OK);
    assert_int_equal(mine.epoch, 3);
    h.entry = entry_of(9, SECOND, THIRD, STRANGER);
    id = send(scan_of(NS_LWW, ""));
    settle(&h);
    expect(&h, id, QUO_NOT_REPLICA);
}

static void an_epoch_that_comes_while_it_reads_is_obeyed(void **state)
{
    (void)state;
    put_some(NS_LWW, "a");
    uint64_t id = send(scan_of(NS_LWW, ""));
    h.entry = entry_of(3, SELF, SECOND, THIRD);
    query(&h, "a");
    settle(&h);
    expect(&h, id, QUO_WRONG_EPOCH);
    assert_int_equal(got.count, 0);
}

static void failures_of_the_disk_are_told(void **state)
{
    (void)state;
    put_some(NS_LWW, "a");
    quo_store_memory_faults(h.store)->load_in = 1;
    quo_store_memory_faults(h.store)->load_status = QUO_IO_ERROR;
    uint64_t id = send(scan_of(NS_LWW, ""));
    settle(&h);
    expect(&h, id, QUO_IO_ERROR);
    assert_int_equal(STAT(&h, io_errors), 1);
    quo_store_memory_faults(h.store)->load_in = 1;
    quo_store_memory_faults(h.store)->load_status = QUO_NO_MEMORY;
    id = send(scan_of(NS_LWW, ""));
    settle(&h);
    expect(&h, id, QUO_BUSY);
}

static void only_so_many_read_at_once_and_others_wait(void **state)
{
    (void)state;
    const uint32_t all = QUO_NODE_SCANS_MAX + QUO_NODE_SCANS_WAITING_MAX;

    put_some(NS_LWW, "a");
    for (uint32_t i = 0; i < all; i++)
        send(scan_of(NS_LWW, ""));
    assert_false(quo_server_idle(h.server));
    expect(&h, send(scan_of(NS_LWW, "")), QUO_BUSY);
    settle(&h);
    assert_int_equal(got.count, all);
    assert_true(quo_server_idle(h.server));
    scan(scan_of(NS_LWW, ""));
}

static void an_epoch_that_comes_while_it_waits_is_obeyed(void **state)
{
    uint64_t id = 0;

    (void)state;
    put_some(NS_LWW, "a");
    for (uint32_t i = 0; i <= QUO_NODE_SCANS_MAX; i++)
        id = send(scan_of(NS_LWW, ""));
    h.entry = entry_of(3, SELF, SECOND, THIRD);
    query(&h, "a");
    settle(&h);
    expect(&h, id, QUO_WRONG_EPOCH);
    assert_int_equal(got.count, 0);
}

static void a_node_that_ends_forgets_those_that_wait(void **state)
{
    (void)state;
    put_some(NS_LWW, "a");
    for (uint32_t i = 0; i < QUO_NODE_SCANS_MAX + 10; i++)
        send(scan_of(NS_LWW, ""));
}

static void an_outbox_that_is_full_loses_the_answer(void **state)
{
    (void)state;
    put_some(NS_LWW, "a");
    send(scan_of(NS_LWW, ""));
    h.refuse = QUO_BUSY;
    settle(&h);
    assert_int_equal(got.count, 0);
    assert_int_equal(STAT(&h, dropped), 1);
    h.refuse = QUO_OK;
}

static void draining_nodes_still_show(void **state)
{
    (void)state;
    put_some(NS_LWW, "a");
    quo_server_drain(h.server);
    scan(scan_of(NS_LWW, ""));
    assert_string_equal(shown(), "a:5! ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shows_keys_in_order),
        TEST(other_partitions_and_namespaces_are_apart),
        TEST(collections_have_keys_of_their_own),
        TEST(prefix_and_after_bound_it),
        TEST(pages_meet_without_a_gap),
        TEST(long_records_show_all_but_themselves),
        TEST(frames_have_an_end),
        TEST(a_record_longer_than_a_frame_is_not_shown),
        TEST(consensus_records_tell_their_etag_and_size),
        TEST(tombstones_are_shown),
        TEST(what_is_not_on_disk_is_not_shown),
        TEST(sealed_is_what_was_so_before_it_read),
        TEST(bad_questions_are_refused),
        TEST(epochs_are_obeyed),
        TEST(an_epoch_that_comes_while_it_reads_is_obeyed),
        TEST(failures_of_the_disk_are_told),
        TEST(only_so_many_read_at_once_and_others_wait),
        TEST(an_epoch_that_comes_while_it_waits_is_obeyed),
        TEST(a_node_that_ends_forgets_those_that_wait),
        TEST(an_outbox_that_is_full_loses_the_answer),
        TEST(draining_nodes_still_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
