/* Operations on one key, each tried many times: by attempts that overtake each other, by clients
 * that ask again, by accepts that arrive late. Three replicas keep the rules of consensus, so the
 * records that changes are applied to are those that a lineage can show.
 *
 * Operation i adds 4^i to a counter: the value tells how often each took effect.
 *
 * The same histories must show that something is wrong when one rule is switched off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proxy/change/change.h"
#include "proxy/change/counter.h"
#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

enum {
    HISTORIES = 3000,
    HISTORIES_MUTANT = 20000, /* within which a mutant must be caught */
    STEPS = 500,
    REPLICAS = 3,
    QUORUM = 2,
    OPERATIONS = 24,
    REQUESTS = 12, /* under way at a time */
    STRAYS = 64,
    RETENTION_S = 100,
};

/* A proposal: immutable, lives as long as its history. */
struct proposal {
    struct proposal *next;
    struct quo_version version;
    size_t size;
    uint8_t bytes[];
};

struct replica {
    struct quo_version promised;
    const struct proposal *held;
};

struct operation {
    struct quo_change change;
    uint64_t since_ms;
    unsigned live; /* requests under way */
    bool applied;  /* somebody was told so */
    bool not_applied;
    int64_t counter; /* what the first was told, with `has_counter` */
    bool has_counter;
};

struct request {
    bool is_live, is_accepting, sent;
    struct operation *operation;
    struct quo_change change;
    struct quo_version ballot, first;
    const struct proposal *proposal;
    struct quo_change_result result;
    unsigned tried, accepted; /* replicas, a bit each */
};

struct stray {
    const struct proposal *proposal;
    unsigned replica;
};

static struct history {
    uint64_t chance, now_ms, last_hlc;
    struct quo_changer *changer;
    struct proposal *proposals;
    struct replica replicas[REPLICAS];
    struct operation operations[OPERATIONS];
    unsigned operation_count;
    struct request requests[REQUESTS];
    struct stray strays[STRAYS];
    unsigned stray_count;
    const char *trouble;
} h;

static unsigned pick(unsigned n)
{
    h.chance ^= h.chance << 13;
    h.chance ^= h.chance >> 7;
    h.chance ^= h.chance << 17;
    return (unsigned)((h.chance * 0x2545f4914f6cdd1d) >> 33) % n;
}

static bool percent(unsigned n)
{
    return pick(100) < n;
}

static struct quo_version tick(void)
{
    h.now_ms += pick(20);
    h.last_hlc = QUO_MAX(h.now_ms << 16, h.last_hlc + 1);
    return (struct quo_version){h.last_hlc, 1 + pick(3)};
}

static struct quo_record decode(const struct proposal *proposal)
{
    struct quo_record record;
    assert_int_equal(quo_record_decode(quo_slice(proposal->bytes, proposal->size), &record),
                     QUO_OK);
    return record;
}

/* How often operation `i` took effect in this value, modulo 4. */
static unsigned times(int64_t value, unsigned i)
{
    return (unsigned)((uint64_t)value >> 2 * i & 3);
}

static int64_t value_of(const struct quo_record *record)
{
    int64_t value = 0;
    if ((record->flags & QUO_RECORD_TOMBSTONE) == 0)
        assert_true(quo_counter_parse(record->value, &value));
    return value;
}

static const struct proposal *propose(const struct quo_record *record)
{
    const size_t size = quo_record_size(record);
    struct proposal *proposal = malloc(sizeof *proposal + size);

    assert_non_null(proposal);
    *proposal = (struct proposal){h.proposals, record->version, size};
    quo_record_encode(record, proposal->bytes);
    h.proposals = proposal;
    for (unsigned i = 0; i < h.operation_count; i++) {
        if (times(value_of(record), i) > 1)
            h.trouble = "an operation took effect twice";
    }
    return proposal;
}

static struct quo_version version_of(const struct proposal *proposal)
{
    return proposal != NULL ? proposal->version : QUO_VERSION_NONE;
}

static bool promise(struct replica *replica, struct quo_version ballot)
{
    if (quo_version_compare(ballot,
                            quo_version_max(replica->promised, version_of(replica->held))) <= 0)
        return false;
    replica->promised = ballot;
    return true;
}

static bool accept(struct replica *replica, const struct proposal *proposal)
{
    if (quo_version_equal(proposal->version, version_of(replica->held)))
        return true;
    if (quo_version_compare(proposal->version, replica->promised) < 0)
        return false;
    replica->held = proposal;
    replica->promised = proposal->version;
    return true;
}

/* A client is told how its operation was decided. */
static void tell(struct request *request)
{
    struct operation *operation = request->operation;
    const struct quo_change_result *result = &request->result;
    const unsigned i = (unsigned)(operation - h.operations);

    request->is_live = false;
    operation->live--;
    if (result->code >= QUO_CHANGE_STORED_COUNT)
        return; /* that nothing is known, or nothing is possible */
    if (result->code != QUO_CHANGE_DONE) {
        operation->not_applied = true;
    } else {
        operation->applied = true;
        if (result->has_counter && times(result->counter, i) != 1)
            h.trouble = "a client was told a value without its own part";
        if (result->has_counter && operation->has_counter && operation->counter != result->counter)
            h.trouble = "a client was told two values for one operation";
        operation->counter = result->has_counter ? result->counter : operation->counter;
        operation->has_counter |= result->has_counter;
    }
    if (operation->applied && operation->not_applied)
        h.trouble = "one operation was decided both ways";
}

static void give_up(struct request *request)
{
    request->result.code = QUO_CHANGE_HISTORY_LOST;
    tell(request);
}

/* Promises, and then the change itself. */
static void prepare(struct request *request)
{
    const struct proposal *base = NULL, *shown[REPLICAS];
    struct quo_record found, made;
    unsigned promises = 0, equal = 0;

    request->ballot = tick();
    if (quo_version_is_none(request->first))
        request->first = request->ballot;
    for (unsigned i = 0; i < REPLICAS; i++) {
        if (percent(20) || !promise(&h.replicas[i], request->ballot))
            continue;
        shown[promises++] = h.replicas[i].held;
        if (quo_version_compare(version_of(h.replicas[i].held), version_of(base)) > 0)
            base = h.replicas[i].held;
    }
    if (promises < QUORUM)
        return;
    for (unsigned i = 0; i < promises; i++)
        equal += quo_version_equal(version_of(shown[i]), version_of(base));
    if (base != NULL)
        found = decode(base);
    const struct quo_change_context context = {.ballot = request->ballot,
                                               .first = request->first,
                                               .sent = request->sent,
                                               .retention_s = RETENTION_S,
                                               .value_max = 100};
    const enum quo_decision decision =
        quo_change_apply(h.changer, &request->change, base != NULL ? &found : NULL, &context, &made,
                         &request->result);
    if (decision == QUO_DECISION_UNPROVABLE) {
        give_up(request);
    } else if (equal >= QUORUM && (decision == QUO_DECISION_FOUND ||
                                   (decision == QUO_DECISION_KEEP && !request->sent))) {
        tell(request);
    } else {
        request->proposal = propose(&made);
        request->is_accepting = request->sent = true;
        request->tried = request->accepted = 0;
    }
}

/* One accept leaves; it arrives, is lost, or arrives some other day. */
static void send_accept(struct request *request)
{
    const unsigned i = pick(REPLICAS), bit = 1u << i;

    if ((request->tried & bit) != 0)
        return;
    request->tried |= bit;
    if (percent(40) && h.stray_count < STRAYS) {
        h.strays[h.stray_count++] = (struct stray){request->proposal, i};
    } else if (percent(85)) {
        if (!accept(&h.replicas[i], request->proposal))
            request->is_accepting = false;
        else
            request->accepted |= bit;
    }
    if (__builtin_popcount(request->accepted) >= QUORUM)
        tell(request);
    else if (request->tried == (1u << REPLICAS) - 1)
        request->is_accepting = false;
}

static void deliver_stray(void)
{
    if (h.stray_count == 0)
        return;
    const unsigned i = pick(h.stray_count);
    const struct stray stray = h.strays[i];
    h.strays[i] = h.strays[--h.stray_count];
    accept(&h.replicas[stray.replica], stray.proposal);
}

static struct operation *new_operation(void)
{
    const unsigned i = h.operation_count++;
    struct operation *operation = &h.operations[i];
    const struct proposal *seen = h.replicas[pick(REPLICAS)].held;
    const struct quo_version since = tick();

    operation->since_ms = h.now_ms;
    operation->change = (struct quo_change){
        .type = QUO_CHANGE_ADD,
        .opid =
            percent(50) ? quo_opid_of_key(quo_slice(&i, sizeof i)) : quo_opid_make(since.hlc, i),
        .since = since.hlc,
        .digest = i,
        .by = (int64_t)((uint64_t)1 << 2 * i),
    };
    if (percent(30) && seen != NULL) {
        operation->change.condition = QUO_CONDITION_TAGS;
        operation->change.tag_count = 1;
        operation->change.tags[0] = decode(seen).changed;
    } else if (percent(15)) {
        operation->change.has_max = true;
        operation->change.max = (int64_t)((uint64_t)1 << 2 * pick(OPERATIONS));
    }
    return operation;
}

/* What a client may do with an operation of which it does not know the end. */
static bool may_ask_again(const struct operation *operation)
{
    return quo_opid_is_keyed(&operation->change.opid) &&
           h.now_ms - operation->since_ms < RETENTION_S * 1000u;
}

/* Without a key it has a name only after its deadline. */
static bool may_resolve(const struct operation *operation)
{
    return quo_opid_is_keyed(&operation->change.opid) || operation->live == 0;
}

static void start(struct request *request)
{
    struct operation *operation;

    if (h.operation_count == 0 || (h.operation_count < OPERATIONS && percent(50)))
        operation = new_operation();
    else
        operation = &h.operations[pick(h.operation_count)];
    const bool is_new = operation->live == 0 && operation->change.since == h.last_hlc;
    *request = (struct request){.operation = operation, .change = operation->change};
    if (!is_new && percent(40) && may_resolve(operation))
        request->change = (struct quo_change){.type = QUO_CHANGE_RESOLVE,
                                              .opid = operation->change.opid,
                                              .since = operation->change.since};
    else if (!is_new && may_ask_again(operation))
        request->change.since = tick().hlc;
    else if (!is_new)
        return;
    request->is_live = true;
    operation->live++;
}

static void jump(void)
{
    static const unsigned leaps_ms[] = {30000, 80000, RETENTION_S * 1000u,
                                        2 * RETENTION_S * 1000u + 20000};
    h.now_ms += leaps_ms[pick(QUO_COUNT(leaps_ms))];
}

static void step(void)
{
    struct request *request = &h.requests[pick(REQUESTS)];

    if (percent(2))
        jump();
    if (percent(15))
        deliver_stray();
    else if (!request->is_live && percent(60))
        start(request);
    else if (request->is_live && percent(5))
        give_up(request);
    else if (request->is_live && request->is_accepting)
        send_accept(request);
    else if (request->is_live)
        prepare(request);
}

/* The value that a last identity over all replicas finds. */
static int64_t settle(void)
{
    const struct proposal *newest = NULL;

    for (unsigned i = 0; i < REPLICAS; i++) {
        if (quo_version_compare(version_of(h.replicas[i].held), version_of(newest)) > 0)
            newest = h.replicas[i].held;
    }
    if (newest == NULL)
        return 0;
    const struct quo_record record = decode(newest);
    return value_of(&record);
}

/* Returns what is wrong, or NULL. */
static const char *run_history(uint64_t seed)
{
    memset(&h, 0, sizeof h);
    h.chance = 0x9e3779b97f4a7c15u * (seed + 1);
    h.now_ms = 1700000000000;
    h.changer = quo_changer_new();
    assert_non_null(h.changer);
    for (unsigned i = 0; i < STEPS && h.trouble == NULL; i++)
        step();
    while (h.stray_count > 0)
        deliver_stray();
    const int64_t value = settle();
    for (unsigned i = 0; i < h.operation_count && h.trouble == NULL; i++) {
        if (h.operations[i].applied && times(value, i) != 1)
            h.trouble = "an operation that was acknowledged is not there";
        if (h.operations[i].not_applied && times(value, i) != 0)
            h.trouble = "an operation took effect that was said not to";
    }
    quo_changer_free(h.changer);
    while (h.proposals != NULL) {
        struct proposal *next = h.proposals->next;
        free(h.proposals);
        h.proposals = next;
    }
    return h.trouble;
}

static void every_operation_takes_effect_once(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    for (uint64_t seed = 0; seed < HISTORIES; seed++) {
        const char *trouble = run_history(seed);
        if (trouble != NULL)
            fail_msg("history %u: %s", (unsigned)seed, trouble);
    }
    /* The histories are worth something. */
    assert_true(quo_probe_counts[QUO_PROBE_RMW_FOUND_ITSELF] > HISTORIES);
    assert_true(quo_probe_counts[QUO_PROBE_RMW_UNPROVABLE] > HISTORIES / 10);
    assert_true(quo_probe_counts[QUO_PROBE_FAILURE_RECORDED] > HISTORIES);
    assert_true(quo_probe_counts[QUO_PROBE_FENCED] > HISTORIES);
    assert_true(quo_probe_counts[QUO_PROBE_RING_EVICTED] > HISTORIES);
}

static void every_mutant_is_caught(void **state)
{
    static const enum quo_mutant mutants[] = {QUO_MUTANT_NO_RING, QUO_MUTANT_HIST_IGNORED,
                                              QUO_MUTANT_FAILURE_NOT_RECORDED,
                                              QUO_MUTANT_FENCE_NOT_WRITTEN};
    (void)state;
    for (size_t i = 0; i < QUO_COUNT(mutants); i++) {
        quo_mutant_planted = mutants[i];
        uint64_t seed = 0;
        while (seed < HISTORIES_MUTANT && run_history(seed) == NULL)
            seed++;
        if (seed == HISTORIES_MUTANT)
            fail_msg("mutant %u went unnoticed", (unsigned)i);
        print_message("mutant %u: history %u: %s\n", (unsigned)i, (unsigned)seed, h.trouble);
    }
    quo_mutant_planted = QUO_MUTANT_NONE;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_takes_effect_once),
        cmocka_unit_test(every_mutant_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
