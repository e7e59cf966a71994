#include "storage-node/engine/wal_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage-node/engine/crc32c.h"

#define BLOCK 32768u
#define HEADER 7u        /* le32 masked crc32c of type and payload, le16 length, u8 type */
#define BATCH_HEADER 12u /* le64 sequence number, le32 count */

enum record_type { ZERO = 0, FULL = 1, FIRST = 2, MIDDLE = 3, LAST = 4 };

/* How a log ends. */
enum ending { WHOLE, TORN };

struct reader {
    int fd;
    char name[32];
    uint64_t block_at; /* offset of the block in the file */
    size_t block_len;  /* below BLOCK only in the last one */
    uint8_t block[BLOCK];
    bool in_batch;              /* between FIRST and LAST */
    uint8_t head[BATCH_HEADER]; /* what came of the batch's header */
    size_t head_len;
    uint64_t next;      /* the sequence number that the next batch must bear */
    uint64_t log_first; /* that of the first whole batch of this log; 0: there is none */
    char *why;
    size_t why_size;
};

static uint32_t le32(const uint8_t *at)
{
    return __builtin_bswap32(quo_get_u32(at));
}

static uint64_t le64(const uint8_t *at)
{
    return __builtin_bswap64(quo_get_u64(at));
}

static uint32_t payload_len(const uint8_t *header)
{
    return (uint32_t)header[4] | (uint32_t)header[5] << 8;
}

/* RocksDB stores a checksum rotated and shifted by a constant, so that one of bytes that hold
 * checksums stays a good one. */
static uint32_t mask(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static bool checksum_fits(const uint8_t *header, size_t len)
{
    return le32(header) == mask(quo_crc32c(quo_slice(header + 6, 1 + len)));
}

static enum quo_status damaged(struct reader *r, size_t at, const char *what)
{
    snprintf(r->why, r->why_size, "the write-ahead log %s is damaged at byte %" PRIu64 " (%s)",
             r->name, r->block_at + at, what);
    return QUO_CORRUPT;
}

static enum quo_status read_failed(struct reader *r, const char *what)
{
    snprintf(r->why, r->why_size, "cannot read the write-ahead log %s: %s", r->name, what);
    return QUO_IO_ERROR;
}

/* Reads the block at `offset`; at the end of the file block_len is 0. */
static enum quo_status read_block(struct reader *r, uint64_t offset)
{
    size_t len = 0;

    while (len < BLOCK) {
        ssize_t n = pread(r->fd, r->block + len, BLOCK - len, (off_t)(offset + len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return read_failed(r, strerror(errno));
        if (n == 0)
            break;
        len += (size_t)n;
    }
    r->block_at = offset;
    r->block_len = len;
    return QUO_OK;
}

/* Whether a whole record starts behind `at` in the last block, one that could be the next of this
 * log: a value may hold copies of records, but not with the numbers that are due. */
static bool record_follows(const struct reader *r, size_t at)
{
    for (size_t i = at + 1; i + HEADER + BATCH_HEADER <= r->block_len; i++) {
        const uint8_t *header = r->block + i;
        size_t len = payload_len(header);
        uint64_t ahead = le64(header + HEADER) - r->next;

        if ((header[6] == FULL || header[6] == FIRST) && len >= BATCH_HEADER &&
            i + HEADER + len <= r->block_len && (r->next == 0 || ahead <= BLOCK) &&
            checksum_fits(header, len))
            return true;
    }
    return false;
}

/* A record that ends behind the end of the file: an interrupted write, unless its length is what is
 * wrong (the checksum does not cover it). */
static enum quo_status judge_cut_record(struct reader *r, size_t at, enum ending *ret)
{
    const uint8_t *header = r->block + at;

    if (checksum_fits(header, r->block_len - at - HEADER) || record_follows(r, at))
        return damaged(r, at, "a wrong length");
    *ret = TORN;
    return QUO_OK;
}

/* A header of zeros: space that was reserved and never written, if zeros go on to the end. */
static enum quo_status judge_zeros(struct reader *r, size_t at, enum ending *ret)
{
    uint64_t found_at = r->block_at + at;
    size_t from = at;

    while (r->block_len > 0) {
        for (size_t i = from; i < r->block_len; i++) {
            if (r->block[i] != 0) {
                r->block_at = found_at;
                return damaged(r, 0, "zeros before other records");
            }
        }
        enum quo_status status = read_block(r, r->block_at + BLOCK);
        if (status != QUO_OK)
            return status;
        from = 0;
    }
    *ret = TORN;
    return QUO_OK;
}

/* A batch is complete: sequence numbers go up without a gap. */
static enum quo_status take_batch(struct reader *r, size_t at)
{
    uint64_t sequence = le64(r->head);

    if (r->head_len < BATCH_HEADER)
        return damaged(r, at, "a batch without a header");
    if (r->log_first == 0) {
        r->log_first = sequence;
        r->next = sequence;
    }
    if (sequence != r->next)
        return damaged(r, at, "a missing batch");
    r->next += le32(r->head + 8);
    return QUO_OK;
}

/* Takes the whole record at `at`: a batch, or a fragment of one, however short. */
static enum quo_status take_record(struct reader *r, size_t at, size_t len)
{
    uint8_t type = r->block[at + 6];
    bool starts = type == FULL || type == FIRST;
    size_t n;

    if (type < FULL || type > LAST)
        return damaged(r, at, "an unknown type");
    if (starts == r->in_batch)
        return damaged(r, at, "a batch in pieces");
    if (starts)
        r->head_len = 0;
    n = QUO_MIN(len, BATCH_HEADER - r->head_len);
    memcpy(r->head + r->head_len, r->block + at + HEADER, n);
    r->head_len += n;
    r->in_batch = type == FIRST || type == MIDDLE;
    return r->in_batch ? QUO_OK : take_batch(r, at);
}

/* Walks the records of the block. Sets *ret and *ret_end when the log ends here. */
static enum quo_status walk_block(struct reader *r, enum ending *ret, bool *ret_end)
{
    size_t at = 0;

    *ret_end = true;
    while (at + HEADER <= r->block_len) {
        const uint8_t *header = r->block + at;
        size_t len = payload_len(header);

        if (header[6] == ZERO && len == 0)
            return judge_zeros(r, at, ret);
        if (at + HEADER + len > BLOCK)
            return damaged(r, at, "a wrong length");
        if (at + HEADER + len > r->block_len)
            return judge_cut_record(r, at, ret);
        if (!checksum_fits(header, len))
            return damaged(r, at, "a wrong checksum");
        enum quo_status status = take_record(r, at, len);
        if (status != QUO_OK)
            return status;
        at += HEADER + len;
    }
    *ret_end = r->block_len < BLOCK;
    *ret = at < r->block_len || r->in_batch ? TORN : WHOLE;
    return QUO_OK;
}

static enum quo_status walk_log(struct reader *r, enum ending *ret)
{
    enum quo_status status = QUO_OK;
    bool end = false;

    r->in_batch = false;
    r->log_first = 0;
    for (uint64_t offset = 0; status == QUO_OK && !end; offset += BLOCK) {
        status = read_block(r, offset);
        if (status == QUO_OK)
            status = walk_block(r, ret, &end);
    }
    return status;
}

/* One log after another. What an interrupted write left is fine when later logs go on with the
 * number it would have had: the store was opened again since. A gap behind it means that more was
 * lost. (A gap between whole logs is no sign of loss: logs that were flushed are deleted newest
 * first. That none is missing or short is what RocksDB's own list in the MANIFEST is for.) */
static enum quo_status walk_logs(struct reader *r, int directory, struct dirent **logs, int count,
                                 uint64_t *ret_last)
{
    uint64_t torn_next = 0;
    uint64_t last = 0;

    for (int i = 0; i < count; i++) {
        enum ending ending = WHOLE;
        enum quo_status status;

        snprintf(r->name, sizeof(r->name), "%.31s", logs[i]->d_name);
        r->fd = openat(directory, logs[i]->d_name, O_RDONLY | O_CLOEXEC);
        if (r->fd < 0)
            return read_failed(r, strerror(errno));
        status = walk_log(r, &ending);
        close(r->fd);
        if (status != QUO_OK)
            return status;
        if (torn_next != 0 && r->log_first > torn_next) {
            r->block_at = 0;
            return damaged(r, 0, "the log before it was cut");
        }
        if (r->log_first != 0) {
            torn_next = 0;
            last = r->next - 1;
        }
        if (ending == TORN && last != 0)
            torn_next = last + 1;
    }
    *ret_last = last;
    return QUO_OK;
}

static int is_log(const struct dirent *entry)
{
    size_t digits = strspn(entry->d_name, "0123456789");
    return digits > 0 && strcmp(entry->d_name + digits, ".log") == 0;
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
    unsigned long long x = strtoull((*a)->d_name, NULL, 10);
    unsigned long long y = strtoull((*b)->d_name, NULL, 10);
    return x < y ? -1 : x > y;
}

enum quo_status quo_wal_check(const char *directory, uint64_t *ret_last, char *why, size_t why_size)
{
    struct reader *r = NULL;
    struct dirent **logs = NULL;
    enum quo_status status = QUO_NO_MEMORY;
    int count = 0;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT) {
        *ret_last = 0;
        return QUO_OK;
    }
    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        snprintf(why, why_size, "out of memory");
        goto out;
    }
    r->why = why;
    r->why_size = why_size;
    snprintf(r->name, sizeof(r->name), "directory");
    count = fd < 0 ? -1 : scandirat(fd, ".", &logs, is_log, by_number);
    if (count < 0) {
        status = read_failed(r, strerror(errno));
        goto out;
    }
    status = walk_logs(r, fd, logs, count, ret_last);

out:
    for (int i = 0; i < count; i++)
        free(logs[i]);
    free(logs);
    free(r);
    if (fd >= 0)
        close(fd);
    return status;
}
