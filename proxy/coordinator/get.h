/* A read of any level (api/PROTOCOLS.md, "Strong read", "Sessions", "Bounded reads").
 *
 *          reply quorum              disagree            all asked or waited
 *   QUERY ─────────────▶ (decide) ───────────▶ SPREAD ─────────────────────▶ WRITE_BACK ──▶ answer
 *     ▲                     │ agree                │ agree                       │
 *     │                     ▼                      ▼                             │ superseded,
 *     │                  answer                 answer                           │ nack
 *     └──────────────────────────────────────────────────────────────────────────┘ newer epoch
 *
 * A write-back passes on the bytes found: by STORE what a blind write made, by ACC what a
 * read-modify-write made. Where consensus may share the key, a refused write-back ends the read as
 * such: it goes on as a read-modify-write that changes nothing (`turned`), and so does the read of
 * a move that meets a promise above every record [T14].
 *
 * SPREAD is no state of its own: the other replicas are asked within the query phase, since their
 * replies may agree and make the write-back unnecessary. Bytes that were left out of the newest
 * reply are fetched from a replica that holds them before anything is answered or written back.
 *
 * At level session, what the first replies show may be older than what the session has seen: then
 * the other replicas are asked within the query phase as well, and the read ends when enough is
 * shown, or when nobody is left who could show it.
 *
 * At level bounded one reply will do if it is provable how fresh it is; otherwise as many replicas
 * more are asked as make Rs replies.
 *
 * A read that is not strong writes nothing back. Once it has found or missed its record, it goes on
 * unseen:
 *
 *             all replied, or waited      granted             bytes at hand
 *   LISTEN ────────────────────────▶ OFFER ──────▶ (FETCH) ────────────────▶ REPAIR
 *
 * It takes in the replies that are still under way, asks one replica more if it is to look further,
 * and passes the newest record on to those that replied with less: a read repair. What comes of
 * that is not waited for, and the answer and its receipt know nothing of it.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_GET_H
#define QUORATE_COORDINATOR_GET_H

#include "proxy/coordinator/consistency.h"
#include "proxy/coordinator/fetch.h"

/* What is known before a read at level bounded starts: moments (monotonic us, not after the read's
 * start) and what sees every write that was completed before them, at level quorum or above. All
 * zero: nothing. */
struct quo_proofs {
    uint64_t key_us; /* such writes of the key had at most this version */
    struct quo_version version;
    uint64_t member_us[QUO_MEMBERS_MAX]; /* a replica holds all such writes of the partition */
};

struct quo_get_options {
    struct quo_consistency want;
    uint64_t now_us;
    uint64_t hedge_us;  /* wait before a hedge; UINT64_MAX: never */
    uint64_t spread_us; /* wait for the other replicas before a write-back; a typical round trip */
    uint64_t seed;      /* of the chance of a read that goes on, in whatever way */
    bool settle;        /* of a move: a promise above the newest record must be overcome */
    struct quo_freshness fresh; /* level session */
    struct quo_proofs proofs;   /* level bounded */
    bool look_further;          /* once it has answered, if it is not strong */
};

enum quo_get_phase {
    QUO_GET_QUERY = 1,
    QUO_GET_WRITE_BACK,
    /* Answered. */
    QUO_GET_LISTEN,
    QUO_GET_OFFER,
    QUO_GET_FETCH,
    QUO_GET_REPAIR,
};

struct quo_get {
    struct quo_plan plan;
    struct quo_get_options options;
    uint64_t deadline_us;
    enum quo_get_phase phase;
    bool answered;
    bool over; /* the deadline passed: nothing is waited for */
    uint16_t round;

    struct quo_query query;
    bool spread;
    uint64_t spread_until;
    bool provable; /* level bounded: one replica may be enough */
    bool widened; /* more were asked: everybody, for what the session has seen; Rs, for the bound */

    struct quo_fetch fetch;

    struct quo_tally held;    /* durable holders of the version, the write-back's acks among them */
    quo_members written_back; /* asked to store, by a write-back or a repair */

    bool turned; /* nothing more comes of it: go on with a quo_rmw */

    struct quo_outcome outcome;
};

/* `plan` is copied. */
void quo_get_init(struct quo_get *get, const struct quo_plan *plan,
                  const struct quo_get_options *options);
/* Requires QUO_EVENT_START first and once, and that it has not turned. Stale, repeated and
 * unexpected events change nothing. */
void quo_get_step(struct quo_get *get, const struct quo_event *event, struct quo_effects *effects);
/* The next moment at which it wants a QUO_EVENT_TIMER. */
uint64_t quo_get_deadline(const struct quo_get *get);
/* Whether it is answered and no reply is awaited. A repair that is offered awaits none. */
bool quo_get_finished(const struct quo_get *get);
/* Whether it is answered and may yet want the key, and the record kept. */
bool quo_get_listens(const struct quo_get *get);
/* Members whose reply in the current round is awaited. */
quo_members quo_get_waiting(const struct quo_get *get);

#endif
