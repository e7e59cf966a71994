/* The start of operations: at once, or when it is their turn.
 */
#ifndef QUORATE_SERVICE_START_H
#define QUORATE_SERVICE_START_H

#include "proxy/service/state.h"

/* Starts an operation that is complete, or lets it wait for its turn. QUO_BUSY: too many wait;
 * nothing has happened. After success the operation may be over and its slot free. */
enum quo_status quo_start(struct quo_service *service, struct quo_op *op);

/* Ends the turn of an operation that is answered, or that no longer waits for it. */
void quo_start_pass_on(struct quo_service *service, struct quo_op *op);

/* Starts those whose turn has come. */
void quo_start_ready(struct quo_service *service);

/* The deadline of an operation that still waits for its turn has passed. */
void quo_start_give_up(struct quo_service *service, struct quo_op *op);

#endif
