/* Additions to counters through proxies whose clocks disagree, at replicas that go away and links
 * that lose and delay what is sent: each addition must count as its answers say, and once.
 *
 * The same histories must show that something is wrong when one rule is switched off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/coordinator/coordinator.h"
#include "quorate/testpoints.h"
#include "storage-node/replica/slot.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

enum {
    HISTORIES = 2000,
    REPLICAS = 3,
    PROXIES = 3,
    OPS = 30, /* each adds a digit of its own in base 4 */
    ATTEMPTS = 5,
    LATE_MAX = 64,
    DOWN_PERCENT = 15,
    LOST_PERCENT = 20,
    SKEW = 5000, /* hlc */
};

struct copy {
    struct quo_version version;
    size_t len;
    uint8_t value[QUO_SLOT_HEADER + OPS * QUO_RING_ENTRY_SIZE];
};

/* An addition as it is sent. */
struct sent {
    unsigned op;
    uint64_t since;
};

struct op {
    bool keyed;
    bool written, unknown; /* some attempt was answered so */
};

static struct world {
    uint64_t chance, now;
    uint64_t clocks[PROXIES];
    struct copy held[REPLICAS][REPLICAS]; /* of each replica's slot, by who holds it */
    bool down[REPLICAS];
    struct op ops[OPS];
    struct {
        unsigned replica;
        struct sent sent;
    } late[LATE_MAX];
    unsigned late_count;
    unsigned replayed, unknown;
    const char *trouble;
} w;

static uint64_t pick(uint64_t below)
{
    w.chance ^= w.chance << 13;
    w.chance ^= w.chance >> 7;
    w.chance ^= w.chance << 17;
    return w.chance % below;
}

static bool chance(uint64_t percent)
{
    return pick(100) < percent;
}

/* Replicas */

static int64_t value_of(const struct copy *copy)
{
    struct quo_slot slot = {0};

    if (copy->len > 0)
        assert_int_equal(quo_slot_decode(quo_slice(copy->value, copy->len), &slot), QUO_OK);
    return quo_slot_value(&slot);
}

static struct quo_replica_slot_verdict add(unsigned replica, const struct sent *sent)
{
    static uint8_t ring[QUO_RING_BYTES_MAX];
    struct copy *held = &w.held[replica][replica];
    const struct quo_replica_view view = {.version = held->version};
    struct quo_replica_addition addition = {
        .by = INT64_C(1) << 2 * sent->op,
        .digest = sent->op,
        .since = sent->since,
        .now_ms = w.now >> 16,
        .retention_s = QUO_RETENTION_MAX_S,
    };
    if (w.ops[sent->op].keyed) {
        addition.opid = quo_opid_make(sent->op + 1, 0);
        addition.opid.bytes[0] |= 0x80;
    }
    struct quo_replica_slot_verdict verdict =
        quo_replica_slot(&view, quo_slice(held->value, held->len), replica + 1, &addition, ring);
    if (verdict.write) {
        held->version = verdict.record.version;
        held->len = quo_slot_size(&verdict.slot);
        assert_true(held->len <= sizeof held->value);
        quo_slot_encode(&verdict.slot, held->value);
    }
    w.replayed += verdict.replayed;
    return verdict;
}

/* STORE of a copy. */
static enum quo_status store(unsigned replica, unsigned slot, const struct copy *copy)
{
    struct copy *held = &w.held[replica][slot];
    const struct quo_replica_view view = {.version = held->version, .blind = true};
    const struct quo_replica_incoming incoming = {
        .version = copy->version,
        .same_bytes = copy->len == held->len && memcmp(copy->value, held->value, copy->len) == 0,
    };
    struct quo_replica_verdict verdict = quo_replica_store(&view, &incoming);

    if (verdict.status == QUO_CORRUPT)
        w.trouble = "two values of one version";
    if (verdict.write)
        *held = *copy;
    return verdict.status;
}

static void deliver_late(void)
{
    while (w.late_count > 0) {
        w.late_count--;
        add(w.late[w.late_count].replica, &w.late[w.late_count].sent);
    }
}

/* Proxies */

static struct quo_version tick(unsigned proxy, struct quo_version seen)
{
    const uint64_t time = w.now - proxy * SKEW;

    w.clocks[proxy] = QUO_MAX(time, w.clocks[proxy] + 1);
    w.clocks[proxy] = QUO_MAX(w.clocks[proxy], seen.hlc + 1);
    return (struct quo_version){w.clocks[proxy], proxy + 1};
}

static void make_plan(struct quo_plan *plan)
{
    static const struct quo_namespace ns = {
        .id = 1, .name = "ns", .kind = QUO_KIND_CRDT, .n = REPLICAS, .rs = 2, .ws = 2};
    const struct quo_entry entry = {
        .epoch = 1, .state = QUO_ENTRY_NORMAL, .n = REPLICAS, .replicas = {1, 2, 3}};
    struct quo_health health[QUO_MEMBERS_MAX] = {{0}};

    for (unsigned i = 0; i < REPLICAS; i++)
        health[i].up = !w.down[i];
    quo_plan_init(plan, &entry, &ns);
    quo_plan_order(plan, health, (uint32_t)pick(REPLICAS));
}

/* One attempt. */
struct attempt {
    struct sent sent;
    unsigned proxy;
    struct quo_coordinator c;
    unsigned slot; /* whose record it has */
    struct copy record;
    struct quo_effects effects[64];
    unsigned count;
};

static void step(struct attempt *a, struct quo_event *event)
{
    assert_true(a->count < QUO_COUNT(a->effects));
    quo_coordinator_step(&a->c, event, &a->effects[a->count++]);
}

static void send_slot(struct attempt *a, const struct quo_effect *effect)
{
    const unsigned replica = effect->member;
    struct quo_event event = {.type = QUO_EVENT_REPLY,
                              .member = effect->member,
                              .members = QUO_MEMBER(effect->member),
                              .round = effect->round};
    struct quo_msg_reply reply = {.flags = QUO_REPLY_DURABLE | QUO_REPLY_VALUE,
                                  .record = quo_slice("r", 1)};

    a->sent.since = effect->version.hlc;
    if (w.down[replica] || chance(5)) {
        event.type = QUO_EVENT_UNSENT;
    } else if (chance(5)) {
        reply = (struct quo_msg_reply){.status = QUO_BUSY};
    } else if (chance(LOST_PERCENT) && w.late_count < LATE_MAX) {
        event.type = QUO_EVENT_FAILED;
        if (chance(50)) {
            w.late[w.late_count].replica = replica;
            w.late[w.late_count++].sent = a->sent;
        }
    } else {
        struct quo_replica_slot_verdict verdict = add(replica, &a->sent);
        reply.status = (uint8_t)verdict.status;
        reply.flags |= verdict.replayed ? QUO_REPLY_FOUND : 0;
        reply.version = w.held[replica][replica].version;
        a->slot = replica;
        a->record = w.held[replica][replica];
        if (chance(LOST_PERCENT))
            event.type = QUO_EVENT_FAILED;
    }
    event.reply = &reply;
    step(a, &event);
}

static void send_store(struct attempt *a, const struct quo_effect *effect)
{
    struct quo_event event = {
        .type = QUO_EVENT_FAILED, .member = effect->member, .round = effect->round};
    struct quo_msg_reply reply = {.flags = QUO_REPLY_DURABLE, .version = a->record.version};

    if (!w.down[effect->member] && !chance(LOST_PERCENT)) {
        reply.status = (uint8_t)store(effect->member, a->slot, &a->record);
        if (!chance(LOST_PERCENT))
            event.type = QUO_EVENT_REPLY;
    }
    event.reply = &reply;
    step(a, &event);
}

static void perform(struct attempt *a, const struct quo_effect *effect)
{
    switch (effect->type) {
    case QUO_EFFECT_TAG:
        step(a,
             &(struct quo_event){.type = QUO_EVENT_TAGGED, .tag = tick(a->proxy, effect->version)});
        return;
    case QUO_EFFECT_SLOT:
        send_slot(a, effect);
        return;
    case QUO_EFFECT_STORE:
        send_store(a, effect);
        return;
    default:
        return;
    }
}

/* Whether every two replicas together show the addition, once. */
static bool is_shown(unsigned op)
{
    for (unsigned without = 0; without < REPLICAS; without++) {
        const unsigned a = (without + 1) % REPLICAS, b = (without + 2) % REPLICAS;
        int64_t sum = 0;
        for (unsigned slot = 0; slot < REPLICAS; slot++) {
            const struct copy *one = &w.held[a][slot], *other = &w.held[b][slot];
            sum += value_of(quo_version_compare(one->version, other->version) > 0 ? one : other);
        }
        if ((sum >> 2 * op & 3) != 1)
            return false;
    }
    return true;
}

static void check_answer(unsigned op, const struct quo_outcome *outcome, uint8_t need)
{
    w.ops[op].written |= outcome->effect == QUO_APPLIED;
    w.ops[op].unknown |= outcome->effect == QUO_UNKNOWN;
    w.unknown += outcome->effect == QUO_UNKNOWN;
    if (outcome->verdict == QUO_VERDICT_WRITTEN && need >= 2 && !is_shown(op))
        w.trouble = "a quorum does not show what was written at one";
}

static const struct quo_outcome *attempt(unsigned op)
{
    static struct attempt a;
    struct quo_put_options options = {.adds = true, .now_us = 1};
    struct quo_plan plan;

    a.sent.op = op;
    a.proxy = (unsigned)pick(PROXIES);
    a.count = 0;
    options.want =
        (struct quo_consistency){.level = QUO_LEVEL_EVENTUAL, .n = REPLICAS, .timeout_ms = 1000};
    options.want.w = options.want.dw = (uint8_t)(1 + pick(2));
    if (w.ops[op].keyed)
        options.key_hash = (op + 1) * UINT64_C(0x9e3779b97f4a7c15);
    make_plan(&plan);
    quo_coordinator_put(&a.c, &plan, &options);
    step(&a, &(struct quo_event){.type = QUO_EVENT_START});
    for (unsigned i = 0; i < a.count; i++) {
        for (unsigned j = 0; j < a.effects[i].count; j++)
            perform(&a, &a.effects[i].list[j]);
    }
    assert_true(quo_coordinator_answered(&a.c) && quo_coordinator_finished(&a.c));
    check_answer(op, quo_coordinator_outcome(&a.c), options.want.w);
    return quo_coordinator_outcome(&a.c);
}

/* Histories */

static void weather(void)
{
    for (unsigned i = 0; i < REPLICAS; i++)
        w.down[i] = chance(DOWN_PERCENT);
    w.now += pick(200);
    if (chance(30))
        deliver_late();
}

/* With a key until it is done and sometimes once more, as clients do; without, while it is certain
 * that nothing happened. */
static void run_op(unsigned op)
{
    w.ops[op].keyed = chance(70);
    for (unsigned i = 0; i < ATTEMPTS && w.trouble == NULL; i++) {
        weather();
        const struct quo_outcome *outcome = attempt(op);
        const bool is_settled = outcome->effect != QUO_NOT_APPLIED;
        if (w.ops[op].keyed ? outcome->effect == QUO_APPLIED && chance(60) : is_settled)
            return;
    }
}

/* Late messages have come, and the replicas become equal. */
static int64_t final_sum(void)
{
    int64_t sum = 0;

    deliver_late();
    for (unsigned slot = 0; slot < REPLICAS; slot++) {
        for (unsigned from = 0; from < REPLICAS; from++) {
            const struct copy copy = w.held[from][slot];
            for (unsigned to = 0; to < REPLICAS && copy.len > 0; to++)
                store(to, slot, &copy);
        }
        for (unsigned i = 1; i < REPLICAS; i++)
            assert_true(w.trouble != NULL ||
                        value_of(&w.held[0][slot]) == value_of(&w.held[i][slot]));
        sum += value_of(&w.held[0][slot]);
    }
    return sum;
}

static void run_history(uint64_t seed)
{
    memset(&w, 0, sizeof w);
    w.chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    w.now = UINT64_C(1) << 40;
    for (unsigned op = 0; op < OPS && w.trouble == NULL; op++)
        run_op(op);
    const int64_t sum = final_sum();
    for (unsigned op = 0; op < OPS && w.trouble == NULL; op++) {
        const unsigned times = (unsigned)(sum >> 2 * op & 3);
        if (times > 1)
            w.trouble = "counted twice";
        else if (times == 0 && w.ops[op].written)
            w.trouble = "lost";
        else if (times == 1 && !w.ops[op].written && !w.ops[op].unknown)
            w.trouble = "counted although it was not added";
    }
}

static void each_addition_counts_as_it_was_answered(void **state)
{
    unsigned replayed = 0, unknown = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        run_history(seed);
        if (w.trouble != NULL)
            fail_msg("history %llu: %s", (unsigned long long)seed, w.trouble);
        replayed += w.replayed;
        unknown += w.unknown;
    }
    assert_true(replayed > HISTORIES && unknown > HISTORIES);
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

static void a_slot_that_forgets_is_noticed(void **state)
{
    (void)state;
    assert_caught(QUO_MUTANT_SLOT_FORGETS);
}

static void a_version_of_two_values_is_noticed(void **state)
{
    (void)state;
    assert_caught(QUO_MUTANT_SLOT_REUSES_VERSION);
}

static void a_key_that_goes_anywhere_is_noticed(void **state)
{
    (void)state;
    assert_caught(QUO_MUTANT_SLOT_ANYWHERE);
}

static void what_is_sent_again_elsewhere_is_noticed(void **state)
{
    (void)state;
    assert_caught(QUO_MUTANT_SLOT_SENT_AGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_addition_counts_as_it_was_answered),
        cmocka_unit_test(a_slot_that_forgets_is_noticed),
        cmocka_unit_test(a_version_of_two_values_is_noticed),
        cmocka_unit_test(a_key_that_goes_anywhere_is_noticed),
        cmocka_unit_test(what_is_sent_again_elsewhere_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
