/* What a blind write does about members that do not take its record: whom others are asked to stand
 * in for, and when that counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/put.h"

#define SECOND UINT64_C(1000000)
enum { A, B, C };
#define ALL (QUO_MEMBER(A) | QUO_MEMBER(B) | QUO_MEMBER(C))

static struct quo_put put;
static struct quo_effects effects;
static quo_members hinted, awaited; /* by the last step */
static bool answered;

static void step(const struct quo_event *event)
{
    quo_put_step(&put, event, &effects);
    hinted = awaited = 0;
    answered = false;
    for (uint8_t i = 0; i < effects.count; i++) {
        const struct quo_effect *effect = &effects.list[i];
        answered |= effect->type == QUO_EFFECT_ANSWER;
        if (effect->type != QUO_EFFECT_HINT)
            continue;
        if ((effect->flags & QUO_HINT_AWAITED) != 0)
            awaited |= QUO_MEMBER(effect->member);
        else
            hinted |= QUO_MEMBER(effect->member);
    }
}

static void start(uint8_t w, bool sloppy, uint8_t fallbacks, quo_members up)
{
    const struct quo_namespace ns = {.kind = QUO_KIND_LWW, .n = 3, .rs = 2, .ws = 2};
    const struct quo_entry entry = {
        .epoch = 1, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {11, 22, 33}};
    struct quo_plan plan;
    const struct quo_put_options options = {
        .want = {.level = QUO_LEVEL_EVENTUAL,
                 .sloppy = sloppy,
                 .n = 3,
                 .w = w,
                 .dw = w,
                 .timeout_ms = 1000},
        .fallbacks = fallbacks,
        .hedge_us = UINT64_MAX,
    };

    quo_plan_init(&plan, &entry, &ns);
    plan.up = up;
    quo_put_init(&put, &plan, &options);
    step(&(struct quo_event){.type = QUO_EVENT_START});
    if (put.answered)
        return;
    step(&(struct quo_event){.type = QUO_EVENT_TAGGED, .tag = {9, 1}});
    if ((up & ALL) != ALL)
        step(&(struct quo_event){
            .type = QUO_EVENT_UNSENT, .round = put.round, .members = ALL & (quo_members)~up});
}

static void reply(uint8_t member, enum quo_status status)
{
    const struct quo_msg_reply message = {
        .status = (uint8_t)status, .flags = QUO_REPLY_DURABLE, .version = {9, 1}};

    step(&(struct quo_event){
        .type = QUO_EVENT_REPLY, .member = member, .round = put.round, .reply = &message});
}

static void fail_member(uint8_t member)
{
    step(&(struct quo_event){.type = QUO_EVENT_FAILED, .member = member, .round = put.round});
}

static void hint_ends(quo_members members, enum quo_status status)
{
    step(&(struct quo_event){
        .type = QUO_EVENT_HINTED, .members = members, .round = put.round, .status = status});
}

static void time_passes(uint64_t until_us)
{
    step(&(struct quo_event){.type = QUO_EVENT_TIMER, .now_us = until_us});
}

static void who_was_away_is_hinted_in_the_end(void **state)
{
    (void)state;
    start(1, false, 0, QUO_MEMBER(A) | QUO_MEMBER(B));
    assert_int_equal(hinted | awaited, 0);
    reply(A, QUO_OK);
    assert_true(answered);
    assert_int_equal(hinted, 0); /* B may yet say that it lacks it */
    reply(B, QUO_OK);
    assert_int_equal(hinted, QUO_MEMBER(C));
    assert_true(quo_put_finished(&put));
}

static void whoever_says_no_for_now_is_hinted(void **state)
{
    (void)state;
    static const struct {
        enum quo_status status;
        bool hinted;
    } rows[] = {
        {QUO_BUSY, true},      {QUO_DISK_FULL, true},    {QUO_IO_ERROR, true},
        {QUO_READ_ONLY, true}, {QUO_SUPERSEDED, false},  {QUO_NACK, false},
        {QUO_BAD_KIND, false}, {QUO_NOT_REPLICA, false}, {QUO_WRONG_EPOCH, false},
        {QUO_SKEW, false},
    };

    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        start(1, false, 0, ALL);
        reply(A, QUO_OK);
        reply(B, rows[i].status);
        assert_int_equal(hinted, 0);
        reply(C, QUO_OK);
        assert_int_equal(hinted, rows[i].hinted ? QUO_MEMBER(B) : 0);
        assert_true(quo_put_finished(&put));
    }
}

static void whoever_is_silent_is_hinted_when_time_is_over(void **state)
{
    (void)state;
    start(1, false, 0, ALL);
    reply(A, QUO_OK);
    fail_member(B);
    assert_int_equal(hinted, 0);
    assert_int_equal(quo_put_deadline(&put), SECOND);
    time_passes(SECOND - 1);
    assert_int_equal(hinted, 0);
    time_passes(SECOND);
    assert_int_equal(hinted, QUO_MEMBER(B) | QUO_MEMBER(C));
    assert_true(quo_put_finished(&put));
    /* Once. */
    time_passes(2 * SECOND);
    assert_int_equal(hinted, 0);
}

static void what_may_have_happened_is_hinted_too(void **state)
{
    (void)state;
    start(2, false, 0, ALL);
    reply(A, QUO_OK);
    reply(B, QUO_BUSY);
    time_passes(SECOND);
    assert_true(answered);
    assert_int_equal(put.outcome.effect, QUO_UNKNOWN);
    assert_int_equal(hinted, QUO_MEMBER(B) | QUO_MEMBER(C));
}

static void what_has_not_happened_never_will(void **state)
{
    (void)state;
    start(2, false, 0, ALL);
    for (uint8_t member = A; member <= C; member++)
        reply(member, QUO_BUSY);
    assert_true(answered);
    assert_int_equal(put.outcome.effect, QUO_NOT_APPLIED);
    assert_int_equal(hinted, 0);
    start(2, false, 5, QUO_MEMBER(A));
    assert_true(answered);
    assert_int_equal(put.outcome.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(hinted, 0);
}

static void a_sloppy_write_counts_hints(void **state)
{
    (void)state;
    start(2, true, 2, QUO_MEMBER(A));
    assert_int_equal(awaited, QUO_MEMBER(B) | QUO_MEMBER(C));
    reply(A, QUO_OK);
    assert_false(answered);
    hint_ends(QUO_MEMBER(C), QUO_OK);
    assert_true(answered);
    assert_int_equal(put.outcome.verdict, QUO_VERDICT_WRITTEN);
    const struct quo_receipt *receipt = &put.outcome.receipt;
    assert_int_equal(receipt->acks, 1);
    assert_int_equal(receipt->disk, 1);
    assert_int_equal(receipt->hints, 1);
    assert_true(receipt->sloppy);
    assert_false(receipt->stable);
    assert_int_equal(receipt->level, QUO_LEVEL_EVENTUAL);
    /* The other hint is awaited, and not asked for again. */
    assert_false(quo_put_finished(&put));
    hint_ends(QUO_MEMBER(B), QUO_BUSY);
    assert_int_equal(hinted | awaited, 0);
    assert_true(quo_put_finished(&put));
}

static void it_needs_none_if_replicas_answer(void **state)
{
    (void)state;
    start(2, true, 2, ALL);
    reply(A, QUO_OK);
    reply(B, QUO_OK);
    assert_true(answered);
    assert_int_equal(put.outcome.receipt.hints, 0);
    assert_false(put.outcome.receipt.sloppy);
    reply(C, QUO_BUSY);
    assert_int_equal(awaited, 0);
    assert_int_equal(hinted, QUO_MEMBER(C));
    assert_true(quo_put_finished(&put));
}

static void a_late_replica_is_not_counted_twice(void **state)
{
    (void)state;
    start(2, true, 2, ALL);
    assert_int_equal(quo_put_deadline(&put), SECOND / 2);
    time_passes(SECOND / 2 - 1);
    assert_int_equal(awaited, 0);
    time_passes(SECOND / 2);
    assert_int_equal(awaited, ALL);
    assert_int_equal(quo_put_deadline(&put), SECOND);
    hint_ends(QUO_MEMBER(A), QUO_OK);
    reply(A, QUO_OK);
    assert_false(answered);
    reply(B, QUO_OK);
    assert_true(answered);
    assert_int_equal(put.outcome.receipt.acks, 2);
    assert_false(put.outcome.receipt.sloppy);
    hint_ends(QUO_MEMBER(B) | QUO_MEMBER(C), QUO_OK);
    reply(C, QUO_OK);
    assert_true(quo_put_finished(&put));
    assert_int_equal(hinted, 0);
}

static void it_fails_without_anybody_to_stand_in(void **state)
{
    (void)state;
    /* One may stand in, two are needed. */
    start(3, true, 1, QUO_MEMBER(A));
    assert_true(answered);
    assert_int_equal(put.outcome.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(put.outcome.effect, QUO_NOT_APPLIED);
    /* Some were up a moment ago. */
    start(2, true, 1, QUO_MEMBER(A));
    hint_ends(QUO_MEMBER(B) | QUO_MEMBER(C), QUO_UNAVAILABLE);
    assert_true(answered);
    assert_int_equal(put.outcome.effect, QUO_UNKNOWN); /* A is still to answer */
}

static void it_is_not_applied_if_all_refused_for_certain(void **state)
{
    (void)state;
    start(1, true, 2, 0);
    assert_int_equal(awaited, ALL);
    hint_ends(QUO_MEMBER(A), QUO_BUSY);
    hint_ends(QUO_MEMBER(B), QUO_BUSY);
    assert_false(answered);
    hint_ends(QUO_MEMBER(C), QUO_UNAVAILABLE);
    assert_true(answered);
    assert_int_equal(put.outcome.verdict, QUO_VERDICT_UNAVAILABLE);
    assert_int_equal(put.outcome.effect, QUO_NOT_APPLIED);
    assert_int_equal(hinted, 0);
    /* One whose node went away may be kept. */
    start(1, true, 2, 0);
    hint_ends(QUO_MEMBER(A) | QUO_MEMBER(B), QUO_BUSY);
    hint_ends(QUO_MEMBER(C), QUO_IO_ERROR);
    assert_true(answered);
    assert_int_equal(put.outcome.effect, QUO_UNKNOWN);
}

static void kept_hints_make_a_failure_unknown(void **state)
{
    (void)state;
    start(2, true, 3, ALL);
    reply(A, QUO_BUSY);
    assert_int_equal(awaited, QUO_MEMBER(A));
    reply(B, QUO_NACK);
    reply(C, QUO_NACK);
    assert_true(answered); /* at most one, of A */
    assert_int_equal(put.outcome.effect, QUO_UNKNOWN);
    hint_ends(QUO_MEMBER(A), QUO_OK);
    assert_true(quo_put_finished(&put));
}

static void a_new_epoch_begins_anew(void **state)
{
    (void)state;
    struct quo_plan newer;
    const struct quo_msg_reply message = {.status = QUO_WRONG_EPOCH};
    start(2, true, 3, QUO_MEMBER(A) | QUO_MEMBER(B));
    const uint16_t round = put.round;
    hint_ends(QUO_MEMBER(C), QUO_OK);
    newer = put.plan;
    newer.entry.epoch = 2;
    step(&(struct quo_event){.type = QUO_EVENT_REPLY,
                             .member = A,
                             .round = put.round,
                             .reply = &message,
                             .newer = &newer});
    assert_int_not_equal(put.round, round);
    /* What was kept counts no more, and cannot be taken back either. */
    reply(A, QUO_OK);
    assert_false(answered);
    step(&(struct quo_event){
        .type = QUO_EVENT_HINTED, .members = QUO_MEMBER(C), .round = round, .status = QUO_OK});
    assert_false(answered);
    reply(B, QUO_NACK);
    reply(C, QUO_NACK);
    assert_true(answered);
    assert_int_equal(put.outcome.effect, QUO_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_away_is_hinted_in_the_end),
        cmocka_unit_test(whoever_says_no_for_now_is_hinted),
        cmocka_unit_test(whoever_is_silent_is_hinted_when_time_is_over),
        cmocka_unit_test(what_may_have_happened_is_hinted_too),
        cmocka_unit_test(what_has_not_happened_never_will),
        cmocka_unit_test(a_sloppy_write_counts_hints),
        cmocka_unit_test(it_needs_none_if_replicas_answer),
        cmocka_unit_test(a_late_replica_is_not_counted_twice),
        cmocka_unit_test(it_fails_without_anybody_to_stand_in),
        cmocka_unit_test(it_is_not_applied_if_all_refused_for_certain),
        cmocka_unit_test(kept_hints_make_a_failure_unknown),
        cmocka_unit_test(a_new_epoch_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
