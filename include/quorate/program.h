/* What every program does in the same way when it starts: its command line, its settings, the map,
 * what it asks of the system, and how it gives up.
 *
 * Threads: start-up only, quo_fail any.
 */
#ifndef QUORATE_PROGRAM_H
#define QUORATE_PROGRAM_H

#include <argp.h>
#include <signal.h>
#include <stdbool.h>

#include "quorate/cluster.h"
#include "quorate/config.h"

/* Says on stderr, after the program's name, why it cannot go on, and exits with 1. */
_Noreturn void quo_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The part of a command line that all have: --config, --map, --check, --version, --help. */
struct quo_program {
    const struct quo_config_key *keys; /* the caller's; for --help */
    size_t key_count;
    const char *config; /* as given; NULL: not given */
    const char *map;
    bool check; /* the settings and what they name, and start nothing */
};
/* A child of the program's own parser, which hands it a struct quo_program as its input. Refuses
 * arguments that are no options. To be used with ARGP_NO_HELP, since --help shows settings too. */
extern const struct argp quo_program_argp;

/* Reads the settings (see quo_config_read), puts --map over `map` and sets the log level to
 * `log_level`; both are texts among them. Fails the program if anything is wrong. */
void quo_program_read_settings(const struct quo_program *program, char *map, const char *log_level);
/* Puts an argument over a text of the settings. No-op for NULL; fails the program when too long. */
void quo_program_override(char setting[QUO_CONFIG_TEXT_MAX], const char *argument);
/* Returns the map in the file, to be freed by the caller. Fails the program without one. */
struct quo_map *quo_program_read_map(const char *path);

/* Ignores SIGPIPE, and blocks the signals that end a program, in this thread and those it starts,
 * so that one of them can wait for the set. */
void quo_program_block_signals(sigset_t *ret);
/* Lets the process have this many descriptors, as far as the system does; else a log line says
 * how many it has. */
void quo_program_raise_descriptors(uint64_t wanted);

#endif
