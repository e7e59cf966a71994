/* Tokens as text: never too long, signed, and refused when anything about them is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/session/token.h"

#define CLUSTER UINT64_C(0x1122334455667788)
#define DIGITS "000102030405060708090a0b0c0d0e0fFF"

static uint64_t chance_state = 1;

static uint64_t chance(void)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return chance_state;
}

static struct quo_token_secret secret_of(const char *digits, uint64_t cluster)
{
    struct quo_token_secret secret;

    assert_int_equal(quo_token_secret(quo_slice_of(digits), cluster, &secret), QUO_OK);
    return secret;
}

static enum quo_status decode(const char *text, const struct quo_token_secret *secret)
{
    struct quo_token t;

    return quo_token_decode(quo_slice_of(text), secret, &t);
}

static struct quo_token some_token(unsigned touches)
{
    struct quo_token t = {0};

    while (touches-- > 0)
        quo_token_add(&t, chance(), (struct quo_version){chance() >> 1, chance()}, chance() % 2);
    return t;
}

static void check_equal(const struct quo_token *a, const struct quo_token *b)
{
    assert_int_equal(a->max_hlc, b->max_hlc);
    assert_int_equal(a->low_firm, b->low_firm);
    assert_int_equal(a->low_weak, b->low_weak);
    assert_int_equal(a->count, b->count);
    for (uint8_t i = 0; i < a->count; i++) {
        assert_int_equal(a->entries[i].key, b->entries[i].key);
        assert_true(quo_version_equal(a->entries[i].seen, b->entries[i].seen));
        assert_int_equal(a->entries[i].is_firm, b->entries[i].is_firm);
    }
}

static void a_token_comes_back_as_it_went(void **state)
{
    (void)state;
    struct quo_token_secret secret = secret_of(DIGITS, CLUSTER);
    char text[QUO_TOKEN_TEXT_MAX + 1];

    for (unsigned touches = 0; touches < 300; touches++) {
        struct quo_token t = some_token(touches), back;

        quo_token_raise(&t, t.max_hlc + touches % 3);
        assert_int_equal(quo_token_encode(&t, &secret, text), QUO_OK);
        assert_true(strlen(text) <= QUO_TOKEN_TEXT_MAX);
        assert_int_equal(quo_token_decode(quo_slice_of(text), &secret, &back), QUO_OK);
        check_equal(&t, &back);
    }
}

static void a_million_keys_fit(void **state)
{
    (void)state;
    struct quo_token_secret secret = secret_of("", CLUSTER);
    struct quo_token t = {0};
    char text[QUO_TOKEN_TEXT_MAX + 1];

    for (uint64_t i = 1; i <= 1000000; i++) {
        quo_token_add(&t, chance(), (struct quo_version){i << 16, chance()}, i % 3 == 0);
        if (i % 1000 == 0) {
            assert_int_equal(quo_token_encode(&t, &secret, text), QUO_OK);
            assert_true(strlen(text) <= QUO_TOKEN_TEXT_MAX);
        }
    }
    assert_int_equal(t.count, QUO_TOKEN_ENTRIES_MAX);
    assert_true(QUO_MAX(t.low_firm, t.low_weak) == (UINT64_C(1000000) - QUO_TOKEN_ENTRIES_MAX)
                                                       << 16);
}

static void another_cluster_and_another_secret_are_refused(void **state)
{
    (void)state;
    struct quo_token_secret ours = secret_of(DIGITS, CLUSTER), derived = secret_of("", CLUSTER),
                            theirs = secret_of(DIGITS, CLUSTER + 1);
    struct quo_token t = some_token(3);
    char text[QUO_TOKEN_TEXT_MAX + 1];

    assert_int_equal(quo_token_encode(&t, &ours, text), QUO_OK);
    assert_int_equal(decode(text, &ours), QUO_OK);
    assert_int_equal(decode(text, &theirs), QUO_WRONG_CLUSTER);
    assert_int_equal(decode(text, &derived), QUO_INVALID);
    assert_int_equal(quo_token_encode(&t, &derived, text), QUO_OK);
    assert_int_equal(decode(text, &ours), QUO_INVALID);
    /* Whoever derives it as we do has the same one. */
    struct quo_token_secret again = secret_of("", CLUSTER);
    assert_int_equal(decode(text, &again), QUO_OK);
}

static void every_damage_is_noticed(void **state)
{
    (void)state;
    struct quo_token_secret secret = secret_of("", CLUSTER);
    struct quo_token t = some_token(20);
    char text[QUO_TOKEN_TEXT_MAX + 2];

    assert_int_equal(quo_token_encode(&t, &secret, text), QUO_OK);
    const size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        char was = text[i];

        for (const char *other = "AZaz09-_=+/ \t"; *other != '\0'; other++) {
            text[i] = *other;
            if (*other != was)
                assert_true(decode(text, &secret) != QUO_OK);
        }
        text[i] = '\0';
        assert_true(decode(text, &secret) != QUO_OK);
        text[i] = was;
    }
    text[len] = 'A';
    text[len + 1] = '\0';
    assert_int_equal(decode(text, &secret), QUO_INVALID);
}

static void any_bytes_are_refused(void **state)
{
    (void)state;
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct quo_token_secret secret = secret_of("", CLUSTER);
    struct quo_token t;
    uint8_t bytes[QUO_TOKEN_TEXT_MAX + 40];

    for (int run = 0; run < 100000; run++) {
        size_t len = chance() % sizeof bytes;

        for (size_t i = 0; i < len; i++)
            bytes[i] = run % 2 ? (uint8_t)chance() : (uint8_t)letters[chance() % 64];
        if (len > 1)
            bytes[0] = 'A', bytes[1] = 'Q'; /* format 1 */
        assert_true(quo_token_decode(quo_slice(bytes, len), &secret, &t) != QUO_OK);
    }
    assert_int_equal(decode("", &secret), QUO_INVALID);
}

static void secrets_are_checked(void **state)
{
    (void)state;
    struct quo_token_secret secret = {.size = 99};
    char digits[QUO_TOKEN_SECRET_DIGITS_MAX + 3];
    static const char *const bad[] = {"0", "0001020304050607", "000102030405060708090a0b0c0d0e0",
                                      "000102030405060708090a0b0c0d0e0g",
                                      "000102030405060708090a0b0c0d0e0f0"};

    for (size_t i = 0; i < QUO_COUNT(bad); i++)
        assert_int_equal(quo_token_secret(quo_slice_of(bad[i]), CLUSTER, &secret), QUO_INVALID);
    memset(digits, 'a', sizeof digits);
    assert_int_equal(
        quo_token_secret(quo_slice(digits, QUO_TOKEN_SECRET_DIGITS_MAX + 2), CLUSTER, &secret),
        QUO_INVALID);
    assert_int_equal(secret.size, 99);
    assert_int_equal(
        quo_token_secret(quo_slice(digits, QUO_TOKEN_SECRET_DIGITS_MAX), CLUSTER, &secret), QUO_OK);
    assert_int_equal(secret.size, QUO_TOKEN_SECRET_DIGITS_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_comes_back_as_it_went),
        cmocka_unit_test(a_million_keys_fit),
        cmocka_unit_test(another_cluster_and_another_secret_are_refused),
        cmocka_unit_test(every_damage_is_noticed),
        cmocka_unit_test(any_bytes_are_refused),
        cmocka_unit_test(secrets_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
