/* Read-modify-writes of one key against random schedules of a dumb cluster: messages in any order,
 * broken connections, refusals, skewed clocks, epochs that move on, replicas that are replaced.
 *
 * The key's value is the list of the operations that took effect. Records form a tree; what is
 * answered as done must lie on one path through it, an answer must include all that was done before
 * its operation began, and what was said to be nowhere must never be found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/coordinator/coordinator.h"
#include "quorate/record.h"

#define REPLICAS_MAX 7
#define PROXIES 3
#define MOVER PROXIES /* settles the key when a replica is replaced */
#define MESSAGES_MAX 512
#define OPS_PER_RUN 40
#define STATES_MAX 4096
#define EPOCHS_MAX 64
#define RUNS 4000
#define NOWHERE (-1)

/* What a record says: the operations up to here. State 0: nothing was ever done. */
struct state {
    int parent;
    int op; /* NOWHERE: an identity */
    int ops;
};

struct replica {
    struct quo_version version, promised;
    int state;
    uint32_t epoch;
    uint64_t clock_ms;
};

struct message {
    bool is_reply;
    enum quo_effect_type type;
    uint8_t proxy, replica;
    uint32_t serial; /* of the proxy's operation: the connection tells old from new */
    uint16_t round;
    uint32_t epoch;
    bool whole;
    struct quo_version version, next; /* ACC: of the record; PREP: the ballot */
    int state;
    struct quo_msg_reply reply;
};

struct proxy {
    struct quo_coordinator c;
    bool busy, is_write, is_conditional;
    int op;
    uint32_t serial, epoch;
    struct quo_hlc clock;
    uint64_t wall_ms;
    int floor; /* done before this operation began */
    struct quo_version kept_version, made_version;
    int kept, made;
    enum quo_decision decision;
    struct quo_version warm; /* the next write may start with */
    uint32_t warm_epoch;
    int warm_state;
};

struct world {
    uint64_t seed, random, now_us;
    struct quo_namespace ns;
    struct replica replicas[REPLICAS_MAX];
    uint32_t epoch;
    struct quo_entry entries[EPOCHS_MAX];
    bool moving;
    struct proxy proxies[PROXIES + 1];
    struct message messages[MESSAGES_MAX];
    int message_count;
    struct state states[STATES_MAX];
    int state_count;
    int ops;
    bool dead[OPS_PER_RUN];
    int done; /* the furthest state that was answered */
    int verdicts[8], unknown, warm_hits, turned, moves, declined;
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

/* The value: identities have the one of their parent. */
static int value_of(const struct world *w, int state)
{
    while (state != 0 && w->states[state].op == NOWHERE)
        state = w->states[state].parent;
    return state;
}

static bool includes(const struct world *w, int state, int earlier)
{
    earlier = value_of(w, earlier);
    while (state != 0 && state != earlier)
        state = w->states[state].parent;
    return state == earlier;
}

/* The state that the operation made, or 0. */
static int find(const struct world *w, int state, int op)
{
    while (state != 0 && w->states[state].op != op)
        state = w->states[state].parent;
    return state;
}

static int make(struct world *w, int parent, int op)
{
    int ops = w->states[parent].ops + (op != NOWHERE);

    assert_true(w->state_count < STATES_MAX);
    w->states[w->state_count] = (struct state){parent, op, ops};
    return w->state_count++;
}

static void plan_at(const struct world *w, uint32_t epoch, struct quo_plan *plan)
{
    quo_plan_init(plan, &w->entries[epoch], &w->ns);
}

static void post(struct world *w, const struct message *message)
{
    assert_true(w->message_count < MESSAGES_MAX);
    w->messages[w->message_count++] = *message;
}

/* The replica's rules of consensus. */
static enum quo_status promise(struct replica *r, struct quo_version ballot)
{
    if (quo_version_compare(ballot, r->promised) <= 0 ||
        quo_version_compare(ballot, r->version) <= 0)
        return QUO_NACK;
    r->promised = ballot;
    return QUO_OK;
}

static enum quo_status accept(struct replica *r, const struct message *m, uint8_t *flags)
{
    if (quo_version_equal(m->version, r->version))
        return QUO_OK;
    if (quo_version_compare(m->version, r->promised) < 0)
        return QUO_NACK;
    r->version = r->promised = m->version;
    r->state = m->state;
    if (!quo_version_is_none(m->next)) {
        r->promised = m->next;
        *flags |= QUO_REPLY_NEXT;
    }
    return QUO_OK;
}

static enum quo_status serve_in_epoch(struct world *w, struct replica *r, const struct message *m,
                                      uint8_t *flags)
{
    if (m->type == QUO_EFFECT_QUERY)
        return QUO_OK;
    if (quo_version_ms(m->version) > r->clock_ms + QUO_SKEW_MAX_MS)
        return QUO_SKEW;
    if (chance(w, 2))
        return chance(w, 50) ? QUO_BUSY : QUO_DISK_FULL;
    return m->type == QUO_EFFECT_PREP ? promise(r, m->version) : accept(r, m, flags);
}

static void serve(struct world *w, const struct message *m)
{
    struct replica *r = &w->replicas[m->replica];
    struct message answer = *m;

    answer.is_reply = true;
    memset(&answer.reply, 0, sizeof answer.reply);
    answer.reply.flags = QUO_REPLY_DURABLE;
    if (m->epoch < r->epoch) {
        answer.reply.status = QUO_WRONG_EPOCH;
    } else {
        r->epoch = m->epoch;
        answer.reply.status = (uint8_t)serve_in_epoch(w, r, m, &answer.reply.flags);
    }
    answer.reply.version = r->version;
    answer.reply.promised = r->promised;
    answer.reply.now_ms = r->clock_ms;
    answer.state = r->state;
    /* A fifth of the values are too large to ride along. */
    bool ride = m->whole || r->version.hlc % 5 != 0;
    if (answer.reply.status == QUO_OK && m->type != QUO_EFFECT_ACC && ride &&
        !quo_version_is_none(r->version))
        answer.reply.flags |= QUO_REPLY_VALUE;
    post(w, &answer);
}

static void check_dead(struct world *w)
{
    for (int at = w->done; at != 0; at = w->states[at].parent)
        CHECK(w, w->states[at].op == NOWHERE || !w->dead[w->states[at].op]);
}

/* `state` was answered: it is, or was, the key's. */
static void check_done(struct world *w, const struct proxy *p, int state)
{
    CHECK(w, includes(w, state, p->floor));
    CHECK(w, includes(w, state, w->done) || includes(w, w->done, state));
    if (includes(w, state, w->done))
        w->done = state;
}

static int answered_state(struct world *w, const struct proxy *p, const struct quo_outcome *o)
{
    struct quo_version version = o->receipt.version;

    if (quo_version_is_none(version))
        return 0;
    if (p->c.type == QUO_COORDINATOR_GET) {
        CHECK(w, quo_version_equal(version, p->kept_version));
        return p->kept;
    }
    /* What was made for nothing says the same as what was kept. */
    CHECK(w, quo_version_equal(version, p->made_version) ||
                 quo_version_equal(version, p->kept_version));
    return p->made;
}

static void check_write(struct world *w, struct proxy *p, const struct quo_outcome *o)
{
    CHECK(w, (o->effect == QUO_APPLIED) == (o->verdict == QUO_VERDICT_WRITTEN));
    w->unknown += o->effect == QUO_UNKNOWN;
    if (o->effect == QUO_NOT_APPLIED)
        w->dead[p->op] = true;
    if (o->effect != QUO_APPLIED)
        return;
    int state = answered_state(w, p, o);
    check_done(w, p, state);
    if (p->decision == QUO_DECISION_KEEP) {
        w->declined++;
        w->dead[p->op] = true;
    } else {
        int made = find(w, state, p->op);
        CHECK(w, made != 0 && includes(w, made, p->floor));
    }
    CHECK(w, o->receipt.acks == 0 || o->receipt.stable);
}

static void check_answer(struct world *w, struct proxy *p)
{
    const struct quo_outcome *o = quo_coordinator_outcome(&p->c);

    w->verdicts[o->verdict]++;
    if (p->is_write)
        check_write(w, p, o);
    else if (o->verdict == QUO_VERDICT_FOUND || o->verdict == QUO_VERDICT_ABSENT)
        check_done(w, p, answered_state(w, p, o));
    check_dead(w);
    w->turned += !p->is_write && p->c.type == QUO_COORDINATOR_RMW;
    w->warm_hits += p->is_write && p->c.rmw.warm && o->effect == QUO_APPLIED;
}

static void send(struct world *w, uint8_t proxy, const struct quo_effect *e)
{
    struct proxy *p = &w->proxies[proxy];
    const struct quo_plan *plan = quo_coordinator_plan(&p->c);
    bool is_made = p->c.type == QUO_COORDINATOR_RMW;
    struct message m = {
        .type = e->type,
        .proxy = proxy,
        .serial = p->serial,
        .replica = (uint8_t)(plan->replica[e->member] - 1),
        .round = e->round,
        .epoch = plan->entry.epoch,
        .whole = e->value_max == UINT32_MAX,
        .version = e->version,
    };

    assert_int_not_equal(e->type, QUO_EFFECT_STORE);
    CHECK(w, !is_made || w->now_us < p->c.rmw.deadline_us);
    if (e->type == QUO_EFFECT_ACC) {
        m.version = is_made ? p->made_version : p->kept_version;
        m.state = is_made ? p->made : p->kept;
        m.next = e->version;
    }
    post(w, &m);
}

static void keep(struct proxy *p, const struct quo_event *event)
{
    struct quo_record record;

    assert_int_equal(quo_record_decode(event->reply->record, &record), QUO_OK);
    p->kept_version = record.version;
    memcpy(&p->kept, record.content_type.data, sizeof p->kept);
}

static void apply(struct world *w, struct proxy *p, const struct quo_effect *e)
{
    int base = e->nothing ? 0 : p->c.rmw.warm ? p->warm_state : p->kept;
    bool is_false = p->is_conditional && w->states[base].ops % 2 != 0;

    p->decision = QUO_DECISION_KEEP;
    if (p->is_write && find(w, base, p->op) != 0)
        p->decision = QUO_DECISION_FOUND;
    else if (p->is_write && !is_false)
        p->decision = QUO_DECISION_WRITE;
    p->made = make(w, base, p->decision == QUO_DECISION_WRITE ? p->op : NOWHERE);
    p->made_version = e->version;
    /* A driver need not keep it any longer. */
    p->kept = NOWHERE;
}

struct agenda {
    quo_members unsent;
    uint16_t unsent_round;
    bool tag, apply, forward;
    struct quo_version made, next;
};

static void perform(struct world *w, uint8_t proxy, const struct quo_event *event,
                    const struct quo_effect *e, struct agenda *agenda)
{
    struct proxy *p = &w->proxies[proxy];

    switch (e->type) {
    case QUO_EFFECT_QUERY:
    case QUO_EFFECT_STORE:
    case QUO_EFFECT_PREP:
    case QUO_EFFECT_ACC:
        agenda->unsent_round = e->round;
        if (chance(w, 3))
            agenda->unsent |= QUO_MEMBER(e->member);
        else
            send(w, proxy, e);
        return;
    case QUO_EFFECT_KEEP:
        keep(p, event);
        return;
    case QUO_EFFECT_CORRECT_CLOCK:
        quo_hlc_correct(&p->clock, e->clock_ms, w->now_us, draw(w, UINT64_MAX / 4) + 10);
        return;
    case QUO_EFFECT_TRUST_CLOCK:
        quo_hlc_trust(&p->clock);
        return;
    case QUO_EFFECT_TAG:
        agenda->tag = true;
        agenda->made = quo_hlc_tick(&p->clock, e->version, p->wall_ms, w->now_us);
        agenda->next = quo_hlc_tick(&p->clock, agenda->made, p->wall_ms, w->now_us);
        return;
    case QUO_EFFECT_APPLY:
        agenda->apply = true;
        apply(w, p, e);
        return;
    case QUO_EFFECT_REMEMBER:
        p->warm = e->version;
        p->warm_epoch = quo_coordinator_plan(&p->c)->entry.epoch;
        p->warm_state = p->made;
        return;
    case QUO_EFFECT_FORWARD:
        agenda->forward = true;
        return;
    case QUO_EFFECT_ANSWER:
        check_answer(w, p);
        return;
    case QUO_EFFECT_SLOT:
    case QUO_EFFECT_HEDGE:
    case QUO_EFFECT_REPAIR:
    case QUO_EFFECT_HINT:
        break;
    }
    fail();
}

static void step(struct world *w, uint8_t proxy, struct quo_event *event)
{
    struct proxy *p = &w->proxies[proxy];
    struct quo_effects effects;
    struct agenda agenda = {0};

    event->now_us = w->now_us;
    quo_coordinator_step(&p->c, event, &effects);
    for (uint8_t i = 0; i < effects.count; i++)
        perform(w, proxy, event, &effects.list[i], &agenda);
    if (agenda.tag)
        step(
            w, proxy,
            &(struct quo_event){.type = QUO_EVENT_TAGGED, .tag = agenda.made, .next = agenda.next});
    if (agenda.apply)
        step(w, proxy, &(struct quo_event){.type = QUO_EVENT_APPLIED, .decision = p->decision});
    if (agenda.forward)
        step(w, proxy, &(struct quo_event){.type = QUO_EVENT_FORWARDED, .sent = chance(w, 30)});
    if (agenda.unsent != 0)
        step(w, proxy,
             &(struct quo_event){
                 .type = QUO_EVENT_UNSENT, .members = agenda.unsent, .round = agenda.unsent_round});
    p->busy = !quo_coordinator_finished(&p->c);
}

static void start_write(struct world *w, struct proxy *p, const struct quo_plan *plan,
                        const struct quo_consistency *want)
{
    struct quo_rmw_options options = {
        .purpose = QUO_RMW_WRITE,
        .want = *want,
        .now_us = w->now_us,
        .round_trip_us = 300,
        .seed = draw(w, UINT64_MAX / 2),
        .may_forward = chance(w, 30),
        .forward_first = chance(w, 5),
        .piggyback = chance(w, 80),
    };

    p->op = w->ops++;
    p->is_conditional = chance(w, 40);
    if (!quo_version_is_none(p->warm) && p->warm_epoch == plan->entry.epoch)
        options.warm = p->warm;
    p->warm = QUO_VERSION_NONE;
    quo_coordinator_rmw(&p->c, plan, &options);
}

static void start(struct world *w, uint8_t proxy, bool is_write)
{
    struct proxy *p = &w->proxies[proxy];
    struct quo_ask ask = {.has_level = true, .level = QUO_LEVEL_STRONG, .r = -1, .w = -1, .dw = -1};
    struct quo_consistency want;
    struct quo_plan plan;
    char why[100];

    if (chance(w, 10))
        ask.level = QUO_LEVEL_ALL;
    assert_int_equal(quo_consistency_resolve(&w->ns, &ask, is_write, &want, why, sizeof why),
                     QUO_OK);
    p->busy = true;
    p->serial++;
    p->is_write = is_write;
    p->floor = w->done;
    p->kept_version = p->made_version = QUO_VERSION_NONE;
    plan_at(w, p->epoch, &plan);
    if (is_write) {
        start_write(w, p, &plan, &want);
    } else {
        struct quo_get_options options = {.want = want,
                                          .now_us = w->now_us,
                                          .hedge_us = UINT64_MAX,
                                          .spread_us = 300,
                                          .seed = draw(w, UINT64_MAX / 2),
                                          .settle = proxy == MOVER};
        quo_coordinator_get(&p->c, &plan, &options);
    }
    step(w, proxy, &(struct quo_event){.type = QUO_EVENT_START});
}

static void deliver_reply(struct world *w, const struct message *m)
{
    struct proxy *p = &w->proxies[m->proxy];
    const struct quo_plan *plan = quo_coordinator_plan(&p->c);
    uint8_t bytes[256];
    struct quo_plan newer;
    struct quo_msg_reply reply = m->reply;
    struct quo_event event = {.type = QUO_EVENT_REPLY, .round = m->round, .reply = &reply};

    if (!p->busy || p->serial != m->serial)
        return;
    while (event.member < plan->count && plan->replica[event.member] != m->replica + 1u)
        event.member++;
    if (event.member == plan->count)
        return;
    if (reply.flags & QUO_REPLY_VALUE) {
        struct quo_record record = {.version = reply.version, .changed = reply.version};
        if (w->states[m->state].ops == 0)
            record.flags = QUO_RECORD_TOMBSTONE;
        record.content_type = quo_slice(&m->state, sizeof m->state);
        quo_record_encode(&record, bytes);
        reply.record = quo_slice(bytes, quo_record_size(&record));
    }
    if (reply.status == QUO_WRONG_EPOCH) {
        p->epoch = w->epoch;
        plan_at(w, p->epoch, &newer);
        event.newer = p->epoch > plan->entry.epoch ? &newer : NULL;
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
    const struct quo_plan *plan = quo_coordinator_plan(&p->c);

    for (uint8_t i = 0; p->busy && p->serial == m.serial && i < plan->count; i++) {
        if (plan->replica[i] != m.replica + 1u)
            continue;
        step(w, m.proxy,
             &(struct quo_event){.type = QUO_EVENT_FAILED, .member = i, .round = m.round});
        return;
    }
}

static void let_time_pass(struct world *w, uint64_t us, unsigned late_percent)
{
    w->now_us += us;
    for (uint8_t i = 0; i <= MOVER; i++) {
        struct proxy *p = &w->proxies[i];
        /* Some timers come late: after messages that came later. */
        if (!p->busy || quo_coordinator_deadline(&p->c) > w->now_us || chance(w, late_percent))
            continue;
        step(w, i, &(struct quo_event){.type = QUO_EVENT_TIMER});
        assert_true(!p->busy || quo_coordinator_deadline(&p->c) > w->now_us);
    }
}

static struct quo_entry *next_entry(struct world *w)
{
    assert_true(w->epoch + 1 < EPOCHS_MAX);
    w->entries[w->epoch + 1] = w->entries[w->epoch];
    w->epoch++;
    w->entries[w->epoch].epoch = w->epoch;
    return &w->entries[w->epoch];
}

/* The old epoch must be over before anything is settled: so few have not adopted the new one that
 * they are no quorum of either kind. */
static void adopt(struct world *w, const struct quo_entry *entry)
{
    uint8_t others = QUO_MIN(w->ns.rs, w->ns.ws) - 1;
    uint8_t from = (uint8_t)draw(w, entry->n);

    for (uint8_t i = 0; i < entry->n - others; i++)
        w->replicas[entry->replicas[(from + i) % entry->n] - 1].epoch = entry->epoch;
    for (uint8_t i = 0; i < entry->n_next; i++) {
        bool is_old = false;
        for (uint8_t j = 0; j < entry->n; j++)
            is_old |= entry->replicas[j] == entry->next[i];
        if (!is_old)
            w->replicas[entry->next[i] - 1].epoch = entry->epoch;
    }
}

static void begin_move(struct world *w)
{
    struct quo_entry *entry = next_entry(w);
    uint64_t spare = 1;

    while (quo_entry_has(entry, spare))
        spare++;
    entry->state = QUO_ENTRY_JOINT;
    entry->n_next = entry->n;
    memcpy(entry->next, entry->replicas, sizeof entry->next);
    memmove(entry->next, entry->next + 1, (entry->n - 1u) * sizeof entry->next[0]);
    entry->next[entry->n - 1] = spare;
    adopt(w, entry);
    w->moving = true;
    w->proxies[MOVER].epoch = w->epoch;
}

/* Settles the key until that succeeds, then publishes the final entry. */
static void move(struct world *w)
{
    struct proxy *mover = &w->proxies[MOVER];

    if (mover->busy)
        return;
    const struct quo_outcome *o = mover->serial == 0 ? NULL : quo_coordinator_outcome(&mover->c);
    bool is_settled = o != NULL && o->receipt.epoch == w->epoch &&
                      (o->verdict == QUO_VERDICT_FOUND || o->verdict == QUO_VERDICT_ABSENT);
    if (!is_settled) {
        start(w, MOVER, false);
        return;
    }
    struct quo_entry *entry = next_entry(w);
    entry->state = QUO_ENTRY_NORMAL;
    memcpy(entry->replicas, entry->next, sizeof entry->replicas);
    entry->n_next = 0;
    memset(entry->next, 0, sizeof entry->next);
    w->moving = false;
    w->moves++;
}

static void change_epoch(struct world *w)
{
    if (w->moving || w->epoch + 3 > EPOCHS_MAX)
        return;
    if (chance(w, 60))
        begin_move(w);
    else
        w->replicas[draw(w, w->ns.n)].epoch = next_entry(w)->epoch;
}

static void happen(struct world *w)
{
    uint64_t what = draw(w, 1000);

    if (what < 6) {
        change_epoch(w);
    } else if (what < 30) {
        let_time_pass(w, 1 + draw(w, chance(w, 5) ? 400000 : 1000), 20);
    } else if (what < 60 && w->moving) {
        move(w);
    } else if (w->message_count > 0) {
        int at = (int)draw(w, (uint64_t)w->message_count);
        if (chance(w, 2)) {
            lose(w, at);
            return;
        }
        struct message m = take(w, at);
        if (m.is_reply)
            deliver_reply(w, &m);
        else
            serve(w, &m);
    } else {
        let_time_pass(w, 300, 20);
    }
}

static void begin(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    w->now_us = 1000;
    w->epoch = 1;
    w->state_count = 1;
    w->ns = (struct quo_namespace){.id = 1, .name = "x", .kind = QUO_KIND_CAS, .timeout_ms = 100};
    w->ns.n = chance(w, 70) ? 3 : 5;
    w->ns.ws = (uint8_t)(w->ns.n / 2 + 1 + (chance(w, 30) ? draw(w, 2) : 0));
    w->ns.rs = (uint8_t)(w->ns.n - w->ns.ws + 1 + (chance(w, 30) ? draw(w, 2) : 0));
    w->entries[1] = (struct quo_entry){.epoch = 1, .state = QUO_ENTRY_NORMAL, .n = w->ns.n};
    for (uint8_t i = 0; i < w->ns.n; i++)
        w->entries[1].replicas[i] = i + 1u;
    for (int i = 0; i < REPLICAS_MAX; i++)
        w->replicas[i] = (struct replica){.epoch = 1, .clock_ms = 1000000};
    for (uint8_t i = 0; i <= MOVER; i++) {
        quo_hlc_init(&w->proxies[i].clock, i + 1u);
        w->proxies[i].wall_ms = 1000000 + draw(w, chance(w, 20) ? 9000 : 1000);
        w->proxies[i].epoch = 1;
    }
}

static void what_was_done_stays_done(void **state)
{
    static struct world w;
    int verdicts[8] = {0}, unknown = 0, warm = 0, turned = 0, moves = 0, declined = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        begin(&w, seed);
        while (w.ops < OPS_PER_RUN) {
            uint8_t proxy = (uint8_t)draw(&w, PROXIES);
            if (!w.proxies[proxy].busy && chance(&w, 10))
                start(&w, proxy, chance(&w, 70));
            else
                happen(&w);
        }
        /* Everything ends by its deadline. */
        let_time_pass(&w, 200000, 0);
        for (int i = 0; i <= MOVER; i++)
            assert_false(w.proxies[i].busy);
        for (int i = 0; i < 8; i++)
            verdicts[i] += w.verdicts[i];
        unknown += w.unknown;
        warm += w.warm_hits;
        turned += w.turned;
        moves += w.moves;
        declined += w.declined;
    }
    /* The schedules must reach what they are for. */
    for (int i = QUO_VERDICT_FOUND; i <= QUO_VERDICT_REFUSED; i++)
        assert_true(verdicts[i] > 100);
    assert_true(unknown > 100 && warm > 100 && turned > 100 && moves > 100 && declined > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_done_stays_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
