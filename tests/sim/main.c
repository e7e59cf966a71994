/* quorate-sim: many seeds of the simulated world. */
#include <argp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

static const char *const mutant_names[QUO_MUTANT_COUNT] = {
    "NONE",
#define QUO_MUTANT_DEF(name, text) #name,
#include "quorate/mutants.def"
#undef QUO_MUTANT_DEF
};
static const char *const mutant_texts[QUO_MUTANT_COUNT] = {
    "",
#define QUO_MUTANT_DEF(name, text) text,
#include "quorate/mutants.def"
#undef QUO_MUTANT_DEF
};
static const char *const probe_names[QUO_PROBE_COUNT] = {
#define QUO_PROBE_DEF(name, text) #name,
#include "quorate/probes.def"
#undef QUO_PROBE_DEF
};
static const char *const probe_texts[QUO_PROBE_COUNT] = {
#define QUO_PROBE_DEF(name, text) text,
#include "quorate/probes.def"
#undef QUO_PROBE_DEF
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

enum {
    KEY_SEED = 1,
    KEY_SEEDS,
    KEY_KIND,
    KEY_MUTANT,
    KEY_SECONDS,
    KEY_TRACE,
    KEY_MUTANTS,
    KEY_PROBES,
    KEY_UNSAFE,
    KEY_RARE,
    KEY_HASHES,
    KEY_CLIENTS,
    KEY_HISTORY
};

#define KIND_OF_SEED ((enum quo_kind)0)

struct options {
    uint64_t seed, seeds, seconds;
    enum quo_kind kind; /* or KIND_OF_SEED */
    bool trace, rare, hashes, clients_only;
    bool unsafe_disk, unsafe_amnesia;
    const char *history; /* a file */
    char replay[128];    /* arguments that a replay needs as well, each after a space */
};

struct totals {
    uint64_t seeds, ops, events, violations, hash;
    struct timespec start;
};

static struct sim *world;
static struct options options = {.seed = 1, .kind = KIND_OF_SEED};
static struct totals totals;
static const char *program;

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

static void print_summary(void)
{
    double seconds = seconds_since(&totals.start);
    printf("{\"seeds\":%" PRIu64 ",\"ops\":%" PRIu64 ",\"events\":%" PRIu64
           ",\"violations\":%" PRIu64 ",\"undecided\":%" PRIu64 ",\"seeds_per_second\":%.0f",
           totals.seeds, totals.ops, totals.events, totals.violations, world->undecided,
           seconds > 0 ? (double)totals.seeds / seconds : 0.0);
    printf(",\"rare\":{");
    for (int i = 0; i < QUO_PROBE_COUNT; i++)
        printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", probe_names[i], quo_probe_counts[i]);
    printf("},\"trace_hash\":\"%016" PRIx64 "\"}\n", totals.hash);
    fflush(stdout);
}

/* An assertion or a crash inside a seed: say which one. The process is lost anyway, so calls that
 * are not safe in a signal handler can make nothing worse. */
static void on_crash(int signal_number)
{
    signal(signal_number, SIG_DFL);
    sim_violate(world, SIM_CRASH, SIM_KEYS_MAX, "signal %d", signal_number);
    world->violation.class = SIM_CRASH;
    world->violation.key = SIM_KEYS_MAX;
    totals.violations++;
    sim_report(stdout, world, program, options.replay);
    print_summary();
    _exit(SIM_CRASH);
}

static void list(const char *const *names, const char *const *texts, int first, int count)
{
    for (int i = first; i < count; i++)
        printf("%-28s %s\n", names[i], texts[i]);
    exit(0);
}

static void replay_with(const char *option, const char *value)
{
    size_t used = strlen(options.replay);
    snprintf(options.replay + used, sizeof options.replay - used, " %s %s", option, value);
}

static void plant(struct argp_state *state, const char *name)
{
    for (int i = 1; i < QUO_MUTANT_COUNT; i++) {
        if (strcmp(mutant_names[i], name) == 0) {
            quo_mutant_planted = (enum quo_mutant)i;
            replay_with("--mutant", name);
            return;
        }
    }
    argp_error(state, "no such mutant: %s", name);
}

static void lie(struct argp_state *state, const char *name)
{
    options.unsafe_disk = strcmp(name, "disk") == 0;
    options.unsafe_amnesia = strcmp(name, "amnesia") == 0;
    if (!options.unsafe_disk && !options.unsafe_amnesia)
        argp_error(state, "--unsafe wants disk or amnesia");
    replay_with("--unsafe", name);
}

static uint64_t number(struct argp_state *state, const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0')
        argp_error(state, "not a number: %s", text);
    return n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case KEY_SEED:
        options.seed = number(state, arg);
        return 0;
    case KEY_SEEDS:
        options.seeds = number(state, arg);
        return 0;
    case KEY_SECONDS:
        options.seconds = number(state, arg);
        return 0;
    case KEY_KIND:
        options.kind = KIND_OF_SEED;
        if (strcmp(arg, "each") != 0 && !quo_kind_parse(quo_slice_of(arg), &options.kind))
            argp_error(state, "--kind wants lww, cas, mixed, crdt or each");
        replay_with("--kind", arg);
        return 0;
    case KEY_MUTANT:
        plant(state, arg);
        return 0;
    case KEY_UNSAFE:
        lie(state, arg);
        return 0;
    case KEY_TRACE:
        options.trace = true;
        return 0;
    case KEY_RARE:
        options.rare = true;
        return 0;
    case KEY_HISTORY:
        options.history = arg;
        return 0;
    case KEY_CLIENTS:
        options.clients_only = true;
        replay_with("--clients-only", "");
        return 0;
    case KEY_HASHES:
        options.hashes = true;
        return 0;
    case KEY_MUTANTS:
        list(mutant_names, mutant_texts, 1, QUO_MUTANT_COUNT);
        return 0;
    case KEY_PROBES:
        list(probe_names, probe_texts, 0, QUO_PROBE_COUNT);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option known[] = {
    {"seed", KEY_SEED, "S", 0, "the first seed (1)", 0},
    {"seeds", KEY_SEEDS, "N", 0, "how many (1, or until --seconds)", 0},
    {"seconds", KEY_SECONDS, "T", 0, "stop after this time", 0},
    {"kind", KEY_KIND, "KIND", 0, "lww, cas, mixed or crdt, or each: the seed says which (each)",
     0},
    {"mutant", KEY_MUTANT, "NAME", 0, "switch one rule off", 0},
    {"unsafe", KEY_UNSAFE, "WHAT", 0,
     "let the world lie: disk (a sync that is none), amnesia (an empty disk under an old name)", 0},
    {"rare", KEY_RARE, NULL, 0, "fail when a rare state was never reached", 0},
    {"clients-only", KEY_CLIENTS, NULL, 0,
     "judge by what clients saw, not by what nodes and disks did", 0},
    {"history", KEY_HISTORY, "FILE", 0,
     "write what clients saw in the last seed, as HISTORY.md says", 0},
    {"hashes", KEY_HASHES, NULL, 0, "print the hash of every seed", 0},
    {"trace", KEY_TRACE, NULL, 0, "print what happens", 0},
    {"list-mutants", KEY_MUTANTS, NULL, 0, "the rules that can be switched off", 0},
    {"list-probes", KEY_PROBES, NULL, 0, "the rare states that are counted", 0},
    {0}};

static bool more(uint64_t done)
{
    if (options.seeds != 0 && done >= options.seeds)
        return false;
    if (options.seconds != 0 && seconds_since(&totals.start) >= (double)options.seconds)
        return false;
    return options.seeds != 0 || options.seconds != 0 || done == 0;
}

static void run_seeds(void)
{
    uint64_t undecided = 0;
    for (uint64_t i = 0; more(i) && !sim_failed(world); i++) {
        sim_run(world, options.seed + i, options.kind);
        totals.seeds++;
        totals.ops += world->op_count;
        totals.events += world->events;
        totals.hash = (totals.hash ^ world->trace_hash) * 0xff51afd7ed558ccdu;
        if (world->undecided > undecided)
            fprintf(stderr, "seed %" PRIu64 ": undecided\n", world->seed);
        undecided = world->undecided;
        if (options.hashes)
            printf("%" PRIu64 " %016" PRIx64 "\n", world->seed, world->trace_hash);
    }
}

static void write_history(void)
{
    FILE *out = fopen(options.history, "we");
    if (out == NULL) {
        perror(options.history);
        exit(1);
    }
    for (uint32_t i = 0; i < SIM_COUNTERS_MAX; i++)
        quo_history_write_model(out, NULL, SIM_KEY_COUNTER + i, QUO_HISTORY_COUNTER);
    for (uint32_t i = 0; i < world->op_count; i++)
        if (sim_op_is_first(&world->ops[i]) && world->ops[i].seen.call != 0)
            quo_history_write(out, NULL, &world->ops[i].seen);
    fclose(out);
}

/* What simulated clients do not do; unit tests reach its states. */
static bool is_elsewhere(const char *probe)
{
    static const char *const names[] = {"PAGE_SCANNED_AGAIN", "READ_BOUND_ESCALATED"};
    for (size_t i = 0; i < QUO_COUNT(names); i++)
        if (strcmp(probe, names[i]) == 0)
            return true;
    return false;
}

/* Names the rare states that nobody reached. Returns whether there were any. */
static bool report_unreached(void)
{
    bool any = false;
    for (int i = 0; i < QUO_PROBE_COUNT; i++) {
        if (quo_probe_counts[i] == 0 && !is_elsewhere(probe_names[i])) {
            fprintf(stderr, "never reached: %s (%s)\n", probe_names[i], probe_texts[i]);
            any = true;
        }
    }
    return any;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = known,
        .parser = parse,
        .doc =
            "Runs the real proxies and nodes in a simulated world, seed by seed, until one fails.\v"
            "Exit status: 0 all held, 127 crash or assertion, 128 liveness, 129 consistency, 1 a "
            "rare "
            "state was not reached (--rare) or a history was undecided."};
    program = argv[0];
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    world = sim_new();
    world->trace = options.trace ? stdout : NULL;
    world->clients_only = options.clients_only;
    world->unsafe_disk = options.unsafe_disk;
    world->unsafe_amnesia = options.unsafe_amnesia;
    signal(SIGABRT, on_crash);
    signal(SIGFPE, on_crash);
    /* A sanitizer tells more of a wild pointer than we could. */
    if (!SANITIZED)
        signal(SIGSEGV, on_crash);
    clock_gettime(CLOCK_MONOTONIC, &totals.start);
    run_seeds();
    if (options.history != NULL)
        write_history();
    int result = world->violation.class;
    if (sim_failed(world)) {
        totals.violations++;
        sim_report(stdout, world, program, options.replay);
    } else if ((options.rare && report_unreached()) || world->undecided > 0) {
        result = 1;
    }
    print_summary();
    sim_free(world);
    return result;
}
