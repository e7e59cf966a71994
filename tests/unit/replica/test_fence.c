#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage-node/replica/replica.h"

enum { A = 11, B = 22, C = 33, D = 44 };

static struct quo_entry normal(uint32_t epoch, uint64_t a, uint64_t b, uint64_t c)
{
    return (struct quo_entry){
        .epoch = epoch, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {a, b, c}};
}

static struct quo_entry joint(struct quo_entry from, struct quo_entry to, uint32_t epoch)
{
    from.epoch = epoch;
    from.state = QUO_ENTRY_JOINT;
    from.n_next = to.n;
    memcpy(from.next, to.replicas, sizeof to.replicas);
    return from;
}

static void expect(struct quo_entry mine, struct quo_entry carried, uint64_t self,
                   enum quo_status status, bool adopt)
{
    struct quo_fence_verdict verdict = quo_replica_fence(&mine, &carried, self);
    assert_int_equal(verdict.status, status);
    assert_int_equal(verdict.adopt, adopt);
}

static void test_equal_epoch_passes_members_only(void **state)
{
    (void)state;
    expect(normal(5, A, B, C), normal(5, A, B, C), A, QUO_OK, false);
    expect(normal(5, A, B, C), normal(5, A, B, C), C, QUO_OK, false);
    expect(normal(5, A, B, C), normal(5, A, B, C), D, QUO_NOT_REPLICA, false);
}

static void test_older_epoch_is_refused_first(void **state)
{
    (void)state;
    expect(normal(5, A, B, C), normal(4, A, B, C), A, QUO_WRONG_EPOCH, false);
    /* also when the requester is wrong about more than the epoch */
    expect(normal(5, A, B, C), normal(4, B, C, D), A, QUO_WRONG_EPOCH, false);
    expect(normal(5, B, C, D), normal(4, A, B, C), A, QUO_WRONG_EPOCH, false);
}

static void test_newer_epoch_is_adopted(void **state)
{
    (void)state;
    expect(normal(5, A, B, C), normal(6, A, B, C), A, QUO_OK, true);
    expect(normal(5, A, B, C), normal(9, A, B, C), A, QUO_OK, true);
}

static void test_epoch_that_leaves_us_out_is_adopted_and_refused(void **state)
{
    (void)state;
    expect(normal(5, A, B, C), normal(7, B, C, D), A, QUO_NOT_REPLICA, true);
}

static void test_joint_members_of_both_sides_pass(void **state)
{
    (void)state;
    struct quo_entry both = joint(normal(5, A, B, C), normal(5, B, C, D), 6);
    expect(normal(5, A, B, C), both, A, QUO_OK, true);
    expect(both, both, D, QUO_OK, false);
    expect(both, both, 55, QUO_NOT_REPLICA, false);
}

static void test_same_epoch_other_content_is_another_cluster(void **state)
{
    (void)state;
    expect(normal(5, A, B, C), normal(5, A, B, D), A, QUO_WRONG_CLUSTER, false);
    expect(normal(5, A, B, C), normal(5, B, A, C), A, QUO_WRONG_CLUSTER, false);
    struct quo_entry both = joint(normal(5, A, B, C), normal(5, B, C, D), 5);
    expect(normal(5, A, B, C), both, A, QUO_WRONG_CLUSTER, false);
}

static void test_replicas_that_change_without_joint_are_refused(void **state)
{
    (void)state;
    expect(normal(5, A, B, C), normal(6, B, C, D), B, QUO_WRONG_CLUSTER, false);
    expect(normal(5, A, B, C), normal(6, B, C, D), A, QUO_WRONG_CLUSTER, false);
    /* what lies between is unknown */
    expect(normal(5, A, B, C), normal(7, B, C, D), B, QUO_OK, true);
}

static void check_follow(struct quo_entry entry, struct quo_entry next, bool expected)
{
    assert_int_equal(quo_replica_may_follow(&entry, &next), expected);
}

static void test_history_of_an_entry(void **state)
{
    (void)state;
    struct quo_entry abc = normal(5, A, B, C);
    struct quo_entry bcd = normal(6, B, C, D);
    struct quo_entry move = joint(abc, bcd, 6);

    check_follow(abc, abc, true);
    check_follow(abc, normal(4, A, B, C), false);
    check_follow(abc, normal(6, A, B, C), true);
    check_follow(abc, normal(6, A, C, B), false);
    check_follow(abc, move, true);
    check_follow(abc, joint(bcd, abc, 6), false);

    check_follow(move, normal(7, A, B, C), true);
    check_follow(move, normal(7, B, C, D), true);
    check_follow(move, normal(7, A, C, D), false);
    check_follow(move, joint(abc, bcd, 7), true);
    check_follow(move, joint(abc, normal(0, A, C, D), 7), false);
    check_follow(move, joint(bcd, abc, 7), false);
    check_follow(move, joint(bcd, abc, 8), true);
}

static void test_fewer_replicas_are_other_replicas(void **state)
{
    (void)state;
    struct quo_entry two = normal(6, A, B, 0);
    two.n = 2;
    check_follow(normal(5, A, B, C), two, false);
}

static void test_highest_epoch(void **state)
{
    (void)state;
    expect(normal(UINT32_MAX, A, B, C), normal(UINT32_MAX, A, B, C), A, QUO_OK, false);
    expect(normal(1, A, B, C), normal(UINT32_MAX, B, C, D), B, QUO_OK, true);
    expect(normal(UINT32_MAX, A, B, C), normal(1, A, B, C), A, QUO_WRONG_EPOCH, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_epoch_passes_members_only),
        cmocka_unit_test(test_older_epoch_is_refused_first),
        cmocka_unit_test(test_newer_epoch_is_adopted),
        cmocka_unit_test(test_epoch_that_leaves_us_out_is_adopted_and_refused),
        cmocka_unit_test(test_joint_members_of_both_sides_pass),
        cmocka_unit_test(test_same_epoch_other_content_is_another_cluster),
        cmocka_unit_test(test_replicas_that_change_without_joint_are_refused),
        cmocka_unit_test(test_history_of_an_entry),
        cmocka_unit_test(test_fewer_replicas_are_other_replicas),
        cmocka_unit_test(test_highest_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
