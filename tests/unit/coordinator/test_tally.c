/* The tally against a twin that tries every way the votes to come may fall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/tally.h"

static int count(unsigned set, unsigned votes)
{
    int n = 0;

    for (unsigned i = 0; i < 16; i++)
        n += (set >> i & 1) != 0 && (votes >> i & 1) != 0;
    return n;
}

static bool quorum(const quo_members sets[2], unsigned yes, int need)
{
    return count(sets[0], yes) >= need && (sets[1] == 0 || count(sets[1], yes) >= need);
}

/* Won if it is a quorum as it stands; lost if not even all open votes make it one. */
static enum quo_vote twin(const quo_members sets[2], unsigned yes, unsigned no, int need)
{
    unsigned members = sets[0] | sets[1];

    if (quorum(sets, yes, need))
        return QUO_VOTE_WON;
    for (unsigned more = 0; more <= members; more++) {
        if ((more & ~members) == 0 && (more & no) == 0 && quorum(sets, yes | more, need))
            return QUO_VOTE_OPEN;
    }
    return QUO_VOTE_LOST;
}

static void check_all_votes(const quo_members sets[2], unsigned members, uint8_t need)
{
    for (unsigned yes = 0; yes <= members; yes++) {
        for (unsigned no = 0; no <= members; no++) {
            if ((yes & no) != 0 || ((yes | no) & ~members) != 0)
                continue;
            struct quo_tally tally;
            quo_tally_init(&tally, sets, need);
            for (uint8_t i = 0; i < 6; i++) {
                if (yes >> i & 1)
                    assert_true(quo_tally_yes(&tally, i));
                if (no >> i & 1)
                    assert_true(i % 2 ? quo_tally_refused(&tally, i, QUO_BUSY)
                                      : quo_tally_unreachable(&tally, i));
            }
            assert_int_equal(quo_tally_vote(&tally), twin(sets, yes, no, need));
            assert_int_equal(quo_tally_lacking(&tally), members & ~yes);
            assert_int_equal(quo_tally_voted(&tally), yes | no);
            assert_int_equal(quo_tally_would_win(sets, (quo_members)yes, need) == QUO_VOTE_WON,
                             quorum(sets, yes, need));
        }
    }
}

static void one_set_agrees_with_the_twin(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 5; n++) {
        quo_members sets[2] = {(quo_members)((1u << n) - 1), 0};
        for (uint8_t need = 1; need <= n + 1; need++)
            check_all_votes(sets, sets[0], need);
    }
}

static void two_sets_agree_with_the_twin(void **state)
{
    (void)state;
    static const quo_members pairs[][2] = {{7, 14}, {7, 56}, {3, 7}, {7, 7}, {1, 30}};

    for (size_t i = 0; i < QUO_COUNT(pairs); i++) {
        for (uint8_t need = 1; need <= 3; need++)
            check_all_votes(pairs[i], pairs[i][0] | pairs[i][1], need);
    }
}

static void a_vote_counts_once(void **state)
{
    (void)state;
    struct quo_tally tally;
    const quo_members sets[2] = {7, 0};

    quo_tally_init(&tally, sets, 2);
    assert_true(quo_tally_yes(&tally, 0));
    assert_false(quo_tally_yes(&tally, 0));
    assert_false(quo_tally_refused(&tally, 0, QUO_BUSY));
    assert_false(quo_tally_unreachable(&tally, 0));
    assert_int_equal(quo_tally_vote(&tally), QUO_VOTE_OPEN);
    assert_int_equal(tally.refusal, QUO_OK);
    assert_true(quo_tally_refused(&tally, 1, QUO_NACK));
    assert_true(quo_tally_refused(&tally, 2, QUO_BUSY));
    assert_int_equal(tally.refusal, QUO_NACK);
    assert_int_equal(quo_tally_vote(&tally), QUO_VOTE_LOST);
}

static void blame_names_what_lost_the_vote(void **state)
{
    (void)state;
    struct quo_tally tally;
    const quo_members sets[2] = {7, 0};

    quo_tally_init(&tally, sets, 2);
    quo_tally_unreachable(&tally, 0);
    quo_tally_refused(&tally, 1, QUO_DISK_FULL);
    assert_int_equal(quo_tally_blame(&tally), QUO_VERDICT_REFUSED);
    quo_tally_unreachable(&tally, 2);
    assert_int_equal(quo_tally_blame(&tally), QUO_VERDICT_UNAVAILABLE);

    /* Three of two: nobody's fault. */
    const quo_members small[2] = {3, 0};
    quo_tally_init(&tally, small, 3);
    assert_int_equal(quo_tally_vote(&tally), QUO_VOTE_LOST);
    assert_int_equal(quo_tally_blame(&tally), QUO_VERDICT_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_set_agrees_with_the_twin),
        cmocka_unit_test(two_sets_agree_with_the_twin),
        cmocka_unit_test(a_vote_counts_once),
        cmocka_unit_test(blame_names_what_lost_the_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
