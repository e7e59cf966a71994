/* The linearizability checker against its twin, on random small histories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/checker/linear.h"
#include "../support/checker/versions.h"

static uint64_t seed_state;

static uint32_t below(uint32_t n)
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 7;
    seed_state ^= seed_state << 17;
    return (uint32_t)((seed_state >> 16) % n);
}

static struct quo_history_op random_op(uint32_t id, bool unique)
{
    static const enum quo_level levels[] = {QUO_LEVEL_STRONG, QUO_LEVEL_STRONG, QUO_LEVEL_ALL,
                                            QUO_LEVEL_QUORUM, QUO_LEVEL_EVENTUAL};
    struct quo_history_op op = {.id = id, .process = id, .call = below(14)};
    op.type = (enum quo_history_type)(1 + below(3));
    op.level = levels[below(5)];
    op.ret = op.call + below(8);
    uint32_t outcome = below(6);
    op.outcome = outcome == 0   ? QUO_HISTORY_NOT_APPLIED
                 : outcome == 1 ? QUO_HISTORY_UNKNOWN
                                : QUO_HISTORY_OK;
    if (op.outcome == QUO_HISTORY_UNKNOWN)
        op.ret = QUO_HISTORY_NEVER;
    if (op.type == QUO_HISTORY_PUT)
        op.value = unique ? id : 1 + below(2);
    else if (op.type == QUO_HISTORY_GET)
        op.value = below(unique ? 5 : 3);
    return op;
}

static void agrees_with_its_twin(void **state)
{
    (void)state;
    struct quo_linear *linear = quo_linear_new(1 << 20);
    assert_non_null(linear);
    size_t verdicts[2] = {0, 0};
    for (uint32_t round = 0; round < 60000; round++) {
        seed_state = 0x9e3779b97f4a7c15u * (round + 1);
        struct quo_history_op ops[6];
        size_t count = 1 + below(6);
        for (uint32_t i = 0; i < count; i++)
            ops[i] = random_op(i + 1, round & 1);
        bool expected = quo_brute_linearizable(ops, count);
        enum quo_linear_verdict verdict = quo_linear_check(linear, ops, count);
        verdicts[expected]++;
        if ((verdict == QUO_LINEAR_OK) != expected) {
            quo_history_print(stderr, NULL, ops, count);
            fail_msg("round %u: the twin says %d", round, expected);
        }
        if (expected)
            continue;
        size_t left = quo_linear_minimise(linear, ops, count);
        assert_in_range(left, 1, count);
        assert_false(quo_brute_linearizable(ops, left));
    }
    assert_true(verdicts[0] > 5000 && verdicts[1] > 5000);
    quo_linear_free(linear);
}

/* Many puts at once and one get that nothing explains: every configuration has to be visited. */
static void says_undecided_when_memory_runs_out(void **state)
{
    (void)state;
    enum { PUTS = 24 };
    struct quo_history_op ops[PUTS + 1];
    for (uint32_t i = 0; i < PUTS; i++)
        ops[i] = (struct quo_history_op){.type = QUO_HISTORY_PUT,
                                         .level = QUO_LEVEL_STRONG,
                                         .outcome = QUO_HISTORY_OK,
                                         .value = i + 1,
                                         .ret = 100};
    ops[PUTS] = (struct quo_history_op){.type = QUO_HISTORY_GET,
                                        .level = QUO_LEVEL_STRONG,
                                        .outcome = QUO_HISTORY_OK,
                                        .value = 0,
                                        .call = 200,
                                        .ret = 300};
    struct quo_linear *small = quo_linear_new(1 << 20);
    assert_int_equal(quo_linear_check(small, ops, PUTS + 1), QUO_LINEAR_UNDECIDED);
    assert_int_equal(quo_linear_check(small, ops + 20, PUTS + 1 - 20), QUO_LINEAR_VIOLATION);
    ops[PUTS].value = PUTS;
    assert_int_equal(quo_linear_check(small, ops, PUTS + 1), QUO_LINEAR_OK);
    quo_linear_free(small);
}

static void long_histories_are_quick(void **state)
{
    (void)state;
    enum { OPS = 8000 };
    struct quo_history_op *ops = calloc(OPS, sizeof *ops);
    assert_non_null(ops);
    for (uint32_t i = 0; i < OPS; i++)
        ops[i] = (struct quo_history_op){.type = i % 2 ? QUO_HISTORY_GET : QUO_HISTORY_PUT,
                                         .level = QUO_LEVEL_STRONG,
                                         .outcome = QUO_HISTORY_OK,
                                         .value = i - i % 2 + 1,
                                         .call = 10 * (i - i % 2),
                                         .ret = 10 * (i - i % 2) + 25};
    struct quo_linear *linear = quo_linear_new((size_t)64 << 20);
    assert_int_equal(quo_linear_check(linear, ops, OPS), QUO_LINEAR_OK);
    ops[OPS - 1].value = 1;
    assert_int_equal(quo_linear_check(linear, ops, OPS), QUO_LINEAR_VIOLATION);
    quo_linear_free(linear);
    free(ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_its_twin),
        cmocka_unit_test(says_undecided_when_memory_runs_out),
        cmocka_unit_test(long_histories_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
