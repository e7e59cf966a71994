#include "quorate/program.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "quorate/base.h"
#include "quorate/log.h"
#include "quorate/map_file.h"

#define WHY_MAX 2048u

void quo_fail(const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    exit(1);
}

/* Command line */

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "Read the settings from FILE", 0},
    {"map", 'm', "FILE", 0, "Read the cluster map from FILE, whatever the settings say", 0},
    {"check", 'n', NULL, 0, "Check the settings and what they name, start nothing", 0},
    {"version", 'V', NULL, 0, "Show the release", -1},
    {"help", 'h', NULL, 0, "Show this and every setting", -1},
    {0},
};

_Noreturn static void show_help(const struct quo_program *program, const struct argp_state *state)
{
    argp_state_help(state, stdout, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC);
    printf("\nSettings, in the file or in the environment:\n\n");
    quo_config_print_help(program->keys, program->key_count);
    exit(0);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct quo_program *program = state->input;
    switch (key) {
    case 'c':
        program->config = argument;
        return 0;
    case 'm':
        program->map = argument;
        return 0;
    case 'n':
        program->check = true;
        return 0;
    case 'V':
        printf("%s %s\n", program_invocation_short_name, QUO_RELEASE);
        exit(0);
    case 'h':
        show_help(program, state);
    case ARGP_KEY_ARG:
        argp_error(state, "no argument is expected: %s", argument);
        return EINVAL;
    case ARGP_KEY_SUCCESS:
        if (state->argc == 1)
            argp_error(state, "--config or --map is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp quo_program_argp = {.options = options, .parser = parse};

/* Settings and map */

void quo_program_override(char setting[QUO_CONFIG_TEXT_MAX], const char *argument)
{
    if (argument == NULL)
        return;
    if (snprintf(setting, QUO_CONFIG_TEXT_MAX, "%s", argument) >= (int)QUO_CONFIG_TEXT_MAX)
        quo_fail("an argument is longer than %u bytes", QUO_CONFIG_TEXT_MAX - 1);
}

void quo_program_read_settings(const struct quo_program *program, char *map, const char *log_level)
{
    enum quo_log_level level;
    char why[WHY_MAX];
    if (quo_config_read(program->keys, program->key_count, program->config, why, sizeof why) !=
        QUO_OK)
        quo_fail("%s", why);
    quo_program_override(map, program->map);
    if (!quo_log_level_parse(log_level, &level))
        quo_fail("log_level \"%s\" is not debug, info, warn or error", log_level);
    quo_log_set_level(level);
}

struct quo_map *quo_program_read_map(const char *path)
{
    struct quo_map *map = calloc(1, sizeof *map);
    char why[WHY_MAX];
    if (map == NULL)
        quo_fail("out of memory");
    if (quo_map_load(path, map, why, sizeof why) != QUO_OK)
        quo_fail("%s: %s", path, why);
    return map;
}

/* The system */

void quo_program_block_signals(sigset_t *ret)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
}

void quo_program_raise_descriptors(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = QUO_MIN((rlim_t)wanted, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        quo_log(QUO_LOG_WARN, "program.descriptors", "allowed=%llu wanted=%llu",
                (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}
