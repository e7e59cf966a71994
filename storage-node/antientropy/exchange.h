/* One comparison of a partition with one peer: finds the leaves of the hash tree that the two hold
 * differently for longer than a moment, and says when their keys are to be compared.
 *
 *   ROOT ──▶ pause ──▶ ROOT ──▶ BRANCHES ──▶ pause ──▶ BRANCHES ──▶ LEAVES of each differing branch
 *                                              ──▶ pause ──▶ LEAVES of those ──▶ KEYS of the leaves
 *
 * Writes under way are on one side for a moment. So every level is looked at twice, with a pause,
 * and only what differs both times counts. What was equal at one of the two looks holds nothing
 * different that is older than the exchange; if that is so for everything it is over.
 *
 * Pure: events in, effects out. The driver asks the peer, looks into its own tree, lists keys.
 */
#ifndef QUORATE_NODE_EXCHANGE_H
#define QUORATE_NODE_EXCHANGE_H

#include "storage-node/antientropy/tree.h"

enum quo_exchange_event_type {
    QUO_EXCHANGE_START = 1,
    QUO_EXCHANGE_HASHES, /* the peer's and ours, of the level asked */
    QUO_EXCHANGE_TIMER,  /* the pause may be over */
    QUO_EXCHANGE_LISTED, /* the keys of the leaves were compared and mended as far as can be */
    QUO_EXCHANGE_FAILED, /* the peer did not answer, is busy, or knows another epoch */
};

struct quo_exchange_event {
    enum quo_exchange_event_type type;
    uint64_t now_us;
    const uint64_t *theirs; /* HASHES: 1 or 64 of them, as asked */
    const uint64_t *ours;
};

enum quo_exchange_effect {
    QUO_EXCHANGE_NOTHING = 0,
    QUO_EXCHANGE_ASK_ROOT = 1, /* the peer's root, and ours at the moment its answer comes */
    QUO_EXCHANGE_ASK_BRANCHES,
    QUO_EXCHANGE_ASK_LEAVES, /* of `branch` */
    QUO_EXCHANGE_ASK_KEYS,   /* compare and mend the keys of `leaves` */
    QUO_EXCHANGE_EQUAL,      /* it is over: nothing differs that is older than the exchange */
    QUO_EXCHANGE_MENDED,     /* it is over: the keys of `leaves` were gone through */
    QUO_EXCHANGE_GIVEN_UP,   /* it is over: the peer did not answer */
};

struct quo_exchange {
    uint8_t step;
    uint64_t pause_us;
    uint64_t wake_us;                   /* UINT64_MAX: no pause is on */
    uint64_t branches;                  /* bit i: branch i differs as far as is known */
    uint64_t left;                      /* of those, still to be asked in this look at the leaves */
    uint32_t branch;                    /* of ASK_LEAVES */
    uint64_t leaves[QUO_TREE_BRANCHES]; /* of each branch likewise */
};

/* pause_us: between the two looks. */
void quo_exchange_init(struct quo_exchange *exchange, uint64_t pause_us);
/* Requires START first and once; HASHES and LISTED only as asked. */
enum quo_exchange_effect quo_exchange_step(struct quo_exchange *exchange,
                                           const struct quo_exchange_event *event);
/* When it wants TIMER; UINT64_MAX: never. */
uint64_t quo_exchange_deadline(const struct quo_exchange *exchange);

/* What to do about one key that the two hold in versions `ours` and `theirs` (none: not there). */
enum quo_mend { QUO_MEND_NOTHING, QUO_MEND_PUSH, QUO_MEND_PULL };
enum quo_mend quo_exchange_mend(struct quo_version ours, struct quo_version theirs);

#endif
