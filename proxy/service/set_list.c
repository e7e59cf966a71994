/* Listing a set: a scan of its dots, of which each element is taken once. */
#include <stdlib.h>

#include "proxy/service/set.h"
#include "proxy/service/state.h"

struct list {
    struct quo_job job;
    quo_set_list_fn *answer;
    void *context;
    const struct quo_namespace *ns;
    uint16_t partition;
    struct quo_consistency want;
    uint32_t limit, count, scans;
    enum quo_verdict verdict;
    enum quo_status refusal;
    struct quo_receipt receipt;
    bool more;
    uint8_t *found; /* be16 length | element, each */
    size_t found_len, found_room;
    size_t prefix_len, after_len;
    struct quo_slice name;    /* in `prefix` */
    struct quo_slice element; /* likewise: the one that is asked about; empty: all are */
    uint8_t prefix[QUO_ELEMENT_KEY_MAX];
    uint8_t after[QUO_KEY_MAX];
};

static void release(struct quo_job *job)
{
    struct list *l = QUO_CONTAINER_OF(job, struct list, job);

    free(l->found);
    free(l);
}

static void finish(struct list *l)
{
    struct quo_set_list answer = {
        .verdict = l->verdict,
        .refusal = l->refusal,
        .receipt = l->receipt,
        .elapsed_us = quo_job_elapsed_us(&l->job),
        .elements = quo_slice(l->found, l->found_len),
        .count = l->count,
    };
    const size_t name_len = 2 + l->name.len;

    answer.receipt.version = QUO_VERSION_NONE;
    answer.receipt.level = l->want.level;
    if (l->more && l->after_len > name_len && l->after_len <= name_len + QUO_ELEMENT_TAIL_MAX)
        answer.after = quo_slice(l->after + name_len, l->after_len - name_len);
    quo_count(&l->job.service->stats.set_lists, 1);
    if (quo_job_answers(&l->job))
        l->answer(l->context, &answer);
    quo_job_end(&l->job);
}

/* Returns false without memory. */
static bool append(struct list *l, struct quo_slice element)
{
    const size_t need = l->found_len + 2 + element.len;

    if (need > l->found_room) {
        const size_t room = QUO_MAX(2 * l->found_room, need + 4096);
        uint8_t *grown =
            quo_job_hold(&l->job, room - l->found_room) ? realloc(l->found, room) : NULL;
        if (grown == NULL)
            return false;
        l->found = grown;
        l->found_room = room;
    }
    quo_put_u16(l->found + l->found_len, (uint16_t)element.len);
    memcpy(l->found + l->found_len + 2, element.data, element.len);
    l->found_len = need;
    l->count++;
    return true;
}

/* The dots of an element follow each other. */
static bool take(struct list *l, const struct quo_scan_answer *page)
{
    struct quo_slice last = {NULL, 0}, element;
    struct quo_version dot;

    for (uint32_t i = 0; i < page->count; i++) {
        if (!quo_dot_key_parse(page->items[i].key, &element, &dot) ||
            quo_slice_equal(element, last))
            continue;
        last = element;
        if (!append(l, element))
            return false;
    }
    return true;
}

/* Behind all dots of the last element that was looked at: of one that is listed, none matters any
 * more; of others, all that were seen are deleted. */
static void move_on(struct list *l, const struct quo_scan_answer *page)
{
    struct quo_slice element;
    struct quo_version dot;
    uint8_t after[QUO_ELEMENT_KEY_MAX];

    memcpy(l->after, page->upto.data, page->upto.len);
    l->after_len = page->upto.len;
    if (page->count == 0 || !quo_dot_key_parse(page->items[page->count - 1].key, &element, &dot))
        return;
    const struct quo_slice bound = quo_slice(after, quo_element_bound(l->name, element, after));
    if (quo_scan_key_compare(bound, page->upto) <= 0)
        return;
    memcpy(l->after, after, bound.len);
    l->after_len = bound.len;
}

static enum quo_status scan(struct list *l);

static void on_scan(void *context, const struct quo_scan_answer *page)
{
    struct list *l = context;
    enum quo_status status;

    l->scans++;
    if (page->verdict != QUO_VERDICT_FOUND) {
        /* What was complete before a step went wrong is a page. */
        if (l->scans == 1) {
            l->verdict = page->verdict;
            l->refusal = page->refusal;
            l->receipt = page->receipt;
        }
        finish(l);
        return;
    }
    quo_job_then(&l->receipt, &page->receipt);
    l->more = page->more;
    if (!take(l, page)) {
        l->verdict = QUO_VERDICT_REFUSED;
        l->refusal = QUO_NO_MEMORY;
    } else if (page->more) {
        move_on(l, page);
        if (l->count < l->limit && l->scans < QUO_PAGE_SCANS_MAX) {
            status = scan(l);
            if (status == QUO_OK)
                return;
        }
    }
    finish(l);
}

static enum quo_status scan(struct list *l)
{
    struct quo_scan_request request = {
        .ns = l->ns,
        .collection = QUO_COLLECTION_SET,
        .partition = l->partition,
        .prefix = quo_slice(l->prefix, l->prefix_len),
        .after = quo_slice(l->after, l->after_len),
        .limit = l->limit - l->count,
        .consistency = l->want,
    };
    quo_ticket ticket;

    request.consistency.timeout_ms = quo_job_left_ms(&l->job);
    return quo_service_scan(l->job.service, &request, on_scan, l, &ticket);
}

enum quo_status quo_service_set_list(struct quo_service *service,
                                     const struct quo_set_list_request *request,
                                     quo_set_list_fn *answer, void *context,
                                     struct quo_job **ret_job)
{
    const uint32_t id = quo_collection_ns(request->ns->id, QUO_COLLECTION_SET);
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
    l->prefix_len = request->element.len > 0
                        ? quo_element_prefix(request->name, request->element, l->prefix)
                        : quo_collection_prefix(request->name, l->prefix);
    l->name = quo_slice(l->prefix + 2, request->name.len);
    if (request->after.len > 0) {
        l->after_len = quo_collection_prefix(request->name, l->after);
        memcpy(l->after + l->after_len, request->after.data, request->after.len);
        l->after_len += request->after.len;
    }
    l->partition = quo_map_partition(service->map, id, quo_slice(l->prefix, l->prefix_len));
    quo_job_begin(job, ret_job);
    return quo_job_begun(ret_job, scan(l));
}
