/* quorate-check: judges histories in NDJSON. */
#include <argp.h>
#include <stdlib.h>

#include "counter.h"
#include "linear.h"
#include "session.h"
#include "versions.h"

/* Operations of a counter up to which it is searched as well as counted. */
#define SEARCH_MAX 5000u

#define EXIT_VIOLATION 1
#define EXIT_UNDECIDED 2
#define EXIT_UNREADABLE 3

struct options {
    size_t memory_max;
    char **files;
    int file_count;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    char *end;
    switch (key) {
    case 'm':
        options->memory_max = strtoull(arg, &end, 10) << 20;
        if (*end != '\0' || options->memory_max == 0)
            argp_error(state, "--memory wants a number of MiB");
        return 0;
    case ARGP_KEY_ARGS:
        options->files = state->argv + state->next;
        options->file_count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Copies the operations of one key to `out`. */
static size_t of_key(const struct quo_history *h, uint32_t key, struct quo_history_op *out)
{
    size_t n = 0;
    for (size_t i = 0; i < h->count; i++)
        if (h->ops[i].key == key)
            out[n++] = h->ops[i];
    return n;
}

static int judge_counter(const struct quo_history *h, uint32_t key,
                         const struct quo_history_op *ops, size_t n)
{
    struct quo_counter_finding finding = quo_counter_check(ops, n);
    if (finding.what == NULL)
        return 0;
    printf("key %s: %s\n", h->keys[key], finding.what);
    quo_history_print(stdout, h, finding.first, 1);
    if (finding.second != NULL)
        quo_history_print(stdout, h, finding.second, 1);
    return EXIT_VIOLATION;
}

static int judge_versions(const struct quo_history *h, uint32_t key,
                          const struct quo_history_op *ops, size_t n)
{
    struct quo_versions_finding finding = quo_versions_check(ops, n);
    if (finding.what == NULL)
        return 0;
    printf("key %s: %s\n", h->keys[key], finding.what);
    quo_history_print(stdout, h, finding.first, 1);
    quo_history_print(stdout, h, finding.second, 1);
    return EXIT_VIOLATION;
}

static int judge_key(struct quo_linear *linear, const struct quo_history *h, uint32_t key,
                     struct quo_history_op *ops)
{
    size_t n = of_key(h, key, ops);
    if (judge_versions(h, key, ops, n) != 0)
        return EXIT_VIOLATION;
    if (n > 0 && ops[0].model == QUO_HISTORY_COUNTER && quo_counter_applies(ops, n)) {
        int result = judge_counter(h, key, ops, n);
        if (result != 0 || n > SEARCH_MAX)
            return result;
    }
    enum quo_linear_verdict verdict = quo_linear_check(linear, ops, n);
    if (verdict == QUO_LINEAR_UNDECIDED) {
        printf("key %s: undecided, memory ran out (%zu operations)\n", h->keys[key], n);
        return EXIT_UNDECIDED;
    }
    if (verdict == QUO_LINEAR_VIOLATION) {
        size_t left = quo_linear_minimise(linear, ops, n);
        printf("key %s: not linearizable; these %zu of %zu operations suffice\n", h->keys[key],
               left, n);
        quo_history_print(stdout, h, ops, left);
        return EXIT_VIOLATION;
    }
    return 0;
}

/* A violation outweighs "undecided". */
static int worse(int a, int b)
{
    static const int weight[] = {0, 2, 1, 3};
    return weight[a] >= weight[b] ? a : b;
}

static int judge_sessions(const struct quo_history *h)
{
    struct quo_session_finding finding = quo_session_check(h->ops, h->count);
    if (finding.what == NULL)
        return 0;
    printf("session %u: %s\n", finding.first->session, finding.what);
    quo_history_print(stdout, h, finding.first, 1);
    quo_history_print(stdout, h, finding.second, 1);
    return EXIT_VIOLATION;
}

static int judge_file(struct quo_linear *linear, const char *path)
{
    struct quo_history h;
    char why[256];
    if (quo_history_read(path, &h, why, sizeof why) != QUO_OK) {
        fprintf(stderr, "%s: %s\n", path, why);
        return EXIT_UNREADABLE;
    }
    struct quo_history_op *ops = calloc(h.count + 1, sizeof *ops);
    QUO_REQUIRE(ops != NULL);
    int result = judge_sessions(&h);
    for (uint32_t key = 0; key < h.key_count; key++)
        result = worse(result, judge_key(linear, &h, key, ops));
    static const char *const words[] = {"ok", "VIOLATION", "undecided"};
    printf("%s: %s, %zu operations on %zu keys\n", path, words[result], h.count, h.key_count);
    free(ops);
    quo_history_free(&h);
    return result;
}

int main(int argc, char **argv)
{
    static const struct argp_option known[] = {
        {"memory", 'm', "MIB", 0, "memory for visited configurations (1024)", 0}, {0}};
    static const struct argp argp = {
        .options = known,
        .parser = parse,
        .args_doc = "FILE...",
        .doc =
            "Judges histories: linearizability of strong operations, order of versions and session "
            "guarantees.\v"
            "Exit status: 0 all hold, 1 a violation, 2 undecided, 3 unreadable."};
    struct options options = {.memory_max = (size_t)1024 << 20};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    struct quo_linear *linear = quo_linear_new(options.memory_max);
    QUO_REQUIRE(linear != NULL);
    int result = 0;
    for (int i = 0; i < options.file_count; i++)
        result = worse(result, judge_file(linear, options.files[i]));
    quo_linear_free(linear);
    return result;
}
