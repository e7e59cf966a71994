/* One collection of the deletes of a partition, as its controller runs it: the first replica of the
 * entry. Every stage needs all replicas, for the reasons given in api/PROTOCOLS.md:
 *
 *   READY ──▶ GATE(F) ──▶ CONFIRM(F), again and again ──▶ SEAL(F) ──▶ DROP(F)
 *
 * F is the earliest clock of all replicas less the grace. CONFIRM is answered OK by who has found
 * itself equal with each replica that it compares itself with, from a beginning on that was after
 * all had the gate.
 *
 * What is confirmed stays true, so a collection that has come so far is taken up again by whoever
 * finds that it was left: the controller seals itself first, and clears itself last. Until then one
 * replica may have dropped what another has not, and the two cannot become equal by anything else.
 *
 * Pure: events in, effects out.
 */
#ifndef QUORATE_NODE_GC_COLLECT_H
#define QUORATE_NODE_GC_COLLECT_H

#include "storage-node/gc/floors.h"

enum quo_collect_event_type {
    QUO_COLLECT_START = 1,
    QUO_COLLECT_ANSWER, /* of one member that was asked */
    QUO_COLLECT_TIMER,
};

struct quo_collect_event {
    enum quo_collect_event_type type;
    uint64_t now_us;
    const struct quo_floors *floors; /* START: the controller's own */
    /* ANSWER. QUO_OK; QUO_BUSY: not yet, which only CONFIRM waits for; anything else, such as
     * QUO_UNAVAILABLE: it cannot be had. */
    uint8_t member;
    enum quo_status status;
    uint64_t clock_ms; /* the member's wall clock */
};

enum quo_collect_effect {
    QUO_COLLECT_NOTHING = 0,
    QUO_COLLECT_ASK,      /* `asks`: the members to send FLOOR(stage, floor) to now */
    QUO_COLLECT_DONE,     /* it is over, and there may have been nothing to do */
    QUO_COLLECT_GIVEN_UP, /* it is over */
};

struct quo_collect_options {
    uint8_t n;           /* replicas of the partition, 1 to QUO_REPLICAS_MAX */
    uint8_t self;        /* which of them is the controller */
    uint64_t grace_ms;   /* for which deletes are kept at least */
    uint64_t pause_us;   /* between two CONFIRMs to one that is not equal yet */
    uint64_t timeout_us; /* of it all */
};

struct quo_collect {
    struct quo_collect_options options;
    enum quo_floor_stage stage;
    struct quo_version floor;
    struct quo_version sealed; /* the controller's, at the start */
    uint64_t earliest_ms;      /* of the clocks */
    uint64_t wake_us;          /* UINT64_MAX: nobody is to be asked once more */
    uint64_t expires_us;
    uint8_t asks;    /* of ASK; all these are sets of members, bit by bit */
    uint8_t waiting; /* asked, not answered */
    uint8_t busy;    /* to be asked once more */
    uint8_t later;   /* to be asked when those who were asked first have answered */
};

void quo_collect_init(struct quo_collect *collect, const struct quo_collect_options *options);
/* Requires START first and once, and nothing after the end. */
enum quo_collect_effect quo_collect_step(struct quo_collect *collect,
                                         const struct quo_collect_event *event);
/* When it wants TIMER. */
uint64_t quo_collect_deadline(const struct quo_collect *collect);

#endif
