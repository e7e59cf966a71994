/* Drives one operation: feeds its coordinator an event, carries out the effects, feeds what they
 * bring, answers, and lets go of it when it is over.
 */
#ifndef QUORATE_SERVICE_DRIVE_H
#define QUORATE_SERVICE_DRIVE_H

#include "proxy/coordinator/hedge.h"
#include "proxy/service/deadlines.h"
#include "proxy/service/routes.h"

struct quo_service {
    struct quo_env *env;
    struct quo_transport *transport;
    const struct quo_map *map;
    uint32_t rotation; /* counts plans, so that load spreads */
    struct quo_ops ops;
    struct quo_deadlines deadlines;
    struct quo_liveness liveness;
    struct quo_routes routes;
    struct quo_hedge hedge;
    struct quo_hlc clock;
    struct quo_service_stats stats;
};

/* Makes the plan for an operation under the newest entry known. */
void quo_drive_plan(struct quo_service *service, uint16_t partition, const struct quo_namespace *ns,
                    struct quo_plan *ret);

/* After this call the operation may be over and its slot free; `answer` may have been called. */
void quo_drive(struct quo_service *service, struct quo_op *op, const struct quo_event *event);

/* Ends an operation, whatever it waits for. */
void quo_drive_end(struct quo_service *service, struct quo_op *op);

/* A random id for our versions, new and never 0. */
uint64_t quo_drive_fresh_node(struct quo_service *service);

#endif
