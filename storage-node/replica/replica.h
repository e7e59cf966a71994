/* The rules of a replica: what it may answer to a request, given what it holds (PROTOCOLS B3).
 *
 * Pure: no I/O, no allocation, no clock. The caller shows what it holds (a view), the rule says
 * what to do and what to answer (a verdict), the caller does it. A request meets the rules in this
 * order:
 *
 *   fence (is the epoch right, are we a replica?)  ->  kind (may this namespace do that?)
 *   ->  skew (is the version from the future?)     ->  the rule of its message
 *
 * Threads: pure functions of their arguments.
 */
#ifndef QUORATE_NODE_REPLICA_H
#define QUORATE_NODE_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "quorate/cluster.h"
#include "quorate/record.h"
#include "quorate/status.h"
#include "quorate/version.h"

/* Rule 0: the epoch fence (fence.c). */
struct quo_fence_verdict {
    /* QUO_OK: go on; QUO_WRONG_EPOCH: the carried entry is older, answer with ours;
     * QUO_NOT_REPLICA: we do not hold this partition; QUO_WRONG_CLUSTER: the carried entry cannot
     * be of our cluster's history (see quo_replica_may_follow). */
    enum quo_status status;
    /* The carried entry is newer: it must be ours, durably, before any answer leaves. Never set
     * with QUO_WRONG_EPOCH or QUO_WRONG_CLUSTER. */
    bool adopt;
};
/* `mine` is the entry in force, `carried` the request's, `self` our replica id. */
struct quo_fence_verdict quo_replica_fence(const struct quo_entry *mine,
                                           const struct quo_entry *carried, uint64_t self);

/* Whether `next` may come after `entry` in the history of a partition.
 *
 * Equal epochs: only when both are the same entry, since entries never change. A lower epoch:
 * never. Exactly one above: the replicas that held the data must still be asked, so NORMAL(A) may
 * become NORMAL(A) or JOINT(A, any), and JOINT(A, B) may become NORMAL(A), NORMAL(B) or JOINT(A,
 * B); lists are compared in order, since a namespace with fewer replicas uses the first of them.
 * Two or more above: always, since what lies between is unknown and may have been a proper move. */
bool quo_replica_may_follow(const struct quo_entry *entry, const struct quo_entry *next);

/* Rule 1: what a kind of namespace allows (kind.c). */
enum quo_replica_op {
    QUO_OP_QUERY = 1u << 0,
    QUO_OP_STORE = 1u << 1,
    QUO_OP_PREP = 1u << 2,
    QUO_OP_ACC = 1u << 3,
    QUO_OP_SLOT = 1u << 4, /* of counters only */
    QUO_OP_DROP = 1u << 5, /* the replica's own, of any kind */
};
/* `carried` is the kind the request names, `ns` our own namespace with the request's id, NULL when
 * we know none. Returns QUO_OK or QUO_BAD_KIND: the namespace is unknown, the requester believes it
 * to be of another kind, or the kind does not allow the operation. */
enum quo_status quo_replica_kind(const struct quo_namespace *ns, uint8_t carried,
                                 enum quo_replica_op op);

/* Whether keys of this kind can have a promise above their record. */
bool quo_replica_kind_promises(enum quo_kind kind);

/* Rule 2: versions from the future (skew.c, PROTOCOLS A5). `now_ms` is our wall clock. Returns
 * QUO_OK, or QUO_SKEW for a version more than QUO_SKEW_MAX_MS ahead of it. */
enum quo_status quo_replica_skew(struct quo_version version, uint64_t now_ms);

/* What a replica holds for one key. */
struct quo_replica_view {
    struct quo_version version; /* of the record; none when absent */
    bool blind;                 /* the record was made by a blind write */
    /* Nothing below it is accepted. A record that a read-modify-write made is its own promise, so
     * this is at least its version then; quo_replica_promised joins the two. */
    struct quo_version promised;
    bool promise_kept; /* a promise is kept beside the record */
    /* Of the partition, each none when there is none. Nothing new at or below `floor` is accepted,
     * and no copies at or below `sealed` either; deletes at or below `cleared` may be dropped. */
    struct quo_version floor, sealed, cleared;
    uint32_t record_size; /* bytes of the record; 0 when absent */
};

/* The promise in force, of what is kept beside the record (none: nothing) and the record. */
struct quo_version quo_replica_promised(struct quo_version kept, struct quo_version version,
                                        bool blind);

/* What to do with the promise kept beside the record. It is needed while it is above a record that
 * a read-modify-write made, and for as long as the record is blind: a blind write may be above a
 * promise and does not release it, or a proposal from before the promise could still be taken for
 * one that only the blind write superseded. */
enum quo_promise_change {
    QUO_PROMISE_LEAVE = 0,
    QUO_PROMISE_PUT,   /* keep reply.promised */
    QUO_PROMISE_CLEAR, /* the record says it all */
};

struct quo_replica_verdict {
    enum quo_status status;
    bool write; /* put the request's record in place of the one held */
    bool drop;  /* delete the record held */
    enum quo_promise_change promise;
    bool next;                     /* ACC: the ballot `next` was promised by this very message */
    bool value;                    /* the answer includes the record held */
    struct quo_replica_view reply; /* what is held once the verdict was carried out */
};

/* QUERY (query.c): shows what is held, whatever the floor. Always QUO_OK. `value_max` as in the
 * message. */
struct quo_replica_verdict quo_replica_query(const struct quo_replica_view *view,
                                             uint32_t value_max);

/* Whether a STORE may bring this record: made by a blind write, with no past of its own. What a
 * read-modify-write made is relayed by its own message, never by STORE (store.c, PROTOCOLS B3:
 * "flags = BLIND, hist_from = t, ring = {}"). */
bool quo_replica_is_blind(const struct quo_record *record);

/* The record of a STORE, as the replica sees it. */
struct quo_replica_incoming {
    struct quo_version version; /* never none */
    uint32_t record_size;
    bool promises; /* keys of this namespace can have a promise (quo_replica_kind_promises) */
    /* The record held is byte for byte the incoming one. Looked at only when the versions are
     * equal. */
    bool same_bytes;
    bool copy; /* STORE: of what some replica holds, not a new write */
    bool gone; /* it deletes the key, or had expired, at the moment of `sealed` */
};
/* STORE (store.c): a blind write, a repair or a hint; the tests in the order of PROTOCOLS B3.
 * Status: QUO_OK (written, or held already, or a copy of a delete that was dropped here, with
 * nothing to write); QUO_NACK (a floor or a promise forbids it);
 * QUO_SUPERSEDED (something newer is held); QUO_CORRUPT (the version is held with other bytes,
 * which no correct cluster can produce). */
struct quo_replica_verdict quo_replica_store(const struct quo_replica_view *view,
                                             const struct quo_replica_incoming *incoming);

/* PREP (prep.c): promises a ballot, in the order of PROTOCOLS B3. Status: QUO_OK (promised; the
 * answer shows what is held); QUO_NACK (the ballot is not above all that was promised, accepted or
 * floored here: the answer shows how high that is). A ballot that was promised already is refused
 * as well: a promise is given once. Requires a ballot that is not none. `value_max` as in the
 * message. */
struct quo_replica_verdict quo_replica_prep(const struct quo_replica_view *view,
                                            struct quo_version ballot, uint32_t value_max);

/* Whether an ACC may bring this record: made by a read-modify-write. */
bool quo_replica_is_proposal(const struct quo_record *record);

/* ACC (acc.c): accepts a proposal or a relayed one, in the order of PROTOCOLS B3. `next` is none or
 * a ballot above the record's version. Status: QUO_OK (written, or held already); QUO_NACK (the
 * floor or a promise forbids it); QUO_SUPERSEDED (a newer blind write is held); QUO_CORRUPT (the
 * version is held with other bytes). An accepted record raises the promise to its version, or to
 * `next`, which counts only when this very message stored the record [T11]. */
struct quo_replica_verdict quo_replica_acc(const struct quo_replica_view *view,
                                           const struct quo_replica_incoming *incoming,
                                           struct quo_version next);

/* Dropping a delete (drop.c, PROTOCOLS B7), which no message asks for: `gone`, the version of a
 * record that deletes its key, or had expired, at the moment of `cleared`. Status: QUO_OK (drop
 * it); QUO_SUPERSEDED (something else is held); QUO_NACK (it has to stay). */
struct quo_replica_verdict quo_replica_drop(const struct quo_replica_view *view,
                                            struct quo_version gone);

#endif
