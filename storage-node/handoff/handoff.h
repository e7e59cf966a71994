/* Hinted handoff, what is to be decided of it: which target is delivered to next, how fast, what
 * becomes of a hint (DeCandia et al., "Dynamo", SOSP 2007, 4.6).
 *
 * A hint is the record of a blind write that a replica, the target, has not acknowledged. Another
 * node keeps it and stores it there when the target is back, as it is: the same version, so that it
 * is the message of its writer once more, late. A hint is a help and no promise: what is over a
 * limit, or too old, is left to anti-entropy.
 *
 * Pure: no I/O, no allocation, no clock. Threads: a struct belongs to one.
 */
#ifndef QUORATE_NODE_HANDOFF_H
#define QUORATE_NODE_HANDOFF_H

#include "quorate/base.h"
#include "quorate/limits.h"
#include "quorate/status.h"
#include "quorate/version.h"

/* The storage key of a hint: be64 target | version | be16 partition | be32 namespace | key. So
 * those of a target stand together, the oldest first, and no two writes share one. */
#define QUO_HINT_KEY_PREFIX (8u + QUO_VERSION_SIZE)
#define QUO_HINT_KEY_MAX (QUO_HINT_KEY_PREFIX + QUO_STORAGE_KEY_MAX)

struct quo_hint_key {
    uint64_t target;
    struct quo_version version;
    struct quo_slice key; /* the storage key of the record */
};
/* Writes QUO_HINT_KEY_PREFIX + key.len bytes; returns how many. */
size_t quo_hint_key_encode(const struct quo_hint_key *key, uint8_t *out);
/* Returns QUO_OK with what borrows from `bytes`, or QUO_MALFORMED. */
enum quo_status quo_hint_key_decode(struct quo_slice bytes, struct quo_hint_key *ret);
/* Writes the first storage key after those of a target's hints up to `version` (none: the first of
 * its hints), QUO_HINT_KEY_PREFIX bytes. */
void quo_hint_key_after(uint64_t target, struct quo_version version,
                        uint8_t out[QUO_HINT_KEY_PREFIX]);

/* A node that hints are kept for. */
struct quo_handoff_target {
    uint64_t replica;
    uint64_t count, bytes; /* on disk or on their way there */
    uint64_t oldest_ms;    /* no hint was written before; UINT64_MAX: there is none */
    bool up;
    bool busy;                 /* a batch is being delivered */
    bool stuck;                /* the last round met something that could not be delivered */
    struct quo_version cursor; /* of this round: all up to it were gone through */
    uint64_t due_us;           /* not before */
    uint32_t pause_ms;         /* after the next failure */
    uint64_t turn;             /* when it was chosen last */
    uint64_t kept, delivered, expired, refused, useless; /* since the start */
};

#define QUO_HANDOFF_SLICES 7u /* of ten seconds: the one under way, and a minute */

struct quo_handoff {
    uint32_t target_count;
    struct quo_handoff_target targets[QUO_NODES_MAX]; /* by the peer's number */
    uint64_t turns;
    int64_t budget; /* bytes; below 0: in debt */
    uint64_t budget_us;
    uint64_t slices[QUO_HANDOFF_SLICES]; /* hints delivered in each */
    uint64_t slice;                      /* number of the one under way */
};

void quo_handoff_init(struct quo_handoff *handoff, uint64_t now_us);
/* Adds a node. Requires less than QUO_NODES_MAX of them. */
void quo_handoff_add(struct quo_handoff *handoff, uint64_t replica);
/* Returns NULL for one that was not added. */
struct quo_handoff_target *quo_handoff_find(struct quo_handoff *handoff, uint64_t replica);

void quo_handoff_up(struct quo_handoff_target *target, uint64_t now_us);
void quo_handoff_down(struct quo_handoff_target *target);

/* Whether a hint of this age is of no use any more. */
bool quo_handoff_is_expired(struct quo_version version, uint64_t now_ms);
/* Whether one more hint of `bytes` may be kept: QUO_OK; QUO_NACK: it is expired; QUO_BUSY: there
 * are too many. Counts what it refuses. */
enum quo_status quo_handoff_admit(struct quo_handoff_target *target, size_t bytes,
                                  struct quo_version version, uint64_t now_ms);
/* One more is kept, or was found in the store; and one less. */
void quo_handoff_added(struct quo_handoff_target *target, size_t bytes, struct quo_version version);
void quo_handoff_removed(struct quo_handoff_target *target, size_t bytes);

/* The target whose hints are to be gone through next: of those that are due, the one that waits
 * longest. Due is who can be reached and has hints, and who has hints that are expired. It is busy
 * from then on. Returns NULL when there is none. */
struct quo_handoff_target *quo_handoff_next(struct quo_handoff *handoff, uint64_t now_us,
                                            uint64_t now_ms);

enum quo_handoff_end {
    QUO_HANDOFF_MORE,    /* there are more behind the cursor */
    QUO_HANDOFF_ALL,     /* it was the last of the round */
    QUO_HANDOFF_STOPPED, /* the target takes nothing now */
};
/* The batch is over. `upto`: the last that was gone through; it matters with MORE only. `kept`:
 * some of it have to be tried again. Requires that it is busy. */
void quo_handoff_end(struct quo_handoff_target *target, enum quo_handoff_end end,
                     struct quo_version upto, bool kept, uint64_t now_us);
/* The first hint of a round: none is older. */
void quo_handoff_oldest(struct quo_handoff_target *target, struct quo_version version);
/* A round found none, and none came meanwhile: whatever was counted is not there. */
void quo_handoff_none(struct quo_handoff_target *target);

/* What the target's answer means for a hint. */
enum quo_hint_fate {
    QUO_HINT_DELIVERED, /* the target has it, or something newer */
    QUO_HINT_USELESS,   /* it will never take it */
    QUO_HINT_KEPT,      /* it does not take this one now */
    QUO_HINT_STOPPED,   /* it takes nothing now */
};
enum quo_hint_fate quo_hint_fate(enum quo_status answer);

/* Counts the end of a hint. */
void quo_handoff_count_delivered(struct quo_handoff *handoff, struct quo_handoff_target *target,
                                 uint64_t now_us);
/* Hints delivered in the last minute, more or less ten seconds. */
uint64_t quo_handoff_drained(const struct quo_handoff *handoff, uint64_t now_us);

/* Whether the rate allows another hint now, and the moment from which it does. */
bool quo_handoff_may_send(struct quo_handoff *handoff, uint64_t now_us);
uint64_t quo_handoff_rested_us(const struct quo_handoff *handoff);
void quo_handoff_spend(struct quo_handoff *handoff, size_t bytes);

/* The next moment at which quo_handoff_next may return one; UINT64_MAX: none as it stands. */
uint64_t quo_handoff_deadline(const struct quo_handoff *handoff, uint64_t now_us, uint64_t now_ms);

#endif
