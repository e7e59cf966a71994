/* quorate-node: keeps the replicas of one data directory, ends on SIGTERM. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "quorate/listen.h"
#include "quorate/log.h"
#include "quorate/net.h"
#include "quorate/program.h"
#include "storage-node/admin/admin.h"
#include "storage-node/engine/engine.h"
#include "storage-node/engine/identity.h"
#include "storage-node/engine/store_cached.h"
#include "storage-node/server/server.h"

#define WHY_MAX 2048u
#define DRAIN_US 10000000u
#define OTHER_DESCRIPTORS 1024u /* tables, logs, probes */

struct settings {
#define QUO_TEXT(field, name, preset, variable, help) char field[QUO_CONFIG_TEXT_MAX];
#define QUO_NUMBER(field, name, preset, min, max, variable, help) uint64_t field;
#include "storage-node/config.def"
#undef QUO_TEXT
#undef QUO_NUMBER
};

static struct settings settings;

static const struct quo_config_key keys[] = {
#define QUO_TEXT(field, name, preset, variable, help)                                              \
    {name, QUO_CONFIG_TEXT, settings.field, preset, 0, 0, variable, help},
#define QUO_NUMBER(field, name, preset, min, max, variable, help)                                  \
    {name, QUO_CONFIG_NUMBER, &settings.field, preset, min, max, variable, help},
#include "storage-node/config.def"
#undef QUO_TEXT
#undef QUO_NUMBER
};

struct arguments {
    struct quo_program common;
    const char *data;
    const char *cluster;
    bool init;
};

/* Everything of the running node. The loop's, but for what is atomic. */
static struct node {
    struct quo_identity identity;
    int lock;
    struct quo_node_info info; /* what the map says of this node */
    uint16_t port;             /* where it takes frames */
    uint32_t epoch;
    struct quo_loop *loop;
    struct quo_store *engine;
    struct quo_store *store; /* the engine, or what remembers its records */
    struct quo_acceptor *acceptor;
    struct quo_map *map;
    struct quo_peers *peers; /* the other nodes */
    struct quo_server *server;
    struct quo_admin *admin; /* NULL: not served */
    struct quo_turn_hook turn;
    struct quo_timed server_timer;
    struct quo_timed drain_timer;
    uint64_t drain_until_us; /* UINT64_MAX while not draining */
    struct quo_task drain;
    bool drained;
    bool told_started, told_failed;
    pthread_t signals;
    atomic_bool ended; /* the next signal is for that thread alone */
} node = {.drain_until_us = UINT64_MAX};

/* Command line and settings. */

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        return 0;
    case 'd':
        arguments->data = argument;
        return 0;
    case 'u':
        arguments->cluster = argument;
        return 0;
    case 'i':
        arguments->init = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void parse_arguments(int argc, char **argv, struct arguments *ret)
{
    static const struct argp_option options[] = {
        {"data", 'd', "DIR", 0, "Use the data directory DIR, whatever the settings say", 0},
        {"init", 'i', NULL, 0,
         "Make the identity of a new replica in --data, an empty directory, for --cluster; print "
         "its replica id, which goes into the cluster map",
         0},
        {"cluster", 'u', "HEX", 0, "The cluster's id, 16 hexadecimal digits; with --init", 0},
        {0},
    };
    static const struct argp_child children[] = {{&quo_program_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse_argument,
        .doc = "Keeps the replicas of one data directory and serves them to proxies.",
        .children = children,
    };

    ret->common.keys = keys;
    ret->common.key_count = QUO_COUNT(keys);
    argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, ret);
}

/* Exactly 16 hexadecimal digits, and not 0. */
static bool parse_id(const char *text, uint64_t *ret)
{
    if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16)
        return false;
    *ret = strtoull(text, NULL, 16);
    return *ret != 0;
}

_Noreturn static void init(const struct arguments *arguments)
{
    struct quo_identity identity;
    uint64_t cluster;
    char why[WHY_MAX];

    if (arguments->data == NULL || arguments->cluster == NULL)
        quo_fail("--init needs --data and --cluster");
    if (!parse_id(arguments->cluster, &cluster))
        quo_fail("--cluster \"%s\" is not 16 hexadecimal digits other than zeros",
                 arguments->cluster);
    if (quo_identity_create(arguments->data, cluster, &identity, why, sizeof why) != QUO_OK)
        quo_fail("%s", why);
    printf("%016" PRIx64 "\n", identity.replica);
    exit(fflush(stdout) == 0 ? 0 : 1);
}

static void read_settings(const struct arguments *arguments)
{
    quo_program_read_settings(&arguments->common, settings.map, settings.log_level);
    quo_program_override(settings.data, arguments->data);
    if (strcmp(settings.engine, "rocksdb") != 0 && strcmp(settings.engine, "memory") != 0 &&
        strcmp(settings.engine, "null") != 0)
        quo_fail("engine \"%s\" is not rocksdb, memory or null", settings.engine);
}

/* Returns the map, which names this node. */
static struct quo_map *read_map(const struct quo_identity *identity)
{
    struct quo_map *map = quo_program_read_map(settings.map);
    int index;

    if (map->cluster != identity->cluster)
        quo_fail("%s is of cluster %016" PRIx64 ", the data in %s of cluster %016" PRIx64,
                 settings.map, map->cluster, settings.data, identity->cluster);
    index = quo_map_node(map, identity->replica);
    if (index < 0)
        quo_fail("the map %s names no node with replica id %016" PRIx64 ", which is that of %s",
                 settings.map, identity->replica, settings.data);
    node.info = map->nodes[index];
    node.epoch = map->epoch;
    return map;
}

_Noreturn static void check(void)
{
    char why[WHY_MAX];

    if (quo_identity_read(settings.data, &node.identity, why, sizeof why) != QUO_OK)
        quo_fail("%s", why);
    free(read_map(&node.identity));
    printf("settings, map and identity are valid\n");
    exit(0);
}

/* The parts. */

static bool uses_rocksdb(void)
{
    return strcmp(settings.engine, "rocksdb") == 0;
}

static const char *engine_failure(void *context)
{
    (void)context;
    return uses_rocksdb() ? quo_store_rocksdb_failure(node.engine) : "";
}

#define QUO_FIGURE(field, type, metric, help)                                                      \
    quo_metric_head(text, metric, type, help);                                                     \
    quo_metric_value(text, metric, "", figures.field);

static void cache_metrics(struct quo_text *text)
{
    const struct quo_store_cached_figures figures = quo_store_cached_figures(node.store);
#include "storage-node/engine/cached.def"
}

static void engine_metrics(void *context, struct quo_text *text)
{
    struct quo_store_figures figures;

    (void)context;
    if (!uses_rocksdb())
        return;
    if (node.store != node.engine)
        cache_metrics(text);
    quo_store_rocksdb_figures(node.engine, &figures);
#include "storage-node/engine/figures.def"
}
#undef QUO_FIGURE

static void open_store(void)
{
    struct quo_mailbox *mailbox = quo_loop_mailbox(node.loop);
    char path[QUO_CONFIG_TEXT_MAX + 8], why[WHY_MAX] = "out of memory";
    struct quo_engine_options options = {
        .path = path,
        .mailbox = mailbox,
        .block_cache_bytes = settings.cache_bytes,
        .write_buffer_bytes = settings.write_buffer_bytes,
        .disk_reserve_bytes = settings.disk_reserve_bytes,
        .reader_threads = (uint32_t)settings.reader_threads,
    };

    snprintf(path, sizeof path, "%s/store", settings.data);
    if (strcmp(settings.engine, "memory") == 0)
        node.engine = quo_store_memory_new(mailbox);
    else if (strcmp(settings.engine, "null") == 0)
        node.engine = quo_store_null_new(mailbox);
    else if (quo_store_rocksdb_open(&options, &node.engine, why, sizeof why) != QUO_OK)
        node.engine = NULL;
    if (node.engine == NULL)
        quo_fail("%s", why);
    node.store = node.engine;
    if (uses_rocksdb() && settings.record_cache_bytes > 0)
        node.store = quo_store_cached_new(
            node.engine, QUO_MAX(settings.record_cache_bytes, QUO_STORE_CACHED_BYTES_MIN));
    if (node.store == NULL)
        quo_fail("out of memory");
}

static int listen_on(const char *host, uint16_t port, uint16_t *ret_port)
{
    char why[WHY_MAX];
    int listener;

    if (quo_listen(host, port, 1, &listener, ret_port, why, sizeof why) != QUO_OK)
        quo_fail("cannot listen on %s", why);
    return listener;
}

static void make_acceptor(void)
{
    const char *host = settings.listen_host[0] != '\0' ? settings.listen_host : node.info.host;
    const uint16_t port =
        settings.listen_port != 0 ? (uint16_t)settings.listen_port : node.info.port;
    const struct quo_acceptor_options options = {
        .loop = node.loop,
        .listener = listen_on(host, port, &node.port),
        .cluster = node.identity.cluster,
        .replica = node.identity.replica,
        .epoch = node.epoch,
    };

    node.acceptor = quo_acceptor_new(&options);
    if (node.acceptor == NULL)
        quo_fail("out of memory");
}

static void make_peers(void)
{
    const struct quo_peers_options options = {
        .loop = node.loop,
        .map = node.map,
        .self = node.identity.replica,
    };

    node.peers = quo_peers_new(&options);
    if (node.peers == NULL)
        quo_fail("out of memory");
}

static void make_server(void)
{
    char why[WHY_MAX];
    struct quo_server_options options = {
        .env = quo_loop_env(node.loop),
        .transport = quo_acceptor_transport(node.acceptor),
        .mesh = quo_peers_transport(node.peers),
        .any_proxy = quo_acceptor_any_proxy,
        .store = node.store,
        .replica = node.identity.replica,
        .map = node.map,
        .delete_grace_ms = settings.delete_grace_ms,
        .collect_every_ms = settings.collect_every_ms,
    };

    if (quo_server_new(&options, &node.server, why, sizeof why) != QUO_OK)
        quo_fail("%s", why);
}

static void make_admin(void)
{
    struct quo_admin_options options = {
        .loop = node.loop,
        .server = node.server,
        .net = quo_acceptor_stats(node.acceptor),
        .engine_metrics = engine_metrics,
        .engine_failure = engine_failure,
    };
    uint16_t port;

    if (settings.admin_port == 0)
        return;
    options.listener = listen_on(settings.admin_host, (uint16_t)settings.admin_port, &port);
    node.admin = quo_admin_new(&options);
    if (node.admin == NULL)
        quo_fail("out of memory");
}

/* Life. */

static bool is_draining(void)
{
    return node.drain_until_us != UINT64_MAX;
}

/* The engine knows why it failed, this file knows when that matters: says it once. */
static void tell_changes(void)
{
    char quoted[640], host[320];
    bool failed = !quo_server_writable(node.server) && !is_draining();

    if (quo_server_serving(node.server) && !node.told_started) {
        node.told_started = true;
        quo_log(QUO_LOG_INFO, "node.started",
                "name=%s replica=%016" PRIx64 " host=%s port=%u epoch=%u engine=%s release=%s",
                node.info.name, node.identity.replica,
                quo_log_quote(quo_slice_of(node.info.host), host, sizeof host), (unsigned)node.port,
                (unsigned)node.epoch, settings.engine, QUO_RELEASE);
    }
    if (failed && !node.told_failed)
        quo_log(QUO_LOG_ERROR, "storage.failed", "why=%s",
                quo_log_quote(quo_slice_of(engine_failure(NULL)), quoted, sizeof quoted));
    if (!failed && node.told_failed && !is_draining())
        quo_log(QUO_LOG_INFO, "storage.recovered", "name=%s", node.info.name);
    node.told_failed = failed;
}

static void end_turn(struct quo_turn_hook *hook)
{
    (void)hook;
    quo_server_end_turn(node.server);
    tell_changes();
    if (is_draining() && quo_server_idle(node.server) && !quo_acceptor_busy(node.acceptor)) {
        node.drained = true;
        quo_loop_stop(node.loop);
    }
}

/* The server has its turn at the end of each of the loop's. */
static uint64_t server_deadline(struct quo_timed *timed)
{
    (void)timed;
    return quo_server_deadline(node.server);
}

static void server_expire(struct quo_timed *timed, uint64_t mono_us)
{
    (void)timed;
    (void)mono_us;
}

static void drain(struct quo_task *task)
{
    (void)task;
    node.drain_until_us = quo_mono_us(quo_loop_env(node.loop)) + DRAIN_US;
    quo_acceptor_close_listener(node.acceptor);
    quo_server_drain(node.server);
    if (node.admin != NULL)
        quo_admin_drain(node.admin);
}

static uint64_t drain_deadline(struct quo_timed *timed)
{
    (void)timed;
    return node.drain_until_us;
}

static void drain_expire(struct quo_timed *timed, uint64_t mono_us)
{
    (void)timed;
    (void)mono_us;
    quo_loop_stop(node.loop);
}

/* The first signal stops the node in order, the second at once. */
static void *wait_for_signals(void *context)
{
    const sigset_t *signals = context;
    struct quo_mailbox *mailbox = quo_loop_mailbox(node.loop);
    int received = 0;

    sigwait(signals, &received);
    quo_log(QUO_LOG_INFO, "node.stopping", "signal=%d", received);
    mailbox->ops->post(mailbox, &node.drain);
    sigwait(signals, &received);
    if (!atomic_load(&node.ended))
        _exit(1);
    return NULL;
}

static void start(sigset_t *signals)
{
    char why[WHY_MAX];

    if (quo_identity_hold(settings.data, &node.identity, &node.lock, why, sizeof why) != QUO_OK)
        quo_fail("%s", why);
    node.map = read_map(&node.identity);
    quo_program_raise_descriptors(QUO_NODE_CONNS_MAX + OTHER_DESCRIPTORS);
    node.loop = quo_loop_new();
    if (node.loop == NULL)
        quo_fail("out of memory or descriptors");
    open_store();
    /* Connections wait to be accepted until the loop runs, and then the server is there. */
    make_acceptor();
    make_peers();
    make_server();
    make_admin();

    node.turn.run = end_turn;
    quo_loop_add_turn_hook(node.loop, &node.turn);
    node.server_timer.deadline = server_deadline;
    node.server_timer.expire = server_expire;
    quo_loop_add_timed(node.loop, &node.server_timer);
    node.drain.run = drain;
    node.drain_timer.deadline = drain_deadline;
    node.drain_timer.expire = drain_expire;
    quo_loop_add_timed(node.loop, &node.drain_timer);
    if (pthread_create(&node.signals, NULL, wait_for_signals, signals) != 0)
        quo_fail("cannot start a thread");
}

/* The server is idle. Without the acceptor no request can come while the admin hangs up. */
static void stop(void)
{
    atomic_store(&node.ended, true);
    pthread_kill(node.signals, SIGTERM);
    pthread_join(node.signals, NULL);
    quo_acceptor_free(node.acceptor);
    quo_peers_free(node.peers);
    quo_loop_remove_turn_hook(node.loop, &node.turn);
    quo_loop_remove_timed(node.loop, &node.server_timer);
    quo_admin_free(node.admin);
    quo_server_free(node.server);
    node.store->ops->close(node.store);
    free(node.map);
    quo_loop_free(node.loop);
    close(node.lock);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    static sigset_t signals;

    parse_arguments(argc, argv, &arguments);
    if (arguments.init)
        init(&arguments);
    read_settings(&arguments);
    if (arguments.common.check)
        check();
    quo_program_block_signals(&signals);
    start(&signals);
    quo_loop_run(node.loop);
    if (node.drained)
        stop();
    quo_log(QUO_LOG_INFO, "node.stopped", "drained=%s", node.drained ? "true" : "false");
    /* With something stuck the store cannot be closed; it comes back as after a crash. */
    if (!node.drained)
        _exit(1);
    return 0;
}
