#include <stdlib.h>

#include "proxy/service/state.h"
#include "quorate/testpoints.h"

#define CHUNK_ROOM 65536u
#define FIRST_CAPACITY 64u

/* Memory */

static void *take(struct quo_service *service, struct quo_scanning *scanning, size_t size,
                  enum quo_status *ret_why)
{
    void *memory = NULL;

    *ret_why = QUO_BUSY;
    if (size <= QUO_SCAN_MEMORY_MAX && service->scans.memory <= QUO_SCAN_MEMORY_MAX - size) {
        memory = malloc(size);
        *ret_why = QUO_NO_MEMORY;
    }
    if (memory == NULL)
        return NULL;
    service->scans.memory += size;
    scanning->memory += size;
    return memory;
}

static void give_back(struct quo_service *service, struct quo_scanning *scanning, void *memory,
                      size_t size)
{
    if (memory == NULL)
        return;
    service->scans.memory -= size;
    scanning->memory -= size;
    free(memory);
}

static enum quo_status copy(struct quo_service *service, struct quo_scanning *scanning,
                            struct quo_slice bytes, struct quo_slice *ret)
{
    struct quo_scan_chunk *chunk = scanning->chunks;
    enum quo_status why;

    if (chunk == NULL || chunk->room - chunk->len < bytes.len) {
        const size_t room = QUO_MAX(bytes.len, (size_t)CHUNK_ROOM);
        chunk = take(service, scanning, sizeof *chunk + room, &why);
        if (chunk == NULL)
            return why;
        *chunk = (struct quo_scan_chunk){.next = scanning->chunks, .room = room};
        scanning->chunks = chunk;
    }
    if (bytes.len > 0)
        memcpy(chunk->bytes + chunk->len, bytes.data, bytes.len);
    *ret = quo_slice(chunk->bytes + chunk->len, bytes.len);
    chunk->len += bytes.len;
    return QUO_OK;
}

static enum quo_status grow(struct quo_service *service, struct quo_scanning *scanning)
{
    const uint32_t capacity = QUO_MAX(2 * scanning->capacity, FIRST_CAPACITY);
    enum quo_status why;
    struct quo_scan_item *items = take(service, scanning, capacity * sizeof *items, &why);

    if (items == NULL)
        return why;
    if (scanning->count > 0)
        memcpy(items, scanning->items, scanning->count * sizeof *items);
    give_back(service, scanning, scanning->items, scanning->capacity * sizeof *items);
    scanning->items = items;
    scanning->capacity = capacity;
    return QUO_OK;
}

void quo_scan_forget(struct quo_service *service, struct quo_scanning *scanning)
{
    for (uint8_t i = 0; i < QUO_MEMBERS_MAX; i++) {
        struct quo_scan_reply *reply = &scanning->replies[i];
        give_back(service, scanning, reply->bytes, reply->items.len + 1);
        *reply = (struct quo_scan_reply){0};
    }
}

void quo_scan_free(struct quo_service *service, struct quo_scanning *scanning)
{
    quo_scan_forget(service, scanning);
    while (scanning->chunks != NULL) {
        struct quo_scan_chunk *chunk = scanning->chunks;
        scanning->chunks = chunk->next;
        give_back(service, scanning, chunk, sizeof *chunk + chunk->room);
    }
    give_back(service, scanning, scanning->items, scanning->capacity * sizeof *scanning->items);
    QUO_INVARIANT(scanning->memory == 0);
    free(scanning);
}

/* Pages */

static void note_clock(struct quo_service *service, uint64_t now_ms)
{
    if (now_ms < UINT64_C(1) << 48)
        quo_hlc_observe(&service->clock, now_ms << 16, quo_wall_ms(service->env));
}

static void note_sealed(struct quo_scanning *scanning, struct quo_version sealed)
{
    const bool is_first = scanning->pages == 0 && scanning->scan.replies.yes == 0;

    if (is_first || quo_version_compare(sealed, scanning->sealed) < 0)
        scanning->sealed = sealed;
}

enum quo_status quo_scan_keep(struct quo_service *service, struct quo_scanning *scanning,
                              uint8_t member, const struct quo_msg_scanned *message)
{
    struct quo_scan_reply *reply = &scanning->replies[member];
    enum quo_status why;

    if ((message->more && message->items.len == 0) || message->more > 1 ||
        !quo_scan_items_check(message->items, quo_slice(scanning->prefix, scanning->prefix_len),
                              quo_slice(scanning->after, scanning->after_len)))
        return QUO_MALFORMED;
    uint8_t *bytes = take(service, scanning, message->items.len + 1, &why);
    if (bytes == NULL)
        return why;
    if (message->items.len > 0)
        memcpy(bytes, message->items.data, message->items.len);
    *reply = (struct quo_scan_reply){
        .bytes = bytes,
        .items = quo_slice(bytes, message->items.len),
        .more = message->more != 0,
        .sealed = message->sealed,
    };
    note_clock(service, message->now_ms);
    note_sealed(scanning, message->sealed);
    return QUO_OK;
}

/* Merging */

/* The pages of a round, and whose they are. */
struct round {
    uint8_t count;
    uint8_t member[QUO_MEMBERS_MAX];
    struct quo_slice items[QUO_MEMBERS_MAX];
    bool more[QUO_MEMBERS_MAX];
    struct quo_version sealed; /* the highest of theirs */
};

static void gather(const struct quo_scanning *scanning, struct round *round)
{
    round->count = 0;
    round->sealed = QUO_VERSION_NONE;
    for (uint8_t i = 0; i < scanning->scan.plan.count; i++) {
        const struct quo_scan_reply *reply = &scanning->replies[i];
        if (reply->bytes == NULL)
            continue;
        round->member[round->count] = i;
        round->items[round->count] = reply->items;
        round->more[round->count++] = reply->more;
        round->sealed = quo_version_max(round->sealed, reply->sealed);
    }
}

/* The receipt claims of the whole page what holds of each key. */
static void note_holders(struct quo_scanning *scanning, quo_members holders)
{
    const struct quo_plan *plan = &scanning->scan.plan;
    struct quo_receipt *receipt = &scanning->receipt;

    receipt->acks = receipt->disk = QUO_MIN(receipt->acks, quo_members_count(holders));
    receipt->stable &= quo_tally_would_win(plan->sets, holders, plan->ws) == QUO_VOTE_WON;
}

static void note_round(struct quo_scanning *scanning, const struct round *round)
{
    const struct quo_plan *plan = &scanning->scan.plan;
    struct quo_receipt *receipt = &scanning->receipt;
    quo_members all = 0;

    if (scanning->pages++ == 0)
        *receipt = (struct quo_receipt){.acks = UINT8_MAX, .stable = true};
    receipt->level = scanning->want.level;
    receipt->n = scanning->want.n;
    receipt->need = scanning->want.r;
    receipt->epoch = plan->entry.epoch;
    receipt->replies = round->count;
    quo_receipt_count(&receipt->round_trips, 1);
    quo_receipt_count(&receipt->hedges, scanning->scan.extra);
    for (uint8_t i = 0; i < round->count; i++) {
        receipt->answered[i] = plan->replica[round->member[i]];
        receipt->peer[i] = plan->peer[round->member[i]];
        all |= QUO_MEMBER(round->member[i]);
    }
    note_holders(scanning, all);
}

/* A key whose replicas differ, if there is room for it. */
static void note_difference(struct quo_service *service, struct quo_scanning *scanning,
                            struct quo_slice key)
{
    quo_count(&service->stats.scan_differences, 1);
    if (scanning->differing_count == QUO_SCAN_REPAIRS_MAX || QUO_MUTANT(SCAN_UNREPAIRED))
        return;
    if (copy(service, scanning, key, &scanning->differing[scanning->differing_count]) == QUO_OK)
        scanning->differing_count++;
}

/* A delete that all replicas had: each of them may have dropped it by now. */
static bool is_collected(const struct quo_scanning *scanning, const struct round *round,
                         const struct quo_scan_item *item)
{
    return !quo_scan_item_is_live(item, scanning->now_ms) &&
           quo_version_compare(item->version, round->sealed) <= 0;
}

static void note_item(struct quo_service *service, struct quo_scanning *scanning,
                      const struct round *round, const struct quo_scan_item *item,
                      quo_members behind)
{
    quo_members holders = 0;

    quo_hlc_observe(&service->clock, item->version.hlc, quo_wall_ms(service->env));
    if (is_collected(scanning, round, item))
        return;
    for (uint8_t i = 0; i < round->count; i++) {
        if (!quo_members_has(behind, i))
            holders |= QUO_MEMBER(round->member[i]);
    }
    note_holders(scanning, holders);
    if (behind != 0)
        note_difference(service, scanning, item->key);
}

static enum quo_status keep_item(struct quo_service *service, struct quo_scanning *scanning,
                                 const struct quo_scan_item *item)
{
    struct quo_scan_item kept = *item;
    enum quo_status status = QUO_OK;

    if (!quo_scan_item_is_live(item, scanning->now_ms))
        return QUO_OK;
    if (scanning->count == scanning->capacity)
        status = grow(service, scanning);
    if (status == QUO_OK)
        status = copy(service, scanning, item->key, &kept.key);
    if (status == QUO_OK)
        status = copy(service, scanning, item->record, &kept.record);
    if (status == QUO_OK)
        scanning->items[scanning->count++] = kept;
    return status;
}

static void go_after(struct quo_scanning *scanning, struct quo_slice key)
{
    memcpy(scanning->after, key.data, key.len);
    scanning->after_len = key.len;
    scanning->has_moved = true;
}

static enum quo_status merge_all(struct quo_service *service, struct quo_scanning *scanning,
                                 const struct round *round)
{
    struct quo_scan_merge merge;
    struct quo_scan_item item;

    quo_scan_merge_begin(&merge, round->count, round->items, round->more);
    while (quo_scan_merge_next(&merge, &item)) {
        if (scanning->count == scanning->limit)
            return QUO_MORE;
        note_item(service, scanning, round, &item, merge.behind);
        enum quo_status status = keep_item(service, scanning, &item);
        if (status != QUO_OK)
            return status;
        go_after(scanning, item.key);
    }
    if (!merge.more)
        return QUO_NOT_FOUND;
    go_after(scanning, merge.upto);
    return scanning->count == scanning->limit ? QUO_MORE : QUO_OK;
}

enum quo_status quo_scan_collect(struct quo_service *service, struct quo_scanning *scanning)
{
    struct round round;

    scanning->now_ms = quo_now_ms(service);
    gather(scanning, &round);
    note_round(scanning, &round);
    enum quo_status status = merge_all(service, scanning, &round);
    quo_scan_forget(service, scanning);
    return status;
}
