/* The pool of operations and their deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/service/deadlines.h"

static void an_id_names_one_use_of_a_slot(void **state)
{
    (void)state;
    struct quo_ops ops;
    uint16_t round;

    assert_int_equal(quo_ops_init(&ops, 100), QUO_OK);
    assert_null(quo_ops_find(&ops, 0, &round));
    struct quo_op *op = quo_ops_acquire(&ops);
    uint64_t id = quo_op_id(op, 77);
    assert_int_not_equal(id, 0);
    assert_ptr_equal(quo_ops_find(&ops, id, &round), op);
    assert_int_equal(round, 77);
    assert_null(quo_ops_find(&ops, id + (1u << 12), &round));
    assert_null(quo_ops_find(&ops, id + (5000u << 12), &round));
    quo_ops_release(&ops, op);
    assert_null(quo_ops_find(&ops, id, &round));
    assert_ptr_equal(quo_ops_acquire(&ops), op);
    assert_null(quo_ops_find(&ops, id, &round));
    /* A generation is never 0, so no id is. */
    quo_ops_release(&ops, op);
    op->generation = INT32_MAX;
    op = quo_ops_acquire(&ops);
    assert_int_equal(op->generation, 1);
    quo_ops_free(&ops);
}

static void slots_do_not_move(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct quo_op *used[COUNT];
    struct quo_ops ops;

    assert_int_equal(quo_ops_init(&ops, COUNT), QUO_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        used[i] = quo_ops_acquire(&ops);
        assert_int_equal(used[i]->slot, i);
    }
    assert_int_equal(ops.in_use, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_ptr_equal(quo_ops_at(&ops, i), used[i]);
    quo_ops_free(&ops);
}

static void small_parts_stay_in_the_slot(void **state)
{
    (void)state;
    struct quo_ops ops;
    uint8_t *key, *record;

    assert_int_equal(quo_ops_init(&ops, 1), QUO_OK);
    struct quo_op *op = quo_ops_acquire(&ops);
    assert_int_equal(quo_op_make(&ops, op, QUO_OP_KEY, 100, &key), QUO_OK);
    memset(key, 'k', 100);
    assert_int_equal(quo_op_make(&ops, op, QUO_OP_RECORD, QUO_OP_INLINE - 100, &record), QUO_OK);
    memset(record, 'r', QUO_OP_INLINE - 100);
    assert_int_equal(ops.bytes, 0);
    assert_int_equal(op->part[QUO_OP_KEY].data[99], 'k');
    /* One byte more goes to the heap, instead of what was there. */
    assert_int_equal(quo_op_make(&ops, op, QUO_OP_RECORD, QUO_OP_INLINE - 99, &record), QUO_OK);
    memset(record, 'r', QUO_OP_INLINE - 99);
    assert_int_equal(ops.bytes, QUO_OP_INLINE - 99);
    assert_int_equal(quo_op_make(&ops, op, QUO_OP_RECORD, 1, &record), QUO_OK);
    assert_int_equal(ops.bytes, 0);
    quo_ops_release(&ops, op);

    /* A large key leaves the slot to the record. */
    op = quo_ops_acquire(&ops);
    assert_int_equal(quo_op_make(&ops, op, QUO_OP_KEY, 4096, &key), QUO_OK);
    assert_int_equal(quo_op_make(&ops, op, QUO_OP_RECORD, QUO_OP_INLINE, &record), QUO_OK);
    assert_int_equal(ops.bytes, 4096);
    quo_ops_release(&ops, op);
    assert_int_equal(ops.bytes, 0);
    quo_ops_free(&ops);
}

static void the_bytes_of_all_operations_are_bounded(void **state)
{
    (void)state;
    const size_t left = QUO_OP_INLINE + 1000;
    struct quo_ops ops;
    uint8_t *out;

    assert_int_equal(quo_ops_init(&ops, 2), QUO_OK);
    struct quo_op *op = quo_ops_acquire(&ops);
    ops.bytes = QUO_OPS_BYTES_MAX - left;
    assert_int_equal(quo_op_make(&ops, op, QUO_OP_RECORD, left + 1, &out), QUO_BUSY);
    assert_int_equal(op->part[QUO_OP_RECORD].len, 0);
    assert_int_equal(quo_op_make(&ops, op, QUO_OP_RECORD, left, &out), QUO_OK);
    assert_int_equal(ops.bytes, QUO_OPS_BYTES_MAX);
    quo_ops_release(&ops, op);
    quo_ops_free(&ops);
}

static void the_lingering_are_kept_in_order(void **state)
{
    (void)state;
    struct quo_ops ops;
    struct quo_op *op[4];

    assert_int_equal(quo_ops_init(&ops, 4), QUO_OK);
    for (int i = 0; i < 4; i++) {
        op[i] = quo_ops_acquire(&ops);
        quo_ops_linger(&ops, op[i]);
        quo_ops_linger(&ops, op[i]);
    }
    quo_ops_release(&ops, op[2]);
    quo_ops_release(&ops, op[0]);
    assert_ptr_equal(ops.linger_first, op[1]);
    assert_ptr_equal(ops.linger_last, op[3]);
    quo_ops_release(&ops, op[3]);
    assert_ptr_equal(ops.linger_last, op[1]);
    quo_ops_release(&ops, op[1]);
    assert_null(ops.linger_first);
    assert_null(ops.linger_last);
    quo_ops_free(&ops);
}

/* The earliest by looking at all of them. */
static uint64_t earliest(const struct quo_ops *ops)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; i < ops->made; i++) {
        const struct quo_op *op = quo_ops_at(ops, i);
        if (op->in_use && op->heap_at != UINT32_MAX)
            least = QUO_MIN(least, op->deadline_us);
    }
    return least;
}

static void the_first_deadline_is_the_earliest(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    struct quo_ops ops;
    struct quo_deadlines deadlines;
    uint32_t random = 1;

    assert_int_equal(quo_ops_init(&ops, COUNT), QUO_OK);
    assert_int_equal(quo_deadlines_init(&deadlines, COUNT), QUO_OK);
    for (int i = 0; i < COUNT; i++)
        quo_ops_acquire(&ops);
    assert_null(quo_deadlines_first(&deadlines));
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        struct quo_op *op = quo_ops_at(&ops, random >> 26);
        random = random * 1664525u + 1013904223u;
        quo_deadlines_set(&deadlines, op, random % 4 == 0 ? UINT64_MAX : random >> 20);
        const struct quo_op *first = quo_deadlines_first(&deadlines);
        assert_int_equal(first == NULL ? UINT64_MAX : first->deadline_us, earliest(&ops));
    }
    quo_deadlines_free(&deadlines);
    quo_ops_free(&ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_names_one_use_of_a_slot),
        cmocka_unit_test(slots_do_not_move),
        cmocka_unit_test(small_parts_stay_in_the_slot),
        cmocka_unit_test(the_bytes_of_all_operations_are_bounded),
        cmocka_unit_test(the_lingering_are_kept_in_order),
        cmocka_unit_test(the_first_deadline_is_the_earliest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
