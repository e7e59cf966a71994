/* Protocols that start again and again come to an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/coordinator.h"
#include "quorate/record.h"

#define FAR (UINT64_C(1) << 40) /* ahead of every clock here */

static const struct quo_namespace ns = {.id = 1, .kind = QUO_KIND_LWW, .n = 3, .rs = 2, .ws = 2};
static const struct quo_consistency strong = {
    .level = QUO_LEVEL_STRONG, .strong = true, .n = 3, .r = 2, .w = 2, .dw = 2, .timeout_ms = 1000};

static void plan_at(uint32_t epoch, struct quo_plan *plan)
{
    struct quo_entry entry = {
        .epoch = epoch, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {1, 2, 3}};

    quo_plan_init(plan, &entry, &ns);
}

static struct quo_effects step(struct quo_coordinator *c, struct quo_event event)
{
    struct quo_effects effects;

    event.now_us = 1;
    event.round = quo_coordinator_round(c);
    quo_coordinator_step(c, &event, &effects);
    return effects;
}

static struct quo_effects reply(struct quo_coordinator *c, uint8_t member, enum quo_status status,
                                uint64_t hlc, const struct quo_plan *newer)
{
    uint8_t bytes[64];
    struct quo_msg_reply message = {
        .status = (uint8_t)status, .flags = QUO_REPLY_DURABLE, .version = {hlc, hlc != 0}};

    if (status == QUO_OK && hlc != 0) {
        struct quo_record record = {.version = message.version, .flags = QUO_RECORD_BLIND};
        quo_record_encode(&record, bytes);
        message.record = quo_slice(bytes, quo_record_size(&record));
        message.flags |= QUO_REPLY_VALUE;
    }
    return step(c,
                (struct quo_event){
                    .type = QUO_EVENT_REPLY, .member = member, .reply = &message, .newer = newer});
}

static void start_get(struct quo_coordinator *c)
{
    struct quo_plan plan;
    struct quo_get_options options = {.want = strong, .hedge_us = UINT64_MAX, .spread_us = 10};

    plan_at(1, &plan);
    quo_coordinator_get(c, &plan, &options);
    step(c, (struct quo_event){.type = QUO_EVENT_START});
}

static void start_put(struct quo_coordinator *c)
{
    struct quo_plan plan;
    struct quo_put_options options = {.want = strong, .hedge_us = UINT64_MAX};

    plan_at(1, &plan);
    quo_coordinator_put(c, &plan, &options);
    step(c, (struct quo_event){.type = QUO_EVENT_START});
}

static void check_timeout(const struct quo_coordinator *c, enum quo_effectuality effect)
{
    assert_true(quo_coordinator_answered(c));
    assert_int_equal(quo_coordinator_outcome(c)->verdict, QUO_VERDICT_TIMEOUT);
    assert_int_equal(quo_coordinator_outcome(c)->effect, effect);
    assert_int_equal(quo_coordinator_outcome(c)->restarts, QUO_ATTEMPTS_MAX);
}

static void a_read_that_is_always_superseded(void **state)
{
    (void)state;
    struct quo_coordinator c;

    start_get(&c);
    for (unsigned i = 0; i <= QUO_ATTEMPTS_MAX; i++) {
        assert_false(quo_coordinator_answered(&c));
        reply(&c, 0, QUO_OK, i + 2, NULL);
        reply(&c, 1, QUO_OK, i + 1, NULL);
        reply(&c, 2, QUO_OK, i + 1, NULL);
        reply(&c, 1, QUO_SUPERSEDED, i + 3, NULL);
    }
    check_timeout(&c, QUO_NOT_APPLIED);
    /* Counters stop at their end. */
    assert_int_equal(quo_coordinator_outcome(&c)->receipt.round_trips, 195);
}

static void a_read_that_always_meets_a_newer_epoch(void **state)
{
    (void)state;
    struct quo_coordinator c;
    struct quo_plan newer;

    start_get(&c);
    for (uint32_t i = 0; i <= QUO_ATTEMPTS_MAX; i++) {
        assert_false(quo_coordinator_answered(&c));
        plan_at(i + 2, &newer);
        reply(&c, 1, QUO_WRONG_EPOCH, 0, &newer);
    }
    check_timeout(&c, QUO_NOT_APPLIED);
}

static void a_write_that_always_meets_a_newer_epoch(void **state)
{
    (void)state;
    struct quo_coordinator c;
    struct quo_plan newer;

    start_put(&c);
    for (uint32_t i = 0; i <= QUO_ATTEMPTS_MAX; i++) {
        assert_false(quo_coordinator_answered(&c));
        plan_at(i + 2, &newer);
        reply(&c, 1, QUO_WRONG_EPOCH, 0, &newer);
    }
    check_timeout(&c, QUO_NOT_APPLIED);

    /* In its store phase it may be anywhere by then. */
    start_put(&c);
    reply(&c, 0, QUO_OK, 0, NULL);
    reply(&c, 1, QUO_OK, 0, NULL);
    step(&c, (struct quo_event){.type = QUO_EVENT_TAGGED, .tag = {9, 1}});
    for (uint32_t i = 0; i <= QUO_ATTEMPTS_MAX; i++) {
        assert_false(quo_coordinator_answered(&c));
        plan_at(i + 2, &newer);
        reply(&c, 1, QUO_WRONG_EPOCH, 0, &newer);
    }
    check_timeout(&c, QUO_UNKNOWN);
}

static void a_write_that_every_clock_refuses(void **state)
{
    (void)state;
    struct quo_coordinator c;

    start_put(&c);
    reply(&c, 0, QUO_OK, 0, NULL);
    reply(&c, 1, QUO_OK, 0, NULL);
    for (unsigned i = 0; i <= QUO_ATTEMPTS_MAX; i++) {
        assert_false(quo_coordinator_answered(&c));
        step(&c, (struct quo_event){.type = QUO_EVENT_TAGGED, .tag = {FAR + i, 1}});
        for (uint8_t member = 0; member < 3; member++)
            reply(&c, member, QUO_SKEW, 0, NULL);
    }
    check_timeout(&c, QUO_NOT_APPLIED);
}

static void start_rmw(struct quo_coordinator *c, uint8_t restarts)
{
    struct quo_plan plan;
    struct quo_rmw_options options = {
        .purpose = QUO_RMW_WRITE, .want = strong, .round_trip_us = 1, .restarts = restarts};

    plan_at(1, &plan);
    plan.kind = QUO_KIND_CAS;
    quo_coordinator_rmw(c, &plan, &options);
    step(c, (struct quo_event){.type = QUO_EVENT_START});
}

static void tag(struct quo_coordinator *c, uint64_t hlc)
{
    step(c, (struct quo_event){.type = QUO_EVENT_TAGGED, .tag = {hlc, 1}});
}

static void promise(struct quo_coordinator *c, uint8_t member, uint64_t ballot)
{
    struct quo_msg_reply message = {.flags = QUO_REPLY_DURABLE, .promised = {ballot, 1}};

    step(c, (struct quo_event){.type = QUO_EVENT_REPLY, .member = member, .reply = &message});
}

/* However long the backoff is. */
static void wake(struct quo_coordinator *c)
{
    struct quo_event event = {.type = QUO_EVENT_TIMER, .now_us = quo_coordinator_deadline(c)};
    struct quo_effects effects;

    quo_coordinator_step(c, &event, &effects);
}

static void a_consensus_write_that_is_always_preempted(void **state)
{
    (void)state;
    struct quo_coordinator c;

    start_rmw(&c, 0);
    for (unsigned i = 0; i <= QUO_ATTEMPTS_MAX; i++) {
        assert_false(quo_coordinator_answered(&c));
        tag(&c, 2 * i + 1);
        reply(&c, 0, QUO_NACK, 2 * i + 2, NULL);
        reply(&c, 1, QUO_NACK, 2 * i + 2, NULL);
        if (!quo_coordinator_answered(&c))
            wake(&c);
    }
    check_timeout(&c, QUO_NOT_APPLIED);

    /* What its ACCs did is another matter. */
    start_rmw(&c, QUO_ATTEMPTS_MAX - 1);
    for (unsigned i = 0; i <= 1; i++) {
        assert_false(quo_coordinator_answered(&c));
        tag(&c, 2 * i + 1);
        promise(&c, 0, 2 * i + 1);
        promise(&c, 1, 2 * i + 1);
        step(&c, (struct quo_event){.type = QUO_EVENT_APPLIED, .decision = QUO_DECISION_WRITE});
        reply(&c, 0, QUO_NACK, 2 * i + 2, NULL);
        reply(&c, 1, QUO_NACK, 2 * i + 2, NULL);
        if (!quo_coordinator_answered(&c))
            wake(&c);
    }
    check_timeout(&c, QUO_UNKNOWN);
}

static void a_consensus_write_that_always_meets_a_newer_epoch(void **state)
{
    (void)state;
    struct quo_coordinator c;
    struct quo_plan newer;

    start_rmw(&c, 0);
    for (uint32_t i = 0; i <= QUO_ATTEMPTS_MAX; i++) {
        assert_false(quo_coordinator_answered(&c));
        tag(&c, i + 1);
        plan_at(i + 2, &newer);
        reply(&c, 1, QUO_WRONG_EPOCH, 0, &newer);
    }
    check_timeout(&c, QUO_NOT_APPLIED);
}

static void a_consensus_write_that_every_clock_refuses(void **state)
{
    (void)state;
    struct quo_coordinator c;

    start_rmw(&c, 0);
    for (unsigned i = 0; i <= QUO_ATTEMPTS_MAX; i++) {
        assert_false(quo_coordinator_answered(&c));
        tag(&c, FAR + i);
        reply(&c, 0, QUO_SKEW, 0, NULL);
        reply(&c, 1, QUO_SKEW, 0, NULL);
    }
    check_timeout(&c, QUO_NOT_APPLIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_that_is_always_superseded),
        cmocka_unit_test(a_read_that_always_meets_a_newer_epoch),
        cmocka_unit_test(a_write_that_always_meets_a_newer_epoch),
        cmocka_unit_test(a_write_that_every_clock_refuses),
        cmocka_unit_test(a_consensus_write_that_is_always_preempted),
        cmocka_unit_test(a_consensus_write_that_always_meets_a_newer_epoch),
        cmocka_unit_test(a_consensus_write_that_every_clock_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
