#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/change/merge_patch.h"

static void assert_merges(const char *target, const char *patch, const char *expected)
{
    char *text = NULL;
    size_t len = 0;
    char why[128];

    assert_int_equal(quo_json_check(quo_slice_of(patch), why, sizeof why), QUO_OK);
    assert_int_equal(quo_merge_patch(quo_slice_of(target), quo_slice_of(patch), 4096, &text, &len),
                     QUO_OK);
    if (len != strlen(expected) || memcmp(text, expected, len) != 0)
        fail_msg("%s with %s: %.*s, not %s", target, patch, (int)len, text, expected);
    free(text);
}

/* RFC 7396, appendix A, all of it. */
static void merges_as_the_rfc_shows(void **state)
{
    static const char *const examples[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(examples); i++)
        assert_merges(examples[i][0], examples[i][1], examples[i][2]);
}

/* RFC 7396, section 3. */
static void merges_the_rfc_article(void **state)
{
    (void)state;
    assert_merges("{\n  \"title\": \"Goodbye!\",\n  \"author\" : {\n    \"givenName\" : \"John\",\n"
                  "    \"familyName\" : \"Doe\"\n  },\n"
                  "  \"tags\":[ \"example\", \"sample\" ],\n"
                  "  \"content\": \"This will be unchanged\"\n}\n",
                  "{ \"title\": \"Hello!\", \"phoneNumber\": \"+01-123-456-7890\","
                  "  \"author\": { \"familyName\": null }, \"tags\": [ \"example\" ] }",
                  "{\"title\":\"Hello!\",\"author\":{\"givenName\":\"John\"},\"tags\":[\"example\"]"
                  ",\"content\":\"This will be unchanged\",\"phoneNumber\":\"+01-123-456-7890\"}");
}

static void keeps_what_was_written(void **state)
{
    (void)state;
    /* An absent document. */
    assert_merges("", "{\"a\":1,\"b\":null}", "{\"a\":1}");
    assert_merges("", "5", "5");
    assert_merges("", " null ", "null");
    assert_merges("\t7\r\n", "{}", "{}");
    /* Numbers that no double holds. */
    assert_merges("{\"n\":1.00,\"m\":12345678901234567890123}", "{\"o\":-0.0e-9}",
                  "{\"n\":1.00,\"m\":12345678901234567890123,\"o\":-0.0e-9}");
    assert_merges("1", "123456789012345678901234567890.10", "123456789012345678901234567890.10");
    /* Escapes, a NUL among them. */
    assert_merges("{\"s\":\"\\u0000\\/\\u00e9\xc3\xa9\"}", "{}",
                  "{\"s\":\"\\u0000\\/\\u00e9\xc3\xa9\"}");
    assert_merges("{\"\\ud83d\\uDE00\":1}", "{\"\xf0\x9f\x98\x80\":2}", "{\"\\ud83d\\uDE00\":2}");
    /* White space goes, but not from strings. */
    assert_merges("{ \"a b\" : [ 1 , \" \\\" , \" , { \"x\" : null , \"x\" : 1 } ] }", "{ }",
                  "{\"a b\":[1,\" \\\" , \",{\"x\":null,\"x\":1}]}");
    /* Nulls in arrays are values. */
    assert_merges("{}", "{\"a\":[null,{\"b\":null}]}", "{\"a\":[null,{\"b\":null}]}");
}

static void compares_names_by_their_characters(void **state)
{
    (void)state;
    assert_merges("{\"a\":1}", "{\"\\u0061\":2}", "{\"a\":2}");
    assert_merges("{\"a\\u0000b\":1,\"a\":2}", "{\"a\\u0000\":3,\"a\\u0000b\":null}",
                  "{\"a\":2,\"a\\u0000\":3}");
    assert_merges("{\"\":1,\"ab\":2,\"a\":3}", "{\"a\":4,\"\":5}", "{\"\":5,\"ab\":2,\"a\":4}");
}

static void takes_the_last_of_a_name(void **state)
{
    (void)state;
    assert_merges("{\"a\":1,\"b\":2,\"a\":3}", "{}", "{\"a\":3,\"b\":2}");
    assert_merges("{\"a\":1}", "{\"a\":null,\"a\":2}", "{\"a\":2}");
    assert_merges("{\"a\":1}", "{\"a\":2,\"a\":null}", "{}");
    assert_merges("{}", "{\"x\":{\"a\":1,\"a\":null},\"y\":1,\"\\u0079\":{\"z\":null}}",
                  "{\"x\":{},\"y\":{}}");
}

static void assert_malformed(struct quo_slice text, const char *where)
{
    char why[128] = "";
    char *out = NULL;
    size_t len = 0;

    if (quo_json_check(text, why, sizeof why) != QUO_MALFORMED)
        fail_msg("%.*s was taken", (int)text.len, (const char *)text.data);
    if (strstr(why, where) == NULL)
        fail_msg("%.*s: %s", (int)text.len, (const char *)text.data, why);
    assert_int_equal(quo_json_check(text, NULL, 0), QUO_MALFORMED);
    assert_int_equal(quo_merge_patch(quo_slice_of("{}"), text, 99, &out, &len), QUO_MALFORMED);
    if (text.len > 0)
        assert_int_equal(quo_merge_patch(text, quo_slice_of("{}"), 99, &out, &len), QUO_INVALID);
    assert_null(out);
}

static void refuses_what_is_not_json(void **state)
{
    static const char *const texts[][2] = {
        {"", "premature EOF"},
        {" ", "premature EOF"},
        {"{", "premature EOF"},
        {"[1", "premature EOF"},
        {"{\"a\":1", "premature EOF"},
        {"\"abc", "premature EOF"},
        {"{\"a\"}", "at byte 5"},
        {"{\"a\":1,}", "at byte 8"},
        {"{a:1}", "at byte"},
        {"[1,]", "at byte 4"},
        {"[1 2]", "at byte"},
        {"nul", "at byte"},
        {"True", "at byte"},
        {"01", "at byte"},
        {"+1", "at byte"},
        {"1.", "at byte"},
        {".5", "at byte"},
        {"-", "at byte"},
        {"1e", "at byte"},
        {"0x1", "at byte"},
        {"NaN", "at byte"},
        {"'a'", "at byte"},
        {"\"\\x\"", "at byte"},
        {"\"\\u12g4\"", "at byte"},
        {"\"a\nb\"", "at byte"},
        {"\"\xff\"", "at byte"},
        {"{} {}", "at byte"},
        {"{},", "at byte"},
        {"1 2", "at byte"},
        /* What yajl itself takes. */
        {"{} \"abc", "at byte 3: something follows"},
        {"7 8", "at byte"},
        {"[1,\f2]", "no white space"},
        {"\v1", "no white space"},
        {"{\"a\"\f:1}", "no white space"},
        {"[1\v]", "no white space"},
        {"1\f", "at byte 1: something follows"},
        {"/* a */ 1", "at byte"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\udc00\"", "surrogate"},
        {"\"\\udc00\\ud800\"", "surrogate"},
        {"\"\\ud800\\u0041\"", "surrogate"},
        {"\"\\ud800\\n\"", "surrogate"},
        {"\"\\udc00\\udc00\"", "surrogate"},
        {"\"x\\uDBFFy\"", "surrogate"},
        {"{\"\\ud800\":1}", "surrogate"},
        {"[\"\\ud800\"]", "surrogate"},
        {"[{\"\\ud800\":1}]", "surrogate"},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(texts); i++)
        assert_malformed(quo_slice_of(texts[i][0]), texts[i][1]);
    assert_malformed(quo_slice("{}\0", 3), "at byte");
    assert_malformed(quo_slice("\"a\0b\"", 5), "at byte");
    assert_malformed(quo_slice(NULL, 0), "premature EOF");

    char why[12];
    assert_int_equal(quo_json_check(quo_slice_of("{"), why, sizeof why), QUO_MALFORMED);
    assert_string_equal(why, "at byte 1: ");
}

static size_t append(char *out, size_t len, const char *text)
{
    memcpy(out + len, text, strlen(text));
    return len + strlen(text);
}

/* `depth` times `open`, then a value, then `depth` times `close`. */
static struct quo_slice nested(const char *open, const char *value, const char *close, size_t depth,
                               char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < depth; i++)
        len = append(out, len, open);
    len = append(out, len, value);
    for (size_t i = 0; i < depth; i++)
        len = append(out, len, close);
    return quo_slice(out, len);
}

static void looks_only_so_deep(void **state)
{
    static const char *const shapes[][3] = {
        {"[", "", "]"}, {"{\"a\":", "{}", "}"}, {"[{\"a\":", "1", "}]"}};
    static const size_t deepest[] = {QUO_JSON_DEPTH_MAX, QUO_JSON_DEPTH_MAX - 1,
                                     QUO_JSON_DEPTH_MAX / 2};
    static char text[4096];

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(shapes); i++) {
        const char *const *shape = shapes[i];
        struct quo_slice in = nested(shape[0], shape[1], shape[2], deepest[i], text);
        char *out = NULL;
        size_t len = 0;
        assert_int_equal(quo_json_check(in, NULL, 0), QUO_OK);
        assert_int_equal(quo_merge_patch(in, in, sizeof text, &out, &len), QUO_OK);
        assert_true(quo_slice_equal(quo_slice(out, len), in));
        free(out);
        assert_malformed(nested(shape[0], shape[1], shape[2], deepest[i] + 1, text), "too deep");
    }
    /* Without an end in sight. */
    memset(text, '[', sizeof text);
    assert_malformed(quo_slice(text, sizeof text), "too deep");
}

static void makes_nothing_too_large(void **state)
{
    const struct quo_slice target = quo_slice_of(" { \"a\" : 1 } ");
    const struct quo_slice patch = quo_slice_of("{\"b\":2}");
    char *out = NULL;
    size_t len = 0;

    (void)state;
    assert_int_equal(quo_merge_patch(target, patch, 12, &out, &len), QUO_TOO_LARGE);
    assert_null(out);
    assert_int_equal(quo_merge_patch(target, patch, 13, &out, &len), QUO_OK);
    assert_int_equal(len, 13);
    free(out);
}

/* Tokens that outgrow the parser's buffers, also such as the text's end cuts off. */
static void takes_long_tokens(void **state)
{
    enum { SIZE = 200000 };
    static char text[SIZE + 1], patch[SIZE + 8];

    (void)state;
    for (size_t len = 8; len <= SIZE; len = len * 3 / 2) {
        char *out = NULL;
        size_t out_len = 0;
        memset(text, '7', len);
        const struct quo_slice number = quo_slice(text, len);
        assert_int_equal(quo_merge_patch(number, number, SIZE, &out, &out_len), QUO_OK);
        assert_true(quo_slice_equal(quo_slice(out, out_len), number));
        free(out);
        memcpy(text, "{\"\\n", 4);
        assert_malformed(quo_slice(text, len), "premature EOF");
        memcpy(text + len - 4, "\":1}", 4);
        const struct quo_slice member = quo_slice(text, len);
        assert_int_equal(quo_merge_patch(member, member, SIZE, &out, &out_len), QUO_OK);
        assert_true(quo_slice_equal(quo_slice(out, out_len), member));
        free(out);
        /* Half of the text in the one buffer, half in the other. */
        memcpy(patch, text, len - 1);
        memset(patch + len / 2, 'x', len - len / 2);
        memcpy(patch + len / 2, "\":\"", 3);
        assert_malformed(quo_slice(patch, len), "premature EOF");
    }
}

/* Objects with very many members, in an order that is bad for simple sorting. */
static void merges_large_objects(void **state)
{
    enum { MEMBERS = 50000, SIZE = 24 * MEMBERS };
    char *target = malloc(SIZE), *patch = malloc(SIZE), *out = NULL;
    size_t target_len = 0, patch_len = 0, len = 0;

    (void)state;
    assert_true(target != NULL && patch != NULL);
    for (unsigned i = 0; i < MEMBERS; i++) {
        const char before = i == 0 ? '{' : ',';
        target_len += (size_t)snprintf(target + target_len, SIZE - target_len, "%c\"%u\":1", before,
                                       MEMBERS - i);
        patch_len += (size_t)snprintf(patch + patch_len, SIZE - patch_len, "%c\"%u\":null", before,
                                      i % 2 == 0 ? i : i + MEMBERS);
    }
    target[target_len++] = '}';
    patch[patch_len++] = '}';
    assert_int_equal(quo_merge_patch(quo_slice(target, target_len), quo_slice(patch, patch_len),
                                     SIZE, &out, &len),
                     QUO_OK);
    /* The even ones go; the largest, which is even, was not asked for. */
    size_t members = 0;
    for (size_t i = 0; i < len; i++)
        members += out[i] == ':';
    assert_int_equal(members, MEMBERS / 2 + 1);
    assert_memory_equal(out, "{\"50000\":1,\"49999\":1,\"49997\":1,", 30);
    free(out);
    free(patch);
    free(target);
}

/* `count` members whose names begin with `first`. */
static struct quo_slice members_of(size_t count, char first, char *out)
{
    size_t len = 0;

    out[len++] = '{';
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(out + len, 16, "\"%c%zu\":1,", first, i);
    out[len - 1] = '}';
    return quo_slice(out, len);
}

static void counts_members(void **state)
{
    enum { SIZE = 16 * (QUO_JSON_MEMBERS_MAX + 1) };
    char *a = malloc(SIZE), *b = malloc(SIZE), *out = NULL;
    size_t len = 0;

    (void)state;
    assert_true(a != NULL && b != NULL);
    assert_malformed(members_of(QUO_JSON_MEMBERS_MAX + 1, 'a', a), "too many members");
    const struct quo_slice full = members_of(QUO_JSON_MEMBERS_MAX, 'a', a);
    const struct quo_slice same = members_of(1, 'a', b);
    assert_int_equal(quo_merge_patch(full, same, SIZE, &out, &len), QUO_OK);
    assert_int_equal(len, full.len);
    free(out);
    out = NULL;
    const struct quo_slice other = members_of(1, 'b', b);
    assert_int_equal(quo_merge_patch(full, other, SIZE, &out, &len), QUO_TOO_LARGE);
    assert_null(out);
    free(b);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_as_the_rfc_shows),
        cmocka_unit_test(merges_the_rfc_article),
        cmocka_unit_test(keeps_what_was_written),
        cmocka_unit_test(compares_names_by_their_characters),
        cmocka_unit_test(takes_the_last_of_a_name),
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(looks_only_so_deep),
        cmocka_unit_test(makes_nothing_too_large),
        cmocka_unit_test(takes_long_tokens),
        cmocka_unit_test(merges_large_objects),
        cmocka_unit_test(counts_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
