#include "proxy/service/scan.h"

#include <stdlib.h>

#include "proxy/service/drive.h"

#define ROUND_BITS 12
#define SLOT_BITS 20
#define EPOCHS_MAX 8u /* newer entries that one scan follows */

_Static_assert(QUO_SCANS_MAX <= 1u << SLOT_BITS, "every slot fits in an id");
_Static_assert(QUO_SCAN_ROUNDS_MAX + EPOCHS_MAX + 1 < 1u << ROUND_BITS,
               "every round fits in an id");

/* Names: the id of a frame has the round, a ticket has none. */

static uint64_t name_of(const struct quo_scanning *scanning)
{
    return UINT64_C(1) << 63 | (uint64_t)scanning->generation << (SLOT_BITS + ROUND_BITS) |
           (uint64_t)scanning->slot << ROUND_BITS;
}

static uint64_t id_of(const struct quo_scanning *scanning)
{
    return name_of(scanning) | scanning->round;
}

static struct quo_scanning *find(const struct quo_service *service, uint64_t id)
{
    const uint32_t slot = (uint32_t)(id >> ROUND_BITS) & ((1u << SLOT_BITS) - 1);
    struct quo_scanning *scanning = slot < QUO_SCANS_MAX ? service->scans.slots[slot] : NULL;
    const bool is_it = scanning != NULL && id >> ROUND_BITS == name_of(scanning) >> ROUND_BITS;

    return is_it ? scanning : NULL;
}

/* Those under way */

static void enter(struct quo_scans *scans, struct quo_scanning *scanning)
{
    uint32_t slot = 0;

    while (scans->slots[slot] != NULL)
        slot++;
    scanning->slot = slot;
    scanning->generation = ++scans->generations[slot] & INT32_MAX;
    scans->slots[slot] = scanning;
    scanning->next = scans->first;
    if (scans->first != NULL)
        scans->first->previous = scanning;
    scans->first = scanning;
    scans->count++;
}

static void leave(struct quo_scans *scans, struct quo_scanning *scanning)
{
    if (scanning->next != NULL)
        scanning->next->previous = scanning->previous;
    if (scanning->previous != NULL)
        scanning->previous->next = scanning->next;
    else
        scans->first = scanning->next;
    scans->slots[scanning->slot] = NULL;
    scans->count--;
}

void quo_scans_free(struct quo_service *service)
{
    while (service->scans.first != NULL) {
        struct quo_scanning *scanning = service->scans.first;
        leave(&service->scans, scanning);
        quo_scan_free(service, scanning);
    }
}

/* The end */

/* Without a page to speak of, the receipt tells how far the last round came. */
static void fill_failure(const struct quo_scanning *scanning, struct quo_receipt *receipt)
{
    const struct quo_scan *scan = &scanning->scan;

    *receipt = (struct quo_receipt){
        .level = scanning->want.level,
        .n = scanning->want.n,
        .need = scanning->want.r,
        .epoch = scan->plan.entry.epoch,
    };
    for (uint8_t i = 0; i < scan->plan.count; i++) {
        if (quo_members_has(scan->replies.yes, i))
            receipt->answered[receipt->replies++] = scan->plan.replica[i];
    }
}

static void count_answer(struct quo_service *service, const struct quo_scan_answer *answer)
{
    struct quo_service_stats *stats = &service->stats;

    quo_histogram_record(&stats->scan_latency, answer->elapsed_us);
    quo_count(&stats->scan_verdicts[answer->verdict], 1);
    quo_count(&stats->scan_rounds, answer->receipt.round_trips);
    quo_count(&stats->scan_items, answer->count);
}

static void deliver(struct quo_service *service, struct quo_scanning *scanning,
                    const struct quo_scan_answer *answer)
{
    leave(&service->scans, scanning);
    count_answer(service, answer);
    scanning->answer(scanning->context, answer);
    quo_scan_repair(service, scanning);
    quo_scan_free(service, scanning);
}

static void finish(struct quo_service *service, struct quo_scanning *scanning, bool more)
{
    const struct quo_scan_answer answer = {
        .verdict = QUO_VERDICT_FOUND,
        .receipt = scanning->receipt,
        .elapsed_us = quo_mono_us(service->env) - scanning->started_us,
        .items = scanning->items,
        .count = scanning->count,
        .more = more,
        .upto = quo_slice(scanning->after, more ? scanning->after_len : 0),
        .sealed = scanning->sealed,
        .now_ms = scanning->now_ms,
    };

    deliver(service, scanning, &answer);
}

/* What was found before is an answer all the same: it says that there may be more. */
static void fail(struct quo_service *service, struct quo_scanning *scanning,
                 enum quo_verdict verdict, enum quo_status refusal)
{
    struct quo_scan_answer answer = {
        .verdict = verdict,
        .refusal = refusal,
        .elapsed_us = quo_mono_us(service->env) - scanning->started_us,
    };

    if (scanning->has_moved) {
        finish(service, scanning, true);
        return;
    }
    fill_failure(scanning, &answer.receipt);
    deliver(service, scanning, &answer);
}

/* Asking */

/* Keys that are deleted come as well: the longer they are the only ones, the more are asked for. */
static uint16_t count_wanted(const struct quo_scanning *scanning)
{
    const uint32_t missing = scanning->limit - scanning->count;

    return (uint16_t)QUO_MIN(missing << QUO_MIN(scanning->pages, 10u), QUO_SCAN_COUNT_MAX);
}

static bool send(struct quo_service *service, const struct quo_scanning *scanning, uint8_t member)
{
    const struct quo_plan *plan = &scanning->scan.plan;
    struct quo_transport *t = service->transport;
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    uint8_t *out;
    const struct quo_msg_scan message = {
        .partition = scanning->partition,
        .ns = quo_collection_ns(scanning->ns->id, scanning->collection),
        .kind = (uint8_t)plan->kind,
        .entry = quo_slice(entry, quo_entry_size(&plan->entry)),
        .value_max = scanning->value_max,
        .count_max = count_wanted(scanning),
        .prefix = quo_slice(scanning->prefix, scanning->prefix_len),
        .after = quo_slice(scanning->after, scanning->after_len),
    };

    quo_entry_encode(&plan->entry, entry);
    if (t->ops->reserve(t, plan->peer[member], quo_msg_scan_size(&message), &out) != QUO_OK)
        return false;
    quo_msg_scan_encode(&message, out);
    t->ops->seal(t, plan->peer[member], QUO_MESSAGE_SCAN, id_of(scanning));
    return true;
}

static void ask(struct quo_service *service, struct quo_scanning *scanning, quo_members members)
{
    while (members != 0) {
        const uint8_t member = (uint8_t)__builtin_ctz(members);
        members &= (quo_members)(members - 1u);
        if (!send(service, scanning, member))
            members |= quo_scan_failed(&scanning->scan, member, QUO_UNAVAILABLE);
    }
}

static void start_round(struct quo_service *service, struct quo_scanning *scanning)
{
    struct quo_plan plan;
    const uint64_t usual_us = 4 * quo_hedge_delay_us(&service->hedge);
    const uint64_t patience_us = QUO_MAX(usual_us, QUO_SCAN_PATIENCE_MS * UINT64_C(1000));

    scanning->round++;
    quo_drive_plan(service, scanning->partition, scanning->ns, &plan);
    ask(service, scanning,
        quo_scan_begin(&scanning->scan, &plan, scanning->want.r, quo_mono_us(service->env),
                       patience_us));
}

/* Whoever waits may go on by himself; half the time is left for that round to end in. */
static bool has_done_enough(const struct quo_service *service, const struct quo_scanning *scanning)
{
    const uint64_t half_us = scanning->want.timeout_ms * UINT64_C(500);

    return scanning->pages >= QUO_SCAN_ROUNDS_MAX || scanning->memory >= QUO_SCAN_PAGE_MAX ||
           quo_mono_us(service->env) >= scanning->started_us + half_us;
}

/* Looks what the round has come to. The scan may be over after this. */
static void go_on(struct quo_service *service, struct quo_scanning *scanning)
{
    for (;;) {
        const struct quo_tally *replies = &scanning->scan.replies;
        const enum quo_vote vote = quo_tally_vote(replies);
        if (vote == QUO_VOTE_OPEN)
            return;
        if (vote == QUO_VOTE_LOST) {
            enum quo_verdict blame = quo_tally_blame(replies);
            fail(service, scanning, blame,
                 blame == QUO_VERDICT_REFUSED ? replies->refusal : QUO_OK);
            return;
        }
        enum quo_status status = quo_scan_collect(service, scanning);
        if (status == QUO_BUSY || status == QUO_NO_MEMORY) {
            fail(service, scanning, QUO_VERDICT_REFUSED, status);
            return;
        }
        if (status != QUO_OK || has_done_enough(service, scanning)) {
            finish(service, scanning, status != QUO_NOT_FOUND);
            return;
        }
        start_round(service, scanning);
    }
}

/* Frames */

static uint8_t member_of(const struct quo_scanning *scanning, uint64_t peer)
{
    const struct quo_plan *plan = &scanning->scan.plan;
    const quo_members open =
        scanning->scan.asked & (quo_members)~quo_tally_voted(&scanning->scan.replies);

    for (uint8_t i = 0; i < plan->count; i++) {
        if (plan->peer[i] == peer && quo_members_has(open, i))
            return i;
    }
    return QUO_MEMBER_NONE;
}

static void give_up_on(struct quo_service *service, struct quo_scanning *scanning, uint8_t member,
                       enum quo_status why)
{
    ask(service, scanning, quo_scan_failed(&scanning->scan, member, why));
}

static void take_page(struct quo_service *service, struct quo_scanning *scanning, uint8_t member,
                      const struct quo_frame *frame)
{
    struct quo_msg_scanned message;
    enum quo_status status = quo_msg_scanned_decode(frame->body, &message);

    if (status == QUO_OK)
        status = quo_scan_keep(service, scanning, member, &message);
    if (status == QUO_OK)
        quo_scan_answered(&scanning->scan, member);
    else
        give_up_on(service, scanning, member, status);
}

/* Whether the partition's entry is newer than the scan's, as an answer has shown. */
static bool learns(struct quo_service *service, const struct quo_scanning *scanning,
                   const struct quo_msg_reply *reply)
{
    quo_count(&service->stats.wrong_epochs, 1);
    quo_routes_learn(&service->routes, &service->liveness, scanning->partition, reply->entry);
    return quo_routes_entry(&service->routes, scanning->partition)->epoch >
               scanning->scan.plan.entry.epoch &&
           scanning->round < scanning->pages + EPOCHS_MAX;
}

static void take_refusal(struct quo_service *service, struct quo_scanning *scanning, uint8_t member,
                         const struct quo_frame *frame)
{
    struct quo_msg_reply reply;

    if (quo_msg_reply_decode(frame->body, &reply) != QUO_OK || !quo_status_on_wire(reply.status) ||
        reply.status == QUO_OK) {
        give_up_on(service, scanning, member, QUO_MALFORMED);
    } else if (reply.status == QUO_WRONG_EPOCH && learns(service, scanning, &reply)) {
        quo_scan_forget(service, scanning);
        start_round(service, scanning);
    } else {
        give_up_on(service, scanning, member, (enum quo_status)reply.status);
    }
}

void quo_scans_on_frame(struct quo_service *service, uint64_t peer, const struct quo_frame *frame)
{
    struct quo_scanning *scanning = find(service, frame->id);
    const bool is_now = scanning != NULL && frame->id == id_of(scanning);
    const uint8_t member = is_now ? member_of(scanning, peer) : QUO_MEMBER_NONE;

    if (member == QUO_MEMBER_NONE) {
        quo_count(&service->stats.late_replies, 1);
        return;
    }
    if (frame->type == QUO_MESSAGE_SCANNED)
        take_page(service, scanning, member, frame);
    else
        take_refusal(service, scanning, member, frame);
    go_on(service, scanning);
}

void quo_scans_on_down(struct quo_service *service, uint64_t peer)
{
    for (uint32_t slot = 0; slot < QUO_SCANS_MAX; slot++) {
        struct quo_scanning *scanning = service->scans.slots[slot];
        const uint8_t member = scanning != NULL ? member_of(scanning, peer) : QUO_MEMBER_NONE;
        if (member == QUO_MEMBER_NONE)
            continue;
        give_up_on(service, scanning, member, QUO_UNAVAILABLE);
        go_on(service, scanning);
    }
}

/* Time */

static uint64_t due_us(const struct quo_scanning *scanning)
{
    return QUO_MIN(scanning->deadline_us, scanning->scan.patience_at);
}

uint64_t quo_scans_deadline(const struct quo_service *service)
{
    uint64_t first_us = UINT64_MAX;

    for (const struct quo_scanning *s = service->scans.first; s != NULL; s = s->next)
        first_us = QUO_MIN(first_us, due_us(s));
    return first_us;
}

static struct quo_scanning *first_due(const struct quo_service *service, uint64_t mono_us)
{
    struct quo_scanning *scanning = service->scans.first;

    while (scanning != NULL && due_us(scanning) > mono_us)
        scanning = scanning->next;
    return scanning;
}

void quo_scans_expire(struct quo_service *service, uint64_t mono_us)
{
    struct quo_scanning *scanning;

    while ((scanning = first_due(service, mono_us)) != NULL) {
        if (mono_us >= scanning->deadline_us) {
            fail(service, scanning, QUO_VERDICT_TIMEOUT, QUO_OK);
            continue;
        }
        ask(service, scanning, quo_scan_timer(&scanning->scan, mono_us));
        go_on(service, scanning);
    }
}

/* Beginning */

static void check_request(const struct quo_service *service, const struct quo_scan_request *request)
{
    const struct quo_slice prefix = request->prefix, after = request->after;
    const struct quo_consistency *want = &request->consistency;

    QUO_REQUIRE(quo_collection_fits(quo_collection_ns(0, request->collection), request->ns->kind));
    QUO_REQUIRE(request->partition < service->map->partition_count);
    QUO_REQUIRE(prefix.len <= QUO_KEY_MAX && after.len <= QUO_KEY_MAX);
    QUO_REQUIRE(after.len == 0 || prefix.len == 0 ||
                (after.len >= prefix.len && memcmp(after.data, prefix.data, prefix.len) == 0));
    QUO_REQUIRE(request->limit >= 1 && request->limit <= QUO_SCAN_COUNT_MAX);
    QUO_REQUIRE(!want->strong && want->r >= 1 && want->r <= want->n);
    QUO_REQUIRE(want->timeout_ms >= QUO_TIMEOUT_MIN_MS && want->timeout_ms <= QUO_TIMEOUT_MAX_MS);
}

static void fill(struct quo_scanning *scanning, const struct quo_scan_request *request,
                 uint64_t now_us)
{
    scanning->ns = request->ns;
    scanning->collection = request->collection;
    scanning->partition = request->partition;
    scanning->limit = request->limit;
    scanning->value_max = request->value_max;
    scanning->want = request->consistency;
    scanning->started_us = now_us;
    scanning->deadline_us = now_us + request->consistency.timeout_ms * UINT64_C(1000);
    scanning->prefix_len = request->prefix.len;
    if (request->prefix.len > 0)
        memcpy(scanning->prefix, request->prefix.data, request->prefix.len);
    scanning->after_len = request->after.len;
    if (request->after.len > 0)
        memcpy(scanning->after, request->after.data, request->after.len);
}

enum quo_status quo_service_scan(struct quo_service *service,
                                 const struct quo_scan_request *request, quo_scan_answer_fn *answer,
                                 void *context, quo_ticket *ret_ticket)
{
    check_request(service, request);
    if (service->scans.count == QUO_SCANS_MAX || service->scans.memory >= QUO_SCAN_MEMORY_MAX) {
        quo_count(&service->stats.overloads, 1);
        return QUO_BUSY;
    }
    struct quo_scanning *scanning = calloc(1, sizeof *scanning);
    if (scanning == NULL)
        return QUO_NO_MEMORY;
    fill(scanning, request, quo_mono_us(service->env));
    scanning->answer = answer;
    scanning->context = context;
    enter(&service->scans, scanning);
    const quo_ticket ticket = name_of(scanning);
    start_round(service, scanning);
    go_on(service, scanning);
    *ret_ticket = find(service, ticket) != NULL ? ticket : 0;
    return QUO_OK;
}

void quo_service_scan_abandon(struct quo_service *service, quo_ticket ticket)
{
    struct quo_scanning *scanning = quo_scans_own(ticket) ? find(service, ticket) : NULL;

    if (scanning == NULL)
        return;
    quo_count(&service->stats.abandoned, 1);
    leave(&service->scans, scanning);
    quo_scan_free(service, scanning);
}
