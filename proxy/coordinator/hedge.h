/* When to ask one replica more than needed, and how often that is allowed.
 *
 * The delay is an estimate of the latency that few replies exceed: smoothed mean + 4 smoothed
 * deviations (Jacobson, "Congestion avoidance and control", 1988). The budget is a token bucket
 * that every read fills a little: a system that is slow everywhere must not be asked twice for
 * everything (Dean & Barroso, "The tail at scale", 2013).
 *
 * Pure; one per loop.
 */
#ifndef QUORATE_COORDINATOR_HEDGE_H
#define QUORATE_COORDINATOR_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

/* Hedges that a quiet time may save up. */
#define QUO_HEDGE_BURST 10u
/* The delay before anything was observed. */
#define QUO_HEDGE_FIRST_US 10000u

struct quo_hedge {
    uint32_t percent;
    uint32_t hundredths; /* of a hedge, saved up */
    uint64_t min_us;
    uint64_t mean_us;
    uint64_t deviation_us;
};

/* percent: hedges per hundred reads, 0 for none. min_us: never hedge sooner. */
void quo_hedge_init(struct quo_hedge *hedge, uint32_t percent, uint64_t min_us);

/* A read starts: it earns its share. */
void quo_hedge_earn(struct quo_hedge *hedge);
/* Takes one hedge from the budget; false when there is none. */
bool quo_hedge_take(struct quo_hedge *hedge);

/* A reply came after `us`. */
void quo_hedge_observe(struct quo_hedge *hedge, uint64_t us);

/* How long to wait for a reply before a hedge. */
uint64_t quo_hedge_delay_us(const struct quo_hedge *hedge);
/* How long a reply that is not late takes. */
uint64_t quo_hedge_typical_us(const struct quo_hedge *hedge);

#endif
