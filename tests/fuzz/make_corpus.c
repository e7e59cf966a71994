/* Writes the seeds of the binary fuzzers with the real encoders:  make_corpus tests/fuzz/corpus
 * (the other seeds, among them all of text formats, are written by hand). */
#include <stdio.h>
#include <stdlib.h>

#include "quorate/record.h"
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

static size_t make_record(uint8_t *out, uint8_t flags, uint8_t ring_count)
{
    struct quo_record record = {
        .flags = flags,
        .version = {0x0102030405060708, 9},
        .hist_from = {7, 8},
        .mver = 3,
        .ring_count = ring_count,
        .content_type = quo_slice_of("text/plain"),
        .value = (flags & QUO_RECORD_TOMBSTONE) != 0 ? quo_slice(NULL, 0) : quo_slice_of("hello"),
    };

    for (uint8_t i = 0; i < ring_count; i++) {
        memset(record.ring[i].opid, i, sizeof record.ring[i].opid);
        record.ring[i].at = (struct quo_version){i + 1u, 5};
        record.ring[i].result = i;
    }
    quo_record_encode(&record, out);
    return quo_record_size(&record);
}

static void make_records(const char *root)
{
    uint8_t bytes[QUO_RECORD_OVERHEAD_MAX];

    write_seed(root, "record/blind", bytes, make_record(bytes, QUO_RECORD_BLIND, 0));
    write_seed(root, "record/tombstone", bytes, make_record(bytes, QUO_RECORD_TOMBSTONE, 1));
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

/* One message of each type: its bytes with the type before them for the message fuzzer, and as the
 * only frame of a stream. */
static void make_messages(const char *root)
{
    static uint8_t bytes[8192], record[QUO_RECORD_OVERHEAD_MAX], entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *body = bytes + 1 + QUO_FRAME_HEADER;
    const struct quo_slice e = quo_slice(entry, make_entry(entry, 3, 0));
    const struct quo_slice r = quo_slice(record, make_record(record, QUO_RECORD_BLIND, 2));
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
