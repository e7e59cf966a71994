/* Who hands writes to whom. The proxies of a seed are processes of one loop each, or `loops` of
 * them in a row are the loops of one proxy, joined by lanes. */
#include "sim.h"

static uint32_t loops_of(const struct sim *sim, uint32_t group)
{
    uint32_t first = group * sim->swarm.loops;
    return QUO_MIN(sim->swarm.loops, sim->swarm.proxies - first);
}

uint32_t sim_seats_proxies(const struct sim *sim)
{
    const struct sim_swarm *s = &sim->swarm;
    return s->seats ? (s->proxies + s->loops - 1) / s->loops : 0;
}

struct quo_seats sim_seats_of(struct sim_process *p)
{
    struct sim *sim = sim_world;
    const struct sim_swarm *s = &sim->swarm;
    if (!s->seats || p->number >= s->proxies)
        return (struct quo_seats){.loops = 1, .proxy = UINT32_MAX};
    uint32_t group = p->number / s->loops;
    return (struct quo_seats){.transport = &p->seats,
                              .loops = loops_of(sim, group),
                              .loop = p->number % s->loops,
                              .proxy = group};
}

uint32_t sim_seats_target(const struct sim *sim, uint32_t proxy, uint64_t seat)
{
    uint32_t own = proxy / sim->swarm.loops, loops = loops_of(sim, own);
    uint32_t target;
    if (seat < loops) {
        target = own * sim->swarm.loops + (uint32_t)seat;
        return target == proxy ? SIM_SEAT_NONE : target;
    }
    uint32_t group = (uint32_t)seat - loops;
    if (group == own || group >= sim_seats_proxies(sim))
        return SIM_SEAT_NONE;
    /* Any loop of it may be the one that accepts. */
    return group * sim->swarm.loops + proxy % loops_of(sim, group);
}

uint32_t sim_seats_count(const struct sim *sim)
{
    return sim->swarm.loops + sim_seats_proxies(sim);
}

bool sim_seats_is_lane(const struct sim *sim, uint32_t proxy, uint32_t other)
{
    return proxy / sim->swarm.loops == other / sim->swarm.loops;
}

uint32_t sim_seats_seat(const struct sim *sim, uint32_t proxy, uint32_t other)
{
    uint32_t count = sim_seats_count(sim);
    for (uint32_t seat = 0; seat < count; seat++)
        if (sim_seats_target(sim, proxy, seat) == other)
            return seat;
    return SIM_SEAT_NONE;
}
