/* Seats: three transports under one numbering; then the real ones, two proxies of two loops each
 * that hand each other frames over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proxy/seats/seats.h"
#include "quorate/listen.h"
#include "quorate/loop.h"

/* Numbering */

/* A transport that remembers the last call. */
struct fake {
    struct quo_transport transport;
    uint64_t reserved_for, sealed_for;
    uint64_t id;
    uint8_t type;
    size_t body_len;
    uint32_t calls;
    enum quo_status refuses;
    uint8_t body[1024];
};

struct bed {
    struct fake lanes, proxies, acceptor;
    struct quo_seats_transport *seats;
    struct quo_transport *transport;
    char trace[256];
};

static enum quo_status fake_reserve(struct quo_transport *transport, uint64_t peer, size_t body_len,
                                    uint8_t **ret_body)
{
    struct fake *fake = QUO_CONTAINER_OF(transport, struct fake, transport);

    if (fake->refuses != QUO_OK)
        return fake->refuses;
    assert_true(body_len <= sizeof fake->body);
    fake->reserved_for = peer;
    fake->body_len = body_len;
    *ret_body = fake->body;
    return QUO_OK;
}

static void fake_seal(struct quo_transport *transport, uint64_t peer, uint8_t type, uint64_t id)
{
    struct fake *fake = QUO_CONTAINER_OF(transport, struct fake, transport);

    assert_int_equal(peer, fake->reserved_for);
    fake->sealed_for = peer;
    fake->type = type;
    fake->id = id;
    fake->calls++;
}

static const struct quo_transport_ops fake_ops = {.reserve = fake_reserve, .seal = fake_seal};

static void note(struct bed *bed, const char *what, uint64_t seat)
{
    const size_t len = strlen(bed->trace);

    snprintf(bed->trace + len, sizeof bed->trace - len, "%s %llx;", what, (unsigned long long)seat);
}

static void note_frame(void *receiver, uint64_t seat, const struct quo_frame *frame)
{
    note(receiver, frame->type == QUO_MESSAGE_FORWARD ? "forward" : "frame", seat);
}

static void note_up(void *receiver, uint64_t seat)
{
    note(receiver, "up", seat);
}

static void note_down(void *receiver, uint64_t seat)
{
    note(receiver, "down", seat);
}

static const struct quo_transport_events note_events = {
    .on_frame = note_frame,
    .on_up = note_up,
    .on_down = note_down,
};

static int set_up(void **state)
{
    struct bed *bed = calloc(1, sizeof *bed);

    assert_non_null(bed);
    bed->lanes.transport.ops = &fake_ops;
    bed->proxies.transport.ops = &fake_ops;
    bed->acceptor.transport.ops = &fake_ops;
    const struct quo_seats_options options = {
        .lanes = &bed->lanes.transport,
        .loops = 3,
        .proxies = &bed->proxies.transport,
        .acceptor = &bed->acceptor.transport,
    };
    bed->seats = quo_seats_new(&options);
    assert_non_null(bed->seats);
    bed->transport = quo_seats_transport_of(bed->seats);
    bed->transport->events = &note_events;
    bed->transport->receiver = bed;
    *state = bed;
    return 0;
}

static int tear_down(void **state)
{
    struct bed *bed = *state;

    quo_seats_free(bed->seats);
    free(bed);
    return 0;
}

static void assert_leads_to(struct bed *bed, uint64_t seat, struct fake *fake, uint64_t peer)
{
    const uint32_t calls = fake->calls;
    uint8_t *body = NULL;

    assert_int_equal(bed->transport->ops->reserve(bed->transport, seat, 10, &body), QUO_OK);
    assert_ptr_equal(body, fake->body);
    bed->transport->ops->seal(bed->transport, seat, QUO_MESSAGE_FORWARD, 77);
    assert_int_equal(fake->calls, calls + 1);
    assert_int_equal(fake->sealed_for, peer);
    assert_int_equal(fake->type, QUO_MESSAGE_FORWARD);
    assert_int_equal(fake->id, 77);
    assert_int_equal(fake->body_len, 10);
}

static void seats_lead_to_loops_proxies_and_guests(void **state)
{
    struct bed *bed = *state;

    assert_leads_to(bed, 0, &bed->lanes, 0);
    assert_leads_to(bed, 2, &bed->lanes, 2);
    assert_leads_to(bed, 3, &bed->proxies, 0);
    assert_leads_to(bed, 3 + 63, &bed->proxies, 63);
    assert_leads_to(bed, QUO_SEATS_GUESTS, &bed->acceptor, 0);
    assert_leads_to(bed, QUO_SEATS_GUESTS + 0x123456789abc, &bed->acceptor, 0x123456789abc);
}

static void tell(struct fake *fake, uint64_t peer)
{
    const struct quo_transport *transport = &fake->transport;
    const struct quo_frame frame = {.type = QUO_MESSAGE_FORWARD};

    transport->events->on_up(transport->receiver, peer);
    transport->events->on_frame(transport->receiver, peer, &frame);
    transport->events->on_down(transport->receiver, peer);
}

static void events_come_from_seats(void **state)
{
    struct bed *bed = *state;

    tell(&bed->lanes, 1);
    tell(&bed->proxies, 2);
    tell(&bed->acceptor, 0x50001);
    assert_string_equal(bed->trace, "up 1;forward 1;down 1;"
                                    "up 5;forward 5;down 5;"
                                    "up 100050001;forward 100050001;down 100050001;");
}

static void a_seat_that_nobody_has_is_unavailable(void **state)
{
    const struct quo_seats_options options = {.loops = 1};
    struct quo_seats_transport *seats = quo_seats_new(&options);
    const uint64_t nobody[] = {0, 1, 64, QUO_SEATS_GUESTS};
    uint8_t *body;

    (void)state;
    assert_non_null(seats);
    struct quo_transport *transport = quo_seats_transport_of(seats);
    for (size_t i = 0; i < QUO_COUNT(nobody); i++)
        assert_int_equal(transport->ops->reserve(transport, nobody[i], 1, &body), QUO_UNAVAILABLE);
    quo_seats_free(seats);
    quo_seats_free(NULL);
}

static void a_refusal_is_passed_on(void **state)
{
    struct bed *bed = *state;
    uint8_t *body;

    bed->proxies.refuses = QUO_BUSY;
    assert_int_equal(bed->transport->ops->reserve(bed->transport, 3, 1, &body), QUO_BUSY);
    bed->proxies.refuses = QUO_UNAVAILABLE;
    assert_int_equal(bed->transport->ops->reserve(bed->transport, 3, 1, &body), QUO_UNAVAILABLE);
}

static void when_draining_guests_are_turned_down(void **state)
{
    struct bed *bed = *state;
    const struct quo_transport *guests = &bed->acceptor.transport;
    const struct quo_frame request = {.type = QUO_MESSAGE_FORWARD, .id = 9};
    struct quo_msg_forwarded answer;

    quo_seats_drain(bed->seats);
    guests->events->on_frame(guests->receiver, 8, &request);
    assert_string_equal(bed->trace, "");
    assert_int_equal(bed->acceptor.sealed_for, 8);
    assert_int_equal(bed->acceptor.type, QUO_MESSAGE_FORWARDED);
    assert_int_equal(bed->acceptor.id, 9);
    assert_int_equal(
        quo_msg_forwarded_decode(quo_slice(bed->acceptor.body, bed->acceptor.body_len), &answer),
        QUO_OK);
    assert_int_equal(answer.status, QUO_BUSY);
    bed->acceptor.refuses = QUO_UNAVAILABLE;
    guests->events->on_frame(guests->receiver, 8, &request);
    assert_string_equal(bed->trace, "");
    /* The others are served, and answers to what was taken leave. */
    tell(&bed->lanes, 1);
    assert_string_equal(bed->trace, "up 1;forward 1;down 1;");
    bed->acceptor.refuses = QUO_OK;
    assert_leads_to(bed, QUO_SEATS_GUESTS + 8, &bed->acceptor, 8);
}

/* Two proxies */

#define PROXIES 2
#define LOOPS 2
#define SEATS (LOOPS + PROXIES)
#define REQUESTS 2000 /* that each loop sends to every seat */
#define WINDOW 200
/* Far longer than anything here takes: only a hang gets there. */
#define GENEROUS_S 30

/* One loop of one of them. */
struct worker {
    struct proxy *proxy; /* NULL: not there */
    uint32_t index;
    struct quo_loop *loop;
    struct quo_peers *peers;
    struct quo_acceptor *acceptor;
    struct quo_seats_transport *seats;
    struct quo_transport *transport;
    struct quo_turn_hook hook;
    bool up[SEATS];
    uint32_t ups[SEATS], sent[SEATS], answered[SEATS];
    uint32_t guests;
};

struct proxy {
    uint32_t own;
    struct quo_map *map;
    struct quo_lanes *lanes;
    struct worker workers[LOOPS];
};

struct pair {
    struct quo_map map;
    struct proxy proxies[PROXIES];
};

static bool is_other(const struct worker *worker, uint64_t seat)
{
    return seat != worker->index && seat != LOOPS + worker->proxy->own;
}

/* A request is answered with its own bytes. */
static void pair_frame(void *receiver, uint64_t seat, const struct quo_frame *frame)
{
    struct worker *worker = receiver;
    struct quo_transport *transport = worker->transport;
    uint8_t *body;

    if (frame->type == QUO_MESSAGE_FORWARD) {
        assert_true(seat < LOOPS || seat >= QUO_SEATS_GUESTS);
        assert_int_equal(transport->ops->reserve(transport, seat, frame->body.len, &body), QUO_OK);
        memcpy(body, frame->body.data, frame->body.len);
        transport->ops->seal(transport, seat, QUO_MESSAGE_FORWARDED, frame->id);
        return;
    }
    assert_int_equal(frame->type, QUO_MESSAGE_FORWARDED);
    assert_true(seat < SEATS && is_other(worker, seat));
    assert_int_equal(frame->id, worker->answered[seat]++);
    assert_int_equal(frame->body.len, frame->id % 500);
    for (size_t i = 0; i < frame->body.len; i++)
        assert_int_equal(frame->body.data[i], frame->id % 251);
}

static void pair_up(void *receiver, uint64_t seat)
{
    struct worker *worker = receiver;

    if (seat >= QUO_SEATS_GUESTS) {
        worker->guests++;
        return;
    }
    assert_true(seat < SEATS && is_other(worker, seat));
    assert_false(worker->up[seat]);
    worker->up[seat] = true;
    worker->ups[seat]++;
}

static void pair_down(void *receiver, uint64_t seat)
{
    struct worker *worker = receiver;

    if (seat >= QUO_SEATS_GUESTS) {
        worker->guests--;
        return;
    }
    assert_true(seat >= LOOPS);
    assert_true(worker->up[seat]);
    worker->up[seat] = false;
    worker->sent[seat] = worker->answered[seat] = 0;
}

static const struct quo_transport_events pair_events = {
    .on_frame = pair_frame,
    .on_up = pair_up,
    .on_down = pair_down,
};

static void pair_end_turn(struct quo_turn_hook *hook)
{
    struct worker *worker = QUO_CONTAINER_OF(hook, struct worker, hook);

    quo_lanes_end_turn(worker->proxy->lanes, worker->index);
}

static void build(struct worker *worker, int listener)
{
    struct proxy *proxy = worker->proxy;
    const struct quo_peers_options peers = {
        .loop = worker->loop, .map = proxy->map, .proxies = true, .own = proxy->own};
    const struct quo_acceptor_options acceptor = {
        .loop = worker->loop, .listener = listener, .cluster = proxy->map->cluster};

    worker->peers = quo_peers_new(&peers);
    worker->acceptor = quo_acceptor_new(&acceptor);
    assert_non_null(worker->peers);
    assert_non_null(worker->acceptor);
    const struct quo_seats_options seats = {
        .lanes = quo_lanes_transport(proxy->lanes, worker->index),
        .loops = LOOPS,
        .proxies = quo_peers_transport(worker->peers),
        .acceptor = quo_acceptor_transport(worker->acceptor),
    };
    worker->seats = quo_seats_new(&seats);
    assert_non_null(worker->seats);
    worker->transport = quo_seats_transport_of(worker->seats);
    worker->transport->events = &pair_events;
    worker->transport->receiver = worker;
    worker->hook.run = pair_end_turn;
    quo_loop_add_turn_hook(worker->loop, &worker->hook);
}

static void start_proxy(struct proxy *proxy)
{
    struct quo_mailbox *mailboxes[LOOPS];
    int listeners[LOOPS];
    char why[256];
    uint16_t *port = &proxy->map->proxies[proxy->own].port;

    assert_int_equal(quo_listen("127.0.0.1", *port, LOOPS, listeners, port, why, sizeof why),
                     QUO_OK);
    memset(proxy->workers, 0, sizeof proxy->workers);
    for (uint32_t i = 0; i < LOOPS; i++) {
        proxy->workers[i].proxy = proxy;
        proxy->workers[i].index = i;
        proxy->workers[i].loop = quo_loop_new();
        assert_non_null(proxy->workers[i].loop);
        mailboxes[i] = quo_loop_mailbox(proxy->workers[i].loop);
    }
    proxy->lanes = quo_lanes_new(mailboxes, LOOPS);
    assert_non_null(proxy->lanes);
    for (uint32_t i = 0; i < LOOPS; i++)
        build(&proxy->workers[i], listeners[i]);
}

static void stop_proxy(struct proxy *proxy)
{
    for (uint32_t i = 0; i < LOOPS; i++) {
        struct worker *worker = &proxy->workers[i];

        quo_peers_free(worker->peers);
        quo_acceptor_free(worker->acceptor);
        quo_seats_free(worker->seats);
        quo_loop_free(worker->loop);
        worker->proxy = NULL;
    }
    quo_lanes_free(proxy->lanes);
}

static void turn(struct pair *pair)
{
    for (uint32_t i = 0; i < PROXIES * LOOPS; i++) {
        struct worker *worker = &pair->proxies[i / LOOPS].workers[i % LOOPS];
        if (worker->proxy != NULL)
            quo_loop_turn(worker->loop, 1);
    }
}

#define TURN_UNTIL(pair, condition)                                                                \
    do {                                                                                           \
        const time_t turning_s = now_s();                                                          \
        while (!(condition)) {                                                                     \
            turn(pair);                                                                            \
            if (now_s() - turning_s > GENEROUS_S)                                                  \
                fail_msg("never came: %s", #condition);                                            \
        }                                                                                          \
    } while (0)

static time_t now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static int set_up_pair(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);

    assert_non_null(pair);
    pair->map.cluster = 0x5150;
    pair->map.epoch = 1;
    pair->map.proxy_count = PROXIES;
    for (uint32_t i = 0; i < PROXIES; i++) {
        snprintf(pair->map.proxies[i].name, sizeof pair->map.proxies[i].name, "proxy-%u", i);
        snprintf(pair->map.proxies[i].host, sizeof pair->map.proxies[i].host, "127.0.0.1");
        pair->proxies[i].own = i;
        pair->proxies[i].map = &pair->map;
    }
    /* The second takes a port that the first, once started, finds in the map. */
    start_proxy(&pair->proxies[1]);
    stop_proxy(&pair->proxies[1]);
    start_proxy(&pair->proxies[0]);
    start_proxy(&pair->proxies[1]);
    *state = pair;
    return 0;
}

static int tear_down_pair(void **state)
{
    struct pair *pair = *state;

    for (uint32_t i = 0; i < PROXIES; i++) {
        if (pair->proxies[i].workers[0].proxy != NULL)
            stop_proxy(&pair->proxies[i]);
    }
    free(pair);
    return 0;
}

/* Whether every loop has met all others. */
static bool all_up(const struct pair *pair)
{
    for (uint32_t i = 0; i < PROXIES * LOOPS; i++) {
        const struct worker *worker = &pair->proxies[i / LOOPS].workers[i % LOOPS];
        for (uint32_t seat = 0; seat < SEATS; seat++) {
            if (is_other(worker, seat) && !worker->up[seat])
                return false;
        }
    }
    return true;
}

static uint32_t guests_of(const struct proxy *proxy)
{
    uint32_t guests = 0;

    for (uint32_t i = 0; i < LOOPS; i++)
        guests += proxy->workers[i].guests;
    return guests;
}

/* Sends what the windows allow. Returns whether everything was sent and answered. */
static bool exchange(struct worker *worker)
{
    struct quo_transport *transport = worker->transport;
    bool done = true;

    for (uint32_t seat = 0; seat < SEATS; seat++) {
        uint8_t *body;

        if (!is_other(worker, seat))
            continue;
        while (worker->sent[seat] < REQUESTS &&
               worker->sent[seat] - worker->answered[seat] < WINDOW) {
            const uint32_t number = worker->sent[seat]++;

            assert_int_equal(transport->ops->reserve(transport, seat, number % 500, &body), QUO_OK);
            memset(body, (int)(number % 251), number % 500);
            transport->ops->seal(transport, seat, QUO_MESSAGE_FORWARD, number);
        }
        done = done && worker->answered[seat] == REQUESTS;
    }
    return done;
}

static bool exchange_all(struct pair *pair)
{
    bool done = true;

    for (uint32_t i = 0; i < PROXIES * LOOPS; i++)
        done = exchange(&pair->proxies[i / LOOPS].workers[i % LOOPS]) && done;
    return done;
}

static void proxies_and_loops_exchange_frames(void **state)
{
    struct pair *pair = *state;

    TURN_UNTIL(pair, all_up(pair));
    TURN_UNTIL(pair, exchange_all(pair));
    for (uint32_t i = 0; i < PROXIES; i++)
        assert_int_equal(guests_of(&pair->proxies[i]), LOOPS);
}

static void a_proxy_that_comes_back_is_found(void **state)
{
    struct pair *pair = *state;
    struct worker *stays = pair->proxies[0].workers;
    uint8_t *body;

    for (uint32_t round = 1; round <= 3; round++) {
        TURN_UNTIL(pair, all_up(pair));
        assert_int_equal(stays[0].ups[LOOPS + 1], round);
        exchange_all(pair); /* which is under way when it ends */
        turn(pair);
        stop_proxy(&pair->proxies[1]);
        TURN_UNTIL(pair, !stays[0].up[LOOPS + 1] && !stays[1].up[LOOPS + 1]);
        assert_int_equal(stays[0].transport->ops->reserve(stays[0].transport, LOOPS + 1, 1, &body),
                         QUO_UNAVAILABLE);
        TURN_UNTIL(pair, guests_of(&pair->proxies[0]) == 0);
        /* The loops beside it are not impressed. */
        assert_true(stays[0].up[1] && stays[1].up[0]);
        start_proxy(&pair->proxies[1]);
    }
    TURN_UNTIL(pair, all_up(pair));
    TURN_UNTIL(pair, exchange_all(pair));
}

static void a_stopping_proxy_turns_guests_down(void **state)
{
    struct pair *pair = *state;
    struct worker *worker = &pair->proxies[0].workers[0];
    struct quo_transport *transport = worker->transport;
    const uint64_t seat = LOOPS + 1;
    uint8_t *body;

    TURN_UNTIL(pair, all_up(pair));
    for (uint32_t i = 0; i < LOOPS; i++) {
        quo_acceptor_close_listener(pair->proxies[1].workers[i].acceptor);
        quo_seats_drain(pair->proxies[1].workers[i].seats);
    }
    assert_int_equal(transport->ops->reserve(transport, seat, 0, &body), QUO_OK);
    transport->ops->seal(transport, seat, QUO_MESSAGE_FORWARD, 4);
    transport->events = &note_events;
    struct bed bed = {0};
    transport->receiver = &bed;
    TURN_UNTIL(pair, bed.trace[0] != '\0');
    assert_string_equal(bed.trace, "frame 3;");
    transport->events = &pair_events;
    transport->receiver = worker;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(seats_lead_to_loops_proxies_and_guests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_come_from_seats, set_up, tear_down),
        cmocka_unit_test(a_seat_that_nobody_has_is_unavailable),
        cmocka_unit_test_setup_teardown(a_refusal_is_passed_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(when_draining_guests_are_turned_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(proxies_and_loops_exchange_frames, set_up_pair,
                                        tear_down_pair),
        cmocka_unit_test_setup_teardown(a_proxy_that_comes_back_is_found, set_up_pair,
                                        tear_down_pair),
        cmocka_unit_test_setup_teardown(a_stopping_proxy_turns_guests_down, set_up_pair,
                                        tear_down_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
