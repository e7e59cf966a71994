/* Every allocation of a scan and of a listing fails once: it is refused, fails or is shorter than
 * it could be, never wrong; nothing leaks, nobody is answered twice, and afterwards everything
 * works. Linked with --wrap for the allocator.
 */
#include <stdio.h>

#include "proxy/service/list.h"
#include "tests/unit/service/scan_nodes.h"

static uint64_t fail_in; /* the call that fails, counting from now; 0: none */
static uint64_t armed;   /* fail_in, while the service does not run */
static bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool strikes(void)
{
    if (fail_in == 0 || --fail_in > 0)
        return false;
    failed = true;
    return true;
}
void *__wrap_malloc(size_t size)
{
    return strikes() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return strikes() ? NULL : __real_calloc(count, size);
}

enum { LWW = 1, PARTITIONS = 8, KEYS = 60, LIMIT = 40 };

static struct scan_world w;
static struct scan_result result;

/* The fake transport's own allocations are spared, and those of the nodes. */
static enum quo_status sparing_reserve(struct quo_transport *t, uint64_t peer, size_t body_len,
                                       uint8_t **ret_body)
{
    const uint64_t saved = fail_in;

    fail_in = 0;
    enum quo_status status = fake_reserve(t, peer, body_len, ret_body);
    fail_in = saved;
    return status;
}
static const struct quo_transport_ops sparing_ops = {sparing_reserve, fake_seal};

static const struct quo_transport_events *real_events;
static void arming_on_frame(void *receiver, uint64_t peer, const struct quo_frame *frame)
{
    fail_in = armed;
    real_events->on_frame(receiver, peer, frame);
    armed = fail_in;
    fail_in = 0;
}

static void set_up(uint32_t partitions)
{
    static struct quo_transport_events events;
    char key[16];

    scan_world_init_of(&w, partitions);
    real_events = w.f.transport.events;
    events = *real_events;
    events.on_frame = arming_on_frame;
    w.f.transport.events = &events;
    w.f.transport.ops = &sparing_ops;
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key %02d", i % 100);
        for (int node = 0; node < 3; node++)
            scan_put(&w.nodes[node], LWW, key, i % 9 == 0 && node > 0 ? 20 : 10, "value", 0);
    }
    for (int node = 0; node < 3; node++)
        w.nodes[node].page_max = 15;
    memset(&result, 0, sizeof result);
}

static void tear_down(void)
{
    scan_serve(&w);
    assert_int_equal(quo_service_in_flight(w.f.service), 0);
    fake_stop(&w.f);
}

/* Starts what `begin` starts with the k-th allocation failing, for each k until none fails. */
static void fail_each(uint32_t partitions, enum quo_status (*begin)(void), void (*check)(void))
{
    failed = true;
    for (uint64_t k = 1; failed; k++) {
        assert_true(k < 10000);
        set_up(partitions);
        failed = false;
        fail_in = k;
        enum quo_status status = begin();
        armed = fail_in;
        fail_in = 0;
        scan_serve(&w);
        armed = 0;
        assert_int_equal(result.calls, status == QUO_OK ? 1 : 0);
        if (status != QUO_OK) {
            assert_true(failed);
            assert_int_equal(status, QUO_NO_MEMORY);
        } else if (result.verdict != QUO_VERDICT_FOUND) {
            assert_true(failed);
            assert_int_equal(result.verdict, QUO_VERDICT_REFUSED);
            assert_int_equal(result.refusal, QUO_NO_MEMORY);
        } else {
            check();
        }
        /* Memory is back. */
        memset(&result, 0, sizeof result);
        assert_int_equal(begin(), QUO_OK);
        scan_serve(&w);
        assert_int_equal(result.calls, 1);
        assert_int_equal(result.verdict, QUO_VERDICT_FOUND);
        assert_int_equal(result.count, LIMIT);
        tear_down();
    }
}

static enum quo_status begin_scan(void)
{
    const struct quo_scan_request request = scan_request(&w, "", LIMIT);
    quo_ticket ticket;

    return quo_service_scan(w.f.service, &request, scan_on_answer, &result, &ticket);
}

/* Without a gap from the first key to where it ends. */
static void check_scan(void)
{
    char key[16];

    assert_true(result.more);
    for (uint32_t i = 0; i < result.count; i++) {
        snprintf(key, sizeof key, "key %02u", (unsigned)(i % 100));
        assert_string_equal(result.items[i].key, key);
        assert_string_equal(result.items[i].value, "value");
    }
    if (result.count > 0)
        assert_memory_equal(result.upto, key, result.upto_len);
}

static void scans_do_without(void **state)
{
    (void)state;
    fail_each(1, begin_scan, check_scan);
}

static void on_list(void *context, const struct quo_list_answer *answer)
{
    (void)context;
    result.calls++;
    result.verdict = answer->verdict;
    result.refusal = answer->refusal;
    result.count = answer->count;
    result.more = answer->more;
    for (uint32_t i = 1; i < answer->count; i++) {
        const struct quo_slice a = answer->keys[i - 1].key, b = answer->keys[i].key;
        const uint16_t pa = quo_map_partition(&w.f.map, LWW, a);
        const uint16_t pb = quo_map_partition(&w.f.map, LWW, b);
        assert_true(pa < pb || (pa == pb && quo_scan_key_compare(a, b) < 0));
    }
}

static enum quo_status begin_list(void)
{
    const struct quo_scan_request scan = scan_request(&w, "", 1);
    const struct quo_list_request request = {
        .ns = scan.ns, .limit = LIMIT, .consistency = scan.consistency};
    struct quo_job *job;

    return quo_service_list(w.f.service, &request, on_list, NULL, &job);
}

static void check_list(void)
{
    assert_true(result.more);
    assert_true(result.count <= LIMIT);
}

static void listings_do_without(void **state)
{
    (void)state;
    fail_each(PARTITIONS, begin_list, check_list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scans_do_without),
        cmocka_unit_test(listings_do_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
