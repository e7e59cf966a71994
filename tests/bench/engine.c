/* What the storage engine reaches alone: no network, no protocol, one process. Puts in groups of
 * one size, each synced and one at a time as a node commits them, then gets. One line of JSON. */
#include <argp.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "storage-node/engine/store_cached.h"

#define PARTITIONS 1024u
#define KEY_MAX 32u
#define SECONDS_MAX 3600u
#define GETS_BETWEEN_CLOCKS 64u

struct settings {
    const char *folder;
    uint64_t window, value, keys, cache, seconds;
};
static struct settings settings = {.window = 64, .value = 100, .keys = 100000, .seconds = 3};

/* A mailbox that the main thread empties. */
struct mail {
    struct quo_mailbox mailbox;
    pthread_mutex_t mutex;
    pthread_cond_t came;
    struct quo_task *tasks, **end;
};

static void post(struct quo_mailbox *mailbox, struct quo_task *task)
{
    struct mail *mail = QUO_CONTAINER_OF(mailbox, struct mail, mailbox);

    pthread_mutex_lock(&mail->mutex);
    task->next = NULL;
    *mail->end = task;
    mail->end = &task->next;
    pthread_cond_signal(&mail->came);
    pthread_mutex_unlock(&mail->mutex);
}

static const struct quo_mailbox_ops mail_ops = {.post = post};
static struct mail mail = {
    .mailbox = {&mail_ops},
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .came = PTHREAD_COND_INITIALIZER,
    .end = &mail.tasks,
};

static void run_one_task(void)
{
    struct quo_task *task;

    pthread_mutex_lock(&mail.mutex);
    while (mail.tasks == NULL)
        pthread_cond_wait(&mail.came, &mail.mutex);
    task = mail.tasks;
    mail.tasks = task->next;
    if (mail.tasks == NULL)
        mail.end = &mail.tasks;
    pthread_mutex_unlock(&mail.mutex);
    task->run(task);
}

_Noreturn static void die(const char *why)
{
    fprintf(stderr, "quorate-bench-engine: %s\n", why);
    exit(1);
}

static double now_s(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static uint64_t draw(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 16;
}

/* As a node names them: be16 partition | be32 namespace | key. */
static struct quo_slice key_of(uint8_t *at, uint64_t number)
{
    quo_put_u16(at, (uint16_t)(number * 2654435761u % PARTITIONS));
    quo_put_u32(at + 2, 1);
    return quo_slice(at, 6 + (size_t)snprintf((char *)at + 6, KEY_MAX - 6, "key-%" PRIu64, number));
}

static struct quo_store *store;

static void set_flag(struct quo_commit *commit)
{
    *(bool *)commit->context = true;
}

static void commit(struct quo_batch *batch)
{
    bool done = false;
    struct quo_commit asked = {.batch = batch, .sync = true, .done = set_flag, .context = &done};

    store->ops->commit(store, &asked);
    while (!done)
        run_one_task();
    if (asked.status != QUO_OK)
        die("a commit failed");
    store->ops->batch_clear(store, batch);
}

static void put(struct quo_batch *batch, uint64_t number)
{
    static uint8_t *value;
    uint8_t key[KEY_MAX];

    if (value == NULL && (value = calloc(1, settings.value + 8)) == NULL)
        die("out of memory");
    quo_put_u64(value, draw());
    store->ops->batch_put(store, batch, QUO_FAMILY_DATA, key_of(key, number),
                          quo_slice(value, settings.value));
}

static void fill(struct quo_batch *batch)
{
    for (uint64_t number = 0; number < settings.keys; number++) {
        put(batch, number);
        if (number % 1024 == 1023)
            commit(batch);
    }
    commit(batch);
}

struct rate {
    double per_second;
    double cpu_us; /* of all threads, each */
};

/* Calls `work`, which does so many each time, for as long as was asked. */
static struct rate measure(void (*work)(struct quo_batch *batch), struct quo_batch *batch,
                           uint64_t each)
{
    double start = now_s(CLOCK_MONOTONIC), end = start;
    double cpu = now_s(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t count = 0;

    for (; end - start < (double)settings.seconds; end = now_s(CLOCK_MONOTONIC)) {
        work(batch);
        count += each;
    }
    cpu = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    return (struct rate){(double)count / (end - start), cpu * 1e6 / (double)count};
}

static void put_group(struct quo_batch *batch)
{
    for (uint64_t i = 0; i < settings.window; i++)
        put(batch, draw() % settings.keys);
    commit(batch);
}

static void load_done(struct quo_load *load)
{
    *(bool *)load->context = true;
}

static void get(uint64_t number)
{
    uint8_t bytes[KEY_MAX];
    struct quo_slice key = key_of(bytes, number);
    struct quo_pinned pinned = {0};
    bool done = false;
    struct quo_load load = {
        .family = QUO_FAMILY_DATA, .key = key, .done = load_done, .context = &done};
    enum quo_status status = store->ops->get(store, QUO_FAMILY_DATA, key, &pinned);

    if (status == QUO_WOULD_BLOCK) {
        store->ops->load(store, &load);
        while (!done)
            run_one_task();
        status = load.status;
        pinned = load.value;
    }
    if (status != QUO_OK)
        die("a key is missing");
    store->ops->release(store, &pinned);
}

static void get_some(struct quo_batch *batch)
{
    (void)batch;
    for (unsigned i = 0; i < GETS_BETWEEN_CLOCKS; i++)
        get(draw() % settings.keys);
}

static void open_store(void)
{
    struct quo_engine_options options = {
        .path = settings.folder,
        .mailbox = &mail.mailbox,
        .block_cache_bytes = 64u << 20,
        .write_buffer_bytes = 64u << 20,
        .reader_threads = 4,
    };
    char why[1024] = "";

    if (quo_store_rocksdb_open(&options, &store, why, sizeof why) != QUO_OK)
        die(why);
    if (settings.cache == 0)
        return;
    store = quo_store_cached_new(store, QUO_MAX(settings.cache, QUO_STORE_CACHED_BYTES_MIN));
    if (store == NULL)
        die("out of memory");
}

static void read_number(struct argp_state *state, const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    *ret = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || *ret > max)
        argp_error(state, "%s is not a number up to %" PRIu64, text, max);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    switch (key) {
    case 'w':
        read_number(state, argument, 1u << 16, &settings.window);
        return 0;
    case 'v':
        read_number(state, argument, 1u << 20, &settings.value);
        return 0;
    case 'k':
        read_number(state, argument, 1000000000u, &settings.keys);
        return 0;
    case 'c':
        read_number(state, argument, UINT64_C(1) << 40, &settings.cache);
        return 0;
    case 's':
        read_number(state, argument, SECONDS_MAX, &settings.seconds);
        return 0;
    case ARGP_KEY_ARG:
        if (settings.folder != NULL)
            argp_usage(state);
        settings.folder = argument;
        return 0;
    case ARGP_KEY_END:
        if (settings.folder == NULL || settings.window == 0 || settings.keys == 0 ||
            settings.seconds == 0)
            argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"window", 'w', "N", 0, "Puts in one group commit (64)", 0},
        {"value", 'v', "BYTES", 0, "Bytes of each value (100)", 0},
        {"keys", 'k', "N", 0, "Keys, all written before anything is measured (100000)", 0},
        {"cache", 'c', "BYTES", 0, "For records that are remembered above the engine (none)", 0},
        {"seconds", 's', "N", 0, "For which puts, then gets, are measured (3)", 0},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "FOLDER",
        .doc = "Measures the storage engine alone in FOLDER, which it makes.",
    };
    struct quo_batch *batch;
    struct rate puts, gets;

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    open_store();
    batch = store->ops->batch_new(store);
    if (batch == NULL)
        die("out of memory");
    fill(batch);
    puts = measure(put_group, batch, settings.window);
    gets = measure(get_some, batch, GETS_BETWEEN_CLOCKS);
    store->ops->batch_free(store, batch);
    store->ops->close(store);
    printf("{\"puts_per_second\":%.0f,\"put_cpu_us\":%.2f,\"gets_per_second\":%.0f,"
           "\"get_cpu_us\":%.2f,\"window\":%" PRIu64 ",\"value_bytes\":%" PRIu64
           ",\"keys\":%" PRIu64 ",\"cache_bytes\":%" PRIu64 ",\"seconds\":%" PRIu64 "}\n",
           puts.per_second, puts.cpu_us, gets.per_second, gets.cpu_us, settings.window,
           settings.value, settings.keys, settings.cache, settings.seconds);
    return 0;
}
