/* One question to several nodes: who answers, who does not, and when that is all. */
#include "tests/unit/service/fake.h"

#include "proxy/service/survey.h"

static struct fake f;

struct heard {
    int calls;
    uint32_t count;
    struct quo_survey_answer answers[4];
    uint8_t bodies[4][64];
    bool asks_again; /* starts another one when told, and gives up `gives_up` */
    quo_ticket gives_up, again;
};

static int setup(void **state)
{
    (void)state;
    fake_init(&f);
    fake_start(&f, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop(&f);
    return 0;
}

static quo_ticket ask(struct heard *heard);

static void on_done(void *context, const struct quo_survey_answer *answers, uint32_t count)
{
    struct heard *heard = context;

    heard->calls++;
    heard->count = count;
    for (uint32_t i = 0; i < count; i++) {
        heard->answers[i] = answers[i];
        if (answers[i].body.len > 0 && answers[i].body.len <= sizeof heard->bodies[i])
            memcpy(heard->bodies[i], answers[i].body.data, answers[i].body.len);
    }
    if (!heard->asks_again)
        return;
    heard->asks_again = false;
    quo_service_survey_abandon(f.service, heard->gives_up);
    heard->again = ask(heard);
}

static enum quo_status try_to_ask(struct heard *heard, quo_ticket *ret)
{
    static const uint32_t nodes[] = {2, 0, 3};
    const struct quo_survey_question question = {
        .type = QUO_MESSAGE_DEBT,
        .answer_type = QUO_MESSAGE_DEBTS,
        .body = quo_slice_of("question"),
        .node_count = QUO_COUNT(nodes),
        .nodes = nodes,
        .timeout_ms = 1000,
    };

    return quo_service_survey(f.service, &question, on_done, heard, ret);
}

static quo_ticket ask(struct heard *heard)
{
    quo_ticket ticket = 99;

    assert_int_equal(try_to_ask(heard, &ticket), QUO_OK);
    return ticket;
}

static void tell(uint64_t peer, uint64_t id, uint8_t type, const char *body)
{
    struct quo_frame frame = {type, id, quo_slice_of(body)};

    f.transport.events->on_frame(f.transport.receiver, peer, &frame);
}

static void everybody_is_heard(void **state)
{
    struct heard heard = {0};
    struct fake_frame asked[3];

    (void)state;
    assert_int_not_equal(ask(&heard), 0);
    for (int i = 0; i < 3; i++) {
        asked[i] = fake_next(&f, QUO_MESSAGE_DEBT);
        assert_int_equal(asked[i].body_len, 8);
    }
    assert_int_equal(asked[0].peer, 2);
    tell(3, asked[2].id, QUO_MESSAGE_DEBTS, "three");
    tell(3, asked[2].id, QUO_MESSAGE_DEBTS, "again");        /* once is enough */
    tell(1, asked[0].id, QUO_MESSAGE_DEBTS, "not asked");    /* not asked */
    tell(0, asked[1].id + 1, QUO_MESSAGE_DEBTS, "of what?"); /* to no question */
    tell(0, asked[1].id, QUO_MESSAGE_DEBTS, "zero");
    assert_int_equal(heard.calls, 0);
    tell(2, asked[0].id, QUO_MESSAGE_DIGESTED, "another type");
    assert_int_equal(heard.calls, 1);
    assert_int_equal(heard.count, 3);
    assert_int_equal(heard.answers[0].node, 2);
    assert_false(heard.answers[0].is_there);
    assert_true(heard.answers[1].is_there && heard.answers[2].is_there);
    assert_memory_equal(heard.bodies[1], "zero", 4);
    assert_memory_equal(heard.bodies[2], "three", 5);
    assert_int_equal(quo_service_deadline(f.service), UINT64_MAX);
}

static void nobody_is_waited_for_longer_than_said(void **state)
{
    struct heard heard = {0};

    (void)state;
    ask(&heard);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_DEBT);
    tell(2, first.id, QUO_MESSAGE_DEBTS, "two");
    assert_int_equal(quo_service_deadline(f.service), f.mono_us + 1000000);
    quo_service_expire(f.service, f.mono_us + 999999);
    assert_int_equal(heard.calls, 0);
    quo_service_expire(f.service, f.mono_us + 1000000);
    assert_int_equal(heard.calls, 1);
    assert_true(heard.answers[0].is_there);
    assert_false(heard.answers[1].is_there || heard.answers[2].is_there);
    tell(0, first.id, QUO_MESSAGE_DEBTS, "late");
    assert_int_equal(heard.calls, 1);
}

static void who_is_gone_is_not_waited_for(void **state)
{
    struct heard heard = {0};

    (void)state;
    f.refuse[0] = QUO_UNAVAILABLE;
    ask(&heard);
    struct fake_frame first = fake_next(&f, QUO_MESSAGE_DEBT);
    f.transport.events->on_down(f.transport.receiver, 3);
    assert_int_equal(heard.calls, 0);
    tell(2, first.id, QUO_MESSAGE_DEBTS, "two");
    assert_int_equal(heard.calls, 1);
    assert_true(heard.answers[0].is_there);
    f.refuse[2] = f.refuse[3] = QUO_UNAVAILABLE;
    assert_int_equal(ask(&heard), 0);
    assert_int_equal(heard.calls, 2);
}

static void only_so_many_are_asked_at_once(void **state)
{
    struct heard heard[QUO_SURVEYS_MAX] = {{0}}, last = {0};
    quo_ticket tickets[QUO_SURVEYS_MAX], ticket = 0;

    (void)state;
    for (uint32_t i = 0; i < QUO_SURVEYS_MAX; i++)
        tickets[i] = ask(&heard[i]);
    assert_int_equal(try_to_ask(&last, &ticket), QUO_BUSY);
    quo_service_survey_abandon(f.service, tickets[3]);
    quo_service_survey_abandon(f.service, tickets[3]);
    ask(&last);
    f.transport.events->on_down(f.transport.receiver, 0);
    f.transport.events->on_down(f.transport.receiver, 2);
    f.transport.events->on_down(f.transport.receiver, 3);
    for (uint32_t i = 0; i < QUO_SURVEYS_MAX; i++)
        assert_int_equal(heard[i].calls, i != 3);
    assert_int_equal(last.calls, 1);
}

/* Who hears of an end begins another and gives up the next in line. */
static void ends_may_begin_others(void **state)
{
    struct heard heard[2] = {{0}};

    (void)state;
    heard[1].gives_up = ask(&heard[0]);
    heard[1].asks_again = true;
    ask(&heard[1]);
    quo_service_expire(f.service, f.mono_us + 1000000);
    assert_int_equal(heard[0].calls, 0);
    assert_in_range(heard[1].calls, 1, 2);
    ask(&heard[0]); /* left under way at the end */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everybody_is_heard),
        TEST(nobody_is_waited_for_longer_than_said),
        TEST(who_is_gone_is_not_waited_for),
        TEST(only_so_many_are_asked_at_once),
        TEST(ends_may_begin_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
