#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/collections/set.h"

static int compare(struct quo_slice a, struct quo_slice b)
{
    const int order = memcmp(a.data, b.data, QUO_MIN(a.len, b.len));

    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static void keys_are_the_golden_ones(void **state)
{
    static const uint8_t golden[] = "\0\1s\0\3ada\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6";
    uint8_t key[QUO_ELEMENT_KEY_MAX];
    (void)state;

    assert_int_equal(
        quo_dot_key(quo_slice_of("s"), quo_slice_of("ada"), (struct quo_version){5, 6}, key),
        sizeof golden - 1);
    assert_memory_equal(key, golden, sizeof golden - 1);
}

static void dots_of_an_element_follow_each_other(void **state)
{
    const struct quo_version low = {0, 1}, high = {UINT64_MAX, UINT64_MAX};
    const char *const elements[] = {"a", "b", "aa", "ab", "aaa"};
    uint8_t a[QUO_ELEMENT_KEY_MAX], b[QUO_ELEMENT_KEY_MAX];
    const struct quo_slice name = quo_slice_of("friends");
    (void)state;

    for (size_t i = 0; i < QUO_COUNT(elements); i++) {
        const struct quo_slice element = quo_slice_of(elements[i]);
        const struct quo_slice last = quo_slice(a, quo_dot_key(name, element, high, a));
        struct quo_slice bound = quo_slice(b, quo_element_bound(name, element, b));
        assert_true(compare(last, bound) < 0);
        if (i + 1 == QUO_COUNT(elements))
            break;
        const struct quo_slice next =
            quo_slice(a, quo_dot_key(name, quo_slice_of(elements[i + 1]), low, a));
        assert_true(compare(bound, next) < 0);
    }
}

static void every_key_is_read_back(void **state)
{
    char name[QUO_COLLECTION_NAME_MAX], element[QUO_ELEMENT_MAX];
    uint8_t bytes[QUO_ELEMENT_KEY_MAX];
    struct quo_slice read;
    struct quo_version dot;
    (void)state;

    memset(name, 'n', sizeof name);
    memset(element, 0, sizeof element);
    for (size_t len = 1; len <= sizeof element; len += len < 4 ? 1 : 255) {
        const struct quo_slice bytes_in = quo_slice(element, len);
        size_t size = quo_dot_key(quo_slice(name, len), bytes_in, QUO_VERSION_NONE, bytes);
        quo_dot_key_set(bytes, size, (struct quo_version){7, 9});
        assert_true(quo_dot_key_parse(quo_slice(bytes, size), &read, &dot));
        assert_true(quo_slice_equal(read, bytes_in));
        assert_true(dot.hlc == 7 && dot.node == 9);
        for (size_t cut = 0; cut < size; cut++)
            assert_false(quo_dot_key_parse(quo_slice(bytes, cut), &read, &dot));
        assert_false(quo_dot_key_parse(quo_slice(bytes, size + 1), &read, &dot));
        size = quo_element_prefix(quo_slice(name, len), bytes_in, bytes);
        assert_false(quo_dot_key_parse(quo_slice(bytes, size), &read, &dot));
    }
    /* An element that is empty, or longer than any. */
    assert_false(quo_dot_key_parse(quo_slice("\0\1s\0\0"
                                             "0123456789abcdef",
                                             21),
                                   &read, &dot));
}

static void a_cursor_is_of_its_set(void **state)
{
    uint8_t tail[QUO_ELEMENT_TAIL_MAX], read[QUO_ELEMENT_TAIL_MAX];
    char text[QUO_SET_CURSOR_MAX + 1];
    const struct quo_slice name = quo_slice_of("friends");
    size_t len = 0;
    (void)state;

    for (size_t i = 0; i < sizeof tail; i++)
        tail[i] = (uint8_t)(i * 37);
    for (size_t size = 1; size <= sizeof tail; size += size < 8 ? 1 : 129) {
        const size_t text_len = quo_set_cursor_format(3, name, quo_slice(tail, size), text);
        assert_int_equal(text_len, strlen(text));
        assert_true(quo_set_cursor_parse(quo_slice(text, text_len), 3, name, read, &len));
        assert_int_equal(len, size);
        assert_memory_equal(read, tail, size);
        assert_false(quo_set_cursor_parse(quo_slice(text, text_len), 4, name, read, &len));
        assert_false(
            quo_set_cursor_parse(quo_slice(text, text_len), 3, quo_slice_of("foes"), read, &len));
        assert_false(quo_set_cursor_parse(quo_slice(text, text_len - 2), 3, name, read, &len));
        for (size_t at = 0; at < QUO_MIN(text_len, 24); at++) {
            const char kept = text[at];
            text[at] = kept == '0' ? '1' : '0';
            assert_false(quo_set_cursor_parse(quo_slice(text, text_len), 3, name, read, &len));
            text[at] = 'g';
            assert_false(quo_set_cursor_parse(quo_slice(text, text_len), 3, name, read, &len));
            text[at] = kept;
        }
    }
    assert_false(quo_set_cursor_parse(quo_slice("", 0), 3, name, read, &len));
    assert_false(quo_set_cursor_parse(quo_slice_of("00000000"), 3, name, read, &len));
    assert_false(quo_set_cursor_parse(quo_slice_of("000000000"), 3, name, read, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_the_golden_ones),
        cmocka_unit_test(dots_of_an_element_follow_each_other),
        cmocka_unit_test(every_key_is_read_back),
        cmocka_unit_test(a_cursor_is_of_its_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
