/* Sessions over replicas that lose most of what is sent to them, through proxies whose clocks
 * disagree: what a session is shown and what it writes must keep its guarantees. Tokens evict far
 * more than they list.
 *
 * The same histories must show that something is wrong when one rule is switched off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/coordinator.h"
#include "proxy/session/token.h"
#include "quorate/record.h"
#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

enum {
    HISTORIES = 600,
    STEPS = 400,
    REPLICAS = 3,
    PROXIES = 3,
    KEYS = 24,
    SESSIONS = 2,
    LOST_PERCENT = 60,   /* of the STOREs */
    SILENT_PERCENT = 15, /* of the QUERYs */
    SKEW = 50,
};

struct session {
    struct quo_token token;
    struct quo_version met[KEYS];
    uint64_t max_hlc;
};

static struct world {
    uint64_t chance, now;
    struct quo_version held[REPLICAS][KEYS];
    uint64_t clocks[PROXIES];
    struct session sessions[SESSIONS];
    unsigned shown, unsatisfied, written;
    const char *trouble;
} w;

static uint64_t pick(uint64_t below)
{
    w.chance ^= w.chance << 13;
    w.chance ^= w.chance >> 7;
    w.chance ^= w.chance << 17;
    return w.chance % below;
}

static struct quo_version tick(unsigned proxy, struct quo_version seen)
{
    uint64_t *clock = &w.clocks[proxy], time = w.now + proxy * SKEW;

    *clock = QUO_MAX(time, *clock + 1);
    *clock = QUO_MAX(*clock, seen.hlc + 1);
    return (struct quo_version){*clock, (uint64_t)(proxy + 1) << 48};
}

static void make_plan(struct quo_plan *plan)
{
    static const struct quo_namespace ns = {
        .id = 1, .name = "ns", .kind = QUO_KIND_LWW, .n = REPLICAS, .rs = 2, .ws = 2};
    const struct quo_entry entry = {
        .epoch = 1, .state = QUO_ENTRY_NORMAL, .n = REPLICAS, .replicas = {1, 2, 3}};
    const struct quo_health health[QUO_MEMBERS_MAX] = {{true, 0}, {true, 0}, {true, 0}};

    quo_plan_init(plan, &entry, &ns);
    quo_plan_order(plan, health, (uint32_t)pick(REPLICAS));
}

static struct quo_msg_reply reply_to(const struct quo_effect *effect, unsigned key,
                                     struct quo_version tag, uint8_t bytes[64])
{
    struct quo_version *held = &w.held[effect->member][key];
    struct quo_msg_reply reply = {.status = QUO_OK, .flags = QUO_REPLY_DURABLE};

    if (effect->type == QUO_EFFECT_STORE)
        *held = quo_version_max(*held, tag);
    reply.version = *held;
    if (effect->type == QUO_EFFECT_QUERY && !quo_version_is_none(*held)) {
        const struct quo_record record = {.flags = QUO_RECORD_BLIND, .version = *held};

        quo_record_encode(&record, bytes);
        reply.flags |= QUO_REPLY_VALUE;
        reply.record = quo_slice(bytes, quo_record_size(&record));
    }
    return reply;
}

/* Runs an operation to its answer. */
static const struct quo_outcome *run(struct quo_coordinator *c, unsigned key, unsigned proxy)
{
    struct quo_effect queue[4 * QUO_EFFECTS_MAX];
    struct quo_event event = {.type = QUO_EVENT_START, .now_us = 1};
    struct quo_version tag = QUO_VERSION_NONE;
    struct quo_msg_reply reply;
    struct quo_effects effects;
    uint8_t bytes[64];
    unsigned count = 0;

    for (;;) {
        quo_coordinator_step(c, &event, &effects);
        for (uint8_t i = 0; i < effects.count; i++) {
            if (effects.list[i].type <= QUO_EFFECT_STORE || effects.list[i].type == QUO_EFFECT_TAG)
                queue[count++] = effects.list[i];
        }
        if (quo_coordinator_answered(c) && (count == 0 || queue[0].type == QUO_EFFECT_QUERY))
            return quo_coordinator_outcome(c);
        event = (struct quo_event){.type = QUO_EVENT_TIMER, .now_us = 2000000};
        if (count == 0)
            continue;
        const unsigned at = (unsigned)pick(count);
        const struct quo_effect effect = queue[at];
        queue[at] = queue[--count];
        event.now_us = 1;
        event.member = effect.member;
        event.round = effect.round;
        bool is_store = effect.type == QUO_EFFECT_STORE;
        if (effect.type == QUO_EFFECT_TAG) {
            tag = event.tag = tick(proxy, effect.version);
            event.type = QUO_EVENT_TAGGED;
        } else if (pick(100) < (is_store ? LOST_PERCENT : SILENT_PERCENT)) {
            event.type = QUO_EVENT_FAILED;
        } else {
            reply = reply_to(&effect, key, tag, bytes);
            event.type = QUO_EVENT_REPLY;
            event.reply = &reply;
        }
    }
}

static void meet(struct session *s, unsigned key, const struct quo_receipt *receipt)
{
    quo_token_add(&s->token, key, receipt->version, receipt->stable);
    s->met[key] = quo_version_max(s->met[key], receipt->version);
    s->max_hlc = QUO_MAX(s->max_hlc, receipt->version.hlc);
}

static void read_key(struct session *s, unsigned key)
{
    struct quo_get_options options = {
        .want = {.level = QUO_LEVEL_SESSION, .n = REPLICAS, .r = 1, .timeout_ms = 1000},
        .now_us = 1,
        .hedge_us = UINT64_MAX,
    };
    struct quo_coordinator c;
    struct quo_plan plan;

    make_plan(&plan);
    if (!quo_token_find(&s->token, key, &options.fresh.least)) {
        options.fresh.low_firm = s->token.low_firm;
        options.fresh.low_weak = s->token.low_weak;
    }
    quo_coordinator_get(&c, &plan, &options);
    const struct quo_outcome *outcome = run(&c, key, 0);
    if (outcome->verdict == QUO_VERDICT_UNSATISFIED)
        w.unsatisfied++;
    if (outcome->verdict != QUO_VERDICT_FOUND && outcome->verdict != QUO_VERDICT_ABSENT)
        return;
    w.shown++;
    if (quo_version_compare(outcome->receipt.version, s->met[key]) < 0)
        w.trouble = "a read went back behind what its session had met";
    meet(s, key, &outcome->receipt);
}

static void write_key(struct session *s, unsigned key)
{
    const uint8_t acks = (uint8_t)(1 + pick(2));
    const struct quo_put_options options = {
        .want =
            {.level = QUO_LEVEL_SESSION, .n = REPLICAS, .w = acks, .dw = acks, .timeout_ms = 1000},
        .now_us = 1,
        .hedge_us = UINT64_MAX,
        .above = s->token.max_hlc,
    };
    struct quo_coordinator c;
    struct quo_plan plan;

    make_plan(&plan);
    quo_coordinator_put(&c, &plan, &options);
    const struct quo_outcome *outcome = run(&c, key, (unsigned)pick(PROXIES));
    if (outcome->verdict != QUO_VERDICT_WRITTEN)
        return;
    w.written++;
    if (outcome->receipt.version.hlc <= s->max_hlc)
        w.trouble = "a write is not above what its session had met";
    meet(s, key, &outcome->receipt);
}

static void join(struct session *s, const struct session *other)
{
    quo_token_merge(&s->token, &other->token);
    for (unsigned key = 0; key < KEYS; key++)
        s->met[key] = quo_version_max(s->met[key], other->met[key]);
    s->max_hlc = QUO_MAX(s->max_hlc, other->max_hlc);
}

static void mend(unsigned key)
{
    struct quo_version *to = &w.held[pick(REPLICAS)][key];

    *to = quo_version_max(*to, w.held[pick(REPLICAS)][key]);
}

static void run_history(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int step = 0; step < STEPS && w.trouble == NULL; step++) {
        struct session *s = &w.sessions[pick(SESSIONS)];
        /* Mostly few keys, so that some are listed when they come again. */
        const unsigned key = (unsigned)pick(pick(3) == 0 ? KEYS : 6);
        const uint64_t what = pick(100);

        w.now += pick(20);
        if (what < 45)
            read_key(s, key);
        else if (what < 75)
            write_key(s, key);
        else if (what < 97)
            mend(key);
        else if (what < 98)
            join(s, &w.sessions[pick(SESSIONS)]);
        else
            *s = (struct session){0};
    }
}

static void sessions_keep_their_guarantees(void **state)
{
    unsigned shown = 0, unsatisfied = 0, written = 0;

    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        run_history(seed);
        if (w.trouble != NULL)
            fail_msg("seed %llu: %s", (unsigned long long)seed, w.trouble);
        shown += w.shown;
        unsatisfied += w.unsatisfied;
        written += w.written;
    }
    assert_true(shown > 1000 && unsatisfied > 1000 && written > 1000);
}

static void assert_caught(enum quo_mutant mutant)
{
    uint64_t seed = 0;

    quo_mutant_planted = mutant;
    do
        run_history(++seed);
    while (w.trouble == NULL && seed < HISTORIES);
    quo_mutant_planted = QUO_MUTANT_NONE;
    assert_non_null(w.trouble);
}

static void reads_that_ask_nobody_else_are_noticed(void **state)
{
    (void)state;
    assert_caught(QUO_MUTANT_SESSION_NOT_ESCALATED);
}

static void writes_below_are_noticed(void **state)
{
    (void)state;
    assert_caught(QUO_MUTANT_SESSION_WRITE_BELOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_keep_their_guarantees),
        cmocka_unit_test(reads_that_ask_nobody_else_are_noticed),
        cmocka_unit_test(writes_below_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
