/* What the files of the read share.
 *
 *   get.c         until the answer
 *   get_repair.c  after the answer of a read that is not strong
 */
#ifndef QUORATE_COORDINATOR_GET_INTERNAL_H
#define QUORATE_COORDINATOR_GET_INTERNAL_H

#include "proxy/coordinator/get.h"

/* Sends the record kept to every member of `written_back`: by STORE what a blind write made, by ACC
 * what a read-modify-write made. */
void quo_get_pass_on(const struct quo_get *get, struct quo_effects *effects);

/* From the answer on. Requires that it was decided by the replies of the query phase. */
void quo_get_listen(struct quo_get *get, struct quo_effects *effects);
/* Requires that the event belongs to the current round. */
void quo_get_listen_step(struct quo_get *get, const struct quo_event *event,
                         struct quo_effects *effects);

#endif
