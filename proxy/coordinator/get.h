/* A read: eventual, quorum, strong or all (api/PROTOCOLS.md, "Strong read").
 *
 *          reply quorum              disagree            all asked or waited
 *   QUERY ─────────────▶ (decide) ───────────▶ SPREAD ─────────────────────▶ WRITE_BACK ──▶ answer
 *     ▲                     │ agree                │ agree                       │
 *     │                     ▼                      ▼                             │ superseded,
 *     │                  answer                 answer                           │ nack
 *     └──────────────────────────────────────────────────────────────────────────┘ newer epoch
 *
 * SPREAD is no state of its own: the other replicas are asked within the query phase, since their
 * replies may agree and make the write-back unnecessary. Bytes that were left out of the newest
 * reply are fetched from a replica that holds them before anything is answered or written back.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_GET_H
#define QUORATE_COORDINATOR_GET_H

#include "proxy/coordinator/consistency.h"
#include "proxy/coordinator/query.h"

struct quo_get_options {
    struct quo_consistency want;
    uint64_t now_us;
    uint64_t hedge_us;  /* wait before a hedge; UINT64_MAX: never */
    uint64_t spread_us; /* wait for the other replicas before a write-back */
};

enum quo_get_phase { QUO_GET_QUERY = 1, QUO_GET_WRITE_BACK };

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

    struct quo_version kept; /* the version whose record the driver keeps */
    bool kept_tombstone;
    uint8_t fetching; /* member that was asked for the bytes; QUO_MEMBER_NONE */
    uint64_t fetch_until;
    quo_members unfetchable; /* members that failed to hand them out */

    struct quo_tally held;    /* durable holders of the version, the write-back's acks among them */
    quo_members written_back; /* asked to store */

    struct quo_outcome outcome;
};

/* `plan` is copied. */
void quo_get_init(struct quo_get *get, const struct quo_plan *plan,
                  const struct quo_get_options *options);
/* Requires QUO_EVENT_START first and once. Stale, repeated and unexpected events change nothing. */
void quo_get_step(struct quo_get *get, const struct quo_event *event, struct quo_effects *effects);
/* The next moment at which it wants a QUO_EVENT_TIMER. */
uint64_t quo_get_deadline(const struct quo_get *get);
/* Whether it is answered and no reply is awaited. */
bool quo_get_finished(const struct quo_get *get);
/* Members whose reply in the current round is awaited. */
quo_members quo_get_waiting(const struct quo_get *get);

#endif
