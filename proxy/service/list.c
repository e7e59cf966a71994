/* A listing scans a window of partitions at once. The first window is one partition, and it doubles
 * for as long as partitions do not fill the page: few keys are found quickly, and many are not read
 * in vain. */
#include "proxy/service/list.h"

#include <stdlib.h>

#include "proxy/service/state.h"

/* One partition's keys: encoded items (scan.h), as they came. */
struct block {
    struct block *next;
    size_t len;
    uint8_t bytes[];
};

struct list;

/* A partition of the window. */
struct part {
    struct list *list;
    enum quo_verdict verdict;
    enum quo_status refusal;
    struct quo_receipt receipt;
    struct block *block; /* NULL: nothing was found */
    bool more;
    size_t upto_len;
    uint8_t upto[QUO_KEY_MAX];
};

struct list {
    struct quo_job job;
    quo_list_fn *answer;
    void *context;
    const struct quo_namespace *ns;
    struct quo_consistency want;
    uint32_t limit, count;
    enum quo_verdict verdict;
    enum quo_status refusal;
    struct quo_receipt receipt;
    struct quo_version newest;
    bool has_begun; /* something of the namespace is behind it */

    uint32_t partition; /* where the next window begins */
    uint32_t window, pending;
    bool is_asking;
    struct part *parts; /* [QUO_LIST_WINDOW] */

    struct quo_listed_key *keys; /* [limit] */
    struct block *blocks;        /* that they are in */
    size_t prefix_len, after_len;
    uint8_t prefix[QUO_KEY_MAX], after[QUO_KEY_MAX];
};

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
}

static void release(struct quo_job *job)
{
    struct list *l = QUO_CONTAINER_OF(job, struct list, job);

    for (uint32_t i = 0; l->parts != NULL && i < QUO_LIST_WINDOW; i++)
        free_blocks(l->parts[i].block);
    free_blocks(l->blocks);
    free(l->parts);
    free(l->keys);
    free(l);
}

static void finish(struct list *l)
{
    const uint32_t partitions = l->job.service->map->partition_count;
    const struct quo_list_answer answer = {
        .verdict = l->verdict,
        .refusal = l->refusal,
        .receipt = l->receipt,
        .elapsed_us = quo_job_elapsed_us(&l->job),
        .keys = l->keys,
        .count = l->count,
        .newest = l->newest,
        .more = l->partition < partitions,
        .partition = (uint16_t)l->partition,
        .after = quo_slice(l->after, l->after_len),
    };

    if (quo_job_answers(&l->job))
        l->answer(l->context, &answer);
    quo_job_end(&l->job);
}

/* What came of a partition */

/* Takes memory for what a job finds while it is under way. */
static struct block *make_block(struct list *l, size_t len)
{
    struct quo_jobs *jobs = &l->job.service->jobs;

    if (len > QUO_JOBS_BYTES_MAX - jobs->bytes)
        return NULL;
    struct block *block = malloc(sizeof *block + len);
    if (block == NULL)
        return NULL;
    *block = (struct block){.len = len};
    l->job.bytes += len;
    jobs->bytes += len;
    return block;
}

static bool keep_items(struct part *part, const struct quo_scan_answer *page)
{
    size_t len = 0;

    for (uint32_t i = 0; i < page->count; i++)
        len += quo_scan_item_size(&page->items[i]);
    if (len == 0)
        return true;
    part->block = make_block(part->list, len);
    if (part->block == NULL)
        return false;
    len = 0;
    for (uint32_t i = 0; i < page->count; i++) {
        quo_scan_item_encode(&page->items[i], part->block->bytes + len);
        len += quo_scan_item_size(&page->items[i]);
    }
    return true;
}

static void go_on(struct list *l);

static void on_scan(void *context, const struct quo_scan_answer *page)
{
    struct part *part = context;
    struct list *l = part->list;

    part->verdict = page->verdict;
    part->refusal = page->refusal;
    part->receipt = page->receipt;
    part->more = page->more;
    part->upto_len = page->upto.len;
    if (page->upto.len > 0)
        memcpy(part->upto, page->upto.data, page->upto.len);
    if (page->verdict == QUO_VERDICT_FOUND && !keep_items(part, page)) {
        part->verdict = QUO_VERDICT_REFUSED;
        part->refusal = QUO_NO_MEMORY;
    }
    l->pending--;
    if (l->pending == 0 && !l->is_asking)
        go_on(l);
}

/* The window */

/* Listings share the room that a loop has for scans: each leaves most of it to others, so that
 * there is a window for all of them, if a small one. */
static uint32_t next_window(const struct list *l)
{
    const uint32_t left = l->job.service->map->partition_count - l->partition;
    const uint32_t room = QUO_SCANS_MAX - l->job.service->scans.count;

    return QUO_MIN(QUO_MIN(l->window, left), QUO_MAX(room / QUO_LIST_WINDOW, 1u));
}

static void ask(struct list *l)
{
    const uint32_t count = next_window(l);
    struct quo_scan_request request = {
        .ns = l->ns,
        .prefix = quo_slice(l->prefix, l->prefix_len),
        .after = quo_slice(l->after, l->after_len),
        .limit = l->limit - l->count,
        .consistency = l->want,
    };

    request.consistency.timeout_ms = quo_job_left_ms(&l->job);
    l->window = count;
    l->is_asking = true;
    for (uint32_t i = 0; i < count; i++) {
        struct part *part = &l->parts[i];
        quo_ticket ticket;
        part->list = l;
        part->block = NULL;
        request.partition = (uint16_t)(l->partition + i);
        l->pending++;
        part->refusal = quo_service_scan(l->job.service, &request, on_scan, part, &ticket);
        if (part->refusal != QUO_OK) {
            part->verdict = QUO_VERDICT_REFUSED;
            part->receipt = (struct quo_receipt){.level = l->want.level, .n = l->want.n};
            l->pending--;
        }
        request.after.len = 0;
    }
    l->is_asking = false;
}

static void stand_after(struct list *l, struct quo_slice key)
{
    if (key.len > 0)
        memcpy(l->after, key.data, key.len);
    l->after_len = key.len;
}

/* Takes the keys of a partition, as many as are wanted. Returns whether all were. */
static bool take_keys(struct list *l, struct part *part)
{
    struct block *block = part->block;
    struct quo_scan_item item;
    size_t at = 0;

    if (block == NULL)
        return true;
    part->block = NULL;
    block->next = l->blocks;
    l->blocks = block;
    while (l->count < l->limit &&
           quo_scan_item_next(quo_slice(block->bytes, block->len), &at, &item)) {
        l->keys[l->count++] = (struct quo_listed_key){item.key, item.changed, item.value_len};
        l->newest = quo_version_max(l->newest, item.version);
        stand_after(l, item.key);
    }
    return at == block->len;
}

/* Takes one partition of the window after the other, for as long as nothing is missing between
 * them. Returns whether the whole window was taken. */
static bool take_parts(struct list *l)
{
    struct quo_receipt beside = {0};
    bool is_whole = true;

    for (uint32_t i = 0; i < l->window && is_whole; i++) {
        struct part *part = &l->parts[i];
        if (part->verdict != QUO_VERDICT_FOUND) {
            l->verdict = part->verdict;
            l->refusal = part->refusal;
            if (!l->has_begun)
                l->receipt = part->receipt;
            is_whole = false;
            break;
        }
        quo_job_beside(&beside, &part->receipt);
        l->has_begun = true;
        if (!take_keys(l, part)) {
            is_whole = false;
        } else if (part->more) {
            stand_after(l, quo_slice(part->upto, part->upto_len));
            is_whole = false;
        } else {
            l->partition++;
            l->after_len = 0;
        }
    }
    if (beside.n != 0)
        quo_job_then(&l->receipt, &beside);
    return is_whole;
}

/* Whoever waits may go on by himself; half the time is left for the window to end in. */
static bool has_done_enough(const struct list *l)
{
    return !l->job.is_wanted || l->count == l->limit ||
           l->partition == l->job.service->map->partition_count ||
           quo_job_elapsed_us(&l->job) >= l->want.timeout_ms * UINT64_C(500);
}

static void go_on(struct list *l)
{
    while (l->pending == 0) {
        const bool is_whole = take_parts(l);
        for (uint32_t i = 0; i < l->window; i++) {
            free_blocks(l->parts[i].block);
            l->parts[i].block = NULL;
        }
        if (l->verdict != QUO_VERDICT_FOUND && l->has_begun)
            l->verdict = QUO_VERDICT_FOUND; /* what came before is an answer all the same */
        else if (l->verdict == QUO_VERDICT_FOUND && !has_done_enough(l)) {
            l->window = is_whole ? QUO_MIN(2 * l->window, QUO_LIST_WINDOW) : 1;
            ask(l);
            continue;
        }
        finish(l);
        return;
    }
}

enum quo_status quo_service_list(struct quo_service *service,
                                 const struct quo_list_request *request, quo_list_fn *answer,
                                 void *context, struct quo_job **ret_job)
{
    struct quo_job *job = NULL;
    enum quo_status status =
        quo_job_new(service, sizeof(struct list), 0, request->consistency.timeout_ms, &job);

    if (status != QUO_OK)
        return status;
    struct list *l = QUO_CONTAINER_OF(job, struct list, job);
    job->release = release;
    l->answer = answer;
    l->context = context;
    l->ns = request->ns;
    l->want = request->consistency;
    l->limit = request->limit;
    l->verdict = QUO_VERDICT_FOUND;
    l->partition = request->partition;
    l->window = 1;
    l->prefix_len = request->prefix.len;
    if (request->prefix.len > 0)
        memcpy(l->prefix, request->prefix.data, request->prefix.len);
    stand_after(l, request->after);
    l->parts = calloc(QUO_LIST_WINDOW, sizeof *l->parts);
    l->keys = calloc(l->limit, sizeof *l->keys);
    quo_job_begin(job, ret_job);
    if (l->parts == NULL || l->keys == NULL)
        return quo_job_begun(ret_job, QUO_NO_MEMORY);
    ask(l);
    go_on(l);
    return quo_job_begun(ret_job, QUO_OK);
}
