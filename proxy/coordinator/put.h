/* A blind write or delete (api/PROTOCOLS.md, "Strong write" and "Eventual write").
 *
 *   strong:    QUERY ──▶ TAG ──▶ STORE ──▶ answer
 *   eventual:            TAG ──▶ STORE ──▶ answer
 *
 * A version that may be on some replica is never given up for another one: it could take effect
 * twice. So STORE goes back to TAG only when every replica provably refused, and back to itself,
 * with the same version, under a newer epoch.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_PUT_H
#define QUORATE_COORDINATOR_PUT_H

#include "proxy/coordinator/clocks.h"
#include "proxy/coordinator/consistency.h"
#include "proxy/coordinator/query.h"

struct quo_put_options {
    struct quo_consistency want;
    uint64_t now_us;
    uint64_t hedge_us; /* of the query phase; UINT64_MAX: never */
    uint64_t above;    /* hlc: the highest that the session has met; the version is above it */
};

enum quo_put_phase { QUO_PUT_QUERY = 1, QUO_PUT_TAG, QUO_PUT_STORE };

struct quo_put {
    struct quo_plan plan;
    struct quo_put_options options;
    uint64_t deadline_us;
    enum quo_put_phase phase;
    bool answered;
    bool over; /* the deadline passed: nothing is waited for */
    uint16_t round;

    struct quo_query query;
    struct quo_version seen; /* above which the version must be */
    bool promised;           /* some replica showed a promise: consensus shares this key */

    struct quo_version tag;
    struct quo_tally acks;
    struct quo_tally disk;
    quo_members sent;  /* STOREs of this round that left, as far as is known */
    quo_members maybe; /* of them, failed in a way that does not say what the replica did */
    bool touched;      /* a STORE of an earlier round may have taken effect */
    struct quo_clocks clocks;

    struct quo_outcome outcome;
};

/* `plan` is copied. */
void quo_put_init(struct quo_put *put, const struct quo_plan *plan,
                  const struct quo_put_options *options);
/* Requires QUO_EVENT_START first and once; QUO_EVENT_TAGGED only after QUO_EFFECT_TAG. Stale,
 * repeated and unexpected replies change nothing. */
void quo_put_step(struct quo_put *put, const struct quo_event *event, struct quo_effects *effects);
/* The next moment at which it wants a QUO_EVENT_TIMER. */
uint64_t quo_put_deadline(const struct quo_put *put);
/* Whether it is answered and no reply is awaited. */
bool quo_put_finished(const struct quo_put *put);
/* Members whose reply in the current round is awaited. */
quo_members quo_put_waiting(const struct quo_put *put);

#endif
