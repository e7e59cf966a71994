#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quorate/limits.h"
#include "storage-node/replica/replica.h"

#define NOW_MS UINT64_C(1700000000000)

static enum quo_status at(uint64_t ms, uint16_t counter, uint64_t now_ms)
{
    return quo_replica_skew((struct quo_version){ms << 16 | counter, 7}, now_ms);
}

static void test_guard(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        uint16_t counter;
        enum quo_status status;
    } table[] = {
        {1, 0, QUO_OK},
        {NOW_MS, 0, QUO_OK},
        {NOW_MS + QUO_SKEW_MAX_MS, 0, QUO_OK},
        {NOW_MS + QUO_SKEW_MAX_MS, UINT16_MAX, QUO_OK},
        {NOW_MS + QUO_SKEW_MAX_MS + 1, 0, QUO_SKEW},
        {(UINT64_C(1) << 48) - 1, UINT16_MAX, QUO_SKEW},
    };
    for (size_t i = 0; i < QUO_COUNT(table); i++)
        assert_int_equal(at(table[i].ms, table[i].counter, NOW_MS), table[i].status);
}

static void test_clocks_at_their_ends(void **state)
{
    (void)state;
    assert_int_equal(at(QUO_SKEW_MAX_MS, 0, 0), QUO_OK);
    assert_int_equal(at(QUO_SKEW_MAX_MS + 1, 0, 0), QUO_SKEW);
    assert_int_equal(at((UINT64_C(1) << 48) - 1, 0, UINT64_MAX), QUO_OK);
    assert_int_equal(at((UINT64_C(1) << 48) - 1, 0, UINT64_MAX - QUO_SKEW_MAX_MS), QUO_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_clocks_at_their_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
