/* A page of a timeline: a scan, and for each entry with a key the claim of its operation.
 *
 * Of the entries of one operation only that is shown which the claim names. It was stored before it
 * was claimed, so that a scan which begins after the claim was seen shows it: if it should be on
 * this page and is not, it is either deleted, or the scan was too early and is done again.
 */
#include <stdlib.h>

#include "proxy/service/state.h"
#include "proxy/service/timeline.h"
#include "quorate/testpoints.h"

/* Times that one scan is done again: each needs another attempt of the same operation under way. */
#define AGAIN_MAX 4u

struct page;

enum claimed {
    CLAIMED_HERE = 0, /* or where the scan has not been, or nowhere */
    CLAIMED_LATER,    /* the scan should have shown it and was too early */
    CLAIMED_DELETED,  /* likewise, and it is deleted */
    CLAIMED_LOST,     /* likewise, and nobody shows it: the level is too weak */
};

struct candidate {
    struct page *page;
    struct quo_page_entry entry;
    uint8_t *record;
    struct quo_version claimed; /* by its operation; none: not at all */
    enum claimed fate;          /* of the entry that is claimed */
};

struct page {
    struct quo_job job;
    quo_page_fn *answer;
    void *context;
    const struct quo_namespace *ns;
    uint16_t partition;
    uint32_t limit;
    struct quo_consistency want;

    struct candidate *list; /* of limit */
    uint32_t kept;          /* of them, those that will be shown */
    uint32_t count;         /* and those of the scan under way, which are not judged yet */
    bool has_claims;        /* they are known, and what is claimed is being looked for */
    uint32_t next;          /* about which is to be asked */
    uint32_t pending;       /* about which is */
    bool is_asking;
    uint32_t scans, again;
    size_t held;   /* bytes of records that were read */
    bool is_begun; /* a scan is judged */

    enum quo_verdict verdict; /* FOUND, until a step goes wrong */
    enum quo_status refusal;
    struct quo_receipt receipt, claims; /* of the scans so far; of the claims of this one */
    struct quo_version sealed;
    bool more;
    size_t name_len, after_len, upto_len;
    uint8_t name[QUO_COLLECTION_NAME_MAX];
    uint8_t after[QUO_KEY_MAX]; /* what the pages before have shown */
    uint8_t upto[QUO_KEY_MAX];  /* likewise with this scan, if there is more */
};

static struct quo_slice name_of(const struct page *p)
{
    return quo_slice(p->name, p->name_len);
}

static void drop(struct candidate *candidate)
{
    free(candidate->record);
    candidate->record = NULL;
}

static void release(struct quo_job *job)
{
    struct page *p = QUO_CONTAINER_OF(job, struct page, job);

    for (uint32_t i = 0; p->list != NULL && i < p->count; i++)
        drop(&p->list[i]);
    free(p->list);
    free(p);
}

static void answer(struct page *p, const struct quo_page_entry *entries)
{
    struct quo_page_answer ret = {
        .verdict = p->verdict,
        .refusal = p->refusal,
        .receipt = p->receipt,
        .elapsed_us = quo_job_elapsed_us(&p->job),
        .entries = entries,
        .count = p->kept,
        .sealed = p->sealed,
    };
    struct quo_entry_id last;

    ret.receipt.version = QUO_VERSION_NONE;
    ret.receipt.level = p->want.level;
    if (p->more && quo_entry_key_parse(quo_slice(p->after, p->after_len), &last))
        ret.before = last.version;
    quo_count(&p->job.service->stats.pages, 1);
    if (quo_job_answers(&p->job))
        p->answer(p->context, &ret);
}

static void finish(struct page *p)
{
    struct quo_page_entry *entries = NULL;

    /* What was complete before a step went wrong is a page. */
    if (p->is_begun && p->verdict != QUO_VERDICT_FOUND) {
        p->verdict = QUO_VERDICT_FOUND;
        p->more = true;
    }
    if (p->verdict == QUO_VERDICT_FOUND && p->kept > 0) {
        entries = calloc(p->kept, sizeof *entries);
        if (entries == NULL) {
            p->verdict = QUO_VERDICT_REFUSED;
            p->refusal = QUO_NO_MEMORY;
        }
        for (uint32_t i = 0; entries != NULL && i < p->kept; i++)
            entries[i] = p->list[i].entry;
    }
    answer(p, entries);
    free(entries);
    quo_job_end(&p->job);
}

static void fail(struct page *p, enum quo_verdict verdict, enum quo_status refusal)
{
    if (p->verdict != QUO_VERDICT_FOUND)
        return;
    p->verdict = verdict;
    p->refusal = refusal;
}

static enum quo_status scan(struct page *p);

/* The first candidate of the same operation, if that is an earlier one: both go by one claim, since
 * two looks at it may differ. NULL: there is none. */
static const struct candidate *find_first(const struct page *p, const struct candidate *candidate)
{
    const struct quo_entry_id *id = &candidate->entry.id;

    for (uint32_t i = 0; &p->list[i] != candidate; i++) {
        const struct quo_entry_id *other = &p->list[i].entry.id;
        if (other->is_keyed && quo_opid_equal(&other->opid, &id->opid))
            return &p->list[i];
    }
    return NULL;
}

static bool is_in_batch(const struct page *p, const struct quo_entry_id *id)
{
    for (uint32_t i = p->kept; i < p->count; i++) {
        if (quo_entry_id_equal(&p->list[i].entry.id, id))
            return true;
    }
    return false;
}

/* Whether the scan under way would have shown it. */
static bool is_in_range(const struct page *p, const struct quo_entry_id *id)
{
    uint8_t bytes[QUO_TIMELINE_KEY_MAX];
    const struct quo_slice key = quo_slice(bytes, quo_entry_key(name_of(p), id, bytes));

    return (p->after_len == 0 ||
            quo_scan_key_compare(key, quo_slice(p->after, p->after_len)) > 0) &&
           (!p->more || quo_scan_key_compare(key, quo_slice(p->upto, p->upto_len)) <= 0);
}

/* Whether its operation has claimed another entry, which should be here and is not. */
static bool lacks_claimed(const struct page *p, const struct candidate *candidate)
{
    struct quo_entry_id id = candidate->entry.id;

    if (!id.is_keyed || quo_version_is_none(candidate->claimed) ||
        quo_version_equal(candidate->claimed, id.version))
        return false;
    id.version = candidate->claimed;
    return is_in_range(p, &id) && !is_in_batch(p, &id);
}

static bool is_shown(const struct page *p, const struct candidate *candidate)
{
    const struct quo_entry_id *id = &candidate->entry.id;

    if (!id->is_keyed || QUO_MUTANT(CLAIM_IGNORED) ||
        quo_version_equal(candidate->claimed, id->version))
        return true;
    /* Better this one than none. */
    return candidate->fate == CLAIMED_LOST && find_first(p, candidate) == NULL;
}

static bool must_scan_again(const struct page *p)
{
    if (p->again >= AGAIN_MAX || QUO_MUTANT(PAGE_READ_ONCE))
        return false;
    for (uint32_t i = p->kept; i < p->count; i++) {
        if (p->list[i].fate == CLAIMED_LATER)
            return true;
    }
    return false;
}

static void forget_batch(struct page *p)
{
    while (p->count > p->kept)
        drop(&p->list[--p->count]);
}

/* Decided for the whole batch before any of it moves. */
static void keep_shown(struct page *p)
{
    uint32_t kept = p->kept;
    bool shown[QUO_SCAN_COUNT_MAX];

    for (uint32_t i = p->kept; i < p->count; i++)
        shown[i] = is_shown(p, &p->list[i]);
    for (uint32_t i = p->kept; i < p->count; i++) {
        if (!shown[i])
            drop(&p->list[i]);
        else
            p->list[kept++] = p->list[i];
    }
    p->kept = p->count = kept;
}

static void go_on(struct page *p)
{
    enum quo_status status = scan(p);

    if (status == QUO_OK)
        return;
    fail(p, QUO_VERDICT_REFUSED, status);
    finish(p);
}

static void share_claims(struct page *p)
{
    for (uint32_t i = p->kept; i < p->count; i++) {
        const struct candidate *first =
            p->list[i].entry.id.is_keyed ? find_first(p, &p->list[i]) : NULL;
        if (first != NULL)
            p->list[i].claimed = first->claimed;
    }
}

/* All that is to be known of the batch is. */
static void judge(struct page *p)
{
    if (p->verdict != QUO_VERDICT_FOUND) {
        forget_batch(p);
        finish(p);
        return;
    }
    if (must_scan_again(p)) {
        QUO_PROBE(PAGE_SCANNED_AGAIN);
        quo_count(&p->job.service->stats.pages_again, 1);
        p->again++;
        forget_batch(p);
        go_on(p);
        return;
    }
    p->again = 0;
    p->is_begun = true;
    keep_shown(p);
    memcpy(p->after, p->upto, p->upto_len);
    p->after_len = p->upto_len;
    if (p->more && p->kept < p->limit && p->scans < QUO_PAGE_SCANS_MAX &&
        p->held < QUO_SCAN_PAGE_MAX)
        go_on(p);
    else
        finish(p);
}

static void ask(struct page *p);

static void end_asking(struct page *p, const struct quo_response *response)
{
    p->pending--;
    if (response->verdict == QUO_VERDICT_FOUND || response->verdict == QUO_VERDICT_ABSENT)
        quo_job_beside(&p->claims, &response->receipt);
    else
        fail(p, response->verdict, response->refusal);
    if (!p->is_asking)
        ask(p);
}

static void on_claim(void *context, const struct quo_response *response)
{
    struct candidate *candidate = context;

    if (response->verdict == QUO_VERDICT_FOUND)
        candidate->claimed = response->record.version;
    end_asking(candidate->page, response);
}

static void on_claimed(void *context, const struct quo_response *response)
{
    struct candidate *candidate = context;

    if (response->verdict == QUO_VERDICT_FOUND)
        candidate->fate = CLAIMED_LATER;
    else if (!quo_version_is_none(response->receipt.version))
        candidate->fate = CLAIMED_DELETED;
    else
        candidate->fate = CLAIMED_LOST;
    end_asking(candidate->page, response);
}

/* For the claim of its operation; then, for the entry that is claimed. */
static enum quo_status ask_for(struct page *p, struct candidate *candidate)
{
    uint8_t key[QUO_TIMELINE_KEY_MAX];
    struct quo_entry_id id = candidate->entry.id;
    struct quo_request request = {
        .type = QUO_REQUEST_GET,
        .ns = p->ns,
        .collection = QUO_COLLECTION_TIMELINE,
        .consistency = p->want,
    };
    quo_ticket ticket;

    id.version = candidate->claimed;
    request.key = quo_slice(key, p->has_claims ? quo_entry_key(name_of(p), &id, key)
                                               : quo_claim_key(name_of(p), &id.opid, key));
    request.consistency.timeout_ms = quo_job_left_ms(&p->job);
    return quo_service_submit(p->job.service, &request, p->has_claims ? on_claimed : on_claim,
                              candidate, &ticket);
}

static bool must_ask(const struct page *p, const struct candidate *candidate)
{
    return candidate->entry.id.is_keyed && find_first(p, candidate) == NULL &&
           (!p->has_claims || lacks_claimed(p, candidate));
}

static void ask_all(struct page *p)
{
    p->is_asking = true;
    while (p->next < p->count && p->pending < QUO_JOB_WINDOW && p->verdict == QUO_VERDICT_FOUND) {
        struct candidate *candidate = &p->list[p->next++];
        if (!must_ask(p, candidate))
            continue;
        p->pending++;
        const enum quo_status status = ask_for(p, candidate);
        if (status != QUO_OK) {
            p->pending--;
            fail(p, QUO_VERDICT_REFUSED, status);
        }
    }
    p->is_asking = false;
}

static void add_claims(struct page *p)
{
    if (p->claims.n != 0)
        quo_job_then(&p->receipt, &p->claims);
    p->claims = (struct quo_receipt){.n = 0};
}

static void ask(struct page *p)
{
    ask_all(p);
    if (p->pending == 0 && !p->has_claims) {
        add_claims(p);
        share_claims(p);
        p->has_claims = true;
        p->next = p->kept;
        ask_all(p);
    }
    if (p->pending > 0)
        return;
    add_claims(p);
    judge(p);
}

static enum quo_status take_item(struct page *p, const struct quo_scan_item *item)
{
    struct candidate *candidate = &p->list[p->count];

    *candidate = (struct candidate){.page = p, .entry = {.value_len = item->value_len}};
    if (!quo_entry_key_parse(item->key, &candidate->entry.id))
        return QUO_OK;
    if (item->record.len > 0) {
        if (!quo_job_hold(&p->job, item->record.len))
            return QUO_BUSY;
        candidate->record = malloc(item->record.len);
        if (candidate->record == NULL)
            return QUO_NO_MEMORY;
        p->held += item->record.len;
        memcpy(candidate->record, item->record.data, item->record.len);
        candidate->entry.record = quo_slice(candidate->record, item->record.len);
    }
    p->count++;
    return QUO_OK;
}

static void take_page(struct page *p, const struct quo_scan_answer *page)
{
    p->more = page->more;
    p->upto_len = page->more ? page->upto.len : 0;
    if (page->more)
        memcpy(p->upto, page->upto.data, page->upto.len);
    quo_job_then(&p->receipt, &page->receipt);
    if (p->scans == 1 || quo_version_compare(page->sealed, p->sealed) < 0)
        p->sealed = page->sealed;
    for (uint32_t i = 0; i < page->count; i++) {
        const enum quo_status status = take_item(p, &page->items[i]);
        if (status != QUO_OK)
            fail(p, QUO_VERDICT_REFUSED, status);
    }
}

static void on_scan(void *context, const struct quo_scan_answer *page)
{
    struct page *p = context;

    p->scans++;
    p->next = p->count;
    p->has_claims = false;
    if (page->verdict != QUO_VERDICT_FOUND) {
        if (p->scans == 1)
            p->receipt = page->receipt;
        fail(p, page->verdict, page->refusal);
        finish(p);
        return;
    }
    take_page(p, page);
    ask(p);
}

static enum quo_status scan(struct page *p)
{
    uint8_t prefix[QUO_TIMELINE_KEY_MAX];
    struct quo_scan_request request = {
        .ns = p->ns,
        .collection = QUO_COLLECTION_TIMELINE,
        .partition = p->partition,
        .prefix = quo_slice(prefix, quo_entry_prefix(name_of(p), prefix)),
        .after = quo_slice(p->after, p->after_len),
        .limit = p->limit - p->kept,
        .value_max = QUO_PAGE_VALUE_MAX + QUO_RECORD_OVERHEAD_MAX,
        .consistency = p->want,
    };
    quo_ticket ticket;

    request.consistency.timeout_ms = quo_job_left_ms(&p->job);
    return quo_service_scan(p->job.service, &request, on_scan, p, &ticket);
}

enum quo_status quo_service_page(struct quo_service *service,
                                 const struct quo_page_request *request, quo_page_fn *answer_fn,
                                 void *context, struct quo_job **ret_job)
{
    struct quo_job *job = NULL;
    const uint32_t id = quo_collection_ns(request->ns->id, QUO_COLLECTION_TIMELINE);
    enum quo_status status =
        quo_job_new(service, sizeof(struct page), request->limit * sizeof(struct candidate),
                    request->consistency.timeout_ms, &job);

    if (status != QUO_OK)
        return status;
    struct page *p = QUO_CONTAINER_OF(job, struct page, job);
    job->release = release;
    p->answer = answer_fn;
    p->context = context;
    p->ns = request->ns;
    p->limit = request->limit;
    p->want = request->consistency;
    p->verdict = QUO_VERDICT_FOUND;
    p->name_len = request->name.len;
    memcpy(p->name, request->name.data, request->name.len);
    if (!quo_version_is_none(request->before))
        p->after_len = quo_entry_bound(request->name, request->before, p->after);
    uint8_t prefix[QUO_TIMELINE_KEY_MAX];
    const struct quo_slice key = quo_slice(prefix, quo_entry_prefix(request->name, prefix));
    p->partition = quo_map_partition(service->map, id, key);
    p->list = calloc(request->limit, sizeof *p->list);
    quo_job_begin(job, ret_job);
    return quo_job_begun(ret_job, p->list != NULL ? scan(p) : QUO_NO_MEMORY);
}
