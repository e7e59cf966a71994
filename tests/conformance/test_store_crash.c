/* What the RocksDB engine brings back after kill -9, and what it refuses to bring back: a store
 * whose write-ahead log is damaged anywhere but at its very end.
 *
 * The stores are written by a child that kills itself. It is this program again, since a process
 * must not fork once RocksDB has started its threads. */
#include "tests/conformance/engine_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SMALL_BUFFER (1u << 20)
#define BLOCK 32768u

/* Child. */

static void child_commit(struct pump *pump, struct quo_store *store, struct quo_batch *batch,
                         uint32_t number, size_t value_len, bool sync)
{
    static uint8_t value[1u << 20];
    uint8_t key[4];

    for (size_t i = 0; i < value_len; i++)
        value[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
    quo_put_u32(key, number);
    store->ops->batch_clear(store, batch);
    store->ops->batch_put(store, batch, QUO_FAMILY_DATA, quo_slice(key, 4),
                          quo_slice(value, value_len));
    store->ops->batch_put(store, batch, QUO_FAMILY_META, quo_slice_of("last"), quo_slice(key, 4));
    if (commit_wait(pump, store, batch, sync) != QUO_OK)
        _exit(2);
}

/* Commits numbers for ever, telling each on stdout once it is acknowledged. */
static void child_for_ever(struct pump *pump, struct quo_store *store, struct quo_batch *batch)
{
    struct quo_pinned pinned = {0};
    uint32_t number = 0;

    if (read_wait(pump, store, QUO_FAMILY_META, quo_slice_of("last"), &pinned) == QUO_OK)
        number = quo_get_u32(pinned.bytes.data);
    store->ops->release(store, &pinned);
    for (;;) {
        number++;
        child_commit(pump, store, batch, number, 100 + number % 5000, true);
        if (write(STDOUT_FILENO, &number, sizeof(number)) != sizeof(number))
            _exit(3);
    }
}

/* child DIRECTORY COUNT VALUE_LEN: commits 1 to COUNT and dies. COUNT 0: for ever. */
static int child(char **arguments)
{
    struct pump pump;
    struct quo_store *store;
    struct quo_batch *batch;
    uint32_t count = (uint32_t)strtoul(arguments[1], NULL, 10);
    size_t value_len = strtoul(arguments[2], NULL, 10);
    char why[512];

    pump_init(&pump);
    if (open_rocksdb(&pump, arguments[0], SMALL_BUFFER, &store, why, sizeof(why)) != QUO_OK)
        return 4;
    batch = store->ops->batch_new(store);
    if (count == 0)
        child_for_ever(&pump, store, batch);
    for (uint32_t number = 1; number <= count; number++)
        child_commit(&pump, store, batch, number, value_len, true);
    kill(getpid(), SIGKILL);
    return 5;
}

static pid_t start_child(const char *directory, uint32_t count, size_t value_len, int *ret_out)
{
    char count_text[16], len_text[16];
    int out[2];
    pid_t pid;

    snprintf(count_text, sizeof(count_text), "%u", count);
    snprintf(len_text, sizeof(len_text), "%zu", value_len);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid = vfork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl("/proc/self/exe", "child", directory, count_text, len_text, (char *)NULL);
        _exit(6);
    }
    assert_true(pid > 0);
    close(out[1]);
    *ret_out = out[0];
    return pid;
}

static void expect_killed(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* Parent. */

struct world {
    struct scratch scratch;
    struct pump pump;
};

static int setup(void **state)
{
    static struct world world;
    scratch_make(&world.scratch);
    pump_init(&world.pump);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    scratch_remove(&w->scratch);
    return 0;
}

static void make_killed_store(struct world *w, uint32_t count, size_t value_len)
{
    int out;
    pid_t pid = start_child(w->scratch.store, count, value_len, &out);
    expect_killed(pid);
    close(out);
}

/* The number of the last batch the store holds; checks that none before it is missing. */
static uint32_t open_and_count(struct world *w)
{
    struct quo_store *store = must_open_rocksdb(&w->pump, w->scratch.store, SMALL_BUFFER);
    struct quo_pinned pinned = {0};
    uint32_t last = 0;

    if (read_wait(&w->pump, store, QUO_FAMILY_META, quo_slice_of("last"), &pinned) == QUO_OK)
        last = quo_get_u32(pinned.bytes.data);
    store->ops->release(store, &pinned);
    for (uint32_t number = 1; number <= last + 1; number++) {
        uint8_t key[4];
        quo_put_u32(key, number);
        enum quo_status status =
            read_wait(&w->pump, store, QUO_FAMILY_DATA, quo_slice(key, 4), &pinned);
        assert_int_equal(status, number <= last ? QUO_OK : QUO_NOT_FOUND);
        store->ops->release(store, &pinned);
    }
    store->ops->close(store);
    return last;
}

static void expect_refused(struct world *w, const char *words)
{
    struct quo_store *store = NULL;
    char why[512] = "";

    assert_int_equal(
        open_rocksdb(&w->pump, w->scratch.store, SMALL_BUFFER, &store, why, sizeof(why)),
        QUO_CORRUPT);
    assert_null(store);
    if (strstr(why, words) == NULL || strstr(why, "must not serve") == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, words);
}

/* A log file of the store in memory. */
struct log {
    char path[512];
    uint8_t *bytes;
    size_t len;
};

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name);
    return len > strlen(end) && strcmp(name + len - strlen(end), end) == 0;
}

static int is_log(const struct dirent *entry)
{
    return ends_with(entry->d_name, ".log");
}

static int is_table(const struct dirent *entry)
{
    return ends_with(entry->d_name, ".sst");
}

/* Reads the `index`-th log from the oldest, or from the newest (-1). Returns how many there are. */
static int read_log(struct world *w, int index, struct log *ret)
{
    struct dirent **logs;
    struct stat file;
    int fd, count = scandir(w->scratch.store, &logs, is_log, alphasort);

    assert_true(count > 0 && index < count);
    index = index < 0 ? count + index : index;
    snprintf(ret->path, sizeof(ret->path), "%s/%s", w->scratch.store, logs[index]->d_name);
    fd = open(ret->path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &file) == 0);
    ret->len = (size_t)file.st_size;
    ret->bytes = malloc(ret->len + BLOCK);
    assert_non_null(ret->bytes);
    assert_int_equal(read(fd, ret->bytes, ret->len), ret->len);
    close(fd);
    for (int i = 0; i < count; i++)
        free(logs[i]);
    free(logs);
    return count;
}

/* Writes `len` bytes back as the whole file. */
static void write_log(struct log *log, size_t len)
{
    int fd = open(log->path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, log->bytes, len), len);
    close(fd);
    free(log->bytes);
}

/* The offset of the n-th record of a log whose records all lie within its first block. */
static size_t record_at(const struct log *log, int n)
{
    size_t at = 0;
    for (int i = 0; i < n; i++)
        at += 7 + log->bytes[at + 4] + 256u * log->bytes[at + 5];
    assert_true(at < log->len && at < BLOCK);
    return at;
}

static void keeps_what_it_acknowledged(void **state)
{
    struct world *w = *state;
    uint32_t before = 0;

    for (int round = 0; round < 4; round++) {
        uint32_t acknowledged = before, told, last;
        int out;
        pid_t pid = start_child(w->scratch.store, 0, 0, &out);

        while (acknowledged < before + 150 + 37u * (uint32_t)round &&
               read(out, &told, sizeof(told)) == sizeof(told))
            acknowledged = told;
        kill(pid, SIGKILL);
        while (read(out, &told, sizeof(told)) == sizeof(told))
            acknowledged = told;
        expect_killed(pid);
        close(out);
        assert_true(acknowledged > before);
        last = open_and_count(w);
        assert_in_range(last, acknowledged, acknowledged + 1);
        before = last;
    }
}

static void opens_a_sound_log(void **state)
{
    make_killed_store(*state, 20, 100);
    assert_int_equal(open_and_count(*state), 20);
    assert_int_equal(open_and_count(*state), 20);
}

static void opens_a_sound_log_of_many_blocks(void **state)
{
    make_killed_store(*state, 9, 70001);
    assert_int_equal(open_and_count(*state), 9);
}

/* Batches end at, around and across the ends of blocks: fragments of every size, 0 too. */
static void opens_logs_of_awkward_lengths(void **state)
{
    struct world *w = *state;

    for (size_t value_len = 10800; value_len <= 10920; value_len += 3) {
        make_killed_store(w, 4, value_len);
        assert_int_equal(open_and_count(w), 4);
        scratch_remove(&w->scratch);
        scratch_make(&w->scratch);
    }
}

static void drops_an_incomplete_end(void **state)
{
    struct world *w = *state;
    struct log log;
    size_t cuts[] = {1, 50, 120, 0};

    for (int i = 0; i < 4; i++) {
        make_killed_store(w, 20, 100);
        read_log(w, -1, &log);
        size_t last = record_at(&log, 19);
        write_log(&log, cuts[i] == 0 ? last : QUO_MAX(last + 1, log.len - cuts[i]));
        assert_int_equal(open_and_count(w), 19);
        scratch_remove(&w->scratch);
        scratch_make(&w->scratch);
    }
}

static void drops_an_incomplete_batch_of_many_fragments(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, 5, 100000);
    read_log(w, -1, &log);
    write_log(&log, log.len / BLOCK * BLOCK);
    assert_int_equal(open_and_count(w), 4);
}

/* As if the value of the batch that was being written were part of somebody's log. */
static void drops_an_incomplete_batch_that_holds_records(void **state)
{
    struct world *w = *state;
    struct log log;
    size_t last, copied, copied_len;

    make_killed_store(w, 20, 100);
    read_log(w, -1, &log);
    last = record_at(&log, 19);
    copied = record_at(&log, 3);
    copied_len = record_at(&log, 4) - copied;
    log.bytes[last + 5] = 0x40; /* 16 KiB and more, of which little arrived */
    memcpy(log.bytes + log.len, log.bytes + copied, copied_len);
    write_log(&log, log.len + copied_len);
    assert_int_equal(open_and_count(w), 19);
}

static void ignores_reserved_space_behind_the_end(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, 20, 100);
    read_log(w, -1, &log);
    memset(log.bytes + log.len, 0, BLOCK);
    write_log(&log, log.len + BLOCK);
    assert_int_equal(open_and_count(w), 20);
}

static void refuses_a_changed_byte(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, 20, 100);
    read_log(w, -1, &log);
    log.bytes[record_at(&log, 10) + 40] ^= 0x10;
    write_log(&log, log.len);
    expect_refused(w, "a wrong checksum");
    expect_refused(w, "a wrong checksum"); /* looking changed nothing */
}

static void refuses_a_changed_byte_among_many_blocks(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, 9, 70001);
    read_log(w, -1, &log);
    log.bytes[log.len / 2] ^= 0x10;
    write_log(&log, log.len);
    expect_refused(w, "is damaged");
}

/* RocksDB alone takes this for the end of the log. */
static void refuses_a_changed_length(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, 20, 100);
    read_log(w, -1, &log);
    log.bytes[record_at(&log, 10) + 5] ^= 0x40;
    write_log(&log, log.len);
    expect_refused(w, "a wrong length");
}

static void refuses_a_changed_length_in_the_last_batch(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, 20, 100);
    read_log(w, -1, &log);
    log.bytes[record_at(&log, 19) + 5] ^= 0x40;
    write_log(&log, log.len);
    expect_refused(w, "a wrong length");
}

static void refuses_a_changed_byte_in_the_last_batch(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, 20, 100);
    read_log(w, -1, &log);
    log.bytes[log.len - 3] ^= 1;
    write_log(&log, log.len);
    expect_refused(w, "a wrong checksum");
}

/* RocksDB alone skips to the next block. */
static void refuses_zeros_in_the_middle(void **state)
{
    struct world *w = *state;
    struct log log;
    size_t at;

    make_killed_store(w, 20, 100);
    read_log(w, -1, &log);
    at = record_at(&log, 10);
    memset(log.bytes + at, 0, record_at(&log, 12) - at);
    write_log(&log, log.len);
    expect_refused(w, "zeros before other records");
}

/* RocksDB alone does not mind: each record is sound. */
static void refuses_a_missing_batch(void **state)
{
    struct world *w = *state;
    struct log log;
    size_t at, next;

    make_killed_store(w, 20, 100);
    read_log(w, -1, &log);
    at = record_at(&log, 10);
    next = record_at(&log, 11);
    memmove(log.bytes + at, log.bytes + next, log.len - next);
    write_log(&log, log.len - (next - at));
    expect_refused(w, "a missing batch");
}

/* Enough for the data family to be flushed while the older logs still back the meta family. */
#define OLDER_LOGS 20, 60000

static void opens_several_logs(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, OLDER_LOGS);
    assert_true(read_log(w, 0, &log) >= 2);
    free(log.bytes);
    assert_int_equal(open_and_count(w), 20);
}

/* RocksDB's recovery mode alone accepts it: an incomplete end of any log. */
static void refuses_an_older_log_cut_within_a_batch(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, OLDER_LOGS);
    assert_true(read_log(w, 0, &log) >= 2);
    write_log(&log, log.len - 1000);
    expect_refused(w, "the log before it was cut");
}

static void empty_log(struct log *log)
{
    write_log(log, 0);
}

static void remove_log(struct log *log)
{
    free(log->bytes);
    assert_int_equal(unlink(log->path), 0);
}

static bool is_refused(struct world *w, void (*lose)(struct log *log), const char *words)
{
    struct log log;
    struct quo_store *store = NULL;
    char why[512] = "";

    make_killed_store(w, OLDER_LOGS);
    assert_true(read_log(w, 0, &log) >= 2);
    lose(&log);
    if (open_rocksdb(&w->pump, w->scratch.store, SMALL_BUFFER, &store, why, sizeof(why)) ==
        QUO_OK) {
        store->ops->close(store);
        return false;
    }
    assert_non_null(strstr(why, words));
    return true;
}

/* The MANIFEST knows a closed log once a table is written after it. The kill may come before that,
 * and then nothing shows that the oldest log is lost (see wal_check.h): another attempt. */
static void expect_loss_refused(struct world *w, void (*lose)(struct log *log), const char *words)
{
    bool refused = is_refused(w, lose, words);

    for (int attempt = 1; !refused && attempt < 10; attempt++) {
        scratch_remove(&w->scratch);
        scratch_make(&w->scratch);
        refused = is_refused(w, lose, words);
    }
    assert_true(refused);
}

static void refuses_an_older_log_cut_between_batches(void **state)
{
    expect_loss_refused(*state, empty_log, "Size mismatch: WAL");
}

static void refuses_a_missing_older_log(void **state)
{
    expect_loss_refused(*state, remove_log, "Missing WAL");
}

static void refuses_a_changed_byte_in_an_older_log(void **state)
{
    struct world *w = *state;
    struct log log;

    make_killed_store(w, OLDER_LOGS);
    assert_true(read_log(w, 0, &log) >= 2);
    log.bytes[log.len - 100] ^= 1;
    write_log(&log, log.len);
    expect_refused(w, "a wrong checksum");
}

static void damage_largest_table(struct world *w)
{
    struct dirent **tables;
    char path[512], largest[512] = "";
    struct stat file;
    off_t size = 0;
    int fd, count = scandir(w->scratch.store, &tables, is_table, alphasort);

    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/%s", w->scratch.store, tables[i]->d_name);
        assert_int_equal(stat(path, &file), 0);
        if (file.st_size > size) {
            size = file.st_size;
            memcpy(largest, path, sizeof(path));
        }
        free(tables[i]);
    }
    free(tables);
    fd = open(largest, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "XXXX", 4, 300), 4);
    close(fd);
}

/* Reads say so, whichever way they come. */
static void reports_a_damaged_table(void **state)
{
    struct world *w = *state;
    struct quo_pinned pinned = {0};
    struct quo_store *store;
    uint8_t key[4];

    make_killed_store(w, 20, 3000);
    assert_int_equal(open_and_count(w), 20);
    damage_largest_table(w);
    store = must_open_rocksdb(&w->pump, w->scratch.store, SMALL_BUFFER);
    quo_put_u32(key, 1);
    assert_int_equal(read_wait(&w->pump, store, QUO_FAMILY_DATA, quo_slice(key, 4), &pinned),
                     QUO_CORRUPT);
    store->ops->close(store);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        CASE(keeps_what_it_acknowledged),
        CASE(opens_a_sound_log),
        CASE(opens_a_sound_log_of_many_blocks),
        CASE(opens_logs_of_awkward_lengths),
        CASE(drops_an_incomplete_end),
        CASE(drops_an_incomplete_batch_of_many_fragments),
        CASE(drops_an_incomplete_batch_that_holds_records),
        CASE(ignores_reserved_space_behind_the_end),
        CASE(refuses_a_changed_byte),
        CASE(refuses_a_changed_byte_among_many_blocks),
        CASE(refuses_a_changed_length),
        CASE(refuses_a_changed_length_in_the_last_batch),
        CASE(refuses_a_changed_byte_in_the_last_batch),
        CASE(refuses_zeros_in_the_middle),
        CASE(refuses_a_missing_batch),
        CASE(opens_several_logs),
        CASE(refuses_an_older_log_cut_within_a_batch),
        CASE(refuses_an_older_log_cut_between_batches),
        CASE(refuses_a_missing_older_log),
        CASE(refuses_a_changed_byte_in_an_older_log),
        CASE(reports_a_damaged_table),
    };
    if (strcmp(arguments[0], "child") == 0)
        return count == 4 ? child(arguments + 1) : 7;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
