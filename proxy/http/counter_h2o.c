/* Reads of counters of kind crdt: the slots are scanned, page after page, and added up. */
#include <stdlib.h>

#include "proxy/http/server_h2o.h"
#include "proxy/service/scan.h"

#define RECORD_MAX (QUO_SLOT_VALUE_MAX + 64u) /* of a slot, encoded */
#define KEY_MAX (2 + QUO_COLLECTION_NAME_MAX + QUO_SLOT_KEY_SUFFIX)

struct summing {
    struct quo_exchange *exchange;
    struct quo_consistency consistency;
    uint64_t started_us;
    struct quo_slot_sum sum;
    uint64_t newest;              /* hlc of the slots */
    bool has_any;                 /* slots were seen */
    struct quo_response response; /* of the pages so far: its receipt claims what all of them can */
    size_t prefix_len, after_len;
    uint8_t prefix[2 + QUO_COLLECTION_NAME_MAX];
    uint8_t after[KEY_MAX];
};

static void end(struct summing *summing)
{
    struct quo_exchange *exchange = summing->exchange;
    struct quo_http *http = exchange->http;
    struct quo_answer_facts facts;

    if (quo_exchange_resume(exchange)) {
        facts = quo_exchange_facts(exchange);
        quo_answer_sum(&exchange->operation, &summing->response, &summing->sum, http->options.map,
                       &facts, &http->answer);
        if (exchange->in_session) {
            quo_token_raise(&exchange->token, summing->newest);
            quo_answer_add_token(&http->answer, &exchange->token, http->options.secret);
        }
        quo_exchange_respond(exchange);
    }
    free(summing);
}

static void fail(struct summing *summing, enum quo_verdict verdict, enum quo_status refusal)
{
    summing->response.verdict = verdict;
    summing->response.refusal = refusal;
    end(summing);
}

/* What a page shows is true of it alone: of all of them, what is true of each. */
static void take_receipt(struct summing *summing, const struct quo_scan_answer *page)
{
    struct quo_receipt *receipt = &summing->response.receipt;
    const unsigned trips = receipt->round_trips + page->receipt.round_trips;
    const unsigned hedges = receipt->hedges + page->receipt.hedges;
    const bool is_first = summing->after_len == 0;
    const bool is_stable = page->receipt.stable && (is_first || receipt->stable);

    if (is_first || page->receipt.replies < receipt->replies)
        *receipt = page->receipt;
    receipt->round_trips = (uint8_t)QUO_MIN(trips, UINT8_MAX);
    receipt->hedges = (uint8_t)QUO_MIN(hedges, UINT8_MAX);
    receipt->stable = is_stable;
    receipt->level = summing->consistency.level;
}

/* Returns false if there is something that is no slot. */
static bool take_slots(struct summing *summing, const struct quo_scan_answer *page)
{
    for (uint32_t i = 0; i < page->count; i++) {
        const struct quo_scan_item *item = &page->items[i];
        struct quo_record record;
        struct quo_slot slot;

        if (item->key.len != summing->prefix_len + QUO_SLOT_KEY_SUFFIX || item->record.len == 0 ||
            quo_record_decode(item->record, &record) != QUO_OK ||
            quo_slot_decode(record.value, &slot) != QUO_OK)
            return false;
        quo_slot_sum_add(&summing->sum, quo_slot_value(&slot));
        summing->newest = QUO_MAX(summing->newest, item->version.hlc);
        summing->has_any = true;
    }
    return true;
}

static bool start_page(struct summing *summing);

static void on_page(void *context, const struct quo_scan_answer *page)
{
    struct summing *summing = context;

    take_receipt(summing, page);
    summing->response.elapsed_us = quo_mono_us(summing->exchange->http->env) - summing->started_us;
    if (page->verdict != QUO_VERDICT_FOUND) {
        fail(summing, page->verdict, page->refusal);
        return;
    }
    if (!take_slots(summing, page) || (page->more && page->upto.len > KEY_MAX)) {
        fail(summing, QUO_VERDICT_REFUSED, QUO_CORRUPT);
        return;
    }
    if (page->more) {
        summing->after_len = page->upto.len;
        memcpy(summing->after, page->upto.data, page->upto.len);
        start_page(summing);
        return;
    }
    summing->response.verdict = summing->has_any ? QUO_VERDICT_FOUND : QUO_VERDICT_ABSENT;
    end(summing);
}

static void refuse(struct summing *summing, enum quo_status status)
{
    quo_exchange_overloaded(summing->exchange, status);
    free(summing);
}

/* All pages share one deadline. */
static bool is_late(struct summing *summing)
{
    const uint64_t now_us = quo_mono_us(summing->exchange->http->env);
    const uint64_t end_us =
        summing->started_us + summing->exchange->operation.consistency.timeout_ms * UINT64_C(1000);

    if (now_us + 1000 > end_us)
        return true;
    summing->consistency.timeout_ms = (uint32_t)((end_us - now_us) / 1000);
    return false;
}

/* Returns whether the exchange waits for the page; otherwise it is over. */
static bool start_page(struct summing *summing)
{
    struct quo_exchange *exchange = summing->exchange;
    struct quo_service *service = exchange->http->options.service;
    const struct quo_map *map = exchange->http->options.map;
    const struct quo_namespace *ns = exchange->operation.ns;
    const uint32_t id = quo_collection_ns(ns->id, QUO_COLLECTION_COUNTER);
    const struct quo_slice prefix = quo_slice(summing->prefix, summing->prefix_len);
    quo_ticket ticket = 0;

    if (is_late(summing)) {
        fail(summing, QUO_VERDICT_TIMEOUT, QUO_OK);
        return false;
    }
    const struct quo_scan_request request = {
        .ns = ns,
        .collection = QUO_COLLECTION_COUNTER,
        .partition = quo_map_partition(map, id, prefix),
        .prefix = prefix,
        .after = quo_slice(summing->after, summing->after_len),
        .limit = QUO_SCAN_COUNT_MAX,
        .value_max = RECORD_MAX,
        .consistency = summing->consistency,
    };
    enum quo_status status = quo_service_scan(service, &request, on_page, summing, &ticket);
    if (status != QUO_OK)
        refuse(summing, status);
    else if (ticket != 0)
        exchange->ticket = ticket;
    return status == QUO_OK && ticket != 0;
}

static void abandon(struct quo_exchange *exchange)
{
    quo_service_scan_abandon(exchange->http->options.service, exchange->ticket);
    free(exchange->work);
}

void quo_counter_begin(struct quo_exchange *exchange, const struct quo_wish *wish)
{
    struct summing *summing = calloc(1, sizeof *summing);

    quo_exchange_wait(exchange);
    if (summing == NULL) {
        quo_exchange_overloaded(exchange, QUO_NO_MEMORY);
        return;
    }
    exchange->abandon = abandon;
    exchange->work = summing;
    summing->exchange = exchange;
    summing->consistency = wish->consistency;
    summing->started_us = quo_mono_us(exchange->http->env);
    summing->response.outcome = QUO_NOT_APPLIED;
    summing->prefix_len = wish->prefix_len;
    memcpy(summing->prefix, wish->prefix, wish->prefix_len);
    if (start_page(summing))
        quo_connection_arm(exchange->connection, exchange->request);
}
