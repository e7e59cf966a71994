/* What a consensus write does to the record it finds: f of "value := f(value)".
 *
 * Given the record that the promises showed, decides whether the operation took effect before,
 * whether its condition holds, and what the next record is. A read-modify-write may be tried many
 * times, against different records and through different proxies; the ring in the record makes it
 * one operation.
 *
 * Threads: a quo_changer belongs to one thread. No I/O; memory is allocated for JSON only.
 */
#ifndef QUORATE_PROXY_CHANGE_H
#define QUORATE_PROXY_CHANGE_H

#include "proxy/coordinator/answer.h"
#include "quorate/record.h"
#include "quorate/ring.h"

enum quo_change_type {
    QUO_CHANGE_PUT = 1,
    QUO_CHANGE_DELETE,
    QUO_CHANGE_PATCH,   /* JSON Merge Patch, RFC 7396; an absent key is the document null */
    QUO_CHANGE_ADD,     /* a counter: a value that is a decimal integer; an absent key is 0 */
    QUO_CHANGE_RESOLVE, /* decides whether operation `opid` took effect, and fences it if not */
};

/* RFC 9110 section 13.1. Entity tags stand for quo_record.changed. */
enum quo_condition_type {
    QUO_CONDITION_NONE = 0,
    QUO_CONDITION_TAGS,    /* If-Match: one of the tags; an absent key matches none */
    QUO_CONDITION_PRESENT, /* If-Match: * */
    QUO_CONDITION_ABSENT,  /* If-None-Match: * */
};

struct quo_change {
    enum quo_change_type type;
    enum quo_condition_type condition;
    uint8_t tag_count; /* QUO_CONDITION_TAGS; 0: nothing matches */
    struct quo_version tags[QUO_CONDITIONS_MAX];
    struct quo_opid opid;
    /* hlc at which this request was submitted, or of RESOLVE the operation's. Not above that of
     * any ballot the operation is tried with, a warm one included: fences rely on it. */
    uint64_t since;
    uint64_t digest; /* of what the client asked for; of one key always the same, or it is reused */
    struct quo_slice content_type; /* PUT */
    struct quo_slice value;        /* PUT, PATCH: the patch */
    /* PUT, PATCH, ADD: how long the value will be there, from now on. 0: of a PUT, until it is
     * written again; of the others, as long as the value that they change would have been. */
    uint64_t ttl_ms;
    int64_t by, min, max; /* ADD */
    bool has_min, has_max;
};

struct quo_change_context {
    struct quo_version ballot; /* of the record to make */
    uint64_t now_ms; /* the wall clock; what has expired by then, or by the ballot, is absent */
    struct quo_version first; /* the first ballot of this attempt */
    bool sent;                /* an ACC of this attempt may have left already */
    /* The operation has gone from proposer to proposer. With a key another may be at it, too.
     * Without one nobody else is; but whoever handed it on may have given it up since, and somebody
     * may have fenced it. */
    bool shared;
    struct quo_version floor; /* the highest that the promises showed */
    uint32_t retention_s;
    uint32_t value_max;
};

struct quo_change_result {
    enum quo_change_code code;
    bool replayed; /* an earlier attempt, or with RESOLVE the operation itself, was found */
    bool has_counter;
    int64_t counter;            /* ADD: after it, or of BOUND the value found, which refused */
    struct quo_version changed; /* what the answer names: of a change that took effect its own; none
                                   of a bound that an earlier attempt met */
};

struct quo_changer;
/* Returns NULL when out of memory. */
struct quo_changer *quo_changer_new(void);
void quo_changer_free(struct quo_changer *changer);

/* `base` is what was found, NULL for nothing. The record made borrows from `change`, `base` and the
 * changer until its next call; its version is the ballot. An identity of nothing is a tombstone
 * whose `changed` is none. Never fails: what cannot be done is a result; of UNPROVABLE its code is
 * HISTORY_LOST. A RESOLVE that fences says FENCED with WRITE.
 * Requires a ballot above the base's version, and a base that quo_record_decode accepts and that
 * does not borrow from the changer. */
enum quo_decision quo_change_apply(struct quo_changer *changer, const struct quo_change *change,
                                   const struct quo_record *base,
                                   const struct quo_change_context *context,
                                   struct quo_record *ret_record, struct quo_change_result *ret);

/* The identity alone, for reads and moves. As above. */
void quo_change_identity(const struct quo_record *base, struct quo_version ballot,
                         struct quo_record *ret_record);

/* What a record says of an operation that was submitted at hlc `since`. */
enum quo_operation_state {
    QUO_OPERATION_APPLIED = 1,
    QUO_OPERATION_NOT_APPLIED,
    QUO_OPERATION_IN_FLIGHT, /* not decided: it has not taken effect and may yet */
    QUO_OPERATION_EXPIRED,   /* nothing can be told any more */
};
/* `record` is NULL for nothing. *ret_entry is set with APPLIED and NOT_APPLIED. */
enum quo_operation_state quo_change_state(const struct quo_record *record,
                                          const struct quo_opid *opid, uint64_t since,
                                          uint32_t retention_s, struct quo_ring_entry *ret_entry);

#endif
