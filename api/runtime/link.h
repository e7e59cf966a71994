/* One connection of the frame protocol, the same at both ends: it greets, takes frames apart in
 * place, gathers what is sent into one write per loop turn, and notices when nobody is there any
 * more.
 *
 * What only concerns the connection (HELLO, GOODBYE, PING, PONG) stays here; everything else goes
 * to the owner. Threads: the loop's.
 */
#ifndef QUORATE_RUNTIME_LINK_H
#define QUORATE_RUNTIME_LINK_H

#include <stdatomic.h>

#include "api/runtime/outbox.h"
#include "api/runtime/resolve.h"
#include "quorate/loop.h"
#include "quorate/net.h"
#include "quorate/rpc.h"

/* Times of a connection, microseconds. */
#define QUO_LINK_CONNECT_US 1000000u /* to be connected */
#define QUO_LINK_HELLO_US 2000000u   /* from then until the peer's HELLO */
#define QUO_LINK_PING_US 500000u     /* of silence until a PING, and between PINGs */
#define QUO_LINK_SILENCE_US 2000000u /* of silence until it is given up... */
#define QUO_LINK_ANSWER_US                                                                         \
    1000000u                     /* ...but never sooner than this after the first PING: the loop   \
                                    itself may have been stopped for longer */
#define QUO_LINK_TICK_US 100000u /* how often quo_link_tick wants to be called */

/* One write hands over at most this much, so that progress is seen on a slow network. */
#define QUO_LINK_WRITE_MAX (1024u * 1024)
/* A server takes no more requests from a peer that leaves this much of its replies unread... */
#define QUO_LINK_PAUSE_BYTES (QUO_OUTBOX_MAX / 4)
/* ...until only this much is left. */
#define QUO_LINK_RESUME_BYTES (QUO_OUTBOX_MAX / 8)
/* The longest frame taken from a stranger. */
#define QUO_LINK_GREETING_MAX 512u

/* Message types below the first are the link's own; below the second come requests, one of which is
 * not answered, then replies, and among those one more request. */
#define QUO_LINK_REQUEST_TYPE 16u
#define QUO_LINK_REPLY_TYPE 32u
static inline bool quo_link_is_request(uint8_t type)
{
    return type == QUO_MESSAGE_FORWARD || (type >= QUO_LINK_REQUEST_TYPE &&
                                           type < QUO_LINK_REPLY_TYPE && type != QUO_MESSAGE_EQUAL);
}
static inline bool quo_link_is_reply(uint8_t type)
{
    return type >= QUO_LINK_REPLY_TYPE && type != QUO_MESSAGE_FORWARD;
}

struct st_h2o_socket_t;
struct quo_link;

enum quo_link_state { QUO_LINK_CLOSED, QUO_LINK_CONNECTING, QUO_LINK_GREETING, QUO_LINK_UP };

enum quo_link_fate {
    QUO_LINK_LOST,      /* not connected, or closed by the peer or the network */
    QUO_LINK_SILENT,    /* nothing was heard for too long */
    QUO_LINK_MALFORMED, /* the peer sent what is no frame, or no frame for this moment */
    QUO_LINK_REFUSED,   /* we do not talk with this peer: `status` says why */
    QUO_LINK_DISMISSED, /* the peer said GOODBYE: `status` and `text` are its own */
    QUO_LINK_OVERFLOW,  /* the peer leaves too much unread */
};

struct quo_link_end {
    enum quo_link_fate fate;
    enum quo_status status;
    struct quo_slice text; /* may come from the peer; borrowed until the return */
};

struct quo_link_ops {
    /* The peer's greeting; its protocol version is one we speak. Returns QUO_OK to go on; anything
     * else is told the peer and ends the link. */
    enum quo_status (*on_hello)(struct quo_link *link, const struct quo_msg_hello *hello);
    /* From here on frames may be sent. */
    void (*on_up)(struct quo_link *link);
    /* Borrowed until the return. Must not close the link. */
    void (*on_frame)(struct quo_link *link, const struct quo_frame *frame);
    /* The link is closed; was_up says whether on_up was called. The link's memory may be freed or
     * the link opened again. Not called by quo_link_close. */
    void (*on_end)(struct quo_link *link, const struct quo_link_end *end, bool was_up);
};

/* Zero-initialise, then set what is the owner's. */
struct quo_link {
    /* The owner's */
    const struct quo_link_ops *ops;
    struct quo_loop *loop;
    struct quo_net_stats *stats;
    struct quo_msg_hello hello; /* ours; the versions are filled in here */
    bool is_server;

    /* The link's own */
    enum quo_link_state state;
    struct st_h2o_socket_t *socket;
    struct quo_outbox outbox;
    struct quo_deferred work;
    size_t writing; /* bytes of the write under way */
    bool doomed;    /* to end this turn */
    bool paused;    /* takes no requests until the peer has taken replies */
    uint32_t in_flight;
    uint64_t opened_us, heard_us, wrote_us;
    uint64_t pinged_us;       /* the last PING */
    uint64_t first_pinged_us; /* since something was heard; 0: none */
};

/* Starts to connect. Requires a closed link. Returns false when that failed at once; on_end is not
 * called then. */
bool quo_link_connect(struct quo_link *link, const struct quo_address *address);
/* Takes over an accepted socket of the link's loop. Requires a closed link. */
void quo_link_accept(struct quo_link *link, struct st_h2o_socket_t *socket);
/* Closes without a word and without on_end. No-op when closed. */
void quo_link_close(struct quo_link *link);

/* As in transport.h. A server's link that would exceed QUO_OUTBOX_MAX ends at the end of the turn.
 */
enum quo_status quo_link_reserve(struct quo_link *link, size_t body_len, uint8_t **ret_body);
void quo_link_seal(struct quo_link *link, uint8_t type, uint64_t id);

/* Sends PINGs and ends links that timed out. Call about every QUO_LINK_TICK_US. */
void quo_link_tick(struct quo_link *link, uint64_t mono_us);
/* Whether the link is up and no PING is unanswered for long. */
bool quo_link_answers(const struct quo_link *link);

/* The peer's address as text, for a log line. Requires a link that is not closed. Returns out. */
const char *quo_link_peer_text(struct quo_link *link, char *out, size_t size);
const char *quo_link_fate_name(enum quo_link_fate fate);

/* Lets one event a second through; the others are counted. */
struct quo_link_gate {
    uint64_t next_us;
    uint64_t suppressed; /* since the last that was let through */
};
bool quo_link_gate_open(struct quo_link_gate *gate, uint64_t mono_us);

/* Only the loop's thread writes. */
static inline void quo_stat_add(_Atomic uint64_t *stat, uint64_t more)
{
    uint64_t was = atomic_load_explicit(stat, memory_order_relaxed);
    atomic_store_explicit(stat, was + more, memory_order_relaxed);
}

#endif
