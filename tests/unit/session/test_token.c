/* The lattice of tokens against a model that forgets nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/session/token.h"

#define KEYS 40u
#define NODE(bits) ((uint64_t)(bits) << 48)

static uint64_t chance_state = 1;

static uint64_t chance(uint64_t below)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return chance_state % below;
}

/* What a session has met, whole. */
struct model {
    struct quo_version seen[KEYS];
    bool is_firm[KEYS];
    uint64_t max_hlc;
};

static void model_add(struct model *m, unsigned key, struct quo_version v, bool is_firm)
{
    int order = quo_version_compare(v, m->seen[key]);

    if (order > 0)
        m->is_firm[key] = is_firm;
    else if (order == 0)
        m->is_firm[key] |= is_firm;
    m->seen[key] = quo_version_max(m->seen[key], v);
    m->max_hlc = QUO_MAX(m->max_hlc, v.hlc);
}

static void model_merge(struct model *m, const struct model *other)
{
    for (unsigned key = 0; key < KEYS; key++)
        model_add(m, key, other->seen[key], other->is_firm[key]);
}

static void check_shape(const struct quo_token *t)
{
    uint64_t low = QUO_MAX(t->low_firm, t->low_weak);

    assert_true(t->count <= QUO_TOKEN_ENTRIES_MAX && t->max_hlc >= low);
    for (uint8_t i = 0; i < t->count; i++) {
        assert_true(t->entries[i].seen.hlc > low && t->entries[i].seen.hlc <= t->max_hlc);
        if (i > 0)
            assert_true(quo_version_compare(t->entries[i - 1].seen, t->entries[i].seen) >= 0);
        for (uint8_t j = 0; j < i; j++)
            assert_true(t->entries[i].key != t->entries[j].key);
    }
}

/* Everything the model has met is listed, or a watermark speaks for it. */
static void check_covers(const struct quo_token *t, const struct model *m)
{
    struct quo_version listed;

    check_shape(t);
    assert_int_equal(t->max_hlc, m->max_hlc);
    for (unsigned key = 0; key < KEYS; key++) {
        uint64_t low = m->is_firm[key] ? QUO_MAX(t->low_firm, t->low_weak) : t->low_weak;

        if (quo_token_find(t, key, &listed))
            assert_true(quo_version_equal(listed, m->seen[key]));
        else
            assert_true(m->seen[key].hlc <= low);
    }
}

static struct quo_version some_version(unsigned key)
{
    /* No two keys share a version, so that the model is exact to the last bit. */
    return (struct quo_version){1 + chance(300), NODE(1 + key * 100 + chance(3))};
}

static void touch(struct quo_token *t, struct model *m, bool may_be_firm)
{
    unsigned key = (unsigned)chance(KEYS);
    struct quo_version v = some_version(key);
    bool is_firm = may_be_firm && chance(2) == 0;

    quo_token_add(t, key, v, is_firm);
    model_add(m, key, v, is_firm);
}

static void a_token_covers_all_that_was_met(void **state)
{
    (void)state;
    for (int run = 0; run < 3000; run++) {
        struct quo_token t = {0};
        struct model m = {0};

        for (uint64_t i = chance(60); i > 0; i--) {
            touch(&t, &m, true);
            check_covers(&t, &m);
        }
    }
}

static void what_fits_is_listed(void **state)
{
    (void)state;
    struct quo_token t = {0};
    struct quo_version v;

    for (unsigned key = 0; key < QUO_TOKEN_ENTRIES_MAX; key++)
        quo_token_add(&t, key, (struct quo_version){10 + key, NODE(1)}, true);
    assert_int_equal(t.count, QUO_TOKEN_ENTRIES_MAX);
    assert_int_equal(t.low_firm + t.low_weak, 0);
    quo_token_add(&t, 99, (struct quo_version){50, NODE(1)}, false);
    assert_false(quo_token_find(&t, 0, &v));
    assert_true(quo_token_find(&t, 99, &v) && v.hlc == 50);
    assert_int_equal(t.low_firm, 10);
    assert_int_equal(t.low_weak, 0);
    /* Older than what was evicted: it could be of the key that was. */
    quo_token_add(&t, 0, (struct quo_version){9, NODE(1)}, false);
    assert_false(quo_token_find(&t, 0, &v));
    assert_int_equal(t.low_weak, 9);
    quo_token_add(&t, 0, QUO_VERSION_NONE, false);
    quo_token_raise(&t, 70);
    assert_int_equal(t.max_hlc, 70);
    assert_int_equal(t.count, QUO_TOKEN_ENTRIES_MAX);
}

static void a_version_that_is_known_twice_is_as_firm_as_it_can_be(void **state)
{
    (void)state;
    struct quo_token t = {0};
    const struct quo_version v = {10, NODE(1)}, newer = {10, NODE(2)};

    quo_token_add(&t, 1, v, true);
    quo_token_add(&t, 1, v, false);
    assert_true(t.count == 1 && t.entries[0].is_firm);
    quo_token_add(&t, 1, newer, false);
    assert_true(t.count == 1 && !t.entries[0].is_firm);
    quo_token_add(&t, 1, v, true);
    assert_true(!t.entries[0].is_firm && quo_version_equal(t.entries[0].seen, newer));
}

/* Only the bits that have room are kept, so the version itself is not below what is asked for. */
static void the_version_that_was_met_is_new_enough(void **state)
{
    (void)state;
    struct quo_token t = {0};
    const struct quo_version v = {77, UINT64_C(0x123456789abcdef0)};
    struct quo_version least;

    quo_token_add(&t, 5, v, false);
    assert_true(quo_token_find(&t, 5, &least));
    assert_true(quo_version_compare(v, least) >= 0);
    assert_true(quo_version_compare((struct quo_version){77, NODE(0x1233)}, least) < 0);
    assert_true(quo_version_compare((struct quo_version){76, UINT64_MAX}, least) < 0);
}

static struct quo_token some_token(struct model *m, bool may_be_firm)
{
    struct quo_token t = {0};

    memset(m, 0, sizeof *m);
    for (uint64_t i = chance(30); i > 0; i--)
        touch(&t, m, may_be_firm);
    return t;
}

static struct quo_token merged(struct quo_token a, const struct quo_token *b)
{
    quo_token_merge(&a, b);
    return a;
}

/* But for which watermark says what. */
static void check_alike(const struct quo_token *a, const struct quo_token *b)
{
    assert_int_equal(a->max_hlc, b->max_hlc);
    assert_int_equal(QUO_MAX(a->low_firm, a->low_weak), QUO_MAX(b->low_firm, b->low_weak));
    assert_int_equal(a->count, b->count);
    for (uint8_t i = 0; i < a->count; i++) {
        assert_int_equal(a->entries[i].key, b->entries[i].key);
        assert_true(quo_version_equal(a->entries[i].seen, b->entries[i].seen));
        assert_int_equal(a->entries[i].is_firm, b->entries[i].is_firm);
    }
}

static void check_equal(const struct quo_token *a, const struct quo_token *b)
{
    check_alike(a, b);
    assert_int_equal(a->low_firm, b->low_firm);
    assert_int_equal(a->low_weak, b->low_weak);
}

/* The version that was met last wins, whoever saw it: only which watermark speaks for what was
 * evicted can depend on the order, and never says too little. */
static void merging_is_a_join(void **state)
{
    (void)state;
    for (int run = 0; run < 5000; run++) {
        bool may_be_firm = run % 2 != 0;
        struct model ma, mb, mc;
        struct quo_token a = some_token(&ma, may_be_firm), b = some_token(&mb, may_be_firm),
                         c = some_token(&mc, may_be_firm);
        struct quo_token ab = merged(a, &b), ba = merged(b, &a), bc = merged(b, &c);
        struct quo_token left = merged(ab, &c), right = merged(a, &bc);
        struct quo_token twice = merged(ab, &b);

        check_equal(&ab, &ba);
        check_alike(&ab, &twice);
        struct quo_token self = a;
        quo_token_merge(&self, &self);
        check_equal(&a, &self);
        check_alike(&left, &right);
        if (!may_be_firm) {
            check_equal(&ab, &twice);
            check_equal(&left, &right);
        }
        model_merge(&ma, &mb);
        check_covers(&ab, &ma);
        model_merge(&ma, &mc);
        check_covers(&left, &ma);
        check_covers(&right, &ma);
    }
}

/* What a read must show never becomes less. */
static void a_token_only_asks_for_more(void **state)
{
    (void)state;
    struct quo_token t = {0};
    struct model m = {0};

    for (int i = 0; i < 20000; i++) {
        struct quo_token before = t;

        touch(&t, &m, true);
        assert_true(t.max_hlc >= before.max_hlc);
        assert_true(t.low_firm >= before.low_firm && t.low_weak >= before.low_weak);
        for (unsigned key = 0; key < KEYS; key++) {
            struct quo_version was = QUO_VERSION_NONE, is = QUO_VERSION_NONE;

            if (quo_token_find(&before, key, &was) && quo_token_find(&t, key, &is))
                assert_true(quo_version_compare(is, was) >= 0);
            else if (!quo_version_is_none(was))
                assert_true(was.hlc <= QUO_MAX(t.low_firm, t.low_weak));
        }
        if (i % 500 == 0) {
            t = (struct quo_token){0};
            m = (struct model){0};
        }
    }
}

static void keys_are_told_apart(void **state)
{
    (void)state;
    struct quo_slice a = quo_slice_of("a"), b = quo_slice_of("b");

    assert_true(quo_token_key(1, a) != quo_token_key(1, b));
    assert_true(quo_token_key(1, a) != quo_token_key(2, a));
    assert_true(quo_token_key(1, a) == quo_token_key(1, a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_covers_all_that_was_met),
        cmocka_unit_test(what_fits_is_listed),
        cmocka_unit_test(a_version_that_is_known_twice_is_as_firm_as_it_can_be),
        cmocka_unit_test(the_version_that_was_met_is_new_enough),
        cmocka_unit_test(merging_is_a_join),
        cmocka_unit_test(a_token_only_asks_for_more),
        cmocka_unit_test(keys_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
