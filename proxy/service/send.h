/* Requests to replicas.
 */
#ifndef QUORATE_SERVICE_SEND_H
#define QUORATE_SERVICE_SEND_H

#include "proxy/service/state.h"

/* Sends what a QUERY, STORE, PREP or ACC effect says; `record` is that of a STORE or ACC. Returns
 * false if nothing was sent: there is no connection, a limit is reached, or no record. */
bool quo_send(struct quo_service *service, struct quo_op *op, const struct quo_effect *effect,
              struct quo_slice record);

/* Whoever still owes a reply to the last round's queries is at least this slow. */
void quo_send_blame_silent(struct quo_service *service, struct quo_op *op);

#endif
