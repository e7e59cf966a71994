/* yajl finds the tokens and judges the grammar. Where a token stands in the text follows from where
 * the last one ended; looking between them also shows what yajl lets pass and JSON does not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "proxy/change/json.h"
#include "proxy/change/json_object.h"

struct parser {
    struct quo_slice text;
    struct quo_json_arena *arena;
    yajl_handle yajl;
    size_t end;       /* of the last token */
    bool is_rest;     /* yajl has seen all of the text: what still comes was cut off by its end */
    uint32_t members; /* kept so far */
    unsigned depth;   /* objects and arrays that are open */
    unsigned array;   /* depth of the outermost open array, in which nothing is kept; 0: none */
    size_t array_start;
    size_t object_count; /* objects that are open outside of arrays */
    struct quo_json_object *objects[QUO_JSON_DEPTH_MAX];
    struct quo_json root;
    const char *trouble; /* what is wrong; NULL: yajl knows */
    bool no_memory;
};

/* Makes yajl stop. */
static int refuse(struct parser *p, const char *trouble)
{
    p->trouble = trouble;
    return 0;
}

static int refuse_memory(struct parser *p)
{
    p->no_memory = true;
    return 0;
}

/* Returns the end of what may stand between two tokens. yajl takes a form feed and a vertical tab
 * for white space, too. */
static size_t skip_between(struct quo_slice text, size_t i)
{
    while (i < text.len && memchr(" \t\n\r,:", text.data[i], 6) != NULL)
        i++;
    return i;
}

/* Finds the token that yajl tells of. */
static bool take_token(struct parser *p, struct quo_slice *ret)
{
    const size_t start = skip_between(p->text, p->end);

    p->end = p->is_rest ? p->text.len : yajl_get_bytes_consumed(p->yajl);
    if (p->text.data[start] == '\f' || p->text.data[start] == '\v')
        return refuse(p, "a control character that is no white space");
    QUO_INVARIANT(start < p->end);
    *ret = quo_slice(p->text.data + start, p->end - start);
    return true;
}

/* Of a "\u" and the four digits that yajl has seen: the number. */
static unsigned escaped_unit(const uint8_t *at)
{
    unsigned unit = 0;

    for (int i = 2; i < 6; i++) {
        const uint8_t c = at[i];
        unit = unit << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return unit;
}

/* Whether every escaped surrogate of a string token has its other half. yajl would make a question
 * mark of it, and different names one. */
static bool surrogates_are_paired(struct quo_slice token)
{
    size_t i = 0;

    while (i < token.len) {
        if (token.data[i] != '\\') {
            i++;
            continue;
        }
        if (token.data[i + 1] != 'u') {
            i += 2;
            continue;
        }
        const unsigned unit = escaped_unit(token.data + i);
        i += 6;
        if (unit < 0xd800 || unit > 0xdfff)
            continue;
        /* The closing quote at least is there to be looked at. */
        if (unit > 0xdbff || token.data[i] != '\\' || token.data[i + 1] != 'u')
            return false;
        const unsigned low = escaped_unit(token.data + i);
        if (low < 0xdc00 || low > 0xdfff)
            return false;
        i += 6;
    }
    return true;
}

static void place_value(struct parser *p, struct quo_json value)
{
    if (p->object_count == 0)
        p->root = value;
    else
        p->objects[p->object_count - 1]->last->value = value;
}

static int place_text(struct parser *p, enum quo_json_type type, struct quo_slice text)
{
    if (p->array == 0)
        place_value(p, (struct quo_json){.type = type, .text = text});
    return 1;
}

static int on_null(void *context)
{
    struct parser *p = context;
    struct quo_slice token;

    return take_token(p, &token) && place_text(p, QUO_JSON_NULL, token);
}

static int on_boolean(void *context, int value)
{
    struct parser *p = context;
    struct quo_slice token;

    (void)value;
    return take_token(p, &token) && place_text(p, QUO_JSON_OTHER, token);
}

static int on_number(void *context, const char *digits, size_t len)
{
    struct parser *p = context;
    struct quo_slice token;

    (void)digits;
    (void)len;
    return take_token(p, &token) && place_text(p, QUO_JSON_OTHER, token);
}

static bool take_string(struct parser *p, struct quo_slice *ret)
{
    if (!take_token(p, ret))
        return false;
    if (!surrogates_are_paired(*ret))
        return refuse(p, "half of a surrogate pair");
    return true;
}

static int on_string(void *context, const unsigned char *decoded, size_t len)
{
    struct parser *p = context;
    struct quo_slice token;

    (void)decoded;
    (void)len;
    return take_string(p, &token) && place_text(p, QUO_JSON_OTHER, token);
}

/* The name without quotes: part of the text unless an escape makes a difference. */
static bool keep_name(struct parser *p, struct quo_slice token, struct quo_slice decoded,
                      struct quo_slice *ret)
{
    if (memchr(token.data, '\\', token.len) == NULL) {
        *ret = quo_slice(token.data + 1, token.len - 2);
        return true;
    }
    uint8_t *copy = quo_json_arena_alloc(p->arena, decoded.len);
    if (copy == NULL)
        return false;
    memcpy(copy, decoded.data, decoded.len);
    *ret = quo_slice(copy, decoded.len);
    return true;
}

static int on_map_key(void *context, const unsigned char *decoded, size_t len)
{
    struct parser *p = context;
    struct quo_slice token;

    if (!take_string(p, &token))
        return 0;
    if (p->array != 0)
        return 1;
    if (p->members++ == QUO_JSON_MEMBERS_MAX)
        return refuse(p, "too many members");
    struct quo_json_member *member = quo_json_arena_alloc(p->arena, sizeof *member);
    if (member == NULL)
        return refuse_memory(p);
    *member = (struct quo_json_member){.spelled = token};
    if (!keep_name(p, token, quo_slice(decoded, len), &member->name))
        return refuse_memory(p);
    quo_json_append(p->objects[p->object_count - 1], member);
    return 1;
}

static int descend(struct parser *p)
{
    if (p->depth == QUO_JSON_DEPTH_MAX)
        return refuse(p, "nested too deep");
    p->depth++;
    return 1;
}

static int on_start_map(void *context)
{
    struct parser *p = context;
    struct quo_slice token;

    if (!take_token(p, &token) || !descend(p))
        return 0;
    if (p->array != 0)
        return 1;
    struct quo_json_object *object = quo_json_arena_alloc(p->arena, sizeof *object);
    if (object == NULL)
        return refuse_memory(p);
    *object = (struct quo_json_object){0};
    place_value(p, (struct quo_json){.type = QUO_JSON_OBJECT, .object = object});
    p->objects[p->object_count++] = object;
    return 1;
}

static int on_end_map(void *context)
{
    struct parser *p = context;
    struct quo_slice token;

    if (!take_token(p, &token))
        return 0;
    p->depth--;
    if (p->array != 0)
        return 1;
    p->object_count--;
    return quo_json_seal(p->objects[p->object_count], p->arena) ? 1 : refuse_memory(p);
}

static int on_start_array(void *context)
{
    struct parser *p = context;
    struct quo_slice token;

    if (!take_token(p, &token) || !descend(p))
        return 0;
    if (p->array == 0) {
        p->array = p->depth;
        p->array_start = p->end - 1;
    }
    return 1;
}

static int on_end_array(void *context)
{
    struct parser *p = context;
    struct quo_slice token;

    if (!take_token(p, &token))
        return 0;
    if (p->array == p->depth) {
        p->array = 0;
        place_text(p, QUO_JSON_OTHER,
                   quo_slice(p->text.data + p->array_start, p->end - p->array_start));
    }
    p->depth--;
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

/* yajl does not look whether memory came. It gets a reserve that holds whatever it may ask for,
 * taken before it begins: its own structs, a stack of depths, and two buffers of 2048 bytes that
 * double until they are larger than the token they hold. Of the one the text must have come to its
 * end, so both tokens together are no longer than the text; the doubled sizes sum up to four times
 * that. */
struct reserve {
    uint8_t *bytes;
    size_t used, size;
};

static size_t reserve_size(size_t text_len)
{
    return 16384 + 4 * text_len;
}

static void *reserve_malloc(void *context, size_t size)
{
    struct reserve *r = context;

    size = (size + 15) & ~(size_t)15;
    QUO_INVARIANT(size <= r->size - r->used);
    void *block = r->bytes + r->used;
    r->used += size;
    return block;
}

/* The old length is not kept: what follows the old block is copied along. */
static void *reserve_realloc(void *context, void *block, size_t size)
{
    struct reserve *r = context;
    const uint8_t *end = r->bytes + r->used;
    uint8_t *moved = reserve_malloc(r, size);

    if (block != NULL)
        memcpy(moved, block, QUO_MIN(size, (size_t)(end - (const uint8_t *)block)));
    return moved;
}

static void reserve_free(void *context, void *block)
{
    (void)context;
    (void)block;
}

/* yajl's own sentence ends with a newline. */
static void describe(const struct parser *p, size_t offset, char *why, size_t why_size)
{
    if (p->trouble != NULL) {
        snprintf(why, why_size, "at byte %zu: %s", offset, p->trouble);
        return;
    }
    unsigned char *text = yajl_get_error(p->yajl, 0, NULL, 0);
    const char *end = strchr((const char *)text, '\n');
    const int len = end != NULL ? (int)(end - (const char *)text) : -1;
    snprintf(why, why_size, "at byte %zu: %.*s", offset, len, (const char *)text);
    yajl_free_error(p->yajl, text);
}

/* After a document yajl lets a string pass that is not closed. */
static bool is_followed_by_nothing(struct parser *p)
{
    for (; p->end < p->text.len; p->end++) {
        if (memchr(" \t\n\r", p->text.data[p->end], 4) == NULL)
            return refuse(p, "something follows the document");
    }
    return true;
}

static enum quo_status parse(struct parser *p, char *why, size_t why_size)
{
    yajl_status status = yajl_parse(p->yajl, p->text.data, p->text.len);
    size_t offset = yajl_get_bytes_consumed(p->yajl);

    if (status == yajl_status_ok) {
        p->is_rest = true;
        offset = p->text.len;
        status = yajl_complete_parse(p->yajl);
    }
    if (status == yajl_status_ok && is_followed_by_nothing(p))
        return QUO_OK;
    if (p->no_memory)
        return QUO_NO_MEMORY;
    describe(p, status == yajl_status_ok ? p->end : offset, why, why_size);
    return QUO_MALFORMED;
}

enum quo_status quo_json_read(struct quo_slice text, struct quo_json_arena *arena,
                              struct quo_json *ret, char *why, size_t why_size)
{
    struct parser parser = {.text = text, .arena = arena};
    struct reserve reserve = {.size = reserve_size(text.len)};
    yajl_alloc_funcs alloc = {reserve_malloc, reserve_realloc, reserve_free, &reserve};

    reserve.bytes = malloc(reserve.size);
    if (reserve.bytes == NULL)
        return QUO_NO_MEMORY;
    parser.yajl = yajl_alloc(&callbacks, &alloc, &parser);
    enum quo_status status = parse(&parser, why, why_size);
    yajl_free(parser.yajl);
    free(reserve.bytes);
    if (status == QUO_OK)
        *ret = parser.root;
    return status;
}
