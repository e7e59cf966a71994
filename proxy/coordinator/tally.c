#include "proxy/coordinator/tally.h"

#include "quorate/testpoints.h"

void quo_tally_init(struct quo_tally *tally, const quo_members sets[2], uint8_t need)
{
    *tally = (struct quo_tally){.sets = {sets[0], sets[1]}, .need = need};
}

quo_members quo_tally_voted(const struct quo_tally *tally)
{
    return tally->yes | tally->refused | tally->unreachable;
}

quo_members quo_tally_lacking(const struct quo_tally *tally)
{
    return (quo_members)((tally->sets[0] | tally->sets[1]) & ~tally->yes);
}

static bool cast(struct quo_tally *tally, quo_members *votes, uint8_t member)
{
    QUO_REQUIRE(quo_members_has(tally->sets[0] | tally->sets[1], member));
    if (quo_members_has(quo_tally_voted(tally), member))
        return false;
    *votes |= QUO_MEMBER(member);
    return true;
}

bool quo_tally_yes(struct quo_tally *tally, uint8_t member)
{
    return cast(tally, &tally->yes, member);
}

bool quo_tally_refused(struct quo_tally *tally, uint8_t member, enum quo_status why)
{
    if (!cast(tally, &tally->refused, member))
        return false;
    if (tally->refusal == QUO_OK)
        tally->refusal = why;
    return true;
}

bool quo_tally_unreachable(struct quo_tally *tally, uint8_t member)
{
    return cast(tally, &tally->unreachable, member);
}

static enum quo_vote vote_in(quo_members set, quo_members yes, quo_members no, uint8_t need)
{
    if (quo_members_count(yes & set) >= need)
        return QUO_VOTE_WON;
    /* Lost as soon as those who have not said no are fewer than needed. */
    return quo_members_count(set & (quo_members)~no) < need ? QUO_VOTE_LOST : QUO_VOTE_OPEN;
}

static enum quo_vote vote(const quo_members sets[2], quo_members yes, quo_members no, uint8_t need)
{
    enum quo_vote first = vote_in(sets[0], yes, no, need);

    if (sets[1] == 0 || first == QUO_VOTE_LOST || QUO_MUTANT(JOINT_OLD_SET_ONLY))
        return first;
    enum quo_vote second = vote_in(sets[1], yes, no, need);
    return second == QUO_VOTE_WON ? first : second;
}

enum quo_vote quo_tally_vote(const struct quo_tally *tally)
{
    return vote(tally->sets, tally->yes, tally->refused | tally->unreachable, tally->need);
}

enum quo_verdict quo_tally_blame(const struct quo_tally *tally)
{
    /* A set that is smaller than the quorum is lost without anybody's no. */
    bool out_of_reach =
        vote(tally->sets, tally->yes, tally->unreachable, tally->need) == QUO_VOTE_LOST;
    return out_of_reach || tally->refused == 0 ? QUO_VERDICT_UNAVAILABLE : QUO_VERDICT_REFUSED;
}

enum quo_vote quo_tally_would_win(const quo_members sets[2], quo_members yes, uint8_t need)
{
    return vote(sets, yes, 0, need) == QUO_VOTE_WON ? QUO_VOTE_WON : QUO_VOTE_OPEN;
}

bool quo_tally_is_proof(enum quo_status refusal)
{
    switch (refusal) {
    case QUO_NACK:
    case QUO_WRONG_EPOCH:
    case QUO_NOT_REPLICA:
    case QUO_BAD_KIND:
    case QUO_SKEW:
    case QUO_BUSY:
    case QUO_DISK_FULL:
    case QUO_READ_ONLY:
    case QUO_MALFORMED:
    case QUO_UNSUPPORTED:
    case QUO_WRONG_CLUSTER:
    case QUO_OUT_OF_BOUNDS:
    case QUO_KEY_REUSED:
    case QUO_RING_FULL:
    case QUO_HISTORY_LOST:
        return true;
    default:
        return false;
    }
}
