/* What the files of the blind write share. For put*.c only.
 */
#ifndef QUORATE_COORDINATOR_PUT_INTERNAL_H
#define QUORATE_COORDINATOR_PUT_INTERNAL_H

#include "proxy/coordinator/put.h"

/* put.c */

/* Ends it, once. */
void quo_put_answer(struct quo_put *put, enum quo_verdict verdict, enum quo_effectuality effect,
                    struct quo_effects *effects);
/* The first `need` of everybody's acks, none of which has come. */
void quo_put_init_tallies(struct quo_put *put);
void quo_put_next_round(struct quo_put *put, struct quo_effects *effects);
/* Whether another attempt is allowed; if not, it has answered. */
bool quo_put_may_try_again(struct quo_put *put, struct quo_effects *effects);
/* Nothing took effect: tries another version, if replicas' clocks were in the way. Returns whether
 * it did so. */
bool quo_put_try_other_clock(struct quo_put *put, struct quo_effects *effects);
/* Sends the record to whoever is not known to have it. */
void quo_put_begin_store(struct quo_put *put, struct quo_effects *effects);

/* put_slot.c */

/* Sends the addition to a slot, or answers that it cannot. */
void quo_put_begin_slot(struct quo_put *put, struct quo_effects *effects);
/* Both require that they are about somebody who is awaited. */
void quo_put_slot_reply(struct quo_put *put, const struct quo_event *event,
                        struct quo_effects *effects);
void quo_put_slot_failed(struct quo_put *put, const struct quo_event *event,
                         struct quo_effects *effects);

#endif
