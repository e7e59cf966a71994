/* Which replica's clock to follow when replicas refuse a version as too far ahead of theirs.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_CLOCKS_H
#define QUORATE_COORDINATOR_CLOCKS_H

#include "proxy/coordinator/tally.h"

struct quo_clocks {
    quo_members behind;           /* answered SKEW */
    uint64_t ms[QUO_MEMBERS_MAX]; /* what their clocks read */
};

/* `member` answered SKEW to a version, with its clock at now_ms. One that is not behind that
 * version any more has jumped since: it is left out, or we would follow it into the future. */
void quo_clocks_take(struct quo_clocks *clocks, uint8_t member, struct quo_version refused,
                     uint64_t now_ms);

/* The latest clock that `need` of these replicas have reached (all of them, if they are fewer).
 * Returns false, *ret_ms untouched, if nobody answered SKEW, or if `seen`, above which the next
 * version must be, is too far ahead of that clock itself: no clock of ours would help. */
bool quo_clocks_choose(const struct quo_clocks *clocks, uint8_t need, struct quo_version seen,
                       uint64_t *ret_ms);

#endif
