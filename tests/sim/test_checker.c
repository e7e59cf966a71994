/* The linearizability checker against its twin, on random small histories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/checker/counter.h"
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

/* What values an operation may have: each write its own; few, so that they meet; or numbers. */
enum flavour { UNIQUE, SHARED, COUNTER, PLAIN_COUNTER, FLAVOURS };

static enum quo_history_type random_type(enum flavour flavour)
{
    static const enum quo_history_type registers[] = {
        QUO_HISTORY_GET, QUO_HISTORY_PUT, QUO_HISTORY_DELETE, QUO_HISTORY_CAS, QUO_HISTORY_CAS};
    static const enum quo_history_type counters[] = {
        QUO_HISTORY_GET, QUO_HISTORY_ADD, QUO_HISTORY_ADD, QUO_HISTORY_PUT, QUO_HISTORY_DELETE};
    if (flavour == PLAIN_COUNTER)
        return counters[below(3)];
    return flavour == COUNTER ? counters[below(5)] : registers[below(5)];
}

static void random_add(struct quo_history_op *op, enum flavour flavour)
{
    op->by = flavour == PLAIN_COUNTER ? 1 : (int64_t)below(4) - 1;
    op->min = below(3) == 0 ? 0 : INT64_MIN;
    op->max = below(3) == 0 ? 2 : INT64_MAX;
    if (flavour == PLAIN_COUNTER)
        op->min = INT64_MIN, op->max = INT64_MAX;
    op->value = op->outcome == QUO_HISTORY_OK ? (int64_t)below(5) : 0;
    op->is_untold = op->outcome == QUO_HISTORY_OK && below(5) == 0;
}

static struct quo_history_op random_op(uint32_t id, enum flavour flavour)
{
    static const enum quo_level levels[] = {QUO_LEVEL_STRONG, QUO_LEVEL_STRONG, QUO_LEVEL_ALL,
                                            QUO_LEVEL_QUORUM, QUO_LEVEL_EVENTUAL};
    struct quo_history_op op = {.id = id, .process = id, .call = below(14)};
    uint32_t values = flavour == UNIQUE ? 5 : 3;
    op.type = random_type(flavour);
    op.model = flavour < COUNTER ? QUO_HISTORY_REGISTER : QUO_HISTORY_COUNTER;
    bool conditional = op.type == QUO_HISTORY_CAS || op.type == QUO_HISTORY_ADD;
    op.level = levels[below(conditional ? 4 : 5)];
    op.ret = op.call + below(8);
    uint32_t outcome = below(6);
    op.outcome = outcome == 0                  ? QUO_HISTORY_NOT_APPLIED
                 : outcome == 1                ? QUO_HISTORY_UNKNOWN
                 : outcome == 2 && conditional ? QUO_HISTORY_FAILED
                                               : QUO_HISTORY_OK;
    if (op.outcome == QUO_HISTORY_UNKNOWN)
        op.ret = QUO_HISTORY_NEVER;
    if (op.type == QUO_HISTORY_PUT || op.type == QUO_HISTORY_CAS)
        op.value = flavour == UNIQUE ? id : below(values);
    else if (op.type == QUO_HISTORY_GET)
        op.value = below(values);
    if (op.type == QUO_HISTORY_PUT && op.value == 0)
        op.value = 1;
    op.expected = op.type == QUO_HISTORY_CAS ? below(values) : 0;
    if (op.type == QUO_HISTORY_ADD)
        random_add(&op, flavour);
    op.saw = op.outcome == QUO_HISTORY_FAILED && below(3) > 0;
    op.seen = op.saw ? below(values) : 0;
    return op;
}

static void agrees_with_its_twin(void **state)
{
    (void)state;
    struct quo_linear *linear = quo_linear_new(1 << 20);
    assert_non_null(linear);
    size_t verdicts[FLAVOURS][2] = {{0}};
    size_t counted = 0;
    for (uint32_t round = 0; round < 120000; round++) {
        seed_state = 0x9e3779b97f4a7c15u * (round + 1);
        enum flavour flavour = round % FLAVOURS;
        struct quo_history_op ops[6];
        size_t count = 1 + below(6);
        for (uint32_t i = 0; i < count; i++)
            ops[i] = random_op(i + 1, flavour);
        bool expected = quo_brute_linearizable(ops, count);
        enum quo_linear_verdict verdict = quo_linear_check(linear, ops, count);
        bool miscounted = quo_counter_applies(ops, count) && quo_counter_check(ops, count).what;
        verdicts[flavour][expected]++;
        counted += miscounted;
        if ((verdict == QUO_LINEAR_OK) != expected || (expected && miscounted)) {
            quo_history_print(stderr, NULL, ops, count);
            fail_msg("round %u: the twin says %d, counted %d", round, expected, miscounted);
        }
        if (expected)
            continue;
        size_t left = quo_linear_minimise(linear, ops, count);
        assert_in_range(left, 1, count);
        assert_false(quo_brute_linearizable(ops, left));
    }
    for (int flavour = 0; flavour < FLAVOURS; flavour++)
        assert_true(verdicts[flavour][0] > 2500 && verdicts[flavour][1] > 2500);
    /* Of the plain counters that are wrong, counting finds most. */
    assert_true(counted > verdicts[PLAIN_COUNTER][0] * 8 / 10);
    quo_linear_free(linear);
}

/* A hundred thousand additions by sixteen clients, one in ten without an answer. */
static struct quo_history_op *huge_counter(size_t count)
{
    struct quo_history_op *ops = calloc(count, sizeof *ops);
    assert_non_null(ops);
    int64_t held = 0;
    for (size_t i = 0; i < count; i++) {
        bool known = below(10) > 0;
        bool taken = known || below(2) == 0;
        held += taken;
        ops[i] =
            (struct quo_history_op){.id = i,
                                    .type = QUO_HISTORY_ADD,
                                    .model = QUO_HISTORY_COUNTER,
                                    .level = QUO_LEVEL_STRONG,
                                    .by = 1,
                                    .min = INT64_MIN,
                                    .max = INT64_MAX,
                                    .outcome = known ? QUO_HISTORY_OK : QUO_HISTORY_UNKNOWN,
                                    .value = known ? held : 0,
                                    .call = 10 * i,
                                    .ret = known ? 10 * i + 5 + below(100) : QUO_HISTORY_NEVER};
    }
    return ops;
}

static void counts_huge_histories(void **state)
{
    (void)state;
    enum { ADDS = 100000 };
    seed_state = 7;
    struct quo_history_op *ops = huge_counter(ADDS);
    ops[ADDS - 1] = (struct quo_history_op){.type = QUO_HISTORY_GET,
                                            .model = QUO_HISTORY_COUNTER,
                                            .level = QUO_LEVEL_STRONG,
                                            .outcome = QUO_HISTORY_OK,
                                            .call = 10 * ADDS + 200,
                                            .ret = 10 * ADDS + 300};
    int64_t sure = 0, most = 0;
    for (size_t i = 0; i + 1 < ADDS; i++) {
        sure += ops[i].outcome == QUO_HISTORY_OK;
        most++;
    }
    const int64_t good[] = {sure, most}, bad[] = {sure - 1, most + 1};
    for (int i = 0; i < 2; i++) {
        ops[ADDS - 1].value = good[i];
        assert_null(quo_counter_check(ops, ADDS).what);
        ops[ADDS - 1].value = bad[i];
        assert_non_null(quo_counter_check(ops, ADDS).what);
    }
    ops[ADDS - 1].value = sure;
    size_t late = ADDS / 2;
    while (ops[late].outcome != QUO_HISTORY_OK || ops[late - 1].outcome != QUO_HISTORY_OK)
        late++;
    ops[late].value--; /* what the one before it came to */
    assert_string_equal(quo_counter_check(ops, ADDS).what, "two additions count what is one");
    free(ops);
}

/* Many additions at once and one get that nothing explains: every sum has to be visited. */
static void says_undecided_when_memory_runs_out(void **state)
{
    (void)state;
    enum { ADDS = 24 };
    struct quo_history_op ops[ADDS + 1];
    for (uint32_t i = 0; i < ADDS; i++)
        ops[i] = (struct quo_history_op){.type = QUO_HISTORY_ADD,
                                         .model = QUO_HISTORY_COUNTER,
                                         .level = QUO_LEVEL_STRONG,
                                         .outcome = QUO_HISTORY_OK,
                                         .by = INT64_C(1) << i,
                                         .min = INT64_MIN,
                                         .max = INT64_MAX,
                                         .is_untold = true,
                                         .ret = 100};
    ops[ADDS] = (struct quo_history_op){.type = QUO_HISTORY_GET,
                                        .model = QUO_HISTORY_COUNTER,
                                        .level = QUO_LEVEL_STRONG,
                                        .outcome = QUO_HISTORY_OK,
                                        .value = 0,
                                        .call = 200,
                                        .ret = 300};
    struct quo_linear *small = quo_linear_new(1 << 20);
    assert_int_equal(quo_linear_check(small, ops, ADDS + 1), QUO_LINEAR_UNDECIDED);
    assert_int_equal(quo_linear_check(small, ops + 20, ADDS + 1 - 20), QUO_LINEAR_VIOLATION);
    ops[ADDS].value = (1 << ADDS) - 1;
    assert_int_equal(quo_linear_check(small, ops, ADDS + 1), QUO_LINEAR_OK);
    quo_linear_free(small);
}

/* Puts that are under way for long and seen by nobody do not make it slow. */
static void a_crowd_of_unseen_puts_is_decided(void **state)
{
    (void)state;
    enum { PUTS = 60 };
    struct quo_history_op ops[PUTS + 1];
    for (uint32_t i = 0; i < PUTS; i++)
        ops[i] = (struct quo_history_op){.type = QUO_HISTORY_PUT,
                                         .level = QUO_LEVEL_STRONG,
                                         .outcome = QUO_HISTORY_OK,
                                         .value = i + 1,
                                         .call = i,
                                         .ret = 100 + i};
    ops[PUTS] = (struct quo_history_op){.type = QUO_HISTORY_GET,
                                        .level = QUO_LEVEL_STRONG,
                                        .outcome = QUO_HISTORY_OK,
                                        .value = 30,
                                        .call = 200,
                                        .ret = 300};
    struct quo_linear *small = quo_linear_new(1 << 20);
    assert_int_equal(quo_linear_check(small, ops, PUTS + 1), QUO_LINEAR_OK);
    ops[PUTS].value = 0;
    assert_int_equal(quo_linear_check(small, ops, PUTS + 1), QUO_LINEAR_VIOLATION);
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
        cmocka_unit_test(a_crowd_of_unseen_puts_is_decided),
        cmocka_unit_test(long_histories_are_quick),
        cmocka_unit_test(counts_huge_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
