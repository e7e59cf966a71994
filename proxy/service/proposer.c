#include "proxy/service/proposer.h"

#include "proxy/service/affinity.h"

static bool has_seats(const struct quo_service *service)
{
    return service->seats.transport != NULL;
}

uint32_t quo_proposer_owner(const struct quo_service *service, const struct quo_op *op)
{
    return quo_service_owner(op->partition, service->seats.loops);
}

static bool came_from_loop(const struct quo_service *service, const struct quo_op *op)
{
    return op->origin.is_set && op->origin.peer < service->seats.loops;
}

static bool has_owner(const struct quo_service *service, const struct quo_op *op)
{
    if (!has_seats(service) || came_from_loop(service, op) ||
        op->origin.hops >= QUO_FORWARD_HOPS_MAX)
        return false;
    uint32_t owner = quo_proposer_owner(service, op);
    return owner != service->seats.loop && service->seat_up[owner];
}

bool quo_proposer_may_change(const struct quo_service *service, const struct quo_op *op)
{
    return has_seats(service) && service->map->proxy_count > 0 &&
           op->origin.hops < QUO_FORWARD_HOPS_MAX;
}

uint32_t quo_proposer_affine(const struct quo_service *service, const struct quo_op *op)
{
    const struct quo_seats *seats = &service->seats;
    bool is_up[QUO_PROXIES_MAX];

    for (uint32_t i = 0; i < service->map->proxy_count; i++)
        is_up[i] = i == seats->proxy || service->seat_up[seats->loops + i];
    uint32_t proxy = quo_affinity(service->map, is_up, op->ns, op->part[QUO_OP_KEY]);
    return proxy == UINT32_MAX || proxy == seats->proxy ? UINT32_MAX : seats->loops + proxy;
}

enum quo_route quo_proposer_route(const struct quo_service *service, const struct quo_op *op)
{
    if (has_owner(service, op))
        return QUO_ROUTE_OWNER;
    if (quo_proposer_may_change(service, op) &&
        quo_contended_has(&service->contended, op->name.hash, quo_mono_us(service->env)) &&
        quo_proposer_affine(service, op) != UINT32_MAX)
        return QUO_ROUTE_AFFINE;
    return QUO_ROUTE_HERE;
}
