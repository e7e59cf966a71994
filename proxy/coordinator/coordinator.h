/* One operation, read or write, blind or through consensus, behind the same few calls: what a
 * driver drives.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_COORDINATOR_H
#define QUORATE_COORDINATOR_COORDINATOR_H

#include "proxy/coordinator/get.h"
#include "proxy/coordinator/put.h"
#include "proxy/coordinator/rmw.h"

enum quo_coordinator_type {
    QUO_COORDINATOR_GET = 1,
    QUO_COORDINATOR_PUT,
    QUO_COORDINATOR_RMW,
};

struct quo_coordinator {
    enum quo_coordinator_type type;
    union {
        struct quo_get get;
        struct quo_put put;
        struct quo_rmw rmw;
    };
};

void quo_coordinator_get(struct quo_coordinator *c, const struct quo_plan *plan,
                         const struct quo_get_options *options);
void quo_coordinator_put(struct quo_coordinator *c, const struct quo_plan *plan,
                         const struct quo_put_options *options);
void quo_coordinator_rmw(struct quo_coordinator *c, const struct quo_plan *plan,
                         const struct quo_rmw_options *options);

/* See quo_get_step, quo_put_step and quo_rmw_step. *effects is overwritten. A read that must go on
 * as a read-modify-write becomes one within this very step: its effects ask for TAG, APPLY and the
 * rest, its rounds go on, and it answers as the read. */
void quo_coordinator_step(struct quo_coordinator *c, const struct quo_event *event,
                          struct quo_effects *effects);
uint64_t quo_coordinator_deadline(const struct quo_coordinator *c);
bool quo_coordinator_answered(const struct quo_coordinator *c);
bool quo_coordinator_finished(const struct quo_coordinator *c);
/* See quo_get_listens. */
bool quo_coordinator_listens(const struct quo_coordinator *c);
quo_members quo_coordinator_waiting(const struct quo_coordinator *c);
uint16_t quo_coordinator_round(const struct quo_coordinator *c);
/* Borrowed; changes with a newer epoch. */
const struct quo_plan *quo_coordinator_plan(const struct quo_coordinator *c);
/* Requires that it has answered. Borrowed. */
const struct quo_outcome *quo_coordinator_outcome(const struct quo_coordinator *c);

#endif
