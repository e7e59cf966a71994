/* What one service holds.
 */
#ifndef QUORATE_SERVICE_STATE_H
#define QUORATE_SERVICE_STATE_H

#include "proxy/coordinator/hedge.h"
#include "proxy/service/bounds.h"
#include "proxy/service/contended.h"
#include "proxy/service/deadlines.h"
#include "proxy/service/hints.h"
#include "proxy/service/jobs.h"
#include "proxy/service/mend.h"
#include "proxy/service/queue.h"
#include "proxy/service/repair.h"
#include "proxy/service/routes.h"
#include "proxy/service/scans.h"
#include "proxy/service/surveys.h"
#include "proxy/service/warm.h"

#define QUO_SEATS_MAX (QUO_LOOPS_MAX + QUO_PROXIES_MAX)

struct quo_service {
    struct quo_env *env;
    struct quo_transport *transport;
    const struct quo_map *map;
    uint32_t rotation;  /* counts plans, so that load spreads */
    uint64_t probed_us; /* when slow replicas were last tried */
    struct quo_ops ops;
    struct quo_deadlines deadlines;
    struct quo_liveness liveness;
    struct quo_routes routes;
    struct quo_hedge hedge;
    struct quo_hlc clock;
    uint64_t heard_ms; /* a clock that replicas go by, ... */
    uint64_t heard_us; /* ...and when it read that; 0: none was heard */

    struct quo_changer *changer;
    struct quo_queue queue;
    bool is_starting; /* those whose turn has come */
    struct quo_warm warm;
    struct quo_contended contended;
    struct quo_repairs repairs;
    struct quo_mends mends;
    struct quo_hinter hints;
    struct quo_bounds bounds;
    struct quo_surveys surveys;
    struct quo_scans scans;
    struct quo_jobs jobs;
    struct quo_hedge phases; /* only observes: how long PREP and ACC take */
    uint64_t name_seed;
    struct quo_seats seats;
    bool seat_up[QUO_SEATS_MAX];

    struct quo_service_stats stats;
};

/* A new version of this loop's clock, above `seen`. */
static inline struct quo_version quo_tick(struct quo_service *service, struct quo_version seen)
{
    return quo_hlc_tick(&service->clock, seen, quo_wall_ms(service->env),
                        quo_mono_us(service->env));
}

/* A clock that replicas go by reads `ms`. */
static inline void quo_hear_clock(struct quo_service *service, uint64_t ms)
{
    service->heard_ms = ms;
    service->heard_us = QUO_MAX(quo_mono_us(service->env), 1);
}

/* The moment, ms, that decides whether a value has expired: no earlier than anything that this loop
 * was shown, clocks of replicas included. */
static inline uint64_t quo_now_ms(const struct quo_service *service)
{
    return quo_hlc_ms(&service->clock, quo_wall_ms(service->env), quo_mono_us(service->env));
}

#endif
