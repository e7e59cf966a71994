/* A blind write or delete (api/PROTOCOLS.md, "Strong write" and "Eventual write").
 *
 *   strong:            QUERY ──▶ TAG ──▶ STORE ──▶ answer
 *   eventual, new key:           TAG ──▶ STORE ──▶ answer
 *   to a counter:                TAG ──▶ SLOT ──▶ STORE ──▶ answer
 *
 * A version that may be on some replica is never given up for another one: it could take effect
 * twice. So STORE goes back to TAG only when every replica provably refused, and back to itself,
 * with the same version, under a newer epoch.
 *
 * What is added to a counter of kind crdt goes to the slot of one replica, which makes the record
 * (put_slot.c); that is then passed on to the others like any blind write.
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
    uint8_t fallbacks; /* of a sloppy write: nodes that can keep a hint */
    uint64_t hedge_us; /* of the query phase; UINT64_MAX: never */
    uint64_t above;    /* hlc: the highest that the session has met; the version is above it */
    bool adds;         /* to a counter */
    /* Then: of its Idempotency-Key, 0 if it has none. With one it goes to the same slot however
     * often it is sent, since only that slot knows it again. */
    uint64_t key_hash;
    bool is_new; /* nobody else ever wrote the key: there is nothing to ask about first */
    struct quo_version version; /* with it: that the record has; none: one is made */
};

/* Hints, for members that do not have the record. A sloppy write awaits them, each kept by a node
 * of its own, and counts them; whatever else is missing in the end is told once, when nobody waits.
 */
struct quo_put_hints {
    quo_members asked;  /* in this round */
    quo_members kept;   /* of them */
    quo_members failed; /* of them */
    quo_members final;  /* members whose refusal stands */
    bool maybe;         /* one that failed may be kept all the same */
    bool silent_asked;  /* for those who do not answer */
    bool rest_asked;    /* for all that are missing in the end */
};

enum quo_put_phase { QUO_PUT_QUERY = 1, QUO_PUT_TAG, QUO_PUT_SLOT, QUO_PUT_STORE };

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

    struct quo_version tag; /* of the record; until a slot has made one, when it was submitted */
    struct quo_tally acks;
    struct quo_tally disk;
    quo_members sent;  /* STOREs of this round that left, as far as is known */
    quo_members maybe; /* of them, failed in a way that does not say what the replica did */
    bool superseded;   /* an ack is of something newer */
    bool touched;      /* a STORE of an earlier round may have taken effect */
    struct {
        uint64_t replica;  /* whose slot the record is; 0: it is not made yet */
        quo_members tried; /* refused, or could not be asked */
        bool found;        /* it was added by an earlier request */
    } slot;
    struct quo_clocks clocks;
    struct quo_put_hints hints;

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
