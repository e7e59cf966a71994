/* One entry of a timeline. The id of one with a key may be that of any attempt: the claim of its
 * operation says which entry is there. */
#include <stdlib.h>

#include "proxy/service/state.h"
#include "proxy/service/timeline.h"

struct entry {
    struct quo_job job;
    quo_answer_fn *answer;
    void *context;
    bool is_delete;
    const struct quo_namespace *ns;
    struct quo_entry_id id;
    struct quo_consistency want;
    uint64_t above;
    uint8_t looked; /* round trips until the claim was known */
    size_t name_len;
    uint8_t name[QUO_COLLECTION_NAME_MAX];
};

static void release(struct quo_job *job)
{
    free(job);
}

static void finish(struct entry *e, struct quo_response *response)
{
    quo_receipt_count(&response->receipt.round_trips, e->looked);
    response->receipt.level = e->want.level;
    response->elapsed_us = quo_job_elapsed_us(&e->job);
    if (quo_job_answers(&e->job))
        e->answer(e->context, response);
    quo_job_end(&e->job);
}

static void on_answer(void *context, const struct quo_response *response)
{
    struct quo_response ret = *response;

    finish(context, &ret);
}

static enum quo_status submit(struct entry *e, struct quo_request *request, quo_answer_fn *answer)
{
    quo_ticket ticket;

    request->ns = e->ns;
    request->collection = QUO_COLLECTION_TIMELINE;
    request->consistency.timeout_ms = quo_job_left_ms(&e->job);
    return quo_service_submit(e->job.service, request, answer, e, &ticket);
}

static enum quo_status reach(struct entry *e)
{
    uint8_t key[QUO_TIMELINE_KEY_MAX];
    struct quo_request request = {
        .type = e->is_delete ? QUO_REQUEST_DELETE : QUO_REQUEST_GET,
        .key = quo_slice(key, quo_entry_key(quo_slice(e->name, e->name_len), &e->id, key)),
        .consistency = e->want,
        /* A tombstone that is older than what it deletes would not. */
        .above = e->is_delete ? QUO_MAX(e->above, e->id.version.hlc) : 0,
    };

    return submit(e, &request, on_answer);
}

static void give_up(struct entry *e, enum quo_status status)
{
    struct quo_response response = {0};

    quo_job_fail(&response, QUO_VERDICT_REFUSED, QUO_NOT_APPLIED, status);
    finish(e, &response);
}

static void on_claim(void *context, const struct quo_response *response)
{
    struct entry *e = context;
    struct quo_response ret = *response;
    enum quo_status status;

    if (response->verdict != QUO_VERDICT_FOUND &&
        (response->verdict != QUO_VERDICT_ABSENT || !e->is_delete)) {
        ret.record = (struct quo_record){0};
        finish(e, &ret);
        return;
    }
    e->looked = response->receipt.round_trips;
    if (response->verdict == QUO_VERDICT_FOUND)
        e->id.version = response->record.version;
    status = reach(e);
    if (status != QUO_OK)
        give_up(e, status);
}

/* A delete of the wrong entry would delete nothing, so it sees what a quorum does at least. */
static struct quo_consistency claim_want(const struct entry *e)
{
    struct quo_consistency want = e->want;
    const bool is_all = want.level == QUO_LEVEL_ALL;

    if (!e->is_delete)
        return want;
    want.level = is_all ? QUO_LEVEL_ALL : QUO_LEVEL_QUORUM;
    want.r = is_all ? want.n : e->ns->rs;
    want.w = want.dw = 0;
    want.strong = false;
    return want;
}

static enum quo_status look_for_claim(struct entry *e)
{
    uint8_t key[QUO_TIMELINE_KEY_MAX];
    struct quo_slice name = quo_slice(e->name, e->name_len);
    struct quo_request request = {
        .type = QUO_REQUEST_GET,
        .key = quo_slice(key, quo_claim_key(name, &e->id.opid, key)),
        .consistency = claim_want(e),
    };

    return submit(e, &request, on_claim);
}

enum quo_status quo_service_entry(struct quo_service *service,
                                  const struct quo_entry_request *request, quo_answer_fn *answer,
                                  void *context, struct quo_job **ret_job)
{
    struct quo_job *job = NULL;
    enum quo_status status =
        quo_job_new(service, sizeof(struct entry), 0, request->consistency.timeout_ms, &job);

    if (status != QUO_OK)
        return status;
    struct entry *e = QUO_CONTAINER_OF(job, struct entry, job);
    job->release = release;
    e->answer = answer;
    e->context = context;
    e->is_delete = request->is_delete;
    e->ns = request->ns;
    e->id = request->id;
    e->want = request->consistency;
    e->above = request->above;
    e->name_len = request->name.len;
    memcpy(e->name, request->name.data, request->name.len);
    quo_job_begin(job, ret_job);
    return quo_job_begun(ret_job, e->id.is_keyed ? look_for_claim(e) : reach(e));
}
