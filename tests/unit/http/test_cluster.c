/* Debt and equality: what is made of what nodes say, and of what is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/http/cluster_request.h"
#include "proxy/http/debt.h"
#include "proxy/http/equality.h"

static struct quo_map map;

static int setup(void **state)
{
    (void)state;
    map = (struct quo_map){.partition_count = 8, .node_count = 3, .namespace_count = 2};
    for (uint32_t i = 0; i < 3; i++) {
        map.nodes[i].replica = 101 + i;
        snprintf(map.nodes[i].name, sizeof map.nodes[i].name, "node-%u", (unsigned)(i + 1));
    }
    map.namespaces[0].n = 3;
    map.namespaces[1].n = 2;
    return 0;
}

static struct quo_node_debt debt_of(uint32_t node, const struct quo_msg_debts *says)
{
    static uint8_t bodies[3][512];

    quo_msg_debts_encode(says, bodies[node]);
    return quo_debt_read(node, quo_slice(bodies[node], quo_msg_debts_size(says)));
}

static void expect_document(struct quo_text *text, const char *const parts[], size_t count)
{
    assert_false(text->failed);
    for (size_t i = 0; i < count; i++) {
        if (strstr(text->data, parts[i]) == NULL)
            fail_msg("%s is not in %s", parts[i], text->data);
    }
    quo_text_free(text);
}

static void debts_are_read_and_added_up(void **state)
{
    static const char *const parts[] = {
        "{\"partitions\":8,\"nodes_asked\":3,\"unreachable\":1,\"hints\":8,\"hint_bytes\":330,"
        "\"oldest_hint_seconds\":70,\"hints_delivered_last_minute\":4,\"pairs\":30,"
        "\"pairs_differing\":2,\"unequal_seconds\":61,\"trees_not_ready\":3,\"tombstones\":9,"
        "\"converged_in_seconds\":null,",
        "{\"node\":\"node-1\",\"reachable\":true,\"hints\":8,\"hint_bytes\":330,"
        "\"oldest_hint_seconds\":70,\"hints_for\":[{\"node\":\"node-2\",\"hints\":5,"
        "\"hint_bytes\":300,\"oldest_hint_seconds\":70},{\"node\":\"0000000000000063\",\"hints\":3,"
        "\"hint_bytes\":30,\"oldest_hint_seconds\":0}],",
        "\"clock_ahead_ms\":-20}",
        "{\"node\":\"node-2\",\"reachable\":false}",
    };
    uint8_t hints[64] = {0};
    struct quo_text text = {0};

    (void)state;
    quo_put_u64(hints, 102);
    quo_put_u64(hints + 8, 5);
    quo_put_u64(hints + 16, 300);
    quo_put_u64(hints + 24, 30000);
    quo_put_u64(hints + 32, 0x63);
    quo_put_u64(hints + 40, 3);
    quo_put_u64(hints + 48, 30);
    quo_put_u64(hints + 56, 200000); /* from the future */
    const struct quo_msg_debts first = {.now_ms = 100000,
                                        .ahead_ms = (uint64_t)-20,
                                        .unequal_ms = 61999,
                                        .pairs = 10,
                                        .differing = 2,
                                        .drained = 4,
                                        .hints = quo_slice(hints, sizeof hints)};
    const struct quo_msg_debts third = {
        .unequal_ms = 5000, .pairs = 20, .trees = 3, .tombstones = 9};
    const struct quo_node_debt debts[] = {debt_of(0, &first), quo_debt_read(1, quo_slice(NULL, 0)),
                                          debt_of(2, &third)};
    quo_debt_render(debts, 3, &map, &text);
    expect_document(&text, parts, QUO_COUNT(parts));
}

static void only_proper_answers_count(void **state)
{
    struct quo_msg_debts says = {.status = QUO_BUSY};

    (void)state;
    assert_false(debt_of(0, &says).is_known);
    says.status = QUO_OK;
    assert_true(debt_of(0, &says).is_known);
    says.hints = quo_slice_of("no whole number of targets");
    assert_false(debt_of(0, &says).is_known);
    assert_false(quo_debt_read(0, quo_slice_of("x")).is_known);
}

static void time_to_converge_is_told_where_it_can_be(void **state)
{
    uint8_t hints[32] = {0};
    struct quo_msg_debts says = {.round_ms = 60000};
    uint64_t seconds = 99;

    (void)state;
    struct quo_node_debt debts[] = {debt_of(0, &says), debt_of(1, &says)};
    assert_true(quo_debt_converges(debts, 2, &seconds));
    assert_int_equal(seconds, 0);
    says.differing = 1;
    debts[1] = debt_of(1, &says);
    assert_true(quo_debt_converges(debts, 2, &seconds));
    assert_int_equal(seconds, 61);
    quo_put_u64(hints + 8, 1000);
    says.hints = quo_slice(hints, sizeof hints);
    says.drained = 100;
    debts[0] = debt_of(0, &says);
    assert_true(quo_debt_converges(debts, 2, &seconds));
    assert_int_equal(seconds, 601);
    quo_put_u64(hints + 8, UINT64_MAX);
    debts[0] = debt_of(0, &says);
    assert_true(quo_debt_converges(debts, 2, &seconds));
    says.drained = 0;
    debts[0] = debt_of(0, &says);
    assert_false(quo_debt_converges(debts, 2, &seconds));
    debts[0] = quo_debt_read(0, quo_slice(NULL, 0));
    assert_false(quo_debt_converges(debts, 2, &seconds));
}

/* Equality */

static const struct quo_entry entry = {
    .epoch = 4, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {103, 101, 102}};

static struct quo_equality all_the_same(void)
{
    struct quo_equality equality;

    quo_equality_init(&equality, &map, 5, &entry);
    for (uint32_t i = 0; i < equality.group_count; i++) {
        for (uint8_t at = 0; at < equality.groups[i].replicas; at++) {
            struct quo_replica_digest *digest = &equality.groups[i].digests[at];
            digest->is_known = true;
            digest->says = (struct quo_msg_digested){
                .steady = 1, .records = 3, .bytes = 40, .high = 1, .low = 0xab};
        }
    }
    return equality;
}

static void replicas_are_compared_group_by_group(void **state)
{
    static const char *const parts[] = {
        "{\"partition\":5,\"partitions\":8,\"epoch\":4,\"equal\":true,\"groups\":[{\"replicas\":2,"
        "\"equal\":true,\"nodes\":[{\"node\":\"node-3\",\"answered\":true,\"steady\":true,"
        "\"records\":3,\"bytes\":40,\"digest\":\"000000000000000100000000000000ab\"},"
        "{\"node\":\"node-1\",",
        "{\"replicas\":3,\"equal\":true,",
    };
    struct quo_equality equality = all_the_same();
    struct quo_text text = {0};

    (void)state;
    assert_int_equal(equality.group_count, 2);
    quo_equality_render(&equality, &map, &text);
    expect_document(&text, parts, QUO_COUNT(parts));
}

static void equality_is_claimed_only_of_what_was_seen(void **state)
{
    struct quo_equality equality = all_the_same();
    struct quo_replica_digest *one = &equality.groups[1].digests[2];

    (void)state;
    assert_int_equal(quo_equality_of(&equality), QUO_EQUAL_YES);
    one->says.steady = 0;
    assert_int_equal(quo_equality_of(&equality), QUO_EQUAL_YES);
    one->says.low++;
    assert_int_equal(quo_equality_of(&equality), QUO_EQUAL_UNKNOWN);
    one->says.steady = 1;
    assert_int_equal(quo_equality_of(&equality), QUO_EQUAL_NO);
    one->says.sealed.hlc = 7;
    assert_int_equal(quo_equality_of(&equality), QUO_EQUAL_UNKNOWN);
    one->says.sealed.hlc = 0;
    one->is_known = false;
    assert_int_equal(quo_equality_of(&equality), QUO_EQUAL_UNKNOWN);
    equality.groups[0].digests[0].says.records++;
    assert_int_equal(quo_equality_of(&equality), QUO_EQUAL_NO);
    assert_int_equal(quo_equality_of_group(&equality.groups[1]), QUO_EQUAL_UNKNOWN);
    assert_false(quo_equality_read(1, quo_slice(NULL, 0)).is_known);
    assert_false(quo_equality_read(1, quo_slice_of("x")).is_known);
}

/* What is asked */

static bool parse(enum quo_route route, const char *query, struct quo_wish *wish)
{
    struct quo_problem problem;

    memset(wish, 0, sizeof *wish);
    wish->route = route;
    if (quo_cluster_parse(quo_slice_of(query), &map, wish, &problem))
        return true;
    assert_true(problem.type == QUO_PROBLEM_BAD_QUERY ||
                problem.type == QUO_PROBLEM_BAD_CONSISTENCY);
    return false;
}

static void queries_are_read(void **state)
{
    static const char *const bad[] = {"level=all", "timeout=1s&timeout=1s", "r=1",
                                      "x",         "timeout=1s&r=2",        "partition=1",
                                      "timeout=0", "max-stale=100ms",       "ttl=1s"};
    static const char *const bad_partitions[] = {"",
                                                 "partition=",
                                                 "partition=8",
                                                 "partition=-1",
                                                 "partition=1x",
                                                 "partition",
                                                 "partition= 1",
                                                 "partition=1&partition=2",
                                                 "partition=99999999999"};
    struct quo_wish wish;

    (void)state;
    assert_true(parse(QUO_ROUTE_DEBT, "", &wish));
    assert_int_equal(wish.ask.timeout_ms, 5000);
    assert_true(parse(QUO_ROUTE_DEBT, "&timeout=250ms&", &wish));
    assert_int_equal(wish.ask.timeout_ms, 250);
    for (size_t i = 0; i < QUO_COUNT(bad); i++) {
        if (parse(QUO_ROUTE_DEBT, bad[i], &wish))
            fail_msg("accepted: %s", bad[i]);
    }
    assert_true(parse(QUO_ROUTE_EQUALITY, "timeout=9s&partition=7", &wish));
    assert_int_equal(wish.partition, 7);
    assert_int_equal(wish.ask.timeout_ms, 9000);
    for (size_t i = 0; i < QUO_COUNT(bad_partitions); i++) {
        if (parse(QUO_ROUTE_EQUALITY, bad_partitions[i], &wish))
            fail_msg("accepted: %s", bad_partitions[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(debts_are_read_and_added_up),
        TEST(only_proper_answers_count),
        TEST(time_to_converge_is_told_where_it_can_be),
        TEST(replicas_are_compared_group_by_group),
        TEST(equality_is_claimed_only_of_what_was_seen),
        TEST(queries_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
