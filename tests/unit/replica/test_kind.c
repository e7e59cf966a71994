#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage-node/replica/replica.h"

static void test_mask(void **state)
{
    (void)state;
    static const struct {
        enum quo_kind kind;
        enum quo_status query, store, prep, acc, slot;
    } table[] = {
        {QUO_KIND_LWW, QUO_OK, QUO_OK, QUO_BAD_KIND, QUO_BAD_KIND, QUO_BAD_KIND},
        {QUO_KIND_MIXED, QUO_OK, QUO_OK, QUO_OK, QUO_OK, QUO_BAD_KIND},
        {QUO_KIND_CRDT, QUO_OK, QUO_OK, QUO_BAD_KIND, QUO_BAD_KIND, QUO_OK},
        {QUO_KIND_CAS, QUO_OK, QUO_BAD_KIND, QUO_OK, QUO_OK, QUO_BAD_KIND},
    };
    for (size_t i = 0; i < QUO_COUNT(table); i++) {
        struct quo_namespace ns = {.id = 1, .kind = table[i].kind};
        uint8_t carried = (uint8_t)table[i].kind;
        assert_int_equal(quo_replica_kind(&ns, carried, QUO_OP_QUERY), table[i].query);
        assert_int_equal(quo_replica_kind(&ns, carried, QUO_OP_STORE), table[i].store);
        assert_int_equal(quo_replica_kind(&ns, carried, QUO_OP_PREP), table[i].prep);
        assert_int_equal(quo_replica_kind(&ns, carried, QUO_OP_ACC), table[i].acc);
        assert_int_equal(quo_replica_kind(&ns, carried, QUO_OP_SLOT), table[i].slot);
    }
}

static void test_requester_with_another_kind_is_stale(void **state)
{
    (void)state;
    for (uint8_t ours = QUO_KIND_LWW; ours <= QUO_KIND_CRDT; ours++) {
        for (unsigned carried = 0; carried <= UINT8_MAX; carried++) {
            struct quo_namespace ns = {.id = 1, .kind = (enum quo_kind)ours};
            assert_int_equal(quo_replica_kind(&ns, (uint8_t)carried, QUO_OP_QUERY),
                             carried == ours ? QUO_OK : QUO_BAD_KIND);
        }
    }
}

static void test_unknown_namespace(void **state)
{
    (void)state;
    assert_int_equal(quo_replica_kind(NULL, QUO_KIND_LWW, QUO_OP_QUERY), QUO_BAD_KIND);
    assert_int_equal(quo_replica_kind(NULL, QUO_KIND_LWW, QUO_OP_STORE), QUO_BAD_KIND);
}

static void test_unknown_kind_allows_nothing(void **state)
{
    (void)state;
    struct quo_namespace ns = {.id = 1, .kind = (enum quo_kind)9};
    assert_int_equal(quo_replica_kind(&ns, 9, QUO_OP_QUERY), QUO_BAD_KIND);
}

static void test_which_kinds_can_hold_promises(void **state)
{
    (void)state;
    assert_false(quo_replica_kind_promises(QUO_KIND_LWW));
    assert_true(quo_replica_kind_promises(QUO_KIND_CAS));
    assert_true(quo_replica_kind_promises(QUO_KIND_MIXED));
    assert_false(quo_replica_kind_promises(QUO_KIND_CRDT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_requester_with_another_kind_is_stale),
        cmocka_unit_test(test_unknown_namespace),
        cmocka_unit_test(test_unknown_kind_allows_nothing),
        cmocka_unit_test(test_which_kinds_can_hold_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
