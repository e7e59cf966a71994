/* Configuration files: "key = value;" in libconfig syntax, described by a table.
 *
 * Every key is declared once, in a `.def` list of the program; from it come the reader, the
 * environment override, the --help text and the check. An unknown key, a wrong type or a value out
 * of range is an error with file and line. One file says everything: "@include" is refused.
 *
 * Threads: start-up only.
 */
#ifndef QUORATE_CONFIG_H
#define QUORATE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "quorate/status.h"

#define QUO_CONFIG_TEXT_MAX 4096u

enum quo_config_type { QUO_CONFIG_TEXT, QUO_CONFIG_NUMBER, QUO_CONFIG_SWITCH };

struct quo_config_key {
    const char *name; /* "listen.port": a dot is a group in the file */
    enum quo_config_type type;
    void *value;        /* char[QUO_CONFIG_TEXT_MAX], uint64_t or bool of the caller's struct */
    const char *preset; /* the default, as text */
    uint64_t min, max;  /* of a number */
    const char *environment; /* "QUORATE_LISTEN_PORT"; NULL for none */
    const char *help;        /* one sentence */
};

/* Sets every value: default, then file (if path is not NULL), then environment (as text: a number
 * in decimal digits, a switch as "true" or "false"). Requires presets that their own rows allow.
 * Returns QUO_OK, or QUO_INVALID with "file:line: what" or "VARIABLE: what" in why (NUL-terminated,
 * cut to fit); the values are then undefined. */
enum quo_status quo_config_read(const struct quo_config_key *keys, size_t count, const char *path,
                                char *why, size_t why_size);

/* Prints the table on stdout for --help: name, meaning, range, default, environment variable. */
void quo_config_print_help(const struct quo_config_key *keys, size_t count);

#endif
