/* A full disk: nothing is acknowledged that is not kept, reads go on, and writes come back with the
 * room. Needs to mount a small file system of its own; without the right to, there is nothing to
 * see. */
#include "tests/conformance/engine_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define DISK "size=40m"
#define LARGER_DISK "size=80m"
#define RESERVE (16u << 20)
#define WRITE_BUFFER (4u << 20)
#define VALUE 65536u
#define KEYS_MAX 4096u
#define RECOVERY_S 60

struct world {
    struct scratch scratch;
    struct pump pump;
    struct quo_store *store;
    uint32_t next; /* key */
    bool acknowledged[KEYS_MAX];
};

static bool can_mount;

static int group_setup(void **state)
{
    (void)state;
    can_mount = unshare(CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    if (!can_mount)
        print_message("needs to mount a file system (as root): skipped\n");
    return 0;
}

static int setup(void **state)
{
    static struct world world;
    struct world *w = &world;

    *w = (struct world){.next = 1};
    *state = w;
    scratch_make(&w->scratch);
    pump_init(&w->pump);
    if (!can_mount)
        return 0;
    assert_int_equal(mount("tmpfs", w->scratch.root, "tmpfs", 0, DISK), 0);
    w->store = must_open_rocksdb(&w->pump, w->scratch.store, WRITE_BUFFER);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    if (can_mount) {
        w->store->ops->close(w->store);
        assert_int_equal(umount(w->scratch.root), 0);
    }
    scratch_remove(&w->scratch);
    return 0;
}

static void filler_path(struct world *w, char path[128])
{
    snprintf(path, 128, "%s/filler", w->scratch.root);
}

static void fill_disk(struct world *w)
{
    static const uint8_t zeros[4096];
    char path[128];
    size_t len = sizeof(zeros);

    filler_path(w, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, len) > 0)
        ;
    close(fd);
}

static void make_room(struct world *w)
{
    char path[128];
    filler_path(w, path);
    assert_int_equal(unlink(path), 0);
}

/* Values that do not compress, so that the disk fills in time. */
static enum quo_status write_next(struct world *w)
{
    static uint8_t value[VALUE];
    uint32_t random = w->next * 2654435761u + 1;
    uint8_t key[4];
    enum quo_status status;

    for (size_t i = 0; i < VALUE; i++) {
        random = random * 1664525 + 1013904223;
        value[i] = (uint8_t)(random >> 24);
    }
    assert_true(w->next < KEYS_MAX);
    quo_put_u32(key, w->next);
    status = put_wait(&w->pump, w->store, QUO_FAMILY_DATA, quo_slice(key, 4),
                      quo_slice(value, VALUE), true);
    w->acknowledged[w->next++] = status == QUO_OK;
    return status;
}

static void write_until_full(struct world *w)
{
    enum quo_status status = QUO_OK;

    for (int i = 0; status == QUO_OK && i < 2000; i++)
        status = write_next(w);
    assert_int_equal(status, QUO_DISK_FULL);
    assert_non_null(strstr(quo_store_rocksdb_failure(w->store), "No space left"));
    /* A flush that was under way may have given room back; nothing else may be answered. */
    for (int i = 0; i < 3; i++) {
        status = write_next(w);
        assert_true(status == QUO_OK || status == QUO_DISK_FULL);
    }
}

static void wait_until_writable(struct world *w)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    struct timespec now;
    time_t until;

    clock_gettime(CLOCK_MONOTONIC, &now);
    until = now.tv_sec + RECOVERY_S;
    while (write_next(w) != QUO_OK) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > until)
            fail_msg("no write for %d s: %s", RECOVERY_S, quo_store_rocksdb_failure(w->store));
        nanosleep(&pause, NULL);
    }
}

static void expect_what_was_acknowledged(struct world *w, struct quo_store *store)
{
    for (uint32_t number = 1; number < w->next; number++) {
        struct quo_pinned pinned = {0};
        uint8_t key[4];

        quo_put_u32(key, number);
        assert_int_equal(read_wait(&w->pump, store, QUO_FAMILY_DATA, quo_slice(key, 4), &pinned),
                         w->acknowledged[number] ? QUO_OK : QUO_NOT_FOUND);
        store->ops->release(store, &pinned);
    }
}

static void reopen(struct world *w)
{
    w->store->ops->close(w->store);
    w->store = must_open_rocksdb(&w->pump, w->scratch.store, WRITE_BUFFER);
}

static void refuses_while_full_and_comes_back(void **state)
{
    struct world *w = *state;

    if (!can_mount)
        skip();
    assert_int_equal(write_next(w), QUO_OK);
    for (int round = 0; round < 3; round++) {
        fill_disk(w);
        write_until_full(w);
        expect_what_was_acknowledged(w, w->store);
        make_room(w);
        wait_until_writable(w);
        expect_what_was_acknowledged(w, w->store);
    }
    reopen(w);
    expect_what_was_acknowledged(w, w->store);
}

/* Nothing is in memory to be flushed, and so nothing that makes RocksDB begin a fresh log. */
static void comes_back_when_full_from_the_start(void **state)
{
    struct world *w = *state;
    struct quo_store_figures figures;

    if (!can_mount)
        skip();
    assert_int_equal(write_next(w), QUO_OK);
    reopen(w);
    fill_disk(w);
    write_until_full(w);
    expect_what_was_acknowledged(w, w->store);
    make_room(w);
    wait_until_writable(w);
    quo_store_rocksdb_figures(w->store, &figures);
    assert_int_equal(figures.reopened, 1);
    expect_what_was_acknowledged(w, w->store);
    reopen(w);
    expect_what_was_acknowledged(w, w->store);
}

/* child ROOT TIMES: meets a full disk that often, and makes room in between; tells what was
 * acknowledged and dies with the disk full. It is this program again, since a process must not fork
 * once RocksDB has started its threads. */
static int child(char **arguments)
{
    static struct world world;
    struct world *w = &world;
    int times = (int)strtol(arguments[1], NULL, 10);

    w->next = 1;
    pump_init(&w->pump);
    snprintf(w->scratch.root, sizeof(w->scratch.root), "%s", arguments[0]);
    snprintf(w->scratch.store, sizeof(w->scratch.store), "%s/store", arguments[0]);
    w->store = must_open_rocksdb(&w->pump, w->scratch.store, WRITE_BUFFER);
    for (int i = 0; i < times; i++) {
        if (i > 0) {
            make_room(w);
            wait_until_writable(w);
        }
        fill_disk(w);
        write_until_full(w);
    }
    if (write(STDOUT_FILENO, &w->next, sizeof(w->next)) != sizeof(w->next) ||
        write(STDOUT_FILENO, w->acknowledged, KEYS_MAX) != KEYS_MAX)
        return 2;
    kill(getpid(), SIGKILL);
    return 3;
}

static void run_child(struct world *w, const char *times)
{
    int out[2], status;
    pid_t pid;

    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid = vfork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl("/proc/self/exe", "child", w->scratch.root, times, (char *)NULL);
        _exit(4);
    }
    close(out[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(read(out[0], &w->next, sizeof(w->next)), sizeof(w->next));
    assert_int_equal(read(out[0], w->acknowledged, KEYS_MAX), KEYS_MAX);
    close(out[0]);
}

static void survives_a_kill_while_full(void **state)
{
    static const char *const times[] = {"1", "2", "3"};
    struct world *w = *state;

    if (!can_mount)
        skip();
    for (size_t i = 0; i < QUO_COUNT(times); i++) {
        w->store->ops->close(w->store);
        assert_int_equal(umount(w->scratch.root), 0);
        assert_int_equal(mount("tmpfs", w->scratch.root, "tmpfs", 0, DISK), 0);
        run_child(w, times[i]);
        make_room(w);
        w->store = must_open_rocksdb(&w->pump, w->scratch.store, WRITE_BUFFER);
        expect_what_was_acknowledged(w, w->store);
    }
}

/* With a reserve the disk never gets so full that RocksDB itself meets it. */
static void leaves_a_reserve_free(void **state)
{
    struct world *w = *state;
    struct quo_engine_options options = {
        .path = w->scratch.store,
        .mailbox = &w->pump.mailbox,
        .block_cache_bytes = 1u << 20,
        .write_buffer_bytes = WRITE_BUFFER,
        .disk_reserve_bytes = RESERVE,
        .reader_threads = 1,
    };
    struct statvfs disk;
    char why[512];

    if (!can_mount)
        skip();
    w->store->ops->close(w->store);
    assert_int_equal(quo_store_rocksdb_open(&options, &w->store, why, sizeof(why)), QUO_OK);
    write_until_full(w);
    assert_int_equal(statvfs(w->scratch.root, &disk), 0);
    /* What one flush or compaction takes meanwhile is what it is for. */
    assert_true(disk.f_bavail * disk.f_frsize > RESERVE - 2 * WRITE_BUFFER);
    expect_what_was_acknowledged(w, w->store);
    assert_int_equal(mount("tmpfs", w->scratch.root, "tmpfs", MS_REMOUNT, LARGER_DISK), 0);
    assert_int_equal(write_next(w), QUO_OK);
    expect_what_was_acknowledged(w, w->store);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        CASE(refuses_while_full_and_comes_back),
        CASE(comes_back_when_full_from_the_start),
        CASE(survives_a_kill_while_full),
        CASE(leaves_a_reserve_free),
    };
    if (strcmp(arguments[0], "child") == 0)
        return count == 3 ? child(arguments + 1) : 5;
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
