/* Merge patches of random documents against the pseudo-code of RFC 7396, section 2, done on plain
 * arrays without a thought for speed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proxy/change/merge_patch.h"

enum { DOCUMENTS = 40000, NODES = 4096, MEMBERS = 12, TEXT = 65536, DEPTH = 4 };

enum type { NOTHING, TEXTUAL, OBJECT };

struct node {
    enum type type;
    const char *text; /* TEXTUAL: without white space */
    int count;
    int name[MEMBERS];            /* number of a name */
    const char *spelled[MEMBERS]; /* as it is written */
    struct node *value[MEMBERS];
};

static struct node nodes[NODES];
static int node_count;
static uint64_t chance;

static unsigned pick(unsigned n)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (unsigned)((chance * 0x2545f4914f6cdd1d) >> 33) % n;
}

static struct node *new_node(enum type type)
{
    assert_true(node_count < NODES);
    struct node *node = &nodes[node_count++];
    memset(node, 0, sizeof *node);
    node->type = type;
    return node;
}

/* Each name in a few spellings. */
static const char *const names[][3] = {
    {"\"\"", "\"\"", "\"\""},
    {"\"a\"", "\"\\u0061\"", "\"a\""},
    {"\"ab\"", "\"a\\u0062\"", "\"\\u0061\\u0062\""},
    {"\"b c\"", "\"b\\u0020c\"", "\"b c\""},
    {"\"\\u0000\"", "\"\\u0000\"", "\"\\u0000\""},
    {"\"/\\\"\"", "\"\\/\\\"\"", "\"/\\u0022\""},
    {"\"\xc3\xa9\"", "\"\\u00e9\"", "\"\\u00E9\""},
    {"\"\xf0\x9f\x98\x80\"", "\"\\ud83d\\ude00\"", "\"\\uD83D\\uDE00\""},
};

static const char *const values[] = {
    "0",
    "-1.50",
    "1e99999",
    "true",
    "false",
    "\"\"",
    "\"a\\u0000 b\"",
    "\"} , ]\"",
    "[]",
    "[[],{}]",
    "[null,{\"a\":null}]",
};

static struct node *random_node(int depth)
{
    const unsigned kind = pick(depth == 0 ? 4 : 8);

    if (kind == 0)
        return new_node(NOTHING);
    if (kind < 4) {
        struct node *node = new_node(TEXTUAL);
        node->text = values[pick(QUO_COUNT(values))];
        return node;
    }
    struct node *node = new_node(OBJECT);
    node->count = (int)pick(MEMBERS / 2 + 1);
    for (int i = 0; i < node->count; i++) {
        node->name[i] = (int)pick(QUO_COUNT(names));
        node->spelled[i] = names[node->name[i]][pick(3)];
        node->value[i] = random_node(depth - 1);
    }
    return node;
}

static char *put(char *out, const char *text)
{
    while (*text != '\0')
        *out++ = *text++;
    return out;
}

static char *put_space(char *out, bool is_spaced)
{
    static const char *const spaces[] = {"", "", " ", "\n\t", "\r\n  "};
    return is_spaced ? put(out, spaces[pick(QUO_COUNT(spaces))]) : out;
}

static char *put_node(char *out, const struct node *node, bool is_spaced)
{
    out = put_space(out, is_spaced);
    if (node->type == NOTHING) {
        out = put(out, "null");
    } else if (node->type == TEXTUAL) {
        out = put(out, node->text);
    } else {
        out = put(out, "{");
        for (int i = 0; i < node->count; i++) {
            out = put_space(put(out, i > 0 ? "," : ""), is_spaced);
            out = put_space(put(out, node->spelled[i]), is_spaced);
            out = put_node(put(out, ":"), node->value[i], is_spaced);
        }
        out = put(put_space(out, is_spaced), "}");
    }
    return put_space(out, is_spaced);
}

static int find(const struct node *object, int name)
{
    for (int i = 0; i < object->count; i++) {
        if (object->name[i] == name)
            return i;
    }
    return -1;
}

static void take_out(struct node *object, int i)
{
    for (object->count--; i < object->count; i++) {
        object->name[i] = object->name[i + 1];
        object->spelled[i] = object->spelled[i + 1];
        object->value[i] = object->value[i + 1];
    }
}

static void add_member(struct node *object, int name, const char *spelled, struct node *value)
{
    assert_true(object->count < MEMBERS);
    object->name[object->count] = name;
    object->spelled[object->count] = spelled;
    object->value[object->count++] = value;
}

/* What a reader who takes the last of a name understands. */
static struct node *understood(const struct node *node)
{
    struct node *made = new_node(node->type);

    made->text = node->text;
    for (int i = 0; i < node->count; i++) {
        const int at = find(made, node->name[i]);
        if (at < 0)
            add_member(made, node->name[i], node->spelled[i], understood(node->value[i]));
        else
            made->value[at] = understood(node->value[i]);
    }
    return made;
}

/* RFC 7396, section 2, line by line. */
static struct node *merge(struct node *target, const struct node *patch)
{
    if (patch->type != OBJECT)
        return understood(patch);
    if (target == NULL || target->type != OBJECT)
        target = new_node(OBJECT);
    for (int i = 0; i < patch->count; i++) {
        const int at = find(target, patch->name[i]);
        if (patch->value[i]->type == NOTHING) {
            if (at >= 0)
                take_out(target, at);
        } else if (at >= 0) {
            target->value[at] = merge(target->value[at], patch->value[i]);
        } else {
            add_member(target, patch->name[i], patch->spelled[i], merge(NULL, patch->value[i]));
        }
    }
    return target;
}

static void agrees_with_the_twin(void **state)
{
    static char target[TEXT], patch[TEXT], expected[TEXT];

    (void)state;
    for (int i = 0; i < DOCUMENTS; i++) {
        chance = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1);
        node_count = 0;
        const struct node *t = random_node(DEPTH), *p = random_node(DEPTH);
        const size_t target_len = (size_t)(put_node(target, t, true) - target);
        const size_t patch_len = (size_t)(put_node(patch, p, true) - patch);
        const struct node *both = merge(understood(t), understood(p));
        const size_t expected_len = (size_t)(put_node(expected, both, false) - expected);
        char *text = NULL;
        size_t len = 0;
        assert_int_equal(quo_merge_patch(quo_slice(target, target_len), quo_slice(patch, patch_len),
                                         TEXT, &text, &len),
                         QUO_OK);
        if (len != expected_len || memcmp(text, expected, len) != 0)
            fail_msg("%.*s with %.*s: %.*s, not %.*s", (int)target_len, target, (int)patch_len,
                     patch, (int)len, text, (int)expected_len, expected);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
