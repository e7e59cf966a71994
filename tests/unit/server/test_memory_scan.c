/* Every allocation of a SCAN fails once: it is refused as busy, nothing leaks, and the next one is
 * answered. Linked with --wrap for the allocator. */
#include <stdio.h>

#include "quorate/scan.h"
#include "tests/unit/server/harness.h"

static uint64_t fail_in; /* the call that fails, counting from now; 0: none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return fail_in > 0 && --fail_in == 0 ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return fail_in > 0 && --fail_in == 0 ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *old, size_t size)
{
    return fail_in > 0 && --fail_in == 0 ? NULL : __real_realloc(old, size);
}

static struct harness h;
static int pages;

/* What the test itself allocates is spared. */
static enum quo_status reserve(struct quo_transport *transport, uint64_t peer, size_t body_len,
                               uint8_t **ret_body)
{
    const uint64_t saved = fail_in;

    fail_in = 0;
    enum quo_status status = harness_reserve(transport, peer, body_len, ret_body);
    fail_in = saved;
    return status;
}
static void seal(struct quo_transport *transport, uint64_t peer, uint8_t type, uint64_t id)
{
    const uint64_t saved = fail_in;

    fail_in = 0;
    if (type == QUO_MESSAGE_SCANNED) {
        free(h.reserved);
        h.reserved = NULL;
        pages++;
    } else {
        harness_seal(transport, peer, type, id);
    }
    fail_in = saved;
}
static const struct quo_transport_ops ops = {reserve, seal};

static uint64_t scan(uint64_t countdown)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX], body[256];
    const struct quo_msg_scan message = {
        .partition = h.partition,
        .ns = NS_LWW,
        .kind = QUO_KIND_LWW,
        .entry = quo_slice(entry, quo_entry_size(&h.entry)),
        .value_max = 1000,
        .count_max = 100,
    };
    const struct quo_frame frame = {QUO_MESSAGE_SCAN, ++h.last_id,
                                    quo_slice(body, quo_msg_scan_size(&message))};

    quo_entry_encode(&h.entry, entry);
    quo_msg_scan_encode(&message, body);
    fail_in = countdown;
    h.transport.events->on_frame(h.transport.receiver, 77, &frame);
    for (int i = 0; i < 4; i++)
        turn(&h);
    return h.last_id;
}

static void each_allocation_fails_once(void **state)
{
    char key[16];
    bool struck = true;
    uint64_t countdown;

    (void)state;
    harness_prepare(&h);
    h.transport.ops = &ops;
    harness_open(&h);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "key %d", i);
        put_value(&h, NS_LWW, key, 1, QUO_STORE_SYNC, quo_slice(h.map, 500));
    }
    settle(&h);
    for (countdown = 1; struck; countdown++) {
        const int before = pages;
        const uint64_t id = scan(countdown);
        struck = fail_in == 0;
        fail_in = 0;
        if (pages == before)
            expect(&h, id, QUO_BUSY);
        assert_true(struck || pages > before);
        assert_true(quo_server_idle(h.server));
        scan(0);
        assert_int_equal(pages, before + (struck ? 1 : 2));
    }
    assert_in_range(countdown, 4, 100);
    harness_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_fails_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
