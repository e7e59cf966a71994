#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/operation_id.h"

#define DECIDED "81112233445566778899aabbccddeeff0190000000000001"
#define BLIND "v0190000000000001000000000000000b"

static void ids_go_there_and_back(void **state)
{
    static const char *const texts[] = {DECIDED, BLIND};
    char out[QUO_OPERATION_ID_MAX + 1];
    struct quo_operation_id id;

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(texts); i++) {
        assert_true(quo_operation_id_parse(quo_slice_of(texts[i]), &id));
        assert_int_equal(quo_operation_id_format(&id, out), strlen(texts[i]));
        assert_string_equal(out, texts[i]);
    }
    assert_true(id.is_blind && id.version.hlc == 0x0190000000000001 && id.version.node == 0xb);
    assert_true(quo_operation_id_parse(quo_slice_of(DECIDED), &id));
    assert_false(id.is_blind);
    assert_true(quo_opid_is_keyed(&id.opid));
    assert_int_equal(id.opid.bytes[1], 0x11);
    assert_int_equal(id.opid.bytes[15], 0xff);
    assert_true(id.since == 0x0190000000000001);
}

static void anything_else_is_no_id(void **state)
{
    static const char *const texts[] = {
        "",
        "v",
        "x",
        "v0190000000000001000000000000000",
        "v0190000000000001000000000000000bb",
        "V0190000000000001000000000000000b",
        "v0190000000000001000000000000000B",
        "v00000000000000000000000000000000",
        "v019000000000000100000000000000 b",
        "0190000000000001000000000000000b0",
        "81112233445566778899aabbccddeeff019000000000000",
        "81112233445566778899aabbccddeeff01900000000000011",
        "81112233445566778899AABBCCDDEEFF0190000000000001",
        "81112233445566778899aabbccddeeff0000000000000000",
        "8111223344556677x899aabbccddeeff0190000000000001",
        "81112233445566778899aabbccddeeff0190000000:00001",
    };
    struct quo_operation_id id = {.since = 77};

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(texts); i++) {
        if (quo_operation_id_parse(quo_slice_of(texts[i]), &id))
            fail_msg("accepted: %s", texts[i]);
        assert_true(id.since == 77);
    }
    assert_false(quo_operation_id_parse(quo_slice(NULL, 0), &id));
}

static void writes_are_named_by_what_decided_them(void **state)
{
    struct quo_response response = {.opid.bytes = {0x80}, .since = 5};
    struct quo_operation_id id;

    (void)state;
    assert_false(quo_operation_id_of(&response, &id));
    response.receipt.version = (struct quo_version){1, 2};
    assert_true(quo_operation_id_of(&response, &id));
    assert_true(id.is_blind && quo_version_equal(id.version, response.receipt.version));
    response.is_consensus = true;
    assert_true(quo_operation_id_of(&response, &id));
    assert_true(!id.is_blind && id.since == 5 && quo_opid_equal(&id.opid, &response.opid));
}

static void paths_hold_any_key(void **state)
{
    static char out[QUO_OPERATION_PATH_MAX], name[QUO_NAME_MAX + 1];
    static uint8_t key[QUO_KEY_MAX];
    struct quo_operation_id id;
    size_t len;

    (void)state;
    assert_true(quo_operation_id_parse(quo_slice_of(DECIDED), &id));
    len = quo_operation_path("default", quo_slice("a/b\0\xff~", 6), &id, out);
    assert_true(quo_slice_equal(quo_slice(out, len),
                                quo_slice_of("/v1/kv/default/a%2Fb%00%FF~/operations/" DECIDED)));
    len = quo_key_path("default", quo_slice_of("AZaz09-._~ %>"), out);
    assert_true(
        quo_slice_equal(quo_slice(out, len), quo_slice_of("/v1/kv/default/AZaz09-._~%20%25%3E")));
    memset(name, 'n', QUO_NAME_MAX);
    len = quo_operation_path(name, quo_slice(key, sizeof key), &id, out);
    assert_int_equal(len, QUO_OPERATION_PATH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_go_there_and_back),
        cmocka_unit_test(anything_else_is_no_id),
        cmocka_unit_test(writes_are_named_by_what_decided_them),
        cmocka_unit_test(paths_hold_any_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
