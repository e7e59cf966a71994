/* What the files of the read-modify-write share.
 *
 *   rmw.c          events, and what is decided about the record found
 *   rmw_ballot.c   a ballot begins, is lost, gives way
 *   rmw_prepare.c  phase one: promises, and the bytes of the newest record
 *   rmw_accept.c   phase two
 *   rmw_answer.c   how it ends
 *
 * Whatever may answer says so; nothing else may be done with the operation in that step then.
 */
#ifndef QUORATE_COORDINATOR_RMW_INTERNAL_H
#define QUORATE_COORDINATOR_RMW_INTERNAL_H

#include "proxy/coordinator/rmw.h"
#include "quorate/record.h"
#include "quorate/testpoints.h"

static inline struct quo_receipt *quo_rmw_receipt(struct quo_rmw *rmw)
{
    return &rmw->outcome.receipt;
}

static inline uint8_t quo_rmw_need_promises(const struct quo_rmw *rmw)
{
    return QUO_MAX(rmw->options.want.r, rmw->plan.rs);
}

static inline uint8_t quo_rmw_need_acks(const struct quo_rmw *rmw)
{
    return QUO_MAX(rmw->options.want.w, rmw->plan.ws);
}

/* A promise that is older than the operation is of use only where no blind write can have come in
 * between [T12]. */
static inline bool quo_rmw_may_warm(const struct quo_rmw *rmw)
{
    return rmw->plan.kind == QUO_KIND_CAS || QUO_MUTANT(WARM_IN_MIXED);
}

static inline bool quo_rmw_awaits(const struct quo_rmw *rmw, uint8_t member)
{
    return quo_members_has(quo_rmw_waiting(rmw), member);
}

/* Members that showed the newest record as one that is on their disk. */
static inline quo_members quo_rmw_holders(const struct quo_rmw *rmw)
{
    return quo_query_holders(&rmw->promises, rmw->promises.newest) & rmw->promises.durable;
}

/* The next ballot must be above what a reply shows. */
static inline void quo_rmw_see(struct quo_rmw *rmw, const struct quo_msg_reply *reply)
{
    rmw->seen = quo_version_max(rmw->seen, quo_query_highest(reply));
}

/* rmw_ballot.c */

/* Asks for the version that the ballot needs: a cold ballot itself, or what follows a warm one. */
void quo_rmw_ask_for_tag(struct quo_rmw *rmw, struct quo_effects *effects);
/* Starts at TAG, without anything from before. */
void quo_rmw_begin(struct quo_rmw *rmw, struct quo_effects *effects);
/* A phase begins: its messages are of the next round. */
void quo_rmw_next_round(struct quo_rmw *rmw, struct quo_effects *effects);
/* From this ballot on, ACCs of the operation may leave, or may have left elsewhere. */
void quo_rmw_note_first(struct quo_rmw *rmw, struct quo_version ballot);
/* Whether there may be another ballot; if not, it has answered. What this one may have left behind
 * is remembered. */
bool quo_rmw_may_try_again(struct quo_rmw *rmw, struct quo_effects *effects);
/* Hands the operation on. May answer. */
void quo_rmw_forward(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects);
/* Another proposer got in between: waits, or hands the operation on. May answer. */
void quo_rmw_on_preempted(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects);
/* The quorum of this phase is lost: to another proposer, to clocks, or for good. May answer. */
void quo_rmw_on_lost(struct quo_rmw *rmw, const struct quo_tally *tally, uint64_t now_us,
                     struct quo_effects *effects);
/* A member refused: remembers why, for the case that the quorum is lost. */
void quo_rmw_take_refusal(struct quo_rmw *rmw, uint8_t member, const struct quo_msg_reply *reply,
                          enum quo_status status);

/* rmw_prepare.c. Each may answer. */

void quo_rmw_begin_prepare(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects);
void quo_rmw_on_promise(struct quo_rmw *rmw, const struct quo_event *event,
                        struct quo_effects *effects);
void quo_rmw_judge_promises(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects);
/* The change is to be applied: to what the promises showed, or of a warm start to what the driver
 * has. */
void quo_rmw_apply(struct quo_rmw *rmw, struct quo_effects *effects);

/* rmw_accept.c. All but quo_rmw_take_ack may answer. */

void quo_rmw_begin_accept(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects);
void quo_rmw_on_ack(struct quo_rmw *rmw, const struct quo_event *event,
                    struct quo_effects *effects);
void quo_rmw_take_ack(struct quo_rmw *rmw, uint8_t member, const struct quo_msg_reply *reply);
void quo_rmw_judge_acks(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects);

/* rmw_answer.c */

/* Whether an ACC of this ballot may be, or may yet come, on some replica. */
bool quo_rmw_may_be_accepted(const struct quo_rmw *rmw);
/* Whether it is too late to send anything; if so, it has answered. */
bool quo_rmw_is_over(struct quo_rmw *rmw, uint64_t now_us, struct quo_effects *effects);
/* The following answer. */
void quo_rmw_time_out(struct quo_rmw *rmw, struct quo_effects *effects);
/* The quorum of `tally` is out of reach. */
void quo_rmw_fail(struct quo_rmw *rmw, const struct quo_tally *tally, struct quo_effects *effects);
/* The operation is not for this ballot. */
void quo_rmw_refuse(struct quo_rmw *rmw, enum quo_status why, struct quo_effects *effects);
/* Whether the operation took effect cannot be told. */
void quo_rmw_answer_unknown(struct quo_rmw *rmw, struct quo_effects *effects);
/* The decision holds: the record that shows it is on a write quorum. */
void quo_rmw_succeed(struct quo_rmw *rmw, struct quo_effects *effects);

#endif
