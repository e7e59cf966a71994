#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/collections/timeline.h"

static const struct quo_opid opid = {{0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static struct quo_slice key_of(const char *name, const struct quo_entry_id *id, uint8_t *out)
{
    return quo_slice(out, quo_entry_key(quo_slice_of(name), id, out));
}

static int compare(struct quo_slice a, struct quo_slice b)
{
    const int order = memcmp(a.data, b.data, QUO_MIN(a.len, b.len));

    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static void keys_are_the_golden_ones(void **state)
{
    static const uint8_t entry[] = "\0\3ada\1\xfe\xdc\xba\x98\x76\x54\x32\x10"
                                   "\xff\xff\xff\xff\xff\xff\xff\xf8";
    static const uint8_t claim[] = "\0\3ada\2\x80\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf";
    struct quo_entry_id id = {.version = {UINT64_C(0x0123456789abcdef), 7}};
    uint8_t key[QUO_TIMELINE_KEY_MAX];
    (void)state;

    assert_int_equal(key_of("ada", &id, key).len, sizeof entry - 1);
    assert_memory_equal(key, entry, sizeof entry - 1);
    id.is_keyed = true;
    id.opid = opid;
    assert_int_equal(key_of("ada", &id, key).len, sizeof entry - 1 + 16);
    assert_memory_equal(key, entry, sizeof entry - 1);
    assert_memory_equal(key + sizeof entry - 1, opid.bytes, 16);
    assert_int_equal(quo_claim_key(quo_slice_of("ada"), &opid, key), sizeof claim - 1);
    assert_memory_equal(key, claim, sizeof claim - 1);
}

static void newer_entries_come_first(void **state)
{
    const struct quo_version versions[] = {
        {UINT64_MAX, UINT64_MAX}, {UINT64_MAX, 0}, {5 << 16, 3}, {5 << 16, 2},
        {1, UINT64_MAX},          {1, 1},
    };
    uint8_t a[QUO_TIMELINE_KEY_MAX], b[QUO_TIMELINE_KEY_MAX], bound[QUO_TIMELINE_KEY_MAX];
    (void)state;

    for (size_t i = 0; i + 1 < QUO_COUNT(versions); i++) {
        struct quo_entry_id newer = {.version = versions[i], .is_keyed = true, .opid = opid};
        struct quo_entry_id older = {.version = versions[i + 1]};
        memset(newer.opid.bytes, 0xff, sizeof newer.opid.bytes);
        const struct quo_slice first = key_of("ada", &newer, a), second = key_of("ada", &older, b);
        const struct quo_slice between =
            quo_slice(bound, quo_entry_bound(quo_slice_of("ada"), versions[i], bound));
        assert_true(compare(first, second) < 0);
        assert_true(compare(first, between) < 0);
        assert_true(compare(between, second) < 0);
    }
}

static void every_key_is_read_back(void **state)
{
    char name[QUO_COLLECTION_NAME_MAX];
    uint8_t bytes[QUO_TIMELINE_KEY_MAX];
    (void)state;

    memset(name, 1, sizeof name);
    for (size_t len = 1; len <= sizeof name; len += len < 4 ? 1 : 255) {
        for (int keyed = 0; keyed < 2; keyed++) {
            struct quo_entry_id id = {.version = {77, 88}, .is_keyed = keyed != 0}, read;
            if (keyed)
                id.opid = opid;
            const size_t size = quo_entry_key(quo_slice(name, len), &id, bytes);
            assert_true(quo_entry_key_parse(quo_slice(bytes, size), &read));
            assert_true(quo_entry_id_equal(&id, &read));
            quo_entry_key_set_version(bytes, (struct quo_version){99, 100});
            id.version = (struct quo_version){99, 100};
            assert_true(quo_entry_key_parse(quo_slice(bytes, size), &read));
            assert_true(quo_entry_id_equal(&id, &read));
            /* And nothing shorter or longer. */
            for (size_t cut = 0; cut < size; cut++) {
                if (cut != size - 16 || !keyed)
                    assert_false(quo_entry_key_parse(quo_slice(bytes, cut), &read));
            }
            if (size < sizeof bytes)
                assert_false(quo_entry_key_parse(quo_slice(bytes, size + 1), &read));
        }
    }
}

static void other_records_are_no_entries(void **state)
{
    uint8_t bytes[QUO_TIMELINE_KEY_MAX];
    struct quo_entry_id read;
    size_t len = quo_claim_key(quo_slice_of("ada"), &opid, bytes);
    (void)state;

    assert_false(quo_entry_key_parse(quo_slice(bytes, len), &read));
    /* The mirror of no version. */
    len = quo_entry_prefix(quo_slice_of("ada"), bytes);
    memset(bytes + len, 0xff, 16);
    assert_false(quo_entry_key_parse(quo_slice(bytes, len + 16), &read));
    assert_false(quo_entry_key_parse(quo_slice("\0\0", 2), &read));
    assert_false(quo_entry_key_parse(quo_slice(NULL, 0), &read));
    assert_false(quo_entry_key_parse(quo_slice("\xff\xff"
                                               "abc",
                                               5),
                                     &read));
}

static void ids_have_one_text(void **state)
{
    static const char plain[] = "0123456789abcdef0000000000000007";
    static const char keyed[] = "0123456789abcdef0000000000000007"
                                "800102030405060708090a0b0c0d0e0f";
    struct quo_entry_id id = {.version = {UINT64_C(0x0123456789abcdef), 7}}, read;
    char text[QUO_ENTRY_ID_MAX + 1];
    (void)state;

    assert_int_equal(quo_entry_id_format(&id, text), 32);
    assert_string_equal(text, plain);
    assert_true(quo_entry_id_parse(quo_slice_of(plain), &read));
    assert_true(quo_entry_id_equal(&id, &read));
    id.is_keyed = true;
    id.opid = opid;
    assert_false(quo_entry_id_equal(&id, &read));
    assert_int_equal(quo_entry_id_format(&id, text), 64);
    assert_string_equal(text, keyed);
    assert_true(quo_entry_id_parse(quo_slice_of(keyed), &read));
    assert_true(quo_entry_id_equal(&id, &read));
    const char *const bad[] = {
        "",
        "0123456789ABCDEF0000000000000007",
        "0123456789abcdef000000000000000",
        "0123456789abcdef00000000000000070",
        "0123456789abcdef000000000000000g",
        "00000000000000000000000000000000",
        "0123456789abcdef0000000000000007800102030405060708090A0b0c0d0e0f",
        "0123456789abcdef0000000000000007800102030405060708090a0b0c0d0e0x",
    };
    for (size_t i = 0; i < QUO_COUNT(bad); i++)
        assert_false(quo_entry_id_parse(quo_slice_of(bad[i]), &read));
}

static void claims_say_what_was_appended(void **state)
{
    uint8_t value[QUO_CLAIM_SIZE + 1];
    uint64_t digest = 0;
    (void)state;

    quo_claim_encode(UINT64_C(0x1122334455667788), value);
    assert_true(quo_claim_decode(quo_slice(value, QUO_CLAIM_SIZE), &digest));
    assert_true(digest == UINT64_C(0x1122334455667788));
    assert_false(quo_claim_decode(quo_slice(value, QUO_CLAIM_SIZE - 1), &digest));
    assert_false(quo_claim_decode(quo_slice(value, QUO_CLAIM_SIZE + 1), &digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_the_golden_ones), cmocka_unit_test(newer_entries_come_first),
        cmocka_unit_test(every_key_is_read_back),   cmocka_unit_test(other_records_are_no_entries),
        cmocka_unit_test(ids_have_one_text),        cmocka_unit_test(claims_say_what_was_appended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
