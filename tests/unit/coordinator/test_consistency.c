/* Levels and numbers: every combination for N up to 7 against a twin, and the sentences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/coordinator/consistency.h"

struct expected {
    bool valid;
    int level;
    int strong, r, w, dw, stale;
};

static struct expected invalid(void)
{
    return (struct expected){.valid = false};
}

/* The table of api/PROTOCOLS.md, written as a list of cases. */
static struct expected twin_read(const struct quo_namespace *ns, int level, int r, int stale)
{
    struct expected e = {.valid = true, .level = level};
    int base[] = {0, 1, 1, 1, ns->rs, ns->rs, ns->n};

    if (level == 0 && r < 0)
        e.level = ns->read_level;
    if (level == 0 && r >= 0)
        e.level = r >= ns->rs ? QUO_LEVEL_STRONG : QUO_LEVEL_EVENTUAL;
    e.r = r >= 0 ? r : base[e.level];
    if (level == QUO_LEVEL_EVENTUAL && r > 1 && r >= ns->rs)
        return invalid();
    if (level != 0 && r >= 0 && r < base[level])
        return invalid();
    if ((stale != 0) != (e.level == QUO_LEVEL_BOUNDED) && (stale != 0 || ns->stale_ms == 0))
        return invalid();
    if (e.level == QUO_LEVEL_BOUNDED)
        e.stale = stale != 0 ? stale : (int)ns->stale_ms;
    e.strong = e.level >= QUO_LEVEL_STRONG;
    e.w = e.dw = (int[]){0, 0, 0, 0, 0, ns->ws, ns->n}[e.level];
    return e;
}

static struct expected twin_write(const struct quo_namespace *ns, int level, int w, int dw)
{
    struct expected e = {.valid = true, .level = level ? level : (int)ns->write_level};
    int base = (int[]){0, 1, 1, 0, ns->ws, ns->ws, ns->n}[e.level];

    if (e.level == QUO_LEVEL_BOUNDED)
        return invalid();
    e.w = w >= 0 ? w : base;
    e.dw = dw >= 0 ? dw : e.w;
    if (w < 0 && e.w < e.dw)
        e.w = e.dw;
    bool strong = e.w >= ns->ws && e.dw >= ns->ws;
    bool said = w >= 0 || dw >= 0;
    if (level == 0 && said)
        e.level = strong ? QUO_LEVEL_STRONG : QUO_LEVEL_EVENTUAL;
    if (level == QUO_LEVEL_EVENTUAL && said && strong && e.w > 1)
        return invalid();
    if (level > QUO_LEVEL_EVENTUAL && said && (e.w < base || e.dw < base))
        return invalid();
    e.strong = e.level >= QUO_LEVEL_QUORUM;
    e.r = e.strong ? ns->rs : 0;
    return e;
}

static struct expected twin(const struct quo_namespace *ns, const struct quo_ask *ask, bool write)
{
    int level = ask->has_level ? (int)ask->level : 0;

    if (ask->r == 0 || ask->w == 0 || ask->r > ns->n || ask->w > ns->n || ask->dw > ns->n)
        return invalid();
    if (ask->w > 0 && ask->dw > ask->w)
        return invalid();
    return write ? twin_write(ns, level, ask->w, ask->dw)
                 : twin_read(ns, level, ask->r, (int)ask->stale_ms);
}

static void check_one(const struct quo_namespace *ns, const struct quo_ask *ask, bool write)
{
    struct quo_consistency c = {.n = 99};
    char why[200] = "";
    struct expected e = twin(ns, ask, write);
    enum quo_status status = quo_consistency_resolve(ns, ask, write, &c, why, sizeof why);

    if (status != (e.valid ? QUO_OK : QUO_INVALID))
        fail_msg("n=%u rs=%u ws=%u %s level=%d r=%d w=%d dw=%d: %s", ns->n, ns->rs, ns->ws,
                 write ? "write" : "read", ask->has_level ? (int)ask->level : 0, (int)ask->r,
                 (int)ask->w, (int)ask->dw, why);
    if (!e.valid) {
        assert_int_equal(c.n, 99);
        assert_true(strlen(why) > 10);
        return;
    }
    assert_int_equal(c.n, ns->n);
    assert_int_equal(c.level, e.level);
    assert_int_equal(c.strong, e.strong);
    assert_int_equal(c.r, e.r);
    assert_int_equal(c.w, e.w);
    assert_int_equal(c.dw, e.dw);
    assert_int_equal(c.stale_ms, e.stale);
    /* What the drivers rely on. */
    assert_true(c.r <= c.n && c.w <= c.n && c.dw <= c.w);
    assert_true(!c.strong || (c.r >= ns->rs && c.w >= ns->ws && c.dw >= ns->ws));
}

static void check_numbers(const struct quo_namespace *ns, struct quo_ask *ask)
{
    int over = ns->n + 1;

    for (ask->r = -1; ask->r <= over; ask->r++) {
        for (ask->w = -1; ask->w <= over; ask->w++) {
            for (ask->dw = -1; ask->dw <= over; ask->dw++) {
                check_one(ns, ask, false);
                check_one(ns, ask, true);
            }
        }
    }
}

static void every_combination_agrees_with_the_twin(void **state)
{
    (void)state;
    struct quo_namespace ns = {.id = 1, .name = "default", .timeout_ms = 1000};

    for (ns.n = 1; ns.n <= QUO_REPLICAS_MAX; ns.n++) {
        for (ns.rs = 1; ns.rs <= ns.n; ns.rs++) {
            for (ns.ws = 1; ns.ws <= ns.n; ns.ws++) {
                if (ns.rs + ns.ws <= ns.n || 2 * ns.ws <= ns.n)
                    continue;
                for (int level = 0; level <= QUO_LEVEL_ALL; level++) {
                    struct quo_ask ask = {.has_level = level != 0, .level = (enum quo_level)level};
                    ns.read_level = (enum quo_level)(1 + (ns.n + level) % QUO_LEVEL_ALL);
                    ns.write_level = (enum quo_level)(1 + (ns.rs + level) % QUO_LEVEL_ALL);
                    for (unsigned stale = 0; stale < 4; stale++) {
                        ns.stale_ms = stale % 2 * 900;
                        ask.stale_ms = stale / 2 * 100;
                        check_numbers(&ns, &ask);
                    }
                }
            }
        }
    }
}

static const struct quo_namespace default_ns = {
    .id = 1,
    .name = "default",
    .kind = QUO_KIND_MIXED,
    .n = 3,
    .rs = 2,
    .ws = 2,
    .read_level = QUO_LEVEL_STRONG,
    .write_level = QUO_LEVEL_STRONG,
    .timeout_ms = 1000,
};

static void check_why(struct quo_ask ask, bool write, const char *expected)
{
    struct quo_consistency c;
    char why[200];

    assert_int_equal(quo_consistency_resolve(&default_ns, &ask, write, &c, why, sizeof why),
                     QUO_INVALID);
    assert_string_equal(why, expected);
}

#define LEVEL(l, ...) ((struct quo_ask){true, QUO_LEVEL_##l, __VA_ARGS__, 0, 0, 0, false})

static void errors_show_the_arithmetic(void **state)
{
    (void)state;
    check_why(LEVEL(STRONG, 4, -1, -1), false,
              "r=4 is more than the 3 replicas of namespace default");
    check_why(LEVEL(STRONG, 4, -1, -1), true,
              "r=4 is more than the 3 replicas of namespace default");
    check_why(LEVEL(STRONG, 0, -1, -1), false, "r=0 is less than 1");
    check_why(LEVEL(STRONG, -1, 0, -1), false, "w=0 is less than 1");
    check_why(LEVEL(STRONG, -1, 9, -1), false,
              "w=9 is more than the 3 replicas of namespace default");
    check_why(LEVEL(STRONG, -1, -1, 9), true,
              "dw=9 is more than the 3 replicas of namespace default");
    check_why(LEVEL(STRONG, -1, 2, 3), true,
              "dw=3 is more than w=2: an ack on disk is one of the "
              "acks");
    check_why(LEVEL(STRONG, 1, -1, -1), false,
              "r=1 is less than the 2 of 3 replicas that level=strong means in namespace default");
    check_why(LEVEL(ALL, -1, 2, -1), true,
              "w=2 is less than the 3 of 3 replicas that level=all means in namespace default");
    check_why(LEVEL(QUORUM, -1, -1, 1), true,
              "dw=1 is less than the 2 of 3 replicas that level=quorum means in namespace default");
    check_why(LEVEL(EVENTUAL, 2, -1, -1), false,
              "r=2 reaches the strong quorum and is more than the 1 of 3 replicas that "
              "level=eventual means in namespace default");
    check_why(LEVEL(EVENTUAL, -1, -1, 2), true,
              "dw=2 reaches the strong quorum and is more than the 1 of 3 replicas that "
              "level=eventual means in namespace default");
    check_why(
        LEVEL(SESSION, -1, -1, 0), true,
        "dw=0 is less than the 1 of 3 replicas that level=session means in namespace default");
    check_why(LEVEL(BOUNDED, -1, -1, -1), true, "level=bounded is for reads: a write has no bound");
    check_why(
        LEVEL(BOUNDED, -1, -1, -1), false,
        "level=bounded needs a bound, as in max-stale=500ms: namespace default has none of its "
        "own");
    struct quo_ask ask = LEVEL(STRONG, -1, -1, -1);
    ask.stale_ms = 5;
    check_why(ask, false, "max-stale says nothing at level=strong: it belongs to level=bounded");
    ask.stale_ms = QUO_STALE_MAX_MS + 1;
    check_why(ask, false, "max-stale=86400001ms is more than 86400000ms");
    ask.stale_ms = 0;
    ask.timeout_ms = 60001;
    check_why(ask, true, "timeout=60001ms is outside 1ms to 60000ms");
}

static void a_sentence_is_cut_to_fit(void **state)
{
    (void)state;
    struct quo_consistency c;
    struct quo_ask ask = {.r = 4, .w = -1, .dw = -1};
    char why[8];

    memset(why, 'x', sizeof why);
    assert_int_equal(quo_consistency_resolve(&default_ns, &ask, false, &c, why, sizeof why),
                     QUO_INVALID);
    assert_string_equal(why, "r=4 is ");
}

static void the_timeout_comes_from_the_request_or_the_namespace(void **state)
{
    (void)state;
    struct quo_consistency c;
    struct quo_ask ask = {.r = -1, .w = -1, .dw = -1};

    assert_int_equal(quo_consistency_resolve(&default_ns, &ask, false, &c, NULL, 0), QUO_OK);
    assert_int_equal(c.timeout_ms, 1000);
    ask.timeout_ms = 250;
    assert_int_equal(quo_consistency_resolve(&default_ns, &ask, false, &c, NULL, 0), QUO_OK);
    assert_int_equal(c.timeout_ms, 250);
}

/* Such a write is eventual, whatever numbers it names. */
static void sloppy_is_for_eventual_writes(void **state)
{
    (void)state;
    struct quo_namespace ns = default_ns;
    struct quo_consistency c;
    char why[200];
    const struct quo_ask rows[] = {
        {.r = -1, .w = 2, .dw = -1, .sloppy = true},
        {.has_level = true, .level = QUO_LEVEL_EVENTUAL, .r = -1, .w = 2, .dw = 2, .sloppy = true},
    };

    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        assert_int_equal(quo_consistency_resolve(&ns, &rows[i], true, &c, why, sizeof why), QUO_OK);
        assert_int_equal(c.level, QUO_LEVEL_EVENTUAL);
        assert_true(c.sloppy);
        assert_false(c.strong);
        assert_int_equal(c.w, 2);
        assert_int_equal(c.dw, 2);
        assert_int_equal(c.r, 0);
    }
    struct quo_ask ask = {.r = -1, .w = -1, .dw = -1, .sloppy = true};
    check_why(ask, true, "sloppy belongs to level=eventual: at level=strong only replicas count");
    check_why(ask, false, "sloppy is for writes: hints are not read");
    ns.write_level = QUO_LEVEL_EVENTUAL;
    assert_int_equal(quo_consistency_resolve(&ns, &ask, true, &c, why, sizeof why), QUO_OK);
    assert_int_equal(c.w, 1);
    ask.w = 4;
    check_why(ask, true, "w=4 is more than the 3 replicas of namespace default");
    ask = (struct quo_ask){.has_level = true, .r = -1, .w = -1, .dw = -1, .sloppy = true};
    ask.level = QUO_LEVEL_SESSION;
    check_why(ask, true, "sloppy belongs to level=eventual: at level=session only replicas count");
    ask.level = QUO_LEVEL_EVENTUAL;
    ns.kind = QUO_KIND_CAS;
    assert_int_equal(quo_consistency_resolve(&ns, &ask, true, &c, why, sizeof why), QUO_INVALID);
    assert_string_equal(
        why, "sloppy is for blind writes: in namespace default, of kind cas, there are none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_agrees_with_the_twin),
        cmocka_unit_test(errors_show_the_arithmetic),
        cmocka_unit_test(a_sentence_is_cut_to_fit),
        cmocka_unit_test(the_timeout_comes_from_the_request_or_the_namespace),
        cmocka_unit_test(sloppy_is_for_eventual_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
