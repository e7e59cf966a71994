/* Runs the scripts of tests/golden/coordinator: what each coordinator is told and what it does
 * about it.
 *
 * A command stands at the start of a line, what came of it is indented below. With QUO_REWRITE=1
 * in the environment the files are written anew from what came; read the difference before
 * committing it.
 *
 *   get level=L [n= rs= ws= r= kind= set=abc joint=abc:abd up=ab timeout=MS hedge=US spread=US]
 *       [settle] [look] [seed=N] [least=N low-firm=N low-weak=N]
 *   put level=L [... w= dw= above=N]        starts a coordinator; replicas are named by letters
 *   rmw level=L [... w= read settle first=N sent warm=N piggyback dated may-forward forward-first
 * unit=US] reply R [STATUS] [v=N] [value] [tomb] [rmw] [corrupt] [durable] [promised=N] [floor=N]
 * [next] [now=MS] [set= joint= epoch=] [round=N] failed R [round=N]       its connection broke
 *   unsent RS                the requests to these did not leave
 *   time US       the clock moves on and the coordinator is told
 *   hedge         the budget allows it
 *   repair [kept]            it may be; the record is still there
 *   tagged N [next=M]
 *   applied write|keep|found|unprovable
 *   forwarded [sent]         the other proposer is out of reach
 *   forwarded VERDICT EFFECT v=N
 *   state         who is awaited, and until when
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/coordinator/coordinator.h"
#include "quorate/record.h"

#define FOLDER QUO_SOURCE_DIR "/tests/golden/coordinator/"
#define WORDS_MAX 24
#define TEXT_MAX 65536

struct script {
    struct quo_coordinator c;
    struct quo_namespace ns;
    uint64_t now_us;
    char out[4096];
    size_t out_len;
};

struct words {
    int count;
    char *at[WORDS_MAX];
};

__attribute__((format(printf, 2, 3))) static void put(struct script *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(s->out + s->out_len, sizeof s->out - s->out_len, format, args);
    va_end(args);
    assert_true(n >= 0 && s->out_len + (size_t)n < sizeof s->out);
    s->out_len += (size_t)n;
}

/* The value of "name=value", or NULL. */
static const char *option(const struct words *w, const char *name)
{
    size_t len = strlen(name);

    for (int i = 1; i < w->count; i++) {
        if (strncmp(w->at[i], name, len) == 0 && w->at[i][len] == '=')
            return w->at[i] + len + 1;
    }
    return NULL;
}

static uint64_t number(const struct words *w, const char *name, uint64_t otherwise)
{
    const char *value = option(w, name);

    return value == NULL ? otherwise : strtoull(value, NULL, 10);
}

static bool flag(const struct words *w, const char *name)
{
    for (int i = 1; i < w->count; i++) {
        if (strcmp(w->at[i], name) == 0)
            return true;
    }
    return false;
}

static struct quo_version version(uint64_t n)
{
    return n == 0 ? QUO_VERSION_NONE : (struct quo_version){n, 1};
}

static uint8_t letters(const char *text, uint64_t *ret)
{
    uint8_t n = 0;

    for (; text[n] >= 'a' && text[n] <= 'z'; n++)
        ret[n] = (uint64_t)text[n];
    return n;
}

static struct quo_entry entry_of(const struct words *w, uint32_t epoch)
{
    const char *joint = option(w, "joint"), *set = option(w, "set");
    struct quo_entry entry = {.epoch = epoch, .state = QUO_ENTRY_NORMAL};

    entry.n = letters(joint ? joint : set ? set : "abc", entry.replicas);
    if (joint != NULL) {
        entry.state = QUO_ENTRY_JOINT;
        entry.n_next = letters(joint + entry.n + 1, entry.next);
    }
    return entry;
}

static void plan_of(const struct script *s, const struct words *w, uint32_t epoch,
                    struct quo_plan *plan)
{
    struct quo_entry entry = entry_of(w, epoch);
    const char *up = option(w, "up");

    quo_plan_init(plan, &entry, &s->ns);
    if (up == NULL)
        return;
    struct quo_health health[QUO_MEMBERS_MAX] = {{0}};
    for (uint8_t i = 0; i < plan->count; i++)
        health[i].up = strchr(up, (char)plan->replica[i]) != NULL;
    quo_plan_order(plan, health, 0);
}

static quo_members members(const struct script *s, const struct words *w)
{
    const struct quo_plan *plan = quo_coordinator_plan(&s->c);
    quo_members found = 0;

    assert_true(w->count > 1);
    for (uint8_t i = 0; i < plan->count; i++) {
        if (strchr(w->at[1], (int)plan->replica[i]) != NULL)
            found |= QUO_MEMBER(i);
    }
    if (quo_members_count(found) != strlen(w->at[1]))
        fail_msg("%s: not all of them are replicas", w->at[1]);
    return found;
}

static uint8_t member(const struct script *s, const struct words *w)
{
    return (uint8_t)__builtin_ctz(members(s, w));
}

static char letter(const struct script *s, uint8_t i)
{
    return (char)quo_coordinator_plan(&s->c)->replica[i];
}

static void print_status(struct script *s, const char *name, enum quo_status status)
{
    if (status != QUO_OK)
        put(s, " %s=%s", name, quo_status_name(status));
}

static const char *const verdicts[] = {"",        "found",       "absent",
                                       "written", "unavailable", "timeout",
                                       "refused", "declined",    "unsatisfied"};
static const char *const effectualities[] = {"", "not-applied", "applied", "unknown"};

static void print_answer(struct script *s)
{
    const struct quo_outcome *o = quo_coordinator_outcome(&s->c);
    const struct quo_receipt *r = &o->receipt;

    put(s, "answer %s %s", verdicts[o->verdict], effectualities[o->effect]);
    print_status(s, "refusal", o->refusal);
    put(s, "\n    level=%s n=%u replies=%u:", quo_level_name(r->level), r->n, r->replies);
    for (uint8_t i = 0; i < r->replies; i++)
        put(s, "%c", (char)r->answered[i]);
    put(s, " acks=%u disk=%u need=%u trips=%u hedges=%u%s%s%s epoch=%u version=%llu restarts=%u\n",
        r->acks, r->disk, r->need, r->round_trips, r->hedges, r->repaired ? " repaired" : "",
        r->stable ? " stable" : "", r->superseded ? " superseded" : "", r->epoch,
        (unsigned long long)r->version.hlc, o->restarts);
}

static void print_send(struct script *s, const struct quo_effect *e)
{
    static const char *const names[] = {[QUO_EFFECT_QUERY] = "query",
                                        [QUO_EFFECT_STORE] = "store",
                                        [QUO_EFFECT_SLOT] = "slot",
                                        [QUO_EFFECT_PREP] = "prep",
                                        [QUO_EFFECT_ACC] = "acc"};

    put(s, "%s %c round %u", names[e->type], letter(s, e->member), e->round);
    if (e->type == QUO_EFFECT_SLOT)
        put(s, " since %llu", (unsigned long long)e->version.hlc);
    if (e->type == QUO_EFFECT_PREP)
        put(s, " ballot %llu", (unsigned long long)e->version.hlc);
    if (e->type == QUO_EFFECT_ACC && e->version.hlc != 0)
        put(s, " next %llu", (unsigned long long)e->version.hlc);
    if (e->type == QUO_EFFECT_QUERY || e->type == QUO_EFFECT_PREP)
        put(s, " %s",
            e->value_max == UINT32_MAX             ? "whole"
            : e->value_max == QUO_INLINE_VALUE_MAX ? "if small"
                                                   : "no value");
    put(s, "%s%s\n", e->flags & QUO_STORE_SYNC ? " sync" : "",
        e->flags & QUO_STORE_WRITEBACK ? " writeback" : "");
}

static void print_version(struct script *s, const char *name, struct quo_version v)
{
    if (v.hlc != 0)
        put(s, " %s=%llu", name, (unsigned long long)v.hlc);
}

static void print_apply(struct script *s, const struct quo_effect *e)
{
    put(s, e->nothing ? "apply to nothing" : "apply");
    print_version(s, "ballot", e->version);
    print_version(s, "first", e->first);
    print_version(s, "floor", e->floor);
    put(s, "%s\n", e->sent ? " sent" : "");
}

static void print_effect(struct script *s, const struct quo_effect *e)
{
    switch (e->type) {
    case QUO_EFFECT_QUERY:
    case QUO_EFFECT_STORE:
    case QUO_EFFECT_SLOT:
    case QUO_EFFECT_PREP:
    case QUO_EFFECT_ACC:
        print_send(s, e);
        return;
    case QUO_EFFECT_KEEP:
        put(s, "keep\n");
        return;
    case QUO_EFFECT_HEDGE:
        put(s, "hedge?\n");
        return;
    case QUO_EFFECT_REPAIR:
        put(s, "repair?\n");
        return;
    case QUO_EFFECT_HINT:
        put(s, "hint for %c%s\n", letter(s, e->member), e->flags != 0 ? " awaited" : "");
        return;
    case QUO_EFFECT_CORRECT_CLOCK:
        put(s, "correct clock to %llu\n", (unsigned long long)e->clock_ms);
        return;
    case QUO_EFFECT_TRUST_CLOCK:
        put(s, "trust the clock\n");
        return;
    case QUO_EFFECT_TAG:
        put(s, "tag above %llu\n", (unsigned long long)e->version.hlc);
        return;
    case QUO_EFFECT_APPLY:
        print_apply(s, e);
        return;
    case QUO_EFFECT_REMEMBER:
        put(s, "remember %llu\n", (unsigned long long)e->version.hlc);
        return;
    case QUO_EFFECT_FORWARD:
        put(s, "forward");
        print_version(s, "first", e->first);
        put(s, "%s\n", e->sent ? " sent" : "");
        return;
    case QUO_EFFECT_ANSWER:
        print_answer(s);
        return;
    }
    fail_msg("effect %d", e->type);
}

static void step(struct script *s, struct quo_event *event)
{
    struct quo_effects effects;

    event->now_us = s->now_us;
    quo_coordinator_step(&s->c, event, &effects);
    for (uint8_t i = 0; i < effects.count; i++)
        print_effect(s, &effects.list[i]);
    if (quo_coordinator_finished(&s->c))
        put(s, "finished\n");
}

static void start_rmw(struct script *s, const struct words *w, const struct quo_plan *plan,
                      const struct quo_consistency *want)
{
    struct quo_rmw_options o = {
        .purpose = flag(w, "settle") ? QUO_RMW_SETTLE
                   : flag(w, "read") ? QUO_RMW_READ
                                     : QUO_RMW_WRITE,
        .want = *want,
        .now_us = s->now_us,
        .round_trip_us = number(w, "unit", 1),
        .seed = 1,
        .first = version(number(w, "first", 0)),
        .sent = flag(w, "sent"),
        .may_forward = flag(w, "may-forward"),
        .forward_first = flag(w, "forward-first"),
        .warm = version(number(w, "warm", 0)),
        .piggyback = flag(w, "piggyback"),
        .dated = flag(w, "dated"),
    };

    quo_coordinator_rmw(&s->c, plan, &o);
}

static void run_start(struct script *s, const struct words *w)
{
    enum quo_level level = QUO_LEVEL_STRONG;
    const char *name = option(w, "level"), *kind = option(w, "kind");
    struct quo_ask ask = {.has_level = name != NULL,
                          .r = (int32_t)number(w, "r", UINT64_MAX),
                          .w = (int32_t)number(w, "w", UINT64_MAX),
                          .dw = (int32_t)number(w, "dw", UINT64_MAX)};
    bool is_get = strcmp(w->at[0], "get") == 0 || flag(w, "read") || flag(w, "settle");
    struct quo_consistency want;
    struct quo_plan plan;
    char why[200];

    s->ns = (struct quo_namespace){.id = 1, .name = "ns", .kind = QUO_KIND_LWW};
    s->ns.n = (uint8_t)number(w, "n", 3);
    s->ns.rs = (uint8_t)number(w, "rs", s->ns.n / 2 + 1);
    s->ns.ws = (uint8_t)number(w, "ws", s->ns.n / 2 + 1);
    s->ns.read_level = s->ns.write_level = QUO_LEVEL_STRONG;
    s->ns.timeout_ms = (uint32_t)number(w, "timeout", 1000);
    if (kind != NULL)
        assert_true(quo_kind_parse(quo_slice_of(kind), &s->ns.kind));
    if (name != NULL)
        assert_true(quo_level_parse(quo_slice_of(name), &level));
    ask.level = level;
    assert_int_equal(quo_consistency_resolve(&s->ns, &ask, !is_get, &want, why, sizeof why),
                     QUO_OK);
    plan_of(s, w, (uint32_t)number(w, "epoch", 1), &plan);
    s->now_us = 1000;
    uint64_t hedge_us = number(w, "hedge", UINT64_MAX);
    if (strcmp(w->at[0], "put") == 0) {
        struct quo_put_options o = {
            .want = want,
            .now_us = s->now_us,
            .hedge_us = hedge_us,
            .above = number(w, "above", 0),
            .adds = flag(w, "add"),
            .key_hash = number(w, "key", 0),
        };
        if (o.adds)
            o.want.strong = false;
        quo_coordinator_put(&s->c, &plan, &o);
    } else if (strcmp(w->at[0], "get") == 0) {
        struct quo_get_options o = {
            .want = want,
            .now_us = s->now_us,
            .hedge_us = hedge_us,
            .spread_us = number(w, "spread", 500),
            .seed = number(w, "seed", 1),
            .settle = flag(w, "settle"),
            .look_further = flag(w, "look"),
            .fresh = {version(number(w, "least", 0)), number(w, "low-firm", 0),
                      number(w, "low-weak", 0)},
        };
        quo_coordinator_get(&s->c, &plan, &o);
    } else {
        start_rmw(s, w, &plan, &want);
    }
    step(s, &(struct quo_event){.type = QUO_EVENT_START});
}

static enum quo_status status_of(const struct words *w)
{
    for (int i = 0; i <= QUO_STATUS_WIRE_MAX; i++) {
        if (quo_status_on_wire((uint8_t)i) && flag(w, quo_status_name((enum quo_status)i)))
            return (enum quo_status)i;
    }
    return QUO_OK;
}

static void run_reply(struct script *s, const struct words *w)
{
    uint8_t bytes[256];
    struct quo_plan newer;
    struct quo_msg_reply reply = {
        .status = (uint8_t)status_of(w),
        .flags = (flag(w, "durable") ? QUO_REPLY_DURABLE : 0) |
                 (flag(w, "value") ? QUO_REPLY_VALUE : 0) | (flag(w, "next") ? QUO_REPLY_NEXT : 0) |
                 (flag(w, "found") ? QUO_REPLY_FOUND : 0),
        .version = version(number(w, "v", 0)),
        .promised = version(number(w, "promised", 0)),
        .floor = version(number(w, "floor", 0)),
        .now_ms = number(w, "now", 0),
    };
    struct quo_event event = {
        .type = QUO_EVENT_REPLY,
        .member = member(s, w),
        .round = (uint16_t)number(w, "round", quo_coordinator_round(&s->c)),
        .reply = &reply,
    };

    if (flag(w, "value")) {
        struct quo_record record = {.version = reply.version};
        if (s->ns.kind != QUO_KIND_CAS && !flag(w, "rmw"))
            record.flags |= QUO_RECORD_BLIND;
        if (flag(w, "tomb"))
            record.flags |= QUO_RECORD_TOMBSTONE;
        if (flag(w, "corrupt"))
            record.version.node++;
        quo_record_encode(&record, bytes);
        reply.record = quo_slice(bytes, quo_record_size(&record));
    }
    if (option(w, "epoch") != NULL) {
        plan_of(s, w, (uint32_t)number(w, "epoch", 0), &newer);
        event.newer = &newer;
    }
    step(s, &event);
}

static void run_state(struct script *s)
{
    quo_members waiting = quo_coordinator_waiting(&s->c);
    uint64_t deadline = quo_coordinator_deadline(&s->c);

    put(s, "waiting for ");
    for (uint8_t i = 0; i < quo_coordinator_plan(&s->c)->count; i++) {
        if (quo_members_has(waiting, i))
            put(s, "%c", letter(s, i));
    }
    if (waiting == 0)
        put(s, "nobody");
    if (deadline == UINT64_MAX)
        put(s, ", no deadline\n");
    else
        put(s, ", deadline in %lld us\n", (long long)(deadline - s->now_us));
}

/* The index of a word in a list that begins with an empty one. */
static int index_of(const char *word, const char *const *list, int count)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(word, list[i]) == 0)
            return i;
    }
    fail_msg("%s: unknown", word);
    return 0;
}

static void run_applied(struct script *s, const struct words *w)
{
    static const char *const decisions[] = {"", "write", "keep", "found", "unprovable"};

    assert_true(w->count > 1);
    step(s, &(struct quo_event){.type = QUO_EVENT_APPLIED,
                                .decision = (enum quo_decision)index_of(w->at[1], decisions, 5)});
}

static void run_forwarded(struct script *s, const struct words *w)
{
    struct quo_event event = {.type = QUO_EVENT_FORWARDED, .sent = flag(w, "sent")};
    struct quo_outcome outcome = {.receipt = {.level = QUO_LEVEL_STRONG, .round_trips = 2}};

    if (w->count > 2) {
        outcome.verdict = (enum quo_verdict)index_of(w->at[1], verdicts, 8);
        outcome.effect = (enum quo_effectuality)index_of(w->at[2], effectualities, 4);
        outcome.receipt.version = version(number(w, "v", 0));
        event.outcome = &outcome;
    }
    step(s, &event);
}

static void run_command(struct script *s, struct words *w)
{
    struct quo_event event = {0};

    if (strcmp(w->at[0], "get") == 0 || strcmp(w->at[0], "put") == 0 ||
        strcmp(w->at[0], "rmw") == 0) {
        run_start(s, w);
        return;
    }
    if (strcmp(w->at[0], "reply") == 0) {
        run_reply(s, w);
        return;
    }
    if (strcmp(w->at[0], "applied") == 0) {
        run_applied(s, w);
        return;
    }
    if (strcmp(w->at[0], "forwarded") == 0) {
        run_forwarded(s, w);
        return;
    }
    if (strcmp(w->at[0], "state") == 0) {
        run_state(s);
        return;
    }
    if (strcmp(w->at[0], "failed") == 0) {
        event.type = QUO_EVENT_FAILED;
        event.member = member(s, w);
        event.round = (uint16_t)number(w, "round", quo_coordinator_round(&s->c));
    } else if (strcmp(w->at[0], "unsent") == 0) {
        event.type = QUO_EVENT_UNSENT;
        event.members = members(s, w);
        event.round = quo_coordinator_round(&s->c);
    } else if (strcmp(w->at[0], "time") == 0) {
        event.type = QUO_EVENT_TIMER;
        s->now_us += strtoull(w->at[1], NULL, 10);
    } else if (strcmp(w->at[0], "hedge") == 0) {
        event.type = QUO_EVENT_HEDGE;
    } else if (strcmp(w->at[0], "repair") == 0) {
        event.type = QUO_EVENT_REPAIR;
        event.has_record = flag(w, "kept");
    } else if (strcmp(w->at[0], "tagged") == 0) {
        event.type = QUO_EVENT_TAGGED;
        event.tag = version(strtoull(w->at[1], NULL, 10));
        event.next = version(number(w, "next", 0));
    } else {
        fail_msg("unknown command %s", w->at[0]);
    }
    step(s, &event);
}

static void split(char *line, struct words *ret)
{
    char *rest = NULL;

    ret->count = 0;
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(ret->count < WORDS_MAX);
        ret->at[ret->count++] = word;
    }
}

static void append(char *out, size_t size, size_t *len, const char *text, size_t text_len)
{
    assert_true(text_len + 1 < size - *len);
    memcpy(out + *len, text, text_len);
    *len += text_len;
    out[(*len)++] = '\n';
    out[*len] = '\0';
}

static void run_line(struct script *s, const char *text, size_t len)
{
    char line[256];
    struct words words = {0};

    assert_true(len < sizeof line);
    memcpy(line, text, len);
    line[len] = '\0';
    split(line, &words);
    s->out_len = 0;
    s->out[0] = '\0';
    run_command(s, &words);
}

/* Runs a whole script; `out` becomes the script with what came now. */
static void run_script(const char *text, char *out, size_t size)
{
    static struct script s;
    size_t len = 0;

    while (*text != '\0') {
        size_t line_len = strcspn(text, "\n");
        if (text[0] != ' ')
            append(out, size, &len, text, line_len);
        if (line_len > 0 && text[0] != ' ' && text[0] != '#') {
            run_line(&s, text, line_len);
            for (const char *at = s.out; *at != '\0'; at += strcspn(at, "\n") + 1) {
                len += (size_t)snprintf(out + len, size - len, "    ");
                append(out, size, &len, at, strcspn(at, "\n"));
            }
        }
        text += line_len + (text[line_len] == '\n');
    }
}

static void read_file(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "r");

    if (file == NULL)
        fail_msg("cannot open %s", path);
    size_t n = fread(out, 1, size - 1, file);
    fclose(file);
    assert_true(n < size - 1);
    out[n] = '\0';
}

static void check_script(void **state)
{
    static char text[TEXT_MAX], now[TEXT_MAX];
    char path[512];
    const char *rewrite = getenv("QUO_REWRITE");

    snprintf(path, sizeof path, FOLDER "%s.txt", (const char *)*state);
    read_file(path, text, sizeof text);
    run_script(text, now, sizeof now);
    if (rewrite != NULL && rewrite[0] == '1') {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(now, file);
        assert_int_equal(fclose(file), 0);
        return;
    }
    size_t same = 0, line = 1;
    while (text[same] != '\0' && text[same] == now[same])
        line += text[same++] == '\n';
    if (text[same] != now[same])
        fail_msg("%s:%zu: expected\n%.200s\ngot\n%.200s", path, line, text + same, now + same);
}

#define SCRIPT(script)                                                                             \
    {                                                                                              \
        .name = script, .test_func = check_script, .initial_state = (void *)(uintptr_t)script      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT("get_strong"),   SCRIPT("get_weak"),      SCRIPT("get_fetch"),
        SCRIPT("get_repair"),   SCRIPT("get_session"),   SCRIPT("put_session"),
        SCRIPT("get_failures"), SCRIPT("get_epochs"),    SCRIPT("put_strong"),
        SCRIPT("put_eventual"), SCRIPT("put_failures"),  SCRIPT("put_skew"),
        SCRIPT("put_epochs"),   SCRIPT("get_rmw"),       SCRIPT("rmw_cold"),
        SCRIPT("rmw_warm"),     SCRIPT("rmw_preempted"), SCRIPT("rmw_keep"),
        SCRIPT("rmw_fetch"),    SCRIPT("rmw_epochs"),    SCRIPT("rmw_forward"),
        SCRIPT("rmw_failures"), SCRIPT("rmw_skew"),      SCRIPT("put_slot"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
