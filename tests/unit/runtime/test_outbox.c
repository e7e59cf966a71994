/* Frames on their way out: nothing lost or reordered between the two buffers, and memory given
 * back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/runtime/link.h"
#include "api/runtime/outbox.h"
#include "quorate/limits.h"
#include "quorate/rpc.h"

static void put(struct quo_outbox *outbox, uint64_t id, size_t body_len)
{
    uint8_t *body = quo_outbox_reserve(outbox, body_len);
    assert_non_null(body);
    memset(body, (int)(uint8_t)id, body_len);
    quo_outbox_seal(outbox, QUO_MESSAGE_QUERY, id);
}

/* What left, put together again. */
struct wire {
    uint8_t bytes[1 << 20];
    size_t size;
    size_t taken;
    uint64_t next_id;
};

/* Lets at most `len` bytes leave. Returns false when there were none. */
static bool leave(struct quo_outbox *outbox, struct wire *wire, size_t len)
{
    struct quo_slice next = quo_outbox_next(outbox, len);
    if (next.len == 0)
        return false;
    assert_true(next.len <= len && wire->size + next.len <= sizeof wire->bytes);
    memcpy(wire->bytes + wire->size, next.data, next.len);
    wire->size += next.len;
    quo_outbox_written(outbox, next.len);
    return true;
}

static void take_frames(struct wire *wire)
{
    struct quo_frame frame;
    size_t size;
    while (wire->taken < wire->size &&
           quo_frame_next(quo_slice(wire->bytes + wire->taken, wire->size - wire->taken), &frame,
                          &size) == QUO_OK) {
        assert_int_equal(frame.id, wire->next_id++);
        for (size_t i = 0; i < frame.body.len; i++)
            assert_int_equal(frame.body.data[i], (uint8_t)frame.id);
        wire->taken += size;
    }
}

static void frames_leave_whole_and_in_order(void **state)
{
    (void)state;
    static struct wire wire;
    struct quo_outbox outbox = {0};
    uint64_t put_ids = 0, dice = 12345;
    while (put_ids < 2000) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        if (dice >> 63)
            put(&outbox, put_ids++, (dice >> 40) % 400);
        else
            leave(&outbox, &wire, 1 + (dice >> 40) % 1000);
    }
    while (leave(&outbox, &wire, 777))
        continue;
    take_frames(&wire);
    assert_int_equal(wire.next_id, put_ids);
    assert_int_equal(wire.taken, wire.size);
    assert_int_equal(quo_outbox_size(&outbox), 0);
    quo_outbox_reset(&outbox);
}

static void what_is_being_written_stays_in_place(void **state)
{
    (void)state;
    struct quo_outbox outbox = {0};
    put(&outbox, 1, 100);
    struct quo_slice next = quo_outbox_next(&outbox, 50);
    uint8_t copy[50];
    memcpy(copy, next.data, next.len);
    for (uint64_t id = 2; id < 5000; id++)
        put(&outbox, id, 100);
    assert_memory_equal(copy, next.data, next.len);
    assert_ptr_equal(quo_outbox_next(&outbox, 50).data, next.data);
    quo_outbox_written(&outbox, 20);
    assert_ptr_equal(quo_outbox_next(&outbox, 50).data, next.data + 20);
    assert_int_equal(quo_outbox_size(&outbox), 4999 * (QUO_FRAME_HEADER + 100) - 20);
    quo_outbox_reset(&outbox);
    assert_int_equal(quo_outbox_size(&outbox), 0);
}

static size_t memory_of(const struct quo_outbox *outbox)
{
    return outbox->filling.capacity + outbox->flying.capacity;
}

static void cycle(struct quo_outbox *outbox, size_t body_len)
{
    put(outbox, 1, body_len);
    struct quo_slice next = quo_outbox_next(outbox, SIZE_MAX);
    quo_outbox_written(outbox, next.len);
}

static void memory_of_a_burst_is_given_back(void **state)
{
    (void)state;
    struct quo_outbox outbox = {0};
    cycle(&outbox, QUO_FRAME_BODY_MAX);
    cycle(&outbox, QUO_FRAME_BODY_MAX);
    assert_true(memory_of(&outbox) >= 2 * QUO_FRAME_BODY_MAX);
    /* Not at once: the next burst may come soon. */
    cycle(&outbox, 100);
    assert_true(memory_of(&outbox) >= 2 * QUO_FRAME_BODY_MAX);
    for (int i = 0; i < 100; i++)
        cycle(&outbox, 100);
    assert_in_range(memory_of(&outbox), 1, 128 * 1024);
    /* A load that needs the memory keeps it. */
    for (int i = 0; i < 100; i++)
        cycle(&outbox, 200 * 1024);
    const uint8_t *data = outbox.filling.data;
    cycle(&outbox, 200 * 1024);
    cycle(&outbox, 200 * 1024);
    assert_ptr_equal(outbox.filling.data, data);
    quo_outbox_reset(&outbox);
    assert_int_equal(memory_of(&outbox), 0);
}

/* What is not answered must not count as waiting for an answer, or links fill up. */
static void only_what_is_answered_is_a_request(void **state)
{
    (void)state;
    assert_true(quo_link_is_request(QUO_MESSAGE_QUERY) && quo_link_is_request(QUO_MESSAGE_FRESH) &&
                quo_link_is_request(QUO_MESSAGE_FORWARD));
    assert_false(quo_link_is_request(QUO_MESSAGE_EQUAL) || quo_link_is_request(QUO_MESSAGE_REPLY) ||
                 quo_link_is_request(QUO_MESSAGE_HELLO));
    assert_true(quo_link_is_reply(QUO_MESSAGE_FRESHNESS) &&
                quo_link_is_reply(QUO_MESSAGE_FORWARDED));
    assert_false(quo_link_is_reply(QUO_MESSAGE_FORWARD) || quo_link_is_reply(QUO_MESSAGE_EQUAL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_answered_is_a_request),
        cmocka_unit_test(frames_leave_whole_and_in_order),
        cmocka_unit_test(what_is_being_written_stays_in_place),
        cmocka_unit_test(memory_of_a_burst_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
