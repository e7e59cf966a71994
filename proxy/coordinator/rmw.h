/* A read-modify-write: consensus on one key, CASPaxos (Rystsov 2018) with the corrections of
 * api/PROTOCOLS.md, "Consensus on a key".
 *
 *              promises of Rs            change applied           accepted by Ws
 *   TAG ──▶ PREP ─────────────▶ (FETCH) ─────────────▶ ACC ─────────────────────▶ answer
 *    ▲        │                              │          │
 *    │        │ nack                         │ nothing  │ nack, newer epoch
 *    │        ▼                              │ to write │
 *    └───── BACKOFF ◀────────────────────────┼──────────┘
 *              │ preempted again and again   ▼
 *              └──────▶ FORWARD ─────────▶ answer
 *
 * A warm start has the promise of its ballot from the last write of this proposer: its change is
 * applied at once and goes to ACC. A record that Ws replicas accept is all that it can answer with;
 * everything else starts at TAG then, as if there had been no promise [T13].
 *
 * Nothing is sent in a step whose time is at or past the deadline: what a resolver has fenced can
 * then never be tried again.
 *
 * It answers QUO_VERDICT_WRITTEN whenever its decision holds, also when that decision is that the
 * condition was false: the driver knows what was decided. The receipt's version is then that of the
 * record which shows it: the one made, or if nothing had to be written the one kept (none: there is
 * none). A read answers FOUND or ABSENT likewise.
 *
 * Pure: the change itself is applied by the driver (QUO_EFFECT_APPLY).
 */
#ifndef QUORATE_COORDINATOR_RMW_H
#define QUORATE_COORDINATOR_RMW_H

#include "proxy/coordinator/clocks.h"
#include "proxy/coordinator/consistency.h"
#include "proxy/coordinator/fetch.h"

enum quo_rmw_purpose {
    QUO_RMW_WRITE = 1, /* a client's write */
    QUO_RMW_READ,   /* a read that no write-back could settle: identity, answers as a strong read */
    QUO_RMW_SETTLE, /* of a move: as READ, and the accept is never skipped [T14] */
};

struct quo_rmw_options {
    enum quo_rmw_purpose purpose;
    /* r promises and w acks, all on disk, are needed; the strong quorums if they are more. */
    struct quo_consistency want;
    uint64_t now_us;
    uint64_t round_trip_us; /* typical: the unit of the backoff */
    uint64_t seed;          /* of its chance */
    uint16_t first_round;   /* of a read that became this: its rounds so far */
    uint8_t round_trips;    /* likewise, for the receipt, as the next two */
    uint8_t hedges;
    uint8_t restarts;
    struct quo_version seen; /* what it has seen */
    /* What is recorded is kept for a time that is counted from the ballot's: one that is more than
     * QUO_SKEW_MAX_MS below the clocks of all who promise it is refused, with QUO_SKEW. */
    bool dated;
    /* Of an operation that another proposer began: its first ballot (none: it made none), and
     * whether an ACC of it may have left. Ours are above it, a warm one too or it is not used. */
    struct quo_version first;
    bool sent;
    bool may_forward;   /* emit FORWARD after QUO_FORWARD_AFTER preemptions, once */
    bool forward_first; /* emit FORWARD as soon as there is a ballot; if that fails, go on here */
    /* The promise of this ballot is held by a write quorum and a read quorum; the driver has the
     * record it was given with. None: start cold. Only in kind cas [T12]. */
    struct quo_version warm;
    bool piggyback; /* ask for the next promise with every ACC; only in kind cas */
};

enum quo_rmw_phase {
    QUO_RMW_TAG = 1,
    QUO_RMW_PREP,
    QUO_RMW_APPLY,
    QUO_RMW_ACC,
    QUO_RMW_BACKOFF,
    QUO_RMW_FORWARD,
};

struct quo_rmw {
    struct quo_plan plan;
    struct quo_rmw_options options;
    uint64_t deadline_us;
    enum quo_rmw_phase phase;
    bool answered;
    bool over; /* the deadline passed: nothing is waited for */
    uint16_t round;
    uint64_t chance;

    struct quo_version ballot, next;
    struct quo_version first;           /* no ballot of which an ACC may have left is below it */
    struct quo_version first_elsewhere; /* FORWARD: likewise, of ballots made there */
    struct quo_version seen;            /* above which the next ballot must be */
    bool sent;      /* an ACC of an earlier ballot, or elsewhere, may have been accepted */
    bool warm;      /* this attempt started warm */
    bool forwarded; /* it was handed on once */
    uint32_t preempted;
    uint64_t wake_us; /* BACKOFF */

    struct quo_query promises; /* of this ballot */
    struct quo_fetch fetch;
    quo_members contending; /* members that refused because of another ballot */
    struct quo_clocks clocks;

    struct quo_tally acks;
    quo_members asked;    /* ACCs of this ballot that left, as far as is known */
    quo_members promised; /* of them, answered with QUO_REPLY_NEXT */
    quo_members maybe;    /* of them, failed in a way that does not say what the replica did */

    struct quo_outcome outcome;
};

/* `plan` is copied. */
void quo_rmw_init(struct quo_rmw *rmw, const struct quo_plan *plan,
                  const struct quo_rmw_options *options);
/* Requires QUO_EVENT_START first and once; TAGGED, APPLIED and FORWARDED only after the effect that
 * asks for them. Stale, repeated and unexpected replies change nothing. */
void quo_rmw_step(struct quo_rmw *rmw, const struct quo_event *event, struct quo_effects *effects);
/* The next moment at which it wants a QUO_EVENT_TIMER. */
uint64_t quo_rmw_deadline(const struct quo_rmw *rmw);
/* Whether it is answered and no reply is awaited. */
bool quo_rmw_finished(const struct quo_rmw *rmw);
/* Members whose reply in the current round is awaited. */
quo_members quo_rmw_waiting(const struct quo_rmw *rmw);

#endif
