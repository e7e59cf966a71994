/* Writes the seeds of the binary fuzzers with the real encoders:  make_corpus tests/fuzz/corpus
 * (the other seeds, among them all of text formats, are written by hand). */
#include <stdio.h>
#include <stdlib.h>

#include "quorate/record.h"
#include "quorate/ring.h"
#include "quorate/rpc.h"

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
            .code = (enum quo_change_code)(i % QUO_CHANGE_STORED_COUNT),
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
    write_seed(root, "record/no-ring", bytes, make_record(bytes, 0, 0));
    write_seed(root, "record/short-ring", bytes, make_record(bytes, 0, 3));
    write_seed(root, "record/full-ring", bytes, make_record(bytes, 0, QUO_RING_MAX));
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

static struct quo_msg_forward make_forward(void)
{
    static const uint8_t tags[2 * QUO_VERSION_SIZE];

    return (struct quo_msg_forward){.hops = 1,
                                    .flags = QUO_FORWARD_SENT | QUO_FORWARD_HAS_MAX,
                                    .ns = 1,
                                    .timeout_ms = 900,
                                    .deadline_us = 5000000,
                                    .opid_high = 0x8000000000000001,
                                    .opid_low = 2,
                                    .first = {0x0102030405060708, 9},
                                    .by = UINT64_MAX,
                                    .max = 100,
                                    .tags = quo_slice(tags, sizeof tags),
                                    .key = quo_slice_of("key"),
                                    .content_type = quo_slice_of("text/plain"),
                                    .value = quo_slice_of("hello")};
}

/* One message of each type: its bytes with the type before them for the message fuzzer, and as the
 * only frame of a stream. */
static void make_messages(const char *root)
{
    static uint8_t bytes[8192], record[QUO_RECORD_OVERHEAD_MAX], entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *body = bytes + 1 + QUO_FRAME_HEADER;
    const struct quo_slice e = quo_slice(entry, make_entry(entry, 3, 0));
    const struct quo_slice r = quo_slice(record, make_record(record, 0, 2));
    static const uint8_t ids[3 * 8];
    const struct quo_msg_hello hello = {1, 1, 0xc1, 0, 4};
    const struct quo_msg_goodbye goodbye = {QUO_WRONG_CLUSTER, quo_slice_of("bye")};
    const struct quo_msg_ping ping = {123456};
    const struct quo_msg_pong pong = {123456};
    const struct quo_msg_query query = {
        5, 1, QUO_KIND_LWW, e, QUO_INLINE_VALUE_MAX, quo_slice_of("key")};
    const struct quo_msg_store store = {.partition = 5,
                                        .ns = 1,
                                        .kind = QUO_KIND_LWW,
                                        .entry = e,
                                        .flags = QUO_STORE_SYNC,
                                        .key = quo_slice_of("key"),
                                        .record = r};
    const struct quo_msg_prep prep = {.partition = 5,
                                      .ns = 1,
                                      .kind = QUO_KIND_CAS,
                                      .entry = e,
                                      .ballot = {0x0102030405060709, 9},
                                      .value_max = QUO_INLINE_VALUE_MAX,
                                      .key = quo_slice_of("key")};
    const struct quo_msg_acc acc = {.partition = 5,
                                    .ns = 1,
                                    .kind = QUO_KIND_MIXED,
                                    .entry = e,
                                    .next = {0x010203040506070a, 9},
                                    .key = quo_slice_of("key"),
                                    .record = r};
    const struct quo_msg_forward forward = make_forward();
    const struct quo_msg_forwarded forwarded = {.flags = QUO_FORWARD_STABLE,
                                                .changed = {0x0102030405060708, 9},
                                                .n = 3,
                                                .acks = 2,
                                                .epoch = 4,
                                                .version = {0x0102030405060708, 9},
                                                .answered = quo_slice(ids, sizeof ids),
                                                .record = r};
    const struct quo_msg_reply reply = {.status = QUO_OK,
                                        .flags = QUO_REPLY_DURABLE | QUO_REPLY_VALUE,
                                        .version = {0x0102030405060708, 9},
                                        .record_size = (uint32_t)r.len,
                                        .record = r};

#define QUO_MESSAGE(NAME, name, type)                                                              \
    {                                                                                              \
        size_t size = quo_msg_##name##_size(&name);                                                \
        quo_msg_##name##_encode(&name, body);                                                      \
        body[-1] = (type);                                                                         \
        write_seed(root, "message/" #name, body - 1, size + 1);                                    \
        quo_frame_seal(bytes + 1, (type), 77, size);                                               \
        bytes[0] = 0;                                                                              \
        write_seed(root, "frame/" #name, bytes, 1 + QUO_FRAME_HEADER + size);                      \
    }
#include "quorate/messages.def"
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    make_records(argv[1]);
    make_entries(argv[1]);
    make_messages(argv[1]);
    return 0;
}
