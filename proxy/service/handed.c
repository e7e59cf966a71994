#include "proxy/service/handed.h"

#include "proxy/change/merge_patch.h"
#include "proxy/service/submit.h"

/* How far ahead of us another proposer's clock may be. Replicas refuse what is QUO_SKEW_MAX_MS
 * ahead of them; what is refused here goes on where the clock can be corrected. */
#define AHEAD_MAX_MS (QUO_SKEW_MAX_MS / 2)

static void send(struct quo_service *service, uint64_t peer, uint64_t id,
                 const struct quo_msg_forwarded *message)
{
    struct quo_transport *t = service->seats.transport;
    uint8_t *out;

    /* Whoever cannot be told learns it from its deadline. */
    if (t->ops->reserve(t, peer, quo_msg_forwarded_size(message), &out) != QUO_OK)
        return;
    quo_msg_forwarded_encode(message, out);
    t->ops->seal(t, peer, QUO_MESSAGE_FORWARDED, id);
}

static bool is_write(uint8_t type)
{
    switch (type) {
    case QUO_REQUEST_PUT:
    case QUO_REQUEST_DELETE:
    case QUO_REQUEST_PATCH:
    case QUO_REQUEST_ADD:
    case QUO_REQUEST_RESOLVE:
        return true;
    default:
        return false;
    }
}

/* Bytes from outside: nothing in them is taken for granted. */
static bool is_sound(const struct quo_msg_forward *m, const struct quo_namespace *ns,
                     bool is_checked)
{
    char why[128];

    return ns != NULL && (ns->kind == QUO_KIND_CAS || ns->kind == QUO_KIND_MIXED) &&
           is_write(m->type) && m->condition <= QUO_CONDITION_ABSENT && m->key.len > 0 &&
           m->tags.len % QUO_VERSION_SIZE == 0 && m->level >= QUO_LEVEL_STRONG &&
           m->level <= QUO_LEVEL_ALL && m->w <= ns->n && m->timeout_ms >= QUO_TIMEOUT_MIN_MS &&
           m->timeout_ms <= QUO_TIMEOUT_MAX_MS && m->ttl_ms <= QUO_TTL_MAX_MS &&
           m->hops <= QUO_FORWARD_HOPS_MAX &&
           (is_checked || m->type != QUO_REQUEST_PATCH ||
            quo_json_check(m->value, why, sizeof why) == QUO_OK);
}

/* What its versions are above would have to be above that, too. */
static bool is_ahead(struct quo_service *service, const struct quo_msg_forward *m)
{
    uint64_t now_ms = quo_version_ms(quo_tick(service, QUO_VERSION_NONE));
    uint64_t since_ms = m->type == QUO_REQUEST_RESOLVE ? 0 : m->since >> 16;

    return QUO_MAX(since_ms, quo_version_ms(m->first)) > now_ms + AHEAD_MAX_MS;
}

/* It was under way for longer than the operation lives, as when a process stands still: it may have
 * been resolved as not applied since, and its fence may be gone again. */
static bool is_late(struct quo_service *service, const struct quo_msg_forward *m, bool is_own_loops)
{
    if (is_own_loops)
        return quo_mono_us(service->env) >= m->deadline_us;
    uint64_t now_ms = quo_version_ms(quo_tick(service, QUO_VERSION_NONE));
    return m->type != QUO_REQUEST_RESOLVE &&
           (m->since >> 16) + QUO_TIMEOUT_MAX_MS + 2 * QUO_SKEW_MAX_MS < now_ms;
}

static struct quo_request request_of(const struct quo_msg_forward *m,
                                     const struct quo_namespace *ns)
{
    struct quo_request request = {
        .type = (enum quo_request_type)m->type,
        .ns = ns,
        .key = m->key,
        .consistency = {.level = (enum quo_level)m->level,
                        .strong = true,
                        .n = ns->n,
                        .r = ns->rs,
                        .w = QUO_MAX(m->w, ns->ws),
                        .dw = QUO_MAX(m->w, ns->ws),
                        .timeout_ms = m->timeout_ms},
        .condition = (enum quo_condition_type)m->condition,
        .tag_count = (uint8_t)(m->tags.len / QUO_VERSION_SIZE),
        .has_opid = true,
        .since = m->since,
        .digest = m->digest,
        .content_type = m->content_type,
        .value = m->value,
        .ttl_ms = m->ttl_ms,
        .by = (int64_t)m->by,
        .min = (int64_t)m->min,
        .max = (int64_t)m->max,
        .has_min = (m->flags & QUO_FORWARD_HAS_MIN) != 0,
        .has_max = (m->flags & QUO_FORWARD_HAS_MAX) != 0,
    };

    for (uint8_t i = 0; i < request.tag_count; i++)
        request.tags[i] = quo_version_decode(m->tags.data + i * QUO_VERSION_SIZE);
    quo_put_u64(request.opid.bytes, m->opid_high);
    quo_put_u64(request.opid.bytes + 8, m->opid_low);
    return request;
}

/* Requires that it is not late. */
static uint32_t time_left_ms(struct quo_service *service, const struct quo_msg_forward *m)
{
    uint64_t left_ms = (m->deadline_us - quo_mono_us(service->env)) / 1000;

    return (uint32_t)QUO_MAX(QUO_MIN(left_ms, (uint64_t)m->timeout_ms), QUO_TIMEOUT_MIN_MS);
}

static enum quo_status take(struct quo_service *service, uint64_t peer,
                            const struct quo_frame *frame)
{
    /* Its own loops have checked what they hand over. */
    bool is_checked = peer < service->seats.loops;
    struct quo_msg_forward m;
    quo_ticket ticket;

    if (quo_msg_forward_decode(frame->body, &m) != QUO_OK)
        return QUO_MALFORMED;
    const struct quo_namespace *ns = quo_map_namespace_by_id(service->map, m.ns);
    if (!is_sound(&m, ns, is_checked))
        return QUO_MALFORMED;
    if (is_ahead(service, &m) || is_late(service, &m, is_checked))
        return QUO_SKEW;
    quo_hlc_observe(&service->clock, m.first.hlc, quo_wall_ms(service->env));
    struct quo_request request = request_of(&m, ns);
    /* It must not outlive the operation here: once that has ended as unknown it may be fenced. */
    if (is_checked)
        request.consistency.timeout_ms = time_left_ms(service, &m);
    const struct quo_handed handed = {
        .hops = m.hops,
        .sent = (m.flags & QUO_FORWARD_SENT) != 0,
        .first = m.first,
        .peer = peer,
        .id = frame->id,
    };
    return quo_submit(service, &request, &handed, NULL, NULL, &ticket);
}

/* The operation was not taken: nothing was done. */
static void refuse(struct quo_service *service, uint64_t peer, uint64_t id, enum quo_status why)
{
    /* A lack of memory is nobody's business. */
    const struct quo_msg_forwarded refusal = {.status =
                                                  (uint8_t)(why == QUO_NO_MEMORY ? QUO_BUSY : why)};

    send(service, peer, id, &refusal);
}

void quo_handed_on_frame(struct quo_service *service, uint64_t peer, const struct quo_frame *frame)
{
    enum quo_status status = take(service, peer, frame);

    if (status == QUO_OK)
        quo_count(&service->stats.forwarded_in, 1);
    else
        refuse(service, peer, frame->id, status);
}

static uint8_t flags_of(const struct quo_response *response)
{
    return (uint8_t)((response->change.replayed ? QUO_FORWARD_REPLAYED : 0) |
                     (response->change.has_counter ? QUO_FORWARD_HAS_COUNTER : 0) |
                     (response->receipt.stable ? QUO_FORWARD_STABLE : 0));
}

static void send_answer(struct quo_service *service, const struct quo_op *op,
                        const struct quo_response *response, struct quo_slice record)
{
    const struct quo_receipt *receipt = &response->receipt;
    bool has_record = !quo_version_is_none(response->record.version);
    uint8_t replies = QUO_MIN(receipt->replies, QUO_MEMBERS_MAX);
    uint8_t answered[QUO_MEMBERS_MAX * sizeof(uint64_t)];
    const struct quo_msg_forwarded message = {
        .status = QUO_OK,
        .verdict = (uint8_t)response->verdict,
        .outcome = (uint8_t)response->outcome,
        .refusal = (uint8_t)response->refusal,
        .code = (uint8_t)response->change.code,
        .flags = flags_of(response),
        .counter = (uint64_t)response->change.counter,
        .changed = response->change.changed,
        .level = (uint8_t)receipt->level,
        .n = receipt->n,
        .replies = replies,
        .acks = receipt->acks,
        .disk = receipt->disk,
        .need = receipt->need,
        .round_trips = receipt->round_trips,
        .hedges = receipt->hedges,
        .epoch = receipt->epoch,
        .version = receipt->version,
        .answered = quo_slice(answered, replies * sizeof(uint64_t)),
        .record = has_record ? record : quo_slice(NULL, 0),
    };

    for (uint8_t i = 0; i < replies; i++)
        quo_put_u64(answered + i * sizeof(uint64_t), receipt->answered[i]);
    send(service, op->origin.peer, op->origin.id, &message);
}

void quo_handed_answer(struct quo_service *service, const struct quo_op *op,
                       const struct quo_response *response, struct quo_slice record)
{
    /* It was begun by a clock that is ahead, which its own proposer can set right. */
    if (response->verdict == QUO_VERDICT_REFUSED && response->refusal == QUO_SKEW)
        refuse(service, op->origin.peer, op->origin.id, QUO_SKEW);
    else
        send_answer(service, op, response, record);
}
