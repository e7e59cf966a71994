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
    /* Everybody is heard: the promise in the way may be a single replica's. */
    struct quo_request request = {
        .type = QUO_REQUEST_SETTLE,
        .ns = ns,
        .key = message.key,
        .consistency = {.level = QUO_LEVEL_STRONG,
                        .strong = true,
                        .n = ns->n,
                        .r = ns->n,
                        .w = ns->ws,
                        .dw = ns->ws,
                        .timeout_ms = QUO_TIMEOUT_DEFAULT_MS},
    };
    if (quo_service_submit(service, &request, ended, service, &ticket) != QUO_OK)
        service->mends.under_way--;
}
