/* Every allocation of the server fails once: a request may be refused then or its answer be lost,
 * but nothing is acked that is not held, nothing leaks and afterwards everything works. Linked with
 * --wrap for the allocator. */
#include "storage-node/server/trees.h"
#include "tests/unit/server/hinted.h"

static uint64_t fail_in; /* the call that fails, counting from now; 0: none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool strikes(void)
{
    return fail_in > 0 && --fail_in == 0;
}
void *__wrap_malloc(size_t size)
{
    return strikes() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return strikes() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *old, size_t size)
{
    return strikes() ? NULL : __real_realloc(old, size);
}

/* The harness allocates too, and must not fail: its calls come between the server's. */
static struct quo_transport_ops sparing_ops;
static enum quo_status sparing_reserve(struct quo_transport *t, uint64_t peer, size_t body_len,
                                       uint8_t **ret_body)
{
    uint64_t saved = fail_in;
    fail_in = 0;
    enum quo_status status = harness_reserve(t, peer, body_len, ret_body);
    fail_in = saved;
    return status;
}
static void sparing_seal(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id)
{
    uint64_t saved = fail_in;
    fail_in = 0;
    harness_seal(t, peer, type, id);
    fail_in = saved;
}

static void (*real_on_frame)(void *, uint64_t, const struct quo_frame *);
static uint64_t armed;
static void arming_on_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    fail_in = armed;
    real_on_frame(receiver, peer, frame);
    armed = fail_in;
    fail_in = 0;
}

static void armed_turn(struct harness *h)
{
    fail_in = armed;
    turn(h);
    armed = fail_in;
    fail_in = 0;
}

/* A bit of everything: loads, waiting writes, groups behind groups, adoptions, held reads and
 * promises. Writes the ids of what is on disk if it is answered so: three STOREs, an ACC, two
 * PREPs. */
static void exercise(struct harness *h, uint64_t ids[6])
{
    quo_store_memory_faults(h->store)->get_would_block = true;
    query(h, "cold");
    ids[0] = put_synced(h, "cold", 6);
    put(h, "cold", 7, 0);
    armed_turn(h);
    prep(h, "cold", 6);
    armed_turn(h);
    quo_store_memory_faults(h->store)->get_would_block = false;
    ids[1] = put_synced(h, "a", 1);
    armed_turn(h);
    prep(h, "cold", 9); /* the first of its group, with a record to show */
    ids[3] = acc_value(h, NS_CAS, "p", 3, 4, quo_slice_of("x"));
    ids[4] = prep(h, "p", 8); /* waits for the record, and shows it */
    for (int i = 0; i < 3; i++)
        armed_turn(h);
    h->entry.epoch = 2;
    query(h, "a");
    ids[2] = put_synced(h, "b", 2);
    put_synced(h, "b", 1);
    ids[5] = prep(h, "q", 9);
    for (int i = 0; i < 6; i++)
        armed_turn(h);
}

/* What was acked as durable is there, and the server works. */
static void check_after(struct harness *h, const uint64_t ids[6], bool struck)
{
    static const struct {
        uint32_t ns;
        const char *key;
        uint64_t n, promised;
    } sent[6] = {{NS_LWW, "cold", 6, 0}, {NS_LWW, "a", 1, 0}, {NS_LWW, "b", 2, 0},
                 {NS_CAS, "p", 3, 4},    {NS_CAS, "p", 0, 8}, {NS_CAS, "q", 0, 9}};
    /* The engine takes a lack of memory for a full disk; the epoch may have been lost with it. */
    settle(h);
    h->mono_us += 1000000;
    uint64_t last = put_synced(h, "last", 1);
    settle(h);
    expect_version(h, last, QUO_OK, 1, true);
    for (size_t i = 0; i < QUO_COUNT(sent); i++) {
        const struct quo_msg_reply *reply = reply_to(h, ids[i]);
        bool durable = reply != NULL && (reply->flags & QUO_REPLY_DURABLE) != 0;
        assert_true(durable || struck);
        if (!durable)
            continue;
        const struct quo_msg_reply *shown = reply_to(h, query_of(h, sent[i].ns, sent[i].key, 0));
        assert_true(shown->version.hlc >= (sent[i].n == 0 ? 0 : HLC(sent[i].n)));
        assert_true(shown->promised.hlc >= (sent[i].promised == 0 ? 0 : HLC(sent[i].promised)));
    }
}

static void test_each_allocation_fails_once(void **state)
{
    (void)state;
    sparing_ops = (struct quo_transport_ops){sparing_reserve, sparing_seal};
    bool struck = true;
    uint64_t countdown;
    for (countdown = 1; struck; countdown++) {
        struct harness h;
        harness_prepare(&h);
        h.mesh = harness_empty_mesh();
        harness_open(&h);
        put_synced(&h, "cold", 5);
        acc(&h, "cold", 5);
        settle(&h);
        h.transport.ops = &sparing_ops;
        struct quo_transport_events events = *h.transport.events;
        real_on_frame = events.on_frame;
        events.on_frame = arming_on_frame;
        h.transport.events = &events;
        uint64_t ids[6];
        armed = countdown;
        exercise(&h, ids);
        struck = armed == 0;
        armed = 0;
        check_after(&h, ids, struck);
        rest(&h);
        assert_int_equal(ready_count(&h), PARTITIONS);
        harness_stop(&h);
    }
    assert_in_range(countdown, 20, 1000);
}

static void test_each_allocation_of_the_start_fails_once(void **state)
{
    (void)state;
    for (uint64_t countdown = 1;; countdown++) {
        struct harness h;
        char why[200] = "";
        harness_prepare(&h);
        h.mesh = harness_empty_mesh();
        fail_in = countdown;
        enum quo_status status = server_open(&h, why, sizeof why);
        bool struck = fail_in == 0;
        fail_in = 0;
        if (status == QUO_OK) {
            /* What the engine could not copy makes its commit fail: tried again later. */
            settle(&h);
            h.mono_us += 1000000;
            quo_server_end_turn(h.server);
            settle(&h);
            assert_true(quo_server_serving(h.server));
        } else {
            assert_int_equal(status, QUO_NO_MEMORY);
            assert_true(strlen(why) > 0);
            assert_null(h.server);
        }
        harness_stop(&h);
        if (!struck)
            break;
        assert_true(countdown < 1000);
    }
}

static enum quo_status sparing_mesh_reserve(struct quo_transport *t, uint64_t peer, size_t len,
                                            uint8_t **ret)
{
    uint64_t saved = fail_in;
    fail_in = 0;
    enum quo_status status = hinted_reserve(t, peer, len, ret);
    fail_in = saved;
    return status;
}
static void sparing_mesh_seal(struct quo_transport *t, uint64_t peer, uint8_t type, uint64_t id)
{
    uint64_t saved = fail_in;
    fail_in = 0;
    hinted_seal(t, peer, type, id);
    fail_in = saved;
}

/* Answers all that was sent to the target; notes what that was. */
static void take_hints(struct hinted *s, unsigned *delivered)
{
    const struct hinted_frame *frame;
    while ((frame = hinted_next(s)) != NULL) {
        *delivered |= 1u << (frame->record.version.hlc - HLC(0));
        hinted_answer(s, PEER_THIRD, frame->id, QUO_OK);
    }
}

/* Whether some allocation failed. */
static bool keep_and_deliver(struct hinted *s, uint64_t countdown)
{
    uint64_t ids[4];
    unsigned kept = 0, delivered = 0;
    static const struct quo_transport_ops mesh_ops = {sparing_mesh_reserve, sparing_mesh_seal};
    struct quo_transport_events events = *s->h.transport.events;
    s->h.transport.ops = &sparing_ops;
    s->mesh.ops = &mesh_ops;
    real_on_frame = events.on_frame;
    events.on_frame = arming_on_frame;
    s->h.transport.events = &events;
    armed = countdown;
    for (uint64_t n = 1; n <= 3; n++) {
        ids[n] = hinted_try(s, THIRD, "k", n);
        armed_turn(&s->h);
    }
    for (int i = 0; i < 4; i++)
        armed_turn(&s->h);
    s->mesh.events->on_up(s->mesh.receiver, PEER_THIRD);
    for (int i = 0; i < 4; i++)
        armed_turn(&s->h);
    take_hints(s, &delivered);
    bool struck = armed == 0;
    armed = 0;
    for (int i = 0; i < 10; i++) {
        hinted_pass(s, QUO_HINT_PAUSE_MAX_MS * 1000);
        take_hints(s, &delivered);
    }
    for (uint64_t n = 1; n <= 3; n++) {
        const struct quo_msg_reply *reply = reply_to(&s->h, ids[n]);
        kept |= reply != NULL && reply->status == QUO_OK ? 1u << n : 0;
    }
    assert_int_equal(delivered & kept, kept);
    assert_true(struck || kept == 14);
    assert_int_equal(hinted_stored(s), 0);
    assert_int_equal(hinted_of(s, THIRD).count, 0);
    assert_int_equal(hinted_of(s, THIRD).bytes, 0);
    return struck;
}

static void test_each_allocation_for_hints_fails_once(void **state)
{
    (void)state;
    static struct hinted s;
    bool struck = true;
    uint64_t countdown;
    sparing_ops = (struct quo_transport_ops){sparing_reserve, sparing_seal};
    for (countdown = 1; struck; countdown++) {
        hinted_start(&s);
        struck = keep_and_deliver(&s, countdown);
        hinted_stop(&s);
    }
    assert_in_range(countdown, 5, 1000);
}

static void settle_and_free(struct harness *h, enum quo_status status)
{
    armed = 0;
    if (status != QUO_OK) {
        assert_int_equal(status, QUO_NO_MEMORY);
        return;
    }
    settle(h);
    quo_server_free(h->server);
    h->server = NULL;
}

/* Reading what was left, a scan while writes go on, and leaving the trees. */
static void test_each_allocation_for_trees_fails_once(void **state)
{
    (void)state;
    for (uint64_t countdown = 1;; countdown++) {
        struct harness h;
        char why[200];
        harness_prepare(&h);
        h.mesh = harness_empty_mesh();
        h.transport.ops = &sparing_ops;
        harness_open(&h);
        put_synced(&h, "a", 1);
        settle(&h);
        bool in_order = countdown % 2 == 0;
        if (in_order)
            quo_server_drain(h.server);
        settle(&h);
        quo_server_free(h.server);
        h.server = NULL;
        fail_in = (countdown + 1) / 2;
        enum quo_status status = server_open(&h, why, sizeof why);
        armed = fail_in;
        fail_in = 0;
        if (status == QUO_OK) {
            put_synced(&h, "b", 1);
            for (int i = 0; i < 2 * (int)PARTITIONS; i++) {
                h.mono_us += QUO_REBUILD_PAUSE_US;
                armed_turn(&h);
                put_synced(&h, "c", 2 + (uint64_t)i);
            }
            quo_server_drain(h.server);
            armed_turn(&h);
            armed_turn(&h);
        }
        bool struck = armed == 0;
        settle_and_free(&h, status);
        harness_open(&h);
        rest(&h);
        assert_int_equal(ready_count(&h), PARTITIONS);
        harness_stop(&h);
        if (!struck)
            break;
        assert_true(countdown < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails_once),
        cmocka_unit_test(test_each_allocation_for_hints_fails_once),
        cmocka_unit_test(test_each_allocation_of_the_start_fails_once),
        cmocka_unit_test(test_each_allocation_for_trees_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
