/* Whether strong operations could succeed now, partition by partition. */
#ifndef QUORATE_SERVICE_READY_H
#define QUORATE_SERVICE_READY_H

#include "proxy/service/routes.h"

/* How many partitions lack a strong quorum of reachable replicas for some namespace of the map. */
uint32_t quo_ready_lacking(const struct quo_routes *routes, const struct quo_liveness *liveness);

#endif
