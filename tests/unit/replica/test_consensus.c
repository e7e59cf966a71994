/* PREP and ACC beside STORE: each branch by table, the histories that need them, and every sequence
 * of requests over a small world against a twin that replays the text of PROTOCOLS B3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage-node/replica/replica.h"

enum { SIZE_HELD = 100, SIZE_INCOMING = 55 };

static struct quo_version v(uint64_t hlc)
{
    return hlc == 0 ? QUO_VERSION_NONE : (struct quo_version){hlc, 7};
}

/* What stands on a replica's disk for one key, and the view that it is read as. */
struct disk {
    unsigned version, kept, floor;
    bool blind;
};

static struct quo_replica_view view(struct disk disk)
{
    return (struct quo_replica_view){
        .version = v(disk.version),
        .blind = disk.blind,
        .promised = quo_replica_promised(v(disk.kept), v(disk.version), disk.blind),
        .promise_kept = disk.kept != 0,
        .floor = v(disk.floor),
        .record_size = disk.version == 0 ? 0 : SIZE_HELD,
    };
}

static struct quo_replica_incoming incoming(unsigned version)
{
    return (struct quo_replica_incoming){
        .version = v(version), .record_size = SIZE_INCOMING, .promises = true};
}

static void assert_view(const struct quo_replica_view *a, const struct quo_replica_view *b)
{
    assert_true(quo_version_equal(a->version, b->version));
    assert_int_equal(a->blind, b->blind);
    assert_true(quo_version_equal(a->promised, b->promised));
    assert_int_equal(a->promise_kept, b->promise_kept);
    assert_true(quo_version_equal(a->floor, b->floor));
    assert_int_equal(a->record_size, b->record_size);
}

static void assert_refused(const struct quo_replica_verdict *verdict, enum quo_status status,
                           const struct quo_replica_view *held)
{
    assert_int_equal(verdict->status, status);
    assert_false(verdict->write);
    assert_int_equal(verdict->promise, QUO_PROMISE_LEAVE);
    assert_false(verdict->next);
    assert_false(verdict->value);
    assert_view(&verdict->reply, held);
}

static void test_the_promise_in_force(void **state)
{
    (void)state;
    static const struct {
        unsigned kept, version;
        bool blind;
        unsigned promised;
    } table[] = {
        {0, 0, false, 0}, {4, 0, false, 4},                  /* nothing held */
        {0, 5, false, 5}, {7, 5, false, 7},                  /* a proposal is its own promise */
        {0, 5, true, 0},  {7, 5, true, 7},  {4, 5, true, 4}, /* a blind record is none */
    };
    for (size_t i = 0; i < QUO_COUNT(table); i++) {
        struct quo_version promised =
            quo_replica_promised(v(table[i].kept), v(table[i].version), table[i].blind);
        assert_true(quo_version_equal(promised, v(table[i].promised)));
    }
}

static void test_prep_is_above_all_or_refused(void **state)
{
    (void)state;
    static const struct {
        struct disk disk;
        enum quo_status status;
    } table[] = {
        {{0, 0, 0, false}, QUO_OK},
        {{4, 0, 0, false}, QUO_OK},
        {{4, 0, 0, true}, QUO_OK},
        {{0, 4, 4, false}, QUO_OK},
        /* equal to each in turn, then below each */
        {{5, 0, 0, false}, QUO_NACK},
        {{5, 0, 0, true}, QUO_NACK},
        {{0, 5, 0, false}, QUO_NACK},
        {{4, 5, 0, true}, QUO_NACK},
        {{0, 0, 5, false}, QUO_NACK},
        {{6, 0, 0, false}, QUO_NACK},
        {{6, 2, 0, true}, QUO_NACK},
        {{2, 6, 0, false}, QUO_NACK},
        {{0, 0, 6, false}, QUO_NACK},
    };
    for (size_t i = 0; i < QUO_COUNT(table); i++) {
        struct quo_replica_view held = view(table[i].disk);
        struct quo_replica_verdict verdict = quo_replica_prep(&held, v(5), SIZE_HELD);
        if (table[i].status == QUO_NACK) {
            assert_refused(&verdict, QUO_NACK, &held);
            continue;
        }
        assert_int_equal(verdict.status, QUO_OK);
        assert_false(verdict.write);
        assert_int_equal(verdict.promise, QUO_PROMISE_PUT);
        assert_int_equal(verdict.value, table[i].disk.version != 0);
        held.promised = v(5);
        held.promise_kept = true;
        assert_view(&verdict.reply, &held);
    }
}

static void test_prep_leaves_large_values_out(void **state)
{
    (void)state;
    struct quo_replica_view held = view((struct disk){.version = 4});
    assert_true(quo_replica_prep(&held, v(5), SIZE_HELD).value);
    assert_false(quo_replica_prep(&held, v(5), SIZE_HELD - 1).value);
    assert_int_equal(quo_replica_prep(&held, v(5), 0).status, QUO_OK);
}

static void test_a_promise_is_given_once(void **state)
{
    (void)state;
    struct quo_replica_view held = view((struct disk){0});
    struct quo_replica_verdict first = quo_replica_prep(&held, v(5), 0);
    struct quo_replica_verdict again = quo_replica_prep(&first.reply, v(5), 0);
    assert_refused(&again, QUO_NACK, &first.reply);
    struct quo_version other = {5, 8}; /* the same clock, another proposer */
    assert_int_equal(quo_replica_prep(&first.reply, other, 0).status, QUO_OK);
}

static void test_acc_branches_in_order(void **state)
{
    (void)state;
    static const struct {
        struct disk disk;
        enum quo_status status;
    } table[] = {
        {{0, 0, 0, false}, QUO_OK},
        {{0, 5, 0, false}, QUO_OK}, /* what it was promised for */
        {{4, 5, 0, false}, QUO_OK},
        {{4, 0, 4, true}, QUO_OK},
        {{4, 5, 0, true}, QUO_OK},
        {{0, 0, 5, false}, QUO_NACK}, /* the floor */
        {{4, 5, 6, true}, QUO_NACK},
        {{6, 0, 6, true}, QUO_NACK},
        {{0, 6, 0, false}, QUO_NACK}, /* the promise */
        {{4, 6, 0, false}, QUO_NACK},
        {{6, 0, 0, false}, QUO_NACK}, /* a proposal is its own promise */
        {{6, 6, 0, true}, QUO_NACK},
        {{7, 6, 0, true}, QUO_NACK}, /* the promise before superseded */
        {{6, 0, 0, true}, QUO_SUPERSEDED},
        {{6, 5, 0, true}, QUO_SUPERSEDED},
        {{6, 4, 4, true}, QUO_SUPERSEDED},
    };
    for (size_t i = 0; i < QUO_COUNT(table); i++) {
        struct quo_replica_view held = view(table[i].disk);
        struct quo_replica_incoming in = incoming(5);
        for (unsigned next = 0; next <= 9; next += 9) {
            struct quo_replica_verdict verdict = quo_replica_acc(&held, &in, v(next));
            if (table[i].status != QUO_OK) {
                assert_refused(&verdict, table[i].status, &held);
                continue;
            }
            assert_int_equal(verdict.status, QUO_OK);
            assert_true(verdict.write);
            assert_int_equal(verdict.next, next != 0);
            assert_int_equal(verdict.promise, next != 0                 ? QUO_PROMISE_PUT
                                              : table[i].disk.kept != 0 ? QUO_PROMISE_CLEAR
                                                                        : QUO_PROMISE_LEAVE);
            struct quo_replica_view after = {
                .version = v(5),
                .promised = v(next != 0 ? next : 5),
                .promise_kept = next != 0,
                .floor = held.floor,
                .record_size = SIZE_INCOMING,
            };
            assert_view(&verdict.reply, &after);
        }
    }
}

/* T11: a copy of the message that stored it promises nothing more. */
static void test_acc_again_is_done_whatever_passed_it(void **state)
{
    (void)state;
    struct quo_replica_incoming again = incoming(5);
    again.same_bytes = true;
    for (unsigned kept = 0; kept < 8; kept++) {
        for (unsigned floor = 0; floor < 8; floor++) {
            struct quo_replica_view held = view((struct disk){5, kept, floor, false});
            struct quo_replica_verdict verdict = quo_replica_acc(&held, &again, v(9));
            assert_refused(&verdict, QUO_OK, &held);
        }
    }
}

static void test_acc_of_other_bytes_under_a_version(void **state)
{
    (void)state;
    struct quo_replica_incoming in = incoming(5);
    struct quo_replica_view held = view((struct disk){.version = 5});
    struct quo_replica_verdict verdict = quo_replica_acc(&held, &in, QUO_VERSION_NONE);
    assert_refused(&verdict, QUO_CORRUPT, &held);
}

static void test_only_what_consensus_made_is_a_proposal(void **state)
{
    (void)state;
    struct quo_record record = {.version = v(5)};
    assert_true(quo_replica_is_proposal(&record));
    record.flags = QUO_RECORD_TOMBSTONE;
    assert_true(quo_replica_is_proposal(&record));
    record.flags = QUO_RECORD_BLIND;
    assert_false(quo_replica_is_proposal(&record));
    record.flags = QUO_RECORD_BLIND | QUO_RECORD_TOMBSTONE;
    assert_false(quo_replica_is_proposal(&record));
}

/* Two proposers on one base; a blind write comes between and must not make both succeed. */
static void test_blind_write_takes_no_promise_back(void **state)
{
    (void)state;
    struct quo_replica_view held = view((struct disk){.version = 1});
    held = quo_replica_prep(&held, v(5), 0).reply;
    held = quo_replica_prep(&held, v(7), 0).reply;
    struct quo_replica_incoming blind = incoming(9), older = incoming(5), newer = incoming(7);
    struct quo_replica_verdict verdict = quo_replica_store(&held, &blind);
    assert_int_equal(verdict.status, QUO_OK);
    assert_int_equal(verdict.promise, QUO_PROMISE_LEAVE); /* 7 is kept already */
    held = verdict.reply;
    assert_int_equal(quo_replica_acc(&held, &older, QUO_VERSION_NONE).status, QUO_NACK);
    assert_int_equal(quo_replica_acc(&held, &newer, QUO_VERSION_NONE).status, QUO_SUPERSEDED);
}

/* A record that was its own promise is hidden by a blind one. */
static void test_blind_write_over_a_proposal_keeps_its_promise(void **state)
{
    (void)state;
    struct quo_replica_view held = view((struct disk){.version = 7});
    struct quo_replica_incoming blind = incoming(9), older = incoming(5);
    struct quo_replica_verdict verdict = quo_replica_store(&held, &blind);
    assert_int_equal(verdict.status, QUO_OK);
    assert_int_equal(verdict.promise, QUO_PROMISE_PUT);
    assert_true(quo_version_equal(verdict.reply.promised, v(7)));
    assert_true(verdict.reply.promise_kept);
    assert_true(verdict.reply.blind);
    assert_int_equal(quo_replica_acc(&verdict.reply, &older, QUO_VERSION_NONE).status, QUO_NACK);
    blind.promises = false;
    assert_int_equal(quo_replica_store(&held, &blind).promise, QUO_PROMISE_LEAVE);
}

/* The twin: one key of one replica, the paper's words as they stand. */
struct twin {
    unsigned ver, promised, floor;
    bool blind;
};

static enum quo_status twin_store(struct twin *twin, unsigned t, bool same)
{
    if (t == twin->ver)
        return same ? QUO_OK : QUO_CORRUPT;
    if (t <= twin->floor)
        return QUO_NACK;
    if (t < twin->promised)
        return QUO_NACK;
    if (t < twin->ver)
        return QUO_SUPERSEDED;
    twin->ver = t;
    twin->blind = true;
    return QUO_OK;
}

static enum quo_status twin_prep(struct twin *twin, unsigned b)
{
    if (b <= QUO_MAX(twin->promised, QUO_MAX(twin->ver, twin->floor)))
        return QUO_NACK;
    twin->promised = b;
    return QUO_OK;
}

static enum quo_status twin_acc(struct twin *twin, unsigned b, bool same, unsigned next,
                                bool *ret_next)
{
    *ret_next = false;
    if (b == twin->ver)
        return same ? QUO_OK : QUO_CORRUPT;
    if (b <= twin->floor)
        return QUO_NACK;
    if (b < twin->promised)
        return QUO_NACK;
    if (b < twin->ver)
        return QUO_SUPERSEDED;
    twin->ver = b;
    twin->blind = false;
    twin->promised = b;
    if (next != 0) {
        twin->promised = next;
        *ret_next = true;
    }
    return QUO_OK;
}

/* What a verdict leaves on the disk. */
static struct disk carry_out(struct disk disk, const struct quo_replica_verdict *verdict,
                             bool blind)
{
    if (verdict->write) {
        disk.version = (unsigned)verdict->reply.version.hlc;
        disk.blind = blind;
    }
    if (verdict->promise == QUO_PROMISE_PUT)
        disk.kept = (unsigned)verdict->reply.promised.hlc;
    else if (verdict->promise == QUO_PROMISE_CLEAR)
        disk.kept = 0;
    return disk;
}

/* Every state of the world that requests can lead to, numbered. A state is a disk and what the twin
 * remembers of the promise. */
enum { BALLOTS = 9 };
enum { WORLD = BALLOTS * BALLOTS * BALLOTS * 2 * BALLOTS };

struct walk {
    bool seen[WORLD];
    struct disk disks[WORLD];
    unsigned promised[WORLD];
    unsigned count;
    unsigned spoke[32]; /* by status */
};

static void reach(struct walk *walk, struct disk disk, unsigned promised)
{
    unsigned number = disk.version;
    number = number * BALLOTS + disk.kept;
    number = number * BALLOTS + disk.floor;
    number = number * 2 + disk.blind;
    number = number * BALLOTS + promised;
    if (walk->seen[number])
        return;
    walk->seen[number] = true;
    walk->disks[walk->count] = disk;
    walk->promised[walk->count++] = promised;
}

/* The rule and the twin agree, also after what the disk holds was read again. */
static void compare(struct walk *walk, struct disk before, const struct twin *twin,
                    enum quo_status expected, const struct quo_replica_verdict *verdict, bool blind)
{
    assert_int_equal(verdict->status, expected);
    assert_true(!verdict->write || expected == QUO_OK);
    struct disk after = carry_out(before, verdict, blind);
    struct quo_replica_view read = view(after);
    read.record_size = verdict->reply.record_size;
    assert_view(&verdict->reply, &read);
    assert_int_equal(after.version, twin->ver);
    assert_int_equal(after.blind, twin->blind);
    assert_int_equal(read.promised.hlc, twin->promised);
    /* Nothing falls, and nothing is kept that the record says. */
    assert_true(after.version >= before.version);
    assert_true(twin->promised >= view(before).promised.hlc);
    assert_true(after.kept == 0 || after.blind || after.kept > after.version);
    walk->spoke[expected]++;
    reach(walk, after, twin->promised);
}

static void step(struct walk *walk, struct disk disk, unsigned promised, bool stores)
{
    const struct quo_replica_view held = view(disk);
    const struct twin now = {disk.version, promised, disk.floor, disk.blind};
    for (unsigned t = 1; t < BALLOTS; t++) {
        for (int same = 0; same <= 1; same++) {
            struct quo_replica_incoming in = incoming(t);
            in.same_bytes = same != 0;
            for (unsigned next = 0; next < BALLOTS; next = next == 0 ? t + 1 : next + 1) {
                struct twin twin = now;
                bool promised_next;
                enum quo_status expected = twin_acc(&twin, t, same, next, &promised_next);
                struct quo_replica_verdict verdict = quo_replica_acc(&held, &in, v(next));
                assert_int_equal(verdict.next, promised_next);
                compare(walk, disk, &twin, expected, &verdict, false);
            }
            struct twin twin = now;
            if (!stores)
                continue;
            enum quo_status expected = twin_store(&twin, t, same);
            struct quo_replica_verdict verdict = quo_replica_store(&held, &in);
            compare(walk, disk, &twin, expected, &verdict, true);
        }
        struct twin twin = now;
        enum quo_status expected = twin_prep(&twin, t);
        struct quo_replica_verdict verdict = quo_replica_prep(&held, v(t), SIZE_HELD);
        assert_int_equal(verdict.value, expected == QUO_OK && disk.version != 0);
        compare(walk, disk, &twin, expected, &verdict, false);
    }
    if (disk.floor + 1 < BALLOTS) {
        disk.floor++;
        reach(walk, disk, promised);
    }
}

static struct walk *walk_all(bool stores)
{
    struct walk *walk = calloc(1, sizeof *walk);
    assert_non_null(walk);
    reach(walk, (struct disk){0}, 0);
    for (unsigned i = 0; i < walk->count; i++)
        step(walk, walk->disks[i], walk->promised[i], stores);
    return walk;
}

static void test_every_sequence_with_blind_writes(void **state)
{
    (void)state;
    struct walk *walk = walk_all(true);
    assert_in_range(walk->count, 1000, WORLD);
    assert_true(walk->spoke[QUO_OK] > 1000);
    assert_true(walk->spoke[QUO_NACK] > 1000);
    assert_true(walk->spoke[QUO_SUPERSEDED] > 1000);
    assert_true(walk->spoke[QUO_CORRUPT] > 100);
    free(walk);
}

/* Among proposals alone nothing is ever superseded: the rules are those of CASPaxos. */
static void test_every_sequence_of_proposals(void **state)
{
    (void)state;
    struct walk *walk = walk_all(false);
    assert_true(walk->spoke[QUO_OK] > 500);
    assert_true(walk->spoke[QUO_NACK] > 500);
    assert_int_equal(walk->spoke[QUO_SUPERSEDED], 0);
    free(walk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_promise_in_force),
        cmocka_unit_test(test_prep_is_above_all_or_refused),
        cmocka_unit_test(test_prep_leaves_large_values_out),
        cmocka_unit_test(test_a_promise_is_given_once),
        cmocka_unit_test(test_acc_branches_in_order),
        cmocka_unit_test(test_acc_again_is_done_whatever_passed_it),
        cmocka_unit_test(test_acc_of_other_bytes_under_a_version),
        cmocka_unit_test(test_only_what_consensus_made_is_a_proposal),
        cmocka_unit_test(test_blind_write_takes_no_promise_back),
        cmocka_unit_test(test_blind_write_over_a_proposal_keeps_its_promise),
        cmocka_unit_test(test_every_sequence_with_blind_writes),
        cmocka_unit_test(test_every_sequence_of_proposals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
