#include "proxy/coordinator/coordinator.h"

#include "quorate/testpoints.h"

void quo_coordinator_get(struct quo_coordinator *c, const struct quo_plan *plan,
                         const struct quo_get_options *options)
{
    c->type = QUO_COORDINATOR_GET;
    quo_get_init(&c->get, plan, options);
}

void quo_coordinator_put(struct quo_coordinator *c, const struct quo_plan *plan,
                         const struct quo_put_options *options)
{
    c->type = QUO_COORDINATOR_PUT;
    quo_put_init(&c->put, plan, options);
}

void quo_coordinator_rmw(struct quo_coordinator *c, const struct quo_plan *plan,
                         const struct quo_rmw_options *options)
{
    c->type = QUO_COORDINATOR_RMW;
    quo_rmw_init(&c->rmw, plan, options);
}

/* The read goes on as a read-modify-write, under the same deadline. What the step had to do so far
 * belongs to a round that is over. */
static void turn(struct quo_coordinator *c, uint64_t now_us, struct quo_effects *effects)
{
    const struct quo_get *get = &c->get;
    struct quo_plan plan = get->plan;
    struct quo_rmw_options options = {
        .purpose = get->options.settle ? QUO_RMW_SETTLE : QUO_RMW_READ,
        .want = get->options.want,
        .now_us = get->options.now_us,
        .round_trip_us = get->options.spread_us,
        .seed = get->options.seed,
        .first_round = get->round,
        .round_trips = get->outcome.receipt.round_trips,
        .hedges = get->outcome.receipt.hedges,
        .restarts = get->outcome.restarts,
        .seen = get->query.seen,
    };

    QUO_PROBE(READ_BECAME_RMW);
    quo_coordinator_rmw(c, &plan, &options);
    quo_rmw_step(&c->rmw, &(struct quo_event){.type = QUO_EVENT_START, .now_us = now_us}, effects);
}

void quo_coordinator_step(struct quo_coordinator *c, const struct quo_event *event,
                          struct quo_effects *effects)
{
    switch (c->type) {
    case QUO_COORDINATOR_GET:
        quo_get_step(&c->get, event, effects);
        if (c->get.turned)
            turn(c, event->now_us, effects);
        return;
    case QUO_COORDINATOR_PUT:
        quo_put_step(&c->put, event, effects);
        return;
    case QUO_COORDINATOR_RMW:
        quo_rmw_step(&c->rmw, event, effects);
        return;
    }
    QUO_UNREACHABLE();
}

uint64_t quo_coordinator_deadline(const struct quo_coordinator *c)
{
    switch (c->type) {
    case QUO_COORDINATOR_GET:
        return quo_get_deadline(&c->get);
    case QUO_COORDINATOR_PUT:
        return quo_put_deadline(&c->put);
    case QUO_COORDINATOR_RMW:
        return quo_rmw_deadline(&c->rmw);
    }
    QUO_UNREACHABLE();
}

bool quo_coordinator_answered(const struct quo_coordinator *c)
{
    switch (c->type) {
    case QUO_COORDINATOR_GET:
        return c->get.answered;
    case QUO_COORDINATOR_PUT:
        return c->put.answered;
    case QUO_COORDINATOR_RMW:
        return c->rmw.answered;
    }
    QUO_UNREACHABLE();
}

quo_members quo_coordinator_waiting(const struct quo_coordinator *c)
{
    switch (c->type) {
    case QUO_COORDINATOR_GET:
        return quo_get_waiting(&c->get);
    case QUO_COORDINATOR_PUT:
        return quo_put_waiting(&c->put);
    case QUO_COORDINATOR_RMW:
        return quo_rmw_waiting(&c->rmw);
    }
    QUO_UNREACHABLE();
}

bool quo_coordinator_finished(const struct quo_coordinator *c)
{
    return quo_coordinator_answered(c) && quo_coordinator_waiting(c) == 0;
}

bool quo_coordinator_listens(const struct quo_coordinator *c)
{
    return c->type == QUO_COORDINATOR_GET && quo_get_listens(&c->get);
}

uint16_t quo_coordinator_round(const struct quo_coordinator *c)
{
    switch (c->type) {
    case QUO_COORDINATOR_GET:
        return c->get.round;
    case QUO_COORDINATOR_PUT:
        return c->put.round;
    case QUO_COORDINATOR_RMW:
        return c->rmw.round;
    }
    QUO_UNREACHABLE();
}

const struct quo_plan *quo_coordinator_plan(const struct quo_coordinator *c)
{
    switch (c->type) {
    case QUO_COORDINATOR_GET:
        return &c->get.plan;
    case QUO_COORDINATOR_PUT:
        return &c->put.plan;
    case QUO_COORDINATOR_RMW:
        return &c->rmw.plan;
    }
    QUO_UNREACHABLE();
}

const struct quo_outcome *quo_coordinator_outcome(const struct quo_coordinator *c)
{
    QUO_REQUIRE(quo_coordinator_answered(c));
    switch (c->type) {
    case QUO_COORDINATOR_GET:
        return &c->get.outcome;
    case QUO_COORDINATOR_PUT:
        return &c->put.outcome;
    case QUO_COORDINATOR_RMW:
        return &c->rmw.outcome;
    }
    QUO_UNREACHABLE();
}
