#include "quorate/map_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "api/runtime/read_file.h"

/* Where in the document the parser stands. */
enum place { OUTSIDE, ROOT, NODES, NODE, PROXIES, PROXY, NAMESPACES, NAMESPACE };

enum field_type { NUMBER, ID, TEXT, SWITCH, KIND, LEVEL, LIST };

/* A member of one of the objects and the field it fills. */
struct field {
    const char *name;
    enum field_type type;
    bool optional;
    size_t offset, size; /* of the field in its struct; of a LIST the place of its elements */
    uint64_t min, max;   /* of a NUMBER */
};

#define AT(type, member) offsetof(struct type, member), sizeof(((struct type *)0)->member)

static const struct field root_fields[] = {
    {"cluster", ID, false, AT(quo_map, cluster), 0, 0},
    {"epoch", NUMBER, false, AT(quo_map, epoch), 1, UINT32_MAX},
    {"replicas", NUMBER, false, AT(quo_map, replicas), 1, QUO_REPLICAS_MAX},
    {"partitions", NUMBER, true, AT(quo_map, partition_count), 1, QUO_PARTITIONS_MAX},
    {"nodes", LIST, false, NODES, 0, 0, 0},
    {"proxies", LIST, true, PROXIES, 0, 0, 0},
    {"namespaces", LIST, false, NAMESPACES, 0, 0, 0},
};

static const struct field node_fields[] = {
    {"name", TEXT, false, AT(quo_node_info, name), 0, 0},
    {"replica", ID, false, AT(quo_node_info, replica), 0, 0},
    {"host", TEXT, false, AT(quo_node_info, host), 0, 0},
    {"port", NUMBER, false, AT(quo_node_info, port), 1, UINT16_MAX},
    {"weight", NUMBER, true, AT(quo_node_info, weight), 1, QUO_WEIGHT_MAX},
};

static const struct field proxy_fields[] = {
    {"name", TEXT, false, AT(quo_proxy_info, name), 0, 0},
    {"host", TEXT, false, AT(quo_proxy_info, host), 0, 0},
    {"port", NUMBER, false, AT(quo_proxy_info, port), 1, UINT16_MAX},
};

static const struct field namespace_fields[] = {
    {"id", NUMBER, false, AT(quo_namespace, id), 1, UINT32_MAX},
    {"name", TEXT, false, AT(quo_namespace, name), 0, 0},
    {"kind", KIND, false, AT(quo_namespace, kind), 0, 0},
    {"n", NUMBER, true, AT(quo_namespace, n), 1, QUO_REPLICAS_MAX},
    {"rs", NUMBER, true, AT(quo_namespace, rs), 1, QUO_REPLICAS_MAX},
    {"ws", NUMBER, true, AT(quo_namespace, ws), 1, QUO_REPLICAS_MAX},
    {"read", LEVEL, true, AT(quo_namespace, read_level), 0, 0},
    {"write", LEVEL, true, AT(quo_namespace, write_level), 0, 0},
    {"max_stale_ms", NUMBER, true, AT(quo_namespace, stale_ms), 1, QUO_STALE_MAX_MS},
    {"timeout_ms", NUMBER, true, AT(quo_namespace, timeout_ms), QUO_TIMEOUT_MIN_MS,
     QUO_TIMEOUT_MAX_MS},
    {"value_max", NUMBER, true, AT(quo_namespace, value_max), 1, QUO_VALUE_MAX},
    {"idempotency_retention", NUMBER, true, AT(quo_namespace, retention_s), QUO_RETENTION_MIN_S,
     QUO_RETENTION_MAX_S},
    {"require_idempotency_key", SWITCH, true, AT(quo_namespace, require_idempotency_key), 0, 0},
};

#define WEIGHT_DEFAULT 100u

struct parser {
    struct quo_map *map;
    enum place place;
    const struct field *field; /* the member whose value comes next */
    uint32_t root_seen;        /* a bit per row of the table: members that came */
    uint32_t seen;             /* likewise of the element of a list being read */
    char trouble[256];         /* what went wrong; empty while nothing did */
};

struct table {
    const struct field *fields;
    size_t count;
};

static struct table table_of(enum place place)
{
    switch (place) {
    case ROOT:
        return (struct table){root_fields, QUO_COUNT(root_fields)};
    case NODE:
        return (struct table){node_fields, QUO_COUNT(node_fields)};
    case PROXY:
        return (struct table){proxy_fields, QUO_COUNT(proxy_fields)};
    case NAMESPACE:
        return (struct table){namespace_fields, QUO_COUNT(namespace_fields)};
    case OUTSIDE:
    case NODES:
    case PROXIES:
    case NAMESPACES:
        break;
    }
    QUO_UNREACHABLE();
}

static uint32_t *seen_of(struct parser *p)
{
    return p->place == ROOT ? &p->root_seen : &p->seen;
}

/* Writes the path of what is being read ("nodes[1].port: ") and returns its length. */
static size_t write_path(const struct parser *p, char *out, size_t size)
{
    const char *member = p->field != NULL ? p->field->name : "";
    const char *dot = p->field != NULL ? "." : "";
    int len = 0;

    switch (p->place) {
    case OUTSIDE:
        len = snprintf(out, size, "the document: ");
        break;
    case ROOT:
        len = p->field != NULL ? snprintf(out, size, "%s: ", member) : 0;
        break;
    case NODES:
    case NODE:
        len = snprintf(out, size, "nodes[%" PRIu32 "]%s%s: ", p->map->node_count, dot, member);
        break;
    case PROXIES:
    case PROXY:
        len = snprintf(out, size, "proxies[%" PRIu32 "]%s%s: ", p->map->proxy_count, dot, member);
        break;
    case NAMESPACES:
    case NAMESPACE:
        len = snprintf(out, size, "namespaces[%" PRIu32 "]%s%s: ", p->map->namespace_count, dot,
                       member);
        break;
    }
    return len > 0 ? (size_t)len : 0;
}

/* Notes what is wrong at this place. Returns 0, with which a callback makes yajl stop. */
static int refuse(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct parser *p, const char *format, ...)
{
    const size_t len = write_path(p, p->trouble, sizeof p->trouble);
    va_list args;

    QUO_INVARIANT(len < sizeof p->trouble);
    va_start(args, format);
    vsnprintf(p->trouble + len, sizeof p->trouble - len, format, args);
    va_end(args);
    return 0;
}

/* Refuses a value that is not what its member takes. */
static int refuse_value(struct parser *p)
{
    if (p->place == OUTSIDE || p->place == NODES || p->place == PROXIES || p->place == NAMESPACES)
        return refuse(p, "must be an object");
    QUO_INVARIANT(p->field != NULL);
    switch (p->field->type) {
    case NUMBER:
        return refuse(p, "must be a whole number from %" PRIu64 " to %" PRIu64, p->field->min,
                      p->field->max);
    case ID:
        return refuse(p, "must be 1 to 16 hexadecimal digits in quotes, not all 0");
    case TEXT:
        return refuse(p, "must be text of 1 to %zu bytes", p->field->size - 1);
    case SWITCH:
        return refuse(p, "must be true or false");
    case KIND:
        return refuse(p, "must be \"lww\", \"cas\", \"mixed\" or \"crdt\"");
    case LEVEL:
        return refuse(p, "must be \"eventual\", \"quorum\", \"strong\" or \"all\"");
    case LIST:
        return refuse(p, "must be a list");
    }
    QUO_UNREACHABLE();
}

/* Where the value of the current member goes. */
static void *target(struct parser *p)
{
    uint8_t *base = (uint8_t *)p->map;
    if (p->place == NODE)
        base = (uint8_t *)&p->map->nodes[p->map->node_count];
    else if (p->place == PROXY)
        base = (uint8_t *)&p->map->proxies[p->map->proxy_count];
    else if (p->place == NAMESPACE)
        base = (uint8_t *)&p->map->namespaces[p->map->namespace_count];
    return base + p->field->offset;
}

static int store_number(struct parser *p, uint64_t number)
{
    const uint8_t u8 = (uint8_t)number;
    const uint16_t u16 = (uint16_t)number;
    const uint32_t u32 = (uint32_t)number;

    switch (p->field->size) {
    case sizeof u8:
        memcpy(target(p), &u8, sizeof u8);
        break;
    case sizeof u16:
        memcpy(target(p), &u16, sizeof u16);
        break;
    case sizeof u32:
        memcpy(target(p), &u32, sizeof u32);
        break;
    case sizeof number:
        memcpy(target(p), &number, sizeof number);
        break;
    default:
        QUO_UNREACHABLE();
    }
    return 1;
}

static int on_number(void *context, const char *text, size_t len)
{
    struct parser *p = context;
    uint64_t number = 0;

    if (p->field == NULL || p->field->type != NUMBER)
        return refuse_value(p);
    /* yajl hands out the text as written: no sign, point or exponent, and no rounding. */
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || number > p->field->max)
            return refuse_value(p);
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    if (number < p->field->min || number > p->field->max)
        return refuse_value(p);
    return store_number(p, number);
}

/* Returns 0, which no id may be, for anything but 1 to 16 hexadecimal digits. */
static uint64_t parse_id(struct quo_slice text)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t id = 0;

    if (text.len > 16)
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        const char c =
            (char)(text.data[i] >= 'A' && text.data[i] <= 'F' ? text.data[i] + 32 : text.data[i]);
        const char *at = c != '\0' ? strchr(digits, c) : NULL;
        if (at == NULL)
            return 0;
        id = id << 4 | (uint64_t)(at - digits);
    }
    return id;
}

static int store_text(struct parser *p, struct quo_slice text)
{
    if (text.len == 0 || text.len >= p->field->size || memchr(text.data, 0, text.len) != NULL)
        return refuse_value(p);
    memcpy(target(p), text.data, text.len); /* the map was zeroed, so a NUL follows */
    return 1;
}

static int on_string(void *context, const unsigned char *bytes, size_t len)
{
    struct parser *p = context;
    const struct quo_slice text = quo_slice(bytes, len);
    enum quo_kind kind;
    enum quo_level level;
    uint64_t id;

    if (p->field == NULL)
        return refuse_value(p);
    switch (p->field->type) {
    case ID:
        id = parse_id(text);
        return id != 0 ? store_number(p, id) : refuse_value(p);
    case TEXT:
        return store_text(p, text);
    case KIND:
        if (!quo_kind_parse(text, &kind))
            return refuse_value(p);
        memcpy(target(p), &kind, sizeof kind);
        return 1;
    case LEVEL:
        if (!quo_level_parse(text, &level))
            return refuse_value(p);
        memcpy(target(p), &level, sizeof level);
        return 1;
    case NUMBER:
    case SWITCH:
    case LIST:
        break;
    }
    return refuse_value(p);
}

static int on_null(void *context)
{
    return refuse_value(context);
}

static int on_boolean(void *context, int value)
{
    struct parser *p = context;
    const bool on = value != 0;

    if (p->field == NULL || p->field->type != SWITCH)
        return refuse_value(p);
    memcpy(target(p), &on, sizeof on);
    return 1;
}

static int on_start_map(void *context)
{
    struct parser *p = context;

    switch (p->place) {
    case OUTSIDE:
        p->place = ROOT;
        return 1;
    case NODES:
        if (p->map->node_count == QUO_NODES_MAX)
            return refuse(p, "there must be at most %u nodes", QUO_NODES_MAX);
        p->place = NODE;
        break;
    case PROXIES:
        if (p->map->proxy_count == QUO_PROXIES_MAX)
            return refuse(p, "there must be at most %u proxies", QUO_PROXIES_MAX);
        p->place = PROXY;
        break;
    case NAMESPACES:
        if (p->map->namespace_count == QUO_NAMESPACES_MAX)
            return refuse(p, "there must be at most %u namespaces", QUO_NAMESPACES_MAX);
        p->place = NAMESPACE;
        break;
    case ROOT:
    case NODE:
    case PROXY:
    case NAMESPACE:
        return refuse_value(p);
    }
    p->seen = 0;
    p->field = NULL;
    return 1;
}

static int on_map_key(void *context, const unsigned char *bytes, size_t len)
{
    struct parser *p = context;
    const struct table table = table_of(p->place);
    const struct quo_slice name = quo_slice(bytes, len);

    p->field = NULL;
    for (size_t i = 0; i < table.count; i++) {
        if (!quo_slice_equal(name, quo_slice_of(table.fields[i].name)))
            continue;
        const uint32_t bit = UINT32_C(1) << i;
        if ((*seen_of(p) & bit) != 0)
            return refuse(p, "'%s' is there twice", table.fields[i].name);
        *seen_of(p) |= bit;
        p->field = &table.fields[i];
        return 1;
    }
    return refuse(p, "unknown member '%.*s'", (int)QUO_MIN(len, 64u), (const char *)bytes);
}

static int on_end_map(void *context)
{
    struct parser *p = context;
    const struct table table = table_of(p->place);

    p->field = NULL;
    for (size_t i = 0; i < table.count; i++) {
        if (!table.fields[i].optional && (*seen_of(p) >> i & 1) == 0)
            return refuse(p, "'%s' is missing", table.fields[i].name);
    }
    if (p->place == NODE) {
        p->map->node_count++;
        p->place = NODES;
    } else if (p->place == PROXY) {
        p->map->proxy_count++;
        p->place = PROXIES;
    } else if (p->place == NAMESPACE) {
        p->map->namespace_count++;
        p->place = NAMESPACES;
    }
    return 1;
}

static int on_start_array(void *context)
{
    struct parser *p = context;

    if (p->place != ROOT || p->field == NULL || p->field->type != LIST)
        return refuse_value(p);
    p->place = (enum place)p->field->offset;
    p->field = NULL;
    return 1;
}

static int on_end_array(void *context)
{
    struct parser *p = context;
    p->place = ROOT;
    p->field = NULL;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_map_key,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

/* Takes yajl's own sentence, which ends with a newline. */
static void note_syntax_error(struct parser *p, yajl_handle yajl)
{
    unsigned char *text = yajl_get_error(yajl, 0, NULL, 0);
    snprintf(p->trouble, sizeof p->trouble, "%.*s", (int)strcspn((const char *)text, "\n"),
             (const char *)text);
    yajl_free_error(yajl, text);
}

static unsigned line_at(struct quo_slice json, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < offset && i < json.len; i++)
        line += json.data[i] == '\n';
    return line;
}

static enum quo_status parse_document(struct parser *p, struct quo_slice json, char *why,
                                      size_t why_size)
{
    yajl_handle yajl = yajl_alloc(&callbacks, NULL, p);
    if (yajl == NULL) {
        snprintf(why, why_size, "out of memory");
        return QUO_INVALID;
    }
    yajl_status status = yajl_parse(yajl, json.data, json.len);
    /* Without a rest yajl has seen all; its count then no longer says where. */
    size_t offset = status == yajl_status_ok ? json.len : yajl_get_bytes_consumed(yajl);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(yajl);
    if (status == yajl_status_error)
        note_syntax_error(p, yajl);
    yajl_free(yajl);
    if (status == yajl_status_ok)
        return QUO_OK;
    snprintf(why, why_size, "line %u: %s", line_at(json, offset), p->trouble);
    return QUO_INVALID;
}

static void fill_defaults(struct quo_map *map)
{
    if (map->partition_count == 0)
        map->partition_count = QUO_PARTITIONS_DEFAULT;
    for (uint32_t i = 0; i < map->node_count; i++) {
        if (map->nodes[i].weight == 0)
            map->nodes[i].weight = WEIGHT_DEFAULT;
    }
    for (uint32_t i = 0; i < map->namespace_count; i++) {
        struct quo_namespace *ns = &map->namespaces[i];
        ns->n = ns->n != 0 ? ns->n : map->replicas;
        ns->rs = ns->rs != 0 ? ns->rs : (uint8_t)(ns->n / 2 + 1);
        ns->ws = ns->ws != 0 ? ns->ws : (uint8_t)(ns->n / 2 + 1);
        ns->read_level = ns->read_level != 0 ? ns->read_level : QUO_LEVEL_STRONG;
        ns->write_level = ns->write_level != 0 ? ns->write_level : QUO_LEVEL_STRONG;
        ns->timeout_ms = ns->timeout_ms != 0 ? ns->timeout_ms : QUO_TIMEOUT_DEFAULT_MS;
        ns->value_max = ns->value_max != 0 ? ns->value_max : QUO_VALUE_MAX_DEFAULT;
        ns->retention_s = ns->retention_s != 0 ? ns->retention_s : QUO_RETENTION_DEFAULT_S;
    }
}

enum quo_status quo_map_parse(struct quo_slice json, struct quo_map *map, char *why,
                              size_t why_size)
{
    struct parser parser = {.map = map, .place = OUTSIDE};

    QUO_REQUIRE(map->node_count == 0 && map->proxy_count == 0 && map->namespace_count == 0);
    if (json.len > QUO_MAP_FILE_MAX) {
        snprintf(why, why_size, "larger than %u bytes", QUO_MAP_FILE_MAX);
        return QUO_TOO_LARGE;
    }
    enum quo_status status = parse_document(&parser, json, why, why_size);
    if (status != QUO_OK)
        return status;
    fill_defaults(map);
    status = quo_map_check(map, why, why_size);
    if (status == QUO_OK)
        quo_map_place(map);
    return status;
}

/* The file's name and then what quo_map_parse said. */
static enum quo_status parse_file(const char *path, struct quo_slice json, struct quo_map *map,
                                  char *why, size_t why_size)
{
    char reason[512];
    enum quo_status status = quo_map_parse(json, map, reason, sizeof reason);
    if (status != QUO_OK)
        snprintf(why, why_size, "%s: %s", path, reason);
    return status;
}

enum quo_status quo_map_load(const char *path, struct quo_map *map, char *why, size_t why_size)
{
    char *json = NULL;
    size_t len = 0;

    enum quo_status status = quo_read_file(path, QUO_MAP_FILE_MAX, &json, &len);
    if (status == QUO_TOO_LARGE) {
        snprintf(why, why_size, "%s: larger than %u bytes", path, QUO_MAP_FILE_MAX);
        return status;
    }
    if (status != QUO_OK) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        return status == QUO_NOT_FOUND ? QUO_NOT_FOUND : QUO_IO_ERROR;
    }
    status = parse_file(path, quo_slice(json, len), map, why, why_size);
    free(json);
    return status;
}
