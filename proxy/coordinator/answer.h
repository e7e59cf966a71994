/* How an operation ends: what a coordinator decides and a driver hands on.
 */
#ifndef QUORATE_COORDINATOR_ANSWER_H
#define QUORATE_COORDINATOR_ANSWER_H

#include "quorate/cluster.h"
#include "quorate/status.h"
#include "quorate/version.h"

/* Replicas that one operation may speak to: both sets of a joint entry. */
#define QUO_MEMBERS_MAX (2u * QUO_REPLICAS_MAX)

/* Whether a write took effect. Of a read: always QUO_NOT_APPLIED. */
enum quo_effectuality {
    QUO_NOT_APPLIED = 1, /* provably not, and never will */
    QUO_APPLIED = 2,
    QUO_UNKNOWN = 3,
};

/* How an operation ended. A write with outcome QUO_UNKNOWN always has QUO_VERDICT_TIMEOUT. */
enum quo_verdict {
    QUO_VERDICT_FOUND = 1,   /* GET: the record is there */
    QUO_VERDICT_ABSENT,      /* GET: no record, or deleted, at the level asked */
    QUO_VERDICT_WRITTEN,     /* a write took effect */
    QUO_VERDICT_UNAVAILABLE, /* too few replicas can be reached; nothing was attempted (503) */
    QUO_VERDICT_TIMEOUT,     /* the deadline passed, or it is certain to be missed (504) */
    QUO_VERDICT_REFUSED,     /* replicas refused: `refusal` says why */
    QUO_VERDICT_DECLINED,    /* a consensus write that its own condition forbids; certainly not
                                applied by this attempt. The change's result says why */
    QUO_VERDICT_UNSATISFIED, /* GET at level session: of those that answered none shows what the
                                session has seen (503) */
};
#define QUO_VERDICTS 9u /* of an array that they index */

/* What applying a change to the record found came to (proxy/change/). */
enum quo_decision {
    /* The new record differs: it must be accepted before the result is true. A failure of an
     * operation with an Idempotency-Key is such a record too: it fences earlier attempts, which may
     * have been accepted where no promise has shown them. */
    QUO_DECISION_WRITE = 1,
    /* Nothing changes: the result is true of the record found, once that is on a write quorum. The
     * record made is an identity: the one found, under the new ballot. */
    QUO_DECISION_KEEP,
    /* As KEEP, and an earlier attempt decided the result: that the record found is on a write
     * quorum suffices, whatever this attempt has sent [T1]. */
    QUO_DECISION_FOUND,
    /* Whether an earlier attempt took effect cannot be told any more, and nothing else may be
     * answered. The record made is an identity. */
    QUO_DECISION_UNPROVABLE,
};

/* The facts behind the answer; the receipt is made of them and claims nothing else. */
struct quo_receipt {
    enum quo_level level; /* reached */
    uint8_t n;
    uint8_t replies;     /* replicas that answered in the phase that decided */
    uint8_t acks;        /* replicas known to hold the version (or something newer) */
    uint8_t disk;        /* of them, on disk */
    uint8_t hints;       /* other nodes that keep it on disk for a replica: of a sloppy write */
    bool sloppy;         /* without those the level would not have been reached */
    uint8_t need;        /* what was needed of them; with `replies`/`acks` what a failure lacked */
    uint8_t round_trips; /* phases that the answer waited for, one after the other */
    uint8_t hedges;      /* extra requests sent */
    bool repaired;       /* a write-back was needed */
    bool stable;         /* the version (or something newer) is on a write quorum */
    bool superseded;     /* of a write: an ack is of something newer, so it may never be read */
    bool is_bounded;     /* level bounded: bound_ms says something */
    uint32_t bound_ms;   /* what was read was not behind so long before the request came */
    uint32_t epoch;
    struct quo_version version;         /* of a tombstone as well; none when there is nothing,
                                           or failed before a version was chosen */
    uint64_t answered[QUO_MEMBERS_MAX]; /* replica ids, `replies` of them */
    uint16_t peer[QUO_MEMBERS_MAX];     /* whose they are, as the plan says; nothing if another
                                           proxy ran the operation */
};

/* Counters of a receipt stop at their end instead of wrapping. */
static inline void quo_receipt_count(uint8_t *counter, uint8_t n)
{
    *counter = n > UINT8_MAX - *counter ? UINT8_MAX : (uint8_t)(*counter + n);
}

struct quo_outcome {
    enum quo_verdict verdict;
    enum quo_effectuality effect;
    enum quo_status refusal; /* with REFUSED, and with TIMEOUT if refusals made it certain; else
                                QUO_OK */
    uint8_t restarts;        /* times the protocol started again */
    struct quo_receipt receipt;
};

#endif
