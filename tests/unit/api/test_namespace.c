#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quorate/cluster.h"

static struct quo_namespace sample(void)
{
    return (struct quo_namespace){
        .id = 1,
        .name = "default",
        .kind = QUO_KIND_LWW,
        .n = 3,
        .rs = 2,
        .ws = 2,
        .read_level = QUO_LEVEL_STRONG,
        .write_level = QUO_LEVEL_STRONG,
        .timeout_ms = QUO_TIMEOUT_DEFAULT_MS,
        .value_max = QUO_VALUE_MAX_DEFAULT,
    };
}

/* Whether every set of `a` out of `n` replicas meets every set of `b`, by looking at all of them.
 */
static bool all_sets_meet(unsigned n, unsigned a, unsigned b)
{
    for (unsigned x = 0; x < 1u << n; x++) {
        for (unsigned y = 0; y < 1u << n; y++) {
            if ((unsigned)__builtin_popcount(x) == a && (unsigned)__builtin_popcount(y) == b &&
                (x & y) == 0)
                return false;
        }
    }
    return true;
}

static void quorum_arithmetic_agrees_with_enumeration(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= QUO_REPLICAS_MAX; n++) {
        for (unsigned rs = 0; rs <= QUO_REPLICAS_MAX + 1; rs++) {
            for (unsigned ws = 0; ws <= QUO_REPLICAS_MAX + 1; ws++) {
                struct quo_namespace ns = sample();
                const char *why = "untouched";
                ns.n = (uint8_t)n;
                ns.rs = (uint8_t)rs;
                ns.ws = (uint8_t)ws;
                bool good = rs >= 1 && rs <= n && ws >= 1 && ws <= n && all_sets_meet(n, rs, ws) &&
                            all_sets_meet(n, ws, ws);
                assert_int_equal(quo_namespace_check(&ns, &why), good ? QUO_OK : QUO_INVALID);
                assert_int_equal(strcmp(why, "untouched") == 0, good);
            }
        }
    }
}

static void expect_invalid(struct quo_namespace ns, const char *word)
{
    const char *why = "";
    assert_int_equal(quo_namespace_check(&ns, &why), QUO_INVALID);
    assert_memory_equal(why, word, strlen(word));
}

static void every_field_is_checked(void **state)
{
    (void)state;
    struct quo_namespace ns;
#define EXPECT_INVALID(field, value, word)                                                         \
    ns = sample();                                                                                 \
    ns.field = (value);                                                                            \
    expect_invalid(ns, word)
    EXPECT_INVALID(id, 0, "id ");
    EXPECT_INVALID(name[0], '\0', "name ");
    EXPECT_INVALID(name[0], '1', "name ");
    EXPECT_INVALID(name[0], 'D', "name ");
    EXPECT_INVALID(name[1], '/', "name ");
    EXPECT_INVALID(name[1], (char)0xe4, "name ");
    EXPECT_INVALID(kind, (enum quo_kind)0, "kind ");
    EXPECT_INVALID(kind, (enum quo_kind)5, "kind ");
    EXPECT_INVALID(n, 0, "n ");
    EXPECT_INVALID(n, QUO_REPLICAS_MAX + 1, "n ");
    EXPECT_INVALID(rs, 0, "rs ");
    EXPECT_INVALID(ws, 4, "ws ");
    EXPECT_INVALID(rs, 1, "rs + ws ");
    EXPECT_INVALID(read_level, (enum quo_level)0, "read ");
    EXPECT_INVALID(write_level, (enum quo_level)7, "write ");
    EXPECT_INVALID(timeout_ms, 0, "timeout_ms ");
    EXPECT_INVALID(timeout_ms, QUO_TIMEOUT_MAX_MS + 1, "timeout_ms ");
    EXPECT_INVALID(value_max, 0, "value_max ");
    EXPECT_INVALID(value_max, QUO_VALUE_MAX + 1, "value_max ");
    ns = sample();
    ns.rs = 3;
    ns.ws = 1;
    expect_invalid(ns, "2 * ws ");
}

/* Where writes keep no lineage there is nothing to remember an operation by. */
static void keys_of_operations_are_for_kinds_with_a_lineage(void **state)
{
    (void)state;
    for (int kind = QUO_KIND_LWW; kind <= QUO_KIND_CRDT; kind++) {
        const bool remembers = kind == QUO_KIND_CAS || kind == QUO_KIND_MIXED;
        struct quo_namespace ns = sample();
        const char *why = "";
        ns.kind = (enum quo_kind)kind;
        ns.retention_s = QUO_RETENTION_MAX_S;
        assert_int_equal(quo_namespace_check(&ns, &why), QUO_OK);
        ns.retention_s = QUO_RETENTION_MIN_S;
        assert_int_equal(quo_namespace_check(&ns, &why), QUO_OK);
        ns.require_idempotency_key = true;
        if (remembers)
            assert_int_equal(quo_namespace_check(&ns, &why), QUO_OK);
        else
            expect_invalid(ns, "require_idempotency_key must be false unless kind is cas or mixed");
        if (!remembers)
            continue;
        ns.retention_s = QUO_RETENTION_MIN_S - 1;
        expect_invalid(ns, "idempotency_retention must be from 1 to 604800");
        ns.retention_s = QUO_RETENTION_MAX_S + 1;
        expect_invalid(ns, "idempotency_retention must be from 1 to 604800");
    }
}

static void bounded_reads_need_a_bound(void **state)
{
    (void)state;
    struct quo_namespace ns = sample();
    const char *why = "";
    ns.read_level = QUO_LEVEL_BOUNDED;
    expect_invalid(ns, "read must not be bounded without max_stale_ms");
    ns.stale_ms = QUO_STALE_MAX_MS;
    assert_int_equal(quo_namespace_check(&ns, &why), QUO_OK);
    ns.stale_ms++;
    expect_invalid(ns, "max_stale_ms must be from 1 to 86400000");
}

/* A write there is consensus or nothing; one that a weaker level satisfies would be none. */
static void only_cas_refuses_eventual_writes(void **state)
{
    (void)state;
    for (int kind = QUO_KIND_LWW; kind <= QUO_KIND_CRDT; kind++) {
        for (int level = QUO_LEVEL_EVENTUAL; level <= QUO_LEVEL_ALL; level++) {
            struct quo_namespace ns = sample();
            const char *why = "";
            ns.kind = (enum quo_kind)kind;
            ns.write_level = (enum quo_level)level;
            ns.retention_s = QUO_RETENTION_DEFAULT_S;
            if (kind == QUO_KIND_CAS && level == QUO_LEVEL_EVENTUAL)
                expect_invalid(ns, "write must not be eventual in a cas namespace");
            else if (level == QUO_LEVEL_BOUNDED)
                expect_invalid(ns, "write must be eventual, session, quorum, strong or all");
            else
                assert_int_equal(quo_namespace_check(&ns, &why), QUO_OK);
        }
    }
}

static void names_may_be_63_bytes(void **state)
{
    (void)state;
    struct quo_namespace ns = sample();
    const char *why = "";
    memset(ns.name, 'a', QUO_NAME_MAX);
    ns.name[QUO_NAME_MAX] = '\0';
    ns.name[1] = '-';
    ns.name[2] = '_';
    ns.name[3] = '9';
    assert_int_equal(quo_namespace_check(&ns, &why), QUO_OK);
    ns.name[QUO_NAME_MAX] = 'a'; /* no end */
    assert_int_equal(quo_namespace_check(&ns, &why), QUO_INVALID);
}

static void kinds_and_levels_are_named(void **state)
{
    (void)state;
    for (int i = QUO_KIND_LWW; i <= QUO_KIND_CRDT; i++) {
        enum quo_kind kind = (enum quo_kind)99;
        assert_true(quo_kind_parse(quo_slice_of(quo_kind_name((enum quo_kind)i)), &kind));
        assert_int_equal(kind, i);
    }
    for (int i = QUO_LEVEL_EVENTUAL; i <= QUO_LEVEL_ALL; i++) {
        enum quo_level level = (enum quo_level)99;
        assert_true(quo_level_parse(quo_slice_of(quo_level_name((enum quo_level)i)), &level));
        assert_int_equal(level, i);
    }
    enum quo_kind kind = QUO_KIND_CAS;
    enum quo_level level = QUO_LEVEL_ALL;
    static const char *const wrong[] = {"", "unknown", "LWW", "lwwx", "lw", "stron", "strong "};
    for (size_t i = 0; i < QUO_COUNT(wrong); i++) {
        assert_false(quo_kind_parse(quo_slice_of(wrong[i]), &kind));
        assert_false(quo_level_parse(quo_slice_of(wrong[i]), &level));
    }
    assert_int_equal(kind, QUO_KIND_CAS);
    assert_int_equal(level, QUO_LEVEL_ALL);
    assert_string_equal(quo_kind_name((enum quo_kind)0), "unknown");
    assert_string_equal(quo_level_name((enum quo_level)7), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quorum_arithmetic_agrees_with_enumeration),
        cmocka_unit_test(every_field_is_checked),
        cmocka_unit_test(keys_of_operations_are_for_kinds_with_a_lineage),
        cmocka_unit_test(only_cas_refuses_eventual_writes),
        cmocka_unit_test(bounded_reads_need_a_bound),
        cmocka_unit_test(names_may_be_63_bytes),
        cmocka_unit_test(kinds_and_levels_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
