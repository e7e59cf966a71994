/* Hints on a node: what is taken, when it is delivered, and when it is forgotten. */
#include "tests/unit/server/hinted.h"

static struct hinted s;

static int start(void **state)
{
    (void)state;
    hinted_start(&s);
    return 0;
}
static int stop(void **state)
{
    (void)state;
    hinted_stop(&s);
    return 0;
}

static void a_hint_waits_for_its_target(void **state)
{
    (void)state;
    uint64_t id;
    hinted_keep(&s, THIRD, "a", 5);
    hinted_up(&s, PEER_SECOND);
    hinted_pass(&s, 60000000);
    assert_null(hinted_next(&s));
    struct quo_server_hints kept = hinted_of(&s, THIRD);
    assert_int_equal(kept.count, 1);
    assert_true(kept.bytes > 40);
    assert_int_equal(kept.oldest_ms, START_MS);
    assert_int_equal(kept.kept, 1);
    hinted_up(&s, PEER_THIRD);
    hinted_expect(&s, PEER_THIRD, "a", 5, &id);
    assert_int_equal(s.stores[0].store.partition, s.h.partition);
    assert_int_equal(s.stores[0].store.ns, NS_LWW);
    assert_int_equal(s.stores[0].store.kind, QUO_KIND_LWW);
    /* It is there as long as the target has not said so. */
    hinted_pass(&s, 1000000);
    assert_int_equal(hinted_stored(&s), 1);
    hinted_answer(&s, PEER_THIRD, id, QUO_OK);
    assert_int_equal(hinted_stored(&s), 0);
    kept = hinted_of(&s, THIRD);
    assert_int_equal(kept.count + kept.bytes + kept.oldest_ms, 0);
    assert_int_equal(kept.delivered, 1);
    assert_int_equal(quo_server_hints_drained(s.h.server), 1);
    hinted_pass(&s, 60000000);
    assert_null(hinted_next(&s));
    /* It is no record of ours. */
    expect_shown(&s.h, "a", 0);
}

static void answers_decide_what_becomes_of_it(void **state)
{
    (void)state;
    static const enum quo_status done[] = {QUO_OK, QUO_SUPERSEDED, QUO_NACK, QUO_NOT_REPLICA,
                                           QUO_BAD_KIND};
    static const enum quo_status kept[] = {QUO_BUSY, QUO_DISK_FULL, QUO_SKEW, QUO_CORRUPT};
    uint64_t id;
    hinted_up(&s, PEER_THIRD);
    for (size_t i = 0; i < QUO_COUNT(done); i++) {
        hinted_keep(&s, THIRD, "a", i + 1);
        hinted_pass(&s, QUO_HINT_PAUSE_MS * 1000);
        hinted_expect(&s, PEER_THIRD, "a", i + 1, &id);
        hinted_answer(&s, PEER_THIRD, id, done[i]);
        assert_int_equal(hinted_stored(&s), 0);
        assert_int_equal(hinted_of(&s, THIRD).count, 0);
    }
    assert_int_equal(hinted_of(&s, THIRD).delivered, 2);
    assert_int_equal(hinted_of(&s, THIRD).useless, 3);
    hinted_keep(&s, THIRD, "b", 9);
    for (size_t i = 0; i < QUO_COUNT(kept); i++) {
        hinted_wait(&s);
        hinted_expect(&s, PEER_THIRD, "b", 9, &id);
        hinted_answer(&s, PEER_THIRD, id, kept[i]);
        assert_int_equal(hinted_stored(&s), 1);
        hinted_pass(&s, QUO_HINT_PAUSE_MS * 1000 - 2000);
        assert_null(hinted_next(&s));
    }
}

static void silence_and_cut_links_lose_nothing(void **state)
{
    (void)state;
    uint64_t first, second;
    hinted_keep(&s, THIRD, "a", 5);
    hinted_up(&s, PEER_THIRD);
    hinted_expect(&s, PEER_THIRD, "a", 5, &first);
    hinted_pass(&s, (QUO_HINT_TIMEOUT_MS + QUO_HINT_PAUSE_MS) * 1000);
    hinted_expect(&s, PEER_THIRD, "a", 5, &second);
    assert_int_not_equal(first, second);
    /* The answer to what was given up counts no more. */
    hinted_answer(&s, PEER_THIRD, first, QUO_OK);
    assert_int_equal(hinted_stored(&s), 1);
    hinted_down(&s, PEER_THIRD);
    hinted_answer(&s, PEER_THIRD, second, QUO_OK);
    assert_int_equal(hinted_stored(&s), 1);
    hinted_pass(&s, 60000000);
    assert_null(hinted_next(&s));
    hinted_up(&s, PEER_THIRD);
    hinted_expect(&s, PEER_THIRD, "a", 5, &first);
    hinted_answer(&s, PEER_THIRD, first, QUO_OK);
    assert_int_equal(hinted_stored(&s), 0);
    /* Nor does it matter if nothing can be sent. */
    hinted_keep(&s, THIRD, "a", 6);
    s.refuse = true;
    hinted_pass(&s, 10000000);
    s.refuse = false;
    hinted_wait(&s);
    hinted_expect(&s, PEER_THIRD, "a", 6, &first);
}

static void the_oldest_goes_first_and_so_many_at_once(void **state)
{
    (void)state;
    enum { COUNT = 2 * QUO_HINT_BATCH_MAX + 10 };
    static uint64_t ids[COUNT];
    char key[16];
    for (uint64_t n = COUNT; n > 0; n--) {
        snprintf(key, sizeof key, "k%u", (unsigned)n % 7);
        hinted_keep(&s, THIRD, key, n);
    }
    hinted_up(&s, PEER_THIRD);
    for (uint64_t n = 1; n <= COUNT; n++) {
        assert_true(s.count - s.first <= QUO_HINT_WINDOW);
        snprintf(key, sizeof key, "k%u", (unsigned)n % 7);
        if (s.first == s.count)
            hinted_pass(&s, QUO_HINT_PAUSE_MS * 1000);
        hinted_expect(&s, PEER_THIRD, key, n, &ids[n - 1]);
        hinted_answer(&s, PEER_THIRD, ids[n - 1], QUO_OK);
    }
    assert_int_equal(hinted_stored(&s), 0);
    assert_int_equal(hinted_of(&s, THIRD).count, 0);
    assert_int_equal(s.count, COUNT);
}

static void a_target_that_takes_nothing_is_left_alone(void **state)
{
    (void)state;
    uint64_t ids[3];
    for (uint64_t n = 1; n <= QUO_HINT_WINDOW + 8; n++)
        hinted_keep(&s, THIRD, "k", n);
    hinted_up(&s, PEER_THIRD);
    assert_int_equal(s.count, QUO_HINT_WINDOW);
    for (uint64_t i = 0; i < 3; i++)
        hinted_expect(&s, PEER_THIRD, "k", i + 1, &ids[i]);
    hinted_answer(&s, PEER_THIRD, ids[0], QUO_BUSY);
    /* Nothing new is sent; what is under way counts all the same. */
    hinted_answer(&s, PEER_THIRD, ids[1], QUO_OK);
    assert_int_equal(s.count, QUO_HINT_WINDOW);
    assert_int_equal(hinted_stored(&s), QUO_HINT_WINDOW + 7);
    /* The next round begins with the oldest. */
    s.first = s.count;
    hinted_pass(&s, (QUO_HINT_TIMEOUT_MS + QUO_HINT_PAUSE_MS) * 1000);
    hinted_expect(&s, PEER_THIRD, "k", 1, &ids[0]);
    hinted_expect(&s, PEER_THIRD, "k", 3, &ids[2]);
}

static void others_do_not_wait_for_a_silent_target(void **state)
{
    (void)state;
    uint64_t id;
    hinted_keep(&s, SECOND, "a", 1);
    hinted_keep(&s, THIRD, "b", 2);
    hinted_up(&s, PEER_SECOND);
    hinted_expect(&s, PEER_SECOND, "a", 1, &id);
    hinted_up(&s, PEER_THIRD);
    hinted_expect(&s, PEER_THIRD, "b", 2, &id);
    hinted_answer(&s, PEER_THIRD, id, QUO_OK);
    assert_int_equal(hinted_stored(&s), 1);
    assert_int_equal(hinted_of(&s, SECOND).count, 1);
}

static void reopen(void)
{
    quo_server_drain(s.h.server);
    settle(&s.h);
    quo_server_free(s.h.server);
    s.h.server = NULL;
}

static void the_next_life_counts_what_is_there(void **state)
{
    (void)state;
    char why[200];
    uint64_t id;
    for (uint64_t n = 1; n <= 10; n++)
        hinted_keep(&s, n <= 7 ? THIRD : SECOND, "k", n);
    struct quo_server_hints before = hinted_of(&s, THIRD);
    reopen();
    assert_int_equal(server_open(&s.h, why, sizeof why), QUO_OK);
    while (!quo_server_serving(s.h.server))
        run_tasks(&s.h);
    /* Not before all are counted. */
    id = hinted_try(&s, THIRD, "k", 11);
    expect(&s.h, id, QUO_BUSY);
    turn(&s.h);
    settle(&s.h);
    struct quo_server_hints after = hinted_of(&s, THIRD);
    assert_int_equal(after.count, 7);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(after.oldest_ms, START_MS);
    assert_int_equal(hinted_of(&s, SECOND).count, 3);
    hinted_keep(&s, THIRD, "k", 11);
    hinted_up(&s, PEER_THIRD);
    for (uint64_t n = 1; n <= 11; n += n == 7 ? 4 : 1) {
        hinted_expect(&s, PEER_THIRD, "k", n, &id);
        hinted_answer(&s, PEER_THIRD, id, QUO_OK);
    }
    assert_int_equal(hinted_stored(&s), 3);
    assert_int_equal(hinted_of(&s, THIRD).delivered, 8);
    hinted_up(&s, PEER_SECOND);
    for (uint64_t n = 8; n <= 10; n++) {
        hinted_expect(&s, PEER_SECOND, "k", n, &id);
        hinted_answer(&s, PEER_SECOND, id, QUO_OK);
    }
    /* None was taken for it in this life. */
    assert_int_equal(hinted_of(&s, SECOND).delivered, 3);
}

static void a_node_that_is_no_more_gets_no_hints(void **state)
{
    (void)state;
    hinted_keep(&s, SECOND, "k", 1);
    hinted_keep(&s, THIRD, "k", 2);
    reopen();
    s.h.map->node_count = PEER_THIRD;
    harness_open(&s.h);
    turn(&s.h);
    settle(&s.h);
    assert_int_equal(hinted_stored(&s), 1);
    assert_int_equal(hinted_of(&s, SECOND).count, 1);
    expect(&s.h, hinted_try(&s, THIRD, "k", 3), QUO_NOT_REPLICA);
}

static void what_is_wrong_is_refused(void **state)
{
    (void)state;
    struct quo_slice value = quo_slice_of("value");
    static uint8_t large[VALUE_MAX_OF_LWW + 1];
    expect(&s.h, hinted_try(&s, SELF, "k", 1), QUO_MALFORMED);
    expect(&s.h, hinted_try(&s, STRANGER, "k", 1), QUO_NOT_REPLICA);
    expect(&s.h, hinted_send(&s, THIRD, NS_LWW, 0, "k", 1, value), QUO_MALFORMED);
    expect(&s.h, hinted_send(&s, THIRD, NS_CAS, QUO_RECORD_BLIND, "k", 1, value), QUO_BAD_KIND);
    expect(&s.h, hinted_send(&s, THIRD, 77, QUO_RECORD_BLIND, "k", 1, value), QUO_BAD_KIND);
    expect(&s.h,
           hinted_send(&s, THIRD, NS_LWW, QUO_RECORD_BLIND, "k", 1, quo_slice(large, sizeof large)),
           QUO_MALFORMED);
    expect(&s.h, hinted_try(&s, THIRD, "k", (QUO_SKEW_MAX_MS + 1) << 16), QUO_SKEW);
    s.h.partition = PARTITIONS;
    expect(&s.h, hinted_try(&s, THIRD, "k", 1), QUO_MALFORMED);
    s.h.partition = 3;
    send_frame(&s.h, QUO_MESSAGE_HINT, "short", 5);
    expect(&s.h, s.h.last_id, QUO_MALFORMED);
    assert_int_equal(hinted_stored(&s), 0);
    assert_int_equal(STAT(&s.h, hints), 9);
    quo_server_drain(s.h.server);
    expect(&s.h, hinted_try(&s, THIRD, "k", 1), QUO_READ_ONLY);
}

static void of_every_blind_kind_they_are_taken(void **state)
{
    (void)state;
    static const uint32_t spaces[] = {NS_LWW, NS_CRDT, NS_MIXED};
    uint64_t id;
    for (size_t i = 0; i < QUO_COUNT(spaces); i++) {
        id = hinted_send(&s, THIRD, spaces[i], QUO_RECORD_BLIND, "k", i + 1, quo_slice_of("value"));
        settle(&s.h);
        expect(&s.h, id, QUO_OK);
    }
    id = hinted_send(&s, THIRD, NS_MIXED, QUO_RECORD_BLIND | QUO_RECORD_TOMBSTONE, "gone", 9,
                     quo_slice(NULL, 0));
    settle(&s.h);
    expect(&s.h, id, QUO_OK);
}

static void epochs_are_kept(void **state)
{
    (void)state;
    uint64_t id;
    /* One that we are not in ourselves is learned all the same. */
    s.h.entry = entry_of(3, SECOND, THIRD, STRANGER);
    hinted_keep(&s, THIRD, "k", 1);
    hinted_keep(&s, STRANGER, "k", 2);
    s.h.entry = entry_of(2, SELF, SECOND, THIRD);
    id = hinted_try(&s, THIRD, "k", 3);
    const struct quo_msg_reply *reply = expect(&s.h, id, QUO_WRONG_EPOCH);
    struct quo_entry mine;
    assert_int_equal(quo_entry_decode(reply->entry, &mine), QUO_OK);
    assert_int_equal(mine.epoch, 3);
    s.h.entry = entry_of(5, SELF, SECOND, STRANGER);
    id = hinted_try(&s, THIRD, "k", 4);
    settle(&s.h);
    expect(&s.h, id, QUO_NOT_REPLICA);
}

static void they_are_delivered_under_the_entry_of_now(void **state)
{
    (void)state;
    uint64_t id;
    struct quo_entry carried;
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];
    hinted_keep(&s, SECOND, "k", 1);
    hinted_keep(&s, THIRD, "k", 2);
    /* A request brings a newer entry, which leaves the third out. */
    s.h.entry = entry_of(3, SELF, SECOND, STRANGER);
    query(&s.h, "k");
    settle(&s.h);
    hinted_up(&s, PEER_THIRD);
    assert_null(hinted_next(&s));
    assert_int_equal(hinted_of(&s, THIRD).useless, 1);
    assert_int_equal(hinted_stored(&s), 1);
    hinted_up(&s, PEER_SECOND);
    hinted_expect(&s, PEER_SECOND, "k", 1, &id);
    assert_int_equal(quo_entry_decode(s.stores[0].store.entry, &carried), QUO_OK);
    assert_int_equal(carried.epoch, 3);
    /* The target knows of a newer one still. */
    struct quo_entry newer = entry_of(4, SELF, SECOND, STRANGER);
    quo_entry_encode(&newer, bytes);
    struct quo_msg_reply reply = {.status = QUO_WRONG_EPOCH,
                                  .entry = quo_slice(bytes, quo_entry_size(&newer))};
    hinted_answer_with(&s, PEER_SECOND, id, &reply);
    assert_int_equal(hinted_stored(&s), 1);
    hinted_pass(&s, QUO_HINT_PAUSE_MS * 1000);
    hinted_expect(&s, PEER_SECOND, "k", 1, &id);
    assert_int_equal(quo_entry_decode(s.stores[1].store.entry, &carried), QUO_OK);
    assert_int_equal(carried.epoch, 4);
    hinted_answer(&s, PEER_SECOND, id, QUO_OK);
    assert_int_equal(hinted_stored(&s), 0);
}

static void they_expire(void **state)
{
    (void)state;
    uint64_t id;
    hinted_keep(&s, THIRD, "k", 1);
    hinted_pass(&s, QUO_HINT_TTL_MS / 2 * UINT64_C(1000));
    hinted_keep(&s, THIRD, "k", UINT64_C(1) * QUO_HINT_TTL_MS / 2 << 16);
    hinted_pass(&s, QUO_HINT_TTL_MS / 2 * UINT64_C(1000));
    assert_int_equal(hinted_stored(&s), 2);
    hinted_pass(&s, 5000);
    assert_int_equal(hinted_stored(&s), 1);
    assert_int_equal(hinted_of(&s, THIRD).expired, 1);
    assert_int_equal(hinted_of(&s, THIRD).count, 1);
    hinted_pass(&s, QUO_HINT_TTL_MS / 4 * UINT64_C(1000));
    assert_int_equal(hinted_of(&s, THIRD).oldest_ms, START_MS + QUO_HINT_TTL_MS / 2);
    assert_null(hinted_next(&s));
    /* Nor is one taken that old. */
    expect(&s.h, hinted_try(&s, THIRD, "k", 2), QUO_NACK);
    assert_int_equal(hinted_of(&s, THIRD).refused, 1);
    hinted_up(&s, PEER_THIRD);
    hinted_expect(&s, PEER_THIRD, "k", UINT64_C(1) * QUO_HINT_TTL_MS / 2 << 16, &id);
}

static void a_failed_commit_takes_them_back(void **state)
{
    (void)state;
    hinted_keep(&s, THIRD, "k", 1);
    uint64_t bytes = hinted_of(&s, THIRD).bytes;
    quo_store_memory_faults(s.h.store)->commit_in = 1;
    quo_store_memory_faults(s.h.store)->commit_status = QUO_DISK_FULL;
    uint64_t id = hinted_try(&s, THIRD, "k", 2);
    settle(&s.h);
    expect(&s.h, id, QUO_DISK_FULL);
    assert_int_equal(hinted_of(&s, THIRD).count, 1);
    assert_int_equal(hinted_of(&s, THIRD).bytes, bytes);
    /* Likewise what was to be deleted stays. */
    hinted_up(&s, PEER_THIRD);
    hinted_pass(&s, 1100000);
    hinted_expect(&s, PEER_THIRD, "k", 1, &id);
    quo_store_memory_faults(s.h.store)->commit_in = 1;
    hinted_answer(&s, PEER_THIRD, id, QUO_OK);
    assert_int_equal(hinted_of(&s, THIRD).count, 1);
    assert_int_equal(hinted_stored(&s), 1);
    hinted_pass(&s, 3000000);
    hinted_expect(&s, PEER_THIRD, "k", 1, &id);
    hinted_answer(&s, PEER_THIRD, id, QUO_OK);
    assert_int_equal(hinted_of(&s, THIRD).count, 0);
}

static void one_that_comes_twice_is_counted_out(void **state)
{
    (void)state;
    uint64_t id;
    hinted_keep(&s, THIRD, "k", 1);
    hinted_keep(&s, THIRD, "k", 1);
    assert_int_equal(hinted_stored(&s), 1);
    hinted_up(&s, PEER_THIRD);
    hinted_expect(&s, PEER_THIRD, "k", 1, &id);
    hinted_answer(&s, PEER_THIRD, id, QUO_OK);
    hinted_pass(&s, 2000000);
    assert_null(hinted_next(&s));
    assert_int_equal(hinted_of(&s, THIRD).count, 0);
    assert_int_equal(hinted_of(&s, THIRD).bytes, 0);
}

static void the_rate_is_kept(void **state)
{
    (void)state;
    enum { COUNT = 250 };
    static char value[99000];
    uint64_t began_us, id;
    for (uint64_t n = 1; n <= COUNT; n++) {
        id = hinted_send(&s, THIRD, NS_MIXED, QUO_RECORD_BLIND, "k", n,
                         quo_slice(value, sizeof value));
        settle(&s.h);
        expect(&s.h, id, QUO_OK);
    }
    hinted_pass(&s, 10000000);
    began_us = s.h.mono_us;
    hinted_up(&s, PEER_THIRD);
    for (uint64_t n = 1; n <= COUNT;) {
        if (s.first == s.count) {
            hinted_pass(&s, 1000);
            continue;
        }
        hinted_expect(&s, PEER_THIRD, "k", n++, &id);
        hinted_answer(&s, PEER_THIRD, id, QUO_OK);
    }
    double seconds = (double)(s.h.mono_us - began_us) / 1e6;
    double least = (double)(COUNT * sizeof value - QUO_HINT_RATE) / QUO_HINT_RATE;
    assert_true(seconds > least - 0.1 && seconds < 2 * least + 1);
}

static void without_a_mesh_there_are_none(void **state)
{
    (void)state;
    static struct hinted alone;
    hinted_prepare(&alone);
    alone.h.mesh = NULL;
    harness_open(&alone.h);
    expect(&alone.h, hinted_try(&alone, THIRD, "k", 1), QUO_BUSY);
    struct quo_server_hints hints[QUO_NODES_MAX];
    assert_int_equal(quo_server_hints(alone.h.server, hints), 0);
    assert_int_equal(quo_server_hints_drained(alone.h.server), 0);
    hinted_stop(&alone);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_hint_waits_for_its_target),
        TEST(answers_decide_what_becomes_of_it),
        TEST(silence_and_cut_links_lose_nothing),
        TEST(the_oldest_goes_first_and_so_many_at_once),
        TEST(a_target_that_takes_nothing_is_left_alone),
        TEST(others_do_not_wait_for_a_silent_target),
        TEST(the_next_life_counts_what_is_there),
        TEST(a_node_that_is_no_more_gets_no_hints),
        TEST(what_is_wrong_is_refused),
        TEST(of_every_blind_kind_they_are_taken),
        TEST(epochs_are_kept),
        TEST(they_are_delivered_under_the_entry_of_now),
        TEST(they_expire),
        TEST(a_failed_commit_takes_them_back),
        TEST(one_that_comes_twice_is_counted_out),
        TEST(the_rate_is_kept),
        TEST(without_a_mesh_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
