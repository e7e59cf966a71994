/* quorate-proxy: reads its settings and the cluster map, runs one loop per core, reads its
 * certificate again on SIGHUP, ends on SIGTERM.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "proxy/http/server.h"
#include "proxy/seats/seats.h"
#include "quorate/listen.h"
#include "quorate/log.h"
#include "quorate/program.h"
#include "quorate/tls.h"

#define WHY_MAX 1024u
#define DRAIN_CHECK_US 20000u
#define OTHER_DESCRIPTORS 64u /* of a loop, beside its clients, nodes and proxies */

struct settings {
#define QUO_TEXT(field, name, preset, variable, help) char field[QUO_CONFIG_TEXT_MAX];
#define QUO_NUMBER(field, name, preset, min, max, variable, help) uint64_t field;
#define QUO_SWITCH(field, name, preset, variable, help) bool field;
#include "proxy/config.def"
#undef QUO_TEXT
#undef QUO_NUMBER
#undef QUO_SWITCH
};

static struct settings settings;

static const struct quo_config_key keys[] = {
#define QUO_TEXT(field, name, preset, variable, help)                                              \
    {name, QUO_CONFIG_TEXT, settings.field, preset, 0, 0, variable, help},
#define QUO_NUMBER(field, name, preset, min, max, variable, help)                                  \
    {name, QUO_CONFIG_NUMBER, &settings.field, preset, min, max, variable, help},
#define QUO_SWITCH(field, name, preset, variable, help)                                            \
    {name, QUO_CONFIG_SWITCH, &settings.field, preset, 0, 0, variable, help},
#include "proxy/config.def"
#undef QUO_TEXT
#undef QUO_NUMBER
#undef QUO_SWITCH
};

/* How far all loops have come together. */
enum stage {
    STAGE_LOOPS, /* each makes its loop, which then has a mailbox */
    STAGE_PARTS, /* each makes everything else */
    STAGE_SERVE,
};

/* What the loops and the main thread tell each other. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum stage stage;
    uint32_t arrived; /* loops that have done the stage's work */
    bool failed;      /* one of them could not */
    uint32_t drained; /* loops without connections and operations */
} progress = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* One loop with all that belongs to it; everything is made and used in its thread. */
struct worker {
    pthread_t thread;
    int listener;       /* -1: none */
    int tls_listener;   /* -1: none */
    int peers_listener; /* of this proxy's name */
    struct quo_loop *loop;
    struct quo_peers *nodes;
    struct quo_peers *proxies;         /* NULL: there are no others */
    struct quo_acceptor *acceptor;     /* NULL: this is none of the map's */
    struct quo_seats_transport *seats; /* NULL: this loop is alone */
    struct quo_service *service;
    struct quo_http *http;
    struct quo_turn_hook turn;
    struct quo_timed service_timer;
    struct quo_timed drain_timer;
    struct quo_task drain;
    uint64_t drain_check_us; /* UINT64_MAX while not draining, or done */
};

static struct worker workers[QUO_LOOPS_MAX];
static struct quo_lanes *lanes; /* NULL: one loop */
static struct quo_http_sources sources;
static struct quo_map *map;
static struct quo_tls *tls; /* NULL: no HTTPS */
/* Where clients are awaited; 0: nowhere. */
static struct {
    uint16_t plain, secure;
} ports;
static struct quo_token_secret secret; /* of the session tokens */
static uint32_t own = UINT32_MAX; /* of the map's proxies the one that this is; UINT32_MAX: none */

static bool is_named(void)
{
    return own != UINT32_MAX;
}

/* Of a loop: its work of this stage is done, or failed. */
static void arrive(bool well)
{
    pthread_mutex_lock(&progress.mutex);
    progress.arrived++;
    progress.failed = progress.failed || !well;
    pthread_cond_broadcast(&progress.changed);
    pthread_mutex_unlock(&progress.mutex);
}

/* Of a loop. */
static void await_stage(enum stage stage)
{
    pthread_mutex_lock(&progress.mutex);
    while (progress.stage != stage)
        pthread_cond_wait(&progress.changed, &progress.mutex);
    pthread_mutex_unlock(&progress.mutex);
}

/* Of the main thread. */
static void await_arrivals(void)
{
    bool failed;

    pthread_mutex_lock(&progress.mutex);
    while (progress.arrived < sources.loops)
        pthread_cond_wait(&progress.changed, &progress.mutex);
    failed = progress.failed;
    pthread_mutex_unlock(&progress.mutex);
    if (failed)
        quo_fail("out of memory or descriptors");
}

/* Of the main thread. */
static void enter(enum stage stage)
{
    pthread_mutex_lock(&progress.mutex);
    progress.arrived = 0;
    progress.stage = stage;
    pthread_cond_broadcast(&progress.changed);
    pthread_mutex_unlock(&progress.mutex);
}

static void end_turn(struct quo_turn_hook *hook)
{
    quo_lanes_end_turn(lanes, (uint32_t)(QUO_CONTAINER_OF(hook, struct worker, turn) - workers));
}

static uint64_t service_deadline(struct quo_timed *timed)
{
    return quo_service_deadline(QUO_CONTAINER_OF(timed, struct worker, service_timer)->service);
}

static void service_expire(struct quo_timed *timed, uint64_t mono_us)
{
    quo_service_expire(QUO_CONTAINER_OF(timed, struct worker, service_timer)->service, mono_us);
}

static uint64_t drain_deadline(struct quo_timed *timed)
{
    return QUO_CONTAINER_OF(timed, struct worker, drain_timer)->drain_check_us;
}

static bool is_drained(const struct worker *worker)
{
    return quo_http_drained(worker->http) && quo_service_in_flight(worker->service) == 0 &&
           (worker->acceptor == NULL || !quo_acceptor_busy(worker->acceptor));
}

static void drain_expire(struct quo_timed *timed, uint64_t mono_us)
{
    struct worker *worker = QUO_CONTAINER_OF(timed, struct worker, drain_timer);

    worker->drain_check_us = mono_us + DRAIN_CHECK_US;
    if (!is_drained(worker))
        return;
    worker->drain_check_us = UINT64_MAX;
    pthread_mutex_lock(&progress.mutex);
    progress.drained++;
    pthread_cond_broadcast(&progress.changed);
    pthread_mutex_unlock(&progress.mutex);
}

static void drain(struct quo_task *task)
{
    struct worker *worker = QUO_CONTAINER_OF(task, struct worker, drain);

    quo_http_drain(worker->http);
    if (worker->acceptor != NULL)
        quo_acceptor_close_listener(worker->acceptor);
    if (worker->seats != NULL)
        quo_seats_drain(worker->seats);
    worker->drain_check_us = 0;
}

static uint32_t share_of_connections(uint32_t loops)
{
    return (uint32_t)((settings.connections_max + loops - 1) / loops);
}

static bool build_http(struct worker *worker)
{
    struct quo_http_options options = {
        .loop = worker->loop,
        .service = worker->service,
        .map = map,
        .sources = &sources,
        .secret = &secret,
        .listener = worker->listener,
        .tls_listener = worker->tls_listener,
        .tls = tls,
        .connections_max = share_of_connections(sources.loops),
        .idle_timeout_ms = (uint32_t)settings.idle_timeout * 1000,
        .request_timeout_ms = (uint32_t)settings.request_timeout * 1000,
        .write_timeout_ms = (uint32_t)settings.write_timeout * 1000,
        .access_log = settings.access_log,
    };

    worker->http = quo_http_new(&options);
    return worker->http != NULL;
}

/* The ways to and from the map's other proxies. */
static bool build_peers(struct worker *worker)
{
    const struct quo_peers_options proxies = {
        .loop = worker->loop,
        .map = map,
        .proxies = true,
        .own = own,
    };
    const struct quo_acceptor_options acceptor = {
        .loop = worker->loop,
        .listener = worker->peers_listener,
        .cluster = map->cluster,
        .epoch = map->epoch,
    };

    if (map->proxy_count > (is_named() ? 1 : 0)) {
        worker->proxies = quo_peers_new(&proxies);
        if (worker->proxies == NULL)
            return false;
    }
    if (is_named()) {
        worker->acceptor = quo_acceptor_new(&acceptor);
        if (worker->acceptor == NULL)
            return false;
    }
    return true;
}

static bool build_seats(struct worker *worker, uint32_t index)
{
    struct quo_seats_options options = {.loops = sources.loops};

    if (!build_peers(worker))
        return false;
    if (worker->proxies != NULL)
        options.proxies = quo_peers_transport(worker->proxies);
    if (worker->acceptor != NULL)
        options.acceptor = quo_acceptor_transport(worker->acceptor);
    if (lanes != NULL) {
        options.lanes = quo_lanes_transport(lanes, index);
        worker->turn.run = end_turn;
        quo_loop_add_turn_hook(worker->loop, &worker->turn);
    }
    if (options.lanes == NULL && options.proxies == NULL && options.acceptor == NULL)
        return true;
    worker->seats = quo_seats_new(&options);
    return worker->seats != NULL;
}

static bool build_service(struct worker *worker, uint32_t index)
{
    const struct quo_peers_options nodes = {.loop = worker->loop, .map = map};
    struct quo_service_options options = {
        .env = quo_loop_env(worker->loop),
        .map = map,
        .hedge_percent = (uint32_t)settings.hedge_percent,
        .hedge_min_us = settings.hedge_min,
        .seats = {.loops = sources.loops, .loop = index, .proxy = own},
    };

    worker->nodes = quo_peers_new(&nodes);
    if (worker->nodes == NULL)
        return false;
    options.transport = quo_peers_transport(worker->nodes);
    if (worker->seats != NULL)
        options.seats.transport = quo_seats_transport_of(worker->seats);
    worker->service = quo_service_new(&options);
    if (worker->service == NULL)
        return false;
    worker->service_timer.deadline = service_deadline;
    worker->service_timer.expire = service_expire;
    quo_loop_add_timed(worker->loop, &worker->service_timer);
    return true;
}

static bool build(struct worker *worker)
{
    const uint32_t index = (uint32_t)(worker - workers);

    if (!build_seats(worker, index) || !build_service(worker, index) || !build_http(worker))
        return false;
    worker->drain.run = drain;
    worker->drain_check_us = UINT64_MAX;
    worker->drain_timer.deadline = drain_deadline;
    worker->drain_timer.expire = drain_expire;
    quo_loop_add_timed(worker->loop, &worker->drain_timer);
    sources.at[index].service = quo_service_stats(worker->service);
    sources.at[index].net = quo_peers_stats(worker->nodes);
    sources.at[index].http = quo_http_stats(worker->http);
    return true;
}

static void *run_worker(void *context)
{
    struct worker *worker = context;

    worker->loop = quo_loop_new();
    arrive(worker->loop != NULL);
    await_stage(STAGE_PARTS);
    arrive(build(worker));
    await_stage(STAGE_SERVE);
    quo_loop_run(worker->loop);
    return NULL;
}

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    (void)argument;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static void parse_arguments(int argc, char **argv, struct quo_program *ret)
{
    static const struct argp_child children[] = {{&quo_program_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse_argument,
        .doc = "Serves keys and values over HTTP from the storage nodes of a cluster map.",
        .children = children,
    };

    ret->keys = keys;
    ret->key_count = QUO_COUNT(keys);
    argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, ret);
}

static void read_map(void)
{
    map = quo_program_read_map(settings.map);
    for (uint32_t i = 0; i < map->proxy_count; i++) {
        if (strcmp(map->proxies[i].name, settings.name) == 0)
            own = i;
    }
    if (settings.name[0] != '\0' && !is_named())
        quo_fail("the map %s has no proxy named \"%s\"", settings.map, settings.name);
}

static void read_session_key(void)
{
    if (quo_token_secret(quo_slice_of(settings.session_key), map->cluster, &secret) != QUO_OK)
        quo_fail("session_key must be an even number of hexadecimal digits, %u to %u",
                 QUO_TOKEN_SECRET_DIGITS_MIN, QUO_TOKEN_SECRET_DIGITS_MAX);
}

static void read_certificate(void)
{
    const struct quo_tls_options options = {
        .certificate = settings.tls_certificate,
        .key = settings.tls_key,
        .client_ca = settings.tls_client_ca,
        .on_end = quo_secure_on_end,
    };
    char why[WHY_MAX];

    if (settings.tls_certificate[0] == '\0') {
        if (settings.tls_key[0] != '\0' || settings.tls_client_ca[0] != '\0')
            quo_fail("tls.key and tls.client_ca are of no use without tls.certificate");
        if (!settings.listen_plain)
            quo_fail("listen.plain is false, and without tls.certificate there is no HTTPS");
        return;
    }
    if (settings.tls_key[0] == '\0')
        quo_fail("tls.certificate needs tls.key");
    if (quo_tls_new(&options, &tls, why, sizeof why) != QUO_OK)
        quo_fail("%s", why);
    sources.tls = tls;
}

static void read_certificate_again(void)
{
    char why[WHY_MAX], quoted[2 * WHY_MAX];

    if (quo_tls_reload(tls, why, sizeof why) != QUO_OK)
        quo_log(QUO_LOG_ERROR, "tls.not_reloaded", "why=%s stays=\"what was read before\"",
                quo_log_quote(quo_slice_of(why), quoted, sizeof quoted));
}

/* Each other proxy connects with every of its loops, and the kernel may bring all to one of ours.
 */
static void raise_descriptors(void)
{
    const uint64_t of_loop = map->node_count + map->proxy_count + OTHER_DESCRIPTORS;
    const uint64_t guests = is_named() ? map->proxy_count * QUO_LOOPS_MAX : 0;

    quo_program_raise_descriptors(settings.connections_max + sources.loops * of_loop + guests);
}

static uint32_t choose_loops(void)
{
    cpu_set_t cores;

    if (settings.loops > 0)
        return (uint32_t)settings.loops;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0)
        return 1;
    return QUO_MIN((uint32_t)CPU_COUNT(&cores), QUO_LOOPS_MAX);
}

/* Returns the port; with all listeners -1, and 0, if it is not wanted. */
static uint16_t listen_for_clients(bool wanted, const char *host, uint64_t port_wanted,
                                   int listeners[QUO_LOOPS_MAX])
{
    char why[WHY_MAX];
    uint16_t port = 0;

    memset(listeners, 0xff, QUO_LOOPS_MAX * sizeof *listeners);
    if (wanted && quo_listen(host, (uint16_t)port_wanted, sources.loops, listeners, &port, why,
                             sizeof why) != QUO_OK)
        quo_fail("cannot listen on %s", why);
    return port;
}

static void listen_for_all_clients(void)
{
    const char *tls_host = settings.tls_host[0] != '\0' ? settings.tls_host : settings.listen_host;
    int plain[QUO_LOOPS_MAX], secure[QUO_LOOPS_MAX];

    ports.plain = listen_for_clients(settings.listen_plain, settings.listen_host,
                                     settings.listen_port, plain);
    ports.secure = listen_for_clients(tls != NULL, tls_host, settings.tls_port, secure);
    for (uint32_t i = 0; i < sources.loops; i++) {
        workers[i].listener = plain[i];
        workers[i].tls_listener = secure[i];
    }
}

static void listen_for_proxies(void)
{
    const struct quo_proxy_info *info = &map->proxies[own];
    const char *host = settings.peers_host[0] != '\0' ? settings.peers_host : info->host;
    uint16_t port = settings.peers_port != 0 ? (uint16_t)settings.peers_port : info->port;
    int listeners[QUO_LOOPS_MAX];
    char why[WHY_MAX];

    if (quo_listen(host, port, sources.loops, listeners, &port, why, sizeof why) != QUO_OK)
        quo_fail("cannot listen for other proxies on %s", why);
    for (uint32_t i = 0; i < sources.loops; i++)
        workers[i].peers_listener = listeners[i];
}

static void make_lanes(void)
{
    struct quo_mailbox *mailboxes[QUO_LOOPS_MAX];

    if (sources.loops == 1)
        return;
    for (uint32_t i = 0; i < sources.loops; i++)
        mailboxes[i] = quo_loop_mailbox(workers[i].loop);
    lanes = quo_lanes_new(mailboxes, sources.loops);
    if (lanes == NULL)
        quo_fail("out of memory");
}

/* No loop runs before all are complete: from then on they may hand each other frames. */
static void start_workers(void)
{
    for (uint32_t i = 0; i < sources.loops; i++) {
        if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0)
            quo_fail("cannot start a thread");
    }
    await_arrivals();
    make_lanes();
    enter(STAGE_PARTS);
    await_arrivals();
    enter(STAGE_SERVE);
}

/* Lets the requests under way end, for a while. */
static bool drain_workers(void)
{
    struct timespec until;
    int failed = 0;
    bool all;

    for (uint32_t i = 0; i < sources.loops; i++) {
        struct quo_mailbox *mailbox = quo_loop_mailbox(workers[i].loop);

        mailbox->ops->post(mailbox, &workers[i].drain);
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += QUO_HTTP_DRAIN_MS / 1000;
    pthread_mutex_lock(&progress.mutex);
    while (progress.drained < sources.loops && failed == 0)
        failed =
            pthread_cond_clockwait(&progress.changed, &progress.mutex, CLOCK_MONOTONIC, &until);
    all = progress.drained == sources.loops;
    pthread_mutex_unlock(&progress.mutex);
    return all;
}

/* Without a certificate SIGHUP ends the program, as it does by default. */
static void block_signals(sigset_t *ret)
{
    quo_program_block_signals(ret);
    if (tls == NULL)
        return;
    sigaddset(ret, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
}

/* Returns the signal that ends the program. */
static int await_end(const sigset_t *signals)
{
    int received = 0;

    while (sigwait(signals, &received) != 0 || received == SIGHUP) {
        if (received == SIGHUP)
            read_certificate_again();
    }
    return received;
}

int main(int argc, char **argv)
{
    struct quo_program program = {0};
    sigset_t signals;
    char host[320];
    int received;

    parse_arguments(argc, argv, &program);
    quo_program_read_settings(&program, settings.map, settings.log_level);
    read_map();
    read_session_key();
    read_certificate();
    if (program.check) {
        printf("settings and map are valid\n");
        return 0;
    }
    block_signals(&signals);
    sources.loops = choose_loops();
    raise_descriptors();
    listen_for_all_clients();
    if (is_named())
        listen_for_proxies();
    start_workers();
    quo_log(QUO_LOG_INFO, "proxy.started",
            "host=%s port=%u tls_port=%u loops=%u name=%s release=%s",
            quo_log_quote(quo_slice_of(settings.listen_host), host, sizeof host), ports.plain,
            ports.secure, sources.loops, is_named() ? settings.name : "-", QUO_RELEASE);
    received = await_end(&signals);
    quo_log(QUO_LOG_INFO, "proxy.stopping", "signal=%d", received);
    quo_log(QUO_LOG_INFO, "proxy.stopped", "drained=%s", drain_workers() ? "true" : "false");
    /* The library's contexts cannot be disposed of while connections exist, so nothing is. */
    _exit(0);
}
