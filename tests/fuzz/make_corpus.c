/* Writes the seeds of the binary fuzzers with the real encoders:  make_corpus tests/fuzz/corpus
 * (the other seeds, among them all of text formats, are written by hand). */
#include <stdio.h>
#include <stdlib.h>

#include "quorate/record.h"
#include "quorate/ring.h"
#include "quorate/rpc.h"
#include "quorate/scan.h"
#include "quorate/slot.h"

static void write_seed(const char *root, const char *name, const uint8_t *bytes, size_t len)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "we");
    if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

/* Every eighth without a key, so that QUO_RING_MAX of them fill the ring. */
static struct quo_slice make_ring(size_t count)
{
    static uint8_t buffers[2][QUO_RING_BYTES_MAX];
    struct quo_ring_past past = {.ring = quo_slice(NULL, 0)};

    for (size_t i = 0; i < count; i++) {
        const struct quo_ring_entry entry = {
            .opid = i % 8 == 0 ? quo_opid_make(i, 5) : quo_opid_of_key(quo_slice(&i, sizeof i)),
            .at = {(1000000 + i) << 16, 5},
            /* Fences without a key are kept like those with one. */
            .code =
                i % 8 == 0 ? QUO_CHANGE_DONE : (enum quo_change_code)(i % QUO_CHANGE_STORED_COUNT),
            .digest = i,
            .result = -(int64_t)i,
        };
        QUO_REQUIRE(quo_ring_append(&past, &entry, 600, buffers[i % 2], &past) == QUO_OK);
    }
    return past.ring;
}

static size_t make_record(uint8_t *out, uint8_t flags, size_t ring_count)
{
    const struct quo_record record = {
        .flags = flags,
        .version = {0x0102030405060708, 9},
        .ttl_ms = 30000,
        .changed = {0x0102030405060707, 9},
        .hist_from = {7, 8},
        .keyed_from = {7, 7},
        .ring = make_ring(ring_count),
        .content_type = quo_slice_of("text/plain"),
        .value = (flags & QUO_RECORD_TOMBSTONE) != 0 ? quo_slice(NULL, 0) : quo_slice_of("hello"),
    };

    quo_record_encode(&record, out);
    return quo_record_size(&record);
}

static void make_records(const char *root)
{
    uint8_t bytes[QUO_RECORD_OVERHEAD_MAX];

    write_seed(root, "record/blind", bytes, make_record(bytes, QUO_RECORD_BLIND, 0));
    write_seed(root, "record/tombstone", bytes, make_record(bytes, QUO_RECORD_TOMBSTONE, 1));
    write_seed(root, "record/expires-blind", bytes,
               make_record(bytes, QUO_RECORD_BLIND | QUO_RECORD_EXPIRES, 0));
    write_seed(root, "record/expires", bytes, make_record(bytes, QUO_RECORD_EXPIRES, 3));
    write_seed(root, "record/no-ring", bytes, make_record(bytes, 0, 0));
    write_seed(root, "record/short-ring", bytes, make_record(bytes, 0, 3));
    write_seed(root, "record/full-ring", bytes, make_record(bytes, 0, QUO_RING_MAX));
}

static size_t make_slot(uint8_t *out, size_t keys)
{
    static uint8_t buffers[2][QUO_RING_BYTES_MAX];
    struct quo_ring_past past = {.keyed_from = QUO_VERSION_NONE};
    for (size_t i = 0; i < keys; i++) {
        const struct quo_ring_entry entry = {
            .opid = quo_opid_of_key(quo_slice(&i, sizeof i)),
            .at = {(UINT64_C(1700000000000) << 16) + i, 7},
            .digest = i,
            .result = (int64_t)i,
        };
        QUO_REQUIRE(quo_ring_append(&past, &entry, 600, buffers[i % 2], &past) == QUO_OK);
    }
    const struct quo_slot slot = {.added = 500, .taken = 7, .ring = past.ring};
    quo_slot_encode(&slot, out);
    return quo_slot_size(&slot);
}

static void make_slots(const char *root)
{
    static uint8_t bytes[QUO_SLOT_VALUE_MAX];

    write_seed(root, "slot/no-keys", bytes, make_slot(bytes, 0));
    write_seed(root, "slot/some-keys", bytes, make_slot(bytes, 3));
    write_seed(root, "slot/full", bytes, make_slot(bytes, QUO_RING_KEYED_MAX));
}

static size_t make_entry(uint8_t *out, uint8_t n, uint8_t n_next)
{
    struct quo_entry entry = {
        .epoch = 4,
        .state = n_next > 0 ? QUO_ENTRY_JOINT : QUO_ENTRY_NORMAL,
        .n = n,
        .n_next = n_next,
    };

    for (uint8_t i = 0; i < QUO_REPLICAS_MAX; i++) {
        entry.replicas[i] = 11u + i;
        entry.next[i] = 12u + i;
    }
    quo_entry_encode(&entry, out);
    return quo_entry_size(&entry);
}

static void make_entries(const char *root)
{
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];

    write_seed(root, "entry/normal", bytes, make_entry(bytes, 3, 0));
    write_seed(root, "entry/joint", bytes, make_entry(bytes, 3, 2));
    write_seed(root, "entry/full", bytes, make_entry(bytes, QUO_REPLICAS_MAX, QUO_REPLICAS_MAX));
}

/* One message of each type; what nothing is said of is zero or empty. */
static struct {
#define QUO_MESSAGE(NAME, name, type) struct quo_msg_##name name;
#include "quorate/messages.def"
} sample;

/* What they are made of. */
static struct {
    struct quo_slice key, entry, record, scan_items;
    struct quo_version version;
} part;

static struct quo_slice make_scan_items(struct quo_slice bytes)
{
    static uint8_t items[QUO_RECORD_OVERHEAD_MAX];
    struct quo_scan_item item;
    struct quo_record record;
    size_t len = 0;

    QUO_REQUIRE(quo_record_decode(bytes, &record) == QUO_OK);
    for (int i = 0; i < 2; i++) {
        quo_scan_item_of(quo_slice_of(i == 0 ? "key" : "kez"), &record, &item);
        item.record = i == 0 ? bytes : quo_slice(NULL, 0);
        quo_scan_item_encode(&item, items + len);
        len += quo_scan_item_size(&item);
    }
    return quo_slice(items, len);
}

static void make_parts(void)
{
    static uint8_t record[QUO_RECORD_OVERHEAD_MAX], entry[QUO_ENTRY_SIZE_MAX];

    part.key = quo_slice_of("key");
    part.entry = quo_slice(entry, make_entry(entry, 3, 0));
    part.record = quo_slice(record, make_record(record, 0, 2));
    part.scan_items = make_scan_items(part.record);
    part.version = (struct quo_version){0x0102030405060708, 9};
}

static void fill_links(void)
{
    sample.hello = (struct quo_msg_hello){1, 1, 0xc1, 0, 4};
    sample.goodbye = (struct quo_msg_goodbye){QUO_WRONG_CLUSTER, quo_slice_of("bye")};
    sample.ping.sent_us = sample.pong.sent_us = 123456;
}

/* Where a request of data goes to. */
#define ADDRESS .partition = 5, .ns = 1, .entry = part.entry, .key = part.key

static void fill_requests(void)
{
    sample.query =
        (struct quo_msg_query){ADDRESS, .kind = QUO_KIND_LWW, .value_max = QUO_INLINE_VALUE_MAX};
    sample.store = (struct quo_msg_store){ADDRESS, .kind = QUO_KIND_LWW, .flags = QUO_STORE_SYNC,
                                          .record = part.record};
    sample.prep =
        (struct quo_msg_prep){ADDRESS, .kind = QUO_KIND_CAS, .ballot = {0x0102030405060709, 9},
                              .value_max = QUO_INLINE_VALUE_MAX};
    sample.acc = (struct quo_msg_acc){ADDRESS, .kind = QUO_KIND_MIXED,
                                      .next = {0x010203040506070a, 9}, .record = part.record};
    sample.hint =
        (struct quo_msg_hint){ADDRESS, .target = 12, .kind = QUO_KIND_LWW, .record = part.record};
    sample.slot = (struct quo_msg_slot){ADDRESS,          .kind = QUO_KIND_CRDT,
                                        .by = UINT64_MAX, .opid_high = 0x8000000000000001,
                                        .opid_low = 2,    .digest = 3};
    sample.scan = (struct quo_msg_scan){.partition = 5,
                                        .ns = 1,
                                        .kind = QUO_KIND_LWW,
                                        .entry = part.entry,
                                        .value_max = QUO_INLINE_VALUE_MAX,
                                        .count_max = 10,
                                        .prefix = quo_slice_of("k"),
                                        .after = part.key};
}

static void fill_requests_of_nodes(void)
{
    static const uint8_t leaves[QUO_LEAF_BITS_MAX] = {[7] = 1};

    sample.tree = (struct quo_msg_tree){
        .partition = 5, .entry = part.entry, .replicas = 3, .level = 2, .branch = 1};
    sample.leaf = (struct quo_msg_leaf){.partition = 5,
                                        .entry = part.entry,
                                        .replicas = 3,
                                        .leaves = quo_slice(leaves, sizeof leaves),
                                        .after = quo_slice_of("abcdefkey")};
    sample.mend = (struct quo_msg_mend){.ns = 1, .key = part.key};
    sample.floor = (struct quo_msg_floor){
        .partition = 5, .entry = part.entry, .namespaces = 77, .stage = 2, .floor = part.version};
    sample.equal = (struct quo_msg_equal){
        .partition = 5, .entry = part.entry, .replica = 11, .since_us = 5000000};
    sample.debt.now_ms = 1000;
    sample.digest = (struct quo_msg_digest){.partition = 5, .entry = part.entry, .replicas = 3};
    sample.fresh = (struct quo_msg_fresh){.partition = 5, .entry = part.entry, .ns = 1};
}

static void fill_answers(void)
{
    static const uint8_t hashes[64 * 8], hints[32];
    static const uint8_t keys[2 + 9 + QUO_VERSION_SIZE + 1] = {0, 9};

    sample.reply = (struct quo_msg_reply){.flags = QUO_REPLY_DURABLE | QUO_REPLY_VALUE,
                                          .version = part.version,
                                          .record_size = (uint32_t)part.record.len,
                                          .record = part.record};
    sample.tree_hashes.hashes = quo_slice(hashes, sizeof hashes);
    sample.leaf_keys.upto = quo_slice_of("abcdefkey");
    sample.leaf_keys.keys = quo_slice(keys, sizeof keys);
    sample.scanned = (struct quo_msg_scanned){
        .more = 1, .sealed = {7, 8}, .now_ms = 1000, .items = part.scan_items};
    sample.debts =
        (struct quo_msg_debts){.pairs = 6, .differing = 1, .hints = quo_slice(hints, sizeof hints)};
    sample.digested = (struct quo_msg_digested){.steady = 1, .records = 2, .bytes = 40, .high = 3};
    sample.freshness =
        (struct quo_msg_freshness){.partition = 5, .ns = 1, .epoch = 4, .age_ms = 250};
}

static void fill_forwards(void)
{
    static const uint8_t tags[2 * QUO_VERSION_SIZE], ids[3 * 8];

    sample.forward = (struct quo_msg_forward){.hops = 1,
                                              .flags = QUO_FORWARD_SENT | QUO_FORWARD_HAS_MAX,
                                              .ns = 1,
                                              .timeout_ms = 900,
                                              .deadline_us = 5000000,
                                              .opid_high = 0x8000000000000001,
                                              .opid_low = 2,
                                              .first = part.version,
                                              .by = UINT64_MAX,
                                              .max = 100,
                                              .ttl_ms = 30000,
                                              .tags = quo_slice(tags, sizeof tags),
                                              .key = part.key,
                                              .content_type = quo_slice_of("text/plain"),
                                              .value = quo_slice_of("hello")};
    sample.forwarded = (struct quo_msg_forwarded){.flags = QUO_FORWARD_STABLE,
                                                  .changed = part.version,
                                                  .n = 3,
                                                  .acks = 2,
                                                  .epoch = 4,
                                                  .version = part.version,
                                                  .answered = quo_slice(ids, sizeof ids),
                                                  .record = part.record};
}

/* The bytes of each with the type before them for the message fuzzer, and as the only frame of a
 * stream. */
static void make_messages(const char *root)
{
    static uint8_t bytes[1 + QUO_FRAME_HEADER + 2 * QUO_RECORD_OVERHEAD_MAX];
    uint8_t *body = bytes + 1 + QUO_FRAME_HEADER;

    make_parts();
    fill_links();
    fill_requests();
    fill_requests_of_nodes();
    fill_answers();
    fill_forwards();

#define QUO_MESSAGE(NAME, name, type)                                                              \
    {                                                                                              \
        size_t size = quo_msg_##name##_size(&sample.name);                                         \
        QUO_REQUIRE(size <= sizeof bytes - 1 - QUO_FRAME_HEADER);                                  \
        quo_msg_##name##_encode(&sample.name, body);                                               \
        body[-1] = (type);                                                                         \
        write_seed(root, "message/" #name, body - 1, size + 1);                                    \
        quo_frame_seal(bytes + 1, (type), 77, size);                                               \
        bytes[0] = 0;                                                                              \
        write_seed(root, "frame/" #name, bytes, 1 + QUO_FRAME_HEADER + size);                      \
    }
#include "quorate/messages.def"
}

/* A page of the keys named, all of one version; lower-case ones are shown. */
static size_t make_page(const char *keys, uint64_t hlc, uint8_t *out)
{
    size_t len = 0;

    for (; *keys != 0; keys++) {
        uint8_t bytes[64];
        struct quo_record record = {.flags = QUO_RECORD_BLIND, .version = {hlc, 1}};
        struct quo_scan_item item;

        record.changed = record.version;
        quo_record_encode(&record, bytes);
        quo_scan_item_of(quo_slice(keys, 1), &record, &item);
        if (*keys >= 'a')
            item.record = quo_slice(bytes, quo_record_size(&record));
        quo_scan_item_encode(&item, out + len);
        len += quo_scan_item_size(&item);
    }
    return len;
}

/* See fuzz_scan.c. */
static void make_scan(const char *root, const char *name, uint8_t more, const char *const keys[3])
{
    uint8_t bytes[4096];
    size_t len = 5;

    bytes[0] = more;
    for (uint32_t i = 0; i < 3; i++) {
        const size_t size = make_page(keys[i], 10 + i, bytes + len);

        if (i < 2)
            quo_put_u16(bytes + 1 + 2 * i, (uint16_t)size);
        len += size;
    }
    write_seed(root, name, bytes, len);
}

static void make_scans(const char *root)
{
    make_scan(root, "scan/equal", 0, (const char *const[]){"abc", "abc", "abc"});
    make_scan(root, "scan/gaps", 0, (const char *const[]){"ac", "b", ""});
    make_scan(root, "scan/short", 3, (const char *const[]){"ab", "abcd", "cde"});
    make_scan(root, "scan/hidden", 4, (const char *const[]){"ABc", "ABC", "AB"});
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    make_records(argv[1]);
    make_slots(argv[1]);
    make_entries(argv[1]);
    make_messages(argv[1]);
    make_scans(argv[1]);
    return 0;
}
