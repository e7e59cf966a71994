#include "history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <yajl/yajl_tree.h>

static const char *const type_names[] = {
    [QUO_HISTORY_GET] = "get", [QUO_HISTORY_PUT] = "put", [QUO_HISTORY_DELETE] = "delete"};
static const char *const outcome_names[] = {[QUO_HISTORY_OK] = "ok",
                                            [QUO_HISTORY_NOT_APPLIED] = "not-applied",
                                            [QUO_HISTORY_UNKNOWN] = "unknown"};

struct reader {
    struct quo_history history;
    size_t op_room;
    size_t line;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 2, 3))) static enum quo_status refuse(struct reader *r,
                                                                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = snprintf(r->why, r->why_size, "line %zu: ", r->line);
    if (n >= 0 && (size_t)n < r->why_size)
        vsnprintf(r->why + n, r->why_size - (size_t)n, format, args);
    va_end(args);
    return QUO_INVALID;
}

static yajl_val field(yajl_val line, const char *name)
{
    const char *path[] = {name, NULL};
    return yajl_tree_get(line, path, yajl_t_any);
}

static enum quo_status read_number(struct reader *r, yajl_val line, const char *name, uint64_t *ret)
{
    yajl_val v = field(line, name);
    if (v == NULL || !YAJL_IS_INTEGER(v) || YAJL_GET_INTEGER(v) < 0)
        return refuse(r, "\"%s\" must be a whole number", name);
    *ret = (uint64_t)YAJL_GET_INTEGER(v);
    return QUO_OK;
}

static enum quo_status read_name(struct reader *r, yajl_val line, const char *name,
                                 const char *const *names, size_t count, unsigned *ret)
{
    const char *text = YAJL_GET_STRING(field(line, name));
    for (unsigned i = 1; text != NULL && i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = i;
            return QUO_OK;
        }
    }
    return refuse(r, "\"%s\" is missing or unknown", name);
}

/* The number of a text, a new one if need be. */
static enum quo_status intern(char ***texts, size_t *count, const char *text, uint32_t *ret)
{
    for (size_t i = 0; i < *count; i++) {
        if ((*texts)[i] != NULL && strcmp((*texts)[i], text) == 0) {
            *ret = (uint32_t)i;
            return QUO_OK;
        }
    }
    char **bigger = realloc(*texts, (*count + 1) * sizeof *bigger);
    if (bigger == NULL)
        return QUO_NO_MEMORY;
    *texts = bigger;
    bigger[*count] = strdup(text);
    if (bigger[*count] == NULL)
        return QUO_NO_MEMORY;
    *ret = (uint32_t)(*count)++;
    return QUO_OK;
}

static enum quo_status read_names(struct reader *r, yajl_val line, struct quo_history_op *op)
{
    unsigned type = 0, outcome = 0;
    enum quo_status status = read_name(r, line, "op", type_names, QUO_COUNT(type_names), &type);
    if (status == QUO_OK)
        status = read_name(r, line, "outcome", outcome_names, QUO_COUNT(outcome_names), &outcome);
    if (status != QUO_OK)
        return status;
    op->type = (enum quo_history_type)type;
    op->outcome = (enum quo_history_outcome)outcome;
    const char *level = YAJL_GET_STRING(field(line, "level"));
    if (level == NULL || !quo_level_parse(quo_slice_of(level), &op->level))
        return refuse(r, "\"level\" is missing or unknown");
    const char *key = YAJL_GET_STRING(field(line, "key"));
    if (key == NULL)
        return refuse(r, "\"key\" must be a string");
    return intern(&r->history.keys, &r->history.key_count, key, &op->key);
}

static enum quo_status read_value(struct reader *r, yajl_val line, struct quo_history_op *op)
{
    yajl_val v = field(line, "value");
    bool absent = v == NULL || YAJL_IS_NULL(v);
    if (!absent && !YAJL_IS_STRING(v))
        return refuse(r, "\"value\" must be a string or null");
    if (op->type == QUO_HISTORY_PUT && absent)
        return refuse(r, "a put needs a value");
    if (op->type == QUO_HISTORY_DELETE && !absent)
        return refuse(r, "a delete has no value");
    if (absent)
        return QUO_OK;
    return intern(&r->history.values, &r->history.value_count, YAJL_GET_STRING(v), &op->value);
}

static enum quo_status read_times(struct reader *r, yajl_val line, struct quo_history_op *op)
{
    enum quo_status status = read_number(r, line, "call", &op->call);
    if (status != QUO_OK)
        return status;
    yajl_val ret = field(line, "return");
    op->ret = QUO_HISTORY_NEVER;
    if (ret != NULL && !YAJL_IS_NULL(ret)) {
        status = read_number(r, line, "return", &op->ret);
        if (status != QUO_OK)
            return status;
        if (op->ret < op->call)
            return refuse(r, "returned before it was called");
    } else if (op->outcome != QUO_HISTORY_UNKNOWN) {
        return refuse(r, "only an unknown operation may lack \"return\"");
    }
    return QUO_OK;
}

static enum quo_status read_version(struct reader *r, yajl_val line, struct quo_history_op *op)
{
    yajl_val v = field(line, "version");
    if (v == NULL || YAJL_IS_NULL(v))
        return QUO_OK;
    const char *text = YAJL_GET_STRING(v);
    if (text == NULL || !quo_version_parse(text, strlen(text), &op->version))
        return refuse(r, "\"version\" must be 32 hexadecimal digits or null");
    return QUO_OK;
}

static enum quo_status read_op(struct reader *r, yajl_val line, struct quo_history_op *op)
{
    uint64_t process = 0, session = 0;
    enum quo_status status = read_number(r, line, "id", &op->id);
    if (status == QUO_OK)
        status = read_number(r, line, "process", &process);
    if (status == QUO_OK && field(line, "session") != NULL)
        status = read_number(r, line, "session", &session);
    if (status != QUO_OK)
        return status;
    op->process = (uint32_t)process;
    op->session = (uint32_t)session;
    status = read_names(r, line, op);
    if (status == QUO_OK)
        status = read_value(r, line, op);
    if (status == QUO_OK)
        status = read_times(r, line, op);
    if (status == QUO_OK)
        status = read_version(r, line, op);
    return status;
}

static enum quo_status read_line(struct reader *r, const char *text)
{
    char error[256];
    yajl_val line = yajl_tree_parse(text, error, sizeof error);
    if (line == NULL || !YAJL_IS_OBJECT(line)) {
        yajl_tree_free(line);
        return refuse(r, "not a JSON object");
    }
    struct quo_history *h = &r->history;
    enum quo_status status = QUO_OK;
    if (h->count == r->op_room) {
        size_t room = 2 * r->op_room + 64;
        struct quo_history_op *ops = realloc(h->ops, room * sizeof *ops);
        if (ops == NULL)
            status = QUO_NO_MEMORY;
        else
            h->ops = ops, r->op_room = room;
    }
    if (status == QUO_OK) {
        h->ops[h->count] = (struct quo_history_op){0};
        status = read_op(r, line, &h->ops[h->count]);
    }
    h->count += status == QUO_OK;
    yajl_tree_free(line);
    return status;
}

static bool blank(const char *line)
{
    return line[strspn(line, " \t\r\n")] == '\0' || line[0] == '#';
}

enum quo_status quo_history_read(const char *path, struct quo_history *ret, char *why,
                                 size_t why_size)
{
    struct reader r = {.why = why, .why_size = why_size};
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(why, why_size, "%s", strerror(errno));
        return QUO_NOT_FOUND;
    }
    enum quo_status status = QUO_NO_MEMORY;
    r.history.values = calloc(1, sizeof *r.history.values);
    if (r.history.values == NULL)
        goto done;
    r.history.value_count = 1;
    status = QUO_OK;
    while (status == QUO_OK && getline(&line, &room, file) >= 0) {
        r.line++;
        if (!blank(line))
            status = read_line(&r, line);
    }
    if (status == QUO_OK && ferror(file))
        status = refuse(&r, "%s", strerror(errno));
done:
    free(line);
    fclose(file);
    if (status == QUO_OK)
        *ret = r.history;
    else
        quo_history_free(&r.history);
    return status;
}

void quo_history_free(struct quo_history *h)
{
    for (size_t i = 0; i < h->key_count; i++)
        free(h->keys[i]);
    for (size_t i = 0; i < h->value_count; i++)
        free(h->values[i]);
    free(h->keys);
    free(h->values);
    free(h->ops);
    *h = (struct quo_history){0};
}

static void format_key(const struct quo_history *names, uint32_t key, char *out, size_t size)
{
    if (names != NULL)
        snprintf(out, size, "%s", names->keys[key]);
    else
        snprintf(out, size, "k%" PRIu32, key);
}

static void format_value(const struct quo_history *names, uint32_t value, char *out, size_t size)
{
    if (value == 0)
        snprintf(out, size, "-");
    else if (names != NULL)
        snprintf(out, size, "%s", names->values[value]);
    else
        snprintf(out, size, "v%" PRIu32, value);
}

static void print_op(FILE *out, const struct quo_history *names, const struct quo_history_op *op)
{
    char key[64], value[64], ret[24] = "never", version[QUO_VERSION_TEXT + 1] = "-";
    format_key(names, op->key, key, sizeof key);
    format_value(names, op->value, value, sizeof value);
    if (op->ret != QUO_HISTORY_NEVER)
        snprintf(ret, sizeof ret, "%" PRIu64, op->ret);
    if (!quo_version_is_none(op->version))
        quo_version_format(op->version, version);
    fprintf(out,
            "  #%-5" PRIu64 " p%-3" PRIu32 " %10" PRIu64 " .. %-10s %-8s %-6s %s %s %-9s"
            "  %-11s version %s\n",
            op->id, op->process, op->call, ret, quo_level_name(op->level), type_names[op->type],
            key, op->type == QUO_HISTORY_GET ? "->" : "<-", value, outcome_names[op->outcome],
            version);
}

void quo_history_print(FILE *out, const struct quo_history *names, const struct quo_history_op *ops,
                       size_t count)
{
    uint64_t last = 0;
    size_t left = count;
    for (uint64_t next; left > 0; last = next + 1) {
        next = UINT64_MAX;
        for (size_t i = 0; i < count; i++)
            if (ops[i].call >= last)
                next = QUO_MIN(next, ops[i].call);
        for (size_t i = 0; i < count; i++) {
            if (ops[i].call == next) {
                print_op(out, names, &ops[i]);
                left--;
            }
        }
    }
}

void quo_history_write(FILE *out, const struct quo_history *names, const struct quo_history_op *op)
{
    char key[64], value[64], version[QUO_VERSION_TEXT + 1];
    format_key(names, op->key, key, sizeof key);
    format_value(names, op->value, value, sizeof value);
    fprintf(out, "{\"id\":%" PRIu64 ",\"process\":%" PRIu32, op->id, op->process);
    if (op->session != 0)
        fprintf(out, ",\"session\":%" PRIu32, op->session);
    fprintf(out, ",\"key\":\"%s\",\"op\":\"%s\"", key, type_names[op->type]);
    fprintf(out, ",\"level\":\"%s\"", quo_level_name(op->level));
    if (op->value != 0)
        fprintf(out, ",\"value\":\"%s\"", value);
    else
        fprintf(out, ",\"value\":null");
    fprintf(out, ",\"call\":%" PRIu64, op->call);
    if (op->ret != QUO_HISTORY_NEVER)
        fprintf(out, ",\"return\":%" PRIu64, op->ret);
    else
        fprintf(out, ",\"return\":null");
    fprintf(out, ",\"outcome\":\"%s\"", outcome_names[op->outcome]);
    if (!quo_version_is_none(op->version)) {
        quo_version_format(op->version, version);
        fprintf(out, ",\"version\":\"%s\"", version);
    }
    fprintf(out, "}\n");
}
