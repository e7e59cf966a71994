#include "proxy/service/drive.h"

static void ended(void *context, const struct quo_response *response)
{
    struct quo_service *service = context;

    (void)response;
    service->scans.repairs--;
}

/* Those who wait for an answer come first. */
static bool is_busy(const struct quo_service *service)
{
    return service->ops.in_use > service->ops.max / 4 || service->scans.repairs >= QUO_REPAIRS_MAX;
}

/* Replies of everybody who can be reached, or as many as may be asked for. */
static uint8_t replies_of(const struct quo_plan *plan)
{
    uint8_t replies = quo_members_count(plan->sets[0] & plan->up);

    if (plan->sets[1] != 0)
        replies = QUO_MIN(replies, quo_members_count(plan->sets[1] & plan->up));
    return QUO_MIN(QUO_MAX(replies, 1), plan->n);
}

/* A read of the key by itself passes on what it finds, by whatever rule the record needs, and keeps
 * in mind that it did. */
void quo_scan_repair(struct quo_service *service, const struct quo_scanning *scanning)
{
    struct quo_plan plan;
    quo_ticket ticket;

    if (scanning->differing_count == 0)
        return;
    quo_drive_plan(service, scanning->partition, scanning->ns, &plan);
    struct quo_request request = {
        .type = QUO_REQUEST_GET,
        .ns = scanning->ns,
        .collection = scanning->collection,
        .consistency = {.level = QUO_LEVEL_QUORUM,
                        .n = scanning->ns->n,
                        .r = replies_of(&plan),
                        .timeout_ms = QUO_TIMEOUT_DEFAULT_MS},
    };
    for (uint8_t i = 0; i < scanning->differing_count; i++) {
        request.key = scanning->differing[i];
        if (is_busy(service)) {
            quo_count(&service->stats.repairs_shed, 1);
            continue;
        }
        service->scans.repairs++;
        if (quo_service_submit(service, &request, ended, service, &ticket) != QUO_OK)
            service->scans.repairs--;
    }
}
