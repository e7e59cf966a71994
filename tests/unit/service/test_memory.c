/* Every allocation of the service fails once: the request is refused or fails, nothing leaks,
 * nobody is answered twice, and afterwards everything works. Linked with --wrap for the allocator.
 */
#include "proxy/service/ops.h"
#include "tests/unit/service/fake.h"

static uint64_t fail_in; /* the call that fails, counting from now; 0: none */
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

static struct fake f;
static struct fake_answer answer;
static int without_bytes; /* reads that could not keep what they had to answer */
static uint64_t armed;    /* fail_in, while the service does not run */

/* The fake transport's own allocations are spared. */
static enum quo_status sparing_reserve(struct quo_transport *t, uint64_t peer, size_t body_len,
                                       uint8_t **ret_body)
{
    uint64_t saved = fail_in;

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

static enum quo_status submit(const struct quo_request *request)
{
    quo_ticket ticket;

    memset(&answer, 0, sizeof answer);
    fail_in = armed;
    enum quo_status status =
        quo_service_submit(f.service, request, fake_on_answer, &answer, &ticket);
    armed = fail_in;
    fail_in = 0;
    assert_true(status == QUO_OK || status == QUO_NO_MEMORY);
    return status;
}

/* Answers whatever is asked, the newest value being large and on one replica only. */
static void serve(const char *large)
{
    struct quo_entry newer = {
        .epoch = 2, .state = QUO_ENTRY_NORMAL, .n = 3, .replicas = {101, 102, 104}};
    uint8_t bytes[QUO_ENTRY_SIZE_MAX];
    struct quo_msg_reply wrong = {.status = QUO_WRONG_EPOCH};
    struct quo_msg_query query;
    struct quo_entry entry;

    quo_entry_encode(&newer, bytes);
    wrong.entry = quo_slice(bytes, quo_entry_size(&newer));
    while (f.first < f.count) {
        struct fake_frame frame = f.frames[f.first++];
        if (frame.type == QUO_MESSAGE_STORE) {
            fake_reply_store(&f, &frame, QUO_OK);
            continue;
        }
        assert_int_equal(quo_msg_query_decode(quo_slice(frame.body, frame.body_len), &query),
                         QUO_OK);
        assert_int_equal(quo_entry_decode(query.entry, &entry), QUO_OK);
        if (entry.epoch < 2 && frame.peer == 1)
            fake_deliver(&f, frame.peer, frame.id, &wrong);
        else if (frame.peer == 0)
            fake_reply_query(&f, &frame, 6, large);
        else
            fake_reply_query(&f, &frame, 4, "older");
    }
}

static void exercise(const char *large)
{
    struct quo_request put = fake_request(&f, QUO_REQUEST_PUT, "key", QUO_LEVEL_STRONG);
    struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);

    put.value = quo_slice_of(large);
    if (submit(&put) == QUO_OK) {
        serve(large);
        assert_int_equal(answer.calls, 1);
    }
    if (submit(&get) == QUO_OK) {
        serve(large);
        assert_int_equal(answer.calls, 1);
    }
    /* Without a write-back the bytes are missed only when they are to be answered. */
    get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_QUORUM);
    for (int i = 0; i < 3; i++) {
        if (submit(&get) != QUO_OK)
            continue;
        serve(large);
        assert_int_equal(answer.calls, 1);
        if (answer.response.verdict == QUO_VERDICT_REFUSED) {
            assert_int_equal(answer.response.refusal, QUO_NO_MEMORY);
            without_bytes++;
        } else {
            assert_int_equal(answer.response.verdict, QUO_VERDICT_FOUND);
        }
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static char large[QUO_OP_BUFFER + 1000];
    uint64_t nth = 0;

    memset(large, 'x', sizeof large - 1);
    do {
        nth++;
        failed = false;
        fake_init(&f);
        f.transport.ops = &sparing_ops;
        struct quo_service_options options = {
            .env = &f.env, .transport = &f.transport, .map = &f.map};
        fail_in = nth;
        f.service = quo_service_new(&options);
        armed = fail_in;
        fail_in = 0;
        if (f.service == NULL) {
            assert_true(failed);
            continue;
        }
        real_events = f.transport.events;
        static struct quo_transport_events arming;
        arming = *real_events;
        arming.on_frame = arming_on_frame;
        f.transport.events = &arming;
        for (uint64_t peer = 0; peer < 4; peer++)
            arming.on_up(f.transport.receiver, peer);
        exercise(large);
        /* Once more, with memory. */
        armed = 0;
        struct quo_request get = fake_request(&f, QUO_REQUEST_GET, "key", QUO_LEVEL_STRONG);
        assert_int_equal(submit(&get), QUO_OK);
        serve(large);
        assert_int_equal(answer.response.verdict, QUO_VERDICT_FOUND);
        assert_int_equal(answer.value_len, strlen(large));
        fake_stop(&f);
    } while (failed);
    assert_in_range(nth, 8, 40);
    assert_true(without_bytes > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
