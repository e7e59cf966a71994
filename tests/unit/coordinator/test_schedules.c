/* Coordinators against random schedules of a dumb cluster: messages in any order, broken
 * connections, refusals, unsynced records lost in crashes, skewed clocks, epochs that move on.
 *
 * Versions of one key are unique and totally ordered, and a read returns what it orders last. So
 * strong operations are linearizable if each one's version is at or above every version that a
 * strong operation had completed with before it began, and a write's is above.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/coordinator/coordinator.h"
#include "quorate/record.h"

#define REPLICAS_MAX 5
#define PROXIES 4
#define MESSAGES_MAX 512
#define OPS_PER_RUN 40
#define RUNS 4000

struct replica {
    struct quo_version held, durable;
    uint32_t epoch;
    uint64_t clock_ms;
};

struct message {
    bool is_reply;
    uint8_t proxy, member;
    uint32_t op; /* of the proxy: the connection tells old from new */
    uint16_t round;
    bool is_store;
    uint8_t flags;
    uint32_t epoch;
    struct quo_version version;
    struct quo_msg_reply reply;
};

struct proxy {
    struct quo_coordinator c;
    bool busy, is_write, strong;
    uint32_t op;
    struct quo_hlc clock;
    uint64_t wall_ms;
    uint32_t epoch;                /* the newest it knows */
    struct quo_version tag, floor; /* completed by anybody before this operation began */
    struct quo_version kept;
    bool hedge, repair;
};

struct world {
    uint64_t seed, random;
    uint64_t now_us;
    struct quo_namespace ns;
    struct replica replicas[REPLICAS_MAX];
    uint32_t epoch;
    struct proxy proxies[PROXIES];
    struct message messages[MESSAGES_MAX];
    int message_count;
    struct quo_version completed;         /* the highest version a strong operation ended with */
    struct quo_version dead[OPS_PER_RUN]; /* versions that were said to be nowhere */
    int dead_count;
    int verdicts[8], unknown, repairs;
};

/* A failure names the schedule. */
#define CHECK(w, cond)                                                                             \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail_msg("seed %llu: %s", (unsigned long long)(w)->seed, #cond);                       \
    } while (0)

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (w->random >> 11) % below;
}

static bool chance(struct world *w, unsigned percent)
{
    return draw(w, 100) < percent;
}

static void plan_at(const struct world *w, uint32_t epoch, struct quo_plan *plan)
{
    struct quo_entry entry = {.epoch = epoch, .state = QUO_ENTRY_NORMAL, .n = w->ns.n};

    for (uint8_t i = 0; i < w->ns.n; i++)
        entry.replicas[i] = i + 1u;
    quo_plan_init(plan, &entry, &w->ns);
}

static void post(struct world *w, const struct message *message)
{
    assert_true(w->message_count < MESSAGES_MAX);
    w->messages[w->message_count++] = *message;
}

/* The replica's rules for blind writes. */
static enum quo_status store(struct world *w, struct replica *r, const struct message *m)
{
    if (quo_version_ms(m->version) > r->clock_ms + QUO_SKEW_MAX_MS)
        return QUO_SKEW;
    if (chance(w, 3))
        return chance(w, 50) ? QUO_BUSY : QUO_DISK_FULL;
    int order = quo_version_compare(m->version, r->held);
    if (order > 0)
        r->held = m->version;
    if (m->flags & QUO_STORE_SYNC)
        r->durable = r->held;
    return order < 0 ? QUO_SUPERSEDED : QUO_OK;
}

static void serve(struct world *w, const struct message *m)
{
    struct replica *r = &w->replicas[m->member];
    struct message answer = *m;

    answer.is_reply = true;
    memset(&answer.reply, 0, sizeof answer.reply);
    if (m->epoch < r->epoch) {
        answer.reply.status = QUO_WRONG_EPOCH;
    } else {
        r->epoch = m->epoch;
        answer.reply.status = (uint8_t)(m->is_store ? store(w, r, m) : QUO_OK);
    }
    answer.reply.version = r->held;
    answer.reply.now_ms = r->clock_ms;
    if (quo_version_equal(r->held, r->durable))
        answer.reply.flags = QUO_REPLY_DURABLE;
    /* A fifth of the values are too large to ride along. */
    bool ride = m->flags == 1 || r->held.hlc % 5 != 0;
    if (!m->is_store && ride && !quo_version_is_none(r->held))
        answer.reply.flags |= QUO_REPLY_VALUE;
    post(w, &answer);
}

static int holders(const struct world *w, struct quo_version version, bool durable)
{
    int count = 0;

    for (uint8_t i = 0; i < w->ns.n; i++) {
        const struct replica *r = &w->replicas[i];
        count += quo_version_compare(durable ? r->durable : r->held, version) >= 0;
    }
    return count;
}

static void check_read(struct world *w, struct proxy *p, const struct quo_outcome *o)
{
    struct quo_version version = p->c.get.query.newest;

    if (o->verdict != QUO_VERDICT_FOUND && o->verdict != QUO_VERDICT_ABSENT)
        return;
    if (o->verdict == QUO_VERDICT_FOUND) {
        CHECK(w, quo_version_equal(version, o->receipt.version));
        CHECK(w, quo_version_equal(version, p->kept));
    }
    CHECK(w, o->receipt.replies >= p->c.get.options.want.r);
    for (int i = 0; i < w->dead_count; i++)
        CHECK(w, !quo_version_equal(version, w->dead[i]));
    if (!p->strong)
        return;
    CHECK(w, quo_version_compare(version, p->floor) >= 0);
    CHECK(w, o->verdict == QUO_VERDICT_ABSENT || o->receipt.stable);
    w->completed = quo_version_max(w->completed, version);
}

static void check_write(struct world *w, struct proxy *p, const struct quo_outcome *o)
{
    w->unknown += o->effect == QUO_UNKNOWN;
    if (o->effect == QUO_NOT_APPLIED && !quo_version_is_none(p->tag))
        w->dead[w->dead_count++] = p->tag;
    if (o->verdict != QUO_VERDICT_WRITTEN) {
        CHECK(w, o->effect != QUO_APPLIED);
        return;
    }
    CHECK(w, o->receipt.acks >= p->c.put.options.want.w);
    CHECK(w, o->receipt.disk >= p->c.put.options.want.dw);
    if (!p->strong)
        return;
    CHECK(w, quo_version_compare(p->tag, p->floor) > 0);
    w->completed = quo_version_max(w->completed, p->tag);
}

static void check_answer(struct world *w, struct proxy *p)
{
    const struct quo_outcome *o = quo_coordinator_outcome(&p->c);

    w->verdicts[o->verdict]++;
    if (!quo_version_is_none(o->receipt.version)) {
        CHECK(w, o->receipt.disk <= holders(w, o->receipt.version, true));
        CHECK(w, !o->receipt.stable || holders(w, o->receipt.version, true) >= w->ns.ws);
    }
    if (p->is_write)
        check_write(w, p, o);
    else
        check_read(w, p, o);
}

static void send(struct world *w, uint8_t proxy, const struct quo_effect *e)
{
    struct proxy *p = &w->proxies[proxy];
    const struct quo_plan *plan = quo_coordinator_plan(&p->c);
    struct message m = {
        .proxy = proxy,
        .op = p->op,
        .member = (uint8_t)(plan->replica[e->member] - 1),
        .round = e->round,
        .is_store = e->type == QUO_EFFECT_STORE,
        .epoch = plan->entry.epoch,
    };

    m.flags = m.is_store ? e->flags : e->value_max == UINT32_MAX;
    m.version = p->is_write ? p->tag : p->kept;
    post(w, &m);
}

static void step(struct world *w, uint8_t proxy, struct quo_event *event);

static bool perform(struct world *w, uint8_t proxy, const struct quo_event *event,
                    const struct quo_effect *e, quo_members *unsent)
{
    struct proxy *p = &w->proxies[proxy];

    switch (e->type) {
    case QUO_EFFECT_QUERY:
    case QUO_EFFECT_STORE:
        if (chance(w, 4))
            *unsent |= QUO_MEMBER(e->member);
        else
            send(w, proxy, e);
        return false;
    case QUO_EFFECT_KEEP:
        p->kept = event->reply->version;
        return false;
    case QUO_EFFECT_HEDGE:
        p->hedge = true;
        return false;
    case QUO_EFFECT_CORRECT_CLOCK:
        quo_hlc_correct(&p->clock, e->clock_ms, w->now_us, draw(w, UINT64_MAX / 4) + 10);
        return false;
    case QUO_EFFECT_TRUST_CLOCK:
        quo_hlc_trust(&p->clock);
        return false;
    case QUO_EFFECT_TAG:
        p->tag = quo_hlc_tick(&p->clock, e->version, p->wall_ms, w->now_us);
        return true;
    case QUO_EFFECT_ANSWER:
        check_answer(w, p);
        return false;
    case QUO_EFFECT_REPAIR:
        p->repair = chance(w, 80);
        return false;
    case QUO_EFFECT_HINT: /* nobody is there to keep it */
        return false;
    case QUO_EFFECT_SLOT:
    case QUO_EFFECT_PREP:
    case QUO_EFFECT_ACC:
    case QUO_EFFECT_APPLY:
    case QUO_EFFECT_REMEMBER:
    case QUO_EFFECT_FORWARD:
        break;
    }
    fail();
    return false;
}

static void step(struct world *w, uint8_t proxy, struct quo_event *event)
{
    struct proxy *p = &w->proxies[proxy];
    struct quo_effects effects;
    quo_members unsent = 0;
    bool tag = false;

    event->now_us = w->now_us;
    quo_coordinator_step(&p->c, event, &effects);
    for (uint8_t i = 0; i < effects.count; i++)
        tag |= perform(w, proxy, event, &effects.list[i], &unsent);
    if (tag)
        step(w, proxy, &(struct quo_event){.type = QUO_EVENT_TAGGED, .tag = p->tag});
    if (unsent != 0)
        step(w, proxy,
             &(struct quo_event){.type = QUO_EVENT_UNSENT,
                                 .members = unsent,
                                 .round = quo_coordinator_round(&p->c)});
    if (p->hedge) {
        p->hedge = false;
        step(w, proxy, &(struct quo_event){.type = QUO_EVENT_HEDGE});
    }
    if (p->repair) {
        p->repair = false;
        step(w, proxy, &(struct quo_event){.type = QUO_EVENT_REPAIR, .has_record = chance(w, 50)});
        w->repairs++;
    }
    p->busy = !quo_coordinator_finished(&p->c);
}

static void start(struct world *w, uint8_t proxy)
{
    static const enum quo_level levels[] = {QUO_LEVEL_EVENTUAL, QUO_LEVEL_QUORUM, QUO_LEVEL_STRONG,
                                            QUO_LEVEL_STRONG,   QUO_LEVEL_STRONG, QUO_LEVEL_ALL};
    struct proxy *p = &w->proxies[proxy];
    struct quo_ask ask = {
        .has_level = true, .level = levels[draw(w, 6)], .r = -1, .w = -1, .dw = -1};
    struct quo_consistency want;
    struct quo_plan plan;
    char why[100];

    p->busy = true;
    p->op++;
    p->is_write = chance(w, 50);
    if (p->is_write && ask.level == QUO_LEVEL_EVENTUAL && chance(w, 50))
        ask.dw = 0;
    assert_int_equal(quo_consistency_resolve(&w->ns, &ask, p->is_write, &want, why, sizeof why),
                     QUO_OK);
    p->strong = want.strong;
    p->floor = w->completed;
    p->tag = p->kept = QUO_VERSION_NONE;
    plan_at(w, p->epoch, &plan);
    if (p->is_write)
        quo_coordinator_put(
            &p->c, &plan,
            &(struct quo_put_options){.want = want, .now_us = w->now_us, .hedge_us = 2000});
    else
        quo_coordinator_get(&p->c, &plan,
                            &(struct quo_get_options){.want = want,
                                                      .now_us = w->now_us,
                                                      .hedge_us = 2000,
                                                      .spread_us = 1000,
                                                      .seed = draw(w, 100),
                                                      .look_further = chance(w, 50)});
    step(w, proxy, &(struct quo_event){.type = QUO_EVENT_START});
}

static void deliver_reply(struct world *w, const struct message *m)
{
    struct proxy *p = &w->proxies[m->proxy];
    uint8_t bytes[128];
    struct quo_plan newer;
    struct quo_msg_reply reply = m->reply;
    struct quo_event event = {
        .type = QUO_EVENT_REPLY, .member = m->member, .round = m->round, .reply = &reply};

    if (!p->busy || p->op != m->op)
        return;
    if (reply.flags & QUO_REPLY_VALUE) {
        struct quo_record record = {.version = reply.version, .flags = QUO_RECORD_BLIND};
        quo_record_encode(&record, bytes);
        reply.record = quo_slice(bytes, quo_record_size(&record));
    }
    if (reply.status == QUO_WRONG_EPOCH) {
        p->epoch = w->epoch;
        plan_at(w, p->epoch, &newer);
        event.newer = p->epoch > quo_coordinator_plan(&p->c)->entry.epoch ? &newer : NULL;
    }
    step(w, m->proxy, &event);
}

/* Takes out one message; the order of the others does not matter. */
static struct message take(struct world *w, int at)
{
    struct message m = w->messages[at];

    w->messages[at] = w->messages[--w->message_count];
    return m;
}

/* A connection breaks: what is on it is lost, and the coordinator is told. */
static void lose(struct world *w, int at)
{
    struct message m = take(w, at);
    struct proxy *p = &w->proxies[m.proxy];

    if (p->busy && p->op == m.op)
        step(w, m.proxy,
             &(struct quo_event){.type = QUO_EVENT_FAILED, .member = m.member, .round = m.round});
}

static void crash(struct world *w)
{
    uint8_t i = (uint8_t)draw(w, w->ns.n);

    w->replicas[i].held = w->replicas[i].durable;
    for (int at = w->message_count; at-- > 0;) {
        if (at < w->message_count && w->messages[at].member == i)
            lose(w, at);
    }
}

static void let_time_pass(struct world *w, uint64_t us)
{
    w->now_us += us;
    for (uint8_t i = 0; i < PROXIES; i++) {
        struct proxy *p = &w->proxies[i];
        if (p->busy && quo_coordinator_deadline(&p->c) <= w->now_us)
            step(w, i, &(struct quo_event){.type = QUO_EVENT_TIMER});
        assert_true(!p->busy || quo_coordinator_deadline(&p->c) > w->now_us);
    }
}

static void happen(struct world *w)
{
    uint64_t what = draw(w, 1000);

    if (what < 4) {
        crash(w);
    } else if (what < 8) {
        w->epoch++;
        w->replicas[draw(w, w->ns.n)].epoch = w->epoch;
    } else if (what < 30) {
        let_time_pass(w, 1 + draw(w, chance(w, 5) ? 400000 : 3000));
    } else if (what < 40) {
        struct replica *r = &w->replicas[draw(w, w->ns.n)];
        r->durable = r->held;
    } else if (w->message_count > 0) {
        int at = (int)draw(w, (uint64_t)w->message_count);
        if (chance(w, 3)) {
            lose(w, at);
            return;
        }
        struct message m = take(w, at);
        if (m.is_reply)
            deliver_reply(w, &m);
        else
            serve(w, &m);
    } else {
        let_time_pass(w, 1000);
    }
}

static void begin(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    w->now_us = 1000;
    w->epoch = 1;
    w->ns = (struct quo_namespace){.id = 1, .name = "x", .kind = QUO_KIND_LWW, .timeout_ms = 1000};
    w->ns.n = chance(w, 70) ? 3 : 5;
    w->ns.ws = (uint8_t)(w->ns.n / 2 + 1 + draw(w, 2));
    w->ns.rs = (uint8_t)(w->ns.n - w->ns.ws + 1 + draw(w, 2));
    for (int i = 0; i < REPLICAS_MAX; i++)
        w->replicas[i] = (struct replica){.epoch = 1, .clock_ms = 1000000};
    for (uint8_t i = 0; i < PROXIES; i++) {
        quo_hlc_init(&w->proxies[i].clock, i + 1u);
        w->proxies[i].wall_ms = 1000000 + draw(w, 9000) - 3000;
        w->proxies[i].epoch = 1;
    }
}

static void strong_operations_are_linearizable(void **state)
{
    static struct world w;
    int verdicts[8] = {0}, unknown = 0, repairs = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        begin(&w, seed);
        for (int ops = 0; ops < OPS_PER_RUN;) {
            uint8_t proxy = (uint8_t)draw(&w, PROXIES);
            if (!w.proxies[proxy].busy && chance(&w, 10)) {
                start(&w, proxy);
                ops++;
            } else {
                happen(&w);
            }
        }
        /* Everything ends by its deadline, and what that made be repaired by another. */
        let_time_pass(&w, 2000000);
        let_time_pass(&w, QUO_REPAIR_TIMEOUT_MS * 1000);
        for (int i = 0; i < PROXIES; i++)
            assert_false(w.proxies[i].busy);
        for (int i = 0; i < 8; i++)
            verdicts[i] += w.verdicts[i];
        unknown += w.unknown;
        repairs += w.repairs;
    }
    /* The schedules must reach what they are for. */
    for (int i = QUO_VERDICT_FOUND; i <= QUO_VERDICT_REFUSED; i++)
        assert_true(verdicts[i] > 100);
    assert_true(unknown > 100 && repairs > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strong_operations_are_linearizable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
