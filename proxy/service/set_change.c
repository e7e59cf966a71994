/* Adding to a set, and removing from it: for each element
 *
 *   add:     store a dot
 *   remove:  scan its dots ──▶ delete those that were seen ──▶ again while there may be more
 */
#include <stdlib.h>

#include "proxy/service/set.h"
#include "proxy/service/state.h"

struct change;

struct element {
    struct change *change;
    struct quo_slice bytes; /* in the request's copy */
    uint32_t deleting;      /* deletes under way */
    bool is_deleting;       /* they are being begun */
    bool was_there;
    bool more;
    size_t after_len;
    uint8_t after[QUO_VERSION_SIZE]; /* the last dot seen, with `more` */
};

struct change {
    struct quo_job job;
    quo_set_changed_fn *answer;
    void *context;
    bool is_remove;
    const struct quo_namespace *ns;
    uint16_t partition;
    struct quo_consistency want;
    uint64_t above;

    struct element *elements;
    uint32_t count, next; /* elements; that is to begin */
    uint32_t pending;     /* elements under way */
    bool is_beginning;
    uint32_t done; /* elements */
    bool has_effect, may_have_effect;
    enum quo_verdict verdict; /* WRITTEN, until a step goes wrong */
    enum quo_status refusal;
    struct quo_receipt receipt, failed;
    uint8_t looked; /* round trips until the dots of an element were known */
    size_t name_len;
    uint8_t bytes[]; /* name, elements */
};

static struct quo_slice name_of(const struct change *c)
{
    return quo_slice(c->bytes, c->name_len);
}

static void release(struct quo_job *job)
{
    struct change *c = QUO_CONTAINER_OF(job, struct change, job);

    free(c->elements);
    free(c);
}

static void finish(struct change *c)
{
    struct quo_response response = {
        .verdict = QUO_VERDICT_WRITTEN,
        .outcome = QUO_APPLIED,
        .receipt = c->receipt,
    };
    const struct quo_set_changed answer = {.response = &response, .count = c->done};

    if (c->verdict != QUO_VERDICT_WRITTEN) {
        response.receipt = c->failed;
        quo_job_fail(&response, c->verdict,
                     c->has_effect || c->may_have_effect ? QUO_UNKNOWN : QUO_NOT_APPLIED,
                     c->refusal);
    }
    quo_receipt_count(&response.receipt.round_trips, c->looked);
    response.receipt.level = c->want.level;
    response.elapsed_us = quo_job_elapsed_us(&c->job);
    quo_count(&c->job.service->stats.set_changes, 1);
    if (quo_job_answers(&c->job))
        c->answer(c->context, &answer);
    quo_job_end(&c->job);
}

static void fail(struct change *c, enum quo_verdict verdict, enum quo_status refusal,
                 const struct quo_receipt *receipt)
{
    if (c->verdict != QUO_VERDICT_WRITTEN)
        return;
    c->verdict = verdict;
    c->refusal = refusal;
    if (receipt != NULL)
        c->failed = *receipt;
}

/* One write has ended. */
static void take_write(struct change *c, const struct quo_response *response)
{
    if (response->verdict == QUO_VERDICT_WRITTEN) {
        if (!c->has_effect)
            c->receipt = response->receipt;
        quo_job_beside(&c->receipt, &response->receipt);
        c->has_effect = true;
        return;
    }
    c->may_have_effect |= response->outcome == QUO_UNKNOWN;
    fail(c, response->verdict, response->refusal, &response->receipt);
}

static void begin_elements(struct change *c);

static void end_element(struct change *c, bool counts)
{
    c->pending--;
    c->done += counts;
    if (!c->is_beginning)
        begin_elements(c);
}

static enum quo_status submit(struct change *c, struct quo_request *request, quo_answer_fn *answer,
                              struct element *element)
{
    quo_ticket ticket;

    request->ns = c->ns;
    request->collection = QUO_COLLECTION_SET;
    request->consistency = c->want;
    request->consistency.timeout_ms = quo_job_left_ms(&c->job);
    return quo_service_submit(c->job.service, request, answer, element, &ticket);
}

static void on_added(void *context, const struct quo_response *response)
{
    struct element *element = context;

    take_write(element->change, response);
    end_element(element->change, response->verdict == QUO_VERDICT_WRITTEN);
}

static enum quo_status add(struct element *element)
{
    struct change *c = element->change;
    uint8_t key[QUO_ELEMENT_KEY_MAX];
    struct quo_request request = {
        .type = QUO_REQUEST_PUT,
        .naming = QUO_NAMED_DOT,
        .key = quo_slice(key, quo_dot_key(name_of(c), element->bytes, QUO_VERSION_NONE, key)),
        .above = c->above,
    };

    return submit(c, &request, on_added, element);
}

static enum quo_status look(struct element *element);

/* All that was begun for the dots seen has ended. */
static void go_on(struct element *element)
{
    struct change *c = element->change;
    enum quo_status status = QUO_OK;

    if (element->more && c->verdict == QUO_VERDICT_WRITTEN) {
        status = look(element);
        if (status == QUO_OK)
            return;
        fail(c, QUO_VERDICT_REFUSED, status, NULL);
    }
    end_element(c, element->was_there && c->verdict == QUO_VERDICT_WRITTEN);
}

static void on_deleted(void *context, const struct quo_response *response)
{
    struct element *element = context;

    take_write(element->change, response);
    element->deleting--;
    if (element->deleting == 0 && !element->is_deleting)
        go_on(element);
}

static void delete_dot(struct element *element, const struct quo_scan_item *item)
{
    struct change *c = element->change;
    struct quo_request request = {
        .type = QUO_REQUEST_DELETE,
        .key = item->key,
        .above = QUO_MAX(c->above, item->version.hlc),
    };
    const enum quo_status status = submit(c, &request, on_deleted, element);

    if (status == QUO_OK)
        return;
    element->deleting--;
    fail(c, QUO_VERDICT_REFUSED, status, NULL);
}

static void delete_dots(struct element *element, const struct quo_scan_answer *page)
{
    struct quo_slice bytes;
    struct quo_version dot;

    element->is_deleting = true;
    element->was_there |= page->count > 0;
    for (uint32_t i = 0; i < page->count; i++) {
        element->deleting++;
        delete_dot(element, &page->items[i]);
    }
    element->more = page->more && quo_dot_key_parse(page->upto, &bytes, &dot);
    if (element->more)
        quo_version_encode(dot, element->after);
    element->after_len = sizeof element->after;
    element->is_deleting = false;
}

static void on_dots(void *context, const struct quo_scan_answer *page)
{
    struct element *element = context;
    struct change *c = element->change;

    if (page->verdict != QUO_VERDICT_FOUND) {
        fail(c, page->verdict, page->refusal, &page->receipt);
        end_element(c, false);
        return;
    }
    c->looked = QUO_MAX(c->looked, page->receipt.round_trips);
    /* That nothing had to be written is a fact of the replicas that showed nothing. */
    if (page->count == 0 && !element->was_there && c->receipt.n == 0) {
        c->receipt = page->receipt;
        c->receipt.round_trips = 0;
    }
    delete_dots(element, page);
    if (element->deleting == 0)
        go_on(element);
}

/* A removal deletes what a reader of its level would see. */
static struct quo_consistency look_want(const struct change *c)
{
    struct quo_consistency want = c->want;
    const bool is_all = c->want.level == QUO_LEVEL_ALL;

    want.level = is_all ? QUO_LEVEL_ALL : c->want.strong ? QUO_LEVEL_QUORUM : QUO_LEVEL_EVENTUAL;
    want.r = is_all ? want.n : c->want.strong ? c->ns->rs : 1;
    want.strong = false;
    want.w = want.dw = 0;
    want.timeout_ms = quo_job_left_ms(&c->job);
    return want;
}

static enum quo_status look(struct element *element)
{
    struct change *c = element->change;
    uint8_t prefix[QUO_ELEMENT_KEY_MAX], after[QUO_ELEMENT_KEY_MAX];
    const size_t len = quo_element_prefix(name_of(c), element->bytes, prefix);
    struct quo_scan_request request = {
        .ns = c->ns,
        .collection = QUO_COLLECTION_SET,
        .partition = c->partition,
        .prefix = quo_slice(prefix, len),
        .limit = QUO_DOTS_AT_ONCE,
        .consistency = look_want(c),
    };
    quo_ticket ticket;

    if (element->after_len > 0) {
        const struct quo_version dot = quo_version_decode(element->after);
        request.after = quo_slice(after, quo_dot_key(name_of(c), element->bytes, dot, after));
    }
    return quo_service_scan(c->job.service, &request, on_dots, element, &ticket);
}

static void begin_elements(struct change *c)
{
    c->is_beginning = true;
    while (c->next < c->count && c->pending < QUO_JOB_WINDOW && c->verdict == QUO_VERDICT_WRITTEN) {
        struct element *element = &c->elements[c->next++];
        c->pending++;
        const enum quo_status status = c->is_remove ? look(element) : add(element);
        if (status != QUO_OK) {
            c->pending--;
            fail(c, QUO_VERDICT_REFUSED, status, NULL);
        }
    }
    c->is_beginning = false;
    if (c->pending == 0)
        finish(c);
}

static void find_elements(struct change *c, struct quo_slice bytes)
{
    size_t at = 0;

    for (uint32_t i = 0; i < c->count; i++) {
        QUO_REQUIRE(bytes.len - at >= 2 && bytes.len - at - 2 >= quo_get_u16(bytes.data + at));
        c->elements[i].change = c;
        c->elements[i].bytes = quo_slice(bytes.data + at + 2, quo_get_u16(bytes.data + at));
        at += 2 + c->elements[i].bytes.len;
    }
}

enum quo_status quo_service_set_change(struct quo_service *service,
                                       const struct quo_set_change_request *request,
                                       quo_set_changed_fn *answer, void *context,
                                       struct quo_job **ret_job)
{
    const uint32_t id = quo_collection_ns(request->ns->id, QUO_COLLECTION_SET);
    const size_t bytes = request->name.len + request->elements.len;
    uint8_t prefix[2 + QUO_COLLECTION_NAME_MAX];
    struct quo_job *job = NULL;
    enum quo_status status = quo_job_new(service, sizeof(struct change) + bytes,
                                         bytes + request->count * sizeof(struct element),
                                         request->consistency.timeout_ms, &job);

    if (status != QUO_OK)
        return status;
    struct change *c = QUO_CONTAINER_OF(job, struct change, job);
    job->release = release;
    c->answer = answer;
    c->context = context;
    c->is_remove = request->is_remove;
    c->ns = request->ns;
    c->want = request->consistency;
    c->above = request->above;
    c->verdict = QUO_VERDICT_WRITTEN;
    c->count = request->count;
    c->name_len = request->name.len;
    memcpy(c->bytes, request->name.data, request->name.len);
    memcpy(c->bytes + c->name_len, request->elements.data, request->elements.len);
    c->partition = quo_map_partition(
        service->map, id, quo_slice(prefix, quo_collection_prefix(request->name, prefix)));
    quo_job_begin(job, ret_job);
    c->elements = calloc(c->count, sizeof *c->elements);
    if (c->elements == NULL)
        return quo_job_begun(ret_job, QUO_NO_MEMORY);
    find_elements(c, quo_slice(c->bytes + c->name_len, request->elements.len));
    begin_elements(c);
    return quo_job_begun(ret_job, QUO_OK);
}
