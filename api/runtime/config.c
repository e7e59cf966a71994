#include "quorate/config.h"

#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/runtime/config_scan.h"
#include "api/runtime/read_file.h"
#include "quorate/base.h"
#include "quorate/limits.h"

#define PATH_MAX_BYTES 256u /* of "group.group.key" */

struct reader {
    const struct quo_config_key *keys;
    size_t count;
    const char *file;
    char *why;
    size_t why_size;
};

static enum quo_status refuse(const struct reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum quo_status refuse(const struct reader *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->why, r->why_size, format, args);
    va_end(args);
    return QUO_INVALID;
}

/* Says in `out` what `key` accepts. */
static void describe(const struct quo_config_key *key, char *out, size_t size)
{
    switch (key->type) {
    case QUO_CONFIG_TEXT:
        snprintf(out, size, "text of at most %u bytes", QUO_CONFIG_TEXT_MAX - 1);
        return;
    case QUO_CONFIG_NUMBER:
        snprintf(out, size, "a whole number from %" PRIu64 " to %" PRIu64, key->min, key->max);
        return;
    case QUO_CONFIG_SWITCH:
        snprintf(out, size, "true or false");
        return;
    }
    QUO_UNREACHABLE();
}

/* The three setters return whether the key accepts the value. */
static bool set_text(const struct quo_config_key *key, const char *text)
{
    size_t len = strlen(text);
    if (len >= QUO_CONFIG_TEXT_MAX)
        return false;
    memcpy(key->value, text, len + 1);
    return true;
}

static bool set_number(const struct quo_config_key *key, uint64_t number)
{
    if (number < key->min || number > key->max)
        return false;
    memcpy(key->value, &number, sizeof number);
    return true;
}

static bool set_switch(const struct quo_config_key *key, bool on)
{
    memcpy(key->value, &on, sizeof on);
    return true;
}

/* Digits only: strtoull would also take a sign, spaces and an empty text. */
static bool parse_number(const char *text, uint64_t *ret)
{
    uint64_t number = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return false;
    }
    *ret = number;
    return true;
}

/* Sets a key from text: a preset or the environment. */
static bool set_from_text(const struct quo_config_key *key, const char *text)
{
    uint64_t number;

    switch (key->type) {
    case QUO_CONFIG_TEXT:
        return set_text(key, text);
    case QUO_CONFIG_NUMBER:
        return parse_number(text, &number) && set_number(key, number);
    case QUO_CONFIG_SWITCH:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return false;
        return set_switch(key, strcmp(text, "true") == 0);
    }
    QUO_UNREACHABLE();
}

/* Sets a key from a value in the file; false also when it has another type. */
static bool set_from_setting(const struct quo_config_key *key, const config_setting_t *setting)
{
    const int type = config_setting_type(setting);

    switch (key->type) {
    case QUO_CONFIG_TEXT:
        return type == CONFIG_TYPE_STRING && set_text(key, config_setting_get_string(setting));
    case QUO_CONFIG_NUMBER:
        if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
            return false;
        /* Negative numbers of the file are no large ones. */
        return config_setting_get_int64(setting) >= 0 &&
               set_number(key, (uint64_t)config_setting_get_int64(setting));
    case QUO_CONFIG_SWITCH:
        return type == CONFIG_TYPE_BOOL && set_switch(key, config_setting_get_bool(setting) != 0);
    }
    QUO_UNREACHABLE();
}

static const struct quo_config_key *find_key(const struct reader *r, const char *path)
{
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->keys[i].name, path) == 0)
            return &r->keys[i];
    }
    return NULL;
}

/* Whether some key lies in the group `path`. */
static bool is_group(const struct reader *r, const char *path)
{
    const size_t len = strlen(path);
    for (size_t i = 0; i < r->count; i++) {
        if (strncmp(r->keys[i].name, path, len) == 0 && r->keys[i].name[len] == '.')
            return true;
    }
    return false;
}

static enum quo_status read_group(const struct reader *r, const config_setting_t *group,
                                  const char *prefix);

static enum quo_status read_setting(const struct reader *r, const config_setting_t *setting,
                                    const char *prefix)
{
    char path[PATH_MAX_BYTES], accepted[96];
    const unsigned line = config_setting_source_line(setting);

    /* A name too long for `path` is cut, and then equals no key since keys are shorter. */
    snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".",
             config_setting_name(setting));
    const struct quo_config_key *key = find_key(r, path);
    if (key != NULL) {
        if (set_from_setting(key, setting))
            return QUO_OK;
        describe(key, accepted, sizeof accepted);
        return refuse(r, "%s:%u: '%s' must be %s", r->file, line, path, accepted);
    }
    if (!is_group(r, path))
        return refuse(r, "%s:%u: unknown key '%s'", r->file, line, path);
    if (!config_setting_is_group(setting))
        return refuse(r, "%s:%u: '%s' must be a group: { ... }", r->file, line, path);
    return read_group(r, setting, path);
}

/* Recursion ends with the known groups: what lies in others is never looked at. */
static enum quo_status read_group(const struct reader *r, const config_setting_t *group,
                                  const char *prefix)
{
    const int count = config_setting_length(group);
    for (int i = 0; i < count; i++) {
        enum quo_status status =
            read_setting(r, config_setting_get_elem(group, (unsigned)i), prefix);
        if (status != QUO_OK)
            return status;
    }
    return QUO_OK;
}

static enum quo_status parse_text(const struct reader *r, const char *text)
{
    enum quo_status status;
    config_t config;

    config_init(&config);
    if (config_read_string(&config, text) == CONFIG_TRUE)
        status = read_group(r, config_root_setting(&config), "");
    else
        status =
            refuse(r, "%s:%d: %s", r->file, config_error_line(&config), config_error_text(&config));
    config_destroy(&config);
    return status;
}

static enum quo_status read_config_file(const struct reader *r)
{
    char *text = NULL;
    size_t len = 0;
    unsigned line;
    const char *trouble;

    enum quo_status status = quo_read_file(r->file, QUO_CONFIG_FILE_MAX, &text, &len);
    if (status == QUO_TOO_LARGE)
        return refuse(r, "%s: larger than %u bytes", r->file, QUO_CONFIG_FILE_MAX);
    if (status != QUO_OK)
        return refuse(r, "%s: %s", r->file, strerror(errno));
    if (quo_config_scan(text, len, &line, &trouble) == QUO_OK)
        status = parse_text(r, text);
    else
        status = refuse(r, "%s:%u: %s", r->file, line, trouble);
    free(text);
    return status;
}

static enum quo_status read_environment(const struct reader *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct quo_config_key *key = &r->keys[i];
        char accepted[96];
        const char *text = key->environment != NULL ? getenv(key->environment) : NULL;
        if (text == NULL || set_from_text(key, text))
            continue;
        describe(key, accepted, sizeof accepted);
        return refuse(r, "%s: must be %s, not '%.64s'", key->environment, accepted, text);
    }
    return QUO_OK;
}

enum quo_status quo_config_read(const struct quo_config_key *keys, size_t count, const char *path,
                                char *why, size_t why_size)
{
    const struct reader r = {
        .keys = keys,
        .count = count,
        .file = path,
        .why = why,
        .why_size = why_size,
    };

    for (size_t i = 0; i < count; i++) {
        QUO_REQUIRE(strlen(keys[i].name) < PATH_MAX_BYTES - 1);
        QUO_REQUIRE(set_from_text(&keys[i], keys[i].preset));
    }
    if (path != NULL) {
        enum quo_status status = read_config_file(&r);
        if (status != QUO_OK)
            return status;
    }
    return read_environment(&r);
}

void quo_config_print_help(const struct quo_config_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct quo_config_key *key = &keys[i];
        char accepted[96];

        describe(key, accepted, sizeof accepted);
        printf("  %s\n      %s\n      %c%s; default: %s", key->name, key->help,
               accepted[0] - ('a' - 'A'), accepted + 1,
               key->preset[0] == '\0' ? "none" : key->preset);
        if (key->environment != NULL)
            printf("; environment: %s", key->environment);
        printf("\n");
    }
}
