#include "proxy/coordinator/coordinator.h"

void quo_coordinator_get(struct quo_coordinator *c, const struct quo_plan *plan,
                         const struct quo_get_options *options)
{
    c->is_write = false;
    quo_get_init(&c->get, plan, options);
}

void quo_coordinator_put(struct quo_coordinator *c, const struct quo_plan *plan,
                         const struct quo_put_options *options)
{
    c->is_write = true;
    quo_put_init(&c->put, plan, options);
}

void quo_coordinator_step(struct quo_coordinator *c, const struct quo_event *event,
                          struct quo_effects *effects)
{
    if (c->is_write)
        quo_put_step(&c->put, event, effects);
    else
        quo_get_step(&c->get, event, effects);
}

uint64_t quo_coordinator_deadline(const struct quo_coordinator *c)
{
    return c->is_write ? quo_put_deadline(&c->put) : quo_get_deadline(&c->get);
}

bool quo_coordinator_answered(const struct quo_coordinator *c)
{
    return c->is_write ? c->put.answered : c->get.answered;
}

bool quo_coordinator_finished(const struct quo_coordinator *c)
{
    return c->is_write ? quo_put_finished(&c->put) : quo_get_finished(&c->get);
}

quo_members quo_coordinator_waiting(const struct quo_coordinator *c)
{
    return c->is_write ? quo_put_waiting(&c->put) : quo_get_waiting(&c->get);
}

uint16_t quo_coordinator_round(const struct quo_coordinator *c)
{
    return c->is_write ? c->put.round : c->get.round;
}

const struct quo_plan *quo_coordinator_plan(const struct quo_coordinator *c)
{
    return c->is_write ? &c->put.plan : &c->get.plan;
}

const struct quo_outcome *quo_coordinator_outcome(const struct quo_coordinator *c)
{
    QUO_REQUIRE(quo_coordinator_answered(c));
    return c->is_write ? &c->put.outcome : &c->get.outcome;
}
