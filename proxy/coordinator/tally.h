/* A vote among the replicas of one operation: won, lost or still open, in every set at once.
 *
 * Three-valued, so that an operation fails as soon as the replicas that remain cannot make its
 * quorum. A joint entry has two sets of replicas, and needs the quorum in both. Each replica has
 * one vote; the first that is counted stands, so that a repeated reply changes nothing.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_TALLY_H
#define QUORATE_COORDINATOR_TALLY_H

#include "proxy/coordinator/answer.h"

/* Members of a plan, by index. */
typedef uint16_t quo_members;
_Static_assert(QUO_MEMBERS_MAX <= 16, "a bit for each");

#define QUO_MEMBER_NONE UINT8_MAX
#define QUO_MEMBER(i) ((quo_members)(1u << (i)))

static inline bool quo_members_has(quo_members members, uint8_t i)
{
    return (members >> i & 1u) != 0;
}
static inline uint8_t quo_members_count(quo_members members)
{
    uint8_t count = 0;

    /* Each turn clears the lowest. */
    for (; members != 0; members &= (quo_members)(members - 1u))
        count++;
    return count;
}

enum quo_vote { QUO_VOTE_OPEN, QUO_VOTE_WON, QUO_VOTE_LOST };

struct quo_tally {
    quo_members sets[2];     /* the second is empty unless the entry is joint */
    uint8_t need;            /* of each set */
    enum quo_status refusal; /* the first; QUO_OK while nobody refused */
    quo_members yes;
    quo_members refused;     /* answered, but no */
    quo_members unreachable; /* no answer will come */
};

void quo_tally_init(struct quo_tally *tally, const quo_members sets[2], uint8_t need);

/* Each returns whether the vote counted: false if this member has voted. */
bool quo_tally_yes(struct quo_tally *tally, uint8_t member);
bool quo_tally_refused(struct quo_tally *tally, uint8_t member, enum quo_status why);
bool quo_tally_unreachable(struct quo_tally *tally, uint8_t member);

/* Members that have voted, one way or another. */
quo_members quo_tally_voted(const struct quo_tally *tally);
/* Members of the sets that have not said yes: who lacks what the vote is about. */
quo_members quo_tally_lacking(const struct quo_tally *tally);

enum quo_vote quo_tally_vote(const struct quo_tally *tally);

/* Why a lost vote was lost: QUO_VERDICT_UNAVAILABLE if unreachable members alone lost it, otherwise
 * QUO_VERDICT_REFUSED. */
enum quo_verdict quo_tally_blame(const struct quo_tally *tally);

/* Whether a refusal proves that the request changed nothing and never will. */
bool quo_tally_is_proof(enum quo_status refusal);

/* The vote of `yes` alone, with nobody against: QUO_VOTE_WON or QUO_VOTE_OPEN. */
enum quo_vote quo_tally_would_win(const quo_members sets[2], quo_members yes, uint8_t need);

#endif
