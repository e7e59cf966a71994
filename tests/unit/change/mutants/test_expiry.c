/* Values that are there for a time only: what a change finds of them, how long its own will be
 * there, and that somebody notices when one of these rules is switched off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/change/change.h"
#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

#define MORNING_MS UINT64_C(1700000000000)
enum { TTL_MS = 1000, RETENTION_S = 100 };

static struct quo_version at(uint64_t ms)
{
    return (struct quo_version){(MORNING_MS + ms) << 16, 7};
}

static int set_up(void **state)
{
    *state = quo_changer_new();
    assert_non_null(*state);
    quo_mutant_planted = QUO_MUTANT_NONE;
    return 0;
}

static int tear_down(void **state)
{
    quo_changer_free(*state);
    quo_mutant_planted = QUO_MUTANT_NONE;
    return 0;
}

/* Written in the first millisecond of the morning, by an operation that limited its life. */
static struct quo_record found(void)
{
    return (struct quo_record){
        .flags = QUO_RECORD_EXPIRES,
        .version = at(0),
        .ttl_ms = TTL_MS,
        .changed = at(0),
        .content_type = quo_slice_of("application/json"),
        .value = quo_slice_of("5"),
    };
}

static struct quo_change change_of(enum quo_change_type type, const char *value, uint64_t ttl_ms)
{
    return (struct quo_change){
        .type = type,
        .opid = quo_opid_make(at(0).hlc, 1),
        .since = at(0).hlc,
        .value = quo_slice_of(value),
        .by = 2,
        .ttl_ms = ttl_ms,
    };
}

struct outcome {
    enum quo_decision decision;
    struct quo_change_result result;
    struct quo_record made;
};

/* The change at `ballot_ms`, by a clock that reads `now_ms`. */
static struct outcome apply(void **state, const struct quo_change *change,
                            const struct quo_record *base, uint64_t ballot_ms, uint64_t now_ms)
{
    const struct quo_change_context context = {
        .ballot = at(ballot_ms),
        .now_ms = MORNING_MS + now_ms,
        .first = at(ballot_ms),
        .retention_s = RETENTION_S,
        .value_max = 1000,
    };
    struct outcome ret;

    ret.decision = quo_change_apply(*state, change, base, &context, &ret.made, &ret.result);
    return ret;
}

static void expect_until(const struct outcome *outcome, uint64_t ms)
{
    assert_int_equal(outcome->decision, QUO_DECISION_WRITE);
    assert_int_equal(quo_record_expires_ms(&outcome->made), MORNING_MS + ms);
}

static void expect_lasting(const struct outcome *outcome)
{
    assert_int_equal(outcome->decision, QUO_DECISION_WRITE);
    assert_int_equal(outcome->made.flags & QUO_RECORD_EXPIRES, 0);
    assert_int_equal(outcome->made.ttl_ms, 0);
}

static void every_write_can_limit_the_life(void **state)
{
    static const enum quo_change_type types[] = {QUO_CHANGE_PUT, QUO_CHANGE_PATCH, QUO_CHANGE_ADD};
    const struct quo_record base = found();

    for (size_t i = 0; i < QUO_COUNT(types); i++) {
        const struct quo_change change = change_of(types[i], "7", 300);
        const struct outcome on_it = apply(state, &change, &base, 500, 500);
        expect_until(&on_it, 800);
        const struct outcome on_nothing = apply(state, &change, NULL, 500, 500);
        expect_until(&on_nothing, 800);
    }
}

/* As a new value it stays; as a change of the old one it goes when that would have gone. */
static void a_put_lasts_and_a_change_goes_with_what_it_changed(void **state)
{
    const struct quo_record base = found();
    struct quo_change change = change_of(QUO_CHANGE_PUT, "7", 0);
    struct outcome outcome = apply(state, &change, &base, 500, 500);

    expect_lasting(&outcome);
    change.type = QUO_CHANGE_PATCH;
    outcome = apply(state, &change, &base, 500, 500);
    expect_until(&outcome, TTL_MS);
    change.type = QUO_CHANGE_ADD;
    outcome = apply(state, &change, &base, TTL_MS - 1, TTL_MS - 1);
    expect_until(&outcome, TTL_MS);
    assert_int_equal(outcome.result.counter, 7);
    change.type = QUO_CHANGE_DELETE;
    outcome = apply(state, &change, &base, 500, 500);
    expect_lasting(&outcome);
    assert_int_equal(outcome.made.flags, QUO_RECORD_TOMBSTONE);
}

/* Neither the old value nor its end has a part in what is made of an expired one. */
static void changes_find_nothing_of_what_has_expired(void **state)
{
    const struct quo_record base = found();
    struct quo_change change = change_of(QUO_CHANGE_ADD, "", 0);
    struct outcome outcome = apply(state, &change, &base, TTL_MS, TTL_MS);

    expect_lasting(&outcome);
    assert_int_equal(outcome.result.counter, 2);
    change = change_of(QUO_CHANGE_PATCH, "{\"a\":1}", 0);
    outcome = apply(state, &change, &base, TTL_MS, TTL_MS);
    expect_lasting(&outcome);
    assert_true(quo_slice_equal(outcome.made.value, quo_slice_of("{\"a\":1}")));

    quo_mutant_planted = QUO_MUTANT_EXPIRED_IS_THERE;
    change = change_of(QUO_CHANGE_ADD, "", 0);
    outcome = apply(state, &change, &base, TTL_MS, TTL_MS);
    assert_int_equal(outcome.result.counter, 7);
}

static enum quo_change_code condition_at(void **state, enum quo_condition_type type, uint64_t ms)
{
    const struct quo_record base = found();
    struct quo_change change = change_of(QUO_CHANGE_PUT, "7", 0);

    change.condition = type;
    change.tag_count = 1;
    change.tags[0] = at(0);
    return apply(state, &change, &base, ms, ms).result.code;
}

static void conditions_take_what_has_expired_for_absent(void **state)
{
    assert_int_equal(condition_at(state, QUO_CONDITION_TAGS, TTL_MS - 1), QUO_CHANGE_DONE);
    assert_int_equal(condition_at(state, QUO_CONDITION_ABSENT, TTL_MS - 1), QUO_CHANGE_CONDITION);
    assert_int_equal(condition_at(state, QUO_CONDITION_TAGS, TTL_MS), QUO_CHANGE_CONDITION);
    assert_int_equal(condition_at(state, QUO_CONDITION_PRESENT, TTL_MS), QUO_CHANGE_CONDITION);
    assert_int_equal(condition_at(state, QUO_CONDITION_ABSENT, TTL_MS), QUO_CHANGE_DONE);
    quo_mutant_planted = QUO_MUTANT_EXPIRED_IS_THERE;
    assert_int_equal(condition_at(state, QUO_CONDITION_ABSENT, TTL_MS), QUO_CHANGE_CONDITION);
}

/* Whoever was told that it is gone, by a ballot, must not be contradicted by a slower clock. */
static void no_ballot_is_before_its_moment(void **state)
{
    const struct quo_record base = found();
    const struct quo_change change = change_of(QUO_CHANGE_ADD, "", 0);
    const struct outcome outcome = apply(state, &change, &base, TTL_MS, 0);

    expect_lasting(&outcome);
    assert_int_equal(outcome.result.counter, 2);
}

/* A promise that was kept for later is older than the write that uses it. */
static void a_time_to_live_counts_from_the_operation(void **state)
{
    const struct quo_change change = change_of(QUO_CHANGE_PUT, "7", TTL_MS);
    struct outcome outcome = apply(state, &change, NULL, 500, 4500);

    expect_until(&outcome, 4500 + TTL_MS);
    assert_false(quo_record_expired(&outcome.made, MORNING_MS + 4500));
    quo_mutant_planted = QUO_MUTANT_TTL_OF_BALLOT;
    outcome = apply(state, &change, NULL, 500, 4500);
    assert_true(quo_record_expired(&outcome.made, MORNING_MS + 4500));
}

/* What is recorded of a failure changes no value: neither its life nor its end. */
static void failures_prolong_nothing(void **state)
{
    const struct quo_record base = found();
    struct quo_change change = change_of(QUO_CHANGE_PUT, "7", 500);

    change.opid = quo_opid_of_key(quo_slice_of("a key"));
    change.condition = QUO_CONDITION_ABSENT;
    const struct outcome outcome = apply(state, &change, &base, 500, 500);
    assert_int_equal(outcome.result.code, QUO_CHANGE_CONDITION);
    expect_until(&outcome, TTL_MS);
    assert_true(quo_version_equal(outcome.made.changed, at(0)));
}

/* Clocks of a far future do not leave the record's range. */
static void lives_fit_the_record(void **state)
{
    const struct quo_change change = change_of(QUO_CHANGE_PUT, "7", QUO_TTL_MAX_MS);
    const struct outcome outcome = apply(state, &change, NULL, 0, QUO_RECORD_TTL_MAX);

    assert_int_equal(outcome.decision, QUO_DECISION_WRITE);
    assert_int_equal(outcome.made.ttl_ms, QUO_RECORD_TTL_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_write_can_limit_the_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_put_lasts_and_a_change_goes_with_what_it_changed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(changes_find_nothing_of_what_has_expired, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(conditions_take_what_has_expired_for_absent, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_ballot_is_before_its_moment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_time_to_live_counts_from_the_operation, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(failures_prolong_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lives_fit_the_record, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
