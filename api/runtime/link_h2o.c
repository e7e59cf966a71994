#include "api/runtime/link.h"

#include <stdio.h>
#include <string.h>

#include "api/runtime/loop_h2o.h"

static void on_read(h2o_socket_t *socket, const char *err);
static void on_written(h2o_socket_t *socket, const char *err);

static uint64_t now_us(const struct quo_link *link)
{
    return quo_mono_us(quo_loop_env(link->loop));
}

/* Sending */

static void flush(struct quo_link *link)
{
    if (link->writing > 0)
        return;
    struct quo_slice next = quo_outbox_next(&link->outbox, QUO_LINK_WRITE_MAX);
    if (next.len == 0)
        return;
    link->writing = next.len;
    link->wrote_us = now_us(link);
    quo_stat_add(&link->stats->writes, 1);
    quo_stat_add(&link->stats->bytes_out, next.len);
    h2o_iovec_t bytes = h2o_iovec_init(next.data, next.len);
    h2o_socket_write(link->socket, &bytes, 1, on_written);
}

static void doom(struct quo_link *link)
{
    link->doomed = true;
    quo_loop_defer(link->loop, &link->work);
}

static void seal(struct quo_link *link, uint8_t type, uint64_t id)
{
    quo_outbox_seal(&link->outbox, type, id);
    quo_stat_add(&link->stats->frames_out, 1);
    quo_loop_defer(link->loop, &link->work);
}

/* Begins a frame of the link's own. Returns NULL, and the link will end, when there is no room. */
static uint8_t *begin(struct quo_link *link, size_t body_len)
{
    uint8_t *body = NULL;
    if (quo_outbox_size(&link->outbox) < QUO_OUTBOX_MAX)
        body = quo_outbox_reserve(&link->outbox, body_len);
    if (body == NULL)
        doom(link);
    return body;
}

static void say_hello(struct quo_link *link)
{
    link->hello.version_min = link->hello.version_max = QUO_PROTOCOL_VERSION;
    uint8_t *body = begin(link, quo_msg_hello_size(&link->hello));
    if (body != NULL) {
        quo_msg_hello_encode(&link->hello, body);
        seal(link, QUO_MESSAGE_HELLO, 0);
    }
}

static void say_ping(struct quo_link *link, uint64_t mono_us)
{
    const struct quo_msg_ping ping = {.sent_us = mono_us};
    uint8_t *body = begin(link, quo_msg_ping_size(&ping));
    if (body != NULL) {
        quo_msg_ping_encode(&ping, body);
        seal(link, QUO_MESSAGE_PING, 0);
    }
    link->pinged_us = mono_us;
    if (link->first_pinged_us == 0)
        link->first_pinged_us = mono_us;
}

static void say_pong(struct quo_link *link, uint64_t sent_us)
{
    const struct quo_msg_pong pong = {.sent_us = sent_us};
    uint8_t *body = begin(link, quo_msg_pong_size(&pong));
    if (body != NULL) {
        quo_msg_pong_encode(&pong, body);
        seal(link, QUO_MESSAGE_PONG, 0);
    }
}

/* As well as it can be done before closing: behind a write under way it cannot. */
static void say_goodbye(struct quo_link *link, enum quo_status status)
{
    const struct quo_msg_goodbye goodbye = {
        .status = (uint8_t)status,
        .text = quo_slice_of(quo_status_text(status)),
    };
    if (link->state < QUO_LINK_GREETING || link->writing > 0)
        return;
    uint8_t *body = begin(link, quo_msg_goodbye_size(&goodbye));
    if (body == NULL)
        return;
    quo_msg_goodbye_encode(&goodbye, body);
    seal(link, QUO_MESSAGE_GOODBYE, 0);
    flush(link);
}

/* Ending */

void quo_link_close(struct quo_link *link)
{
    if (link->state == QUO_LINK_CLOSED)
        return;
    if (link->state >= QUO_LINK_GREETING)
        quo_stat_add(&link->stats->disconnects, 1);
    quo_loop_undefer(link->loop, &link->work);
    h2o_socket_close(link->socket);
    quo_outbox_reset(&link->outbox);
    link->state = QUO_LINK_CLOSED;
    link->socket = NULL;
}

/* The link's memory may be gone afterwards. */
static void end(struct quo_link *link, enum quo_link_fate fate, enum quo_status status,
                const char *text)
{
    const struct quo_link_end last = {fate, status, quo_slice_of(text)};
    const bool was_up = link->state == QUO_LINK_UP;
    if (fate == QUO_LINK_MALFORMED || fate == QUO_LINK_REFUSED)
        say_goodbye(link, status);
    quo_link_close(link);
    link->ops->on_end(link, &last, was_up);
}

static void heard(struct quo_link *link)
{
    link->heard_us = now_us(link);
    link->first_pinged_us = 0;
}

/* Taking frames. These return false when the link ended; its memory may be gone then. */

static bool refuse(struct quo_link *link, enum quo_status status, const char *text)
{
    quo_stat_add(&link->stats->malformed, 1);
    end(link, QUO_LINK_MALFORMED, status, text);
    return false;
}

static bool take_hello(struct quo_link *link, struct quo_slice body)
{
    struct quo_msg_hello hello;
    if (link->state != QUO_LINK_GREETING || quo_msg_hello_decode(body, &hello) != QUO_OK)
        return refuse(link, QUO_MALFORMED, "unexpected HELLO");
    enum quo_status status = QUO_UNSUPPORTED;
    if (hello.version_min <= QUO_PROTOCOL_VERSION && hello.version_max >= QUO_PROTOCOL_VERSION)
        status = link->ops->on_hello(link, &hello);
    if (status != QUO_OK) {
        quo_stat_add(&link->stats->refused, 1);
        end(link, QUO_LINK_REFUSED, status, quo_status_text(status));
        return false;
    }
    link->state = QUO_LINK_UP;
    link->ops->on_up(link);
    return true;
}

static bool take_goodbye(struct quo_link *link, struct quo_slice body)
{
    struct quo_msg_goodbye goodbye;
    if (quo_msg_goodbye_decode(body, &goodbye) != QUO_OK)
        return refuse(link, QUO_MALFORMED, "malformed GOODBYE");
    /* The body goes with the socket. */
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)goodbye.text.len, (const char *)goodbye.text.data);
    end(link, QUO_LINK_DISMISSED, (enum quo_status)goodbye.status, text);
    return false;
}

static bool take_own(struct quo_link *link, const struct quo_frame *frame)
{
    struct quo_msg_ping ping;
    struct quo_msg_pong pong;
    if (frame->type == QUO_MESSAGE_HELLO)
        return take_hello(link, frame->body);
    if (frame->type == QUO_MESSAGE_GOODBYE)
        return take_goodbye(link, frame->body);
    if (link->state != QUO_LINK_UP)
        return refuse(link, QUO_MALFORMED, "no HELLO first");
    if (frame->type == QUO_MESSAGE_PING && quo_msg_ping_decode(frame->body, &ping) == QUO_OK) {
        say_pong(link, ping.sent_us);
        return true;
    }
    if (frame->type == QUO_MESSAGE_PONG && quo_msg_pong_decode(frame->body, &pong) == QUO_OK)
        return true; /* having been heard is all it is for */
    return refuse(link, QUO_MALFORMED, "unknown or malformed message");
}

static bool take(struct quo_link *link, const struct quo_frame *frame)
{
    quo_stat_add(&link->stats->frames_in, 1);
    if (frame->type < QUO_LINK_REQUEST_TYPE)
        return take_own(link, frame);
    if (link->state != QUO_LINK_UP)
        return refuse(link, QUO_MALFORMED, "no HELLO first");
    if (!link->is_server && quo_link_is_reply(frame->type) && link->in_flight > 0)
        link->in_flight--;
    link->ops->on_frame(link, frame);
    return true;
}

/* Only servers: two ends that each wait for the other to read would wait for ever. */
static bool must_pause(const struct quo_link *link)
{
    return link->is_server && quo_outbox_size(&link->outbox) >= QUO_LINK_PAUSE_BYTES;
}

/* Takes all complete frames of `input`. Sets *ret_taken to their bytes and *ret_missing to what is
 * known to be missing of the next. */
static bool take_all(struct quo_link *link, struct quo_slice input, size_t *ret_taken,
                     size_t *ret_missing)
{
    *ret_taken = *ret_missing = 0;
    while (*ret_taken < input.len && !link->paused) {
        struct quo_slice rest = quo_slice(input.data + *ret_taken, input.len - *ret_taken);
        struct quo_frame frame;
        size_t size;
        enum quo_status status = quo_frame_next(rest, &frame, &size);
        if (status != QUO_OK && status != QUO_MORE)
            return refuse(link, status, "no frame");
        if (size > QUO_LINK_GREETING_MAX && link->state == QUO_LINK_GREETING)
            return refuse(link, QUO_MALFORMED, "no HELLO first");
        if (status == QUO_MORE) {
            *ret_missing = size > rest.len ? size - rest.len : 0;
            return true;
        }
        if (!take(link, &frame))
            return false;
        *ret_taken += size;
        link->paused = must_pause(link);
    }
    return true;
}

static bool deliver(struct quo_link *link)
{
    h2o_buffer_t **input = &link->socket->input;
    size_t taken, missing;
    if (!take_all(link, quo_slice((*input)->bytes, (*input)->size), &taken, &missing))
        return false;
    h2o_buffer_consume(input, taken);
    if (missing > 0)
        h2o_buffer_reserve(input, missing); /* once, not by doubling */
    if (link->paused)
        h2o_socket_read_stop(link->socket);
    return true;
}

static void on_read(h2o_socket_t *socket, const char *err)
{
    struct quo_link *link = socket->data;
    if (err != NULL) {
        end(link, QUO_LINK_LOST, QUO_UNAVAILABLE, err);
        return;
    }
    quo_stat_add(&link->stats->bytes_in, socket->bytes_read);
    heard(link);
    (void)deliver(link);
}

static void on_written(h2o_socket_t *socket, const char *err)
{
    struct quo_link *link = socket->data;
    const size_t written = link->writing;
    link->writing = 0;
    if (err != NULL) {
        end(link, QUO_LINK_LOST, QUO_UNAVAILABLE, err);
        return;
    }
    quo_outbox_written(&link->outbox, written);
    /* A write that had to wait for the peer to read shows that it reads. */
    if (link->wrote_us != now_us(link))
        heard(link);
    /* The rest of what was on its way follows at once; what gathered since waits for the turn's
     * end. */
    if (link->outbox.flying.size > 0)
        flush(link);
    if (quo_outbox_size(&link->outbox) > 0 || link->paused)
        quo_loop_defer(link->loop, &link->work);
}

/* The end of a turn in which there is something to do. */
static void on_work(struct quo_deferred *work)
{
    struct quo_link *link = QUO_CONTAINER_OF(work, struct quo_link, work);
    if (link->doomed) {
        end(link, QUO_LINK_OVERFLOW, QUO_BUSY, "too much left unread");
        return;
    }
    if (link->paused && quo_outbox_size(&link->outbox) <= QUO_LINK_RESUME_BYTES) {
        link->paused = false;
        h2o_socket_read_start(link->socket, on_read);
        if (!deliver(link))
            return;
    }
    flush(link);
}

/* Beginning */

static void greet(struct quo_link *link)
{
    link->state = QUO_LINK_GREETING;
    link->opened_us = link->heard_us = now_us(link);
    quo_stat_add(&link->stats->connects, 1);
    h2o_buffer_set_prototype(&link->socket->input, quo_loop_input_prototype(link->loop));
    h2o_socket_read_start(link->socket, on_read);
    say_hello(link);
}

static void open_link(struct quo_link *link, h2o_socket_t *socket)
{
    link->socket = socket;
    socket->data = link;
    link->work.run = on_work;
    link->writing = 0;
    link->doomed = link->paused = false;
    link->in_flight = 0;
    link->opened_us = now_us(link);
    link->wrote_us = link->pinged_us = link->first_pinged_us = 0;
}

/* A connection from a free local port to itself is one that TCP allows. */
static bool is_own_mirror(h2o_socket_t *socket)
{
    struct sockaddr_storage here, there;
    struct sockaddr *a = (struct sockaddr *)&here, *b = (struct sockaddr *)&there;
    return h2o_socket_getsockname(socket, a) > 0 && h2o_socket_getpeername(socket, b) > 0 &&
           h2o_socket_compare_address(a, b) == 0 && h2o_socket_getport(a) == h2o_socket_getport(b);
}

static void on_connected(h2o_socket_t *socket, const char *err)
{
    struct quo_link *link = socket->data;
    if (err == NULL && is_own_mirror(socket))
        err = "connected to itself";
    if (err != NULL)
        end(link, QUO_LINK_LOST, QUO_UNAVAILABLE, err);
    else
        greet(link);
}

bool quo_link_connect(struct quo_link *link, const struct quo_address *address)
{
    QUO_REQUIRE(link->state == QUO_LINK_CLOSED);
    struct sockaddr_storage sa = address->sa;
    h2o_socket_t *socket = h2o_socket_connect(quo_loop_native(link->loop), (struct sockaddr *)&sa,
                                              address->len, on_connected);
    if (socket == NULL)
        return false;
    open_link(link, socket);
    link->state = QUO_LINK_CONNECTING;
    return true;
}

void quo_link_accept(struct quo_link *link, struct st_h2o_socket_t *socket)
{
    QUO_REQUIRE(link->state == QUO_LINK_CLOSED);
    open_link(link, socket);
    greet(link);
}

/* The owner's side */

enum quo_status quo_link_reserve(struct quo_link *link, size_t body_len, uint8_t **ret_body)
{
    QUO_REQUIRE(body_len <= QUO_FRAME_BODY_MAX);
    if (link->state != QUO_LINK_UP || link->doomed)
        return QUO_UNAVAILABLE;
    const size_t size = quo_outbox_size(&link->outbox) + QUO_FRAME_HEADER + body_len;
    uint8_t *body = NULL;
    if (link->in_flight < QUO_CONN_IN_FLIGHT_MAX && size <= QUO_OUTBOX_MAX)
        body = quo_outbox_reserve(&link->outbox, body_len);
    if (body == NULL) {
        quo_stat_add(&link->stats->busy, 1);
        if (link->is_server)
            doom(link);
        return QUO_BUSY;
    }
    *ret_body = body;
    return QUO_OK;
}

void quo_link_seal(struct quo_link *link, uint8_t type, uint64_t id)
{
    if (!link->is_server && quo_link_is_request(type))
        link->in_flight++;
    seal(link, type, id);
}

void quo_link_tick(struct quo_link *link, uint64_t mono_us)
{
    const uint64_t open_us = mono_us - link->opened_us;
    const uint64_t silent_us = mono_us - link->heard_us;
    switch (link->state) {
    case QUO_LINK_CLOSED:
        break;
    case QUO_LINK_CONNECTING:
        if (open_us >= QUO_LINK_CONNECT_US)
            end(link, QUO_LINK_LOST, QUO_UNAVAILABLE, "timed out while connecting");
        break;
    case QUO_LINK_GREETING:
        if (open_us >= QUO_LINK_HELLO_US)
            end(link, QUO_LINK_SILENT, QUO_UNAVAILABLE, "no HELLO came");
        break;
    case QUO_LINK_UP:
        if (link->first_pinged_us != 0 && silent_us >= QUO_LINK_SILENCE_US &&
            mono_us - link->first_pinged_us >= QUO_LINK_ANSWER_US)
            end(link, QUO_LINK_SILENT, QUO_UNAVAILABLE, "pings are not answered");
        else if (silent_us >= QUO_LINK_PING_US && mono_us - link->pinged_us >= QUO_LINK_PING_US)
            say_ping(link, mono_us);
        break;
    }
}

bool quo_link_answers(const struct quo_link *link)
{
    return link->state == QUO_LINK_UP &&
           (link->first_pinged_us == 0 || now_us(link) - link->first_pinged_us < QUO_LINK_PING_US);
}

const char *quo_link_peer_text(struct quo_link *link, char *out, size_t size)
{
    struct sockaddr_storage sa;
    struct sockaddr *at = (struct sockaddr *)&sa;
    char host[NI_MAXHOST];
    socklen_t len = h2o_socket_getpeername(link->socket, at);
    if (len == 0 || h2o_socket_getnumerichost(at, len, host) == SIZE_MAX)
        snprintf(out, size, "unknown");
    else
        snprintf(out, size, "%s:%d", host, (int)h2o_socket_getport(at));
    return out;
}

const char *quo_link_fate_name(enum quo_link_fate fate)
{
    switch (fate) {
    case QUO_LINK_LOST:
        return "lost";
    case QUO_LINK_SILENT:
        return "silent";
    case QUO_LINK_MALFORMED:
        return "malformed";
    case QUO_LINK_REFUSED:
        return "refused";
    case QUO_LINK_DISMISSED:
        return "dismissed";
    case QUO_LINK_OVERFLOW:
        return "overflow";
    }
    QUO_UNREACHABLE();
}

bool quo_link_gate_open(struct quo_link_gate *gate, uint64_t mono_us)
{
    if (mono_us < gate->next_us) {
        gate->suppressed++;
        return false;
    }
    gate->next_us = mono_us + 1000000;
    return true;
}
