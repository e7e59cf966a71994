#include "history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <yajl/yajl_tree.h>

static const char *const type_names[] = {[QUO_HISTORY_GET] = "get",
                                         [QUO_HISTORY_PUT] = "put",
                                         [QUO_HISTORY_DELETE] = "delete",
                                         [QUO_HISTORY_CAS] = "cas",
                                         [QUO_HISTORY_ADD] = "add"};
static const char *const outcome_names[] = {[QUO_HISTORY_OK] = "ok",
                                            [QUO_HISTORY_NOT_APPLIED] = "not-applied",
                                            [QUO_HISTORY_UNKNOWN] = "unknown",
                                            [QUO_HISTORY_FAILED] = "failed"};

bool quo_history_holds(const struct quo_history_op *op, int64_t held)
{
    int64_t sum;
    if (op->type == QUO_HISTORY_CAS)
        return held == op->expected;
    if (op->type != QUO_HISTORY_ADD)
        return true;
    return !__builtin_add_overflow(held, op->by, &sum) && sum >= op->min && sum <= op->max;
}

struct reader {
    struct quo_history history;
    bool *counters; /* by key */
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

/* The number of a key, a new one if need be. */
static enum quo_status read_key(struct reader *r, yajl_val line, uint32_t *ret)
{
    const char *key = YAJL_GET_STRING(field(line, "key"));
    size_t known = r->history.key_count;
    if (key == NULL)
        return refuse(r, "\"key\" must be a string");
    enum quo_status status = intern(&r->history.keys, &r->history.key_count, key, ret);
    if (status != QUO_OK || r->history.key_count == known)
        return status;
    bool *counters = realloc(r->counters, r->history.key_count * sizeof *counters);
    if (counters == NULL)
        return QUO_NO_MEMORY;
    r->counters = counters;
    r->counters[*ret] = false;
    return QUO_OK;
}

/* {"key":...,"model":"counter"}, before the first operation of the key. */
static enum quo_status read_model(struct reader *r, yajl_val line)
{
    size_t known = r->history.key_count;
    uint32_t key;
    const char *model = YAJL_GET_STRING(field(line, "model"));
    if (model == NULL || (strcmp(model, "counter") != 0 && strcmp(model, "register") != 0))
        return refuse(r, "\"model\" must be \"register\" or \"counter\"");
    enum quo_status status = read_key(r, line, &key);
    if (status == QUO_OK && r->history.key_count == known)
        return refuse(r, "a key's model comes before its operations, once");
    if (status == QUO_OK)
        r->counters[key] = strcmp(model, "counter") == 0;
    return status;
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
    status = read_key(r, line, &op->key);
    if (status == QUO_OK && r->counters[op->key])
        op->model = QUO_HISTORY_COUNTER;
    if (op->type == QUO_HISTORY_ADD && status == QUO_OK && op->model != QUO_HISTORY_COUNTER)
        return refuse(r, "an add needs a key whose model is \"counter\"");
    return status;
}

/* A value of the key's model; 0 when it is null or missing. Sets *ret_there if it is there at all,
 * null or not. */
static enum quo_status read_value(struct reader *r, yajl_val line, const char *name,
                                  const struct quo_history_op *op, int64_t *ret, bool *ret_there)
{
    yajl_val v = field(line, name);
    uint32_t number;
    *ret_there = v != NULL;
    if (v == NULL || YAJL_IS_NULL(v)) {
        *ret = 0;
        return QUO_OK;
    }
    if (op->model == QUO_HISTORY_COUNTER) {
        if (!YAJL_IS_INTEGER(v))
            return refuse(r, "\"%s\" of a counter must be a whole number or null", name);
        *ret = YAJL_GET_INTEGER(v);
        return QUO_OK;
    }
    if (!YAJL_IS_STRING(v))
        return refuse(r, "\"%s\" must be a string or null", name);
    enum quo_status status =
        intern(&r->history.values, &r->history.value_count, YAJL_GET_STRING(v), &number);
    if (status == QUO_OK)
        *ret = number;
    return status;
}

static enum quo_status read_bound(struct reader *r, yajl_val line, const char *name, int64_t none,
                                  int64_t *ret)
{
    yajl_val v = field(line, name);
    *ret = none;
    if (v == NULL || YAJL_IS_NULL(v))
        return QUO_OK;
    if (!YAJL_IS_INTEGER(v))
        return refuse(r, "\"%s\" must be a whole number", name);
    *ret = YAJL_GET_INTEGER(v);
    return QUO_OK;
}

static enum quo_status read_add(struct reader *r, yajl_val line, struct quo_history_op *op)
{
    yajl_val by = field(line, "by");
    if (by == NULL || !YAJL_IS_INTEGER(by))
        return refuse(r, "an add needs a whole number \"by\"");
    op->by = YAJL_GET_INTEGER(by);
    enum quo_status status = read_bound(r, line, "min", INT64_MIN, &op->min);
    if (status == QUO_OK)
        status = read_bound(r, line, "max", INT64_MAX, &op->max);
    return status;
}

static enum quo_status read_values(struct reader *r, yajl_val line, struct quo_history_op *op)
{
    bool there, expects = false;
    enum quo_status status = read_value(r, line, "value", op, &op->value, &there);
    there = there && !YAJL_IS_NULL(field(line, "value"));
    if (status == QUO_OK && op->type == QUO_HISTORY_PUT && !there)
        return refuse(r, "a put needs a value");
    if (status == QUO_OK && op->type == QUO_HISTORY_DELETE && there)
        return refuse(r, "a delete has no value");
    op->is_untold = op->type == QUO_HISTORY_ADD && op->outcome == QUO_HISTORY_OK && !there;
    if (status == QUO_OK)
        status = read_value(r, line, "expected", op, &op->expected, &expects);
    if (status == QUO_OK && op->type == QUO_HISTORY_CAS && !expects)
        return refuse(r, "a cas needs \"expected\"");
    if (status == QUO_OK)
        status = read_value(r, line, "seen", op, &op->seen, &op->saw);
    if (status == QUO_OK && op->type == QUO_HISTORY_ADD)
        status = read_add(r, line, op);
    return status;
}

static enum quo_status check_outcome(struct reader *r, const struct quo_history_op *op)
{
    bool conditional = op->type == QUO_HISTORY_CAS || op->type == QUO_HISTORY_ADD;
    if (op->outcome == QUO_HISTORY_FAILED && !conditional)
        return refuse(r, "only a cas or an add can be \"failed\"");
    return QUO_OK;
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
        status = check_outcome(r, op);
    if (status == QUO_OK)
        status = read_values(r, line, op);
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
    if (field(line, "model") != NULL) {
        enum quo_status said = read_model(r, line);
        yajl_tree_free(line);
        return said;
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
    free(r.counters);
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

static void format_value(const struct quo_history *names, const struct quo_history_op *op,
                         int64_t value, char *out, size_t size)
{
    if (op->model == QUO_HISTORY_COUNTER)
        snprintf(out, size, "%" PRId64, value);
    else if (value == 0)
        snprintf(out, size, "-");
    else if (names != NULL)
        snprintf(out, size, "%s", names->values[value]);
    else
        snprintf(out, size, "v%" PRId64, value);
}

/* "<- v3", "-> v3", "v1 => v3", "+5 -> 12", and of a failure what it met. */
static void format_effect(const struct quo_history *names, const struct quo_history_op *op,
                          char *out, size_t size)
{
    char value[64], other[64];
    format_value(names, op, op->value, value, sizeof value);
    int used = 0;
    switch (op->type) {
    case QUO_HISTORY_GET:
        used = snprintf(out, size, "-> %s", value);
        break;
    case QUO_HISTORY_CAS:
        format_value(names, op, op->expected, other, sizeof other);
        used = snprintf(out, size, "%s => %s", other, value);
        break;
    case QUO_HISTORY_ADD:
        used = snprintf(out, size, "%+" PRId64, op->by);
        if (op->outcome == QUO_HISTORY_OK && !op->is_untold)
            used += snprintf(out + used, size - (size_t)used, " -> %s", value);
        break;
    default:
        used = snprintf(out, size, "<- %s", value);
        break;
    }
    if (!op->saw || used < 0 || (size_t)used >= size)
        return;
    format_value(names, op, op->seen, other, sizeof other);
    snprintf(out + used, size - (size_t)used, ", saw %s", other);
}

static void print_op(FILE *out, const struct quo_history *names, const struct quo_history_op *op)
{
    char key[64], effect[256], ret[24] = "never", version[QUO_VERSION_TEXT + 1] = "-";
    format_key(names, op->key, key, sizeof key);
    format_effect(names, op, effect, sizeof effect);
    if (op->ret != QUO_HISTORY_NEVER)
        snprintf(ret, sizeof ret, "%" PRIu64, op->ret);
    if (!quo_version_is_none(op->version))
        quo_version_format(op->version, version);
    fprintf(out,
            "  #%-5" PRIu64 " p%-3" PRIu32 " %10" PRIu64 " .. %-10s %-8s %-6s %s %-12s"
            "  %-11s version %s\n",
            op->id, op->process, op->call, ret, quo_level_name(op->level), type_names[op->type],
            key, effect, outcome_names[op->outcome], version);
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

static void write_value(FILE *out, const struct quo_history *names, const struct quo_history_op *op,
                        const char *name, int64_t value)
{
    char text[64];
    format_value(names, op, value, text, sizeof text);
    if (op->model == QUO_HISTORY_COUNTER)
        fprintf(out, ",\"%s\":%s", name, text);
    else if (value != 0)
        fprintf(out, ",\"%s\":\"%s\"", name, text);
    else
        fprintf(out, ",\"%s\":null", name);
}

static void write_values(FILE *out, const struct quo_history *names,
                         const struct quo_history_op *op)
{
    bool unsaid = op->type == QUO_HISTORY_DELETE ||
                  (op->type == QUO_HISTORY_ADD && (op->outcome != QUO_HISTORY_OK || op->is_untold));
    if (unsaid)
        fprintf(out, ",\"value\":null");
    else
        write_value(out, names, op, "value", op->value);
    if (op->type == QUO_HISTORY_CAS)
        write_value(out, names, op, "expected", op->expected);
    if (op->saw)
        write_value(out, names, op, "seen", op->seen);
    if (op->type != QUO_HISTORY_ADD)
        return;
    fprintf(out, ",\"by\":%" PRId64, op->by);
    if (op->min != INT64_MIN)
        fprintf(out, ",\"min\":%" PRId64, op->min);
    if (op->max != INT64_MAX)
        fprintf(out, ",\"max\":%" PRId64, op->max);
}

void quo_history_write_model(FILE *out, const struct quo_history *names, uint32_t key,
                             enum quo_history_model model)
{
    char text[64];
    format_key(names, key, text, sizeof text);
    fprintf(out, "{\"key\":\"%s\",\"model\":\"%s\"}\n", text,
            model == QUO_HISTORY_COUNTER ? "counter" : "register");
}

void quo_history_write(FILE *out, const struct quo_history *names, const struct quo_history_op *op)
{
    char key[64], version[QUO_VERSION_TEXT + 1];
    format_key(names, op->key, key, sizeof key);
    fprintf(out, "{\"id\":%" PRIu64 ",\"process\":%" PRIu32, op->id, op->process);
    if (op->session != 0)
        fprintf(out, ",\"session\":%" PRIu32, op->session);
    fprintf(out, ",\"key\":\"%s\",\"op\":\"%s\"", key, type_names[op->type]);
    fprintf(out, ",\"level\":\"%s\"", quo_level_name(op->level));
    write_values(out, names, op);
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
