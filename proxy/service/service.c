#include "proxy/service/service.h"

#include <stdlib.h>

#include "proxy/service/drive.h"
#include "proxy/service/ready.h"
#include "proxy/service/receive.h"
#include "proxy/service/start.h"
#include "proxy/service/submit.h"

#define HEDGE_MIN_DEFAULT_US 1000u

static void take_seats(struct quo_service *service, const struct quo_seats *seats)
{
    service->seats = *seats;
    if (seats->transport == NULL)
        return;
    QUO_REQUIRE(seats->loops > 0 && seats->loops <= QUO_LOOPS_MAX && seats->loop < seats->loops);
    seats->transport->receiver = service;
    seats->transport->events = &quo_receive_seat_events;
}

struct quo_service *quo_service_new(const struct quo_service_options *options)
{
    uint32_t max = options->ops_max != 0 ? options->ops_max : QUO_OPS_MAX;
    struct quo_service *service = calloc(1, sizeof *service);

    QUO_REQUIRE(max <= QUO_OPS_LIMIT);
    if (service == NULL)
        return NULL;
    service->env = options->env;
    service->transport = options->transport;
    service->map = options->map;
    if (quo_ops_init(&service->ops, max) != QUO_OK ||
        quo_deadlines_init(&service->deadlines, max) != QUO_OK ||
        quo_queue_init(&service->queue, max) != QUO_OK || quo_warm_init(&service->warm) != QUO_OK ||
        quo_routes_init(&service->routes, options->map) != QUO_OK ||
        quo_hinter_init(service) != QUO_OK || (service->changer = quo_changer_new()) == NULL) {
        quo_service_free(service);
        return NULL;
    }
    quo_liveness_init(&service->liveness, options->map);
    quo_hedge_init(&service->hedge, options->hedge_percent,
                   options->hedge_min_us != 0 ? options->hedge_min_us : HEDGE_MIN_DEFAULT_US);
    quo_hedge_init(&service->phases, 0, 0);
    quo_hlc_init(&service->clock, quo_drive_fresh_node(service));
    service->name_seed = quo_random(service->env);
    service->transport->receiver = service;
    service->transport->events = &quo_receive_events;
    take_seats(service, &options->seats);
    return service;
}

void quo_service_free(struct quo_service *service)
{
    if (service == NULL)
        return;
    quo_surveys_free(service);
    quo_scans_free(service);
    quo_jobs_free(&service->jobs);
    quo_ops_free(&service->ops);
    quo_deadlines_free(&service->deadlines);
    quo_routes_free(&service->routes);
    quo_hinter_free(service);
    quo_queue_free(&service->queue);
    quo_warm_free(&service->warm);
    quo_changer_free(service->changer);
    free(service);
}

enum quo_status quo_service_submit(struct quo_service *service, const struct quo_request *request,
                                   quo_answer_fn *answer, void *context, quo_ticket *ret_ticket)
{
    return quo_submit(service, request, NULL, answer, context, ret_ticket);
}

void quo_service_abandon(struct quo_service *service, quo_ticket ticket)
{
    uint16_t round;
    struct quo_op *op = quo_ops_find(&service->ops, ticket, &round);

    if (op == NULL || op->answer == NULL)
        return;
    op->answer = NULL;
    quo_count(&service->stats.abandoned, 1);
}

uint64_t quo_service_deadline(const struct quo_service *service)
{
    const struct quo_op *first = quo_deadlines_first(&service->deadlines);

    uint64_t deadline = first != NULL ? first->deadline_us : UINT64_MAX;

    deadline = QUO_MIN(deadline, quo_surveys_deadline(service));
    return QUO_MIN(deadline, quo_scans_deadline(service));
}

void quo_service_expire(struct quo_service *service, uint64_t mono_us)
{
    struct quo_event timer = {.type = QUO_EVENT_TIMER, .now_us = mono_us};

    quo_surveys_expire(service, mono_us);
    quo_scans_expire(service, mono_us);
    for (;;) {
        struct quo_op *op = quo_deadlines_first(&service->deadlines);
        if (op == NULL || op->deadline_us > mono_us)
            return;
        if (op->is_started)
            quo_drive(service, op, &timer);
        else
            quo_start_give_up(service, op);
    }
}

bool quo_service_ready(const struct quo_service *service, uint32_t *ret_lacking)
{
    uint32_t lacking = quo_ready_lacking(&service->routes, &service->liveness);

    if (lacking > 0)
        *ret_lacking = lacking;
    return lacking == 0;
}

uint32_t quo_service_in_flight(const struct quo_service *service)
{
    return service->ops.in_use + service->scans.count;
}

const struct quo_service_stats *quo_service_stats(const struct quo_service *service)
{
    return &service->stats;
}
