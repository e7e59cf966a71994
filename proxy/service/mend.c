#include "proxy/service/mend.h"

#include "proxy/service/name.h"
#include "proxy/service/service.h"
#include "proxy/service/state.h"

static void ended(void *context, const struct quo_response *response)
{
    struct quo_service *service = context;

    service->mends.under_way--;
    if (response->verdict == QUO_VERDICT_FOUND || response->verdict == QUO_VERDICT_ABSENT)
        quo_count(&service->stats.mends, 1);
}

/* Whether the key may be mended now; it counts as begun from then on. */
static bool begin(struct quo_service *service, uint32_t ns, struct quo_slice key)
{
    struct quo_mends *mends = &service->mends;
    struct quo_name name = quo_name_of(service->name_seed, ns, key);
    uint64_t *until_us = &mends->until_us[name.hash % QUO_MEND_SLOTS];
    uint64_t now_us = quo_mono_us(service->env);

    if (mends->under_way >= QUO_MENDS_MAX || now_us < *until_us)
        return false;
    *until_us = now_us + QUO_MEND_EVERY_MS * UINT64_C(1000);
    mends->under_way++;
    return true;
}

static uint8_t count_up(const struct quo_service *service, const uint64_t *replicas, uint8_t n)
{
    uint8_t up = 0;

    for (uint8_t i = 0; i < n; i++)
        up += quo_liveness_is_up(&service->liveness, replicas[i]);
    return up;
}

/* Everybody who can be: the promise in the way may be a single replica's, and another one may be
 * away for good. */
static uint8_t to_be_heard(const struct quo_service *service, const struct quo_namespace *ns,
                           struct quo_slice key)
{
    uint16_t partition = quo_map_partition(service->map, ns->id, key);
    const struct quo_entry *entry = quo_routes_entry(&service->routes, partition);
    uint8_t up = count_up(service, entry->replicas, QUO_MIN(entry->n, ns->n));

    if (entry->state == QUO_ENTRY_JOINT)
        up = QUO_MIN(up, count_up(service, entry->next, QUO_MIN(entry->n_next, ns->n)));
    return QUO_MAX(up, ns->rs);
}

void quo_mend_take(struct quo_service *service, const struct quo_frame *frame)
{
    struct quo_msg_mend message;
    quo_ticket ticket;

    if (quo_msg_mend_decode(frame->body, &message) != QUO_OK || message.key.len == 0)
        return;
    const struct quo_namespace *ns = quo_map_namespace_by_id(service->map, message.ns);
    if (ns == NULL || (ns->kind != QUO_KIND_CAS && ns->kind != QUO_KIND_MIXED) ||
        !begin(service, message.ns, message.key))
        return;
    struct quo_request request = {
        .type = QUO_REQUEST_SETTLE,
        .ns = ns,
        .key = message.key,
        .consistency = {.level = QUO_LEVEL_STRONG,
                        .strong = true,
                        .n = ns->n,
                        .r = to_be_heard(service, ns, message.key),
                        .w = ns->ws,
                        .dw = ns->ws,
                        .timeout_ms = QUO_TIMEOUT_DEFAULT_MS},
    };
    if (quo_service_submit(service, &request, ended, service, &ticket) != QUO_OK)
        service->mends.under_way--;
}
