/* quorate-proxy: reads its settings and the cluster map, runs one loop per core, ends on SIGTERM.
 */
#include <argp.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "proxy/http/server.h"
#include "quorate/config.h"
#include "quorate/listen.h"
#include "quorate/log.h"
#include "quorate/map_file.h"

#define WHY_MAX 1024u
#define DRAIN_CHECK_US 20000u
#define OTHER_DESCRIPTORS 64u /* of a loop, beside its clients and nodes */

const char *argp_program_version = "quorate-proxy " QUO_RELEASE;

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

struct arguments {
    const char *config;
    const char *map;
    bool check;
};

/* What the loops and the main thread tell each other. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t built;   /* loops that have everything */
    uint32_t failed;  /* loops that could not be made */
    uint32_t drained; /* loops without connections and operations */
    bool serve;       /* all loops may start */
} progress = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* One loop with all that belongs to it; everything is made and used in its thread. */
struct lane {
    pthread_t thread;
    int listener;
    struct quo_loop *loop;
    struct quo_peers *peers;
    struct quo_service *service;
    struct quo_http *http;
    struct quo_timed service_timer;
    struct quo_timed drain_timer;
    struct quo_task drain;
    uint64_t drain_check_us; /* UINT64_MAX while not draining, or done */
};

static struct lane lanes[QUO_LOOPS_MAX];
static struct quo_http_sources sources;
static struct quo_map *map;

static void tell(uint32_t *count)
{
    pthread_mutex_lock(&progress.mutex);
    (*count)++;
    pthread_cond_broadcast(&progress.changed);
    pthread_mutex_unlock(&progress.mutex);
}

static uint64_t service_deadline(struct quo_timed *timed)
{
    return quo_service_deadline(QUO_CONTAINER_OF(timed, struct lane, service_timer)->service);
}

static void service_expire(struct quo_timed *timed, uint64_t mono_us)
{
    quo_service_expire(QUO_CONTAINER_OF(timed, struct lane, service_timer)->service, mono_us);
}

static uint64_t drain_deadline(struct quo_timed *timed)
{
    return QUO_CONTAINER_OF(timed, struct lane, drain_timer)->drain_check_us;
}

static void drain_expire(struct quo_timed *timed, uint64_t mono_us)
{
    struct lane *lane = QUO_CONTAINER_OF(timed, struct lane, drain_timer);

    lane->drain_check_us = mono_us + DRAIN_CHECK_US;
    if (!quo_http_drained(lane->http) || quo_service_in_flight(lane->service) > 0)
        return;
    lane->drain_check_us = UINT64_MAX;
    tell(&progress.drained);
}

static void drain(struct quo_task *task)
{
    struct lane *lane = QUO_CONTAINER_OF(task, struct lane, drain);

    quo_http_drain(lane->http);
    lane->drain_check_us = 0;
}

static uint32_t share_of_connections(uint32_t loops)
{
    return (uint32_t)((settings.connections_max + loops - 1) / loops);
}

static bool build_http(struct lane *lane)
{
    struct quo_http_options options = {
        .loop = lane->loop,
        .service = lane->service,
        .map = map,
        .sources = &sources,
        .listener = lane->listener,
        .connections_max = share_of_connections(sources.loops),
        .idle_timeout_ms = (uint32_t)settings.idle_timeout * 1000,
        .request_timeout_ms = (uint32_t)settings.request_timeout * 1000,
        .write_timeout_ms = (uint32_t)settings.write_timeout * 1000,
        .access_log = settings.access_log,
    };

    lane->http = quo_http_new(&options);
    return lane->http != NULL;
}

static bool build_service(struct lane *lane)
{
    struct quo_peers_options peers = {.loop = lane->loop, .map = map};
    struct quo_service_options service = {
        .env = quo_loop_env(lane->loop),
        .map = map,
        .hedge_percent = (uint32_t)settings.hedge_percent,
        .hedge_min_us = settings.hedge_min,
    };

    lane->peers = quo_peers_new(&peers);
    if (lane->peers == NULL)
        return false;
    service.transport = quo_peers_transport(lane->peers);
    lane->service = quo_service_new(&service);
    if (lane->service == NULL)
        return false;
    lane->service_timer.deadline = service_deadline;
    lane->service_timer.expire = service_expire;
    quo_loop_add_timed(lane->loop, &lane->service_timer);
    return true;
}

static bool build(struct lane *lane)
{
    size_t index = (size_t)(lane - lanes);

    lane->loop = quo_loop_new();
    if (lane->loop == NULL || !build_service(lane) || !build_http(lane))
        return false;
    lane->drain.run = drain;
    lane->drain_check_us = UINT64_MAX;
    lane->drain_timer.deadline = drain_deadline;
    lane->drain_timer.expire = drain_expire;
    quo_loop_add_timed(lane->loop, &lane->drain_timer);
    sources.at[index].service = quo_service_stats(lane->service);
    sources.at[index].net = quo_peers_stats(lane->peers);
    sources.at[index].http = quo_http_stats(lane->http);
    return true;
}

static void *run_lane(void *context)
{
    struct lane *lane = context;

    if (!build(lane)) {
        tell(&progress.failed);
        return NULL;
    }
    tell(&progress.built);
    pthread_mutex_lock(&progress.mutex);
    while (!progress.serve)
        pthread_cond_wait(&progress.changed, &progress.mutex);
    pthread_mutex_unlock(&progress.mutex);
    quo_loop_run(lane->loop);
    return NULL;
}

static error_t parse_argument(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'c':
        arguments->config = argument;
        return 0;
    case 'm':
        arguments->map = argument;
        return 0;
    case 'n':
        arguments->check = true;
        return 0;
    case 'h':
        argp_state_help(state, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC);
        printf("\nSettings, in the file or in the environment:\n\n");
        quo_config_print_help(keys, QUO_COUNT(keys));
        exit(0);
    case ARGP_KEY_ARG:
        argp_error(state, "no argument is expected: %s", argument);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void parse_arguments(int argc, char **argv, struct arguments *ret)
{
    static const struct argp_option options[] = {
        {"config", 'c', "FILE", 0, "Read the settings from FILE", 0},
        {"map", 'm', "FILE", 0, "Read the cluster map from FILE, whatever the settings say", 0},
        {"check", 'n', NULL, 0, "Check settings and map, start nothing", 0},
        {"help", 'h', NULL, 0, "Show this and every setting", -1},
        {0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse_argument,
        .doc = "Serves keys and values over HTTP from the storage nodes of a cluster map.",
    };

    argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, ret);
    if (argc > 1)
        return;
    fprintf(stderr, "quorate-proxy: --config or --map is needed; see --help\n");
    exit(2);
}

_Noreturn static void fail(const char *why)
{
    fprintf(stderr, "quorate-proxy: %s\n", why);
    exit(1);
}

static void read_settings(const struct arguments *arguments)
{
    enum quo_log_level level;
    char why[WHY_MAX];

    if (quo_config_read(keys, QUO_COUNT(keys), arguments->config, why, sizeof why) != QUO_OK)
        fail(why);
    if (arguments->map != NULL)
        snprintf(settings.map, sizeof settings.map, "%s", arguments->map);
    if (!quo_log_level_parse(settings.log_level, &level)) {
        snprintf(why, sizeof why, "%s: log_level \"%.64s\" is not debug, info, warn or error",
                 arguments->config != NULL ? arguments->config : "environment", settings.log_level);
        fail(why);
    }
    quo_log_set_level(level);
}

/* Only blind writes are served: a namespace that promises more must not seem to work. */
static void check_kinds(void)
{
    char why[WHY_MAX];

    for (uint32_t i = 0; i < map->namespace_count; i++) {
        const struct quo_namespace *ns = &map->namespaces[i];

        if (ns->kind == QUO_KIND_LWW)
            continue;
        snprintf(why, sizeof why,
                 "%.512s: namespace %s is of kind %s; this release serves kind lww only",
                 settings.map, ns->name, quo_kind_name(ns->kind));
        fail(why);
    }
}

static void read_map(void)
{
    char why[WHY_MAX], full[WHY_MAX * 2];

    map = calloc(1, sizeof *map);
    if (map == NULL)
        fail("out of memory");
    if (quo_map_load(settings.map, map, why, sizeof why) != QUO_OK) {
        snprintf(full, sizeof full, "%.900s: %s", settings.map, why);
        fail(full);
    }
    check_kinds();
}

/* Descriptors for as many clients as allowed, as far as the system lets us. */
static void raise_descriptors(void)
{
    rlim_t wanted =
        settings.connections_max + (rlim_t)sources.loops * (map->node_count + OTHER_DESCRIPTORS);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = QUO_MIN(wanted, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        quo_log(QUO_LOG_WARN, "proxy.descriptors", "allowed=%llu wanted=%llu",
                (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
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

/* Starts the threads and waits until all have built what they need. */
static void start_lanes(const int *listeners)
{
    bool failed;

    for (uint32_t i = 0; i < sources.loops; i++) {
        lanes[i].listener = listeners[i];
        if (pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]) != 0)
            fail("cannot start a thread");
    }
    pthread_mutex_lock(&progress.mutex);
    while (progress.built + progress.failed < sources.loops)
        pthread_cond_wait(&progress.changed, &progress.mutex);
    failed = progress.failed > 0;
    progress.serve = !failed;
    pthread_cond_broadcast(&progress.changed);
    pthread_mutex_unlock(&progress.mutex);
    if (failed)
        fail("out of memory or descriptors");
}

/* Lets the requests under way end, for a while. */
static bool drain_lanes(void)
{
    struct timespec until;
    int failed = 0;
    bool all;

    for (uint32_t i = 0; i < sources.loops; i++) {
        struct quo_mailbox *mailbox = quo_loop_mailbox(lanes[i].loop);

        mailbox->ops->post(mailbox, &lanes[i].drain);
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

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    int listeners[QUO_LOOPS_MAX], received = 0;
    char why[WHY_MAX], host[320];
    uint16_t port = 0;
    sigset_t signals;

    parse_arguments(argc, argv, &arguments);
    read_settings(&arguments);
    read_map();
    if (arguments.check) {
        printf("settings and map are valid\n");
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    sources.loops = choose_loops();
    raise_descriptors();
    if (quo_listen(settings.listen_host, (uint16_t)settings.listen_port, sources.loops, listeners,
                   &port, why, sizeof why) != QUO_OK)
        fail(why);
    start_lanes(listeners);
    quo_log(QUO_LOG_INFO, "proxy.started", "host=%s port=%u loops=%u release=%s",
            quo_log_quote(quo_slice_of(settings.listen_host), host, sizeof host), port,
            sources.loops, QUO_RELEASE);
    sigwait(&signals, &received);
    quo_log(QUO_LOG_INFO, "proxy.stopping", "signal=%d", received);
    quo_log(QUO_LOG_INFO, "proxy.stopped", "drained=%s", drain_lanes() ? "true" : "false");
    /* The library's contexts cannot be disposed of while connections exist, so nothing is. */
    _exit(0);
}
