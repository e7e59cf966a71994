/* The hints of a blind write: what put.c asks for when members do not take the record.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_PUT_HINTS_H
#define QUORATE_COORDINATOR_PUT_HINTS_H

#include "proxy/coordinator/put.h"

/* Whether a member that refused so may take the record later. */
bool quo_put_is_hintable(enum quo_status refusal);
/* Hints that are awaited. */
quo_members quo_put_hinting(const struct quo_put *put);
/* Whether some node keeps the record for a member, or may come to. */
bool quo_put_may_be_hinted(const struct quo_put *put);
/* Of members that cannot be reached, those whom no fallback can stand in for. */
quo_members quo_put_homeless(const struct quo_put *put, quo_members unreachable);
/* The vote of a tally, hints counted if the write is sloppy. */
enum quo_vote quo_put_vote(const struct quo_put *put, const struct quo_tally *tally);

/* Of a sloppy write: asks at once, for those of `members` that are hintable and were not asked
 * for. */
void quo_put_hint_now(struct quo_put *put, quo_members members, struct quo_effects *effects);
/* Likewise: for those who have not answered when half the time is over. */
uint64_t quo_put_hint_deadline(const struct quo_put *put);
void quo_put_hint_silent(struct quo_put *put, struct quo_effects *effects);
/* Takes a HINTED event of this round in. Returns whether that changed anything. */
bool quo_put_take_hinted(struct quo_put *put, const struct quo_event *event);
/* Nobody is awaited: asks for all that are still missing, once, if the write may have taken
 * effect. */
void quo_put_hint_rest(struct quo_put *put, struct quo_effects *effects);

#endif
