/* Random scans of random replicas: what a reader is shown, page after page, must be what a dumb
 * twin makes of what the replicas hold.
 *
 * The same scans must show that something is wrong when one rule is switched off.
 */
#include "tests/unit/service/scan_nodes.h"

#include <stdio.h>

#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

enum { WORLDS = 300, KEYS = 40, WRITES = 120, LWW = 1 };

static struct scan_world w;
static uint64_t chance;

static uint32_t pick(uint32_t below)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return (uint32_t)(chance % below);
}

/* What is the newest of each key anywhere; 0: nothing, or deleted. */
struct twin {
    uint64_t newest[KEYS];
    bool is_deleted[KEYS];
};

static const char *name_of(int key)
{
    static char name[8];

    snprintf(name, sizeof name, "%02d", key % 100);
    return name;
}

/* Each write is on two of three replicas at least, so that two replies show it. */
static void write_something(struct twin *twin, uint64_t hlc)
{
    const int key = (int)pick(KEYS);
    const bool is_deleted = pick(3) == 0;
    const uint32_t without = pick(4);

    for (uint32_t node = 0; node < 3; node++) {
        if (node != without)
            scan_put(&w.nodes[node], LWW, name_of(key), hlc, is_deleted ? NULL : "x", 0);
    }
    twin->newest[key] = hlc;
    twin->is_deleted[key] = is_deleted;
}

static bool are_equal(void)
{
    for (int node = 1; node < 3; node++) {
        const struct scan_node *a = &w.nodes[0], *b = &w.nodes[node];
        if (a->count != b->count)
            return false;
        for (int i = 0; i < a->count; i++) {
            if (a->list[i].len != b->list[i].len ||
                memcmp(a->list[i].record, b->list[i].record, a->list[i].len) != 0)
                return false;
        }
    }
    return true;
}

/* Reads all pages. Returns whether they are the twin's. */
static bool reads_right(const struct twin *twin, uint8_t r)
{
    static struct scan_result result;
    struct quo_scan_request request = scan_request(&w, "", 1 + pick(12));
    uint8_t after[40];
    int key = 0;

    request.consistency.r = r;
    request.value_max = pick(2) * 1000;
    do {
        scan_do(&w, &request, &result);
        assert_int_equal(result.verdict, QUO_VERDICT_FOUND);
        assert_true(result.count <= request.limit);
        for (uint32_t i = 0; i < result.count; i++) {
            while (key < KEYS && (twin->newest[key] == 0 || twin->is_deleted[key]))
                key++;
            if (key == KEYS || strcmp(result.items[i].key, name_of(key)) != 0 ||
                result.items[i].hlc != twin->newest[key++])
                return false;
        }
        memcpy(after, result.upto, result.upto_len);
        request.after = quo_slice(after, result.upto_len);
    } while (result.more);
    while (key < KEYS && (twin->newest[key] == 0 || twin->is_deleted[key]))
        key++;
    return key == KEYS;
}

static bool world_is_right(uint64_t seed)
{
    struct twin twin = {.newest = {0}};
    bool is_right;

    chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    scan_world_init(&w);
    for (uint32_t i = 0; i < 3; i++)
        w.nodes[i].page_max = 1 + pick(20);
    for (uint32_t i = 0; i < WRITES; i++)
        write_something(&twin, 100 + i);
    is_right = reads_right(&twin, (uint8_t)(2 + pick(2)));
    /* Then with all of them, as often as a scan may repair some of what differs. */
    for (int i = 0; i <= KEYS / (int)QUO_SCAN_REPAIRS_MAX + 1 && is_right; i++) {
        scan_pass(&w, QUO_REPAIR_EVERY_MS + 1);
        is_right = reads_right(&twin, 3);
    }
    is_right = is_right && are_equal();
    scan_serve(&w);
    fake_stop(&w.f);
    return is_right;
}

static void pages_are_what_the_replicas_hold(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        if (!world_is_right(seed))
            fail_msg("seed %d", (int)seed);
    }
}

static void expect_caught(enum quo_mutant mutant)
{
    uint64_t seed = 1;

    quo_mutant_planted = mutant;
    while (seed <= WORLDS && world_is_right(seed))
        seed++;
    quo_mutant_planted = QUO_MUTANT_NONE;
    assert_true(seed <= WORLDS);
}

static void a_page_is_not_believed_past_its_end(void **state)
{
    (void)state;
    expect_caught(QUO_MUTANT_SCAN_PAST_A_PAGE);
}

static void tombstones_win_before_they_are_left_out(void **state)
{
    (void)state;
    expect_caught(QUO_MUTANT_SCAN_DROPS_TOMBSTONES);
}

static void differences_do_not_stay(void **state)
{
    (void)state;
    expect_caught(QUO_MUTANT_SCAN_UNREPAIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_what_the_replicas_hold),
        cmocka_unit_test(a_page_is_not_believed_past_its_end),
        cmocka_unit_test(tombstones_win_before_they_are_left_out),
        cmocka_unit_test(differences_do_not_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
