/* Bounded reads over replicas that miss writes and go silent: what is answered is never older than
 * the receipt says, and never older than was allowed, as long as what the reads are told is true.
 *
 * The same histories must show that something is wrong when one rule is switched off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/coordinator.h"
#include "quorate/record.h"
#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

enum {
    HISTORIES = 300,
    STEPS = 300,
    REPLICAS = 5,
    QUORUM = 3,
    KEYS = 4,
    SILENT_PERCENT = 15, /* of the QUERYs */
    HEDGED_PERCENT = 20, /* of the reads */
    STALE_MAX_MS = 400,
};

/* A write that is on a write quorum since then. */
struct completed {
    uint64_t us, hlc;
    unsigned key;
};

static struct world {
    uint64_t chance, now_us, last_hlc;
    uint64_t held[REPLICAS][KEYS]; /* hlc; 0: nothing */
    struct completed completed[STEPS];
    unsigned completed_count;
    unsigned alone, escalated, failed;
    const char *trouble;
} w;

static uint64_t pick(uint64_t below)
{
    w.chance ^= w.chance << 13;
    w.chance ^= w.chance >> 7;
    w.chance ^= w.chance << 17;
    return w.chance % below;
}

static void write_key(unsigned key)
{
    const uint64_t hlc = ++w.last_hlc;
    unsigned count = 0;

    for (unsigned i = 0; i < REPLICAS; i++) {
        if (pick(100) < 55)
            continue;
        w.held[i][key] = hlc;
        count++;
    }
    if (count >= QUORUM)
        w.completed[w.completed_count++] = (struct completed){w.now_us, hlc, key};
}

static void mend(unsigned to)
{
    const unsigned from = (unsigned)pick(REPLICAS);

    for (unsigned key = 0; key < KEYS; key++)
        w.held[to][key] = QUO_MAX(w.held[to][key], w.held[from][key]);
}

/* The newest of what was completed before then. */
static uint64_t newest_by(unsigned key, uint64_t us)
{
    uint64_t hlc = 0;

    for (unsigned i = 0; i < w.completed_count; i++) {
        if (w.completed[i].key == key && w.completed[i].us < us)
            hlc = QUO_MAX(hlc, w.completed[i].hlc);
    }
    return hlc;
}

/* The latest moment up to which the replica holds everything. */
static uint64_t fresh_us(unsigned replica)
{
    for (unsigned i = 0; i < w.completed_count; i++) {
        if (w.held[replica][w.completed[i].key] < w.completed[i].hlc)
            return w.completed[i].us;
    }
    return w.now_us;
}

/* True, and mostly not all of it. */
static void tell(unsigned key, struct quo_proofs *proofs)
{
    if (pick(2) == 0) {
        proofs->key_us = w.now_us - QUO_MIN(w.now_us - 1, pick(2 * STALE_MAX_MS) * 1000);
        proofs->version = (struct quo_version){newest_by(key, proofs->key_us), 1};
        if (proofs->version.hlc == 0)
            proofs->version = QUO_VERSION_NONE;
    }
    for (unsigned i = 0; i < REPLICAS; i++) {
        const uint64_t us = fresh_us(i);
        if (pick(4) == 0)
            proofs->member_us[i] = us - QUO_MIN(us, pick(100000));
    }
}

static void make_plan(struct quo_plan *plan)
{
    static const struct quo_namespace ns = {
        .id = 1, .name = "ns", .kind = QUO_KIND_LWW, .n = REPLICAS, .rs = QUORUM, .ws = QUORUM};
    const struct quo_entry entry = {
        .epoch = 1, .state = QUO_ENTRY_NORMAL, .n = REPLICAS, .replicas = {1, 2, 3, 4, 5}};
    struct quo_health health[QUO_MEMBERS_MAX] = {{false, 0}};

    for (unsigned i = 0; i < REPLICAS; i++)
        health[i].up = pick(10) != 0;
    quo_plan_init(plan, &entry, &ns);
    quo_plan_order(plan, health, (uint32_t)pick(REPLICAS));
}

static struct quo_msg_reply reply_of(uint8_t member, unsigned key, uint8_t bytes[64])
{
    struct quo_msg_reply reply = {.status = QUO_OK, .flags = QUO_REPLY_DURABLE};

    if (w.held[member][key] == 0)
        return reply;
    const struct quo_record record = {.flags = QUO_RECORD_BLIND,
                                      .version = {w.held[member][key], 1}};
    quo_record_encode(&record, bytes);
    reply.version = record.version;
    reply.flags |= QUO_REPLY_VALUE;
    reply.record = quo_slice(bytes, quo_record_size(&record));
    return reply;
}

/* Runs a read to its answer. Returns how many replicas were asked by then. */
static unsigned run(struct quo_coordinator *c, unsigned key)
{
    struct quo_effect queue[4 * QUO_EFFECTS_MAX];
    struct quo_event event = {.type = QUO_EVENT_START, .now_us = w.now_us};
    const bool hedges = pick(100) < HEDGED_PERCENT;
    struct quo_effects effects;
    struct quo_msg_reply reply;
    unsigned count = 0, asked = 0;
    uint8_t bytes[64];

    for (;;) {
        quo_coordinator_step(c, &event, &effects);
        for (uint8_t i = 0; i < effects.count; i++) {
            if (effects.list[i].type == QUO_EFFECT_QUERY ||
                effects.list[i].type == QUO_EFFECT_HEDGE)
                queue[count++] = effects.list[i];
            asked += effects.list[i].type == QUO_EFFECT_QUERY;
        }
        if (quo_coordinator_answered(c))
            return asked;
        event = (struct quo_event){.type = QUO_EVENT_TIMER, .now_us = w.now_us + 2000000};
        if (count == 0)
            continue;
        const unsigned at = (unsigned)pick(count);
        const struct quo_effect effect = queue[at];
        queue[at] = queue[--count];
        event.now_us = w.now_us + (hedges ? 5000 : 0);
        event.member = effect.member;
        event.round = effect.round;
        if (effect.type == QUO_EFFECT_HEDGE) {
            event.type = QUO_EVENT_HEDGE;
        } else if (hedges && pick(3) == 0) {
            queue[count++] = effect;
        } else if (pick(100) < SILENT_PERCENT) {
            event.type = QUO_EVENT_FAILED;
        } else {
            reply = reply_of(effect.member, key, bytes);
            event.type = QUO_EVENT_REPLY;
            event.reply = &reply;
        }
    }
}

static void read_key(unsigned key)
{
    const uint32_t stale_ms = (uint32_t)(1 + pick(STALE_MAX_MS));
    struct quo_get_options options = {
        .want = {.level = QUO_LEVEL_BOUNDED,
                 .n = REPLICAS,
                 .r = 1,
                 .timeout_ms = 1000,
                 .stale_ms = stale_ms},
        .now_us = w.now_us,
        .hedge_us = 1000,
    };
    struct quo_coordinator c;
    struct quo_plan plan;

    make_plan(&plan);
    tell(key, &options.proofs);
    quo_coordinator_get(&c, &plan, &options);
    run(&c, key);
    const struct quo_outcome *outcome = quo_coordinator_outcome(&c);
    const struct quo_receipt *receipt = &outcome->receipt;
    if (outcome->verdict != QUO_VERDICT_FOUND && outcome->verdict != QUO_VERDICT_ABSENT) {
        w.failed++;
        return;
    }
    w.alone += receipt->replies < QUORUM;
    w.escalated += receipt->replies >= QUORUM;
    if (!receipt->is_bounded || receipt->bound_ms > stale_ms)
        w.trouble = "the receipt states more than was allowed";
    const uint64_t span_us = receipt->bound_ms * UINT64_C(1000);
    const uint64_t since_us = w.now_us > span_us ? w.now_us - span_us : 0;
    if (receipt->version.hlc < newest_by(key, since_us))
        w.trouble = "what was read was older than the receipt says";
}

static void run_history(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    w.now_us = 1000000;
    for (int step = 0; step < STEPS && w.trouble == NULL; step++) {
        const unsigned key = (unsigned)pick(KEYS);
        const uint64_t what = pick(100);

        w.now_us += pick(60000);
        if (what < 25)
            write_key(key);
        else if (what < 70)
            read_key(key);
        else
            mend((unsigned)pick(REPLICAS));
    }
}

static void no_read_is_older_than_its_bound(void **state)
{
    unsigned alone = 0, escalated = 0, failed = 0;

    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        run_history(seed);
        if (w.trouble != NULL)
            fail_msg("seed %llu: %s", (unsigned long long)seed, w.trouble);
        alone += w.alone;
        escalated += w.escalated;
        failed += w.failed;
    }
    assert_true(alone > 5000 && escalated > 5000 && failed > 50);
    assert_true(quo_probe_counts[QUO_PROBE_READ_BOUND_ESCALATED] > 1000);
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

static void reads_without_a_proof_are_noticed(void **state)
{
    (void)state;
    assert_caught(QUO_MUTANT_BOUND_NOT_PROVEN);
}

static void proofs_of_other_versions_are_noticed(void **state)
{
    (void)state;
    assert_caught(QUO_MUTANT_BOUND_IGNORES_VERSION);
}

/* How many replicas are asked. */

static unsigned asked_with(const struct quo_proofs *proofs, struct quo_receipt *ret)
{
    struct quo_get_options options = {
        .want = {.level = QUO_LEVEL_BOUNDED,
                 .n = REPLICAS,
                 .r = 1,
                 .timeout_ms = 1000,
                 .stale_ms = STALE_MAX_MS},
        .now_us = w.now_us,
        .hedge_us = UINT64_MAX,
        .proofs = *proofs,
    };
    const struct quo_health health[QUO_MEMBERS_MAX] = {
        {true, 0}, {true, 0}, {true, 0}, {true, 0}, {true, 0}};
    struct quo_event event = {.type = QUO_EVENT_START, .now_us = w.now_us};
    struct quo_effects effects;
    struct quo_coordinator c;
    struct quo_plan plan;
    struct quo_msg_reply reply;
    uint8_t bytes[64], asked[QUO_EFFECTS_MAX];
    unsigned count = 0, done = 0;

    make_plan(&plan);
    quo_plan_order(&plan, health, 0);
    quo_coordinator_get(&c, &plan, &options);
    for (;;) {
        quo_coordinator_step(&c, &event, &effects);
        for (uint8_t i = 0; i < effects.count; i++) {
            if (effects.list[i].type == QUO_EFFECT_QUERY)
                asked[count++] = effects.list[i].member;
        }
        if (quo_coordinator_answered(&c))
            break;
        assert_true(done < count);
        reply = reply_of(asked[done], 0, bytes);
        event = (struct quo_event){.type = QUO_EVENT_REPLY,
                                   .now_us = w.now_us,
                                   .member = asked[done++],
                                   .round = quo_coordinator_round(&c),
                                   .reply = &reply};
    }
    *ret = quo_coordinator_outcome(&c)->receipt;
    return count;
}

static void a_proof_saves_all_requests_but_one(void **state)
{
    struct quo_receipt receipt;

    (void)state;
    memset(&w, 0, sizeof w);
    w.chance = 1;
    w.now_us = 10000000;
    for (unsigned i = 0; i < REPLICAS; i++)
        w.held[i][0] = i == 0 ? 4 : 5;
    struct quo_proofs proofs = {.key_us = w.now_us - 99500, .version = {4, 1}};
    assert_int_equal(asked_with(&proofs, &receipt), 1);
    assert_int_equal(receipt.bound_ms, 100);
    assert_int_equal(receipt.need, 1);
    /* The first one lacks it; the next one of the quorum has it. */
    proofs.version.hlc = 5;
    assert_int_equal(asked_with(&proofs, &receipt), QUORUM);
    assert_int_equal(receipt.bound_ms, 100);
    assert_int_equal(receipt.replies, 2);
    assert_int_equal(receipt.need, QUORUM);
    assert_int_equal(receipt.round_trips, 2);
    /* Known too long ago. */
    proofs.key_us = w.now_us - STALE_MAX_MS * 1000 - 1;
    assert_int_equal(asked_with(&proofs, &receipt), QUORUM);
    assert_int_equal(receipt.bound_ms, 0);
    assert_int_equal(receipt.round_trips, 1);
    /* Another replica is known to be fresh: it is the one that is asked. */
    proofs = (struct quo_proofs){.member_us = {0, 0, 0, w.now_us - 7000, 0}};
    assert_int_equal(asked_with(&proofs, &receipt), 1);
    assert_int_equal(receipt.answered[0], 4);
    assert_int_equal(receipt.bound_ms, 7);
    proofs = (struct quo_proofs){.key_us = 0};
    assert_int_equal(asked_with(&proofs, &receipt), QUORUM);
    assert_int_equal(receipt.bound_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_read_is_older_than_its_bound),
        cmocka_unit_test(reads_without_a_proof_are_noticed),
        cmocka_unit_test(proofs_of_other_versions_are_noticed),
        cmocka_unit_test(a_proof_saves_all_requests_but_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
